/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of optional arguments: see present.h.
 */
#include "present.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXTS = AFFINES * (3 + SAVINGS * 2 + 2) };

/* What an output held when it was judged right, in a context of calls that must give the same; NULL: not yet. */
typedef struct known {
    char *bytes;
} known;

struct present {
    test_case of;
    batch b;
    material m;                /* its affine, saving and accumulating levels are those of the call */
    verdict exact[2][AFFINES]; /* of the batch, of the population; made when needed */
    clbn_plan *plan;
    bounds_of who;
    size_t strides[3];
    guarded x, residual, dy, gamma, beta, given_mean, given_var;
    guarded masks[2][AFFINES];
    guarded out[OUTPUTS];      /* where calls write */
    guarded saved[AFFINES][4]; /* mean, mean_lo, var, inv_std of the fullest training call */
    known right[CONTEXTS][OUTPUTS];
    size_t titled; /* characters of the title that say which plan it is */
    char title[900];
};

static size_t judged;

size_t present_judged(void) {
    return judged;
}

/* Calls of one context are judged by the same exact values and bounds, whichever outputs they have: so backward with all that was saved,
 * and with what it needs of that. */
static size_t context_of(const present_set *s) {
    size_t kind = (size_t)s->call;
    if (s->call == GOES_BACK) kind = 3 + (s->saved == NEEDED_SAVED ? ALL_SAVED : s->saved) * 2 + s->accumulate;
    if (s->call == GOES_BACK_FROZEN) kind = 3 + SAVINGS * 2 + s->accumulate;
    return kind * AFFINES + s->affine;
}

/* ------------------------------------------------------------------------------------------------------------------ arrays */

static clbn_dtype real_of(const present *p) {
    return manner_is_f64(&p->m.m) ? CLBN_F64 : CLBN_F32;
}

static int is_tensor(argument a) {
    return a == GIVES_Y || a == GIVES_DX || a == GIVES_DRESIDUAL;
}

static clbn_dtype type_of(const present *p, argument a) {
    if (!is_tensor(a)) return real_of(p);
    return a == GIVES_DX ? manner_x_type(&p->m.m) : manner_y_type(&p->m.m);
}

static size_t count_of(const present *p, argument a) {
    return is_tensor(a) ? p->b.count : p->b.shape.channels;
}

/* Of the k-th element of a dense tensor; both layouts fill the same span. */
static size_t place_of(const present *p, argument a, size_t k) {
    const definition_shape s = p->b.shape;
    if (!is_tensor(a) || p->strides[2] == 1) return k;
    return k / s.inner / s.channels * p->strides[0] + k / s.inner % s.channels * p->strides[1] + k % s.inner * p->strides[2];
}

static void store(const present *p, argument like, const double *values, char *into) {
    const clbn_dtype type = type_of(p, like);
    for (size_t k = 0; k < count_of(p, like); k++) stored_put(type, into + place_of(p, like, k) * stored_bytes(type), values[k]);
}

static void make(present *p, guarded *g, const char *name, argument like, const double *values) {
    const size_t bytes = stored_bytes(type_of(p, like)), count = count_of(p, like);
    char *image = malloc((count + 1) * bytes);
    ck_assert_ptr_nonnull(image);
    if (values) store(p, like, values, image);
    guarded_make_of(g, name, NULL, 0, bytes, count, 1, values ? image : NULL);
    free(image);
}

