/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device is told to prefer: which plans hear it, who else hears it through a folder, and that nothing that happens to the file
 * does harm. That a preferred variant whose trial goes wrong is passed by is in test_trials.c.
 */
#define _GNU_SOURCE
#include "folder.h"
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device that knows nothing yet but what is in the folder; NULL: there is none. No test here is about trials. */
static clbn_device *fresh(const char *cache_dir) {
    clbn_device *device = NULL;
    clbn_device_options options = listening_options();
    options.skip_trials = 1;
    options.cache_dir = cache_dir;
    said_clear();
    ck_clbn(clbn_device_create(test_device_name(), &options, &device));
    return device;
}

static const size_t matrix[] = {60, 40}, planes[] = {3, 2, 900};

static clbn_config config_of_dims(unsigned rank, const size_t *dims) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = rank;
    config.dims = dims;
    return config;
}

static clbn_plan_info info_of(clbn_device *device, const clbn_config *config) {
    clbn_plan_info info;
    clbn_plan *plan = plan_of(device, config);
    ck_clbn(clbn_plan_query(plan, &info)); /* variants are constants */
    clbn_plan_destroy(plan);
    return info;
}

/* Two variants that the shape's plans do not take by themselves, by a device that is told nothing and has compiled before. */
static const char *usual, *one, *other;

static void find_variants(const clbn_config *config) {
    clbn_config forced = *config;
    clbn_device *device = tested();
    usual = info_of(device, config).variant;
    one = other = NULL;
    for (size_t k = 0; (forced.variant = clbn_variant_name(k)) != NULL; k++) {
        clbn_plan *plan = NULL;
        if (strcmp(forced.variant, usual) == 0 || clbn_plan_create(device, &forced, &plan) != CLBN_SUCCESS) continue;
        clbn_plan_destroy(plan);
        *(one ? &other : &one) = forced.variant;
    }
    ck_assert(one != NULL && other != NULL);
    said_clear();
}

static void must_take(clbn_device *device, const clbn_config *config, const char *variant, const char *what) {
    const clbn_plan_info info = info_of(device, config);
    const int preferred = variant != usual;
    ck_assert_msg(strcmp(info.variant, variant) == 0 && info.preferred == preferred, "%s: took %s (preferred: %d) in place of %s",
                  what, info.variant, info.preferred, variant);
    ck_assert_msg(said()[0] == '\0' && said_notices()[0] == '\0', "%s: said %s%s", what, said(), said_notices());
}

/* ------------------------------------------------------------------------------------------------------- whose plans hear it */

START_TEST(plans_of_the_kinds_and_shape_take_it_and_a_plan_may_still_be_forced) {
    clbn_device *device = fresh(NULL);
    clbn_config config = config_of_dims(2, matrix), forced = config;
    find_variants(&config);
    clbn_plan *before = plan_of(device, &config);
    must_take(device, &config, usual, "untold");
    ck_clbn(clbn_device_prefer(device, &config, one));
    must_take(device, &config, one, "told");
    ck_clbn(clbn_device_prefer(device, &config, other));
    must_take(device, &config, other, "told again");
    forced.variant = one;
    ck_assert_int_eq(info_of(device, &forced).preferred, 0);
    ck_assert_str_eq(info_of(device, &forced).variant, one);
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(before, &info));
    ck_assert_str_eq(info.variant, usual);
    ck_clbn(clbn_device_prefer(device, &config, NULL));
    must_take(device, &config, usual, "told to forget");
    ck_clbn(clbn_device_prefer(device, &config, usual)); /* may be preferred, too */
    ck_assert_int_eq(info_of(device, &config).preferred, 1);
    clbn_plan_destroy(before);
    clbn_device_destroy(device);
}
END_TEST

static const size_t grid[] = {10, 6, 40}, longer[] = {61, 40}, wider[] = {60, 41}, turned[] = {40, 60}, spread[] = {41, 1};

