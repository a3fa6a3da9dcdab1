/* SPDX-License-Identifier: Apache-2.0
 *
 * dims and a channel axis become x[outer][channels][inner]; all overflow is caught here, once. Nothing behind this file
 * knows dims.
 */
#include "internal.h"

/* False if a * b does not fit. */
static bool multiply(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

clbn_status clbn_shape_make(const clbn_device *device, const clbn_config *config, size_t element_bytes, clbn_shape *shape) {
    const int rank = (int)config->rank;
    CHECK(config->rank >= 1 && config->rank <= CLBN_MAX_RANK, device, CLBN_ERROR_INVALID_DIMS, "rank is %u; it must be 1 to %d",
          config->rank, CLBN_MAX_RANK);
    CHECK(config->dims != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "dims is NULL; it must point to %u extents", config->rank);
    const bool no_axis = config->axis == CLBN_AXIS_NONE;
    CHECK(no_axis || (config->axis >= -rank && config->axis < rank), device, CLBN_ERROR_INVALID_DIMS,
          "axis is %d; with rank %d it must be %d to %d, or CLBN_AXIS_NONE", config->axis, rank, -rank, rank - 1);
    const int axis = no_axis ? rank : config->axis < 0 ? config->axis + rank : config->axis;

    /* Zero extents count as one here: whether the rest of a shape overflows must not depend on them. */
    size_t extents[3] = {1, 1, 1}, bytes = element_bytes;
    bool fits = true, empty = false;
    for (int i = 0; i < rank && fits; i++) {
        const size_t extent = config->dims[i];
        size_t *part = &extents[i < axis ? 0 : i == axis ? 1 : 2];
        empty = empty || extent == 0;
        fits = multiply(bytes, extent ? extent : 1, &bytes) && multiply(*part, extent, part);
    }
    CHECK(fits && bytes <= PTRDIFF_MAX, device, CLBN_ERROR_INVALID_DIMS,
          "the product of the %d dims overflows: %zu bytes an element, at most %td bytes in all", rank, element_bytes,
          PTRDIFF_MAX);

    *shape = (clbn_shape){extents[0], extents[1], extents[2], 0, extents[0] * extents[2]};
    shape->elements = empty ? 0 : shape->count * shape->channels;
    if (no_axis && !empty) { /* all elements are one channel: one long row */
        shape->inner = shape->count;
        shape->outer = 1;
    }
    return CLBN_SUCCESS;
}
