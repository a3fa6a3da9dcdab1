/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch in shares: see shares.h.
 */
#include "shares.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned added_parameters = CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA;

static size_t row_elements(const shares *s) {
    return s->of->b->shape.channels * s->of->b->shape.inner;
}

static clbn_dtype real(const shares *s) {
    return manner_is_f64(&s->of->m) ? CLBN_F64 : CLBN_F32;
}

static int accumulates(const shares *s) {
    return s->of->m.level[BY_ACCUMULATE] == ACCUMULATING;
}

/* --------------------------------------------------------------------------------------------------------------- buffers */

static void rows_of(shares *s, share *one, guarded *g, const char *name, clbn_dtype type, const double *values) {
    const size_t row = row_elements(s), count = one->rows * row;
    array_make(g, name, s->queue, CL_MEM_READ_WRITE, type, count, 3, values ? values + one->first_row * row : NULL);
}

static void channels_of(shares *s, guarded *g, const char *name, const double *values) {
    array_make(g, name, s->queue, CL_MEM_READ_WRITE, real(s), s->of->b->shape.channels, 1, values);
}

static void make_share(shares *s, share *one) {
    const material *m = s->of;
    const clbn_dtype x = manner_x_type(&m->m), y = manner_y_type(&m->m);
    const int adds = accumulates(s), residual = m->m.level[BY_RESIDUAL];
    rows_of(s, one, &one->x, "x", x, m->x);
    rows_of(s, one, &one->y, "y", y, NULL);
    rows_of(s, one, &one->dy, "dy", y, m->dy);
    rows_of(s, one, &one->dx, "dx", x, adds ? m->old_dx : NULL);
    if (residual) rows_of(s, one, &one->residual, "residual", y, m->residual);
    if (residual) rows_of(s, one, &one->dresidual, "dresidual", y, adds ? m->old_dresidual : NULL);
    channels_of(s, &one->mean, "saved_mean", NULL);
    channels_of(s, &one->mean_lo, "saved_mean_lo", NULL);
    channels_of(s, &one->var, "saved_var", NULL);
    channels_of(s, &one->inv_std, "saved_inv_std", NULL);
    channels_of(s, &one->running_mean, "running_mean", m->running_mean);
    channels_of(s, &one->running_var, "running_var", m->running_var);
    channels_of(s, &one->dgamma, "dgamma", adds ? m->old_dgamma : NULL);
    channels_of(s, &one->dbeta, "dbeta", adds ? m->old_dbeta : NULL);
    channels_of(s, &one->own_dgamma, "a share's dgamma", adds ? m->old_dgamma : NULL);
    channels_of(s, &one->own_dbeta, "a share's dbeta", adds ? m->old_dbeta : NULL);
}

static void make_common(shares *s) {
    const size_t reals = CLBN_PART_REALS * s->of->b->shape.channels;
    const double *gamma = material_gamma(s->of), *beta = material_beta(s->of);
    if (gamma) channels_of(s, &s->gamma, "gamma", gamma);
    if (beta) channels_of(s, &s->beta, "beta", beta);
    for (int k = 0; k < 2; k++) {
        array_make(&s->parts[k], "parts", s->queue, CL_MEM_READ_WRITE, real(s), s->count * reals, 3, NULL);
        guarded_make_of(&s->counts[k], "counts", s->queue, CL_MEM_READ_WRITE, sizeof(uint64_t), s->count, 1, NULL);
    }
}

static clbn_status make_plan(const shares *s, share *one) {
    const definition_shape shape = s->of->b->shape;
    const size_t dims[] = {one->rows, shape.channels, shape.inner};
    clbn_config config = manner_config(&s->of->m);
    config.rank = 3, config.dims = dims, config.axis = 1, config.epsilon = s->of->epsilon;
    return clbn_plan_create(tested(), &config, &one->plan);
}

