/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers from text, strictly: the whole text is the number, decimal, with '.' as its point. The tool never calls
 * setlocale, so that strtod and printf stay in the C locale.
 */
#ifndef CLBN_TOOL_NUMBER_H
#define CLBN_TOOL_NUMBER_H

#include <stddef.h>

/* NUMBER_NONE: the text is no number; NUMBER_RANGE: a number that the type cannot hold. */
typedef enum number_result { NUMBER_OK = 0, NUMBER_NONE = 1, NUMBER_RANGE = 2 } number_result;

/* nan, inf and infinity are numbers, in any case and with a sign; what is too small for the type is 0 or a denormal. */
int number_looks_like_one(const char *text);
number_result number_to_float(const char *text, float *value);
number_result number_to_double(const char *text, double *value);

number_result number_to_int(const char *text, int *value);

/* Reads digits at *text and moves it past them. */
number_result number_scan_size(const char **text, size_t *value);

#endif
