/* SPDX-License-Identifier: Apache-2.0
 *
 * A call of any operation that is good until a test spoils it: see attempt.h.
 */
#include "attempt.h"
#include "stored.h"
#include "support.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------- what clbn.h says of each call */

/* Beside IN, OUT and NEEDED: this rule holds only for plans of some kinds. */
enum {
    IF_RESIDUAL = 8,   /* there only in plans with a residual */
    IF_MASK = 16,      /* there only in plans with a mask */
    NEED_WITHOUT = 32, /* needed by plans with a residual and no mask */
    NEED_INSIDE = 64,  /* needed by plans of the inside rule */
    NEED_OUTSIDE = 128 /* needed by plans of the outside rule */
};

typedef struct term {
    piece piece;
    unsigned use;
    size_t at;
    const char *name;
} term;

#define I IS_IN
#define O IS_OUT
#define N IS_NEEDED

#define F(piece, field, use) \
    { piece, use, offsetof(attempt, forward.field), #field }
#define B(piece, field, use) \
    { piece, use, offsetof(attempt, backward.field), #field }
#define M(piece, field, use) \
    { piece, use, offsetof(attempt, moments.field), #field }
#define P(piece, field, use) \
    { piece, use, offsetof(attempt, part.field), #field }
#define G(piece, field, use) \
    { piece, use, offsetof(attempt, merge.field), #field }
#define U(piece, field, use) \
    { piece, use, offsetof(attempt, update.field), #field }
#define W(piece, field, use) \
    { piece, use, offsetof(attempt, fold.field), #field }

#define FORWARD_TERMS(y_use, running, mask_use)                                                                             \
    F(A_X, x, I | N), F(A_Y, y, y_use), F(A_GAMMA, gamma, I), F(A_BETA, beta, I), F(A_RUNNING_MEAN, running_mean, running), \
        F(A_RUNNING_VAR, running_var, running), F(A_MEAN, saved_mean, O), F(A_MEAN_LO, saved_mean_lo, O),                   \
        F(A_VAR, saved_var, O), F(A_INV_STD, saved_inv_std, O), F(A_RESIDUAL, residual, I | N | IF_RESIDUAL),               \
        F(A_MASK, mask, mask_use | IF_MASK)
#define BACKWARD_TERMS                                                                                        \
    B(A_DY, dy, I | N), B(A_X, x, I | N), B(A_DGAMMA, dgamma, O), B(A_DBETA, dbeta, O), B(A_GAMMA, gamma, I), \
        B(A_BETA, beta, I), B(A_RESIDUAL, residual, I | IF_RESIDUAL | NEED_WITHOUT), B(A_MASK, mask, I | N | IF_MASK)
#define DX_TERMS B(A_DX, dx, O), B(A_DRESIDUAL, dresidual, O | IF_RESIDUAL)
#define SAVED_TERMS                                                                                      \
    B(A_MEAN, saved_mean, I | N), B(A_MEAN_LO, saved_mean_lo, I), B(A_VAR, saved_var, I | NEED_OUTSIDE), \
        B(A_INV_STD, saved_inv_std, I | NEED_INSIDE)

static const term forward_terms[] = {FORWARD_TERMS(O, I | O, O | N)};
static const term forward_parts_terms[] = {FORWARD_TERMS(O, I | O, O | N), F(A_PARTS, parts, I | N), F(A_COUNTS, counts, I | N)};
static const term inference_terms[] = {FORWARD_TERMS(O | N, I | N, O)};
static const term moments_terms[] = {M(A_X, x, I | N), M(A_MEAN, mean, O), M(A_MEAN_LO, mean_lo, O), M(A_VAR, var, O)};
static const term part_terms[] = {P(A_X, x, I | N), P(A_PART, part, O | N), P(A_COUNT, count, O | N)};
static const term merge_terms[] = {G(A_PARTS, parts, I | N), G(A_COUNTS, counts, I | N), G(A_PART, part, O | N),
                                   G(A_COUNT, count, O | N)};
static const term backward_terms[] = {BACKWARD_TERMS, DX_TERMS, SAVED_TERMS};
static const term backward_parts_terms[] = {BACKWARD_TERMS, DX_TERMS, SAVED_TERMS, B(A_PARTS, parts, I | N),
                                            B(A_COUNTS, counts, I | N)};
static const term backward_inference_terms[] = {BACKWARD_TERMS, DX_TERMS, B(A_RUNNING_MEAN, running_mean, I | N),
                                                B(A_RUNNING_VAR, running_var, I | N)};
static const term backward_part_terms[] = {BACKWARD_TERMS, SAVED_TERMS, B(A_PART, part, O | N), B(A_COUNT, count, O | N)};
static const term update_terms[] = {U(A_MEAN, mean, I | N), U(A_VAR, var, I | N), U(A_RUNNING_MEAN, running_mean, I | O),
                                    U(A_RUNNING_VAR, running_var, I | O)};
static const term fold_terms[] = {W(A_X, weight, I | N),
                                  W(A_BIAS, bias, I),
                                  W(A_GAMMA, gamma, I),
                                  W(A_BETA, beta, I),
                                  W(A_RUNNING_MEAN, running_mean, I | N),
                                  W(A_RUNNING_VAR, running_var, I | N),
                                  W(A_Y, folded_weight, O | N),
                                  W(A_FOLDED_BIAS, folded_bias, O | N)};

#define TERMS(terms) terms, sizeof terms / sizeof *terms
static const struct {
    const char *name;
    const term *terms;
    size_t count;
} operations[OPERATIONS] = {
    [FORWARD] = {"forward_training", TERMS(forward_terms)},
    [FORWARD_BY_PARTS] = {"forward_training by parts", TERMS(forward_parts_terms)},
    [FORWARD_INFERENCE] = {"forward_inference", TERMS(inference_terms)},
    [MOMENTS_ALONE] = {"moments", TERMS(moments_terms)},
    [MOMENTS_PART] = {"moments_part", TERMS(part_terms)},
    [MOMENTS_MERGE] = {"moments_merge", TERMS(merge_terms)},
    [BACKWARD] = {"backward_training", TERMS(backward_terms)},
    [BACKWARD_BY_PARTS] = {"backward_training by parts", TERMS(backward_parts_terms)},
    [BACKWARD_INFERENCE] = {"backward_inference", TERMS(backward_inference_terms)},
    [BACKWARD_PART] = {"backward_part", TERMS(backward_part_terms)},
    [BACKWARD_MERGE] = {"backward_merge", TERMS(merge_terms)},
    [UPDATE_RUNNING] = {"update_running", TERMS(update_terms)},
    [FOLD] = {"fold", TERMS(fold_terms)},
};

static const struct {
    const char *name;
    clbn_dtype x_type, y_type;
    int residual, mask;
} kinds[PLAN_KINDS] = {
    [PLAIN] = {"plain", CLBN_F32, CLBN_F32, 0, 0},
    [OUTSIDE] = {"outside", CLBN_F32, CLBN_F32, 0, 0},
    [FUSED] = {"fused", CLBN_F32, CLBN_F32, 1, 0},
    [MASKED] = {"masked", CLBN_F32, CLBN_F32, 1, 1},
    [HALVES] = {"float16", CLBN_F16, CLBN_F16, 0, 0},
    [TWO_HALVES] = {"float16 to bfloat16", CLBN_F16, CLBN_BF16, 0, 0},
    [WIDENING] = {"float16 to float32", CLBN_F16, CLBN_F32, 0, 0},
    [DOUBLES] = {"float64", CLBN_F64, CLBN_F64, 0, 0},
};

static const term *term_of(const attempt *a, piece p) {
    for (size_t i = 0; i < operations[a->operation].count; i++)
        if (operations[a->operation].terms[i].piece == p) return &operations[a->operation].terms[i];
    return NULL;
}

unsigned attempt_use(const attempt *a, piece p) {
    const term *t = term_of(a, p);
    const int residual = kinds[a->kind].residual, mask = kinds[a->kind].mask, outside = a->kind == OUTSIDE;
    if (!t || ((t->use & IF_RESIDUAL) && !residual) || ((t->use & IF_MASK) && !mask)) return 0;
    unsigned use = t->use & (I | O | N);
    if (((t->use & NEED_WITHOUT) && !mask) || (t->use & (outside ? NEED_OUTSIDE : NEED_INSIDE))) use |= N;
    return use;
}

const char *attempt_name(const attempt *a, piece p) {
    return term_of(a, p)->name;
}

clbn_buffer *attempt_argument(attempt *a, piece p) {
    return (clbn_buffer *)(void *)((char *)a + term_of(a, p)->at);
}

/* ----------------------------------------------------------------------------------------------------------------- sizes */

static clbn_dtype real_of(plan_kind kind) {
    return kind == DOUBLES ? CLBN_F64 : CLBN_F32;
}

size_t attempt_element_bytes(const attempt *a, piece p) {
    if (p == A_X || p == A_DX) return stored_bytes(kinds[a->kind].x_type);
    if (p <= A_DRESIDUAL) return stored_bytes(kinds[a->kind].y_type);
    if (p == A_COUNTS || p == A_COUNT) return 8;
    return p == A_MASK ? 1 : stored_bytes(real_of(a->kind));
}

size_t attempt_elements(const attempt *a, piece p) {
    if (p <= A_DRESIDUAL) return OUTER * CHANNELS * INNER;
    switch (p) {
    case A_PARTS:
        return PARTS * 5 * CHANNELS;
    case A_PART:
        return 5 * CHANNELS;
    case A_COUNTS:
        return PARTS;
    case A_COUNT:
        return 1;
    case A_MASK:
        return clbn_plan_mask_bytes(a->plan);
    default:
        return CHANNELS;
    }
}

/* -------------------------------------------------------------------------------------------------------------- an attempt */

static clbn_plan *kept[PLAN_KINDS];

clbn_config config_of_kind(plan_kind kind) {
    static const size_t dims[] = {OUTER, CHANNELS, INNER};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = dims;
    config.dtype = kinds[kind].x_type, config.y_dtype = kinds[kind].y_type;
    config.epsilon_rule = kind == OUTSIDE ? CLBN_EPSILON_OUTSIDE : CLBN_EPSILON_INSIDE;
    config.activation = kinds[kind].residual ? CLBN_RELU : CLBN_IDENTITY;
    config.residual = kinds[kind].residual, config.mask = kinds[kind].mask;
    return config;
}

void attempt_free_plans(void) {
    for (int k = 0; k < PLAN_KINDS; k++) clbn_plan_destroy(kept[k]);
    memset(kept, 0, sizeof kept);
}

int call_exists(plan_kind kind, operation op) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    return (kind != DOUBLES || info.has_fp64) && (op != FOLD || !kinds[kind].residual);
}

const char *attempt_title(const attempt *a) {
    static char title[200];
    snprintf(title, sizeof title, "%s of a plan of kind %s, %s", operations[a->operation].name, kinds[a->kind].name,
             a->queue ? "in cl_mem" : "on the host");
    return title;
}

static void put(const attempt *a, piece p, char *to, size_t nth) {
    const size_t bytes = attempt_element_bytes(a, p);
    if (p == A_COUNTS)
        memcpy(to, &(uint64_t){OUTER * INNER}, bytes);
    else if (p == A_MASK)
        *to = 0;
    else if (p <= A_DRESIDUAL)
        stored_put(p == A_X || p == A_DX ? kinds[a->kind].x_type : kinds[a->kind].y_type, to, nth * 5 % 7);
    else
        stored_put(real_of(a->kind), to, 1);
}

static void make_piece(attempt *a, piece p) {
    const size_t bytes = attempt_element_bytes(a, p), count = attempt_elements(a, p);
    char *values = NULL;
    if (attempt_use(a, p) & I) {
        values = malloc(bytes * count);
        ck_assert_ptr_nonnull(values);
        for (size_t i = 0; i < count; i++) put(a, p, values + i * bytes, i);
    }
    guarded_make_of(&a->pieces[p], attempt_name(a, p), a->queue, CL_MEM_READ_WRITE, bytes, count, 0, values);
    free(values);
    *attempt_argument(a, p) = guarded_buffer(&a->pieces[p]);
}

void attempt_make(attempt *a, plan_kind kind, operation op, int in_mem) {
    memset(a, 0, sizeof *a);
    a->kind = kind, a->operation = op, a->queue = in_mem ? tested_queue() : NULL;
    if (!kept[kind]) {
        const clbn_config config = config_of_kind(kind);
        kept[kind] = plan_of(tested(), &config);
    }
    a->plan = kept[kind];
    for (int p = 0; p < PIECES; p++)
        if (attempt_use(a, (piece)p)) make_piece(a, (piece)p);
    a->forward.update_weight = a->update.update_weight = 0.5;
    a->merge.part_count = PARTS;
    a->forward.part_count = op == FORWARD_BY_PARTS ? PARTS : 0;
    a->backward.part_count = op == BACKWARD_BY_PARTS ? PARTS : 0;
}

void attempt_free(attempt *a) {
    for (int p = 0; p < PIECES; p++) guarded_free(&a->pieces[p]);
}

clbn_status attempt_call(attempt *a) {
    const clbn_plan *plan = a->plan;
    cl_command_queue queue = a->queue;
    said_clear();
    switch (a->operation) {
    case FORWARD:
    case FORWARD_BY_PARTS:
        return clbn_forward_training(plan, queue, &a->forward, 0, NULL, NULL);
    case FORWARD_INFERENCE:
        return clbn_forward_inference(plan, queue, &a->forward, 0, NULL, NULL);
    case MOMENTS_ALONE:
        return clbn_moments(plan, queue, &a->moments, 0, NULL, NULL);
    case MOMENTS_PART:
        return clbn_moments_part(plan, queue, &a->part, 0, NULL, NULL);
    case MOMENTS_MERGE:
        return clbn_moments_merge(plan, queue, &a->merge, 0, NULL, NULL);
    case BACKWARD:
    case BACKWARD_BY_PARTS:
        return clbn_backward_training(plan, queue, &a->backward, 0, NULL, NULL);
    case BACKWARD_INFERENCE:
        return clbn_backward_inference(plan, queue, &a->backward, 0, NULL, NULL);
    case BACKWARD_PART:
        return clbn_backward_part(plan, queue, &a->backward, 0, NULL, NULL);
    case BACKWARD_MERGE:
        return clbn_backward_merge(plan, queue, &a->merge, 0, NULL, NULL);
    case UPDATE_RUNNING:
        return clbn_update_running(plan, queue, &a->update, 0, NULL, NULL);
    default:
        return clbn_fold(plan, queue, &a->fold, 0, NULL, NULL);
    }
}

/* As a word of its own: "x", but not in "max". */
static int names(const char *sentence, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = sentence; (at = strstr(at, word)) != NULL; at++) {
        const int before = at > sentence && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
        const int behind = isalnum((unsigned char)at[length]) || at[length] == '_';
        if (!before && !behind) return 1;
    }
    return 0;
}

void attempt_must_be_refused(attempt *a, clbn_status expected, const char *word, const char *what) {
    char text[400];
    const clbn_status status = attempt_call(a);
    snprintf(text, sizeof text, "%s, %s of %s", attempt_title(a), what, word);
    must_refuse(status, expected, word, text);
    ck_assert_msg(names(said(), word), "%s: the sentence does not name %s: %s", text, word, said());
    if (a->queue) ck_cl(clFinish(a->queue));
    for (int p = 0; p < PIECES; p++) guarded_must_be_unchanged(&a->pieces[p], text);
}

void attempt_must_pass(attempt *a, const char *what) {
    char text[400];
    snprintf(text, sizeof text, "%s, %s", attempt_title(a), what);
    const clbn_status status = attempt_call(a);
    ck_assert_msg(status == CLBN_SUCCESS, "%s: gave %s, saying: %s", text, clbn_status_name(status), said());
    if (a->queue) ck_cl(clFinish(a->queue));
    for (int p = 0; p < PIECES; p++)
        if (a->pieces[p].host) guarded_read(&a->pieces[p], text);
}
