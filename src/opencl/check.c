/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks of a call that need OpenCL: its queue, its wait list, its memory objects. Validators only.
 */
#include "opencl/opencl.h"

clbn_status clbn_cl_check_queue(const clbn_plan *plan, const clbn_run *run) {
    const clbn_opencl *cl = plan->device->state;
    const bool nothing = run->is_idle && run->event == NULL && run->n_wait == 0;
    CHECK(run->queue != NULL || run->on_host || nothing, plan->device, CLBN_ERROR_INVALID_QUEUE,
          "queue is NULL; a call with no host pointer among its buffers needs one");
    CHECK(!run->on_host || run->event == NULL, plan->device, CLBN_ERROR_INVALID_WAIT_LIST,
          "event is given; a call with host pointers returns when its results are in place and takes NULL");
    CHECK((run->n_wait == 0) == (run->wait_list == NULL), plan->device, CLBN_ERROR_INVALID_WAIT_LIST,
          "wait_list is %s with n_wait %u", run->wait_list ? "given" : "NULL", (unsigned)run->n_wait);
    for (cl_uint i = 0; i < run->n_wait; i++) {
        cl_context context = NULL;
        CHECK(run->wait_list[i] != NULL, plan->device, CLBN_ERROR_INVALID_WAIT_LIST, "wait_list[%u] is NULL", (unsigned)i);
        CHECK(clGetEventInfo(run->wait_list[i], CL_EVENT_CONTEXT, sizeof context, &context, NULL) == CL_SUCCESS, plan->device,
              CLBN_ERROR_INVALID_WAIT_LIST, "wait_list[%u] is no valid event", (unsigned)i);
        CHECK(context == cl->context, plan->device, CLBN_ERROR_INVALID_WAIT_LIST, "wait_list[%u] is an event of another context",
              (unsigned)i);
    }
    if (run->queue == NULL) return CLBN_SUCCESS;
    cl_context context = NULL;
    cl_device_id device = NULL;
    CHECK(clGetCommandQueueInfo(run->queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL) == CL_SUCCESS, plan->device,
          CLBN_ERROR_INVALID_QUEUE, "queue is no valid command queue");
    CHECK(context == cl->context, plan->device, CLBN_ERROR_INVALID_QUEUE, "queue is of another context than the plan's device");
    CL_TRY(plan->device, clGetCommandQueueInfo(run->queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL));
    CHECK(device == cl->device, plan->device, CLBN_ERROR_INVALID_QUEUE, "queue is of another device than the plan's");
    return CLBN_SUCCESS;
}

clbn_status clbn_cl_check_buffer(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t bytes,
                                 clbn_access access, clbn_region *region) {
    const clbn_opencl *cl = plan->device->state;
    cl_context context = NULL;
    cl_mem_object_type type = 0;
    cl_mem_flags flags = 0;
    cl_mem parent = NULL;
    size_t size = 0, origin = 0;
    CHECK(clGetMemObjectInfo(buffer.mem, CL_MEM_CONTEXT, sizeof context, &context, NULL) == CL_SUCCESS, plan->device,
          CLBN_ERROR_WRONG_MEMORY, "%s is no valid memory object", name);
    CHECK(context == cl->context, plan->device, CLBN_ERROR_WRONG_MEMORY, "%s is of another context than the plan's device", name);
    CL_TRY(plan->device, clGetMemObjectInfo(buffer.mem, CL_MEM_TYPE, sizeof type, &type, NULL));
    CHECK(type == CL_MEM_OBJECT_BUFFER, plan->device, CLBN_ERROR_WRONG_MEMORY, "%s is an image or pipe; it must be a buffer",
          name);
    CL_TRY(plan->device, clGetMemObjectInfo(buffer.mem, CL_MEM_FLAGS, sizeof flags, &flags, NULL));
    CHECK(!(access & CLBN_WRITE) || !(flags & CL_MEM_READ_ONLY), plan->device, CLBN_ERROR_WRONG_MEMORY,
          "%s is written, and its buffer is CL_MEM_READ_ONLY", name);
    CHECK(!(access & CLBN_READ) || !(flags & CL_MEM_WRITE_ONLY), plan->device, CLBN_ERROR_WRONG_MEMORY,
          "%s is read, and its buffer is CL_MEM_WRITE_ONLY", name);
    CL_TRY(plan->device, clGetMemObjectInfo(buffer.mem, CL_MEM_SIZE, sizeof size, &size, NULL));
    CHECK(buffer.offset <= size / element_bytes && bytes <= size - buffer.offset * element_bytes, plan->device,
          CLBN_ERROR_BUFFER_TOO_SMALL, "%s needs %zu bytes from element %zu on; its buffer has %zu bytes in all", name, bytes,
          buffer.offset, size);
    CL_TRY(plan->device, clGetMemObjectInfo(buffer.mem, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL));
    if (parent) CL_TRY(plan->device, clGetMemObjectInfo(buffer.mem, CL_MEM_OFFSET, sizeof origin, &origin, NULL));
    region->root = parent ? parent : buffer.mem;
    region->begin = origin + buffer.offset * element_bytes;
    region->end = region->begin + bytes;
    return CLBN_SUCCESS;
}
