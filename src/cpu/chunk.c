/* SPDX-License-Identifier: Apache-2.0
 *
 * One step on one chunk: of planes, a channel's values; of columns, some rows of a tile. Dense tensors of one type, with no more
 * than the affine step and an activation with kinks, are gone through directly; everything else block by block through doubles.
 */
#include "cpu/cpu.h"

#include <string.h>

enum { MOST_ROWS = 64, PATCH_ROWS = 8, PATCH_COLUMNS = 256 };

/* Dense, and of x's type. */
static bool is_like_x(const cpu_call *call, clbn_slot slot) {
    return call->tensors[slot].type == call->tensors[CLBN_X].type && call->state->dense[slot];
}

bool clbn_cpu_stays_direct(const cpu_call *call, cpu_step step) {
    const clbn_plan *plan = call->plan;
    const clbn_run *run = call->run;
    const bool plain = plan->activation == CLBN_IDENTITY;
    const bool kinks = !plan->mask && plan->activation != CLBN_SILU && plan->activation != CLBN_CUSTOM;
    const bool adds_alike = !plan->residual || is_like_x(call, CLBN_RESIDUAL);
    if (call->tensors[CLBN_X].type >= (clbn_dtype)CLBN_CPU_DIRECT_TYPES || plan->real_type != CLBN_F32 ||
        !is_like_x(call, CLBN_X))
        return false;
    switch (step) {
    case STEP_MOMENTS:
        return true;
    case STEP_FORWARD:
        return (plain || kinks) && is_like_x(call, CLBN_Y) && adds_alike;
    case STEP_SUMS:
        return (plain || (kinks && adds_alike)) && call->sums_of_x && is_like_x(call, CLBN_DY);
    case STEP_BACKWARD:
        return (plain || (kinks && adds_alike)) && run->statistics == CLBN_OF_BATCH && is_like_x(call, CLBN_DY) &&
               is_like_x(call, CLBN_DX) && clbn_has(run, CLBN_DX) && !(run->accumulate & CLBN_ACCUMULATE_DX) &&
               (!clbn_has(run, CLBN_DRESIDUAL) ||
                (is_like_x(call, CLBN_DRESIDUAL) && !(run->accumulate & CLBN_ACCUMULATE_DRESIDUAL)));
    }
    return false;
}

static const clbn_cpu_direct *direct_of(const cpu_call *call) {
    return &call->state->loops->direct[call->tensors[CLBN_X].type];
}

/* Where a piece of a dense tensor begins; NULL where there is no tensor. */
static char *place_of(const cpu_call *call, clbn_slot slot, const cpu_piece *piece) {
    const clbn_shape *s = &call->state->shape;
    const cpu_tensor *t = &call->tensors[slot];
    return t->data ? t->data + (piece->o * s->channels * s->inner + piece->j) * t->element_bytes : NULL;
}

/* Those of a step, from a piece on. */
static clbn_cpu_arrays arrays_of(const cpu_call *call, cpu_step step, const cpu_piece *piece) {
    return (clbn_cpu_arrays){
        .x = place_of(call, CLBN_X, piece),
        .residual = place_of(call, CLBN_RESIDUAL, piece),
        .dy = place_of(call, CLBN_DY, piece),
        .out = place_of(call, step == STEP_FORWARD ? CLBN_Y : CLBN_DX, piece),
        .dresidual = place_of(call, CLBN_DRESIDUAL, piece),
    };
}

/* ------------------------------------------------------------------------------------------------------------- planes */

/* How a chunk of planes falls into blocks: some whole runs each, or parts of one. */
typedef struct plane_blocks {
    size_t count, runs, parts;
} plane_blocks;

static plane_blocks blocks_of(const cpu_piece *chunk) {
    const size_t runs = clbn_max(CLBN_CPU_BLOCK / chunk->length, 1), parts = clbn_ceil_div(chunk->length, CLBN_CPU_BLOCK);
    return (plane_blocks){clbn_ceil_div(chunk->runs, runs) * parts, runs, parts};
}

