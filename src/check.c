/* SPDX-License-Identifier: Apache-2.0
 *
 * Is every buffer of a call there, large enough, of the right kind, and apart from the others? Validators only: they
 * hold nothing and change nothing.
 */
#include "internal.h"

static clbn_status check_host(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t count,
                              clbn_region *region) {
    CHECK(buffer.host != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "%s is a host buffer with a NULL pointer", name);
    CHECK((uintptr_t)buffer.host % element_bytes == 0, plan->device, CLBN_ERROR_WRONG_MEMORY,
          "%s is at %p; a host pointer must be aligned to its type, %zu bytes", name, buffer.host, element_bytes);
    const uintptr_t room = UINTPTR_MAX - (uintptr_t)buffer.host;
    CHECK(buffer.offset <= room / element_bytes && count <= room / element_bytes - buffer.offset, plan->device,
          CLBN_ERROR_BUFFER_TOO_SMALL, "%s needs %zu elements from offset %zu, past the end of the address space", name, count,
          buffer.offset);
    region->begin = (uintptr_t)buffer.host + buffer.offset * element_bytes;
    region->end = region->begin + count * element_bytes;
    return CLBN_SUCCESS;
}

static clbn_status check_slot(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, clbn_region *region) {
    const clbn_buffer buffer = run->buffers[slot];
    const clbn_use *use = &run->uses[slot];
    const bool no_tensor = slot < CLBN_TENSOR_COUNT && plan->shape.elements == 0;
    *region = (clbn_region){0};
    if (use->access == CLBN_UNUSED || no_tensor) return CLBN_SUCCESS;
    CHECK(buffer.kind == CLBN_BUFFER_ABSENT || buffer.kind == CLBN_BUFFER_MEM || buffer.kind == CLBN_BUFFER_HOST, plan->device,
          CLBN_ERROR_INVALID_ARGUMENT, "%s has the buffer kind %d; make it with clbn_mem or clbn_host", use->name,
          (int)buffer.kind);
    CHECK(buffer.kind != CLBN_BUFFER_ABSENT || !use->required, plan->device, CLBN_ERROR_MISSING_BUFFER,
          "%s is absent; %s needs it", use->name, run->name);
    if (buffer.kind == CLBN_BUFFER_ABSENT) return CLBN_SUCCESS;
    const size_t bytes = clbn_slot_element_bytes(plan, slot), count = clbn_slot_elements(plan, run, slot);
    if (buffer.kind == CLBN_BUFFER_HOST) return check_host(plan, use->name, buffer, bytes, count, region);
    CHECK(buffer.mem != NULL, plan->device, CLBN_ERROR_WRONG_MEMORY, "%s is a cl_mem that is NULL", use->name);
    return plan->device->backend->check_buffer(plan, use->name, buffer, bytes, count * bytes, use->access, region);
}

/* ------------------------------------------------------------------------------------------------------------- overlaps */

static bool regions_overlap(const clbn_region *a, const clbn_region *b) {
    return a->root == b->root && a->begin < b->end && b->begin < a->end;
}

/* Element for element the same memory: an output may replace these inputs. */
static bool in_place(const clbn_plan *plan, const clbn_run *run, clbn_slot a, clbn_slot b, const clbn_region *p,
                     const clbn_region *q) {
    static const struct {
        clbn_slot from, to;
        unsigned accumulates;
    } allowed[] = {{CLBN_X, CLBN_Y, 0},
                   {CLBN_RESIDUAL, CLBN_Y, 0},
                   {CLBN_DY, CLBN_DX, CLBN_ACCUMULATE_DX},
                   {CLBN_DY, CLBN_DRESIDUAL, CLBN_ACCUMULATE_DRESIDUAL},
                   {CLBN_BIAS, CLBN_FOLDED_BIAS, 0}};
    if (p->begin != q->begin || p->end != q->end) return false;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        const clbn_slot from = allowed[i].from, to = allowed[i].to;
        if (!(a == from && b == to) && !(a == to && b == from)) continue;
        if ((run->accumulate & allowed[i].accumulates) != 0) return false;
        if (from >= CLBN_TENSOR_COUNT) return true;
        const clbn_view *v = &plan->views[from], *w = &plan->views[to];
        return clbn_slot_element_bytes(plan, from) == clbn_slot_element_bytes(plan, to) && v->outer == w->outer &&
               v->channel == w->channel && v->unit == w->unit;
    }
    return false;
}

/* A tensor as a nest of rows of rows: the widest stride first, extents of 1 last. All in bytes; span[k] is that of one row of
 * depth k. */
typedef struct nest {
    struct {
        int of;
        size_t extent, stride;
    } rows[3];
    size_t span[4];
} nest;

