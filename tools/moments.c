/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn moments: mean and biased variance of each channel, to files or as a table.
 */
#include <math.h>
#include <unistd.h>

#include "commands.h"
#include "progress.h"
#include "results.h"
#include "table.h"

typedef struct moments {
    work work;
    array mean, var;
    output_set outputs;
} moments;

/* A terminal gets the first and last of many channels; a file or a pipe gets all. */
#define TERMINAL_ROWS 20

static void print_table(const moments *m, const options *o) {
    const array *x = &m->work.x;
    int digits = m->mean.type == ARRAY_F64 ? 17 : 9;
    int named = x->names && (o->axis == 1 || o->axis == -1);
    table t;
    table_begin(&t, named ? "rlrr" : "rrr");
    table_cell(&t, "channel");
    if (named) table_cell(&t, "name");
    table_cell(&t, "mean");
    table_cell(&t, "variance");
    for (size_t c = 0; c < m->work.channels; c++) {
        table_cell(&t, "%zu", c);
        if (named) table_cell(&t, "%s", x->names[c]);
        table_cell(&t, "%.*g", digits, array_get(&m->mean, c));
        table_cell(&t, "%.*g", digits, array_get(&m->var, c));
    }
    table_end(&t, isatty(STDOUT_FILENO) ? TERMINAL_ROWS : 0);
}

static int measure(moments *m, const options *o) {
    work *w = &m->work;
    const result results[] = {
        {{"--mean-out", o->mean_out}, RESULT_PER_CHANNEL, &m->mean},
        {{"--var-out", o->var_out}, RESULT_PER_CHANNEL, &m->var},
    };
    const size_t count = sizeof results / sizeof *results;
    TRY(results_open(results, count, &m->outputs));
    TRY(work_read(w, o));
    TRY(results_check(results, count, w));
    TRY(make_per_channel(w, &m->mean, w->file, NAN)); /* what a batch without values has */
    TRY(make_per_channel(w, &m->var, w->file, NAN));
    TRY(work_plan(w, o));
    clbn_moments_args args = {.x = clbn_host(w->x.data), .mean = clbn_host(m->mean.data), .var = clbn_host(m->var.data)};
    double begin = now_seconds();
    clbn_status status = clbn_moments(w->plan, NULL, &args, 0, NULL, NULL);
    double seconds = now_seconds() - begin;
    if (status != CLBN_SUCCESS) return fail_library(&w->session.log, status, w->file.path);
    TRY(results_write(results, count, w, &m->outputs));
    work_note(w, seconds);
    if (!o->mean_out && !o->var_out) print_table(m, o);
    return EXIT_DONE;
}

int run_moments(const options *o) {
    moments m = {0};
    int status = measure(&m, o);
    output_close(&m.outputs);
    work_close(&m.work);
    array_free(&m.mean);
    array_free(&m.var);
    return status;
}
