/* SPDX-License-Identifier: Apache-2.0
 *
 * Records a launch's accesses. The library's OpenCL calls come here first, because an executable's exported symbols come before every
 * library's: the device says that it is a GPU, its compiler reads audit.cl between the kernels' files, and a launch is over, and
 * replayed, when it returns. Kernels write their notes into this process's memory, at an address that never changes (so that PoCL's
 * cache knows the programs again): that takes a driver which runs on the host, as PoCL does.
 */
#define _GNU_SOURCE
#include "audit.h"
#include "support.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define AT         0x200000000000ull
#define NOTES_AT   (AT + 4096)
#define MOST_NOTES (1u << 25)
enum { MOST_LAUNCHES = 8, MOST_FILES = 16, SAMPLE = 48, LONGEST_FILE = 1 << 16 };

static unsigned units = 64;
static audit_launch launches[MOST_LAUNCHES];
static size_t launch_count;

static void *behind(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    ck_assert_msg(found != NULL, "there is no %s", name);
    return found;
}

/* -------------------------------------------------------------------------------------------------------- a GPU's facts */

void audit_dress(unsigned compute_units) {
    units = compute_units;
}

/* What policy asks of a device: as current GPUs have it. Local memory is what a group of 256 gets where four share 64 KiB and more. */
cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t bytes, void *value, size_t *needed) {
    cl_int (*ask)(cl_device_id, cl_device_info, size_t, void *, size_t *);
    void *found = behind("clGetDeviceInfo");
    memcpy(&ask, &found, sizeof ask);
    const cl_int code = ask(device, what, bytes, value, needed);
    if (code != CL_SUCCESS || value == NULL) return code;
    const cl_device_type type = CL_DEVICE_TYPE_GPU;
    const cl_uint compute_units = units;
    const cl_ulong local = 48 << 10;
    const size_t group = 1024, items[3] = {1024, 1024, 64};
    if (what == CL_DEVICE_TYPE) memcpy(value, &type, sizeof type);
    if (what == CL_DEVICE_MAX_COMPUTE_UNITS) memcpy(value, &compute_units, sizeof compute_units);
    if (what == CL_DEVICE_LOCAL_MEM_SIZE) memcpy(value, &local, sizeof local);
    if (what == CL_DEVICE_MAX_WORK_GROUP_SIZE) memcpy(value, &group, sizeof group);
    if (what == CL_DEVICE_MAX_WORK_ITEM_SIZES) memcpy(value, items, bytes < sizeof items ? bytes : sizeof items);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------ the kernels */

static const char *file_name(unsigned number) {
    static const char *const names[] = CLBN_KERNEL_FILES;
    ck_assert_uint_lt(number, sizeof names / sizeof *names);
    return names[number];
}

static const char *layer(void) {
    static char text[LONGEST_FILE];
    if (*text) return text;
    FILE *file = fopen(CLBN_AUDIT_LAYER, "r");
    ck_assert_msg(file != NULL, "%s cannot be opened", CLBN_AUDIT_LAYER);
    const int head =
        snprintf(text, sizeof text, "#define AUDIT_AT 0x%llxul\n#define AUDIT_NOTES 0x%llxul\n#define AUDIT_MOST %uu\n#line 1\n",
                 AT, NOTES_AT, MOST_NOTES);
    const size_t read = fread(text + head, 1, sizeof text - (size_t)head - 1, file);
    text[(size_t)head + read] = '\0';
    fclose(file);
    return text;
}

/* A program of one text is the device's own proof. */
cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts, const size_t *lengths,
                                                 cl_int *code) {
    cl_program (*create)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
    void *found = behind("clCreateProgramWithSource");
    const char *read[3 * MOST_FILES];
    size_t read_lengths[3 * MOST_FILES];
    char heads[MOST_FILES][80];
    cl_uint n = 0;
    memcpy(&create, &found, sizeof create);
    if (count == 1) return create(context, count, texts, lengths, code);
    ck_assert_uint_le(count, MOST_FILES);
    for (cl_uint i = 0; i < count; i++) {
        snprintf(heads[i], sizeof heads[i], "\n#undef AUDIT_FILE\n#define AUDIT_FILE %u\n#line 1\n", i);
        read[n] = heads[i], read_lengths[n++] = strlen(heads[i]);
        read[n] = texts[i], read_lengths[n++] = lengths[i];
        if (i + 1 < count && strcmp(file_name(i), "storage.cl") == 0) read[n] = layer(), read_lengths[n++] = strlen(layer());
    }
    ck_assert_msg(n == 2 * count + 1, "the kernels have no storage.cl");
    return create(context, n, read, read_lengths, code);
}

/* ------------------------------------------------------------------------------------------------------------ launches */

static volatile uint32_t *head_of_notes(void) {
    static void *memory;
    const size_t bytes = NOTES_AT - AT + (size_t)MOST_NOTES * sizeof(audit_note);
    if (memory == NULL) {
        memory = mmap((void *)(uintptr_t)AT, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        ck_assert_msg(memory == (void *)(uintptr_t)AT, "the notes' memory is taken by something else");
    }
    return memory;
}

void audit_forget(void) {
    launch_count = 0;
}

size_t audit_launches(const audit_launch **first) {
    *first = launches;
    return launch_count;
}

static size_t common_divisor(size_t a, size_t b) {
    while (b != 0) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* With no divisor in common with a row, so that every place in a row has its turn. */
size_t audit_stride(size_t row, size_t groups) {
    size_t stride = groups < SAMPLE ? 1 : groups / SAMPLE;
    while (common_divisor(stride, row) != 1) stride++;
    return stride;
}

cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                          const size_t *global, const size_t *local, cl_uint n, const cl_event *list,
                                          cl_event *event) {
    cl_int (*enqueue)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,
                      const cl_event *, cl_event *);
    void *found = behind("clEnqueueNDRangeKernel");
    memcpy(&enqueue, &found, sizeof enqueue);
    if (dimensions != 2) return enqueue(queue, kernel, dimensions, offset, global, local, n, list, event);
    volatile uint32_t *head = head_of_notes();
    ck_assert_uint_lt(launch_count, MOST_LAUNCHES);
    audit_launch *launch = &launches[launch_count++];
    memset(launch, 0, sizeof *launch);
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof launch->kernel, launch->kernel, NULL);
    for (int i = 0; i < 2; i++) {
        launch->local[i] = local[i];
        launch->groups[i] = global[i] / local[i];
    }
    if (strncmp(launch->kernel, "finalize", 8) == 0) { /* loads and stores no tensor: one size for PoCL to compile */
        launch_count--;
        return enqueue(queue, kernel, dimensions, offset, launch->groups, (const size_t[]){1, 1}, n, list, event);
    }
    launch->stride = audit_stride(launch->groups[0], launch->groups[0] * launch->groups[1]);
    head[0] = 0;
    head[1] = (uint32_t)launch->stride;
    const cl_int code = enqueue(queue, kernel, dimensions, offset, global, local, n, list, event);
    if (code == CL_SUCCESS) ck_cl(clFinish(queue));
    ck_assert_msg(head[0] <= MOST_NOTES, "%s makes %u notes, and there is room for %u", launch->kernel, head[0], MOST_NOTES);
    ck_assert(audit_replay(launch, (const audit_note *)(uintptr_t)NOTES_AT, head[0], file_name));
    return code;
}
