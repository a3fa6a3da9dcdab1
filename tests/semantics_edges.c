/* SPDX-License-Identifier: Apache-2.0
 *
 * The edges of the semantics suite: one value a channel, no value, constant channels, var and epsilon 0, a negative variance.
 */
#include "judge.h"
#include "semantics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void check_result(const scene *s, const result *r);

/* Trains the batch in place and not, by every variant, and has the result checked. */
static void train_by_every_variant(const batch *b, const way *w, check_result *check) {
    const char *names[MOST_NAMES];
    size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++) {
        clbn_config config = config_of(b, w, names[k]);
        clbn_plan *plan = NULL;
        clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        for (int in_place = 0; in_place < 2; in_place++) {
            way here = *w;
            here.place = in_place ? ON_HOST_IN_PLACE : ON_HOST;
            scene s;
            scene_make(&s, b, &here, TRAINING, tested_queue(), plan, names[k]);
            result got = scene_run(&s, plan, NULL);
            check(&s, &got);
            scene_free(&s);
        }
        clbn_plan_destroy(plan);
    }
}

static void must_be_beta_exactly(const scene *s, const result *r) {
    const batch *b = s->b;
    for (size_t i = 0; i < b->count; i++) {
        size_t c = i / b->shape.inner % b->shape.channels;
        ck_assert_msg(r->y[i] == b->beta[c], "%s: y is %.9g where beta is %.9g and x %.9g", s->title, (double)r->y[i],
                      (double)b->beta[c], (double)b->x[i]);
    }
    for (size_t c = 0; c < b->shape.channels; c++) {
        ck_assert_msg(r->var[c] == 0, "%s: var of channel %zu is %g", s->title, c, (double)r->var[c]);
        ck_assert_msg(r->mean[c] == b->x[c * b->shape.inner] && r->mean_lo[c] == 0, "%s: mean of channel %zu is %.9g + %.9g",
                      s->title, c, (double)r->mean[c], (double)r->mean_lo[c]);
    }
}

START_TEST(training_of_a_constant_channel_gives_beta_exactly) {
    for (size_t k = 0; k < case_count; k++) {
        if (cases[k].data != CONSTANT || case_elements(&cases[k]) > test_element_limit()) continue;
        batch b;
        batch_make(&b, &cases[k], tested_flushes_denormals());
        for (unsigned rule = 0; rule < RULES; rule += test_is_short() ? RULES : 1) {
            way w = way_of(rule, rule);
            w.affine = GAMMA_AND_BETA, w.outputs = RUNNING_AND_SAVED;
            train_by_every_variant(&b, &w, must_be_beta_exactly);
        }
        batch_free(&b);
    }
}
END_TEST

/* Squares of the first two are 0 in double. */
START_TEST(a_double_of_any_size_is_its_own_mean) {
    static const size_t shapes[][3] = {{29, 3, 1}, {2, 3, 41}};
    static const double constants[] = {1.3e-300, -1.7e-160, 1.1e150};
    const char *names[MOST_NAMES];
    const size_t variants = variant_names(names);
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    for (size_t k = 0; info.has_fp64 && k < variants * 2; k++) {
        const size_t *dims = shapes[k % 2], count = dims[0] * dims[1] * dims[2];
        double x[246], y[246], mean[3], var[3];
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        clbn_plan *plan = NULL;
        config.rank = 3, config.dims = dims, config.dtype = CLBN_F64, config.variant = names[k / 2];
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k / 2] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        for (size_t i = 0; i < count; i++) x[i] = constants[i / dims[2] % 3];
        const clbn_forward_args args = {
            .x = clbn_host(x), .y = clbn_host(y), .saved_mean = clbn_host(mean), .saved_var = clbn_host(var)};
        ck_clbn(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
        for (size_t c = 0; c < 3; c++)
            ck_assert_msg(mean[c] == constants[c] && var[c] == 0, "%s: mean of %g is %.17g, var %g",
                          names[k / 2] ? names[k / 2] : "its choice", constants[c], mean[c], var[c]);
        for (size_t i = 0; i < count; i++) ck_assert_double_eq(y[i], 0);
        clbn_plan_destroy(plan);
    }
}
END_TEST

