/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls must leave: see verdict.h.
 */
#include "verdict.h"
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- the report */

enum { QUANTITIES = 64 };
static struct {
    const char *what;
    const char *whose;
    long double ratio;
    char title[900];
} worst[QUANTITIES];

/* rounded: half an ulp of the result's type is in the bound, and so often all of the error. */
static void keep(const char *what, bounds_of who, int rounded, long double ratio, const char *title) {
    static const char *const all[][2] = {{"the CPU path", "the CPU path, rounded"},
                                         {"a device", "a device, rounded"},
                                         {"the CPU path, float64", "the CPU path, float64, rounded"},
                                         {"a device, float64", "a device, float64, rounded"}};
    const char *const name = all[who][rounded];
    for (int q = 0; q < QUANTITIES; q++) {
        if (worst[q].what && (worst[q].whose != name || (worst[q].what != what && strcmp(worst[q].what, what)))) continue;
        if (worst[q].what && worst[q].ratio >= ratio) return;
        worst[q].what = what, worst[q].whose = name, worst[q].ratio = ratio;
        snprintf(worst[q].title, sizeof worst[q].title, "%s", title);
        return;
    }
}

void verdict_report(void) {
    for (int q = 0; q < QUANTITIES && worst[q].what; q++)
        printf("worst %-12s of %s: %.3Lf of its bound in %s\n", worst[q].what, worst[q].whose, worst[q].ratio, worst[q].title);
}

/* -------------------------------------------------------------------------------------------------------------- one value */

bounds_of bounds_for(int cpu_path, const manner *m) {
    if (cpu_path) return manner_is_f64(m) ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_CPU_PATH;
    return manner_is_f64(m) ? BOUNDS_OF_DEVICE_F64 : BOUNDS_OF_DEVICE;
}

/* The bound holds the rounding too. */
static void judge_within(bounds_of who, const char *what, double got, long double exact, long double bound, const char *title) {
    if (!isfinite(exact)) {
        if (isfinite(got)) ck_abort_msg("%s is %.9g, and must not be finite: %s", what, got, title);
        return;
    }
    const long double error = fabsl(got - exact);
    if (!(error <= bound))
        ck_abort_msg("%s is %.12g instead of %.12Lg: an error of %.3Lg, where %.3Lg is allowed: %s", what, got, exact, error,
                     bound, title);
    if (bound > 0) keep(what, who, 0, error / bound, title);
}

void verdict_value(bounds_of who, clbn_dtype type, const char *what, double got, long double exact, long double bound,
                   const char *title) {
    const clbn_dtype real = bounds_is_f64(who) ? CLBN_F64 : CLBN_F32;
    if (!isfinite(exact)) {
        if (isfinite(got)) ck_abort_msg("%s is %.9g, and must not be finite: %s", what, got, title);
        return;
    }
    if (!bounds_is_cpu_path(who)) bound += FLT_MIN; /* a device may flush what is below the normal numbers */
    if (type != real) bound += bounds_real(who) * (fabsl(exact) + bound);
    if (type == real && !bounds_is_cpu_path(who)) { /* the rounding is in the promise */
        judge_within(who, what, got, exact, bound, title);
        return;
    }
    const long double error = fabsl(got - exact), half = stored_half_ulp(type, fabsl(exact) + bound);
    if (!(got >= stored_round(type, exact - bound) && got <= stored_round(type, exact + bound)))
        ck_abort_msg("%s is %.12g instead of %.12Lg: an error of %.3Lg, where %.3Lg and half an ulp, %.3Lg, are allowed: %s",
                     what, got, exact, error, bound, half, title);
    if (isfinite(got) && bound + half > 0) keep(what, who, 1, error / (bound + half), title);
}

/* --------------------------------------------------------------------------------------------------------------- the exact */

