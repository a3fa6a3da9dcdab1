/* SPDX-License-Identifier: Apache-2.0
 *
 * demo: what `scripts/demo` shows. The wine table is normalized on the OpenCL device and on the CPU path; each column's mean
 * and deviation before and after, the time of a call, and the largest difference between the two are printed. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double milliseconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void print_message(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    (void)user_data;
    if (status) fprintf(stderr, "%s (%d): %s\n", clbn_status_name(status), native, sentence);
}

/* Normalize the table's columns to mean 0 and deviation 1 on the device of that name, and say how long it took. */
static int normalize(const char *name, const table *x, float *y) {
    const clbn_device_options options = {.message = print_message};
    const clbn_forward_args args = {.x = clbn_host(x->values), .y = clbn_host(y)};
    clbn_device_info info;
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    int failed = -1;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){x->rows, x->columns};
    config.epsilon = 0;
    double made = milliseconds(), best = INFINITY;
    TRY(clbn_device_create(name, &options, &device));
    TRY(clbn_device_query(device, &info));
    TRY(clbn_plan_create(device, &config, &plan));
    made = milliseconds() - made;
    for (int call = 0; call < 20; call++) {
        double start = milliseconds();
        TRY(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
        best = fmin(best, milliseconds() - start);
    }
    printf("%-8s %s, %s\n         ready after %.1f ms, normalized in %.3f ms, from host memory to host memory\n", name,
           info.device, info.platform, made, best);
    failed = 0;
done:
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    return failed;
}

int main(void) {
    table wine;
    int exit_code = EXIT_FAILURE;
    if (table_read(DATA "wine.csv", &wine)) return EXIT_FAILURE;
    const size_t elements = wine.rows * wine.columns;
    float *device_y = malloc(elements * sizeof *device_y), *cpu_y = malloc(elements * sizeof *cpu_y);
    printf("The wine table: %zu wines, %zu measured values each\n\n", wine.rows, wine.columns);
    if (!device_y || !cpu_y || normalize("opencl", &wine, device_y) || normalize("cpu", &wine, cpu_y)) goto done;

    printf("\n%-28s | %-19s | %-19s | %s\n%-28s | %9s %9s | %9s %9s | %9s %9s\n", "", "before", "after, on OpenCL",
           "after, on the CPU", "column", "mean", "deviation", "mean", "deviation", "mean", "deviation");
    int off = 0;
    for (size_t c = 0; c < wine.columns; c++) {
        const float *tables[] = {wine.values, device_y, cpu_y};
        double mean, deviation;
        printf("%-28s", wine.names[c]);
        for (int i = 0; i < 3; i++) {
            column_moments(tables[i], wine.rows, wine.columns, c, &mean, &deviation);
            printf(i ? " | %9.6f %9.6f" : " | %9.3f %9.3f", fabs(mean) < 5e-7 ? 0 : mean, deviation);
            off |= i && !(fabs(mean) <= 2e-6 && fabs(deviation - 1) <= 2e-6); /* see 01_normalize.c */
        }
        printf("\n");
    }

    double largest = 0, worst = 0;
    for (size_t i = 0; i < elements; i++) {
        double difference = fabs((double)device_y[i] - (double)cpu_y[i]);
        largest = worse(largest, difference);
        worst = fmax(worst, fabs((double)cpu_y[i]));
    }
    /* Each of the two is off by at most 1e-6 of the largest |y|. */
    off |= !(largest <= 2e-6 * worst);
    printf("\nlargest difference between the two: %.2e (of values up to %.2f)\n", largest, worst);
    if (off) fprintf(stderr, "demo: a column is not normalized, or the two differ by more than clbn promises\n");
    exit_code = off ? EXIT_FAILURE : EXIT_SUCCESS;
done:
    free(device_y);
    free(cpu_y);
    table_free(&wine);
    return exit_code;
}
