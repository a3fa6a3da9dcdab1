/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of clbn bench: what is timed (a target), and how (sampling).
 */
#ifndef CLBN_TOOL_BENCH_H
#define CLBN_TOOL_BENCH_H

#include "work.h"

#define BENCH_MAX_WAYS 12

/* One shape and operation on one device, ready to run: way 0 is the operation, the others are ways to copy x to y. */
typedef struct bench_target {
    unsigned ways;
    const char *names[BENCH_MAX_WAYS];
    /* Do it so many times, and wait for the end; a way that fails says so. */
    int (*run)(struct bench_target *target, unsigned way, size_t calls);
    void (*close)(struct bench_target *target);
    const clbn_plan *plan;
    forward_mode op;
    size_t count, channels; /* elements of x, and of what is per channel */
    const library_log *log;
    const char *what; /* for the error line */
    void *state;
} bench_target;

/* Make buffers, touch them and find the ways to copy. Free with target->close, also after a failure (if it is set). */
int bench_open_cpu(bench_target *target);
int bench_open_opencl(bench_target *target, const session *s);

/* The buffers of a call. */
enum {
    BENCH_X,
    BENCH_Y,
    BENCH_GAMMA,
    BENCH_BETA,
    BENCH_RUNNING_MEAN,
    BENCH_RUNNING_VAR,
    BENCH_MEAN,
    BENCH_MEAN_LO,
    BENCH_INV_STD,
    BENCH_BUFFERS
};
size_t bench_buffer_count(const bench_target *target, int buffer); /* in elements */
void bench_fill(int buffer, float *values, size_t count);
int bench_call(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls);

typedef struct bench_result {
    double median, minimum; /* seconds a call */
    double copy_median;     /* of the best way */
    const char *copy_name;
    size_t samples; /* of the operation */
} bench_result;

/* Time all ways in turn, round after round, for about so many seconds: at least 7 samples, unless that takes longer than 2 s
 * (or than what was asked for, if that is more). */
int bench_sample(bench_target *target, double seconds, bench_result *result);

#endif
