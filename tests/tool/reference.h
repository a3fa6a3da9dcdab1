/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool must compute, straight from the formulas of docs/semantics.md, in double; and a scene to compute it of: one
 * small batch whose numbers every type holds exactly, and the files that the tool is given.
 */
#ifndef CLBN_TOOL_TESTS_REFERENCE_H
#define CLBN_TOOL_TESTS_REFERENCE_H

#include "support.h"

#define SCENE_MOST 60

typedef struct scene {
    int outer, channels, inner;
    double x[SCENE_MOST], dy[SCENE_MOST], residual[SCENE_MOST];
    double gamma[SCENE_MOST], beta[SCENE_MOST], running_mean[SCENE_MOST], running_var[SCENE_MOST];
} scene;

/* What a call is asked for. */
typedef struct request {
    const char *activation; /* as the option takes it */
    int with_residual, inference, outside;
    double epsilon;
} request;

typedef struct answer {
    double mean[SCENE_MOST], var[SCENE_MOST], inv_std[SCENE_MOST], y[SCENE_MOST];
    double dx[SCENE_MOST], dgamma[SCENE_MOST], dbeta[SCENE_MOST], dresidual[SCENE_MOST];
} answer;

/* A scene of 5 x 3 x 4, and its files of this type: x.npy, dy.npy, r.npy, of shape (5, 3, 4), g.npy, b.npy, rm.npy, rv.npy. */
scene put_scene(const char *type);

answer compute(const scene *s, const request *r);

/* Compare a file with what was computed. scale: how large the terms are of which a value is the sum. */
void check_file(const char *name, const char *type, const char *shape, const double *expected, size_t count, double scale);

/* Run the command with what the request asks for, on the files of the scene; more: further arguments, up to a NULL. */
const outcome *run_request(const request *r, const char *const *command, const char *const *more);

/* The activations that tests go through. */
extern const char *const activations[];
extern const int activation_count;
extern const char *const array_types[3];

#endif
