/* SPDX-License-Identifier: Apache-2.0
 *
 * Reduce: one read of x gives the moments of every channel's chunks. A lane (one element of a work-item's vector) keeps a count, a mean
 * and an M2, the last two in two floats, and takes values in blocks that are summed about its own running mean: three operations an
 * element. A lane's first block is summed once more about its own mean, so that an outlier in front spoils nothing, and so is any that
 * lies far from what came before. Lanes merge by Chan's formula in a fixed tree (docs/semantics.md; the error: docs/accuracy.md).
 */

/* Vectors a lane sums about one pivot. */
#define BLOCK 32
/* Rows a block of columns has, and of how many a sum is added up before it joins the others. */
#define ROWS    32
#define CHAINED 8

typedef struct {
    vec hi, lo, m2, m2_lo;
} lanes;

/* How far a block's mean is from the pivot, by its sums e and q of deviations from it: of a first block, and where one lies far; else 0.
 * It adds q - e * e / (before + count) to M2: far is where more than a sixth of q, and so of its roundings, would cancel. Lanes are channels. */
vec far_off(const uint before, const uint count, const vec e, const vec q) {
    const vec off = e / (real)count;
    return before == 0 ? off : select((vec)0, off, isgreater(e * e * ((real)6 / (real)(before + count)), q));
}

/* Takes a block of count values a lane, with sum e and sum of squares q of deviations from pivot, into s, which has before. */
void take_block(lanes *s, const uint before, const uint count, const vec pivot, const vec e, const vec q) {
    const real share = (real)count / (real)(before + count);
    const vec shift = e / (real)count;
    if (before == 0) s->hi = pivot;
    const vec d = (pivot - s->hi) + (shift - s->lo);
    const vec step = s->lo + d * share;
    const vec within = q - e * shift;
    const vec block = within + d * d * ((real)before * share);
    TWO_SUM(vec, mean, mean_lo, s->hi, step);
    TWO_SUM(vec, m2, m2_lo, s->m2, block);
    s->hi = mean;
    s->lo = mean_lo;
    s->m2 = m2;
    s->m2_lo += m2_lo;
}

/* Lane j takes lane j + half in, of as many values: Chan's merge with the shares known. */
#define HALVE(half, values)                                                                      \
    for (uint j = 0; j < half; j++) {                                                            \
        const real d = (hi[j + half] - hi[j]) + (lo[j + half] - lo[j]);                          \
        const real step = lo[j] + d * (real)0.5, between = d * d * ((real)(values) * (real)0.5); \
        TWO_SUM(real, mean, mean_lo, hi[j], step);                                               \
        TWO_SUM(real, within, within_lo, s2[j], s2[j + half]);                                   \
        TWO_SUM(real, both, both_lo, within, between);                                           \
        hi[j] = mean;                                                                            \
        lo[j] = mean_lo;                                                                         \
        s2[j] = both;                                                                            \
        s2_lo[j] = (s2_lo[j] + s2_lo[j + half]) + (within_lo + both_lo);                         \
    }

/* The moments of a vector of lanes with n values each. */
void fold(const lanes *s, const uint n, moments *m) {
    real hi[VEC], lo[VEC], s2[VEC], s2_lo[VEC];
    STORE_OWN(s->hi, hi);
    STORE_OWN(s->lo, lo);
    STORE_OWN(s->m2, s2);
    STORE_OWN(s->m2_lo, s2_lo);
#if VEC == 16
    HALVE(8, n)
    HALVE(4, 2 * n)
#elif VEC == 8
    HALVE(4, n)
#endif
    HALVE(2, VEC / 4 * n)
    HALVE(1, VEC / 2 * n)
    m->n = (ulong)n * VEC;
    m->hi = hi[0];
    m->lo = lo[0];
    m->m2 = s2[0];
    m->m2_lo = s2_lo[0];
}

/* ------------------------------------------------------------------------------------------------------------- planes */

