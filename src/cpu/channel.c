/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done once a channel: from moments or saved arrays to statistics, from these to the constants of the affine step, from
 * sums to gradients; the update of running statistics. Channels come in ranges, each quantity an array, so that the compiler
 * takes several channels at once: a small batch spends half of its time here.
 * Formulas: docs/semantics.md.
 */
#include "cpu/cpu.h"

#include <math.h>
#include <string.h>

/* A range of channels, some at most. */
typedef struct range {
    const clbn_plan *plan;
    const clbn_run *run;
    size_t first, count;
} range;

typedef double reals[CLBN_CPU_RANGE];

/* The statistics that a call works with. */
typedef struct statistics {
    reals mean, lo, var, inv_std;
} statistics;

/* -------------------------------------------------------------------------------------------------------------- arrays */

/* Arrays of reals, whose type is the plan's, as doubles; absent where there is no such array. */
static void get(const range *of, clbn_slot slot, double absent, double *to) {
    const clbn_buffer *buffer = &of->run->buffers[slot];
    const size_t at = buffer->offset + of->first;
    if (buffer->kind == CLBN_BUFFER_ABSENT) {
        for (size_t i = 0; i < of->count; i++) to[i] = absent;
    } else if (of->plan->real_type == CLBN_F64) {
        memcpy(to, (const double *)buffer->host + at, of->count * sizeof *to);
    } else {
        const float *from = (const float *)buffer->host + at;
        for (size_t i = 0; i < of->count; i++) to[i] = from[i];
    }
}

/* Nothing where there is no such array. */
static void set(const range *of, clbn_slot slot, const double *from) {
    const clbn_buffer *buffer = &of->run->buffers[slot];
    const size_t at = buffer->offset + of->first;
    if (buffer->kind == CLBN_BUFFER_ABSENT) return;
    if (of->plan->real_type == CLBN_F64) {
        memcpy((double *)buffer->host + at, from, of->count * sizeof *from);
    } else {
        float *to = (float *)buffer->host + at;
        for (size_t i = 0; i < of->count; i++) to[i] = (float)from[i];
    }
}

/* What stays of values in such an array. */
static void keep(const range *of, const double *from, double *to) {
    if (of->plan->real_type == CLBN_F64) {
        memmove(to, from, of->count * sizeof *from);
        return;
    }
    for (size_t i = 0; i < of->count; i++) to[i] = (double)(float)from[i];
}

/* What is left then of value + lo. */
static void rest(const range *of, const double *value, const double *lo, double *to) {
    reals kept;
    keep(of, value, kept);
    for (size_t i = 0; i < of->count; i++) {
        const double left = (value[i] - kept[i]) + lo[i];
        to[i] = isfinite(kept[i]) ? left : 0;
    }
    keep(of, to, to);
}

/* ---------------------------------------------------------------------------------------------------------- statistics */

static void inverse_deviation(const range *of, const double *var, double *inv_std) {
    const bool inside = of->plan->epsilon_rule == CLBN_EPSILON_INSIDE;
    const cpu_plan *state = of->plan->state;
    state->loops->inverse_deviation(of->count, var, inside ? of->plan->epsilon : 0, inside ? 0 : of->plan->epsilon, inv_std);
}

static void statistics_of(const range *of, const double *mean, const double *lo, const double *var, statistics *s) {
    for (size_t i = 0; i < of->count; i++) {
        const double sum = mean[i] + lo[i], left = (mean[i] - sum) + lo[i];
        s->mean[i] = sum;
        s->lo[i] = isfinite(sum) ? left : 0;
        s->var[i] = var[i];
    }
    inverse_deviation(of, s->var, s->inv_std);
}

static void statistics_of_moments(const range *of, const cpu_totals *totals, statistics *s) {
    const double *m2 = totals->of[2], *m2_lo = totals->of[3];
    reals var;
    for (size_t i = 0; i < of->count; i++) {
        const double joined = m2[i] + m2_lo[i];
        var[i] = (isfinite(m2[i]) ? joined : m2[i]) / totals->count;
    }
    statistics_of(of, totals->of[0], totals->of[1], var, s);
}

/* Where an activation has a kink, forward and backward must make the same v: from what stays of the statistics once they are
 * saved. */
