/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes a call's steps through its chunks, on all threads. Knows nothing of what a step does.
 */
#include "cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>

static bool is_sum(cpu_step step) {
    return step == STEP_MOMENTS || step == STEP_SUMS;
}

void clbn_cpu_each(size_t tasks, bool together, cpu_task task, const void *context) {
    if (!together) { /* entering a parallel region of one thread has its price, too */
        for (size_t t = 0; t < tasks; t++) task(context, t);
        return;
    }
#pragma omp parallel for schedule(guided)
    for (size_t t = 0; t < tasks; t++) task(context, t);
}

/* A step of a call, and where its sums go. */
typedef struct pass {
    const cpu_call *call;
    cpu_step step;
    cpu_partial *partials; /* planes: of each chunk of each channel */
    double *sums;          /* columns: four a column, of every chunk: sums + (chunk * 4 + which) * pitch */
    size_t pitch;
} pass;

static void each(const pass *p, size_t tasks, cpu_task task) {
    clbn_cpu_each(tasks, p->call->state->shape.elements > CLBN_CPU_ALONE, task, p);
}

/* ------------------------------------------------------------------------------------------------------------- planes */

static void finish_channel(const cpu_call *call, cpu_step step, size_t c, const cpu_partial *total) {
    double sums[4];
    for (int k = 0; k < 4; k++) sums[k] = clbn_cpu_partial_sum(step, total, k);
    const cpu_totals totals = {total->moments.count, {&sums[0], &sums[1], &sums[2], &sums[3]}};
    clbn_cpu_channels_finish(call, step, c, 1, &totals);
}

/* A thread takes a channel through all steps, so that the second read comes from a cache. */
static void take_channel(const void *context, size_t c) {
    const cpu_call *call = ((const pass *)context)->call;
    const size_t chunks = call->state->chunks;
    for (int s = 0; s < call->step_count; s++) {
        const cpu_step step = call->steps[s];
        cpu_partial total = {{0}}, partial;
        for (size_t k = 0; k < chunks; k++) {
            if (!is_sum(step)) {
                clbn_cpu_plane_apply(call, step, c, k);
                continue;
            }
            clbn_cpu_plane_reduce(call, step, c, k, &partial);
            total = clbn_cpu_merge_partial(step, total, partial);
        }
        if (is_sum(step)) finish_channel(call, step, c, &total);
    }
}

static void apply_chunk(const void *context, size_t task) {
    const pass *p = context;
    const size_t chunks = p->call->state->chunks;
    clbn_cpu_plane_apply(p->call, p->step, task / chunks, task % chunks);
}

static void reduce_chunk(const void *context, size_t task) {
    const pass *p = context;
    const size_t chunks = p->call->state->chunks;
    clbn_cpu_plane_reduce(p->call, p->step, task / chunks, task % chunks, &p->partials[task]);
}

