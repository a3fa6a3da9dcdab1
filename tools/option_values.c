/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of options, from text. A refusal says what was found and what is needed.
 */
#include "option_values.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

/* A word and what it stands for. */
typedef struct word {
    const char *text;
    int value;
} word;

static int parse_word(const char *option, const char *text, const word *words, size_t count, const char *needs, int *value) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i].text) != 0) continue;
        *value = words[i].value;
        return EXIT_DONE;
    }
    return fail_input("%s holds '%s', needs %s", option, text, needs);
}
#define PARSE_WORD(words, needs, value) parse_word(option, text, words, sizeof(words) / sizeof *(words), needs, value)

/* A finite number from low to high. */
static int parse_range(const char *option, const char *text, double low, double high, const char *needs, double *value) {
    if (number_to_double(text, value) != NUMBER_OK || !(*value >= low && *value <= high) || isinf(*value))
        return fail_input("%s holds '%s', needs %s", option, text, needs);
    return EXIT_DONE;
}

int parse_axis(options *o, const char *option, const char *text) {
    o->axis_given = 1;
    if (strcmp(text, "none") == 0) {
        o->axis = CLBN_AXIS_NONE;
        return EXIT_DONE;
    }
    if (number_to_int(text, &o->axis) != NUMBER_OK)
        return fail_input("%s holds '%s', needs a whole number or none", option, text);
    return EXIT_DONE;
}

int parse_device(options *o, const char *option, const char *text) {
    static const char *const names[] = {"auto", "cpu", "opencl"};
    o->device = text;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) return EXIT_DONE;
    size_t platform, device;
    const char *at = text;
    if (number_scan_size(&at, &platform) != NUMBER_NONE && *at == ':') {
        at++;
        if (number_scan_size(&at, &device) != NUMBER_NONE && !*at) return EXIT_DONE;
    }
    return fail_input("%s holds '%s', needs auto, cpu, opencl, or platform and device number such as 0:0", option, text);
}

int parse_preset(options *o, const char *option, const char *text) {
    static const word words[] = {{"pytorch", CLBN_PRESET_PYTORCH},
                                 {"tensorflow", CLBN_PRESET_TENSORFLOW},
                                 {"keras", CLBN_PRESET_TENSORFLOW},
                                 {"onnx", CLBN_PRESET_ONNX}};
    int preset = 0;
    TRY(PARSE_WORD(words, "pytorch, tensorflow, keras or onnx", &preset));
    o->preset = (clbn_preset)preset;
    return EXIT_DONE;
}

int parse_epsilon(options *o, const char *option, const char *text) {
    const char *needs = "a number from 0 on that float32 holds: 0, or 1.2e-38 to 3.4e38";
    TRY(parse_range(option, text, 0, (double)FLT_MAX, needs, &o->epsilon));
    if (o->epsilon != 0 && o->epsilon < (double)FLT_MIN) return fail_input("%s holds '%s', needs %s", option, text, needs);
    return EXIT_DONE;
}

int parse_epsilon_rule(options *o, const char *option, const char *text) {
    static const word words[] = {{"inside", CLBN_EPSILON_INSIDE}, {"outside", CLBN_EPSILON_OUTSIDE}};
    return PARSE_WORD(words, "inside or outside", &o->epsilon_rule);
}

int parse_update_weight(options *o, const char *option, const char *text) {
    return parse_range(option, text, 0, 1, "a number from 0 to 1", &o->update_weight);
}

int parse_running_variance(options *o, const char *option, const char *text) {
    static const word words[] = {{"biased", CLBN_RUNNING_BIASED}, {"unbiased", CLBN_RUNNING_UNBIASED}};
    return PARSE_WORD(words, "biased or unbiased", &o->running_variance);
}

int parse_mode(options *o, const char *option, const char *text) {
    static const word words[] = {{"training", MODE_TRAINING}, {"inference", MODE_INFERENCE}};
    int mode = 0;
    TRY(PARSE_WORD(words, "training or inference", &mode));
    o->mode = (run_mode)mode;
    return EXIT_DONE;
}

/* "6,0" and the like: two numbers, the first not above the second; infinities are fine, nan is not. */
static int parse_bounds(options *o, const char *text) {
    const char *comma = strchr(text, ',');
    char *low = comma ? strndup(text, (size_t)(comma - text)) : NULL;
    int good = low && number_to_double(low, &o->low) == NUMBER_OK && number_to_double(comma + 1, &o->high) == NUMBER_OK &&
               o->low <= o->high;
    free(low);
    return good;
}