START_TEST(inference_at_the_mean_gives_beta_exactly) {
    batch b;
    batch_make(&b, case_named("tiny_constants"), tested_flushes_denormals());
    const way w = plain_way(ON_HOST);
    clbn_config config = config_of(&b, &w, NULL);
    clbn_plan *plan = plan_of(tested(), &config);
    scene s;
    scene_make(&s, &b, &w, INFERENCE, tested_queue(), plan, "");
    result got = scene_run(&s, plan, NULL);
    for (size_t i = 0; i < b.count; i++) ck_assert_float_eq(got.y[i], b.beta[i / b.shape.inner % b.shape.channels]);
    scene_free(&s);
    clbn_plan_destroy(plan);
    batch_free(&b);
}
END_TEST

START_TEST(var_0_with_epsilon_0_gives_inv_std_0) {
    test_case of = case_of(3, 11, 5, CONSTANT);
    batch b;
    batch_make(&b, &of, 0);
    way w = way_of(3, 0);
    w.affine = GAMMA_AND_BETA, w.outputs = RUNNING_AND_SAVED, w.place = ON_HOST;
    for (int rule = 0; rule < 2; rule++)
        for (int v = TRAINING; v <= INFERENCE; v++) { /* the running variance of a constant channel is 0 too */
            w.epsilon_rule = (clbn_epsilon_rule)rule;
            clbn_config config = config_of(&b, &w, NULL);
            ck_assert(config.epsilon == 0);
            clbn_plan *plan = plan_of(tested(), &config);
            scene s;
            scene_make(&s, &b, &w, (verb)v, tested_queue(), plan, "");
            result got = scene_run(&s, plan, NULL);
            for (size_t c = 0; c < b.shape.channels; c++) ck_assert_float_eq(got.inv_std[c], 0);
            for (size_t i = 0; i < b.count; i++) ck_assert_float_eq(got.y[i], b.beta[i / 5 % 11]);
            scene_free(&s);
            clbn_plan_destroy(plan);
        }
    batch_free(&b);
}
END_TEST

/* inv_std is what the formula gives, 0, and y what is left of it. */
START_TEST(an_infinite_running_variance_gives_beta) {
    test_case of = case_of(3, 11, 5, NORMAL);
    batch b;
    batch_make(&b, &of, 0);
    for (size_t c = 0; c < b.shape.channels; c++) b.running_var[c] = INFINITY;
    way w = plain_way(ON_HOST);
    for (int rule = 0; rule < 2; rule++) {
        w.epsilon_rule = (clbn_epsilon_rule)rule;
        clbn_config config = config_of(&b, &w, NULL);
        clbn_plan *plan = plan_of(tested(), &config);
        scene s;
        scene_make(&s, &b, &w, INFERENCE, tested_queue(), plan, "");
        result got = scene_run(&s, plan, NULL);
        for (size_t c = 0; c < b.shape.channels; c++) ck_assert_float_eq(got.inv_std[c], 0);
        for (size_t i = 0; i < b.count; i++) ck_assert_float_eq(got.y[i], b.beta[i / 5 % 11]);
        scene_free(&s);
        clbn_plan_destroy(plan);
    }
    batch_free(&b);
}
END_TEST

/* The running variance takes in a 0 where biased, and stays where unbiased: 0 / (n - 1) is no number. */
static void must_be_of_one_value(const scene *s, const result *r) {
    for (size_t c = 0; c < s->b->shape.channels; c++) {
        const float was = s->b->running_var[c];
        ck_assert_float_eq(r->y[c], s->b->beta[c]);
        ck_assert_float_eq(r->mean[c], s->b->x[c]);
        ck_assert_float_eq(r->mean_lo[c], 0);
        ck_assert_float_eq(r->var[c], 0);
        if (s->way.running_variance == CLBN_RUNNING_UNBIASED)
            ck_assert_msg(!memcmp(&r->running_var[c], &was, sizeof was), "%s: running_var did not stay", s->title);
        else
            ck_assert_msg(r->running_var[c] < was, "%s: running_var took no 0 in", s->title);
    }
    reference exact;
    reference_by_definition(&exact, s->b, &s->way, TRAINING);
    judge(&exact, tested_bounds(), r, s->title);
    reference_free(&exact);
}

