/* SPDX-License-Identifier: Apache-2.0
 *
 * A lot of clbn verify: a batch, what calls on it are given, and what they write.
 */
#include <stdlib.h>
#include <string.h>

#include "stored.h"
#include "verify.h"

static const double update_weight = 0.1;

void *stored_array(verify *v, clbn_dtype type, size_t count, const double *values) {
    const size_t bytes = stored_bytes(type);
    char *into = malloc((count + 1) * bytes);
    v->no_memory |= !into;
    if (into && !values) memset(into, 0xff, (count + 1) * bytes); /* a NaN of every type: what is not written is a miss */
    for (size_t k = 0; into && values && k < count; k++) stored_put(type, into + k * bytes, values[k]);
    return into;
}

double *double_array(verify *v, size_t count) {
    double *into = calloc(count + 1, sizeof *into);
    v->no_memory |= !into;
    return into;
}

void take_values(clbn_dtype type, const void *stored, size_t first, size_t count, double *values) {
    const size_t bytes = stored_bytes(type);
    for (size_t k = 0; k < count; k++) values[k] = stored_get(type, (const char *)stored + (first + k) * bytes);
}

static bounds_of bounds_here(const verify *v, clbn_dtype type) {
    const int cpu = v->session.info.kind == CLBN_DEVICE_CPU_PATH;
    if (type == CLBN_F64) return cpu ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_DEVICE_F64;
    return cpu ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
}

static void make_values(lot *l) {
    const batch *b = &l->b;
    const size_t n = b->shape.channels;
    l->x = data_x(b, l->type);
    l->dy = data_dy(b, l->type, l->gradients, b->seed + 2);
    l->residual = l->fused ? data_numbers(b->count, l->type, NULL, b->seed + 1) : NULL;
    l->gamma = data_numbers(n, l->real, b->gamma, b->seed + 5);
    l->beta = data_numbers(n, l->real, b->beta, b->seed + 6);
    l->running_mean = data_numbers(n, l->real, b->running_mean, b->seed + 7);
    l->running_var = data_numbers(n, l->real, b->running_var, b->seed + 8);
    l->bias = data_numbers(n, l->real, NULL, b->seed + 9);
}

static void make_stored(verify *v, lot *l) {
    const size_t n = l->b.shape.channels;
    l->s_x = stored_array(v, l->type, l->b.count, l->x);
    l->s_dy = stored_array(v, l->type, l->b.count, l->dy);
    l->s_residual = l->fused ? stored_array(v, l->type, l->b.count, l->residual) : NULL;
    l->s_gamma = stored_array(v, l->real, n, l->gamma);
    l->s_beta = stored_array(v, l->real, n, l->beta);
    l->s_running_mean = stored_array(v, l->real, n, l->running_mean);
    l->s_running_var = stored_array(v, l->real, n, l->running_var);
    l->s_bias = stored_array(v, l->real, n, l->bias);
}

int lot_make(verify *v, lot *l, const data_case *of, clbn_dtype type, data_gradients gradients, int fused) {
    memset(l, 0, sizeof *l);
    l->of = *of, l->type = type, l->gradients = gradients, l->fused = fused;
    l->real = type == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    l->who = bounds_here(v, type);
    if (!data_make(&l->b, &l->of, v->flushes)) return verify_no_memory(v);
    make_values(l);
    if (!l->x || !l->dy || !l->gamma || !l->beta || !l->running_mean || !l->running_var || !l->bias || (fused && !l->residual))
        return verify_no_memory(v);
    make_stored(v, l);
    return v->no_memory ? verify_no_memory(v) : EXIT_DONE;
}

clbn_config lot_config(const lot *l) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = l->of.rank, config.dims = l->of.dims, config.axis = l->of.axis;
    config.dtype = l->type;
    if (l->of.data == SMALL_SIGMA) config.epsilon = 0;
    if (l->fused) config.activation = CLBN_RELU, config.residual = 1;
    return config;
}

clbn_config lot_share_config(const lot *l, size_t dims[3], size_t rows) {
    clbn_config config = lot_config(l);
    dims[0] = rows, dims[1] = l->b.shape.channels, dims[2] = l->b.shape.inner;
    config.rank = 3, config.dims = dims, config.axis = 1;
    return config;
}

