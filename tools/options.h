/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: which commands and options there are, and what was given. One table drives the parsing, which command
 * takes which option, and the usage text.
 */
#ifndef CLBN_TOOL_OPTIONS_H
#define CLBN_TOOL_OPTIONS_H

#include "array.h"

typedef enum command {
    COMMAND_NONE = 0,
    COMMAND_NORMALIZE = 1,
    COMMAND_BACKWARD = 2,
    COMMAND_MOMENTS = 4,
    COMMAND_DEVICES = 8,
    COMMAND_VERIFY = 16,
    COMMAND_BENCH = 32,
    COMMAND_HELP = 64,
    COMMAND_VERSION = 128,
    COMMAND_TUNE = 256
} command;

typedef enum run_mode { MODE_TRAINING = 0, MODE_INFERENCE = 1 } run_mode;

typedef enum bench_op { OP_TRAINING = 0, OP_INFERENCE = 1, OP_BACKWARD = 2 } bench_op;

typedef struct bench_shape {
    unsigned rank;
    size_t dims[ARRAY_MAX_RANK];
} bench_shape;

#define BENCH_LIST_MAX 64

/* The files an option names are NULL where it was not given. */
typedef struct options {
    command command;
    const char *x, *dy;
    const char *y;
    int axis, axis_given;
    const char *device;
    clbn_preset preset;
    double epsilon; /* after parsing: the one given, or the preset's; likewise the next three */
    double update_weight;
    int epsilon_rule;     /* a clbn_epsilon_rule */
    int running_variance; /* a clbn_running_variance */
    run_mode mode;
    clbn_activation activation;
    double slope, low, high;
    const char *activation_text; /* as it was given */
    const char *gamma, *beta;
    const char *running_mean, *running_var, *running_mean_out, *running_var_out;
    const char *mean_out, *var_out, *inv_std_out;
    const char *residual;
    const char *dx, *dgamma, *dbeta, *dresidual;
    bench_op ops[BENCH_LIST_MAX];
    unsigned op_count;
    bench_shape shapes[BENCH_LIST_MAX];
    unsigned shape_count;
    clbn_dtype dtype;
    int with_residual;
    const char *variant; /* of bench; NULL: the plan chooses */
    double seconds;      /* of bench, of tune, of verify; 0: not given to it */
    int csv;
    int json, thorough;
} options;

/* Everything is checked that can be without a file. */
int options_parse(options *o, int argc, char **argv);

/* What --activation says, into a config. */
void options_activation(const options *o, clbn_config *config);

/* Of the command, or of all for COMMAND_HELP, to standard output. */
void options_print_usage(command which);

#endif
