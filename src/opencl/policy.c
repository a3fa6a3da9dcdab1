/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy: from three numbers and a device to a variant. cut.c cuts its work.
 */
#include "opencl/opencl.h"

#include <string.h>

/* In the order tried; within a kind of device the first that suits is taken, and the last suits all. Where trials go wrong those
 * that can are taken, of that kind first. */
static const clbn_variant variants[] = {
    {"alone-fused-columns", true, true, true},  {"alone-split-columns", true, true, false},
    {"alone-fused-planes", true, false, true},  {"alone-split-planes", true, false, false},
    {"group-fused-columns", false, true, true}, {"group-split-columns", false, true, false},
    {"group-fused-planes", false, false, true}, {"group-split-planes", false, false, false},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

const char *clbn_opencl_variant_name(size_t index) {
    return index < VARIANTS ? variants[index].name : NULL;
}

/* A CPU device's work-item walks 64 byte vectors, and a tile of up to 32 of them side by side; elsewhere 16 bytes a work-item, and at
 * least a mask's byte. */
static clbn_tile tile_of(const clbn_plan *plan, bool alone) {
    if (alone) return (clbn_tile){plan->real_type == CLBN_F64 ? 8 : 16, 32, true, false};
    return (clbn_tile){plan->mask || clbn_dtype_bytes(plan->x_type) <= 2 ? 8 : 4, 1, false, false};
}

enum {
    SMALL = 65536,           /* elements that one launch of work-groups should do */
    TWO_LAUNCHES = 131072,   /* elements that a CPU device's unit does in the time of two launches: of 20 to 40 us each on PoCL */
    SHORT_PLANE = 16,        /* planes below this are summed as columns, given so many rows */
    WIDEST_CHANNEL = 64,     /* columns that may make a channel */
    ALONE_CACHE = 512 << 10, /* bytes that stay in a core's cache, half of it */
    GROUP_CACHE = 128 << 10  /* bytes a work-group may hope to find again */
};

/* ------------------------------------------------------------------------------------------------------------ choosing */

/* Where the values behind the channel axis continue those before it in every tensor, and channels are what lies side by side (an
 * NHWC batch seen as NCHW through its strides), they are rows of columns. */
static void fold_inner(clbn_cl_plan *state) {
    clbn_shape *s = &state->shape;
    bool folds = s->inner > 1 && s->channels > 1;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        const clbn_view *v = &state->views[t];
        folds = folds && v->channel < v->unit && (s->outer == 1 || v->outer == s->inner * v->unit);
    }
    if (!folds) return;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) state->views[t].outer = state->views[t].unit;
    s->outer *= s->inner;
    s->inner = 1;
}

/* Do channels and inner, in every tensor, lie as one run of columns? */
static bool are_columns(const clbn_cl_plan *state) {
    const clbn_shape *s = &state->shape;
    for (int t = 0; t < CLBN_TENSOR_COUNT && s->inner != 1 && s->channels != 1; t++) {
        if (state->views[t].channel != s->inner * state->views[t].unit) return false;
    }
    return true;
}

/* Is there a run whose values are not adjacent? Columns are one run, channels and all. */
static bool is_strided(const clbn_cl_plan *state) {
    const clbn_shape *s = &state->shape;
    const bool columns = state->variant->columns;
    bool strided = false;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        const clbn_view *view = &state->views[t];
        strided = strided || (s->inner != 1 && view->unit != 1);
        strided = strided || (columns && s->inner == 1 && s->channels != 1 && view->channel != 1);
    }
    return strided;
}

/* Makes the variant the plan's. */
static void take(const clbn_variant *v, const clbn_plan *plan, clbn_cl_plan *state) {
    state->variant = v;
    state->tile = tile_of(plan, v->alone);
    state->tile.strided = is_strided(state);
    state->columns = v->columns ? state->shape.inner : 1;
}

static bool can(const clbn_variant *v, const clbn_plan *plan, const clbn_cl_plan *state) {
    const clbn_shape *s = &state->shape;
    const bool counts_fit = s->count < (size_t)1 << 31;
    clbn_cl_plan taken = *state;
    if (v->columns && !are_columns(state)) return false;
    if (v->columns && v->fused ? s->inner != 1 : v->columns && s->inner > WIDEST_CHANNEL) return false;
    if (v->fused && !counts_fit) return false;
    take(v, plan, &taken);
    return clbn_cl_may_take(plan, &taken);
}

