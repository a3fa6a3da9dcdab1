/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays: sizes that are checked, memory that is aligned, conversion to float.
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

float half_to_float(uint16_t half) {
    int exponent = half >> 10 & 31;
    int mantissa = half & 1023;
    float value;
    if (exponent == 31)
        value = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)mantissa, -24);
    else
        value = ldexpf((float)(mantissa + 1024), exponent - 25);
    return half >> 15 ? -value : value;
}

int array_to_float(array *a, file_ref file) {
    if (a->type == ARRAY_F32) return EXIT_DONE;
    float *values = allocate(a->count * sizeof *values);
    if (!values) return fail_run("%s%s%s: no memory for %zu elements", REF(file), a->count);
    if (a->type == ARRAY_F16)
        for (size_t i = 0; i < a->count; i++) values[i] = half_to_float(((const uint16_t *)a->data)[i]);
    else
        for (size_t i = 0; i < a->count; i++) values[i] = (float)((const double *)a->data)[i];
    free(a->data);
    a->data = values;
    a->type = ARRAY_F32;
    return EXIT_DONE;
}
