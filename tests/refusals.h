/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that is good until a test spoils it: what both parts of the arguments suite share.
 */
#ifndef CLBN_TESTS_REFUSALS_H
#define CLBN_TESTS_REFUSALS_H

#include "attempt.h"
#include "scene.h"
#include "support.h"

typedef struct trial {
    batch b;
    test_case of;
    clbn_plan *plan;
    scene scene; /* scene.args and scene.moments are what a test spoils */
    cl_command_queue queue;
    cl_uint n_wait;
    const cl_event *wait_list;
    cl_event *event;
} trial;

/* A call on the tested device with every buffer given, the workspace too where it is in cl_mem. */
void trial_make(trial *t, place where, verb v);
clbn_status trial_call(trial *t);
/* The call must be refused so; nothing may have been written, and no event made. Frees the trial. */
void trial_must_be_refused(trial *t, clbn_status expected, const char *word, const char *what);
void trial_free(trial *t);

void add_opencl_refusals(TCase *tests); /* arguments_opencl.c */
void add_call_refusals(TCase *tests);   /* arguments_calls.c */
void add_value_refusals(TCase *tests);  /* arguments_values.c */
void add_place_refusals(TCase *tests);  /* arguments_places.c */

#endif
