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

static int open_with(session *s, const char *name, const clbn_device_options *options) {
    char what[64];
    snprintf(what, sizeof what, "--device %s", name);
    clbn_status status = clbn_device_create(name, options, &s->device);
    if (status == CLBN_SUCCESS) status = clbn_device_query(s->device, &s->info);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&s->log, status, what);
}

int session_open(session *s, const char *name) {
    clbn_device_options options = library_options(&s->log);
    return open_with(s, name, &options);
}

int session_open_bare(session *s, const char *name) {
    clbn_device_options options = library_options(&s->log);
    options.cache_dir = NULL;
    return open_with(s, name, &options);
}

void session_close(session *s) {
    clbn_device_destroy(s->device);
    s->device = NULL;
}

int session_need_fp64(session *s, const char *name, const char *what) {
    if (s->info.has_fp64) return EXIT_DONE;
    if (strcmp(name, "auto") != 0) return fail_run("--device %s: %s has no fp64, which %s needs", name, s->info.device, what);
    if (!s->log.quiet) note("note: %s (%s) has no fp64, which %s needs; the CPU path serves", s->info.name, s->info.device, what);
    session_close(s);
    return session_open(s, "cpu");
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

int make_per_channel(const work *w, array *a, file_ref file, double value) {
    TRY(array_make(a, file, w->real, 1, &w->channels));
    for (size_t c = 0; c < w->channels; c++) array_put(a, c, value);
    return EXIT_DONE;
}

int work_read(work *w, const options *o) {
    w->file = (file_ref){"", o->x};
    TRY(file_read(w->file, &w->x));
    w->real = w->x.type == ARRAY_F64 ? ARRAY_F64 : ARRAY_F32;
    return axis_channels(o, w->file, w->x.rank, w->x.dims, &w->channels);
}

static int read_if_named(const work *w, const char *option, const char *path, array *a) {
    return path ? file_read_per_channel((file_ref){option, path}, w->channels, w->real, a) : EXIT_DONE;
}

int work_read_inputs(work *w, const options *o) {
    TRY(read_if_named(w, "--gamma", o->gamma, &w->gamma));
    TRY(read_if_named(w, "--beta", o->beta, &w->beta));
    TRY(read_if_named(w, "--running-mean", o->running_mean, &w->running_mean));
    TRY(read_if_named(w, "--running-var", o->running_var, &w->running_var));
    return o->residual ? file_read_as_x((file_ref){"--residual", o->residual}, &w->x, w->file, &w->residual) : EXIT_DONE;
}

static clbn_dtype dtype_of(array_type type) {
    return type == ARRAY_F16 ? CLBN_F16 : type == ARRAY_F64 ? CLBN_F64 : CLBN_F32;
}

int work_plan(work *w, const options *o) {
    char what[512];
    snprintf(what, sizeof what, "%s of %s", w->file.path, array_type_name(w->x.type));
    TRY(session_open(&w->session, o->device));
    if (w->x.type == ARRAY_F64) TRY(session_need_fp64(&w->session, o->device, what));
    clbn_config config = clbn_config_preset(o->preset);
    config.rank = w->x.rank;
    config.dims = w->x.dims;
    config.axis = o->axis;
    config.dtype = dtype_of(w->x.type);
    config.epsilon = o->epsilon;
    config.epsilon_rule = (clbn_epsilon_rule)o->epsilon_rule;
    config.running_variance = (clbn_running_variance)o->running_variance;
    options_activation(o, &config);
    config.residual = w->residual.data != NULL;
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
    array *arrays[] = {&w->x, &w->gamma, &w->beta, &w->running_mean, &w->running_var, &w->residual};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) array_free(arrays[i]);
}
