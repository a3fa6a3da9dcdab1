/* SPDX-License-Identifier: Apache-2.0
 *
 * The device under test, the last sentence, and a suite's main: see support.h.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char last_error[4096], notices[8192];
static _Thread_local clbn_status last_status;
static clbn_device *device;
static char wrong_trial[4096];

const char *test_device_name(void) {
    const char *name = getenv("CLBN_TEST_DEVICE");
    return name && *name ? name : "opencl";
}

size_t test_element_limit(void) {
    const char *limit = getenv("CLBN_TEST_ELEMENTS");
    return limit && *limit ? (size_t)strtoull(limit, NULL, 10) : SIZE_MAX;
}

size_t test_cache_values(void) {
    cl_ulong bytes = 1 << 25; /* the CPU path's, if the system says no more */
#ifdef _SC_LEVEL3_CACHE_SIZE
    const long third = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (third > 1 << 25) bytes = (cl_ulong)third;
#endif
    if (tested_cl_device()) clGetDeviceInfo(tested_cl_device(), CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof bytes, &bytes, NULL);
    return (size_t)(bytes < 1 << 20 ? 1 << 20 : bytes > 1 << 28 ? 1 << 28 : bytes) / sizeof(float);
}

int test_is_short(void) {
    return getenv("CLBN_TEST_SHORT") != NULL;
}

static void listen(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    (void)user_data, (void)native;
    ck_assert_ptr_nonnull(sentence);
    if (status != CLBN_SUCCESS) {
        snprintf(last_error, sizeof last_error, "%s", sentence);
        last_status = status;
        return;
    }
    const size_t end = strlen(notices);
    snprintf(notices + end, sizeof notices - end, "%.500s\n", sentence); /* a build log has any length */
}

const char *said(void) {
    return last_error;
}

const char *said_notices(void) {
    return notices;
}

clbn_status said_status(void) {
    return last_status;
}

void said_clear(void) {
    last_error[0] = notices[0] = '\0';
    last_status = CLBN_SUCCESS;
}

clbn_device_options listening_options(void) {
    clbn_device_options options;
    memset(&options, 0, sizeof options);
    options.message = listen;
    return options;
}

clbn_device *open_device(const char *name, int portable) {
    clbn_device_options options = listening_options();
    options.portable = portable;
    clbn_device *opened = NULL;
    said_clear();
    ck_clbn(clbn_device_create(name, &options, &opened));
    ck_assert_ptr_nonnull(opened);
    return opened;
}

/* A kernel that is wrong here would only be passed by for another variant, and nobody would notice. */
static void listen_to_trials(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    if (strstr(sentence, "gives wrong results on")) snprintf(wrong_trial, sizeof wrong_trial, "%s", sentence);
    listen(user_data, status, native, sentence);
}

clbn_device *tested(void) {
    clbn_device_options options = listening_options();
    options.message = listen_to_trials;
    options.skip_trials = getenv("CLBN_TEST_SKIP_TRIALS") != NULL;
    if (!device) ck_clbn(clbn_device_create(test_device_name(), &options, &device));
    return device;
}

int tested_is_cpu_path(void) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    return info.kind == CLBN_DEVICE_CPU_PATH;
}

cl_command_queue tested_queue(void) {
    cl_command_queue queue = NULL;
    if (!tested_is_cpu_path()) ck_clbn(clbn_device_get_cl(tested(), NULL, NULL, &queue));
    return queue;
}

cl_context tested_context(void) {
    cl_context context = NULL;
    if (!tested_is_cpu_path()) ck_clbn(clbn_device_get_cl(tested(), &context, NULL, NULL));
    return context;
}

cl_device_id tested_cl_device(void) {
    cl_device_id id = NULL;
    if (!tested_is_cpu_path()) ck_clbn(clbn_device_get_cl(tested(), NULL, &id, NULL));
    return id;
}

int tested_flushes_denormals(void) {
    cl_device_fp_config config = 0;
    if (tested_is_cpu_path()) return 0;
    ck_cl(clGetDeviceInfo(tested_cl_device(), CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL));
    return !(config & CL_FP_DENORM);
}

size_t variant_names(const char *names[MOST_NAMES]) {
    size_t n = 1;
    names[0] = NULL;
    if (!tested_is_cpu_path())
        for (const char *name; n < MOST_NAMES && (name = clbn_variant_name(n - 1)) != NULL; n++) names[n] = name;
    return n;
}

clbn_plan *plan_of(clbn_device *on, const clbn_config *config) {
    clbn_plan *plan = NULL;
    said_clear();
    ck_clbn(clbn_plan_create(on, config, &plan));
    ck_assert_ptr_nonnull(plan);
    return plan;
}

void must_succeed(clbn_status status, const char *call, const char *file, int line) {
    if (status != CLBN_SUCCESS) ck_abort_msg("%s:%d: %s gave %s, saying: %s", file, line, call, clbn_status_name(status), said());
    goes_on();
}

void must_succeed_cl(cl_int code, const char *call, const char *file, int line) {
    if (code != CL_SUCCESS) ck_abort_msg("%s:%d: %s gave OpenCL's %d", file, line, call, (int)code);
    goes_on();
}

void must_refuse(clbn_status status, clbn_status expected, const char *word, const char *what) {
    ck_assert_msg(status == expected, "%s: gave %s instead of %s (saying: %s)", what, clbn_status_name(status),
                  clbn_status_name(expected), said());
    ck_assert_msg(said_status() == expected, "%s: the sentence came with %s instead of %s (%s)", what,
                  clbn_status_name(said_status()), clbn_status_name(expected), said());
    ck_assert_msg(strstr(said(), word) != NULL, "%s: the sentence does not name %s: %s", what, word, said());
}

/* ------------------------------------------------------------------------------------------------------------ the watchdog */

static unsigned patience;

void goes_on(void) {
    if (patience) alarm(patience);
}

static void say(const char *words) {
    if (write(STDERR_FILENO, words, strlen(words)) < 0) _exit(EXIT_FAILURE);
}

/* In a signal handler: nothing but what is safe there. tcase_name() is Check's name of the running test. */
static void give_up(int signal) {
    const char *name = tcase_name();
    (void)signal;
    say("the watchdog: ");
    say(name ? name : "what comes before the first test");
    say(" hangs: no call succeeded for CLBN_TEST_PATIENCE seconds\n");
    _exit(EXIT_FAILURE);
}

static void set_watchdog(void) {
    const char *given = getenv("CLBN_TEST_PATIENCE");
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = give_up;
    patience = given && *given ? (unsigned)strtoul(given, NULL, 10) : 120;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    goes_on();
}

static void rest(void) {
    alarm(0);
}

TCase *add_tests(Suite *suite, const char *name) {
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_watchdog, rest); /* not before: Check's runner takes the signal for itself */
    tcase_add_checked_fixture(tests, goes_on, NULL);
    suite_add_tcase(suite, tests);
    return tests;
}

int run_suite(const char *name, void (*add)(Suite *suite)) {
    Suite *suite = suite_create(name);
    add(suite);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a forked child hangs in OpenCL drivers */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    if (wrong_trial[0]) printf("failed: in a trial of the tested device, %s\n", wrong_trial);
    srunner_free(runner);
    clbn_device_destroy(device);
    device = NULL;
    return failed || wrong_trial[0] ? EXIT_FAILURE : EXIT_SUCCESS;
}