static void as_saved(const range *of, statistics *s) {
    if (of->plan->activation == CLBN_IDENTITY) return;
    rest(of, s->mean, s->lo, s->lo);
    keep(of, s->mean, s->mean);
    if (of->plan->epsilon_rule != CLBN_EPSILON_INSIDE) keep(of, s->var, s->var);
    inverse_deviation(of, s->var, s->inv_std);
    keep(of, s->inv_std, s->inv_std);
}

static void saved_statistics(const range *of, statistics *s) {
    get(of, CLBN_MEAN, 0, s->mean);
    get(of, CLBN_MEAN_LO, 0, s->lo);
    get(of, CLBN_VAR, 0, s->var);
    get(of, CLBN_INV_STD, 0, s->inv_std);
    if (of->plan->epsilon_rule == CLBN_EPSILON_INSIDE) return;
    inverse_deviation(of, s->var, s->inv_std);
    if (of->plan->activation != CLBN_IDENTITY) keep(of, s->inv_std, s->inv_std);
}

static void running_statistics(const range *of, statistics *s) {
    reals mean, var;
    const reals lo = {0};
    get(of, CLBN_RUNNING_MEAN, 0, mean);
    get(of, CLBN_RUNNING_VAR, 0, var);
    statistics_of(of, mean, lo, var, s);
}

static void save(const range *of, const statistics *s) {
    reals lo;
    set(of, CLBN_MEAN, s->mean);
    if (clbn_has(of->run, CLBN_MEAN_LO)) {
        rest(of, s->mean, s->lo, lo);
        set(of, CLBN_MEAN_LO, lo);
    }
    set(of, CLBN_VAR, s->var);
    set(of, CLBN_INV_STD, s->inv_std);
}

/* Moves a running array to what is of the batch. The weights 0 and 1 are exact, whatever the other value is. */
static void move(const range *of, clbn_slot slot, const double *batch, const bool *skipped) {
    const double w = of->run->update_weight;
    reals running;
    if (!clbn_has(of->run, slot)) return;
    get(of, slot, 0, running);
    for (size_t i = 0; i < of->count; i++) {
        const double moved = w == 1 ? batch[i] : (1 - w) * running[i] + w * batch[i];
        running[i] = skipped[i] ? running[i] : moved;
    }
    set(of, slot, running);
}

/* The update of running statistics; var the biased one, of n values. */
static void update(const range *of, const double *mean, const double *var, double n) {
    const bool unbiased = of->plan->running_variance == CLBN_RUNNING_UNBIASED;
    const double factor = unbiased ? n / (n - 1) : 1;
    bool skipped[CLBN_CPU_RANGE] = {false};
    reals kept_mean, kept_var, batch;
    if (of->run->update_weight == 0) return;
    if (of->run->skip_nonfinite) {
        keep(of, mean, kept_mean);
        keep(of, var, kept_var);
        for (size_t i = 0; i < of->count; i++) skipped[i] = !(isfinite(kept_mean[i]) && isfinite(kept_var[i]));
    }
    move(of, CLBN_RUNNING_MEAN, mean, skipped);
    if (unbiased && n == 1) return;
    for (size_t i = 0; i < of->count; i++) batch[i] = var[i] * factor;
    move(of, CLBN_RUNNING_VAR, batch, skipped);
}

/* ----------------------------------------------------------------------------------------------------------- constants */

static void set_field(const cpu_call *call, const range *of, cpu_field field, const double *values) {
    const cpu_plan *state = call->state;
    const size_t lanes = state->lanes, step = state->lane_step;
    double *all = call->fields[field], *to = all + clbn_cpu_column(state, of->first);
    if (lanes == 1 || step > 1) { /* channels are neighbours */
        for (size_t l = 0; l < lanes; l++) memcpy(to + l * step, values, of->count * sizeof *to);
    } else {
        for (size_t i = 0; i < of->count; i++) {
            for (size_t l = 0; l < lanes; l++) to[i * lanes + l] = values[i];
        }
    }
    if (state->wraps && of->first == 0) memcpy(all + state->width, all, CLBN_CPU_WRAP * sizeof *all);
}

