/* SPDX-License-Identifier: Apache-2.0
 *
 * Running statistics: clbn_update_running by itself gives the bits that a training call gives; counts, weights, one of the two alone,
 * channels that are not finite.
 */
#include "cases.h"
#include "guarded.h"
#include "semantics.h"
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 16, CHANNELS = 5, ALL = ROWS * CHANNELS };

/* One layer's statistics, in host memory or on a queue, of the plan's real; room for two sets of running ones. */
typedef struct layer {
    clbn_plan *plan;
    cl_command_queue queue;
    clbn_dtype real;
    guarded x, mean, var;
    guarded running_mean[2], running_var[2];
} layer;

static const double old_mean[] = {0.3, -2, 1e-3, 7, 0}, old_var[] = {1.25, 0.1, 3, 1e-3, 0};

/* 0 where the device has no such plan. */
static int layer_open(layer *l, clbn_dtype type, clbn_running_variance kind, size_t rows, const double *x,
                      cl_command_queue queue) {
    const size_t dims[] = {rows, CHANNELS};
    memset(l, 0, sizeof *l);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.dtype = type, config.running_variance = kind;
    const clbn_status status = clbn_plan_create(tested(), &config, &l->plan);
    if (status == CLBN_ERROR_UNSUPPORTED && type == CLBN_F64) return 0;
    ck_clbn(status);
    l->queue = queue;
    l->real = type == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    array_make(&l->x, "x", queue, CL_MEM_READ_WRITE, type, rows * CHANNELS, 1, x);
    array_make(&l->mean, "mean", queue, CL_MEM_READ_WRITE, l->real, CHANNELS, 1, NULL);
    array_make(&l->var, "var", queue, CL_MEM_READ_WRITE, l->real, CHANNELS, 2, NULL);
    for (int k = 0; k < 2; k++) {
        array_make(&l->running_mean[k], "running_mean", queue, CL_MEM_READ_WRITE, l->real, CHANNELS, 3, old_mean);
        array_make(&l->running_var[k], "running_var", queue, CL_MEM_READ_WRITE, l->real, CHANNELS, 1, old_var);
    }
    return 1;
}

