/* SPDX-License-Identifier: Apache-2.0
 *
 * What normalize, moments and bench share: the device, and X with its channels and plan.
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
void session_close(session *s);

typedef struct work {
    session session;
    file_ref file; /* X's */
    array x;
    size_t channels;
    clbn_plan *plan;
} work;

/* Starts as zeros. Read X, see that it is of a supported type, and find its channels. */
int work_read(work *w, const options *o);

/* Open the device and make the plan. */
int work_plan(work *w, const options *o);

/* The note of the device and of the library's time. */
void work_note(const work *w, double seconds);

void work_close(work *w);

/* How many channels a shape has; EXIT_INPUT where the axis is out of range. */
int axis_channels(const options *o, file_ref file, unsigned rank, const size_t *dims, size_t *channels);

/* A per-channel array, filled with a value. */
int make_per_channel(array *a, file_ref file, size_t channels, float value);

const char *kind_name(clbn_device_kind kind);

#endif
