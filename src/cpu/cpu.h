/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CPU path share. cpu.c opens devices and plans and starts a call as a list of steps; schedule.c takes the
 * steps through the chunks that cut.c cuts, on all threads; chunk.c does a step on a chunk, block.c on a block of it; channel.c holds what is per channel.
 * Work is cut into chunks by the plan alone and merged in index order, so the bits do not depend on the number of threads.
 */
#ifndef CLBN_CPU_H
#define CLBN_CPU_H

#include "cpu/loops.h"
#include "internal.h"

#include <math.h>

/* Below how many values a second thread costs more than it brings. */
enum { CLBN_CPU_ALONE = 65536 };

/* A tensor is seen as planes (runs of inner values, a channel at a time) or, where inner is small, as a matrix whose rows are
 * channels * inner wide and whose columns are summed side by side. */
typedef struct cpu_plan {
    const clbn_cpu_loops *loops;
    clbn_shape shape; /* with views: the plan's own, or the same elements in an order that suits the strides better */
    clbn_view views[CLBN_TENSOR_COUNT];
    bool columns;
    size_t chunks;             /* a channel's (planes), or of all rows (columns) */
    size_t runs, pieces;       /* planes: a chunk is runs planes, or one of pieces parts of a plane */
    size_t width, rows, tiles; /* columns: row length, rows a chunk, tiles a row */
    bool wraps;                /* columns: rows end within a cache's line, and are applied as one run: see clbn_cpu_span */
    size_t lanes, lane_step;   /* columns: how many a channel has, and how far they are apart; planes: 1 */
    size_t mask_pitch;         /* bytes: planes: a channel's; columns: a row's, or 0 where rows follow each other bit by bit */
    clbn_cpu_activation activation;
    size_t element_bytes, cache_bytes; /* the larger of x's and y's; what the last level of caches holds */
    bool stream;                       /* do outputs leave the caches anyway? */
    bool dense[CLBN_TENSOR_COUNT];
} cpu_plan;

/* What is done for each channel, one after the other; the first two sum something first. */
typedef enum cpu_step { STEP_MOMENTS, STEP_SUMS, STEP_FORWARD, STEP_BACKWARD } cpu_step;
enum { STEPS_MOST = 3 };

typedef struct cpu_tensor {
    char *data; /* NULL: absent */
    clbn_view view;
    clbn_dtype type;
    size_t element_bytes;
    size_t flat; /* how far apart neighbours lie in a row of all channels; 0: unevenly */
    bool stream; /* store past the caches */
} cpu_tensor;

/* Constants of the affine step and of the gradient, each an array with an entry a column, or a channel: see clbn_cpu_block. */
typedef enum cpu_field {
    FIELD_MEAN,
    FIELD_LO,
    FIELD_SCALE,
    FIELD_BETA,
    FIELD_DX_SCALE,
    FIELD_DX_SHIFT,
    FIELD_DX_SLOPE,
    FIELD_COUNT
} cpu_field;

typedef union cpu_partial {
    clbn_cpu_moments moments;
    clbn_cpu_sums sums;
} cpu_partial;

/* The same of some channels: of moments mean, lo, m2, m2_lo, of sums sum, sum_lo, product, product_lo. count: values a channel. */
typedef struct cpu_totals {
    double count;
    const double *of[4];
} cpu_totals;

typedef struct cpu_call {
    const clbn_plan *plan;
    const cpu_plan *state;
    const clbn_run *run;
    cpu_tensor tensors[CLBN_TENSOR_COUNT];
    unsigned char *mask;
    cpu_step steps[STEPS_MOST];
    int step_count;
    double *fields[FIELD_COUNT];
    double *var, *inv_std; /* of each channel */
    double parts_count;    /* values a channel behind the parts */
    bool sums_of_x;        /* do backward's sums look at x? */
    bool ask_next;         /* does the last step of a channel ask for the next channel's values? */
} cpu_call;

/* Part of a chunk: runs pieces of length values, from place j of row o on, a row being channels * inner places. */
typedef struct cpu_piece {
    size_t o, runs, j, length;
} cpu_piece;

