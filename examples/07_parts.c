/* SPDX-License-Identifier: Apache-2.0
 *
 * 07: a batch in unequal shares, normalized as one.
 *     07_parts [device]     auto (the default), cpu, opencl, or a number as `clbn devices` shows them: 0:1
 *
 * Four holders have 100, 53, 0 and 25 rows of the wine table, each with a plan for its share. Forward and backward are two calls each:
 * first a part, a few numbers a channel, then the share by all parts. Here the parts lie side by side in one array; between
 * machines an all-gather puts them there. A plan for all rows says what should come out. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 178, C = 13, N = ROWS * C, SHARES = 4, PART = CLBN_PART_REALS * C };
static const size_t share_rows[SHARES] = {100, 53, 0, 25};

/* Each is off by 1e-6 of what its terms sum up to, which is no ten times the largest value, and so is the other. */
static const double bound = 2e-5;

/* What comes out, of the whole batch or of shares of it; each holder has the values of the channels to itself. */
typedef struct results {
    float y[N], dx[N], saved_mean[C], saved_mean_lo[C], saved_inv_std[C], running_mean[C], running_var[C], dgamma[C], dbeta[C];
} results;

static results whole, shared;
static float dy[N], parts[SHARES * PART];
static uint64_t counts[SHARES];

/* The share of a batch that starts at this element; with parts of all shares, or by its own statistics. */
static clbn_status forward(const clbn_plan *plan, const float *x, size_t from, size_t part_count, results *r) {
    clbn_forward_args args = {.x = clbn_host(x + from), .y = clbn_host(r->y + from), .update_weight = 1};
    args.saved_mean = clbn_host(r->saved_mean);
    args.saved_mean_lo = clbn_host(r->saved_mean_lo);
    args.saved_inv_std = clbn_host(r->saved_inv_std);
    args.running_mean = clbn_host(r->running_mean);
    args.running_var = clbn_host(r->running_var);
    args.parts = clbn_host(part_count ? parts : NULL);
    args.counts = clbn_host(part_count ? counts : NULL);
    args.part_count = part_count;
    return clbn_forward_training(plan, NULL, &args, 0, NULL, NULL);
}

static clbn_backward_args backward_args(const float *x, size_t from, results *r) {
    clbn_backward_args args = {.x = clbn_host(x + from), .dy = clbn_host(dy + from)};
    args.saved_mean = clbn_host(r->saved_mean);
    args.saved_mean_lo = clbn_host(r->saved_mean_lo);
    args.saved_inv_std = clbn_host(r->saved_inv_std);
    return args;
}

static clbn_status backward(const clbn_plan *plan, const float *x, size_t from, size_t part_count, results *r) {
    clbn_backward_args args = backward_args(x, from, r);
    args.dx = clbn_host(r->dx + from);
    args.dgamma = clbn_host(r->dgamma);
    args.dbeta = clbn_host(r->dbeta);
    args.parts = clbn_host(part_count ? parts : NULL);
    args.counts = clbn_host(part_count ? counts : NULL);
    args.part_count = part_count;
    return clbn_backward_training(plan, NULL, &args, 0, NULL, NULL);
}

/* The part of a share: of the moments, or of backward's sums. */
static clbn_status make_part(const clbn_plan *plan, const float *x, size_t from, size_t share, int of_backward) {
    const clbn_buffer part = clbn_host(parts + share * PART), count = clbn_host(counts + share);
    const clbn_moments_part_args moments = {.x = clbn_host(x + from), .part = part, .count = count};
    clbn_backward_args sums = backward_args(x, from, &shared);
    sums.part = part;
    sums.count = count;
    return of_backward ? clbn_backward_part(plan, NULL, &sums, 0, NULL, NULL)
                       : clbn_moments_part(plan, NULL, &moments, 0, NULL, NULL);
}

static int compare(void) {
    const double y = largest_error(shared.y, whole.y, N), dx = largest_error(shared.dx, whole.dx, N);
    const double running =
        worse(largest_error(shared.running_mean, whole.running_mean, C), largest_error(shared.running_var, whole.running_var, C));
    const double sums = worse(largest_error(shared.dgamma, whole.dgamma, C), largest_error(shared.dbeta, whole.dbeta, C));
    printf("shares and whole differ, of the largest value: y %.1e, running statistics %.1e, dx %.1e, dgamma and dbeta %.1e\n", y,
           running, dx, sums);
    return !(worse(worse(y, running), worse(dx, sums)) <= bound);
}

int main(int argc, char **argv) {
    clbn_device *device = NULL;
    clbn_plan *plan = NULL, *plans[SHARES] = {NULL};
    int exit_code = EXIT_FAILURE;
    table wine;
    if (table_read(DATA "wine.csv", &wine)) return EXIT_FAILURE;
    const float *x = wine.values;
    for (size_t i = 0; i < N; i++) dy[i] = (float)sin((double)(i * i)); /* any gradient will do */

    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    TRY(clbn_device_create(argc > 1 ? argv[1] : "auto", NULL, &device));
    config.dims = (const size_t[]){ROWS, C};
    TRY(clbn_plan_create(device, &config, &plan));
    for (size_t s = 0; s < SHARES; s++) {
        config.dims = (const size_t[]){share_rows[s], C};
        TRY(clbn_plan_create(device, &config, &plans[s]));
    }

    TRY(forward(plan, x, 0, 0, &whole));
    TRY(backward(plan, x, 0, 0, &whole));
    for (int pass = 0; pass < 2; pass++) { /* forward, backward */
        for (size_t s = 0, from = 0; s < SHARES; from += share_rows[s++] * C) TRY(make_part(plans[s], x, from, s, pass));
        for (size_t s = 0, from = 0; s < SHARES; from += share_rows[s++] * C)
            TRY((pass ? backward : forward)(plans[s], x, from, SHARES, &shared));
    }
    if (!compare()) exit_code = EXIT_SUCCESS;
done:
    for (size_t s = 0; s < SHARES; s++) clbn_plan_destroy(plans[s]);
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    table_free(&wine);
    return exit_code;
}
