/* SPDX-License-Identifier: Apache-2.0
 *
 * An OpenCL device opened: its context, its own queue, the facts that policy asks for. And OpenCL's codes in words.
 */
#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off: it never settles on such a list */
#define CODES(XX)                                    \
    XX(CL_SUCCESS)                                   \
    XX(CL_DEVICE_NOT_FOUND)                          \
    XX(CL_DEVICE_NOT_AVAILABLE)                      \
    XX(CL_COMPILER_NOT_AVAILABLE)                    \
    XX(CL_MEM_OBJECT_ALLOCATION_FAILURE)             \
    XX(CL_OUT_OF_RESOURCES)                          \
    XX(CL_OUT_OF_HOST_MEMORY)                        \
    XX(CL_PROFILING_INFO_NOT_AVAILABLE)              \
    XX(CL_MEM_COPY_OVERLAP)                          \
    XX(CL_BUILD_PROGRAM_FAILURE)                     \
    XX(CL_MAP_FAILURE)                               \
    XX(CL_MISALIGNED_SUB_BUFFER_OFFSET)              \
    XX(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) \
    XX(CL_COMPILE_PROGRAM_FAILURE)                   \
    XX(CL_LINKER_NOT_AVAILABLE)                      \
    XX(CL_LINK_PROGRAM_FAILURE)                      \
    XX(CL_INVALID_VALUE)                             \
    XX(CL_INVALID_DEVICE_TYPE)                       \
    XX(CL_INVALID_PLATFORM)                          \
    XX(CL_INVALID_DEVICE)                            \
    XX(CL_INVALID_CONTEXT)                           \
    XX(CL_INVALID_QUEUE_PROPERTIES)                  \
    XX(CL_INVALID_COMMAND_QUEUE)                     \
    XX(CL_INVALID_HOST_PTR)                          \
    XX(CL_INVALID_MEM_OBJECT)                        \
    XX(CL_INVALID_BINARY)                            \
    XX(CL_INVALID_BUILD_OPTIONS)                     \
    XX(CL_INVALID_PROGRAM)                           \
    XX(CL_INVALID_PROGRAM_EXECUTABLE)                \
    XX(CL_INVALID_KERNEL_NAME)                       \
    XX(CL_INVALID_KERNEL_DEFINITION)                 \
    XX(CL_INVALID_KERNEL)                            \
    XX(CL_INVALID_ARG_INDEX)                         \
    XX(CL_INVALID_ARG_VALUE)                         \
    XX(CL_INVALID_ARG_SIZE)                          \
    XX(CL_INVALID_KERNEL_ARGS)                       \
    XX(CL_INVALID_WORK_DIMENSION)                    \
    XX(CL_INVALID_WORK_GROUP_SIZE)                   \
    XX(CL_INVALID_WORK_ITEM_SIZE)                    \
    XX(CL_INVALID_GLOBAL_OFFSET)                     \
    XX(CL_INVALID_EVENT_WAIT_LIST)                   \
    XX(CL_INVALID_EVENT)                             \
    XX(CL_INVALID_OPERATION)                         \
    XX(CL_INVALID_BUFFER_SIZE)                       \
    XX(CL_INVALID_GLOBAL_WORK_SIZE)                  \
    XX(CL_INVALID_PROPERTY)
/* clang-format on */

const char *clbn_cl_name(cl_int code) {
    switch (code) {
#define NAME(name) \
    case name:     \
        return #name;
        CODES(NAME)
#undef NAME
    case -1001:
        return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
        return "an unknown code";
    }
}

clbn_status clbn_cl_failed(const clbn_device *device, const char *call, cl_int code) {
    clbn_status status = CLBN_ERROR_OPENCL;
    if (code == CL_OUT_OF_HOST_MEMORY) status = CLBN_ERROR_OUT_OF_HOST_MEMORY;
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES) status = CLBN_ERROR_OUT_OF_DEVICE_MEMORY;
    return clbn_tell(device, status, code, "%s gave %s (%d)", call, clbn_cl_name(code), (int)code);
}

/* ---------------------------------------------------------------------------------------------------------------- open */