/* Sums of d and d * d, d = x - pivot, over rows rows (row_step apart) of vectors vectors (LX apart), in chains of about CHAINED: in a
 * longer one a large square swallows half an ulp of itself of each that follows. */
void plane_sums(const __global x_store *x, const ulong unit, const uint rows, const ulong row_step, const uint vectors,
                const vec pivot, vec *sum, vec *squares) {
    const ulong vector_step = STEPS(LX * VEC, unit);
    vec e0 = 0, e1 = 0, e2 = 0, e3 = 0, q0 = 0, q1 = 0, q2 = 0, q3 = 0;
    for (uint r = 0; r < rows; r++) {
        const __global x_store *p = x + r * row_step;
        uint v = 0;
        for (; v + 4 <= vectors; v += 4, p += 4 * vector_step) {
            for (uint line = 0; line < 4; line++) ASK_AHEAD(x + r * row_step, (v + line) * VEC, vectors * VEC, row_step);
            const vec a = LOAD_X_VEC(p, unit) - pivot, b = LOAD_X_VEC(p + vector_step, unit) - pivot;
            const vec c = LOAD_X_VEC(p + 2 * vector_step, unit) - pivot, d = LOAD_X_VEC(p + 3 * vector_step, unit) - pivot;
            e0 += a, e1 += b, e2 += c, e3 += d;
            q0 += a * a, q1 += b * b, q2 += c * c, q3 += d * d;
        }
        if (v == vectors) continue;
        const vec a = LOAD_X_VEC(p, unit) - pivot;
        vec e = a, q = a * a;
        for (v++, p += vector_step; v < vectors; v++, p += vector_step) {
            const vec b = LOAD_X_VEC(p, unit) - pivot;
            e += b;
            q += b * b;
        }
        e += e0, e0 = e1, e1 = e2, e2 = e3, e3 = e; /* what fills no four takes turns with them */
        q += q0, q0 = q1, q1 = q2, q2 = q3, q3 = q;
    }
    *sum = (e0 + e1) + (e2 + e3);
    *squares = (q0 + q1) + (q2 + q3);
}

/* The same with single values, exactly: there are many to a lane, where planes are short. */
void plane_tail_sums(const __global x_store *x, const ulong unit, const uint rows, const ulong row_step, const uint values,
                     const real pivot, real *sum, real *squares) {
    real e = 0, e_lo = 0, q = 0, q_lo = 0;
    for (uint r = 0; r < rows; r++) {
        for (uint i = 0; i < values; i++) {
            const real d = LOAD_X(x + r * row_step + STEPS(i, unit)) - pivot, square = d * d;
            TWO_SUM(real, of_d, d_rest, e, d);
            TWO_SUM(real, of_squares, square_rest, q, square);
            e = of_d;
            e_lo += d_rest;
            q = of_squares;
            q_lo += square_rest;
        }
    }
    *sum = e + e_lo;
    *squares = q + q_lo;
}

/* m takes a block of values that do not fill a vector in, as moments of its own. */
void plane_tail_block(const __global x_store *x, const ulong unit, const uint rows, const ulong row_step, const uint values,
                      moments *m) {
    const real n = (real)(rows * values);
    real e = 0, q = 0, pivot = LOAD_X(x);
    for (uint turn = 0; turn == 0 || (turn == 1 && e != 0); turn++) {
        pivot += e / n;
        plane_tail_sums(x, unit, rows, row_step, values, pivot, &e, &q);
    }
    const real shift = e / n;
    TWO_SUM(real, mean, mean_lo, pivot, shift);
    const moments block = {rows * values, mean, mean_lo, q - e * shift, 0};
    merge(m, &block);
}

/* How a work-item takes its share of rows rows of length values: rows LANE_Y + k * LY, vectors LANE_X + k * LX, and the values
 * behind the last whole vector for the lane that would be next; in blocks of block_rows rows by block_vectors vectors. */
typedef struct {
    ulong rows;
    uint vectors, tail, tail_at, block_vectors, block_rows;
} plane_walk;

