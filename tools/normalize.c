/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn normalize: the forward pass over a file. Y takes X's place in memory (the library allows exactly that), so that a
 * large batch is held once.
 */
#include <math.h>

#include "commands.h"
#include "progress.h"
#include "results.h"

/* What a call gives beside Y; data stays NULL where it is not asked for. */
typedef struct forward {
    work work;
    array mean, var, inv_std;
    output_set outputs;
} forward;

static int make_if_asked(const work *w, const char *option, const char *path, double value, array *a) {
    return path && !a->data ? make_per_channel(w, a, (file_ref){option, path}, value) : EXIT_DONE;
}

/* The factor of (x - mean), which inference's outputs have without a batch, too. */
static double factor(const options *o, double var) {
    double divisor = o->epsilon_rule == CLBN_EPSILON_OUTSIDE ? sqrt(var) + o->epsilon : sqrt(var + o->epsilon);
    return divisor == 0 ? 0 : 1 / divisor;
}

/* Running statistics are made where the user gives none and asks for the updated ones. A batch without values has no
 * statistics of its own: the library leaves the arrays as they are made here. */
static int make_statistics(forward *f, const options *o) {
    work *w = &f->work;
    TRY(make_if_asked(w, "--running-mean-out", o->running_mean_out, 0, &w->running_mean));
    TRY(make_if_asked(w, "--running-var-out", o->running_var_out, 1, &w->running_var));
    TRY(make_if_asked(w, "--mean-out", o->mean_out, NAN, &f->mean));
    TRY(make_if_asked(w, "--var-out", o->var_out, NAN, &f->var));
    TRY(make_if_asked(w, "--inv-std-out", o->inv_std_out, NAN, &f->inv_std));
    for (size_t c = 0; c < w->channels && o->mode == MODE_INFERENCE; c++) {
        double var = array_get(&w->running_var, c);
        if (f->mean.data) array_put(&f->mean, c, array_get(&w->running_mean, c));
        if (f->var.data) array_put(&f->var, c, var);
        if (f->inv_std.data) array_put(&f->inv_std, c, factor(o, var));
    }
    return EXIT_DONE;
}

/* The call itself, and its time. Inference needs a y even where only the statistics are asked for. */
static int call(forward *f, const options *o, double *seconds) {
    const work *w = &f->work;
    int training = o->mode == MODE_TRAINING;
    clbn_buffer nothing = clbn_host(NULL);
    clbn_forward_args args = {.x = clbn_host(w->x.data),
                              .y = o->y || !training ? clbn_host(w->x.data) : nothing,
                              .gamma = clbn_host(w->gamma.data),
                              .beta = clbn_host(w->beta.data),
                              .running_mean = !training || o->running_mean_out ? clbn_host(w->running_mean.data) : nothing,
                              .running_var = !training || o->running_var_out ? clbn_host(w->running_var.data) : nothing,
                              .saved_mean = clbn_host(f->mean.data),
                              .saved_var = clbn_host(f->var.data),
                              .saved_inv_std = clbn_host(f->inv_std.data),
                              .residual = clbn_host(w->residual.data),
                              .update_weight = o->update_weight};
    double begin = now_seconds();
    clbn_status status = training ? clbn_forward_training(w->plan, NULL, &args, 0, NULL, NULL)
                                  : clbn_forward_inference(w->plan, NULL, &args, 0, NULL, NULL);
    *seconds = now_seconds() - begin;
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&w->session.log, status, w->file.path);
}

static int normalize(forward *f, const options *o) {
    work *w = &f->work;
    const result results[] = {
        {{"-o", o->y}, RESULT_AS_X, &w->x},
        {{"--mean-out", o->mean_out}, RESULT_PER_CHANNEL, &f->mean},
        {{"--var-out", o->var_out}, RESULT_PER_CHANNEL, &f->var},
        {{"--inv-std-out", o->inv_std_out}, RESULT_PER_CHANNEL, &f->inv_std},
        {{"--running-mean-out", o->running_mean_out}, RESULT_PER_CHANNEL, &w->running_mean},
        {{"--running-var-out", o->running_var_out}, RESULT_PER_CHANNEL, &w->running_var},
    };
    const size_t count = sizeof results / sizeof *results;
    double seconds;
    TRY(results_open(results, count, &f->outputs));
    TRY(work_read(w, o));
    TRY(results_check(results, count, w));
    TRY(work_read_inputs(w, o));
    TRY(make_statistics(f, o));
    TRY(work_plan(w, o));
    TRY(call(f, o, &seconds));
    TRY(results_write(results, count, w, &f->outputs));
    work_note(w, seconds);
    return EXIT_DONE;
}

int run_normalize(const options *o) {
    forward f = {0};
    int status = normalize(&f, o);
    output_close(&f.outputs);
    work_close(&f.work);
    array_free(&f.mean);
    array_free(&f.var);
    array_free(&f.inv_std);
    return status;
}
