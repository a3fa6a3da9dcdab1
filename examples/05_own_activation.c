/* SPDX-License-Identifier: Apache-2.0
 *
 * 05: an activation of one's own, forward and backward: softplus, log(1 + exp(v)).
 *     05_own_activation [device]     auto (the default), cpu, opencl, or a number as `clbn devices` shows them: 0:1
 *
 * An OpenCL device compiles the two expressions into its kernels; the CPU path calls the two functions. y and dbeta are compared
 * with the definition, and all gradients with the CPU path's. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* softplus grows by at most 1 with v, which clbn promises to 1e-6 * max(1, |v|), and exp and log1p are good to 5 ulp, 6e-7. Gradients
 * are a product and sums of two such, and differences of two of these are taken. */
static const double bound = 2e-6;

static void softplus(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = fmax(v[i], 0) + log1p(exp(-fabs(v[i])));
}

static void derivative(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = 1 / (1 + exp(-v[i]));
}

static const clbn_custom_activation own = {.value = "fmax(v, 0.0f) + log1p(exp(-fabs(v)))",
                                           .derivative = "1.0f / (1.0f + exp(-v))",
                                           .value_fn = softplus,
                                           .derivative_fn = derivative};

static void print_message(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    (void)user_data;
    if (status) fprintf(stderr, "%s (%d): %s\n", clbn_status_name(status), native, sentence);
}

/* y, and from dy, which is y too, dx: both of the table's size. dx is followed by dgamma and dbeta. */
static int run(const char *name, const table *x, float *y, float *dx) {
    const clbn_device_options options = {.message = print_message};
    clbn_device_info info;
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    int failed = 1;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){x->rows, x->columns};
    config.activation = CLBN_CUSTOM;
    config.custom = &own;
    TRY(clbn_device_create(name, &options, &device));
    TRY(clbn_device_query(device, &info));
    TRY(clbn_plan_create(device, &config, &plan));
    clbn_forward_args forward = {.x = clbn_host(x->values), .y = clbn_host(y)};
    TRY(clbn_forward_training(plan, NULL, &forward, 0, NULL, NULL));

    /* A loss of sum(y^2) / 2 has dy = y. Nothing saved: the statistics are taken again. */
    float *channels = dx + x->rows * x->columns;
    clbn_backward_args backward = {.x = clbn_host(x->values), .dy = clbn_host(y), .dx = clbn_host(dx)};
    backward.dgamma = clbn_host(channels);
    backward.dbeta = clbn_host(channels + x->columns);
    TRY(clbn_backward_training(plan, NULL, &backward, 0, NULL, NULL));
    printf("%-6s %s\n", info.name, info.device);
    failed = 0;
done:
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    return failed;
}

/* y and dbeta = sum(dy * act'(v)), of which dy is y, against the definition. */
static double check(const table *x, const float *y, const float *dbeta, double epsilon) {
    double worst = 0;
    for (size_t c = 0; c < x->columns; c++) {
        double mean, deviation, v, should, slope, sum = 0;
        column_moments(x->values, x->rows, x->columns, c, &mean, &deviation);
        for (size_t i = c; i < x->rows * x->columns; i += x->columns) {
            v = ((double)x->values[i] - mean) / sqrt(deviation * deviation + epsilon);
            softplus(NULL, 1, &v, &should);
            derivative(NULL, 1, &v, &slope);
            worst = worse(worst, fabs((double)y[i] - should) / fmax(1, fabs(v)));
            sum += (double)y[i] * slope;
        }
        worst = worse(worst, fabs((double)dbeta[c] - sum) / sum);
    }
    return worst;
}

int main(int argc, char **argv) {
    float *y = NULL, *dx = NULL, *cpu_y = NULL, *cpu_dx = NULL;
    int exit_code = EXIT_FAILURE;
    table wine;
    if (table_read(DATA "wine.csv", &wine)) return EXIT_FAILURE;
    const size_t n = wine.rows * wine.columns, channels = 2 * wine.columns;
    y = malloc(n * sizeof *y);
    cpu_y = malloc(n * sizeof *y);
    dx = malloc((n + channels) * sizeof *dx);
    cpu_dx = malloc((n + channels) * sizeof *dx);
    if (!y || !cpu_y || !dx || !cpu_dx) goto done;
    if (run(argc > 1 ? argv[1] : "auto", &wine, y, dx) || run("cpu", &wine, cpu_y, cpu_dx)) goto done;

    const double off = check(&wine, y, dx + n + wine.columns, clbn_config_preset(CLBN_PRESET_PYTORCH).epsilon);
    const double dx_off = largest_error(dx, cpu_dx, n), channels_off = largest_error(dx + n, cpu_dx + n, channels);
    printf("y and dbeta are off by %.1e; from the CPU path differ dx by %.1e, dgamma and dbeta by %.1e of the largest\n", off,
           dx_off, channels_off);
    if (off <= bound && dx_off <= 4 * bound && channels_off <= 4 * bound) exit_code = EXIT_SUCCESS;
done:
    free(y);
    free(cpu_y);
    free(dx);
    free(cpu_dx);
    table_free(&wine);
    return exit_code;
}