void walk_planes(const ulong rows, const uint length, plane_walk *w) {
    const uint vectors = length / VEC;
    w->rows = rows > LANE_Y ? (rows - LANE_Y - 1) / LY + 1 : 0;
    w->vectors = vectors > LANE_X ? (vectors - LANE_X - 1) / LX + 1 : 0;
    w->tail = vectors % LX == LANE_X ? length % VEC : 0;
    w->tail_at = vectors * VEC;
    w->block_vectors = min(w->vectors, (uint)BLOCK);
    w->block_rows = BLOCK / max(w->block_vectors, 1u);
}

/* A work-item's share of rows rows, row_step apart, of length values. */
void plane_share(const __global x_store *x, const ulong unit, const ulong rows, const ulong row_step, const uint length,
                 moments *m) {
    plane_walk w;
    walk_planes(rows, length, &w);
    const __global x_store *first = x + LANE_Y * row_step + STEPS(LANE_X * VEC, unit);
    const __global x_store *tail_first = x + LANE_Y * row_step + STEPS(w.tail_at, unit);
    const ulong step = LY * row_step;
    lanes s = {(vec)0, (vec)0, (vec)0, (vec)0};
    moments rest = {0, 0, 0, 0, 0};
    uint n = 0;
    for (ulong r = 0; r < w.rows; r += w.block_rows) {
        const uint now = (uint)min(w.rows - r, (ulong)w.block_rows);
        for (uint v = 0; v < w.vectors; v += w.block_vectors) {
            const __global x_store *p = first + r * step + STEPS((ulong)v * LX * VEC, unit);
            const uint these = min(w.vectors - v, w.block_vectors);
            const uint count = now * these;
            vec e, q, pivot = n == 0 ? LOAD_X_VEC(p, unit) : s.hi;
            for (uint turn = 0;; turn++) {
                plane_sums(p, unit, now, step, these, pivot, &e, &q);
                const vec off = far_off(n, count, e, q);
                if (turn == 1 || !any(off != (vec)0)) break;
                pivot += off;
            }
            take_block(&s, n, count, pivot, e, q);
            n += count;
        }
        if (w.tail != 0) plane_tail_block(tail_first + r * step, unit, now, step, w.tail, &rest);
    }
    fold(&s, n, m);
    merge(m, &rest);
}

/* The group's moments of rows rows of length values; in ALONE the work-item's own. Needs PARTS * LX * LY reals of scratch. */
void plane_moments(const __global x_store *x, const ulong unit, const ulong rows, const ulong row_step, const uint length,
                   __local real *scratch, moments *m) {
    plane_share(x, unit, rows, row_step, length, m);
    if (ALONE) return;
    const uint lane = LANE_Y * LX + LANE_X;
    GROUP_BARRIER; /* whoever still reads scratch */
    put_local(scratch + lane, LX * LY, m);
    group_merge(scratch, 1, LX * LY);
    get_local(scratch, LX * LY, m);
}

/* A chunk of a channel's planes: rows [row, row + rows), values [start, start + length). */
typedef struct {
    ulong row, rows, start;
    uint length;
} chunk;

/* Chunk k, where a chunk has rows_each rows and length_each values and a row is cut into pieces of them. */
void plane_chunk(const ulong k, const ulong outer, const ulong inner, const ulong rows_each, const ulong pieces,
                 const ulong length_each, chunk *part) {
    const ulong row = k / pieces;
    part->row = row * rows_each;
    part->rows = min(rows_each, outer - part->row);
    part->start = (k - row * pieces) * length_each;
    part->length = (uint)min(length_each, inner - part->start);
}

#define PLANE_PARAMETERS ulong outer, ulong channels, ulong inner, ulong chunks, ulong rows_each, ulong pieces, ulong length_each

