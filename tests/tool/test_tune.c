/* SPDX-License-Identifier: Apache-2.0
 *
 * tune: its table, what it leaves in the cache folder, and where it cannot do anything. Which variant wins is the machine's to say.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "support.h"
#include "tune.h"

/* Where the tool keeps things, during one test. */
static char *before;

static void enter_cache(void) {
    char here[4096];
    enter_folder();
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    before = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME")) : NULL;
    setenv("XDG_CACHE_HOME", here, 1);
}

static void leave_cache(void) {
    if (before)
        setenv("XDG_CACHE_HOME", before, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(before);
    leave_folder();
}

static int has_device(void) {
    return strstr(OK("devices")->out, "auto chooses cpu") == NULL;
}

static unsigned count_of(const char *text, const char *word) {
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word)) count++;
    return count;
}

START_TEST(each_shape_has_its_variants_one_of_them_untuned_and_one_kept) {
    if (!has_device()) return;
    const outcome *result = OK("tune", "--seconds", "0.01", "--shape", "64x33", "--shape=2x3x50");
    ck_assert_ptr_nonnull(strstr(result->out, "training ms  backward ms"));
    ck_assert_uint_eq(count_of(result->out, "untuned"), 2);
    ck_assert_uint_eq(count_of(result->out, "kept\n"), 2);
    ck_assert_uint_ge(count_of(result->out, "64x33 "), 2);
    ck_assert_uint_ge(count_of(result->out, "2x3x50 "), 2);
    ck_assert_ptr_nonnull(strstr(result->out, "kept in /"));
    ck_assert_ptr_nonnull(strstr(result->out, "/clbn\n"));
    result = OK("tune", "--seconds=0.01", "--shape=64x33", "--op=inference", "--op=inference");
    ck_assert_ptr_nonnull(strstr(result->out, "inference ms  rounds"));
}
END_TEST

/* The variant that the table keeps is the one that bench then takes. */
START_TEST(what_is_kept_is_what_bench_takes_then) {
    char kept[64] = "";
    if (!has_device()) return;
    const char *line = OK("tune", "--seconds", "0.05", "--shape", "31x57x13")->out;
    for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, "31x57x13", 8) == 0 && end && strncmp(end - 4, "kept", 4) == 0) sscanf(line, "%*s %63s", kept);
    }
    ck_assert_str_ne(kept, "");
    const outcome *result = OK("bench", "--seconds=0.005", "--shape=31x57x13", "--format=csv", "--op=training");
    ck_assert_msg(strstr(result->out, kept) != NULL, "%s is not in %s", kept, result->out);
}
END_TEST

