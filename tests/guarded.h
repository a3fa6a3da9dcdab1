/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers that notice a write outside their elements: in host memory or a cl_mem, behind an offset and before a band that
 * both hold a pattern, a NaN of every storage type, which outputs are filled with too.
 */
#ifndef CLBN_TESTS_GUARDED_H
#define CLBN_TESTS_GUARDED_H

#include "clbn.h"

typedef struct guarded {
    const char *name;
    size_t offset, count; /* elements */
    size_t bytes;         /* of one */
    char *host;           /* the whole, with both bands: the host buffer itself, or what was last written to mem or read */
    void *given;          /* count elements: what it was made with; NULL for an output */
    cl_mem mem;           /* NULL for one in host memory */
    cl_command_queue queue;
} guarded;

/* In mem of queue's context where queue is given, else in host memory. values NULL: an output, filled with the pattern.
 * flags: the cl_mem's, CL_MEM_READ_ONLY or so. Elements are floats, or of bytes each. */
void guarded_make(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, size_t count, size_t offset,
                  const float *values);
void guarded_make_of(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, size_t bytes, size_t count,
                     size_t offset, const void *values);
/* Frees what guarded_make took; fine for a zeroed one. */
void guarded_free(guarded *g);

/* It as an argument; absent where it was not made. */
clbn_buffer guarded_buffer(const guarded *g);

/* Reads it back (the queue must be idle), fails the test where a band was written, and returns its elements. context is
 * printed. */
const void *guarded_read(guarded *g, const char *context);
/* The same, and fails where an element is not as it was made, bit for bit. */
void guarded_must_be_unchanged(guarded *g, const char *context);

/* Fills count elements with the pattern; is one element the pattern? */
void guarded_fill(void *elements, size_t bytes, size_t count);
int guarded_is_pattern(const void *element, size_t bytes);

#endif
