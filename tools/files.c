/* SPDX-License-Identifier: Apache-2.0
 *
 * The two formats behind one door.
 */
#include "files.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "csv_file.h"
#include "npy.h"

typedef enum format { FORMAT_NONE, FORMAT_NPY, FORMAT_CSV } format;

static format format_of(const char *path) {
    size_t length = strlen(path);
    if (length < 4) return FORMAT_NONE;
    if (!strcasecmp(path + length - 4, ".npy")) return FORMAT_NPY;
    if (!strcasecmp(path + length - 4, ".csv")) return FORMAT_CSV;
    return FORMAT_NONE;
}

int file_check_ending(file_ref file) {
    if (format_of(file.path) == FORMAT_NONE) return fail_input("%s%s%s: needs a name that ends in .npy or .csv", REF(file));
    return EXIT_DONE;
}

static int read_open(FILE *stream, file_ref file, array *a) {
    struct stat info;
    if (fstat(fileno(stream), &info) != 0) return fail_input("%s%s%s: %s", REF(file), strerror(errno));
    if (S_ISDIR(info.st_mode)) return fail_input("%s%s%s: is a directory", REF(file));
    size_t bytes = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : 0;
    if (format_of(file.path) == FORMAT_CSV) return csv_file_read(stream, file, bytes, a);
    if (!S_ISREG(info.st_mode)) return fail_input("%s%s%s: is no regular file", REF(file));
    return npy_read(stream, file, bytes, a);
}

int file_read(file_ref file, array *a) {
    TRY(file_check_ending(file));
    FILE *stream = fopen(file.path, "rb");
    if (!stream) return fail_input("%s%s%s: %s", REF(file), strerror(errno));
    int status = read_open(stream, file, a);
    fclose(stream);
    if (status != EXIT_DONE) array_free(a);
    return status;
}

int file_read_per_channel(file_ref file, size_t channels, array_type type, array *a) {
    TRY(file_read(file, a));
    int status = EXIT_DONE;
    if (a->count != channels)
        status = fail_input("%s%s%s: holds %zu values (%s), needs %zu, one a channel", REF(file), a->count,
                            array_shape(a->rank, a->dims).text, channels);
    if (status == EXIT_DONE) status = array_convert(a, file, type);
    if (status != EXIT_DONE) array_free(a);
    return status;
}

int file_read_as_x(file_ref file, const array *x, file_ref x_file, array *a) {
    TRY(file_read(file, a));
    int status = EXIT_DONE;
    if (a->rank != x->rank || memcmp(a->dims, x->dims, x->rank * sizeof *x->dims) != 0)
        status = fail_input("%s%s%s: has the shape %s, needs %s, that of %s%s%s", REF(file), array_shape(a->rank, a->dims).text,
                            array_shape(x->rank, x->dims).text, REF(x_file));
    if (status == EXIT_DONE) status = array_convert(a, file, x->type);
    if (status != EXIT_DONE) array_free(a);
    return status;
}

int file_check_shape(file_ref file, unsigned rank, const size_t *dims, int has_names) {
    if (format_of(file.path) == FORMAT_CSV && !csv_file_can_hold(rank, dims, has_names))
        return fail_input("%s%s%s: a .csv file needs rows and columns, the shape to write is %s", REF(file),
                          array_shape(rank, dims).text);
    return EXIT_DONE;
}

int file_write(FILE *stream, file_ref file, const array *a) {
    return format_of(file.path) == FORMAT_CSV ? csv_file_write(stream, a) : npy_write(stream, a);
}
