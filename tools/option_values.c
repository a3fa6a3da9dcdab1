/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of options, from text. A refusal says what was found and what is needed.
 */
#include "option_values.h"

#include <math.h>
#include <string.h>

#include "number.h"

/* A word and what it stands for; WORD_LATER stands for what is not supported yet. */
typedef struct word {
    const char *text;
    int value;
} word;
#define WORD_LATER (-2)

static int parse_word(const char *option, const char *text, const word *words, size_t count, const char *needs, int *value) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i].text) != 0) continue;
        if (words[i].value == WORD_LATER) return fail_later("%s %s", option, text);
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
    return parse_range(option, text, 0, INFINITY, "a finite number from 0 on", &o->epsilon);
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
    o->mode = (forward_mode)mode;
    return EXIT_DONE;
}

int parse_activation(options *o, const char *option, const char *text) {
    static const char *const later[] = {"relu", "leaky-relu:", "clip:", "silu"};
    (void)o;
    if (strcmp(text, "identity") == 0) return EXIT_DONE;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        size_t length = strlen(later[i]);
        if (strncmp(text, later[i], length) == 0 && (later[i][length - 1] == ':') == (text[length] != '\0'))
            return fail_later("%s %s", option, text);
    }
    return fail_input("%s holds '%s', needs identity, relu, leaky-relu:SLOPE, clip:LOW,HIGH or silu", option, text);
}

int parse_op(options *o, const char *option, const char *text) {
    static const word words[] = {{"training", MODE_TRAINING}, {"inference", MODE_INFERENCE}, {"backward", WORD_LATER}};
    int op = 0;
    TRY(PARSE_WORD(words, "training, inference or backward", &op));
    if (o->op_count == BENCH_LIST_MAX) return fail_input("%s is given more than %d times", option, BENCH_LIST_MAX);
    o->ops[o->op_count++] = (forward_mode)op;
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
    static const word words[] = {{"f32", 0}, {"f16", WORD_LATER}, {"bf16", WORD_LATER}, {"f64", WORD_LATER}};
    int dtype;
    (void)o;
    return PARSE_WORD(words, "f32, f16, bf16 or f64", &dtype);
}

int parse_residual_flag(options *o, const char *option, const char *text) {
    (void)o;
    (void)text;
    return fail_later("%s", option);
}

int parse_seconds(options *o, const char *option, const char *text) {
    return parse_range(option, text, 0.001, 3600, "a number from 0.001 to 3600", &o->seconds);
}

int parse_format(options *o, const char *option, const char *text) {
    static const word words[] = {{"table", 0}, {"csv", 1}};
    return PARSE_WORD(words, "table or csv", &o->csv);
}
