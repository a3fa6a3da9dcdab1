/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge is no yes-man: what is exact passes, and whatever is off by more than its bound, in any output, any type and any channel, is
 * a miss, once, under its name.
 */
#include "data.h"
#include "judgement.h"
#include "setting.h"
#include "stored.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------------ one number */

static finding of_within(long double got, long double exact, long double bound) {
    heard h = {0};
    judge_within(&(hearing){heard_hear, &h}, BOUNDS_OF_DEVICE, "number", got, exact, bound);
    ck_assert_uint_eq(h.findings, 1);
    return h.last;
}

static finding of_value(bounds_of who, clbn_dtype type, double got, long double exact, long double bound) {
    heard h = {0};
    judge_value(&(hearing){heard_hear, &h}, who, type, "number", got, exact, bound);
    ck_assert_uint_eq(h.findings, 1);
    return h.last;
}

START_TEST(an_error_is_a_share_of_its_bound) {
    ck_assert(of_within(1.5L, 1, 2).ratio == 0.25L && !of_within(1.5L, 1, 2).miss);
    ck_assert(of_within(3, 1, 2).ratio == 1 && !of_within(3, 1, 2).miss);
    ck_assert(of_within(-1.5L, 1, 2).ratio == 1.25L && of_within(-1.5L, 1, 2).miss);
    ck_assert(of_within(1, 1, 0).ratio == 0 && !of_within(1, 1, 0).miss);
    ck_assert(isinf(of_within(1.0000001L, 1, 0).ratio) && of_within(1.0000001L, 1, 0).miss);
}
END_TEST

START_TEST(what_is_not_finite_must_not_be_and_the_other_way_round) {
    ck_assert(of_within(NAN, 1, 1e9L).miss && of_within(INFINITY, 1, 1e9L).miss);
    ck_assert(of_within(1, NAN, 1e9L).miss && of_within(0, INFINITY, 1e9L).miss);
    ck_assert(!of_within(NAN, NAN, 0).miss && !of_within(NAN, -INFINITY, 0).miss);
    ck_assert(!of_within(INFINITY, NAN, 0).miss && !of_within(-INFINITY, -INFINITY, 0).miss &&
              of_within(INFINITY, -INFINITY, 0).miss);
    ck_assert(of_value(BOUNDS_OF_CPU_PATH, CLBN_F16, NAN, 1, 1e9L).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F32, 1, NAN, 1e9L).miss);
}
END_TEST

START_TEST(a_rounded_result_may_be_off_by_its_rounding_and_no_more) {
    const long double third = 1 / 3.0L;
    static const clbn_dtype types[] = {CLBN_F16, CLBN_BF16};
    for (int t = 0; t < 2; t++) {
        const double near = stored_round(types[t], third), ulp = 2 * (double)stored_half_ulp(types[t], third);
        ck_assert(!of_value(BOUNDS_OF_DEVICE, types[t], near, third, 0).miss);
        ck_assert(of_value(BOUNDS_OF_DEVICE, types[t], near, third, 0).before <= 0);
        ck_assert(of_value(BOUNDS_OF_DEVICE, types[t], near + ulp, third, ulp / 8).miss);
        ck_assert(of_value(BOUNDS_OF_DEVICE, types[t], near - ulp, third, ulp / 8).miss);
        ck_assert(!of_value(BOUNDS_OF_DEVICE, types[t], near + ulp, third, ulp).miss);
        ck_assert(of_value(BOUNDS_OF_DEVICE, types[t], near + ulp, third, ulp / 8).before > 1);
    }
    ck_assert(!of_value(BOUNDS_OF_CPU_PATH, CLBN_F32, (double)(1 / 3.0f), third, 0).miss);
    ck_assert(of_value(BOUNDS_OF_CPU_PATH, CLBN_F32, (double)nextafterf(1 / 3.0f, 1), third, 0).miss);
}
END_TEST

/* The device's promise for a real holds the rounding: half an ulp is not added. */
START_TEST(a_real_of_a_device_is_rounded_within_its_bound) {
    ck_assert(!of_value(BOUNDS_OF_DEVICE, CLBN_F32, 1 + 1e-6, 1, 1e-6L).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F32, 1 + 1.02e-6, 1, 1e-6L).miss);
}
END_TEST

