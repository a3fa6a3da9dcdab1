/* SPDX-License-Identifier: Apache-2.0
 *
 * What the numbers mean, on the CPU path and on devices: the tutorial's example, presets, running statistics step by step, one
 * value a channel, none, constant channels. Host calls only, so that the same tests run on both.
 */
#include "judge.h"
#include "semantics.h"
#include "stored.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static clbn_config columns(const size_t dims[2], double epsilon) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.epsilon = epsilon;
    return config;
}

static void train(const clbn_plan *plan, const clbn_forward_args *args) {
    ck_clbn(clbn_forward_training(plan, NULL, args, 0, NULL, NULL));
}

START_TEST(the_tutorials_batch_gives_the_tutorials_numbers) {
    static const float x[] = {-1, 3, 2, -3, 1, 3, 2, -7, 4, 5, 7, 6};
    static const double printed[] = {-0.57731885, 0.39222473, -1.1829456, -1.2371118, 0,         -0.5069766,
                                     0.4123706,   -1.568899,  0.16899228, 1.40206,    1.1766742, 1.5209303};
    static const float mean[] = {0.75f, 1, 3.75f}, var[] = {9.1875f, 26, 2.1875f};
    float y[12];
    clbn_config config = columns((size_t[]){4, 3}, 0.001);
    clbn_plan *plan = plan_of(tested(), &config);
    train(plan, &(clbn_forward_args){.x = clbn_host(x), .y = clbn_host(y)});
    for (int i = 0; i < 12; i++) { /* printed is another library's float32: it gets a device's bound too */
        bounds_channel c = {mean[i % 3], var[i % 3], 0, 1, 0, 4};
        ck_assert_ldouble_le(fabsl(y[i] - printed[i]), 2 * bounds_y(BOUNDS_OF_DEVICE, &c, printed[i]));
    }
    train(plan, &(clbn_forward_args){.x = clbn_host(x), .saved_mean = clbn_host(y), .saved_var = clbn_host(y + 3)});
    ck_assert_mem_eq(y, mean, sizeof mean); /* sums of small integers over 4: exact */
    ck_assert_mem_eq(y + 3, var, sizeof var);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(gamma_1_beta_0_standardizes_64x200) {
    batch b;
    batch_make(&b, case_named("batch_64x200"), 0);
    way w = plain_way(ON_HOST);
    w.epsilon = 0, w.affine = NO_AFFINE;
    clbn_config config = config_of(&b, &w, NULL);
    clbn_plan *plan = plan_of(tested(), &config);
    scene s;
    scene_make(&s, &b, &w, TRAINING, tested_queue(), plan, "");
    result got = scene_run(&s, plan, NULL);
    long double mean[200], lo[200], var[200];
    double *y = widened(got.y, b.count);
    definition_moments(b.shape, y, mean, lo, var);
    free(y);
    for (int c = 0; c < 200; c++) {
        /* Each of the 64 values is off by its bound at most, the largest of which is at the largest |y|. */
        long double most = 0;
        bounds_channel of = {0, 0, 0, 1, 0, 64};
        for (size_t o = 0; o < 64; o++) most = fmaxl(most, bounds_y(BOUNDS_OF_DEVICE, &of, got.y[o * 200 + (size_t)c]));
        ck_assert_ldouble_le(fabsl(mean[c]), most);
        ck_assert_ldouble_le(fabsl(var[c] - 1), 2 * most + most * most); /* mean of (y + e)^2 - 1, mean |y| at most 1 */
    }
    scene_free(&s);
    clbn_plan_destroy(plan);
    batch_free(&b);
}
END_TEST

/* gamma = sqrt(var + epsilon) and beta = mean undo the normalization; both are rounded to float, and y has its bound. */
START_TEST(gamma_sigma_beta_mean_gives_the_input_back) {
    static const char *const names[] = {"batch_64x200", "batch_64x200_far", "inner_17", "far_1e4"};
    for (int k = 0; k < 4; k++) {
        if (case_elements(case_named(names[k])) > test_element_limit()) continue;
        batch b;
        batch_make(&b, case_named(names[k]), 0);
        const definition_shape shape = b.shape;
        long double *mean = calloc(2 * shape.channels, sizeof *mean), *var = calloc(shape.channels, sizeof *var);
        double *x = widened(b.x, b.count);
        definition_moments(shape, x, mean, mean + shape.channels, var);
        free(x);
        way w = plain_way(ON_HOST);
        for (size_t c = 0; c < shape.channels; c++) {
            b.gamma[c] = (float)sqrtl(var[c] + w.epsilon);
            b.beta[c] = (float)mean[c];
        }
        clbn_config config = config_of(&b, &w, NULL);
        clbn_plan *plan = plan_of(tested(), &config);
        scene s;
        scene_make(&s, &b, &w, TRAINING, tested_queue(), plan, "");
        const float *y = scene_run(&s, plan, NULL).y;
        for (size_t i = 0; i < b.count; i++) {
            size_t c = i / shape.inner % shape.channels;
            long double about = b.x[i] - mean[c];
            bounds_channel of = {mean[c], var[c], 1 / sqrtl(var[c] + w.epsilon), b.gamma[c], b.beta[c], b.values};
            long double rounded = 0x1p-24L * fabsl(about) + stored_half_ulp(CLBN_F32, mean[c]);
            ck_assert_msg(fabsl((long double)y[i] - b.x[i]) <= bounds_y(tested_bounds(), &of, about) + rounded,
                          "%s: element %zu came back as %.9g instead of %.9g", s.title, i, (double)y[i], (double)b.x[i]);
        }
        scene_free(&s);
        clbn_plan_destroy(plan);
        free(mean), free(var);
        batch_free(&b);
    }
}
END_TEST

START_TEST(presets_are_what_the_frameworks_do) {
    const clbn_config torch = clbn_config_preset(CLBN_PRESET_PYTORCH), keras = clbn_config_preset(CLBN_PRESET_TENSORFLOW),
                      onnx = clbn_config_preset(CLBN_PRESET_ONNX), none = clbn_config_preset((clbn_preset)99);
    ck_assert(torch.epsilon == 1e-5 && keras.epsilon == 1e-3 && onnx.epsilon == 1e-5);
    ck_assert_int_eq(torch.running_variance, CLBN_RUNNING_UNBIASED);
    ck_assert_int_eq(keras.running_variance, CLBN_RUNNING_BIASED);
    ck_assert_int_eq(onnx.running_variance, CLBN_RUNNING_BIASED);
    const clbn_config *all[] = {&torch, &keras, &onnx, &none};
    for (int k = 0; k < 4; k++) {
        ck_assert_int_eq(all[k]->epsilon_rule, CLBN_EPSILON_INSIDE);
        ck_assert_int_eq(all[k]->dtype, CLBN_F32);
        ck_assert_int_eq(all[k]->axis, 1);
        ck_assert_uint_eq(all[k]->rank, 0);
        ck_assert_ptr_null(all[k]->dims);
        ck_assert_ptr_null(all[k]->variant);
    }
    ck_assert(none.epsilon == torch.epsilon && none.running_variance == torch.running_variance);
    ck_assert(clbn_preset_update_weight(CLBN_PRESET_PYTORCH) == 0.1);
    ck_assert(clbn_preset_update_weight(CLBN_PRESET_TENSORFLOW) == 0.01);
    ck_assert(clbn_preset_update_weight(CLBN_PRESET_ONNX) == 0.1);
    ck_assert(clbn_preset_update_weight((clbn_preset)99) == 0.1);
}
END_TEST

/* STEPS batches of 16x5 go into running statistics from 0, by the library and by the definition, which starts each step at
 * what the library left: the bound of one step holds at each. weight_of(k) is the k-th batch's. */
enum { STEPS = 5, FIVE = 5 };
static void follow_the_population(double (*weight_of)(int), clbn_running_variance kind, float mean[FIVE], float var[FIVE]) {
    clbn_config config = columns((size_t[]){16, FIVE}, 1e-3);
    config.running_variance = kind;
    clbn_plan *plan = plan_of(tested(), &config);
    test_case of = case_of(16 * STEPS, FIVE, 1, NORMAL);
    batch b;
    batch_make(&b, &of, 0);
    for (int k = 0; k < STEPS; k++) {
        const float *x = b.x + k * 16 * FIVE;
        float y[16 * FIVE], mean_before[FIVE], var_before[FIVE];
        memcpy(mean_before, mean, sizeof mean_before);
        memcpy(var_before, var, sizeof var_before);
        train(plan, &(clbn_forward_args){.x = clbn_host(x),
                                         .y = clbn_host(y),
                                         .running_mean = clbn_host(mean),
                                         .running_var = clbn_host(var),
                                         .update_weight = weight_of(k)});
        long double exact_mean[FIVE], exact_lo[FIVE], exact_var[FIVE];
        double *wide = widened(x, 16 * FIVE);
        definition_moments((definition_shape){16, FIVE, 1}, wide, exact_mean, exact_lo, exact_var);
        free(wide);
        for (int c = 0; c < FIVE; c++) {
            bounds_channel channel = {exact_mean[c], exact_var[c], 0, 1, 0, 16};
            long double part = kind == CLBN_RUNNING_UNBIASED ? definition_unbiased(exact_var[c], 16) : exact_var[c],
                        w = weight_of(k);
            ck_assert_ldouble_le(fabsl(mean[c] - definition_running(mean_before[c], exact_mean[c], weight_of(k))),
                                 bounds_running(tested_bounds(), mean_before[c], exact_mean[c], (double)w,
                                                bounds_batch_mean(tested_bounds(), &channel)));
            ck_assert_ldouble_le(
                fabsl(var[c] - definition_running(var_before[c], part, weight_of(k))),
                bounds_running(tested_bounds(), var_before[c], part, (double)w, bounds_batch_var(tested_bounds(), part)));
        }
    }
    batch_free(&b);
    clbn_plan_destroy(plan);
}

static double of_decay_099(int k) {
    return (void)k, clbn_preset_update_weight(CLBN_PRESET_TENSORFLOW);
}
static double of_average(int k) {
    return 1.0 / (k + 1);
}
static double of_nothing(int k) {
    return (void)k, 0;
}
static double of_all(int k) {
    return (void)k, 1;
}

START_TEST(population_statistics_follow_a_decay_of_099_from_0) {
    float mean[FIVE] = {0}, var[FIVE] = {0};
    follow_the_population(of_decay_099, CLBN_RUNNING_BIASED, mean, var);
    for (int c = 0; c < FIVE; c++) ck_assert(var[c] > 0 && var[c] < 1);
    follow_the_population(of_decay_099, CLBN_RUNNING_UNBIASED, mean, var);
}
END_TEST

START_TEST(weights_of_1_over_k_plus_1_give_the_plain_average) {
    float mean[FIVE] = {NAN, NAN, NAN, NAN, NAN}, var[FIVE] = {NAN, NAN, NAN, NAN, NAN};
    follow_the_population(of_average, CLBN_RUNNING_UNBIASED, mean, var);
}
END_TEST

START_TEST(a_weight_of_0_leaves_the_running_statistics_bit_for_bit) {
    float mean[FIVE] = {1.5f, NAN, -0.0f, 1e-42f, INFINITY}, var[FIVE] = {1, NAN, 0, 3e-41f, INFINITY}, mean_was[FIVE],
          var_was[FIVE];
    memcpy(mean_was, mean, sizeof mean);
    memcpy(var_was, var, sizeof var);
    clbn_config config = columns((size_t[]){16, FIVE}, 1e-3);
    clbn_plan *plan = plan_of(tested(), &config);
    float x[16 * FIVE] = {3, 1, NAN, INFINITY}, y[16 * FIVE];
    train(plan, &(clbn_forward_args){.x = clbn_host(x),
                                     .y = clbn_host(y),
                                     .running_mean = clbn_host(mean),
                                     .running_var = clbn_host(var),
                                     .update_weight = of_nothing(0)});
    ck_assert_mem_eq(mean, mean_was, sizeof mean);
    ck_assert_mem_eq(var, var_was, sizeof var);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(a_weight_of_1_replaces_whatever_was_there) {
    float mean[FIVE] = {NAN, INFINITY, -INFINITY, 1e30f, 0}, var[FIVE] = {NAN, INFINITY, -1, 1e30f, 0};
    float other_mean[FIVE] = {0}, other_var[FIVE] = {0};
    follow_the_population(of_all, CLBN_RUNNING_BIASED, mean, var);
    follow_the_population(of_all, CLBN_RUNNING_BIASED, other_mean, other_var);
    ck_assert_mem_eq(mean, other_mean, sizeof mean);
    ck_assert_mem_eq(var, other_var, sizeof var);
}
END_TEST

START_TEST(only_one_running_statistic_may_be_given) {
    float x[16 * FIVE], mean[FIVE] = {0}, var[FIVE] = {0};
    for (int i = 0; i < 16 * FIVE; i++) x[i] = (float)(i % 7);
    clbn_config config = columns((size_t[]){16, FIVE}, 0);
    clbn_plan *plan = plan_of(tested(), &config);
    train(plan, &(clbn_forward_args){.x = clbn_host(x), .running_mean = clbn_host(mean), .update_weight = 1});
    train(plan, &(clbn_forward_args){.x = clbn_host(x), .running_var = clbn_host(var), .update_weight = 1});
    for (int c = 0; c < FIVE; c++) ck_assert(mean[c] > 0 && var[c] > 0);
    clbn_plan_destroy(plan);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "meaning");
    tcase_add_test(tests, the_tutorials_batch_gives_the_tutorials_numbers);
    tcase_add_test(tests, gamma_1_beta_0_standardizes_64x200);
    tcase_add_test(tests, gamma_sigma_beta_mean_gives_the_input_back);
    tcase_add_test(tests, presets_are_what_the_frameworks_do);
    tcase_add_test(tests, population_statistics_follow_a_decay_of_099_from_0);
    tcase_add_test(tests, weights_of_1_over_k_plus_1_give_the_plain_average);
    tcase_add_test(tests, a_weight_of_0_leaves_the_running_statistics_bit_for_bit);
    tcase_add_test(tests, a_weight_of_1_replaces_whatever_was_there);
    tcase_add_test(tests, only_one_running_statistic_may_be_given);
    add_edges(add_tests(suite, "edges"));
    add_activations(add_tests(suite, "activations"));
    add_kinks(add_tests(suite, "kinks"));
    add_gradients(add_tests(suite, "gradients"));
    add_integers(add_tests(suite, "integers"));
    add_least(add_tests(suite, "least"));
    add_parts(add_tests(suite, "parts"));
    add_running(add_tests(suite, "running"));
    add_folding(add_tests(suite, "folding"));
}

int main(void) {
    return run_suite("semantics", add);
}
