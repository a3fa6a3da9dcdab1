/* SPDX-License-Identifier: Apache-2.0
 *
 * Every small shape, outer 1 to 5, channels 1 to 17, inner 1 to 67, each with sets of optional arguments: on the CPU path every one
 * there is, on a device, which takes some 50 us a call, a share that goes round. The definition judges. scripts/exhaustive runs it
 * whole; the environment says
 *     CLBN_TEST_SHARE      k/n: of the shapes those whose number is k modulo n; without it all
 *     CLBN_TEST_PROGRESS   set: how far it is, on standard error
 */
#include "present.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUTER = 5, CHANNELS = 17, INNER = 67, TURNS = OUTER * CHANNELS, EVERY = 97 };

static const char *variants[MOST_NAMES];
static size_t variant_count, instances, shapes, share, shares;
static clbn_device *portable;

static void open_judged(void) {
    const char *given = getenv("CLBN_TEST_SHARE");
    char *behind = NULL;
    share = given && *given ? strtoul(given, &behind, 10) : 0;
    shares = behind && *behind == '/' ? strtoul(behind + 1, NULL, 10) : 1;
    ck_assert_msg(shares > 0 && share < shares, "CLBN_TEST_SHARE is %s, and must be k/n with k below n", given);
    variant_count = variant_names(variants);
    if (tested_is_cpu_path()) portable = open_device("cpu", 1);
}

static void close_judged(void) {
    verdict_report();
    printf("judged anew %zu\nshapes %zu, instances %zu\n", present_judged(), shapes, instances);
    clbn_device_destroy(portable);
}

/* Is it the set that all of its kind need to come before? */
static int is_fullest(const present_set *set) {
    const present_set first = present_of(0, 0);
    return set->call == TRAINS && set->outputs == first.outputs;
}

/* All sets; or those of one affine that are next, of a hundred or so, and the fullest before them. */
static void play(present *p, int residual, size_t index, int all) {
    unsigned met = 0;
    for (size_t k = 0; k < present_count(residual); k++) {
        const present_set set = present_of(residual, k);
        const int first = !(met >> set.call & 1);
        if (!all && set.affine != (set.call == TAKES_MOMENTS ? 0 : index % 4)) continue;
        met |= 1u << set.call;
        if (!all && !first && !is_fullest(&set) && (k + index * 31) % EVERY >= 4) continue;
        present_play(p, &set);
        instances++;
    }
}

static void play_shape(clbn_device *device, const test_case *c, const manner *how, const char *variant, size_t index) {
    present *p = present_open(device, bounds_for(tested_is_cpu_path(), how), c, how, variant);
    if (!p && variant) p = present_open(device, bounds_for(tested_is_cpu_path(), how), c, how, NULL);
    ck_assert_msg(p != NULL, "no plan: %s", said());
    play(p, how->level[BY_RESIDUAL], index, tested_is_cpu_path());
    present_close(p);
}

/* The plainest manner, and one of the others in its turn: activations, with a residual, with and without a mask, types. */
static manner plain_manner(int channels_last) {
    manner how = {{0}};
    how.level[BY_LAYOUT] = channels_last ? CHANNELS_LAST : DENSE;
    return how;
}

static manner other_manner(size_t turn) {
    manner how = plain_manner(turn / 3 % 2 == 0);
    how.level[BY_RESIDUAL] = 1;
    how.level[BY_MASK] = turn % 3 == 2;
    how.level[BY_ACTIVATION] = (unsigned char)(turn % 3 == 2 ? 1 + turn / 2 % 3 : 1 + turn % 4);
    how.level[BY_X_TYPE] = turn % 5 % 4;
    how.level[BY_Y_TYPE] = turn % 7 % 4;
    return how;
}

/* On a device float32 and relu, as drivers compile for every other. */
static manner device_manner(size_t turn) {
    manner how = plain_manner(turn / 3 % 2 != 0);
    how.level[BY_RESIDUAL] = turn % 3 != 0;
    how.level[BY_MASK] = turn % 3 == 2;
    how.level[BY_ACTIVATION] = turn % 3 != 0;
    return how;
}

static void try_shape(size_t outer, size_t channels, size_t inner, size_t index) {
    static const data_kind kinds[] = {NORMAL, MEAN_1E4, MIXED, CONSTANT, OUTLIERS};
    const test_case c = case_of(outer, channels, inner, kinds[index / 3 % 5]);
    if (outer * channels * inner > test_element_limit()) return;
    shapes++;
    if (!tested_is_cpu_path()) {
        const manner how = device_manner(index / variant_count);
        play_shape(tested(), &c, &how, variants[index % variant_count], index);
        return;
    }
    const manner dense = plain_manner(0), last = plain_manner(1), other = other_manner(index);
    play_shape(tested(), &c, &dense, NULL, index);
    play_shape(index % 2 ? portable : tested(), &c, &last, NULL, index);
    play_shape(index % 2 ? tested() : portable, &c, &other, NULL, index);
}

START_TEST(every_small_shape_with_every_set_of_arguments) {
    const size_t outer = (size_t)_i / CHANNELS + 1, channels = (size_t)_i % CHANNELS + 1;
    for (size_t inner = 1; inner <= INNER; inner++) {
        const size_t index = (size_t)_i * INNER + inner - 1;
        if (index % shares == share) try_shape(outer, channels, inner, index / shares);
    }
    if (getenv("CLBN_TEST_PROGRESS"))
        fprintf(stderr, "\r%3d %% of the shapes, %zu instances%s", 100 * (_i + 1) / TURNS, instances,
                _i + 1 == TURNS ? "\n" : "");
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "exhaustive");
    tcase_add_unchecked_fixture(tests, open_judged, close_judged);
    tcase_add_loop_test(tests, every_small_shape_with_every_set_of_arguments, 0, TURNS);
}

int main(void) {
    return run_suite("exhaustive", add);
}
