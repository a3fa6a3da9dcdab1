/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces of a tensor, of whatever type and strides, to doubles and back.
 */
#include "cpu/cpu.h"

/* Outputs that other arguments of the call read are in the caches anyway. */
static bool is_read_too(const clbn_run *run, clbn_slot slot, const void *data) {
    for (int s = 0; s < CLBN_TENSOR_COUNT; s++) {
        if (s != (int)slot && run->buffers[s].host == data) return true;
    }
    return run->uses[slot].access != CLBN_WRITE;
}

cpu_tensor clbn_cpu_tensor(const cpu_call *call, clbn_slot slot) {
    const clbn_buffer *buffer = &call->run->buffers[slot];
    const clbn_shape *s = &call->state->shape;
    const clbn_view *v = &call->state->views[slot];
    const bool of_x = slot == CLBN_X || slot == CLBN_DX;
    cpu_tensor t = {.view = *v, .type = of_x ? call->plan->x_type : call->plan->y_type};
    t.element_bytes = clbn_slot_element_bytes(call->plan, slot);
    if (s->channels == 1 || v->channel == s->inner * v->unit) t.flat = v->unit;
    if (s->inner == 1) t.flat = v->channel;
    if (buffer->kind == CLBN_BUFFER_ABSENT || s->elements == 0) return t;
    t.data = (char *)buffer->host + buffer->offset * t.element_bytes;
    t.stream = call->state->stream && !is_read_too(call->run, slot, buffer->host);
    return t;
}

/* Runs of a piece that lie evenly, one after the other. */
typedef struct walk {
    char *first, *next; /* of the first run; where reading goes on after the last */
    size_t runs, length, stride;
    size_t apart, pitch; /* runs: bytes in memory, doubles in the block */
} walk;

/* False where the piece goes over channels that are not evenly spaced. */
static bool walk_of(const cpu_call *call, const cpu_tensor *t, const cpu_piece *piece, size_t pitch, walk *w) {
    const size_t inner = call->state->shape.inner, c = piece->j / inner, i = piece->j - c * inner;
    if (!t->flat && i + piece->length > inner) return false;
    const size_t start = piece->o * t->view.outer + c * t->view.channel;
    *w = (walk){.runs = piece->runs, .length = piece->length, .stride = t->flat ? t->flat : t->view.unit, .pitch = pitch};
    w->apart = t->view.outer * t->element_bytes;
    w->first = t->data + (start + i * t->view.unit) * t->element_bytes;
    w->next = w->first + (i + w->length < inner ? w->length * t->element_bytes : w->runs * w->apart);
    if (i + w->length == inner) w->next -= i * t->view.unit * t->element_bytes; /* the next run begins at its channel */
    if (pitch == w->length && t->view.outer == w->length * w->stride) {
        w->length *= w->runs;
        w->runs = 1;
    }
    return true;
}

typedef void (*piece_function)(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *block);

/* Channel by channel, run by run. */
static void by_channel(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *block,
                       piece_function function) {
    const size_t inner = call->state->shape.inner;
    for (size_t r = 0; r < piece->runs; r++) {
        for (size_t done = 0, n; done < piece->length; done += n) {
            n = clbn_min(inner - (piece->j + done) % inner, piece->length - done);
            const cpu_piece part = {piece->o + r, 1, piece->j + done, n};
            function(call, slot, &part, n, block + r * pitch + done);
        }
    }
}

void clbn_cpu_fetch(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *to) {
    const cpu_tensor *t = &call->tensors[slot];
    walk w;
    if (!walk_of(call, t, piece, pitch, &w)) {
        by_channel(call, slot, piece, pitch, to, clbn_cpu_fetch);
        return;
    }
    for (size_t r = 0; r < w.runs; r++) {
        const char *run = w.first + r * w.apart;
        call->state->loops->fetch[t->type](run, w.stride, w.length, to + r * w.pitch, r + 1 < w.runs ? run + w.apart : w.next);
    }
}

static void put(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *from) {
    const cpu_tensor *t = &call->tensors[slot];
    walk w;
    if (!walk_of(call, t, piece, pitch, &w)) {
        by_channel(call, slot, piece, pitch, from, put);
        return;
    }
    for (size_t r = 0; r < w.runs; r++) {
        call->state->loops->put[t->type](from + r * w.pitch, w.stride, w.length, w.first + r * w.apart, t->stream);
    }
}

void clbn_cpu_put(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, const double *from) {
    put(call, slot, piece, pitch, (double *)(uintptr_t)from);
}
