/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of .csv files. libcsv splits the text into fields and rows (quotes, CR and LF, blanks around fields);
 * what a field means, and that every row is whole, is decided here.
 *
 * libcsv reports rows, not lines: with CSV_REPALL_NL it hands over every line end, so that lines can be counted and an
 * empty line in the middle is found (it skips them). A quoted line break does not come by: it is counted in the field.
 */
#include "csv_file.h"

#include <csv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "progress.h"

#define CHUNK_BYTES ((size_t)1 << 20)

typedef struct reader {
    file_ref file;
    int status;     /* the first failure; what follows it is passed over */
    size_t line;    /* of the field that comes next, from 1 */
    int after_cr;   /* the last line end was a CR: a LF right behind it belongs to it */
    size_t gap;     /* the first empty line since the last row, or 0 */
    size_t rows;    /* whole rows of numbers */
    size_t columns; /* 0 until the first row has ended */
    size_t fields;  /* of this row so far */
    int header;     /* a field of the first row is no number */
    char **names;   /* the first row's fields, until it is known to be numbers */
    size_t name_count, name_room;
    float *values;
    size_t count, room;
} reader;

/* Room for one more element in a growing array, or NULL. */
static void *grow(void *items, size_t count, size_t *room, size_t item_bytes) {
    if (count < *room) return items;
    size_t wanted = *room ? *room * 2 : 1024;
    if (wanted > SIZE_MAX / 2 / item_bytes) return NULL;
    void *larger = realloc(items, wanted * item_bytes);
    if (larger) *room = wanted;
    return larger;
}

static void out_of_memory(reader *r) {
    r->status = fail_run("%s%s%s: no memory for line %zu", REF(r->file), r->line);
}

static void add_value(reader *r, float value) {
    float *values = grow(r->values, r->count, &r->room, sizeof *values);
    if (!values) {
        out_of_memory(r);
        return;
    }
    r->values = values;
    r->values[r->count++] = value;
}

static void add_name(reader *r, const char *text) {
    char **names = grow(r->names, r->name_count, &r->name_room, sizeof *names);
    char *copy = strdup(text);
    if (names) r->names = names;
    if (names && copy) {
        names[r->name_count++] = copy;
    } else {
        free(copy);
        out_of_memory(r);
    }
}

static void drop_names(reader *r) {
    for (size_t i = 0; i < r->name_count; i++) free(r->names[i]);
    free(r->names);
    r->names = NULL;
    r->name_count = 0;
}

static void add_number(reader *r, const char *text) {
    float value = 0;
    switch (number_to_float(text, &value)) {
    case NUMBER_OK:
        add_value(r, value);
        break;
    case NUMBER_NONE:
        r->status =
            fail_input("%s%s%s: line %zu, field %zu holds '%.40s', needs a number", REF(r->file), r->line, r->fields + 1, text);
        break;
    case NUMBER_RANGE:
        r->status = fail_input("%s%s%s: line %zu, field %zu holds %.40s, which float32 cannot hold", REF(r->file), r->line,
                               r->fields + 1, text);
        break;
    }
}

static void on_field(void *field, size_t length, void *data) {
    reader *r = data;
    const char *text = field;
    if (r->status != EXIT_DONE) return;
    r->after_cr = 0;
    if (r->gap)
        r->status = fail_input("%s%s%s: line %zu is empty", REF(r->file), r->gap);
    else if (length == 0)
        r->status = fail_input("%s%s%s: line %zu, field %zu is empty, needs a number", REF(r->file), r->line, r->fields + 1);
    else if (strlen(text) != length)
        r->status = fail_input("%s%s%s: line %zu, field %zu holds a zero byte", REF(r->file), r->line, r->fields + 1);
    else if (r->columns == 0) {
        r->header |= !number_looks_like_one(text);
        add_name(r, text);
    } else
        add_number(r, text);
    r->fields++;
    for (const char *at = text; length && *at; at++) r->line += *at == '\n';
}

/* The first row has come whole: it is the header, or numbers after all. */
static void end_first_row(reader *r) {
    r->columns = r->fields;
    if (r->header) return;
    for (r->fields = 0; r->fields < r->columns && r->status == EXIT_DONE; r->fields++) add_number(r, r->names[r->fields]);
    drop_names(r);
    r->rows = 1;
}

static void on_row(int end, void *data) {
    reader *r = data;
    if (r->status != EXIT_DONE) return;
    if (r->fields == 0) {
        if (end == '\n' && r->after_cr) { /* the second half of CR LF */
            r->after_cr = 0;
            return;
        }
        if (end != -1 && !r->gap) r->gap = r->line;
    } else if (r->columns == 0) {
        end_first_row(r);
    } else if (r->fields != r->columns) {
        r->status =
            fail_input("%s%s%s: line %zu has %zu fields, the first has %zu", REF(r->file), r->line, r->fields, r->columns);
    } else {
        r->rows++;
    }
    r->fields = 0;
    r->line++;
    r->after_cr = end == '\r';
}

/* Some programs put a byte order mark first; it would make a name of the first number. */
static size_t skip_mark(const char *text, size_t length) {
    return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static int parse(FILE *stream, reader *r, struct csv_parser *parser, char *buffer) {
    size_t done = 0;
    for (size_t length; r->status == EXIT_DONE && (length = fread(buffer, 1, CHUNK_BYTES, stream)) > 0; done += length) {
        size_t skip = done == 0 ? skip_mark(buffer, length) : 0;
        size_t parsed = csv_parse(parser, buffer + skip, length - skip, on_field, on_row, r);
        progress_step(done + length);
        if (r->status == EXIT_DONE && parsed != length - skip)
            return fail_input("%s%s%s: line %zu: %s", REF(r->file), r->line,
                              csv_error(parser) == CSV_EPARSE ? "a quote stands where none can"
                                                              : csv_strerror(csv_error(parser)));
    }
    if (r->status != EXIT_DONE) return r->status;
    if (ferror(stream)) return fail_input("%s%s%s: cannot be read to its end", REF(r->file));
    if (csv_fini(parser, on_field, on_row, r) != 0)
        return fail_input("%s%s%s: line %zu: a quoted field does not end", REF(r->file), r->line);
    return r->status;
}

static int keep(reader *r, array *a) {
    size_t dims[2] = {r->rows, r->columns};
    if (r->columns == 0) return fail_input("%s%s%s: holds no numbers", REF(r->file));
    TRY(array_make(a, r->file, ARRAY_F32, 2, dims));
    if (a->count) memcpy(a->data, r->values, a->count * sizeof *r->values);
    a->names = r->names;
    r->names = NULL;
    r->name_count = 0;
    return EXIT_DONE;
}

int csv_file_read(FILE *stream, file_ref file, size_t file_bytes, array *a) {
    reader r = {.file = file, .line = 1};
    struct csv_parser parser;
    char *buffer = malloc(CHUNK_BYTES);
    if (!buffer || csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL | CSV_APPEND_NULL) != 0) {
        free(buffer);
        return fail_run("%s%s%s: no memory to read it", REF(file));
    }
    progress_begin(file.path, file_bytes);
    int status = parse(stream, &r, &parser, buffer);
    progress_end();
    if (status == EXIT_DONE) status = keep(&r, a);
    drop_names(&r);
    free(r.values);
    csv_free(&parser);
    free(buffer);
    return status;
}
