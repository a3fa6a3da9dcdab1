/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn moments: mean and biased variance of each channel, to files or as a table.
 */
#include <math.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "output.h"
#include "progress.h"
#include "table.h"
#include "work.h"

typedef struct moments {
    work work;
    array mean, var;
    output_set outputs;
} moments;

/* A terminal gets the first and last of many channels; a file or a pipe gets all. */
#define TERMINAL_ROWS 20

static void print_table(const moments *m, const options *o) {
    const array *x = &m->work.x;
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
        table_cell(&t, "%.9g", (double)((const float *)m->mean.data)[c]);
        table_cell(&t, "%.9g", (double)((const float *)m->var.data)[c]);
    }
    table_end(&t, isatty(STDOUT_FILENO) ? TERMINAL_ROWS : 0);
}

static int measure(moments *m, const options *o) {
    file_ref mean_file = {"--mean-out", o->mean_out};
    file_ref var_file = {"--var-out", o->var_out};
    TRY(output_add(&m->outputs, mean_file.option, mean_file.path));
    TRY(output_add(&m->outputs, var_file.option, var_file.path));
    TRY(work_read(&m->work, o));
    size_t channels = m->work.channels;
    if (o->mean_out) TRY(file_check_shape(mean_file, 1, &channels, 0));
    if (o->var_out) TRY(file_check_shape(var_file, 1, &channels, 0));
    TRY(make_per_channel(&m->mean, m->work.file, channels, NAN)); /* what a batch without values has */
    TRY(make_per_channel(&m->var, m->work.file, channels, NAN));
    TRY(work_plan(&m->work, o));
    clbn_moments_args args = {.x = clbn_host(m->work.x.data), .mean = clbn_host(m->mean.data), .var = clbn_host(m->var.data)};
    double begin = now_seconds();
    clbn_status status = clbn_moments(m->work.plan, NULL, &args, 0, NULL, NULL);
    double seconds = now_seconds() - begin;
    if (status != CLBN_SUCCESS) return fail_library(&m->work.session.log, status, m->work.file.path);
    TRY(output_write(&m->outputs, mean_file.option, &m->mean));
    TRY(output_write(&m->outputs, var_file.option, &m->var));
    TRY(output_commit(&m->outputs));
    work_note(&m->work, seconds);
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
