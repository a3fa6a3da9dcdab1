/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites about queues share (pipeline_shared.c), and the parts of the pipeline suite.
 */
#ifndef CLBN_TESTS_PIPELINE_H
#define CLBN_TESTS_PIPELINE_H

#include "judge.h"
#include "support.h"

/* check with a plan of every variant (NULL: the plan's choice) for some shapes; the way is the plain one, in cl_mem. */
void with_every_plan(clbn_device *device,
                     void (*check)(const clbn_plan *plan, const batch *b, const way *w, const char *variant));

/* A queue of the tested device; NULL where the driver has no such queues and says so. */
cl_command_queue queue_of(cl_context context, cl_command_queue_properties properties);
cl_event gate_of(cl_context context);
cl_int state_of(cl_event event);

/* The CPU path judges what a finished call left. */
void must_be_right(scene *s);

void add_lifetimes(TCase *tests); /* pipeline_lifetimes.c */
void add_threads(TCase *tests);   /* pipeline_threads.c */
void add_waits(TCase *tests);     /* pipeline_waits.c */

#endif
