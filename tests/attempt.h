/* SPDX-License-Identifier: Apache-2.0
 *
 * A call of any operation, on a plan of any kind, that is good until a test spoils it. Which arguments an operation has, which of
 * them it needs and which it writes stands here once more, written from clbn.h: the door must agree.
 */
#ifndef CLBN_TESTS_ATTEMPT_H
#define CLBN_TESTS_ATTEMPT_H

#include "guarded.h"

/* What plans differ in. */
typedef enum plan_kind {
    PLAIN,      /* float32, identity, epsilon inside */
    OUTSIDE,    /* PLAIN by the other epsilon rule */
    FUSED,      /* relu and a residual */
    MASKED,     /* FUSED with a mask */
    HALVES,     /* float16 */
    TWO_HALVES, /* x float16, y bfloat16 */
    WIDENING,   /* x float16, y float32 */
    DOUBLES,    /* float64 */
    PLAN_KINDS
} plan_kind;

/* Every call but the four that only take the parts of others. */
typedef enum operation {
    FORWARD,
    FORWARD_BY_PARTS,
    FORWARD_INFERENCE,
    MOMENTS_ALONE,
    MOMENTS_PART,
    MOMENTS_MERGE,
    BACKWARD,
    BACKWARD_BY_PARTS,
    BACKWARD_INFERENCE,
    BACKWARD_PART,
    BACKWARD_MERGE,
    UPDATE_RUNNING,
    FOLD,
    OPERATIONS
} operation;

/* Everything that arguments hold. */
typedef enum piece {
    A_X,
    A_Y,
    A_RESIDUAL,
    A_DX,
    A_DY,
    A_DRESIDUAL,
    A_GAMMA,
    A_BETA,
    A_DGAMMA,
    A_DBETA,
    A_RUNNING_MEAN,
    A_RUNNING_VAR,
    A_MEAN,
    A_MEAN_LO,
    A_VAR,
    A_INV_STD,
    A_BIAS,
    A_FOLDED_BIAS,
    A_PARTS,
    A_COUNTS,
    A_PART,
    A_COUNT,
    A_MASK,
    PIECES
} piece;

enum { IS_IN = 1, IS_OUT = 2, IS_NEEDED = 4 };

typedef struct attempt {
    plan_kind kind;
    operation operation;
    const clbn_plan *plan;
    cl_command_queue queue; /* NULL: every buffer is in host memory */
    guarded pieces[PIECES];
    clbn_forward_args forward;
    clbn_moments_args moments;
    clbn_moments_part_args part;
    clbn_merge_args merge;
    clbn_backward_args backward;
    clbn_update_args update;
    clbn_fold_args fold;
} attempt;

enum { OUTER = 3, CHANNELS = 5, INNER = 14, PARTS = 3 };

clbn_config config_of_kind(plan_kind kind);
/* Has the device such plans, and have they such a call? */
int call_exists(plan_kind kind, operation op);
const char *attempt_title(const attempt *a);

/* A good call with every argument that it may have, in host memory or in cl_mem. The plan of a kind is kept. */
void attempt_make(attempt *a, plan_kind kind, operation op, int in_mem);
void attempt_free(attempt *a);
void attempt_free_plans(void);

clbn_status attempt_call(attempt *a);
/* The call must be refused so, in a sentence with that word, and nothing may have been written. what is printed. */
void attempt_must_be_refused(attempt *a, clbn_status expected, const char *word, const char *what);
/* The call must be done; nothing behind or before a buffer may have been written. The attempt is spent. */
void attempt_must_pass(attempt *a, const char *what);

/* How the call uses a piece, 0 where it does not; what it is called there; where it stands among the arguments. */
unsigned attempt_use(const attempt *a, piece p);
const char *attempt_name(const attempt *a, piece p);
clbn_buffer *attempt_argument(attempt *a, piece p);
/* Bytes of an element, and elements, that this call must find there. */
size_t attempt_element_bytes(const attempt *a, piece p);
size_t attempt_elements(const attempt *a, piece p);

#endif