int lot_answer(verify *v, lot *l, int population) {
    const clbn_config config = lot_config(l);
    answer_free(&l->exact);
    l->given = (problem){.shape = l->b.shape,
                         .values = l->b.values,
                         .x_type = l->type,
                         .y_type = l->type,
                         .epsilon = config.epsilon,
                         .update_weight = update_weight,
                         .unbiased = config.running_variance == CLBN_RUNNING_UNBIASED,
                         .population = population,
                         .act = {.kind = l->fused ? DEFINITION_RELU : DEFINITION_IDENTITY},
                         .x = l->x,
                         .residual = l->residual,
                         .dy = l->dy,
                         .gamma = l->gamma,
                         .beta = l->beta,
                         .running_mean = l->running_mean,
                         .running_var = l->running_var};
    return answer_make(&l->exact, &l->given) ? EXIT_DONE : verify_no_memory(v);
}

void lot_free(lot *l) {
    void *all[] = {l->x,   l->dy,   l->residual,   l->gamma,   l->beta,   l->running_mean,   l->running_var,   l->bias,
                   l->s_x, l->s_dy, l->s_residual, l->s_gamma, l->s_beta, l->s_running_mean, l->s_running_var, l->s_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    answer_free(&l->exact);
    data_free(&l->b);
    memset(l, 0, sizeof *l);
}

/* -------------------------------------------------------------------------------------------------------------- what is written */

int written_make(verify *v, const lot *l, written *w) {
    const size_t n = l->b.shape.channels, count = l->b.count;
    *w = (written){.y = stored_array(v, l->type, count, NULL),
                   .dx = stored_array(v, l->type, count, NULL),
                   .dresidual = stored_array(v, l->type, count, NULL),
                   .mean = stored_array(v, l->real, n, NULL),
                   .mean_lo = stored_array(v, l->real, n, NULL),
                   .var = stored_array(v, l->real, n, NULL),
                   .inv_std = stored_array(v, l->real, n, NULL),
                   .running_mean = stored_array(v, l->real, n, l->running_mean),
                   .running_var = stored_array(v, l->real, n, l->running_var),
                   .dgamma = stored_array(v, l->real, n, NULL),
                   .dbeta = stored_array(v, l->real, n, NULL)};
    return v->no_memory ? verify_no_memory(v) : EXIT_DONE;
}

void written_free(written *w) {
    void *all[] = {w->y,       w->dx,           w->dresidual,   w->mean,   w->mean_lo, w->var,
                   w->inv_std, w->running_mean, w->running_var, w->dgamma, w->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(w, 0, sizeof *w);
}

static double *take(verify *v, clbn_dtype type, const void *stored, size_t count) {
    double *values = stored ? double_array(v, count) : NULL;
    if (values) take_values(type, stored, 0, count, values);
    return values;
}

int outcome_take(verify *v, const lot *l, const written *w, outcome *into) {
    const size_t n = l->b.shape.channels, count = l->b.count;
    *into = (outcome){.y = take(v, l->type, w->y, count),
                      .mean = take(v, l->real, w->mean, n),
                      .mean_lo = take(v, l->real, w->mean_lo, n),
                      .var = take(v, l->real, w->var, n),
                      .inv_std = take(v, l->real, w->inv_std, n),
                      .running_mean = take(v, l->real, w->running_mean, n),
                      .running_var = take(v, l->real, w->running_var, n),
                      .dx = take(v, l->type, w->dx, count),
                      .dresidual = take(v, l->type, w->dresidual, count),
                      .dgamma = take(v, l->real, w->dgamma, n),
                      .dbeta = take(v, l->real, w->dbeta, n)};
    return v->no_memory ? verify_no_memory(v) : EXIT_DONE;
}

void outcome_free(outcome *o) {
    double *all[] = {o->y,           o->mean, o->mean_lo,   o->var,    o->inv_std, o->running_mean,
                     o->running_var, o->dx,   o->dresidual, o->dgamma, o->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(o, 0, sizeof *o);
}
