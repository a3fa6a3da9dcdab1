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

cpu_partial clbn_cpu_parts_merge(const clbn_plan *plan, const clbn_run *run, cpu_step step, size_t c) {
    const size_t channels = plan->shape.channels;
    cpu_partial total = {{0}};
    for (size_t p = 0; p < run->part_count; p++) {
        const uint64_t count = counts_of(run)[p];
        if (count == 0) continue;
        double r[4];
        for (size_t i = 0; i < 4; i++) r[i] = clbn_cpu_get(plan, run, CLBN_PARTS, (p * CLBN_PART_REALS + i) * channels + c, 0);
        cpu_partial part = {.sums = {r[0], r[1], r[2], r[3]}};
        if (step == STEP_MOMENTS) part.moments = (clbn_cpu_moments){(double)count, r[0], r[1], r[2], r[3]};
        total = clbn_cpu_merge_partial(step, total, part);
    }
    return total;
}

/* value + lo as two reals. */
static void write_pair(const clbn_plan *plan, const clbn_run *run, size_t at, double value, double lo) {
    const double sum = value + lo, rest = (value - sum) + lo;
    clbn_cpu_set(plan, run, CLBN_PART, at, sum);
    clbn_cpu_set(plan, run, CLBN_PART, at + plan->shape.channels, clbn_cpu_rest(plan, sum, rest));
}

void clbn_cpu_part_write(const clbn_plan *plan, const clbn_run *run, cpu_step step, size_t c, const cpu_partial *total) {
    const size_t channels = plan->shape.channels;
    const clbn_cpu_moments *m = &total->moments;
    const clbn_cpu_sums *s = &total->sums;
    const bool moments = step == STEP_MOMENTS;
    write_pair(plan, run, c, moments ? m->mean : s->sum, moments ? m->lo : s->sum_lo);
    write_pair(plan, run, c + 2 * channels, moments ? m->m2 : s->product, moments ? m->m2_lo : s->product_lo);
    clbn_cpu_set(plan, run, CLBN_PART, c + 4 * channels, 0);
}

void clbn_cpu_count_write(const clbn_run *run, uint64_t count) {
    ((uint64_t *)run->buffers[CLBN_COUNT].host)[run->buffers[CLBN_COUNT].offset] = count;
}
