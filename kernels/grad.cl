/* SPDX-License-Identifier: Apache-2.0
 *
 * Backward's finalize and apply: a channel's sums become dgamma, dbeta and the two numbers that dx needs; then, element by
 * element,
 *     dx = scale * ((g - mean_g) - (x - mean) * slope)       dresidual = g
 * dx or dresidual may be dy.
 */

/* v's affine step, and dx's. */
typedef struct {
    affine forward;
    real mean_g, slope;
} gradient_affine;

#define GRADIENT_PARAMETERS                                                                                \
    __global real *dgamma, ulong dgamma_offset, __global real *dbeta, ulong dbeta_offset, PART_PARAMETERS, \
        __global real *constants, ulong constants_offset

/* Where finalize leaves them in the workspace, behind the statistics: constants[8][channels] in all. */
#define MEAN_G 6
#define SLOPE  7

/* inv_std^2 inside; inv_std / sqrt(var) outside, 0 where var is. Times the mean product, in an order that neither overflows. */
real slope_of(const statistics *s, const real mean_product, const channel_arrays *a) {
    const real other = (a->flags & EPSILON_OUTSIDE) != 0 ? inverse_root(s->var) : s->inv_std;
    return (s->inv_std * mean_product) * other;
}

/* What dx needs of the sums of n values. */
void slopes_of(const sums *total, const ulong n, const statistics *s, const channel_arrays *a, real *mean_g, real *slope) {
    const bool fixed = n == 0 || (a->flags & OF_POPULATION) != 0;
    *mean_g = fixed ? (real)0 : joined(total->g, total->g_lo) / (real)n;
    *slope = fixed ? (real)0 : slope_of(s, joined(total->p, total->p_lo) / (real)n, a);
}

/* Writes channel c's own gradients. */
void finish_sums(const ulong c, const sums *total, const ulong n, const statistics *s, const channel_arrays *a,
                 __global real *dgamma, __global real *dbeta) {
    const real g = joined(total->g, total->g_lo), p = n == 0 ? (real)0 : s->inv_std * joined(total->p, total->p_lo);
    if ((a->flags & HAS_DBETA) != 0) dbeta[c] = (a->flags & ADD_DBETA) != 0 ? dbeta[c] + g : g;
    if ((a->flags & HAS_DGAMMA) != 0) dgamma[c] = (a->flags & ADD_DGAMMA) != 0 ? dgamma[c] + p : p;
}

/* What finalize does with a channel's sums. */
void finish_channel_sums(const ulong c, const ulong channels, const sums *total, const ulong n, const channel_arrays *a,
                         __global real *dgamma, __global real *dbeta, __global real *part, __global ulong *count,
                         __global real *constants) {
    statistics s;
    real mean_g, slope;
    statistics_again(c, channels, constants, a, &s);
    finish_sums(c, total, n, &s, a, dgamma, dbeta);
    slopes_of(total, n, &s, a, &mean_g, &slope);
    if ((a->flags & HAS_PART) != 0) {
        put_part(part, c, channels, total->g, total->g_lo, total->p, total->p_lo);
        if (c == 0) *count = n;
    }
    constants[MEAN_G * channels + c] = mean_g;
    constants[SLOPE * channels + c] = slope;
}

