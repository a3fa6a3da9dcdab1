/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way in which a forward call and its backward call can differ beside their data: one level of each factor. The table holds
 * every pair of two levels that may stand together; more can be drawn by a seed.
 */
#ifndef CLBN_TESTS_MANNER_H
#define CLBN_TESTS_MANNER_H

#include "definition.h"

#include "clbn.h"

/*       factor       levels */
#define FACTORS(XX)                                                                                                   \
    XX(X_TYPE, "x float32", "x float16", "x bfloat16", "x float64")                                                   \
    XX(Y_TYPE, "y float32", "y float16", "y bfloat16", "y float64")                                                   \
    XX(ACTIVATION, "identity", "relu", "leaky", "clip", "silu", "square", "leaky, falling")                           \
    XX(STATISTICS, "of the batch", "of the population")                                                               \
    XX(RESIDUAL, "no residual", "residual")                                                                           \
    XX(MASK, "no mask", "mask")                                                                                       \
    XX(SAVED, "all saved", "needed saved", "saved without lo", "recomputed")                                          \
    XX(PLACE, "cl_mem", "host", "mixed")                                                                              \
    XX(IN_PLACE, "apart", "y on x, dx on dy", "y on residual, dresidual on dy")                                       \
    XX(AFFINE, "gamma, beta", "no gamma, no beta", "gamma", "beta")                                                   \
    XX(FORWARD_OUTPUTS, "running", "no running")                                                                      \
    XX(GRADIENTS, "all gradients", "dx", "dgamma, dbeta", "dresidual, dgamma")                                        \
    XX(ACCUMULATE, "replacing", "accumulating", "accumulating dx, dbeta")                                             \
    XX(OFFSET, "offset 0", "offset 1", "offset 3", "offset 127")                                                      \
    XX(LAYOUT, "dense", "padded rows", "slices of channels", "gaps", "channels last", "strides all different")        \
    XX(RULE, "inside 1e-5, unbiased, w 0.1", "outside 1e-3, w 0.25", "inside 0.1, w 1", "inside 0, unbiased, w 0.01", \
       "outside 0.1, unbiased, w 0")                                                                                  \
    XX(WORKSPACE, "own workspace", "workspace")

typedef enum factor {
#define FACTOR_ENUM(name, ...) BY_##name,
    FACTORS(FACTOR_ENUM)
#undef FACTOR_ENUM
        FACTOR_COUNT
} factor;

/* Names of levels that code asks for. */
enum { OF_BATCH, OF_POPULATION };
enum { GAMMA_BETA, NO_GAMMA_NO_BETA, GAMMA_ALONE, BETA_ALONE };
enum { ALL_SAVED, NEEDED_SAVED, SAVED_WITHOUT_LO, RECOMPUTED };
enum { PLACED_IN_MEM, PLACED_ON_HOST, PLACED_MIXED };
enum { APART, ON_INPUT, ON_RESIDUAL };
enum { ALL_GRADIENTS, ONLY_DX, ONLY_PARAMETERS, ONLY_DRESIDUAL_DGAMMA };
enum { REPLACING, ACCUMULATING, ACCUMULATING_SOME };
enum { DENSE, PADDED, SLICES, GAPS, CHANNELS_LAST, ALL_DIFFERENT };

typedef struct manner {
    unsigned char level[FACTOR_COUNT];
} manner;

unsigned factor_levels(factor f);
/* May these two stand together? (No mask for silu, nothing in place where sizes differ, ...) */
int factors_agree(factor f, unsigned level, factor g, unsigned other);

size_t manner_count(void);
manner manner_of(size_t nth);
/* One drawn at random, by a state that is moved on; any, or one for which OpenCL kernels were compiled for the table. */
manner manner_draw(uint64_t *state);
manner manner_draw_known(uint64_t *state);
/* Manners of one kind are run by the same kernels. */
size_t manner_kind(const manner *m);
/* Into text, for messages. */
void manner_write(const manner *m, char *text, size_t size);

clbn_dtype manner_x_type(const manner *m);
clbn_dtype manner_y_type(const manner *m);
int manner_is_f64(const manner *m); /* real is double */
definition_activation manner_activation(const manner *m);
size_t manner_offset(const manner *m);
double manner_update_weight(const manner *m);
/* Everything of the config but dims, axis and strides. */
clbn_config manner_config(const manner *m);

#endif