static cpu_work plane_work(const cpu_call *call, const cpu_piece *chunk, plane_blocks blocks, size_t b, unsigned char *mask) {
    cpu_work work = {.call = call};
    const size_t r = b / blocks.parts * blocks.runs, i = b % blocks.parts * CLBN_CPU_BLOCK;
    work.piece = (cpu_piece){chunk->o + r, clbn_min(blocks.runs, chunk->runs - r), chunk->j + i,
                             clbn_min(chunk->length - i, CLBN_CPU_BLOCK)};
    work.pitch = work.piece.length;
    work.values = work.piece.runs * work.piece.length;
    work.count = clbn_round_up(work.values, CLBN_CPU_LANES);
    work.block = (clbn_cpu_block){.rows = 1, .width = work.count, .pitch = work.count};
    const size_t bytes = clbn_ceil_div(blocks.runs * chunk->length, 8); /* of a block of whole runs, or of a run */
    if (mask) work.mask = mask + b / blocks.parts * bytes + i / 8;
    return work;
}

static clbn_cpu_slopes slopes_of(const cpu_call *call, size_t c) {
    double *const *f = call->fields;
    return (clbn_cpu_slopes){f[FIELD_MEAN][c], f[FIELD_LO][c],       f[FIELD_SCALE][c],
                             f[FIELD_BETA][c], f[FIELD_DX_SHIFT][c], f[FIELD_DX_SLOPE][c]};
}

void clbn_cpu_plane_reduce(const cpu_call *call, cpu_step step, size_t c, size_t k, cpu_partial *partial) {
    const clbn_cpu_loops *loops = call->state->loops;
    const cpu_piece chunk = clbn_cpu_plane_piece(call->state, c, k);
    unsigned char *mask = call->mask ? call->mask + clbn_cpu_mask_start(call->state, c, k) : NULL;
    memset(partial, 0, sizeof *partial);
    if (clbn_cpu_stays_direct(call, step)) {
        const clbn_cpu_span span = {chunk.runs, call->state->shape.channels * call->state->shape.inner, chunk.length, 0, 0,
                                    false};
        const clbn_cpu_slopes k = slopes_of(call, c);
        const clbn_cpu_arrays at = arrays_of(call, step, &chunk);
        if (step == STEP_MOMENTS)
            partial->moments = direct_of(call)->planes_moments(at.x, &span);
        else
            partial->sums = direct_of(call)->planes_sums(&at, &span, &k, &call->state->activation);
        return;
    }
    const plane_blocks blocks = blocks_of(&chunk);
    for (size_t b = 0; b < blocks.count; b++) {
        cpu_work work = plane_work(call, &chunk, blocks, b, mask);
        cpu_room x, g;
        clbn_cpu_block_constants(&work, c);
        if (step == STEP_MOMENTS) {
            clbn_cpu_fetch(call, CLBN_X, &work.piece, work.pitch, x);
            loops->take_values(&partial->moments, x, work.values);
            continue;
        }
        clbn_cpu_block_backward(&work, call->sums_of_x, g, x);
        if (!call->sums_of_x) memset(x, 0, work.count * sizeof *x);
        loops->add_values(&partial->sums, g, x, work.values, work.block.mean[0], work.block.lo[0]);
    }
}

static void plane_directly(const cpu_call *call, cpu_step step, size_t c, const cpu_piece *piece, size_t stride) {
    const clbn_shape *s = &call->state->shape;
    const clbn_slot to = step == STEP_FORWARD ? CLBN_Y : CLBN_DX;
    const clbn_cpu_slopes k = slopes_of(call, c);
    const size_t next = call->ask_next && c + 1 < s->channels ? s->inner : 0;
    const clbn_cpu_span span = {piece->runs, stride, piece->length, next, 0, call->tensors[to].stream};
    const clbn_cpu_arrays at = arrays_of(call, step, piece);
    if (step == STEP_FORWARD)
        direct_of(call)->planes_forward(&at, &span, &k, &call->state->activation);
    else
        direct_of(call)->planes_gradient(&at, &span, &k, &call->state->activation);
}

