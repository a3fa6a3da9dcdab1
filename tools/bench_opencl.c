/* SPDX-License-Identifier: Apache-2.0
 *
 * Bench on an OpenCL device: buffers there, pipeline calls on the device's queue, and the ways to copy that it offers.
 * A copy kernel that the device's compiler refuses is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "progress.h"

/* The name of each kernel is its way's. Strided ones take any number of items; chunked ones walk one piece an item, which
 * suits CPU devices, where an item is a loop on a core. The last item takes what is no whole vector. */
static const char source[] = "#define COPY(name, T, W)                                                                        \n"
                             "  __kernel void name(__global const T *restrict x, __global T *restrict y, ulong n) {           \n"
                             "    for (ulong i = get_global_id(0); i < n / W; i += get_global_size(0)) y[i] = x[i];           \n"
                             "    __global const float *a = (__global const float *)x; __global float *b = (__global float *)y;\n"
                             "    if (get_global_id(0) == 0) for (ulong i = n / W * W; i < n; i++) b[i] = a[i];               \n"
                             "  }                                                                                             \n"
                             "#define CHUNK(name, STORE)                                                                      \n"
                             "  __kernel void name(__global const float16 *restrict x, __global float16 *restrict y, ulong n) {\n"
                             "    ulong all = n / 16, per = (all + get_global_size(0) - 1) / get_global_size(0);              \n"
                             "    ulong begin = per * get_global_id(0), end = min(begin + per, all);                          \n"
                             "    for (ulong i = begin; i < end; i++) STORE(y, i, x[i]);                                      \n"
                             "    __global const float *a = (__global const float *)x; __global float *b = (__global float *)y;\n"
                             "    if (get_global_id(0) == 0) for (ulong i = all * 16; i < n; i++) b[i] = a[i];                \n"
                             "  }                                                                                             \n"
                             "#define PLAIN(y, i, v) y[i] = v                                                                 \n"
                             "#define PAST_CACHE(y, i, v) __builtin_nontemporal_store(v, &y[i])                               \n"
                             "#if defined(WAY_COPY1)\n"
                             "COPY(copy, float, 1)\n"
                             "#elif defined(WAY_COPY4)\n"
                             "COPY(copy, float4, 4)\n"
                             "#elif defined(WAY_COPY16)\n"
                             "COPY(copy, float16, 16)\n"
                             "#elif defined(WAY_CHUNK)\n"
                             "CHUNK(copy, PLAIN)\n"
                             "#elif defined(__has_builtin)\n"
                             "#if __has_builtin(__builtin_nontemporal_store)\n"
                             "CHUNK(copy, PAST_CACHE)\n"
                             "#endif\n"
                             "#endif\n";

/* items: one for so many floats; 0: a few for each compute unit; -1: likewise, and on CPU devices only. */
static const struct {
    const char *name;
    const char *options;
    int floats_per_item;
} kernels[] = {
    {"kernel-float", "-DWAY_COPY1", 1},     {"kernel-float4", "-DWAY_COPY4", 4},
    {"kernel-float16", "-DWAY_COPY16", 16}, {"kernel-float4-strided", "-DWAY_COPY4", 0},
    {"kernel-chunks", "-DWAY_CHUNK", -1},   {"kernel-chunks-past-cache", "-DWAY_PAST_CACHE", -1},
};
#define KERNEL_COUNT (sizeof kernels / sizeof *kernels)
#define LOCAL_SIZE   256

typedef struct opencl_state {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
    cl_mem mems[BENCH_BUFFERS];
    clbn_buffer buffers[BENCH_BUFFERS];
    cl_program programs[KERNEL_COUNT];
    cl_kernel kernels[BENCH_MAX_WAYS];
    size_t global[BENCH_MAX_WAYS], local[BENCH_MAX_WAYS];
} opencl_state;

enum { WAY_OP, WAY_ENQUEUE_COPY, WAY_FIRST_KERNEL };

static int check_cl(const bench_target *target, cl_int error, const char *call) {
    return error == CL_SUCCESS ? EXIT_DONE : fail_run("%s: %s failed with OpenCL error %d", target->what, call, error);
}

static int run_opencl(bench_target *target, unsigned way, size_t calls) {
    opencl_state *state = target->state;
    cl_int error = CL_SUCCESS;
    if (way == WAY_OP) {
        TRY(bench_call(target, state->queue, state->buffers, calls));
        calls = 0;
    }
    for (size_t i = 0; i < calls && error == CL_SUCCESS; i++)
        error = way == WAY_ENQUEUE_COPY ? clEnqueueCopyBuffer(state->queue, state->mems[BENCH_X], state->mems[BENCH_Y], 0, 0,
                                                              target->count * sizeof(float), 0, NULL, NULL)
                                        : clEnqueueNDRangeKernel(state->queue, state->kernels[way], 1, NULL, &state->global[way],
                                                                 &state->local[way], 0, NULL, NULL);
    if (error == CL_SUCCESS) error = clFinish(state->queue);
    return check_cl(target, error, target->names[way]);
}

