/* SPDX-License-Identifier: Apache-2.0
 *
 * Running statistics by themselves: channels that are not finite, updates without a forward pass, folding into a layer.
 */
#include "semantics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 5 };

static clbn_config columns(const size_t dims[2]) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims;
    return config;
}

START_TEST(skip_nonfinite_keeps_both_running_statistics_of_the_channel) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const size_t dims[] = {16, CHANNELS};
    const clbn_config config = columns(dims);
    clbn_plan *plan = plan_of(tested(), &config);
    for (int k = 0; k < 3; k++)
        for (int skip = 0; skip < 2; skip++) {
            float x[16 * CHANNELS], y[16 * CHANNELS], mean[CHANNELS], var[CHANNELS], saved[2 * CHANNELS];
            for (int i = 0; i < 16 * CHANNELS; i++) x[i] = (float)(i * i % 17);
            for (int c = 0; c < CHANNELS; c++) mean[c] = 1.5f, var[c] = 2.5f;
            x[3 * CHANNELS + 2] = bad[k];
            ck_clbn(clbn_forward_training(plan, NULL,
                                          &(clbn_forward_args){.x = clbn_host(x),
                                                               .y = clbn_host(y),
                                                               .running_mean = clbn_host(mean),
                                                               .running_var = clbn_host(var),
                                                               .saved_mean = clbn_host(saved),
                                                               .saved_var = clbn_host(saved + CHANNELS),
                                                               .update_weight = 0.5,
                                                               .skip_nonfinite = skip},
                                          0, NULL, NULL));
            for (int c = 0; c < CHANNELS; c++) {
                if (c != 2) ck_assert(isfinite(mean[c]) && mean[c] != 1.5f && isfinite(var[c]) && var[c] != 2.5f);
                if (c == 2 && skip) ck_assert(mean[c] == 1.5f && var[c] == 2.5f);
                if (c == 2 && !skip) ck_assert(!isfinite(mean[c]) && !isfinite(var[c]));
                ck_assert(!isfinite(y[3 * CHANNELS + c]) == (c == 2));
            }
            float again_mean[CHANNELS], again_var[CHANNELS];
            for (int c = 0; c < CHANNELS; c++) again_mean[c] = 1.5f, again_var[c] = 2.5f;
            ck_clbn(clbn_update_running(plan, NULL,
                                        &(clbn_update_args){.mean = clbn_host(saved),
                                                            .var = clbn_host(saved + CHANNELS),
                                                            .running_mean = clbn_host(again_mean),
                                                            .running_var = clbn_host(again_var),
                                                            .update_weight = 0.5,
                                                            .skip_nonfinite = skip},
                                        0, NULL, NULL));
            if (skip) ck_assert(again_mean[2] == 1.5f && again_var[2] == 2.5f);
            if (!skip) ck_assert(!isfinite(again_mean[2]) && !isfinite(again_var[2]));
            ck_assert(again_mean[0] != 1.5f && again_var[0] != 2.5f);
        }
    clbn_plan_destroy(plan);
}
END_TEST

/* Of what forward saved, rounded to real: the same but for that rounding, and exactly the same where the statistics have few digits. */
START_TEST(update_running_does_what_forward_does) {
    const size_t dims[] = {16, CHANNELS};
    for (int kind = 0; kind < 2; kind++) {
        clbn_config config = columns(dims);
        config.running_variance = (clbn_running_variance)kind;
        clbn_plan *plan = plan_of(tested(), &config);
        float x[16 * CHANNELS], mean[CHANNELS], var[CHANNELS], again_mean[CHANNELS], again_var[CHANNELS], saved[2 * CHANNELS];
        for (int i = 0; i < 16 * CHANNELS; i++) x[i] = (float)(i * i % 19 - 7) * 0.25f;
        for (int c = 0; c < CHANNELS; c++) mean[c] = again_mean[c] = 0.3f * (float)c, var[c] = again_var[c] = 1.7f;
        ck_clbn(clbn_forward_training(plan, NULL,
                                      &(clbn_forward_args){.x = clbn_host(x),
                                                           .running_mean = clbn_host(mean),
                                                           .running_var = clbn_host(var),
                                                           .saved_mean = clbn_host(saved),
                                                           .saved_var = clbn_host(saved + CHANNELS),
                                                           .update_weight = 0.1},
                                      0, NULL, NULL));
        ck_clbn(clbn_update_running(plan, NULL,
                                    &(clbn_update_args){.mean = clbn_host(saved),
                                                        .var = clbn_host(saved + CHANNELS),
                                                        .running_mean = clbn_host(again_mean),
                                                        .running_var = clbn_host(again_var),
                                                        .update_weight = 0.1},
                                    0, NULL, NULL));
        ck_assert_mem_eq(again_mean, mean, sizeof mean); /* sums of small integers over 16: the saved ones are exact */
        ck_assert_mem_eq(again_var, var, sizeof var);
        clbn_plan_destroy(plan);
    }
}
END_TEST

