/* SPDX-License-Identifier: Apache-2.0
 *
 * The access audit's layer: put behind kernels/storage.cl, it makes every load and store of an element, or of a vector of them,
 * leave a note. audit_record.c says where notes go (AUDIT_AT: a count, and the stride of the groups that take notes; AUDIT_NOTES: two
 * words a note), and before each file of the kernels its number (AUDIT_FILE).
 */
void audit_note(const ulong address, const ulong kind, const ulong bytes, const ulong site, const ulong file, const ulong line) {
    volatile __global uint *head = (volatile __global uint *)AUDIT_AT;
    __global ulong *notes = (__global ulong *)AUDIT_NOTES;
    const ulong group = get_group_id(1) * get_num_groups(0) + get_group_id(0);
    if (group % head[1] != 0) return;
    const ulong item = (group * get_local_size(1) + get_local_id(1)) * get_local_size(0) + get_local_id(0);
    const ulong at = atomic_inc(head);
    if (at >= AUDIT_MOST) return;
    notes[2 * at] = address | site << 48;
    notes[2 * at + 1] = item | kind << 32 | bytes << 36 | file << 44 | line << 48;
}

#define AUDIT(p, kind, bytes) audit_note((ulong)(p), kind, bytes, __COUNTER__, AUDIT_FILE, __LINE__)

/* Kinds, as audit.h has them. */
#undef LOAD_X
#undef LOAD_Y
#undef STORE_X
#undef STORE_Y
#undef LOAD_X_VEC
#undef LOAD_Y_VEC
#undef STORE_X_VEC
#undef STORE_Y_VEC
#define LOAD_X(p)               (AUDIT(p, 0, sizeof(x_store)), PASTE(X_TYPE, _LOAD)(p))
#define LOAD_Y(p)               (AUDIT(p, 1, sizeof(y_store)), PASTE(Y_TYPE, _LOAD)(p))
#define STORE_X(v, p)           (AUDIT(p, 2, sizeof(x_store)), PASTE(X_TYPE, _STORE)(v, p))
#define STORE_Y(v, p)           (AUDIT(p, 3, sizeof(y_store)), PASTE(Y_TYPE, _STORE)(v, p))
#define LOAD_X_VEC(p, unit)     ((void)(unit), AUDIT(p, 0, VEC * sizeof(x_store)), PASTE(X_TYPE, _LOAD_VEC)(p))
#define LOAD_Y_VEC(p, unit)     ((void)(unit), AUDIT(p, 1, VEC * sizeof(y_store)), PASTE(Y_TYPE, _LOAD_VEC)(p))
#define STORE_X_VEC(v, p, unit) ((void)(unit), AUDIT(p, 2, VEC * sizeof(x_store)), PASTE(X_TYPE, _STORE_VEC)(v, p))
#define STORE_Y_VEC(v, p, unit) ((void)(unit), AUDIT(p, 3, VEC * sizeof(y_store)), PASTE(Y_TYPE, _STORE_VEC)(v, p))
/* PoCL 3.1 takes vload_halfn and vstore_halfn for aligned to the vector, and dies where they are not; the note says what was meant. */
#if NUMBER_OF(X_TYPE) == NUMBER_f16
vec audit_load_halves(const __global half *p) {
    real values[VEC];
    for (uint j = 0; j < VEC; j++) values[j] = vload_half(j, p);
    return LOAD_OWN(values);
}
void audit_store_halves(const vec v, __global half *p) {
    real values[VEC];
    STORE_OWN(v, values);
    for (uint j = 0; j < VEC; j++) vstore_half_rte(values[j], j, p);
}
#undef f16_LOAD_VEC
#undef f16_STORE_VEC
#define f16_LOAD_VEC(p)     audit_load_halves(p)
#define f16_STORE_VEC(v, p) audit_store_halves(v, p)
#endif

#if STRIDED || ALONE
#error "the audit is of dense tensors and of group variants"
#endif
