/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of clbn verify: what is verified at once (a lot), the calls of each operation, and what they came to (rows). The judge is
 * oracle/: no accuracy stands here.
 */
#ifndef CLBN_TOOL_VERIFY_H
#define CLBN_TOOL_VERIFY_H

#include "data.h"
#include "judgement.h"
#include "work.h"

enum { VERIFY_MAX_VARIANTS = 16, VERIFY_SHARES = 3 };

/* The worst of one quantity of one operation, type and variant. */
typedef struct verify_row {
    const char *operation, *what;
    clbn_dtype type;
    char variant[40];
    double worst;  /* error over bound, before the result is rounded to a narrower type */
    double stored; /* the same behind that rounding, half an ulp of the type more in the bound */
    data_kind data;
    data_gradients gradients;
    definition_shape shape;
    size_t checks, misses;
} verify_row;

typedef struct verify {
    session session;
    int flushes; /* the device takes denormals for 0 */
    double began, seconds;
    unsigned possible, refused; /* a bit for each variant: some plan was made, some shape was refused */
    verify_row *rows;
    size_t row_count, row_room;
    size_t calls, checks, misses;
    char first_miss[600];
    /* what runs now */
    const char *operation, *variant;
    const struct lot *lot;
    verify_row *last; /* found again without a search */
    int no_memory;
} verify;

/* A batch with all that calls on it are given, as values and as they are stored. */
typedef struct lot {
    data_case of;
    batch b;
    clbn_dtype type, real;
    data_gradients gradients;
    bounds_of who;
    int fused; /* relu behind a residual */
    int brief; /* forward and backward training alone */
    problem given;
    answer exact;
    double *x, *dy, *residual, *gamma, *beta, *running_mean, *running_var, *bias;
    void *s_x, *s_dy, *s_residual, *s_gamma, *s_beta, *s_running_mean, *s_running_var, *s_bias;
} lot;

/* What is written, stored: x's and then channels. */
typedef struct written {
    void *y, *dx, *dresidual;
    void *mean, *mean_lo, *var, *inv_std, *running_mean, *running_var, *dgamma, *dbeta;
} written;

int lot_make(verify *v, lot *l, const data_case *of, clbn_dtype type, data_gradients gradients, int fused);
/* The exact results, of the batch's own statistics or of the population's. */
int lot_answer(verify *v, lot *l, int population);
void lot_free(lot *l);
/* All but the variant. */
clbn_config lot_config(const lot *l);
clbn_config lot_share_config(const lot *l, size_t dims[3], size_t rows);

int written_make(verify *v, const lot *l, written *w);
void written_free(written *w);
/* Into doubles, for the judge, and from it. */
int outcome_take(verify *v, const lot *l, const written *w, outcome *into);
void outcome_free(outcome *o);

/* Elements of a stored array: count of them from the first on, as doubles into values. */
void take_values(clbn_dtype type, const void *stored, size_t first, size_t count, double *values);
void *stored_array(verify *v, clbn_dtype type, size_t count, const double *values);
double *double_array(verify *v, size_t count);

/* The calls of a lot by one plan, judged; by its own statistics, or by the population's where the answer is of these. */
int verify_calls(verify *v, const lot *l, const clbn_plan *plan);
/* The batch in three shares; plans of 2 rows and of the rest. */
int verify_parts(verify *v, lot *l, const clbn_plan *even, const clbn_plan *rest);
size_t share_rows(const lot *l, int share);

/* The error line of a call that failed. */
int verify_failed(verify *v, clbn_status status);
int verify_no_memory(verify *v);
void verify_begin(verify *v, const char *operation);
hearing verify_hearing(verify *v);

/* All the work, from a plan's variants to the last lot; stops adding where the time is over. */
typedef struct verify_scope {
    size_t planned, ran;             /* lots by variants */
    size_t planned_of[4], ran_of[4]; /* by type */
    unsigned shapes_planned, shapes; /* a bit for each shape that some lot has */
    char impossible[2048];           /* the variants and types that were not possible */
} verify_scope;
int verify_run(verify *v, int thorough, verify_scope *scope);

const char *verify_type_name(clbn_dtype type);
void verify_print_table(const verify *v, const verify_scope *scope);
void verify_print_json(const verify *v, const verify_scope *scope, int thorough);

#endif