static long double *numbers(size_t n) {
    long double *p = calloc(n + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

static int is_outside(const material *m) {
    return manner_config(&m->m).epsilon_rule == CLBN_EPSILON_OUTSIDE;
}

/* Does the running variance take in var * n / (n - 1)? With one value it stays. */
static int is_unbiased(const material *m) {
    return m->running_variance == CLBN_RUNNING_UNBIASED;
}

static void exact_statistics(verdict *v) {
    const material *m = v->of;
    const int population = m->m.level[BY_STATISTICS] == OF_POPULATION;
    const double weight = m->update_weight;
    if (!population) definition_moments(m->b->shape, m->x, v->mean, v->var);
    for (size_t c = 0; c < m->b->shape.channels; c++) {
        if (population) v->mean[c] = m->running_mean[c], v->var[c] = m->running_var[c];
        v->inv_std[c] = definition_inv_std(v->var[c], m->epsilon, is_outside(m));
        const int stays = is_unbiased(m) && m->b->values == 1;
        const long double part = is_unbiased(m) && !stays ? definition_unbiased(v->var[c], m->b->values) : v->var[c];
        v->running_mean[c] = definition_running(m->running_mean[c], v->mean[c], weight);
        v->running_var[c] = stays ? m->running_var[c] : definition_running(m->running_var[c], part, weight);
    }
}

void verdict_make(verdict *v, const material *of) {
    const batch *b = of->b;
    const size_t n = b->shape.channels;
    const definition_activation act = manner_activation(&of->m);
    memset(v, 0, sizeof *v);
    v->of = of;
    long double **channels[] = {&v->mean,  &v->var,          &v->inv_std,     &v->dgamma,
                                &v->dbeta, &v->running_mean, &v->running_var, &v->of_mean};
    long double **elements[] = {&v->v, &v->y, &v->g, &v->dx};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) *channels[i] = numbers(n);
    for (size_t i = 0; i < 4; i++) *elements[i] = numbers(b->count);
    exact_statistics(v);
    definition_normalize(b->shape, of->x, v->mean, v->inv_std, material_gamma(of), material_beta(of), material_residual(of),
                         v->v);
    for (size_t k = 0; k < b->count; k++) v->y[k] = definition_activate(&act, v->v[k]);
    const definition_backward backward = {.shape = b->shape,
                                          .x = of->x,
                                          .dy = of->dy,
                                          .gamma = material_gamma(of),
                                          .v = v->v,
                                          .mean = v->mean,
                                          .var = v->var,
                                          .inv_std = v->inv_std,
                                          .act = act,
                                          .outside = is_outside(of),
                                          .population = of->m.level[BY_STATISTICS] == OF_POPULATION};
    definition_gradients(&backward, v->g, v->dx, v->dgamma, v->dbeta);
}

void verdict_free(verdict *v) {
    long double *all[] = {v->mean,        v->var,     v->inv_std, v->dgamma, v->dbeta, v->running_mean,
                          v->running_var, v->of_mean, v->v,       v->y,      v->g,     v->dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(v, 0, sizeof *v);
}

/* ---------------------------------------------------------------------------------------------------------- the comparison */

/* Channel c, as forward or backward uses it. */
static bounds_step step_of(const verdict *v, bounds_of who, size_t c, int backward) {
    const material *m = v->of;
    const double *gamma = material_gamma(m), *beta = material_beta(m);
    const unsigned saved = m->m.level[BY_SAVED];
    const definition_activation act = manner_activation(&m->m);
    const bounds_channel of = {v->mean[c], v->var[c], v->inv_std[c], gamma ? gamma[c] : 1, beta ? beta[c] : 0, m->b->values};
    return (bounds_step){.who = who,
                         .of = of,
                         .population = m->m.level[BY_STATISTICS] == OF_POPULATION,
                         .as_saved = act.kind != DEFINITION_IDENTITY || (backward && saved != RECOMPUTED),
                         .no_lo = backward && saved == SAVED_WITHOUT_LO,
                         .outside = is_outside(m),
                         .act = act,
                         .of_mean = v->of_mean[c]};
}

typedef struct element {
    size_t at;
    long double about_mean, of_v;
} element;

/* The k-th value of channel c; of_v is what its v may be off. */
static element element_of(const verdict *v, const bounds_step *s, size_t c, size_t k) {
    const definition_shape shape = v->of->b->shape;
    element e;
    e.at = (k / shape.inner * shape.channels + c) * shape.inner + k % shape.inner;
    e.about_mean = v->of->x[e.at] - v->mean[c];
    e.of_v = bounds_v(s, s->of.gamma * e.about_mean * s->of.inv_std, v->of->m.level[BY_RESIDUAL] ? v->of->residual[e.at] : 0);
    return e;
}

/* What parts add to what the mean and the variance of a channel may be off. */
static long double of_mean(const verdict *v, bounds_of who, size_t c) {
    return bounds_is_cpu_path(who) ? v->of_mean[c] : 0;
}

static long double of_var(const verdict *v, bounds_of who, size_t c) {
    return 2 * of_mean(v, who, c) * sqrtl(v->var[c]);
}

static void judge_running(const verdict *v, bounds_of who, const outcome *got, size_t c, const char *title) {
    const material *m = v->of;
    const bounds_channel of = {v->mean[c], v->var[c], v->inv_std[c], 1, 0, m->b->values};
    const int stays = is_unbiased(m) && m->b->values == 1;
    const long double part = is_unbiased(m) && !stays ? definition_unbiased(v->var[c], m->b->values) : v->var[c];
    const double weight = m->update_weight;
    judge_within(who, "running_mean", got->running_mean[c], v->running_mean[c],
                 v->peer.running_mean + bounds_running(who, m->running_mean[c], v->mean[c], weight,
                                                       bounds_batch_mean(who, &of) + of_mean(v, who, c)),
                 title);
    judge_within(
        who, "running_var", got->running_var[c], v->running_var[c],
        v->peer.running_var +
            (stays ? 0 : bounds_running(who, m->running_var[c], part, weight, bounds_batch_var(who, part) + of_var(v, who, c))),
        title);
}

static void judge_saved(const verdict *v, bounds_of who, const outcome *got, size_t c, const char *title) {
    const bounds_channel of = {v->mean[c], v->var[c], v->inv_std[c], 1, 0, v->of->b->values};
    const int given = v->of->m.level[BY_STATISTICS] == OF_POPULATION;
    judge_within(who, "mean", got->mean[c], v->mean[c], given ? 0 : bounds_mean(who, &of) + of_mean(v, who, c), title);
    if (got->mean_lo && isfinite(v->mean[c])) {
        const long double error = fabsl((long double)got->mean[c] + got->mean_lo[c] - v->mean[c]);
        const long double bound = given ? 0 : bounds_mean_pair(who, &of) + of_mean(v, who, c);
        ck_assert_msg(error <= bound, "mean + mean_lo is off by %.3Lg, where %.3Lg is allowed: %s", error, bound, title);
        if (bound > 0) keep("mean pair", who, 0, error / bound, title);
    }
    if (got->var) judge_within(who, "var", got->var[c], v->var[c], given ? 0 : bounds_var(who, &of) + of_var(v, who, c), title);
    if (got->inv_std && isfinite(v->var[c]))
        judge_within(who, "inv_std", got->inv_std[c], v->inv_std[c],
                     bounds_inv_std(who, &of) + (v->var[c] > 0 ? of_mean(v, who, c) / sqrtl(v->var[c]) * v->inv_std[c] : 0),
                     title);
}

void verdict_forward(const verdict *v, bounds_of who, const outcome *got, const char *title) {
    for (size_t c = 0; c < v->of->b->shape.channels; c++) {
        if (got->running_mean) judge_running(v, who, got, c, title);
        if (got->mean) judge_saved(v, who, got, c, title);
        const bounds_step s = step_of(v, who, c, 0);
        for (size_t k = 0; got->y && k < v->of->b->values; k++) {
            const element e = element_of(v, &s, c, k);
            verdict_value(who, manner_y_type(&v->of->m), "y", got->y[e.at], v->y[e.at],
                          bounds_activated(&s, v->v[e.at], e.of_v) + v->peer.y, title);
        }
    }
}

/* A gradient that may have been added to what was there. */
static void judge_gradient(const verdict *v, bounds_of who, clbn_dtype type, const char *what, double got, double old,
                           unsigned bit, long double exact, long double bound, const char *title) {
    const unsigned how = v->of->m.level[BY_ACCUMULATE];
    const unsigned some = CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DBETA;
    if (how == ACCUMULATING || (how == ACCUMULATING_SOME && (bit & some))) {
        bound = bounds_accumulated(who, old, exact, bound);
        exact += old;
    }
    verdict_value(who, type, what, got, exact, bound, title);
}

static void judge_channel(const verdict *v, const bounds_step *s, const outcome *got, size_t c, const char *title) {
    const material *m = v->of;
    const clbn_dtype real = bounds_is_f64(s->who) ? CLBN_F64 : CLBN_F32;
    bounds_sums sums = {0};
    for (size_t k = 0; k < m->b->values; k++) {
        const element e = element_of(v, s, c, k);
        const long double of_g = bounds_g(s, v->v[e.at], e.of_v, m->dy[e.at]);
        bounds_sums_add(&sums, v->g[e.at], bounds_size(s, m->dy[e.at], v->g[e.at]), of_g, e.about_mean);
        if (got->dresidual)
            judge_gradient(v, s->who, manner_y_type(&m->m), "dresidual", got->dresidual[e.at], m->old_dresidual[e.at],
                           CLBN_ACCUMULATE_DRESIDUAL, v->g[e.at], of_g, title);
    }
    if (got->dgamma)
        judge_gradient(v, s->who, real, "dgamma", got->dgamma[c], m->old_dgamma[c], CLBN_ACCUMULATE_DGAMMA, v->dgamma[c],
                       bounds_dgamma(s, &sums) + v->peer.dgamma, title);
    if (got->dbeta)
        judge_gradient(v, s->who, real, "dbeta", got->dbeta[c], m->old_dbeta[c], CLBN_ACCUMULATE_DBETA, v->dbeta[c],
                       bounds_dbeta(s, &sums) + v->peer.dbeta, title);
    for (size_t k = 0; got->dx && k < m->b->values; k++) {
        const element e = element_of(v, s, c, k);
        const long double of_g = bounds_g(s, v->v[e.at], e.of_v, m->dy[e.at]);
        judge_gradient(v, s->who, manner_x_type(&m->m), "dx", got->dx[e.at], m->old_dx[e.at], CLBN_ACCUMULATE_DX, v->dx[e.at],
                       bounds_dx(s, &sums, bounds_size(s, m->dy[e.at], v->g[e.at]), of_g, e.about_mean) + v->peer.dx, title);
    }
}

void verdict_backward(const verdict *v, bounds_of who, const outcome *got, const char *title) {
    for (size_t c = 0; c < v->of->b->shape.channels; c++) {
        const bounds_step s = step_of(v, who, c, 1);
        judge_channel(v, &s, got, c, title);
    }
}

void verdict_sums(const verdict *v, bounds_of who, size_t first_row, size_t rows, const double *part, const double *dgamma,
                  const double *dbeta, const char *title) {
    const material *m = v->of;
    const definition_shape shape = m->b->shape;
    const clbn_dtype real = bounds_is_f64(who) ? CLBN_F64 : CLBN_F32;
    for (size_t c = 0; c < shape.channels; c++) {
        const bounds_step s = step_of(v, who, c, 1);
        const double *p = part + c;
        bounds_sums sums = {0};
        long double sum = 0;
        for (size_t k = first_row * shape.inner; k < (first_row + rows) * shape.inner; k++) {
            const element e = element_of(v, &s, c, k);
            bounds_sums_add(&sums, v->g[e.at], bounds_size(&s, m->dy[e.at], v->g[e.at]),
                            bounds_g(&s, v->v[e.at], e.of_v, m->dy[e.at]), e.about_mean);
            sum += v->g[e.at];
        }
        const long double of_sum = bounds_dbeta(&s, &sums), of_product = bounds_dgamma_of_rows(&s, &sums), r = s.of.inv_std;
        judge_within(who, "part's sum", (double)((long double)p[0] + p[shape.channels]), sum, of_sum + FLT_MIN, title);
        judge_within(who, "part's product", (double)(((long double)p[2 * shape.channels] + p[3 * shape.channels]) * r),
                     r * sums.exact_gx, of_product + FLT_MIN, title);
        ck_assert_msg(p[4 * shape.channels] == 0, "a part's last array holds %g: %s", p[4 * shape.channels], title);
        judge_gradient(v, who, real, "dgamma", dgamma[c], m->old_dgamma[c], CLBN_ACCUMULATE_DGAMMA, r * sums.exact_gx, of_product,
                       title);
        judge_gradient(v, who, real, "dbeta", dbeta[c], m->old_dbeta[c], CLBN_ACCUMULATE_DBETA, sum, of_sum, title);
    }
}
