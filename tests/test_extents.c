/* SPDX-License-Identifier: Apache-2.0
 *
 * Extents about powers of two, and about 65535 and 131070, in every dimension, by every variant: where a vector, a block, a group, a
 * 16-bit index or a launch dimension with a limit would give itself away. Forward and back; the definition judges.
 */
#include "support.h"
#include "verdict.h"

#include <stdio.h>
#include <string.h>

/* 2^k - 1 and 2^k + 1, and 65535 and 131070 with their neighbours. */
static const size_t extents[] = {3,     5,     7,     9,     15,    17,    31,    33,    63,     65,     127,   129,
                                 255,   257,   511,   513,   1023,  1025,  2047,  2049,  4095,   4097,   8191,  8193,
                                 16383, 16385, 32767, 32769, 65534, 65535, 65536, 65537, 131069, 131070, 131071};
/* Where the extent stands, 0, and what stands beside it; a large one, and any on a device, stands in each dimension once. */
static const size_t places[][3] = {{0, 2, 1}, {1, 0, 1}, {1, 2, 0}, {0, 1, 3}, {2, 0, 1}, {1, 0, 2}, {2, 1, 0}};
/* Two of them large, or one beside two that are not 1; past 2^21 values a channel; planes whose last pieces would be empty where a
 * device's work-items are given 2048 values; more than llvmpipe's may take in one launch, by each kind of it. */
static const size_t shapes[][3] = {{70001, 5, 1},   {5, 70001, 1},   {2, 3, 70001},   {70001, 1, 3},
                                   {65537, 3, 2},   {331, 3, 331},   {2097169, 1, 1}, {3, 1, 698709},
                                   {131071, 17, 1}, {8400001, 1, 1}, {300001, 1, 1},  {4096, 8, 64}};
enum { EXTENTS = sizeof extents / sizeof *extents, PLACES = sizeof places / sizeof *places, LARGE = 40000, ONCE = 3 };

static const char *variants[MOST_NAMES];
static size_t variant_count, ran[MOST_NAMES];

static void open_names(void) {
    variant_count = variant_names(variants);
}

static void close_names(void) {
    verdict_report();
    for (size_t k = 0; k < variant_count; k++) printf("stages %-22s %zu\n", variants[k] ? variants[k] : "chosen", ran[k]);
}

static int play(const material *m, const verdict *exact, size_t variant) {
    const bounds_of who = bounds_for(tested_is_cpu_path(), &m->m);
    stage s;
    const clbn_status status = stage_open(&s, tested(), tested_queue(), m, variants[variant], "");
    if (variants[variant] && status == CLBN_ERROR_UNSUPPORTED) return 0;
    if (status != CLBN_SUCCESS) ck_abort_msg("no plan: %s, saying: %s\n%s", clbn_status_name(status), said(), s.title);
    stage_forward(&s);
    verdict_forward(exact, who, &s.out, s.title);
    stage_backward(&s);
    verdict_backward(exact, who, &s.out, s.title);
    stage_close(&s);
    ran[variant]++;
    return 1;
}

/* By every third of the first count of the plan's choice and the variants, from turn on: three turns are all. Most of the time goes into
 * judging. */
static void try_shape(const size_t *s, size_t turn, size_t count) {
    static const data_kind kinds[] = {NORMAL, MEAN_1E4, OUTLIERS, MIXED};
    if (s[0] * s[1] * s[2] > test_element_limit()) return;
    const test_case c = case_of(s[0], s[1], s[2], kinds[turn % 4]);
    manner how = {{0}};
    batch b;
    material m;
    verdict exact;
    how.level[BY_SAVED] = turn / 3 % 2 ? RECOMPUTED : ALL_SAVED;
    how.level[BY_ACTIVATION] = !tested_is_cpu_path() || turn % 2; /* relu; drivers compile for each */
    batch_make(&b, &c, tested_flushes_denormals());
    material_make(&m, &b, &how);
    verdict_make(&exact, &m);
    size_t done = 0;
    for (size_t k = turn % 3; k < count; k += 3)
        if (!test_is_short() || k / 3 == turn / 3 % 3) done += (size_t)play(&m, &exact, k);
    if (!done) play(&m, &exact, 0);
    verdict_free(&exact);
    material_free(&m);
    batch_free(&b);
}

START_TEST(extents_about_powers_of_two_and_65535_are_ordinary) {
    const int large = extents[_i] > LARGE;
    for (size_t p = 0; p < (large || !tested_is_cpu_path() ? ONCE : PLACES); p++) {
        size_t s[3];
        for (int d = 0; d < 3; d++) s[d] = places[p][d] ? places[p][d] : extents[_i];
        try_shape(s, (size_t)_i + p, variant_count);
    }
}
END_TEST

START_TEST(extents_past_65535_are_ordinary) {
    try_shape(shapes[_i], (size_t)_i, variant_count);
}
END_TEST

/* Matrices that devices write around their caches, and cut into other tiles for it: rows narrower than a tile, wider and much wider,
 * whose ends fill no vector; of each another kind of data. */