static void set_constants(const cpu_call *call, const range *of, const statistics *s) {
    reals scale, beta, mean;
    const reals zero = {0};
    get(of, CLBN_GAMMA, 1, scale);
    get(of, CLBN_BETA, 0, beta);
    for (size_t i = 0; i < of->count; i++) scale[i] *= s->inv_std[i];
    for (size_t i = 0; i < of->count; i++) mean[i] = s->mean[i] + s->lo[i];
    memcpy(call->var + of->first, s->var, of->count * sizeof(double));
    memcpy(call->inv_std + of->first, s->inv_std, of->count * sizeof(double));
    /* Two floats are one double, and loops on floats take no more. Activations keep to one expression: see as_saved. */
    const bool one = of->plan->real_type == CLBN_F32 && of->plan->activation == CLBN_IDENTITY;
    set_field(call, of, FIELD_MEAN, one ? mean : s->mean);
    set_field(call, of, FIELD_LO, one ? zero : s->lo);
    set_field(call, of, FIELD_SCALE, scale);
    set_field(call, of, FIELD_BETA, beta);
    set_field(call, of, FIELD_DX_SCALE, scale);
}

/* Of a forward call, whose statistics are s, of n values. */
static void use_in_forward(const cpu_call *call, const range *of, statistics *s, double n) {
    reals mean, var;
    save(of, s);
    if (of->run->operation == CLBN_MOMENTS) return;
    if (of->run->statistics == CLBN_OF_BATCH) { /* what is saved moves them, as in clbn_update_running */
        keep(of, s->mean, mean);
        keep(of, s->var, var);
        update(of, mean, var, n);
    }
    as_saved(of, s);
    set_constants(call, of, s);
}

static void fold(const cpu_call *call, const range *of) {
    statistics s;
    reals scale, beta, bias;
    running_statistics(of, &s);
    get(of, CLBN_GAMMA, 1, scale);
    get(of, CLBN_BETA, 0, beta);
    get(of, CLBN_BIAS, 0, bias);
    for (size_t i = 0; i < of->count; i++) scale[i] *= s.inv_std[i];
    for (size_t i = 0; i < of->count; i++) bias[i] = (bias[i] - s.mean[i]) * scale[i] + beta[i];
    set(of, CLBN_FOLDED_BIAS, bias);
    set_field(call, of, FIELD_SCALE, scale);
}

/* ----------------------------------------------------------------------------------------------------------- gradients */

/* An infinite sum has no rest. */
static void join(const range *of, const double *sum, const double *lo, double *to) {
    for (size_t i = 0; i < of->count; i++) {
        const double joined = sum[i] + lo[i];
        to[i] = isfinite(sum[i]) ? joined : sum[i];
    }
}

static void give(const range *of, clbn_slot slot, unsigned accumulates, const double *values) {
    reals total;
    if (!clbn_has(of->run, slot)) return;
    if (!(of->run->accumulate & accumulates)) {
        set(of, slot, values);
        return;
    }
    get(of, slot, 0, total);
    for (size_t i = 0; i < of->count; i++) total[i] += values[i];
    set(of, slot, total);
}

static void use_sums(const cpu_call *call, const range *of, const cpu_totals *totals) {
    const clbn_run *run = of->run;
    const double n = clbn_has(run, CLBN_PARTS) ? call->parts_count : (double)of->plan->shape.count;
    const double *var = call->var + of->first, *inv_std = call->inv_std + of->first;
    const bool inside = of->plan->epsilon_rule == CLBN_EPSILON_INSIDE;
    reals sum, product, dgamma, slope;
    join(of, totals->of[0], totals->of[1], sum);
    join(of, totals->of[2], totals->of[3], product);
    for (size_t i = 0; i < of->count; i++) dgamma[i] = inv_std[i] * product[i];
    give(of, CLBN_DBETA, CLBN_ACCUMULATE_DBETA, sum);
    give(of, CLBN_DGAMMA, CLBN_ACCUMULATE_DGAMMA, dgamma);
    if (run->operation == CLBN_BACKWARD_PART) clbn_cpu_parts_write(of->plan, run, of->first, of->count, totals);
    if (run->statistics == CLBN_OF_POPULATION || n == 0) return;
    for (size_t i = 0; i < of->count; i++) {
        const double sigma = sqrt(var[i]), other = inv_std[i] / sigma;
        const double each = inside ? inv_std[i] * inv_std[i] : sigma == 0 ? 0 : other, value = product[i] / n * each;
        slope[i] = each == 0 ? 0 : value;
        sum[i] /= n;
    }
    set_field(call, of, FIELD_DX_SHIFT, sum);
    set_field(call, of, FIELD_DX_SLOPE, slope);
}

/* ---------------------------------------------------------------------------------------------------------- in a call */

