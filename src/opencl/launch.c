/* SPDX-License-Identifier: Apache-2.0
 *
 * Launches: kernels are made for each call (which makes a plan safe on many threads), given their arguments in order, and
 * enqueued as a chain that is right on in-order and out-of-order queues. The only place that makes a kernel for a call or
 * enqueues one.
 */
#include "opencl/opencl.h"

clbn_launch *clbn_chain_add(clbn_chain *chain, const clbn_plan *plan, const char *kernel, const clbn_cut *cut) {
    clbn_launch *launch = &chain->launches[chain->count++];
    *launch = (clbn_launch){.real_bytes = clbn_dtype_bytes(plan->real_type),
                            .global = {cut->groups_x * cut->lx, cut->groups_y * cut->ly},
                            .local = {cut->lx, cut->ly}};
    launch->kernel = clCreateKernel(((const clbn_cl_plan *)plan->state)->program->program, kernel, &launch->code);
    return launch;
}

static void pass(clbn_launch *launch, size_t bytes, const void *value) {
    if (launch->code == CL_SUCCESS) launch->code = clSetKernelArg(launch->kernel, launch->arguments++, bytes, value);
}

void clbn_pass_count(clbn_launch *launch, size_t count) {
    const cl_ulong value = count;
    pass(launch, sizeof value, &value);
}

void clbn_pass_bits(clbn_launch *launch, cl_uint bits) {
    pass(launch, sizeof bits, &bits);
}

void clbn_pass_real(clbn_launch *launch, double value) {
    const cl_float real = (cl_float)value;
    const bool wide = launch->real_bytes == sizeof value;
    pass(launch, launch->real_bytes, wide ? (const void *)&value : &real);
}

void clbn_pass(clbn_launch *launch, clbn_operand operand) {
    pass(launch, sizeof operand.mem, &operand.mem);
    clbn_pass_count(launch, operand.offset);
}

void clbn_pass_scratch(clbn_launch *launch, size_t reals) {
    pass(launch, reals * launch->real_bytes, NULL);
}

clbn_status clbn_chain_check(const clbn_device *device, const clbn_chain *chain) {
    for (cl_uint i = 0; i < chain->count; i++) {
        const clbn_launch *launch = &chain->launches[i];
        if (launch->kernel == NULL) return clbn_cl_failed(device, "clCreateKernel", launch->code);
        if (launch->code != CL_SUCCESS) return clbn_cl_failed(device, "clSetKernelArg", launch->code);
    }
    return CLBN_SUCCESS;
}

bool clbn_queue_is_unordered(cl_command_queue queue) {
    cl_command_queue_properties properties = 0;
    clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    return (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
}

clbn_status clbn_chain_enqueue(const clbn_device *device, const clbn_chain *chain, cl_command_queue queue, cl_uint n,
                               const cl_event *list, cl_event *last) {
    const bool unordered = clbn_queue_is_unordered(queue);
    cl_event before = NULL;
    for (cl_uint i = 0; i < chain->count; i++) {
        const clbn_launch *launch = &chain->launches[i];
        const bool is_last = i + 1 == chain->count;
        cl_event event = NULL;
        const cl_int code =
            clEnqueueNDRangeKernel(queue, launch->kernel, 2, NULL, launch->global, launch->local, i == 0 ? n : before != NULL,
                                   i == 0   ? list
                                   : before ? &before
                                            : NULL,
                                   is_last     ? last
                                   : unordered ? &event
                                               : NULL);
        if (before) clReleaseEvent(before);
        before = event;
        if (code == CL_SUCCESS) continue;
        const clbn_status status = clbn_cl_failed(device, "clEnqueueNDRangeKernel", code);
        if (i == 0) return status;
        return clbn_tell(device, CLBN_ERROR_INCOMPLETE, code,
                         "launch %u of %u was refused: the outputs are undefined, the running statistics as before", i + 1,
                         chain->count);
    }
    return CLBN_SUCCESS;
}

void clbn_chain_release(clbn_chain *chain) {
    for (cl_uint i = 0; i < chain->count; i++) {
        if (chain->launches[i].kernel) clReleaseKernel(chain->launches[i].kernel);
    }
    chain->count = 0;
}
