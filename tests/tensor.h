/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded tensors of any storage type and stride: values go in and come out as doubles in the order of a dense tensor, and what
 * lies between the elements must stay as it was.
 */
#ifndef CLBN_TESTS_TENSOR_H
#define CLBN_TESTS_TENSOR_H

#include "definition.h"
#include "guarded.h"
#include "stored.h"

/* Where element (o, c, i) lies: o * outer + c * channel + i * unit. */
typedef struct steps {
    size_t outer, channel, unit;
} steps;

typedef struct tensor {
    guarded memory;
    clbn_dtype type;
    definition_shape shape;
    steps at;
} tensor;

/* layout is one of manner.h's, which ALL_DIFFERENT lets depend on which tensor of a call it is: 0, 1, ... */
steps steps_of(unsigned layout, unsigned which, definition_shape shape);
/* Elements from the first to behind the last. */
size_t steps_span(const steps *at, definition_shape shape);

/* values NULL: an output. Otherwise as guarded_make. */
void tensor_make(tensor *t, const char *name, cl_command_queue queue, cl_mem_flags flags, clbn_dtype type, definition_shape shape,
                 steps at, size_t offset, const double *values);
void tensor_free(tensor *t);
/* The elements into values; fails the test where anything else was written. */
void tensor_read(tensor *t, const char *context, double *values);

/* A per-channel array, or anything else that is dense: count values. */
void array_make(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, clbn_dtype type, size_t count,
                size_t offset, const double *values);
void array_read(guarded *g, clbn_dtype type, const char *context, double *values);

#endif