/* Of all judged, only a device in float32 may take denormals for 0. */
START_TEST(what_lies_next_to_0_is_lost_by_float32_on_devices_alone) {
    const bounds_channel near_0 = {1e-38L, 0, 0, 1, 0, 4};
    ck_assert(!of_value(BOUNDS_OF_DEVICE, CLBN_F32, 0, 1e-38L, 0).miss &&
              of_value(BOUNDS_OF_DEVICE, CLBN_F32, 0, 2e-38L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_CPU_PATH, CLBN_F32, 0, 1e-38L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE_F64, CLBN_F64, 0, 1e-38L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE_F64, CLBN_F64, 0, 0x1p-1074L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_CPU_PATH_F64, CLBN_F64, 0, 0x1p-1074L, 0).miss);
    ck_assert_ldouble_gt(bounds_mean_pair(BOUNDS_OF_DEVICE, &near_0), 1e-38L);
    ck_assert_ldouble_lt(bounds_mean_pair(BOUNDS_OF_CPU_PATH, &near_0), 1e-44L);
    ck_assert_ldouble_lt(bounds_mean_pair(BOUNDS_OF_DEVICE_F64, &near_0), 1e-53L);
    ck_assert_ldouble_gt(bounds_mean(BOUNDS_OF_DEVICE, &near_0), 1e-38L);
    ck_assert_ldouble_lt(bounds_mean(BOUNDS_OF_DEVICE_F64, &near_0), 1e-53L);
}
END_TEST

/* Either side of a kink is right: what is added then is dy instead of 0, and rounds where the sum comes to lie. */
START_TEST(what_a_kink_turns_over_is_rounded_like_any_other) {
    static const float olds[] = {0.0140534319f, 0.833521366f, 0.480024219f, 2.04348278f, -1e-3f, 3};
    for (int k = 1; k <= 1000; k++) {
        for (size_t o = 0; o < sizeof olds / sizeof *olds; o++) {
            const float dy = 0.0190811f * (float)k * (k % 2 ? 1 : -1), both = olds[o] + dy;
            const long double bound = bounds_accumulated(BOUNDS_OF_DEVICE, olds[o], 0, fabsl((long double)dy));
            ck_assert(!of_within(both, olds[o], bound).miss);
            ck_assert(of_within((long double)olds[o] + dy * (1 + 1e-6L), olds[o], bound).miss ||
                      fabsf(dy) < 0.5f * fabsf(olds[o]));
        }
    }
}
END_TEST

START_TEST(what_is_beyond_the_type_is_infinite) {
    ck_assert(!of_value(BOUNDS_OF_DEVICE, CLBN_F16, INFINITY, 1e5L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F16, 65504, 1e5L, 0).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F16, INFINITY, 65000, 1).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F16, -INFINITY, 1e5L, 0).miss);
    ck_assert(!of_value(BOUNDS_OF_DEVICE, CLBN_F32, INFINITY, 2e39L, 1e33L).miss);
    ck_assert(!of_value(BOUNDS_OF_DEVICE, CLBN_F32, -INFINITY, -2e39L, 1e33L).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F32, -INFINITY, 2e39L, 1e33L).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F32, INFINITY, 3e38L, 1e33L).miss);
    ck_assert(of_value(BOUNDS_OF_DEVICE, CLBN_F32, NAN, 2e39L, 1e33L).miss);
}
END_TEST

