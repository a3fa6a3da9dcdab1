/* SPDX-License-Identifier: Apache-2.0
 *
 * What forward and backward do with a block of values: from storage to doubles, through the affine step and the activation, and
 * back into storage.
 */
#include "cpu/cpu.h"

#include <string.h>

void clbn_cpu_block_constants(cpu_work *work, size_t at) {
    double *const *fields = work->call->fields;
    clbn_cpu_block *b = &work->block;
    b->mean = fields[FIELD_MEAN] + at;
    b->lo = fields[FIELD_LO] + at;
    b->scale = fields[FIELD_SCALE] + at;
    b->beta = fields[FIELD_BETA] + at;
    b->dx_scale = fields[FIELD_DX_SCALE] + at;
    b->dx_shift = fields[FIELD_DX_SHIFT] + at;
    b->dx_slope = fields[FIELD_DX_SLOPE] + at;
}

static void fetch(const cpu_work *work, clbn_slot slot, double *to) {
    clbn_cpu_fetch(work->call, slot, &work->piece, work->pitch, to);
}

static void put(const cpu_work *work, clbn_slot slot, const double *from) {
    clbn_cpu_put(work->call, slot, &work->piece, work->pitch, from);
}

/* --------------------------------------------------------------------------------------------------------------- mask */

/* Rows of bits that fill whole bytes, at bytes apart, to rows that follow each other bit by bit; or, unpacking, the reverse. */
static void repack(size_t rows, size_t bits, unsigned char *apart, unsigned char *packed, bool unpack) {
    const size_t bytes = clbn_ceil_div(bits, 8);
    unsigned held = 0, fill = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t b = 0; b < bytes; b++) {
            const unsigned n = (unsigned)clbn_min(bits - b * 8, 8), ones = (1u << n) - 1;
            unsigned char *byte = &apart[r * bytes + b];
            if (unpack && fill < n) {
                held |= (unsigned)*packed++ << fill;
                fill += 8;
            }
            if (unpack) {
                *byte = (unsigned char)(held & ones);
                held >>= n;
                fill -= n;
                continue;
            }
            held |= (*byte & ones) << fill;
            fill += n;
            if (fill < 8) continue;
            *packed++ = (unsigned char)held;
            held >>= 8;
            fill -= 8;
        }
    }
    if (!unpack && fill) *packed = (unsigned char)held;
}

/* Of a block whose rows are packed bit by bit and have ends within bytes. */
static bool needs_repack(const cpu_work *work) {
    return work->block.each && work->call->state->mask_pitch == 0 && work->values % 8 != 0;
}

static void write_mask(const cpu_work *work, const double *v) {
    const clbn_cpu_loops *loops = work->call->state->loops;
    const clbn_cpu_activation *a = &work->call->state->activation;
    const size_t pitch = work->call->state->mask_pitch;
    unsigned char bits[CLBN_CPU_BLOCK / 8 + 1];
    if (work->block.each && pitch) {
        for (size_t r = 0; r < work->block.rows; r++) {
            loops->sides(a, work->values, v + r * work->block.pitch, work->mask + r * pitch);
        }
        return;
    }
    loops->sides(a, work->count, v, needs_repack(work) ? bits : work->mask);
    if (needs_repack(work)) repack(work->block.rows, work->values, bits, work->mask, false);
}

static void derive_by_mask(const cpu_work *work, double *dy) {
    const clbn_cpu_loops *loops = work->call->state->loops;
    const clbn_cpu_activation *a = &work->call->state->activation;
    const size_t pitch = work->call->state->mask_pitch;
    unsigned char bits[CLBN_CPU_BLOCK / 8 + 1];
    if (work->block.each && pitch) {
        for (size_t r = 0; r < work->block.rows; r++) {
            loops->derive_sides(a, work->values, work->mask + r * pitch, dy + r * work->block.pitch);
        }
        return;
    }
    if (needs_repack(work)) repack(work->block.rows, work->values, bits, work->mask, true);
    loops->derive_sides(a, work->count, needs_repack(work) ? bits : work->mask, dy);
}

/* ------------------------------------------------------------------------------------------------------------- forward */

/* The caller's function, on the values alone. */
static void call_custom(const cpu_work *work, clbn_activation_fn function, const double *v, double *out) {
    memset(out, 0, work->count * sizeof *out);
    for (size_t r = 0; r < work->block.rows; r++) {
        function(work->call->plan->custom.user_data, work->values, v + r * work->block.pitch, out + r * work->block.pitch);
    }
}

/* x to v, in place. */
static void normalize(const cpu_work *work, const double *x, double *v) {
    cpu_room residual;
    const bool adds = work->call->plan->residual;
    if (adds) fetch(work, CLBN_RESIDUAL, residual);
    work->call->state->loops->normalize(&work->block, x, adds ? residual : NULL, v);
}

void clbn_cpu_block_forward(const cpu_work *work) {
    const clbn_plan *plan = work->call->plan;
    cpu_room v, custom;
    double *out = v;
    fetch(work, CLBN_X, v);
    normalize(work, v, v);
    if (work->mask) write_mask(work, v);
    if (plan->activation == CLBN_CUSTOM) {
        call_custom(work, plan->custom.value_fn, v, custom);
        out = custom;
    } else if (plan->activation != CLBN_IDENTITY)
        work->call->state->loops->activate(&work->call->state->activation, work->count, v);
    put(work, CLBN_Y, out);
}

/* ------------------------------------------------------------------------------------------------------------ backward */

/* dy to g by v, made again from x. */
static void derive_by_v(const cpu_work *work, const double *x, double *dy) {
    const clbn_plan *plan = work->call->plan;
    const clbn_cpu_loops *loops = work->call->state->loops;
    cpu_room v, slope;
    normalize(work, x, v);
    if (plan->activation != CLBN_CUSTOM) {
        loops->derive(&work->call->state->activation, work->count, v, dy);
        return;
    }
    call_custom(work, plan->custom.derivative_fn, v, slope);
    loops->scale(work->count, slope, dy);
}

void clbn_cpu_block_backward(const cpu_work *work, bool with_x, double *g, double *x) {
    const bool by_v = clbn_recomputes(work->call->plan);
    fetch(work, CLBN_DY, g);
    if (by_v || with_x) fetch(work, CLBN_X, x);
    if (by_v) derive_by_v(work, x, g);
    if (work->call->plan->mask) derive_by_mask(work, g);
}

/* A gradient into its buffer, or to what that holds. values may be changed. */
static void give(const cpu_work *work, clbn_slot slot, unsigned accumulates, double *values) {
    cpu_room old;
    if (work->call->run->accumulate & accumulates) {
        fetch(work, slot, old);
        work->call->state->loops->add(work->count, values, old);
        values = old;
    }
    put(work, slot, values);
}

void clbn_cpu_block_gradient(const cpu_work *work) {
    const cpu_call *call = work->call;
    const bool with_x = call->run->statistics == CLBN_OF_BATCH && call->tensors[CLBN_DX].data;
    cpu_room g, x;
    clbn_cpu_block_backward(work, with_x, g, x);
    if (call->tensors[CLBN_DRESIDUAL].data) give(work, CLBN_DRESIDUAL, CLBN_ACCUMULATE_DRESIDUAL, g);
    if (call->tensors[CLBN_DX].data == NULL) return;
    call->state->loops->gradient(&work->block, with_x ? x : NULL, g);
    give(work, CLBN_DX, CLBN_ACCUMULATE_DX, g);
}
