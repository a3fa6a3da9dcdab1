/* SPDX-License-Identifier: Apache-2.0
 *
 * The accuracy bounds: bounds.h derives them.
 */
#include "bounds.h"
#include "stored.h"

#include <float.h>
#include <math.h>

static const long double u_float = 0x1p-24L;
static const long double u_double = 0x1p-53L;

int bounds_is_cpu_path(bounds_of who) {
    return who == BOUNDS_OF_CPU_PATH || who == BOUNDS_OF_CPU_PATH_F64;
}

int bounds_is_f64(bounds_of who) {
    return who == BOUNDS_OF_CPU_PATH_F64 || who == BOUNDS_OF_DEVICE_F64;
}

long double bounds_accuracy(bounds_of who) {
    return who == BOUNDS_OF_DEVICE ? 1e-6L : 1e-13L;
}

long double bounds_real(bounds_of who) {
    return bounds_is_f64(who) ? u_double : u_float;
}

long double bounds_least(bounds_of who) {
    return who == BOUNDS_OF_DEVICE ? FLT_MIN : bounds_is_f64(who) ? 0x1p-1075L : 0x1p-150L;
}

/* The relative error of one operation. */
static long double unit(bounds_of who) {
    return who == BOUNDS_OF_DEVICE ? u_float : u_double;
}

/* What one rounding to float may add to a value that is already off by error. */
static long double rounded(bounds_of who, long double value, long double error) {
    long double half = stored_half_ulp(bounds_is_f64(who) ? CLBN_F64 : CLBN_F32, fabsl(value) + error);
    if (who == BOUNDS_OF_DEVICE && fabsl(value) < FLT_MIN) half = bounds_least(who);
    return error + (value == 0 && error == 0 ? 0 : half);
}

long double bounds_batch_mean(bounds_of who, const bounds_channel *c) {
    long double roundings = bounds_is_cpu_path(who) ? 2 + sqrtl((long double)c->values) : 0;
    return bounds_accuracy(who) * sqrtl(c->var) + roundings * u_double * fabsl(c->mean);
}

long double bounds_batch_var(bounds_of who, long double var) {
    return bounds_accuracy(who) * var;
}

long double bounds_mean(bounds_of who, const bounds_channel *c) {
    return rounded(who, c->mean, bounds_batch_mean(who, c));
}

long double bounds_mean_pair(bounds_of who, const bounds_channel *c) {
    return bounds_batch_mean(who, c) + (bounds_is_f64(who) ? 0x1p-105L : 0x1p-47L) * fabsl(c->mean) +
           (c->mean == 0 ? 0 : bounds_least(who));
}

/* The promise of 1e-6 holds what is stored, its rounding included; 1e-13 is of the double before it. */
long double bounds_var(bounds_of who, const bounds_channel *c) {
    long double error = bounds_batch_var(who, c->var);
    return bounds_is_cpu_path(who) ? rounded(who, c->var, error) : error;
}

long double bounds_inv_std(bounds_of who, const bounds_channel *c) {
    long double error = (bounds_accuracy(who) / 2 + 2 * unit(who)) * c->inv_std;
    return bounds_is_cpu_path(who) ? rounded(who, c->inv_std, error) : error;
}

long double bounds_spread(const bounds_channel *c) {
    return c->var == 0 ? 0 : fabsl(c->gamma) * c->inv_std * sqrtl(c->var);
}

long double bounds_y(bounds_of who, const bounds_channel *c, long double gamma_xhat) {
    const long double size = fabsl(gamma_xhat) + fabsl(c->beta);
    if (!bounds_is_cpu_path(who)) return bounds_accuracy(who) * fmaxl(size, fmaxl(1, bounds_spread(c)));
    long double error = bounds_accuracy(who) * size + fabsl(c->gamma) * c->inv_std * bounds_batch_mean(who, c);
    return rounded(who, gamma_xhat + c->beta, error);
}

long double bounds_running(bounds_of who, long double old, long double batch, double weight, long double batch_bound) {
    long double kept = weight == 1 ? 0 : (1 - (long double)weight) * old, added = weight * batch;
    long double error = weight * batch_bound;
    if (weight != 0) error += 5 * unit(who) * (fabsl(kept) + fabsl(added));
    if (bounds_is_cpu_path(who)) error += bounds_real(who) * fabsl(added);
    return weight == 0 ? 0 : rounded(who, kept + added, error);
}

long double bounds_folded_weight(bounds_of who, long double weight) {
    return bounds_accuracy(who) * fabsl(weight);
}

long double bounds_folded_bias(bounds_of who, long double scaled, long double beta) {
    return bounds_accuracy(who) * (fabsl(scaled) + fabsl(beta));
}
