/* SPDX-License-Identifier: Apache-2.0
 *
 * 09: are the gradients the derivatives of what forward computes? On the CPU path, in float64.
 *
 * The loss is sum(dy * y), y = act(bn(x) + residual), over the wine table: dy is what is handed to backward. Each gradient is compared
 * with the central difference of the loss, for gamma, beta and some of x and the residual. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 178, COLUMNS = 13, N = ROWS * COLUMNS };
/* A variable, and behind it its gradient. */
enum { X, DX, RESIDUAL, DRESIDUAL, GAMMA, DGAMMA, BETA, DBETA, DY, Y, ARRAYS };
static double a[ARRAYS][N];

static const struct {
    const char *name;
    clbn_activation activation;
    clbn_epsilon_rule rule;
} cases[] = {{"identity", CLBN_IDENTITY, CLBN_EPSILON_INSIDE},
             {"relu", CLBN_RELU, CLBN_EPSILON_INSIDE},
             {"leaky relu", CLBN_LEAKY_RELU, CLBN_EPSILON_INSIDE},
             {"relu6", CLBN_CLIP, CLBN_EPSILON_INSIDE},
             {"silu", CLBN_SILU, CLBN_EPSILON_INSIDE},
             {"silu, epsilon outside", CLBN_SILU, CLBN_EPSILON_OUTSIDE}};

/* NaN after an error. */
static double loss(const clbn_plan *plan) {
    const clbn_forward_args args = {.x = clbn_host(a[X]),
                                    .residual = clbn_host(a[RESIDUAL]),
                                    .gamma = clbn_host(a[GAMMA]),
                                    .beta = clbn_host(a[BETA]),
                                    .y = clbn_host(a[Y])};
    double sum = clbn_forward_training(plan, NULL, &args, 0, NULL, NULL) ? NAN : 0;
    for (size_t i = 0; i < N; i++) sum += a[DY][i] * a[Y][i];
    return sum;
}

/* Nothing saved is given: backward takes the statistics from x again. */
static clbn_status backward(const clbn_plan *plan) {
    const clbn_backward_args args = {.x = clbn_host(a[X]),
                                     .residual = clbn_host(a[RESIDUAL]),
                                     .gamma = clbn_host(a[GAMMA]),
                                     .beta = clbn_host(a[BETA]),
                                     .dy = clbn_host(a[DY]),
                                     .dx = clbn_host(a[DX]),
                                     .dresidual = clbn_host(a[DRESIDUAL]),
                                     .dgamma = clbn_host(a[DGAMMA]),
                                     .dbeta = clbn_host(a[DBETA])};
    return clbn_backward_training(plan, NULL, &args, 0, NULL, NULL);
}

/* The largest difference for a variable, every step-th element. A loss is 2314 terms of 10 or so, good to 1e-13: 1e-8 over 2 h. */
static double differ(const clbn_plan *plan, int variable, size_t count, size_t step) {
    const double h = 1e-5;
    double worst = 0;
    for (size_t i = 0; i < count; i += step) {
        const double here = a[variable][i];
        a[variable][i] = here + h;
        const double above = loss(plan);
        a[variable][i] = here - h;
        const double difference = (above - loss(plan)) / (2 * h);
        a[variable][i] = here;
        worst = worse(worst, fabs(difference - a[variable + 1][i]));
    }
    return worst;
}

int main(void) {
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    int exit_code = EXIT_FAILURE, off = 0;
    table wine;
    if (table_read(DATA "wine.csv", &wine)) return EXIT_FAILURE;
    for (size_t c = 0; c < COLUMNS; c++) {
        double mean, deviation;
        column_moments(wine.values, ROWS, COLUMNS, c, &mean, &deviation);
        for (size_t i = c; i < N; i += COLUMNS) {
            a[X][i] = (double)wine.values[i] / deviation; /* so that one h suits all columns; their means stay */
            a[RESIDUAL][i] = sin((double)(i * i));
            a[DY][i] = cos((double)(i * i));
        }
        a[GAMMA][c] = 1 + 0.1 * (double)c;
        a[BETA][c] = 0.3 * (double)c - 1;
    }
    TRY(clbn_device_create("cpu", NULL, &device));
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){ROWS, COLUMNS};
    config.dtype = CLBN_F64;
    config.residual = 1;
    config.slope = 0.01;
    config.high = 6;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.activation = cases[i].activation;
        config.epsilon_rule = cases[i].rule;
        clbn_plan_destroy(plan);
        TRY(clbn_plan_create(device, &config, &plan));
        TRY(backward(plan));
        const double x = differ(plan, X, N, 7), residual = differ(plan, RESIDUAL, N, 7);
        const double gamma = differ(plan, GAMMA, COLUMNS, 1), beta = differ(plan, BETA, COLUMNS, 1);
        printf("%-22s off by: dx %.0e, dresidual %.0e, dgamma %.0e, dbeta %.0e\n", cases[i].name, x, residual, gamma, beta);
        off |= !(worse(worse(x, residual), worse(gamma, beta)) <= 1e-6);
    }
    exit_code = off ? EXIT_FAILURE : EXIT_SUCCESS;
done:
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    table_free(&wine);
    return exit_code;
}
