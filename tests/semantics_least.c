/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls with little to do, in the semantics suite: statistics alone, shares of nothing; and sums that overflow, or that round alike at
 * every step.
 */
#include "semantics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, CHANNELS = 3, COUNT = ROWS * CHANNELS, CHANNELS_OF_BLOCKS = 16 };

static clbn_plan *relu_plan(size_t rows, int mask) {
    const size_t dims[] = {rows, CHANNELS};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.activation = mask ? CLBN_RELU : CLBN_IDENTITY, config.mask = mask;
    return plan_of(tested(), &config);
}

START_TEST(statistics_alone_leave_the_mask_of_the_last_call) {
    float x[COUNT], mean[CHANNELS];
    unsigned char mask[COUNT], before[COUNT];
    for (int i = 0; i < COUNT; i++) x[i] = (float)(i % 11);
    memset(mask, 0xab, sizeof mask);
    memcpy(before, mask, sizeof mask);
    clbn_plan *plan = relu_plan(ROWS, 1);
    ck_assert_uint_le(clbn_plan_mask_bytes(plan), sizeof mask);
    const clbn_forward_args args = {.x = clbn_host(x), .mask = clbn_host(mask), .saved_mean = clbn_host(mean)};
    ck_clbn(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
    ck_assert_mem_eq(mask, before, sizeof mask);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(an_empty_share_may_bring_its_empty_mask) {
    unsigned char mask[1] = {7};
    float dgamma[CHANNELS] = {1, 2, 3}, dbeta[CHANNELS] = {4, 5, 6};
    clbn_plan *plan = relu_plan(0, 1);
    ck_assert_uint_eq(clbn_plan_mask_bytes(plan), 0);
    const clbn_backward_args args = {.mask = clbn_host(mask), .dgamma = clbn_host(dgamma), .dbeta = clbn_host(dbeta)};
    ck_clbn(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL));
    for (int c = 0; c < CHANNELS; c++) ck_assert(dgamma[c] == 0 && dbeta[c] == 0);
    ck_assert_uint_eq(mask[0], 7);
    clbn_plan_destroy(plan);
}
END_TEST

static void sums_must_be_infinite(const float *x, const float *dy) {
    float dgamma[CHANNELS], dbeta[CHANNELS], dx[COUNT];
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++) {
        const size_t dims[] = {ROWS, CHANNELS};
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 2, config.dims = dims, config.variant = names[k];
        clbn_plan *plan = plan_of(tested(), &config);
        const clbn_backward_args args = {
            .x = clbn_host(x), .dy = clbn_host(dy), .dx = clbn_host(dx), .dgamma = clbn_host(dgamma), .dbeta = clbn_host(dbeta)};
        ck_clbn(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL));
        ck_assert_msg(dbeta[1] == INFINITY && isinf(dgamma[1]), "%s: dbeta is %g, dgamma %g", names[k] ? names[k] : "its choice",
                      (double)dbeta[1], (double)dgamma[1]);
        ck_assert(isfinite(dbeta[0]) && isfinite(dgamma[2]) && isfinite(dx[0]));
        clbn_plan_destroy(plan);
    }
}

START_TEST(sums_beyond_the_largest_number_are_infinite) {
    float x[COUNT], dy[COUNT];
    for (int i = 0; i < COUNT; i++) x[i] = i < COUNT / 2 ? 1.0f : -1.0f, dy[i] = 1;
    dy[1 + 21 * CHANNELS] = INFINITY;
    sums_must_be_infinite(x, dy);
    for (int i = 1; i < COUNT; i += CHANNELS) dy[i] = i < COUNT / 2 ? 3e37f : 1e36f;
    sums_must_be_infinite(x, dy);
}
END_TEST

/* A channel of +a and -a, by turns of so many values: every block has the same M2, and adding it to what there is loses the same again. */
static void blocks_must_add_up(size_t rows, size_t channels, size_t inner, size_t turn) {
    const size_t dims[] = {rows, channels, inner};
    const bounds_of who = tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    if (rows * channels * inner > test_element_limit()) return;
    float *x = calloc(rows * channels * inner, sizeof *x), var[CHANNELS_OF_BLOCKS];
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < rows * channels * inner; i++) {
        const size_t c = i / inner % channels, k = i / inner / channels * inner + i % inner;
        x[i] = (k / turn % 2 ? -1 : 1) * (1 + (float)c / 13);
    }
    for (size_t k = 0; k < count; k++) {
        clbn_plan *plan = NULL;
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = dims, config.variant = names[k];
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        ck_clbn(clbn_moments(plan, NULL, &(clbn_moments_args){.x = clbn_host(x), .var = clbn_host(var)}, 0, NULL, NULL));
        for (size_t c = 0; c < channels; c++) {
            const long double a = fabsf(x[c * inner]);
            verdict_value(who, CLBN_F32, "var", var[c], a * a, bounds_batch_var(who, a * a), names[k] ? names[k] : "its choice");
        }
        clbn_plan_destroy(plan);
    }
    free(x);
}

START_TEST(equal_blocks_add_up_without_drifting) {
    blocks_must_add_up(4096, CHANNELS_OF_BLOCKS, 1, 1);
    blocks_must_add_up(1, 4, 65536, 16);
}
END_TEST

void add_least(TCase *tests) {
    tcase_add_test(tests, statistics_alone_leave_the_mask_of_the_last_call);
    tcase_add_test(tests, an_empty_share_may_bring_its_empty_mask);
    tcase_add_test(tests, sums_beyond_the_largest_number_are_infinite);
    tcase_add_test(tests, equal_blocks_add_up_without_drifting);
}
