/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays of reals, whose type is the plan's, as doubles.
 */
#include "cpu/cpu.h"

#include <math.h>

double clbn_cpu_get(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, size_t i, double absent) {
    const clbn_buffer *buffer = &run->buffers[slot];
    if (buffer->kind == CLBN_BUFFER_ABSENT) return absent;
    const size_t at = buffer->offset + i;
    return plan->real_type == CLBN_F64 ? ((const double *)buffer->host)[at] : (double)((const float *)buffer->host)[at];
}

void clbn_cpu_set(const clbn_plan *plan, const clbn_run *run, clbn_slot slot, size_t i, double value) {
    const clbn_buffer *buffer = &run->buffers[slot];
    if (buffer->kind == CLBN_BUFFER_ABSENT) return;
    const size_t at = buffer->offset + i;
    if (plan->real_type == CLBN_F64)
        ((double *)buffer->host)[at] = value;
    else
        ((float *)buffer->host)[at] = (float)value;
}

double clbn_cpu_round(const clbn_plan *plan, double value) {
    return plan->real_type == CLBN_F64 ? value : (double)(float)value;
}

double clbn_cpu_rest(const clbn_plan *plan, double value, double lo) {
    const double rounded = clbn_cpu_round(plan, value);
    return isfinite(rounded) ? clbn_cpu_round(plan, (value - rounded) + lo) : 0;
}
