/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands: each takes the parsed options and returns the exit status.
 */
#ifndef CLBN_TOOL_COMMANDS_H
#define CLBN_TOOL_COMMANDS_H

#include "options.h"

int run_normalize(const options *o);
int run_backward(const options *o);
int run_moments(const options *o);
int run_devices(const options *o);
int run_bench(const options *o);
int run_tune(const options *o);
int run_verify(const options *o);

#endif
