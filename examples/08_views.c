/* SPDX-License-Identifier: Apache-2.0
 *
 * 08: a slice of a concatenation buffer, by strides: normalized where it lies, and out of it; float16 in memory.
 *     08_views [device]     auto (the default), cpu, opencl, or a number as `clbn devices` shows them: 0:1
 *
 * cat[image][16][8] holds two digits an image, one in channels 0 to 7, one in channels 8 to 15: what two branches of a network have
 * put there. The second is normalized into a dense float32 tensor, and then in place, in float16; the first must stay as it is. */
#include "table.h"

#include <clbn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 898, CHANNELS = 8, WIDTH = 8, SLICE = CHANNELS * WIDTH, ROW = 2 * SLICE };
static uint16_t cat[IMAGES][ROW], before[IMAGES][ROW];
static float y[IMAGES][SLICE];

/* A float16 that is normal or 0, from a pixel's value and to a float. */
static uint16_t half_of(float value) {
    int exponent;
    const float fraction = frexpf(value, &exponent);
    return value > 0 ? (uint16_t)((exponent + 14) * 1024 + (int)(fraction * 2048) - 1024) : 0;
}
static double value_of(uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -size : size;
}

/* Where the slice lies: an image is a row of cat, a channel a row of pixels. */
static const size_t dims[] = {IMAGES, CHANNELS, WIDTH}, slice[] = {ROW, WIDTH, 1};

static clbn_status normalize(clbn_device *device, clbn_dtype y_type, const size_t *y_strides, clbn_buffer out) {
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3;
    config.dims = dims;
    config.dtype = CLBN_F16;
    config.y_dtype = y_type;
    config.strides.x = slice;
    config.strides.y = y_strides;
    clbn_forward_args args = {.x = clbn_host(cat), .y = out};
    args.x.offset = SLICE;
    clbn_status status = clbn_plan_create(device, &config, &plan);
    if (!status) status = clbn_forward_training(plan, NULL, &args, 0, NULL, NULL);
    clbn_plan_destroy(plan);
    return status;
}

/* The largest errors of y and of the slice, against the definition. */
static void judge(double *y_off, double *slice_off) {
    const double epsilon = clbn_config_preset(CLBN_PRESET_PYTORCH).epsilon;
    static float values[IMAGES * WIDTH];
    for (size_t c = 0; c < CHANNELS; c++) {
        double mean, deviation;
        for (size_t i = 0; i < IMAGES * WIDTH; i++) values[i] = (float)value_of(before[i / WIDTH][SLICE + c * WIDTH + i % WIDTH]);
        column_moments(values, IMAGES * WIDTH, 1, 0, &mean, &deviation);
        for (size_t i = 0; i < IMAGES * WIDTH; i++) {
            const size_t at = c * WIDTH + i % WIDTH;
            const double should = ((double)values[i] - mean) / sqrt(deviation * deviation + epsilon),
                         size = fmax(1, fabs(should));
            *y_off = worse(*y_off, fabs((double)y[i / WIDTH][at] - should) / size);
            *slice_off = worse(*slice_off, fabs(value_of(cat[i / WIDTH][SLICE + at]) - should) / size);
        }
    }
}

int main(int argc, char **argv) {
    clbn_device_info info;
    clbn_device *device = NULL;
    int exit_code = EXIT_FAILURE;
    table digits;
    if (table_read(DATA "digits.csv", &digits)) return EXIT_FAILURE;
    for (size_t i = 0; i < IMAGES * ROW; i++) cat[i / ROW][i % ROW] = half_of(digits.values[i]);
    memcpy(before, cat, sizeof cat);
    TRY(clbn_device_create(argc > 1 ? argv[1] : "auto", NULL, &device));
    TRY(clbn_device_query(device, &info));

    clbn_buffer in_place = clbn_host(cat);
    in_place.offset = SLICE;
    TRY(normalize(device, CLBN_F32, NULL, clbn_host(y)));
    TRY(normalize(device, CLBN_AS_X, slice, in_place));

    double y_off = 0, slice_off = 0;
    size_t touched = 0;
    judge(&y_off, &slice_off);
    for (size_t i = 0; i < IMAGES; i++) touched += memcmp(cat[i], before[i], SLICE * sizeof **cat) != 0;
    printf("%s: float32 out of the slice is off by %.1e, float16 within it by %.1e, of max(1, |y|); %zu rows beside it changed\n",
           info.device, y_off, slice_off, touched);
    /* clbn promises 1e-6, and half an ulp more where y is float16: 2^-11. */
    if (y_off <= 1e-6 && slice_off <= 1e-6 + 1.0 / 2048 && touched == 0) exit_code = EXIT_SUCCESS;
done:
    clbn_device_destroy(device);
    table_free(&digits);
    return exit_code;
}
