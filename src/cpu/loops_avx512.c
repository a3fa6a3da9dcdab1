/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for AVX512; compiled with its flags, used only where the processor has it.
 */
#include "loops.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define STREAM(p, a, b) _mm512_stream_pd((double *)(p), _mm512_insertf64x4(_mm512_castpd256_pd512((__m256d)(a)), (__m256d)(b), 1))
#define STREAM_END      _mm_sfence()
#define WIDEN(v)        ((doubles)_mm512_cvtps_pd((__m256)(v)))
#define FMA(a, b, c)    ((doubles)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define FNMA(a, b, c)   ((doubles)_mm512_fnmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#include "loops.inc"

static const clbn_cpu_loops loops = TABLE("avx512");
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = &loops;
#else
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = NULL;
#endif
