/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of calls: see material.h.
 */
#include "material.h"
#include "stored.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Roughly normal, mean 0, sigma 1: the sum of four uniform numbers. */
static double around_0(uint64_t *state) {
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) * 0x1p-53 - 0.5;
    }
    return sum * 1.7320508;
}

/* What a storage type can hold of a value, infinities aside. In double, a float gets more digits. */
static double stored(clbn_dtype type, double value, uint64_t *state) {
    if (type == CLBN_F16 && fabs(value) > 6e4 && isfinite(value)) value = value < 0 ? -6e4 : 6e4;
    if (type == CLBN_F64) value += value * 0x1p-26 * around_0(state);
    return stored_round(type, value);
}

static double *numbers(size_t count, clbn_dtype type, const float *of, uint64_t seed) {
    double *values = calloc(count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t k = 0; k < count; k++) values[k] = stored(type, of ? of[k] : around_0(&seed), &seed);
    return values;
}

/* A constant channel must stay one: its values get no digits of their own. */
static double *batch_values(const batch *b, clbn_dtype type) {
    const int constant = b->of->data == CONSTANT && type == CLBN_F64;
    return numbers(b->count, constant ? CLBN_F32 : type, b->x, b->seed);
}

void material_make(material *m, const batch *b, const manner *how) {
    const clbn_dtype x = manner_x_type(how), y = manner_y_type(how), real = manner_is_f64(how) ? CLBN_F64 : CLBN_F32;
    const size_t n = b->shape.channels;
    memset(m, 0, sizeof *m);
    m->b = b, m->m = *how;
    m->epsilon = b->of->data == SMALL_SIGMA ? 0 : manner_config(how).epsilon;
    m->update_weight = manner_update_weight(how), m->running_variance = manner_config(how).running_variance;
    m->x = batch_values(b, x);
    m->residual = numbers(b->count, y, NULL, b->seed + 1);
    m->dy = numbers(b->count, y, NULL, b->seed + 2);
    m->old_dx = numbers(b->count, x, NULL, b->seed + 3);
    m->old_dresidual = numbers(b->count, y, NULL, b->seed + 4);
    m->gamma = numbers(n, real, b->gamma, b->seed + 5);
    m->beta = numbers(n, real, b->beta, b->seed + 6);
    m->running_mean = numbers(n, real, b->running_mean, b->seed + 7);
    m->running_var = numbers(n, real, b->running_var, b->seed + 8);
    m->old_dgamma = numbers(n, real, NULL, b->seed + 9);
    m->old_dbeta = numbers(n, real, NULL, b->seed + 10);
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
