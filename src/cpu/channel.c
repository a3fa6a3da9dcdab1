/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done once a channel: from moments or saved arrays to statistics, from these to the constants of the affine step, from
 * sums to gradients; the update of running statistics.
 * Formulas: docs/semantics.md.
 */
#include "cpu/cpu.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------------- statistics */

static double inverse_deviation(const clbn_plan *plan, double var) {
    const double deviation = plan->epsilon_rule == CLBN_EPSILON_INSIDE ? sqrt(var + plan->epsilon) : sqrt(var) + plan->epsilon;
    return deviation == 0 ? 0 : 1 / deviation;
}

static cpu_statistics statistics_of(const clbn_plan *plan, double mean, double lo, double var) {
    const double sum = mean + lo;
    return (cpu_statistics){sum, isfinite(sum) ? (mean - sum) + lo : 0, var, inverse_deviation(plan, var)};
}

static cpu_statistics statistics_of_moments(const clbn_plan *plan, const clbn_cpu_moments *m) {
    return statistics_of(plan, m->mean, m->lo, (isfinite(m->m2) ? m->m2 + m->m2_lo : m->m2) / m->count);
}

/* Where an activation has a kink, forward and backward must make the same v: from what stays of the statistics once they are
 * saved. */
static cpu_statistics as_saved(const clbn_plan *plan, cpu_statistics s) {
    if (plan->activation == CLBN_IDENTITY) return s;
    const double var = plan->epsilon_rule == CLBN_EPSILON_INSIDE ? s.var : clbn_cpu_round(plan, s.var);
    return (cpu_statistics){clbn_cpu_round(plan, s.mean), clbn_cpu_rest(plan, s.mean, s.lo), var,
                            clbn_cpu_round(plan, inverse_deviation(plan, var))};
}

static cpu_statistics saved_statistics(const clbn_plan *plan, const clbn_run *run, size_t c) {
    const bool inside = plan->epsilon_rule == CLBN_EPSILON_INSIDE;
    cpu_statistics s = {clbn_cpu_get(plan, run, CLBN_MEAN, c, 0), clbn_cpu_get(plan, run, CLBN_MEAN_LO, c, 0),
                        clbn_cpu_get(plan, run, CLBN_VAR, c, 0), clbn_cpu_get(plan, run, CLBN_INV_STD, c, 0)};
    if (inside) return s;
    s.inv_std = inverse_deviation(plan, s.var);
    if (plan->activation != CLBN_IDENTITY) s.inv_std = clbn_cpu_round(plan, s.inv_std);
    return s;
}

static cpu_statistics running_statistics(const clbn_plan *plan, const clbn_run *run, size_t c) {
    return statistics_of(plan, clbn_cpu_get(plan, run, CLBN_RUNNING_MEAN, c, 0), 0,
                         clbn_cpu_get(plan, run, CLBN_RUNNING_VAR, c, 0));
}

static void save(const clbn_plan *plan, const clbn_run *run, size_t c, const cpu_statistics *s) {
    clbn_cpu_set(plan, run, CLBN_MEAN, c, s->mean);
    clbn_cpu_set(plan, run, CLBN_MEAN_LO, c, clbn_cpu_rest(plan, s->mean, s->lo));
    clbn_cpu_set(plan, run, CLBN_VAR, c, s->var);
    clbn_cpu_set(plan, run, CLBN_INV_STD, c, s->inv_std);
}

/* The weights 0 and 1 are exact, whatever the other value is. */
static double moved(double running, double batch, double weight) {
    return weight == 0 ? running : weight == 1 ? batch : (1 - weight) * running + weight * batch;
}

void clbn_cpu_channel_update(const clbn_plan *plan, const clbn_run *run, size_t c, double mean, double var, double count) {
    const double w = run->update_weight;
    const bool unbiased = plan->running_variance == CLBN_RUNNING_UNBIASED;
    if (w == 0) return;
    if (run->skip_nonfinite && !(isfinite(clbn_cpu_round(plan, mean)) && isfinite(clbn_cpu_round(plan, var)))) return;
    clbn_cpu_set(plan, run, CLBN_RUNNING_MEAN, c, moved(clbn_cpu_get(plan, run, CLBN_RUNNING_MEAN, c, 0), mean, w));
    if (unbiased && count == 1) return;
    const double batch = unbiased ? var * (count / (count - 1)) : var;
    clbn_cpu_set(plan, run, CLBN_RUNNING_VAR, c, moved(clbn_cpu_get(plan, run, CLBN_RUNNING_VAR, c, 0), batch, w));
}

/* ----------------------------------------------------------------------------------------------------------- constants */

static void set_field(const cpu_call *call, cpu_field field, size_t c, double value) {
    for (size_t i = c * call->state->lanes; i < (c + 1) * call->state->lanes; i++) call->fields[field][i] = value;
}

static void set_constants(const cpu_call *call, size_t c, cpu_statistics s) {
    const double scale = clbn_cpu_get(call->plan, call->run, CLBN_GAMMA, c, 1) * s.inv_std;
    call->statistics[c] = s;
    /* Two floats are one double, and loops on floats take no more. Activations keep to one expression: see as_saved. */
    const bool one = call->plan->real_type == CLBN_F32 && call->plan->activation == CLBN_IDENTITY;
    set_field(call, FIELD_MEAN, c, one ? s.mean + s.lo : s.mean);
    set_field(call, FIELD_LO, c, one ? 0 : s.lo);
    set_field(call, FIELD_SCALE, c, scale);
    set_field(call, FIELD_BETA, c, clbn_cpu_get(call->plan, call->run, CLBN_BETA, c, 0));
    set_field(call, FIELD_DX_SCALE, c, scale);
}