/* What a config may differ in, and whether it is then still one of the same kinds and shape. */
static void differ(int how, clbn_config *config, int *same) {
    const clbn_activation given = config->activation;
    *same = how < 6;
    if (how == 0) config->rank = 3, config->dims = grid, config->axis = 2;
    if (how == 1) config->axis = -1;
    if (how == 2) config->epsilon = 0.5, config->epsilon_rule = CLBN_EPSILON_OUTSIDE;
    if (how == 3) config->running_variance = CLBN_RUNNING_BIASED;
    if (how == 4) config->slope = 0.125, config->low = -7, config->high = 9;
    if (how == 5) config->y_dtype = config->dtype;
    if (how == 6) config->dims = longer;
    if (how == 7) config->dims = wider;
    if (how == 8) config->dims = turned;
    if (how == 9) config->axis = 0;
    if (how == 10) config->dtype = CLBN_F16;
    if (how == 11) config->y_dtype = CLBN_BF16;
    if (how == 12) config->activation = given == CLBN_RELU ? CLBN_CLIP : CLBN_SILU;
    if (how == 13) config->residual = !config->residual;
    if (how == 14) config->activation = CLBN_RELU, config->mask = !config->mask;
    if (how == 15) config->strides.x = spread;
    if (how == 16) config->strides.dx = spread;
}
enum { DIFFERENCES = 17 };

START_TEST(plans_of_other_kinds_or_shapes_do_not_take_it) {
    clbn_device *device = tested();
    clbn_config config = config_of_dims(2, matrix), unlike;
    int same = 0;
    find_variants(&config);
    if (_i >= DIFFERENCES) { /* and from another start */
        config.activation = CLBN_RELU;
        config.residual = config.mask = 1;
    }
    unlike = config;
    differ(_i % DIFFERENCES, &unlike, &same);
    ck_clbn(clbn_device_prefer(device, &config, one));
    const clbn_plan_info info = info_of(device, &unlike);
    ck_assert_msg(info.preferred == same, "difference %d: preferred %d, %s", _i, info.preferred, info.variant);
    ck_clbn(clbn_device_prefer(device, &config, NULL));
}
END_TEST

static const size_t nhwc_as_nchw[] = {6 * 5 * 40, 1, 5 * 40, 40}, nchw[] = {2, 40, 6, 5}, nhwc[] = {2, 6, 5, 40};

START_TEST(strides_that_make_the_same_rows_of_columns_are_the_same_shape) {
    clbn_device *device = fresh(NULL);
    clbn_config config = config_of_dims(4, nhwc), seen = config_of_dims(4, nchw);
    config.axis = 3;
    const size_t *s = nhwc_as_nchw;
    seen.strides = (clbn_strides){.x = s, .y = s, .residual = s, .dx = s, .dy = s, .dresidual = s};
    find_variants(&config);
    ck_clbn(clbn_device_prefer(device, &seen, one));
    must_take(device, &seen, one, "strides");
    must_take(device, &config, one, "dense");
    clbn_device_destroy(device);
}
END_TEST

