/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches and their values: see data.h. The extents are multiplied here once more, on purpose not by the library.
 */
#include "data.h"
#include "stored.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"normal",  "mean 1e2",    "mean 1e4",    "mean 1e6",    "mixed means",  "outliers",
                                    "sorted",  "alternating", "small sigma", "large sigma", "coarse steps", "swallowed",
                                    "stepped", "constants",   "one nan",     "one inf"};

const char *data_name(data_kind kind) {
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

const char *data_gradients_name(data_gradients kind) {
    static const char *const of[] = {"dy normal", "dy far", "dy outlier", "dy swallowed"};
    return of[kind];
}

static const float constants[] = {1.0f, -1e30f, 0.1f, 100.0f, 1e-30f, -3.7f, 1e10f, 0.0f, -1e-10f, 16777215.0f, 1e30f};

/* splitmix64 (Steele, Lea, Flood, 2014), then Box and Muller. */
static double uniform(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state) {
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

static definition_shape shape_of(const data_case *c) {
    definition_shape s = {1, 1, 1};
    int axis = c->axis < 0 && c->axis != CLBN_AXIS_NONE ? c->axis + (int)c->rank : c->axis;
    for (int d = 0; d < (int)c->rank; d++)
        if (d == axis)
            s.channels = c->dims[d];
        else if (d < axis)
            s.outer *= c->dims[d];
        else
            s.inner *= c->dims[d];
    return s;
}

size_t data_elements(const data_case *c) {
    definition_shape s = shape_of(c);
    return s.outer * s.channels * s.inner;
}

/* Where a channel's data lies and how wide it is. */
static void place_of(data_kind data, size_t channel, int flushes, double *mean, double *sigma) {
    static const double far[] = {0, 1e6, 1e2, 1e4, 1, 1e5, 10};
    *mean = 0, *sigma = 1;
    switch (data) {
    case MEAN_1E2:
    case COARSE:
        *mean = 1e2;
        break;
    case MEAN_1E4:
        *mean = -1e4;
        break;
    case MEAN_1E6:
        *mean = 1e6;
        break;
    case MIXED:
        *mean = far[channel % 7];
        break;
    case ALTERNATING:
        *sigma = 1e4;
        break;
    case SMALL_SIGMA:
        *sigma = flushes ? 1e-15 : 1e-18;
        break;
    case LARGE_SIGMA:
        *sigma = 1e15;
        break;
    case CONSTANT:
        *mean = constants[channel % 11], *sigma = 0;
        break;
    default:
        break;
    }
}

/* Which of 32 the nth value of a channel is: what a kernel adds up in one chain lies side by side, row by row, or a group apart. */
static size_t link_of(const definition_shape *s, size_t channel, size_t nth) {
    const size_t apart[] = {1, s->inner, 128};
    return nth / apart[channel % 3] % 32;
}

/* Numbers near 1, found by a search: where four chains of eight add them, or their squares, nearly every sum is rounded to the side
 * that makes Q - E * E / 32 larger. */
static const float conspiring[4][8] = {
    {0x1.01100ap+0f, 0x1.005c6ap+0f, 0x1.003c66p+0f, 0x1.010decp+0f, 0x1.01fd34p+0f, 0x1.00885ap+0f, 0x1.00eddcp+0f,
     0x1.01b396p+0f},
    {0x1.0182aap+0f, 0x1.010908p+0f, 0x1.018b32p+0f, 0x1.025e54p+0f, 0x1.01bdeap+0f, 0x1.0165dcp+0f, 0x1.02e864p+0f,
     0x1.008818p+0f},
    {0x1.009af2p+0f, 0x1.0071b8p+0f, 0x1.00276ap+0f, 0x1.00bab2p+0f, 0x1.0257e4p+0f, 0x1.0041a2p+0f, 0x1.002e22p+0f,
     0x1.0123a6p+0f},
    {0x1.0151aap+0f, 0x1.016e78p+0f, 0x1.00ab02p+0f, 0x1.01d67ap+0f, 0x1.0326acp+0f, 0x1.01c7f4p+0f, 0x1.017494p+0f,
     0x1.0139e8p+0f},
};

/* 0 in the first half of a channel; the second half is 32 runs of one value each, for the chains to lie side by side or in turns. */
static float stepped(const batch *b, size_t channel, size_t nth) {
    const size_t half = b->values / 2, run = half < 32 ? 1 : half / 32;
    if (nth < half) return 0;
    const size_t at = (nth - half) / run % 32;
    return channel % 2 ? conspiring[at / 8][at % 8] : conspiring[at % 4][at / 4];
}

static float value_of(const batch *b, size_t channel, size_t nth, uint64_t *state, double mean, double sigma) {
    switch (b->of->data) {
    case OUTLIERS:
        if (nth == 0 && channel % 3 != 1) return 1e6f;
        if (nth + 1 == b->values && channel % 3 != 2) return channel % 3 ? 1e6f : -3e5f;
        return (float)normal(state);
    case ALTERNATING:
        return (float)((nth % 2 ? -sigma : sigma) + normal(state));
    case CONSTANT:
        return constants[channel % 11];
    case SWALLOWED: {
        const size_t link = link_of(&b->shape, channel, nth);
        return (link % 2 ? -1.0f : 1.0f) * (link < 2 ? 1 : 3.44e-4f);
    }
    case STEPPED:
        return stepped(b, channel, nth);
    case COARSE:
        return (float)(rint(2 * (mean + sigma * normal(state))) / 2);
    default:
        return (float)(mean + sigma * normal(state));
    }
}

static int ascending(const void *a, const void *b) {
    float l = *(const float *)a, r = *(const float *)b;
    return (l > r) - (l < r);
}

void data_poison(const batch *b, float value) {
    const size_t channel = b->shape.channels / 2, places[] = {0, b->values / 3, b->values - 1};
    const size_t nth = places[(b->count + b->of->data) % 3], row = nth / b->shape.inner;
    if (b->values) b->x[(row * b->shape.channels + channel) * b->shape.inner + nth % b->shape.inner] = value;
}

static double size_of_gamma(data_kind data, size_t channel) {
    static const double sizes[] = {1, 1e3, 1e-3};
    return data % 3 ? 1 : sizes[channel % 3];
}

static int fill_channel(batch *b, size_t c, int flushes) {
    const definition_shape s = b->shape;
    uint64_t state = b->seed * 1000003u + c;
    double mean, sigma;
    place_of(b->of->data, c, flushes, &mean, &sigma);
    float *values = malloc(b->values * sizeof *values);
    if (!values) return 0;
    for (size_t k = 0; k < b->values; k++) values[k] = value_of(b, c, k, &state, mean, sigma);
    if (b->of->data == SORTED) qsort(values, b->values, sizeof *values, ascending);
    for (size_t k = 0; k < b->values; k++) b->x[(k / s.inner * s.channels + c) * s.inner + k % s.inner] = values[k];
    free(values);
    b->gamma[c] = (float)((0.5 + 1.5 * uniform(&state)) * (c % 2 ? -1 : 1) * size_of_gamma(b->of->data, c));
    b->beta[c] = (float)(2 * uniform(&state) - 1);
    b->running_mean[c] = (float)(mean + sigma * normal(&state));
    b->running_var[c] = (float)(sigma * sigma * (0.5 + uniform(&state)));
    return 1;
}

static int fill(batch *b, int flushes) {
    size_t c = 0;
    while (b->values && c < b->shape.channels && fill_channel(b, c, flushes)) c++;
    if (b->of->data == ONE_NAN) data_poison(b, NAN);
    if (b->of->data == ONE_INF) data_poison(b, -INFINITY);
    return !b->values || c == b->shape.channels;
}

int data_make(batch *b, const data_case *c, int flushes) {
    memset(b, 0, sizeof *b);
    b->of = c;
    b->shape = shape_of(c);
    b->values = b->shape.outer * b->shape.inner;
    b->count = b->values * b->shape.channels;
    b->seed = 20150211u;
    for (const char *p = c->name; *p; p++) b->seed = b->seed * 31u + (unsigned char)*p;
    float **arrays[] = {&b->x, &b->gamma, &b->beta, &b->running_mean, &b->running_var};
    int made = 1;
    for (size_t i = 0; i < 5; i++) {
        *arrays[i] = calloc((i ? b->shape.channels : b->count) + 1, sizeof(float));
        made = made && *arrays[i];
    }
    made = made && fill(b, flushes);
    if (!made) data_free(b);
    return made;
}

void data_free(batch *b) {
    free(b->x);
    free(b->gamma);
    free(b->beta);
    free(b->running_mean);
    free(b->running_var);
    memset(b, 0, sizeof *b);
}

/* ------------------------------------------------------------------------------------------------------- as types hold them */

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

double *data_numbers(size_t count, clbn_dtype type, const float *of, unsigned long long seed) {
    uint64_t state = seed;
    double *values = calloc(count + 1, sizeof *values);
    for (size_t k = 0; values && k < count; k++) values[k] = stored(type, of ? of[k] : around_0(&state), &state);
    return values;
}

double *data_x(const batch *b, clbn_dtype type) {
    const int constant = b->of->data == CONSTANT && type == CLBN_F64;
    return data_numbers(b->count, constant ? CLBN_F32 : type, b->x, b->seed);
}

double *data_dy(const batch *b, clbn_dtype type, data_gradients kind, unsigned long long seed) {
    double *dy = data_numbers(b->count, type, NULL, seed);
    for (size_t k = 0; dy && kind == DY_FAR && k < b->count; k++) dy[k] = stored_round(type, dy[k] + 1e4);
    for (size_t c = 0; dy && kind == DY_OUTLIER && b->values && c < b->shape.channels; c++)
        dy[c % 2 ? ((b->shape.outer - 1) * b->shape.channels + c + 1) * b->shape.inner - 1 : c * b->shape.inner] =
            type == CLBN_F16 ? 6e4 : stored_round(type, 1e6);
    for (size_t k = 0; dy && kind == DY_SWALLOWED && k < b->count; k++) {
        const size_t i = k % b->shape.inner, row = k / b->shape.inner;
        const size_t link = link_of(&b->shape, row % b->shape.channels, row / b->shape.channels * b->shape.inner + i);
        dy[k] = stored_round(type, link == 0 ? 1 : 5.9e-8);
    }
    return dy;
}