int shares_open(shares *s, const material *of, cl_command_queue queue, const size_t *rows, size_t count, const char *note) {
    const definition_shape shape = of->b->shape;
    size_t row = 0;
    memset(s, 0, sizeof *s);
    s->of = of, s->queue = queue, s->count = count;
    int used =
        snprintf(s->title, sizeof s->title, "%zux%zux%zu, data %d, x type %d, y type %d, act %d, rule %d%s%s, in shares of",
                 shape.outer, shape.channels, shape.inner, of->b->of->data, of->m.level[BY_X_TYPE], of->m.level[BY_Y_TYPE],
                 of->m.level[BY_ACTIVATION], of->m.level[BY_RULE], *note ? ", " : "", note);
    for (size_t k = 0; k < count; k++) {
        share *one = &s->each[k];
        one->first_row = row, one->rows = rows[k], row += rows[k];
        used += snprintf(s->title + used, sizeof s->title - (size_t)used, " %zu", rows[k]);
        const clbn_status status = make_plan(s, one);
        if (status == CLBN_ERROR_UNSUPPORTED && manner_is_f64(&of->m)) return 0;
        ck_clbn(status);
        make_share(s, one);
    }
    ck_assert_uint_eq(row, shape.outer);
    make_common(s);
    return 1;
}

static void forget(calls *c) {
    for (cl_uint k = 0; k < c->count; k++) clReleaseEvent(c->events[k]);
    c->count = 0;
}

void shares_close(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        share *o = &s->each[k];
        guarded *all[] = {&o->x,           &o->residual, &o->y,          &o->dy,       &o->dx,     &o->dresidual,
                          &o->mean,        &o->mean_lo,  &o->inv_std,    &o->var,      &o->dgamma, &o->running_mean,
                          &o->running_var, &o->dbeta,    &o->own_dgamma, &o->own_dbeta};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
        clbn_plan_destroy(o->plan);
    }
    guarded *common[] = {&s->gamma, &s->beta, &s->parts[0], &s->parts[1], &s->counts[0], &s->counts[1]};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) guarded_free(common[i]);
    double *read[] = {s->out.y,           s->out.mean, s->out.mean_lo,   s->out.var,    s->out.inv_std, s->out.running_mean,
                      s->out.running_var, s->out.dx,   s->out.dresidual, s->out.dgamma, s->out.dbeta};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) free(read[i]);
    forget(&s->before), forget(&s->after);
    memset(s, 0, sizeof *s);
}

/* ----------------------------------------------------------------------------------------------------------------- calls */

/* A call waits for all of the step before, and for nothing else. */
#define WAITS(s) (s)->before.count, (s)->before.count ? (s)->before.events : NULL, next_event(s)

static cl_event *next_event(shares *s) {
    return s->queue ? &s->after.events[s->after.count++] : NULL;
}

static void next_step(shares *s) {
    forget(&s->before);
    s->before = s->after;
    s->after.count = 0;
}

static void finish(shares *s) {
    if (s->queue) ck_cl(clFinish(s->queue));
}

static clbn_buffer from(const guarded *g, size_t more) {
    clbn_buffer buffer = guarded_buffer(g);
    buffer.offset += more;
    return buffer;
}

static clbn_buffer nth_part(const shares *s, int which, size_t k) {
    return from(&s->parts[which], k * CLBN_PART_REALS * s->of->b->shape.channels);
}

void shares_moments(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        const clbn_moments_part_args args = {
            .x = guarded_buffer(&s->each[k].x), .part = nth_part(s, s->now, k), .count = from(&s->counts[s->now], k)};
        ck_clbn(clbn_moments_part(s->each[k].plan, s->queue, &args, WAITS(s)));
    }
    s->part_count = s->count;
    next_step(s);
}

/* What both backward calls of a share are given. */
static clbn_backward_args backward_args(const shares *s, const share *one) {
    return (clbn_backward_args){.dy = guarded_buffer(&one->dy),
                                .x = guarded_buffer(&one->x),
                                .residual = guarded_buffer(&one->residual),
                                .gamma = guarded_buffer(&s->gamma),
                                .beta = guarded_buffer(&s->beta),
                                .saved_mean = guarded_buffer(&one->mean),
                                .saved_mean_lo = guarded_buffer(&one->mean_lo),
                                .saved_var = guarded_buffer(&one->var),
                                .saved_inv_std = guarded_buffer(&one->inv_std)};
}

