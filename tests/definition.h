/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch normalization as the paper writes it, in long double: what judges the CPU path.
 * Ioffe, Szegedy, "Batch Normalization", 2015, algorithm 1. It must not know the library: no header, no line, no idea of it.
 * A batch is x[outer][channels][inner]. The mean is the sum over n, the variance the mean square distance from it; as the sum of
 * n numbers far from 0 is rounded even in long double, the mean is once corrected by the mean distance from it, which is 0 in
 * exact arithmetic. What is left of rounding is some n * 2^-64 of sigma: nothing beside every bound in bounds.h.
 */
#ifndef CLBN_TESTS_DEFINITION_H
#define CLBN_TESTS_DEFINITION_H

#include <stddef.h>

typedef struct definition_shape {
    size_t outer, channels, inner;
} definition_shape;

/* mean[c] and the biased var[c] of every channel; NaN where a channel has no value. */
void definition_moments(definition_shape shape, const float *x, long double *mean, long double *var);

/* 1 / sqrt(var + epsilon), or 1 / (sqrt(var) + epsilon) where outside; 0 where that divides by 0. */
long double definition_inv_std(long double var, double epsilon, int outside);

/* y = gamma * (x - mean) * inv_std + beta. gamma and beta may be NULL: 1 and 0. */
void definition_normalize(definition_shape shape, const float *x, const long double *mean, const long double *inv_std,
                          const float *gamma, const float *beta, long double *y);

/* n / (n - 1) * var; n is at least 2. */
long double definition_unbiased(long double var, size_t n);

/* (1 - weight) * old + weight * batch; exactly old where weight is 0 and batch where it is 1. */
long double definition_running(float old, long double batch, double weight);

#endif
