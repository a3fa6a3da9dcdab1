/* SPDX-License-Identifier: Apache-2.0
 *
 * What each option's value means. All have the form that the table of options wants; option is its name, for the error line.
 */
#ifndef CLBN_TOOL_OPTION_VALUES_H
#define CLBN_TOOL_OPTION_VALUES_H

#include "options.h"

int parse_axis(options *o, const char *option, const char *text);
int parse_device(options *o, const char *option, const char *text);
int parse_preset(options *o, const char *option, const char *text);
int parse_epsilon(options *o, const char *option, const char *text);
int parse_epsilon_rule(options *o, const char *option, const char *text);
int parse_update_weight(options *o, const char *option, const char *text);
int parse_running_variance(options *o, const char *option, const char *text);
int parse_mode(options *o, const char *option, const char *text);
int parse_activation(options *o, const char *option, const char *text);
int parse_op(options *o, const char *option, const char *text);
int parse_shape(options *o, const char *option, const char *text);
int parse_dtype(options *o, const char *option, const char *text);
int parse_residual_flag(options *o, const char *option, const char *text);
int parse_variant(options *o, const char *option, const char *text);
int parse_seconds(options *o, const char *option, const char *text);
int parse_format(options *o, const char *option, const char *text);
int parse_json(options *o, const char *option, const char *text);
int parse_thorough(options *o, const char *option, const char *text);

#endif
