/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch to be judged: see setting.h.
 */
#include "setting.h"
#include "stored.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void heard_hear(void *by, const finding *f) {
    heard *h = by;
    h->findings++, h->misses += (size_t)f->miss;
    h->last = *f;
    if (f->miss) h->miss = *f;
    if (!h->name || strcmp(h->name, f->what)) return;
    h->named++, h->named_misses += (size_t)f->miss;
}

/* added: to what, or NULL. */
static double *rounded(clbn_dtype type, const long double *exact, size_t count, const double *added) {
    double *values = calloc(count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t k = 0; k < count; k++) values[k] = stored_round(type, exact[k] + (added ? added[k] : 0));
    return values;
}

void setting_open(setting *s, clbn_dtype type, data_kind data, const problem *how) {
    static data_case of = {"judged", 3, {ROWS, CHANNELS, INNER}, 1, NORMAL};
    const clbn_dtype real = type == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    memset(s, 0, sizeof *s);
    of.data = data;
    ck_assert(data_make(&s->b, &of, 0));
    s->x = data_x(&s->b, type);
    s->dy = data_dy(&s->b, type, DY_NORMAL, 5);
    s->residual = data_numbers(COUNT, type, NULL, 6);
    s->gamma = data_numbers(CHANNELS, real, s->b.gamma, 7), s->beta = data_numbers(CHANNELS, real, s->b.beta, 8);
    s->running_mean = data_numbers(CHANNELS, real, s->b.running_mean, 9);
    s->running_var = data_numbers(CHANNELS, real, s->b.running_var, 10);
    s->given = (problem){.shape = s->b.shape, .values = s->b.values, .x_type = type, .y_type = type};
    s->given.epsilon = 1e-5, s->given.update_weight = 0.1, s->given.unbiased = 1;
    s->given.x = s->x, s->given.dy = s->dy, s->given.residual = s->residual;
    s->given.gamma = s->gamma, s->given.beta = s->beta;
    s->given.running_mean = s->running_mean, s->given.running_var = s->running_var;
    if (how) {
        problem *p = &s->given;
        p->act = how->act, p->accumulate = how->accumulate, p->outside = how->outside, p->population = how->population;
        p->recomputed = how->recomputed, p->without_lo = how->without_lo;
    }
    s->given.old_dx = s->dy, s->given.old_dresidual = s->residual, s->given.old_dgamma = s->gamma, s->given.old_dbeta = s->beta;
    ck_assert(answer_make(&s->exact, &s->given));
    const answer *a = &s->exact;
    const int adds = s->given.accumulate != 0;
    s->got = (outcome){.y = rounded(type, a->y, COUNT, NULL),
                       .mean = rounded(real, a->mean, CHANNELS, NULL),
                       .mean_lo = calloc(CHANNELS + 1, sizeof(double)),
                       .var = rounded(real, a->var, CHANNELS, NULL),
                       .inv_std = rounded(real, a->inv_std, CHANNELS, NULL),
                       .running_mean = rounded(real, a->running_mean, CHANNELS, NULL),
                       .running_var = rounded(real, a->running_var, CHANNELS, NULL),
                       .dx = rounded(type, a->dx, COUNT, adds ? s->dy : NULL),
                       .dresidual = rounded(type, a->g, COUNT, adds ? s->residual : NULL),
                       .dgamma = rounded(real, a->dgamma, CHANNELS, adds ? s->gamma : NULL),
                       .dbeta = rounded(real, a->dbeta, CHANNELS, adds ? s->beta : NULL)};
    ck_assert_ptr_nonnull(s->got.mean_lo);
    for (size_t c = 0; c < CHANNELS; c++) s->got.mean_lo[c] = stored_round(real, (a->mean[c] - s->got.mean[c]) + a->mean_lo[c]);
}

void setting_close(setting *s) {
    double *all[] = {s->x,
                     s->dy,
                     s->residual,
                     s->gamma,
                     s->beta,
                     s->running_mean,
                     s->running_var,
                     s->got.y,
                     s->got.mean,
                     s->got.mean_lo,
                     s->got.var,
                     s->got.inv_std,
                     s->got.dx,
                     s->got.dbeta,
                     s->got.dresidual,
                     s->got.running_mean,
                     s->got.running_var,
                     s->got.dgamma};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    answer_free(&s->exact);
    data_free(&s->b);
}

heard setting_judged(const setting *s, bounds_of who, const char *name) {
    heard h = {.name = name};
    const hearing to = {heard_hear, &h};
    judge_forward(&to, &s->exact, who, &s->got);
    judge_backward(&to, &s->exact, who, &s->got);
    return h;
}

double *setting_array(const outcome *o, size_t k, const char **name, size_t *count) {
    static const char *const names[] = {"y",           "mean", "mean pair", "var",    "inv_std", "running_mean",
                                        "running_var", "dx",   "dresidual", "dgamma", "dbeta",   NULL};
    double *const arrays[] = {o->y,           o->mean, o->mean_lo,   o->var,    o->inv_std, o->running_mean,
                              o->running_var, o->dx,   o->dresidual, o->dgamma, o->dbeta,   NULL};
    *name = names[k];
    *count = k == 0 || k == 7 || k == 8 ? COUNT : CHANNELS;
    return arrays[k];
}
