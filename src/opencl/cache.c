/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in the folder of a device that was opened with a cache_dir: one for each thing kept, written beside its place and renamed
 * into it, readable and writable by its owner alone. A file counts only if it is whole, the caller's own, and made for the very same
 * thing, sources, device, driver and library; where anything is wrong with it, or with the folder, there is none, and that is all.
 * It must not know what is kept, or why.
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

/* A file: this, the key's text, what is kept. */
typedef struct header {
    char magic[16];
    uint64_t key_bytes, bytes, facts[2];
    uint64_t sum; /* of all the rest */
} header;

static const char magic[16] = "clbn cache 1\n";
enum { MOST_NAME = 4096 };
static const size_t most_bytes = (size_t)256 << 20;

/* FNV-1a: against accidents, not against an enemy, who cannot write here. */
static uint64_t sum_of(uint64_t sum, const void *bytes, size_t count) {
    for (const unsigned char *p = bytes, *end = p + count; p != end; p++) sum = (sum ^ *p) * 0x100000001b3u;
    return sum;
}

static const uint64_t sum_start = 0xcbf29ce484222325u;

static uint64_t sum_of_file(const header *head, const char *key, const void *content) {
    header without = *head;
    without.sum = 0;
    uint64_t sum = sum_of(sum_start, &without, sizeof without);
    sum = sum_of(sum, key, head->key_bytes);
    return head->bytes ? sum_of(sum, content, head->bytes) : sum;
}

uint64_t clbn_cl_cache_sources(size_t *bytes) {
    uint64_t sum = sum_start;
    *bytes = 0;
    for (const clbn_kernel_source *s = clbn_kernel_sources; s->name; s++) {
        sum = sum_of(sum, s->text, s->bytes);
        *bytes += s->bytes;
    }
    for (size_t i = 0; clbn_opencl_variant_name(i); i++) { /* whose numbers are kept */
        sum = sum_of(sum, clbn_opencl_variant_name(i), strlen(clbn_opencl_variant_name(i)) + 1);
    }
    return sum;
}

/* All that a file depends on, as text; to be freed. */
static char *key_of(const clbn_device *device, const char *name) {
    const clbn_opencl *cl = device->state;
    char vendor[256], version[256];
    clbn_cl_device_text(cl->device, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    clbn_cl_device_text(cl->device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
    static const char form[] = "clbn %d.%d.%d, sources %zu %016llx\n%s\n%s\n%s\n%s\n%s\n%s\nunits %zu, group %zu\n%s";
    const clbn_device_info *info = &device->info;
    char *key = NULL;
    int length = 0;
    for (int pass = 0; pass < 2; pass++) {
        length = snprintf(key, (size_t)length, form, CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH, cl->source_bytes,
                          (unsigned long long)cl->source_sum, info->platform, info->device, vendor, info->version, version,
                          info->driver, cl->compute_units, cl->max_group, name);
        if (length < 0 || pass == 1) break;
        key = malloc((size_t)++length);
        if (key == NULL) break;
    }
    return key;
}

static bool write_path(char path[MOST_NAME], const clbn_device *device, const char *key) {
    const size_t length = strlen(key);
    const unsigned long long one = sum_of(sum_start, key, length), two = sum_of(one ^ 0x9e3779b97f4a7c15u, key, length);
    const int written = snprintf(path, MOST_NAME, "%s/%016llx%016llx.clbn", device->cache_dir, one, two);
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

/* What the file holds, if it is what was written under that key. */
static bool read_file(const char *path, const char *key, clbn_kept *kept) {
    size_t bytes = 0;
    char *text = NULL;
    header head;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return false;
    bool good = is_own(file, &bytes) && read_all(file, &head, sizeof head);
    const size_t rest = good ? bytes - sizeof head : 0;
    good = good && memcmp(head.magic, magic, sizeof magic) == 0 && head.key_bytes == strlen(key) && head.key_bytes <= rest &&
           head.bytes == rest - head.key_bytes && (text = malloc(rest)) != NULL && read_all(file, text, rest) &&
           memcmp(text, key, head.key_bytes) == 0 && head.sum == sum_of_file(&head, text, text + head.key_bytes);
    close(file);
    if (good) {
        memmove(text, text + head.key_bytes, head.bytes);
        *kept = (clbn_kept){{head.facts[0], head.facts[1]}, head.bytes, text};
    } else {
        free(text);
    }
    return good;
}

bool clbn_cl_cache_read(const clbn_device *device, const char *name, clbn_kept *kept) {
    char path[MOST_NAME];
    if (device->cache_dir == NULL) return false;
    char *key = key_of(device, name);
    const bool good = key && write_path(path, device, key) && read_file(path, key, kept);
    free(key);
    return good;
}

/* ------------------------------------------------------------------------------------------------------------- writing */

/* The folder of a file, and those above it that are missing. */
static void make_folders(const char *file) {
    char path[MOST_NAME];
    snprintf(path, sizeof path, "%s", file);
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

/* Writes the file beside its place and renames it. */
static bool write_file(const char *path, const header *head, const char *key, const void *content) {
    char made[MOST_NAME];
    make_folders(path);
    if ((size_t)snprintf(made, sizeof made, "%s.XXXXXX", path) >= sizeof made) return false;
    const int file = mkstemp(made); /* 0600 */
    if (file < 0) return false;
    fcntl(file, F_SETFD, FD_CLOEXEC);
    const bool whole =
        write_all(file, head, sizeof *head) && write_all(file, key, head->key_bytes) && write_all(file, content, head->bytes);
    if (close(file) == 0 && whole && rename(made, path) == 0) return true;
    unlink(made);
    return false;
}

bool clbn_cl_cache_write(const clbn_device *device, const char *name, const clbn_kept *kept) {
    header head = {.bytes = kept->bytes, .facts = {kept->facts[0], kept->facts[1]}};
    char path[MOST_NAME];
    bool written = false;
    if (device->cache_dir == NULL) return false;
    char *key = key_of(device, name);
    if (key && write_path(path, device, key)) {
        memcpy(head.magic, magic, sizeof magic);
        head.key_bytes = strlen(key);
        head.sum = sum_of_file(&head, key, kept->content);
        written = sizeof head + head.key_bytes + head.bytes <= most_bytes && write_file(path, &head, key, kept->content);
    }
    free(key);
    return written;
}

bool clbn_cl_cache_remove(const clbn_device *device, const char *name) {
    char path[MOST_NAME];
    if (device->cache_dir == NULL) return true;
    char *key = key_of(device, name);
    /* Where nothing may be written unlink says that, whether it is there or not. */
    const bool gone = key && (!write_path(path, device, key) || unlink(path) == 0 ||
                              (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)));
    free(key);
    return gone;
}
