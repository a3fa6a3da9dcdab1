/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics in parts: however a batch is shared out, forward and backward by parts are those of the whole batch; what a part
 * holds; parts of nothing.
 */
#include "shares.h"
#include "judge.h"
#include "semantics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 13, CHANNELS = 5 };

typedef struct split {
    size_t count, rows[MOST_SHARES];
} split;

static const split splits[] = {{1, {13}},
                               {2, {0, 13}},
                               {3, {5, 0, 8}},
                               {4, {1, 2, 3, 7}},
                               {5, {7, 5, 0, 0, 1}},
                               {6, {1, 0, 3, 4, 0, 5}},
                               {7, {0, 2, 1, 4, 0, 3, 3}}};
enum { SPLITS = sizeof splits / sizeof *splits };

/* What of the merged mean is lost by keeping means of parts as two reals, in times roundings each. */
static void set_of_mean(const shares *s, verdict *v, int times) {
    for (size_t k = 0; k < s->count; k++)
        if (s->each[k].rows) ck_assert(answer_of_part(&v->exact, s->each[k].first_row, s->each[k].rows, times));
}

static bounds_of bounds_here(const material *m) {
    return bounds_for(tested_is_cpu_path(), &m->m);
}

/* Each part of moments is its share's, by the definition. */
static void judge_moments_parts(shares *s, const verdict *v) {
    double values[MOST_SHARES * CLBN_PART_REALS * CHANNELS];
    uint64_t counts[MOST_SHARES];
    shares_read_parts(s, values, counts);
    for (size_t k = 0; k < s->count; k++)
        if (s->each[k].rows)
            verdict_moments_part(v, bounds_here(s->of), s->each[k].first_row, s->each[k].rows,
                                 values + k * CLBN_PART_REALS * CHANNELS, s->title);
}

static void judge_sums_parts(shares *s, const verdict *v) {
    double values[MOST_SHARES * CLBN_PART_REALS * CHANNELS];
    uint64_t counts[MOST_SHARES];
    shares_read_parts(s, values, counts);
    for (size_t k = 0; k < s->count; k++) {
        share *one = &s->each[k];
        double dgamma[CHANNELS], dbeta[CHANNELS];
        array_read(&one->own_dgamma, bounds_is_f64(bounds_here(s->of)) ? CLBN_F64 : CLBN_F32, s->title, dgamma);
        array_read(&one->own_dbeta, bounds_is_f64(bounds_here(s->of)) ? CLBN_F64 : CLBN_F32, s->title, dbeta);
        if (one->rows) /* parts of nothing are looked at elsewhere */
            verdict_sums(v, bounds_here(s->of), one->first_row, one->rows, values + k * CLBN_PART_REALS * CHANNELS, dgamma, dbeta,
                         s->title);
        for (size_t c = 0; c < CHANNELS && !one->rows; c++) {
            const int adds = s->of->m.level[BY_ACCUMULATE] == ACCUMULATING;
            ck_assert_double_eq(dgamma[c], adds ? s->of->old_dgamma[c] : 0);
            ck_assert_double_eq(dbeta[c], adds ? s->of->old_dbeta[c] : 0);
        }
    }
}

static void must_be_one_part(shares *s) {
    double values[CLBN_PART_REALS * CHANNELS];
    uint64_t count;
    ck_assert_uint_eq(s->part_count, 1);
    shares_read_parts(s, values, &count);
    ck_assert_msg(count == s->of->b->values, "merged, the count is %llu: %s", (unsigned long long)count, s->title);
    for (size_t c = 0; c < CHANNELS; c++) ck_assert_msg(values[4 * CHANNELS + c] == 0, "merged, the last array: %s", s->title);
}

/* The batch in these shares, forward and backward, from the parts as they are, or from what they are merged into. */
static void run_shares(const material *m, const split *by, int merges) {
    const bounds_of who = bounds_here(m);
    shares s;
    verdict v;
    if (!shares_open(&s, m, NULL, by->rows, by->count, merges ? "merged" : "")) {
        shares_close(&s);
        return;
    }
    verdict_make(&v, m);
    shares_moments(&s);
    shares_check_parts_of_nothing(&s);
    judge_moments_parts(&s, &v);
    const int times = merges ? shares_merge(&s, clbn_moments_merge) : 0;
    if (merges) must_be_one_part(&s);
    set_of_mean(&s, &v, 1 + times);
    shares_forward(&s);
    shares_gather_forward(&s);
    verdict_forward(&v, who, &s.out, s.title);
    shares_sums(&s);
    shares_check_parts_of_nothing(&s);
    judge_sums_parts(&s, &v);
    if (merges) shares_merge(&s, clbn_backward_merge);
    if (merges) must_be_one_part(&s);
    shares_backward(&s);
    shares_gather_backward(&s);
    verdict_backward(&v, who, &s.out, s.title);
    verdict_free(&v);
    shares_close(&s);
}