static void layer_close(layer *l) {
    guarded *all[] = {&l->x, &l->mean, &l->var, &l->running_mean[0], &l->running_mean[1], &l->running_var[0], &l->running_var[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
    clbn_plan_destroy(l->plan);
}

/* Trains without y; the running statistics are the first set. */
static void train(layer *l, double weight, int skip, const cl_event *after, cl_event *event) {
    ck_clbn(clbn_forward_training(l->plan, l->queue,
                                  &(clbn_forward_args){.x = guarded_buffer(&l->x),
                                                       .saved_mean = guarded_buffer(&l->mean),
                                                       .saved_var = guarded_buffer(&l->var),
                                                       .running_mean = guarded_buffer(&l->running_mean[0]),
                                                       .running_var = guarded_buffer(&l->running_var[0]),
                                                       .update_weight = weight,
                                                       .skip_nonfinite = skip},
                                  after ? 1 : 0, after, event));
}

/* Moves the second set by what training saved. */
static void update(layer *l, double weight, uint64_t count, int skip, const cl_event *after, cl_event *event) {
    ck_clbn(clbn_update_running(l->plan, l->queue,
                                &(clbn_update_args){.mean = guarded_buffer(&l->mean),
                                                    .var = guarded_buffer(&l->var),
                                                    .running_mean = guarded_buffer(&l->running_mean[1]),
                                                    .running_var = guarded_buffer(&l->running_var[1]),
                                                    .update_weight = weight,
                                                    .count = count,
                                                    .skip_nonfinite = skip},
                                after ? 1 : 0, after, event));
}

static void must_be_same_bits(guarded *a, guarded *b, const char *title) {
    const char *here = guarded_read(a, title), *there = guarded_read(b, title);
    for (size_t c = 0; c < a->count; c++)
        ck_assert_msg(!memcmp(here + c * a->bytes, there + c * a->bytes, a->bytes), "%s: %s of channel %zu: %.17g and %.17g",
                      title, a->name, c, stored_get(a->bytes == 8 ? CLBN_F64 : CLBN_F32, here + c * a->bytes),
                      stored_get(a->bytes == 8 ? CLBN_F64 : CLBN_F32, there + c * a->bytes));
}

static void sets_must_be_same(layer *l, const char *title) {
    must_be_same_bits(&l->running_mean[0], &l->running_mean[1], title);
    must_be_same_bits(&l->running_var[0], &l->running_var[1], title);
}

static double *batch_of(data_kind data, size_t rows) {
    const test_case of = case_of(rows, CHANNELS, 1, data);
    batch b;
    batch_make(&b, &of, tested_flushes_denormals());
    double *x = widened(b.x, b.count);
    batch_free(&b);
    return x;
}

START_TEST(an_update_by_itself_gives_the_bits_of_training) {
    static const clbn_dtype types[] = {CLBN_F32, CLBN_F64, CLBN_F16};
    static const double weights[] = {0.1, 0, 1, 0.5, 1.0 / 3, 0.25, 0.01}; /* cumulative ones among them */
    static const data_kind kinds[] = {NORMAL, MEAN_1E2, OUTLIERS};
    for (int t = 0; t < 3; t++)
        for (int kind = 0; kind < 2; kind++) {
            layer l;
            if (test_is_short() && kind != t % 2) continue;
            double *x = batch_of(t == 2 ? MEAN_1E2 : kinds[t], ROWS);
            if (layer_open(&l, types[t], (clbn_running_variance)kind, ROWS, x, NULL))
                for (size_t k = 0; k < sizeof weights / sizeof *weights; k++) {
                    train(&l, weights[k], 0, NULL, NULL);
                    update(&l, weights[k], 0, 0, NULL, NULL);
                    sets_must_be_same(&l, kind ? "unbiased" : "biased");
                    if (weights[k] == 0) continue;
                    update(&l, 0, 0, 0, NULL, NULL);
                    sets_must_be_same(&l, "a weight of 0");
                }
            layer_close(&l);
            free(x);
        }
}
END_TEST

START_TEST(weights_0_and_1_are_exact_whatever_was_there) {
    const float mean[] = {3, -0.1f, 1e-3f, 4, 5}, var[] = {2, 0.5f, 0, 1e-3f, 7};
    const float was[] = {NAN, INFINITY, -INFINITY, 1e-42f, 1e30f};
    float running_mean[CHANNELS], running_var[CHANNELS];
    clbn_config config = clbn_config_preset(CLBN_PRESET_ONNX);
    config.rank = 2, config.dims = (const size_t[]){ROWS, CHANNELS};
    clbn_plan *plan = plan_of(tested(), &config);
    clbn_update_args args = {.mean = clbn_host(mean),
                             .var = clbn_host(var),
                             .running_mean = clbn_host(running_mean),
                             .running_var = clbn_host(running_var)};
    memcpy(running_mean, was, sizeof was);
    memcpy(running_var, was, sizeof was);
    ck_clbn(clbn_update_running(plan, NULL, &args, 0, NULL, NULL));
    ck_assert_mem_eq(running_mean, was, sizeof was);
    ck_assert_mem_eq(running_var, was, sizeof was);
    args.update_weight = 1;
    ck_clbn(clbn_update_running(plan, NULL, &args, 0, NULL, NULL));
    ck_assert_mem_eq(running_mean, mean, sizeof was);
    ck_assert_mem_eq(running_var, var, sizeof was);
    clbn_plan_destroy(plan);
}
END_TEST

/* var 3, and so n / (n - 1) times that: exact numbers. */
START_TEST(a_count_stands_for_the_plans_own) {
    const float mean[CHANNELS] = {1, 2, 3, 4, 5}, var[CHANNELS] = {3, 3, 3, 3, 3};
    static const struct {
        size_t rows;
        uint64_t count;
        float unbiased;
    } counts[] = {
        {4, 0, 4}, {4, 2, 6}, {4, 4, 4}, {4, 1, 9}, {1, 0, 9}, {1, 2, 6}, {0, 2, 6}, {0, 0, 9}, {4, (uint64_t)1 << 40, 3}};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
        for (int kind = 0; kind < 2; kind++) {
            float running_mean[CHANNELS] = {9, 9, 9, 9, 9}, running_var[CHANNELS] = {9, 9, 9, 9, 9};
            const size_t dims[] = {counts[k].rows, CHANNELS};
            const int nothing = counts[k].rows == 0 && counts[k].count == 0;
            clbn_config config = clbn_config_preset(kind ? CLBN_PRESET_PYTORCH : CLBN_PRESET_ONNX);
            config.rank = 2, config.dims = dims;
            clbn_plan *plan = plan_of(tested(), &config);
            ck_clbn(clbn_update_running(plan, NULL,
                                        &(clbn_update_args){.mean = clbn_host(mean),
                                                            .var = clbn_host(var),
                                                            .running_mean = clbn_host(running_mean),
                                                            .running_var = clbn_host(running_var),
                                                            .update_weight = 1,
                                                            .count = counts[k].count},
                                        0, NULL, NULL));
            for (int c = 0; c < CHANNELS; c++) {
                ck_assert_float_eq(running_mean[c], nothing ? 9 : mean[c]);
                ck_assert_msg(running_var[c] == (nothing ? 9
                                                 : kind  ? counts[k].unbiased
                                                         : 3),
                              "%zu rows, count %llu, %s: %g", counts[k].rows, (unsigned long long)counts[k].count,
                              kind ? "unbiased" : "biased", (double)running_var[c]);
            }
            clbn_plan_destroy(plan);
        }
}
END_TEST

START_TEST(one_of_the_two_may_be_updated_alone) {
    double *x = batch_of(MEAN_1E2, ROWS);
    layer l;
    ck_assert(layer_open(&l, CLBN_F32, CLBN_RUNNING_UNBIASED, ROWS, x, NULL));
    train(&l, 0.1, 0, NULL, NULL);
    ck_clbn(clbn_update_running(l.plan, NULL,
                                &(clbn_update_args){.mean = guarded_buffer(&l.mean),
                                                    .running_mean = guarded_buffer(&l.running_mean[1]),
                                                    .update_weight = 0.1},
                                0, NULL, NULL));
    must_be_same_bits(&l.running_mean[0], &l.running_mean[1], "the mean alone");
    guarded_must_be_unchanged(&l.running_var[1], "the mean alone");
    ck_clbn(clbn_update_running(l.plan, NULL,
                                &(clbn_update_args){.var = guarded_buffer(&l.var),
                                                    .running_var = guarded_buffer(&l.running_var[1]),
                                                    .update_weight = 0.1},
                                0, NULL, NULL));
    sets_must_be_same(&l, "the variance alone");
    layer_close(&l);
    free(x);
}
END_TEST

/* ------------------------------------------------------------------------------------------------- channels that are not finite */

static int is_as_it_was(guarded *g, size_t c) {
    const char *now = guarded_read(g, "running");
    return !memcmp(now + c * g->bytes, (const char *)g->given + c * g->bytes, g->bytes);
}

static void by_one_bad_channel(layer *l, int skip) {
    for (int set = 0; set < 2; set++)
        for (size_t c = 0; c < CHANNELS; c++) {
            const int bad = c == CHANNELS / 2;
            double mean[CHANNELS], var[CHANNELS];
            array_read(&l->running_mean[set], l->real, "running", mean);
            array_read(&l->running_var[set], l->real, "running", var);
            ck_assert_msg(is_as_it_was(&l->running_mean[set], c) == (bad && skip), "running_mean, channel %zu, skip %d", c, skip);
            ck_assert_msg(is_as_it_was(&l->running_var[set], c) == (bad && skip), "running_var, channel %zu, skip %d", c, skip);
            ck_assert(isfinite(mean[c]) == (!bad || skip));
            ck_assert(isfinite(var[c]) == (!bad || skip));
        }
}

START_TEST(a_channel_that_is_not_finite_may_be_skipped) {
    static const data_kind kinds[] = {ONE_NAN, ONE_INF};
    for (int k = 0; k < 2; k++)
        for (int skip = 0; skip < 2; skip++) {
            double *x = batch_of(kinds[k], ROWS);
            layer l;
            ck_assert(layer_open(&l, CLBN_F32, CLBN_RUNNING_UNBIASED, ROWS, x, NULL));
            train(&l, 0.1, skip, NULL, NULL);
            update(&l, 0.1, 0, skip, NULL, NULL);
            by_one_bad_channel(&l, skip);
            layer_close(&l);
            free(x);
        }
}
END_TEST

/* A finite mean does not move beside a variance that overflows, nor the other way around. */
START_TEST(skipping_keeps_both_statistics) {
    const float mean[] = {1, NAN, 3, INFINITY, 5}, var[] = {INFINITY, 1, 1, 1, NAN};
    float running_mean[] = {9, 9, 9, 9, 9}, running_var[] = {9, 9, 9, 9, 9};
    clbn_config config = clbn_config_preset(CLBN_PRESET_ONNX);
    config.rank = 2, config.dims = (const size_t[]){ROWS, CHANNELS};
    clbn_plan *plan = plan_of(tested(), &config);
    ck_clbn(clbn_update_running(plan, NULL,
                                &(clbn_update_args){.mean = clbn_host(mean),
                                                    .var = clbn_host(var),
                                                    .running_mean = clbn_host(running_mean),
                                                    .running_var = clbn_host(running_var),
                                                    .update_weight = 1,
                                                    .skip_nonfinite = 1},
                                0, NULL, NULL));
    for (int c = 0; c < CHANNELS; c++) ck_assert(running_mean[c] == (c == 2 ? 3 : 9) && running_var[c] == (c == 2 ? 1 : 9));
    clbn_plan_destroy(plan);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------------- checkpointing */

/* The first pass, and the second that checkpointing makes, move nothing; the update does, behind both by its event. */
static void forward_twice(cl_command_queue queue) {
    double *x = batch_of(MEAN_1E4, ROWS);
    cl_event events[4] = {NULL};
    layer l;
    ck_assert(layer_open(&l, CLBN_F32, CLBN_RUNNING_UNBIASED, ROWS, x, queue));
    for (int k = 0; k < 2; k++) train(&l, 0, 0, queue && k ? &events[k - 1] : NULL, queue ? &events[k] : NULL);
    update(&l, 0.1, 0, 0, queue ? &events[1] : NULL, queue ? &events[2] : NULL);
    if (queue) ck_cl(clFinish(queue));
    guarded_must_be_unchanged(&l.running_mean[0], "a weight of 0");
    guarded_must_be_unchanged(&l.running_var[0], "a weight of 0");
    train(&l, 0.1, 0, NULL, queue ? &events[3] : NULL);
    if (queue) ck_cl(clFinish(queue));
    sets_must_be_same(&l, "checkpointing");
    for (int k = 0; k < 4 && queue; k++) clReleaseEvent(events[k]);
    layer_close(&l);
    free(x);
}

START_TEST(two_passes_of_weight_0_and_an_update_are_one_pass) {
    forward_twice(NULL);
    if (!tested_is_cpu_path()) forward_twice(tested_queue());
}
END_TEST

void add_running(TCase *tests) {
    tcase_add_test(tests, an_update_by_itself_gives_the_bits_of_training);
    tcase_add_test(tests, weights_0_and_1_are_exact_whatever_was_there);
    tcase_add_test(tests, a_count_stands_for_the_plans_own);
    tcase_add_test(tests, one_of_the_two_may_be_updated_alone);
    tcase_add_test(tests, a_channel_that_is_not_finite_may_be_skipped);
    tcase_add_test(tests, skipping_keeps_both_statistics);
    tcase_add_test(tests, two_passes_of_weight_0_and_an_update_are_one_pass);
}
