/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of options, and the parser that it drives. Options stand before, between or after the files, as "--axis 1" or
 * "--axis=1"; "--" ends them. An option that is given twice is refused (--op and --shape are lists).
 */
#include "options.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "option_values.h"

static const struct {
    const char *name;
    command command;
    int files; /* how many it takes */
    const char *arguments;
    const char *help;
} commands[] = {
    {"normalize", COMMAND_NORMALIZE, 1, "X -o Y", "the forward pass"},
    {"backward", COMMAND_BACKWARD, 2, "X DY", "the gradients"},
    {"moments", COMMAND_MOMENTS, 1, "X", "mean and variance of each channel"},
    {"devices", COMMAND_DEVICES, 0, "", "what it can run on, and what it would choose"},
    {"verify", COMMAND_VERIFY, 0, "", "this machine's device against the CPU oracle"},
    {"bench", COMMAND_BENCH, 0, "", "times, and bandwidth against the device's own copy"},
    {"tune", COMMAND_TUNE, 0, "", "which variant is fastest here, for all commands to come"},
    {"help", COMMAND_HELP, 0, "", "this text"},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

#define RUNS    (COMMAND_NORMALIZE | COMMAND_BACKWARD)
#define ARRAYS  (RUNS | COMMAND_MOMENTS)
#define TIMES   (COMMAND_BENCH | COMMAND_TUNE)
#define DEVICES (ARRAYS | COMMAND_VERIFY | COMMAND_BENCH)

/* A row without a parse function names a file: its path goes to the field at the offset. */
typedef struct option_row {
    const char *name;
    const char *value; /* what usage calls it; NULL: a flag */
    unsigned commands;
    int (*parse)(options *o, const char *option, const char *text);
    size_t field;
    int is_list;
    const char *help;
} option_row;

#define FIELD(name) NULL, offsetof(options, name), 0

static const option_row rows[] = {
    {"-o", "Y", COMMAND_NORMALIZE, FIELD(y), "the normalized array to write"},
    {"--axis", "K", ARRAYS | TIMES, parse_axis, 0, 0, "the channel axis, negative from the end, or none (1)"},
    {"--device", "D", DEVICES, parse_device, 0, 0, "auto, cpu, opencl, or P:D (auto)"},
    {"--device", "D", COMMAND_TUNE, parse_device, 0, 0, "opencl, or P:D (opencl)"},
    {"--preset", "P", RUNS, parse_preset, 0, 0, "pytorch, tensorflow, keras, onnx (pytorch)"},
    {"--epsilon", "E", RUNS, parse_epsilon, 0, 0, "added for stability, from 0 on (1e-5; tensorflow 1e-3)"},
    {"--epsilon-rule", "R", RUNS, parse_epsilon_rule, 0, 0, "inside: 1/sqrt(var+E), outside: 1/(sqrt(var)+E) (inside)"},
    {"--update-weight", "W", RUNS, parse_update_weight, 0, 0, "running = (1-W) running + W batch (0.1; tensorflow 0.01)"},
    {"--running-variance", "V", RUNS, parse_running_variance, 0, 0, "biased or unbiased (unbiased; tensorflow, onnx biased)"},
    {"--mode", "M", RUNS, parse_mode, 0, 0, "training or inference (training)"},
    {"--gamma", "F", RUNS, FIELD(gamma), "scale, one value a channel (1)"},
    {"--beta", "F", RUNS, FIELD(beta), "shift, one value a channel (0)"},
    {"--running-mean", "F", RUNS, FIELD(running_mean), "running mean in (training: 0)"},
    {"--running-var", "F", RUNS, FIELD(running_var), "running variance in (training: 1)"},
    {"--activation", "A", RUNS | TIMES, parse_activation, 0, 0,
     "identity, relu, leaky-relu:SLOPE, clip:LOW,HIGH, silu (identity)"},
    {"--residual", "F", RUNS, FIELD(residual), "added before the activation (absent)"},
    {"--running-mean-out", "F", COMMAND_NORMALIZE, FIELD(running_mean_out), "the updated running mean to write"},
    {"--running-var-out", "F", COMMAND_NORMALIZE, FIELD(running_var_out), "the updated running variance to write"},
    {"--mean-out", "F", COMMAND_NORMALIZE | COMMAND_MOMENTS, FIELD(mean_out), "the mean that was used, to write"},
    {"--var-out", "F", COMMAND_NORMALIZE | COMMAND_MOMENTS, FIELD(var_out), "the variance (biased) that was used, to write"},
    {"--inv-std-out", "F", COMMAND_NORMALIZE, FIELD(inv_std_out), "the factor of (x - mean), to write"},
    {"--dx", "F", COMMAND_BACKWARD, FIELD(dx), "the gradient of X to write"},
    {"--dgamma", "F", COMMAND_BACKWARD, FIELD(dgamma), "the gradient of gamma to write"},
    {"--dbeta", "F", COMMAND_BACKWARD, FIELD(dbeta), "the gradient of beta to write"},
    {"--dresidual", "F", COMMAND_BACKWARD, FIELD(dresidual), "the gradient of the residual to write"},
    {"--op", "O", COMMAND_BENCH, parse_op, 0, 1, "training, inference or backward; may be given again (all)"},
    {"--op", "O", COMMAND_TUNE, parse_op, 0, 1,
     "what to be fast in, together; a shape's last tune counts; may be given again (all)"},
    {"--shape", "S", TIMES, parse_shape, 0, 1, "as 32x64x56x56; may be given again (that, 65536x256)"},
    {"--dtype", "T", TIMES, parse_dtype, 0, 0, "f32, f16, bf16 or f64 (f32)"},
    {"--residual", NULL, TIMES, parse_residual_flag, 0, 0, "with a residual"},
    {"--variant", "V", COMMAND_BENCH, parse_variant, 0, 0, "force this one, as group-fused-planes (the plan chooses)"},
    {"--seconds", "T", COMMAND_BENCH, parse_seconds, 0, 0, "for a row (0.5)"},
    {"--seconds", "T", COMMAND_TUNE, parse_seconds, 0, 0, "for a shape (2)"},
    {"--format", "F", COMMAND_BENCH, parse_format, 0, 0, "table or csv (table)"},
    {"--seconds", "T", COMMAND_VERIFY, parse_seconds, 0, 0, "to begin no more work after (40; thorough: all is done)"},
    {"--json", NULL, COMMAND_VERIFY, parse_json, 0, 0, "one JSON object instead of a table"},
    {"--thorough", NULL, COMMAND_VERIFY, parse_thorough, 0, 0,
     "all data by all variants, to 3 million values a channel: many minutes"},
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

static const char *command_name(command which) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].command == which) return commands[i].name;
    return "";
}

