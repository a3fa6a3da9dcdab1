/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains: which kernels a call launches, and their arguments. The order of a kernel's arguments stands here and in
 * kernels/, nowhere else.
 */
#include "opencl/opencl.h"

#include "flags.cl"

/* Which bit says that a slot's array is there. */
static const cl_uint present_bits[CLBN_SLOT_COUNT] = {[CLBN_X] = HAS_X,
                                                      [CLBN_Y] = HAS_Y,
                                                      [CLBN_DX] = HAS_DX,
                                                      [CLBN_DRESIDUAL] = HAS_DRESIDUAL,
                                                      [CLBN_GAMMA] = HAS_GAMMA,
                                                      [CLBN_BETA] = HAS_BETA,
                                                      [CLBN_DGAMMA] = HAS_DGAMMA,
                                                      [CLBN_DBETA] = HAS_DBETA,
                                                      [CLBN_RUNNING_MEAN] = HAS_RUNNING_MEAN,
                                                      [CLBN_RUNNING_VAR] = HAS_RUNNING_VAR,
                                                      [CLBN_MEAN] = HAS_MEAN,
                                                      [CLBN_MEAN_LO] = HAS_MEAN_LO,
                                                      [CLBN_VAR] = HAS_VAR,
                                                      [CLBN_INV_STD] = HAS_INV_STD,
                                                      [CLBN_BIAS] = HAS_BIAS,
                                                      [CLBN_PART] = HAS_PART,
                                                      [CLBN_MASK] = HAS_MASK};

static const clbn_shape *shape_of(const clbn_call *c) {
    return &((const clbn_cl_plan *)c->plan->state)->shape;
}

static bool has(const clbn_call *c, clbn_slot slot) {
    return c->operands[slot].present;
}

/* What is absent, and what would not change, has no flag: kernels know no other rule. */
static cl_uint flags_of(const clbn_call *c) {
    static const struct {
        unsigned asked;
        cl_uint bit;
    } additions[] = {{CLBN_ACCUMULATE_DX, ADD_DX},
                     {CLBN_ACCUMULATE_DGAMMA, ADD_DGAMMA},
                     {CLBN_ACCUMULATE_DBETA, ADD_DBETA},
                     {CLBN_ACCUMULATE_DRESIDUAL, ADD_DRESIDUAL}};
    const clbn_plan *plan = c->plan;
    const clbn_run *run = c->run;
    const bool backward = run->operation == CLBN_BACKWARD || run->operation == CLBN_BACKWARD_PART;
    const clbn_operand *from = &c->operands[backward ? CLBN_DY : CLBN_X], *to = &c->operands[backward ? CLBN_DX : CLBN_Y];
    cl_uint flags = 0;
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        if (has(c, (clbn_slot)slot)) flags |= present_bits[slot];
    }
    for (size_t i = 0; i < sizeof additions / sizeof *additions; i++) {
        if (run->accumulate & additions[i].asked) flags |= additions[i].bit;
    }
    if (plan->epsilon_rule == CLBN_EPSILON_OUTSIDE) flags |= EPSILON_OUTSIDE;
    if (plan->running_variance == CLBN_RUNNING_UNBIASED) flags |= UNBIASED;
    if (run->statistics == CLBN_OF_POPULATION) flags |= OF_POPULATION;
    if (run->skip_nonfinite) flags |= SKIP_NONFINITE;
    if (run->operation == CLBN_FOLD) flags |= FOLDS;
    if (((const clbn_cl_plan *)plan->state)->past_caches && from->mem != to->mem) flags |= PAST_CACHES;
    if (run->statistics == CLBN_OF_BATCH && run->update_weight == 0) {
        flags &= ~(present_bits[CLBN_RUNNING_MEAN] | present_bits[CLBN_RUNNING_VAR]);
    }
    return flags;
}

/* ------------------------------------------------------------------------------------------------- groups of arguments */

/* A tensor: VIEW_PARAMETERS, or of columns ROW_PARAMETERS, of kernels/common.cl. */
static void pass_tensor(clbn_launch *launch, const clbn_call *c, clbn_slot slot) {
    const clbn_view *view = &((const clbn_cl_plan *)c->plan->state)->views[slot];
    const bool columns = ((const clbn_cl_plan *)c->plan->state)->variant->columns;
    clbn_pass(launch, c->operands[slot]);
    clbn_pass_count(launch, view->outer);
    if (!columns) clbn_pass_count(launch, view->channel);
    clbn_pass_count(launch, columns && shape_of(c)->inner == 1 ? view->channel : view->unit);
}

