/* SPDX-License-Identifier: Apache-2.0
 *
 * 03: from training to inference.
 *     03_inference [device]     auto (the default), cpu, opencl, or a number as `clbn devices` shows them: 0:1
 *
 * While a network trains, each batch is normalized by its own mean and variance. Later a sample may come alone, so it is
 * normalized by the population's: the average of the batches' means and unbiased variances (Ioffe, Szegedy, 2015, algorithm
 * 2, lines 8 to 11). Here 15 batches of 100 handwritten digits train, and 297 digits that were not among them are the test. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCHES = 15, BATCH = 100, PIXELS = 64 };

/* 15 updates round the running statistics to float 15 times: 15 * 6e-8, and clbn's own 1e-6 a call. */
static const double bound = 4e-6;

/* The same population from the definition: is every y where it should be? */
static int check(const float *train, const float *test, size_t tests, double epsilon, const float *y) {
    double worst = 0;
    for (size_t c = 0; c < PIXELS; c++) {
        double mean = 0, var = 0;
        for (size_t b = 0; b < BATCHES; b++) {
            double batch_mean, batch_deviation;
            column_moments(train + b * BATCH * PIXELS, BATCH, PIXELS, c, &batch_mean, &batch_deviation);
            mean += batch_mean / BATCHES;
            var += batch_deviation * batch_deviation * BATCH / (BATCH - 1) / BATCHES;
        }
        for (size_t i = 0; i < tests; i++) {
            double x = (double)test[i * PIXELS + c], is = (double)y[i * PIXELS + c];
            double inv_std = 1 / sqrt(var + epsilon), should = (x - mean) * inv_std;
            double off = fabs(is - should) / fmax(1, (fabs(x) + fabs(mean)) * inv_std);
            worst = worse(worst, off);
        }
    }
    printf("largest error: %.1e of at most %.1e\n", worst, bound);
    return !(worst <= bound);
}

int main(int argc, char **argv) {
    clbn_device_info info;
    clbn_device *device = NULL;
    clbn_plan *training = NULL, *inference = NULL;
    float running_mean[PIXELS] = {0}, running_var[PIXELS] = {0}, *y = NULL;
    int exit_code = EXIT_FAILURE;
    table digits;
    if (table_read(DATA "digits.csv", &digits)) return EXIT_FAILURE;
    const size_t tests = digits.rows - BATCHES * BATCH;
    const float *test = digits.values + BATCHES * BATCH * PIXELS;
    y = malloc(digits.rows * PIXELS * sizeof *y);
    if (!y) goto done;

    TRY(clbn_device_create(argc > 1 ? argv[1] : "auto", NULL, &device));
    TRY(clbn_device_query(device, &info));
    printf("%s: %s\n", info.name, info.device);

    /* One plan for the training batches, one for the test: a plan is for one shape. */
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){BATCH, PIXELS};
    TRY(clbn_plan_create(device, &config, &training));
    config.dims = (const size_t[]){tests, PIXELS};
    TRY(clbn_plan_create(device, &config, &inference));

    /* The weight 1, 1/2, 1/3, ... makes the running statistics the plain average of the batches'. */
    for (size_t b = 0; b < BATCHES; b++) {
        clbn_forward_args batch = {
            .x = clbn_host(digits.values + b * BATCH * PIXELS),
            .y = clbn_host(y),
            .running_mean = clbn_host(running_mean),
            .running_var = clbn_host(running_var),
            .update_weight = 1.0 / (double)(b + 1),
        };
        TRY(clbn_forward_training(training, NULL, &batch, 0, NULL, NULL));
    }

    clbn_forward_args sample = {
        .x = clbn_host(test),
        .y = clbn_host(y),
        .running_mean = clbn_host(running_mean),
        .running_var = clbn_host(running_var),
    };
    TRY(clbn_forward_inference(inference, NULL, &sample, 0, NULL, NULL));

    printf("%zu digits by the statistics of %d others; three pixels of the middle row:\n", tests, BATCHES * BATCH);
    for (size_t c = 26; c < 29; c++) {
        double mean, deviation;
        column_moments(y, tests, PIXELS, c, &mean, &deviation);
        printf("  %s: population mean %.3f, var %.3f; test mean %.3f, deviation %.3f\n", digits.names[c], (double)running_mean[c],
               (double)running_var[c], mean, deviation);
    }
    if (check(digits.values, test, tests, config.epsilon, y)) goto done;
    exit_code = EXIT_SUCCESS;
done:
    clbn_plan_destroy(inference);
    clbn_plan_destroy(training);
    clbn_device_destroy(device);
    free(y);
    table_free(&digits);
    return exit_code;
}
