/* SPDX-License-Identifier: Apache-2.0
 *
 * A progress bar on standard error, where that is a terminal and the work is long; else nothing at all.
 */
#ifndef CLBN_TOOL_PROGRESS_H
#define CLBN_TOOL_PROGRESS_H

#include <stddef.h>

/* One bar at a time: begin, step with how much of total is done, end. The label must live until the end. */
void progress_begin(const char *label, size_t total);
void progress_step(size_t done);

/* Wipes the bar; fine without one. */
void progress_end(void);

/* A monotonic clock, in seconds. */
double now_seconds(void);

#endif