static manner manner_with(factor f, unsigned level, factor g, unsigned other) {
    manner m;
    memset(&m, 0, sizeof m);
    m.level[f] = (unsigned char)level;
    m.level[g] = (unsigned char)other;
    return m;
}

static void with_material(const manner *how, size_t inner, data_kind data, const split *by, int merges) {
    const test_case of = case_of(ROWS, CHANNELS, inner, data);
    batch b;
    material m;
    batch_make(&b, &of, tested_flushes_denormals());
    material_make(&m, &b, how);
    run_shares(&m, by, merges);
    material_free(&m);
    batch_free(&b);
}

START_TEST(shares_of_a_batch_are_normalized_as_the_whole) {
    static const data_kind kinds[] = {NORMAL, MEAN_1E6, OUTLIERS, MIXED, MEAN_1E4, SORTED, SMALL_SIGMA};
    const manner plain = manner_with(BY_X_TYPE, 0, BY_Y_TYPE, 0);
    for (size_t d = 0; d < sizeof kinds / sizeof *kinds; d++)
        for (size_t k = 0; k < SPLITS; k++) {
            if (test_is_short() && d != k % 3) continue;
            with_material(&plain, (d + k) % 2 ? 1 : 7, kinds[d], &splits[k], (d + k) % 3 == 0);
        }
}
END_TEST

START_TEST(shares_of_a_constant_channel_give_beta_exactly) {
    const test_case of = case_of(ROWS, CHANNELS, 7, CONSTANT);
    const manner plain = manner_with(BY_X_TYPE, 0, BY_Y_TYPE, 0);
    batch b;
    material m;
    shares s;
    batch_make(&b, &of, tested_flushes_denormals());
    material_make(&m, &b, &plain);
    for (int merges = 0; merges < 2; merges++) {
        ck_assert(shares_open(&s, &m, NULL, splits[5].rows, splits[5].count, "constant"));
        shares_moments(&s);
        if (merges) shares_merge(&s, clbn_moments_merge);
        shares_forward(&s);
        shares_gather_forward(&s);
        for (size_t c = 0; c < CHANNELS; c++) {
            ck_assert_double_eq(s.out.mean[c], m.x[c * 7]);
            ck_assert_double_eq(s.out.mean_lo[c], 0);
            ck_assert_double_eq(s.out.var[c], 0);
        }
        for (size_t i = 0; i < b.count; i++) ck_assert_double_eq(s.out.y[i], m.beta[i / 7 % CHANNELS]);
        shares_close(&s);
    }
    material_free(&m);
    batch_free(&b);
}
END_TEST

START_TEST(nan_and_inf_in_a_share_stay_in_their_channel) {
    const manner plain = manner_with(BY_X_TYPE, 0, BY_Y_TYPE, 0);
    with_material(&plain, 7, ONE_NAN, &splits[3], 0);
    with_material(&plain, 7, ONE_INF, &splits[5], 1);
}
END_TEST

