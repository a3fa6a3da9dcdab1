/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of a batch's moments or sums: reading, merging in order, writing. Their format: clbn.h.
 */
#include "cpu/cpu.h"

cpu_partial clbn_cpu_merge_partial(cpu_step step, cpu_partial a, cpu_partial b) {
    if (step == STEP_MOMENTS) return (cpu_partial){.moments = clbn_cpu_merge(a.moments, b.moments)};
    clbn_cpu_add(&a.sums.sum, &a.sums.sum_lo, b.sums.sum, b.sums.sum_lo);
    clbn_cpu_add(&a.sums.product, &a.sums.product_lo, b.sums.product, b.sums.product_lo);
    return a;
}

static const uint64_t *counts_of(const clbn_run *run) {
    return (const uint64_t *)run->buffers[CLBN_COUNTS].host + run->buffers[CLBN_COUNTS].offset;
}

uint64_t clbn_cpu_parts_count(const clbn_run *run) {
    uint64_t count = 0;
    for (size_t p = 0; p < run->part_count; p++) count += counts_of(run)[p];
    return count;
}

static double real_at(const clbn_plan *plan, const clbn_buffer *buffer, size_t i) {
    const size_t at = buffer->offset + i;
    return plan->real_type == CLBN_F64 ? ((const double *)buffer->host)[at] : (double)((const float *)buffer->host)[at];
}

static void set_real(const clbn_plan *plan, const clbn_buffer *buffer, size_t i, double value) {
    const size_t at = buffer->offset + i;
    if (plan->real_type == CLBN_F64)
        ((double *)buffer->host)[at] = value;
    else
        ((float *)buffer->host)[at] = (float)value;
}

cpu_partial clbn_cpu_parts_merge(const clbn_plan *plan, const clbn_run *run, cpu_step step, size_t c) {
    const clbn_buffer *parts = &run->buffers[CLBN_PARTS];
    cpu_partial total = {{0}};
    for (size_t p = 0; p < run->part_count; p++) {
        const uint64_t count = counts_of(run)[p];
        if (count == 0) continue;
        double r[4];
        for (size_t i = 0; i < 4; i++) r[i] = real_at(plan, parts, (p * CLBN_PART_REALS + i) * plan->shape.channels + c);
        cpu_partial part = {.sums = {r[0], r[1], r[2], r[3]}};
        if (step == STEP_MOMENTS) part.moments = (clbn_cpu_moments){(double)count, r[0], r[1], r[2], r[3]};
        total = clbn_cpu_merge_partial(step, total, part);
    }
    return total;
}

double clbn_cpu_partial_sum(cpu_step step, const cpu_partial *partial, int k) {
    const clbn_cpu_moments *m = &partial->moments;
    const clbn_cpu_sums *s = &partial->sums;
    const double moments[] = {m->mean, m->lo, m->m2, m->m2_lo}, sums[] = {s->sum, s->sum_lo, s->product, s->product_lo};
    return step == STEP_MOMENTS ? moments[k] : sums[k];
}

/* value + lo as two reals. */
static void write_pair(const clbn_plan *plan, const clbn_buffer *part, size_t at, double value, double lo) {
    const double sum = value + lo, rest = (value - sum) + lo;
    set_real(plan, part, at, sum);
    const double kept = real_at(plan, part, at);
    set_real(plan, part, at + plan->shape.channels, isfinite(kept) ? (sum - kept) + rest : 0);
}

void clbn_cpu_parts_write(const clbn_plan *plan, const clbn_run *run, size_t first, size_t count, const cpu_totals *totals) {
    const clbn_buffer *part = &run->buffers[CLBN_PART];
    const size_t channels = plan->shape.channels;
    for (size_t c = 0; c < count; c++) {
        for (size_t pair = 0; pair < 4; pair += 2) {
            write_pair(plan, part, first + c + pair * channels, totals->of[pair][c], totals->of[pair + 1][c]);
        }
        set_real(plan, part, first + c + 4 * channels, 0);
    }
}

void clbn_cpu_count_write(const clbn_run *run, uint64_t count) {
    ((uint64_t *)run->buffers[CLBN_COUNT].host)[run->buffers[CLBN_COUNT].offset] = count;
}