/* cut.c */
void clbn_cpu_cut(const clbn_plan *plan, cpu_plan *state);
/* Bytes of the mask. */
size_t clbn_cpu_mask_bytes(const cpu_plan *state);
/* The byte of the mask where channel c's chunk k begins, of planes. */
size_t clbn_cpu_mask_start(const cpu_plan *state, size_t c, size_t k);
/* Chunk k of channel c; chunk k's rows in tile t. */
cpu_piece clbn_cpu_plane_piece(const cpu_plan *state, size_t c, size_t k);
cpu_piece clbn_cpu_column_piece(const cpu_plan *state, size_t k, size_t t);

/* The first column of a channel. */
static inline size_t clbn_cpu_column(const cpu_plan *state, size_t c) {
    return state->lane_step == 1 ? c * state->lanes : c;
}
/* Zeroed, aligned to a cache's line; NULL where there is no memory. */
double *clbn_cpu_room(size_t doubles);

/* tensor.c */
cpu_tensor clbn_cpu_tensor(const cpu_call *call, clbn_slot slot);
/* A piece to and from rows of doubles, pitch apart. */
void clbn_cpu_fetch(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *to);
void clbn_cpu_put(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, const double *from);

/* block.c: a block of doubles, and where it comes from. */
typedef struct cpu_work {
    const cpu_call *call;
    clbn_cpu_block block;
    cpu_piece piece;
    size_t pitch;  /* doubles from one run of the piece to the next; in the block they are rows, or one row together */
    size_t values; /* of a row of the block */
    size_t count;  /* doubles of the block: rows times pitch */
    unsigned char *mask;
} cpu_work;
/* Room for a block, and for a last vector; no vector lies across two lines of a cache. */
typedef double cpu_room[CLBN_CPU_BLOCK + CLBN_CPU_LANES] __attribute__((aligned(64)));
void clbn_cpu_block_constants(cpu_work *work, size_t at);
/* x to y and, where there is one, to the mask. */
void clbn_cpu_block_forward(const cpu_work *work);
/* dy to g, and x where asked for. */
void clbn_cpu_block_backward(const cpu_work *work, bool with_x, double *g, double *x);
/* dy to dx and dresidual. */
void clbn_cpu_block_gradient(const cpu_work *work);

/* chunk.c: a chunk of planes, a chunk and tile of columns. */
void clbn_cpu_plane_reduce(const cpu_call *call, cpu_step step, size_t c, size_t k, cpu_partial *partial);
void clbn_cpu_plane_apply(const cpu_call *call, cpu_step step, size_t c, size_t k);
/* Into arrays with an entry a column of the tile: of moments mean, lo, m2, m2_lo. */
void clbn_cpu_column_reduce(const cpu_call *call, cpu_step step, size_t k, size_t t, double *const sums[4]);
void clbn_cpu_column_apply(const cpu_call *call, cpu_step step, size_t k, size_t t);
/* A direct apply of planes in memory's order, where every channel's constants are known. */
void clbn_cpu_planes_in_order(const cpu_call *call, cpu_step step);
/* Does a step go directly from storage to storage? */
bool clbn_cpu_stays_direct(const cpu_call *call, cpu_step step);

/* channel.c: a range of channels, which is cut to size there. */
enum { CLBN_CPU_RANGE = 64 };
/* Constants, where statistics are known before any step. */
void clbn_cpu_channels_prepare(const cpu_call *call, size_t first, size_t count);
/* What follows from moments or sums. */
void clbn_cpu_channels_finish(const cpu_call *call, cpu_step step, size_t first, size_t count, const cpu_totals *totals);
/* clbn_update_running. */
void clbn_cpu_channels_update(const clbn_plan *plan, const clbn_run *run);

/* parts.c */
cpu_partial clbn_cpu_merge_partial(cpu_step step, cpu_partial a, cpu_partial b);
uint64_t clbn_cpu_parts_count(const clbn_run *run);
cpu_partial clbn_cpu_parts_merge(const clbn_plan *plan, const clbn_run *run, cpu_step step, size_t c);
/* The k-th of a partial's four sums: see cpu_totals. */
double clbn_cpu_partial_sum(cpu_step step, const cpu_partial *partial, int k);
void clbn_cpu_parts_write(const clbn_plan *plan, const clbn_run *run, size_t first, size_t count, const cpu_totals *totals);
void clbn_cpu_count_write(const clbn_run *run, uint64_t count);

/* schedule.c */
typedef void (*cpu_task)(const void *context, size_t task);
/* Does tasks tasks, on all threads or on this one alone. */
void clbn_cpu_each(size_t tasks, bool together, cpu_task task, const void *context);
clbn_status clbn_cpu_perform(cpu_call *call);

#endif
