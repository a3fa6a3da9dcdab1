/* SPDX-License-Identifier: Apache-2.0
 *
 * What a trial asks, and when an answer is right: four times within the library's promise, for it looks for compilers and devices
 * that compute something else, and the tests look for the rest.
 * It must not know how it is solved.
 */
#include "trial.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- numbers */

/* Stores a value that the type holds exactly, and no subnormal one. */
static void put(clbn_dtype type, void *array, size_t at, double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    switch (type) {
    case CLBN_F32:
        ((float *)array)[at] = narrow;
        break;
    case CLBN_F64:
        ((double *)array)[at] = value;
        break;
    case CLBN_I8:
        ((int8_t *)array)[at] = (int8_t)value;
        break;
    case CLBN_BF16:
        ((uint16_t *)array)[at] = (uint16_t)(bits >> 16);
        break;
    default: /* float16: an exponent of 5 bits about 15, where float's are 8 about 127, and 10 bits of 23 */
        ((uint16_t *)array)[at] =
            (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)(value == 0 ? 0 : (bits >> 13 & 0x3ffff) - (112u << 10));
    }
}

static double get(clbn_dtype type, const void *array, size_t at) {
    if (type == CLBN_F32) return (double)((const float *)array)[at];
    if (type == CLBN_F64) return ((const double *)array)[at];
    if (type == CLBN_I8) return ((const int8_t *)array)[at];
    const uint16_t half = ((const uint16_t *)array)[at];
    if (type == CLBN_BF16) {
        const uint32_t bits = (uint32_t)half << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                       : ldexp(fraction, -24);
    return half >> 15 ? -size : size;
}

/* From a value of the type to the next, or a little more. */
static double ulp(clbn_dtype type, double value) {
    static const int bits[] = {[CLBN_F32] = 23, [CLBN_F16] = 10, [CLBN_BF16] = 7, [CLBN_F64] = 52};
    if (type == CLBN_I8) return 1;
    return fmax(ldexp(fabs(value), -bits[type]), type == CLBN_F16 ? 0x1p-24 : 0);
}

/* --------------------------------------------------------------------------------------------------------- the problem */

clbn_dtype clbn_problem_type(const clbn_problem *p, clbn_array array) {
    if (array == X || array == DX) return p->by_cpu.plan->x_type;
    const bool tensor = array == RESIDUAL || array == DY || array == Y || array == Z || array == DRESIDUAL;
    return tensor ? p->by_cpu.plan->y_type : p->by_cpu.plan->real_type;
}

void clbn_problem_describe(clbn_problem *p, const clbn_plan *plan, const clbn_trial *trial, unsigned which) {
    const bool narrow = plan->x_type == CLBN_I8 || plan->y_type == CLBN_I8; /* what such results show of epsilon */
    memcpy(p->dims, trial->dims[which], sizeof p->dims);
    p->elements = p->dims[0] * p->dims[1] * p->dims[2];
    p->random = which;
    for (const char *name = plan->info.variant; *name; name++) p->random = p->random * 31 + (unsigned char)*name;
    p->values = p->dims[0] * p->dims[2];
    p->spread = trial->strided ? 2 : 1;
    p->strides[2] = p->spread;
    p->strides[1] = p->dims[2] * p->strides[2];
    p->strides[0] = p->dims[1] * p->strides[1];
    p->config = (clbn_config){.rank = 3,
                              .dims = p->dims,
                              .axis = 1,
                              .dtype = plan->x_type,
                              .y_dtype = plan->y_type,
                              .epsilon = which == 0 ? 0x1p-10
                                         : narrow   ? 32
                                                    : 0x1p-2,
                              .epsilon_rule = which == 0 ? CLBN_EPSILON_INSIDE : CLBN_EPSILON_OUTSIDE,
                              .running_variance = CLBN_RUNNING_UNBIASED,
                              .variant = plan->info.variant,
                              .activation = plan->activation,
                              .slope = 0.25,
                              .low = -1,
                              .high = 1,
                              .custom = plan->activation == CLBN_CUSTOM ? &plan->custom : NULL,
                              .residual = plan->residual,
                              .mask = plan->mask};
    const size_t *s = trial->strided ? p->strides : NULL;
    p->config.strides = (clbn_strides){.x = s, .y = s, .residual = s, .dx = s, .dy = s, .dresidual = s};
}

/* Numbers that every type holds: multiples of 1/64 about an offset that is as far from 0 as the type can tell them from there, so
 * that a sum which loses its low part shows. */
void clbn_problem_fill(clbn_problem *p) {
    static const double offsets[] = {[CLBN_F32] = 4096, [CLBN_F16] = 8, [CLBN_BF16] = 2, [CLBN_F64] = 4096, [CLBN_I8] = 0};
    void **in = p->by_cpu.arrays;
    const bool integers = clbn_problem_type(p, X) == CLBN_I8;
    const double offset = offsets[clbn_problem_type(p, X)], step = clbn_problem_type(p, Y) == CLBN_I8 ? 1 : 0x1p-4;
    for (size_t k = 0; k < p->elements; k++) {
        const uint32_t random = p->random = p->random * 1664525u + 1013904223u;
        const double any = (double)(random >> 24) - 128;
        put(clbn_problem_type(p, X), in[X], k * p->spread, integers ? any : offset + any / 64);
        put(clbn_problem_type(p, RESIDUAL), in[RESIDUAL], k * p->spread, ((double)(random >> 16 & 15) - 8) * step);
        put(clbn_problem_type(p, DY), in[DY], k * p->spread, ((double)(random >> 12 & 31) - 16) * step);
    }
    for (size_t c = 0; c < p->dims[1]; c++) {
        const double odd = c % 2 ? -1 : 1;
        put(clbn_problem_type(p, GAMMA), in[GAMMA], c, odd * (1 + (double)(c % 3) / 4));
        put(clbn_problem_type(p, BETA), in[BETA], c, odd * (double)(c % 5) / 8);
        put(clbn_problem_type(p, MEAN_GIVEN), in[MEAN_GIVEN], c, offset + 0.125);
        put(clbn_problem_type(p, VAR_GIVEN), in[VAR_GIVEN], c, integers ? 1024 : 1.5);
    }
}

/* Where v is so near a kink that the two may stand on its two sides, dy is 0, and which side does not matter. */
void clbn_problem_avoid_kinks(clbn_problem *p) {
    void **a = p->by_cpu.arrays;
    const clbn_activation act = p->config.activation;
    if (act != CLBN_RELU && act != CLBN_LEAKY_RELU && act != CLBN_CLIP) return;
    for (size_t k = 0; k < p->elements; k++) {
        const size_t c = k / p->dims[2] % p->dims[1], at = k * p->spread;
        const double mean = get(clbn_problem_type(p, MEAN), a[MEAN], c) + get(clbn_problem_type(p, MEAN_LO), a[MEAN_LO], c);
        const double xhat = (get(clbn_problem_type(p, X), a[X], at) - mean) * get(clbn_problem_type(p, INV_STD), a[INV_STD], c);
        double v = get(clbn_problem_type(p, GAMMA), a[GAMMA], c) * xhat + get(clbn_problem_type(p, BETA), a[BETA], c);
        if (p->config.residual) v += get(clbn_problem_type(p, RESIDUAL), a[RESIDUAL], at);
        const double from = act == CLBN_CLIP ? fmin(fabs(v - p->config.low), fabs(v - p->config.high)) : fabs(v);
        if (from < 1e-3) put(clbn_problem_type(p, DY), a[DY], at, 0);
    }
}

/* ------------------------------------------------------------------------------------------------------------- judging */

/* Is every element of the array what the CPU path says? scale: what counts beside the value itself, in sizes. */
static bool is_close(const clbn_problem *p, clbn_array array, size_t count, size_t spread, double scale) {
    const clbn_dtype type = clbn_problem_type(p, array);
    const double accuracy = p->by_cpu.plan->real_type == CLBN_F64 ? 4e-13 : 4e-6;
    for (size_t k = 0; k < count; k++) {
        const double want = get(type, p->by_cpu.arrays[array], k * spread),
                     got = get(type, p->by_device.arrays[array], k * spread);
        double off = got - want;
        if (array == MEAN)
            off += get(type, p->by_device.arrays[MEAN_LO], k) - get(type, p->by_cpu.arrays[MEAN_LO], k); /* the pair */
        const double size = array == MEAN ? scale : scale + fabs(want);
        if (!(fabs(off) <= accuracy * size + (array == MEAN ? 0 : ulp(type, want)))) return false;
    }
    return true;
}

/* The caller's own activation may be steep or not smooth: behind it nothing is promised, and the statistics are judged alone. */
bool clbn_problem_is_right(const clbn_problem *p) {
    const size_t all = p->elements, channels = p->dims[1], far = p->spread;
    const bool behind = p->config.activation != CLBN_CUSTOM;
    const double values = (double)p->values;
    if (behind && !is_close(p, Z, all, far, 8)) return false;
    return is_close(p, MEAN, channels, 1, 2) && is_close(p, VAR, channels, 1, 0) && is_close(p, INV_STD, channels, 1, 0) &&
           is_close(p, RUNNING_MEAN, channels, 1, 0) && is_close(p, RUNNING_VAR, channels, 1, 0) &&
           is_close(p, FOLDED_BIAS, channels, 1, 8) &&
           (!behind || (is_close(p, Y, all, far, 8) && is_close(p, DX, all, far, 8) && is_close(p, DRESIDUAL, all, far, 8) &&
                        is_close(p, DGAMMA, channels, 1, values) && is_close(p, DBETA, channels, 1, values)));
}
