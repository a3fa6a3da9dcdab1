/* SPDX-License-Identifier: Apache-2.0
 *
 * The device under test is right: the CPU path judges every variant of its kernels over the whole case table.
 */
#include "support.h"
#include "sweep.h"
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *variants[MOST_NAMES]; /* [0] is NULL: the plan chooses */
static size_t variant_count, ran[MOST_NAMES], ran_back[MOST_NAMES];
static clbn_device *cpu;

static void open_judge(void) {
    cpu = open_device("cpu", 0);
    ck_assert_msg(!tested_is_cpu_path(), "CLBN_TEST_DEVICE must name an OpenCL device here");
    variant_count = variant_names(variants);
    ck_assert_uint_lt(variant_count, MOST_NAMES); /* there may be more */
}

static void close_judge(void) {
    judge_report();
    verdict_report();
    for (size_t k = 0; k < variant_count; k++)
        printf("plans %-22s %zu, back %zu\n", variants[k] ? variants[k] : "chosen", ran[k], ran_back[k]);
    clbn_device_destroy(cpu);
}

START_TEST(the_cpu_path_judges_every_variant) {
    const sweep s = {tested(), cpu, "", variants, variant_count, ran};
    sweep_case(&s, (size_t)_i);
}
END_TEST

/* Forward and back by one variant; 0 where it does not fit. */
static int go_back(const material *m, const verdict *exact, size_t variant) {
    stage s;
    const clbn_status status = stage_open(&s, tested(), tested_queue(), m, variants[variant], "");
    if (variant && status == CLBN_ERROR_UNSUPPORTED) return 0;
    if (status != CLBN_SUCCESS) ck_abort_msg("no plan: %s, saying: %s\n%s", clbn_status_name(status), said(), s.title);
    stage_forward(&s);
    stage_backward(&s);
    verdict_backward(exact, bounds_for(0, &m->m), &s.out, s.title);
    stage_close(&s);
    ran_back[variant]++;
    return 1;
}

/* By whoever of those that fit ran least. */
static void take_a_turn(const material *m, const verdict *exact) {
    int fits[MOST_NAMES], done = 0;
    for (size_t k = 0; k < variant_count; k++) fits[k] = 1;
    while (!done) {
        size_t least = 0; /* the plan's choice, which always fits */
        for (size_t k = 1; k < variant_count; k++)
            if (fits[k] && ran_back[k] < ran_back[least]) least = k;
        done = fits[least] = go_back(m, exact, least);
    }
}

/* Cases to 10^5 elements; the operations suite takes larger ones, by variants in turn. */
START_TEST(every_variant_goes_back_over_every_case) {
    const test_case *c = &cases[_i];
    const size_t elements = case_elements(c), index = (size_t)_i;
    if (elements > 100000 || elements > test_element_limit() || (test_is_short() && index % 3)) return;
    manner how = {{0}};
    batch b;
    material m;
    verdict exact;
    how.level[BY_SAVED] = index % 2 ? RECOMPUTED : ALL_SAVED;
    batch_make(&b, c, tested_flushes_denormals());
    material_make(&m, &b, &how);
    verdict_make(&exact, &m);
    if (test_is_short()) take_a_turn(&m, &exact);
    for (size_t k = 0; k < variant_count && !test_is_short(); k++) go_back(&m, &exact, k);
    verdict_free(&exact);
    material_free(&m);
    batch_free(&b);
}
END_TEST

START_TEST(every_variant_ran_on_some_case) {
    ck_assert_uint_gt(variant_count, 1);
    for (size_t k = 0; k < variant_count; k++)
        ck_assert_msg(ran[k] > 0 && ran_back[k] > 0, "no case of the table was run by %s",
                      variants[k] ? variants[k] : "the plan's own choice");
}
END_TEST

static int is_one_of(const char *variant, const char *word) {
    return strstr(variant, word) != NULL;
}

/* llvmpipe ends a work-item after so many turns of its loops that one group may take no more of a channel, by docs/portability.md. */
enum { OF_LLVMPIPE = 4096 };

/* Where docs/performance.md says that a plan may choose it: planes anywhere, fused columns where inner is 1, split ones where it is
 * below 16 too. Work-items walk alone, at any length, where the device's own choice is that. */
static int must_fit(const char *variant, const clbn_plan_info *chosen) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    if (strstr(info.device, "llvmpipe") && is_one_of(variant, "fused") && chosen->outer * chosen->inner > OF_LLVMPIPE) return 0;
    if (is_one_of(variant, "alone") && !is_one_of(chosen->variant, "alone")) return 0;
    if (is_one_of(variant, "planes")) return 1;
    return chosen->inner == 1 || (chosen->inner < 16 && is_one_of(variant, "split"));
}

START_TEST(a_variant_is_refused_only_where_it_cannot_do_the_case) {
    const test_case *c = &cases[_i];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    clbn_plan_info info;
    config.rank = c->rank, config.dims = c->dims, config.axis = c->axis;
    clbn_plan *plan = plan_of(tested(), &config);
    ck_clbn(clbn_plan_query(plan, &info));
    clbn_plan_destroy(plan);
    for (size_t k = 1; k < variant_count; k++) {
        if (!must_fit(variants[k], &info)) continue;
        config.variant = variants[k];
        clbn_plan_destroy(plan_of(tested(), &config));
    }
}
END_TEST

