/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of clbn bench, and of clbn tune: what is timed (a target), and how (sampling).
 */
#ifndef CLBN_TOOL_BENCH_H
#define CLBN_TOOL_BENCH_H

#include "work.h"

#define BENCH_MAX_WAYS 12

/* One shape and operation on one device, ready to run: way 0 is the operation, the others are ways to copy the bytes of x. */
typedef struct bench_target {
    unsigned ways;
    const char *names[BENCH_MAX_WAYS];
    /* Do it so many times, and wait for the end; a way that fails says so. */
    int (*run)(struct bench_target *target, unsigned way, size_t calls);
    /* What a buffer of bench_make holds now. */
    int (*read)(struct bench_target *target, int buffer, void *to);
    void (*close)(struct bench_target *target);
    const clbn_plan *plan;
    bench_op op;
    clbn_dtype dtype, real; /* of tensors, and of what is per channel */
    int residual;
    unsigned also;          /* operations, a bit each, that buffers are made for besides op, which may then become one of them */
    size_t count, channels; /* elements of x, and of what is per channel */
    size_t bytes;           /* of x */
    const library_log *log;
    const char *what; /* for the error line */
    void *state;
} bench_target;

/* Make buffers, touch them and find the ways to copy. Free with target->close, also after a failure (if it is set). */
int bench_open_cpu(bench_target *target);
int bench_open_opencl(bench_target *target, const session *s);
/* Without the ways to copy. */
int bench_open_calls(bench_target *target, const session *s);

/* The buffers of a call; the first are tensors. */
enum {
    BENCH_X,
    BENCH_Y,
    BENCH_DX,
    BENCH_DY,
    BENCH_RESIDUAL,
    BENCH_DRESIDUAL,
    BENCH_TENSORS,
    BENCH_GAMMA = BENCH_TENSORS,
    BENCH_BETA,
    BENCH_DGAMMA,
    BENCH_DBETA,
    BENCH_RUNNING_MEAN,
    BENCH_RUNNING_VAR,
    BENCH_MEAN,
    BENCH_MEAN_LO,
    BENCH_INV_STD,
    BENCH_BUFFERS
};
/* An array with what the buffer holds at first; data stays NULL where the operation has no use for it. */
int bench_make(const bench_target *target, int buffer, array *a);
size_t bench_bytes(const array *a);
/* Where the operation writes what is shaped as x; so do the copies. */
int bench_output(const bench_target *target);
/* buffers: absent where bench_make gave none. */
int bench_call(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls);

/* Times of one way, a call each, as they came. Starts as zeros; times is to be freed. */
typedef struct bench_series {
    size_t calls; /* of a sample: as many as last long enough to be timed */
    double *times;
    size_t count, room;
} bench_series;

/* Take one sample more. */
int bench_series_take(bench_series *s, bench_target *target, unsigned way);
/* Sorts the times. */
double bench_series_median(bench_series *s);

/* Fewer samples tell nothing. */
enum { BENCH_SAMPLES_MIN = 7 };

typedef struct bench_result {
    double median, minimum; /* seconds a call */
    double copy_median;     /* of the best way */
    const char *copy_name;
    size_t samples; /* of the operation */
} bench_result;

/* Time all ways in turn, round after round, for about so many seconds: at least 7 samples, unless that takes longer than 2 s
 * (or than what was asked for, if that is more). */
int bench_sample(bench_target *target, double seconds, bench_result *result);

/* The shapes that were asked for, or bench's own; each is checked before anything is measured. */
int bench_shapes(const options *o, const bench_shape **shapes, unsigned *count);
/* What the options say of a shape, for a plan and a target; the target's plan, op, what and log are the caller's, what being set. */
int bench_describe(const options *o, const bench_shape *shape, clbn_config *config, bench_target *target);
/* "--shape 32x64x56x56", for error lines. */
typedef struct bench_what {
    char text[64 + sizeof(shape_text)];
} bench_what;
bench_what bench_name(const bench_shape *shape);
const char *bench_op_name(bench_op op);

#endif