static void pass_mask(clbn_launch *launch, const clbn_call *c) {
    clbn_pass(launch, c->operands[CLBN_MASK]);
    clbn_pass_count(launch, ((const clbn_cl_plan *)c->plan->state)->mask_run);
}

/* FORWARD_PARAMETERS of kernels/apply.cl. */
static void pass_forward(clbn_launch *launch, const clbn_call *c) {
    pass_tensor(launch, c, CLBN_X);
    pass_tensor(launch, c, CLBN_RESIDUAL);
    pass_tensor(launch, c, CLBN_Y);
    pass_mask(launch, c);
}

/* BACKWARD_INPUTS of kernels/sums.cl, and BACKWARD_OUTPUTS of kernels/grad.cl. */
static void pass_backward(clbn_launch *launch, const clbn_call *c, bool outputs) {
    pass_tensor(launch, c, CLBN_DY);
    pass_tensor(launch, c, CLBN_X);
    pass_tensor(launch, c, CLBN_RESIDUAL);
    pass_mask(launch, c);
    if (!outputs) return;
    pass_tensor(launch, c, CLBN_DX);
    pass_tensor(launch, c, CLBN_DRESIDUAL);
}

/* CHANNEL_PARAMETERS of kernels/finalize.cl. */
static void pass_channels(clbn_launch *launch, const clbn_call *c, cl_uint more_flags) {
    static const clbn_slot order[] = {CLBN_GAMMA, CLBN_BETA,    CLBN_RUNNING_MEAN, CLBN_RUNNING_VAR,
                                      CLBN_MEAN,  CLBN_MEAN_LO, CLBN_VAR,          CLBN_INV_STD};
    const clbn_plan *plan = c->plan;
    const bool leaky = plan->activation == CLBN_LEAKY_RELU;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) clbn_pass(launch, c->operands[order[i]]);
    clbn_pass_bits(launch, c->flags | more_flags);
    clbn_pass_real(launch, plan->epsilon);
    clbn_pass_real(launch, c->run->update_weight);
    clbn_pass_real(launch, 1 - c->run->update_weight);
    clbn_pass_real(launch, leaky ? plan->slope : plan->low);
    clbn_pass_real(launch, plan->high);
}

/* How a call's work is cut: PLANE_PARAMETERS of kernels/moments.cl, or the sizes of columns. */
static void pass_cut(clbn_launch *launch, const clbn_call *c, const clbn_cut *cut) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_pass_count(launch, shape_of(c)->outer);
    clbn_pass_count(launch, shape_of(c)->channels);
    clbn_pass_count(launch, state->variant->columns ? state->columns : shape_of(c)->inner);
    clbn_pass_count(launch, cut->chunks);
    clbn_pass_count(launch, cut->rows_each);
    if (!state->variant->columns) clbn_pass_count(launch, cut->pieces);
    clbn_pass_count(launch, cut->length_each);
}

/* Of a fused kernel. */
static void pass_whole(clbn_launch *launch, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_pass_count(launch, shape_of(c)->outer);
    clbn_pass_count(launch, shape_of(c)->channels);
    clbn_pass_count(launch, state->variant->columns ? state->fused.length_each : shape_of(c)->inner);
}

static void pass_parts_given(clbn_launch *launch, const clbn_call *c) {
    clbn_pass(launch, c->operands[CLBN_PARTS]);
    clbn_pass(launch, c->operands[CLBN_COUNTS]);
    clbn_pass_count(launch, c->run->part_count);
}

static void pass_part(clbn_launch *launch, const clbn_call *c) {
    clbn_pass(launch, c->operands[CLBN_PART]);
    clbn_pass(launch, c->operands[CLBN_COUNT]);
}

/* GRADIENT_PARAMETERS of kernels/grad.cl. */
static void pass_gradients(clbn_launch *launch, const clbn_call *c) {
    clbn_pass(launch, c->operands[CLBN_DGAMMA]);
    clbn_pass(launch, c->operands[CLBN_DBETA]);
    pass_part(launch, c);
    clbn_pass(launch, c->constants);
}