/* A CPU device's units that take so many slices in turn are done when the last is, some later than others, and columns read twice
 * what no core's cache holds; launches of chunks are shared evenly, but are two more. In elements that a unit does meanwhile. */
static bool spares_launches(const clbn_opencl *cl, const clbn_shape *s, size_t slices, bool stays) {
    const double turns = (double)clbn_ceil_div(slices, cl->compute_units);
    const double fused = (double)s->elements * (turns + 0.125) / (double)slices * (stays ? 1 : 1.25);
    return fused <= (double)s->elements / (double)cl->compute_units + TWO_LAUNCHES;
}

/* One launch that takes whole slices: where there are enough of them to go round, and each, read twice, stays in a cache (a CPU
 * device's planes need not: their second read costs the same in a launch of its own); or where launches cost more. */
static bool suits_fused(const clbn_variant *v, const clbn_plan *plan, const clbn_cl_plan *state, const clbn_opencl *cl) {
    const clbn_shape *s = &state->shape;
    const clbn_tile whole = tile_of(plan, v->alone);
    const size_t tile = !v->columns ? 1 : v->alone ? clbn_cl_near_columns(&whole) : whole.vec * CLBN_CL_COLUMN_LANES;
    const size_t slice_bytes = s->count * tile * clbn_dtype_bytes(plan->x_type);
    const bool stays = v->alone ? !v->columns || slice_bytes <= ALONE_CACHE : slice_bytes <= GROUP_CACHE;
    if (s->elements == 0) return false;
    if (s->channels / tile >= 4 * cl->compute_units) return stays || s->elements <= SMALL;
    return v->alone ? spares_launches(cl, s, clbn_ceil_div(s->channels, tile), stays) : s->elements <= SMALL;
}

static bool suits(const clbn_variant *v, const clbn_plan *plan, const clbn_cl_plan *state, const clbn_opencl *cl) {
    const clbn_shape *s = &state->shape;
    const bool columns = are_columns(state) && (s->inner == 1 || (s->inner < SHORT_PLANE && s->outer >= SHORT_PLANE));
    return v->alone == cl->whole_vectors && v->columns == columns && can(v, plan, state) &&
           (!v->fused || suits_fused(v, plan, state, cl));
}

static const clbn_variant *named(const char *name) {
    for (size_t i = 0; i < VARIANTS; i++) {
        if (strcmp(variants[i].name, name) == 0) return &variants[i];
    }
    return NULL;
}

static unsigned bit_of(const clbn_variant *v) {
    return 1u << (v - variants);
}

/* Takes the first variant that suits, or where their trials went wrong the first that can; true if there is one. */
static bool choose(const clbn_plan *plan, clbn_cl_plan *state, const clbn_opencl *cl) {
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < VARIANTS; i++) {
            const clbn_variant *v = &variants[i];
            if (pass == 1 && v->alone != cl->whole_vectors) continue;
            if (!(pass == 0 ? suits(v, plan, state, cl) : can(v, plan, state))) continue;
            take(v, plan, state);
            if ((clbn_cl_wrong_variants(plan, &state->tile) & bit_of(v)) == 0) return true;
        }
    }
    return false;
}

/* What is known of the plan's work before there is a variant. */
static void lay_out(const clbn_plan *plan, clbn_cl_plan *state) {
    state->shape = plan->shape;
    memcpy(state->views, plan->views, sizeof plan->views);
    if (!plan->residual) state->views[CLBN_RESIDUAL] = state->views[CLBN_DRESIDUAL] = state->views[CLBN_Y]; /* no say */
    fold_inner(state);
}

static clbn_status check_can(const clbn_plan *plan, const clbn_cl_plan *state, const clbn_variant *v) {
    const clbn_shape *s = &state->shape;
    const clbn_opencl *cl = plan->device->state;
    const char *const why = v->columns && !are_columns(state) ? " with these strides"
                            : cl->counts_turns ? ", or not within the loops that this device's driver lets a work-item turn in"
                                               : "";
    CHECK(can(v, plan, state), plan->device, CLBN_ERROR_UNSUPPORTED, "variant %s cannot do %zu x %zu x %zu%s", v->name, s->outer,
          s->channels, s->inner, why);
    return CLBN_SUCCESS;
}

static clbn_status check_named(const clbn_plan *plan, const clbn_cl_plan *state, const char *variant) {
    const clbn_variant *v = named(variant);
    CHECK(v != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "variant is \"%s\"; clbn_variant_name lists those there are",
          variant);
    return check_can(plan, state, v);
}

