/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled programs on disk, where the device was opened with a cache_dir: one file a program, written beside its place and
 * renamed into it, readable and writable by its owner alone. A file counts only if it is whole, the caller's own, and made for the
 * very same sources, options, device, driver and library; whatever is wrong with it, or with the folder, costs the time to
 * compile and nothing else. It must not know what is compiled, or why.
 */
#define _POSIX_C_SOURCE 200809L
#include "opencl/opencl.h"

#include "opencl/kernels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file: this, the key's text, the binary. */
typedef struct header {
    char magic[16];
    uint64_t key_bytes, binary_bytes, right, kernels;
    uint64_t sum; /* of all the rest */
} header;

static const char magic[16] = "clbn program 1\n";
enum { MOST_NAME = 4096 };
static const size_t most_bytes = (size_t)256 << 20;

/* FNV-1a: against accidents, not against an enemy, who cannot write here. */
static uint64_t sum_of(uint64_t sum, const void *bytes, size_t count) {
    for (const unsigned char *p = bytes, *end = p + count; p != end; p++) sum = (sum ^ *p) * 0x100000001b3u;
    return sum;
}

static const uint64_t sum_start = 0xcbf29ce484222325u;

static uint64_t sum_of_file(const header *head, const char *key, const void *binary) {
    header without = *head;
    without.sum = 0;
    uint64_t sum = sum_of(sum_start, &without, sizeof without);
    sum = sum_of(sum, key, head->key_bytes);
    return sum_of(sum, binary, head->binary_bytes);
}

