/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of text on standard output, its columns as wide as what they hold.
 */
#ifndef CLBN_TOOL_TABLE_H
#define CLBN_TOOL_TABLE_H

#include <stddef.h>

#include "report.h"

#define TABLE_MAX_COLUMNS 12

typedef struct table {
    size_t columns;
    size_t count, room;    /* of cells */
    char **cells;          /* row by row; NULL where there was no memory */
    const char *alignment; /* one letter a column: l or r */
    int widths[TABLE_MAX_COLUMNS];
} table;

/* A table of as many columns as alignment has letters. */
void table_begin(table *t, const char *alignment);

/* The next cell, row by row from the left. Control characters become blanks. */
void table_cell(table *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* Print it, and free it. Of more than 2 * most rows below the first only the first and the last most are shown, and how many
 * are left out; most 0: all. */
void table_end(table *t, size_t most);

#endif
