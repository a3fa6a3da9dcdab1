/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for the compiler's own target: what every processor of its kind can run.
 */
#if defined(__SSE2__)
#include <emmintrin.h>
#define STREAM(p, a, b)                                                                                    \
    do {                                                                                                   \
        __m128 quarters[4];                                                                                \
        memcpy(quarters, &(a), sizeof(a));                                                                 \
        memcpy(quarters + 2, &(b), sizeof(b));                                                             \
        for (int quarter = 0; quarter < 4; quarter++) _mm_stream_ps((p) + 4 * quarter, quarters[quarter]); \
    } while (0)
#define STREAM_SHORTS(p, a, b) \
    (_mm_stream_si128((__m128i *)(p), (__m128i)(a)), _mm_stream_si128((__m128i *)(p) + 1, (__m128i)(b)))
#define STREAM_END _mm_sfence()
#else
#define STREAM(p, a, b)        (memcpy((p), &(a), sizeof(a)), memcpy((p) + LANES, &(b), sizeof(b)))
#define STREAM_SHORTS(p, a, b) STREAM(p, a, b)
#define STREAM_END             (void)0
#endif

#define PIECE 16
#include "loops.inc"

const clbn_cpu_loops clbn_cpu_loops_portable = TABLE("portable");

void clbn_cpu_add(double *sum, double *lo, double value, double value_lo) {
    *lo += value_lo;
    TAKE_IN(*sum, *lo, value, double);
}

clbn_cpu_moments clbn_cpu_merge(clbn_cpu_moments a, clbn_cpu_moments b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double total = a.count + b.count, shift = (b.mean - a.mean) + (b.lo - a.lo), share = b.count / total;
    clbn_cpu_add(&a.m2, &a.m2_lo, b.m2 + shift * shift * (a.count * share), b.m2_lo);
    clbn_cpu_add(&a.mean, &a.lo, shift * share, 0);
    a.count = total;
    return a;
}
