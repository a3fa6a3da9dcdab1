/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU loops for AVX512; compiled with its flags, used only where the processor has it.
 */
#include "loops.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define STREAM_BYTES 32
#define STREAM(p, v) _mm256_stream_ps((p), (__m256)(v))
#define STREAM_END   _mm_sfence()
#include "loops.inc"

static const clbn_cpu_loops loops = TABLE("avx512");
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = &loops;
#else
const clbn_cpu_loops *const clbn_cpu_loops_avx512 = NULL;
#endif
