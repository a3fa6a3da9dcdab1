/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients at the edges: constant channels, one value a channel, none; accumulation; frozen layers.
 */
#include "definition.h"
#include "semantics.h"
#include "stored.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One batch, its saved statistics, and room for all gradients. */
typedef struct simple {
    batch b;
    test_case of;
    clbn_plan *plan;
    float *y, *mean, *mean_lo, *inv_std, *var, *dx, *dgamma, *dbeta, *all;
    size_t gradients; /* floats from dx on, of dx, dgamma and dbeta */
} simple;

static void simple_make(simple *s, test_case of, const clbn_config *like) {
    memset(s, 0, sizeof *s);
    s->of = of;
    batch_make(&s->b, &s->of, tested_flushes_denormals());
    clbn_config config = *like;
    config.rank = 3, config.dims = s->of.dims, config.axis = 1;
    s->plan = plan_of(tested(), &config);
    const size_t n = s->b.shape.channels, count = s->b.count;
    s->all = calloc(2 * count + 6 * n + 1, sizeof(float));
    ck_assert_ptr_nonnull(s->all);
    s->dx = s->all, s->dgamma = s->dx + count, s->dbeta = s->dgamma + n, s->y = s->dbeta + n;
    s->mean = s->y + count, s->mean_lo = s->mean + n, s->inv_std = s->mean_lo + n, s->var = s->inv_std + n;
    s->gradients = count + 2 * n;
    ck_clbn(clbn_forward_training(s->plan, NULL,
                                  &(clbn_forward_args){.x = clbn_host(s->b.x),
                                                       .y = clbn_host(s->y),
                                                       .gamma = clbn_host(s->b.gamma),
                                                       .beta = clbn_host(s->b.beta),
                                                       .saved_mean = clbn_host(s->mean),
                                                       .saved_mean_lo = clbn_host(s->mean_lo),
                                                       .saved_inv_std = clbn_host(s->inv_std),
                                                       .saved_var = clbn_host(s->var)},
                                  0, NULL, NULL));
}

static void simple_backward(simple *s, const float *dy, unsigned accumulate) {
    ck_clbn(clbn_backward_training(s->plan, NULL,
                                   &(clbn_backward_args){.dy = clbn_host(dy),
                                                         .x = clbn_host(s->b.x),
                                                         .dx = clbn_host(s->dx),
                                                         .dgamma = clbn_host(s->dgamma),
                                                         .dbeta = clbn_host(s->dbeta),
                                                         .accumulate = accumulate,
                                                         .gamma = clbn_host(s->b.gamma),
                                                         .beta = clbn_host(s->b.beta),
                                                         .saved_mean = clbn_host(s->mean),
                                                         .saved_mean_lo = clbn_host(s->mean_lo),
                                                         .saved_var = clbn_host(s->var),
                                                         .saved_inv_std = clbn_host(s->inv_std)},
                                   0, NULL, NULL));
}

static void simple_free(simple *s) {
    clbn_plan_destroy(s->plan);
    batch_free(&s->b);
    free(s->all);
}

static float *some_dy(size_t count) {
    float *dy = calloc(count + 1, sizeof *dy);
    ck_assert_ptr_nonnull(dy);
    for (size_t i = 0; i < count; i++) dy[i] = (float)((i * 2654435761u) % 1000) * 0.01f - 4.5f;
    return dy;
}

static const unsigned everything =
    CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA | CLBN_ACCUMULATE_DRESIDUAL;

START_TEST(accumulating_twice_doubles_to_the_bit) {
    const clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    simple s;
    simple_make(&s, case_of(7, 9, 31, NORMAL), &config);
    float *dy = some_dy(s.b.count), *once = calloc(s.gradients, sizeof *once);
    simple_backward(&s, dy, 0);
    memcpy(once, s.dx, s.gradients * sizeof *once);
    memset(s.dx, 0, s.gradients * sizeof *once);
    simple_backward(&s, dy, everything);
    for (size_t i = 0; i < s.gradients; i++)
        if (s.dx[i] != once[i])
            ck_abort_msg("gradient %zu: added to 0 it is %.9g, alone %.9g", i, (double)s.dx[i], (double)once[i]);
    simple_backward(&s, dy, everything);
    for (size_t i = 0; i < s.gradients; i++)
        if (s.dx[i] != 2 * once[i]) ck_abort_msg("gradient %zu: twice %.9g gives %.9g", i, (double)once[i], (double)s.dx[i]);
    free(dy), free(once);
    simple_free(&s);
}
END_TEST

