/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls with little to do, in the semantics suite: statistics alone, shares of nothing; and sums that overflow.
 */
#include "semantics.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64, CHANNELS = 3, COUNT = ROWS * CHANNELS };

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

void add_least(TCase *tests) {
    tcase_add_test(tests, statistics_alone_leave_the_mask_of_the_last_call);
    tcase_add_test(tests, an_empty_share_may_bring_its_empty_mask);
    tcase_add_test(tests, sums_beyond_the_largest_number_are_infinite);
}
