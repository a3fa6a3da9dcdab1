/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of clbn verify by parts: a batch in three shares along its outer extent, the first two merged, forward and backward.
 */
#include <stdlib.h>
#include <string.h>

#include "stored.h"
#include "verify.h"

size_t share_rows(const lot *l, int share) {
    const size_t even = l->b.shape.outer / VERIFY_SHARES;
    return share < VERIFY_SHARES - 1 ? even : l->b.shape.outer - even * (VERIFY_SHARES - 1);
}

typedef struct shares {
    verify *v;
    lot *l;
    const clbn_plan *plans[VERIFY_SHARES];
    void *parts, *merged; /* three and two of them */
    uint64_t counts[VERIFY_SHARES], merged_counts[2];
    written w;
    void *own_dgamma, *own_dbeta;
} shares;

/* The same array from a share's first row on. */
static clbn_buffer rows_of(const shares *s, const void *array, int share) {
    const definition_shape shape = s->l->b.shape;
    clbn_buffer buffer = clbn_host(array);
    buffer.offset = (size_t)share * share_rows(s->l, 0) * shape.channels * shape.inner;
    return buffer;
}

static size_t part_reals(const shares *s) {
    return CLBN_PART_REALS * s->l->b.shape.channels;
}

static clbn_buffer nth_part(const shares *s, void *parts, size_t k) {
    clbn_buffer buffer = clbn_host(parts);
    buffer.offset = k * part_reals(s);
    return buffer;
}

static int done(verify *v, const char *operation, clbn_status status) {
    verify_begin(v, operation);
    return status == CLBN_SUCCESS ? EXIT_DONE : verify_failed(v, status);
}

/* ---------------------------------------------------------------------------------------------------------------- a part each */

static int judge_part(shares *s, int share, int of_sums) {
    verify *v = s->v;
    const lot *l = s->l;
    const size_t n = l->b.shape.channels, first = (size_t)share * share_rows(l, 0), rows = share_rows(l, share);
    const hearing h = verify_hearing(v);
    double *part = double_array(v, part_reals(s)), *dgamma = double_array(v, n), *dbeta = double_array(v, n);
    int judged = !v->no_memory;
    if (judged) {
        take_values(l->real, s->parts, (size_t)share * part_reals(s), part_reals(s), part);
        take_values(l->real, s->own_dgamma, 0, n, dgamma);
        take_values(l->real, s->own_dbeta, 0, n, dbeta);
        judge_within(&h, l->who, "part's count", (long double)s->counts[share], (long double)(rows * l->b.shape.inner), 0);
        if (of_sums)
            judge_sums(&h, &l->exact, l->who, first, rows, part, dgamma, dbeta);
        else
            judged = judge_moments_part(&h, &l->given, l->who, first, rows, part);
    }
    free(part), free(dgamma), free(dbeta);
    return judged ? EXIT_DONE : verify_no_memory(v);
}

static int moments_parts(shares *s) {
    for (int k = 0; k < VERIFY_SHARES; k++) {
        const clbn_moments_part_args args = {
            .x = rows_of(s, s->l->s_x, k), .part = nth_part(s, s->parts, (size_t)k), .count = clbn_host(&s->counts[k])};
        TRY(done(s->v, "part of moments", clbn_moments_part(s->plans[k], NULL, &args, 0, NULL, NULL)));
        TRY(judge_part(s, k, 0));
    }
    return EXIT_DONE;
}

static clbn_backward_args backward_args(const shares *s, int share) {
    return (clbn_backward_args){.dy = rows_of(s, s->l->s_dy, share),
                                .x = rows_of(s, s->l->s_x, share),
                                .gamma = clbn_host(s->l->s_gamma),
                                .beta = clbn_host(s->l->s_beta),
                                .saved_mean = clbn_host(s->w.mean),
                                .saved_mean_lo = clbn_host(s->w.mean_lo),
                                .saved_inv_std = clbn_host(s->w.inv_std)};
}

static int sums_parts(shares *s) {
    for (int k = 0; k < VERIFY_SHARES; k++) {
        clbn_backward_args args = backward_args(s, k);
        args.dgamma = clbn_host(s->own_dgamma), args.dbeta = clbn_host(s->own_dbeta);
        args.part = nth_part(s, s->parts, (size_t)k), args.count = clbn_host(&s->counts[k]);
        TRY(done(s->v, "part of sums", clbn_backward_part(s->plans[k], NULL, &args, 0, NULL, NULL)));
        TRY(judge_part(s, k, 1));
    }
    return EXIT_DONE;
}

/* The first two become one; the third goes behind it. */
typedef clbn_status merge_fn(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args, cl_uint n_wait,
                             const cl_event *wait_list, cl_event *event);