START_TEST(update_running_takes_its_weight_and_count_at_their_word) {
    const size_t dims[] = {4, 3};
    const clbn_config config = columns(dims); /* unbiased */
    clbn_plan *plan = plan_of(tested(), &config);
    const float mean[] = {8, -4, 2}, var[] = {3, 6, 9};
    const struct {
        double weight;
        uint64_t count;
        float mean, var; /* of the third channel, from 4 and 20 */
    } steps[] = {{0, 0, 4, 20}, {1, 0, 2, 12}, {0.5, 0, 3, 16}, {1, 1, 2, 20}, {1, 10, 2, 10}, {0.5, 2, 3, 19}};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        float running_mean[] = {NAN, INFINITY, 4}, running_var[] = {NAN, INFINITY, 20};
        ck_clbn(clbn_update_running(plan, NULL,
                                    &(clbn_update_args){.mean = clbn_host(mean),
                                                        .var = clbn_host(var),
                                                        .running_mean = clbn_host(running_mean),
                                                        .running_var = clbn_host(running_var),
                                                        .update_weight = steps[k].weight,
                                                        .count = steps[k].count},
                                    0, NULL, NULL));
        ck_assert_msg(running_mean[2] == steps[k].mean && running_var[2] == steps[k].var, "weight %g, count %llu: %.9g, %.9g",
                      steps[k].weight, (unsigned long long)steps[k].count, (double)running_mean[2], (double)running_var[2]);
        if (steps[k].weight == 0) ck_assert(isnan(running_mean[0]) && isinf(running_mean[1]) && isnan(running_var[0]));
        if (steps[k].weight == 1) ck_assert(running_mean[0] == 8 && running_mean[1] == -4);
    }
    float alone = 1;
    const size_t one[] = {4, 1};
    const clbn_config of_one = columns(one);
    clbn_plan *single = plan_of(tested(), &of_one);
    ck_clbn(clbn_update_running(
        single, NULL, &(clbn_update_args){.mean = clbn_host(mean), .running_mean = clbn_host(&alone), .update_weight = 1}, 0,
        NULL, NULL));
    ck_assert_float_eq(alone, 8);
    clbn_plan_destroy(single);
    clbn_plan_destroy(plan);
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------------- folding */

enum { OUT = 7, IN = 13 };

/* A layer and the normalization behind it; weight[o][i]. */
typedef struct layer {
    double weight[OUT * IN], bias[OUT], gamma[OUT], beta[OUT], mean[OUT], var[OUT];
} layer;

static double around_0(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(float)((double)(*state >> 11) * 0x1p-51 - 2);
}

static void layer_make(layer *l, clbn_dtype type, clbn_dtype real) {
    uint64_t state = 42;
    for (int k = 0; k < OUT * IN; k++) l->weight[k] = stored_round(type, around_0(&state));
    for (int o = 0; o < OUT; o++) {
        l->bias[o] = stored_round(real, around_0(&state)), l->gamma[o] = stored_round(real, around_0(&state));
        l->beta[o] = stored_round(real, around_0(&state)), l->mean[o] = stored_round(real, around_0(&state));
        l->var[o] = stored_round(real, 1.5 + 0.5 * around_0(&state));
    }
}

/* outputs_last: weight[i][o]. */
static void transpose(const double *from, double *to) {
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++) to[i * OUT + o] = from[o * IN + i];
}

/* Each folded weight is off by A of itself and its rounding; the bias by A and rounding of its terms. The sum of a layer adds them
 * up, each times its input. */
