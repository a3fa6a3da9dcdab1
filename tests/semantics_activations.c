/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations at their edges, masks, an own activation, what a storage type cannot hold. By inference with mean 0, var 1 and
 * epsilon 0, which makes v the input itself.
 */
#include "semantics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One call of inference and its gradients where v is x: y, and dx = dy * act'(x), dbeta = their sum by channel. */
typedef struct plain_call {
    size_t count;
    const float *x, *dy;
    float *y, *dx, *dbeta;
} plain_call;

static clbn_config plain_config(size_t *count) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 1, config.dims = count, config.axis = CLBN_AXIS_NONE, config.epsilon = 0;
    return config;
}

enum { MOST_CHANNELS = 1001 };

static void call_plain(const clbn_plan *plan, const plain_call *c) {
    static const float zero[MOST_CHANNELS];
    static float one[MOST_CHANNELS];
    for (size_t k = 0; k < MOST_CHANNELS; k++) one[k] = 1;
    char *mask = calloc(clbn_plan_mask_bytes(plan) + 1, 1);
    const clbn_buffer bits = clbn_host(clbn_plan_mask_bytes(plan) ? mask : NULL);
    ck_clbn(clbn_forward_inference(plan, NULL,
                                   &(clbn_forward_args){.x = clbn_host(c->x),
                                                        .y = clbn_host(c->y),
                                                        .running_mean = clbn_host(zero),
                                                        .running_var = clbn_host(one),
                                                        .mask = bits},
                                   0, NULL, NULL));
    ck_clbn(clbn_backward_inference(plan, NULL,
                                    &(clbn_backward_args){.dy = clbn_host(c->dy),
                                                          .x = clbn_host(c->x),
                                                          .dx = clbn_host(c->dx),
                                                          .dbeta = clbn_host(c->dbeta),
                                                          .running_mean = clbn_host(zero),
                                                          .running_var = clbn_host(one),
                                                          .mask = bits},
                                    0, NULL, NULL));
    free(mask);
}

static void positive_part(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = v[i] <= 0 ? 0 : v[i];
}

static void positive_side(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = v[i] <= 0 ? 0 : 1;
}

static const clbn_custom_activation own_relu = {"v <= 0 ? 0 : v", "v <= 0 ? 0 : 1", positive_part, positive_side, NULL};

/* Everything that has a kink: what it is below and above, where the derivative is 0. */
typedef struct kinked {
    clbn_activation activation;
    double slope, low, high;
    int mask;
} kinked;

static const kinked kinks[] = {{CLBN_RELU, 0, 0, 0, 0},       {CLBN_RELU, 0, 0, 0, 1},          {CLBN_LEAKY_RELU, 0, 0, 0, 0},
                               {CLBN_LEAKY_RELU, 0, 0, 0, 1}, {CLBN_LEAKY_RELU, 0.25, 0, 0, 0}, {CLBN_LEAKY_RELU, 0.25, 0, 0, 1},
                               {CLBN_CLIP, 0, -1, 2, 0},      {CLBN_CLIP, 0, -1, 2, 1},         {CLBN_CUSTOM, 0, 0, 0, 0}};
enum { KINKS = sizeof kinks / sizeof *kinks };

static clbn_plan *kinked_plan(const kinked *k, size_t *count) {
    clbn_config config = plain_config(count);
    config.activation = k->activation, config.slope = k->slope, config.low = k->low, config.high = k->high;
    config.mask = k->mask, config.custom = &own_relu;
    return plan_of(tested(), &config);
}

static definition_activation definition_of(const kinked *k) {
    definition_activation act = {DEFINITION_RELU, k->slope, k->low, k->high};
    if (k->activation == CLBN_LEAKY_RELU) act.kind = DEFINITION_LEAKY;
    if (k->activation == CLBN_CLIP) act.kind = DEFINITION_CLIP;
    return act;
}