static void of_parts(const cpu_call *call, const range *of, cpu_step step, double (*sums)[CLBN_CPU_RANGE], cpu_totals *totals) {
    *totals = (cpu_totals){call->parts_count, {sums[0], sums[1], sums[2], sums[3]}};
    for (size_t i = 0; i < of->count; i++) {
        const cpu_partial total = clbn_cpu_parts_merge(of->plan, of->run, step, of->first + i);
        for (int k = 0; k < 4; k++) sums[k][i] = clbn_cpu_partial_sum(step, &total, k);
    }
}

static void prepare_backward(const cpu_call *call, const range *of) {
    const bool saved = clbn_has(of->run, CLBN_MEAN), parts = clbn_has(of->run, CLBN_PARTS);
    const bool nothing = of->plan->shape.elements == 0 && !parts;
    const reals zero = {0};
    statistics s;
    reals sums[4];
    cpu_totals totals = {0, {zero, zero, zero, zero}};
    if (!nothing && of->run->statistics == CLBN_OF_POPULATION) {
        running_statistics(of, &s);
        as_saved(of, &s);
        set_constants(call, of, &s);
    } else if (!nothing && saved) {
        saved_statistics(of, &s);
        set_constants(call, of, &s);
    }
    if (nothing) use_sums(call, of, &totals);
    if (parts) {
        of_parts(call, of, STEP_SUMS, sums, &totals);
        use_sums(call, of, &totals);
    }
}

static void prepare(const cpu_call *call, const range *of) {
    const reals zero = {0};
    cpu_totals totals = {0, {zero, zero, zero, zero}};
    statistics s;
    reals sums[4];
    switch (of->run->operation) {
    case CLBN_FORWARD:
        if (of->run->statistics == CLBN_OF_POPULATION) {
            running_statistics(of, &s);
            use_in_forward(call, of, &s, 0);
        }
        if (clbn_has(of->run, CLBN_PARTS)) {
            of_parts(call, of, STEP_MOMENTS, sums, &totals);
            statistics_of_moments(of, &totals, &s);
            use_in_forward(call, of, &s, totals.count);
        }
        break;
    case CLBN_MOMENTS_PART:
        if (of->plan->shape.elements == 0) clbn_cpu_parts_write(of->plan, of->run, of->first, of->count, &totals);
        break;
    case CLBN_BACKWARD:
    case CLBN_BACKWARD_PART:
        prepare_backward(call, of);
        break;
    case CLBN_FOLD:
        fold(call, of);
        break;
    default:
        break;
    }
}

static void finish(const cpu_call *call, const range *of, cpu_step step, const cpu_totals *totals) {
    statistics s;
    if (step == STEP_SUMS) {
        use_sums(call, of, totals);
        return;
    }
    if (of->run->operation == CLBN_MOMENTS_PART) {
        clbn_cpu_parts_write(of->plan, of->run, of->first, of->count, totals);
        return;
    }
    statistics_of_moments(of, totals, &s);
    if (of->run->operation == CLBN_BACKWARD) {
        as_saved(of, &s);
        set_constants(call, of, &s);
    } else
        use_in_forward(call, of, &s, totals->count);
}

void clbn_cpu_channels_prepare(const cpu_call *call, size_t first, size_t count) {
    for (size_t c = 0; c < count; c += CLBN_CPU_RANGE) {
        const range of = {call->plan, call->run, first + c, clbn_min(count - c, CLBN_CPU_RANGE)};
        prepare(call, &of);
    }
}

void clbn_cpu_channels_finish(const cpu_call *call, cpu_step step, size_t first, size_t count, const cpu_totals *totals) {
    for (size_t c = 0; c < count; c += CLBN_CPU_RANGE) {
        const range of = {call->plan, call->run, first + c, clbn_min(count - c, CLBN_CPU_RANGE)};
        const double *const *t = totals->of;
        const cpu_totals some = {totals->count, {t[0] + c, t[1] + c, t[2] + c, t[3] + c}};
        finish(call, &of, step, &some);
    }
}

void clbn_cpu_channels_update(const clbn_plan *plan, const clbn_run *run) {
    for (size_t c = 0; c < plan->shape.channels; c += CLBN_CPU_RANGE) {
        const range of = {plan, run, c, clbn_min(plan->shape.channels - c, CLBN_CPU_RANGE)};
        reals mean, var;
        get(&of, CLBN_MEAN, 0, mean);
        get(&of, CLBN_VAR, 0, var);
        update(&of, mean, var, (double)run->count);
    }
}
