/* SPDX-License-Identifier: Apache-2.0
 *
 * The judgement of forward and backward calls: see judgement.h.
 */
#include "judgement.h"

#include <math.h>

/* Channel c, as forward or backward uses it. */
static bounds_step step_of(const answer *a, bounds_of who, size_t c, int backward) {
    const problem *p = a->of;
    const bounds_channel of = {a->mean[c], a->var[c], a->inv_std[c], p->gamma ? p->gamma[c] : 1, p->beta ? p->beta[c] : 0,
                               p->values};
    return (bounds_step){.who = who,
                         .of = of,
                         .population = p->population,
                         .as_saved = p->act.kind != DEFINITION_IDENTITY || (backward && !p->recomputed),
                         .no_lo = backward && p->without_lo,
                         .outside = p->outside,
                         .act = p->act,
                         .of_mean = a->of_mean[c],
                         .of_var = a->of_var[c]};
}

typedef struct element {
    size_t at;
    long double about_mean, of_v;
} element;

/* The k-th value of channel c; of_v is what its v may be off. */
static element element_of(const answer *a, const bounds_step *s, size_t c, size_t k) {
    const definition_shape shape = a->of->shape;
    element e;
    e.at = (k / shape.inner * shape.channels + c) * shape.inner + k % shape.inner;
    e.about_mean = definition_about(a->of->x[e.at], a->mean[c], a->mean_lo[c]);
    e.of_v = bounds_v(s, s->of.gamma * e.about_mean * s->of.inv_std, a->of->residual ? a->of->residual[e.at] : 0);
    return e;
}

/* ---------------------------------------------------------------------------------------------------------------- forward */

/* What parts add to what the mean and the variance of a channel may be off. */
static long double of_mean(const answer *a, bounds_of who, size_t c) {
    return bounds_is_cpu_path(who) ? a->of_mean[c] : 0;
}

static long double of_var(const answer *a, bounds_of who, size_t c) {
    return bounds_is_cpu_path(who) ? 2 * of_mean(a, who, c) * sqrtl(a->var[c]) + a->of_var[c] : 0;
}

static void judge_running(const hearing *h, const answer *a, bounds_of who, const outcome *got, size_t c) {
    const problem *p = a->of;
    const bounds_channel of = {a->mean[c], a->var[c], a->inv_std[c], 1, 0, p->values};
    const int stays = p->unbiased && p->values == 1;
    const long double part = p->unbiased && !stays ? definition_unbiased(a->var[c], p->values) : a->var[c];
    const double weight = p->update_weight;
    judge_within(h, who, "running_mean", got->running_mean[c], a->running_mean[c],
                 bounds_running(who, p->running_mean[c], a->mean[c], weight, bounds_batch_mean(who, &of) + of_mean(a, who, c)));
    judge_within(h, who, "running_var", got->running_var[c], a->running_var[c],
                 stays ? 0
                       : bounds_running(who, p->running_var[c], part, weight, bounds_batch_var(who, part) + of_var(a, who, c)));
}

static void judge_saved(const hearing *h, const answer *a, bounds_of who, const outcome *got, size_t c) {
    const bounds_channel of = {a->mean[c], a->var[c], a->inv_std[c], 1, 0, a->of->values};
    const int given = a->of->population;
    const long double exact[] = {a->mean[c], a->mean_lo[c]};
    judge_pair(h, who, "mean", (const long double[]){got->mean[c], 0}, exact,
               given ? 0 : bounds_mean(who, &of) + of_mean(a, who, c));
    if (got->mean_lo && !isinf(a->mean[c]))
        judge_pair(h, who, "mean pair", (const long double[]){got->mean[c], got->mean_lo[c]}, exact,
                   given ? 0 : bounds_mean_pair(who, &of) + of_mean(a, who, c));
    if (got->var) judge_within(h, who, "var", got->var[c], a->var[c], given ? 0 : bounds_var(who, &of) + of_var(a, who, c));
    if (got->inv_std && !isinf(a->var[c]))
        judge_within(h, who, "inv_std", got->inv_std[c], a->inv_std[c],
                     bounds_inv_std(who, &of) + (a->var[c] > 0 ? of_var(a, who, c) / a->var[c] / 2 * a->inv_std[c] : 0));
}

void judge_forward(const hearing *h, const answer *a, bounds_of who, const outcome *got) {
    for (size_t c = 0; c < a->of->shape.channels; c++) {
        if (got->running_mean) judge_running(h, a, who, got, c);
        if (got->mean) judge_saved(h, a, who, got, c);
        const bounds_step s = step_of(a, who, c, 0);
        for (size_t k = 0; got->y && k < a->of->values; k++) {
            const element e = element_of(a, &s, c, k);
            judge_value(h, who, a->of->y_type, "y", got->y[e.at], a->y[e.at], bounds_activated(&s, a->v[e.at], e.of_v));
        }
    }
}