/* As finalize, of sums; n: values in a channel. */
__kernel void finalize_sums(ulong channels, ulong columns, ulong chunks, ulong n, __global const real *parts, ulong parts_offset,
                            GRADIENT_PARAMETERS, CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const uint across = get_local_size(0), along = get_local_size(1), lane_x = get_local_id(0), lane_y = get_local_id(1);
    const ulong width = channels * columns;
    for (ulong first = get_group_id(0) * across; first < channels; first += get_num_groups(0) * across) {
        const ulong c = first + lane_x;
        sums total = {0, 0, 0, 0};
        for (ulong i = c < channels ? lane_y : chunks * columns; i < chunks * columns; i += along) {
            const ulong k = i / columns, at = k * width + c * columns + (i - k * columns);
            sums one;
            get_global_sums(parts + parts_offset + at, chunks * width, &one);
            add_sums(&total, &one);
        }
        if (!ALONE) {
            GROUP_BARRIER; /* whoever still reads scratch */
            put_local_sums(scratch + lane_y * across + lane_x, across * along, &total);
            group_add(scratch, across, along);
            get_local_sums(scratch + lane_x, across * along, &total);
        }
        if (lane_y == 0 && c < channels) {
            finish_channel_sums(c, channels, &total, n, &arrays, dgamma + dgamma_offset, dbeta + dbeta_offset, part + part_offset,
                                count + count_offset, constants + constants_offset);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ gradients */

#define BACKWARD_OUTPUTS(VIEW) __global x_store *dx, VIEW(dx), __global y_store *dresidual, VIEW(dresidual)

typedef struct {
    __global x_store *dx;
    __global y_store *dresidual;
    ulong dx_unit, dresidual_unit;
} gradient_run;

#define GRADIENTS_AT(run, row, c, i)                                                                                             \
    do {                                                                                                                         \
        (run).dx = dx + dx_offset + (row)*dx_row + (c)*dx_channel + STEPS(i, dx_unit);                                           \
        (run).dresidual = dresidual + dresidual_offset + (row)*dresidual_row + (c)*dresidual_channel + STEPS(i, dresidual_unit); \
        (run).dx_unit = dx_unit;                                                                                                 \
        (run).dresidual_unit = dresidual_unit;                                                                                   \
    } while (0)
#define GRADIENTS_COLUMNS_AT(run, row, i)                  \
    do {                                                   \
        const ulong dx_channel = 0, dresidual_channel = 0; \
        GRADIENTS_AT(run, row, 0, i);                      \
    } while (0)

typedef struct {
    backward_steps in;
    ulong dx, dresidual, next_dy, next_x; /* see ASK_ON */
} gradient_steps;

typedef struct {
    backward_run in;
    gradient_run out;
} gradients_here;

void next_gradients(gradients_here *t, const gradient_steps *by, const ulong rows) {
    next_gradient_rows(&t->in, &by->in, rows);
    t->out.dx += rows * by->dx;
    t->out.dresidual += rows * by->dresidual;
}

typedef struct {
    affine_vec forward;
    vec mean_g, slope;
} gradient_affine_vec;

void backward_vec(const gradients_here *t, const uint i, const gradient_affine_vec *k, const channel_arrays *a,
                  const bool stream) {
    vec d;
    const vec g = gradient_vec(&t->in, i, &k->forward, a, &d);
    if ((a->flags & HAS_DX) != 0) {
        __global x_store *to = t->out.dx + STEPS(i, t->out.dx_unit);
        vec value = k->forward.scale * ((a->flags & OF_POPULATION) != 0 ? g : (g - k->mean_g) - d * k->slope);
        if ((a->flags & ADD_DX) != 0) value += LOAD_X_VEC(to, t->out.dx_unit);
        if (STREAMS && stream)
            STREAM_X_VEC(value, to);
        else
            STORE_X_VEC(value, to, t->out.dx_unit);
    }
    if ((a->flags & HAS_DRESIDUAL) != 0) {
        __global y_store *to = t->out.dresidual + STEPS(i, t->out.dresidual_unit);
        vec value = g;
        if ((a->flags & ADD_DRESIDUAL) != 0) value += LOAD_Y_VEC(to, t->out.dresidual_unit);
        STORE_Y_VEC(value, to, t->out.dresidual_unit);
    }
}

void backward_one(const gradients_here *t, const uint i, const gradient_affine *k, const channel_arrays *a) {
    real d;
    const real g = gradient_one(&t->in, i, &k->forward, a, &d);
    if ((a->flags & HAS_DX) != 0) {
        __global x_store *to = t->out.dx + STEPS(i, t->out.dx_unit);
        real value = k->forward.scale * ((a->flags & OF_POPULATION) != 0 ? g : (g - k->mean_g) - d * k->slope);
        if ((a->flags & ADD_DX) != 0) value += LOAD_X(to);
        STORE_X(value, to);
    }
    if ((a->flags & HAS_DRESIDUAL) != 0) {
        __global y_store *to = t->out.dresidual + STEPS(i, t->out.dresidual_unit);
        real value = g;
        if ((a->flags & ADD_DRESIDUAL) != 0) value += LOAD_Y(to);
        STORE_Y(value, to);
    }
}

/* How many values stand before the first whose dx can be streamed; all, where none can. */
uint before_dx_stream(const gradients_here *t, const uint length, const uint flags) {
    if (!STREAMS || (flags & (PAST_CACHES | HAS_DX)) != (PAST_CACHES | HAS_DX)) return length;
    const uint head = BEFORE_ALIGNED(t->out.dx);
    return MASK && head != 0 ? length : min(head, length);
}

/* ------------------------------------------------------------------------------------------------------------- planes */

void gradient_run_of(const gradients_here *t, const uint length, const gradient_steps *by, const gradient_affine *k,
                     const channel_arrays *a) {
    const affine *f = &k->forward;
    const gradient_affine_vec kv = {{(vec)f->mean, (vec)f->mean_lo, (vec)f->scale, (vec)f->beta}, (vec)k->mean_g, (vec)k->slope};
    const uint head = before_dx_stream(t, length, a->flags);
    const bool stream = head < length;
    const uint start = stream ? head : 0, whole = length - (length - start) % VEC;
    for (uint i = start + LANE_X * VEC; i < whole; i += LX * VEC) {
        if (STREAMS) ASK_ON(t->in.dy, i, length, by->in.dy, by->next_dy);
        if (STREAMS) ASK_ON(t->in.x, i, length, by->in.x, by->next_x);
        backward_vec(t, i, &kv, a, stream);
    }
    /* The lane that would be next takes the rest, and what stands before. */
    const bool next = (whole - start) / VEC % LX == LANE_X;
    for (uint i = next ? 0 : length; i < length; i++) {
        if (i == start) i = whole;
        if (i < length) backward_one(t, i, k, a);
    }
}

/* The group's rows of a chunk, t at the first. */
void gradient_rows(gradients_here *t, const gradient_steps *by, const ulong rows, const uint length, const gradient_affine *k,
                   const channel_arrays *a) {
    next_gradients(t, by, LANE_Y);
    for (ulong r = LANE_Y; r < rows; r += LY) {
        gradient_run_of(t, length, by, k, a);
        next_gradients(t, by, LY);
    }
}

void get_gradient_affine(const ulong c, const ulong channels, __global const real *constants, const channel_arrays *a,
                         gradient_affine *k) {
    const bool fixed = (a->flags & OF_POPULATION) != 0;
    statistics s;
    statistics_again(c, channels, constants, a, &s);
    affine_of(c, &s, a, &k->forward);
    k->mean_g = fixed ? (real)0 : constants[MEAN_G * channels + c];
    k->slope = fixed ? (real)0 : constants[SLOPE * channels + c];
}

/* Groups as apply_planes. */
__kernel void grad_planes(BACKWARD_INPUTS(VIEW_PARAMETERS), BACKWARD_OUTPUTS(VIEW_PARAMETERS), PLANE_PARAMETERS,
                          __global const real *constants, ulong constants_offset, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const gradient_steps by = {{dy_row, x_row, residual_row, channels * mask_run}, dx_row, dresidual_row, 0, 0};
    const ulong block = (channels - 1) / get_num_groups(0) + 1, first = get_group_id(0) * block;
    for (ulong k = get_group_id(1); k < chunks; k += get_num_groups(1)) {
        chunk part;
        plane_chunk(k, outer, inner, rows_each, pieces, length_each, &part);
        for (ulong c = first; c < min(first + block, channels); c++) {
            gradient_affine affine_c;
            gradients_here t;
            get_gradient_affine(c, channels, constants + constants_offset, &arrays, &affine_c);
            BACKWARD_AT(t.in, part.row, c, part.start, (part.row * channels + c) * mask_run);
            GRADIENTS_AT(t.out, part.row, c, part.start);
            gradient_rows(&t, &by, part.rows, part.length, &affine_c, &arrays);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ columns */

typedef struct {
    column_affine forward;
    real mean_g[WRAPPED], slope[WRAPPED];
} column_gradients;

void put_gradient_affine(column_gradients *k, const uint j, const gradient_affine *one) {
    put_affine(&k->forward, j, &one->forward);
    k->mean_g[j] = one->mean_g;
    k->slope[j] = one->slope;
}

/* One row of a work-item's columns. */
void gradient_row(const gradients_here *t, const uint columns, const gradient_steps *by, const column_gradients *k,
                  const channel_arrays *a) {
    const uint head = before_dx_stream(t, columns, a->flags);
    const bool stream = head < columns;
    const uint start = stream ? head : 0, whole = columns - (columns - start) % VEC;
    for (uint j = start; j < whole; j += VEC) {
        const gradient_affine_vec these = {COLUMN_VEC(&k->forward, j), LOAD_OWN(k->mean_g + j), LOAD_OWN(k->slope + j)};
        if (STREAMS) ASK_AHEAD(t->in.dy, j, columns, by->in.dy);
        if (STREAMS) ASK_AHEAD(t->in.x, j, columns, by->in.x);
        backward_vec(t, j, &these, a, stream);
    }
    for (uint j = 0; j < columns; j++) {
        if (j == start) j = whole;
        if (j < columns) {
            const gradient_affine one = {COLUMN_ONE(&k->forward, j), k->mean_g[j], k->slope[j]};
            backward_one(t, j, &one, a);
        }
    }
}

void next_gradient_values(gradients_here *t, const uint values) {
    t->in.dy += values;
    t->in.x += values;
    t->in.residual += values;
    t->out.dx += values;
    t->out.dresidual += values;
}

/* As apply_wrapped. */
void gradient_wrapped(gradients_here *t, const ulong count, const uint columns, const column_gradients *k,
                      const channel_arrays *a) {
    const uint wrap = wrap_of(columns), most = (uint)min(count, (ulong)VEC), head = before_dx_stream(t, most, a->flags);
    const bool stream = head < most;
    uint j = 0;
    for (ulong i = 0; i < count;) {
        const bool whole = i >= (stream ? head : 0) && count - i >= VEC;
        const uint values = whole ? VEC : 1;
        if (whole) {
            const gradient_affine_vec these = {COLUMN_VEC(&k->forward, j), LOAD_OWN(k->mean_g + j), LOAD_OWN(k->slope + j)};
            if (STREAMS) ASK_FOR(t->in.dy + AHEAD);
            if (STREAMS) ASK_FOR(t->in.x + AHEAD);
            backward_vec(t, 0, &these, a, stream);
        } else {
            const gradient_affine one = {COLUMN_ONE(&k->forward, j), k->mean_g[j], k->slope[j]};
            backward_one(t, 0, &one, a);
        }
        next_gradient_values(t, values);
        j = WRAP(j, values, wrap);
        i += values;
    }
}

/* Do the rows of all tensors follow each other without a gap? */
bool gradients_adjoin(const gradient_steps *by, const uint columns) {
    return by->in.dy == columns && by->in.x == columns && by->in.residual == columns && by->dx == columns &&
           by->dresidual == columns;
}

/* The work-item's rows of its columns, t at the first. k is wrapped for one run. */
void gradient_columns_rows(gradients_here *t, const gradient_steps *by, const ulong rows, const uint columns, column_gradients *k,
                           const channel_arrays *a) {
    if (ONE_RUN(columns, gradients_adjoin(by, columns))) {
        wrap_affine(&k->forward, columns);
        wrap_columns(k->mean_g, columns);
        wrap_columns(k->slope, columns);
        gradient_wrapped(t, rows * columns, columns, k, a);
        return;
    }
    next_gradients(t, by, LANE_Y);
    for (ulong r = LANE_Y; r < rows; r += LY) {
        gradient_row(t, columns, by, k, a);
        next_gradients(t, by, LY);
    }
}

/* Groups as apply_columns. */
__kernel void grad_columns(BACKWARD_INPUTS(ROW_PARAMETERS), BACKWARD_OUTPUTS(ROW_PARAMETERS), ulong outer, ulong channels,
                           ulong columns, ulong slabs, ulong rows_each, ulong each, __global const real *constants,
                           ulong constants_offset, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const gradient_steps by = {{dy_row, x_row, residual_row, mask_run}, dx_row, dresidual_row, 0, 0};
    const ulong width = channels * columns;
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < width; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * each;
        const uint mine = tile_columns(start, width, each);
        column_gradients k;
        for (uint j = 0; j < mine; j++) {
            gradient_affine one;
            get_gradient_affine((start + j) / columns, channels, constants + constants_offset, &arrays, &one);
            put_gradient_affine(&k, j, &one);
        }
        for (ulong turn = get_group_id(1); turn < slabs; turn += get_num_groups(1)) {
            const ulong row = SLAB(turn, slabs, flags) * rows_each;
            gradients_here t;
            BACKWARD_COLUMNS_AT(t.in, row, start);
            GRADIENTS_COLUMNS_AT(t.out, row, start);
            gradient_columns_rows(&t, &by, min(rows_each, outer - row), mine, &k, &arrays);
        }
    }
}