START_TEST(what_cannot_be_preferred_is_refused_and_changes_nothing) {
    clbn_device *device = fresh(NULL), *cpu = open_device("cpu", 0);
    clbn_config config = config_of_dims(3, planes), bad = config;
    find_variants(&config);
    ck_clbn(clbn_device_prefer(device, &config, one));
    must_refuse(clbn_device_prefer(device, &config, "quickest"), CLBN_ERROR_INVALID_ARGUMENT, "\"quickest\"", "no variant");
    must_refuse(clbn_device_prefer(device, &config, ""), CLBN_ERROR_INVALID_ARGUMENT, "variant", "an empty name");
    must_refuse(clbn_device_prefer(device, &config, "group-fused-columns"), CLBN_ERROR_UNSUPPORTED, "cannot do", "planes");
    must_refuse(clbn_device_prefer(device, NULL, one), CLBN_ERROR_INVALID_ARGUMENT, "config", "NULL");
    bad.axis = 3;
    must_refuse(clbn_device_prefer(device, &bad, one), CLBN_ERROR_INVALID_DIMS, "axis", "the axis");
    bad.axis = 1, bad.epsilon = -1;
    must_refuse(clbn_device_prefer(device, &bad, one), CLBN_ERROR_INVALID_VALUE, "epsilon", "epsilon");
    said_clear();
    ck_assert_int_eq(clbn_device_prefer(NULL, &config, one), CLBN_ERROR_INVALID_ARGUMENT);
    must_take(device, &config, one, "after refusals");
    must_refuse(clbn_device_prefer(cpu, &config, one), CLBN_ERROR_UNSUPPORTED, "CPU path", "the CPU path");
    must_refuse(clbn_device_prefer(cpu, &config, NULL), CLBN_ERROR_UNSUPPORTED, "CPU path", "the CPU path");
    clbn_device_destroy(cpu);
    clbn_device_destroy(device);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------- on disk */

/* What a device opened now takes of the folder. */
static void later_must_take(const clbn_config *config, const char *variant, const char *what) {
    clbn_device *device = fresh(folder);
    must_take(device, config, variant, what);
    clbn_device_destroy(device);
}

START_TEST(a_later_device_of_the_same_folder_takes_it_until_it_is_forgotten) {
    clbn_config config = config_of_dims(2, matrix), unlike = config_of_dims(2, longer);
    struct stat facts;
    folder_make();
    clbn_device *device = fresh(NULL);
    find_variants(&config);
    ck_clbn(clbn_device_prefer(device, &config, other)); /* kept nowhere */
    clbn_device_destroy(device);

    device = fresh(folder);
    ck_clbn(clbn_device_prefer(device, &config, one));
    ck_assert_uint_eq(files(), 1);
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_uint_eq(facts.st_mode & 0777, 0600);
    ck_assert_int_lt(facts.st_size, 4096);
    must_take(device, &config, one, "the device itself");
    clbn_device_destroy(device);
    later_must_take(&config, one, "a later device");
    device = fresh(NULL);
    must_take(device, &config, usual, "a device without a folder");
    clbn_device_destroy(device);

    device = fresh(folder);
    ck_assert_int_eq(info_of(device, &unlike).preferred, 0);
    ck_clbn(clbn_device_prefer(device, &config, other));
    later_must_take(&config, other, "a device opened beside");
    ck_clbn(clbn_device_prefer(device, &config, NULL));
    must_take(device, &config, usual, "the device that forgot");
    later_must_take(&config, usual, "a device after forgetting");
    ck_clbn(clbn_device_prefer(device, &config, NULL)); /* there is nothing to forget */
    ck_assert_msg(said_notices()[0] == '\0', "said %s", said_notices());
    clbn_device_destroy(device);
    folder_remove();
}
END_TEST

START_TEST(a_device_keeps_to_what_it_was_told_or_found_whatever_others_are) {
    clbn_config config = config_of_dims(2, matrix);
    folder_make();
    clbn_device *first = fresh(folder), *second = fresh(folder), *early = fresh(folder), *third = fresh(folder);
    find_variants(&config);
    must_take(early, &config, usual, "a device that found none");
    ck_clbn(clbn_device_prefer(first, &config, one));
    must_take(early, &config, usual, "and keeps to it");
    must_take(second, &config, one, "a device that was told nothing");
    must_take(third, &config, one, "another");
    ck_clbn(clbn_device_prefer(second, &config, other));
    must_take(first, &config, one, "the first");
    must_take(second, &config, other, "the second");
    must_take(third, &config, one, "one that found it");
    ck_clbn(clbn_device_prefer(first, &config, NULL));
    must_take(third, &config, one, "one that found it, which is gone");
    must_take(first, &config, usual, "the first, told to forget");
    ck_clbn(clbn_device_prefer(second, &config, other));
    must_take(first, &config, usual, "the first still");
    later_must_take(&config, other, "a later one");
    ck_clbn(clbn_device_prefer(early, &config, NULL)); /* its word counts even where it found none */
    later_must_take(&config, usual, "one later yet");
    clbn_device_destroy(third);
    clbn_device_destroy(early);
    clbn_device_destroy(second);
    clbn_device_destroy(first);
    folder_remove();
}
END_TEST

START_TEST(a_damaged_file_is_none_and_is_replaced) {
    clbn_config config = config_of_dims(2, matrix);
    size_t bytes = 0;
    if (test_is_short() && _i % 5 != 4) return;
    folder_make();
    find_variants(&config);
    clbn_device *device = fresh(folder);
    ck_clbn(clbn_device_prefer(device, &config, one));
    clbn_device_destroy(device);
    ck_assert_uint_eq(files(), 1);
    char *text = content(&bytes);
    damage(_i, text, bytes);
    later_must_take(&config, usual, "a damaged file");
    device = fresh(folder);
    ck_clbn(clbn_device_prefer(device, &config, other));
    ck_assert_msg((said_notices()[0] != '\0') == (_i == DAMAGE_FOLDER), "damage %d: said %s", _i, said_notices());
    said_clear();
    must_take(device, &config, other, "a device that was told anew");
    clbn_device_destroy(device);
    later_must_take(&config, _i == DAMAGE_FOLDER ? usual : other, "a mended file");
    folder_remove();
}
END_TEST

START_TEST(a_file_of_another_shape_is_none) {
    clbn_config config = config_of_dims(2, matrix), unlike = config_of_dims(2, longer);
    char name[PATH_MAX];
    size_t bytes = 0;
    folder_make();
    find_variants(&config);
    clbn_device *device = fresh(folder);
    ck_clbn(clbn_device_prefer(device, &unlike, one));
    ck_assert_uint_eq(files(), 1);
    char *text = content(&bytes);
    ck_assert_int_eq(remove(path), 0);
    ck_clbn(clbn_device_prefer(device, &config, one));
    ck_assert_uint_eq(files(), 1);
    snprintf(name, sizeof name, "%s", path);
    write_content(text, bytes);
    ck_assert_int_eq(chmod(name, 0600), 0);
    free(text);
    clbn_device_destroy(device);
    later_must_take(&config, usual, "a file in another's place");
    folder_remove();
}
END_TEST

START_TEST(where_no_file_can_be_written_it_holds_for_the_device_and_that_is_told) {
    static const char *const names[] = {"/dev/null/clbn", "/proc/clbn", "/dev/null"};
    clbn_config config = config_of_dims(2, matrix);
    clbn_device *device = fresh(names[_i]);
    find_variants(&config);
    ck_clbn(clbn_device_prefer(device, &config, one));
    ck_assert_msg(strstr(said_notices(), names[_i]) && strstr(said_notices(), "could not be kept"), "said %s", said_notices());
    ck_assert_str_eq(said(), "");
    said_clear();
    must_take(device, &config, one, names[_i]);
    ck_clbn(clbn_device_prefer(device, &config, NULL)); /* nothing is there, and that is what was wanted */
    ck_assert_str_eq(said_notices(), "");
    must_take(device, &config, usual, names[_i]);
    clbn_device_destroy(device);
}
END_TEST

/* Of what is watched: how often a file was opened since last asked. */
static unsigned opened(int watch) {
    char events[8192];
    unsigned count = 0;
    for (ssize_t got; (got = read(watch, events, sizeof events)) > 0;) {
        for (ssize_t at = 0; at < got; count++) {
            struct inotify_event event;
            memcpy(&event, events + at, sizeof event);
            at += (ssize_t)(sizeof event + event.len);
        }
    }
    return count;
}

START_TEST(a_first_plan_costs_one_opened_file_more_and_later_ones_none) {
    clbn_config config = config_of_dims(2, matrix);
    folder_make();
    clbn_device *device = fresh(folder);
    find_variants(&config);
    ck_clbn(clbn_device_prefer(device, &config, one));
    must_take(device, &config, one, "told");
    const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, folder, IN_OPEN) < 0) ck_abort_msg("no watch over %s", folder);
    must_take(device, &config, one, "told, and its program is there");
    ck_assert_uint_eq(opened(watch), 0);
    clbn_device_destroy(device);
    device = fresh(folder);
    must_take(device, &config, one, "a later device, whose program is on disk");
    ck_assert_uint_le(opened(watch), 2);
    must_take(device, &config, one, "a later device, whose program is there");
    ck_assert_uint_eq(opened(watch), 0);
    clbn_device_destroy(device);
    close(watch);
    folder_remove();
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------- threads */