/* Moments of every chunk: parts[PARTS][chunks][channels]. Groups: chunks by channels, both in strides. */
__kernel void moments_planes(__global const x_store *x, VIEW_PARAMETERS(x), PLANE_PARAMETERS, __global real *parts,
                             ulong parts_offset, __local real *scratch) {
    for (ulong c = get_group_id(1); c < channels; c += get_num_groups(1)) {
        for (ulong k = get_group_id(0); k < chunks; k += get_num_groups(0)) {
            chunk part;
            moments m;
            plane_chunk(k, outer, inner, rows_each, pieces, length_each, &part);
            plane_moments(x + x_offset + part.row * x_row + c * x_channel + STEPS(part.start, x_unit), x_unit, part.rows, x_row,
                          part.length, scratch, &m);
            if (SPEAKS) put_global(parts + parts_offset + k * channels + c, chunks * channels, &m);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ columns */

#define WIDE (TILE * VEC)

/* A work-item's columns, state by state, each at its slot. */
typedef struct {
    real hi[WIDE], lo[WIDE], m2[WIDE], m2_lo[WIDE];
} column_lanes;

/* Where vector v of columns columns begins. One that they would not fill begins so much earlier, and its first columns are in the one
 * before too; so in ALONE, where a work-item has many columns, but no mask, of which a vector takes whole bytes. */
#if ALONE && !MASK
#define VECTOR_AT(v, columns) ((columns) >= VEC ? min((v)*VEC, (columns)-VEC) : (v)*VEC)
#else
#define VECTOR_AT(v, columns) ((void)(columns), (v)*VEC)
#endif

/* Where column j's state is: a vector's lanes lie side by side. */
#define SLOT_OF(j, columns) ((j) / VEC * VEC + ((j)-VECTOR_AT((j) / VEC, columns)))

vec load_part(const __global x_store *p, const ulong unit, const uint valid) {
    real values[VEC];
    for (uint j = 0; j < VEC; j++) values[j] = j < valid ? LOAD_X(p + STEPS(j, unit)) : (real)0;
    return LOAD_OWN(values);
}

/* Where the next block of rows begins, and which of its lines to ask for: in memory's order, one for each that is read. */
typedef struct {
    const __global x_store *row;
    uint column, columns;
    ulong step;
} ahead;

void ask(ahead *a) {
    ASK_FOR(a->row + a->column);
    a->column += VEC;
    if (a->column >= a->columns) {
        a->column = 0;
        a->row += a->step;
    }
}

/* Takes rows rows, step apart, of one vector of columns, of which valid exist, into the state from slot j on. */
void take_rows(column_lanes *s, const uint j, const __global x_store *x, const ulong unit, const uint rows, const ulong step,
               const uint valid, const uint before, ahead *next) {
    lanes state = {LOAD_OWN(s->hi + j), LOAD_OWN(s->lo + j), LOAD_OWN(s->m2 + j), LOAD_OWN(s->m2_lo + j)};
    vec e, q, pivot = state.hi;
#define SUM_ROWS(LOADED)                             \
    const __global x_store *p = x;                   \
    if (before == 0) pivot = LOADED;                 \
    for (uint turn = 0;; turn++) {                   \
        p = x;                                       \
        e = q = 0;                                   \
        for (uint r = 0; r < rows;) {                \
            const uint end = min(rows, r + CHAINED); \
            vec chain_e = 0, chain_q = 0;            \
            for (; r < end; r++, p += step) {        \
                if (turn == 0) ask(next);            \
                const vec d = LOADED - pivot;        \
                chain_e += d;                        \
                chain_q += d * d;                    \
            }                                        \
            e += chain_e;                            \
            q += chain_q;                            \
        }                                            \
        const vec off = far_off(before, rows, e, q); \
        if (turn == 1 || !any(off != (vec)0)) break; \
        pivot += off;                                \
    }
    if (valid >= VEC) {
        SUM_ROWS(LOAD_X_VEC(p, unit))
    } else {
        SUM_ROWS(load_part(p, unit, valid))
    }
    take_block(&state, before, rows, pivot, e, q);
    STORE_OWN(state.hi, s->hi + j);
    STORE_OWN(state.lo, s->lo + j);
    STORE_OWN(state.m2, s->m2 + j);
    STORE_OWN(state.m2_lo, s->m2_lo + j);
}

/* A work-item's share of rows rows of columns columns: rows LANE_Y + k * LY. Returns how many rows it took. */
uint column_share(const __global x_store *x, const ulong unit, const uint rows, const ulong row_step, const uint columns,
                  column_lanes *s) {
    const uint mine = rows > LANE_Y ? (rows - LANE_Y - 1) / LY + 1 : 0;
    const ulong step = LY * row_step;
    for (uint j = 0; j < min((uint)WIDE, columns + VEC); j++) s->hi[j] = s->lo[j] = s->m2[j] = s->m2_lo[j] = 0;
    for (uint r = 0; r < mine; r += ROWS) {
        const __global x_store *p = x + LANE_Y * row_step + r * step;
        const uint now = min(mine - r, (uint)ROWS);
        ahead next = {p + now * step, 0, columns, step};
        for (uint v = 0; v < TILE && v * VEC < columns; v++) {
            const uint at = VECTOR_AT(v, columns);
            take_rows(s, v * VEC, p + STEPS(at, unit), unit, now, step, columns - at, r, &next);
        }
    }
    return mine;
}

void column_of(const column_lanes *s, const uint slot, const uint n, moments *m) {
    m->n = n;
    m->hi = s->hi[slot];
    m->lo = s->lo[slot];
    m->m2 = s->m2[slot];
    m->m2_lo = s->m2_lo[slot];
}

/* Moments of the work-item's columns over all rows of the group. In ALONE they are s already; else they are in scratch, which
 * must hold PARTS * LX * VEC * LY reals, and merged_column reads them. */
uint column_moments(const __global x_store *x, const ulong unit, const uint rows, const ulong row_step, const uint columns,
                    column_lanes *s, __local real *scratch) {
    const uint n = column_share(x, unit, rows, row_step, columns, s);
    if (ALONE) return n;
    const uint row = LX * WIDE;
    GROUP_BARRIER; /* whoever still reads scratch */
    for (uint j = 0; j < WIDE; j++) {
        moments m;
        column_of(s, j, n, &m);
        put_local(scratch + LANE_Y * row + LANE_X * WIDE + j, row * LY, &m);
    }
    group_merge(scratch, row, LY);
    return n;
}

/* Column j of columns. */
void merged_column(const column_lanes *s, const uint n, const uint j, const uint columns, const __local real *scratch,
                   moments *m) {
    if (ALONE)
        column_of(s, SLOT_OF(j, columns), n, m);
    else
        get_local(scratch + LANE_X * WIDE + j, LX * WIDE * LY, m);
}

/* A group's tile of columns, of which each work-item takes each, at most WIDE; and how many there are from start on. */
#define TILE_COLUMNS (LX * each)
uint tile_columns(const ulong start, const ulong width, const ulong each) {
    return start < width ? (uint)min(width - start, each) : 0;
}

/* Moments of every column over every slab of rows_each rows: parts[PARTS][slabs][width]. Groups: tiles by slabs, both in
 * strides. */
__kernel void moments_columns(__global const x_store *x, ROW_PARAMETERS(x), ulong outer, ulong width, ulong slabs,
                              ulong rows_each, ulong each, __global real *parts, ulong parts_offset, __local real *scratch) {
    for (ulong k = get_group_id(1); k < slabs; k += get_num_groups(1)) {
        const ulong row = k * rows_each;
        const uint rows = (uint)min(rows_each, outer - row);
        for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < width; tile += get_num_groups(0) * TILE_COLUMNS) {
            const ulong start = tile + LANE_X * each;
            const uint columns = tile_columns(start, width, each);
            column_lanes s;
            const uint n =
                column_moments(x + x_offset + row * x_row + STEPS(start, x_unit), x_unit, rows, x_row, columns, &s, scratch);
            for (uint j = LANE_Y == 0 ? 0 : columns; j < columns; j++) {
                moments m;
                merged_column(&s, n, j, columns, scratch, &m);
                put_global(parts + parts_offset + k * width + start + j, slabs * width, &m);
            }
        }
    }
}
