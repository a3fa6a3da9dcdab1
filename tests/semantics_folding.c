/* SPDX-License-Identifier: Apache-2.0
 *
 * Folding: a layer with folded weights and bias does what the layer and the normalization behind it do, whatever axis its outputs
 * are on; every folded number is that of the formula.
 */
#include "manner.h"
#include "semantics.h"
#include "tensor.h"
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer_kind {
    const char *name;
    unsigned rank;
    size_t dims[4];
    int axis;               /* of the outputs */
    definition_shape shape; /* the same: what clbn.h makes of dims and axis */
} layer_kind;

static const layer_kind linear = {"linear [out, in]", 2, {6, 19}, 0, {1, 6, 19}};
static const layer_kind other_linear = {"linear [in, out]", 2, {19, 6}, -1, {19, 6, 1}};
static const layer_kind convolution = {"convolution [out, in, h, w]", 4, {5, 3, 3, 2}, 0, {1, 5, 18}};
static const layer_kind last_convolution = {"convolution [h, w, in, out]", 4, {3, 2, 3, 5}, -1, {18, 5, 1}};
static const layer_kind transposed = {"transposed convolution [in, out, h, w]", 4, {3, 5, 2, 2}, 1, {3, 5, 4}};

/* How a layer is folded; zero is the plain way: everything given, apart, dense, float32, epsilon inside, in host memory. */
typedef struct fold_way {
    int no_bias, no_gamma, no_beta;
    int on_weight, on_bias; /* in place */
    int layout, folded_layout;
    clbn_dtype type, folded_type;
    clbn_epsilon_rule rule;
} fold_way;

/* A layer's numbers, as doubles that the types hold. */
typedef struct layer {
    const layer_kind *kind;
    fold_way way;
    bounds_of who;
    char title[160];
    batch b;
    double epsilon, *weight, *folded, *gamma, *beta, *bias, *mean, *var, *folded_bias;
} layer;