/* --------------------------------------------------------------------------------------------------------------- backward */

/* A gradient that may have been added to what was there. */
static void judge_gradient(const hearing *h, const answer *a, bounds_of who, clbn_dtype type, const char *what, double got,
                           const double *old, unsigned bit, long double exact, long double bound) {
    if (a->of->accumulate & bit) {
        bound = bounds_accumulated(who, *old, exact, bound);
        exact += *old;
    }
    judge_value(h, who, type, what, got, exact, bound);
}

/* The nth of what a gradient is added to. */
static const double *old(const double *values, size_t n) {
    return values ? values + n : NULL;
}

static clbn_dtype real_of(bounds_of who) {
    return bounds_is_f64(who) ? CLBN_F64 : CLBN_F32;
}

static void judge_channel(const hearing *h, const answer *a, const bounds_step *s, const outcome *got, size_t c) {
    const problem *p = a->of;
    const clbn_dtype real = real_of(s->who);
    bounds_sums sums = {0};
    for (size_t k = 0; k < p->values; k++) {
        const element e = element_of(a, s, c, k);
        const long double of_g = bounds_g(s, a->v[e.at], e.of_v, p->dy[e.at]);
        bounds_sums_add(&sums, a->g[e.at], bounds_size(s, p->dy[e.at], a->g[e.at]), of_g, e.about_mean);
        if (got->dresidual)
            judge_gradient(h, a, s->who, p->y_type, "dresidual", got->dresidual[e.at], old(p->old_dresidual, e.at),
                           CLBN_ACCUMULATE_DRESIDUAL, a->g[e.at], of_g);
    }
    if (got->dgamma)
        judge_gradient(h, a, s->who, real, "dgamma", got->dgamma[c], old(p->old_dgamma, c), CLBN_ACCUMULATE_DGAMMA, a->dgamma[c],
                       bounds_dgamma(s, &sums));
    if (got->dbeta)
        judge_gradient(h, a, s->who, real, "dbeta", got->dbeta[c], old(p->old_dbeta, c), CLBN_ACCUMULATE_DBETA, a->dbeta[c],
                       bounds_dbeta(s, &sums));
    for (size_t k = 0; got->dx && k < p->values; k++) {
        const element e = element_of(a, s, c, k);
        const long double of_g = bounds_g(s, a->v[e.at], e.of_v, p->dy[e.at]);
        judge_gradient(h, a, s->who, p->x_type, "dx", got->dx[e.at], old(p->old_dx, e.at), CLBN_ACCUMULATE_DX, a->dx[e.at],
                       bounds_dx(s, &sums, bounds_size(s, p->dy[e.at], a->g[e.at]), of_g, e.about_mean));
    }
}

void judge_backward(const hearing *h, const answer *a, bounds_of who, const outcome *got) {
    for (size_t c = 0; c < a->of->shape.channels; c++) {
        const bounds_step s = step_of(a, who, c, 1);
        judge_channel(h, a, &s, got, c);
    }
}

void judge_sums(const hearing *h, const answer *a, bounds_of who, size_t first_row, size_t rows, const double *part,
                const double *dgamma, const double *dbeta) {
    const problem *p = a->of;
    const definition_shape shape = p->shape;
    const clbn_dtype real = real_of(who);
    for (size_t c = 0; c < shape.channels; c++) {
        const bounds_step s = step_of(a, who, c, 1);
        const double *at = part + c;
        bounds_sums sums = {0};
        long double sum = 0;
        for (size_t k = first_row * shape.inner; k < (first_row + rows) * shape.inner; k++) {
            const element e = element_of(a, &s, c, k);
            bounds_sums_add(&sums, a->g[e.at], bounds_size(&s, p->dy[e.at], a->g[e.at]),
                            bounds_g(&s, a->v[e.at], e.of_v, p->dy[e.at]), e.about_mean);
            sum += a->g[e.at];
        }
        const long double of_sum = bounds_dbeta(&s, &sums), of_product = bounds_dgamma_of_rows(&s, &sums), r = s.of.inv_std;
        judge_within(h, who, "part's sum", (double)((long double)at[0] + at[shape.channels]), sum, of_sum + bounds_least(who));
        judge_within(h, who, "part's product", (double)(((long double)at[2 * shape.channels] + at[3 * shape.channels]) * r),
                     r * sums.exact_gx, of_product + bounds_least(who));
        judge_within(h, who, "part's last array", at[4 * shape.channels], 0, 0);
        judge_gradient(h, a, who, real, "part's dgamma", dgamma[c], old(p->old_dgamma, c), CLBN_ACCUMULATE_DGAMMA,
                       r * sums.exact_gx, of_product);
        judge_gradient(h, a, who, real, "part's dbeta", dbeta[c], old(p->old_dbeta, c), CLBN_ACCUMULATE_DBETA, sum, of_sum);
    }
}
