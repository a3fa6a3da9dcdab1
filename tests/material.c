/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of calls: see material.h.
 */
#include "material.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static double *must(double *values) {
    ck_assert_ptr_nonnull(values);
    return values;
}

void material_make(material *m, const batch *b, const manner *how) {
    const clbn_dtype x = manner_x_type(how), y = manner_y_type(how), real = manner_is_f64(how) ? CLBN_F64 : CLBN_F32;
    const size_t n = b->shape.channels;
    memset(m, 0, sizeof *m);
    m->b = b, m->m = *how;
    m->epsilon = b->of->data == SMALL_SIGMA ? 0 : manner_config(how).epsilon;
    m->update_weight = manner_update_weight(how), m->running_variance = manner_config(how).running_variance;
    m->x = must(data_x(b, x));
    m->residual = must(data_numbers(b->count, y, NULL, b->seed + 1));
    m->dy = must(data_numbers(b->count, y, NULL, b->seed + 2));
    m->old_dx = must(data_numbers(b->count, x, NULL, b->seed + 3));
    m->old_dresidual = must(data_numbers(b->count, y, NULL, b->seed + 4));
    m->gamma = must(data_numbers(n, real, b->gamma, b->seed + 5));
    m->beta = must(data_numbers(n, real, b->beta, b->seed + 6));
    m->running_mean = must(data_numbers(n, real, b->running_mean, b->seed + 7));
    m->running_var = must(data_numbers(n, real, b->running_var, b->seed + 8));
    m->old_dgamma = must(data_numbers(n, real, NULL, b->seed + 9));
    m->old_dbeta = must(data_numbers(n, real, NULL, b->seed + 10));
}

void material_free(material *m) {
    double *all[] = {m->x,    m->residual,     m->dy,          m->old_dx,     m->old_dresidual, m->gamma,
                     m->beta, m->running_mean, m->running_var, m->old_dgamma, m->old_dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(m, 0, sizeof *m);
}

const double *material_gamma(const material *m) {
    const unsigned affine = m->m.level[BY_AFFINE];
    return affine == GAMMA_BETA || affine == GAMMA_ALONE ? m->gamma : NULL;
}

const double *material_beta(const material *m) {
    const unsigned affine = m->m.level[BY_AFFINE];
    return affine == GAMMA_BETA || affine == BETA_ALONE ? m->beta : NULL;
}

const double *material_residual(const material *m) {
    return m->m.level[BY_RESIDUAL] ? m->residual : NULL;
}
