/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch normalization as the paper writes it, forward and backward, in long double: what judges the CPU path.
 * Ioffe, Szegedy, "Batch Normalization", 2015, algorithm 1 and section 3; the gradients are judged in their turn, by finite
 * differences of the forward formulas (test_definition.c). It must not know the library: no header, no line, no idea of it.
 * Values are doubles, which hold every storage type exactly.
 * A batch is x[outer][channels][inner]. The mean is the sum over n, the variance the mean square distance from it. Far from 0 a long
 * double is too coarse for a mean: at 10^6 sigma its last place is 10^-13 sigma, all that float64 is promised. So the mean is a pair,
 * mean + mean_lo: the rounded sum over n, and the mean distance from it, 0 in exact arithmetic. The two are never added, but taken
 * from x one after the other, the first without an error where x is near. What is left of rounding is some n * 2^-64 of sigma at the
 * worst, and the root of that n where roundings go either way: nothing beside every bound in bounds.h.
 */
#ifndef CLBN_ORACLE_DEFINITION_H
#define CLBN_ORACLE_DEFINITION_H

#include <stddef.h>

typedef struct definition_shape {
    size_t outer, channels, inner;
} definition_shape;

/* mean[c] + mean_lo[c] and the biased var[c] of every channel; NaN where a channel has no value. mean_lo is 0 where a mean is not
 * finite. */
void definition_moments(definition_shape shape, const double *x, long double *mean, long double *mean_lo, long double *var);

/* x - (mean + mean_lo). */
long double definition_about(double x, long double mean, long double mean_lo);

/* 1 / sqrt(var + epsilon), or 1 / (sqrt(var) + epsilon) where outside; 0 where that divides by 0. */
long double definition_inv_std(long double var, double epsilon, int outside);

/* v = gamma * (x - mean) * inv_std + beta + residual. mean_lo, gamma, beta and residual may be NULL: 0, 1, 0 and 0. */
void definition_normalize(definition_shape shape, const double *x, const long double *mean, const long double *mean_lo,
                          const long double *inv_std, const double *gamma, const double *beta, const double *residual,
                          long double *v);

/* n / (n - 1) * var; n is at least 2. */
long double definition_unbiased(long double var, size_t n);

/* (1 - weight) * old + weight * batch; exactly old where weight is 0 and batch where it is 1. */
long double definition_running(double old, long double batch, double weight);

typedef struct definition_activation {
    enum { DEFINITION_IDENTITY, DEFINITION_RELU, DEFINITION_LEAKY, DEFINITION_CLIP, DEFINITION_SILU, DEFINITION_SQUARE } kind;
    double slope, low, high;
} definition_activation;

long double definition_activate(const definition_activation *act, long double v);
/* act'(v); at a kink that of the lower side. */
long double definition_derivative(const definition_activation *act, long double v);

/* What backward is made from: mean, var and inv_std normalized; population: they are constants, else the batch's own. mean_lo
 * NULL: 0. */
typedef struct definition_backward {
    definition_shape shape;
    const double *x, *dy, *gamma;
    const long double *v, *mean, *mean_lo, *var, *inv_std;
    definition_activation act;
    int outside, population;
} definition_backward;

/* g is the gradient by v, and so by the residual. g and dx: as x; dgamma and dbeta: channels. */
void definition_gradients(const definition_backward *of, long double *g, long double *dx, long double *dgamma,
                          long double *dbeta);

#endif
