/* SPDX-License-Identifier: Apache-2.0
 *
 * .npy files, format 1.0 to 3.0 (NumPy's numpy/lib/format.py describes them): a magic, a version, a header in the syntax of a
 * Python dict, the values. The header is believed only as far as the file's size bears it out.
 */
#ifndef CLBN_TOOL_NPY_H
#define CLBN_TOOL_NPY_H

#include <stdio.h>

#include "array.h"

typedef struct npy_header {
    array_type type;
    unsigned rank;
    size_t dims[ARRAY_MAX_RANK];
} npy_header;

typedef struct npy_reason {
    char text[200];
} npy_reason;

/* Parse the dict of a header: exactly the keys descr, fortran_order and shape, in any order. 0, or -1 with the reason, as
 * what follows the file's name in a sentence. The text needs no end mark. */
int npy_parse_header(const char *text, size_t length, npy_header *header, npy_reason *reason);

/* Read the open file, whose size is known. */
int npy_read(FILE *stream, file_ref file, size_t file_bytes, array *a);

/* Write format 1.0; nonzero where the stream fails. */
int npy_write(FILE *stream, const array *a);

#endif
