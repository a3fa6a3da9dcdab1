/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the tool's tests.
 */
#include <stdlib.h>

#include "support.h"

int main(void) {
    Suite *suite = suite_create("tool");
    add_parts(suite);
    add_npy(suite);
    add_csv(suite);
    add_options(suite);
    add_outputs(suite);
    add_numbers(suite);
    add_types(suite);
    add_backward(suite);
    add_bench(suite);
    add_tune(suite);
    add_verify(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
