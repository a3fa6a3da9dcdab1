/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kernels share: vectors, two-float sums, moments and their merge, per-channel arrays. The files of this folder are
 * compiled as one program, in the order common, moments, finalize, apply, fused. Kernels know x[outer][channels][inner]
 * as rows of width = channels * inner values, never a layout.
 *
 * Kinds are macros, sizes are arguments:
 *   VEC    values in a vector
 *   TILE   vectors of adjacent columns that a work-item owns
 *   ALONE  1: a work-group is one work-item, which walks whole vectors (CPU devices); 0: adjacent work-items take
 *          adjacent vectors
 *   HINTS  1: the device is a CPU, whose caches take hints (its compiler permitting)
 * A work-group is LX * LY work-items, any size; LX lie along a row, LY take different rows. Every work-item reaches every
 * barrier.
 */
#ifndef VEC
#define VEC 4
#endif
#ifndef TILE
#define TILE 1
#endif
#ifndef ALONE
#define ALONE 0
#endif
#ifndef HINTS
#define HINTS 0
#endif

typedef float real;

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
typedef PASTE(float, VEC) vec;
/* Vectors in global memory and in the work-item's own, aligned as their elements are. Then a store that leaves the caches alone, p aligned to its
 * vector; and a wish for the line at p, as a CPU's own prefetching loses the thread at the end of a page and where rows are
 * walked down. (PoCL makes eight loads of a vload16.) */
#if HINTS && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store) && __has_builtin(__builtin_prefetch)
#define TAKES_HINTS 1
typedef vec loose __attribute__((aligned(sizeof(real))));
#define LOAD_VEC(p)             (*(const __global loose *)(p))
#define STORE_VEC(v, p)         (*(__global loose *)(p) = (v))
#define LOAD_OWN(p)             (*(const loose *)(p))
#define STORE_OWN(v, p)         (*(loose *)(p) = (v))
#define STORE_PAST_CACHES(v, p) __builtin_nontemporal_store((v), (__global vec *)(p))
#define ASK_FOR(p)              __builtin_prefetch((const void *)(ulong)(p), 0, 2)
#endif
#endif
#ifndef TAKES_HINTS
#define TAKES_HINTS             0
#define LOAD_VEC(p)             PASTE(vload, VEC)(0, (p))
#define STORE_VEC(v, p)         PASTE(vstore, VEC)((v), 0, (p))
#define LOAD_OWN(p)             LOAD_VEC(p)
#define STORE_OWN(v, p)         STORE_VEC(v, p)
#define STORE_PAST_CACHES(v, p) STORE_VEC((v), (p))
#define ASK_FOR(p)              (void)(p)
#endif
/* What a loop at value i of a run of length values, the next one step away, will read soon. */
#define AHEAD 512u
#define ASK_AHEAD(run, i, length, step) \
    ASK_FOR((i) + AHEAD < (length) ? (run) + (i) + AHEAD : (run) + (step) + ((i) + AHEAD - (length)))

#if ALONE
#define LX     1u
#define LY     1u
#define LANE_X 0u
#define LANE_Y 0u
#define SPEAKS (LANE_X == LANE_Y)
#define GROUP_BARRIER
#else
#define LX            ((uint)get_local_size(0))
#define LY            ((uint)get_local_size(1))
#define LANE_X        ((uint)get_local_id(0))
#define LANE_Y        ((uint)get_local_id(1))
#define SPEAKS        ((LANE_X | LANE_Y) == 0) /* one work-item of a group writes what is per channel */
#define GROUP_BARRIER barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE) /* x is read before y, in place, is stored */
#endif

/* Bits of the argument flags. Absent arrays have some valid buffer bound and are never touched. */
#define HAS_Y            1u
#define HAS_GAMMA        2u
#define HAS_BETA         4u
#define HAS_RUNNING_MEAN 8u
#define HAS_RUNNING_VAR  16u
#define HAS_MEAN         32u
#define HAS_MEAN_LO      64u
#define HAS_VAR          128u
#define HAS_INV_STD      256u
#define EPSILON_OUTSIDE  512u
#define OF_POPULATION    1024u /* running statistics normalize */
#define UPDATE_RUNNING   2048u /* this launch is the call's last: it moves the running statistics */
#define PAST_CACHES      4096u /* y is larger than the caches */

