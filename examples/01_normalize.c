/* SPDX-License-Identifier: Apache-2.0
 *
 * 01: normalize a table that lies in host memory.
 *     01_normalize [device]     auto (the default), cpu, opencl, or a number as `clbn devices` shows them: 0:1
 *
 * The 13 columns of the wine table have means from 0.4 to 747; afterwards each has mean 0 and deviation 1. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* clbn promises each y to 1e-6 * max(1, |y|); the mean of that over a column, and its root mean square, are below 2e-6. */
static const double bound = 2e-6;

static void print_message(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    (void)user_data;
    if (status) fprintf(stderr, "%s (%d): %s\n", clbn_status_name(status), native, sentence);
}

static int print_and_check(const table *wine, const float *y) {
    int off = 0;
    printf("%-30s %12s %12s  -> %9s %9s\n", "column", "mean", "deviation", "mean", "deviation");
    for (size_t c = 0; c < wine->columns; c++) {
        double mean, deviation, new_mean, new_deviation;
        column_moments(wine->values, wine->rows, wine->columns, c, &mean, &deviation);
        column_moments(y, wine->rows, wine->columns, c, &new_mean, &new_deviation);
        printf("%-30s %12.4f %12.4f  -> %9.6f %9.6f\n", wine->names[c], mean, deviation, new_mean, new_deviation);
        off |= !(fabs(new_mean) <= bound && fabs(new_deviation - 1) <= bound);
    }
    return off;
}

int main(int argc, char **argv) {
    const clbn_device_options options = {.message = print_message};
    clbn_device_info info;
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    float *y = NULL;
    table wine;
    int exit_code = EXIT_FAILURE;
    if (table_read(DATA "wine.csv", &wine)) return EXIT_FAILURE;
    y = malloc(wine.rows * wine.columns * sizeof *y);
    if (!y) goto done;

    TRY(clbn_device_create(argc > 1 ? argv[1] : "auto", &options, &device));
    TRY(clbn_device_query(device, &info));
    printf("%s: %s\n", info.name, info.device);

    /* rows × columns, a channel a column. No column is constant, so nothing needs to be added to its variance. */
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){wine.rows, wine.columns};
    config.axis = 1;
    config.epsilon = 0;
    TRY(clbn_plan_create(device, &config, &plan));

    /* Host pointers: the call returns when y is there. No gamma and no beta: 1 and 0. */
    clbn_forward_args args = {.x = clbn_host(wine.values), .y = clbn_host(y)};
    TRY(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));

    if (print_and_check(&wine, y)) {
        fprintf(stderr, "a column is not normalized\n");
        goto done;
    }
    exit_code = EXIT_SUCCESS;
done:
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    free(y);
    table_free(&wine);
    return exit_code;
}
