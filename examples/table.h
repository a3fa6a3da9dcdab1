/* SPDX-License-Identifier: Apache-2.0
 *
 * What the examples share beside clbn: a table of numbers with named columns, read from a file, and a check of results. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

typedef struct table {
    size_t rows, columns;
    char (*names)[32]; /* of the columns */
    float *values;     /* [rows][columns] */
} table;

/* Read a file of comma-separated numbers whose first line names the columns. 0, or -1 after printing why. */
int table_read(const char *path, table *t);
void table_free(table *t);

/* Mean and (biased) standard deviation of one column of values[rows][columns], in two passes in double. */
void column_moments(const float *values, size_t rows, size_t columns, size_t column, double *mean, double *deviation);

/* The larger of two errors, where a NaN is the largest of all. */
double worse(double a, double b);

/* The largest difference between count values and what they should be, in units of the largest of these. */
double largest_error(const float *is, const float *should, size_t count);

/* The first failing call ends an example: its name and its cause are printed, `done:` releases what was made. */
#define TRY(call)                                                                        \
    do {                                                                                 \
        clbn_status status_ = (call);                                                    \
        if (status_ != CLBN_SUCCESS) {                                                   \
            fprintf(stderr, "%s\n    failed: %s\n", #call, clbn_status_string(status_)); \
            goto done;                                                                   \
        }                                                                                \
    } while (0)

/* The same for what returns OpenCL's codes, or CLBlast's. */
#define CL(call)                                             \
    do {                                                     \
        int code_ = (int)(call);                             \
        if (code_ != CL_SUCCESS) {                           \
            fprintf(stderr, "%s\n    = %d\n", #call, code_); \
            goto done;                                       \
        }                                                    \
    } while (0)

#endif
