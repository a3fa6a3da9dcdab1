/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for AVX2; compiled with its flags, used only where the processor has it.
 */
#include "loops.h"

#if defined(__AVX2__)
#include <immintrin.h>
#define STREAM(p, a, b)                         \
    do {                                        \
        _mm256_stream_ps((p), (__m256)(a));     \
        _mm256_stream_ps((p) + 8, (__m256)(b)); \
    } while (0)
#define STREAM_END _mm_sfence()
#include "loops.inc"

static const clbn_cpu_loops loops = TABLE("avx2");
const clbn_cpu_loops *const clbn_cpu_loops_avx2 = &loops;
#else
const clbn_cpu_loops *const clbn_cpu_loops_avx2 = NULL;
#endif