static void read_facts(clbn_opencl *cl, clbn_device_kind kind) {
    cl_bool unified = CL_FALSE;
    cl_uint units = 1, native = 1;
    cl_ulong local = 0, cache = 0;
    size_t group = 1, *items = NULL, bytes = 0;
    clGetDeviceInfo(cl->device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof native, &native, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof cache, &cache, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    clGetDeviceInfo(cl->device, CL_DEVICE_MAX_WORK_ITEM_SIZES, 0, NULL, &bytes);
    if (bytes >= 2 * sizeof *items) items = malloc(bytes);
    if (items && clGetDeviceInfo(cl->device, CL_DEVICE_MAX_WORK_ITEM_SIZES, bytes, items, NULL) == CL_SUCCESS) {
        cl->max_items[0] = items[0];
        cl->max_items[1] = items[1];
    }
    free(items);
    for (int i = 0; i < 2; i++) cl->max_items[i] = clbn_max(cl->max_items[i], 1);
    cl->shares_memory = unified != CL_FALSE;
    cl->whole_vectors = kind == CLBN_DEVICE_CPU && native >= 4;
    cl->counts_turns = kind == CLBN_DEVICE_CPU && !cl->whole_vectors;
    cl->compute_units = units ? units : 1;
    cl->max_group = group ? group : 1;
    cl->local_bytes = (size_t)local;
    cl->cache_bytes = (size_t)cache;
}

/* Compiles a one-line kernel, runs it, reads its result. */
static clbn_status prove(const clbn_device *device) {
    static const char *const text = "__kernel void clbn_prove(__global uint *p) { p[0] = p[0] * 2u + 1u; }";
    const clbn_opencl *cl = device->state;
    const size_t length = strlen(text), one = 1;
    cl_program program = NULL;
    cl_kernel kernel = NULL;
    cl_mem mem = NULL;
    cl_uint value = 20;
    cl_int code = CL_SUCCESS;
    TRY(clbn_cl_build(device, &text, &length, 1, "-cl-std=CL1.2", &program));
    kernel = clCreateKernel(program, "clbn_prove", &code);
    if (code == CL_SUCCESS) {
        mem = clCreateBuffer(cl->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof value, &value, &code);
    }
    if (code == CL_SUCCESS) code = clSetKernelArg(kernel, 0, sizeof(cl_mem), &mem);
    if (code == CL_SUCCESS) code = clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = clEnqueueReadBuffer(cl->queue, mem, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL);
    if (mem) clReleaseMemObject(mem);
    if (kernel) clReleaseKernel(kernel);
    clReleaseProgram(program);
    if (code != CL_SUCCESS) return clbn_cl_failed(device, "a one-line kernel", code);
    CHECK(value == 41, device, CLBN_ERROR_OPENCL, "a one-line kernel gave %u in place of 41", value);
    return CLBN_SUCCESS;
}

/* Fills device from cl->context and cl->device, which are the device's from here on, whatever comes. */
static clbn_status finish_open(clbn_device *device, clbn_opencl *cl) {
    clbn_status status = CLBN_SUCCESS;
    cl_int code = CL_SUCCESS;
    device->backend = &clbn_opencl_backend;
    device->state = cl;
    clRetainDevice(cl->device);
    clbn_cl_describe(cl->device, &device->info);
    read_facts(cl, device->info.kind);
    if (device->cache_dir) cl->source_sum = clbn_cl_cache_sources(&cl->source_bytes);
    if (mtx_init(&cl->lock, mtx_plain) != thrd_success) {
        status = clbn_tell(device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no lock could be made");
        clReleaseDevice(cl->device);
        clReleaseContext(cl->context);
        free(cl);
        device->backend = NULL;
        return status;
    }
    cl->queue = clCreateCommandQueue(cl->context, cl->device, 0, &code);
    if (code != CL_SUCCESS) status = clbn_cl_failed(device, "clCreateCommandQueue", code);
    if (status == CLBN_SUCCESS && !device->info.usable) {
        status = clbn_tell(device, CLBN_ERROR_UNSUPPORTED, 0, "%s cannot be used: %s", device->info.device, device->info.why);
    }
    if (status != CLBN_SUCCESS) {
        clbn_opencl_backend.device_close(device);
        device->backend = NULL;
    }
    return status;
}

void clbn_cl_device_close(clbn_device *device) {
    clbn_opencl *cl = device->state;
    clbn_cl_programs_release(cl);
    clbn_cl_preferences_release(cl);
    if (cl->queue) clReleaseCommandQueue(cl->queue);
    clReleaseDevice(cl->device);
    clReleaseContext(cl->context);
    mtx_destroy(&cl->lock);
    free(cl);
    device->state = NULL;
}

/* Device number of platform, or NULL. */
static cl_device_id find(unsigned platform, unsigned number) {
    cl_platform_id *platforms = NULL;
    cl_device_id *devices = NULL, found = NULL;
    cl_uint count = 0;
    if (clGetPlatformIDs(0, NULL, &count) != CL_SUCCESS || platform >= count) return NULL;
    platforms = calloc(count, sizeof *platforms);
    if (platforms == NULL || clGetPlatformIDs(count, platforms, NULL) != CL_SUCCESS) goto out;
    if (clGetDeviceIDs(platforms[platform], CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS || number >= count) goto out;
    devices = calloc(count, sizeof *devices);
    if (devices == NULL) goto out;
    if (clGetDeviceIDs(platforms[platform], CL_DEVICE_TYPE_ALL, count, devices, NULL) == CL_SUCCESS) found = devices[number];
out:
    free(devices);
    free(platforms);
    return found;
}

clbn_status clbn_opencl_device_open(clbn_device *device, unsigned platform, unsigned number, bool proven) {
    cl_device_id id = find(platform, number);
    cl_int code = CL_SUCCESS;
    CHECK(id != NULL, device, CLBN_ERROR_NO_DEVICE, "there is no OpenCL device %u:%u here", platform, number);
    clbn_device_info info = {0};
    clbn_cl_describe(id, &info);
    CHECK(info.usable, device, CLBN_ERROR_NO_DEVICE, "OpenCL device %u:%u (%s) cannot be used: %s", platform, number, info.device,
          info.why);
    clbn_opencl *cl = calloc(1, sizeof *cl);
    CHECK(cl != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a device");
    cl->device = id;
    cl->context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        free(cl);
        clbn_cl_failed(device, "clCreateContext", code);
        return clbn_tell(device, CLBN_ERROR_NO_DEVICE, code, "OpenCL device %u:%u could not be opened", platform, number);
    }
    if (finish_open(device, cl) != CLBN_SUCCESS) {
        return clbn_tell(device, CLBN_ERROR_NO_DEVICE, 0, "OpenCL device %u:%u could not be opened", platform, number);
    }
    snprintf(device->info.name, sizeof device->info.name, "%u:%u", platform, number);
    const clbn_status status = proven ? prove(device) : CLBN_SUCCESS;
    if (status != CLBN_SUCCESS) {
        clbn_cl_device_close(device);
        device->backend = NULL;
    }
    return status;
}

clbn_status clbn_opencl_device_open_own(clbn_device *device, cl_context context, cl_device_id cl_device) {
    size_t bytes = 0;
    bool in_context = false;
    CL_TRY(device, clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &bytes));
    cl_device_id *devices = malloc(bytes ? bytes : 1);
    CHECK(devices != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a list of devices");
    const cl_int code = clGetContextInfo(context, CL_CONTEXT_DEVICES, bytes, devices, NULL);
    for (size_t i = 0; i < bytes / sizeof *devices && code == CL_SUCCESS; i++) in_context = in_context || devices[i] == cl_device;
    free(devices);
    if (code != CL_SUCCESS) return clbn_cl_failed(device, "clGetContextInfo", code);
    CHECK(in_context, device, CLBN_ERROR_INVALID_DEVICE, "cl_device is none of the context's devices");
    clbn_opencl *cl = calloc(1, sizeof *cl);
    CHECK(cl != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a device");
    clRetainContext(context);
    cl->context = context;
    cl->device = cl_device;
    return finish_open(device, cl);
}

clbn_status clbn_opencl_device_get(const clbn_device *device, cl_context *context, cl_device_id *cl_device,
                                   cl_command_queue *queue) {
    const clbn_opencl *cl = device->state;
    if (context) *context = cl->context;
    if (cl_device) *cl_device = cl->device;
    if (queue) *queue = cl->queue;
    return CLBN_SUCCESS;
}
