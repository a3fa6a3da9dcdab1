/* SPDX-License-Identifier: Apache-2.0
 *
 * Bench on the CPU path: host arrays, and the ways to copy them with the threads that the path itself uses.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_STREAM 1
#else
#define HAVE_STREAM 0
#endif

typedef struct cpu_state {
    array arrays[BENCH_BUFFERS];
    clbn_buffer buffers[BENCH_BUFFERS];
} cpu_state;

/* Threads take blocks in turn; a block is a multiple of a cache line, so that stores of whole vectors are aligned. */
#define BLOCK ((size_t)1 << 16)

typedef void (*copy_block)(float *to, const float *from, size_t count);

static void block_memcpy(float *to, const float *from, size_t count) {
    memcpy(to, from, count * sizeof *to);
}

static void block_loop(float *to, const float *from, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) to[i] = from[i];
}

#if HAVE_STREAM
/* Stores that go past the cache spare the read of the line that is overwritten. */
static void block_stream(float *to, const float *from, size_t count) {
    size_t whole = count / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) {
        __m128 a = _mm_loadu_ps(from + i), b = _mm_loadu_ps(from + i + 4);
        __m128 c = _mm_loadu_ps(from + i + 8), d = _mm_loadu_ps(from + i + 12);
        _mm_stream_ps(to + i, a);
        _mm_stream_ps(to + i + 4, b);
        _mm_stream_ps(to + i + 8, c);
        _mm_stream_ps(to + i + 12, d);
    }
    for (size_t i = whole; i < count; i++) to[i] = from[i];
    _mm_sfence();
}

/* The same with a cache line in one store. */
__attribute__((target("avx512f"))) static void block_stream_wide(float *to, const float *from, size_t count) {
    size_t whole = count / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
    for (size_t i = whole; i < count; i++) to[i] = from[i];
    _mm_sfence();
}
#endif

static void copy_threaded(copy_block block, float *to, const float *from, size_t count) {
    size_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t begin = b * BLOCK;
        block(to + begin, from + begin, count - begin < BLOCK ? count - begin : BLOCK);
    }
}

enum { WAY_OP, WAY_MEMCPY, WAY_THREADS_MEMCPY, WAY_THREADS_LOOP, WAY_THREADS_STREAM, WAY_THREADS_STREAM_WIDE, WAYS };

static int run_cpu(bench_target *target, unsigned way, size_t calls) {
    cpu_state *state = target->state;
    float *y = state->arrays[BENCH_Y].data;
    const float *x = state->arrays[BENCH_X].data;
    if (way == WAY_OP) return bench_call(target, NULL, state->buffers, calls);
    for (size_t i = 0; i < calls; i++) {
        switch (way) {
        case WAY_MEMCPY:
            memcpy(y, x, target->count * sizeof *y);
            break;
        case WAY_THREADS_MEMCPY:
            copy_threaded(block_memcpy, y, x, target->count);
            break;
        case WAY_THREADS_LOOP:
            copy_threaded(block_loop, y, x, target->count);
            break;
#if HAVE_STREAM
        case WAY_THREADS_STREAM:
            copy_threaded(block_stream, y, x, target->count);
            break;
        case WAY_THREADS_STREAM_WIDE:
            copy_threaded(block_stream_wide, y, x, target->count);
            break;
#endif
        default:
            break;
        }
    }
    return EXIT_DONE;
}

static void close_cpu(bench_target *target) {
    cpu_state *state = target->state;
    for (int i = 0; i < BENCH_BUFFERS; i++) array_free(&state->arrays[i]);
    free(state);
    target->state = NULL;
}

/* The last ways need a processor that has them. */
static unsigned count_ways(void) {
#if HAVE_STREAM
    return __builtin_cpu_supports("avx512f") ? WAYS : WAY_THREADS_STREAM_WIDE;
#else
    return WAY_THREADS_STREAM;
#endif
}

int bench_open_cpu(bench_target *target) {
    static const char *const names[] = {"op",           "memcpy",         "threads-memcpy",
                                        "threads-loop", "threads-stream", "threads-stream-wide"};
    cpu_state *state = calloc(1, sizeof *state);
    if (!state) return fail_run("%s: no memory", target->what);
    target->state = state;
    target->run = run_cpu;
    target->close = close_cpu;
    target->ways = count_ways();
    memcpy(target->names, names, sizeof names);
    for (int i = 0; i < BENCH_BUFFERS; i++) {
        size_t count = bench_buffer_count(target, i);
        TRY(array_make(&state->arrays[i], (file_ref){"", target->what}, ARRAY_F32, 1, &count));
        bench_fill(i, state->arrays[i].data, count);
        state->buffers[i] = clbn_host(state->arrays[i].data);
    }
    return EXIT_DONE;
}
