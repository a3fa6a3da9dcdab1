/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool's tests share: a folder of its own for each test, files to feed to the tool, the tool as a process, and its
 * results read by a reader of their own.
 */
#ifndef CLBN_TOOL_TESTS_SUPPORT_H
#define CLBN_TOOL_TESTS_SUPPORT_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

/* Fixtures: an empty folder as the working directory, removed afterwards. */
void enter_folder(void);
void leave_folder(void);

void put_bytes(const char *name, const void *bytes, size_t count);
void put_text(const char *name, const char *text);
/* A .npy file of format major.0 with this dict and these bytes behind it. */
void put_npy(const char *name, int major, const char *dict, const void *data, size_t bytes);
/* A good one of float32; shape as Python writes it: "(2, 3)". */
void put_floats(const char *name, const char *shape, const float *values, size_t count);

/* The whole file as text; lives until the next call. */
const char *get_text(const char *name);
/* The values of a good .npy file of this shape and descr <f4; the test fails where it is another. */
void get_floats(const char *name, const char *shape, float *values, size_t count);

/* Arrays of any type, their values as double. type is "<f2", "<f4" or "<f8"; what is put must be a value of it. */
void put_values(const char *name, const char *type, const char *shape, const double *values, size_t count);
void get_values(const char *name, const char *type, const char *shape, double *values, size_t count);
/* 16 bits to a number by the definition; not for infinities and NaN. */
double half_by_definition(unsigned half);
int exists(const char *name);

typedef struct outcome {
    int status; /* 128 + n after signal n */
    char out[262144];
    char err[4096];
} outcome;

/* Run the tool; arguments up to a NULL. The result lives until the next call. */
const outcome *clbn(const char *argument, ...);
#define CLBN(...) clbn(__VA_ARGS__, NULL)
/* The same, the arguments in an array that ends with NULL. */
const outcome *clbn_with(const char *const *arguments);

/* The call must succeed, with nothing on standard error. */
#define OK(...) succeed(CLBN(__VA_ARGS__))
const outcome *succeed(const outcome *result);

/* The call must end so, with one line on standard error that begins with "clbn: " and holds the words, and the folder must
 * be as it was: nothing new, nothing changed. */
#define REFUSED(status, words, ...)                                               \
    do {                                                                          \
        uint64_t refused_before = fingerprint();                                  \
        check_refusal(CLBN(__VA_ARGS__), status, words);                          \
        ck_assert_msg(fingerprint() == refused_before, "the folder has changed"); \
    } while (0)
void check_refusal(const outcome *result, int status, const char *words);
uint64_t fingerprint(void); /* of all names and contents in the folder */

void add_parts(Suite *suite);
void add_npy(Suite *suite);
void add_csv(Suite *suite);
void add_options(Suite *suite);
void add_outputs(Suite *suite);
void add_numbers(Suite *suite);
void add_types(Suite *suite);
void add_backward(Suite *suite);
void add_bench(Suite *suite);
void add_tune(Suite *suite);
void add_verify(Suite *suite);

/* A case with the folder fixture. */
TCase *add_case(Suite *suite, const char *name);

#endif
