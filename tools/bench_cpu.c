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
#define BLOCK_BYTES ((size_t)1 << 18)

typedef void (*copy_block)(char *to, const char *from, size_t bytes);

static void block_memcpy(char *to, const char *from, size_t bytes) {
    memcpy(to, from, bytes);
}

static void block_loop(char *to, const char *from, size_t bytes) {
#pragma omp simd
    for (size_t i = 0; i < bytes; i++) to[i] = from[i];
}

#if HAVE_STREAM
/* Stores that go past the cache spare the read of the line that is overwritten. */
static void block_stream(char *to, const char *from, size_t bytes) {
    size_t whole = bytes / 64 * 64;
    for (size_t i = 0; i < whole; i += 64) {
        const float *source = (const float *)(const void *)(from + i);
        float *line = (float *)(void *)(to + i);
        __m128 a = _mm_loadu_ps(source), b = _mm_loadu_ps(source + 4);
        __m128 c = _mm_loadu_ps(source + 8), d = _mm_loadu_ps(source + 12);
        _mm_stream_ps(line, a);
        _mm_stream_ps(line + 4, b);
        _mm_stream_ps(line + 8, c);
        _mm_stream_ps(line + 12, d);
    }
    memcpy(to + whole, from + whole, bytes - whole);
    _mm_sfence();
}

/* The same with a cache line in one store. */
__attribute__((target("avx512f"))) static void block_stream_wide(char *to, const char *from, size_t bytes) {
    size_t whole = bytes / 64 * 64;
    for (size_t i = 0; i < whole; i += 64)
        _mm512_stream_ps((float *)(void *)(to + i), _mm512_loadu_ps((const float *)(const void *)(from + i)));
    memcpy(to + whole, from + whole, bytes - whole);
    _mm_sfence();
}
#endif

static void copy_threaded(copy_block block, char *to, const char *from, size_t bytes) {
    size_t blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t begin = b * BLOCK_BYTES;
        block(to + begin, from + begin, bytes - begin < BLOCK_BYTES ? bytes - begin : BLOCK_BYTES);
    }
}

enum { WAY_OP, WAY_MEMCPY, WAY_THREADS_MEMCPY, WAY_THREADS_LOOP, WAY_THREADS_STREAM, WAY_THREADS_STREAM_WIDE, WAYS };

static int run_cpu(bench_target *target, unsigned way, size_t calls) {
    cpu_state *state = target->state;
    char *y = state->arrays[bench_output(target)].data;
    const char *x = state->arrays[BENCH_X].data;
    if (way == WAY_OP) return bench_call(target, NULL, state->buffers, calls);
    for (size_t i = 0; i < calls; i++) {
        switch (way) {
        case WAY_MEMCPY:
            memcpy(y, x, target->bytes);
            break;
        case WAY_THREADS_MEMCPY:
            copy_threaded(block_memcpy, y, x, target->bytes);
            break;
        case WAY_THREADS_LOOP:
            copy_threaded(block_loop, y, x, target->bytes);
            break;
#if HAVE_STREAM
        case WAY_THREADS_STREAM:
            copy_threaded(block_stream, y, x, target->bytes);
            break;
        case WAY_THREADS_STREAM_WIDE:
            copy_threaded(block_stream_wide, y, x, target->bytes);
            break;
#endif
        default:
            break;
        }
    }
    return EXIT_DONE;
}

static int read_cpu(bench_target *target, int buffer, void *to) {
    const cpu_state *state = target->state;
    memcpy(to, state->arrays[buffer].data, bench_bytes(&state->arrays[buffer]));
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
    target->read = read_cpu;
    target->close = close_cpu;
    target->ways = count_ways();
    memcpy(target->names, names, sizeof names);
    for (int i = 0; i < BENCH_BUFFERS; i++) {
        TRY(bench_make(target, i, &state->arrays[i]));
        state->buffers[i] = clbn_host(state->arrays[i].data);
    }
    return EXIT_DONE;
}
