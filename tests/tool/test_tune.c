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

/* What plans of a dense float32 shape take on the tool's device, with its cache folder; it is first told to prefer a variant, if any. */
static clbn_plan_info told(unsigned rank, const size_t *dims, const char *variant) {
    session s = {.log.quiet = 1};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    clbn_plan *plan = NULL;
    clbn_plan_info info;
    config.rank = rank;
    config.dims = dims;
    ck_assert_int_eq(session_open(&s, "opencl"), 0);
    if (variant) ck_assert_int_eq(tune_keep(&s, &config, variant, "a shape"), 0);
    ck_assert_int_eq(clbn_plan_create(s.device, &config, &plan), CLBN_SUCCESS);
    ck_assert_int_eq(clbn_plan_query(plan, &info), CLBN_SUCCESS);
    clbn_plan_destroy(plan);
    session_close(&s);
    return info;
}

START_TEST(each_shape_has_its_variants_one_of_them_untuned_and_one_kept) {
    if (!has_device()) return;
    const outcome *result = OK("tune", "--seconds", "0.01", "--shape", "64x33", "--shape=2x3x50");
    ck_assert_ptr_nonnull(strstr(result->out, "training ms  backward ms  inference ms  rounds"));
    ck_assert_uint_eq(count_of(result->out, "untuned\n") + count_of(result->out, "untuned, kept\n"), 2);
    ck_assert_uint_eq(count_of(result->out, "kept\n"), 2);
    ck_assert_uint_ge(count_of(result->out, "64x33 "), 2);
    ck_assert_uint_ge(count_of(result->out, "2x3x50 "), 2);
    result = OK("tune", "--seconds=0.01", "--shape=64x33", "--op=inference", "--op=inference");
    ck_assert_ptr_nonnull(strstr(result->out, "inference ms  rounds"));
}
END_TEST

/* What the table keeps of a shape; *is_usual: is that the untuned one? */
static void read_kept(const outcome *result, const char *shape, char kept[64], int *is_usual) {
    *kept = '\0';
    for (const char *line = result->out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, shape, strlen(shape)) != 0 || end == NULL || strncmp(end - 4, "kept", 4) != 0) continue;
        sscanf(line, "%*s %63s", kept);
        *is_usual = strncmp(end - 13, "untuned, kept", 13) == 0;
    }
    ck_assert_str_ne(kept, "");
}

static const struct {
    const char *text, *bad; /* far slower than others on PoCL */
    unsigned rank;
    size_t dims[3];
} shapes[] = {{"31x57x13", "group-split-planes", 3, {31, 57, 13}}, {"2048x256", "group-fused-planes", 2, {2048, 256}}};

/* Whatever was kept before is neither in the race nor kept; what the table keeps is what plans and bench then take. */
START_TEST(what_is_kept_is_what_bench_takes_then) {
    char kept[64], marked[70];
    int is_usual = 0;
    if (!has_device()) return;
    const char *text = shapes[_i].text;
    ck_assert_int_eq(told(shapes[_i].rank, shapes[_i].dims, shapes[_i].bad).preferred, 1);
    const outcome *result = OK("tune", "--seconds", "0.2", "--shape", text);
    read_kept(result, text, kept, &is_usual);
    ck_assert_str_ne(kept, shapes[_i].bad);
    ck_assert_ptr_nonnull(
        strstr(result->out, is_usual ? "the untuned choice stands again: what was kept is gone from /" : "kept in /"));
    ck_assert_ptr_nonnull(strstr(result->out, "/clbn\n"));
    const clbn_plan_info info = told(shapes[_i].rank, shapes[_i].dims, NULL);
    ck_assert_msg(info.preferred == !is_usual && strcmp(info.variant, kept) == 0, "%s: took %s", kept, info.variant);
    snprintf(marked, sizeof marked, is_usual ? "%s " : "%s*", kept);
    result = OK("bench", "--seconds=0.005", "--shape", text, "--op=training");
    ck_assert_msg(strstr(result->out, marked) != NULL, "%s is not in %s", marked, result->out);
    snprintf(marked, sizeof marked, ",%s,", kept);
    result = OK("bench", "--seconds=0.005", "--shape", text, "--format=csv", "--op=training");
    ck_assert_msg(strstr(result->out, marked) != NULL, "%s is not in %s", marked, result->out);
    if (!is_usual) return;
    result = OK("tune", "--seconds=0.01", "--shape", text);
    ck_assert_ptr_nonnull(strstr(result->out, strstr(result->out, "untuned, kept") ? "nothing changed" : "kept in /"));
}
END_TEST

