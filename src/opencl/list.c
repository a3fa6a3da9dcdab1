/* SPDX-License-Identifier: Apache-2.0
 *
 * Which OpenCL devices there are, what they are like, and in which order auto would try them. Opens none.
 */
#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void clbn_cl_device_text(cl_device_id device, cl_device_info what, char *text, size_t bytes) {
    char whole[1024];
    size_t length = 0;
    if (clGetDeviceInfo(device, what, sizeof whole, whole, &length) != CL_SUCCESS || length == 0) whole[0] = '\0';
    whole[sizeof whole - 1] = '\0';
    snprintf(text, bytes, "%s", whole);
}

static clbn_device_kind kind_of(cl_device_type type) {
    const cl_device_type kinds = type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CPU);
    switch (kinds) {
    case CL_DEVICE_TYPE_GPU:
        return CLBN_DEVICE_GPU;
    case CL_DEVICE_TYPE_CPU:
        return CLBN_DEVICE_CPU;
    case 0:
    case CL_DEVICE_TYPE_ACCELERATOR:
        return CLBN_DEVICE_ACCELERATOR;
    default:
        return CLBN_DEVICE_SIMULATOR;
    }
}

/* Why the device cannot be used; "" if it can. */
static const char *refusal(cl_device_id device, const clbn_device_info *info) {
    cl_bool available = CL_FALSE, compiler = CL_FALSE;
    int major = 0, minor = 0;
    clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    clGetDeviceInfo(device, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
    if (sscanf(info->version, "OpenCL %d.%d", &major, &minor) != 2) return "it does not say its OpenCL version";
    if (major * 10 + minor < 12) return "older than OpenCL 1.2";
    if (!available) return "not available";
    if (!compiler) return "without a compiler";
    return "";
}

void clbn_cl_describe(cl_device_id device, clbn_device_info *info) {
    cl_platform_id platform = NULL;
    cl_device_type type = 0;
    cl_uint units = 0;
    cl_ulong memory = 0;
    cl_device_fp_config fp64 = 0;
    clbn_cl_device_text(device, CL_DEVICE_NAME, info->device, sizeof info->device);
    clbn_cl_device_text(device, CL_DEVICE_VERSION, info->version, sizeof info->version);
    clbn_cl_device_text(device, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    if (platform && clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof info->platform, info->platform, NULL) != CL_SUCCESS) {
        info->platform[0] = '\0';
    }
    clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    clGetDeviceInfo(device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof fp64, &fp64, NULL);
    info->kind = kind_of(type);
    info->compute_units = units;
    info->memory_bytes = memory;
    info->has_fp64 = fp64 != 0;
    snprintf(info->why, sizeof info->why, "%s", refusal(device, info));
    info->usable = info->why[0] == '\0';
}

/* GPUs first, then accelerators, CPU devices, simulators; as numbered within a kind. */
static void rank_devices(clbn_device_info *infos, size_t count) {
    unsigned rank = 0;
    for (int kind = CLBN_DEVICE_GPU; kind <= CLBN_DEVICE_SIMULATOR; kind++) {
        for (size_t i = 0; i < count; i++) {
            if ((int)infos[i].kind == kind) infos[i].auto_rank = rank++;
        }
    }
}

enum { MOST_PLATFORMS = 64, MOST_DEVICES = 256 };

clbn_status clbn_opencl_list(const clbn_device *device, clbn_device_info *infos, size_t capacity, size_t *count) {
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_device_id devices[MOST_DEVICES];
    cl_uint platform_count = 0, found = 0;
    *count = 0;
    const cl_int code = clGetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count);
    if (code != CL_SUCCESS || platform_count == 0) {
        clbn_tell(device, CLBN_SUCCESS, code, "no OpenCL platform is installed, or none could be loaded");
        return CLBN_SUCCESS;
    }
    for (cl_uint p = 0; p < platform_count && p < MOST_PLATFORMS; p++) {
        const cl_int device_code = clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST_DEVICES, devices, &found);
        if (device_code == CL_DEVICE_NOT_FOUND) continue; /* a driver without its hardware: usual */
        if (device_code != CL_SUCCESS) {
            clbn_tell(device, CLBN_SUCCESS, device_code, "OpenCL platform %u reports no device (%s)", p,
                      clbn_cl_name(device_code));
            continue;
        }
        for (cl_uint d = 0; d < found && d < MOST_DEVICES; d++, ++*count) {
            if (*count >= capacity) continue;
            clbn_device_info *info = &infos[*count];
            *info = (clbn_device_info){0};
            snprintf(info->name, sizeof info->name, "%u:%u", p, d);
            clbn_cl_describe(devices[d], info);
        }
    }
    if (*count == 0) clbn_tell(device, CLBN_SUCCESS, 0, "none of %u OpenCL platforms has a device", platform_count);
    rank_devices(infos, clbn_min(*count, capacity));
    return CLBN_SUCCESS;
}
