/* SPDX-License-Identifier: Apache-2.0
 *
 * What host and kernels must agree on: preprocessor lines alone, for the library's C reads them too.
 */

/* Bits of the argument flags. Absent arrays have some valid buffer bound and are never touched. */
#define HAS_Y            (1u << 0)
#define HAS_GAMMA        (1u << 1)
#define HAS_BETA         (1u << 2)
#define HAS_RUNNING_MEAN (1u << 3)
#define HAS_RUNNING_VAR  (1u << 4)
#define HAS_MEAN         (1u << 5)
#define HAS_MEAN_LO      (1u << 6)
#define HAS_VAR          (1u << 7)
#define HAS_INV_STD      (1u << 8)
#define EPSILON_OUTSIDE  (1u << 9)
#define OF_POPULATION    (1u << 10) /* running statistics normalize */
#define UPDATE_RUNNING   (1u << 11) /* this launch is the call's last: it moves the running statistics */
#define PAST_CACHES      (1u << 12) /* what is written is larger than the caches */
#define UNBIASED         (1u << 13) /* the running variance takes the unbiased one */
#define SKIP_NONFINITE   (1u << 14)
#define HAS_MASK         (1u << 15)
#define HAS_PART         (1u << 16) /* write the moments or sums as a part */
#define HAS_X            (1u << 17)
#define HAS_DX           (1u << 18)
#define HAS_DGAMMA       (1u << 19)
#define HAS_DBETA        (1u << 20)
#define HAS_DRESIDUAL    (1u << 21)
#define ADD_DX           (1u << 22) /* to what is there */
#define ADD_DGAMMA       (1u << 23)
#define ADD_DBETA        (1u << 24)
#define ADD_DRESIDUAL    (1u << 25)
#define HAS_BIAS         (1u << 26)
#define FOLDS            (1u << 27) /* into a weight: scale only */

/* Reals of moments, of sums, and of a channel's constants in the workspace. */
#define PARTS     6
#define SUMS      4
#define CONSTANTS 8
