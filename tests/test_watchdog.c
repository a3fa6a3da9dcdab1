/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that hangs, on purpose: the watchdog of support.h must end the suite and say which test it was. So it fails, in its own way,
 * and ctest looks for the sentence.
 */
#include "support.h"

#include <unistd.h>

/* Runs on any of the CPU path's threads, inside the call. */
static void sleeps(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data, (void)count, (void)v, (void)out;
    for (;;) pause();
}

START_TEST(a_call_that_comes_back) {
    const size_t dims[] = {2, 2};
    const float x[] = {1, 2, 3, 4};
    float mean[2];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims;
    clbn_plan *plan = plan_of(tested(), &config);
    ck_clbn(clbn_moments(plan, NULL, &(clbn_moments_args){.x = clbn_host(x), .mean = clbn_host(mean)}, 0, NULL, NULL));
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(a_call_that_never_comes_back) {
    static const clbn_custom_activation custom = {"v", "1", sleeps, sleeps, NULL};
    const size_t dims[] = {2, 2};
    const float x[] = {1, 2, 3, 4};
    float y[4];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims, config.activation = CLBN_CUSTOM, config.custom = &custom;
    clbn_plan *plan = plan_of(tested(), &config);
    clbn_forward_training(plan, NULL, &(clbn_forward_args){.x = clbn_host(x), .y = clbn_host(y)}, 0, NULL, NULL);
    ck_abort_msg("the call came back");
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "watchdog");
    tcase_add_test(tests, a_call_that_comes_back);
    tcase_add_test(tests, a_call_that_never_comes_back);
}

int main(void) {
    return run_suite("watchdog", add);
}
