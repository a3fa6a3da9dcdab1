/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader for the plain tables in data/: a header, then rows of numbers. (The program clbn reads any CSV file.) */
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next field of the line at *cursor, ended by a NUL that takes its comma's place; NULL past the last. */
static char *next_field(char **cursor) {
    char *field = *cursor;
    if (!field) return NULL;
    char *comma = strchr(field, ',');
    if (comma) *comma = '\0';
    *cursor = comma ? comma + 1 : NULL;
    return field;
}

static int read_header(table *t, char *line) {
    t->columns = 1;
    for (const char *c = line; *c; c++) t->columns += *c == ',';
    t->names = calloc(t->columns, sizeof *t->names);
    if (!t->names) return -1;
    for (size_t i = 0; i < t->columns; i++) snprintf(t->names[i], sizeof t->names[i], "%.31s", next_field(&line));
    return 0;
}

static int read_row(table *t, char *line) {
    float *values = realloc(t->values, (t->rows + 1) * t->columns * sizeof *values);
    if (!values) return -1;
    t->values = values;
    for (size_t i = 0; i < t->columns; i++) {
        char *field = next_field(&line), *end = field;
        if (field) values[t->rows * t->columns + i] = strtof(field, &end);
        if (end == field || *end) return -1;
    }
    t->rows++;
    return line ? -1 : 0;
}

int table_read(const char *path, table *t) {
    char line[4096];
    int bad = 0;
    *t = (table){0};
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return -1;
    }
    while (!bad && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        bad = t->names ? read_row(t, line) : read_header(t, line);
    }
    bad |= ferror(file) | !t->rows;
    fclose(file);
    if (bad) {
        fprintf(stderr, "%s: not a table, at line %zu\n", path, t->rows + 2);
        table_free(t);
    }
    return bad ? -1 : 0;
}

void table_free(table *t) {
    free(t->names);
    free(t->values);
    *t = (table){0};
}

void column_moments(const float *values, size_t rows, size_t columns, size_t column, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++) sum += (double)values[i * columns + column];
    *mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++) squares += pow((double)values[i * columns + column] - *mean, 2);
    *deviation = sqrt(squares / (double)rows);
}

double worse(double a, double b) {
    return a > b || isnan(a) ? a : b;
}

double largest_error(const float *is, const float *should, size_t count) {
    double worst = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        worst = worse(worst, fabs((double)is[i] - (double)should[i]));
        largest = fmax(largest, fabs((double)should[i]));
    }
    return worst / largest;
}
