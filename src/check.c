/* SPDX-License-Identifier: Apache-2.0
 *
 * Is every buffer of a call there, large enough, of the right kind, and apart from the others? Validators only: they
 * hold nothing and change nothing.
 */
#include "internal.h"

static clbn_status check_slot(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, clbn_region *region) {
    const clbn_buffer buffer = run->buffers[slot];
    const char *name = run->verb->slots[slot].name;
    const clbn_access access = run->verb->slots[slot].access;
    *region = (clbn_region){0};
    if (access == CLBN_UNUSED) return CLBN_SUCCESS;
    CHECK(buffer.kind == CLBN_BUFFER_ABSENT || buffer.kind == CLBN_BUFFER_MEM || buffer.kind == CLBN_BUFFER_HOST, plan->device,
          CLBN_ERROR_INVALID_ARGUMENT, "%s has the buffer kind %d; make it with clbn_mem or clbn_host", name, (int)buffer.kind);
    CHECK(buffer.kind != CLBN_BUFFER_ABSENT || !run->verb->slots[slot].required, plan->device, CLBN_ERROR_MISSING_BUFFER,
          "%s is absent; %s needs it", name, run->verb->name);
    if (buffer.kind == CLBN_BUFFER_ABSENT) return CLBN_SUCCESS;

    const size_t count = slot == CLBN_X || slot == CLBN_Y ? plan->shape.elements : plan->shape.channels;
    if (buffer.kind == CLBN_BUFFER_MEM) {
        CHECK(buffer.mem != NULL, plan->device, CLBN_ERROR_WRONG_MEMORY, "%s is a cl_mem that is NULL", name);
        return plan->device->backend->check_buffer(plan, name, buffer, sizeof(float), count * sizeof(float), access, region);
    }
    CHECK(buffer.host != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "%s is a host buffer with a NULL pointer", name);
    CHECK((uintptr_t)buffer.host % sizeof(float) == 0, plan->device, CLBN_ERROR_WRONG_MEMORY,
          "%s is at %p; a host pointer must be aligned to its type, %zu bytes", name, buffer.host, sizeof(float));
    const uintptr_t room = UINTPTR_MAX - (uintptr_t)buffer.host;
    CHECK(buffer.offset <= room / sizeof(float) && count <= room / sizeof(float) - buffer.offset, plan->device,
          CLBN_ERROR_BUFFER_TOO_SMALL, "%s needs %zu elements from offset %zu, past the end of the address space", name, count,
          buffer.offset);
    region->begin = (uintptr_t)buffer.host + buffer.offset * sizeof(float);
    region->end = region->begin + count * sizeof(float);
    return CLBN_SUCCESS;
}

static bool regions_overlap(const clbn_region *a, const clbn_region *b) {
    return a->root == b->root && a->begin < b->end && b->begin < a->end;
}

static clbn_status check_overlaps(const clbn_plan *plan, const clbn_run *run, const clbn_region *regions) {
    for (int a = 0; a < CLBN_SLOT_COUNT; a++) {
        for (int b = a + 1; b < CLBN_SLOT_COUNT; b++) {
            const clbn_region *p = &regions[a], *q = &regions[b];
            const bool in_place = a == CLBN_X && b == CLBN_Y && p->begin == q->begin && p->end == q->end;
            const bool written = ((run->verb->slots[a].access | run->verb->slots[b].access) & CLBN_WRITE) != 0;
            CHECK(in_place || !written || !regions_overlap(p, q), plan->device, CLBN_ERROR_OVERLAP,
                  "%s and %s overlap, and one of them is written; only y may be the same as x, exactly", run->verb->slots[a].name,
                  run->verb->slots[b].name);
        }
    }
    return CLBN_SUCCESS;
}

/* The caller's workspace must hold what the plan says and touch no other buffer. */
static clbn_status check_workspace(const clbn_plan *plan, const clbn_run *run, const clbn_region *regions) {
    if (run->workspace.kind == CLBN_BUFFER_ABSENT) return CLBN_SUCCESS;
    CHECK(run->workspace.kind == CLBN_BUFFER_MEM, plan->device, CLBN_ERROR_WRONG_MEMORY,
          "workspace is not a cl_mem; make it with clbn_mem, or leave it absent");
    CHECK(run->workspace.offset % sizeof(float) == 0, plan->device, CLBN_ERROR_INVALID_ARGUMENT,
          "workspace has the offset %zu; it counts bytes and must be a multiple of %zu", run->workspace.offset, sizeof(float));
    clbn_region workspace = {0};
    TRY(plan->device->backend->check_buffer(plan, "workspace", run->workspace, 1, plan->info.workspace_bytes, CLBN_UPDATE,
                                            &workspace));
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        CHECK(!regions_overlap(&workspace, &regions[slot]), plan->device, CLBN_ERROR_OVERLAP, "workspace and %s overlap",
              run->verb->slots[slot].name);
    }
    return CLBN_SUCCESS;
}

clbn_status clbn_check_run(const clbn_plan *plan, const clbn_run *run) {
    clbn_region regions[CLBN_SLOT_COUNT];
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) TRY(check_slot(plan, run, (clbn_slot)slot, &regions[slot]));
    TRY(check_overlaps(plan, run, regions));
    return check_workspace(plan, run, regions);
}
