/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: its JSON is JSON and holds together, its table has what ran, time ends it. That a wrong number is a miss is shown where
 * numbers are judged, in test_judgement.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/* ------------------------------------------------------------------------------------------- a reader of JSON, no more than that */

static const char *blanks(const char *at) {
    return at + strspn(at, " \n");
}

static const char *value(const char *at);

static const char *string(const char *at) {
    ck_assert_msg(*at == '"', "no string: %.40s", at);
    for (at++; *at != '"'; at++) {
        ck_assert_msg((unsigned char)*at >= 0x20, "a string is not ended: %.40s", at);
        if (*at == '\\') at++;
    }
    return at + 1;
}

/* The members of an object or the elements of an array, to behind the closing bracket. */
static const char *members(const char *at, char close, int named) {
    at = blanks(at + 1);
    while (*at != close) {
        if (named) {
            at = blanks(string(at));
            ck_assert_msg(*at == ':', "no colon: %.40s", at);
            at = blanks(at + 1);
        }
        at = blanks(value(at));
        if (*at == ',') {
            at = blanks(at + 1);
            ck_assert_msg(*at != close, "a comma before the end: %.40s", at);
        } else {
            ck_assert_msg(*at == close, "not ended: %.40s", at);
        }
    }
    return at + 1;
}

static const char *value(const char *at) {
    char *end;
    if (*at == '{') return members(at, '}', 1);
    if (*at == '[') return members(at, ']', 0);
    if (*at == '"') return string(at);
    if (!strncmp(at, "true", 4)) return at + 4;
    if (!strncmp(at, "false", 5)) return at + 5;
    ck_assert_msg(strchr("-0123456789", *at) != NULL, "no value: %.40s", at);
    (void)strtod(at, &end);
    return end;
}

static double number_behind(const char *text, const char *name) {
    const char *at = strstr(text, name);
    ck_assert_msg(at != NULL, "there is no %s", name);
    return strtod(at + strlen(name), NULL);
}

/* --------------------------------------------------------------------------------------------------------------------- tests */

static void check_json(const char *device) {
    const outcome *result = OK("verify", "--device", device, "--json", "--seconds", "2");
    ck_assert_msg(result->out[0] == '{', "%.40s", result->out);
    ck_assert_str_eq(value(result->out), "\n");
    static const char *const names[] = {
        "\"library\": \"",  "\"device\": \"",        "\"driver\": \"",      "\"rows\": [",  "\"operation\": \"",
        "\"quantity\": \"", "\"variant\": \"",       "\"worst\": ",         "\"data\": \"", "\"shape\": [",
        "\"summary\": {",   "\"type\": \"float32\"", "\"first_miss\": \"\""};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        ck_assert_msg(strstr(result->out, names[k]) != NULL, "%s", names[k]);
    double checks = 0;
    const char *summary = strstr(result->out, "\"summary\"");
    for (const char *at = result->out; (at = strstr(at, "{\"operation\"")) != NULL; at++) {
        ck_assert_double_le(number_behind(at, "\"worst\": "), 1);
        ck_assert_double_eq(number_behind(at, "\"misses\": "), 0);
        checks += number_behind(at, "\"checks\": ");
    }
    ck_assert_double_gt(checks, 0);
    ck_assert_double_eq(number_behind(summary, "\"checks\": "), checks);
    ck_assert_double_le(number_behind(summary, "\"batches\": "), number_behind(summary, "\"batches_planned\": "));
    ck_assert_double_eq(number_behind(summary, "\"misses\": "), 0);
}

START_TEST(the_json_is_one_object_and_nothing_else) {
    check_json("cpu");
}
END_TEST

START_TEST(the_json_is_the_same_on_the_device_that_auto_takes) {
    check_json("auto");
}
END_TEST

/* However early time ends it. Of twelve shapes. */
START_TEST(a_thorough_run_has_work_for_every_shape) {
    const outcome *result = OK("verify", "--device", "cpu", "--thorough", "--seconds", "0.001", "--json");
    const char *summary = strstr(result->out, "\"summary\"");
    ck_assert_double_eq(number_behind(summary, "\"batches\": "), 1);
    ck_assert_double_eq(number_behind(summary, "\"shapes\": "), 1);
    ck_assert_double_eq(number_behind(summary, "\"shapes_planned\": "), 12);
}
END_TEST

START_TEST(the_table_says_what_ran_and_what_was_left_out) {
    const outcome *result = OK("verify", "--device", "cpu", "--seconds=0.001");
    ck_assert_ptr_nonnull(strstr(result->out, "device: cpu"));
    ck_assert_ptr_nonnull(strstr(result->out, "forward training"));
    ck_assert_ptr_nonnull(strstr(result->out, "left out for time"));
    ck_assert_ptr_nonnull(strstr(result->out, "; 0 outside their bounds"));
}
END_TEST

void add_verify(Suite *suite) {
    TCase *tests = add_case(suite, "verify");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, the_json_is_one_object_and_nothing_else);
    tcase_add_test(tests, the_json_is_the_same_on_the_device_that_auto_takes);
    tcase_add_test(tests, a_thorough_run_has_work_for_every_shape);
    tcase_add_test(tests, the_table_says_what_ran_and_what_was_left_out);
}
