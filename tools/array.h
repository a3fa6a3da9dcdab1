/* SPDX-License-Identifier: Apache-2.0
 *
 * An n-dimensional array in memory: its element type, shape and values, and the column names that a CSV header gave it.
 * Every value passes through double, which holds each of the types exactly. It knows nothing of files.
 */
#ifndef CLBN_TOOL_ARRAY_H
#define CLBN_TOOL_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "report.h"

#define ARRAY_MAX_RANK CLBN_MAX_RANK

typedef enum array_type { ARRAY_F16 = 0, ARRAY_F32 = 1, ARRAY_F64 = 2 } array_type;

typedef struct array {
    array_type type;
    unsigned rank;
    size_t dims[ARRAY_MAX_RANK];
    size_t count; /* the product of dims */
    void *data;   /* never NULL in an array that was made, count 0 included; 64-byte aligned */
    char **names; /* dims[1] of them, or NULL */
} array;

size_t array_type_bytes(array_type type);
const char *array_type_name(array_type type); /* as .npy spells it: "<f4" */

/* *count = the product of dims; -1 where it, or its size in bytes, overflows. */
int array_count(unsigned rank, const size_t *dims, array_type type, size_t *count);

/* Make room for the shape, values undefined; file is named where that fails. Without names. */
int array_make(array *a, file_ref file, array_type type, unsigned rank, const size_t *dims);
/* Fine for an array of zeros, and twice. */
void array_free(array *a);

/* "32x64x56x56"; the text holds any shape. */
typedef struct shape_text {
    char text[ARRAY_MAX_RANK * 21];
} shape_text;
shape_text array_shape(unsigned rank, const size_t *dims);

/* The values, whatever the type. What is stored is rounded to nearest, ties to even; out of the type's range is an infinity. */
double array_get(const array *a, size_t i);
void array_put(array *a, size_t i, double value);

/* Turn the values into this type. */
int array_convert(array *a, file_ref file, array_type type);

double half_to_double(uint16_t half);
uint16_t half_from_double(double value);

#endif