START_TEST(one_value_a_channel_gives_beta_and_a_biased_variance_of_0) {
    static const size_t extents[] = {1, 19, 257};
    for (size_t k = 0; k < 3; k++) {
        test_case of = case_of(1, extents[k], 1, MEAN_1E4);
        batch b;
        batch_make(&b, &of, 0);
        for (int kind = 0; kind < 2; kind++) {
            way w = plain_way(ON_HOST);
            w.running_variance = (clbn_running_variance)kind;
            train_by_every_variant(&b, &w, must_be_of_one_value);
        }
        batch_free(&b);
    }
}
END_TEST

START_TEST(a_batch_of_zero_is_success_and_touches_nothing) {
    static const size_t extents[][3] = {{0, 5, 7}, {3, 5, 0}, {3, 0, 7}, {0, 0, 0}};
    const way w = plain_way(ON_HOST);
    for (int k = 0; k < 4; k++) {
        test_case of = case_of(extents[k][0], extents[k][1], extents[k][2], NORMAL);
        batch b;
        batch_make(&b, &of, 0);
        for (size_t c = 0; c < b.shape.channels; c++) b.running_mean[c] = (float)c, b.running_var[c] = 1;
        clbn_config config = config_of(&b, &w, NULL);
        clbn_plan *plan = plan_of(tested(), &config);
        clbn_plan_info info;
        ck_clbn(clbn_plan_query(plan, &info));
        ck_assert(info.outer == extents[k][0] && info.channels == extents[k][1] && info.inner == extents[k][2]);
        for (int v = TRAINING; v <= MOMENTS; v++) {
            scene s;
            scene_make(&s, &b, &w, (verb)v, tested_queue(), plan, "zero");
            ck_clbn(scene_call(&s, plan, NULL, 0, NULL, NULL));
            scene_must_be_untouched(&s);
            scene_free(&s);
        }
        ck_clbn(clbn_forward_training(plan, NULL, &(clbn_forward_args){.update_weight = 0.5}, 0, NULL, NULL));
        ck_clbn(clbn_forward_inference(plan, NULL, &(clbn_forward_args){.update_weight = 0.5}, 0, NULL, NULL));
        ck_clbn(clbn_moments(plan, NULL, &(clbn_moments_args){.x = clbn_host(NULL)}, 0, NULL, NULL));
        clbn_plan_destroy(plan);
        batch_free(&b);
    }
}
END_TEST

