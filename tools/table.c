/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables: cells are kept as text until all widths are known.
 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_begin(table *t, const char *alignment) {
    memset(t, 0, sizeof *t);
    t->alignment = alignment;
    t->columns = strlen(alignment);
}

void table_cell(table *t, const char *format, ...) {
    char text[320];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    make_one_line(text);
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 256;
        char **cells = realloc(t->cells, room * sizeof *cells);
        if (!cells) return;
        t->cells = cells;
        t->room = room;
    }
    int *width = &t->widths[t->count % t->columns];
    if (length > *width) *width = length;
    t->cells[t->count++] = strdup(text);
}

static void print_row(const table *t, size_t row) {
    for (size_t c = 0; c < t->columns; c++) {
        const char *text = t->cells[row * t->columns + c] ? t->cells[row * t->columns + c] : "";
        int last = c + 1 == t->columns;
        if (t->alignment[c] == 'r')
            printf("%*s%s", t->widths[c], text, last ? "" : "  ");
        else
            printf("%-*s%s", last ? 0 : t->widths[c], text, last ? "" : "  ");
    }
    putchar('\n');
}

void table_end(table *t, size_t most) {
    size_t rows = t->count / t->columns;
    for (size_t row = 0; row < rows; row++) {
        if (most && rows - 1 > 2 * most && row == 1 + most) {
            printf("... %zu more\n", rows - 1 - 2 * most);
            row = rows - most;
        }
        print_row(t, row);
    }
    for (size_t i = 0; i < t->count; i++) free(t->cells[i]);
    free(t->cells);
    memset(t, 0, sizeof *t);
}
