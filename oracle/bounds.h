/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a result may be from the exact one: the only place that holds an accuracy. Every bound is a function of
 * exact values, never of what was computed, and comes from the library's promise or is derived from it here.
 *
 * PROMISE, float32 on a device:   variance 1e-6 relative;  mean 1e-6 sigma + half an ulp;  y 1e-6 max(1, |gamma xhat| + |beta|),
 * and next to the mean, where gamma is large, what the mean's own promise moves y by.
 * THE CPU PATH computes in double, for which the promise is 1e-13 in place of 1e-6, and rounds once to float: half an ulp more.
 *
 * Derived, with A = 1e-6 or 1e-13 and u = 2^-24, the relative error of one rounding to float (2^-53 for double):
 *   mean        on the CPU path: a running mean is rounded whenever it takes values in, at most once a value, and a rounding counts
 *               with the share of the values before it. Roundings of unknown sign add up as the root of their number (Higham,
 *               Mary, "A new approach to probabilistic rounding error analysis", 2019): A sigma + (2 + sqrt(n)) 2^-53 |mean|.
 *   mean pair   saved_mean + saved_mean_lo: as the mean, and what two floats cannot hold, 2^-47 |mean| and what the lower may lose next to 0.
 *   inv_std     = (var + e)^-1/2: d inv_std / inv_std = -1/2 d var / (var + e), so at most A / 2; for 1 / (sqrt(var) + e) it is
 *               -1/2 (d var / var) sqrt(var) / (sqrt(var) + e), no more. Two roundings to its type: epsilon's and its own.
 *   y           a mean that is off by 1e-6 sigma moves all y of its channel by |gamma| inv_std 1e-6 sigma, which is above the promise's 1e-6
 *               where gamma is above 1: A max(1, |gamma| inv_std sigma, |gamma xhat| + |beta|). The second is 0 where the mean is given.
 *   y, CPU      (x - mean) * k + beta in double: A (|gamma xhat| + |beta|), and gamma inv_std times what double leaves of the mean.
 *   running     (1 - w) old + w batch: w times the batch's bound; each term passes at most four roundings (its factor, the factor
 *               n / (n - 1) or the mean's own, the two products) and the sum one: 5 u (|(1 - w) old| + |w batch|). The CPU path
 *               does these in double, but takes in the batch's statistics as they are saved, rounded to real: u |w batch| more.
 *   folded      the variance is given: inv_std is off by its operations alone, 9 u (outside: epsilon, a root of an ulp, a product, the
 *               sum, a division of OpenCL's 2.5 ulp), and gamma, the weight or bias - mean take 4 more: 13 u < A. So A of the weight;
 *               of the bias A (|(bias - mean) gamma inv_std| + |beta|).
 *   layer       the folded layer's output: the sum of |input| times what each weight is off, its rounding too, and that of the bias.
 */
#ifndef CLBN_ORACLE_BOUNDS_H
#define CLBN_ORACLE_BOUNDS_H

#include <stddef.h>

/* Whose result: the _F64 ones where real is double, with 2^-53 and 1e-13 in place of 2^-24 and 1e-6. */
typedef enum bounds_of { BOUNDS_OF_CPU_PATH, BOUNDS_OF_DEVICE, BOUNDS_OF_CPU_PATH_F64, BOUNDS_OF_DEVICE_F64 } bounds_of;

int bounds_is_cpu_path(bounds_of who);
int bounds_is_f64(bounds_of who);
long double bounds_accuracy(bounds_of who); /* A */
long double bounds_real(bounds_of who);     /* u, the relative error of one rounding to real */
/* What a real next to 0 may lose: all of it on a device, which may take denormals for 0; half the least denormal on the CPU path, and in
 * float64 on a device too, as OpenCL's doubles keep them. */
long double bounds_least(bounds_of who);

/* What the batch's statistics and one parameter pair say of a result; all exact. */
typedef struct bounds_channel {
    long double mean, var, inv_std; /* mean and var 0 where they are given (inference) and so have no error */
    long double gamma, beta;
    size_t values; /* n, of one channel */
} bounds_channel;

long double bounds_mean(bounds_of who, const bounds_channel *c);
long double bounds_mean_pair(bounds_of who, const bounds_channel *c);
long double bounds_var(bounds_of who, const bounds_channel *c);
long double bounds_inv_std(bounds_of who, const bounds_channel *c);
long double bounds_y(bounds_of who, const bounds_channel *c, long double gamma_xhat);
/* |gamma| inv_std sigma: what gamma xhat is, by the root of its mean square. */
long double bounds_spread(const bounds_channel *c);
/* batch is the batch's mean or (un)biased variance, batch_bound what it may be off before it is rounded to float. */
long double bounds_running(bounds_of who, long double old, long double batch, double weight, long double batch_bound);
/* What the batch's mean and variance may be off before they are rounded to float: batch_bound above. */
long double bounds_batch_mean(bounds_of who, const bounds_channel *c);
long double bounds_batch_var(bounds_of who, long double var);

long double bounds_folded_weight(bounds_of who, long double weight);
long double bounds_folded_bias(bounds_of who, long double scaled, long double beta);

#endif
