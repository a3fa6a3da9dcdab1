/* SPDX-License-Identifier: Apache-2.0
 *
 * From the options to a device and a plan. What the user can get wrong is refused before a device is opened.
 */
#include "work.h"

#include <stdio.h>
#include <string.h>

#include "files.h"

const char *kind_name(clbn_device_kind kind) {
    switch (kind) {
    case CLBN_DEVICE_CPU_PATH:
        return "cpu path";
    case CLBN_DEVICE_GPU:
        return "gpu";
    case CLBN_DEVICE_ACCELERATOR:
        return "accelerator";
    case CLBN_DEVICE_CPU:
        return "cpu";
    case CLBN_DEVICE_SIMULATOR:
        return "simulator";
    }
    return "unknown";
}

int session_open(session *s, const char *name) {
    clbn_device_options callbacks = library_options(&s->log);
    char what[64];
    snprintf(what, sizeof what, "--device %s", name);
    clbn_status status = clbn_device_create(name, &callbacks, &s->device);
    if (status == CLBN_SUCCESS) status = clbn_device_query(s->device, &s->info);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&s->log, status, what);
}

void session_close(session *s) {
    clbn_device_destroy(s->device);
    s->device = NULL;
}

int axis_channels(const options *o, file_ref file, unsigned rank, const size_t *dims, size_t *channels) {
    *channels = 1;
    if (o->axis == CLBN_AXIS_NONE) return EXIT_DONE;
    int signed_rank = (int)rank;
    int axis = o->axis < 0 ? o->axis + signed_rank : o->axis;
    if (axis < 0 || axis >= signed_rank)
        return fail_input("--axis %d%s is out of range: %s%s%s has %u dimension%s (%s)", o->axis,
                          o->axis_given ? "" : " (the default)", REF(file), rank, rank == 1 ? "" : "s",
                          array_shape(rank, dims).text);
    *channels = dims[axis];
    return EXIT_DONE;
}

int make_per_channel(array *a, file_ref file, size_t channels, float value) {
    TRY(array_make(a, file, ARRAY_F32, 1, &channels));
    for (size_t c = 0; c < channels; c++) ((float *)a->data)[c] = value;
    return EXIT_DONE;
}

int work_read(work *w, const options *o) {
    w->file = (file_ref){"", o->x};
    TRY(file_read(w->file, &w->x));
    if (w->x.type != ARRAY_F32) return fail_later("%s%s%s: X of type %s (needs <f4)", REF(w->file), array_type_name(w->x.type));
    return axis_channels(o, w->file, w->x.rank, w->x.dims, &w->channels);
}

int work_plan(work *w, const options *o) {
    TRY(session_open(&w->session, o->device));
    clbn_config config = clbn_config_preset(o->preset);
    config.rank = w->x.rank;
    config.dims = w->x.dims;
    config.axis = o->axis;
    config.epsilon = o->epsilon;
    config.epsilon_rule = (clbn_epsilon_rule)o->epsilon_rule;
    config.running_variance = (clbn_running_variance)o->running_variance;
    clbn_status status = clbn_plan_create(w->session.device, &config, &w->plan);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&w->session.log, status, w->file.path);
}

void work_note(const work *w, double seconds) {
    const clbn_device_info *info = &w->session.info;
    note("device: %s, %s (%s)", info->name, info->device, kind_name(info->kind));
    note("time: %.3f ms", 1e3 * seconds);
}

void work_close(work *w) {
    clbn_plan_destroy(w->plan);
    session_close(&w->session);
    array_free(&w->x);
}
