/* SPDX-License-Identifier: Apache-2.0
 *
 * Bench on an OpenCL device: buffers there, pipeline calls on the device's queue, and the ways to copy that it offers.
 * A copy kernel that the device's compiler refuses is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "progress.h"

/* T is set by the build, n counts bytes. The items of copy_strided take turns; an item of copy_chunks walks one piece,
 * which suits CPU devices, where an item is a loop on a core. The first item takes what is no whole vector. Without the
 * built-in function that PAST_CACHE asks for the program is empty, and the way is left out. */
static const char source[] =
    "#if !defined(PAST_CACHE)\n"
    "#define STORE(p, v) *(p) = (v)\n"
    "#elif defined(__has_builtin)\n"
    "#if __has_builtin(__builtin_nontemporal_store)\n"
    "#define STORE(p, v) __builtin_nontemporal_store(v, p)\n"
    "#endif\n"
    "#endif\n"
    "#if defined(STORE)\n"
    "void copy_rest(__global const T *x, __global T *y, ulong n) {\n"
    "    __global const uchar *a = (__global const uchar *)x;\n"
    "    __global uchar *b = (__global uchar *)y;\n"
    "    if (get_global_id(0) == 0) for (ulong i = n - n % sizeof(T); i < n; i++) b[i] = a[i];\n"
    "}\n"
    "__kernel void copy_strided(__global const T *restrict x, __global T *restrict y, ulong n) {\n"
    "    for (ulong i = get_global_id(0); i < n / sizeof(T); i += get_global_size(0)) STORE(y + i, x[i]);\n"
    "    copy_rest(x, y, n);\n"
    "}\n"
    "__kernel void copy_chunks(__global const T *restrict x, __global T *restrict y, ulong n) {\n"
    "    ulong all = n / sizeof(T), per = (all + get_global_size(0) - 1) / get_global_size(0);\n"
    "    ulong begin = min(per * get_global_id(0), all), end = min(begin + per, all);\n"
    "    for (ulong i = begin; i < end; i++) STORE(y + i, x[i]);\n"
    "    copy_rest(x, y, n);\n"
    "}\n"
    "#endif\n";

typedef enum spread {
    ITEM_PER_VECTOR,
    ITEMS_PER_UNIT, /* eight groups for each compute unit */
    ITEM_PER_UNIT   /* one for each compute unit, on CPU devices only */
} spread;

static const struct {
    const char *name;
    const char *options;
    size_t bytes; /* of T */
    spread spread;
} kernels[] = {
    {"kernel-float", "-DT=float", 4, ITEM_PER_VECTOR},
    {"kernel-float4", "-DT=float4", 16, ITEM_PER_VECTOR},
    {"kernel-float16", "-DT=float16", 64, ITEM_PER_VECTOR},
    {"kernel-float4-strided", "-DT=float4", 16, ITEMS_PER_UNIT},
    {"kernel-chunks", "-DT=float16", 64, ITEM_PER_UNIT},
    {"kernel-chunks-past-cache", "-DT=float16 -DPAST_CACHE", 64, ITEM_PER_UNIT},
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
        error = way == WAY_ENQUEUE_COPY
                    ? clEnqueueCopyBuffer(state->queue, state->mems[BENCH_X], state->mems[bench_output(target)], 0, 0,
                                          target->bytes, 0, NULL, NULL)
                    : clEnqueueNDRangeKernel(state->queue, state->kernels[way], 1, NULL, &state->global[way], &state->local[way],
                                             0, NULL, NULL);
    if (error == CL_SUCCESS) error = clFinish(state->queue);
    return check_cl(target, error, target->names[way]);
}

