/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded tensors: see tensor.h.
 */
#include "tensor.h"
#include "manner.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

steps steps_of(unsigned layout, unsigned which, definition_shape s) {
    static const unsigned different[] = {PADDED, CHANNELS_LAST, GAPS, SLICES, DENSE, PADDED};
    const size_t plane = s.channels * s.inner;
    switch (layout == ALL_DIFFERENT ? different[which % 6] : layout) {
    case PADDED:
        return (steps){s.channels * (s.inner + 3) + 2, s.inner + 3, 1};
    case SLICES:
        return (steps){plane + 3 * s.inner, s.inner, 1};
    case GAPS:
        return (steps){2 * plane + 1, 2 * s.inner, 2};
    case CHANNELS_LAST:
        return (steps){plane, 1, s.channels};
    default:
        return (steps){plane, s.inner, 1};
    }
}

size_t steps_span(const steps *at, definition_shape s) {
    if (!s.outer || !s.channels || !s.inner) return 0;
    return (s.outer - 1) * at->outer + (s.channels - 1) * at->channel + (s.inner - 1) * at->unit + 1;
}

static size_t count_of(definition_shape s) {
    return s.outer * s.channels * s.inner;
}

/* Of the k-th element of a dense tensor. */
static size_t place_of(const tensor *t, size_t k) {
    const definition_shape s = t->shape;
    return k / s.inner / s.channels * t->at.outer + k / s.inner % s.channels * t->at.channel + k % s.inner * t->at.unit;
}

void tensor_make(tensor *t, const char *name, cl_command_queue queue, cl_mem_flags flags, clbn_dtype type, definition_shape shape,
                 steps at, size_t offset, const double *values) {
    const size_t bytes = stored_bytes(type), span = steps_span(&at, shape);
    memset(t, 0, sizeof *t);
    t->type = type, t->shape = shape, t->at = at;
    char *image = malloc((span + 1) * bytes);
    ck_assert_ptr_nonnull(image);
    guarded_fill(image, bytes, span);
    for (size_t k = 0; values && k < count_of(shape); k++) stored_put(type, image + place_of(t, k) * bytes, values[k]);
    guarded_make_of(&t->memory, name, queue, flags, bytes, span, offset, image);
    free(image);
}

void tensor_free(tensor *t) {
    guarded_free(&t->memory);
    memset(t, 0, sizeof *t);
}

void tensor_read(tensor *t, const char *context, double *values) {
    const char *now = guarded_read(&t->memory, context);
    const size_t bytes = t->memory.bytes, span = t->memory.count;
    char *taken = calloc(span + 1, 1);
    ck_assert_ptr_nonnull(taken);
    for (size_t k = 0; k < count_of(t->shape); k++) {
        const size_t place = place_of(t, k);
        taken[place] = 1;
        values[k] = stored_get(t->type, now + place * bytes);
    }
    for (size_t i = 0; i < span; i++)
        if (!taken[i] && !guarded_is_pattern(now + i * bytes, bytes))
            ck_abort_msg("%s: %s was written %zu elements from its offset, between its elements", context, t->memory.name, i);
    free(taken);
}

void array_make(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, clbn_dtype type, size_t count,
                size_t offset, const double *values) {
    const size_t bytes = stored_bytes(type);
    char *image = malloc((count + 1) * bytes);
    ck_assert_ptr_nonnull(image);
    for (size_t k = 0; values && k < count; k++) stored_put(type, image + k * bytes, values[k]);
    guarded_make_of(g, name, queue, flags, bytes, count, offset, values ? image : NULL);
    free(image);
}

void array_read(guarded *g, clbn_dtype type, const char *context, double *values) {
    const char *now = guarded_read(g, context);
    for (size_t k = 0; k < g->count; k++) values[k] = stored_get(type, now + k * g->bytes);
}
