/* SPDX-License-Identifier: Apache-2.0
 *
 * What a slot of a call holds: elements of which size, and how many.
 */
#include "internal.h"

size_t clbn_dtype_bytes(clbn_dtype dtype) {
    switch (dtype) {
    case CLBN_F32:
        return 4;
    case CLBN_F16:
    case CLBN_BF16:
        return 2;
    case CLBN_F64:
        return 8;
    case CLBN_I8:
        return 1;
    case CLBN_AS_X:
        break;
    }
    return 0;
}

size_t clbn_slot_element_bytes(const clbn_plan *plan, clbn_slot slot) {
    switch (slot) {
    case CLBN_X:
    case CLBN_DX:
        return clbn_dtype_bytes(plan->x_type);
    case CLBN_Y:
    case CLBN_RESIDUAL:
    case CLBN_DY:
    case CLBN_DRESIDUAL:
        return clbn_dtype_bytes(plan->y_type);
    case CLBN_COUNTS:
    case CLBN_COUNT:
        return sizeof(uint64_t);
    case CLBN_MASK:
        return 1;
    default:
        return clbn_dtype_bytes(plan->real_type);
    }
}

size_t clbn_slot_elements(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    if (slot < CLBN_TENSOR_COUNT) return plan->views[slot].span;
    switch (slot) {
    case CLBN_MASK:
        return plan->mask_bytes;
    case CLBN_PARTS:
        return run->part_count * CLBN_PART_REALS * plan->shape.channels;
    case CLBN_COUNTS:
        return run->part_count;
    case CLBN_PART:
        return CLBN_PART_REALS * plan->shape.channels;
    case CLBN_COUNT:
        return 1;
    default:
        return plan->shape.channels;
    }
}
