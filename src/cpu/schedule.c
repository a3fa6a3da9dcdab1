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

/* ------------------------------------------------------------------------------------------------------------- planes */

/* A thread takes a channel through all steps, so that the second read comes from a cache. */
static void planes_by_channel(const cpu_call *call) {
    const size_t chunks = call->state->chunks;
#pragma omp parallel for schedule(guided) if (call->state->shape.elements > CLBN_CPU_ALONE)
    for (size_t c = 0; c < call->state->shape.channels; c++) {
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
            if (is_sum(step)) clbn_cpu_channel_finish(call, step, c, &total);
        }
    }
}

/* Threads share each channel's chunks: for few, large channels, and where statistics are at hand. */
static clbn_status planes_by_chunk(const cpu_call *call) {
    const size_t chunks = call->state->chunks, channels = call->state->shape.channels, tasks = channels * chunks;
    cpu_partial *partials = NULL;
    if (call->step_count > 0 && is_sum(call->steps[0])) {
        partials = malloc(tasks * sizeof *partials);
        CHECK(partials != NULL, call->plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu partial sums", tasks);
    }
    for (int s = 0; s < call->step_count; s++) {
        const cpu_step step = call->steps[s];
        if (!is_sum(step)) {
            if (clbn_cpu_stays_float(call, step) && call->state->pieces == 1) {
                clbn_cpu_planes_in_order(call, step);
                continue;
            }
#pragma omp parallel for schedule(guided) if (call->state->shape.elements > CLBN_CPU_ALONE)
            for (size_t t = 0; t < tasks; t++) clbn_cpu_plane_apply(call, step, t / chunks, t % chunks);
            continue;
        }
#pragma omp parallel for schedule(guided) if (call->state->shape.elements > CLBN_CPU_ALONE)
        for (size_t t = 0; t < tasks; t++) clbn_cpu_plane_reduce(call, step, t / chunks, t % chunks, &partials[t]);
        for (size_t c = 0; c < channels; c++) {
            cpu_partial total = {{0}};
            for (size_t k = 0; k < chunks; k++) total = clbn_cpu_merge_partial(step, total, partials[c * chunks + k]);
            clbn_cpu_channel_finish(call, step, c, &total);
        }
    }
    free(partials);
    return CLBN_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------------------ columns */

/* Four sums a column, of every chunk: sums + (chunk * 4 + which) * pitch. */
typedef struct column_sums {
    double *sums;
    size_t pitch;
} column_sums;

static void sums_at(const column_sums *all, size_t chunk, size_t column, double *at[4]) {
    for (size_t i = 0; i < 4; i++) at[i] = all->sums + (chunk * 4 + i) * all->pitch + column;
}

/* Every chunk's columns, merged into the first chunk's. */
static void columns_reduce(const cpu_call *call, cpu_step step, const column_sums *all) {
    const cpu_plan *state = call->state;
#pragma omp parallel if (state->shape.elements > CLBN_CPU_ALONE)
    {
#pragma omp for schedule(guided)
        for (size_t task = 0; task < state->chunks * state->tiles; task++) {
            const size_t k = task / state->tiles, t = task % state->tiles;
            double *at[4];
            sums_at(all, k, clbn_cpu_column_piece(state, k, t).j, at);
            clbn_cpu_column_reduce(call, step, k, t, at);
        }
#pragma omp for schedule(guided)
        for (size_t t = 0; t < state->tiles; t++) {
            for (size_t k = 1; k < state->chunks; k++) {
                const cpu_piece tile = clbn_cpu_column_piece(state, k, t);
                double *into[4], *from[4];
                sums_at(all, 0, tile.j, into);
                sums_at(all, k, tile.j, from);
                if (step == STEP_MOMENTS)
                    state->loops->merge_moments(tile.length, (double)tile.o, into, (double)tile.runs, from);
                else
                    state->loops->merge_sums(tile.length, into, from);
            }
        }
    }
}

/* Columns of one channel are merged, and finished. */
static void columns_finish(const cpu_call *call, cpu_step step, const column_sums *all) {
    const cpu_plan *state = call->state;
#pragma omp parallel for schedule(static) if (state->width > CLBN_CPU_ALONE / 16)
    for (size_t c = 0; c < state->shape.channels; c++) {
        cpu_partial total = {{0}}, partial;
        for (size_t j = c * state->lanes; j < (c + 1) * state->lanes; j++) {
            double *at[4];
            sums_at(all, 0, j, at);
            if (step == STEP_MOMENTS)
                partial.moments = (clbn_cpu_moments){(double)state->shape.outer, *at[0], *at[1], *at[2], *at[3]};
            else
                partial.sums = (clbn_cpu_sums){*at[0], *at[1], *at[2], *at[3]};
            total = clbn_cpu_merge_partial(step, total, partial);
        }
        clbn_cpu_channel_finish(call, step, c, &total);
    }
}

static clbn_status columns(const cpu_call *call) {
    const cpu_plan *state = call->state;
    column_sums all = {NULL, clbn_round_up(state->width, CLBN_CPU_LANES)};
    if (call->step_count > 0 && is_sum(call->steps[0])) {
        all.sums = malloc(state->chunks * 4 * all.pitch * sizeof *all.sums);
        CHECK(all.sums != NULL, call->plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu partial sums",
              state->chunks * all.pitch);
    }
    for (int s = 0; s < call->step_count; s++) {
        if (is_sum(call->steps[s])) {
            columns_reduce(call, call->steps[s], &all);
            columns_finish(call, call->steps[s], &all);
            continue;
        }
#pragma omp parallel for schedule(guided) if (state->shape.elements > CLBN_CPU_ALONE)
        for (size_t task = 0; task < state->chunks * state->tiles; task++) {
            clbn_cpu_column_apply(call, call->steps[s], task / state->tiles, task % state->tiles);
        }
    }
    free(all.sums);
    return CLBN_SUCCESS;
}

clbn_status clbn_cpu_perform(cpu_call *call) {
    const size_t threads = (size_t)omp_get_max_threads();
    const clbn_shape *s = &call->state->shape;
    if (call->state->columns) return columns(call);
    const bool alone = threads == 1 || s->elements <= CLBN_CPU_ALONE || s->channels >= 8 * threads;
    if (call->step_count == 0 || !is_sum(call->steps[0]) || !alone) return planes_by_chunk(call);
    planes_by_channel(call);
    return CLBN_SUCCESS;
}
