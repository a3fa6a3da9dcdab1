/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer of .csv files; csv_read.c is the reader.
 */
#include "csv_file.h"

#include <math.h>
#include <string.h>

#include "progress.h"

int csv_file_can_hold(unsigned rank, const size_t *dims, int has_names) {
    if (rank == 1) return dims[0] > 0;
    return rank == 2 && dims[1] > 0 && (dims[0] > 0 || has_names);
}

/* Whether a name would not be read back as it is without quotes. */
static int needs_quotes(const char *name) {
    size_t length = strlen(name);
    return strpbrk(name, ",\"\r\n") || strchr(" \t", name[0]) || strchr(" \t", name[length - 1]);
}

/* A quote in a name is doubled. */
static void write_quoted(FILE *stream, const char *name) {
    fputc('"', stream);
    for (; *name; name++) {
        if (*name == '"') fputc('"', stream);
        fputc(*name, stream);
    }
    fputc('"', stream);
}

static void write_value(FILE *stream, double value) {
    if (isnan(value))
        fputs("nan", stream); /* printf would show the sign of some */
    else
        fprintf(stream, "%.9g", value);
}

int csv_file_write(FILE *stream, const array *a) {
    size_t rows = a->rank == 1 ? 1 : a->dims[0];
    size_t columns = a->dims[a->rank - 1];
    for (size_t c = 0; a->names && c < columns; c++) {
        if (c) fputc(',', stream);
        if (needs_quotes(a->names[c]))
            write_quoted(stream, a->names[c]);
        else
            fputs(a->names[c], stream);
    }
    if (a->names) fputc('\n', stream);
    for (size_t r = 0; r < rows && !ferror(stream); r++) {
        for (size_t c = 0; c < columns; c++) {
            if (c) fputc(',', stream);
            write_value(stream, array_get(a, r * columns + c));
        }
        fputc('\n', stream);
        progress_step((r + 1) * columns * array_type_bytes(a->type));
    }
    return ferror(stream);
}