/* Compiles, and cuts. */
static clbn_status prepare(const clbn_plan *plan, clbn_cl_plan *state) {
    size_t group = clbn_cl_group(plan->device->state);
    if (state->shape.channels == 0) return CLBN_SUCCESS;
    TRY(clbn_cl_program(plan, &state->tile, &state->program));
    TRY(clbn_cl_program_group(plan, state, &group));
    clbn_cl_cut(plan, state, group);
    return CLBN_SUCCESS;
}

/* Takes what clbn_device_prefer named, where it can, no trial of it went wrong and it compiles; else the device forgets it. */
static bool take_preferred(const clbn_plan *plan, clbn_cl_plan *state) {
    const char *name = clbn_cl_preference(plan, state);
    const clbn_variant *v = name ? named(name) : NULL;
    if (v == NULL || !can(v, plan, state)) return false;
    take(v, plan, state);
    if (clbn_cl_wrong_variants(plan, &state->tile) & bit_of(v)) return false;
    clbn_plan hushed = *plan;
    clbn_device device;
    hushed.device = clbn_device_hush(plan->device, &device);
    state->preferred = prepare(&hushed, state) == CLBN_SUCCESS;
    if (state->preferred) return true;
    clbn_cl_preference_drop(plan, state);
    clbn_tell(plan->device, CLBN_SUCCESS, 0, "the preferred variant %s cannot be made on %s: passed by", name,
              plan->device->info.device);
    return false;
}

clbn_status clbn_cl_choose(const clbn_plan *plan, const char *variant, clbn_cl_plan *state) {
    const clbn_shape *s = &state->shape;
    const clbn_opencl *cl = plan->device->state;
    lay_out(plan, state);
    if (variant) {
        TRY(check_named(plan, state, variant));
        take(named(variant), plan, state);
    } else if (take_preferred(plan, state)) {
        return CLBN_SUCCESS;
    } else if (!choose(plan, state, cl)) {
        TRY(check_can(plan, state, &variants[cl->whole_vectors ? VARIANTS / 2 - 1 : VARIANTS - 1]));
        return clbn_tell(plan->device, CLBN_ERROR_UNSUPPORTED, 0, "no variant that is right on %s can do %zu x %zu x %zu",
                         plan->device->info.device, s->outer, s->channels, s->inner);
    }
    return prepare(plan, state);
}

clbn_status clbn_cl_prefer(const clbn_plan *plan, const char *variant) {
    clbn_cl_plan state = {.variant = NULL};
    lay_out(plan, &state);
    if (variant) TRY(check_named(plan, &state, variant));
    return clbn_cl_preference_set(plan, &state, variant ? named(variant)->name : NULL);
}

/* ------------------------------------------------------------------------------------------------------------- trials */

/* Whole vectors, a tail and two blocks in each of several chunks, within what an alone variant may be given anywhere; of planes chunks of
 * two rows, and rows in two pieces; of columns one tile and two. */
void clbn_cl_trial(const clbn_plan *plan, clbn_trial *trial) {
    const clbn_cl_plan *state = plan->state;
    clbn_opencl *cl = plan->device->state;
    const clbn_variant *v = state->variant;
    const unsigned bit = bit_of(v);
    *trial = v->columns && v->fused ? (clbn_trial){.dims = {{100, 19, 1}, {12, 259, 1}}}
             : v->columns           ? (clbn_trial){.dims = {{100, 7, 3}, {12, 37, 7}}}
             : v->fused             ? (clbn_trial){.dims = {{5, 2, 400}, {1, 2, 1100}}}
                                    : (clbn_trial){.dims = {{5, 2, 400}, {2, 2, 1100}}};
    trial->strided = state->tile.strided;
    mtx_lock(&cl->lock);
    const clbn_program *program = state->program;
    trial->verdict = program->wrong & bit ? CLBN_WRONG : program->right & bit ? CLBN_RIGHT : CLBN_UNTRIED;
    mtx_unlock(&cl->lock);
}

void clbn_cl_remember(const clbn_plan *plan, clbn_verdict verdict) {
    const clbn_cl_plan *state = plan->state;
    clbn_opencl *cl = plan->device->state;
    mtx_lock(&cl->lock);
    *(verdict == CLBN_RIGHT ? &state->program->right : &state->program->wrong) |= bit_of(state->variant);
    const unsigned right = state->program->right & ~state->program->wrong;
    mtx_unlock(&cl->lock);
    clbn_cl_program_keep(plan->device, state->program, right); /* by now with kernels that drivers compile when they first run */
}