START_TEST(where_nothing_can_be_kept_or_tuned_it_says_so) {
    char *cache = getenv("CLBN_CACHE") ? strdup(getenv("CLBN_CACHE")) : NULL;
    REFUSED(2, "--device cpu|no variants to tune", "tune", "--device", "cpu");
    REFUSED(2, "--axis 2 is out of range|--shape 3x4", "tune", "--shape", "3x4", "--axis", "2");
    REFUSED(2, "--format is no option of tune", "tune", "--format", "csv");
    REFUSED(2, "'x' is left over", "tune", "x");
    if (!has_device()) REFUSED(1, "--device opencl", "tune");
    setenv("CLBN_CACHE", "off", 1);
    REFUSED(1, "nothing can be kept|CLBN_CACHE", "tune");
    if (cache)
        setenv("CLBN_CACHE", cache, 1);
    else
        unsetenv("CLBN_CACHE");
    free(cache);
    if (!has_device()) return;
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    if (!has_device()) return; /* a driver's own cache may lie there too */
    const outcome *result = CLBN("tune", "--seconds=0.01", "--shape=64x33");
    if (result->status != 0) check_refusal(result, 1, "nothing can be kept in /dev/null/clbn"); /* something was faster */
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------------- a race */

/* Two candidates, and what they took in each round, in any unit, in each of two operations. */
static const struct {
    const char *what;
    size_t rounds;
    double usual[8], other[8];
    int is_out, wins;
} races[] = {
    {"clearly faster", 8, {10, 10, 11, 10, 10, 12, 10, 10}, {8, 8, 9, 8, 8, 8, 9, 8}, 0, 1},
    {"clearly slower", 8, {8, 8, 9, 8, 8, 8, 9, 8}, {10, 10, 11, 10, 10, 12, 10, 10}, 0, 0},
    {"faster, by too little", 8, {10, 10, 10, 10, 10, 10, 10, 10}, {9.8, 9.8, 9.8, 9.8, 9.8, 9.8, 9.8, 9.8}, 0, 0},
    {"faster in the median, in too few rounds", 8, {10, 10, 10, 10, 10, 10, 10, 10}, {9, 9, 9, 9, 9, 11, 11, 11}, 0, 0},
    {"faster in just enough rounds", 8, {10, 10, 10, 10, 10, 10, 10, 10}, {9, 9, 9, 9, 9, 9, 11, 11}, 0, 1},
    {"both jump together", 8, {10, 20, 10, 20, 10, 20, 10, 20}, {9, 18, 9, 18, 9, 18, 9, 18}, 0, 1},
    {"left out", 3, {10, 10, 10, 10, 10, 10, 10, 10}, {5, 5, 5}, 1, 0},
};

START_TEST(what_is_faster_by_enough_and_in_most_rounds_wins) {
    race r = {.ops = {OP_TRAINING, OP_BACKWARD}, .op_count = 2, .count = 2};
    double times[2][2][8];
    for (unsigned k = 0; k < 2; k++) {
        candidate *c = &r.candidates[k];
        *c = (candidate){.variant = k ? "other" : "usual", .is_usual = !k, .is_out = k && races[_i].is_out};
        c->rounds = k ? races[_i].rounds : 8;
        for (unsigned op = 0; op < 2; op++) { /* training a quarter of it */
            for (size_t round = 0; round < c->rounds; round++)
                times[k][op][round] = (op ? 0.75 : 0.25) * (k ? races[_i].other : races[_i].usual)[round];
            c->times[op] = (bench_series){.times = times[k][op], .count = c->rounds};
        }
    }
    const candidate *winner = race_winner(&r);
    ck_assert_msg((winner != NULL) == races[_i].wins, "%s: %s", races[_i].what, winner ? "won" : "did not win");
    ck_assert_double_eq_tol(r.candidates[0].medians[1], 3 * r.candidates[0].medians[0], 1e-12);
    ck_assert_double_eq_tol(r.candidates[0].together, 4 * r.candidates[0].medians[0], 1e-12);
}
END_TEST

/* Plans are numbers here: that of a plan is how many milliseconds its calls take. */
static unsigned runs[64];

static int run_by_plan(bench_target *target, unsigned way, size_t calls) {
    const unsigned number = (unsigned)(uintptr_t)target->plan;
    ck_assert_uint_eq(way, 0);
    runs[number] += target->op == OP_BACKWARD;
    usleep((useconds_t)(1000 * number * calls));
    return 0;
}

START_TEST(all_are_asked_in_turn_and_the_hopeless_no_more_but_never_the_usual_one) {
    bench_target target = {.run = run_by_plan, .what = "a race"};
    race r = {.target = &target, .ops = {OP_BACKWARD}, .op_count = 1, .count = 3};
    static const unsigned numbers[] = {60, 61, 1};
    memset(runs, 0, sizeof runs);
    for (unsigned k = 0; k < 3; k++)
        r.candidates[k] = (candidate){.variant = "", .plan = (clbn_plan *)(uintptr_t)numbers[k], .is_usual = k == 0};
    ck_assert_int_eq(race_run(&r, 0.01), 0);
    ck_assert_uint_ge(r.candidates[0].rounds, BENCH_SAMPLES_MIN);
    ck_assert_uint_eq(r.candidates[2].rounds, r.candidates[0].rounds);
    ck_assert_uint_lt(r.candidates[1].rounds, r.candidates[0].rounds);
    ck_assert(!r.candidates[0].is_out && r.candidates[1].is_out && !r.candidates[2].is_out);
    for (unsigned k = 0; k < 3; k++) {
        ck_assert_uint_ge(runs[numbers[k]], r.candidates[k].rounds + 1); /* and once before */
        ck_assert_uint_eq(r.candidates[k].times[0].count, r.candidates[k].rounds);
        free(r.candidates[k].times[0].times);
    }
}
END_TEST

void add_tune(Suite *suite) {
    TCase *tests = tcase_create("tune");
    tcase_add_checked_fixture(tests, enter_cache, leave_cache);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, each_shape_has_its_variants_one_of_them_untuned_and_one_kept);
    tcase_add_test(tests, what_is_kept_is_what_bench_takes_then);
    tcase_add_test(tests, where_nothing_can_be_kept_or_tuned_it_says_so);
    tcase_add_loop_test(tests, what_is_faster_by_enough_and_in_most_rounds_wins, 0, sizeof races / sizeof *races);
    tcase_add_test(tests, all_are_asked_in_turn_and_the_hopeless_no_more_but_never_the_usual_one);
}
