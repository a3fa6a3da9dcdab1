/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
static void add(Suite *suite) { add_tests(suite, "none"); }
int main(void) { return run_suite("devices", add); }
