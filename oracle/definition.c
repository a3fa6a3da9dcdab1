/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch normalization from the formulas: see definition.h.
 */
#include "definition.h"

#include <math.h>

long double definition_about(double x, long double mean, long double mean_lo) {
    return (x - mean) - mean_lo;
}

/* into[c] = the mean over the channel of (x - (about + lo)) to the power 1 or 2; NULL is 0. */
static void mean_power(definition_shape s, const double *x, const long double *about, const long double *lo, int power,
                       long double *into) {
    for (size_t c = 0; c < s.channels; c++) into[c] = 0;
    for (size_t o = 0; o < s.outer; o++)
        for (size_t c = 0; c < s.channels; c++)
            for (size_t i = 0; i < s.inner; i++) {
                const double value = x[(o * s.channels + c) * s.inner + i];
                const long double d = definition_about(value, about ? about[c] : 0, lo ? lo[c] : 0);
                into[c] += power == 2 ? d * d : d;
            }
    for (size_t c = 0; c < s.channels; c++) into[c] /= (long double)(s.outer * s.inner);
}

void definition_moments(definition_shape shape, const double *x, long double *mean, long double *mean_lo, long double *var) {
    mean_power(shape, x, NULL, NULL, 1, mean);
    mean_power(shape, x, mean, NULL, 1, mean_lo);
    for (size_t c = 0; c < shape.channels; c++)
        if (!isfinite(mean_lo[c])) mean[c] += mean_lo[c], mean_lo[c] = 0;
    mean_power(shape, x, mean, mean_lo, 2, var);
}

long double definition_inv_std(long double var, double epsilon, int outside) {
    long double divisor = outside ? sqrtl(var) + epsilon : sqrtl(var + epsilon);
    return divisor == 0 ? 0 : 1 / divisor;
}

void definition_normalize(definition_shape shape, const double *x, const long double *mean, const long double *mean_lo,
                          const long double *inv_std, const double *gamma, const double *beta, const double *residual,
                          long double *v) {
    for (size_t o = 0; o < shape.outer; o++)
        for (size_t c = 0; c < shape.channels; c++)
            for (size_t i = 0; i < shape.inner; i++) {
                size_t at = (o * shape.channels + c) * shape.inner + i;
                const long double scale = gamma ? gamma[c] : 1, shift = beta ? beta[c] : 0;
                const long double about = definition_about(x[at], mean[c], mean_lo ? mean_lo[c] : 0);
                v[at] = scale * about * inv_std[c] + shift + (residual ? residual[at] : 0);
            }
}

long double definition_unbiased(long double var, size_t n) {
    return var * (long double)n / (long double)(n - 1);
}

long double definition_running(double old, long double batch, double weight) {
    if (weight == 0) return old;
    if (weight == 1) return batch;
    return (1 - (long double)weight) * old + weight * batch;
}

long double definition_activate(const definition_activation *act, long double v) {
    switch (act->kind) {
    case DEFINITION_RELU:
        return v <= 0 ? 0 : v;
    case DEFINITION_LEAKY:
        return v <= 0 ? act->slope * v : v;
    case DEFINITION_CLIP:
        return v <= act->low ? act->low : v > act->high ? act->high : v;
    case DEFINITION_SILU:
        return v / (1 + expl(-v));
    case DEFINITION_SQUARE:
        return v * v;
    default:
        return v;
    }
}

long double definition_derivative(const definition_activation *act, long double v) {
    const long double s = act->kind == DEFINITION_SILU ? 1 / (1 + expl(-v)) : 0;
    switch (act->kind) {
    case DEFINITION_RELU:
        return v <= 0 ? 0 : 1;
    case DEFINITION_LEAKY:
        return v <= 0 ? act->slope : 1;
    case DEFINITION_CLIP:
        return v <= act->low || v > act->high ? 0 : 1;
    case DEFINITION_SILU:
        return s * (1 + v * (1 - s));
    case DEFINITION_SQUARE:
        return 2 * v;
    default:
        return 1;
    }
}

static long double about_mean(const definition_backward *of, size_t c, size_t at) {
    return definition_about(of->x[at], of->mean[c], of->mean_lo ? of->mean_lo[c] : 0);
}

/* The channel's sums of g and of g * (x - mean). */
static void sums(const definition_backward *of, const long double *g, size_t c, long double *s1, long double *s2) {
    const definition_shape s = of->shape;
    *s1 = *s2 = 0;
    for (size_t o = 0; o < s.outer; o++)
        for (size_t i = 0; i < s.inner; i++) {
            size_t at = (o * s.channels + c) * s.inner + i;
            *s1 += g[at];
            *s2 += g[at] * about_mean(of, c, at);
        }
}

void definition_gradients(const definition_backward *of, long double *g, long double *dx, long double *dgamma,
                          long double *dbeta) {
    const definition_shape s = of->shape;
    const long double n = (long double)(s.outer * s.inner);
    for (size_t k = 0; k < s.outer * s.channels * s.inner; k++) {
        const long double derivative = definition_derivative(&of->act, of->v[k]);
        g[k] = derivative == 0 ? 0 : of->dy[k] * derivative;
    }
    for (size_t c = 0; c < s.channels; c++) {
        const long double gamma = of->gamma ? of->gamma[c] : 1, r = of->inv_std[c], sigma = sqrtl(of->var[c]);
        const long double back = !of->outside ? r * r : sigma == 0 ? 0 : r / sigma;
        long double s1, s2;
        sums(of, g, c, &s1, &s2);
        dbeta[c] = s1;
        dgamma[c] = r * s2;
        for (size_t o = 0; o < s.outer; o++)
            for (size_t i = 0; i < s.inner; i++) {
                size_t at = (o * s.channels + c) * s.inner + i;
                dx[at] = gamma * r * (of->population ? g[at] : g[at] - s1 / n - about_mean(of, c, at) * back * s2 / n);
            }
    }
}