static void folded_layer_must_be_the_same(const layer *l, clbn_dtype type, const double *weight, const double *bias,
                                          int with_bias, int with_gamma, double epsilon) {
    const int wide = type == CLBN_F64;
    const bounds_of who = tested_is_cpu_path() ? (wide ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_CPU_PATH)
                                               : (wide ? BOUNDS_OF_DEVICE_F64 : BOUNDS_OF_DEVICE);
    const long double each = bounds_accuracy(who) + 2 * bounds_real(who);
    uint64_t state = 7;
    for (int trial = 0; trial < 20; trial++) {
        double input[IN];
        for (int i = 0; i < IN; i++) input[i] = around_0(&state);
        for (int o = 0; o < OUT; o++) {
            const long double scale = (with_gamma ? l->gamma[o] : 1) * definition_inv_std(l->var[o], epsilon, 0);
            long double linear = with_bias ? l->bias[o] : 0, folded = bias[o], allowed = 0;
            for (int i = 0; i < IN; i++) {
                linear += (long double)l->weight[o * IN + i] * input[i];
                folded += (long double)weight[o * IN + i] * input[i];
                const long double exact = l->weight[o * IN + i] * scale;
                allowed += fabsl(input[i]) * (each * fabsl(exact) + (stored_bytes(type) == 2 ? stored_half_ulp(type, exact) : 0));
            }
            allowed += each * ((fabsl((long double)l->bias[o]) + fabsl((long double)l->mean[o])) * fabsl(scale) +
                               fabsl((long double)l->beta[o]));
            const long double exact = (linear - l->mean[o]) * scale + l->beta[o];
            ck_assert_msg(fabsl(folded - exact) <= allowed, "output %d of a folded %s layer is %.9Lg instead of %.9Lg", o,
                          stored_name(type), folded, exact);
        }
    }
}

static void fold_once(clbn_dtype type, int outputs_last, int in_place, int with_bias, int with_gamma) {
    const clbn_dtype real = type == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    layer l;
    double turned[OUT * IN], folded[OUT * IN], back[OUT * IN], folded_bias[OUT];
    layer_make(&l, type, real);
    transpose(l.weight, turned);
    const size_t out_first[] = {OUT, IN}, out_last[] = {IN, OUT};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = outputs_last ? out_last : out_first, config.axis = outputs_last ? -1 : 0, config.dtype = type;
    clbn_plan *plan = NULL;
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (type == CLBN_F64 && status == CLBN_ERROR_UNSUPPORTED) return;
    ck_clbn(status);
    void *weight = stored_pack(type, outputs_last ? turned : l.weight, OUT * IN), *into = stored_pack(type, l.weight, OUT * IN);
    void *bias = stored_pack(real, l.bias, OUT), *into_bias = stored_pack(real, l.bias, OUT),
         *gamma = stored_pack(real, l.gamma, OUT);
    void *beta = stored_pack(real, l.beta, OUT), *mean = stored_pack(real, l.mean, OUT), *var = stored_pack(real, l.var, OUT);
    ck_clbn(clbn_fold(plan, NULL,
                      &(clbn_fold_args){.weight = clbn_host(weight),
                                        .bias = clbn_host(with_bias ? bias : NULL),
                                        .gamma = clbn_host(with_gamma ? gamma : NULL),
                                        .beta = clbn_host(beta),
                                        .running_mean = clbn_host(mean),
                                        .running_var = clbn_host(var),
                                        .folded_weight = clbn_host(in_place ? weight : into),
                                        .folded_bias = clbn_host(in_place ? bias : into_bias)},
                      0, NULL, NULL));
    stored_unpack(type, in_place ? weight : into, folded, OUT * IN);
    stored_unpack(real, in_place ? bias : into_bias, folded_bias, OUT);
    if (outputs_last)
        for (int o = 0; o < OUT; o++)
            for (int i = 0; i < IN; i++) back[o * IN + i] = folded[i * OUT + o];
    else
        memcpy(back, folded, sizeof back);
    folded_layer_must_be_the_same(&l, type, back, folded_bias, with_bias, with_gamma, config.epsilon);
    void *all[] = {weight, into, bias, into_bias, gamma, beta, mean, var};
    for (int k = 0; k < 8; k++) free(all[k]);
    clbn_plan_destroy(plan);
}

START_TEST(a_folded_layer_is_the_layer_and_its_normalization) {
    static const clbn_dtype types[] = {CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64};
    for (int t = 0; t < 4; t++)
        for (int k = 0; k < 16; k++)
            if (!test_is_short() || k % 4 == t) fold_once(types[t], k & 1, (k >> 1) & 1, (k >> 2) & 1, (k >> 3) & 1);
}
END_TEST

void add_running(TCase *tests) {
    tcase_add_test(tests, skip_nonfinite_keeps_both_running_statistics_of_the_channel);
    tcase_add_test(tests, update_running_does_what_forward_does);
    tcase_add_test(tests, update_running_takes_its_weight_and_count_at_their_word);
    tcase_add_test(tests, a_folded_layer_is_the_layer_and_its_normalization);
}
