/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation on a batch, in every manner: forward, backward, moments; storage types, activations, residuals, masks, strides. The
 * definition judges. Each case of the table takes some rows of the manners in turn, so that each row meets many cases.
 */
#include "support.h"
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 2500, MEDIUM = 100000, LARGE = 2200000, MOST_VARIANTS = 15, DRAWN = 60 };

static clbn_device *judged[2]; /* on the CPU path: with its best loops and with the portable ones */
static size_t judged_count;
static const char *variants[MOST_VARIANTS + 1]; /* [0] is NULL: the plan chooses */
static size_t variant_count, stages;

static void open_judged(void) {
    judged[0] = tested(), judged_count = 1, variant_count = 1;
    if (tested_is_cpu_path()) judged[judged_count++] = open_device("cpu", 1);
    for (const char *name; !tested_is_cpu_path() && (name = clbn_variant_name(variant_count - 1)) != NULL; variant_count++) {
        ck_assert_uint_le(variant_count, MOST_VARIANTS);
        variants[variant_count] = name;
    }
}

static void close_judged(void) {
    verdict_report();
    printf("stages %zu, manners %zu\n", stages, manner_count());
    if (judged_count > 1) clbn_device_destroy(judged[1]);
}

static void play(const material *m, const verdict *exact, clbn_device *device, const char *variant, const char *note) {
    const bounds_of who = bounds_for(tested_is_cpu_path(), &m->m);
    stage s;
    clbn_status status = stage_open(&s, device, tested_queue(), m, variant, note);
    if (stage_is_refused_for_f64(m, status)) return;
    if (variant && status == CLBN_ERROR_UNSUPPORTED) status = stage_open(&s, device, tested_queue(), m, NULL, note);
    if (status != CLBN_SUCCESS) ck_abort_msg("no plan: %s, saying: %s\n%s", clbn_status_name(status), said(), s.title);
    stage_forward(&s);
    verdict_forward(exact, who, &s.out, s.title);
    stage_backward(&s);
    verdict_backward(exact, who, &s.out, s.title);
    if (m->m.level[BY_STATISTICS] == OF_BATCH && m->m.level[BY_SAVED] == RECOMPUTED) {
        stage_moments(&s);
        verdict_forward(exact, who, &(outcome){.mean = s.out.mean, .mean_lo = s.out.mean_lo, .var = s.out.var}, s.title);
    }
    stage_close(&s);
    stages++;
}

/* By every judged device, or by one of them in turn where the batch is large. */
static void play_everywhere(const test_case *c, const manner *how, size_t turn, const char *note) {
    batch b;
    material m;
    verdict exact;
    batch_make(&b, c, tested_flushes_denormals());
    material_make(&m, &b, how);
    verdict_make(&exact, &m);
    for (size_t k = 0; k < judged_count; k++)
        if (b.count <= MEDIUM || k == turn % judged_count)
            play(&m, &exact, judged[k], variants[turn % variant_count], k ? "portable" : note);
    verdict_free(&exact);
    material_free(&m);
    batch_free(&b);
}

/* Small cases take more rows, so that each row meets many cases; the largest are left to the sweeps of float32. */
START_TEST(the_definition_judges_every_manner) {
    const test_case *c = &cases[_i];
    const size_t elements = case_elements(c), index = (size_t)_i;
    if (elements > test_element_limit() || elements > LARGE) return;
    if (test_is_short() && index % 3) return; /* simulators compile for seconds */
    const size_t turns = test_is_short() ? 1 : elements <= SMALL ? (tested_is_cpu_path() ? 8 : 3) : elements <= MEDIUM ? 2 : 1;
    for (size_t k = 0; k < turns; k++) {
        const manner how = manner_of((index * turns + k) % manner_count());
        play_everywhere(c, &how, tested_is_cpu_path() ? index : manner_kind(&how), "");
    }
}
END_TEST