void clbn_cpu_plane_apply(const cpu_call *call, cpu_step step, size_t c, size_t k) {
    const cpu_piece chunk = clbn_cpu_plane_piece(call->state, c, k);
    unsigned char *mask = call->mask ? call->mask + clbn_cpu_mask_start(call->state, c, k) : NULL;
    if (clbn_cpu_stays_direct(call, step)) {
        plane_directly(call, step, c, &chunk, call->state->shape.channels * call->state->shape.inner);
        return;
    }
    const plane_blocks blocks = blocks_of(&chunk);
    for (size_t b = 0; b < blocks.count; b++) {
        cpu_work work = plane_work(call, &chunk, blocks, b, mask);
        clbn_cpu_block_constants(&work, c);
        if (step == STEP_FORWARD)
            clbn_cpu_block_forward(&work);
        else
            clbn_cpu_block_gradient(&work);
    }
    call->state->loops->stream_end();
}

void clbn_cpu_planes_in_order(const cpu_call *call, cpu_step step) {
    const clbn_shape *s = &call->state->shape;
    const size_t planes = s->outer * s->channels, each = clbn_max(CLBN_CPU_ALONE / s->inner, 1);
#pragma omp parallel for schedule(guided) if (s->elements > CLBN_CPU_ALONE)
    for (size_t first = 0; first < planes; first += each) {
        for (size_t plane = first; plane < clbn_min(first + each, planes); plane++) {
            const size_t c = plane % s->channels;
            const cpu_piece piece = {plane / s->channels, 1, c * s->inner, s->inner};
            plane_directly(call, step, c, &piece, s->inner);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ columns */

/* Block b of a tile: rows from r on, some columns of it. */
static cpu_work column_work(const cpu_call *call, const cpu_piece *tile, size_t r, size_t rows, size_t column) {
    const cpu_plan *state = call->state;
    cpu_work work = {.call = call};
    work.values = clbn_min(tile->length - column, CLBN_CPU_BLOCK_WIDTH);
    work.piece = (cpu_piece){tile->o + r, clbn_min(rows, tile->runs - r), tile->j + column, work.values};
    work.pitch = clbn_round_up(work.values, CLBN_CPU_LANES);
    work.count = work.piece.runs * work.pitch;
    work.block = (clbn_cpu_block){.rows = work.piece.runs, .width = work.pitch, .pitch = work.pitch, .each = true};
    if (call->mask && state->mask_pitch) work.mask = call->mask + work.piece.o * state->mask_pitch + work.piece.j / 8;
    if (call->mask && !state->mask_pitch) work.mask = call->mask + work.piece.o / 8 * state->width;
    return work;
}

/* Rows of a tile's blocks: a multiple of 8, so that packed masks begin with whole bytes. */
static size_t rows_of(const cpu_piece *tile) {
    const size_t pitch = clbn_round_up(clbn_min(tile->length, CLBN_CPU_BLOCK_WIDTH), CLBN_CPU_LANES);
    return clbn_min(CLBN_CPU_BLOCK / pitch / 8 * 8, MOST_ROWS);
}

static void reduce_block(const cpu_call *call, cpu_step step, cpu_work *work, size_t before, double *const sums[4]) {
    const clbn_cpu_loops *loops = call->state->loops;
    cpu_room x, g;
    clbn_cpu_block_constants(work, work->piece.j);
    if (step == STEP_MOMENTS) {
        clbn_cpu_fetch(call, CLBN_X, &work->piece, work->pitch, x);
        loops->take_rows(&work->block, x, (double)before, sums);
        return;
    }
    clbn_cpu_block_backward(work, call->sums_of_x, g, x);
    if (!call->sums_of_x) memset(x, 0, work->count * sizeof *x);
    loops->add_rows(&work->block, g, x, sums);
}

void clbn_cpu_column_reduce(const cpu_call *call, cpu_step step, size_t k, size_t t, double *const sums[4]) {
    const cpu_piece tile = clbn_cpu_column_piece(call->state, k, t);
    const size_t rows = rows_of(&tile), pitch = clbn_round_up(tile.length, CLBN_CPU_LANES);
    for (int i = 0; i < 4; i++) memset(sums[i], 0, pitch * sizeof *sums[i]);
    if (clbn_cpu_stays_direct(call, step)) {
        const clbn_cpu_span span = {tile.runs, call->state->width, tile.length, 0, 0, false};
        const clbn_cpu_arrays at = arrays_of(call, step, &tile);
        cpu_work work = {.call = call};
        clbn_cpu_block_constants(&work, tile.j);
        if (step == STEP_MOMENTS)
            direct_of(call)->columns_moments(at.x, &span, sums[0], sums[2]);
        else
            direct_of(call)->columns_sums(&at, &span, &work.block, &call->state->activation, sums);
        return;
    }
    for (size_t r = 0; r < tile.runs; r += rows) {
        for (size_t column = 0; column < tile.length; column += CLBN_CPU_BLOCK_WIDTH) {
            cpu_work work = column_work(call, &tile, r, rows, column);
            double *const at[4] = {sums[0] + column, sums[1] + column, sums[2] + column, sums[3] + column};
            reduce_block(call, step, &work, r, at);
        }
    }
}

static void column_directly(const cpu_call *call, cpu_step step, const cpu_piece *tile) {
    const clbn_slot to = step == STEP_FORWARD ? CLBN_Y : CLBN_DX;
    const size_t width = call->state->width, values = tile->runs * width;
    const bool wraps = call->state->wraps, stream = call->tensors[to].stream;
    const clbn_cpu_span rows = {tile->runs, width, tile->length, 0, 0, stream}, run = {1, values, values, 0, width, stream};
    const clbn_cpu_span span = wraps ? run : rows;
    const clbn_cpu_arrays at = arrays_of(call, step, tile);
    cpu_work work = {.call = call};
    clbn_cpu_block_constants(&work, tile->j);
    if (step == STEP_FORWARD)
        direct_of(call)->columns_forward(&at, &span, &work.block, &call->state->activation);
    else
        direct_of(call)->columns_gradient(&at, &span, &work.block, &call->state->activation);
}

void clbn_cpu_column_apply(const cpu_call *call, cpu_step step, size_t k, size_t t) {
    const cpu_plan *state = call->state;
    const cpu_piece tile = clbn_cpu_column_piece(state, k, t);
    if (clbn_cpu_stays_direct(call, step) && state->wraps) {
        column_directly(call, step, &tile);
        return;
    }
    if (clbn_cpu_stays_direct(call, step)) { /* by patches: the constants of some columns stay in the first cache for some rows */
        for (size_t r = 0; r < tile.runs; r += PATCH_ROWS) {
            for (size_t c = 0; c < tile.length; c += PATCH_COLUMNS) {
                const cpu_piece patch = {tile.o + r, clbn_min(PATCH_ROWS, tile.runs - r), tile.j + c,
                                         clbn_min(PATCH_COLUMNS, tile.length - c)};
                column_directly(call, step, &patch);
            }
        }
        return;
    }
    const size_t rows = rows_of(&tile);
    for (size_t r = 0; r < tile.runs; r += rows) {
        for (size_t column = 0; column < tile.length; column += CLBN_CPU_BLOCK_WIDTH) {
            cpu_work work = column_work(call, &tile, r, rows, column);
            clbn_cpu_block_constants(&work, work.piece.j);
            if (step == STEP_FORWARD)
                clbn_cpu_block_forward(&work);
            else
                clbn_cpu_block_gradient(&work);
        }
    }
    state->loops->stream_end();
}
