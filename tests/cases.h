/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of cases.def, and a case's batch: its extents, and its data made from a fixed seed by oracle/data.h.
 */
#ifndef CLBN_TESTS_CASES_H
#define CLBN_TESTS_CASES_H

#include "data.h"

typedef data_case test_case;

extern const test_case cases[];
extern const size_t case_count;

size_t case_elements(const test_case *c);
/* The case of that name; the test fails if there is none. */
const test_case *case_named(const char *name);

/* flushes: the device takes denormals for 0. */
void batch_make(batch *b, const test_case *c, int flushes);
/* A case that is not in the table: x[outer][channels][inner] as dims of rank 3. */
test_case case_of(size_t outer, size_t channels, size_t inner, data_kind data);
void batch_free(batch *b);
/* The one value that ONE_NAN or ONE_INF replaced becomes an ordinary one. */
void batch_heal(batch *b);
/* The same values as doubles, for the caller to free; NULL for NULL. */
double *widened(const float *values, size_t count);

#endif