static int command_files(command which) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].command == which) return commands[i].files;
    return 0;
}

/* -------------------------------------------------------------------------------------------------------------- parse */

typedef struct state {
    options *o;
    int argc, at;
    char **argv;
    char given[ROW_COUNT];
    int help;
} state;

/* The row of the command's option; length is that of its name in text. */
static int find_row(const state *s, const char *text, size_t length, size_t *row) {
    const option_row *other = NULL;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) != length || strncmp(rows[i].name, text, length) != 0) continue;
        *row = i;
        if (rows[i].commands & s->o->command) return EXIT_DONE;
        other = &rows[i];
    }
    if (other) return fail_input("%s is no option of %s", other->name, command_name(s->o->command));
    return fail_input("%.*s is no option; 'clbn help' lists them", (int)length, text);
}

static int parse_option(state *s) {
    const char *text = s->argv[s->at++];
    const char *equals = strncmp(text, "--", 2) == 0 ? strchr(text, '=') : NULL;
    size_t row = 0;
    TRY(find_row(s, text, equals ? (size_t)(equals - text) : strlen(text), &row));
    const option_row *option = &rows[row];
    if (s->given[row] && !option->is_list) return fail_input("%s is given twice", option->name);
    s->given[row] = 1;
    const char *value = equals ? equals + 1 : NULL;
    if (!option->value) {
        if (value) return fail_input("%s takes no value, found '%s'", option->name, value);
        return option->parse(s->o, option->name, "");
    }
    if (!value) {
        if (s->at == s->argc) return fail_input("%s needs a value", option->name);
        value = s->argv[s->at++];
        if (strncmp(value, "--", 2) == 0) return fail_input("%s needs a value, found the option %s", option->name, value);
    }
    if (!*value) return fail_input("%s needs a value, found an empty one", option->name);
    if (option->parse) return option->parse(s->o, option->name, value);
    *(const char **)((char *)s->o + option->field) = value;
    return EXIT_DONE;
}

static int parse_file(options *o, const char *path) {
    const char *name = command_name(o->command);
    int takes = command_files(o->command);
    if (takes == 0) return fail_input("'%s' is left over: %s takes no file", path, name);
    if (takes == 1 && o->x) return fail_input("'%s' is left over: %s takes one file, and has %s", path, name, o->x);
    if (o->dy) return fail_input("'%s' is left over: %s takes two files, and has %s and %s", path, name, o->x, o->dy);
    if (!*path) return fail_input("%s is an empty name, needs a file", o->x ? "DY" : "X");
    if (o->x)
        o->dy = path;
    else
        o->x = path;
    return EXIT_DONE;
}

