/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch normalization from the formulas: see definition.h.
 */
#include "definition.h"

#include <math.h>

/* into[c] = the mean over the channel of (x - about[c]) to the power 1 or 2; about NULL is 0. */
static void mean_power(definition_shape s, const float *x, const long double *about, int power, long double *into) {
    for (size_t c = 0; c < s.channels; c++) into[c] = 0;
    for (size_t o = 0; o < s.outer; o++)
        for (size_t c = 0; c < s.channels; c++)
            for (size_t i = 0; i < s.inner; i++) {
                long double d = (long double)x[(o * s.channels + c) * s.inner + i] - (about ? about[c] : 0);
                into[c] += power == 2 ? d * d : d;
            }
    for (size_t c = 0; c < s.channels; c++) into[c] /= (long double)(s.outer * s.inner);
}

void definition_moments(definition_shape shape, const float *x, long double *mean, long double *var) {
    mean_power(shape, x, NULL, 1, mean);
    mean_power(shape, x, mean, 1, var);
    for (size_t c = 0; c < shape.channels; c++) mean[c] += var[c];
    mean_power(shape, x, mean, 2, var);
}

long double definition_inv_std(long double var, double epsilon, int outside) {
    long double divisor = outside ? sqrtl(var) + epsilon : sqrtl(var + epsilon);
    return divisor == 0 ? 0 : 1 / divisor;
}

void definition_normalize(definition_shape shape, const float *x, const long double *mean, const long double *inv_std,
                          const float *gamma, const float *beta, long double *y) {
    for (size_t o = 0; o < shape.outer; o++)
        for (size_t c = 0; c < shape.channels; c++)
            for (size_t i = 0; i < shape.inner; i++) {
                size_t at = (o * shape.channels + c) * shape.inner + i;
                long double g = gamma ? gamma[c] : 1, b = beta ? beta[c] : 0;
                y[at] = g * (x[at] - mean[c]) * inv_std[c] + b;
            }
}

long double definition_unbiased(long double var, size_t n) {
    return var * (long double)n / (long double)(n - 1);
}

long double definition_running(float old, long double batch, double weight) {
    if (weight == 0) return old;
    if (weight == 1) return batch;
    return (1 - (long double)weight) * old + weight * batch;
}