START_TEST(a_negative_running_var_gives_what_the_formula_gives) {
    const float x[] = {1, 2, 3}, mean[] = {0, 0, 0}, var[] = {-1, -0.25f, 4};
    float y[3];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = (const size_t[]){1, 3}, config.epsilon = 0.5;
    clbn_plan *plan = plan_of(tested(), &config);
    ck_clbn(clbn_forward_inference(
        plan, NULL,
        &(clbn_forward_args){
            .x = clbn_host(x), .y = clbn_host(y), .running_mean = clbn_host(mean), .running_var = clbn_host(var)},
        0, NULL, NULL));
    ck_assert(isnan(y[0]));
    for (int c = 1; c < 3; c++) {
        const long double exact = x[c] * definition_inv_std(var[c], 0.5, 0);
        const bounds_channel of = {0, 0, exact / x[c], 1, 0, 1};
        ck_assert_ldouble_le(fabsl(y[c] - exact), bounds_y(tested_bounds(), &of, exact));
    }
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(training_without_y_writes_the_statistics) {
    static const char *const names[] = {"tiny_mixed", "lanes_13", "inner_49"};
    for (int k = 0; k < 3; k++) {
        batch b;
        batch_make(&b, case_named(names[k]), 0);
        const way w = plain_way(ON_HOST);
        if (b.count > test_element_limit()) {
            batch_free(&b);
            continue;
        }
        clbn_config config = config_of(&b, &w, NULL);
        clbn_plan *plan = plan_of(tested(), &config);
        scene s;
        scene_make(&s, &b, &w, TRAINING, tested_queue(), plan, "y absent");
        s.args.y = clbn_host(NULL);
        result got = scene_run(&s, plan, NULL);
        guarded_must_be_unchanged(&s.y, s.title);
        got.y = NULL;
        reference exact;
        reference_by_definition(&exact, &b, &w, TRAINING);
        judge(&exact, tested_bounds(), &got, s.title);
        reference_free(&exact);
        scene_free(&s);
        clbn_plan_destroy(plan);
        batch_free(&b);
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- channels last */

/* An image's rows of channels follow on one another; the images do not, so that they are not one run of rows. */
START_TEST(channels_last_images_may_stand_apart) {
    enum { OUTER = 3, CHANNELS = 5, INNER = 4, APART = CHANNELS * INNER + 3, SPAN = OUTER * APART };
    const size_t dims[] = {OUTER, CHANNELS, INNER}, strides[] = {APART, 1, CHANNELS};
    const float zeros[CHANNELS] = {0}, ones[CHANNELS] = {1, 1, 1, 1, 1};
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++) {
        float x[SPAN], y[SPAN];
        clbn_plan *plan = NULL;
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = dims, config.epsilon = 0, config.variant = names[k];
        config.strides = (clbn_strides){strides, strides, strides, strides, strides, strides};
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        for (int i = 0; i < SPAN; i++) x[i] = (float)(i + 1), y[i] = -7;
        const clbn_forward_args args = {
            .x = clbn_host(x), .y = clbn_host(y), .running_mean = clbn_host(zeros), .running_var = clbn_host(ones)};
        ck_clbn(clbn_forward_inference(plan, NULL, &args, 0, NULL, NULL));
        for (int i = 0; i < SPAN; i++) {
            const float right = i % APART < CHANNELS * INNER ? x[i] : -7;
            ck_assert_msg(y[i] == right, "%s: y at %d is %g, not %g", names[k] ? names[k] : "its choice", i, (double)y[i],
                          (double)right);
        }
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* A slice of a wider tensor, added to a dense one. */
START_TEST(a_residual_may_lie_apart) {
    enum { OUTER = 4, CHANNELS = 3, INNER = 40, ROW = CHANNELS * INNER, APART = ROW + 5 };
    const size_t dims[] = {OUTER, CHANNELS, INNER}, apart[] = {APART, INNER, 1};
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++) {
        float x[OUTER * ROW], y[OUTER * ROW], residual[OUTER * APART];
        clbn_plan *plan = NULL;
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = dims, config.epsilon = 0, config.variant = names[k], config.residual = 1;
        config.strides.residual = apart;
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        for (int i = 0; i < OUTER * ROW; i++) x[i] = i % 2 ? 1 : -1;
        for (int i = 0; i < OUTER * APART; i++) residual[i] = (float)i;
        const clbn_forward_args args = {.x = clbn_host(x), .y = clbn_host(y), .residual = clbn_host(residual)};
        ck_clbn(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
        for (int i = 0; i < OUTER * ROW; i++) {
            const long double added = residual[i / ROW * APART + i % ROW], right = x[i] + added;
            const bounds_channel of = {0, 1, 1, 1, added, OUTER * INNER};
            ck_assert_msg(fabsl(y[i] - right) <= bounds_y(tested_bounds(), &of, x[i]), "%s: y at %d is %g, not %Lg",
                          names[k] ? names[k] : "its choice", i, (double)y[i], right);
        }
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* X, Y, ... in the order of clbn_strides. */
enum { X, Y, RESIDUAL, DX, DY, DRESIDUAL, TENSORS, ROWS = 40, WIDTH = 21, PITCH = 24 };

/* Every row of tensor t, and the gap behind where there is one, must be what the call's formulas give: all numbers are exact. */
static void must_be_rows(float all[TENSORS][ROWS * PITCH], const size_t pitch[TENSORS], int t, const char *variant) {
    for (size_t row = 0; row < ROWS; row++)
        for (size_t c = 0; c < pitch[t]; c++) {
            const float v = all[X][row * pitch[X] + c] + all[RESIDUAL][row * pitch[RESIDUAL] + c];
            const float right = c >= WIDTH ? -77 : t == Y ? v : all[DY][row * pitch[DY] + c];
            const float got = all[t][row * pitch[t] + c];
            ck_assert_msg(got == right, "%s, pitches %zu %zu %zu %zu %zu %zu: tensor %d at row %zu, column %zu is %g, not %g",
                          variant ? variant : "its choice", pitch[X], pitch[Y], pitch[RESIDUAL], pitch[DX], pitch[DY],
                          pitch[DRESIDUAL], t, row, c, (double)got, (double)right);
        }
}

/* Rows of one tensor lie with gaps between them. The statistics are 0 and 1. */
static void normalize_apart(const char *variant, int apart) {
    float all[TENSORS][ROWS * PITCH], dgamma[WIDTH], zeros[WIDTH] = {0}, ones[WIDTH];
    const size_t with_gaps[] = {PITCH, 1}, *strides[TENSORS] = {NULL};
    size_t pitch[TENSORS] = {WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH};
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    strides[apart] = with_gaps, pitch[apart] = PITCH;
    config.rank = 2, config.dims = (const size_t[]){ROWS, WIDTH}, config.epsilon = 0;
    config.variant = variant, config.residual = 1;
    config.strides = (clbn_strides){strides[0], strides[1], strides[2], strides[3], strides[4], strides[5]};
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (variant && status == CLBN_ERROR_UNSUPPORTED) return;
    ck_clbn(status);
    for (int t = 0; t < TENSORS; t++)
        for (int i = 0; i < ROWS * PITCH; i++) all[t][i] = t == Y || t == DX || t == DRESIDUAL ? -77 : (float)((i * 7 + t) % 31);
    for (int c = 0; c < WIDTH; c++) ones[c] = 1;
    const clbn_forward_args forward = {.x = clbn_host(all[X]),
                                       .y = clbn_host(all[Y]),
                                       .residual = clbn_host(all[RESIDUAL]),
                                       .running_mean = clbn_host(zeros),
                                       .running_var = clbn_host(ones)};
    const clbn_backward_args backward = {.x = clbn_host(all[X]),
                                         .dy = clbn_host(all[DY]),
                                         .dx = clbn_host(all[DX]),
                                         .dresidual = clbn_host(all[DRESIDUAL]),
                                         .dgamma = clbn_host(dgamma),
                                         .running_mean = clbn_host(zeros),
                                         .running_var = clbn_host(ones)};
    ck_clbn(clbn_forward_inference(plan, NULL, &forward, 0, NULL, NULL));
    ck_clbn(clbn_backward_inference(plan, NULL, &backward, 0, NULL, NULL));
    must_be_rows(all, pitch, Y, variant);
    must_be_rows(all, pitch, DX, variant);
    must_be_rows(all, pitch, DRESIDUAL, variant);
    for (size_t c = 0; c < WIDTH; c++) {
        float right = 0;
        for (size_t row = 0; row < ROWS; row++) right += all[DY][row * pitch[DY] + c] * all[X][row * pitch[X] + c];
        ck_assert_float_eq(dgamma[c], right);
    }
    clbn_plan_destroy(plan);
}

START_TEST(rows_of_any_tensor_may_stand_apart) {
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++)
        for (int t = 0; t < TENSORS; t++) normalize_apart(names[k], t);
}
END_TEST

/* Back from a batch through relu and a residual, where one tensor's rows lie with gaps between them, if it is one of TENSORS, and some
 * gradients are added to what was there. Mean 0, inv_std 1, 32 rows: all numbers are exact. */
enum { WAS_THERE = -77 };

static float on_top_of(unsigned accumulate, unsigned flag) {
    return accumulate & flag ? (float)WAS_THERE : 0;
}

static void go_back(const char *variant, int apart, unsigned accumulate) {
    enum { BATCH = 32 };
    float all[TENSORS][BATCH * PITCH], dgamma[WIDTH], dbeta[WIDTH], zeros[WIDTH] = {0}, ones[WIDTH];
    const size_t with_gaps[] = {PITCH, 1}, *strides[TENSORS + 1] = {NULL};
    size_t pitch[TENSORS + 1] = {WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH};
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    strides[apart] = with_gaps, pitch[apart] = PITCH;
    config.rank = 2, config.dims = (const size_t[]){BATCH, WIDTH}, config.epsilon = 0;
    config.variant = variant, config.residual = 1, config.activation = CLBN_RELU;
    config.strides = (clbn_strides){strides[0], strides[1], strides[2], strides[3], strides[4], strides[5]};
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (variant && status == CLBN_ERROR_UNSUPPORTED) return;
    ck_clbn(status);
    for (int t = 0; t < TENSORS; t++)
        for (int i = 0; i < BATCH * PITCH; i++)
            all[t][i] = t == DX || t == DRESIDUAL ? WAS_THERE : (float)((i * 7 + t) % 31 - 15);
    for (int c = 0; c < WIDTH; c++) ones[c] = 1, dgamma[c] = dbeta[c] = WAS_THERE;
    const clbn_backward_args args = {.x = clbn_host(all[X]),
                                     .dy = clbn_host(all[DY]),
                                     .dx = clbn_host(all[DX]),
                                     .residual = clbn_host(all[RESIDUAL]),
                                     .dresidual = clbn_host(all[DRESIDUAL]),
                                     .dgamma = clbn_host(dgamma),
                                     .dbeta = clbn_host(dbeta),
                                     .accumulate = accumulate,
                                     .saved_mean = clbn_host(zeros),
                                     .saved_inv_std = clbn_host(ones)};
    ck_clbn(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL));
    for (size_t c = 0; c < WIDTH; c++) {
        float g[BATCH], sum = 0, of_products = 0;
        for (size_t row = 0; row < BATCH; row++) {
            const float x = all[X][row * pitch[X] + c];
            g[row] = x + all[RESIDUAL][row * pitch[RESIDUAL] + c] > 0 ? all[DY][row * pitch[DY] + c] : 0;
            sum += g[row], of_products += g[row] * x;
        }
        const float right_dbeta = sum + on_top_of(accumulate, CLBN_ACCUMULATE_DBETA);
        const float right_dgamma = of_products + on_top_of(accumulate, CLBN_ACCUMULATE_DGAMMA);
        ck_assert_msg(dbeta[c] == right_dbeta && dgamma[c] == right_dgamma,
                      "%s, tensor %d apart, accumulating %#x: dbeta %g and dgamma %g, not %g and %g",
                      variant ? variant : "its choice", apart, accumulate, (double)dbeta[c], (double)dgamma[c],
                      (double)right_dbeta, (double)right_dgamma);
        for (size_t row = 0; row < BATCH; row++) {
            const float dx = all[DX][row * pitch[DX] + c], dresidual = all[DRESIDUAL][row * pitch[DRESIDUAL] + c];
            const float right_dx = g[row] - sum / BATCH - all[X][row * pitch[X] + c] * (of_products / BATCH) +
                                   on_top_of(accumulate, CLBN_ACCUMULATE_DX);
            const float right_dresidual = g[row] + on_top_of(accumulate, CLBN_ACCUMULATE_DRESIDUAL);
            ck_assert_msg(dx == right_dx && dresidual == right_dresidual,
                          "%s, tensor %d apart, accumulating %#x: dx %g and dresidual %g at row %zu, column %zu, not %g and %g",
                          variant ? variant : "its choice", apart, accumulate, (double)dx, (double)dresidual, row, c,
                          (double)right_dx, (double)right_dresidual);
        }
    }
    for (int t = DX; t <= DRESIDUAL; t += DRESIDUAL - DX)
        for (size_t i = 0; i < BATCH * PITCH; i++)
            ck_assert((i / pitch[t] < BATCH && i % pitch[t] < WIDTH) || all[t][i] == WAS_THERE);
    clbn_plan_destroy(plan);
}

START_TEST(gradients_of_rows_that_stand_apart) {
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++)
        for (size_t t = 0; t < TENSORS; t++)
            if (!test_is_short() || k % TENSORS == t) go_back(names[k], (int)t, 0);
}
END_TEST

START_TEST(each_gradient_is_added_to_by_itself) {
    static const unsigned flags[] = {CLBN_ACCUMULATE_DX, CLBN_ACCUMULATE_DGAMMA, CLBN_ACCUMULATE_DBETA,
                                     CLBN_ACCUMULATE_DRESIDUAL};
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    for (size_t k = 0; k < count; k++)
        for (size_t f = 0; f < 4; f++)
            if (!test_is_short() || k % 4 == f) go_back(names[k], TENSORS, flags[f]);
}
END_TEST

/* One channel's numbers from a run of 64 x 48 values, in which each fifth channel is ordinary, a step, or has a NaN or an Inf. */
typedef enum odd_one { ORDINARY, STEP, WITH_NAN, WITH_INF, ODD_ONES } odd_one;
enum { LONE_ROWS = 64, LONE_WIDTH = 48 };
typedef struct lone {
    float mean[LONE_WIDTH], var[LONE_WIDTH], dgamma[LONE_WIDTH], dbeta[LONE_WIDTH], y[LONE_ROWS * LONE_WIDTH],
        dx[LONE_ROWS * LONE_WIDTH];
} lone;

static void train_beside(const clbn_plan *plan, const batch *b, odd_one odd, lone *out) {
    float *const x = malloc(b->count * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < b->count; i++) {
        const size_t row = i / LONE_WIDTH;
        const float others[] = {b->x[i], row < LONE_ROWS / 2 ? 5.0f : b->x[i], row == 40 ? NAN : b->x[i],
                                row == 40 ? INFINITY : b->x[i]};
        x[i] = i % LONE_WIDTH % 5 ? b->x[i] : others[odd];
    }
    ck_clbn(clbn_forward_training(
        plan, NULL,
        &(clbn_forward_args){
            .x = clbn_host(x), .y = clbn_host(out->y), .saved_mean = clbn_host(out->mean), .saved_var = clbn_host(out->var)},
        0, NULL, NULL));
    ck_clbn(clbn_backward_training(plan, NULL,
                                   &(clbn_backward_args){.dy = clbn_host(b->x),
                                                         .x = clbn_host(x),
                                                         .dx = clbn_host(out->dx),
                                                         .dgamma = clbn_host(out->dgamma),
                                                         .dbeta = clbn_host(out->dbeta)},
                                   0, NULL, NULL));
    free(x);
}

/* To the bit: a vector's lanes are channels, where these lie side by side. */
START_TEST(a_channel_does_not_notice_its_neighbours) {
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    const test_case of = case_of(LONE_ROWS, LONE_WIDTH, 1, MEAN_1E2);
    static lone alike, now;
    batch b;
    batch_make(&b, &of, 0);
    for (size_t k = 0; k < count; k++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        clbn_plan *plan = NULL;
        config.rank = 3, config.dims = of.dims, config.variant = names[k];
        const clbn_status status = clbn_plan_create(tested(), &config, &plan);
        if (names[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
        ck_clbn(status);
        train_beside(plan, &b, ORDINARY, &alike);
        for (odd_one odd = STEP; odd < ODD_ONES; odd++) {
            train_beside(plan, &b, odd, &now);
            for (size_t i = 0; i < b.count; i++) {
                const size_t c = i % LONE_WIDTH;
                if (c % 5 == 0) continue;
                ck_assert_msg(now.mean[c] == alike.mean[c] && now.var[c] == alike.var[c] && now.dgamma[c] == alike.dgamma[c] &&
                                  now.dbeta[c] == alike.dbeta[c] && now.y[i] == alike.y[i] && now.dx[i] == alike.dx[i],
                              "by %s: channel %zu noticed its neighbours' %d", names[k] ? names[k] : "choice", c, (int)odd);
            }
        }
        clbn_plan_destroy(plan);
    }
    batch_free(&b);
}
END_TEST

void add_edges(TCase *tests) {
    tcase_add_test(tests, training_of_a_constant_channel_gives_beta_exactly);
    tcase_add_test(tests, a_double_of_any_size_is_its_own_mean);
    tcase_add_test(tests, inference_at_the_mean_gives_beta_exactly);
    tcase_add_test(tests, var_0_with_epsilon_0_gives_inv_std_0);
    tcase_add_test(tests, an_infinite_running_variance_gives_beta);
    tcase_add_test(tests, one_value_a_channel_gives_beta_and_a_biased_variance_of_0);
    tcase_add_test(tests, a_batch_of_zero_is_success_and_touches_nothing);
    tcase_add_test(tests, a_negative_running_var_gives_what_the_formula_gives);
    tcase_add_test(tests, training_without_y_writes_the_statistics);
    tcase_add_test(tests, channels_last_images_may_stand_apart);
    tcase_add_test(tests, a_residual_may_lie_apart);
    tcase_add_test(tests, rows_of_any_tensor_may_stand_apart);
    tcase_add_test(tests, gradients_of_rows_that_stand_apart);
    tcase_add_test(tests, each_gradient_is_added_to_by_itself);
    tcase_add_test(tests, a_channel_does_not_notice_its_neighbours);
}
