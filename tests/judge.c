/* SPDX-License-Identifier: Apache-2.0
 *
 * References and the comparison with them: see judge.h.
 */
#include "judge.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum quantity { Y, MEAN, MEAN_PAIR, VAR, INV_STD, RUNNING_MEAN, RUNNING_VAR, QUANTITIES } quantity;

static const char *const quantities[] = {"y", "mean", "mean + mean_lo", "var", "inv_std", "running_mean", "running_var"};

static struct {
    long double ratio;
    char title[320];
} worst[QUANTITIES];

static long double *numbers(size_t n) {
    long double *p = calloc(n + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

static void reference_make(reference *r, const batch *b, const way *w, verb v) {
    memset(r, 0, sizeof *r);
    r->b = b, r->way = *w, r->verb = v;
    size_t n = b->shape.channels;
    r->mean = numbers(n), r->var = numbers(n), r->inv_std = numbers(n);
    r->running_mean = numbers(n), r->running_var = numbers(n);
    if (v != MOMENTS) r->y = numbers(b->count);
}

void reference_free(reference *r) {
    free(r->mean), free(r->var), free(r->inv_std);
    free(r->running_mean), free(r->running_var), free(r->y);
    memset(r, 0, sizeof *r);
}

static const float *gamma_of(const batch *b, const way *w) {
    return w->affine == GAMMA_AND_BETA || w->affine == GAMMA_ONLY ? b->gamma : NULL;
}

static const float *beta_of(const batch *b, const way *w) {
    return w->affine == GAMMA_AND_BETA || w->affine == BETA_ONLY ? b->beta : NULL;
}

static double epsilon_of(const reference *r) {
    return config_of(r->b, &r->way, NULL).epsilon;
}

/* The batch's variance as it goes into the running one. */
static long double running_part(const reference *r, long double var) {
    return r->way.running_variance == CLBN_RUNNING_UNBIASED && r->b->values > 1 ? definition_unbiased(var, r->b->values) : var;
}

static int running_var_stays(const reference *r) {
    return r->way.running_variance == CLBN_RUNNING_UNBIASED && r->b->values == 1;
}

void reference_by_definition(reference *r, const batch *b, const way *w, verb v) {
    reference_make(r, b, w, v);
    double *x = widened(b->x, b->count);
    long double *lo = numbers(b->shape.channels);
    if (v != INFERENCE) definition_moments(b->shape, x, r->mean, lo, r->var);
    for (size_t c = 0; c < b->shape.channels; c++) {
        if (v == INFERENCE) r->mean[c] = b->running_mean[c], r->var[c] = b->running_var[c];
        r->inv_std[c] = definition_inv_std(r->var[c], epsilon_of(r), w->epsilon_rule == CLBN_EPSILON_OUTSIDE);
        r->running_mean[c] = definition_running(b->running_mean[c], r->mean[c] + lo[c], w->update_weight);
        r->running_var[c] = running_var_stays(r)
                                ? b->running_var[c]
                                : definition_running(b->running_var[c], running_part(r, r->var[c]), w->update_weight);
    }
    double *gamma = widened(gamma_of(b, w), b->shape.channels), *beta = widened(beta_of(b, w), b->shape.channels);
    if (v != MOMENTS) definition_normalize(b->shape, x, r->mean, lo, r->inv_std, gamma, beta, NULL, r->y);
    for (size_t c = 0; c < b->shape.channels; c++) r->mean[c] += lo[c]; /* of float32, for which one long double will do */
    free(x), free(gamma), free(beta), free(lo);
}

void reference_by_cpu_path(reference *r, clbn_device *cpu, const batch *b, const way *w, verb v) {
    way plainly = *w;
    plainly.place = ON_HOST, plainly.offset = 0, plainly.outputs = RUNNING_AND_SAVED;
    clbn_config config = config_of(b, w, NULL);
    clbn_plan *plan = plan_of(cpu, &config);
    scene s;
    scene_make(&s, b, &plainly, v, NULL, plan, "the CPU path");
    result got = scene_run(&s, plan, NULL);
    reference_make(r, b, w, v);
    r->by_cpu_path = 1;
    for (size_t c = 0; c < b->shape.channels; c++) {
        r->mean[c] = (long double)got.mean[c] + got.mean_lo[c];
        r->var[c] = got.var[c];
        r->inv_std[c] = v == MOMENTS ? 0 : got.inv_std[c];
        r->running_mean[c] = v == TRAINING ? got.running_mean[c] : 0;
        r->running_var[c] = v == TRAINING ? got.running_var[c] : 0;
    }
    for (size_t i = 0; v != MOMENTS && i < b->count; i++) r->y[i] = got.y[i];
    scene_free(&s);
    clbn_plan_destroy(plan);
}

/* Fails, or keeps the ratio. Not finite must be so on both sides, and no infinity the other one. */
static void compare(quantity q, size_t channel, long double got, long double exact, long double bound, const char *title) {
    if (!isfinite(exact)) {
        if (isfinite(got) || (isinf(exact) && got == -exact))
            ck_abort_msg("%s: %s of channel %zu is %.9Lg instead of %.9Lg", title, quantities[q], channel, got, exact);
        return;
    }
    long double error = fabsl(got - exact);
    if (!(error <= bound))
        ck_abort_msg("%s: %s of channel %zu is %.12Lg instead of %.12Lg: an error of %.3Lg, where %.3Lg is allowed", title,
                     quantities[q], channel, got, exact, error, bound);
    if (bound > 0 && error / bound > worst[q].ratio) {
        worst[q].ratio = error / bound;
        snprintf(worst[q].title, sizeof worst[q].title, "%s", title);
    }
}

typedef long double bound_of_channel(bounds_of who, const bounds_channel *c);

static long double allowed(const reference *r, bounds_of who, bound_of_channel *bound, const bounds_channel *c) {
    return bound(who, c) + (r->by_cpu_path ? bound(BOUNDS_OF_CPU_PATH, c) : 0);
}

static bounds_channel channel_of(const reference *r, size_t c) {
    const float *gamma = gamma_of(r->b, &r->way), *beta = beta_of(r->b, &r->way);
    bounds_channel channel = {r->mean[c], r->var[c], r->inv_std[c], gamma ? gamma[c] : 1, beta ? beta[c] : 0, r->b->values};
    return channel;
}

static void judge_running(const reference *r, bounds_of who, const result *got, size_t c, const char *title) {
    const bounds_channel channel = channel_of(r, c);
    long double mean_bound = allowed(r, who, bounds_batch_mean, &channel), part = running_part(r, r->var[c]);
    long double var_bound = bounds_batch_var(who, part) + (r->by_cpu_path ? bounds_batch_var(BOUNDS_OF_CPU_PATH, part) : 0);
    double weight = r->way.update_weight;
    const bounds_of judges[] = {who, BOUNDS_OF_CPU_PATH};
    long double of_mean = 0, of_var = 0;
    for (int k = 0; k <= r->by_cpu_path; k++) {
        of_mean += bounds_running(judges[k], r->b->running_mean[c], r->mean[c], weight, mean_bound);
        of_var += bounds_running(judges[k], r->b->running_var[c], part, weight, var_bound);
    }
    if (running_var_stays(r)) of_var = 0;
    compare(RUNNING_MEAN, c, got->running_mean[c], r->running_mean[c], of_mean, title);
    compare(RUNNING_VAR, c, got->running_var[c], r->running_var[c], of_var, title);
}

/* The statistics that normalized: exactly the given ones in inference. */
static void judge_saved(const reference *r, bounds_of who, const result *got, size_t c, const char *title) {
    const bounds_channel channel = channel_of(r, c);
    int given = r->verb == INFERENCE;
    compare(MEAN, c, got->mean[c], r->mean[c], given ? 0 : allowed(r, who, bounds_mean, &channel), title);
    if (isfinite(r->mean[c]))
        compare(MEAN_PAIR, c, (long double)got->mean[c] + got->mean_lo[c], r->mean[c],
                given ? 0 : allowed(r, who, bounds_mean_pair, &channel), title);
    compare(VAR, c, got->var[c], r->var[c], given ? 0 : allowed(r, who, bounds_var, &channel), title);
    if (got->inv_std && isfinite(r->var[c]))
        compare(INV_STD, c, got->inv_std[c], r->inv_std[c], allowed(r, who, bounds_inv_std, &channel), title);
}

static void judge_y(const reference *r, bounds_of who, const float *y, const char *title) {
    const definition_shape s = r->b->shape;
    for (size_t c = 0; c < s.channels; c++) {
        bounds_channel channel = channel_of(r, c);
        if (r->verb == INFERENCE) channel.mean = channel.var = 0; /* given, so without an error */
        for (size_t o = 0; o < s.outer; o++)
            for (size_t i = 0; i < s.inner; i++) {
                size_t at = (o * s.channels + c) * s.inner + i;
                const long double gamma_xhat = r->y[at] - channel.beta, bound = bounds_y(who, &channel, gamma_xhat);
                if (fabsl(y[at] - r->y[at]) < worst[Y].ratio * bound)
                    continue; /* nor does the CPU path's part make it the worst */
                compare(Y, c, y[at], r->y[at], bound + (r->by_cpu_path ? bounds_y(BOUNDS_OF_CPU_PATH, &channel, gamma_xhat) : 0),
                        title);
            }
    }
}

void judge(const reference *r, bounds_of who, const result *got, const char *title) {
    for (size_t c = 0; c < r->b->shape.channels; c++) {
        if (got->running_mean) judge_running(r, who, got, c, title);
        if (got->mean) judge_saved(r, who, got, c, title);
    }
    if (got->y) judge_y(r, who, got->y, title);
}

bounds_of tested_bounds(void) {
    return tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
}

void judge_report(void) {
    for (int q = 0; q < QUANTITIES; q++)
        if (worst[q].ratio > 0) printf("worst %-14s %.3Lf of its bound in %s\n", quantities[q], worst[q].ratio, worst[q].title);
}
