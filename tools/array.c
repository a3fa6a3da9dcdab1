/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays: sizes that are checked, memory that is aligned, conversion between the types.
 */
#include "array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    size_t bytes;
    const char *name;
} types[] = {
    [ARRAY_F16] = {2, "<f2"},
    [ARRAY_F32] = {4, "<f4"},
    [ARRAY_F64] = {8, "<f8"},
};

size_t array_type_bytes(array_type type) {
    return types[type].bytes;
}

const char *array_type_name(array_type type) {
    return types[type].name;
}

int array_count(unsigned rank, const size_t *dims, array_type type, size_t *count) {
    size_t product = 1;
    /* A zero anywhere makes the product 0, but the rest must not overflow before it: 0 counts as 1 until the end. */
    int empty = 0;
    for (unsigned i = 0; i < rank; i++) {
        if (dims[i] == 0) empty = 1;
        size_t extent = dims[i] ? dims[i] : 1;
        if (product > SIZE_MAX / 2 / array_type_bytes(type) / extent) return -1;
        product *= extent;
    }
    *count = empty ? 0 : product;
    return 0;
}

static void *allocate(size_t bytes) {
    const size_t line = 64;
    return aligned_alloc(line, bytes == 0 ? line : (bytes + line - 1) / line * line);
}

int array_make(array *a, file_ref file, array_type type, unsigned rank, const size_t *dims) {
    memset(a, 0, sizeof *a);
    a->type = type;
    a->rank = rank;
    memcpy(a->dims, dims, rank * sizeof *dims);
    if (array_count(rank, dims, type, &a->count) != 0)
        return fail_input("%s%s%s: the product of its dimensions %s overflows", REF(file), array_shape(rank, dims).text);
    a->data = allocate(a->count * array_type_bytes(type));
    if (!a->data) return fail_run("%s%s%s: no memory for %zu elements", REF(file), a->count);
    return EXIT_DONE;
}

void array_free(array *a) {
    if (a->names)
        for (size_t i = 0; i < a->dims[1]; i++) free(a->names[i]);
    free(a->names);
    free(a->data);
    memset(a, 0, sizeof *a);
}

shape_text array_shape(unsigned rank, const size_t *dims) {
    shape_text shape = {""};
    size_t used = 0;
    for (unsigned i = 0; i < rank; i++)
        used += (size_t)snprintf(shape.text + used, sizeof shape.text - used, "%s%zu", i ? "x" : "", dims[i]);
    return shape;
}

/* -------------------------------------------------------------------------------------------------------------- values */

double half_to_double(uint16_t half) {
    int exponent = half >> 10 & 31;
    int mantissa = half & 1023;
    double value;
    if (exponent == 31)
        value = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, -24);
    else
        value = ldexp(mantissa + 1024, exponent - 25);
    return half >> 15 ? -value : value;
}

/* nearbyint rounds ties to even. Where it rounds up to the next power of two, the carry makes the exponent right. */
uint16_t half_from_double(double value) {
    unsigned sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    unsigned bits;
    if (isnan(value)) {
        bits = 0x7e00;
    } else if (size >= 65520) { /* half an ulp above the largest, 65504 */
        bits = 0x7c00;
    } else if (size < 0x1p-14) {
        bits = (unsigned)nearbyint(size * 0x1p24);
    } else {
        int exponent;
        double mantissa = frexp(size, &exponent); /* from 1/2 to 1 */
        bits = ((unsigned)(exponent + 14) << 10) + (unsigned)nearbyint(mantissa * 2048) - 1024;
    }
    return (uint16_t)(sign | bits);
}

double array_get(const array *a, size_t i) {
    switch (a->type) {
    case ARRAY_F16:
        return half_to_double(((const uint16_t *)a->data)[i]);
    case ARRAY_F32:
        return (double)((const float *)a->data)[i];
    case ARRAY_F64:
        break;
    }
    return ((const double *)a->data)[i];
}

void array_put(array *a, size_t i, double value) {
    switch (a->type) {
    case ARRAY_F16:
        ((uint16_t *)a->data)[i] = half_from_double(value);
        break;
    case ARRAY_F32:
        ((float *)a->data)[i] = (float)value;
        break;
    case ARRAY_F64:
        ((double *)a->data)[i] = value;
        break;
    }
}

int array_convert(array *a, file_ref file, array_type type) {
    if (a->type == type) return EXIT_DONE;
    array other = *a;
    other.type = type;
    if (array_count(a->rank, a->dims, type, &other.count) != 0)
        return fail_input("%s%s%s: the product of its dimensions %s overflows as %s", REF(file),
                          array_shape(a->rank, a->dims).text, array_type_name(type));
    other.data = allocate(other.count * array_type_bytes(type));
    if (!other.data) return fail_run("%s%s%s: no memory for %zu elements", REF(file), a->count);
    for (size_t i = 0; i < a->count; i++) array_put(&other, i, array_get(a, i));
    free(a->data);
    *a = other;
    return EXIT_DONE;
}