START_TEST(gradients_have_the_same_bits_every_time) {
    const clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    static const size_t shapes[][3] = {{7, 9, 31}, {331, 17, 1}, {2, 2, 1601}};
    for (int k = 0; k < 3; k++) {
        simple s;
        if (shapes[k][0] * shapes[k][1] * shapes[k][2] > test_element_limit()) continue;
        simple_make(&s, case_of(shapes[k][0], shapes[k][1], shapes[k][2], OUTLIERS), &config);
        float *dy = some_dy(s.b.count), *once = calloc(s.gradients, sizeof *once);
        simple_backward(&s, dy, 0);
        memcpy(once, s.dx, s.gradients * sizeof *once);
        memset(s.dx, 0, s.gradients * sizeof *once);
        simple_backward(&s, dy, 0);
        ck_assert_mem_eq(s.dx, once, s.gradients * sizeof *once);
        free(dy), free(once);
        simple_free(&s);
    }
}
END_TEST

START_TEST(one_value_a_channel_has_dx_0) {
    for (int rule = 0; rule < 2; rule++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.epsilon_rule = (clbn_epsilon_rule)rule;
        simple s;
        simple_make(&s, case_of(1, 37, 1, MEAN_1E4), &config);
        float *dy = some_dy(37);
        simple_backward(&s, dy, 0);
        for (int c = 0; c < 37; c++) {
            ck_assert_float_eq(s.dx[c], 0);
            ck_assert_float_eq(s.dgamma[c], 0);
            ck_assert_float_eq(s.dbeta[c], dy[c]);
        }
        free(dy);
        simple_free(&s);
    }
}
END_TEST

/* x - mean is exactly 0: dgamma is, and of dx the last term. */
START_TEST(a_constant_channel_has_dgamma_0_and_dx_by_the_mean_alone) {
    for (int rule = 0; rule < 2; rule++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.epsilon_rule = (clbn_epsilon_rule)rule, config.epsilon = 0.25;
        const bounds_of who = tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
        simple s;
        simple_make(&s, case_of(3, 11, 13, CONSTANT), &config);
        float *dy = some_dy(s.b.count);
        simple_backward(&s, dy, 0);
        for (size_t c = 0; c < 11; c++) {
            const long double r = rule ? 4 : 2;
            long double sum = 0, size = 0;
            for (size_t k = 0; k < 39; k++) {
                const float g = dy[(k / 13 * 11 + c) * 13 + k % 13];
                sum += g, size += fabsf(g);
            }
            ck_assert_float_eq(s.dgamma[c], 0);
            for (size_t k = 0; k < 39; k++) {
                const size_t at = (k / 13 * 11 + c) * 13 + k % 13;
                const long double exact = s.b.gamma[c] * r * (dy[at] - sum / 39);
                verdict_value(who, CLBN_F32, "dx", s.dx[at], exact,
                              bounds_accuracy(who) * fabsl(s.b.gamma[c] * r) * (fabsl((long double)dy[at]) + size / 39),
                              "constant");
            }
        }
        free(dy);
        simple_free(&s);
    }
}
END_TEST

START_TEST(var_0_with_epsilon_0_has_dx_0) {
    for (int rule = 0; rule < 2; rule++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.epsilon_rule = (clbn_epsilon_rule)rule, config.epsilon = 0;
        simple s;
        simple_make(&s, case_of(3, 11, 13, CONSTANT), &config);
        float *dy = some_dy(s.b.count);
        simple_backward(&s, dy, 0);
        for (size_t k = 0; k < s.b.count; k++) ck_assert_float_eq(s.dx[k], 0);
        for (size_t c = 0; c < 11; c++) ck_assert_float_eq(s.dgamma[c], 0);
        free(dy);
        simple_free(&s);
    }
}
END_TEST

