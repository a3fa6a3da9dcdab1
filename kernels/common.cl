/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kernels share: kinds, vectors, the work-items of a group, flags, two-float sums, moments and their merge. The files
 * of this folder are compiled as one program, in the order that cmake/Library.cmake lists. Kernels know
 * x[outer][channels][inner] as rows of channels * inner values, never a layout.
 *
 * Kinds are macros, sizes are arguments:
 *   VEC       values in a vector
 *   TILE      vectors of adjacent columns that a work-item owns
 *   ALONE     1: a work-group is one work-item, which walks whole vectors (CPU devices); 0: adjacent work-items take
 *             adjacent vectors
 *   HINTS     1: the device is a CPU, whose caches take hints (its compiler permitting)
 *   X_TYPE    how x and dx are stored: f32, f16, bf16, f64, i8; Y_TYPE: y, dy, residual and dresidual
 *   ACT       the activation: identity, relu, leaky_relu, clip, silu, custom
 *   RESIDUAL  1: a residual is added before the activation
 *   MASK      1: forward keeps a bit an element for backward; VEC is then 8 or more
 *   STRIDED   1: values of a run need not be adjacent
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
#ifndef X_TYPE
#define X_TYPE f32
#endif
#ifndef Y_TYPE
#define Y_TYPE f32
#endif
#ifndef ACT
#define ACT identity
#endif
#ifndef RESIDUAL
#define RESIDUAL 0
#endif
#ifndef MASK
#define MASK 0
#endif
#ifndef STRIDED
#define STRIDED 0
#endif

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* A kind's word as a number that #if can compare. */
#define NUMBER_OF(kind)   PASTE(NUMBER_, kind)
#define NUMBER_f32        0
#define NUMBER_f16        1
#define NUMBER_bf16       2
#define NUMBER_f64        3
#define NUMBER_i8         4
#define NUMBER_identity   0
#define NUMBER_relu       1
#define NUMBER_leaky_relu 2
#define NUMBER_clip       3
#define NUMBER_silu       4
#define NUMBER_custom     5

/* real: what is computed with, and the type of all that is per channel. bits: as wide. */
#define REAL_IS_F64 (NUMBER_OF(X_TYPE) == NUMBER_f64 || NUMBER_OF(Y_TYPE) == NUMBER_f64)
#if REAL_IS_F64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define REAL    double
#define AS_REAL as_double
#define AS_BITS as_ulong
/* The upper half of a real's significand. */
#define UPPER 0xfffffffff8000000ul
#else
#define REAL    float
#define AS_REAL as_float
#define AS_BITS as_uint
#define UPPER   0xfffff000u
#endif
typedef REAL real;
typedef PASTE(REAL, VEC) vec;

/* Do the caches take hints? Then vectors are loaded by pointers that promise no alignment. (PoCL makes eight loads of a
 * vload16.) */
#if HINTS && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store) && __has_builtin(__builtin_prefetch)
#define TAKES_HINTS 1
#endif
#endif
#ifndef TAKES_HINTS
#define TAKES_HINTS 0
#endif
#if TAKES_HINTS
typedef vec loose __attribute__((aligned(sizeof(real))));
#define LOAD_OWN(p)     (*(const loose *)(p))
#define STORE_OWN(v, p) (*(loose *)(p) = (v))
/* A wish for the line at p: a CPU's own prefetching loses the thread at the end of a page and where rows are walked down. */
#define ASK_FOR(p) __builtin_prefetch((const void *)(ulong)(p), 0, 2)
#else
#define LOAD_OWN(p)     PASTE(vload, VEC)(0, (p))
#define STORE_OWN(v, p) PASTE(vstore, VEC)((v), 0, (p))
#define ASK_FOR(p)      (void)(p)
#endif
/* May what is larger than the caches be stored past them? */
#define STREAMS (TAKES_HINTS && ALONE && !STRIDED)
/* What a loop at value i of a run of length values, the next one step away, will read soon. */
#define AHEAD 512u
#define ASK_AHEAD(run, i, length, step) \
    ASK_FOR((i) + AHEAD < (length) ? (run) + (i) + AHEAD : (run) + (step) + ((i) + AHEAD - (length)))
/* The same where the channel itself is in a cache, and the next one, next values on, is what will be read: while a channel is
 * written the memory has time to bring it. Beyond the last channel a wish comes to nothing. */
#define ASK_ON(run, i, length, step, next)   \
    do {                                     \
        if ((next) != 0)                     \
            ASK_FOR((run) + (i) + (next));   \
        else                                 \
            ASK_AHEAD(run, i, length, step); \
    } while (0)
/* How far it is to the next channel, or 0 where slices are too large to wait for their turn in a cache. */
#define NEXT_SLICE                            (1024u << 10)
#define NEXT_CHANNEL(values, T, channel_step) ((values) * sizeof(T) <= NEXT_SLICE ? (channel_step) : (ulong)0)

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
 * throughout: what compilers make of returned ones is more than Oclgrind can interpret, and rusticl hands over no copy of one
 * given by value.) */
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

/* The group takes, in a fixed tree, height rows of width things in scratch together into row 0. All have been put; all may be got
 * afterwards, until the next barrier. */
#define DEFINE_GROUP_TREE(name, thing, put, get, take)                                  \
    void name(__local real *scratch, const uint width, const uint height) {             \
        const uint lane = LANE_Y * LX + LANE_X, lanes = LX * LY, step = width * height; \
        GROUP_BARRIER;                                                                  \
        for (uint rows = height; rows > 1;) {                                           \
            const uint keep = (rows + 1) / 2;                                           \
            for (uint i = lane; i < (rows - keep) * width; i += lanes) {                \
                thing a, b;                                                             \
                get(scratch + i, step, &a);                                             \
                get(scratch + keep * width + i, step, &b);                              \
                take(&a, &b);                                                           \
                put(scratch + i, step, &a);                                             \
            }                                                                           \
            GROUP_BARRIER;                                                              \
            rows = keep;                                                                \
        }                                                                               \
    }
DEFINE_GROUP_TREE(group_merge, moments, put_local, get_local, merge)

/* Where a tensor has element (row, c, i): at row * row_step + c * channel_step + i * unit from its offset. Columns side by side
 * are one run of channels * inner values, a unit apart. */
#define VIEW_PARAMETERS(name) ulong name##_offset, ulong name##_row, ulong name##_channel, ulong name##_unit
#define ROW_PARAMETERS(name)  ulong name##_offset, ulong name##_row, ulong name##_unit
#if STRIDED
#define STEPS(i, unit) ((ulong)(i) * (unit))
#else
#define STEPS(i, unit) ((void)(unit), (i))
#endif
