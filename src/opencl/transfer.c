/* SPDX-License-Identifier: Apache-2.0
 *
 * Host arrays on a device: uploaded and read back, or, where device and host share memory, tensors used in place. Slots that are
 * one array (y on x, dx on dy, ...) are one memory object, the first slot's.
 */
#include "opencl/opencl.h"

#include <stdlib.h>
#include <string.h>

static size_t slot_bytes(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    return clbn_slot_elements(plan, run, slot) * clbn_slot_element_bytes(plan, slot);
}

static char *host_pointer(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    return (char *)run->buffers[slot].host + run->buffers[slot].offset * clbn_slot_element_bytes(plan, slot);
}

static bool is_used(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    if (slot < CLBN_TENSOR_COUNT && plan->shape.elements == 0) return false;
    return run->uses[slot].access != CLBN_UNUSED && clbn_has(run, slot) && slot_bytes(plan, run, slot) != 0;
}

static bool is_host(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    return is_used(plan, run, slot) && run->buffers[slot].kind == CLBN_BUFFER_HOST;
}

/* Are there places between its elements that are none of the call's business? */
static bool has_gaps(const clbn_plan *plan, clbn_slot slot) {
    return slot < CLBN_TENSOR_COUNT && plan->views[slot].span != plan->shape.elements;
}

/* A batch is worth using in place; per-channel arrays are not worth a mapping. */
static bool in_place(const clbn_plan *plan, clbn_slot slot) {
    return slot < CLBN_TENSOR_COUNT && !has_gaps(plan, slot) && ((const clbn_opencl *)plan->device->state)->shares_memory;
}

/* The first slot on the same host array. */
static clbn_slot owner_of(const clbn_plan *plan, const clbn_run *run, clbn_slot slot) {
    for (int other = 0; other < (int)slot; other++) {
        const clbn_slot o = (clbn_slot)other;
        if (is_host(plan, run, o) && host_pointer(plan, run, o) == host_pointer(plan, run, slot) &&
            slot_bytes(plan, run, o) == slot_bytes(plan, run, slot)) {
            return o;
        }
    }
    return slot;
}

/* Statistics of parts that are all empty touch no output, so that what it holds must come along. Counts in a cl_mem are not known. */
static bool may_touch_nothing(const clbn_plan *plan, const clbn_run *run) {
    if (!clbn_has(run, CLBN_PARTS)) return false;
    if (!is_host(plan, run, CLBN_COUNTS)) return true;
    const uint64_t *counts = (const uint64_t *)run->buffers[CLBN_COUNTS].host + run->buffers[CLBN_COUNTS].offset;
    for (size_t k = 0; k < run->part_count; k++) {
        if (counts[k] != 0) return false;
    }
    return true;
}

/* How the call uses the array of a slot, by whichever slot. */
static unsigned access_of(const clbn_plan *plan, const clbn_run *run, clbn_slot owner) {
    unsigned access = may_touch_nothing(plan, run) ? CLBN_READ : 0;
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        const clbn_slot s = (clbn_slot)slot;
        if (is_host(plan, run, s) && owner_of(plan, run, s) == owner) access |= run->uses[s].access;
    }
    return access;
}

static clbn_status make(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, cl_mem *mem) {
    const clbn_opencl *cl = plan->device->state;
    const unsigned access = access_of(plan, run, slot);
    char *pointer = host_pointer(plan, run, slot);
    cl_mem_flags flags = access == CLBN_READ ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
    cl_int code;
    if (in_place(plan, slot)) {
        flags |= CL_MEM_USE_HOST_PTR;
    } else if ((access & CLBN_READ) != 0) {
        flags |= CL_MEM_COPY_HOST_PTR;
    } else {
        pointer = NULL;
    }
    *mem = clCreateBuffer(cl->context, flags, slot_bytes(plan, run, slot), pointer, &code);
    return code == CL_SUCCESS ? CLBN_SUCCESS : clbn_cl_failed(plan->device, "clCreateBuffer", code);
}