START_TEST(no_value_at_all_has_gradients_of_0) {
    static const size_t extents[][3] = {{0, 5, 7}, {3, 5, 0}, {3, 0, 7}};
    for (int k = 0; k < 3; k++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = extents[k], config.activation = CLBN_RELU, config.mask = 1, config.residual = 1;
        clbn_plan *plan = plan_of(tested(), &config);
        float dgamma[5], dbeta[5], mean[5] = {0}, var[5] = {1, 1, 1, 1, 1};
        for (unsigned accumulate = 0; accumulate < 2; accumulate++)
            for (int population = 0; population < 2; population++) {
                for (int c = 0; c < 5; c++) dgamma[c] = dbeta[c] = 3;
                const clbn_backward_args args = {.dgamma = clbn_host(dgamma),
                                                 .dbeta = clbn_host(dbeta),
                                                 .running_mean = clbn_host(population ? mean : NULL),
                                                 .running_var = clbn_host(population ? var : NULL),
                                                 .accumulate = accumulate ? everything : 0};
                ck_clbn(population ? clbn_backward_inference(plan, NULL, &args, 0, NULL, NULL)
                                   : clbn_backward_training(plan, NULL, &args, 0, NULL, NULL));
                for (size_t c = 0; c < 5; c++) {
                    const float expected = accumulate || extents[k][1] == 0 ? 3 : 0;
                    ck_assert_float_eq(dgamma[c], expected);
                    ck_assert_float_eq(dbeta[c], expected);
                }
            }
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* dx of a frozen layer is gamma * inv_std * dy, wherever x was; so x is not asked for. */
START_TEST(a_frozen_layer_needs_no_x_for_dx) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    const size_t dims[] = {2, 3, 4};
    const float var[] = {0.25f, 4, 16}, mean[] = {1, 2, 3}, gamma[] = {1, -2, 4};
    float dy[24], dx[24], dbeta[3];
    config.rank = 3, config.dims = dims, config.epsilon = 0;
    clbn_plan *plan = plan_of(tested(), &config);
    for (int i = 0; i < 24; i++) dy[i] = (float)(i - 7);
    ck_clbn(clbn_backward_inference(plan, NULL,
                                    &(clbn_backward_args){.dy = clbn_host(dy),
                                                          .dx = clbn_host(dx),
                                                          .dbeta = clbn_host(dbeta),
                                                          .gamma = clbn_host(gamma),
                                                          .running_mean = clbn_host(mean),
                                                          .running_var = clbn_host(var)},
                                    0, NULL, NULL));
    const float scale[] = {2, -1, 1};
    for (int i = 0; i < 24; i++) ck_assert_float_eq(dx[i], scale[i / 4 % 3] * dy[i]);
    clbn_plan_destroy(plan);
}
END_TEST

/* Nor does it matter what x holds there, where it is given for dgamma. */
START_TEST(a_frozen_layers_dx_does_not_look_at_x) {
    static const size_t shapes[][3] = {{2, 3, 40}, {40, 3, 1}};
    const float zeros[3] = {0}, ones[3] = {1, 1, 1};
    const char *names[MOST_NAMES];
    const size_t variants = variant_names(names);
    for (size_t k = 0; k < variants * 2; k++) {
        float x[240], dy[240], dx[240], dgamma[3];
        const size_t count = shapes[k % 2][0] * shapes[k % 2][1] * shapes[k % 2][2];
        clbn_plan *plan = NULL;
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = shapes[k % 2], config.epsilon = 0, config.variant = names[k / 2];
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k / 2] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        for (size_t i = 0; i < count; i++) x[i] = i % 3 ? INFINITY : NAN, dy[i] = (float)(i + 1);
        ck_clbn(clbn_backward_inference(plan, NULL,
                                        &(clbn_backward_args){.dy = clbn_host(dy),
                                                              .x = clbn_host(x),
                                                              .dx = clbn_host(dx),
                                                              .dgamma = clbn_host(dgamma),
                                                              .running_mean = clbn_host(zeros),
                                                              .running_var = clbn_host(ones)},
                                        0, NULL, NULL));
        for (size_t i = 0; i < count; i++)
            ck_assert_msg(dx[i] == dy[i], "%s: dx at %zu is %g, not %g", names[k / 2] ? names[k / 2] : "its choice", i,
                          (double)dx[i], (double)dy[i]);
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* Behind an activation it needs them too, and the plan's last call was about another batch. */
START_TEST(dresidual_alone_finds_the_statistics_it_needs) {
    const size_t dims[] = {4, 2};
    const float last[] = {100, -7, 104, -9, 96, -5, 100, -3}, x[] = {1, 10, 2, -10, 3, 30, 6, -20}, none[8] = {0};
    const float dy[] = {1, 2, 3, 4, 5, 6, 7, 8}, right[] = {0, 2, 0, 0, 0, 6, 7, 0}; /* the means are 3 and 2.5 */
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++) {
        float y[8], dresidual[8];
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 2, config.dims = dims, config.variant = names[k];
        config.activation = CLBN_RELU, config.residual = 1;
        clbn_plan *plan = plan_of(tested(), &config);
        const clbn_forward_args forward = {.x = clbn_host(last), .y = clbn_host(y), .residual = clbn_host(none)};
        ck_clbn(clbn_forward_training(plan, NULL, &forward, 0, NULL, NULL));
        const clbn_backward_args backward = {
            .dy = clbn_host(dy), .x = clbn_host(x), .residual = clbn_host(none), .dresidual = clbn_host(dresidual)};
        ck_clbn(clbn_backward_training(plan, NULL, &backward, 0, NULL, NULL));
        for (int i = 0; i < 8; i++)
            ck_assert_msg(dresidual[i] == right[i], "%s: dresidual %d is %g, not %g", names[k] ? names[k] : "its choice", i,
                          (double)dresidual[i], (double)right[i]);
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* dy of channel c: 1e6 for the value that is nearest the mean, else 1. */
static void make_outweighing(const simple *s, size_t c, long double mean, float *dy) {
    const definition_shape of = s->b.shape;
    size_t nearest = c * of.inner;
    for (size_t k = 0; k < s->b.values; k++) {
        const size_t at = (k / of.inner * of.channels + c) * of.inner + k % of.inner;
        if (fabsl(s->b.x[at] - mean) < fabsl(s->b.x[nearest] - mean)) nearest = at;
        dy[at] = 1;
    }
    dy[nearest] = 1e6f;
}

/* dgamma's error, but for its rounding, over 1e-6 r sum |dy (x - mean)|, a device's bound without the term that the mean's own promise adds. */
static long double outweighed(const simple *s, size_t c, long double mean, long double var, const float *dy) {
    const bounds_of who = tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
    const definition_shape of = s->b.shape;
    const bounds_step step = {.who = who,
                              .as_saved = 1,
                              .of = {.mean = mean,
                                     .var = var,
                                     .inv_std = definition_inv_std(var, 1e-5, 0),
                                     .gamma = s->b.gamma[c],
                                     .beta = s->b.beta[c],
                                     .values = s->b.values}};
    bounds_sums sums = {0};
    for (size_t k = 0; k < s->b.values; k++) {
        const size_t at = (k / of.inner * of.channels + c) * of.inner + k % of.inner;
        bounds_sums_add(&sums, dy[at], dy[at], 0, s->b.x[at] - mean);
    }
    const long double exact = step.of.inv_std * sums.exact_gx,
                      narrow = bounds_accuracy(BOUNDS_OF_DEVICE) * step.of.inv_std * sums.gx;
    verdict_value(who, CLBN_F32, "dgamma", s->dgamma[c], exact, bounds_dgamma(&step, &sums), "one dy outweighs the others");
    return fmaxl(fabsl(s->dgamma[c] - exact) - stored_half_ulp(CLBN_F32, exact), 0) / narrow;
}

/* docs/accuracy.md, "What float32 cannot promise", has what this prints. */
START_TEST(a_dy_that_outweighs_all_next_to_the_mean_costs_what_the_mean_may_be_off) {
    static const data_kind kinds[] = {NORMAL, MEAN_1E2, COARSE};
    static const size_t shapes[][3] = {{64, 40, 1}, {2, 40, 32}};
    const data_kind kind = kinds[_i / 2];
    const size_t *extents = shapes[_i % 2];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    long double mean[40], lo[40], var[40], worst = 0;
    simple s;
    simple_make(&s, case_of(extents[0], extents[1], extents[2], kind), &config);
    double *x = data_x(&s.b, CLBN_F32);
    float *dy = calloc(s.b.count, sizeof *dy);
    ck_assert(x && dy);
    definition_moments(s.b.shape, x, mean, lo, var); /* of float32, for which mean alone will do */
    for (size_t c = 0; c < extents[1]; c++) make_outweighing(&s, c, mean[c], dy);
    simple_backward(&s, dy, 0);
    for (size_t c = 0; c < extents[1]; c++) worst = fmaxl(worst, outweighed(&s, c, mean[c], var[c], dy));
    printf("dgamma of %s, %zux%zux%zu, one dy 1e6 at the mean: error %.3Lg of 1e-6 r sum|dy (x - mean)|\n", data_name(kind),
           extents[0], extents[1], extents[2], worst);
    free(x), free(dy);
    simple_free(&s);
}
END_TEST

void add_gradients(TCase *tests) {
    tcase_add_loop_test(tests, a_dy_that_outweighs_all_next_to_the_mean_costs_what_the_mean_may_be_off, 0, 6);
    tcase_add_test(tests, accumulating_twice_doubles_to_the_bit);
    tcase_add_test(tests, gradients_have_the_same_bits_every_time);
    tcase_add_test(tests, one_value_a_channel_has_dx_0);
    tcase_add_test(tests, a_constant_channel_has_dgamma_0_and_dx_by_the_mean_alone);
    tcase_add_test(tests, var_0_with_epsilon_0_has_dx_0);
    tcase_add_test(tests, no_value_at_all_has_gradients_of_0);
    tcase_add_test(tests, a_frozen_layer_needs_no_x_for_dx);
    tcase_add_test(tests, a_frozen_layers_dx_does_not_look_at_x);
    tcase_add_test(tests, dresidual_alone_finds_the_statistics_it_needs);
}
