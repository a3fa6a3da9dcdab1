/* SPDX-License-Identifier: Apache-2.0
 *
 * int8 in the semantics suite: every integer is read as itself, results are rounded to nearest and to even, and saturate.
 */
#include "semantics.h"

#include <math.h>
#include <string.h>

enum { VALUES = 256, CHANNELS = 3, COUNT = VALUES * CHANNELS };

/* Column c holds every integer; the constants make no product inexact, so that the exact result is known. */
static const float gammas[CHANNELS] = {1, 0.5f, -3}, betas[CHANNELS] = {0, 0, 100}, means[CHANNELS] = {0, -3, 16};
static const float vars[CHANNELS] = {1, 1, 4};

static double exact(int c, double x) {
    return (x - (double)means[c]) * (double)gammas[c] / sqrt((double)vars[c]) + (double)betas[c];
}

static double saturated(double v) {
    return v < -128 ? -128 : v > 127 ? 127 : rint(v); /* to even where two are near */
}

static clbn_plan *plan_for(clbn_dtype x, clbn_dtype y, int residual) {
    static const size_t dims[] = {VALUES, CHANNELS};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.epsilon = 0, config.dtype = x, config.y_dtype = y, config.residual = residual;
    return plan_of(tested(), &config);
}

static clbn_status infer(const clbn_plan *plan, const void *x, void *y, const void *residual) {
    const clbn_forward_args args = {.x = clbn_host(x),
                                    .y = clbn_host(y),
                                    .gamma = clbn_host(gammas),
                                    .beta = clbn_host(betas),
                                    .running_mean = clbn_host(means),
                                    .running_var = clbn_host(vars),
                                    .residual = clbn_host(residual)};
    return clbn_forward_inference(plan, NULL, &args, 0, NULL, NULL);
}

static void all_integers(int8_t x[COUNT]) {
    for (int i = 0; i < COUNT; i++) x[i] = (int8_t)(i / CHANNELS - 128);
}

START_TEST(int8_is_rounded_to_even_and_saturates) {
    int8_t x[COUNT], y[COUNT];
    all_integers(x);
    clbn_plan *plan = plan_for(CLBN_I8, CLBN_AS_X, 0);
    ck_clbn(infer(plan, x, y, NULL));
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(y[i] == saturated(exact(i % CHANNELS, x[i])), "x %d of channel %d gives %d instead of %g", x[i],
                      i % CHANNELS, y[i], saturated(exact(i % CHANNELS, x[i])));
    ck_clbn(infer(plan, x, x, NULL)); /* in place */
    ck_assert_mem_eq(x, y, sizeof x);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(int8_in_and_float_out_loses_nothing) {
    int8_t x[COUNT];
    float y[COUNT];
    all_integers(x);
    clbn_plan *plan = plan_for(CLBN_I8, CLBN_F32, 0);
    ck_clbn(infer(plan, x, y, NULL));
    for (int i = 0; i < COUNT; i++) ck_assert_double_eq(y[i], exact(i % CHANNELS, x[i]));
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(a_float_becomes_int8_and_nan_0) {
    int8_t y[COUNT], residual[COUNT];
    float x[COUNT];
    for (int i = 0; i < COUNT; i++) x[i] = (float)(i / CHANNELS - 128) * 0.5f, residual[i] = (int8_t)(i % 7 - 3);
    x[3] = NAN, x[6] = INFINITY, x[9] = -INFINITY;
    clbn_plan *plan = plan_for(CLBN_F32, CLBN_I8, 1);
    ck_clbn(infer(plan, x, y, residual));
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(y[i], i == 3 ? 0 : (int)saturated(exact(i % CHANNELS, (double)x[i]) + residual[i]));
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(int8_is_for_inference_alone) {
    int8_t x[COUNT] = {0};
    float mean[CHANNELS];
    clbn_plan *plan = plan_for(CLBN_I8, CLBN_F32, 0);
    must_refuse(clbn_moments(plan, NULL, &(clbn_moments_args){.x = clbn_host(x), .mean = clbn_host(mean)}, 0, NULL, NULL),
                CLBN_ERROR_UNSUPPORTED, "CLBN_I8", "moments of int8");
    must_refuse(
        clbn_forward_training(plan, NULL, &(clbn_forward_args){.x = clbn_host(x), .saved_mean = clbn_host(mean)}, 0, NULL, NULL),
        CLBN_ERROR_UNSUPPORTED, "CLBN_I8", "training of int8");
    clbn_plan_destroy(plan);
}
END_TEST

void add_integers(TCase *tests) {
    tcase_add_test(tests, int8_is_rounded_to_even_and_saturates);
    tcase_add_test(tests, int8_in_and_float_out_loses_nothing);
    tcase_add_test(tests, a_float_becomes_int8_and_nan_0);
    tcase_add_test(tests, int8_is_for_inference_alone);
}