/* The plainest manner by every variant, its gradients by statistics saved, made again, and of the population. */
START_TEST(every_variant_is_right_both_ways) {
    static const char *const names[] = {"inner_33", "lanes_17", "inner_1025", "tiny_mixed", "tiny_outliers_lanes"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (unsigned whose = 0; whose < 3; whose++)
            for (size_t variant = 0; variant < variant_count; variant++) {
                manner plain = {{0}};
                plain.level[BY_SAVED] = whose == 1 ? RECOMPUTED : ALL_SAVED;
                plain.level[BY_STATISTICS] = whose == 2 ? OF_POPULATION : OF_BATCH;
                if (case_elements(case_named(names[k])) > test_element_limit()) continue;
                if (test_is_short() && variant != (k + whose) % variant_count) continue;
                play_everywhere(case_named(names[k]), &plain, variant, "");
            }
}
END_TEST

/* The commonest kind of all, float32, dense, with an activation and nothing else, which backends may run by loops of its own: every
 * case in turns of the rest, and one that leaves the caches. On devices relu alone, as each activation is compiled. */
START_TEST(the_definition_judges_the_commonest_manner) {
    const test_case *c = &cases[_i];
    const unsigned turn = (unsigned)_i;
    const int leaves_caches = tested_is_cpu_path() && c == case_named("large_32x64x56x56");
    if (case_elements(c) > test_element_limit() || (case_elements(c) > MEDIUM && !leaves_caches)) return;
    if (test_is_short() && _i % 12) return;
    manner plain = {{0}};
    plain.level[BY_ACTIVATION] = (unsigned char)(tested_is_cpu_path() ? turn % factor_levels(BY_ACTIVATION) : 1);
    plain.level[BY_SAVED] = (unsigned char)(turn / 2 % factor_levels(BY_SAVED));
    plain.level[BY_STATISTICS] = turn % 5 == 4;
    plain.level[BY_IN_PLACE] = turn % 3 == 2 ? ON_INPUT : APART;
    plain.level[BY_AFFINE] = (unsigned char)(turn / 3 % 4);
    plain.level[BY_OFFSET] = (unsigned char)(turn / 4 % 4);
    plain.level[BY_RULE] = (unsigned char)(turn / 5 % 2);
    plain.level[BY_PLACE] = PLACED_ON_HOST;
    play_everywhere(c, &plain, 0, "");
}
END_TEST

START_TEST(every_pair_of_levels_has_a_manner) {
    for (int f = 0; f < FACTOR_COUNT; f++)
        for (int g = 0; g < f; g++)
            for (unsigned a = 0; a < factor_levels((factor)f); a++)
                for (unsigned b = 0; b < factor_levels((factor)g); b++) {
                    size_t found = 0;
                    for (size_t k = 0; k < manner_count(); k++) {
                        const manner m = manner_of(k);
                        found += m.level[f] == a && m.level[g] == b;
                    }
                    if (factors_agree((factor)f, a, (factor)g, b))
                        ck_assert_msg(found > 0, "no manner has level %u of factor %d with level %u of factor %d", a, f, b, g);
                    else
                        ck_assert_msg(found == 0, "a manner has level %u of factor %d with level %u of factor %d", a, f, b, g);
                }
}
END_TEST

/* Shapes and manners at random, by the seed in CLBN_TEST_SEED. */
START_TEST(drawn_manners_and_shapes) {
    const char *given = getenv("CLBN_TEST_SEED");
    const uint64_t seed = given && *given ? strtoull(given, NULL, 10) : 1;
    uint64_t state = seed * 2 + 1;
    for (size_t k = 0; k < (test_is_short() ? 4 : DRAWN); k++) {
        const manner how = tested_is_cpu_path() ? manner_draw(&state) : manner_draw_known(&state);
        size_t extents[3];
        for (int d = 0; d < 3; d++) extents[d] = 1 + (size_t)((state * 0x9e3779b97f4a7c15u) >> (20 + 9 * d)) % 19;
        if (extents[0] * extents[1] * extents[2] > test_element_limit()) continue;
        const test_case c = case_of(extents[0], extents[1], extents[2], k % 3 == 2 ? OUTLIERS : k % 3 ? MIXED : NORMAL);
        char note[64];
        snprintf(note, sizeof note, "drawn as number %zu by CLBN_TEST_SEED=%llu", k, (unsigned long long)seed);
        play_everywhere(&c, &how, manner_kind(&how), note);
    }
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "operations");
    tcase_add_unchecked_fixture(tests, open_judged, close_judged);
    tcase_add_test(tests, every_pair_of_levels_has_a_manner);
    tcase_add_test(tests, every_variant_is_right_both_ways);
    tcase_add_loop_test(tests, the_definition_judges_every_manner, 0, (int)case_count);
    tcase_add_loop_test(tests, the_definition_judges_the_commonest_manner, 0, (int)case_count);
    tcase_add_test(tests, drawn_manners_and_shapes);
}

int main(void) {
    return run_suite("operations", add);
}