static int is_help(const char *text) {
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int parse_arguments(state *s) {
    int only_files = 0;
    while (s->at < s->argc) {
        const char *text = s->argv[s->at];
        if (!only_files && strcmp(text, "--") == 0) {
            only_files = 1;
            s->at++;
        } else if (!only_files && is_help(text)) {
            s->help = 1;
            return EXIT_DONE;
        } else if (!only_files && text[0] == '-' && text[1]) {
            TRY(parse_option(s));
        } else {
            s->at++;
            TRY(parse_file(s->o, text));
        }
    }
    return EXIT_DONE;
}

/* ---------------------------------------------------------------------------------------------------- what belongs together */

static void apply_preset(options *o) {
    clbn_config preset = clbn_config_preset(o->preset);
    if (isnan(o->epsilon)) o->epsilon = preset.epsilon;
    if (isnan(o->update_weight)) o->update_weight = clbn_preset_update_weight(o->preset);
    if (o->epsilon_rule < 0) o->epsilon_rule = (int)preset.epsilon_rule;
    if (o->running_variance < 0) o->running_variance = (int)preset.running_variance;
}

static int check_outputs(const options *o) {
    if (o->command == COMMAND_BACKWARD) {
        if (!o->dx && !o->dgamma && !o->dbeta && !o->dresidual)
            return fail_input("backward names no output: it needs --dx, --dgamma, --dbeta or --dresidual");
        if (o->dresidual && !o->residual) return fail_input("--residual is absent: --dresidual needs it");
    } else if (!o->y && !o->mean_out && !o->var_out && !o->inv_std_out && !o->running_mean_out && !o->running_var_out) {
        return fail_input("normalize names no output: it needs -o or one of the -out options");
    }
    return EXIT_DONE;
}

static int check_mode(const options *o) {
    if (o->mode == MODE_TRAINING) return EXIT_DONE;
    if (!o->running_mean) return fail_input("--running-mean is absent: --mode inference needs it");
    if (!o->running_var) return fail_input("--running-var is absent: --mode inference needs it");
    if (o->running_mean_out) return fail_input("--running-mean-out belongs to --mode training, found inference");
    if (o->running_var_out) return fail_input("--running-var-out belongs to --mode training, found inference");
    return EXIT_DONE;
}

static int check(options *o) {
    if ((o->command & ARRAYS) && !o->x) return fail_input("X is absent: %s needs the file to read", command_name(o->command));
    if (o->command == COMMAND_BACKWARD && !o->dy) return fail_input("DY is absent: backward needs the gradient of Y to read");
    apply_preset(o);
    if (!(o->command & RUNS)) return EXIT_DONE;
    TRY(check_outputs(o));
    return check_mode(o);
}

static int find_command(const char *name, command *which) {
    if (is_help(name)) name = "help";
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0) *which = commands[i].command;
    if (strcmp(name, "--version") == 0) *which = COMMAND_VERSION;
    if (*which == COMMAND_NONE) return fail_input("'%s' is no command; 'clbn help' lists them", name);
    return EXIT_DONE;
}

int options_parse(options *o, int argc, char **argv) {
    memset(o, 0, sizeof *o);
    o->axis = 1;
    o->device = "auto";
    o->epsilon = o->update_weight = NAN;
    o->epsilon_rule = o->running_variance = -1;
    o->activation_text = "identity";
    if (argc < 2)
        return fail_input("usage: clbn normalize|backward|moments|devices|verify|bench|tune ...; 'clbn help' says more");
    TRY(find_command(argv[1], &o->command));
    o->seconds = o->command == COMMAND_BENCH ? 0.5 : o->command == COMMAND_TUNE ? 2 : 0;
    state s = {.o = o, .argc = argc, .at = 2, .argv = argv};
    if (o->command == COMMAND_HELP || o->command == COMMAND_VERSION) {
        if (argc > 2 && o->command == COMMAND_VERSION) return fail_input("'%s' is left over after --version", argv[2]);
        return EXIT_DONE;
    }
    if (argc > 2 && is_help(argv[2])) s.help = 1;
    if (!s.help) TRY(parse_arguments(&s));
    if (s.help) {
        options_print_usage(o->command);
        o->command = COMMAND_NONE;
        return EXIT_DONE;
    }
    return check(o);
}

void options_activation(const options *o, clbn_config *config) {
    config->activation = o->activation;
    config->slope = o->slope;
    config->low = o->low;
    config->high = o->high;
}

/* -------------------------------------------------------------------------------------------------------------- usage */

static void print_options(command which) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[40];
        if (!(rows[i].commands & which)) continue;
        snprintf(left, sizeof left, "%s%s%s", rows[i].name, rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
        printf("  %-22s %s\n", left, rows[i].help);
    }
}

void options_print_usage(command which) {
    printf("clbn: batch normalization of .npy and .csv files\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (which != COMMAND_HELP && commands[i].command != which) continue;
        printf("clbn %-10s %-8s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        command one = commands[i].command;
        if (one == COMMAND_HELP || one == COMMAND_DEVICES || (which != COMMAND_HELP && one != which)) continue;
        printf("\n%s:\n", commands[i].name);
        print_options(one);
    }
    printf("\nexit status: 0 done; 2 the call or an input is wrong; 1 anything else\n");
}