/* Of bounds that tests ask for themselves; sharpness.c has the others. */
START_TEST(bounds_that_tests_ask_for_are_the_tables) {
    const bounds_channel of = {2, 9, 1 / 3.0L, -5, 4, 16}, *c = &of;
    const struct {
        long double got, right;
    } all[] = {{bounds_folded_weight(BOUNDS_OF_DEVICE, -3), 3e-6L},
               {bounds_folded_weight(BOUNDS_OF_CPU_PATH, -3), 3e-13L},
               {bounds_folded_bias(BOUNDS_OF_DEVICE, -3, 2), 5e-6L},
               {bounds_folded_bias(BOUNDS_OF_DEVICE_F64, 3, -2), 5e-13L},
               {bounds_y(BOUNDS_OF_DEVICE, c, -3), 7e-6L},
               {bounds_y(BOUNDS_OF_DEVICE, &(bounds_channel){0, 1, 1, 1, 0, 9}, 0.5L), 1e-6L},
               {bounds_y(BOUNDS_OF_DEVICE, &(bounds_channel){0, 1, 1, 1e-3L, 0, 9}, 1e-3L), 1e-6L},
               {bounds_y(BOUNDS_OF_DEVICE, &(bounds_channel){0, 4, 0.5L, -1e3L, 0, 9}, 0.5L), 1e-3L},
               {bounds_y(BOUNDS_OF_DEVICE, &(bounds_channel){0, 4, 0.5L, -1e3L, 2, 9}, 3e3L), 3.002e-3L},
               {bounds_y(BOUNDS_OF_DEVICE, &(bounds_channel){0, 0, 0.5L, 1e3L, 0, 9}, 0.5L), 1e-6L},
               {bounds_y(BOUNDS_OF_CPU_PATH_F64, &(bounds_channel){0, 4, 0.5L, 1e3L, 0, 9}, 0.5L), 1e-10L},
               {bounds_batch_mean(BOUNDS_OF_DEVICE, c), 3e-6L},
               {bounds_batch_mean(BOUNDS_OF_CPU_PATH, c), 3e-13L + 6 * 0x1p-53L * 2},
               {bounds_batch_var(BOUNDS_OF_CPU_PATH, 9), 9e-13L},
               {stored_half_ulp(CLBN_F32, 3), 0x1p-23L}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        ck_assert_msg(fabsl(all[k].got - all[k].right) <= 0.01L * all[k].right, "bound %zu is %Lg and not %Lg", k, all[k].got,
                      all[k].right);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------ whole calls */

static const struct {
    bounds_of who;
    clbn_dtype type;
    double off; /* what no bound of it allows, relative */
} judges[] = {{BOUNDS_OF_DEVICE, CLBN_F32, 2e-5},      {BOUNDS_OF_CPU_PATH, CLBN_F32, 3e-7},
              {BOUNDS_OF_DEVICE, CLBN_F16, 4e-3},      {BOUNDS_OF_CPU_PATH, CLBN_BF16, 3e-2},
              {BOUNDS_OF_DEVICE_F64, CLBN_F64, 2e-12}, {BOUNDS_OF_CPU_PATH_F64, CLBN_F64, 2e-12}};
enum { JUDGES = sizeof judges / sizeof *judges };

START_TEST(exact_results_pass) {
    static const data_kind kinds[] = {NORMAL, MEAN_1E6, OUTLIERS, CONSTANT, ONE_NAN};
    for (int j = 0; j < JUDGES; j++)
        for (size_t d = 0; d < sizeof kinds / sizeof *kinds; d++) {
            setting s;
            setting_open(&s, judges[j].type, kinds[d], NULL);
            const heard h = setting_judged(&s, judges[j].who, NULL);
            ck_assert_msg(h.misses == 0, "%s is %Lg instead of %Lg (judge %d, %s)", h.miss.what, h.miss.got, h.miss.exact, j,
                          data_name(kinds[d]));
            ck_assert_uint_ge(h.findings, 3 * COUNT);
            setting_close(&s);
        }
}
END_TEST

/* One wrong number in each output in turn, in its first channel and in its last. */
START_TEST(a_wrong_number_is_a_miss_under_its_name) {
    for (int j = 0; j < JUDGES; j++) {
        setting s;
        const char *name;
        size_t count;
        setting_open(&s, judges[j].type, NORMAL, NULL);
        for (size_t k = 0; setting_array(&s.got, k, &name, &count); k++)
            for (size_t at = 0; at < count; at += count - 1) {
                double *one = setting_array(&s.got, k, &name, &count) + at, was = *one;
                *one += judges[j].off * (fabs(*one) + 4);
                const heard h = setting_judged(&s, judges[j].who, NULL);
                ck_assert_msg(h.misses >= 1, "%s off by %g passed (judge %d)", name, *one - was, j);
                const int with_pair = !strcmp(name, "mean"); /* the pair's half */
                ck_assert_msg(h.misses == 1 || (with_pair && h.misses == 2), "%s: %zu misses", name, h.misses);
                ck_assert_msg(with_pair || !strcmp(h.miss.what, name), "%s instead of %s", h.miss.what, name);
                *one = NAN;
                ck_assert_msg(setting_judged(&s, judges[j].who, NULL).misses >= 1, "a NaN in %s passed", name);
                *one = was;
            }
        setting_close(&s);
    }
}
END_TEST

/* A NaN in the middle channel's x must show in that channel, and in no other. */
START_TEST(a_nan_must_stay_in_its_channel_and_be_there) {
    setting s;
    setting_open(&s, CLBN_F32, ONE_NAN, NULL);
    ck_assert(isnan(s.exact.mean[1]) && isfinite(s.exact.mean[0]));
    s.got.y[7] = 0; /* of channel 1 */
    ck_assert_uint_eq(setting_judged(&s, BOUNDS_OF_DEVICE, NULL).misses, 1);
    s.got.y[7] = NAN, s.got.y[0] = NAN;
    ck_assert_uint_eq(setting_judged(&s, BOUNDS_OF_DEVICE, NULL).misses, 1);
    setting_close(&s);
}
END_TEST

/* The kinds of data are what they are called. */
START_TEST(data_is_as_adverse_as_it_says) {
    static const struct {
        data_kind data;
        double least, most;
    } far[] = {{MEAN_1E2, 50, 200}, {MEAN_1E4, 5e3, 2e4}, {MEAN_1E6, 5e5, 2e6}};
    for (size_t k = 0; k < sizeof far / sizeof *far; k++) {
        setting s;
        setting_open(&s, CLBN_F32, far[k].data, NULL);
        const double ratio = (double)(fabsl(s.exact.mean[0]) / sqrtl(s.exact.var[0]));
        ck_assert_msg(ratio > far[k].least && ratio < far[k].most, "%s: mean / sigma is %g", data_name(far[k].data), ratio);
        setting_close(&s);
    }
    setting s;
    setting_open(&s, CLBN_F32, OUTLIERS, NULL);
    const double *last = s.x + (ROWS - 1) * CHANNELS * INNER + INNER - 1;
    ck_assert(s.x[0] == 1e6 && last[0] == -3e5);
    ck_assert(fabs(s.x[INNER]) < 10 && last[INNER] == 1e6);
    ck_assert(s.x[2 * INNER] == 1e6 && fabs(last[2 * INNER]) < 10);
    setting_close(&s);
    double *dy = data_dy(&(batch){.shape = {2, 2, 2}, .count = 8, .values = 4}, CLBN_F32, DY_OUTLIER, 3);
    ck_assert(dy[0] == 1e6 && dy[7] == 1e6 && fabs(dy[1]) < 10 && fabs(dy[2]) < 10);
    free(dy);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "judgement");
    tcase_add_test(tests, an_error_is_a_share_of_its_bound);
    tcase_add_test(tests, what_is_not_finite_must_not_be_and_the_other_way_round);
    tcase_add_test(tests, a_rounded_result_may_be_off_by_its_rounding_and_no_more);
    tcase_add_test(tests, a_real_of_a_device_is_rounded_within_its_bound);
    tcase_add_test(tests, what_lies_next_to_0_is_lost_by_float32_on_devices_alone);
    tcase_add_test(tests, what_a_kink_turns_over_is_rounded_like_any_other);
    tcase_add_test(tests, what_is_beyond_the_type_is_infinite);
    tcase_add_test(tests, bounds_that_tests_ask_for_are_the_tables);
    tcase_add_test(tests, exact_results_pass);
    tcase_add_test(tests, a_wrong_number_is_a_miss_under_its_name);
    tcase_add_test(tests, a_nan_must_stay_in_its_channel_and_be_there);
    tcase_add_test(tests, data_is_as_adverse_as_it_says);
    add_sharpness(add_tests(suite, "sharpness"));
}

int main(void) {
    return run_suite("judgement", add);
}