static void make_arrays(present *p) {
    static const char *const names[] = {"y",           "mean", "mean_lo",   "var",    "inv_std", "running_mean",
                                        "running_var", "dx",   "dresidual", "dgamma", "dbeta"};
    const material *m = &p->m;
    make(p, &p->x, "x", GIVES_DX, m->x);
    make(p, &p->dy, "dy", GIVES_Y, m->dy);
    if (m->m.level[BY_RESIDUAL]) make(p, &p->residual, "residual", GIVES_Y, m->residual);
    make(p, &p->gamma, "gamma", GIVES_DGAMMA, m->gamma);
    make(p, &p->beta, "beta", GIVES_DBETA, m->beta);
    make(p, &p->given_mean, "running_mean", GIVES_RUNNING_MEAN, m->running_mean);
    make(p, &p->given_var, "running_var", GIVES_RUNNING_VAR, m->running_var);
    for (int a = 0; a < OUTPUTS; a++) make(p, &p->out[a], names[a], (argument)a, NULL);
    for (unsigned k = 0; m->m.level[BY_MASK] && k < 2 * AFFINES; k++)
        guarded_make_of(&p->masks[k / AFFINES][k % AFFINES], "mask", NULL, 0, 1, clbn_plan_mask_bytes(p->plan), 1, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------- opening */

present *present_open(clbn_device *device, bounds_of who, const test_case *c, const manner *how, const char *variant) {
    present *p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->of = *c, p->who = who;
    batch_make(&p->b, &p->of, 0);
    material_make(&p->m, &p->b, how);
    const steps at = steps_of(how->level[BY_LAYOUT], 0, p->b.shape);
    p->strides[0] = at.outer, p->strides[1] = at.channel, p->strides[2] = at.unit;
    clbn_config config = manner_config(how);
    config.rank = 3, config.dims = p->of.dims, config.axis = 1, config.epsilon = p->m.epsilon, config.variant = variant;
    if (at.unit != 1) config.strides = (clbn_strides){p->strides, p->strides, p->strides, p->strides, p->strides, p->strides};
    said_clear();
    const clbn_status status = clbn_plan_create(device, &config, &p->plan);
    if (status == CLBN_ERROR_UNSUPPORTED) {
        present_close(p);
        return NULL;
    }
    ck_clbn(status);
    make_arrays(p);
    char text[600];
    manner_write(how, text, sizeof text);
    p->titled = (size_t)snprintf(p->title, sizeof p->title, "%zux%zux%zu, data %d, by %s: %s", p->b.shape.outer,
                                 p->b.shape.channels, p->b.shape.inner, (int)c->data, variant ? variant : "choice", text);
    ck_assert_uint_lt(p->titled, sizeof p->title - 120);
    return p;
}

void present_close(present *p) {
    guarded *inputs[] = {&p->x, &p->dy, &p->residual, &p->gamma, &p->beta, &p->given_mean, &p->given_var};
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++) {
        guarded_must_be_unchanged(inputs[k], p->title);
        guarded_free(inputs[k]);
    }
    for (int a = 0; a < OUTPUTS; a++) guarded_free(&p->out[a]);
    for (int k = 0; k < AFFINES; k++) {
        for (int j = 0; j < 4; j++) {
            guarded_must_be_unchanged(&p->saved[k][j], p->title);
            guarded_free(&p->saved[k][j]);
        }
        for (int j = 0; j < 2; j++) {
            guarded_free(&p->masks[j][k]);
            verdict_free(&p->exact[j][k]);
        }
    }
    for (int k = 0; k < CONTEXTS; k++)
        for (int a = 0; a < OUTPUTS; a++) free(p->right[k][a].bytes);
    clbn_plan_destroy(p->plan);
    material_free(&p->m);
    batch_free(&p->b);
    free(p);
}

/* ------------------------------------------------------------------------------------------------------------------- judging */

/* Backwards through place_of: the bytes of an output in the order of a dense tensor. */
static char *taken(present *p, argument a) {
    const size_t bytes = p->out[a].bytes, count = p->out[a].count;
    const char *from = guarded_read(&p->out[a], p->title);
    char *dense = malloc((count + 1) * bytes);
    ck_assert_ptr_nonnull(dense);
    if (p->strides[2] == 1 || !is_tensor(a))
        memcpy(dense, from, count * bytes);
    else
        for (size_t k = 0; k < count; k++) memcpy(dense + k * bytes, from + place_of(p, a, k) * bytes, bytes);
    return dense;
}

static double *numbers_of(const present *p, argument a, const char *bytes) {
    const size_t count = count_of(p, a);
    double *values = calloc(count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t k = 0; k < count; k++) values[k] = stored_get(type_of(p, a), bytes + k * stored_bytes(type_of(p, a)));
    return values;
}

static const verdict *exact_for(present *p, const present_set *set) {
    const int frozen = set->call == INFERS || set->call == GOES_BACK_FROZEN;
    verdict *v = &p->exact[frozen][set->affine];
    if (!v->exact.of) verdict_make(v, &p->m);
    verdict_follow(v, &p->m);
    return v;
}

/* The verdict speaks of a mean where it speaks of var, and of both running statistics or none: what the call did not give is taken
 * from one that did. */
static int completes(argument a) {
    return a == GIVES_MEAN || a == GIVES_RUNNING_MEAN || a == GIVES_RUNNING_VAR;
}

static void judge_new(present *p, const present_set *set, unsigned fresh, char *const bytes[OUTPUTS]) {
    double *values[OUTPUTS] = {NULL};
    const known *right = p->right[context_of(set)];
    const int running = fresh >> GIVES_RUNNING_MEAN & 3, forward = set->call < GOES_BACK;
    for (int a = 0; a < OUTPUTS; a++) {
        const char *from = fresh >> a & 1 ? bytes[a] : NULL;
        const int wanted = a == GIVES_MEAN ? forward && (fresh & ~(1u << GIVES_Y)) != 0 : running != 0;
        if (!from && completes((argument)a) && wanted) {
            from = bytes[a] ? bytes[a] : right[a].bytes;
            ck_assert_msg(from != NULL, "the fullest call comes first: %s", p->title);
        }
        if (from) values[a] = numbers_of(p, (argument)a, from);
    }
    const outcome got = {.y = values[GIVES_Y],
                         .mean = values[GIVES_MEAN],
                         .mean_lo = values[GIVES_MEAN_LO],
                         .var = values[GIVES_VAR],
                         .inv_std = values[GIVES_INV_STD],
                         .running_mean = values[GIVES_RUNNING_MEAN],
                         .running_var = values[GIVES_RUNNING_VAR],
                         .dx = values[GIVES_DX],
                         .dresidual = values[GIVES_DRESIDUAL],
                         .dgamma = values[GIVES_DGAMMA],
                         .dbeta = values[GIVES_DBETA]};
    if (set->call >= GOES_BACK)
        verdict_backward(exact_for(p, set), p->who, &got, p->title);
    else
        verdict_forward(exact_for(p, set), p->who, &got, p->title);
    judged++;
    for (int a = 0; a < OUTPUTS; a++) free(values[a]);
}

/* Whatever was not asked for must be untouched; what was is compared, and judged where it is new. */
static void judge(present *p, const present_set *set) {
    known *right = p->right[context_of(set)];
    char *bytes[OUTPUTS] = {NULL};
    unsigned fresh = 0;
    for (int a = 0; a < OUTPUTS; a++) {
        if (!(set->outputs >> a & 1)) continue;
        bytes[a] = taken(p, (argument)a);
        if (!right[a].bytes || memcmp(bytes[a], right[a].bytes, p->out[a].count * p->out[a].bytes)) fresh |= 1u << a;
    }
    if (fresh) judge_new(p, set, fresh, bytes);
    for (int a = 0; a < OUTPUTS; a++) {
        if (fresh >> a & 1) {
            free(right[a].bytes);
            right[a].bytes = bytes[a];
        } else
            free(bytes[a]);
    }
}

/* ------------------------------------------------------------------------------------------------------------------- calling */

/* An output as the call finds it: the pattern, or what it is added to. */
static clbn_buffer output(present *p, const present_set *set, argument a) {
    const double *const old[OUTPUTS] = {[GIVES_RUNNING_MEAN] = p->m.running_mean,
                                        [GIVES_RUNNING_VAR] = p->m.running_var,
                                        [GIVES_DX] = set->accumulate ? p->m.old_dx : NULL,
                                        [GIVES_DRESIDUAL] = set->accumulate ? p->m.old_dresidual : NULL,
                                        [GIVES_DGAMMA] = set->accumulate ? p->m.old_dgamma : NULL,
                                        [GIVES_DBETA] = set->accumulate ? p->m.old_dbeta : NULL};
    guarded *g = &p->out[a];
    const clbn_buffer buffer = guarded_buffer(g);
    char *at = (char *)buffer.host + buffer.offset * g->bytes;
    if (!(set->outputs >> a & 1)) return clbn_host(NULL);
    if (old[a])
        store(p, a, old[a], at);
    else
        guarded_fill(at, g->bytes, g->count);
    return buffer;
}

static clbn_buffer affine_buffer(const present *p, const present_set *set, int beta) {
    const int has = set->affine == GAMMA_BETA || set->affine == (beta ? BETA_ALONE : GAMMA_ALONE);
    return has ? guarded_buffer(beta ? &p->beta : &p->gamma) : clbn_host(NULL);
}

static clbn_status call_forward(present *p, const present_set *set) {
    const int frozen = set->call == INFERS;
    const int mask = set->outputs & 1u << GIVES_Y && p->masks[0][0].host;
    const clbn_forward_args args = {.x = guarded_buffer(&p->x),
                                    .y = output(p, set, GIVES_Y),
                                    .residual = guarded_buffer(&p->residual),
                                    .mask = mask ? guarded_buffer(&p->masks[frozen][set->affine]) : clbn_host(NULL),
                                    .gamma = affine_buffer(p, set, 0),
                                    .beta = affine_buffer(p, set, 1),
                                    .running_mean = frozen ? guarded_buffer(&p->given_mean) : output(p, set, GIVES_RUNNING_MEAN),
                                    .running_var = frozen ? guarded_buffer(&p->given_var) : output(p, set, GIVES_RUNNING_VAR),
                                    .saved_mean = output(p, set, GIVES_MEAN),
                                    .saved_mean_lo = output(p, set, GIVES_MEAN_LO),
                                    .saved_var = output(p, set, GIVES_VAR),
                                    .saved_inv_std = output(p, set, GIVES_INV_STD),
                                    .update_weight = manner_update_weight(&p->m.m)};
    return (frozen ? clbn_forward_inference : clbn_forward_training)(p->plan, NULL, &args, 0, NULL, NULL);
}

static clbn_status call_moments(present *p, const present_set *set) {
    const clbn_moments_args args = {.x = guarded_buffer(&p->x),
                                    .mean = output(p, set, GIVES_MEAN),
                                    .mean_lo = output(p, set, GIVES_MEAN_LO),
                                    .var = output(p, set, GIVES_VAR)};
    return clbn_moments(p->plan, NULL, &args, 0, NULL, NULL);
}

static clbn_buffer saved_buffer(const present *p, const present_set *set, int which) {
    static const unsigned given[SAVINGS] = {[ALL_SAVED] = 15, [NEEDED_SAVED] = 11, [SAVED_WITHOUT_LO] = 13, [RECOMPUTED] = 0};
    const int has = set->call == GOES_BACK && given[set->saved] >> which & 1;
    return has ? guarded_buffer(&p->saved[set->affine][which]) : clbn_host(NULL);
}

static clbn_status call_backward(present *p, const present_set *set) {
    const int frozen = set->call == GOES_BACK_FROZEN, mask = p->masks[0][0].host != NULL;
    const clbn_buffer absent = clbn_host(NULL);
    const clbn_backward_args args = {.dy = guarded_buffer(&p->dy),
                                     .x = guarded_buffer(&p->x),
                                     .residual = mask ? absent : guarded_buffer(&p->residual),
                                     .mask = mask ? guarded_buffer(&p->masks[frozen][set->affine]) : absent,
                                     .gamma = affine_buffer(p, set, 0),
                                     .beta = mask ? absent : affine_buffer(p, set, 1),
                                     .dx = output(p, set, GIVES_DX),
                                     .dresidual = output(p, set, GIVES_DRESIDUAL),
                                     .dgamma = output(p, set, GIVES_DGAMMA),
                                     .dbeta = output(p, set, GIVES_DBETA),
                                     .accumulate = set->accumulate ? CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DRESIDUAL |
                                                                         CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA
                                                                   : 0,
                                     .saved_mean = saved_buffer(p, set, 0),
                                     .saved_mean_lo = saved_buffer(p, set, 1),
                                     .saved_var = saved_buffer(p, set, 2),
                                     .saved_inv_std = saved_buffer(p, set, 3),
                                     .running_mean = frozen ? guarded_buffer(&p->given_mean) : absent,
                                     .running_var = frozen ? guarded_buffer(&p->given_var) : absent};
    return (frozen ? clbn_backward_inference : clbn_backward_training)(p->plan, NULL, &args, 0, NULL, NULL);
}

/* What the fullest training call saved is what backward calls are given. */
static void keep_saved(present *p, const present_set *set) {
    static const argument from[] = {GIVES_MEAN, GIVES_MEAN_LO, GIVES_VAR, GIVES_INV_STD};
    guarded *saved = p->saved[set->affine];
    for (int k = 0; k < 4; k++) {
        guarded *g = &p->out[from[k]];
        guarded_make_of(&saved[k], g->name, NULL, 0, g->bytes, g->count, 1, guarded_read(g, p->title));
    }
}

void present_play(present *p, const present_set *set) {
    const int frozen = set->call == INFERS || set->call == GOES_BACK_FROZEN;
    p->m.m.level[BY_AFFINE] = (unsigned char)set->affine;
    p->m.m.level[BY_STATISTICS] = frozen ? OF_POPULATION : OF_BATCH;
    p->m.m.level[BY_SAVED] = (unsigned char)set->saved;
    p->m.m.level[BY_ACCUMULATE] = set->accumulate ? ACCUMULATING : REPLACING;
    snprintf(p->title + p->titled, sizeof p->title - p->titled,
             "; here call %d, outputs 0x%x, affine %u, saved %u, accumulating %u", (int)set->call, set->outputs, set->affine,
             set->saved, set->accumulate);
    ck_assert_msg(set->call != GOES_BACK || p->saved[set->affine][0].host, "the fullest call comes first: %s", p->title);
    const clbn_status status = set->call == TAKES_MOMENTS ? call_moments(p, set)
                               : set->call >= GOES_BACK   ? call_backward(p, set)
                                                          : call_forward(p, set);
    if (status != CLBN_SUCCESS) ck_abort_msg("%s, saying: %s\n%s", clbn_status_name(status), said(), p->title);
    goes_on();
    judge(p, set);
    if (set->call == TRAINS && !p->saved[set->affine][0].host) keep_saved(p, set);
}
