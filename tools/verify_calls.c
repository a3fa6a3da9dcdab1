/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of clbn verify on a whole batch, each judged: forward, backward, moments, the update of running statistics, folding. All
 * in host memory, so that the same calls do for every device.
 */
#include <math.h>
#include <stdlib.h>

#include "stored.h"
#include "verify.h"

static int done(verify *v, const char *operation, clbn_status status) {
    verify_begin(v, operation);
    return status == CLBN_SUCCESS ? EXIT_DONE : verify_failed(v, status);
}

/* ---------------------------------------------------------------------------------------------------------------- forward */

/* The promise names constant channels by themselves: y is beta, exactly. */
static void judge_constants(verify *v, const lot *l, const outcome *got) {
    const definition_shape s = l->b.shape;
    const hearing h = verify_hearing(v);
    for (size_t k = 0; k < l->b.count; k++) {
        const size_t c = k / s.inner % s.channels;
        judge_within(&h, l->who, "y of constants", got->y[k], stored_round(l->type, l->beta[c]), 0);
    }
}

static int forward(verify *v, const lot *l, const clbn_plan *plan, written *w) {
    const int population = l->given.population;
    const clbn_forward_args args = {.x = clbn_host(l->s_x),
                                    .y = clbn_host(w->y),
                                    .residual = clbn_host(l->s_residual),
                                    .gamma = clbn_host(l->s_gamma),
                                    .beta = clbn_host(l->s_beta),
                                    .running_mean = clbn_host(w->running_mean),
                                    .running_var = clbn_host(w->running_var),
                                    .saved_mean = clbn_host(w->mean),
                                    .saved_mean_lo = clbn_host(w->mean_lo),
                                    .saved_var = clbn_host(w->var),
                                    .saved_inv_std = clbn_host(w->inv_std),
                                    .update_weight = l->given.update_weight};
    if (population)
        TRY(done(v, l->fused ? "forward inference, fused" : "forward inference",
                 clbn_forward_inference(plan, NULL, &args, 0, NULL, NULL)));
    else
        TRY(done(v, l->fused ? "forward training, fused" : "forward training",
                 clbn_forward_training(plan, NULL, &args, 0, NULL, NULL)));
    outcome got;
    int status = outcome_take(v, l, w, &got);
    if (status == EXIT_DONE) {
        const hearing h = verify_hearing(v);
        outcome seen = got;
        if (population) seen.running_mean = seen.running_var = NULL; /* only read */
        judge_forward(&h, &l->exact, l->who, &seen);
        if (l->of.data == CONSTANT && !population && !l->fused) judge_constants(v, l, &got);
    }
    outcome_free(&got);
    return status;
}

/* --------------------------------------------------------------------------------------------------------------- backward */

static int backward(verify *v, const lot *l, const clbn_plan *plan, written *w) {
    const int population = l->given.population;
    const clbn_buffer absent = {0};
    const clbn_backward_args args = {.dy = clbn_host(l->s_dy),
                                     .x = clbn_host(l->s_x),
                                     .dx = clbn_host(w->dx),
                                     .dresidual = l->fused ? clbn_host(w->dresidual) : absent,
                                     .dgamma = clbn_host(w->dgamma),
                                     .dbeta = clbn_host(w->dbeta),
                                     .gamma = clbn_host(l->s_gamma),
                                     .beta = clbn_host(l->s_beta),
                                     .residual = clbn_host(l->s_residual),
                                     .saved_mean = population ? absent : clbn_host(w->mean),
                                     .saved_mean_lo = population ? absent : clbn_host(w->mean_lo),
                                     .saved_inv_std = population ? absent : clbn_host(w->inv_std),
                                     .running_mean = population ? clbn_host(l->s_running_mean) : absent,
                                     .running_var = population ? clbn_host(l->s_running_var) : absent};
    if (population)
        TRY(done(v, l->fused ? "backward inference, fused" : "backward inference",
                 clbn_backward_inference(plan, NULL, &args, 0, NULL, NULL)));
    else
        TRY(done(v, l->fused ? "backward training, fused" : "backward training",
                 clbn_backward_training(plan, NULL, &args, 0, NULL, NULL)));
    outcome got;
    int status = outcome_take(v, l, w, &got);
    if (status == EXIT_DONE) {
        const hearing h = verify_hearing(v);
        outcome seen = got;
        if (!l->fused) seen.dresidual = NULL;
        judge_backward(&h, &l->exact, l->who, &seen);
    }
    outcome_free(&got);
    return status;
}

/* ----------------------------------------------------------------------------------------------------- without a batch's y */