void shares_sums(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        clbn_backward_args args = backward_args(s, &s->each[k]);
        args.dgamma = guarded_buffer(&s->each[k].own_dgamma);
        args.dbeta = guarded_buffer(&s->each[k].own_dbeta);
        args.accumulate = accumulates(s) ? added_parameters : 0;
        args.part = nth_part(s, s->now, k);
        args.count = from(&s->counts[s->now], k);
        ck_clbn(clbn_backward_part(s->each[k].plan, s->queue, &args, WAITS(s)));
    }
    s->part_count = s->count;
    next_step(s);
}

int shares_merge(shares *s, merge_fn *merge) {
    int times = 0;
    for (; s->part_count > 1; times++) {
        const int into = !s->now;
        const size_t pairs = (s->part_count + 1) / 2;
        for (size_t k = 0; k < pairs; k++) {
            const clbn_merge_args args = {.parts = nth_part(s, s->now, 2 * k),
                                          .counts = from(&s->counts[s->now], 2 * k),
                                          .part_count = 2 * k + 1 < s->part_count ? 2 : 1,
                                          .part = nth_part(s, into, k),
                                          .count = from(&s->counts[into], k)};
            ck_clbn(merge(s->each[k].plan, s->queue, &args, WAITS(s)));
        }
        s->part_count = pairs;
        s->now = into;
        next_step(s);
    }
    return times;
}

void shares_forward(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        const share *one = &s->each[k];
        const clbn_forward_args args = {.x = guarded_buffer(&one->x),
                                        .y = guarded_buffer(&one->y),
                                        .residual = guarded_buffer(&one->residual),
                                        .gamma = guarded_buffer(&s->gamma),
                                        .beta = guarded_buffer(&s->beta),
                                        .running_mean = guarded_buffer(&one->running_mean),
                                        .running_var = guarded_buffer(&one->running_var),
                                        .saved_mean = guarded_buffer(&one->mean),
                                        .saved_mean_lo = guarded_buffer(&one->mean_lo),
                                        .saved_var = guarded_buffer(&one->var),
                                        .saved_inv_std = guarded_buffer(&one->inv_std),
                                        .update_weight = manner_update_weight(&s->of->m),
                                        .parts = nth_part(s, s->now, 0),
                                        .counts = from(&s->counts[s->now], 0),
                                        .part_count = s->part_count};
        ck_clbn(clbn_forward_training(one->plan, s->queue, &args, WAITS(s)));
    }
    next_step(s);
}

void shares_backward(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        const share *one = &s->each[k];
        clbn_backward_args args = backward_args(s, one);
        args.dx = guarded_buffer(&one->dx);
        args.dresidual = guarded_buffer(&one->dresidual);
        args.dgamma = guarded_buffer(&one->dgamma);
        args.dbeta = guarded_buffer(&one->dbeta);
        args.accumulate = accumulates(s) ? added_parameters | CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DRESIDUAL : 0;
        args.parts = nth_part(s, s->now, 0);
        args.counts = from(&s->counts[s->now], 0);
        args.part_count = s->part_count;
        ck_clbn(clbn_backward_training(one->plan, s->queue, &args, WAITS(s)));
    }
    next_step(s);
}

/* --------------------------------------------------------------------------------------------------------------- reading */

void shares_read_parts(shares *s, double *values, uint64_t *counts) {
    finish(s);
    const size_t reals = s->part_count * CLBN_PART_REALS * s->of->b->shape.channels, bytes = stored_bytes(real(s));
    const char *parts = guarded_read(&s->parts[s->now], s->title);
    for (size_t i = 0; i < reals; i++) values[i] = stored_get(real(s), parts + i * bytes);
    memcpy(counts, guarded_read(&s->counts[s->now], s->title), s->part_count * sizeof *counts);
}