/* Threads share each channel's chunks: for few, large channels, and where statistics are at hand. */
static clbn_status planes_by_chunk(const cpu_call *call) {
    const size_t chunks = call->state->chunks, channels = call->state->shape.channels, tasks = channels * chunks;
    pass p = {.call = call};
    if (call->step_count > 0 && is_sum(call->steps[0])) {
        p.partials = malloc(tasks * sizeof *p.partials);
        CHECK(p.partials != NULL, call->plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu partial sums",
              tasks);
    }
    for (int s = 0; s < call->step_count; s++) {
        p.step = call->steps[s];
        if (!is_sum(p.step)) {
            if (clbn_cpu_stays_direct(call, p.step) && call->state->pieces == 1)
                clbn_cpu_planes_in_order(call, p.step);
            else
                each(&p, tasks, apply_chunk);
            continue;
        }
        each(&p, tasks, reduce_chunk);
        for (size_t c = 0; c < channels; c++) {
            cpu_partial total = {{0}};
            for (size_t k = 0; k < chunks; k++) total = clbn_cpu_merge_partial(p.step, total, p.partials[c * chunks + k]);
            finish_channel(call, p.step, c, &total);
        }
    }
    free(p.partials);
    return CLBN_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------------------ columns */

static void sums_at(const pass *p, size_t chunk, size_t column, double *at[4]) {
    for (size_t i = 0; i < 4; i++) at[i] = p->sums + (chunk * 4 + i) * p->pitch + column;
}

static void reduce_tile(const void *context, size_t task) {
    const pass *p = context;
    const cpu_plan *state = p->call->state;
    const size_t k = task / state->tiles, t = task % state->tiles;
    double *at[4];
    sums_at(p, k, clbn_cpu_column_piece(state, k, t).j, at);
    clbn_cpu_column_reduce(p->call, p->step, k, t, at);
}

/* Every chunk's columns of a tile, merged into the first chunk's. */
static void merge_tile(const void *context, size_t t) {
    const pass *p = context;
    const cpu_plan *state = p->call->state;
    for (size_t k = 1; k < state->chunks; k++) {
        const cpu_piece tile = clbn_cpu_column_piece(state, k, t);
        double *into[4], *from[4];
        sums_at(p, 0, tile.j, into);
        sums_at(p, k, tile.j, from);
        if (p->step == STEP_MOMENTS)
            state->loops->merge_moments(tile.length, (double)tile.o, into, (double)tile.runs, from);
        else
            state->loops->merge_sums(tile.length, into, from);
    }
}

/* Of folded rows (see cut.c) the second half of the columns into the first, until each channel has one. */
static void merge_folds(const pass *p) {
    const cpu_plan *state = p->call->state;
    double count = (double)state->shape.outer;
    for (size_t width = state->width / 2; width >= state->lane_step; width /= 2, count *= 2) {
        double *into[4], *from[4];
        sums_at(p, 0, 0, into);
        sums_at(p, 0, width, from);
        if (p->step == STEP_MOMENTS)
            state->loops->merge_moments(width, count, into, count, from);
        else
            state->loops->merge_sums(width, into, from);
    }
}

/* A range of channels is finished; of one that has several columns side by side they are merged before. */
static void finish_columns(const void *context, size_t range) {
    const pass *p = context;
    const cpu_plan *state = p->call->state;
    const size_t first = range * CLBN_CPU_RANGE, count = clbn_min(p->call->plan->shape.channels - first, CLBN_CPU_RANGE);
    const size_t lanes = state->lane_step == 1 ? state->lanes : 1;
    double *at[4], merged[4][CLBN_CPU_RANGE];
    sums_at(p, 0, clbn_cpu_column(state, first), at);
    cpu_totals totals = {(double)p->call->plan->shape.count, {at[0], at[1], at[2], at[3]}};
    for (size_t c = 0; c < count && lanes > 1; c++) {
        cpu_partial total = {{0}}, partial;
        for (size_t j = c * lanes; j < (c + 1) * lanes; j++) {
            partial.sums = (clbn_cpu_sums){at[0][j], at[1][j], at[2][j], at[3][j]};
            if (p->step == STEP_MOMENTS)
                partial.moments = (clbn_cpu_moments){(double)state->shape.outer, at[0][j], at[1][j], at[2][j], at[3][j]};
            total = clbn_cpu_merge_partial(p->step, total, partial);
        }
        for (int k = 0; k < 4; k++) merged[k][c] = clbn_cpu_partial_sum(p->step, &total, k);
    }
    for (int k = 0; k < 4 && lanes > 1; k++) totals.of[k] = merged[k];
    clbn_cpu_channels_finish(p->call, p->step, first, count, &totals);
}

/* Behind sums from the last rows to the first: what was read last may still be in a cache. */
static void apply_tile(const void *context, size_t task) {
    const pass *p = context;
    const cpu_plan *state = p->call->state;
    const size_t at = is_sum(p->call->steps[0]) ? state->chunks * state->tiles - 1 - task : task;
    clbn_cpu_column_apply(p->call, p->step, at / state->tiles, at % state->tiles);
}

static clbn_status columns(const cpu_call *call) {
    const cpu_plan *state = call->state;
    pass p = {.call = call, .pitch = clbn_round_up(state->width, CLBN_CPU_LANES)};
    if (call->step_count > 0 && is_sum(call->steps[0])) {
        p.sums = aligned_alloc(64, state->chunks * 4 * p.pitch * sizeof *p.sums);
        CHECK(p.sums != NULL, call->plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu partial sums",
              state->chunks * p.pitch);
    }
    for (int s = 0; s < call->step_count; s++) {
        p.step = call->steps[s];
        if (is_sum(p.step)) {
            each(&p, state->chunks * state->tiles, reduce_tile);
            if (state->chunks > 1) each(&p, state->tiles, merge_tile);
            if (state->lane_step > 1) merge_folds(&p);
            clbn_cpu_each(clbn_ceil_div(call->plan->shape.channels, CLBN_CPU_RANGE), state->width > CLBN_CPU_ALONE / 16,
                          finish_columns, &p);
        } else
            each(&p, state->chunks * state->tiles, apply_tile);
    }
    free(p.sums);
    return CLBN_SUCCESS;
}

clbn_status clbn_cpu_perform(cpu_call *call) {
    const size_t threads = (size_t)omp_get_max_threads();
    const clbn_shape *s = &call->state->shape;
    if (call->state->columns) return columns(call);
    const bool alone = threads == 1 || s->elements <= CLBN_CPU_ALONE || s->channels >= 8 * threads;
    if (call->step_count == 0 || !is_sum(call->steps[0]) || !alone) return planes_by_chunk(call);
    /* x and dy of this channel and of the next, of each thread, in half of the last cache. */
    call->ask_next = 8 * threads * s->count * call->state->element_bytes <= call->state->cache_bytes;
    const pass p = {.call = call};
    each(&p, s->channels, take_channel);
    return CLBN_SUCCESS;
}