static nest nest_of(const clbn_plan *plan, clbn_slot slot) {
    const clbn_view *view = &plan->views[slot];
    const size_t bytes = clbn_slot_element_bytes(plan, slot);
    const size_t extents[] = {plan->shape.outer, plan->shape.channels, plan->shape.inner};
    const size_t strides[] = {view->outer * bytes, view->channel * bytes, view->unit * bytes};
    nest n;
    for (int of = 0; of < 3; of++) {
        const size_t stride = extents[of] > 1 ? strides[of] : 0;
        int k = of;
        for (; k > 0 && n.rows[k - 1].stride < stride; k--) n.rows[k] = n.rows[k - 1];
        n.rows[k].of = of, n.rows[k].extent = extents[of], n.rows[k].stride = stride;
    }
    n.span[3] = bytes;
    for (int k = 3; k-- > 0;) n.span[k] = (n.rows[k].extent - 1) * n.rows[k].stride + n.span[k + 1];
    return n;
}

/* Do rows of depth k, b's beginning apart bytes behind a's, share no byte? Where they are cut alike, exactly so: of a's rows only the
 * last that begins before b's, and the next, can meet it. Else where one ends before the other begins. */
static bool interleave(const nest *a, const nest *b, int k, ptrdiff_t apart) {
    const bool alike = k < 3 && a->rows[k].of == b->rows[k].of && a->rows[k].stride == b->rows[k].stride;
    if (!alike || a->rows[k].extent == 1) return apart >= (ptrdiff_t)a->span[k] || -apart >= (ptrdiff_t)b->span[k];
    const ptrdiff_t stride = (ptrdiff_t)a->rows[k].stride, most = (ptrdiff_t)a->rows[k].extent - 1;
    const ptrdiff_t before = apart / stride - (apart % stride < 0);
    for (ptrdiff_t row = before; row <= before + 1; row++) {
        if (row >= -most && row <= most && !interleave(a, b, k + 1, apart - row * stride)) return false;
    }
    return true;
}

/* Two slices of one larger tensor. */
static bool are_slices(const clbn_plan *plan, clbn_slot a, clbn_slot b, const clbn_region *p, const clbn_region *q) {
    if (a >= CLBN_TENSOR_COUNT || b >= CLBN_TENSOR_COUNT) return false;
    const nest m = nest_of(plan, a), n = nest_of(plan, b);
    return interleave(&m, &n, 0, (ptrdiff_t)(q->begin - p->begin));
}

static clbn_status check_overlaps(const clbn_plan *plan, const clbn_run *run, const clbn_region *regions) {
    for (int a = 0; a < CLBN_SLOT_COUNT; a++) {
        for (int b = a + 1; b < CLBN_SLOT_COUNT; b++) {
            const clbn_region *p = &regions[a], *q = &regions[b];
            const bool written = ((run->uses[a].access | run->uses[b].access) & CLBN_WRITE) != 0;
            if (!written || !regions_overlap(p, q)) continue;
            CHECK(in_place(plan, run, (clbn_slot)a, (clbn_slot)b, p, q) || are_slices(plan, (clbn_slot)a, (clbn_slot)b, p, q),
                  plan->device, CLBN_ERROR_OVERLAP,
                  "%s and %s overlap, and one of them is written; only an output that clbn.h allows in place may be exactly its "
                  "input",
                  run->uses[a].name, run->uses[b].name);
        }
    }
    return CLBN_SUCCESS;
}

/* The caller's workspace must hold what the plan says and touch no other buffer. */
static clbn_status check_workspace(const clbn_plan *plan, const clbn_run *run, const clbn_region *regions) {
    if (run->workspace.kind == CLBN_BUFFER_ABSENT) return CLBN_SUCCESS;
    CHECK(run->workspace.kind == CLBN_BUFFER_MEM, plan->device, CLBN_ERROR_WRONG_MEMORY,
          "workspace is not a cl_mem; make it with clbn_mem, or leave it absent");
    const size_t real_bytes = clbn_dtype_bytes(plan->real_type);
    CHECK(run->workspace.offset % real_bytes == 0, plan->device, CLBN_ERROR_INVALID_ARGUMENT,
          "workspace has the offset %zu; it counts bytes and must be a multiple of %zu", run->workspace.offset, real_bytes);
    clbn_region workspace = {0};
    TRY(plan->device->backend->check_buffer(plan, "workspace", run->workspace, 1, plan->info.workspace_bytes, CLBN_UPDATE,
                                            &workspace));
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        CHECK(!regions_overlap(&workspace, &regions[slot]), plan->device, CLBN_ERROR_OVERLAP, "workspace and %s overlap",
              run->uses[slot].name);
    }
    return CLBN_SUCCESS;
}

clbn_status clbn_check_run(const clbn_plan *plan, const clbn_run *run) {
    clbn_region regions[CLBN_SLOT_COUNT];
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) TRY(check_slot(plan, run, (clbn_slot)slot, &regions[slot]));
    TRY(check_overlaps(plan, run, regions));
    return check_workspace(plan, run, regions);
}