static double *numbers(size_t count) {
    double *p = calloc(count + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

static void layer_make(layer *l, const layer_kind *kind, const fold_way *way, const char *note) {
    const test_case of = case_of(kind->shape.outer, kind->shape.channels, kind->shape.inner, NORMAL);
    const int f64 = way->type == CLBN_F64;
    memset(l, 0, sizeof *l);
    l->kind = kind, l->way = *way, l->epsilon = way->rule == CLBN_EPSILON_OUTSIDE ? 0.1 : 1e-3;
    l->who = tested_is_cpu_path() ? (f64 ? BOUNDS_OF_CPU_PATH_F64 : BOUNDS_OF_CPU_PATH)
             : f64                ? BOUNDS_OF_DEVICE_F64
                                  : BOUNDS_OF_DEVICE;
    snprintf(l->title, sizeof l->title, "%s, %s", kind->name, note);
    batch_make(&l->b, &of, 0);
    l->weight = widened(l->b.x, l->b.count);
    for (size_t k = 0; k < l->b.count; k++) l->weight[k] = stored_round(way->type, l->weight[k]);
    l->folded = numbers(l->b.count);
    l->gamma = widened(l->b.gamma, kind->shape.channels);
    l->beta = widened(l->b.beta, kind->shape.channels);
    l->mean = widened(l->b.running_mean, kind->shape.channels);
    l->var = widened(l->b.running_var, kind->shape.channels);
    l->bias = numbers(kind->shape.channels);
    l->folded_bias = numbers(kind->shape.channels);
    for (size_t c = 0; c < kind->shape.channels; c++) {
        l->bias[c] = way->no_bias ? 0 : (double)(0.7f * (float)c - 1.3f);
        if (way->no_gamma) l->gamma[c] = 1;
        if (way->no_beta) l->beta[c] = 0;
    }
}

static void layer_free(layer *l) {
    double *all[] = {l->weight, l->folded, l->gamma, l->beta, l->bias, l->mean, l->var, l->folded_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    batch_free(&l->b);
}

/* ---------------------------------------------------------------------------------------------------------------- the call */

/* Strides by dims, from those of the three numbers. */
static void strides_of(const layer_kind *kind, const steps *at, size_t strides[4]) {
    const int axis = kind->axis < 0 ? kind->axis + (int)kind->rank : kind->axis;
    size_t next = at->unit;
    for (int i = (int)kind->rank; i-- > 0;) {
        if (i == axis - 1) next = at->outer;
        strides[i] = i == axis ? at->channel : next;
        if (i != axis) next *= kind->dims[i];
    }
}

static clbn_plan *plan_of_layer(const layer *l, const steps *at, const steps *folded_at) {
    size_t strides[4], folded_strides[4];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = l->kind->rank, config.dims = l->kind->dims, config.axis = l->kind->axis;
    config.dtype = l->way.type, config.y_dtype = l->way.folded_type;
    config.epsilon = l->epsilon, config.epsilon_rule = l->way.rule;
    strides_of(l->kind, at, strides);
    strides_of(l->kind, folded_at, folded_strides);
    if (l->way.layout != DENSE) config.strides.x = strides;
    if (l->way.folded_layout != DENSE) config.strides.y = folded_strides;
    clbn_plan *plan = NULL;
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (status == CLBN_ERROR_UNSUPPORTED && l->way.type == CLBN_F64) return NULL;
    ck_clbn(status);
    return plan;
}

/* On the queue where it is given, else in host memory. 0 where the device has no such plan. */
static int fold(layer *l, cl_command_queue queue) {
    const definition_shape shape = l->kind->shape;
    const clbn_dtype real = bounds_is_f64(l->who) ? CLBN_F64 : CLBN_F32;
    const steps at = steps_of((unsigned)l->way.layout, 0, shape), folded_at = steps_of((unsigned)l->way.folded_layout, 1, shape);
    clbn_plan *plan = plan_of_layer(l, &at, &folded_at);
    if (!plan) return 0;
    enum { BIAS, GAMMA, BETA, MEAN, VAR, FOLDED_BIAS, ARRAYS };
    guarded g[ARRAYS] = {{0}};
    tensor weight, folded;
    const struct {
        const char *name;
        const double *values;
        int absent;
    } arrays[ARRAYS] = {{"bias", l->bias, l->way.no_bias}, {"gamma", l->gamma, l->way.no_gamma},
                        {"beta", l->beta, l->way.no_beta}, {"running_mean", l->mean, 0},
                        {"running_var", l->var, 0},        {"folded_bias", NULL, l->way.on_bias}};
    for (size_t i = 0; i < ARRAYS; i++)
        if (!arrays[i].absent)
            array_make(&g[i], arrays[i].name, queue, CL_MEM_READ_WRITE, real, shape.channels, i, arrays[i].values);
    tensor_make(&weight, "weight", queue, CL_MEM_READ_WRITE, l->way.type, shape, at, 3, l->weight);
    tensor_make(&folded, "folded_weight", queue, CL_MEM_READ_WRITE, l->way.folded_type, shape, folded_at, 1, NULL);
    tensor *into = l->way.on_weight ? &weight : &folded;
    guarded *bias_into = &g[l->way.on_bias ? BIAS : FOLDED_BIAS];
    const clbn_fold_args args = {.weight = guarded_buffer(&weight.memory),
                                 .bias = guarded_buffer(&g[BIAS]),
                                 .gamma = guarded_buffer(&g[GAMMA]),
                                 .beta = guarded_buffer(&g[BETA]),
                                 .running_mean = guarded_buffer(&g[MEAN]),
                                 .running_var = guarded_buffer(&g[VAR]),
                                 .folded_weight = guarded_buffer(&into->memory),
                                 .folded_bias = guarded_buffer(bias_into)};
    cl_event done = NULL;
    ck_clbn(clbn_fold(plan, queue, &args, 0, NULL, queue ? &done : NULL));
    if (queue) ck_cl(clWaitForEvents(1, &done));
    if (queue) clReleaseEvent(done);
    tensor_read(into, l->title, l->folded);
    array_read(bias_into, real, l->title, l->folded_bias);
    if (!l->way.on_weight) guarded_must_be_unchanged(&weight.memory, l->title);
    for (size_t i = l->way.on_bias ? GAMMA : BIAS; i < FOLDED_BIAS; i++) guarded_must_be_unchanged(&g[i], l->title);
    tensor_free(&weight), tensor_free(&folded);
    for (size_t i = 0; i < ARRAYS; i++) guarded_free(&g[i]);
    clbn_plan_destroy(plan);
    return 1;
}

/* -------------------------------------------------------------------------------------------------------------- the verdict */

/* What a stored number within bound of exact may be off once it is rounded, to real and to its type. */
static long double off_by(const layer *l, clbn_dtype type, long double exact, long double bound) {
    const long double size = fabsl(exact) + bound;
    return bound + bounds_real(l->who) * size + stored_half_ulp(type, size * (1 + bounds_real(l->who)));
}

/* Channel c of the layer on an input: its own output, normalized, is that of the folded layer. */
static void judge_output(const layer *l, size_t c, long double scale, long double of_bias) {
    const definition_shape shape = l->kind->shape;
    uint64_t state = 7 + c;
    long double output = l->bias[c], folded = l->folded_bias[c], allowed = of_bias;
    for (size_t o = 0; o < shape.outer; o++)
        for (size_t i = 0; i < shape.inner; i++) {
            const size_t k = (o * shape.channels + c) * shape.inner + i;
            const long double exact = l->weight[k] * scale;
            state = state * 6364136223846793005u + 1442695040888963407u;
            const long double input = (long double)(state >> 40) * 0x1p-22L - 2;
            output += l->weight[k] * input;
            folded += l->folded[k] * input;
            allowed += fabsl(input) * off_by(l, l->way.folded_type, exact, bounds_folded_weight(l->who, exact));
        }
    const long double normalized = scale * (output - l->mean[c]) + l->beta[c];
    ck_assert_msg(fabsl(folded - normalized) <= allowed, "output %zu is %.12Lg where layer and normalization give %.12Lg: %s", c,
                  folded, normalized, l->title);
}

static void judge_layer(const layer *l) {
    const definition_shape shape = l->kind->shape;
    const clbn_dtype real = bounds_is_f64(l->who) ? CLBN_F64 : CLBN_F32;
    for (size_t c = 0; c < shape.channels; c++) {
        const long double scale = l->gamma[c] * definition_inv_std(l->var[c], l->epsilon, l->way.rule == CLBN_EPSILON_OUTSIDE);
        const long double scaled = (l->bias[c] - l->mean[c]) * scale, bias = scaled + l->beta[c];
        const long double of_bias = bounds_folded_bias(l->who, scaled, l->beta[c]);
        verdict_value(l->who, real, "folded_bias", l->folded_bias[c], bias, of_bias, l->title);
        for (size_t o = 0; o < shape.outer; o++)
            for (size_t i = 0; i < shape.inner; i++) {
                const size_t k = (o * shape.channels + c) * shape.inner + i;
                const long double exact = l->weight[k] * scale;
                verdict_value(l->who, l->way.folded_type, "folded_weight", l->folded[k], exact,
                              bounds_folded_weight(l->who, exact), l->title);
            }
        judge_output(l, c, scale, off_by(l, real, bias, of_bias));
    }
}

static void fold_and_judge(const layer_kind *kind, const fold_way *way, const char *note) {
    for (int on_queue = 0; on_queue < (tested_is_cpu_path() ? 1 : 2); on_queue++) {
        layer l;
        layer_make(&l, kind, way, note);
        if (fold(&l, on_queue ? tested_queue() : NULL)) judge_layer(&l);
        layer_free(&l);
    }
}

START_TEST(a_folded_layer_is_the_layer_and_its_normalization) {
    static const layer_kind *const kinds[] = {&linear, &other_linear, &convolution, &last_convolution, &transposed};
    for (int k = 0; k < 5; k++) fold_and_judge(kinds[k], &(fold_way){0}, "plain");
}
END_TEST

START_TEST(what_is_absent_in_folding_is_0_or_1) {
    fold_and_judge(&linear, &(fold_way){.no_bias = 1}, "no bias");
    fold_and_judge(&other_linear, &(fold_way){.no_gamma = 1}, "no gamma");
    fold_and_judge(&convolution, &(fold_way){.no_beta = 1}, "no beta");
    fold_and_judge(&linear, &(fold_way){.no_bias = 1, .no_gamma = 1, .no_beta = 1}, "nothing but statistics");
}
END_TEST

START_TEST(folding_may_be_in_place) {
    fold_and_judge(&linear, &(fold_way){.on_weight = 1, .on_bias = 1}, "in place");
    fold_and_judge(&other_linear, &(fold_way){.on_weight = 1}, "weight in place");
    fold_and_judge(&transposed, &(fold_way){.on_bias = 1, .no_beta = 1}, "bias in place");
}
END_TEST

START_TEST(folding_keeps_to_the_rule_of_epsilon) {
    fold_and_judge(&linear, &(fold_way){.rule = CLBN_EPSILON_OUTSIDE}, "outside");
    fold_and_judge(&other_linear, &(fold_way){.rule = CLBN_EPSILON_OUTSIDE, .no_gamma = 1}, "outside, no gamma");
}
END_TEST

START_TEST(weights_of_every_type_are_folded_within_half_an_ulp) {
    const fold_way ways[] = {{.type = CLBN_F16, .folded_type = CLBN_F16},
                             {.type = CLBN_F16, .folded_type = CLBN_F16, .on_weight = 1},
                             {.type = CLBN_F32, .folded_type = CLBN_F16},
                             {.type = CLBN_F64, .folded_type = CLBN_F64}};
    for (int k = 0; k < 4; k++) {
        fold_and_judge(&linear, &ways[k], stored_name(ways[k].type));
        if (!test_is_short()) fold_and_judge(&other_linear, &ways[k], stored_name(ways[k].type));
    }
}
END_TEST

START_TEST(strided_weights_are_folded) {
    fold_and_judge(&linear, &(fold_way){.layout = PADDED}, "padded");
    fold_and_judge(&other_linear, &(fold_way){.layout = GAPS, .folded_layout = PADDED}, "from gaps to padded");
    fold_and_judge(&transposed, &(fold_way){.layout = SLICES, .folded_layout = SLICES, .on_weight = 1}, "slices, in place");
}
END_TEST

/* A layer without inputs has a bias all the same. */
START_TEST(the_bias_of_an_empty_weight_is_folded) {
    const float bias[] = {5, 7}, mean[] = {1, -1}, var[] = {4, 16}, beta[] = {0.5f, 0};
    float folded[2] = {0};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = (const size_t[]){2, 0}, config.axis = 0, config.epsilon = 0;
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_fold_args args = {.bias = clbn_host(bias),
                                 .beta = clbn_host(beta),
                                 .running_mean = clbn_host(mean),
                                 .running_var = clbn_host(var),
                                 .folded_bias = clbn_host(folded)};
    ck_clbn(clbn_fold(plan, NULL, &args, 0, NULL, NULL));
    ck_assert(folded[0] == 2.5f && folded[1] == 2);
    clbn_plan_destroy(plan);
}
END_TEST

void add_folding(TCase *tests) {
    tcase_add_test(tests, a_folded_layer_is_the_layer_and_its_normalization);
    tcase_add_test(tests, what_is_absent_in_folding_is_0_or_1);
    tcase_add_test(tests, folding_may_be_in_place);
    tcase_add_test(tests, folding_keeps_to_the_rule_of_epsilon);
    tcase_add_test(tests, weights_of_every_type_are_folded_within_half_an_ulp);
    tcase_add_test(tests, strided_weights_are_folded);
    tcase_add_test(tests, the_bias_of_an_empty_weight_is_folded);
}