clbn_status clbn_transfer_begin(const clbn_plan *plan, const clbn_run *run, clbn_transfer *transfer,
                                clbn_operand operands[CLBN_SLOT_COUNT]) {
    cl_mem any = ((const clbn_cl_plan *)plan->state)->workspace;
    for (int i = 0; i < CLBN_SLOT_COUNT; i++) {
        const clbn_slot slot = (clbn_slot)i;
        const clbn_buffer *buffer = &run->buffers[slot];
        operands[slot] = (clbn_operand){NULL, 0, is_used(plan, run, slot)};
        if (!operands[slot].present) continue;
        if (buffer->kind == CLBN_BUFFER_MEM) {
            operands[slot].mem = buffer->mem;
            operands[slot].offset = buffer->offset;
        } else {
            const clbn_slot owner = owner_of(plan, run, slot);
            if (owner == slot) TRY(make(plan, run, slot, &transfer->made[slot]));
            operands[slot].mem = transfer->made[owner];
        }
        any = operands[slot].mem;
    }
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        if (!operands[slot].present) operands[slot].mem = any;
    }
    return CLBN_SUCCESS;
}

/* Puts the elements of a tensor with gaps in place, and leaves what lies between. */
static void scatter(const clbn_plan *plan, clbn_slot slot, const char *from, char *to) {
    const clbn_view *view = &plan->views[slot];
    const clbn_shape *s = &plan->shape;
    const size_t bytes = clbn_slot_element_bytes(plan, slot);
    for (size_t o = 0; o < s->outer; o++) {
        for (size_t c = 0; c < s->channels; c++) {
            const size_t start = o * view->outer + c * view->channel;
            for (size_t i = 0; i < s->inner; i++) {
                const size_t at = (start + i * view->unit) * bytes;
                memcpy(to + at, from + at, bytes);
            }
        }
    }
}

static cl_int fetch_with_gaps(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, cl_mem mem, cl_command_queue queue) {
    const size_t bytes = slot_bytes(plan, run, slot);
    char *copy = malloc(bytes);
    if (copy == NULL) return CL_OUT_OF_HOST_MEMORY;
    const cl_int code = clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, bytes, copy, 0, NULL, NULL);
    if (code == CL_SUCCESS) scatter(plan, slot, copy, host_pointer(plan, run, slot));
    free(copy);
    return code;
}

/* Reads a result back; where it was computed in place, a map and an unmap make it the host's. */
static cl_int fetch(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, cl_mem mem, cl_command_queue queue) {
    const size_t bytes = slot_bytes(plan, run, slot);
    if (has_gaps(plan, slot)) return fetch_with_gaps(plan, run, slot, mem, queue);
    if (!in_place(plan, slot)) {
        return clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, bytes, host_pointer(plan, run, slot), 0, NULL, NULL);
    }
    cl_int code;
    cl_event unmapped = NULL;
    void *pointer = clEnqueueMapBuffer(queue, mem, CL_TRUE, CL_MAP_READ, 0, bytes, 0, NULL, NULL, &code);
    if (code == CL_SUCCESS) code = clEnqueueUnmapMemObject(queue, mem, pointer, 0, NULL, &unmapped);
    if (code == CL_SUCCESS) code = clWaitForEvents(1, &unmapped);
    if (unmapped) clReleaseEvent(unmapped);
    return code;
}

clbn_status clbn_transfer_finish(const clbn_plan *plan, const clbn_run *run, const clbn_transfer *transfer,
                                 cl_command_queue queue, cl_event done) {
    static const clbn_access in_turn[] = {CLBN_WRITE, CLBN_UPDATE}; /* running statistics last */
    cl_int code = clWaitForEvents(1, &done);
    for (int i = 0; i < 2 * CLBN_SLOT_COUNT && code == CL_SUCCESS; i++) {
        const clbn_slot slot = (clbn_slot)(i % CLBN_SLOT_COUNT);
        if (run->uses[slot].access != in_turn[i / CLBN_SLOT_COUNT] || !is_host(plan, run, slot)) continue;
        code = fetch(plan, run, slot, transfer->made[owner_of(plan, run, slot)], queue);
    }
    if (code == CL_SUCCESS) return CLBN_SUCCESS;
    clbn_cl_failed(plan->device, "reading the results back", code);
    return clbn_tell(plan->device, CLBN_ERROR_INCOMPLETE, code, "the results could not be read back: host outputs are undefined");
}

void clbn_transfer_release(clbn_transfer *transfer) {
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        if (transfer->made[slot]) clReleaseMemObject(transfer->made[slot]);
        transfer->made[slot] = NULL;
    }
}
