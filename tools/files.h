/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays from and to files, by the ending of the name: .npy or .csv.
 */
#ifndef CLBN_TOOL_FILES_H
#define CLBN_TOOL_FILES_H

#include <stdio.h>

#include "array.h"

/* EXIT_INPUT where the name ends in neither. */
int file_check_ending(file_ref file);

/* Read an array of any type and shape. */
int file_read(file_ref file, array *a);

/* Read a per-channel array: any shape of channels elements, converted to type. */
int file_read_per_channel(file_ref file, size_t channels, array_type type, array *a);

/* Read an array of X's shape, converted to X's type; x_file is for the sentence. */
int file_read_as_x(file_ref file, const array *x, file_ref x_file, array *a);

/* Whether the file's format can hold the shape; EXIT_INPUT where not. */
int file_check_shape(file_ref file, unsigned rank, const size_t *dims, int has_names);

/* Write to a stream what file's ending asks for; nonzero where the stream fails. */
int file_write(FILE *stream, file_ref file, const array *a);

#endif
