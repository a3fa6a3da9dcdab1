/* SPDX-License-Identifier: Apache-2.0
 *
 * The vectors of golden/: calls that frameworks made, read from text. A vector is
 *
 *     case NAME, dims RANK EXTENTS, axis, types OF-X OF-Y, epsilon, unbiased, weight, training
 *     NAME COUNT VALUES        what was given, of those that were: x, gamma, beta, running_mean, running_var, dy
 *     NAME COUNT VALUES        what came out: y, saved_*, new_running_*, dx, dgamma, dbeta
 *     off NAME ERROR           behind each: how far the framework is from exact arithmetic, at its worst
 *     end
 *
 * in the library's words (weight is update_weight), one line each, reals as C's %a. golden/make.py makes them; tests/golden/definition.py
 * says how it measures.
 */
#ifndef CLBN_TESTS_VECTORS_H
#define CLBN_TESTS_VECTORS_H

#include "clbn.h"

#include <stdio.h>

/*     name, is it as x, or of channels values? */
#define VECTOR_ROWS(XX)     \
    XX(x, 1)                \
    XX(gamma, 0)            \
    XX(beta, 0)             \
    XX(running_mean, 0)     \
    XX(running_var, 0)      \
    XX(dy, 1)               \
    XX(y, 1)                \
    XX(saved_mean, 0)       \
    XX(saved_var, 0)        \
    XX(saved_inv_std, 0)    \
    XX(new_running_mean, 0) \
    XX(new_running_var, 0)  \
    XX(dx, 1)               \
    XX(dgamma, 0)           \
    XX(dbeta, 0)

typedef enum vector_row {
#define VECTOR_ENUM(name, as_x) VECTOR_##name,
    VECTOR_ROWS(VECTOR_ENUM)
#undef VECTOR_ENUM
        VECTOR_COUNT
} vector_row;

typedef struct vector {
    char name[120];
    unsigned rank;
    size_t dims[CLBN_MAX_RANK];
    int axis, unbiased, training;
    clbn_dtype x_type, y_type;
    double epsilon, weight;
    double *rows[VECTOR_COUNT]; /* NULL where there is none; of vector_count values */
    double off[VECTOR_COUNT];   /* of what came out */
} vector;

/* golden/NAME.txt; the test fails where it cannot be opened. */
FILE *vectors_open(const char *name);
/* The next one, 0 at the end; the test fails where it is malformed. vector_free it. */
int vector_read(FILE *from, vector *v);
void vector_free(vector *v);

size_t vector_elements(const vector *v);
size_t vector_channels(const vector *v);
size_t vector_count(const vector *v, vector_row row);
const char *vector_row_name(vector_row row);

#endif