START_TEST(variants_have_names_of_their_own) {
    for (size_t k = 1; k < variant_count; k++) {
        ck_assert_uint_gt(strlen(variants[k]), 0);
        for (size_t j = 1; j < k; j++) ck_assert_str_ne(variants[j], variants[k]);
    }
    for (size_t k = 0; k < 3; k++) ck_assert_ptr_null(clbn_variant_name(variant_count - 1 + k));
    ck_assert_ptr_null(clbn_variant_name(SIZE_MAX));
}
END_TEST

START_TEST(a_forced_variant_is_the_one_that_runs) {
    static const size_t shapes[][3] = {{3, 5, 147}, {129, 17, 1}, {5, 3, 4}};
    for (size_t k = 1; k < variant_count; k++)
        for (size_t j = 0; j < 3; j++) {
            clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
            clbn_plan *plan = NULL;
            clbn_plan_info info;
            config.rank = 3, config.dims = shapes[j], config.variant = variants[k];
            if (clbn_plan_create(tested(), &config, &plan) == CLBN_ERROR_UNSUPPORTED) continue;
            ck_assert_ptr_nonnull(plan);
            ck_clbn(clbn_plan_query(plan, &info));
            ck_assert_str_eq(info.variant, variants[k]);
            ck_assert_uint_ge(info.training_launches, 1);
            ck_assert_uint_ge(info.inference_launches, 1);
            ck_assert_uint_ge(info.moments_launches, 1);
            clbn_plan_destroy(plan);
        }
}
END_TEST

/* Bits of every channel but the middle one. */
static void other_channels_must_be_same(const batch *b, const result *poisoned, const result *healed, const char *title) {
    const definition_shape s = b->shape;
    for (size_t k = 0; k < b->count; k++) {
        size_t c = k / s.inner % s.channels;
        if (c == s.channels / 2) continue;
        ck_assert_msg(!memcmp(poisoned->y + k, healed->y + k, sizeof(float)), "%s: y of channel %zu knows of channel %zu", title,
                      c, s.channels / 2);
        const float *one[] = {poisoned->mean,    poisoned->mean_lo,      poisoned->var,
                              poisoned->inv_std, poisoned->running_mean, poisoned->running_var};
        const float *two[] = {healed->mean,    healed->mean_lo,      healed->var,
                              healed->inv_std, healed->running_mean, healed->running_var};
        for (int j = 0; j < 6; j++)
            ck_assert_msg(!memcmp(one[j] + c, two[j] + c, sizeof(float)), "%s: a statistic of channel %zu knows of channel %zu",
                          title, c, s.channels / 2);
    }
}

static void poison_must_stay(const test_case *c, const char *variant) {
    const way w = plain_way(IN_MEM);
    batch poisoned, healed;
    batch_make(&poisoned, c, 0);
    batch_make(&healed, c, 0);
    batch_heal(&healed);
    clbn_config config = config_of(&poisoned, &w, variant);
    clbn_plan *plan = NULL;
    clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (status != CLBN_ERROR_UNSUPPORTED) {
        ck_clbn(status);
        scene bad, good;
        scene_make(&bad, &poisoned, &w, TRAINING, tested_queue(), plan, variant);
        scene_make(&good, &healed, &w, TRAINING, tested_queue(), plan, variant);
        result of_bad = scene_run(&bad, plan, tested_queue()), of_good = scene_run(&good, plan, tested_queue());
        other_channels_must_be_same(&poisoned, &of_bad, &of_good, bad.title);
        ck_assert(isfinite(of_good.mean[poisoned.shape.channels / 2]));
        ck_assert(!isfinite(of_bad.mean[poisoned.shape.channels / 2]));
        scene_free(&bad);
        scene_free(&good);
    }
    clbn_plan_destroy(plan);
    batch_free(&poisoned);
    batch_free(&healed);
}

START_TEST(nan_and_inf_stay_in_their_channel) {
    for (size_t i = 0; i < case_count; i++) {
        if ((cases[i].data != ONE_NAN && cases[i].data != ONE_INF) || case_elements(&cases[i]) > test_element_limit()) continue;
        for (size_t k = 0; k < variant_count; k++)
            if (!test_is_short() || k == i % variant_count) poison_must_stay(&cases[i], variants[k]);
    }
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "device");
    tcase_add_unchecked_fixture(tests, open_judge, close_judge);
    tcase_add_test(tests, variants_have_names_of_their_own);
    tcase_add_test(tests, a_forced_variant_is_the_one_that_runs);
    tcase_add_loop_test(tests, a_variant_is_refused_only_where_it_cannot_do_the_case, 0, (int)case_count);
    tcase_add_loop_test(tests, the_cpu_path_judges_every_variant, 0, (int)case_count);
    tcase_add_loop_test(tests, every_variant_goes_back_over_every_case, 0, (int)case_count);
    tcase_add_test(tests, every_variant_ran_on_some_case);
    tcase_add_test(tests, nan_and_inf_stay_in_their_channel);
}

int main(void) {
    return run_suite("device", add);
}