static int moments(verify *v, const lot *l, const clbn_plan *plan) {
    const size_t n = l->b.shape.channels;
    written w = {.mean = stored_array(v, l->real, n, NULL),
                 .mean_lo = stored_array(v, l->real, n, NULL),
                 .var = stored_array(v, l->real, n, NULL)};
    outcome got = {0};
    const clbn_moments_args args = {
        .x = clbn_host(l->s_x), .mean = clbn_host(w.mean), .mean_lo = clbn_host(w.mean_lo), .var = clbn_host(w.var)};
    int status = v->no_memory ? verify_no_memory(v) : done(v, "moments", clbn_moments(plan, NULL, &args, 0, NULL, NULL));
    if (status == EXIT_DONE) status = outcome_take(v, l, &w, &got);
    if (status == EXIT_DONE) {
        const hearing h = verify_hearing(v);
        judge_forward(&h, &l->exact, l->who, &got);
    }
    outcome_free(&got);
    written_free(&w);
    return status;
}

/* By what forward saved, which is exact here. */
static int update(verify *v, const lot *l, const clbn_plan *plan, const written *saved) {
    const size_t n = l->b.shape.channels;
    const double weight = l->given.update_weight;
    const hearing h = verify_hearing(v);
    written w = {.mean = saved->mean,
                 .var = saved->var,
                 .running_mean = stored_array(v, l->real, n, l->running_mean),
                 .running_var = stored_array(v, l->real, n, l->running_var)};
    outcome got = {0};
    const clbn_update_args args = {.mean = clbn_host(w.mean),
                                   .var = clbn_host(w.var),
                                   .running_mean = clbn_host(w.running_mean),
                                   .running_var = clbn_host(w.running_var),
                                   .update_weight = weight};
    int status =
        v->no_memory ? verify_no_memory(v) : done(v, "update running", clbn_update_running(plan, NULL, &args, 0, NULL, NULL));
    if (status == EXIT_DONE) status = outcome_take(v, l, &w, &got);
    for (size_t c = 0; status == EXIT_DONE && c < n; c++) {
        const double mean = got.mean[c];
        const long double var = definition_unbiased(got.var[c], l->b.values);
        judge_within(&h, l->who, "running_mean", got.running_mean[c], definition_running(l->running_mean[c], mean, weight),
                     bounds_running(l->who, l->running_mean[c], mean, weight, 0));
        judge_within(&h, l->who, "running_var", got.running_var[c], definition_running(l->running_var[c], var, weight),
                     bounds_running(l->who, l->running_var[c], var, weight, 0));
    }
    outcome_free(&got);
    free(w.running_mean), free(w.running_var);
    return status;
}

/* x is the layer's weight, its channels the layer's outputs. */
static int fold(verify *v, const lot *l, const clbn_plan *plan) {
    const definition_shape s = l->b.shape;
    const hearing h = verify_hearing(v);
    written w = {.y = stored_array(v, l->type, l->b.count, NULL), .dbeta = stored_array(v, l->real, s.channels, NULL)};
    outcome got = {0};
    const clbn_fold_args args = {.weight = clbn_host(l->s_x),
                                 .bias = clbn_host(l->s_bias),
                                 .gamma = clbn_host(l->s_gamma),
                                 .beta = clbn_host(l->s_beta),
                                 .running_mean = clbn_host(l->s_running_mean),
                                 .running_var = clbn_host(l->s_running_var),
                                 .folded_weight = clbn_host(w.y),
                                 .folded_bias = clbn_host(w.dbeta)};
    int status = v->no_memory ? verify_no_memory(v) : done(v, "fold", clbn_fold(plan, NULL, &args, 0, NULL, NULL));
    if (status == EXIT_DONE) status = outcome_take(v, l, &w, &got);
    for (size_t k = 0; status == EXIT_DONE && k < l->b.count; k++) {
        const size_t c = k / s.inner % s.channels;
        const long double exact = l->x[k] * (l->gamma[c] * l->exact.inv_std[c]);
        judge_value(&h, l->who, l->type, "folded_weight", got.y[k], exact, bounds_folded_weight(l->who, exact));
    }
    for (size_t c = 0; status == EXIT_DONE && c < s.channels; c++) {
        const long double scaled = (l->bias[c] - (long double)l->running_mean[c]) * (l->gamma[c] * l->exact.inv_std[c]);
        judge_value(&h, l->who, l->real, "folded_bias", got.dbeta[c], scaled + l->beta[c],
                    bounds_folded_bias(l->who, scaled, l->beta[c]));
    }
    outcome_free(&got);
    written_free(&w);
    return status;
}

int verify_calls(verify *v, const lot *l, const clbn_plan *plan) {
    written w;
    int status = written_make(v, l, &w);
    if (status == EXIT_DONE) status = forward(v, l, plan, &w);
    if (status == EXIT_DONE) status = backward(v, l, plan, &w);
    if (status == EXIT_DONE && !l->fused && !l->given.population && !l->brief) {
        status = moments(v, l, plan);
        if (status == EXIT_DONE) status = update(v, l, plan, &w);
    }
    if (status == EXIT_DONE && !l->fused && l->given.population) status = fold(v, l, plan);
    written_free(&w);
    return status;
}