START_TEST(rows_beyond_the_caches_are_ordinary) {
    static const size_t widths[] = {23, 389, 1025};
    const size_t s[] = {test_cache_values() / 2 / widths[_i] | 1, widths[_i], 1};
    try_shape(s, (size_t)_i + 1, 1);
}
END_TEST

/* Past the caches only whole lines may be written, and dresidual's lie elsewhere than dx's: the bits must be those of arrays that begin
 * alike. Of each type; on planes and on columns, whose ends fill no vector. */
START_TEST(gradients_beyond_the_caches_may_begin_anywhere) {
    static const clbn_dtype types[] = {CLBN_F32, CLBN_F16, CLBN_BF16};
    const clbn_dtype type = types[_i / 2];
    const size_t each = clbn_dtype_bytes(type), values = test_cache_values() * 2 / each, rows = values / 1003 | 1;
    const size_t shapes_of_it[][3] = {{3, 1, values / 3 | 1}, {rows, 1003, 1}}, *const s = shapes_of_it[_i % 2],
                 n = s[0] * s[1] * s[2];
    const size_t begin = n / 32 * 32 + 32; /* of dresidual behind dx */
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    if (n > test_element_limit()) return;
    config.rank = 3, config.dims = s, config.dtype = type, config.activation = CLBN_RELU, config.residual = 1;
    clbn_plan *plan = plan_of(tested(), &config);
    char *room[2], *const from = malloc(3 * n * each);
    ck_assert_ptr_nonnull(from);
    for (size_t i = 0; i < 3 * n; i++) { /* 1/128 to 2, of either sign */
        const uint32_t random = (uint32_t)i * 2654435761u;
        const uint16_t half = (uint16_t)(0x3c00 | random >> 22 | (random & 0x8000));
        const float number = (float)(int32_t)random;
        memcpy(from + i * each, type == CLBN_F32 ? (const void *)&number : &half, each);
    }
    for (size_t apart = 0; apart < 2; apart++) {
        ck_assert_ptr_nonnull(room[apart] = calloc(2 * n + 64, each));
        const clbn_backward_args args = {.x = clbn_host(from),
                                         .residual = clbn_host(from + n * each),
                                         .dy = clbn_host(from + 2 * n * each),
                                         .dx = clbn_host(room[apart]),
                                         .dresidual = clbn_host(room[apart] + (begin + apart) * each)};
        ck_clbn(clbn_backward_training(plan, tested_queue(), &args, 0, NULL, NULL));
    }
    ck_assert_mem_eq(room[0], room[1], n * each);
    ck_assert_mem_eq(room[0] + begin * each, room[1] + (begin + 1) * each, n * each);
    for (int k = 0; k < 2; k++) free(room[k]);
    free(from);
    clbn_plan_destroy(plan);
}
END_TEST

/* A launch has 65535 groups at most along a dimension: then the first goes on to a second channel, by the same local memory. Under
 * Oclgrind this takes minutes; scripts/mutants takes them. */
START_TEST(a_group_may_take_a_second_channel) {
    const test_case c = case_of(2, 65537, 3, NORMAL);
    const manner plain = {{0}};
    batch b;
    material m;
    verdict exact;
    if (case_elements(&c) > test_element_limit()) return;
    batch_make(&b, &c, tested_flushes_denormals());
    material_make(&m, &b, &plain);
    verdict_make(&exact, &m);
    for (size_t k = 1; k < variant_count; k++) {
        stage s;
        if (strcmp(variants[k], "group-fused-planes") != 0) continue;
        ck_clbn(stage_open(&s, tested(), tested_queue(), &m, variants[k], ""));
        stage_forward(&s);
        verdict_forward(&exact, BOUNDS_OF_DEVICE, &s.out, s.title);
        stage_close(&s);
    }
    verdict_free(&exact);
    material_free(&m);
    batch_free(&b);
}
END_TEST

START_TEST(every_variant_ran) {
    for (size_t k = 0; k < variant_count; k++)
        ck_assert_msg(ran[k] > 0, "no shape was run by %s", variants[k] ? variants[k] : "the plan's own choice");
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "extents");
    tcase_add_unchecked_fixture(tests, open_names, close_names);
    tcase_add_loop_test(tests, extents_about_powers_of_two_and_65535_are_ordinary, 0, EXTENTS);
    tcase_add_test(tests, every_variant_ran);
    TCase *past = add_tests(suite, "past");
    tcase_add_unchecked_fixture(past, open_names, close_names);
    tcase_add_loop_test(past, extents_past_65535_are_ordinary, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(past, rows_beyond_the_caches_are_ordinary, 0, 3);
    tcase_add_loop_test(past, gradients_beyond_the_caches_may_begin_anywhere, 0, 6);
    TCase *groups = add_tests(suite, "groups");
    tcase_add_unchecked_fixture(groups, open_names, close_names);
    tcase_add_test(groups, a_group_may_take_a_second_channel);
}

int main(void) {
    return run_suite("extents", add);
}
