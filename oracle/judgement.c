/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls must leave, and the judgement of what is per channel: see judgement.h.
 */
#include "judgement.h"
#include "stored.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------------------- one value */

/* half of error may be its last rounding, and beside it bound is allowed. */
static void tell(const hearing *h, finding f, long double half, long double bound) {
    const long double left = f.error - half;
    f.ratio = f.error == 0 ? 0 : f.bound > 0 ? f.error / f.bound : INFINITY;
    f.before = !f.rounded ? f.ratio : left <= 0 ? 0 : bound > 0 ? left / bound : INFINITY;
    h->hear(h->by, &f);
}

/* What is not finite has no size: infinite must be so, of its sign, or NaN, as NaN must be. 1 where that was all to be said. */
static int is_not_finite(const hearing *h, finding f) {
    if (isfinite(f.exact)) return 0;
    f.miss = isfinite(f.got) || (isinf(f.exact) && f.got == -f.exact);
    f.ratio = f.before = f.miss ? INFINITY : 0;
    f.error = f.miss ? INFINITY : 0;
    h->hear(h->by, &f);
    return 1;
}

/* Is got the infinity that a value past the type's largest becomes? */
static int is_beyond(clbn_dtype type, double got, long double exact, long double bound) {
    return isinf(got) && (got == stored_round(type, exact - bound) || got == stored_round(type, exact + bound));
}

void judge_pair(const hearing *h, bounds_of who, const char *what, const long double got[2], const long double exact[2],
                long double bound) {
    finding f = {.what = what, .who = who, .got = got[0] + got[1], .exact = exact[0] + exact[1], .bound = bound};
    if (is_not_finite(h, f)) return;
    f.error = fabsl((got[0] - exact[0]) + (got[1] - exact[1]));
    f.miss = !(f.error <= bound);
    if (isnan(f.error)) f.error = INFINITY;
    tell(h, f, 0, bound);
}

void judge_within(const hearing *h, bounds_of who, const char *what, long double got, long double exact, long double bound) {
    judge_pair(h, who, what, (const long double[]){got, 0}, (const long double[]){exact, 0}, bound);
}

/* Half the distance from got to the type's next value on exact's side. */
static long double half_between(clbn_dtype type, double got, long double exact) {
    return stored_half_ulp(type, fabsl(got) < fabsl(exact) ? got : exact);
}

void judge_value(const hearing *h, bounds_of who, clbn_dtype type, const char *what, double got, long double exact,
                 long double bound) {
    const clbn_dtype real = bounds_is_f64(who) ? CLBN_F64 : CLBN_F32;
    finding f = {.what = what, .who = who, .got = got, .exact = exact, .rounded = 1};
    if (!bounds_is_cpu_path(who)) bound += bounds_least(who);
    if (type == real && !bounds_is_cpu_path(who) && !is_beyond(type, got, exact, bound)) { /* the rounding is in the promise */
        judge_within(h, who, what, got, exact, bound);
        return;
    }
    if (is_not_finite(h, f)) return;
    if (type != real) bound += bounds_real(who) * (fabsl(exact) + bound);
    f.bound = bound + stored_half_ulp(type, fabsl(exact) + bound);
    f.error = fabsl(got - exact);
    f.miss = !(got >= stored_round(type, exact - bound) && got <= stored_round(type, exact + bound));
    if (isnan(f.error)) f.error = INFINITY;
    if (!f.miss && isinf(f.error)) f.error = 0; /* beyond the type's largest, as it must be */
    tell(h, f, isfinite(got) ? half_between(type, got, exact) : 0, bound);
}

/* --------------------------------------------------------------------------------------------------------------- the exact */

static void exact_statistics(answer *a) {
    const problem *p = a->of;
    if (!p->population) definition_moments(p->shape, p->x, a->mean, a->mean_lo, a->var);
    for (size_t c = 0; c < p->shape.channels; c++) {
        if (p->population) a->mean[c] = p->running_mean[c], a->var[c] = p->running_var[c];
        a->inv_std[c] = definition_inv_std(a->var[c], p->epsilon, p->outside);
        if (!p->running_mean) continue;
        /* With one value there is no n / (n - 1), and the running variance stays. */
        const int stays = p->unbiased && p->values == 1;
        const long double part = p->unbiased && !stays ? definition_unbiased(a->var[c], p->values) : a->var[c];
        a->running_mean[c] = definition_running(p->running_mean[c], a->mean[c] + a->mean_lo[c], p->update_weight);
        a->running_var[c] = stays ? p->running_var[c] : definition_running(p->running_var[c], part, p->update_weight);
    }
}

