/* SPDX-License-Identifier: Apache-2.0
 *
 * Support of the tool's tests.
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[4096];

void enter_folder(void) {
    char here[sizeof folder - 32];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(folder, sizeof folder, "%s/clbn-tool-XXXXXX", here);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void remove_folder(const char *path) {
    DIR *entries = opendir(path);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        char inside[8192];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (lstat(inside, &info) == 0 && S_ISDIR(info.st_mode))
            remove_folder(inside);
        else
            unlink(inside);
    }
    closedir(entries);
    rmdir(path);
}

void leave_folder(void) {
    ck_assert_int_eq(chdir(".."), 0);
    remove_folder(folder);
}

TCase *add_case(Suite *suite, const char *name) {
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, enter_folder, leave_folder);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return tests;
}

/* -------------------------------------------------------------------------------------------------------------- files */

void put_bytes(const char *name, const void *bytes, size_t count) {
    FILE *stream = fopen(name, "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes, 1, count, stream), count);
    ck_assert_int_eq(fclose(stream), 0);
}

void put_text(const char *name, const char *text) {
    put_bytes(name, text, strlen(text));
}

void put_npy(const char *name, int major, const char *dict, const void *data, size_t bytes) {
    size_t length = strlen(dict) + 1;
    unsigned char start[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)major, 0};
    start[8] = (unsigned char)(length & 255);
    start[9] = (unsigned char)(length >> 8);
    FILE *stream = fopen(name, "wb");
    ck_assert_ptr_nonnull(stream);
    fwrite(start, 1, major == 1 ? 10 : 12, stream);
    fprintf(stream, "%s\n", dict);
    if (bytes) fwrite(data, 1, bytes, stream);
    ck_assert_int_eq(fclose(stream), 0);
}

void put_floats(const char *name, const char *shape, const float *values, size_t count) {
    char dict[256];
    snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    put_npy(name, 1, dict, values, count * sizeof *values);
}

static char content[65536];

static size_t load(const char *name) {
    FILE *stream = fopen(name, "rb");
    ck_assert_msg(stream != NULL, "%s is not there", name);
    size_t length = fread(content, 1, sizeof content - 1, stream);
    fclose(stream);
    content[length] = '\0';
    return length;
}

const char *get_text(const char *name) {
    load(name);
    return content;
}

/* The values' bytes of a good file of this type and shape. */
static const char *values_of(const char *name, const char *type, const char *shape, size_t bytes) {
    char head[256];
    size_t length = load(name);
    snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    ck_assert_uint_ge(length, 10);
    ck_assert_int_eq(memcmp(content, "\x93NUMPY\x01\x00", 8), 0);
    size_t header = (size_t)(unsigned char)content[8] | (size_t)(unsigned char)content[9] << 8;
    ck_assert_uint_eq((10 + header) % 64, 0);
    ck_assert_msg(strncmp(content + 10, head, strlen(head)) == 0, "%s: needs %s, has %.100s", name, head, content + 10);
    ck_assert_int_eq(content[10 + header - 1], '\n');
    ck_assert_uint_eq(length, 10 + header + bytes);
    return content + 10 + header;
}

void get_floats(const char *name, const char *shape, float *values, size_t count) {
    memcpy(values, values_of(name, "<f4", shape, count * sizeof *values), count * sizeof *values);
}

double half_by_definition(unsigned half) {
    int exponent = (int)(half >> 10 & 31);
    double mantissa = (double)(half & 1023) / 1024;
    double value = exponent ? (1 + mantissa) * pow(2, exponent - 15) : mantissa * pow(2, -14);
    return half >> 15 ? -value : value;
}

/* By search: what is put is exactly a float16, or not finite. */
static uint16_t half_of(double value) {
    unsigned half = isnan(value) ? 0x7e00 : 0x7c00;
    for (unsigned i = 0; i < 0x7c00; i++)
        if (half_by_definition(i) == fabs(value)) half = i;
    ck_assert(half < 0x7c00 || !isfinite(value));
    return (uint16_t)(half | (signbit(value) ? 0x8000U : 0));
}

static double from_half(uint16_t half) {
    if ((half >> 10 & 31) != 31) return half_by_definition(half);
    return half & 1023 ? NAN : half >> 15 ? -INFINITY : INFINITY;
}

