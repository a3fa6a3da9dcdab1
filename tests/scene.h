/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of the library with guarded buffers, in one of the ways it can be called: host or cl_mem, in place or not, with
 * and without each group of optional arguments, at an offset, by a rule for epsilon and the running variance.
 */
#ifndef CLBN_TESTS_SCENE_H
#define CLBN_TESTS_SCENE_H

#include "cases.h"
#include "guarded.h"

typedef enum verb { TRAINING, INFERENCE, MOMENTS } verb;
typedef enum place { IN_MEM, IN_MEM_IN_PLACE, ON_HOST, ON_HOST_IN_PLACE } place;
typedef enum affine { GAMMA_AND_BETA, NO_AFFINE, GAMMA_ONLY, BETA_ONLY } affine;
typedef enum outputs { RUNNING_AND_SAVED, RUNNING_ONLY, SAVED_ONLY, NO_STATISTICS } outputs;

typedef struct way {
    double epsilon, update_weight;
    clbn_epsilon_rule epsilon_rule;
    clbn_running_variance running_variance;
    place place;
    affine affine;
    outputs outputs;
    size_t offset;
    int own_workspace; /* 1: the plan's; 0: the call brings one */
    int any_access;    /* 1: every cl_mem may be read and written; 0: only as the call needs it */
} way;

enum { RULES = 4, WAYS_A_RULE = 4 };
/* Of the 4^5 combinations of rule, offset, place, affine and outputs the 16 that hold every pair of two settings. */
way way_of(unsigned rule, unsigned nth);
/* The plainest: inside 1e-5, unbiased, weight 0.1, everything given, offset 0. */
way plain_way(place place);

/* The config of a plan for the batch. b must outlive the plan's making. */
clbn_config config_of(const batch *b, const way *w, const char *variant);

/* What a call left: channels floats each, y the batch's count; NULL what was not asked for. They belong to the scene. */
typedef struct result {
    const float *y, *mean, *mean_lo, *var, *inv_std, *running_mean, *running_var;
} result;

typedef struct scene {
    const batch *b;
    way way;
    verb verb;
    char title[320]; /* for messages: case, verb, way, seed */
    guarded x, y, gamma, beta, running_mean, running_var, mean, mean_lo, var, inv_std, workspace;
    clbn_forward_args args;
    clbn_moments_args moments;
} scene;

/* Makes the buffers and the arguments. queue: where cl_mem's contents go by; NULL on the CPU path, where every place is the
 * host's. The workspace is of the plan's size. note goes into the title. */
void scene_make(scene *s, const batch *b, const way *w, verb v, cl_command_queue queue, const clbn_plan *plan, const char *note);
void scene_free(scene *s);

/* Does the call. queue may be NULL where no buffer is a cl_mem. */
clbn_status scene_call(scene *s, const clbn_plan *plan, cl_command_queue queue, cl_uint n_wait, const cl_event *wait_list,
                       cl_event *event);

/* Reads the outputs of finished work; fails the test where a band or an input was written. */
result scene_read(scene *s);
/* Fails the test where anything at all was written. */
void scene_must_be_untouched(scene *s);

/* scene_call on the queue, wait for it, scene_read. */
result scene_run(scene *s, const clbn_plan *plan, cl_command_queue queue);

/* Fails the test where the two differ in a bit, or one holds what the other does not. */
void results_must_be_same_bits(const scene *s, const result *a, const result *b);

#endif