/* sum + error is a + b exactly (Knuth). Additions only: nothing to contract. */
#define TWO_SUM(T, sum, error, a, b) \
    const T sum = (a) + (b);         \
    const T sum##_b = sum - (a);     \
    const T error = ((a) - (sum - sum##_b)) + ((b)-sum##_b)

/* n values with the mean hi + lo and the sum m2 + m2_lo of squared deviations from it. */
typedef struct {
    ulong n;
    real hi, lo, m2, m2_lo;
} moments;

/* a takes b in: Chan, Golub, LeVeque 1983, with the mean and M2 in two floats each. (Structs are handed over by pointer
 * throughout: what compilers make of returned ones is more than Oclgrind can interpret.) */
void merge(moments *a, const moments *b) {
    const ulong n = a->n + b->n;
    const bool one = a->n == 0 || b->n == 0;
    const real share = one ? (real)0 : (real)b->n / (real)n;
    const real d = one ? (real)0 : (b->hi - a->hi) + (b->lo - a->lo);
    const real from = a->n == 0 ? b->hi : a->hi, from_lo = a->n == 0 ? b->lo : a->lo;
    const real step = from_lo + d * share;
    const real between = d * d * ((real)a->n * share);
    TWO_SUM(real, mean, mean_lo, from, step);
    TWO_SUM(real, within, within_lo, a->m2, b->m2);
    TWO_SUM(real, m2, m2_lo, within, between);
    a->n = n;
    a->hi = mean;
    a->lo = mean_lo;
    a->m2 = m2;
    a->m2_lo = (a->m2_lo + b->m2_lo) + (within_lo + m2_lo);
}

/* Moments in memory are PARTS arrays of reals; the count takes two, exact to 2^44. */
#define PARTS      6
#define COUNT_STEP 1048576

#define DEFINE_MOMENTS_IN(space, put, get)                           \
    void put(space real *p, const ulong step, const moments *m) {    \
        p[0] = m->hi;                                                \
        p[step] = m->lo;                                             \
        p[2 * step] = m->m2;                                         \
        p[3 * step] = m->m2_lo;                                      \
        p[4 * step] = (real)(m->n / COUNT_STEP);                     \
        p[5 * step] = (real)(m->n % COUNT_STEP);                     \
    }                                                                \
    void get(const space real *p, const ulong step, moments *m) {    \
        m->hi = p[0];                                                \
        m->lo = p[step];                                             \
        m->m2 = p[2 * step];                                         \
        m->m2_lo = p[3 * step];                                      \
        m->n = (ulong)p[4 * step] * COUNT_STEP + (ulong)p[5 * step]; \
    }
DEFINE_MOMENTS_IN(__global, put_global, get_global)
DEFINE_MOMENTS_IN(__local, put_local, get_local)

/* The group merges, in a fixed tree, height rows of width moments in scratch into row 0. All have been put; all may be got
 * afterwards, until the next barrier. */
void group_merge(__local real *scratch, const uint width, const uint height) {
    const uint lane = LANE_Y * LX + LANE_X, lanes = LX * LY, step = width * height;
    GROUP_BARRIER;
    for (uint rows = height; rows > 1;) {
        const uint keep = (rows + 1) / 2;
        for (uint i = lane; i < (rows - keep) * width; i += lanes) {
            moments a, b;
            get_local(scratch + i, step, &a);
            get_local(scratch + keep * width + i, step, &b);
            merge(&a, &b);
            put_local(scratch + i, step, &a);
        }
        GROUP_BARRIER;
        rows = keep;
    }
}

/* Every per-channel array of a call. */
#define CHANNEL_PARAMETERS                                                                                                       \
    __global const real *gamma, ulong gamma_offset, __global const real *beta, ulong beta_offset, __global real *running_mean,   \
        ulong running_mean_offset, __global real *running_var, ulong running_var_offset, __global real *saved_mean,              \
        ulong saved_mean_offset, __global real *saved_mean_lo, ulong saved_mean_lo_offset, __global real *saved_var,             \
        ulong saved_var_offset, __global real *saved_inv_std, ulong saved_inv_std_offset, uint flags, real epsilon, real weight, \
        real keep, real bessel, real count

typedef struct {
    __global const real *gamma, *beta;
    __global real *running_mean, *running_var, *mean, *mean_lo, *var, *inv_std;
    uint flags;
    real epsilon;
    real weight, keep; /* running = keep * running + weight * batch */
    real bessel;       /* what makes the biased variance the one for running_var */
    real count;        /* values in a channel */
} channel_arrays;

#define CHANNEL_ARRAYS                                                                                                  \
    {                                                                                                                   \
        gamma + gamma_offset, beta + beta_offset, running_mean + running_mean_offset, running_var + running_var_offset, \
            saved_mean + saved_mean_offset, saved_mean_lo + saved_mean_lo_offset, saved_var + saved_var_offset,         \
            saved_inv_std + saved_inv_std_offset, flags, epsilon, weight, keep, bessel, count                           \
    }
