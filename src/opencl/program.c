/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs: the embedded kernels compiled with the macros of a tile, once a device and tile, kept with the device.
 */
#include "opencl/opencl.h"

#include "opencl/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SOURCES = 16 };

/* Tells the build log: with the error, or as a notice where the compiler only warned. */
static void tell_log(const clbn_device *device, cl_program program, cl_int code, const char *options) {
    const clbn_opencl *cl = device->state;
    size_t bytes = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program, cl->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS && bytes > 1) {
        log = calloc(bytes + 1, 1);
        if (log) clGetProgramBuildInfo(program, cl->device, CL_PROGRAM_BUILD_LOG, bytes, log, NULL);
    }
    const bool blank = log == NULL || log[strspn(log, " \t\r\n")] == '\0';
    if (code != CL_SUCCESS) {
        clbn_tell(device, CLBN_ERROR_KERNEL_BUILD, code, "clBuildProgram gave %s on %s with \"%s\"; its log: %s",
                  clbn_cl_name(code), device->info.device, options, blank ? "(empty)" : log);
    } else if (!blank && strstr(log, "warning")) { /* some compilers log how they got on */
        clbn_tell(device, CLBN_SUCCESS, 0, "the compiler of %s says: %s", device->info.device, log);
    }
    free(log);
}

clbn_status clbn_cl_build(const clbn_device *device, const char *const *texts, const size_t *lengths, cl_uint count,
                          const char *options, cl_program *program) {
    const clbn_opencl *cl = device->state;
    cl_int code;
    *program = clCreateProgramWithSource(cl->context, count, (const char **)(uintptr_t)texts, lengths, &code);
    if (code != CL_SUCCESS) return clbn_cl_failed(device, "clCreateProgramWithSource", code);
    code = clBuildProgram(*program, 1, &cl->device, options, NULL, NULL);
    tell_log(device, *program, code, options);
    if (code == CL_SUCCESS) return CLBN_SUCCESS;
    clReleaseProgram(*program);
    *program = NULL;
    return CLBN_ERROR_KERNEL_BUILD;
}

static clbn_status make(const clbn_device *device, const char *options, clbn_program **made) {
    const char *texts[MOST_SOURCES];
    size_t lengths[MOST_SOURCES];
    cl_uint count = 0;
    for (; clbn_kernel_sources[count].name && count < MOST_SOURCES; count++) {
        texts[count] = clbn_kernel_sources[count].text;
        lengths[count] = clbn_kernel_sources[count].bytes;
    }
    *made = calloc(1, sizeof **made);
    if (*made) (*made)->options = malloc(strlen(options) + 1);
    if (*made == NULL || (*made)->options == NULL) {
        free(*made);
        return clbn_tell(device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no host memory for a program");
    }
    strcpy((*made)->options, options);
    const clbn_status status = clbn_cl_build(device, texts, lengths, count, options, &(*made)->program);
    if (status != CLBN_SUCCESS) {
        free((*made)->options);
        free(*made);
    }
    return status;
}

clbn_status clbn_cl_program(const clbn_device *device, const clbn_tile *tile, cl_program *program) {
    clbn_opencl *cl = device->state;
    char options[128];
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DVEC=%u -DTILE=%u -DALONE=%d -DHINTS=%d", tile->vec, tile->vectors,
             tile->alone, cl->whole_vectors);
    clbn_status status = CLBN_SUCCESS;
    mtx_lock(&cl->lock);
    clbn_program *found = cl->programs;
    while (found && strcmp(found->options, options) != 0) found = found->next;
    if (found == NULL) {
        status = make(device, options, &found);
        if (status == CLBN_SUCCESS) {
            found->next = cl->programs;
            cl->programs = found;
        }
    }
    if (status == CLBN_SUCCESS) *program = found->program;
    mtx_unlock(&cl->lock);
    return status;
}

void clbn_cl_programs_release(clbn_opencl *cl) {
    for (clbn_program *next; cl->programs; cl->programs = next) {
        next = cl->programs->next;
        clReleaseProgram(cl->programs->program);
        free(cl->programs->options);
        free(cl->programs);
    }
}