START_TEST(the_derivative_at_a_kink_is_that_of_the_lower_side) {
    float x[] = {0, -0.0f, 1, -1, 2, -2, 0x1p-100f, -0x1p-100f, 2.0000002f, 1.9999999f, -0.99999994f, -1.0000001f, 3, 100, -100};
    enum { COUNT = sizeof x / sizeof *x };
    float dy[COUNT], y[COUNT], dx[COUNT], dbeta;
    size_t count = COUNT;
    for (int i = 0; i < COUNT; i++) dy[i] = 3;
    for (int k = 0; k < KINKS; k++) {
        clbn_plan *plan = kinked_plan(&kinks[k], &count);
        const definition_activation act = definition_of(&kinks[k]);
        call_plain(plan, &(plain_call){COUNT, x, dy, y, dx, &dbeta});
        for (int i = 0; i < COUNT; i++) {
            ck_assert_msg((long double)y[i] == definition_activate(&act, x[i]), "activation %d of %.9g gives %.9g",
                          (int)kinks[k].activation, (double)x[i], (double)y[i]);
            ck_assert_msg((long double)dx[i] == 3 * definition_derivative(&act, x[i]),
                          "activation %d at %.9g has the derivative %g", (int)kinks[k].activation, (double)x[i],
                          (double)dx[i] / 3);
        }
        clbn_plan_destroy(plan);
    }
}
END_TEST

