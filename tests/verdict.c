/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls must leave: see verdict.h.
 */
#include "verdict.h"
#include "support.h"

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

static void keep(const finding *f, const char *title) {
    static const char *const all[][2] = {{"the CPU path", "the CPU path, rounded"},
                                         {"a device", "a device, rounded"},
                                         {"the CPU path, float64", "the CPU path, float64, rounded"},
                                         {"a device, float64", "a device, float64, rounded"}};
    const char *const name = all[f->who][f->rounded];
    for (int q = 0; q < QUANTITIES; q++) {
        if (worst[q].what && (worst[q].whose != name || (worst[q].what != f->what && strcmp(worst[q].what, f->what)))) continue;
        if (worst[q].what && worst[q].ratio >= f->ratio) return;
        worst[q].what = f->what, worst[q].whose = name, worst[q].ratio = f->ratio;
        snprintf(worst[q].title, sizeof worst[q].title, "%s", title);
        return;
    }
}

void verdict_report(void) {
    for (int q = 0; q < QUANTITIES && worst[q].what; q++)
        printf("worst %-12s of %s: %.3Lf of its bound in %s\n", worst[q].what, worst[q].whose, worst[q].ratio, worst[q].title);
}

/* A miss fails the test; by is the title. */
static void hear(void *by, const finding *f) {
    const char *title = by;
    if (!f->miss) {
        keep(f, title);
        return;
    }
    if (!isfinite(f->exact)) ck_abort_msg("%s is %.9Lg, and must not be finite: %s", f->what, f->got, title);
    ck_abort_msg("%s is %.12Lg instead of %.12Lg: an error of %.3Lg, where %.3Lg is allowed%s: %s", f->what, f->got, f->exact,
                 f->error, f->bound, f->rounded ? ", half an ulp in it" : "", title);
}

static hearing told(const char *title) {
    return (hearing){hear, (void *)(uintptr_t)title};
}

/* ------------------------------------------------------------------------------------------------------------ the judgement */

bounds_of bounds_for(int cpu_path, const manner *m) {
    if (cpu_path) return manner_is_f64(m) ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_CPU_PATH;
    return manner_is_f64(m) ? BOUNDS_OF_DEVICE_F64 : BOUNDS_OF_DEVICE;
}

void verdict_value(bounds_of who, clbn_dtype type, const char *what, double got, long double exact, long double bound,
                   const char *title) {
    const hearing h = told(title);
    judge_value(&h, who, type, what, got, exact, bound);
}

static problem problem_of(const material *m) {
    static const unsigned accumulate[] = {[REPLACING] = 0,
                                          [ACCUMULATING] = CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA |
                                                           CLBN_ACCUMULATE_DRESIDUAL,
                                          [ACCUMULATING_SOME] = CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DBETA};
    const clbn_config config = manner_config(&m->m);
    return (problem){.shape = m->b->shape,
                     .values = m->b->values,
                     .x_type = manner_x_type(&m->m),
                     .y_type = manner_y_type(&m->m),
                     .epsilon = m->epsilon,
                     .update_weight = m->update_weight,
                     .outside = config.epsilon_rule == CLBN_EPSILON_OUTSIDE,
                     .unbiased = m->running_variance == CLBN_RUNNING_UNBIASED,
                     .population = m->m.level[BY_STATISTICS] == OF_POPULATION,
                     .recomputed = m->m.level[BY_SAVED] == RECOMPUTED,
                     .without_lo = m->m.level[BY_SAVED] == SAVED_WITHOUT_LO,
                     .accumulate = accumulate[m->m.level[BY_ACCUMULATE]],
                     .act = manner_activation(&m->m),
                     .x = m->x,
                     .residual = material_residual(m),
                     .dy = m->dy,
                     .gamma = material_gamma(m),
                     .beta = material_beta(m),
                     .running_mean = m->running_mean,
                     .running_var = m->running_var,
                     .old_dx = m->old_dx,
                     .old_dresidual = m->old_dresidual,
                     .old_dgamma = m->old_dgamma,
                     .old_dbeta = m->old_dbeta};
}

void verdict_make(verdict *v, const material *of) {
    v->given = problem_of(of);
    if (!answer_make(&v->exact, &v->given)) ck_abort_msg("no memory for the exact results");
}

void verdict_follow(verdict *v, const material *of) {
    v->given = problem_of(of);
}

void verdict_free(verdict *v) {
    answer_free(&v->exact);
}

void verdict_forward(const verdict *v, bounds_of who, const outcome *got, const char *title) {
    const hearing h = told(title);
    judge_forward(&h, &v->exact, who, got);
}

void verdict_backward(const verdict *v, bounds_of who, const outcome *got, const char *title) {
    const hearing h = told(title);
    judge_backward(&h, &v->exact, who, got);
}

void verdict_moments_part(const verdict *v, bounds_of who, size_t first_row, size_t rows, const double *part, const char *title) {
    const hearing h = told(title);
    if (!judge_moments_part(&h, &v->given, who, first_row, rows, part)) ck_abort_msg("no memory for a part");
}

void verdict_sums(const verdict *v, bounds_of who, size_t first_row, size_t rows, const double *part, const double *dgamma,
                  const double *dbeta, const char *title) {
    const hearing h = told(title);
    judge_sums(&h, &v->exact, who, first_row, rows, part, dgamma, dbeta);
}
