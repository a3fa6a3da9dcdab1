/* SPDX-License-Identifier: Apache-2.0
 *
 * The case table: see cases.h.
 */
#include "cases.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

const test_case cases[] = {
#define CASE(name, rank, dims, axis, data) {#name, rank, dims, axis, data},
#include "cases.def"
#undef CASE
};
const size_t case_count = sizeof cases / sizeof *cases;

size_t case_elements(const test_case *c) {
    return data_elements(c);
}

const test_case *case_named(const char *name) {
    for (size_t i = 0; i < case_count; i++)
        if (!strcmp(cases[i].name, name)) return &cases[i];
    ck_abort_msg("no case is named %s", name);
    return NULL;
}

test_case case_of(size_t outer, size_t channels, size_t inner, data_kind data) {
    test_case c = {"of the test's own", 3, {outer, channels, inner}, 1, data};
    return c;
}

void batch_make(batch *b, const test_case *c, int flushes) {
    if (!data_make(b, c, flushes)) ck_abort_msg("no memory for %s", c->name);
}

void batch_free(batch *b) {
    data_free(b);
}

void batch_heal(batch *b) {
    data_poison(b, 0.25f);
}

double *widened(const float *values, size_t count) {
    double *wide = values ? malloc((count + 1) * sizeof *wide) : NULL;
    ck_assert(!values || wide);
    for (size_t i = 0; wide && i < count; i++) wide[i] = values[i];
    return wide;
}