static size_t type_bytes(const char *type) {
    return (size_t)(type[2] - '0');
}

void put_values(const char *name, const char *type, const char *shape, const double *values, size_t count) {
    char dict[256], bytes[4096];
    ck_assert_uint_le(count * type_bytes(type), sizeof bytes);
    for (size_t i = 0; i < count; i++) {
        float single = (float)values[i];
        uint16_t half = type[2] == '2' ? half_of(values[i]) : 0;
        const void *one = type[2] == '2' ? (const void *)&half : type[2] == '4' ? (const void *)&single : &values[i];
        memcpy(bytes + i * type_bytes(type), one, type_bytes(type));
    }
    snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    put_npy(name, 1, dict, bytes, count * type_bytes(type));
}

void get_values(const char *name, const char *type, const char *shape, double *values, size_t count) {
    const char *bytes = values_of(name, type, shape, count * type_bytes(type));
    for (size_t i = 0; i < count; i++) {
        float single;
        uint16_t half;
        memcpy(&single, bytes + 4 * i * (type[2] == '4'), sizeof single);
        memcpy(&half, bytes + 2 * i * (type[2] == '2'), sizeof half);
        memcpy(&values[i], bytes + 8 * i * (type[2] == '8'), sizeof *values);
        if (type[2] == '2') values[i] = from_half(half);
        if (type[2] == '4') values[i] = (double)single;
    }
}

int exists(const char *name) {
    return access(name, F_OK) == 0;
}

/* FNV-1a over each file, summed, so that the order of entries does not matter. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3U;
    return hash;
}

uint64_t fingerprint(void) {
    uint64_t sum = 0;
    DIR *entries = opendir(".");
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        uint64_t hash = hash_bytes(0xcbf29ce484222325U, entry->d_name, strlen(entry->d_name));
        struct stat info;
        if (stat(entry->d_name, &info) == 0 && S_ISREG(info.st_mode)) {
            size_t length = load(entry->d_name);
            hash = hash_bytes(hash, content, length);
        }
        sum += hash;
    }
    closedir(entries);
    return sum;
}

/* ------------------------------------------------------------------------------------------------------------ process */

static void slurp(FILE *stream, char *text, size_t capacity) {
    rewind(stream);
    text[fread(text, 1, capacity - 1, stream)] = '\0';
    fclose(stream);
}

static int wait_for(pid_t child) {
    int state;
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

const outcome *clbn_with(const char *const *arguments) {
    static outcome result;
    const char *all[64] = {"clbn"};
    for (int i = 0; i < 62 && arguments[i]; i++) all[i + 1] = arguments[i];
    FILE *out = tmpfile(), *err = tmpfile();
    ck_assert(out && err);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        execv(CLBN_TOOL_PATH, (char **)(uintptr_t)all);
        _exit(127);
    }
    result.status = wait_for(child);
    slurp(out, result.out, sizeof result.out);
    slurp(err, result.err, sizeof result.err);
    return &result;
}

const outcome *clbn(const char *argument, ...) {
    const char *arguments[64] = {NULL};
    int count = 0;
    va_list rest;
    va_start(rest, argument);
    for (; argument && count < 62; argument = va_arg(rest, const char *)) arguments[count++] = argument;
    va_end(rest);
    return clbn_with(arguments);
}

const outcome *succeed(const outcome *result) {
    ck_assert_msg(result->status == 0, "status %d: %.1000s", result->status, result->err);
    ck_assert_msg(result->err[0] == '\0', "standard error: %.1000s", result->err);
    return result;
}

/* words: parts that the line must hold, separated by '|'. */
void check_refusal(const outcome *result, int status, const char *words) {
    char parts[512];
    ck_assert_msg(result->status == status, "status %d, needs %d: %.1000s", result->status, status, result->err);
    ck_assert_msg(strncmp(result->err, "clbn: ", 6) == 0, "standard error: %.1000s", result->err);
    const char *end = strchr(result->err, '\n');
    ck_assert_msg(end && end[1] == '\0', "more or less than one line: %.1000s", result->err);
    snprintf(parts, sizeof parts, "%s", words);
    for (char *part = strtok(parts, "|"); part; part = strtok(NULL, "|"))
        ck_assert_msg(strstr(result->err, part) != NULL, "'%s' is not in: %s", part, result->err);
}