START_TEST(shares_keep_to_every_way_of_normalizing) {
    static const struct {
        factor f;
        unsigned level;
        factor g;
        unsigned other;
    } ways[] = {{BY_ACTIVATION, DEFINITION_RELU, BY_RESIDUAL, 1},
                {BY_RULE, 1, BY_ACCUMULATE, ACCUMULATING}, /* outside */
                {BY_RULE, 2, BY_AFFINE, 1},                /* weight 1; neither gamma nor beta */
                {BY_X_TYPE, 1, BY_Y_TYPE, 1},              /* float16 */
                {BY_X_TYPE, 3, BY_Y_TYPE, 3},              /* float64 */
                {BY_ACTIVATION, DEFINITION_LEAKY, BY_RULE, 1}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        if (test_is_short() && w == 5) continue;
        const manner how = manner_with(ways[w].f, ways[w].level, ways[w].g, ways[w].other);
        with_material(&how, 7, MIXED, &splits[5], (int)w % 2);
        if (!test_is_short()) with_material(&how, 7, NORMAL, &splits[3], !(w % 2));
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------ parts of nothing */

/* What a share's forward call could write. */
static void statistics_must_be_unchanged(shares *s) {
    for (size_t k = 0; k < s->count; k++) {
        share *o = &s->each[k];
        guarded *all[] = {&o->y, &o->mean, &o->mean_lo, &o->var, &o->inv_std, &o->running_mean, &o->running_var};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_must_be_unchanged(all[i], s->title);
    }
}

/* Shares of no rows at all; and shares that have rows, to which the others say that there was nothing. */
START_TEST(parts_of_nothing_leave_everything_as_it_was) {
    const manner plain = manner_with(BY_X_TYPE, 0, BY_Y_TYPE, 0);
    static const size_t extents[][2] = {{0, 7}, {4, 7}, {4, 1}};
    for (int k = 0; k < 3; k++) {
        const size_t rows = extents[k][0];
        const test_case of = case_of(rows, CHANNELS, extents[k][1], NORMAL);
        batch b;
        material m;
        shares s;
        batch_make(&b, &of, 0);
        material_make(&m, &b, &plain);
        ck_assert(shares_open(&s, &m, NULL, (size_t[]){rows, 0, 0}, 3, "nothing"));
        shares_moments(&s);
        shares_check_parts_of_nothing(&s);
        uint64_t *counts = (uint64_t *)(uintptr_t)guarded_read(&s.counts[s.now], s.title);
        memset(counts, 0, 3 * sizeof *counts);
        shares_forward(&s);
        statistics_must_be_unchanged(&s);
        shares_merge(&s, clbn_moments_merge);
        double values[CLBN_PART_REALS * CHANNELS];
        uint64_t count = 1;
        shares_read_parts(&s, values, &count);
        ck_assert_uint_eq(count, 0);
        for (size_t i = 0; i < CLBN_PART_REALS * CHANNELS; i++) ck_assert_double_eq(values[i], 0);
        shares_forward(&s);
        statistics_must_be_unchanged(&s);
        shares_close(&s);
        material_free(&m);
        batch_free(&b);
    }
}
END_TEST

/* A holder of no rows may leave out x and y. */
START_TEST(an_empty_share_without_buffers_still_takes_the_statistics) {
    const float part[5 * 2] = {3, -1, 0, 0, 8, 16, 0, 0, 0, 0};
    const uint64_t count = 4;
    float mean[2] = {0}, var[2] = {0}, running_mean[2] = {1, 1}, running_var[2] = {1, 1};
    float dgamma[2] = {9, 9}, dbeta[2] = {9, 9}, inv_std[2] = {0};
    clbn_config config = clbn_config_preset(CLBN_PRESET_ONNX);
    config.rank = 2, config.dims = (const size_t[]){0, 2}, config.epsilon = 0;
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_forward_args forward = {.parts = clbn_host(part),
                                       .counts = clbn_host(&count),
                                       .part_count = 1,
                                       .saved_mean = clbn_host(mean),
                                       .saved_var = clbn_host(var),
                                       .saved_inv_std = clbn_host(inv_std),
                                       .running_mean = clbn_host(running_mean),
                                       .running_var = clbn_host(running_var),
                                       .update_weight = 0.5};
    ck_clbn(clbn_forward_training(plan, NULL, &forward, 0, NULL, NULL));
    ck_assert(mean[0] == 3 && mean[1] == -1 && var[0] == 2 && var[1] == 4 && inv_std[1] == 0.5f);
    ck_assert(running_mean[0] == 2 && running_mean[1] == 0 && running_var[0] == 1.5f && running_var[1] == 2.5f);
    const clbn_backward_args backward = {.parts = clbn_host(part), /* as sums: of g 3 and -1, of g (x - mean) 8 and 16 */
                                         .counts = clbn_host(&count),
                                         .part_count = 1,
                                         .saved_mean = clbn_host(mean),
                                         .saved_inv_std = clbn_host(inv_std),
                                         .dgamma = clbn_host(dgamma),
                                         .dbeta = clbn_host(dbeta)};
    ck_clbn(clbn_backward_training(plan, NULL, &backward, 0, NULL, NULL));
    ck_assert(dgamma[1] == 8 && dbeta[0] == 3 && dbeta[1] == -1);
    clbn_plan_destroy(plan);
}
END_TEST

/* 2^24 + 1 + 2 takes 25 bits. dy are those, in two channels, x - mean is 1; then the same as three parts of one value each. */
START_TEST(sums_hold_what_one_real_cannot) {
    const float dy[] = {0x1p24f, 1, 1, 2, 2, 0x1p24f}, x[] = {4, 5, 4, 5, 4, 5}, mean[] = {3, 4}, ones[] = {1, 1};
    const float parts[3][5][2] = {{{0x1p24f, 1}, {0}, {1, 2}}, {{1, 2}, {0}, {2, 0x1p24f}}, {{2, 0x1p24f}, {0}, {0x1p24f, 1}}};
    const uint64_t counts[] = {1, 1, 1};
    uint64_t count[2] = {0};
    float part[2][5][2];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = (const size_t[]){3, 2};
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_backward_args args = {.dy = clbn_host(dy),
                                     .x = clbn_host(x),
                                     .saved_mean = clbn_host(mean),
                                     .saved_inv_std = clbn_host(ones),
                                     .part = clbn_host(part[0]),
                                     .count = clbn_host(&count[0])};
    const clbn_merge_args merge = {.parts = clbn_host(parts),
                                   .counts = clbn_host(counts),
                                   .part_count = 3,
                                   .part = clbn_host(part[1]),
                                   .count = clbn_host(&count[1])};
    ck_clbn(clbn_backward_part(plan, NULL, &args, 0, NULL, NULL));
    ck_clbn(clbn_backward_merge(plan, NULL, &merge, 0, NULL, NULL));
    for (int k = 0; k < 2; k++) {
        ck_assert_uint_eq(count[k], 3);
        for (int a = 0; a < 4; a += 2)
            for (int c = 0; c < 2; c++) ck_assert_double_eq((double)part[k][a][c] + part[k][a + 1][c], 0x1p24 + 3);
    }
    clbn_plan_destroy(plan);
}
END_TEST

/* Parts of two values each, -1 and 1, in each channel; 0 where the device or the variant cannot merge so many. */
static int merge_many(const char *variant, size_t channels, size_t parts) {
    const size_t reals = CLBN_PART_REALS * channels, dims[] = {2, channels};
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.variant = variant;
    clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (status != CLBN_SUCCESS) return 0;
    float *const all = calloc((parts + 1) * reals, sizeof *all), *const merged = all + parts * reals;
    uint64_t *const counts = calloc(parts + 1, sizeof *counts);
    ck_assert(all && counts);
    for (size_t k = 0; k < parts; k++) {
        for (size_t c = 0; c < channels; c++) all[k * reals + 2 * channels + c] = 2;
        counts[k] = 2;
    }
    const clbn_merge_args args = {.parts = clbn_host(all),
                                  .counts = clbn_host(counts),
                                  .part_count = parts,
                                  .part = clbn_host(merged),
                                  .count = clbn_host(&counts[parts])};
    status = clbn_moments_merge(plan, NULL, &args, 0, NULL, NULL);
    if (status == CLBN_SUCCESS) {
        ck_assert_uint_eq(counts[parts], 2 * parts);
        for (size_t c = 0; c < channels; c++) ck_assert_float_eq(merged[2 * channels + c], (float)(2 * parts));
    } else {
        ck_assert_int_eq(status, CLBN_ERROR_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(said(), "merge some first"));
    }
    clbn_plan_destroy(plan);
    free(counts);
    free(all);
    return status == CLBN_SUCCESS;
}

/* More than llvmpipe lets a work-item turn in its loops: in one channel, and in all of a work-item's. A simulator would take minutes. */
START_TEST(many_parts_are_merged_or_refused) {
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    if (info.kind == CLBN_DEVICE_SIMULATOR) return;
    for (size_t k = 0; k < count; k++) {
        merge_many(names[k], 1, 65600);
        ck_assert(names[k] || merge_many(NULL, 1, 30000));
        ck_assert(names[k] || merge_many(NULL, 8192, 128));
        merge_many(names[k], 8192, 128);
    }
}
END_TEST

/* A row of ones, and thousands of rows of values that a plain sum of doubles would swallow, one by one or block by block. x - mean is 1. */
static void sum_small_behind_large(size_t outer, size_t inner, float small) {
    const size_t values = outer * inner, dims[] = {outer, 2, inner};
    const float ones[] = {1, 1};
    const long double exact = (long double)inner + (long double)(values - inner) * small;
    float *dy = malloc(2 * values * sizeof *dy), *x = malloc(2 * values * sizeof *x), part[5][2];
    uint64_t count = 0;
    ck_assert(dy && x);
    for (size_t i = 0; i < 2 * values; i++) dy[i] = i < 2 * inner ? 1 : small, x[i] = 2;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = dims;
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_backward_args args = {.dy = clbn_host(dy),
                                     .x = clbn_host(x),
                                     .saved_mean = clbn_host(ones),
                                     .saved_inv_std = clbn_host(ones),
                                     .part = clbn_host(part),
                                     .count = clbn_host(&count)};
    ck_clbn(clbn_backward_part(plan, NULL, &args, 0, NULL, NULL));
    ck_assert_uint_eq(count, values);
    for (int a = 0; a < 4; a += 2) {
        const long double error =
            fabsl(part[a][1] + (long double)part[a + 1][1] - exact) / (bounds_accuracy(tested_bounds()) * exact);
        ck_assert_msg(error <= 1, "sum %d of %zu x 2 x %zu is off by %.3Lf of its bound", a, outer, inner, error);
    }
    clbn_plan_destroy(plan);
    free(dy);
    free(x);
}

START_TEST(small_values_behind_a_large_one_are_in_a_part_too) {
    sum_small_behind_large(3855, 17, 0x1.fcp-55f);
    sum_small_behind_large(32769, 1, 0x1.fcp-59f);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------------- on a queue */

/* Everything is enqueued before anything is waited for. */
static void enqueue_shares(const material *m, cl_command_queue queue, const split *by, int merges) {
    shares s;
    verdict v;
    ck_assert(shares_open(&s, m, queue, by->rows, by->count, merges ? "on a queue, merged" : "on a queue"));
    verdict_make(&v, m);
    shares_moments(&s);
    if (merges) shares_merge(&s, clbn_moments_merge);
    shares_forward(&s);
    shares_sums(&s);
    if (merges) shares_merge(&s, clbn_backward_merge);
    shares_backward(&s);
    shares_gather_forward(&s);
    shares_gather_backward(&s);
    verdict_forward(&v, bounds_here(m), &s.out, s.title);
    verdict_backward(&v, bounds_here(m), &s.out, s.title);
    verdict_free(&v);
    shares_close(&s);
}

/* Out of order where the device has such queues. */
START_TEST(parts_on_a_queue_are_ordered_by_events) {
    const manner relu = manner_with(BY_ACTIVATION, DEFINITION_RELU, BY_RESIDUAL, 1);
    const cl_command_queue_properties kinds[] = {CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    const test_case of = case_of(ROWS, CHANNELS, 7, MEAN_1E4);
    batch b;
    material m;
    if (tested_is_cpu_path()) return;
    batch_make(&b, &of, tested_flushes_denormals());
    material_make(&m, &b, &relu);
    for (int k = 0; k < 2; k++) {
        cl_int code;
        cl_command_queue queue = clCreateCommandQueue(tested_context(), tested_cl_device(), kinds[k], &code);
        if (code != CL_SUCCESS && kinds[k]) continue;
        ck_cl(code);
        enqueue_shares(&m, queue, &splits[6], 1);
        enqueue_shares(&m, queue, &splits[4], 0);
        clReleaseCommandQueue(queue);
    }
    material_free(&m);
    batch_free(&b);
}
END_TEST

void add_parts(TCase *tests) {
    tcase_add_test(tests, shares_of_a_batch_are_normalized_as_the_whole);
    tcase_add_test(tests, shares_of_a_constant_channel_give_beta_exactly);
    tcase_add_test(tests, nan_and_inf_in_a_share_stay_in_their_channel);
    tcase_add_test(tests, shares_keep_to_every_way_of_normalizing);
    tcase_add_test(tests, parts_of_nothing_leave_everything_as_it_was);
    tcase_add_test(tests, an_empty_share_without_buffers_still_takes_the_statistics);
    tcase_add_test(tests, sums_hold_what_one_real_cannot);
    tcase_add_test(tests, many_parts_are_merged_or_refused);
    tcase_add_test(tests, small_values_behind_a_large_one_are_in_a_part_too);
    tcase_add_test(tests, parts_on_a_queue_are_ordered_by_events);
}
