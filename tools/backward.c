/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn backward: the gradients of normalize with the same options, from X and the gradient of Y. What forward would have saved
 * is computed again from X. DX takes DY's place in memory (the library allows exactly that); without it DRESIDUAL does.
 */
#include "commands.h"
#include "files.h"
#include "progress.h"
#include "results.h"

typedef struct gradients {
    work work;
    array dy;
    array dgamma, dbeta, dresidual; /* data stays NULL where it is not asked for, or takes DY's place */
    output_set outputs;
} gradients;

static int read_inputs(gradients *g, const options *o) {
    TRY(work_read_inputs(&g->work, o));
    return file_read_as_x((file_ref){"", o->dy}, &g->work.x, g->work.file, &g->dy);
}

static int make_gradients(gradients *g, const options *o) {
    const work *w = &g->work;
    if (o->dgamma) TRY(make_per_channel(w, &g->dgamma, (file_ref){"--dgamma", o->dgamma}, 0));
    if (o->dbeta) TRY(make_per_channel(w, &g->dbeta, (file_ref){"--dbeta", o->dbeta}, 0));
    if (o->dresidual && o->dx)
        TRY(array_make(&g->dresidual, (file_ref){"--dresidual", o->dresidual}, w->x.type, w->x.rank, w->x.dims));
    return EXIT_DONE;
}

/* The call itself, and its time. */
static int call(gradients *g, const options *o, const array *dresidual, double *seconds) {
    const work *w = &g->work;
    int training = o->mode == MODE_TRAINING;
    clbn_buffer nothing = clbn_host(NULL);
    clbn_backward_args args = {.dy = clbn_host(g->dy.data),
                               .x = clbn_host(w->x.data),
                               .dx = o->dx ? clbn_host(g->dy.data) : nothing,
                               .dgamma = clbn_host(g->dgamma.data),
                               .dbeta = clbn_host(g->dbeta.data),
                               .dresidual = o->dresidual ? clbn_host(dresidual->data) : nothing,
                               .gamma = clbn_host(w->gamma.data),
                               .beta = clbn_host(w->beta.data),
                               .residual = clbn_host(w->residual.data),
                               .running_mean = training ? nothing : clbn_host(w->running_mean.data),
                               .running_var = training ? nothing : clbn_host(w->running_var.data)};
    double begin = now_seconds();
    clbn_status status = training ? clbn_backward_training(w->plan, NULL, &args, 0, NULL, NULL)
                                  : clbn_backward_inference(w->plan, NULL, &args, 0, NULL, NULL);
    *seconds = now_seconds() - begin;
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&w->session.log, status, w->file.path);
}

static int backward(gradients *g, const options *o) {
    work *w = &g->work;
    const array *dresidual = o->dx ? &g->dresidual : &g->dy;
    const result results[] = {
        {{"--dx", o->dx}, RESULT_AS_X, &g->dy},
        {{"--dgamma", o->dgamma}, RESULT_PER_CHANNEL, &g->dgamma},
        {{"--dbeta", o->dbeta}, RESULT_PER_CHANNEL, &g->dbeta},
        {{"--dresidual", o->dresidual}, RESULT_AS_X, dresidual},
    };
    const size_t count = sizeof results / sizeof *results;
    double seconds;
    TRY(results_open(results, count, &g->outputs));
    TRY(work_read(w, o));
    TRY(results_check(results, count, w));
    TRY(read_inputs(g, o));
    TRY(make_gradients(g, o));
    TRY(work_plan(w, o));
    TRY(call(g, o, dresidual, &seconds));
    TRY(results_write(results, count, w, &g->outputs));
    work_note(w, seconds);
    return EXIT_DONE;
}

int run_backward(const options *o) {
    gradients g = {0};
    int status = backward(&g, o);
    output_close(&g.outputs);
    work_close(&g.work);
    array *arrays[] = {&g.dy, &g.dgamma, &g.dbeta, &g.dresidual};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) array_free(arrays[i]);
    return status;
}