/* Of a forward call, whose statistics are s, of count values. */
static void use_in_forward(const cpu_call *call, size_t c, cpu_statistics s, double count) {
    save(call->plan, call->run, c, &s);
    if (call->run->operation == CLBN_MOMENTS) return;
    if (call->run->statistics == CLBN_OF_BATCH) { /* what is saved moves them, as in clbn_update_running */
        clbn_cpu_channel_update(call->plan, call->run, c, clbn_cpu_round(call->plan, s.mean), clbn_cpu_round(call->plan, s.var),
                                count);
    }
    set_constants(call, c, as_saved(call->plan, s));
}

static void fold(const cpu_call *call, size_t c) {
    const clbn_plan *plan = call->plan;
    const clbn_run *run = call->run;
    const cpu_statistics s = running_statistics(plan, run, c);
    const double scale = clbn_cpu_get(plan, run, CLBN_GAMMA, c, 1) * s.inv_std;
    const double bias = (clbn_cpu_get(plan, run, CLBN_BIAS, c, 0) - s.mean) * scale + clbn_cpu_get(plan, run, CLBN_BETA, c, 0);
    clbn_cpu_set(plan, run, CLBN_FOLDED_BIAS, c, bias);
    set_field(call, FIELD_SCALE, c, scale);
}

/* ----------------------------------------------------------------------------------------------------------- gradients */

/* An infinite sum has no rest. */
static double joined(double sum, double lo) {
    return isfinite(sum) ? sum + lo : sum;
}

static void give(const cpu_call *call, clbn_slot slot, unsigned accumulates, size_t c, double value) {
    const bool adds = (call->run->accumulate & accumulates) != 0;
    const double old = adds ? clbn_cpu_get(call->plan, call->run, slot, c, 0) : 0;
    clbn_cpu_set(call->plan, call->run, slot, c, adds ? old + value : value);
}

static void use_sums(const cpu_call *call, size_t c, const cpu_partial *total) {
    const clbn_plan *plan = call->plan;
    const clbn_run *run = call->run;
    const cpu_statistics s = call->statistics[c];
    const double sum = joined(total->sums.sum, total->sums.sum_lo);
    const double product = joined(total->sums.product, total->sums.product_lo);
    const double count = clbn_has(run, CLBN_PARTS) ? call->parts_count : (double)plan->shape.count;
    give(call, CLBN_DBETA, CLBN_ACCUMULATE_DBETA, c, sum);
    give(call, CLBN_DGAMMA, CLBN_ACCUMULATE_DGAMMA, c, s.inv_std * product);
    if (run->operation == CLBN_BACKWARD_PART) clbn_cpu_part_write(plan, run, STEP_SUMS, c, total);
    if (run->statistics == CLBN_OF_POPULATION || count == 0) return;
    const double sigma = sqrt(s.var);
    const double slope = plan->epsilon_rule == CLBN_EPSILON_INSIDE ? s.inv_std * s.inv_std : sigma == 0 ? 0 : s.inv_std / sigma;
    set_field(call, FIELD_DX_SHIFT, c, sum / count);
    set_field(call, FIELD_DX_SLOPE, c, slope == 0 ? 0 : product / count * slope);
}

/* ---------------------------------------------------------------------------------------------------------- in a call */

static void prepare_backward(const cpu_call *call, size_t c) {
    const clbn_plan *plan = call->plan;
    const clbn_run *run = call->run;
    const bool saved = clbn_has(run, CLBN_MEAN), parts = clbn_has(run, CLBN_PARTS);
    const bool nothing = plan->shape.elements == 0 && !parts;
    const cpu_partial zero = {{0}};
    if (!nothing && run->statistics == CLBN_OF_POPULATION) {
        set_constants(call, c, as_saved(plan, running_statistics(plan, run, c)));
    } else if (!nothing && saved)
        set_constants(call, c, saved_statistics(plan, run, c));
    if (nothing) use_sums(call, c, &zero);
    if (parts) {
        const cpu_partial total = clbn_cpu_parts_merge(plan, run, STEP_SUMS, c);
        use_sums(call, c, &total);
    }
}

void clbn_cpu_channel_prepare(const cpu_call *call, size_t c) {
    const clbn_plan *plan = call->plan;
    const clbn_run *run = call->run;
    const cpu_partial zero = {{0}};
    switch (run->operation) {
    case CLBN_FORWARD:
        if (run->statistics == CLBN_OF_POPULATION) use_in_forward(call, c, running_statistics(plan, run, c), 0);
        if (clbn_has(run, CLBN_PARTS)) {
            const cpu_partial total = clbn_cpu_parts_merge(plan, run, STEP_MOMENTS, c);
            use_in_forward(call, c, statistics_of_moments(plan, &total.moments), total.moments.count);
        }
        break;
    case CLBN_MOMENTS_PART:
        if (plan->shape.elements == 0) clbn_cpu_part_write(plan, run, STEP_MOMENTS, c, &zero);
        break;
    case CLBN_BACKWARD:
    case CLBN_BACKWARD_PART:
        prepare_backward(call, c);
        break;
    case CLBN_FOLD:
        fold(call, c);
        break;
    default:
        break;
    }
}

void clbn_cpu_channel_finish(const cpu_call *call, cpu_step step, size_t c, const cpu_partial *total) {
    const clbn_plan *plan = call->plan;
    if (step == STEP_SUMS) {
        use_sums(call, c, total);
        return;
    }
    const cpu_statistics s = statistics_of_moments(plan, &total->moments);
    if (call->run->operation == CLBN_MOMENTS_PART)
        clbn_cpu_part_write(plan, call->run, step, c, total);
    else if (call->run->operation == CLBN_BACKWARD)
        set_constants(call, c, as_saved(plan, s));
    else
        use_in_forward(call, c, s, total->moments.count);
}