int parse_activation(options *o, const char *option, const char *text) {
    static const struct {
        const char *word;
        clbn_activation activation;
    } plain[] = {{"identity", CLBN_IDENTITY}, {"relu", CLBN_RELU}, {"silu", CLBN_SILU}};
    static const char leaky[] = "leaky-relu:", clip[] = "clip:";
    o->activation_text = text;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(text, plain[i].word) != 0) continue;
        o->activation = plain[i].activation;
        return EXIT_DONE;
    }
    if (strncmp(text, leaky, sizeof leaky - 1) == 0) {
        o->activation = CLBN_LEAKY_RELU;
        if (number_to_double(text + sizeof leaky - 1, &o->slope) == NUMBER_OK && fabs(o->slope) <= (double)FLT_MAX)
            return EXIT_DONE;
        return fail_input("%s holds '%s', needs a finite slope, such as leaky-relu:0.01", option, text);
    }
    if (strncmp(text, clip, sizeof clip - 1) == 0) {
        o->activation = CLBN_CLIP;
        if (parse_bounds(o, text + sizeof clip - 1)) return EXIT_DONE;
        return fail_input("%s holds '%s', needs two numbers, the first not above the second, such as clip:0,6", option, text);
    }
    return fail_input("%s holds '%s', needs identity, relu, leaky-relu:SLOPE, clip:LOW,HIGH or silu", option, text);
}

int parse_op(options *o, const char *option, const char *text) {
    static const word words[] = {{"training", OP_TRAINING}, {"inference", OP_INFERENCE}, {"backward", OP_BACKWARD}};
    int op = 0;
    TRY(PARSE_WORD(words, "training, inference or backward", &op));
    if (o->op_count == BENCH_LIST_MAX) return fail_input("%s is given more than %d times", option, BENCH_LIST_MAX);
    o->ops[o->op_count++] = (bench_op)op;
    return EXIT_DONE;
}

static int refuse_shape(const char *option, const char *text) {
    return fail_input("%s holds '%s', needs 1 to %d extents from 1 on, such as 32x64x56x56", option, text, ARRAY_MAX_RANK);
}

int parse_shape(options *o, const char *option, const char *text) {
    if (o->shape_count == BENCH_LIST_MAX) return fail_input("%s is given more than %d times", option, BENCH_LIST_MAX);
    bench_shape *shape = &o->shapes[o->shape_count];
    size_t count;
    const char *at = text;
    do {
        size_t extent = 0;
        if (at != text) at++; /* the x */
        if (shape->rank == ARRAY_MAX_RANK) return refuse_shape(option, text);
        number_result result = number_scan_size(&at, &extent);
        if (result == NUMBER_RANGE) return fail_input("%s holds '%s', an extent of which overflows", option, text);
        if (result != NUMBER_OK || extent == 0) return refuse_shape(option, text);
        shape->dims[shape->rank++] = extent;
    } while (*at == 'x');
    if (*at) return refuse_shape(option, text);
    if (array_count(shape->rank, shape->dims, ARRAY_F64, &count) != 0)
        return fail_input("%s holds '%s', the product of which overflows", option, text);
    o->shape_count++;
    return EXIT_DONE;
}

int parse_dtype(options *o, const char *option, const char *text) {
    static const word words[] = {{"f32", CLBN_F32}, {"f16", CLBN_F16}, {"bf16", CLBN_BF16}, {"f64", CLBN_F64}};
    int dtype = 0;
    TRY(PARSE_WORD(words, "f32, f16, bf16 or f64", &dtype));
    o->dtype = (clbn_dtype)dtype;
    return EXIT_DONE;
}

int parse_residual_flag(options *o, const char *option, const char *text) {
    (void)option;
    (void)text;
    o->with_residual = 1;
    return EXIT_DONE;
}

int parse_variant(options *o, const char *option, const char *text) {
    char names[1024];
    size_t used = 0;
    for (size_t k = 0; clbn_variant_name(k); k++) {
        o->variant = clbn_variant_name(k);
        if (strcmp(text, o->variant) == 0) return EXIT_DONE;
        if (used < sizeof names) used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? ", " : "", o->variant);
    }
    return fail_input("%s holds '%s', needs one of %s", option, text, names);
}

int parse_seconds(options *o, const char *option, const char *text) {
    return parse_range(option, text, 0.001, 3600, "a number from 0.001 to 3600", &o->seconds);
}

int parse_format(options *o, const char *option, const char *text) {
    static const word words[] = {{"table", 0}, {"csv", 1}};
    return PARSE_WORD(words, "table or csv", &o->csv);
}

int parse_json(options *o, const char *option, const char *text) {
    (void)option;
    (void)text;
    o->json = 1;
    return EXIT_DONE;
}

int parse_thorough(options *o, const char *option, const char *text) {
    (void)option;
    (void)text;
    o->thorough = 1;
    return EXIT_DONE;
}