/* Local memory of a group whose work-items each merge so many moments or sums. */
static void pass_scratch(clbn_launch *launch, const clbn_call *c, const clbn_cut *cut, bool vectors) {
    const clbn_cl_plan *state = c->plan->state;
    const size_t each = vectors && state->variant->columns ? state->tile.vec * state->tile.vectors : 1;
    clbn_pass_scratch(launch, state->tile.alone ? 1 : PARTS * cut->lx * cut->ly * each);
}

/* ------------------------------------------------------------------------------------------------------------ launches */

static void add_moments(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).moments, &state->work);
    pass_tensor(launch, c, CLBN_X);
    if (state->variant->columns) {
        clbn_pass_count(launch, shape_of(c)->outer);
        clbn_pass_count(launch, shape_of(c)->channels * state->columns);
        clbn_pass_count(launch, state->work.chunks);
        clbn_pass_count(launch, state->work.rows_each);
        clbn_pass_count(launch, state->work.length_each);
    } else {
        pass_cut(launch, c, &state->work);
    }
    clbn_pass(launch, c->parts);
    pass_scratch(launch, c, &state->work, true);
    chain->uses_workspace = true;
}

static void add_finalize(clbn_chain *chain, const clbn_call *c, cl_uint more_flags) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, "finalize", &state->finalize);
    clbn_pass_count(launch, shape_of(c)->channels);
    clbn_pass_count(launch, state->columns);
    clbn_pass_count(launch, state->work.chunks);
    clbn_pass(launch, c->parts);
    clbn_pass(launch, c->constants);
    pass_part(launch, c);
    pass_channels(launch, c, more_flags);
    pass_scratch(launch, c, &state->finalize, false);
    chain->uses_workspace = true;
}

static void add_finalize_parts(clbn_chain *chain, const clbn_call *c, cl_uint more_flags) {
    clbn_launch *launch = clbn_chain_add(chain, c->plan, "finalize_parts", &((const clbn_cl_plan *)c->plan->state)->by_channel);
    clbn_pass_count(launch, shape_of(c)->channels);
    pass_parts_given(launch, c);
    clbn_pass(launch, c->constants);
    pass_part(launch, c);
    pass_channels(launch, c, more_flags);
    chain->uses_workspace = !has(c, CLBN_PART); /* which is not written through it */
}

static void add_apply(clbn_chain *chain, const clbn_call *c, cl_uint more_flags) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).apply, &state->apply);
    pass_forward(launch, c);
    pass_cut(launch, c, &state->apply);
    clbn_pass(launch, c->constants);
    pass_channels(launch, c, more_flags);
}

static void add_fused(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).fused, &state->fused);
    pass_forward(launch, c);
    pass_whole(launch, c);
    pass_channels(launch, c, UPDATE_RUNNING);
    pass_scratch(launch, c, &state->fused, true);
}

static void add_sums(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).sums, &state->work);
    pass_backward(launch, c, false);
    pass_cut(launch, c, &state->work);
    clbn_pass(launch, c->parts);
    clbn_pass(launch, c->constants);
    pass_channels(launch, c, 0);
    pass_scratch(launch, c, &state->work, true);
    chain->uses_workspace = true;
}

static void add_finalize_sums(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, "finalize_sums", &state->finalize);
    clbn_pass_count(launch, shape_of(c)->channels);
    clbn_pass_count(launch, state->columns);
    clbn_pass_count(launch, state->work.chunks);
    clbn_pass_count(launch, shape_of(c)->count);
    clbn_pass(launch, c->parts);
    pass_gradients(launch, c);
    pass_channels(launch, c, 0);
    pass_scratch(launch, c, &state->finalize, false);
    chain->uses_workspace = true;
}

static void add_finalize_sums_parts(clbn_chain *chain, const clbn_call *c) {
    clbn_launch *launch =
        clbn_chain_add(chain, c->plan, "finalize_sums_parts", &((const clbn_cl_plan *)c->plan->state)->by_channel);
    clbn_pass_count(launch, shape_of(c)->channels);
    pass_parts_given(launch, c);
    pass_gradients(launch, c);
    pass_channels(launch, c, 0);
    chain->uses_workspace = true;
}

static void add_grad(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).grad, &state->apply);
    pass_backward(launch, c, true);
    pass_cut(launch, c, &state->apply);
    clbn_pass(launch, c->constants);
    pass_channels(launch, c, 0);
}

