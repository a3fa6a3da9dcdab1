/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands share: the device; X with its channels and plan; what is read beside it.
 */
#ifndef CLBN_TOOL_WORK_H
#define CLBN_TOOL_WORK_H

#include "options.h"

/* A device, and what the library said about it. It must not move while the device is open: the library speaks to log. */
typedef struct session {
    library_log log;
    clbn_device *device;
    clbn_device_info info;
} session;

/* Starts as zeros; set log.quiet before, to hear no notices. */
int session_open(session *s, const char *name);
/* The same without the cache folder: its plans know nothing of what tune found. */
int session_open_bare(session *s, const char *name);
void session_close(session *s);
/* See that the device that --device named has fp64; auto's is left for the CPU path where it has none. what needs it. */
int session_need_fp64(session *s, const char *name, const char *what);

/* What a call reads; data stays NULL where there is nothing to read. */
typedef struct work {
    session session;
    file_ref file; /* X's */
    array x;
    size_t channels;
    array_type real; /* of what is per channel */
    array gamma, beta, running_mean, running_var;
    array residual; /* of X's shape and type */
    clbn_plan *plan;
} work;

/* Starts as zeros. Read X, and find its channels and what type goes with them. */
int work_read(work *w, const options *o);

/* Read what is named beside X. */
int work_read_inputs(work *w, const options *o);

/* Open the device and make the plan. */
int work_plan(work *w, const options *o);

/* The note of the device and of the library's time. */
void work_note(const work *w, double seconds);

void work_close(work *w);

/* How many channels a shape has; EXIT_INPUT where the axis is out of range. */
int axis_channels(const options *o, file_ref file, unsigned rank, const size_t *dims, size_t *channels);

/* A per-channel array, filled with a value. */
int make_per_channel(const work *w, array *a, file_ref file, double value);

const char *kind_name(clbn_device_kind kind);

#endif
