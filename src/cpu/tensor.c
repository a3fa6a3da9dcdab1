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

/* Where place j of row o lies, and how many of the places from there on lie evenly, at what distance. */
static char *place(const cpu_call *call, const cpu_tensor *t, size_t o, size_t j, size_t *even, size_t *stride) {
    const size_t inner = call->state->shape.inner, c = j / inner, i = j % inner;
    *even = t->flat ? SIZE_MAX : inner - i;
    *stride = t->flat ? t->flat : t->view.unit;
    return t->data + (o * t->view.outer + c * t->view.channel + i * t->view.unit) * t->element_bytes;
}

void clbn_cpu_fetch(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, double *to) {
    const cpu_tensor *t = &call->tensors[slot];
    for (size_t r = 0; r < piece->runs; r++) {
        size_t even, stride;
        for (size_t done = 0; done < piece->length; done += even) {
            const char *p = place(call, t, piece->o + r, piece->j + done, &even, &stride);
            even = clbn_min(even, piece->length - done);
            call->state->loops->fetch[t->type](p, stride, even, to + r * pitch + done);
        }
    }
}

void clbn_cpu_put(const cpu_call *call, clbn_slot slot, const cpu_piece *piece, size_t pitch, const double *from) {
    const cpu_tensor *t = &call->tensors[slot];
    for (size_t r = 0; r < piece->runs; r++) {
        size_t even, stride;
        for (size_t done = 0; done < piece->length; done += even) {
            char *p = place(call, t, piece->o + r, piece->j + done, &even, &stride);
            even = clbn_min(even, piece->length - done);
            call->state->loops->put[t->type](from + r * pitch + done, stride, even, p, t->stream);
        }
    }
}