static void add_fused_grad(clbn_chain *chain, const clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, c->plan, clbn_cl_kernels(state->variant).fused_grad, &state->fused);
    pass_backward(launch, c, true);
    pass_whole(launch, c);
    clbn_pass(launch, c->operands[CLBN_DGAMMA]);
    clbn_pass(launch, c->operands[CLBN_DBETA]);
    pass_channels(launch, c, 0);
    pass_scratch(launch, c, &state->fused, true);
}

/* A kernel that goes by channels, without a batch. */
static clbn_launch *add_by_channel(clbn_chain *chain, const clbn_call *c, const char *kernel) {
    clbn_launch *launch = clbn_chain_add(chain, c->plan, kernel, &((const clbn_cl_plan *)c->plan->state)->by_channel);
    clbn_pass_count(launch, shape_of(c)->channels);
    return launch;
}

/* --------------------------------------------------------------------------------------------------------------- calls */

/* The last launch moves the running statistics. */
static void make_forward(clbn_chain *chain, const clbn_call *c) {
    const bool apply = has(c, CLBN_Y), parts = has(c, CLBN_PARTS);
    if (c->run->statistics == CLBN_OF_POPULATION) {
        add_apply(chain, c, 0);
    } else if (((const clbn_cl_plan *)c->plan->state)->variant->fused && !parts) {
        add_fused(chain, c);
    } else {
        if (!parts) add_moments(chain, c);
        if (parts)
            add_finalize_parts(chain, c, apply ? 0 : UPDATE_RUNNING);
        else
            add_finalize(chain, c, apply ? 0 : UPDATE_RUNNING);
        if (apply) add_apply(chain, c, UPDATE_RUNNING);
    }
}

static void make_backward(clbn_chain *chain, const clbn_call *c) {
    const bool of_batch = c->run->statistics == CLBN_OF_BATCH, parts = has(c, CLBN_PARTS), any = shape_of(c)->elements != 0;
    const bool part = c->run->operation == CLBN_BACKWARD_PART, saved = !of_batch || has(c, CLBN_MEAN);
    const bool gradients = has(c, CLBN_DX) || has(c, CLBN_DRESIDUAL);
    const bool sums = part || has(c, CLBN_DGAMMA) || has(c, CLBN_DBETA) || (of_batch && has(c, CLBN_DX));
    if (any && sums && !parts && !part && ((const clbn_cl_plan *)c->plan->state)->variant->fused) {
        add_fused_grad(chain, c);
        return;
    }
    if (any && !saved && (sums || clbn_recomputes(c->plan))) {
        add_moments(chain, c);
        add_finalize(chain, c, 0);
    }
    if (any && sums && !parts) add_sums(chain, c);
    if (sums && !parts) add_finalize_sums(chain, c);
    if (parts) add_finalize_sums_parts(chain, c);
    if (gradients) add_grad(chain, c);
}

void clbn_chain_make(clbn_chain *chain, clbn_call *c) {
    const clbn_run *run = c->run;
    clbn_launch *launch;
    *chain = (clbn_chain){.count = 0};
    c->flags = flags_of(c);
    switch (run->operation) {
    case CLBN_FORWARD:
    case CLBN_MOMENTS:
        make_forward(chain, c);
        break;
    case CLBN_MOMENTS_PART:
        if (shape_of(c)->elements != 0) add_moments(chain, c);
        add_finalize(chain, c, 0);
        break;
    case CLBN_MOMENTS_MERGE:
        add_finalize_parts(chain, c, 0);
        break;
    case CLBN_BACKWARD:
    case CLBN_BACKWARD_PART:
        make_backward(chain, c);
        break;
    case CLBN_BACKWARD_MERGE:
        launch = add_by_channel(chain, c, "merge_sums_parts");
        pass_parts_given(launch, c);
        pass_part(launch, c);
        break;
    case CLBN_UPDATE_RUNNING:
        launch = add_by_channel(chain, c, "update_running_alone");
        clbn_pass_count(launch, run->count);
        pass_channels(launch, c, UPDATE_RUNNING);
        break;
    case CLBN_FOLD:
        if (shape_of(c)->elements != 0) add_apply(chain, c, 0);
        launch = add_by_channel(chain, c, "fold_bias");
        clbn_pass(launch, c->operands[CLBN_BIAS]);
        clbn_pass(launch, c->operands[CLBN_FOLDED_BIAS]);
        pass_channels(launch, c, 0);
        break;
    }
}