static void exact_gradients(answer *a) {
    const problem *p = a->of;
    const definition_backward backward = {.shape = p->shape,
                                          .x = p->x,
                                          .dy = p->dy,
                                          .gamma = p->gamma,
                                          .v = a->v,
                                          .mean = a->mean,
                                          .mean_lo = a->mean_lo,
                                          .var = a->var,
                                          .inv_std = a->inv_std,
                                          .act = p->act,
                                          .outside = p->outside,
                                          .population = p->population};
    definition_gradients(&backward, a->g, a->dx, a->dgamma, a->dbeta);
}

int answer_make(answer *a, const problem *of) {
    const size_t channels = of->shape.channels, count = of->values * channels;
    memset(a, 0, sizeof *a);
    a->of = of;
    long double **all[] = {&a->of_var,       &a->mean,        &a->mean_lo, &a->var, &a->inv_std, &a->dgamma, &a->dbeta,
                           &a->running_mean, &a->running_var, &a->of_mean, &a->v,   &a->y,       &a->g,      &a->dx};
    int made = 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = calloc((i < 10 ? channels : count) + 1, sizeof(long double));
        made = made && *all[i];
    }
    if (!made) {
        answer_free(a);
        return 0;
    }
    exact_statistics(a);
    definition_normalize(of->shape, of->x, a->mean, a->mean_lo, a->inv_std, of->gamma, of->beta, of->residual, a->v);
    for (size_t k = 0; k < count; k++) a->y[k] = definition_activate(&of->act, a->v[k]);
    if (of->dy) exact_gradients(a);
    return 1;
}

void answer_free(answer *a) {
    long double *all[] = {a->of_var,       a->mean,        a->mean_lo, a->var, a->inv_std, a->dgamma, a->dbeta,
                          a->running_mean, a->running_var, a->of_mean, a->v,   a->y,       a->g,      a->dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(a, 0, sizeof *a);
}

/* ----------------------------------------------------------------------------------------------------------------- in parts */

void answer_rows(const problem *p, size_t first_row, size_t rows, long double **mean, long double **var) {
    const definition_shape s = p->shape;
    *mean = calloc(2 * s.channels + 1, sizeof **mean);
    *var = calloc(s.channels + 1, sizeof **var);
    if (*mean && *var && rows)
        definition_moments((definition_shape){rows, s.channels, s.inner}, p->x + first_row * s.channels * s.inner, *mean,
                           *mean + s.channels, *var);
}

int answer_of_part(answer *a, size_t first_row, size_t rows, int roundings) {
    const problem *p = a->of;
    const int f64 = p->x_type == CLBN_F64 || p->y_type == CLBN_F64;
    const long double u = f64 ? 0x1p-106L : 0x1p-48L, least = bounds_least(f64 ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_CPU_PATH);
    long double *mean, *var;
    answer_rows(p, first_row, rows, &mean, &var);
    for (size_t c = 0; mean && var && c < p->shape.channels; c++) {
        a->of_mean[c] = fmaxl(a->of_mean[c], roundings * u * fabsl(mean[c]));
        a->of_var[c] += roundings * (u * a->var[c] + least / (long double)p->values); /* no part's M2 is above the whole's */
    }
    const int made = mean && var;
    free(mean), free(var);
    return made;
}

int judge_moments_part(const hearing *h, const problem *p, bounds_of who, size_t first_row, size_t rows, const double *part) {
    const size_t n = p->shape.channels;
    long double *mean, *var;
    answer_rows(p, first_row, rows, &mean, &var);
    for (size_t c = 0; mean && var && c < n; c++) {
        const double *at = part + c;
        const bounds_channel of = {mean[c], var[c], 0, 1, 0, rows * p->shape.inner};
        const long double values = (long double)of.values, exact[] = {mean[c], mean[n + c]};
        judge_pair(h, who, "part's mean, high", (const long double[]){at[0], 0}, exact, bounds_mean(who, &of));
        judge_pair(h, who, "part's mean", (const long double[]){at[0], at[n]}, exact, bounds_mean_pair(who, &of));
        judge_within(h, who, "part's M2", (long double)at[2 * n] + at[3 * n], values * var[c],
                     values * bounds_var(who, &of) + bounds_least(who));
        judge_within(h, who, "part's last array", at[4 * n], 0, 0);
    }
    const int made = mean && var;
    free(mean), free(var);
    return made;
}
