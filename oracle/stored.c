/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage types: see stored.h.
 */
#include "stored.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 1.m * 2^e with bits of m, e from lowest to highest, and below them multiples of the lowest's last place. */
typedef struct format {
    const char *name;
    size_t bytes;
    int bits, lowest, highest;
} format;

static const format *format_of(clbn_dtype type) {
    static const format formats[] = {[CLBN_F32] = {"float32", 4, 23, -126, 127},
                                     [CLBN_F16] = {"float16", 2, 10, -14, 15},
                                     [CLBN_BF16] = {"bfloat16", 2, 7, -126, 127},
                                     [CLBN_F64] = {"float64", 8, 52, -1022, 1023}};
    if ((size_t)type >= sizeof formats / sizeof *formats) {
        fprintf(stderr, "%d is no storage type\n", (int)type);
        abort();
    }
    return &formats[type];
}

size_t stored_bytes(clbn_dtype type) {
    return format_of(type)->bytes;
}

const char *stored_name(clbn_dtype type) {
    return format_of(type)->name;
}

/* 2^e, for every e of a double: ldexp costs most of a test. */
static double power(int e) {
    enum { LEAST = -1074, COUNT = 1023 - LEAST + 1 };
    static double powers[COUNT];
    if (powers[0] == 0)
        for (int k = 0; k < COUNT; k++) powers[k] = ldexp(1, k + LEAST);
    return powers[e - LEAST];
}

/* The exponent of a value, read from the bits of the double next to it; no less than the format's lowest, nor past its highest. */
static int exponent_of(const format *f, long double value) {
    const double near = (double)value;
    uint64_t bits;
    memcpy(&bits, &near, sizeof bits);
    const int e = (int)(bits >> 52 & 0x7ff) - 1023;
    return e < f->lowest ? f->lowest : e > f->highest ? f->highest : e;
}

static long double ulp(const format *f, long double value) {
    return power(exponent_of(f, value) - f->bits);
}

double stored_round(clbn_dtype type, long double value) {
    const format *f = format_of(type);
    if (type == CLBN_F64) return (double)value;
    if (type == CLBN_F32 || !(fabsl(value) <= 0x1p1023L)) return (double)(float)value;
    const long double step = ulp(f, value), rounded = rintl(value / step) * step;
    if (fabsl(rounded) >= 2 * (long double)power(f->highest)) return value < 0 ? -INFINITY : INFINITY;
    return (double)rounded;
}

long double stored_half_ulp(clbn_dtype type, long double value) {
    return isfinite(value) ? ulp(format_of(type), value) / 2 : 0;
}

/* The bits of a 16-bit type, sign, exponent, m; the exponent counts from lowest - 1, which holds what is below the lowest. */
static uint16_t encode(const format *f, double value) {
    const unsigned sign = signbit(value) ? 0x8000u : 0, past = (unsigned)(f->highest - f->lowest + 2) << f->bits;
    if (isnan(value)) return (uint16_t)(sign | past | 1u << (f->bits - 1));
    if (isinf(value)) return (uint16_t)(sign | past);
    const double size = fabs(value);
    if (size == 0) return (uint16_t)sign;
    if (size < ldexp(1, f->lowest)) return (uint16_t)(sign | (unsigned)ldexp(size, f->bits - f->lowest));
    const int e = ilogb(size);
    const unsigned m = (unsigned)ldexp(ldexp(size, -e) - 1, f->bits);
    return (uint16_t)(sign | (unsigned)(e - f->lowest + 1) << f->bits | m);
}

static double decode(const format *f, uint16_t bits) {
    const unsigned m = bits & ((1u << f->bits) - 1), e = (bits & 0x7fffu) >> f->bits;
    const double sign = bits & 0x8000u ? -1 : 1;
    if (e == (unsigned)(f->highest - f->lowest + 2)) return m ? NAN : sign * INFINITY;
    if (e == 0) return sign * ldexp(m, f->lowest - f->bits);
    return sign * ldexp(1 + ldexp(m, -f->bits), (int)e + f->lowest - 1);
}

double stored_get(clbn_dtype type, const void *at) {
    double wide;
    float narrow;
    uint16_t bits;
    switch (stored_bytes(type)) {
    case 8:
        memcpy(&wide, at, sizeof wide);
        return wide;
    case 4:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    default:
        memcpy(&bits, at, sizeof bits);
        return decode(format_of(type), bits);
    }
}

void stored_put(clbn_dtype type, void *at, long double value) {
    const double wide = stored_round(type, value);
    const float narrow = (float)wide;
    uint16_t bits;
    switch (stored_bytes(type)) {
    case 8:
        memcpy(at, &wide, sizeof wide);
        return;
    case 4:
        memcpy(at, &narrow, sizeof narrow);
        return;
    default:
        bits = encode(format_of(type), wide);
        memcpy(at, &bits, sizeof bits);
    }
}
