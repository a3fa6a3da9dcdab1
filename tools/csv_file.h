/* SPDX-License-Identifier: Apache-2.0
 *
 * .csv files of numbers: rows and columns of float32, a header of column names or none.
 */
#ifndef CLBN_TOOL_CSV_FILE_H
#define CLBN_TOOL_CSV_FILE_H

#include <stdio.h>

#include "array.h"

/* Read the open file to its end; file_bytes is for the progress bar, 0 if not known. The array is 2-D, its names
 * are the header's. */
int csv_file_read(FILE *stream, file_ref file, size_t file_bytes, array *a);

/* Whether the shape can be written: 2-D, or 1-D as one row, with at least a column, and a row or names. */
int csv_file_can_hold(unsigned rank, const size_t *dims, int has_names);

/* Write values of any type with nine digits, as many as tell any two floats apart; nonzero where the stream fails. */
int csv_file_write(FILE *stream, const array *a);

#endif
