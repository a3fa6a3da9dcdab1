/* SPDX-License-Identifier: Apache-2.0
 *
 * A forward call and its backward call: see stage.h.
 */
#include "stage.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned level(const stage *s, factor f) {
    return s->of->m.level[f];
}

static clbn_dtype real(const stage *s) {
    return manner_is_f64(&s->of->m) ? CLBN_F64 : CLBN_F32;
}

static clbn_dtype type_of(const stage *s, role r) {
    return r == ROLE_X || r == ROLE_DX ? manner_x_type(&s->of->m) : manner_y_type(&s->of->m);
}

/* ------------------------------------------------------------------------------------------------------------------ plan */

static steps steps_of_role(const stage *s, role r) {
    return steps_of(level(s, BY_LAYOUT), (unsigned)r, s->of->b->shape);
}

/* The strides of the case's dims from the three of a tensor. */
static void write_strides(stage *s, role r) {
    const test_case *c = s->of->b->of;
    const steps at = steps_of_role(s, r);
    const int rank = (int)c->rank, axis = c->axis == CLBN_AXIS_NONE ? -1 : c->axis < 0 ? c->axis + rank : c->axis;
    size_t behind = at.unit, before = at.outer;
    for (int d = rank; d-- > 0;) {
        size_t *spacing = d < axis ? &before : &behind;
        s->strides[r][d] = d == axis ? at.channel : *spacing;
        if (d != axis) *spacing *= c->dims[d];
    }
}

clbn_status stage_open(stage *s, clbn_device *device, cl_command_queue queue, const material *of, const char *variant,
                       const char *note) {
    const batch *b = of->b;
    memset(s, 0, sizeof *s);
    s->of = of, s->queue = queue;
    clbn_config config = manner_config(&of->m);
    config.rank = b->of->rank, config.dims = b->of->dims, config.axis = b->of->axis;
    config.epsilon = of->epsilon, config.running_variance = of->running_variance, config.variant = variant;
    for (int r = 0; r < ROLES; r++) write_strides(s, (role)r);
    if (level(s, BY_LAYOUT) != DENSE)
        config.strides = (clbn_strides){.x = s->strides[ROLE_X],
                                        .y = s->strides[ROLE_Y],
                                        .residual = s->strides[ROLE_RESIDUAL],
                                        .dx = s->strides[ROLE_DX],
                                        .dy = s->strides[ROLE_DY],
                                        .dresidual = s->strides[ROLE_DRESIDUAL]};
    char text[600];
    manner_write(&of->m, text, sizeof text);
    snprintf(s->title, sizeof s->title, "%s (%zux%zux%zu, seed %llu) by %s%s%s: %s", b->of->name, b->shape.outer,
             b->shape.channels, b->shape.inner, b->seed, variant ? variant : "choice", *note ? ", " : "", note, text);
    said_clear();
    return clbn_plan_create(device, &config, &s->plan);
}

int stage_is_refused_for_f64(const material *m, clbn_status status) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    if (info.has_fp64 || !manner_is_f64(&m->m)) return 0;
    must_refuse(status, CLBN_ERROR_UNSUPPORTED, "float64", "float64 on a device without it");
    return 1;
}

/* --------------------------------------------------------------------------------------------------------------- buffers */

/* Where the nth argument of a call lives. */
static cl_command_queue place(const stage *s, int nth) {
    const unsigned where = level(s, BY_PLACE);
    return where == PLACED_ON_HOST || (where == PLACED_MIXED && nth % 2) ? NULL : s->queue;
}

static void make_tensor(stage *s, role r, const char *name, const double *values) {
    tensor_free(&s->tensors[r]);
    tensor_make(&s->tensors[r], name, place(s, (int)r), CL_MEM_READ_WRITE, type_of(s, r), s->of->b->shape, steps_of_role(s, r),
                manner_offset(&s->of->m), values);
}