START_TEST(a_masked_dy_counts_0_whatever_it_holds) {
    float x[] = {-1, -3, -2, 1, 1.5f, 0.5f, -5};
    float dy[] = {INFINITY, NAN, -INFINITY, 1, 2, 4, NAN};
    float y[7], dx[7], dbeta;
    size_t count = 7;
    for (int k = 0; k < KINKS; k++) {
        if (kinks[k].slope != 0) continue; /* 0.25 times infinity is infinity */
        clbn_plan *plan = kinked_plan(&kinks[k], &count);
        call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
        for (int i = 0; i < 7; i++)
            ck_assert_msg(dx[i] == (x[i] < 0 ? 0 : dy[i]), "activation %d: dx of x %g and dy %g is %g", (int)kinks[k].activation,
                          (double)x[i], (double)dy[i], (double)dx[i]);
        ck_assert_float_eq(dbeta, 7);
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* So far down its derivative is 0 in float; in double, on the CPU path, it is not yet. */
START_TEST(an_infinite_dy_where_silu_is_flat_gives_no_nan) {
    enum { COUNT = 35 };
    float x[COUNT], dy[COUNT], y[COUNT], dx[COUNT], dbeta;
    size_t count = COUNT;
    for (int i = 0; i < COUNT; i++) x[i] = -1e4f, dy[i] = i % 2 ? INFINITY : -INFINITY;
    clbn_config config = plain_config(&count);
    config.activation = CLBN_SILU;
    clbn_plan *plan = plan_of(tested(), &config);
    call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(tested_is_cpu_path() ? !isnan(dx[i]) : dx[i] == 0, "dx of dy %g is %g", (double)dy[i], (double)dx[i]);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(nan_passes_every_activation) {
    float x[] = {NAN, 1, -1, NAN}, dy[] = {2, 3, 4, 5}, y[4], dx[4], dbeta;
    size_t count = 4;
    for (int k = 0; k < KINKS; k++) {
        clbn_plan *plan = kinked_plan(&kinks[k], &count);
        call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
        ck_assert(isnan(y[0]) && isnan(y[3]) && !isnan(y[1]) && !isnan(y[2]));
        ck_assert_msg(dx[0] == 2 && dx[3] == 5, "activation %d: the derivative at NaN is not 1: dx is %g, %g",
                      (int)kinks[k].activation, (double)dx[0], (double)dx[3]);
        clbn_plan_destroy(plan);
    }
    clbn_config config = plain_config(&count);
    config.activation = CLBN_SILU;
    clbn_plan *plan = plan_of(tested(), &config);
    call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
    ck_assert(isnan(y[0]) && isnan(y[3]) && isnan(dx[0]) && !isnan(y[1]) && !isnan(dx[1]));
    clbn_plan_destroy(plan);
}
END_TEST

/* Values of every size, and where exp of them overflows. */
START_TEST(silu_is_silu_everywhere) {
    float x[401], dy[401], y[401], dx[401], dbeta;
    size_t count = 401;
    for (int i = 0; i < 401; i++) x[i] = (float)(i - 200) * (i % 3 ? 0.07f : 0.7f), dy[i] = 1;
    clbn_config config = plain_config(&count);
    config.activation = CLBN_SILU;
    clbn_plan *plan = plan_of(tested(), &config);
    call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
    const definition_activation silu = {DEFINITION_SILU, 0, 0, 0};
    const bounds_of who = tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
    for (int i = 0; i < 401; i++) {
        const bounds_step s = {.who = who, .of = {.inv_std = 1, .gamma = 1, .values = 401}, .population = 1, .act = silu};
        verdict_value(who, CLBN_F32, "y", y[i], definition_activate(&silu, x[i]), bounds_activated(&s, x[i], 0), "silu of x");
        verdict_value(who, CLBN_F32, "dx", dx[i], definition_derivative(&silu, x[i]), bounds_g(&s, x[i], 0, 1), "silu of x");
    }
    clbn_plan_destroy(plan);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------ masks */

START_TEST(a_mask_is_about_one_bit_an_element) {
    static const size_t shapes[][3] = {{32, 64, 49}, {2, 3, 4096}, {1000, 64, 1}, {7, 5, 300}};
    for (int k = 0; k < 4; k++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = shapes[k], config.activation = CLBN_RELU;
        const size_t count = shapes[k][0] * shapes[k][1] * shapes[k][2];
        clbn_plan *without = plan_of(tested(), &config);
        config.mask = 1;
        clbn_plan *with = plan_of(tested(), &config);
        ck_assert_uint_eq(clbn_plan_mask_bytes(without), 0);
        ck_assert_uint_ge(clbn_plan_mask_bytes(with), (count + 7) / 8);
        ck_assert_msg(clbn_plan_mask_bytes(with) <= count / 4, "%zu bytes of mask for %zu elements", clbn_plan_mask_bytes(with),
                      count);
        clbn_plan_destroy(with);
        clbn_plan_destroy(without);
    }
    ck_assert_uint_eq(clbn_plan_mask_bytes(NULL), 0);
}
END_TEST

/* Rows of odd length begin anywhere: devices that write such batches around their caches must leave a mask's bytes whole. */
START_TEST(masks_of_batches_beyond_the_caches_are_whole) {
    const size_t count = test_cache_values(), dims[2][2] = {{3, count / 3 | 1}, {count / 1001 | 1, 1001}};
    for (int k = 0; k < 2; k++) {
        const size_t n = dims[k][0] * dims[k][1];
        if (n > test_element_limit()) continue;
        clbn_config config = plain_config(NULL);
        config.rank = 2, config.dims = dims[k], config.axis = k, config.activation = CLBN_RELU, config.mask = 1;
        clbn_plan *plan = plan_of(tested(), &config);
        float *x = malloc(4 * n * sizeof *x), *dy = x + n, *y = dy + n, *dx = y + n, dbeta[MOST_CHANNELS];
        ck_assert_ptr_nonnull(x);
        for (size_t i = 0; i < n; i++) {
            const uint32_t mixed = (uint32_t)i * 2654435761u;
            x[i] = (float)(int32_t)mixed, dy[i] = (float)(mixed >> 8 & 255) + 1;
        }
        call_plain(plan, &(plain_call){n, x, dy, y, dx, dbeta});
        for (size_t i = 0; i < n; i++) {
            if (y[i] != fmaxf(x[i], 0) || dx[i] != (x[i] > 0 ? dy[i] : 0))
                ck_abort_msg("%zu x %zu, at %zu: x %g gives y %g and of dy %g dx %g", dims[k][0], dims[k][1], i, x[i], y[i],
                             dy[i], dx[i]);
        }
        free(x);
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------- own activations */

/* y and all gradients of a training batch with a config's activation, as one array of floats. */
static float *trained(const batch *b, const clbn_config *config) {
    const size_t n = b->shape.channels;
    float *out = calloc(2 * b->count + 6 * n, sizeof *out), *statistics = out + 2 * b->count;
    ck_assert_ptr_nonnull(out);
    clbn_plan *plan = plan_of(tested(), config);
    ck_clbn(clbn_forward_training(plan, NULL,
                                  &(clbn_forward_args){.x = clbn_host(b->x),
                                                       .y = clbn_host(out),
                                                       .gamma = clbn_host(b->gamma),
                                                       .beta = clbn_host(b->beta),
                                                       .saved_mean = clbn_host(statistics),
                                                       .saved_mean_lo = clbn_host(statistics + n),
                                                       .saved_inv_std = clbn_host(statistics + 2 * n)},
                                  0, NULL, NULL));
    ck_clbn(clbn_backward_training(plan, NULL,
                                   &(clbn_backward_args){.dy = clbn_host(b->x),
                                                         .x = clbn_host(b->x),
                                                         .dx = clbn_host(out + b->count),
                                                         .dgamma = clbn_host(statistics + 3 * n),
                                                         .dbeta = clbn_host(statistics + 4 * n),
                                                         .gamma = clbn_host(b->gamma),
                                                         .beta = clbn_host(b->beta),
                                                         .saved_mean = clbn_host(statistics),
                                                         .saved_mean_lo = clbn_host(statistics + n),
                                                         .saved_inv_std = clbn_host(statistics + 2 * n)},
                                   0, NULL, NULL));
    clbn_plan_destroy(plan);
    return out;
}

START_TEST(an_own_relu_is_relu_to_the_bit) {
    test_case of = case_of(5, 7, 33, NORMAL);
    batch b;
    batch_make(&b, &of, 0);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = of.dims, config.activation = CLBN_RELU;
    float *built_in = trained(&b, &config);
    config.activation = CLBN_CUSTOM, config.custom = &own_relu;
    float *own = trained(&b, &config);
    ck_assert_mem_eq(own, built_in, (2 * b.count + 6 * b.shape.channels) * sizeof(float));
    free(own), free(built_in);
    batch_free(&b);
}
END_TEST

START_TEST(a_plan_copies_its_expressions) {
    char value[] = "v <= 0 ? 0 : v", derivative[] = "v <= 0 ? 0 : 1";
    float x[] = {1, -1}, dy[] = {1, 1}, y[2], dx[2], dbeta;
    size_t count = 2;
    clbn_custom_activation custom = {value, derivative, positive_part, positive_side, NULL};
    clbn_config config = plain_config(&count);
    config.activation = CLBN_CUSTOM, config.custom = &custom;
    clbn_plan *plan = plan_of(tested(), &config);
    memset(value, '#', strlen(value));
    memset(derivative, '#', strlen(derivative));
    memset(&custom, 0, sizeof custom);
    call_plain(plan, &(plain_call){count, x, dy, y, dx, &dbeta});
    ck_assert(y[0] == 1 && y[1] == 0 && dx[0] == 1 && dx[1] == 0);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(an_expression_that_does_not_compile_is_told_with_the_compilers_words) {
    static const char *const broken[][2] = {{"v + no_such_name", "1"}, {"v", "no_such_name(v)"}, {"v +", "no_such_name"}};
    size_t count = 100;
    for (int k = 0; k < 3 && !tested_is_cpu_path(); k++) {
        const clbn_custom_activation custom = {broken[k][0], broken[k][1], NULL, NULL, NULL};
        clbn_config config = plain_config(&count);
        config.activation = CLBN_CUSTOM, config.custom = &custom;
        clbn_plan *plan = (clbn_plan *)&config;
        said_clear();
        must_refuse(clbn_plan_create(tested(), &config, &plan), CLBN_ERROR_KERNEL_BUILD, k < 2 ? "no_such_name" : "log",
                    broken[k][0]);
        ck_assert_ptr_null(plan);
    }
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------------- rounding */

START_TEST(storing_rounds_to_even_and_overflows_to_infinity) {
    float x[] = {2049, 2051, 65519,   65520, -65520, 1e30f, 0x1p-25f,  0x1.8p-24f, -0x1p-26f,
                 257,  259,  3.4e38f, 1,     -1,     NAN,   -INFINITY, NAN,        NAN};
    static const uint32_t full[] = {0x7fffffff, 0xffffffff}; /* NaN that rounding up would carry over into 0 */
    enum { COUNT = sizeof x / sizeof *x };
    static const clbn_dtype types[] = {CLBN_F16, CLBN_BF16};
    const float zero = 0, one = 1;
    size_t count = COUNT;
    memcpy(x + 14, full, sizeof *full);
    memcpy(x + COUNT - 2, full, sizeof full);
    for (int t = 0; t < 2; t++) {
        uint16_t y[COUNT];
        clbn_config config = plain_config(&count);
        config.y_dtype = types[t];
        clbn_plan *plan = plan_of(tested(), &config);
        ck_clbn(clbn_forward_inference(
            plan, NULL,
            &(clbn_forward_args){
                .x = clbn_host(x), .y = clbn_host(y), .running_mean = clbn_host(&zero), .running_var = clbn_host(&one)},
            0, NULL, NULL));
        for (int i = 0; i < COUNT; i++) {
            uint16_t expected;
            stored_put(types[t], &expected, x[i]);
            if (isnan(x[i]))
                ck_assert(isnan(stored_get(types[t], &y[i])));
            else
                ck_assert_msg(y[i] == expected, "%.9g is stored as 0x%04x in %s instead of 0x%04x", (double)x[i], y[i],
                              stored_name(types[t]), expected);
        }
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* A double next to a tie is no tie, though as a float it would be. Vectors of them, and a rest. */
START_TEST(doubles_next_to_a_tie_are_rounded_once) {
    static const double ties[] = {2049, 2051, -2049, -2051, 257, 259, -257, -259};
    static const clbn_dtype types[] = {CLBN_F16, CLBN_BF16};
    enum { TIES = sizeof ties / sizeof *ties, COUNT = 3 * TIES * 2 + 5 };
    const double zero = 0, one = 1;
    size_t count = COUNT;
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    if (!info.has_fp64) return;
    for (int t = 0; t < 2; t++) {
        double x[COUNT];
        uint16_t y[COUNT];
        for (int i = 0; i < COUNT; i++) x[i] = ties[i % TIES] + (i / TIES % 3 - 1) * 1e-9;
        clbn_config config = plain_config(&count);
        config.dtype = CLBN_F64, config.y_dtype = types[t];
        clbn_plan *plan = plan_of(tested(), &config);
        ck_clbn(clbn_forward_inference(
            plan, NULL,
            &(clbn_forward_args){
                .x = clbn_host(x), .y = clbn_host(y), .running_mean = clbn_host(&zero), .running_var = clbn_host(&one)},
            0, NULL, NULL));
        for (int i = 0; i < COUNT; i++) {
            uint16_t expected;
            stored_put(types[t], &expected, x[i]);
            ck_assert_msg(y[i] == expected, "%.17g is stored as 0x%04x in %s instead of 0x%04x", x[i], y[i],
                          stored_name(types[t]), expected);
        }
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* Every pattern of a 16-bit type goes through a plan that changes nothing and comes back. */
START_TEST(every_stored_value_survives_an_identity) {
    static const clbn_dtype types[] = {CLBN_F16, CLBN_BF16};
    const float zero = 0, one = 1;
    size_t count = 65536;
    if (count > test_element_limit()) return;
    uint16_t *x = malloc(2 * count * sizeof *x), *y = x + count;
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < count; i++) x[i] = (uint16_t)i;
    for (int t = 0; t < 2; t++) {
        clbn_config config = plain_config(&count);
        config.dtype = types[t];
        clbn_plan *plan = plan_of(tested(), &config);
        ck_clbn(clbn_forward_inference(
            plan, NULL,
            &(clbn_forward_args){
                .x = clbn_host(x), .y = clbn_host(y), .running_mean = clbn_host(&zero), .running_var = clbn_host(&one)},
            0, NULL, NULL));
        for (size_t i = 0; i < count; i++) {
            const double value = stored_get(types[t], &x[i]), got = stored_get(types[t], &y[i]);
            const int may_flush = types[t] == CLBN_BF16 && fabs(value) < 0x1p-126 && tested_flushes_denormals();
            if (!(isnan(value) ? isnan(got) : got == value || (may_flush && got == 0)))
                ck_abort_msg("0x%04x of %s, %g, becomes 0x%04x, %g", (unsigned)i, stored_name(types[t]), value, y[i], got);
        }
        clbn_plan_destroy(plan);
    }
    free(x);
}
END_TEST

void add_activations(TCase *tests) {
    tcase_add_test(tests, the_derivative_at_a_kink_is_that_of_the_lower_side);
    tcase_add_test(tests, a_masked_dy_counts_0_whatever_it_holds);
    tcase_add_test(tests, an_infinite_dy_where_silu_is_flat_gives_no_nan);
    tcase_add_test(tests, nan_passes_every_activation);
    tcase_add_test(tests, silu_is_silu_everywhere);
    tcase_add_test(tests, a_mask_is_about_one_bit_an_element);
    tcase_add_test(tests, masks_of_batches_beyond_the_caches_are_whole);
    tcase_add_test(tests, an_own_relu_is_relu_to_the_bit);
    tcase_add_test(tests, a_plan_copies_its_expressions);
    tcase_add_test(tests, an_expression_that_does_not_compile_is_told_with_the_compilers_words);
    tcase_add_test(tests, storing_rounds_to_even_and_overflows_to_infinity);
    tcase_add_test(tests, doubles_next_to_a_tie_are_rounded_once);
    tcase_add_test(tests, every_stored_value_survives_an_identity);
}
