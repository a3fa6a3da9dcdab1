/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that a call writes: all of them or none. Each is written to a temporary beside it, and all are renamed at the
 * end, so that existing files survive a failure and no partial file stays, after a signal either.
 *
 * An output may name a file that is an input (every input has been read by then: running statistics are updated in place this
 * way); two outputs may not name one file. A symbolic link stays one: the file that it leads to is replaced.
 */
#ifndef CLBN_TOOL_OUTPUT_H
#define CLBN_TOOL_OUTPUT_H

#include "array.h"

#define OUTPUT_MAX 8

typedef struct output {
    file_ref file;
    char *target;    /* the path with links resolved */
    char *temporary; /* beside it; NULL while there is none */
    char *backup;    /* the old file's second name, while the renames go on */
    int existed;     /* the target, before the renames */
    int renamed;
} output;

/* Starts as zeros. */
typedef struct output_set {
    output items[OUTPUT_MAX];
    unsigned count;
} output_set;

/* Take a file into the set before any work is done: its ending is checked, that its folder can be written to, that nothing
 * but a regular file is there, and that no other output is the same file. A NULL path is passed over. */
int output_add(output_set *set, const char *option, const char *path);

/* Write the array to the temporary of the file that the option named; passed over where the option is not in the set. */
int output_write(output_set *set, const char *option, const array *a);

/* Rename all; after a failure the files that were there before are there again. */
int output_commit(output_set *set);

/* Remove what has not been renamed, and free the set. Call it in any case. */
void output_close(output_set *set);

#endif
