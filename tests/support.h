/* SPDX-License-Identifier: Apache-2.0
 *
 * What every suite needs: the device under test, the library's last sentence, and a main. The environment says
 *     CLBN_TEST_DEVICE     a name for clbn_device_create; without it "opencl"
 *     CLBN_TEST_ELEMENTS   sweeps leave cases of more elements out; without it none
 *     CLBN_TEST_SHORT      set: sweeps take one variant and one way of the many that a case could be run by (for simulators)
 *     CLBN_TEST_PATIENCE   seconds that a test may go on without a call that succeeds; without it 120; 0: for ever (for debuggers)
 */
#ifndef CLBN_TESTS_SUPPORT_H
#define CLBN_TESTS_SUPPORT_H

#include "clbn.h"

#include <check.h>

const char *test_device_name(void);
size_t test_element_limit(void);
/* As many floats as the tested device says that its caches hold, between 2^18 and 2^26; for the CPU path a guess. */
size_t test_cache_values(void);
int test_is_short(void);

/* Opens a device whose messages land in said(); the test fails where it cannot be opened. */
clbn_device *open_device(const char *name, int portable);
/* Options whose messages land in said(). */
clbn_device_options listening_options(void);

/* The last sentence with an error's status, the status that came with it, and all notices, a line each; empty when there was none
 * since said_clear(). Kept by thread. */
const char *said(void);
clbn_status said_status(void);
const char *said_notices(void);
void said_clear(void);

/* The device of a suite, opened by its first use and closed by the end of main. */
clbn_device *tested(void);
int tested_is_cpu_path(void);
int tested_flushes_denormals(void);
/* Its own in-order queue and context; NULL on the CPU path. */
cl_command_queue tested_queue(void);
cl_context tested_context(void);
cl_device_id tested_cl_device(void);

/* What the tested device runs a batch with: its own choice (NULL), then each variant by name; on the CPU path just the first. */
enum { MOST_NAMES = 16 };
size_t variant_names(const char *names[MOST_NAMES]);

/* A plan for x[outer][channels][inner], by rank and dims, or by a whole config; the test fails where it cannot be made. */
clbn_plan *plan_of(clbn_device *device, const clbn_config *config);

/* Tells the watchdog that the test is getting somewhere; ck_clbn and ck_cl do. */
void goes_on(void);

/* status must be success; otherwise the test fails with the call, its status and the library's sentence. */
#define ck_clbn(call) must_succeed(call, #call, __FILE__, __LINE__)
void must_succeed(clbn_status status, const char *call, const char *file, int line);
/* The same for OpenCL's own calls. */
#define ck_cl(call) must_succeed_cl(call, #call, __FILE__, __LINE__)
void must_succeed_cl(cl_int code, const char *call, const char *file, int line);

/* status must be expected and the sentence must hold word; for the message, what says what was wrong. */
void must_refuse(clbn_status status, clbn_status expected, const char *word, const char *what);

/* Each suite's main: `int main(void) { return run_suite("name", add); }`. */
int run_suite(const char *name, void (*add)(Suite *suite));
/* A test case whose every test, and every turn of a loop test, has the watchdog: when its patience is over the suite ends and
 * says which test hangs. Check's own time-outs need a fork, which drivers do not stand. */
TCase *add_tests(Suite *suite, const char *name);

#endif
