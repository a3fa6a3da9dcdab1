/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for AVX512 and F16C; compiled with their flags, used only where the processor has them.
 */
#include "loops.h"

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__F16C__)
#include <immintrin.h>
#include <stdint.h>
#define STREAM(p, a, b)        _mm512_stream_pd((double *)(p), _mm512_insertf64x4(_mm512_castpd256_pd512((__m256d)(a)), (__m256d)(b), 1))
#define STREAM_SHORTS(p, a, b) _mm256_stream_si256((__m256i *)(p), _mm256_set_m128i((__m128i)(b), (__m128i)(a)))
#define STREAM_END             _mm_sfence()
#define WIDEN_SHORTS(h)        ((uints)_mm256_cvtepu16_epi32((__m128i)(h)))
#define FROM_HALVES(h)         ((floats)_mm256_cvtph_ps((__m128i)(h)))
#define TO_HALVES(f)           ((ushorts)_mm256_cvtps_ph((__m256)(f), _MM_FROUND_TO_NEAREST_INT))
#define ANY(v)                 (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
#define WIDEN(v)               ((doubles)_mm512_cvtps_pd((__m256)(v)))
#define FMA(a, b, c)           ((doubles)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define FNMA(a, b, c)          ((doubles)_mm512_fnmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
/* As round_to_odd in storage.inc. */
static inline __attribute__((always_inline)) __m256d to_odd(__m512d v) {
    const __m512i low = _mm512_set1_epi64(0x1fffffff), bits = _mm512_castpd_si512(v);
    const __m512i sticky = _mm512_add_epi64(_mm512_and_si512(bits, low), low);
    enum { EITHER_BUT_NOT_LOW = 0x54 };
    return _mm256_castps_pd(
        _mm512_cvtpd_ps(_mm512_castsi512_pd(_mm512_ternarylogic_epi64(bits, sticky, low, EITHER_BUT_NOT_LOW))));
}

static inline __attribute__((always_inline)) __m512i join(__m256d a, __m256d b) {
    return _mm512_castpd_si512(_mm512_insertf64x4(_mm512_castpd256_pd512(a), b, 1));
}

static inline __attribute__((always_inline)) void put_two(void *p, __m256i v, bool stream) {
    if (stream)
        _mm256_stream_si256(p, v);
    else
        _mm256_storeu_si256(p, v);
}

/* As to_f16 and to_bf16 in storage.inc, 16 values at once; no bfloat16 where one of them is to be made anew. */
static inline __attribute__((always_inline)) bool put_two_f16(void *p, __m512d a, __m512d b, bool stream) {
    const __m512i f = join(to_odd(a), to_odd(b));
    const __mmask16 nan = _mm512_cmp_ps_mask(_mm512_castsi512_ps(f), _mm512_castsi512_ps(f), _CMP_UNORD_Q);
    const __m512i quiet = _mm512_mask_and_epi32(f, nan, f, _mm512_set1_epi32(-0x400000));
    put_two(p, _mm512_cvtps_ph(_mm512_castsi512_ps(quiet), _MM_FROUND_TO_NEAREST_INT), stream);
    return true;
}

static inline __attribute__((always_inline)) bool put_two_bf16(void *p, __m512d a, __m512d b, bool stream) {
    const __m256 first = _mm512_cvtpd_ps(a), second = _mm512_cvtpd_ps(b);
    const __m512i f = join(_mm256_castps_pd(first), _mm256_castps_pd(second));
    __m512i rounded = _mm512_add_epi32(f, _mm512_set1_epi32(0x8000));
    const __mmask16 nan = _mm512_cmp_ps_mask(_mm512_castsi512_ps(f), _mm512_castsi512_ps(f), _CMP_UNORD_Q);
    const __mmask16 halfway = _mm512_testn_epi32_mask(rounded, _mm512_set1_epi32(0xffff));
    if (__builtin_expect(!_mm512_kortestz(nan, halfway), 0)) {
        const __mmask8 inexact[] = {_mm512_cmp_pd_mask(_mm512_cvtps_pd(first), a, _CMP_NEQ_UQ),
                                    _mm512_cmp_pd_mask(_mm512_cvtps_pd(second), b, _CMP_NEQ_UQ)};
        if (nan || (halfway & (inexact[0] | inexact[1] << 8))) return false;
        rounded = _mm512_mask_and_epi32(rounded, halfway, rounded, _mm512_set1_epi32(-0x20000));
    }
    put_two(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)), stream);
    return true;
}

#define PUT_TWO_F16(p, a, b, stream)  put_two_f16((p), (__m512d)(a), (__m512d)(b), (stream))
#define PUT_TWO_BF16(p, a, b, stream) put_two_bf16((p), (__m512d)(a), (__m512d)(b), (stream))
#define PIECE                         64
#include "loops.inc"

static const clbn_cpu_loops loops = TABLE("avx512");
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = &loops;
#else
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = NULL;
#endif
