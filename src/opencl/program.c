/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs: the embedded kernels compiled with the macros of a tile, once a device and tile, kept with the device, and on disk.
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

/* ------------------------------------------------------------------------------------------------------------- on disk */

/* Makes the program of a binary, with as many kernels as it had. */
static cl_program from_binary(const clbn_opencl *cl, const clbn_kept *kept, const char *options) {
    const unsigned char *binary = kept->content;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    size_t kernels = 0;
    cl_program made = clCreateProgramWithBinary(cl->context, 1, &cl->device, &kept->bytes, &binary, &status, &code);
    if (code != CL_SUCCESS) return NULL;
    if (status == CL_SUCCESS && clBuildProgram(made, 1, &cl->device, options, NULL, NULL) == CL_SUCCESS &&
        clGetProgramInfo(made, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL) == CL_SUCCESS &&
        kernels == kept->facts[1]) {
        return made;
    }
    clReleaseProgram(made);
    return NULL;
}

/* What is kept of a program: its binary, and the facts are the variants found right and the number of kernels. */
static bool load(const clbn_device *device, clbn_program *program, const char *options) {
    clbn_kept kept;
    if (!clbn_cl_cache_read(device, program->key, &kept)) return false;
    if (kept.bytes) program->program = from_binary(device->state, &kept, options);
    if (program->program) program->right = (unsigned)kept.facts[0];
    free(kept.content);
    return program->program != NULL;
}

/* A program's binary, to be freed. Of a program of several devices drivers do not agree which binary is whose, nor whether one may be
 * left out: it is not kept. */
static unsigned char *binary_of(cl_program program, size_t *bytes) {
    cl_uint count = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL) != CL_SUCCESS || count != 1) return NULL;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *bytes, bytes, NULL) != CL_SUCCESS || *bytes == 0) return NULL;
    unsigned char *binary = malloc(*bytes);
    if (binary && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS) return binary;
    free(binary);
    return NULL;
}

void clbn_cl_program_keep(const clbn_device *device, const clbn_program *program, unsigned right) {
    clbn_kept kept = {.facts = {right, 0}};
    size_t kernels = 0;
    if (device->cache_dir == NULL) return;
    kept.content = binary_of(program->program, &kept.bytes);
    if (kept.content &&
        clGetProgramInfo(program->program, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL) == CL_SUCCESS) {
        kept.facts[1] = kernels;
        clbn_cl_cache_write(device, program->key, &kept);
    }
    free(kept.content);
}

/* ------------------------------------------------------------------------------------------------------------ compiled */

/* Kinds as kernels/common.cl names them. */
static const char *type_word(clbn_dtype type) {
    static const char *const words[] = {
        [CLBN_F32] = "f32", [CLBN_F16] = "f16", [CLBN_BF16] = "bf16", [CLBN_F64] = "f64", [CLBN_I8] = "i8"};
    return words[type];
}

static const char *activation_word(clbn_activation activation) {
    static const char *const words[] = {[CLBN_IDENTITY] = "identity", [CLBN_RELU] = "relu", [CLBN_LEAKY_RELU] = "leaky_relu",
                                        [CLBN_CLIP] = "clip",         [CLBN_SILU] = "silu", [CLBN_CUSTOM] = "custom"};
    return words[activation];
}

/* The caller's expressions as the functions that kernels/activation.cl declares; "" where there are none. To be freed. */
static char *custom_text(const clbn_plan *plan) {
    static const char form[] = "real custom_value(const real v) { return (\n%s\n); }\n"
                               "real custom_derivative(const real v) { return (\n%s\n); }\n";
    if (plan->activation != CLBN_CUSTOM) return calloc(1, 1);
    const clbn_custom_activation *custom = &plan->custom;
    const size_t bytes = sizeof form + strlen(custom->value) + strlen(custom->derivative);
    char *text = malloc(bytes);
    if (text) snprintf(text, bytes, form, custom->value, custom->derivative);
    return text;
}

