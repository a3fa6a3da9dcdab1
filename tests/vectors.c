/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors from text: see vectors.h.
 */
#include "vectors.h"

#include "stored.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[VECTOR_COUNT] = {
#define VECTOR_NAME(name, as_x) #name,
    VECTOR_ROWS(VECTOR_NAME)
#undef VECTOR_NAME
};

static const int is_as_x[VECTOR_COUNT] = {
#define VECTOR_AS_X(name, as_x) as_x,
    VECTOR_ROWS(VECTOR_AS_X)
#undef VECTOR_AS_X
};

const char *vector_row_name(vector_row row) {
    return names[row];
}

size_t vector_elements(const vector *v) {
    size_t count = 1;
    for (unsigned d = 0; d < v->rank; d++) count *= v->dims[d];
    return count;
}

size_t vector_channels(const vector *v) {
    return v->dims[v->axis < 0 ? v->axis + (int)v->rank : v->axis];
}

size_t vector_count(const vector *v, vector_row row) {
    return is_as_x[row] ? vector_elements(v) : vector_channels(v);
}

FILE *vectors_open(const char *name) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%s.txt", CLBN_VECTORS, name);
    FILE *from = fopen(path, "r");
    if (!from) ck_abort_msg("cannot open %s", path);
    return from;
}

static void word(FILE *from, const vector *v, char text[120]) {
    if (fscanf(from, "%119s", text) != 1) ck_abort_msg("%s ends early", v->name);
}

static double real(FILE *from, const vector *v) {
    char text[120], *end;
    word(from, v, text);
    const double value = strtod(text, &end);
    if (*end) ck_abort_msg("%s: %s is no number", v->name, text);
    return value;
}

static size_t whole(FILE *from, const vector *v) {
    const double value = real(from, v);
    if (!(value >= 0 && value < 1e6) || value != (double)(size_t)value) ck_abort_msg("%s: %g is no count", v->name, value);
    return (size_t)value;
}

static clbn_dtype type(FILE *from, const vector *v) {
    char text[120];
    word(from, v, text);
    for (int t = CLBN_F32; t <= CLBN_F64; t++)
        if (!strcmp(text, stored_name((clbn_dtype)t))) return (clbn_dtype)t;
    ck_abort_msg("%s: %s is no type", v->name, text);
    return CLBN_F32;
}

static vector_row row_named(const vector *v, const char *name) {
    for (int r = 0; r < VECTOR_COUNT; r++)
        if (!strcmp(name, names[r])) return (vector_row)r;
    ck_abort_msg("%s: %s is unknown", v->name, name);
    return VECTOR_COUNT;
}

static void read_row(FILE *from, vector *v, vector_row row) {
    const size_t count = whole(from, v), due = vector_count(v, row);
    if (count != due || v->rows[row]) ck_abort_msg("%s: %s has %zu values instead of %zu", v->name, names[row], count, due);
    v->rows[row] = calloc(count + 1, sizeof(double));
    ck_assert_ptr_nonnull(v->rows[row]);
    for (size_t k = 0; k < count; k++) v->rows[row][k] = real(from, v);
}

/* One line, of the given first word. */
static void read_line(FILE *from, vector *v, const char *first) {
    char name[120];
    if (!strcmp(first, "dims")) {
        v->rank = (unsigned)whole(from, v);
        if (v->rank == 0 || v->rank > CLBN_MAX_RANK) ck_abort_msg("%s: rank %u", v->name, v->rank);
        for (unsigned d = 0; d < v->rank; d++) v->dims[d] = whole(from, v);
    } else if (!strcmp(first, "axis")) {
        v->axis = (int)real(from, v);
    } else if (!strcmp(first, "types")) {
        v->x_type = type(from, v);
        v->y_type = type(from, v);
    } else if (!strcmp(first, "epsilon")) {
        v->epsilon = real(from, v);
    } else if (!strcmp(first, "unbiased")) {
        v->unbiased = (int)whole(from, v);
    } else if (!strcmp(first, "weight")) {
        v->weight = real(from, v);
    } else if (!strcmp(first, "training")) {
        v->training = (int)whole(from, v);
    } else if (!strcmp(first, "off")) {
        word(from, v, name);
        v->off[row_named(v, name)] = real(from, v);
    } else {
        read_row(from, v, row_named(v, first));
    }
}

int vector_read(FILE *from, vector *v) {
    char text[120];
    memset(v, 0, sizeof *v);
    for (;;) {
        if (fscanf(from, "%119s", text) != 1) return 0;
        if (*text != '#') break;
        if (fscanf(from, "%*[^\n]") < 0) return 0;
    }
    if (strcmp(text, "case")) ck_abort_msg("a vector begins with %s", text);
    word(from, v, v->name);
    for (word(from, v, text); strcmp(text, "end") != 0; word(from, v, text)) read_line(from, v, text);
    if (!v->rows[VECTOR_x] || !v->rows[VECTOR_y]) ck_abort_msg("%s has no x or no y", v->name);
    return 1;
}

void vector_free(vector *v) {
    for (int r = 0; r < VECTOR_COUNT; r++) free(v->rows[r]);
    memset(v, 0, sizeof *v);
}
