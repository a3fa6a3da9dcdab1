/* SPDX-License-Identifier: Apache-2.0
 *
 * What the OpenCL backend's parts share: device (list.c, device.c), policy (which launches), program (build, keep), launch
 * (arguments, events), transfer (host arrays), run (a call). Only this folder calls OpenCL.
 */
#ifndef CLBN_OPENCL_H
#define CLBN_OPENCL_H

#include "internal.h"

#include <threads.h>

/* -------------------------------------------------------------------------------------------------------------- device */

typedef struct clbn_program {
    struct clbn_program *next;
    char *options;
    cl_program program;
} clbn_program;

typedef struct clbn_opencl {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue; /* in order, for host calls without one */
    bool shares_memory;     /* with the host: host arrays are used in place */
    bool whole_vectors;     /* a work-item is a CPU thread with vector registers: let it walk whole vectors */
    size_t compute_units, max_group, local_bytes, cache_bytes;
    mtx_t lock; /* over programs */
    clbn_program *programs;
} clbn_opencl;

/* CL_DEVICE_* of a device, as text; "" if it can't be had. */
void clbn_cl_device_text(cl_device_id device, cl_device_info what, char *text, size_t bytes);
/* Fills everything but name and auto_rank. */
void clbn_cl_describe(cl_device_id device, clbn_device_info *info);
/* "CL_OUT_OF_RESOURCES" for -5; "unknown code". */
const char *clbn_cl_name(cl_int code);
/* Tells that an OpenCL call failed, and gives its status. */
clbn_status clbn_cl_failed(const clbn_device *device, const char *call, cl_int code);

#define CL_TRY(device, call)                                                                \
    do {                                                                                    \
        const cl_int cl_try_code = (call);                                                  \
        if (cl_try_code != CL_SUCCESS) return clbn_cl_failed((device), #call, cl_try_code); \
    } while (0)

#endif