static void make_array(stage *s, guarded *g, int nth, const char *name, const double *values) {
    guarded_free(g);
    array_make(g, name, place(s, nth), CL_MEM_READ_WRITE, real(s), s->of->b->shape.channels, manner_offset(&s->of->m), values);
}

static void make_parameters(stage *s) {
    const double *gamma = material_gamma(s->of), *beta = material_beta(s->of);
    if (gamma) make_array(s, &s->gamma, 0, "gamma", gamma);
    if (beta) make_array(s, &s->beta, 1, "beta", beta);
}

static void make_workspace(stage *s) {
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(s->plan, &info));
    if (!info.workspace_bytes || !s->queue || !level(s, BY_WORKSPACE)) return;
    guarded_free(&s->workspace);
    guarded_make_of(&s->workspace, "workspace", s->queue, CL_MEM_READ_WRITE, 1, info.workspace_bytes,
                    8 * manner_offset(&s->of->m), NULL);
}

static clbn_buffer tensor_buffer(const stage *s, role r) {
    return guarded_buffer(&s->tensors[r].memory);
}

static double *numbers(size_t count) {
    double *p = calloc(count + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* What was written where a tensor was, of the type of what; in place these may be two types of one size. */
static void take_tensor(stage *s, role r, role what, double **into) {
    free(*into);
    *into = numbers(s->of->b->count);
    s->tensors[r].type = type_of(s, what);
    tensor_read(&s->tensors[r], s->title, *into);
}

static void take_array(stage *s, guarded *g, double **into) {
    if (!g->host) return;
    free(*into);
    *into = numbers(g->count);
    array_read(g, real(s), s->title, *into);
}

static void must_succeed_here(stage *s, const char *call, clbn_status status) {
    if (status != CLBN_SUCCESS) ck_abort_msg("%s gave %s, saying: %s\n%s", call, clbn_status_name(status), said(), s->title);
    if (s->queue) ck_cl(clFinish(s->queue));
    if (s->workspace.host) guarded_read(&s->workspace, s->title);
}

/* A call on host arrays alone may leave the queue out. */
static cl_command_queue queue_of_call(const stage *s) {
    return level(s, BY_PLACE) == PLACED_ON_HOST && level(s, BY_OFFSET) % 2 ? NULL : s->queue;
}

static void parameters_must_be_unchanged(stage *s) {
    guarded_must_be_unchanged(&s->gamma, s->title);
    guarded_must_be_unchanged(&s->beta, s->title);
}

/* --------------------------------------------------------------------------------------------------------------- forward */

static void make_statistics(stage *s) {
    const int of_batch = level(s, BY_STATISTICS) == OF_BATCH, outside = manner_config(&s->of->m).epsilon_rule != 0;
    const unsigned saved = level(s, BY_SAVED);
    if (!of_batch || level(s, BY_FORWARD_OUTPUTS) == 0) {
        make_array(s, &s->running_mean, 2, "running_mean", s->of->running_mean);
        make_array(s, &s->running_var, 3, "running_var", s->of->running_var);
    }
    if (saved == RECOMPUTED) return;
    make_array(s, &s->mean, 4, "saved_mean", NULL);
    if (saved != SAVED_WITHOUT_LO) make_array(s, &s->mean_lo, 5, "saved_mean_lo", NULL);
    if (saved != NEEDED_SAVED || outside) make_array(s, &s->var, 6, "saved_var", NULL);
    if (saved != NEEDED_SAVED || !outside) make_array(s, &s->inv_std, 7, "saved_inv_std", NULL);
}

static role role_of_y(const stage *s) {
    const unsigned in_place = level(s, BY_IN_PLACE);
    return in_place == ON_INPUT ? ROLE_X : in_place == ON_RESIDUAL ? ROLE_RESIDUAL : ROLE_Y;
}

void stage_forward(stage *s) {
    const int of_batch = level(s, BY_STATISTICS) == OF_BATCH;
    const role y = role_of_y(s);
    make_tensor(s, ROLE_X, "x", s->of->x);
    if (material_residual(s->of)) make_tensor(s, ROLE_RESIDUAL, "residual", s->of->residual);
    if (y == ROLE_Y) make_tensor(s, ROLE_Y, "y", NULL);
    make_parameters(s);
    make_statistics(s);
    make_workspace(s);
    if (level(s, BY_MASK))
        guarded_make_of(&s->mask, "mask", place(s, 8), CL_MEM_READ_WRITE, 1, clbn_plan_mask_bytes(s->plan),
                        manner_offset(&s->of->m), NULL);
    const clbn_forward_args args = {.x = tensor_buffer(s, ROLE_X),
                                    .y = tensor_buffer(s, y),
                                    .residual = tensor_buffer(s, ROLE_RESIDUAL),
                                    .mask = guarded_buffer(&s->mask),
                                    .gamma = guarded_buffer(&s->gamma),
                                    .beta = guarded_buffer(&s->beta),
                                    .running_mean = guarded_buffer(&s->running_mean),
                                    .running_var = guarded_buffer(&s->running_var),
                                    .saved_mean = guarded_buffer(&s->mean),
                                    .saved_mean_lo = guarded_buffer(&s->mean_lo),
                                    .saved_var = guarded_buffer(&s->var),
                                    .saved_inv_std = guarded_buffer(&s->inv_std),
                                    .workspace = guarded_buffer(&s->workspace),
                                    .update_weight = s->of->update_weight};
    must_succeed_here(s, of_batch ? "clbn_forward_training" : "clbn_forward_inference",
                      of_batch ? clbn_forward_training(s->plan, queue_of_call(s), &args, 0, NULL, NULL)
                               : clbn_forward_inference(s->plan, queue_of_call(s), &args, 0, NULL, NULL));
    take_tensor(s, y, ROLE_Y, &s->out.y);
    if (y != ROLE_X) guarded_must_be_unchanged(&s->tensors[ROLE_X].memory, s->title);
    if (y != ROLE_RESIDUAL) guarded_must_be_unchanged(&s->tensors[ROLE_RESIDUAL].memory, s->title);
    parameters_must_be_unchanged(s);
    if (!of_batch) {
        guarded_must_be_unchanged(&s->running_mean, s->title);
        guarded_must_be_unchanged(&s->running_var, s->title);
    } else {
        take_array(s, &s->running_mean, &s->out.running_mean);
        take_array(s, &s->running_var, &s->out.running_var);
    }
    take_array(s, &s->mean, &s->out.mean);
    take_array(s, &s->mean_lo, &s->out.mean_lo);
    take_array(s, &s->var, &s->out.var);
    take_array(s, &s->inv_std, &s->out.inv_std);
    if (s->mask.host) guarded_read(&s->mask, s->title);
}

void stage_moments(stage *s) {
    guarded mean = {0}, mean_lo = {0}, var = {0};
    make_tensor(s, ROLE_X, "x", s->of->x);
    make_workspace(s);
    make_array(s, &mean, 0, "mean", NULL);
    make_array(s, &mean_lo, 1, "mean_lo", NULL);
    make_array(s, &var, 2, "var", NULL);
    const clbn_moments_args args = {.x = tensor_buffer(s, ROLE_X),
                                    .mean = guarded_buffer(&mean),
                                    .mean_lo = guarded_buffer(&mean_lo),
                                    .var = guarded_buffer(&var),
                                    .workspace = guarded_buffer(&s->workspace)};
    must_succeed_here(s, "clbn_moments", clbn_moments(s->plan, queue_of_call(s), &args, 0, NULL, NULL));
    guarded_must_be_unchanged(&s->tensors[ROLE_X].memory, s->title);
    take_array(s, &mean, &s->out.mean);
    take_array(s, &mean_lo, &s->out.mean_lo);
    take_array(s, &var, &s->out.var);
    guarded_free(&mean), guarded_free(&mean_lo), guarded_free(&var);
}

/* -------------------------------------------------------------------------------------------------------------- backward */

/* Which gradients the manner asks for, and which of them accumulate. */
typedef struct wish {
    int dx, dgamma, dbeta, dresidual;
    unsigned accumulate;
} wish;

static wish wish_of(const stage *s) {
    static const unsigned bits[] = {
        0, CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA | CLBN_ACCUMULATE_DRESIDUAL,
        CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DBETA};
    const unsigned g = level(s, BY_GRADIENTS);
    const int residual = level(s, BY_RESIDUAL) != 0;
    return (wish){.dx = g <= ONLY_DX,
                  .dgamma = g != ONLY_DX,
                  .dbeta = g == ALL_GRADIENTS || g == ONLY_PARAMETERS,
                  .dresidual = residual && (g == ALL_GRADIENTS || g == ONLY_DRESIDUAL_DGAMMA),
                  .accumulate = bits[level(s, BY_ACCUMULATE)]};
}

static const double *old(const wish *w, unsigned bit, const double *values) {
    return w->accumulate & bit ? values : NULL;
}

/* The role that holds a gradient: its own, or dy's where it is in place. */
static role role_of(const stage *s, const wish *w, role r) {
    const unsigned in_place = level(s, BY_IN_PLACE);
    if (r == ROLE_DX) return !w->dx ? ROLES : in_place == ON_INPUT ? ROLE_DY : r;
    return !w->dresidual ? ROLES : in_place == ON_RESIDUAL ? ROLE_DY : r;
}

static void make_backward(stage *s, const wish *w) {
    const material *m = s->of;
    make_tensor(s, ROLE_X, "x", m->x);
    if (material_residual(m)) make_tensor(s, ROLE_RESIDUAL, "residual", m->residual);
    make_tensor(s, ROLE_DY, "dy", m->dy);
    if (role_of(s, w, ROLE_DX) == ROLE_DX) make_tensor(s, ROLE_DX, "dx", old(w, CLBN_ACCUMULATE_DX, m->old_dx));
    if (role_of(s, w, ROLE_DRESIDUAL) == ROLE_DRESIDUAL)
        make_tensor(s, ROLE_DRESIDUAL, "dresidual", old(w, CLBN_ACCUMULATE_DRESIDUAL, m->old_dresidual));
    if (w->dgamma) make_array(s, &s->dgamma, 9, "dgamma", old(w, CLBN_ACCUMULATE_DGAMMA, m->old_dgamma));
    if (w->dbeta) make_array(s, &s->dbeta, 10, "dbeta", old(w, CLBN_ACCUMULATE_DBETA, m->old_dbeta));
    if (level(s, BY_STATISTICS) == OF_POPULATION) {
        make_array(s, &s->running_mean, 2, "running_mean", m->running_mean);
        make_array(s, &s->running_var, 3, "running_var", m->running_var);
    }
}

static clbn_backward_args backward_args(stage *s, const wish *w) {
    const int of_batch = level(s, BY_STATISTICS) == OF_BATCH, again = level(s, BY_ACTIVATION) && !level(s, BY_MASK);
    const int needs_x = of_batch || w->dgamma || again;
    const role dx = role_of(s, w, ROLE_DX), dresidual = role_of(s, w, ROLE_DRESIDUAL);
    const clbn_buffer absent = {0};
    return (clbn_backward_args){.dy = tensor_buffer(s, ROLE_DY),
                                .x = needs_x ? tensor_buffer(s, ROLE_X) : absent,
                                .dx = dx < ROLES ? tensor_buffer(s, dx) : absent,
                                .dresidual = dresidual < ROLES ? tensor_buffer(s, dresidual) : absent,
                                .dgamma = w->dgamma ? guarded_buffer(&s->dgamma) : absent,
                                .dbeta = w->dbeta ? guarded_buffer(&s->dbeta) : absent,
                                .accumulate = w->accumulate,
                                .gamma = guarded_buffer(&s->gamma),
                                .beta = again ? guarded_buffer(&s->beta) : absent,
                                .residual = again ? tensor_buffer(s, ROLE_RESIDUAL) : absent,
                                .mask = guarded_buffer(&s->mask),
                                .saved_mean = guarded_buffer(&s->mean),
                                .saved_mean_lo = guarded_buffer(&s->mean_lo),
                                .saved_var = guarded_buffer(&s->var),
                                .saved_inv_std = guarded_buffer(&s->inv_std),
                                .running_mean = guarded_buffer(&s->running_mean),
                                .running_var = guarded_buffer(&s->running_var),
                                .workspace = guarded_buffer(&s->workspace)};
}

/* What backward only reads must be as forward left it. */
static void *snapshot(guarded *g, const char *title) {
    if (!g->host) return NULL;
    void *copy = malloc(g->count * g->bytes + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, guarded_read(g, title), g->count * g->bytes);
    return copy;
}

void stage_backward(stage *s) {
    const wish w = wish_of(s);
    const int of_batch = level(s, BY_STATISTICS) == OF_BATCH;
    make_backward(s, &w);
    const clbn_backward_args args = backward_args(s, &w);
    guarded *read[] = {&s->mean, &s->mean_lo, &s->var, &s->inv_std, &s->mask, &s->running_mean, &s->running_var};
    enum { READ = sizeof read / sizeof *read };
    void *before[READ];
    for (int k = 0; k < READ; k++) before[k] = snapshot(read[k], s->title);
    must_succeed_here(s, of_batch ? "clbn_backward_training" : "clbn_backward_inference",
                      of_batch ? clbn_backward_training(s->plan, queue_of_call(s), &args, 0, NULL, NULL)
                               : clbn_backward_inference(s->plan, queue_of_call(s), &args, 0, NULL, NULL));
    for (int k = 0; k < READ; k++) {
        if (before[k] && memcmp(before[k], guarded_read(read[k], s->title), read[k]->count * read[k]->bytes))
            ck_abort_msg("backward changed %s: %s", read[k]->name, s->title);
        free(before[k]);
    }
    const role dx = role_of(s, &w, ROLE_DX), dresidual = role_of(s, &w, ROLE_DRESIDUAL);
    if (w.dx) take_tensor(s, dx, ROLE_DX, &s->out.dx);
    if (w.dresidual) take_tensor(s, dresidual, ROLE_DRESIDUAL, &s->out.dresidual);
    if (w.dgamma) take_array(s, &s->dgamma, &s->out.dgamma);
    if (w.dbeta) take_array(s, &s->dbeta, &s->out.dbeta);
    guarded_must_be_unchanged(&s->tensors[ROLE_X].memory, s->title);
    guarded_must_be_unchanged(&s->tensors[ROLE_RESIDUAL].memory, s->title);
    if (dx != ROLE_DY && dresidual != ROLE_DY) guarded_must_be_unchanged(&s->tensors[ROLE_DY].memory, s->title);
    parameters_must_be_unchanged(s);
}

void stage_close(stage *s) {
    guarded *arrays[] = {&s->gamma, &s->beta,    &s->running_mean, &s->running_var, &s->mean, &s->mean_lo,
                         &s->var,   &s->inv_std, &s->dgamma,       &s->dbeta,       &s->mask, &s->workspace};
    double *all[] = {s->out.y,           s->out.mean, s->out.mean_lo,   s->out.var,    s->out.inv_std, s->out.running_mean,
                     s->out.running_var, s->out.dx,   s->out.dresidual, s->out.dgamma, s->out.dbeta};
    for (int r = 0; r < ROLES; r++) tensor_free(&s->tensors[r]);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) guarded_free(arrays[i]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    clbn_plan_destroy(s->plan);
    memset(s, 0, sizeof *s);
}