static int merge(shares *s, merge_fn *call) {
    const size_t bytes = part_reals(s) * stored_bytes(s->l->real);
    const clbn_merge_args args = {.parts = clbn_host(s->parts),
                                  .counts = clbn_host(s->counts),
                                  .part_count = 2,
                                  .part = clbn_host(s->merged),
                                  .count = clbn_host(s->merged_counts)};
    TRY(done(s->v, "merge", call(s->plans[0], NULL, &args, 0, NULL, NULL)));
    memcpy((char *)s->merged + bytes, (char *)s->parts + 2 * bytes, bytes);
    s->merged_counts[1] = s->counts[2];
    return EXIT_DONE;
}

/* ---------------------------------------------------------------------------------------------------------------- by all parts */

static int forward(shares *s) {
    for (int k = 0; k < VERIFY_SHARES; k++) {
        const int last = k == VERIFY_SHARES - 1; /* every holder gets the same update; one takes it */
        const clbn_forward_args args = {.x = rows_of(s, s->l->s_x, k),
                                        .y = rows_of(s, s->w.y, k),
                                        .gamma = clbn_host(s->l->s_gamma),
                                        .beta = clbn_host(s->l->s_beta),
                                        .running_mean = clbn_host(last ? s->w.running_mean : NULL),
                                        .running_var = clbn_host(last ? s->w.running_var : NULL),
                                        .saved_mean = clbn_host(s->w.mean),
                                        .saved_mean_lo = clbn_host(s->w.mean_lo),
                                        .saved_var = clbn_host(s->w.var),
                                        .saved_inv_std = clbn_host(s->w.inv_std),
                                        .update_weight = s->l->given.update_weight,
                                        .parts = clbn_host(s->merged),
                                        .counts = clbn_host(s->merged_counts),
                                        .part_count = 2};
        TRY(done(s->v, "forward by parts", clbn_forward_training(s->plans[k], NULL, &args, 0, NULL, NULL)));
    }
    return EXIT_DONE;
}

static int backward(shares *s) {
    for (int k = 0; k < VERIFY_SHARES; k++) {
        clbn_backward_args args = backward_args(s, k);
        args.dx = rows_of(s, s->w.dx, k);
        args.dgamma = clbn_host(s->w.dgamma), args.dbeta = clbn_host(s->w.dbeta);
        args.parts = clbn_host(s->merged), args.counts = clbn_host(s->merged_counts), args.part_count = 2;
        TRY(done(s->v, "backward by parts", clbn_backward_training(s->plans[k], NULL, &args, 0, NULL, NULL)));
    }
    return EXIT_DONE;
}

static int judge_all(shares *s, int gradients) {
    outcome got;
    int status = outcome_take(s->v, s->l, &s->w, &got);
    const hearing h = verify_hearing(s->v);
    outcome seen = got;
    seen.dresidual = NULL;
    if (status == EXIT_DONE && gradients) judge_backward(&h, &s->l->exact, s->l->who, &seen);
    if (status == EXIT_DONE && !gradients) judge_forward(&h, &s->l->exact, s->l->who, &seen);
    outcome_free(&got);
    return status;
}

static int run(shares *s) {
    lot *l = s->l;
    if (s->v->no_memory) return verify_no_memory(s->v);
    for (int k = 0; k < VERIFY_SHARES; k++)
        if (!answer_of_part(&l->exact, (size_t)k * share_rows(l, 0), share_rows(l, k), 2)) return verify_no_memory(s->v);
    TRY(moments_parts(s));
    TRY(merge(s, clbn_moments_merge));
    TRY(forward(s));
    TRY(judge_all(s, 0));
    TRY(sums_parts(s));
    TRY(merge(s, clbn_backward_merge));
    TRY(backward(s));
    return judge_all(s, 1);
}

int verify_parts(verify *v, lot *l, const clbn_plan *even, const clbn_plan *rest) {
    const size_t n = l->b.shape.channels, reals = CLBN_PART_REALS * n;
    shares s = {.v = v, .l = l, .plans = {even, even, rest}};
    s.parts = stored_array(v, l->real, VERIFY_SHARES * reals, NULL);
    s.merged = stored_array(v, l->real, 2 * reals, NULL);
    s.own_dgamma = stored_array(v, l->real, n, NULL), s.own_dbeta = stored_array(v, l->real, n, NULL);
    int status = written_make(v, l, &s.w);
    if (status == EXIT_DONE) status = run(&s);
    memset(l->exact.of_mean, 0, n * sizeof *l->exact.of_mean); /* what comes next is of the whole batch */
    memset(l->exact.of_var, 0, n * sizeof *l->exact.of_var);
    void *all[] = {s.parts, s.merged, s.own_dgamma, s.own_dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    written_free(&s.w);
    return status;
}