enum { THREADS = 6, TURNS = 12 };
static clbn_device *shared;
static atomic_int strange;

static void *tell_and_make(void *argument) {
    const char *variants[] = {one, other, NULL};
    const size_t mine = (size_t)(uintptr_t)argument;
    for (size_t k = 0; k < TURNS; k++) {
        clbn_config config = config_of_dims(2, matrix);
        clbn_plan_info info = {.variant = ""};
        clbn_plan *plan = NULL;
        strange += clbn_device_prefer(shared, &config, variants[(mine + k) % 3]) != CLBN_SUCCESS;
        strange += clbn_plan_create(shared, &config, &plan) != CLBN_SUCCESS || clbn_plan_query(plan, &info) != CLBN_SUCCESS;
        const int known = strcmp(info.variant, one) == 0 || strcmp(info.variant, other) == 0;
        strange += known ? !info.preferred : strcmp(info.variant, usual) != 0 || info.preferred;
        clbn_plan_destroy(plan);
    }
    return NULL;
}

START_TEST(threads_may_tell_it_at_once_and_the_last_word_is_also_the_file_s) {
    clbn_config config = config_of_dims(2, matrix);
    pthread_t threads[THREADS];
    folder_make();
    shared = fresh(folder);
    find_variants(&config);
    for (size_t k = 0; k < THREADS; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, tell_and_make, (void *)(uintptr_t)k), 0);
    for (size_t k = 0; k < THREADS; k++) ck_assert_int_eq(pthread_join(threads[k], NULL), 0);
    ck_assert_int_eq(strange, 0);
    later_must_take(&config, info_of(shared, &config).variant, "a later device");
    clbn_device_destroy(shared);
    folder_remove();
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "preferences");
    tcase_add_test(tests, plans_of_the_kinds_and_shape_take_it_and_a_plan_may_still_be_forced);
    tcase_add_loop_test(tests, plans_of_other_kinds_or_shapes_do_not_take_it, 0, 2 * DIFFERENCES);
    tcase_add_test(tests, strides_that_make_the_same_rows_of_columns_are_the_same_shape);
    tcase_add_test(tests, what_cannot_be_preferred_is_refused_and_changes_nothing);
    tcase_add_test(tests, a_later_device_of_the_same_folder_takes_it_until_it_is_forgotten);
    tcase_add_test(tests, a_device_keeps_to_what_it_was_told_or_found_whatever_others_are);
    tcase_add_loop_test(tests, a_damaged_file_is_none_and_is_replaced, 0, DAMAGES);
    tcase_add_test(tests, a_file_of_another_shape_is_none);
    tcase_add_loop_test(tests, where_no_file_can_be_written_it_holds_for_the_device_and_that_is_told, 0, 3);
    tcase_add_test(tests, a_first_plan_costs_one_opened_file_more_and_later_ones_none);
    tcase_add_test(tests, threads_may_tell_it_at_once_and_the_last_word_is_also_the_file_s);
}

int main(void) {
    return run_suite("preferences", add);
}