/* All that a binary depends on, as text; to be freed. */
static char *key_of(const clbn_device *device, const clbn_program *program) {
    const clbn_opencl *cl = device->state;
    char vendor[256], version[256];
    uint64_t sources = sum_start;
    size_t bytes = 0;
    for (const clbn_kernel_source *s = clbn_kernel_sources; s->name; s++) {
        sources = sum_of(sources, s->text, s->bytes);
        bytes += s->bytes;
    }
    for (size_t i = 0; clbn_opencl_variant_name(i); i++) { /* whose numbers are the bits of right */
        sources = sum_of(sources, clbn_opencl_variant_name(i), strlen(clbn_opencl_variant_name(i)) + 1);
    }
    clbn_cl_device_text(cl->device, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    clbn_cl_device_text(cl->device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
    static const char form[] = "clbn %d.%d.%d, sources %zu %016llx\n%s\n%s\n%s\n%s\n%s\n%s\nunits %zu, group %zu\n%s";
    const clbn_device_info *info = &device->info;
    char *key = NULL;
    int length = 0;
    for (int pass = 0; pass < 2; pass++) {
        length = snprintf(key, (size_t)length, form, CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH, bytes,
                          (unsigned long long)sources, info->platform, info->device, vendor, info->version, version, info->driver,
                          cl->compute_units, cl->max_group, program->key);
        if (length < 0 || pass == 1) break;
        key = malloc((size_t)++length);
        if (key == NULL) break;
    }
    return key;
}

static bool write_name(char name[MOST_NAME], const clbn_device *device, const char *key) {
    const size_t length = strlen(key);
    const unsigned long long one = sum_of(sum_start, key, length), two = sum_of(one ^ 0x9e3779b97f4a7c15u, key, length);
    const int written = snprintf(name, MOST_NAME, "%s/%016llx%016llx.clbn", device->cache_dir, one, two);
    return written > 0 && written < MOST_NAME - 8; /* there is room for a temporary's ending */
}

/* ------------------------------------------------------------------------------------------------------------- reading */

static bool read_all(int file, void *to, size_t bytes) {
    for (char *p = to; bytes != 0;) {
        const ssize_t got = read(file, p, bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got;
        bytes -= (size_t)got;
    }
    return true;
}

/* A regular file of the caller's own that nobody else may write to. */
static bool is_own(int file, size_t *bytes) {
    struct stat facts;
    if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_uid != geteuid() || (facts.st_mode & 022) != 0)
        return false;
    *bytes = (size_t)facts.st_size;
    return facts.st_size > (off_t)sizeof(header) && *bytes <= most_bytes;
}

/* The whole file, if it is what was written under that key; to be freed. */
static char *read_file(const char *name, const char *key, header *head) {
    size_t bytes = 0;
    char *text = NULL;
    const int file = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return NULL;
    bool good = is_own(file, &bytes) && read_all(file, head, sizeof *head);
    const size_t rest = good ? bytes - sizeof *head : 0;
    good = good && memcmp(head->magic, magic, sizeof magic) == 0 && head->key_bytes == strlen(key) && head->key_bytes < rest &&
           head->binary_bytes == rest - head->key_bytes && (text = malloc(rest)) != NULL && read_all(file, text, rest) &&
           memcmp(text, key, head->key_bytes) == 0 && head->sum == sum_of_file(head, text, text + head->key_bytes);
    close(file);
    if (good) return text;
    free(text);
    return NULL;
}

/* Makes the program of a binary, with as many kernels as it had. */
static cl_program from_binary(const clbn_opencl *cl, const header *head, const char *text, const char *options) {
    const unsigned char *binary = (const unsigned char *)text + head->key_bytes;
    const size_t bytes = head->binary_bytes;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    size_t kernels = 0;
    cl_program made = clCreateProgramWithBinary(cl->context, 1, &cl->device, &bytes, &binary, &status, &code);
    if (code != CL_SUCCESS) return NULL;
    if (status == CL_SUCCESS && clBuildProgram(made, 1, &cl->device, options, NULL, NULL) == CL_SUCCESS &&
        clGetProgramInfo(made, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL) == CL_SUCCESS &&
        kernels == head->kernels) {
        return made;
    }
    clReleaseProgram(made);
    return NULL;
}

bool clbn_cl_cache_load(const clbn_device *device, clbn_program *program, const char *options) {
    header head;
    char name[MOST_NAME], *text = NULL;
    if (device->cache_dir == NULL) return false;
    char *key = key_of(device, program);
    if (key && write_name(name, device, key)) text = read_file(name, key, &head);
    if (text) program->program = from_binary(device->state, &head, text, options);
    if (program->program) program->right = (unsigned)head.right;
    free(text);
    free(key);
    return program->program != NULL;
}

/* ------------------------------------------------------------------------------------------------------------- writing */

/* The folder, and those above it that are missing. */
static void make_folders(const char *name) {
    char path[MOST_NAME];
    snprintf(path, sizeof path, "%s", name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static bool write_all(int file, const void *from, size_t bytes) {
    for (const char *p = from; bytes != 0;) {
        const ssize_t put = write(file, p, bytes);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        p += put;
        bytes -= (size_t)put;
    }
    return true;
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

/* Writes the file beside its place and renames it. */
static void write_file(const char *name, const header *head, const char *key, const unsigned char *binary) {
    char made[MOST_NAME];
    make_folders(name);
    if ((size_t)snprintf(made, sizeof made, "%s.XXXXXX", name) >= sizeof made) return;
    const int file = mkstemp(made); /* 0600 */
    if (file < 0) return;
    fcntl(file, F_SETFD, FD_CLOEXEC);
    const bool whole = write_all(file, head, sizeof *head) && write_all(file, key, head->key_bytes) &&
                       write_all(file, binary, head->binary_bytes);
    if (close(file) != 0 || !whole || rename(made, name) != 0) unlink(made);
}

void clbn_cl_cache_store(const clbn_device *device, const clbn_program *program, unsigned right) {
    header head = {.right = right};
    size_t bytes = 0, kernels = 0;
    char name[MOST_NAME];
    if (device->cache_dir == NULL) return;
    char *key = key_of(device, program);
    unsigned char *binary = binary_of(program->program, &bytes);
    if (key && binary && write_name(name, device, key) &&
        clGetProgramInfo(program->program, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL) == CL_SUCCESS) {
        memcpy(head.magic, magic, sizeof magic);
        head.key_bytes = strlen(key);
        head.binary_bytes = bytes;
        head.kernels = kernels;
        head.sum = sum_of_file(&head, key, binary);
        if (sizeof head + head.key_bytes + bytes <= most_bytes) write_file(name, &head, key, binary);
    }
    free(binary);
    free(key);
}
