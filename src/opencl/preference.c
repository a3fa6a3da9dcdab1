/* SPDX-License-Identifier: Apache-2.0
 *
 * Preferences: which variant plans of some kinds and shape should take, as somebody measured. What a device was told counts first, then
 * what was on disk when it first asked: a device changes its mind by its own word alone, so that its plans of one config share bits and
 * masks. It must not know what a variant is, nor whether it can.
 */
#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEY = 1024 };

/* The kinds and the shape, as text. Where there is but one of something its stride says nothing. */
static void write_key(char key[MOST_KEY], const clbn_plan *plan, const clbn_cl_plan *state) {
    const clbn_shape *s = &state->shape;
    int length =
        snprintf(key, MOST_KEY, "variant for types %d %d, activation %d, residual %d, mask %d, %zu x %zu x %zu", plan->x_type,
                 plan->y_type, plan->activation, plan->residual, plan->mask, s->outer, s->channels, s->inner);
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        const clbn_view *v = &state->views[t];
        length += snprintf(key + length, MOST_KEY - (size_t)length, ", %zu %zu %zu", s->outer == 1 ? 0 : v->outer,
                           s->channels == 1 ? 0 : v->channel, s->inner == 1 ? 0 : v->unit);
    }
}

/* Under the device's lock: what it was told of them, or NULL. */
static clbn_preference *find(const clbn_opencl *cl, const char *key) {
    clbn_preference *found = cl->preferences;
    while (found && strcmp(found->key, key) != 0) found = found->next;
    return found;
}

/* On disk the first fact is the variant's number, and there is nothing more. */
static const char *load(const clbn_device *device, const char *key) {
    clbn_kept kept;
    if (!clbn_cl_cache_read(device, key, &kept)) return NULL;
    free(kept.content);
    return kept.facts[0] < SIZE_MAX ? clbn_opencl_variant_name((size_t)kept.facts[0]) : NULL;
}

static bool store(const clbn_device *device, const char *key, const char *variant) {
    clbn_kept kept = {.content = NULL};
    if (variant == NULL) return clbn_cl_cache_remove(device, key);
    while (strcmp(clbn_opencl_variant_name((size_t)kept.facts[0]), variant) != 0) kept.facts[0]++;
    return clbn_cl_cache_write(device, key, &kept);
}

/* Under the device's lock: remembers, or says that it cannot. */
static bool remember(clbn_opencl *cl, const char *key, const char *variant) {
    clbn_preference *known = find(cl, key);
    if (known == NULL) {
        known = malloc(sizeof *known + strlen(key) + 1);
        if (known == NULL) return false;
        strcpy(known->key, key);
        known->next = cl->preferences;
        cl->preferences = known;
    }
    known->variant = variant;
    return true;
}

const char *clbn_cl_preference(const clbn_plan *plan, const clbn_cl_plan *state) {
    clbn_opencl *cl = plan->device->state;
    const char *variant = NULL;
    char key[MOST_KEY];
    write_key(key, plan, state);
    mtx_lock(&cl->lock);
    const clbn_preference *known = find(cl, key);
    if (known) {
        variant = known->variant;
    } else if (plan->device->cache_dir) {
        variant = load(plan->device, key);
        remember(cl, key, variant); /* that there is none, too */
    }
    mtx_unlock(&cl->lock);
    return variant;
}

clbn_status clbn_cl_preference_set(const clbn_plan *plan, const clbn_cl_plan *state, const char *variant) {
    const clbn_device *device = plan->device;
    clbn_opencl *cl = device->state;
    char key[MOST_KEY];
    write_key(key, plan, state);
    mtx_lock(&cl->lock); /* over the file too: of two that are told at once the last has both */
    const bool remembered = remember(cl, key, variant);
    const bool kept = !remembered || device->cache_dir == NULL || store(device, key, variant);
    mtx_unlock(&cl->lock);
    CHECK(remembered, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a preference");
    if (!kept)
        clbn_tell(device, CLBN_SUCCESS, 0, "the preference could not be %s in %s: it holds for this device alone",
                  variant ? "kept" : "removed", device->cache_dir);
    return CLBN_SUCCESS;
}

void clbn_cl_preference_drop(const clbn_plan *plan, const clbn_cl_plan *state) {
    clbn_opencl *cl = plan->device->state;
    char key[MOST_KEY];
    write_key(key, plan, state);
    mtx_lock(&cl->lock);
    clbn_preference *known = find(cl, key);
    if (known) known->variant = NULL;
    mtx_unlock(&cl->lock);
}

void clbn_cl_preferences_release(clbn_opencl *cl) {
    for (clbn_preference *next; cl->preferences; cl->preferences = next) {
        next = cl->preferences->next;
        free(cl->preferences);
    }
}