void shares_check_parts_of_nothing(shares *s) {
    const size_t reals = CLBN_PART_REALS * s->of->b->shape.channels, bytes = stored_bytes(real(s));
    finish(s);
    char *parts = (char *)(uintptr_t)guarded_read(&s->parts[s->now], s->title);
    const uint64_t *counts = guarded_read(&s->counts[s->now], s->title);
    for (size_t k = 0; k < s->count; k++) {
        ck_assert_msg(counts[k] == s->each[k].rows * s->of->b->shape.inner, "the count of part %zu is %llu: %s", k,
                      (unsigned long long)counts[k], s->title);
        if (counts[k] != 0) continue;
        for (size_t i = 0; i < reals * bytes; i++)
            ck_assert_msg(parts[k * reals * bytes + i] == 0, "part %zu is of nothing, and not 0: %s", k, s->title);
        guarded_fill(parts + k * reals * bytes, bytes, reals);
        const clbn_buffer at = nth_part(s, s->now, k);
        if (s->queue)
            ck_cl(clEnqueueWriteBuffer(s->queue, at.mem, CL_TRUE, at.offset * bytes, reals * bytes, parts + k * reals * bytes, 0,
                                       NULL, NULL));
    }
}

static double *numbers(size_t count) {
    double *p = calloc(count + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* What every share must hold alike, to the bit. field: where it stands in a share. */
static void gather_array(shares *s, size_t field, double **into) {
    guarded *first = (guarded *)(void *)((char *)&s->each[0] + field);
    *into = numbers(first->count);
    array_read(first, real(s), s->title, *into);
    const void *bits = guarded_read(first, s->title);
    for (size_t k = 1; k < s->count; k++) {
        guarded *other = (guarded *)(void *)((char *)&s->each[k] + field);
        const void *these = guarded_read(other, s->title);
        ck_assert_msg(!memcmp(bits, these, first->count * first->bytes), "shares 0 and %zu differ in %s: %s", k, first->name,
                      s->title);
    }
}

static void gather_rows(shares *s, size_t field, clbn_dtype type, double **into) {
    *into = numbers(s->of->b->count);
    for (size_t k = 0; k < s->count; k++)
        array_read((guarded *)(void *)((char *)&s->each[k] + field), type, s->title,
                   *into + s->each[k].first_row * row_elements(s));
}

static void inputs_must_be_unchanged(shares *s) {
    guarded_must_be_unchanged(&s->gamma, s->title);
    guarded_must_be_unchanged(&s->beta, s->title);
    for (size_t k = 0; k < s->count; k++) {
        guarded_must_be_unchanged(&s->each[k].x, s->title);
        guarded_must_be_unchanged(&s->each[k].residual, s->title);
        guarded_must_be_unchanged(&s->each[k].dy, s->title);
    }
}

void shares_gather_forward(shares *s) {
    finish(s);
    gather_rows(s, offsetof(share, y), manner_y_type(&s->of->m), &s->out.y);
    gather_array(s, offsetof(share, mean), &s->out.mean);
    gather_array(s, offsetof(share, mean_lo), &s->out.mean_lo);
    gather_array(s, offsetof(share, var), &s->out.var);
    gather_array(s, offsetof(share, inv_std), &s->out.inv_std);
    gather_array(s, offsetof(share, running_mean), &s->out.running_mean);
    gather_array(s, offsetof(share, running_var), &s->out.running_var);
    inputs_must_be_unchanged(s);
}

void shares_gather_backward(shares *s) {
    finish(s);
    gather_rows(s, offsetof(share, dx), manner_x_type(&s->of->m), &s->out.dx);
    if (s->of->m.level[BY_RESIDUAL]) gather_rows(s, offsetof(share, dresidual), manner_y_type(&s->of->m), &s->out.dresidual);
    gather_array(s, offsetof(share, dgamma), &s->out.dgamma);
    gather_array(s, offsetof(share, dbeta), &s->out.dbeta);
    inputs_must_be_unchanged(s);
}