static void close_opencl(bench_target *target) {
    opencl_state *state = target->state;
    if (state->queue) clFinish(state->queue);
    for (unsigned i = 0; i < BENCH_MAX_WAYS; i++)
        if (state->kernels[i]) clReleaseKernel(state->kernels[i]);
    for (unsigned i = 0; i < KERNEL_COUNT; i++)
        if (state->programs[i]) clReleaseProgram(state->programs[i]);
    for (unsigned i = 0; i < BENCH_BUFFERS; i++)
        if (state->mems[i]) clReleaseMemObject(state->mems[i]);
    free(state);
    target->state = NULL;
}

static int make_buffer(bench_target *target, opencl_state *state, int buffer) {
    cl_int error;
    size_t count = bench_buffer_count(target, buffer);
    array values = {0};
    TRY(array_make(&values, (file_ref){"", target->what}, ARRAY_F32, 1, &count));
    bench_fill(buffer, values.data, count);
    state->mems[buffer] = clCreateBuffer(state->context, CL_MEM_READ_WRITE, count * sizeof(float), NULL, &error);
    if (error == CL_SUCCESS)
        error = clEnqueueWriteBuffer(state->queue, state->mems[buffer], CL_TRUE, 0, count * sizeof(float), values.data, 0, NULL,
                                     NULL);
    array_free(&values);
    state->buffers[buffer] = clbn_mem(state->mems[buffer], 0);
    return check_cl(target, error, "making a buffer");
}

/* The kernel of row i, with its arguments, or NULL where the device refuses it. */
static cl_kernel make_kernel(bench_target *target, opencl_state *state, size_t i) {
    cl_int error;
    const char *text = source;
    cl_ulong count = target->count;
    state->programs[i] = clCreateProgramWithSource(state->context, 1, &text, NULL, &error);
    if (error != CL_SUCCESS) return NULL;
    if (clBuildProgram(state->programs[i], 1, &state->device, kernels[i].options, NULL, NULL) != CL_SUCCESS) return NULL;
    cl_kernel kernel = clCreateKernel(state->programs[i], "copy", &error);
    if (error != CL_SUCCESS) return NULL;
    if (clSetKernelArg(kernel, 0, sizeof(cl_mem), &state->mems[BENCH_X]) == CL_SUCCESS &&
        clSetKernelArg(kernel, 1, sizeof(cl_mem), &state->mems[BENCH_Y]) == CL_SUCCESS &&
        clSetKernelArg(kernel, 2, sizeof count, &count) == CL_SUCCESS)
        return kernel;
    clReleaseKernel(kernel);
    return NULL;
}

static void add_kernel(bench_target *target, opencl_state *state, size_t i, const clbn_device_info *info) {
    int on_cpu = info->kind == CLBN_DEVICE_CPU || info->kind == CLBN_DEVICE_SIMULATOR;
    if (kernels[i].floats_per_item < 0 && !on_cpu) return;
    cl_kernel kernel = make_kernel(target, state, i);
    if (!kernel) return;
    unsigned way = target->ways++;
    size_t local = LOCAL_SIZE, most = 0, units = info->compute_units ? info->compute_units : 1;
    clGetKernelWorkGroupInfo(kernel, state->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (kernels[i].floats_per_item < 0 || most < local) local = 1;
    size_t items = kernels[i].floats_per_item > 0 ? target->count / (size_t)kernels[i].floats_per_item : units * 8 * local;
    if (kernels[i].floats_per_item < 0) items = units;
    state->kernels[way] = kernel;
    state->local[way] = local;
    state->global[way] = (items + local - 1) / local * local;
    if (state->global[way] == 0) state->global[way] = local;
    target->names[way] = kernels[i].name;
}

int bench_open_opencl(bench_target *target, const session *s) {
    opencl_state *state = calloc(1, sizeof *state);
    if (!state) return fail_run("%s: no memory", target->what);
    target->state = state;
    target->run = run_opencl;
    target->close = close_opencl;
    clbn_status status = clbn_device_get_cl(s->device, &state->context, &state->device, &state->queue);
    if (status != CLBN_SUCCESS) return fail_library(target->log, status, target->what);
    for (int i = 0; i < BENCH_BUFFERS; i++) TRY(make_buffer(target, state, i));
    target->names[WAY_OP] = "op";
    target->names[WAY_ENQUEUE_COPY] = "enqueue-copy";
    target->ways = WAY_FIRST_KERNEL;
    for (size_t i = 0; i < KERNEL_COUNT; i++) add_kernel(target, state, i, &s->info);
    return EXIT_DONE;
}
