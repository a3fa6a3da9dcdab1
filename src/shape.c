/* SPDX-License-Identifier: Apache-2.0
 *
 * dims and a channel axis become x[outer][channels][inner], strides become views of it; all overflow is caught here, once.
 * Nothing behind this file knows dims.
 */
#include "internal.h"

/* Dims [from, to) as one: their product, and the even spacing of its elements. */
typedef struct span_of_dims {
    int from, to;
} span_of_dims;

/* False if a * b does not fit. */
static bool multiply(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

static clbn_status check_axis(const clbn_device *device, const clbn_config *config) {
    const int rank = (int)config->rank;
    CHECK(config->rank >= 1 && config->rank <= CLBN_MAX_RANK, device, CLBN_ERROR_INVALID_DIMS, "rank is %u; it must be 1 to %d",
          config->rank, CLBN_MAX_RANK);
    CHECK(config->dims != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "dims is NULL; it must point to %u extents", config->rank);
    CHECK(config->axis == CLBN_AXIS_NONE || (config->axis >= -rank && config->axis < rank), device, CLBN_ERROR_INVALID_DIMS,
          "axis is %d; with rank %d it must be %d to %d, or CLBN_AXIS_NONE", config->axis, rank, -rank, rank - 1);
    return CLBN_SUCCESS;
}

static size_t extent_of(const clbn_config *config, span_of_dims part) {
    size_t extent = 1;
    for (int i = part.from; i < part.to; i++) extent *= config->dims[i];
    return extent;
}

/* Are the dims of a part evenly spaced as one, and how far apart? Extents of 1 have no say. */
static bool collapse(const clbn_config *config, const size_t *strides, span_of_dims part, size_t *spacing) {
    bool any = false;
    size_t next = 0;
    for (int i = part.to; i-- > part.from;) {
        if (config->dims[i] == 1) continue;
        if (!any) *spacing = strides[i];
        if (any && strides[i] != next) return false;
        any = true;
        if (!multiply(strides[i], config->dims[i], &next)) return true; /* measure will say that it is too far */
    }
    return true;
}

/* span from three strides and extents; false where it does not fit. shared: elements share a place, or lie as rows of one stride in
 * the gaps of another's. */
static bool measure(const clbn_shape *shape, size_t element_bytes, clbn_view *view, bool *shared) {
    struct {
        size_t extent, stride;
    } dims[3] = {{shape->outer, view->outer}, {shape->channels, view->channel}, {shape->inner, view->unit}}, swap;
    for (int i = 0; i < 2; i++) { /* the smallest stride last */
        for (int j = 0; j < 2 - i; j++) {
            if (dims[j].stride >= dims[j + 1].stride) continue;
            swap = dims[j];
            dims[j] = dims[j + 1];
            dims[j + 1] = swap;
        }
    }
    size_t span = 1, far = 0;
    for (int i = 2; i >= 0; i--) {
        if (dims[i].extent == 1) continue;
        *shared = *shared || dims[i].stride < span;
        if (!multiply(dims[i].extent - 1, dims[i].stride, &far) || far > SIZE_MAX - span) return false;
        span += far;
    }
    view->span = span;
    return multiply(span, element_bytes, &far) && far <= PTRDIFF_MAX;
}

typedef struct named_strides {
    const char *name;
    const size_t *strides;
} named_strides;

static clbn_status make_view(const clbn_device *device, const clbn_config *config, const span_of_dims parts[3],
                             const clbn_shape *shape, size_t element_bytes, named_strides given, clbn_view *view) {
    *view = (clbn_view){shape->channels * shape->inner, shape->inner, 1, shape->elements};
    if (given.strides == NULL || shape->elements == 0) return CLBN_SUCCESS;
    size_t *spacings[] = {&view->outer, &view->channel, &view->unit};
    for (int p = 0; p < 3; p++) {
        CHECK(collapse(config, given.strides, parts[p], spacings[p]), device, CLBN_ERROR_INVALID_DIMS,
              "strides.%s: dims %d to %d are not evenly spaced as one, which those %s the channel axis must be", given.name,
              parts[p].from, parts[p].to - 1, p == 0 ? "before" : "behind");
    }
    bool shared = false;
    const bool fits = measure(shape, element_bytes, view, &shared);
    CHECK(!shared, device, CLBN_ERROR_INVALID_DIMS, "strides.%s: two elements share a place, or rows lie in each other's gaps",
          given.name);
    CHECK(fits, device, CLBN_ERROR_INVALID_DIMS, "strides.%s: the last element lies further than %td bytes", given.name,
          PTRDIFF_MAX);
    return CLBN_SUCCESS;
}

/* Without a channel axis all elements are one channel: one long row, or, where strides forbid that, rows of the trailing dims
 * that are evenly spaced in every tensor. */
static int first_dim_of_row(const clbn_config *config, const named_strides given[CLBN_TENSOR_COUNT]) {
    const int rank = (int)config->rank;
    for (int split = 0; split < rank; split++) {
        bool even = true;
        for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
            size_t spacing;
            even =
                even && (given[t].strides == NULL || collapse(config, given[t].strides, (span_of_dims){split, rank}, &spacing));
        }
        if (even) return split;
    }
    return rank;
}

clbn_status clbn_shape_make(const clbn_device *device, const clbn_config *config, size_t element_bytes, clbn_shape *shape,
                            clbn_view views[CLBN_TENSOR_COUNT]) {
    TRY(check_axis(device, config));
    const clbn_strides *s = &config->strides;
    const named_strides given[CLBN_TENSOR_COUNT] = {
        [CLBN_X] = {"x", s->x},    [CLBN_Y] = {"y", s->y},    [CLBN_RESIDUAL] = {"residual", s->residual},
        [CLBN_DX] = {"dx", s->dx}, [CLBN_DY] = {"dy", s->dy}, [CLBN_DRESIDUAL] = {"dresidual", s->dresidual}};

    /* Zero extents count as one here: whether the rest of a shape overflows must not depend on them. */
    const int rank = (int)config->rank;
    size_t bytes = element_bytes, elements = 1;
    bool fits = true;
    for (int i = 0; i < rank && fits; i++) {
        const size_t extent = config->dims[i];
        fits = multiply(bytes, extent ? extent : 1, &bytes);
        elements *= extent;
    }
    CHECK(fits && bytes <= PTRDIFF_MAX, device, CLBN_ERROR_INVALID_DIMS,
          "the product of the %d dims overflows: %zu bytes an element, at most %td bytes in all", rank, element_bytes,
          PTRDIFF_MAX);

    const bool no_axis = config->axis == CLBN_AXIS_NONE;
    const int axis = no_axis ? (elements ? first_dim_of_row(config, given) : rank) : config->axis + (config->axis < 0 ? rank : 0);
    const span_of_dims parts[3] = {{0, axis}, {axis, no_axis ? axis : axis + 1}, {no_axis ? axis : axis + 1, rank}};
    *shape = (clbn_shape){extent_of(config, parts[0]), extent_of(config, parts[1]), extent_of(config, parts[2]), elements, 0};
    shape->count = shape->outer * shape->inner;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        TRY(make_view(device, config, parts, shape, element_bytes, given[t], &views[t]));
    }
    return CLBN_SUCCESS;
}
