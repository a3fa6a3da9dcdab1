/* SPDX-License-Identifier: Apache-2.0
 *
 * What a command writes: each output option with the array that goes into its file.
 */
#ifndef CLBN_TOOL_RESULTS_H
#define CLBN_TOOL_RESULTS_H

#include "output.h"
#include "work.h"

typedef enum result_form { RESULT_AS_X, RESULT_PER_CHANNEL } result_form;

typedef struct result {
    file_ref file; /* path NULL: not asked for */
    result_form form;
    const array *values; /* made later: looked at when it is written */
} result;

/* Take the files into the set, before any work is done. */
int results_open(const result *results, size_t count, output_set *set);

/* Once X is read: can each file hold the shape that it will get? */
int results_check(const result *results, size_t count, const work *w);

/* Write all, and put them in their places. What is shaped as X has X's column names. */
int results_write(const result *results, size_t count, const work *w, output_set *set);

#endif