static clbn_status make(const clbn_device *device, const char *options, const char *custom, clbn_program **made) {
    const char *texts[MOST_SOURCES];
    size_t lengths[MOST_SOURCES];
    cl_uint count = 0;
    for (; clbn_kernel_sources[count].name && count < MOST_SOURCES - 1; count++) {
        texts[count] = clbn_kernel_sources[count].text;
        lengths[count] = clbn_kernel_sources[count].bytes;
    }
    texts[count] = custom;
    lengths[count++] = strlen(custom);
    *made = calloc(1, sizeof **made);
    if (*made) (*made)->key = malloc(strlen(options) + strlen(custom) + 1);
    if (*made == NULL || (*made)->key == NULL) {
        free(*made);
        return clbn_tell(device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no host memory for a program");
    }
    strcat(strcpy((*made)->key, options), custom);
    if (load(device, *made, options)) return CLBN_SUCCESS;
    const clbn_status status = clbn_cl_build(device, texts, lengths, count, options, &(*made)->program);
    if (status == CLBN_SUCCESS && device->skip_trials) clbn_cl_program_keep(device, *made, 0); /* else behind its trial */
    if (status != CLBN_SUCCESS) {
        free((*made)->key);
        free(*made);
    }
    return status;
}

/* Is it the program of these options with that text behind? */
static bool is_keyed(const clbn_program *program, const char *options, const char *custom) {
    const size_t length = strlen(options);
    return strncmp(program->key, options, length) == 0 && strcmp(program->key + length, custom) == 0;
}

enum { MOST_OPTIONS = 256 };

static void write_options(char options[MOST_OPTIONS], const clbn_plan *plan, const clbn_tile *tile) {
    const clbn_opencl *cl = plan->device->state;
    snprintf(options, MOST_OPTIONS,
             "-cl-std=CL1.2 -DVEC=%u -DTILE=%u -DALONE=%d -DHINTS=%d -DX_TYPE=%s -DY_TYPE=%s -DACT=%s -DRESIDUAL=%d -DMASK=%d "
             "-DSTRIDED=%d",
             tile->vec, tile->vectors, tile->alone, cl->whole_vectors, type_word(plan->x_type), type_word(plan->y_type),
             activation_word(plan->activation), plan->residual, plan->mask, tile->strided);
}

/* Under the device's lock: its program of that key, or NULL. */
static clbn_program *find(const clbn_opencl *cl, const char *options, const char *custom) {
    clbn_program *found = cl->programs;
    while (found && !is_keyed(found, options, custom)) found = found->next;
    return found;
}

unsigned clbn_cl_wrong_variants(const clbn_plan *plan, const clbn_tile *tile) {
    clbn_opencl *cl = plan->device->state;
    char options[MOST_OPTIONS];
    write_options(options, plan, tile);
    char *custom = custom_text(plan);
    mtx_lock(&cl->lock);
    const clbn_program *found = custom ? find(cl, options, custom) : NULL;
    const unsigned wrong = found ? found->wrong : 0;
    mtx_unlock(&cl->lock);
    free(custom);
    return wrong;
}

clbn_status clbn_cl_program(const clbn_plan *plan, const clbn_tile *tile, clbn_program **program) {
    const clbn_device *device = plan->device;
    clbn_opencl *cl = device->state;
    char options[MOST_OPTIONS];
    write_options(options, plan, tile);
    char *custom = custom_text(plan);
    CHECK(custom != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the activation's expressions");
    clbn_status status = CLBN_SUCCESS;
    mtx_lock(&cl->lock);
    clbn_program *found = find(cl, options, custom);
    if (found == NULL) {
        status = make(device, options, custom, &found);
        if (status == CLBN_SUCCESS) {
            found->next = cl->programs;
            cl->programs = found;
        }
    }
    if (status == CLBN_SUCCESS) *program = found;
    mtx_unlock(&cl->lock);
    free(custom);
    return status;
}

clbn_kernel_names clbn_cl_kernels(const clbn_variant *v) {
    static const clbn_kernel_names columns = {"moments_columns", "apply_columns", "sums_columns",
                                              "grad_columns",    "fused_columns", "fused_grad_columns"};
    static const clbn_kernel_names planes = {"moments_planes", "apply_planes", "sums_planes",
                                             "grad_planes",    "fused_planes", "fused_grad_planes"};
    clbn_kernel_names names = v->columns ? columns : planes;
    if (!v->fused) names.fused = names.fused_grad = NULL;
    return names;
}

clbn_status clbn_cl_program_group(const clbn_plan *plan, const clbn_cl_plan *state, size_t *group) {
    const clbn_opencl *cl = plan->device->state;
    const clbn_kernel_names k = clbn_cl_kernels(state->variant);
    const char *const names[] = {k.moments, k.apply, k.sums, k.grad, k.fused, k.fused_grad, "finalize", "finalize_sums"};
    *group = clbn_min(*group, cl->max_group);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t limit = 0;
        cl_int code;
        if (names[i] == NULL) continue;
        cl_kernel kernel = clCreateKernel(state->program->program, names[i], &code);
        if (code != CL_SUCCESS) return clbn_cl_failed(plan->device, "clCreateKernel", code);
        code = clGetKernelWorkGroupInfo(kernel, cl->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit, &limit, NULL);
        clReleaseKernel(kernel);
        if (code != CL_SUCCESS) return clbn_cl_failed(plan->device, "clGetKernelWorkGroupInfo", code);
        *group = clbn_max(clbn_min(*group, limit), 1);
    }
    return CLBN_SUCCESS;
}

void clbn_cl_programs_release(clbn_opencl *cl) {
    for (clbn_program *next; cl->programs; cl->programs = next) {
        next = cl->programs->next;
        clReleaseProgram(cl->programs->program);
        free(cl->programs->key);
        free(cl->programs);
    }
}