static int read_opencl(bench_target *target, int buffer, void *to) {
    opencl_state *state = target->state;
    size_t bytes = 0;
    cl_int error = clGetMemObjectInfo(state->mems[buffer], CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    if (error == CL_SUCCESS) error = clEnqueueReadBuffer(state->queue, state->mems[buffer], CL_TRUE, 0, bytes, to, 0, NULL, NULL);
    return check_cl(target, error, "reading a buffer");
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
    array values = {0};
    TRY(bench_make(target, buffer, &values));
    if (!values.data) return EXIT_DONE;
    state->mems[buffer] = clCreateBuffer(state->context, CL_MEM_READ_WRITE, bench_bytes(&values), NULL, &error);
    if (error == CL_SUCCESS)
        error =
            clEnqueueWriteBuffer(state->queue, state->mems[buffer], CL_TRUE, 0, bench_bytes(&values), values.data, 0, NULL, NULL);
    array_free(&values);
    state->buffers[buffer] = clbn_mem(state->mems[buffer], 0);
    return check_cl(target, error, "making a buffer");
}

/* The kernel of row i, with its arguments, or NULL where the device refuses it. */
static cl_kernel make_kernel(bench_target *target, opencl_state *state, size_t i) {
    cl_int error;
    const char *text = source;
    cl_ulong bytes = target->bytes;
    state->programs[i] = clCreateProgramWithSource(state->context, 1, &text, NULL, &error);
    if (error != CL_SUCCESS) return NULL;
    if (clBuildProgram(state->programs[i], 1, &state->device, kernels[i].options, NULL, NULL) != CL_SUCCESS) return NULL;
    cl_kernel kernel =
        clCreateKernel(state->programs[i], kernels[i].spread == ITEM_PER_UNIT ? "copy_chunks" : "copy_strided", &error);
    if (error != CL_SUCCESS) return NULL;
    if (clSetKernelArg(kernel, 0, sizeof(cl_mem), &state->mems[BENCH_X]) == CL_SUCCESS &&
        clSetKernelArg(kernel, 1, sizeof(cl_mem), &state->mems[bench_output(target)]) == CL_SUCCESS &&
        clSetKernelArg(kernel, 2, sizeof bytes, &bytes) == CL_SUCCESS)
        return kernel;
    clReleaseKernel(kernel);
    return NULL;
}

static void add_kernel(bench_target *target, opencl_state *state, size_t i, const clbn_device_info *info) {
    int on_cpu = info->kind == CLBN_DEVICE_CPU || info->kind == CLBN_DEVICE_SIMULATOR;
    if (kernels[i].spread == ITEM_PER_UNIT && !on_cpu) return;
    cl_kernel kernel = make_kernel(target, state, i);
    if (!kernel) return;
    size_t most = 0, local = LOCAL_SIZE, units = info->compute_units ? info->compute_units : 1, items = units;
    clGetKernelWorkGroupInfo(kernel, state->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (kernels[i].spread == ITEM_PER_UNIT || most < local) local = 1;
    if (kernels[i].spread == ITEM_PER_VECTOR) items = target->bytes / kernels[i].bytes + 1;
    if (kernels[i].spread == ITEMS_PER_UNIT) items = units * 8 * local;
    unsigned way = target->ways++;
    state->kernels[way] = kernel;
    state->local[way] = local;
    state->global[way] = (items + local - 1) / local * local;
    target->names[way] = kernels[i].name;
}

int bench_open_calls(bench_target *target, const session *s) {
    opencl_state *state = calloc(1, sizeof *state);
    if (!state) return fail_run("%s: no memory", target->what);
    target->state = state;
    target->run = run_opencl;
    target->read = read_opencl;
    target->close = close_opencl;
    clbn_status status = clbn_device_get_cl(s->device, &state->context, &state->device, &state->queue);
    if (status != CLBN_SUCCESS) return fail_library(target->log, status, target->what);
    for (int i = 0; i < BENCH_BUFFERS; i++) TRY(make_buffer(target, state, i));
    target->names[WAY_OP] = "op";
    target->ways = WAY_ENQUEUE_COPY;
    return EXIT_DONE;
}

int bench_open_opencl(bench_target *target, const session *s) {
    TRY(bench_open_calls(target, s));
    target->names[WAY_ENQUEUE_COPY] = "enqueue-copy";
    target->ways = WAY_FIRST_KERNEL;
    for (size_t i = 0; i < KERNEL_COUNT; i++) add_kernel(target, target->state, i, &s->info);
    return EXIT_DONE;
}
