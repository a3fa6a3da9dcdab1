/* SPDX-License-Identifier: Apache-2.0
 *
 * Host arrays on a device: uploaded and read back, or, where device and host share memory, x and y used in place.
 */
#include "opencl/opencl.h"

static size_t slot_bytes(const clbn_plan *plan, clbn_slot slot) {
    return (slot == CLBN_X || slot == CLBN_Y ? plan->shape.elements : plan->shape.channels) * sizeof(float);
}

static char *host_pointer(const clbn_buffer *buffer) {
    return (char *)buffer->host + buffer->offset * sizeof(float);
}

/* The batch is worth using in place; per-channel arrays are not worth a mapping. */
static bool in_place(const clbn_plan *plan, clbn_slot slot) {
    return (slot == CLBN_X || slot == CLBN_Y) && ((const clbn_opencl *)plan->device->state)->shares_memory;
}

/* y on x's very array is x's memory object. */
static bool shares_x(const clbn_run *run, clbn_slot slot) {
    const clbn_buffer *x = &run->buffers[CLBN_X], *y = &run->buffers[slot];
    return slot == CLBN_Y && x->kind == CLBN_BUFFER_HOST && host_pointer(x) == host_pointer(y);
}

static clbn_status make(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, cl_mem *mem) {
    const clbn_opencl *cl = plan->device->state;
    const bool is_y = slot == CLBN_X && run->buffers[CLBN_Y].kind == CLBN_BUFFER_HOST && shares_x(run, CLBN_Y);
    const clbn_access access = is_y ? CLBN_UPDATE : run->uses[slot].access;
    char *pointer = host_pointer(&run->buffers[slot]);
    cl_mem_flags flags = access == CLBN_READ ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
    cl_int code;
    if (in_place(plan, slot)) {
        flags |= CL_MEM_USE_HOST_PTR;
    } else if ((access & CLBN_READ) != 0) {
        flags |= CL_MEM_COPY_HOST_PTR;
    } else {
        pointer = NULL;
    }
    *mem = clCreateBuffer(cl->context, flags, slot_bytes(plan, slot), pointer, &code);
    return code == CL_SUCCESS ? CLBN_SUCCESS : clbn_cl_failed(plan->device, "clCreateBuffer", code);
}

clbn_status clbn_transfer_begin(const clbn_plan *plan, const clbn_run *run, clbn_transfer *transfer,
                                clbn_operand operands[CLBN_SLOT_COUNT]) {
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        const clbn_buffer *buffer = &run->buffers[slot];
        clbn_operand *operand = &operands[slot];
        *operand = (clbn_operand){operands[CLBN_X].mem, 0, false};
        if (run->uses[slot].access == CLBN_UNUSED || buffer->kind == CLBN_BUFFER_ABSENT) continue;
        operand->present = true;
        if (buffer->kind == CLBN_BUFFER_MEM) {
            operand->mem = buffer->mem;
            operand->offset = buffer->offset;
        } else if (!shares_x(run, (clbn_slot)slot)) {
            TRY(make(plan, run, (clbn_slot)slot, &transfer->made[slot]));
            operand->mem = transfer->made[slot];
        }
    }
    return CLBN_SUCCESS;
}

/* Reads a result back; where it was computed in place, a map and an unmap make it the host's. */
static cl_int fetch(const clbn_plan *plan, clbn_slot slot, cl_mem mem, const clbn_buffer *buffer, cl_command_queue queue) {
    const size_t bytes = slot_bytes(plan, slot);
    if (!in_place(plan, slot)) {
        return clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, bytes, host_pointer(buffer), 0, NULL, NULL);
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
        const int slot = i % CLBN_SLOT_COUNT;
        const clbn_buffer *buffer = &run->buffers[slot];
        if (run->uses[slot].access != in_turn[i / CLBN_SLOT_COUNT] || buffer->kind != CLBN_BUFFER_HOST) continue;
        cl_mem mem = transfer->made[shares_x(run, (clbn_slot)slot) ? CLBN_X : slot];
        code = fetch(plan, (clbn_slot)slot, mem, buffer, queue);
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
