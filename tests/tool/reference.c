/* SPDX-License-Identifier: Apache-2.0
 *
 * The formulas, by plain loops.
 */
#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const activations[] = {"identity",      "relu", "leaky-relu:0.25", "leaky-relu:-1", "clip:-0.5,1",
                                   "clip:-inf,.25", "silu"};
const int activation_count = (int)(sizeof activations / sizeof *activations);
const char *const array_types[3] = {"<f2", "<f4", "<f8"};

/* ---------------------------------------------------------------------------------------------------------- the scene */

/* Eighths below 32, and the like: 8 bits each. */
static double noise(uint32_t *state, double low, double step) {
    *state = *state * 1664525U + 1013904223U;
    return low + step * (*state >> 24);
}

scene put_scene(const char *type) {
    scene s = {.outer = 5, .channels = 3, .inner = 4};
    const char *shape = "(5, 3, 4)";
    uint32_t state = 99;
    for (int i = 0; i < SCENE_MOST; i++) {
        s.x[i] = noise(&state, 0, 0.125);
        s.dy[i] = noise(&state, -2, 0x1p-6);
        s.residual[i] = noise(&state, -2, 0x1p-6);
        s.gamma[i] = 1 + 0.25 * i;
        s.beta[i] = 0.5 - i;
        s.running_mean[i] = 14 + i;
        s.running_var[i] = 40 + 8 * i;
    }
    put_values("x.npy", type, shape, s.x, SCENE_MOST);
    put_values("dy.npy", type, shape, s.dy, SCENE_MOST);
    put_values("r.npy", type, shape, s.residual, SCENE_MOST);
    put_values("g.npy", type, "(3,)", s.gamma, 3);
    put_values("b.npy", type, "(3,)", s.beta, 3);
    put_values("rm.npy", type, "(3,)", s.running_mean, 3);
    put_values("rv.npy", type, "(3,)", s.running_var, 3);
    return s;
}

/* ------------------------------------------------------------------------------------------------------- activations */

static double activate(const char *activation, double v) {
    double low, high;
    if (!strcmp(activation, "relu")) return v > 0 ? v : 0;
    if (!strncmp(activation, "leaky-relu:", 11)) return v > 0 ? v : atof(activation + 11) * v;
    if (sscanf(activation, "clip:%lf,%lf", &low, &high) == 2) return fmin(fmax(v, low), high);
    if (!strcmp(activation, "silu")) return v / (1 + exp(-v));
    return v;
}

static double derivative(const char *activation, double v) {
    double low, high;
    if (!strcmp(activation, "relu")) return v > 0;
    if (!strncmp(activation, "leaky-relu:", 11)) return v > 0 ? 1 : atof(activation + 11);
    if (sscanf(activation, "clip:%lf,%lf", &low, &high) == 2) return v > low && v <= high;
    if (!strcmp(activation, "silu")) return 1 / (1 + exp(-v)) + v * exp(-v) / pow(1 + exp(-v), 2);
    return 1;
}

/* --------------------------------------------------------------------------------------------------------- the formulas */

static void measure_channel(const scene *s, int c, double *mean, double *var) {
    double n = s->outer * s->inner, sum = 0, squares = 0;
    for (int o = 0; o < s->outer; o++)
        for (int i = 0; i < s->inner; i++) sum += s->x[(o * s->channels + c) * s->inner + i];
    *mean = sum / n;
    for (int o = 0; o < s->outer; o++)
        for (int i = 0; i < s->inner; i++) squares += pow(s->x[(o * s->channels + c) * s->inner + i] - *mean, 2);
    *var = squares / n;
}

/* With k = d inv_std / d var, dx is gamma * inv_std * g, less what the mean and the variance of the batch pass on. */
static void compute_channel(const scene *s, const request *r, int c, answer *a) {
    double n = s->outer * s->inner, sum = 0, product = 0;
    a->mean[c] = s->running_mean[c];
    a->var[c] = s->running_var[c];
    if (!r->inference) measure_channel(s, c, &a->mean[c], &a->var[c]);
    double root = r->outside ? sqrt(a->var[c]) + r->epsilon : sqrt(a->var[c] + r->epsilon);
    double factor = a->inv_std[c] = 1 / root;
    double slope = r->outside ? -factor * factor / (2 * sqrt(a->var[c])) : -pow(factor, 3) / 2;
    for (int k = 0; k < s->outer * s->inner; k++) {
        int at = (k / s->inner * s->channels + c) * s->inner + k % s->inner;
        double away = s->x[at] - a->mean[c];
        double v = s->gamma[c] * away * factor + s->beta[c] + (r->with_residual ? s->residual[at] : 0);
        double g = derivative(r->activation, v) * s->dy[at];
        a->y[at] = activate(r->activation, v);
        a->dresidual[at] = g;
        sum += g;
        product += g * away;
    }
    a->dbeta[c] = sum;
    a->dgamma[c] = factor * product;
    for (int k = 0; k < s->outer * s->inner; k++) {
        int at = (k / s->inner * s->channels + c) * s->inner + k % s->inner;
        double away = s->x[at] - a->mean[c];
        double passed = r->inference ? 0 : factor * sum / n - slope * product * 2 * away / n;
        a->dx[at] = s->gamma[c] * (factor * a->dresidual[at] - passed);
    }
}

answer compute(const scene *s, const request *r) {
    answer a;
    for (int c = 0; c < s->channels; c++) compute_channel(s, r, c, &a);
    return a;
}

/* --------------------------------------------------------------------------------------------------------------- calls */

void check_file(const char *name, const char *type, const char *shape, const double *expected, size_t count, double scale) {
    double found[SCENE_MOST];
    get_values(name, type, shape, found, count);
    for (size_t i = 0; i < count; i++) {
        double size = fmax(scale, fabs(expected[i]));
        double allowed = type[2] == '8' ? 1e-13 * size : 2e-6 * size;
        if (type[2] == '2') allowed += fmax(0x1p-11 * fabs(expected[i]), 0x1p-25); /* half an ulp */
        ck_assert_msg(fabs(found[i] - expected[i]) <= allowed, "%s, %zu: found %.17g, needs %.17g", name, i, found[i],
                      expected[i]);
    }
}

const outcome *run_request(const request *r, const char *const *command, const char *const *more) {
    const char *all[48] = {NULL};
    char epsilon[48];
    int count = 0;
    snprintf(epsilon, sizeof epsilon, "--epsilon=%.17g", r->epsilon);
    const char *const fixed[] = {"--gamma=g.npy", "--beta=b.npy",
                                 epsilon,         r->outside ? "--epsilon-rule=outside" : "--epsilon-rule=inside",
                                 "--activation",  r->activation};
    const char *const population[] = {"--mode=inference", "--running-mean=rm.npy", "--running-var=rv.npy"};
    while (*command) all[count++] = *command++;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) all[count++] = fixed[i];
    if (r->with_residual) all[count++] = "--residual=r.npy";
    for (size_t i = 0; r->inference && i < 3; i++) all[count++] = population[i];
    while (*more && count < 47) all[count++] = *more++;
    return succeed(clbn_with(all));
}