/* No memory holds this batch; its plan needs none. */
START_TEST(a_tune_that_fails_changes_nothing) {
    static const size_t vast[] = {10000000, 10000000};
    if (!has_device()) return;
    const char *bad = told(2, vast, NULL).variant;
    bad = strcmp(bad, "group-split-planes") == 0 ? "group-split-columns" : "group-split-planes";
    ck_assert_int_eq(told(2, vast, bad).preferred, 1);
    check_refusal(CLBN("tune", "--seconds=0.01", "--shape=10000000x10000000"), 1, "10000000x10000000");
    const clbn_plan_info info = told(2, vast, NULL);
    ck_assert_msg(info.preferred && strcmp(info.variant, bad) == 0, "takes %s", info.variant);
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
    setenv("XDG_CACHE_HOME", "/proc", 1);
    if (!has_device()) return; /* a driver's own cache may lie there too */
    int is_usual = 0;
    char kept[64];
    const outcome *result = CLBN("tune", "--seconds=0.2", "--shape=2048x256");
    read_kept(result, "2048x256", kept, &is_usual);
    ck_assert_ptr_null(strstr(result->out, "\nkept in"));
    if (is_usual) {
        ck_assert_ptr_nonnull(strstr(succeed(result)->out, "nothing changed"));
    } else {
        check_refusal(result, 1, "--shape 2048x256|nothing can be kept in /proc/clbn");
    }
}
END_TEST

START_TEST(a_variant_that_cannot_be_kept_is_a_failure_and_one_that_is_not_there_is_none) {
    static const size_t dims[] = {64, 33};
    session s = {.log.quiet = 1};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    if (!has_device()) return;
    config.rank = 2;
    config.dims = dims;
    setenv("XDG_CACHE_HOME", "/proc", 1);
    ck_assert_int_eq(session_open(&s, "opencl"), 0);
    ck_assert_int_eq(tune_keep(&s, &config, "group-split-columns", "a shape"), 1);
    ck_assert_int_eq(tune_keep(&s, &config, NULL, "a shape"), 0);
    session_close(&s);
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

/* What three variants take in training and in backward, in every round. */
static const struct {
    const char *what;
    double times[3][2];
    const char *winner;
} pairs[] = {
    {"the best is slower in one, and the next wins", {{10, 10}, {11, 5}, {9, 9}}, "b"},
    {"slower in one, and nothing else", {{10, 10}, {10.6, 5}, {11, 11}}, NULL},
    {"slower in one by no more than noise", {{10, 10}, {10.4, 5}, {9, 9}}, "a"},
};

START_TEST(what_is_slower_in_one_operation_does_not_win) {
    race r = {.ops = {OP_TRAINING, OP_INFERENCE}, .op_count = 2, .count = 3};
    static const char *const names[] = {"usual", "a", "b"};
    double times[3][2][7];
    for (unsigned k = 0; k < 3; k++) {
        r.candidates[k] = (candidate){.variant = names[k], .is_usual = !k, .rounds = 7};
        for (unsigned op = 0; op < 2; op++) {
            for (size_t round = 0; round < 7; round++) times[k][op][round] = pairs[_i].times[k][op];
            r.candidates[k].times[op] = (bench_series){.times = times[k][op], .count = 7};
        }
    }
    const candidate *winner = race_winner(&r);
    ck_assert_msg(winner ? pairs[_i].winner && strcmp(winner->variant, pairs[_i].winner) == 0 : !pairs[_i].winner, "%s: %s won",
                  pairs[_i].what, winner ? winner->variant : "none");
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

START_TEST(a_race_without_the_usual_one_is_none) {
    bench_target target = {.run = run_by_plan, .what = "a race"};
    race r = {.target = &target, .ops = {OP_BACKWARD}, .op_count = 1, .count = 1, .candidates = {{.variant = ""}}};
    ck_assert_int_eq(race_run(&r, 0.01), 1);
    ck_assert_uint_eq(r.candidates[0].rounds, 0);
}
END_TEST

void add_tune(Suite *suite) {
    TCase *tests = tcase_create("tune");
    tcase_add_checked_fixture(tests, enter_cache, leave_cache);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, each_shape_has_its_variants_one_of_them_untuned_and_one_kept);
    tcase_add_loop_test(tests, what_is_kept_is_what_bench_takes_then, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tests, a_tune_that_fails_changes_nothing);
    tcase_add_test(tests, where_nothing_can_be_kept_or_tuned_it_says_so);
    tcase_add_test(tests, a_variant_that_cannot_be_kept_is_a_failure_and_one_that_is_not_there_is_none);
    tcase_add_loop_test(tests, what_is_faster_by_enough_and_in_most_rounds_wins, 0, sizeof races / sizeof *races);
    tcase_add_loop_test(tests, what_is_slower_in_one_operation_does_not_win, 0, sizeof pairs / sizeof *pairs);
    tcase_add_test(tests, all_are_asked_in_turn_and_the_hopeless_no_more_but_never_the_usual_one);
    tcase_add_test(tests, a_race_without_the_usual_one_is_none);
}
