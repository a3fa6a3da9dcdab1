/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for AVX2, FMA and F16C; compiled with their flags, used only where the processor has them.
 */
#include "loops.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#define STREAM(p, a, b)                         \
    do {                                        \
        _mm256_stream_ps((p), (__m256)(a));     \
        _mm256_stream_ps((p) + 8, (__m256)(b)); \
    } while (0)
#define STREAM_SHORTS(p, a, b) _mm256_stream_si256((__m256i *)(p), _mm256_set_m128i((__m128i)(b), (__m128i)(a)))
#define PIECE                  32
#define STREAM_END             _mm_sfence()
#define WIDEN_SHORTS(h)        ((uints)_mm256_cvtepu16_epi32((__m128i)(h)))
#define FROM_HALVES(h)         ((floats)_mm256_cvtph_ps((__m128i)(h)))
#define TO_HALVES(f)           ((ushorts)_mm256_cvtps_ph((__m256)(f), _MM_FROUND_TO_NEAREST_INT))
#define ANY(v)                 (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
/* Eight doubles are two registers. */
#define HALVES(function, a, b, c)                                                               \
    __extension__({                                                                             \
        const doubles a_ = (a), b_ = (b), c_ = (c);                                             \
        __m256d ah[2], bh[2], ch[2], rh[2];                                                     \
        doubles r_;                                                                             \
        memcpy(ah, &a_, sizeof ah);                                                             \
        memcpy(bh, &b_, sizeof bh);                                                             \
        memcpy(ch, &c_, sizeof ch);                                                             \
        for (int half = 0; half < 2; half++) rh[half] = function(ah[half], bh[half], ch[half]); \
        memcpy(&r_, rh, sizeof r_);                                                             \
        r_;                                                                                     \
    })
#define FMA(a, b, c)  HALVES(_mm256_fmadd_pd, a, b, c)
#define FNMA(a, b, c) HALVES(_mm256_fnmadd_pd, a, b, c)
#include "loops.inc"

static const clbn_cpu_loops loops = TABLE("avx2");
const clbn_cpu_loops *const clbn_cpu_loops_avx2 = &loops;
#else
const clbn_cpu_loops *const clbn_cpu_loops_avx2 = NULL;
#endif
