/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn normalize: the forward pass over a file. Y takes X's place in memory (the library allows exactly that), so that a
 * large batch is held once.
 */
#include <math.h>
#include <stddef.h>

#include "commands.h"
#include "files.h"
#include "output.h"
#include "progress.h"
#include "work.h"

/* What a call holds per channel; data stays NULL where it is not needed. */
typedef struct forward {
    work work;
    array gamma, beta, running_mean, running_var;
    array mean, var, inv_std;
    output_set outputs;
} forward;

static const struct {
    const char *option;
    size_t path;  /* in options */
    size_t array; /* in forward */
} results[] = {
    {"-o", offsetof(options, y), offsetof(forward, work.x)},
    {"--mean-out", offsetof(options, mean_out), offsetof(forward, mean)},
    {"--var-out", offsetof(options, var_out), offsetof(forward, var)},
    {"--inv-std-out", offsetof(options, inv_std_out), offsetof(forward, inv_std)},
    {"--running-mean-out", offsetof(options, running_mean_out), offsetof(forward, running_mean)},
    {"--running-var-out", offsetof(options, running_var_out), offsetof(forward, running_var)},
};
#define RESULT_COUNT (sizeof results / sizeof *results)

static const char *result_path(const options *o, size_t i) {
    return *(const char *const *)((const char *)o + results[i].path);
}

static const array *result_array(const forward *f, size_t i) {
    return (const array *)((const char *)f + results[i].array);
}

static int add_outputs(forward *f, const options *o) {
    for (size_t i = 0; i < RESULT_COUNT; i++) TRY(output_add(&f->outputs, results[i].option, result_path(o, i)));
    return EXIT_DONE;
}

static int check_shapes(const forward *f, const options *o) {
    const array *x = &f->work.x;
    for (size_t i = 0; i < RESULT_COUNT; i++) {
        file_ref file = {results[i].option, result_path(o, i)};
        if (!file.path) continue;
        if (result_array(f, i) == x)
            TRY(file_check_shape(file, x->rank, x->dims, x->names != NULL));
        else
            TRY(file_check_shape(file, 1, &f->work.channels, 0));
    }
    return EXIT_DONE;
}

static int read_if_named(const char *option, const char *path, size_t channels, array *a) {
    return path ? file_read_per_channel((file_ref){option, path}, channels, a) : EXIT_DONE;
}

/* Running statistics are made where the user gives none and asks for the updated ones. */
static int make_if_asked(const char *option, const char *path, size_t channels, float value, array *a) {
    return path && !a->data ? make_per_channel(a, (file_ref){option, path}, channels, value) : EXIT_DONE;
}

static int read_inputs(forward *f, const options *o) {
    TRY(work_read(&f->work, o));
    TRY(check_shapes(f, o));
    size_t channels = f->work.channels;
    TRY(read_if_named("--gamma", o->gamma, channels, &f->gamma));
    TRY(read_if_named("--beta", o->beta, channels, &f->beta));
    TRY(read_if_named("--running-mean", o->running_mean, channels, &f->running_mean));
    TRY(read_if_named("--running-var", o->running_var, channels, &f->running_var));
    TRY(make_if_asked("--running-mean-out", o->running_mean_out, channels, 0, &f->running_mean));
    TRY(make_if_asked("--running-var-out", o->running_var_out, channels, 1, &f->running_var));
    /* A batch without values has no statistics of its own: the library leaves these as they are. */
    TRY(make_if_asked("--mean-out", o->mean_out, channels, NAN, &f->mean));
    TRY(make_if_asked("--var-out", o->var_out, channels, NAN, &f->var));
    for (size_t c = 0; c < channels && o->mode == MODE_INFERENCE; c++) {
        if (f->mean.data) ((float *)f->mean.data)[c] = ((const float *)f->running_mean.data)[c];
        if (f->var.data) ((float *)f->var.data)[c] = ((const float *)f->running_var.data)[c];
    }
    return make_if_asked("--inv-std-out", o->inv_std_out, channels, NAN, &f->inv_std);
}

/* The call itself, and its time. Inference needs a y even where only the statistics are asked for. */
static int call(forward *f, const options *o, double *seconds) {
    int training = o->mode == MODE_TRAINING;
    clbn_buffer nothing = clbn_host(NULL);
    clbn_forward_args args = {.x = clbn_host(f->work.x.data),
                              .y = o->y || !training ? clbn_host(f->work.x.data) : nothing,
                              .gamma = clbn_host(f->gamma.data),
                              .beta = clbn_host(f->beta.data),
                              .running_mean = !training || o->running_mean_out ? clbn_host(f->running_mean.data) : nothing,
                              .running_var = !training || o->running_var_out ? clbn_host(f->running_var.data) : nothing,
                              .saved_mean = clbn_host(f->mean.data),
                              .saved_var = clbn_host(f->var.data),
                              .saved_inv_std = clbn_host(f->inv_std.data),
                              .update_weight = o->update_weight};
    double begin = now_seconds();
    clbn_status status = training ? clbn_forward_training(f->work.plan, NULL, &args, 0, NULL, NULL)
                                  : clbn_forward_inference(f->work.plan, NULL, &args, 0, NULL, NULL);
    *seconds = now_seconds() - begin;
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&f->work.session.log, status, f->work.file.path);
}

static int normalize(forward *f, const options *o) {
    double seconds;
    TRY(add_outputs(f, o));
    TRY(read_inputs(f, o));
    TRY(work_plan(&f->work, o));
    TRY(call(f, o, &seconds));
    for (size_t i = 0; i < RESULT_COUNT; i++) TRY(output_write(&f->outputs, results[i].option, result_array(f, i)));
    TRY(output_commit(&f->outputs));
    work_note(&f->work, seconds);
    return EXIT_DONE;
}

int run_normalize(const options *o) {
    forward f = {0};
    int status = normalize(&f, o);
    output_close(&f.outputs);
    work_close(&f.work);
    array *arrays[] = {&f.gamma, &f.beta, &f.running_mean, &f.running_var, &f.mean, &f.var, &f.inv_std};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) array_free(arrays[i]);
    return status;
}
