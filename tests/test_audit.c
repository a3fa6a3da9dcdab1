/* SPDX-License-Identifier: Apache-2.0
 *
 * The access audit: what a GPU's warps would move of tensors, on the shapes of bench/units, dense NCHW and N C or NHWC, float32 and
 * float16, in training, inference and backward, by every group variant that can; without a GPU (see audit.h). docs/performance.md has
 * the table that this prints at length, and says what is held:
 *     a warp    the segments of an access hold 1.05 times the bytes that it asks for at most, where rows are whole segments; where
 *               they begin within one, 1.05 times what a row costs that is walked in a warp's windows from its first value on
 *     a group   with a cache of 16 KiB, the segments that it fetches hold 1.05 times the bytes that it needs at most; rows of a plane
 *               that begin within a segment may need it for themselves. Columns whose rows do miss this: they are held to what the
 *               walk costs a warp
 * These of zeros, of which moments reads nothing again, as of most real data. Of numbers at random it is held to a few such reads.
 * Batches are cut down, and the device's compute units by as much, so that policy cuts the work into pieces as of the whole batch.
 * CLBN_TEST_SHORT takes a few shapes.
 */
#include "audit.h"
#include "support.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most that may be moved, of what is needed. */
#define LIMIT 1.05

enum {
    UNITS = 64,                /* compute units of the device that is played */
    ENOUGH_ELEMENTS = 1 << 18, /* batches are halved while they have more */
    ENOUGH_ROWS = 8,           /* and more rows than this, where a group takes several at a time */
    LONG_ROW = 1024,           /* values of a row that a group takes alone */
    VECTOR_BYTES = 16,         /* of a work-item */
    TILE_BYTES = 128           /* of a row of columns that a group takes */
};

typedef enum operation { TRAINING, INFERENCE, BACKWARD, OPERATIONS } operation;
static const char *const operation_names[OPERATIONS] = {"training", "inference", "backward"};
static const clbn_dtype types[] = {CLBN_F32, CLBN_F16};
enum { TYPES = sizeof types / sizeof *types };
static const char *const type_names[TYPES] = {"float32", "float16"};
/* Inference is the apply step, the same of fused and split. */
static const struct {
    const char *name;
    int planes, fused;
} variants[] = {
    {"group-fused-columns", 0, 1}, {"group-split-columns", 0, 0}, {"group-fused-planes", 1, 1}, {"group-split-planes", 1, 0}};
enum { VARIANTS = sizeof variants / sizeof *variants };
static const char *const short_shapes[] = {"64 200", "4096 1024", "32 64 56 56", "32 2048 7 7", "32 251 35 35"};

/* ---------------------------------------------------------------------------------------------------------- the worst */

/* How a variant's rows lie: each is whole segments; not; not, and a group takes but a part of each. */
typedef enum rows { WHOLE, UNALIGNED, IN_TILES, ROWS } rows;
static const char *const rows_names[ROWS] = {"whole segments", "others", "others, wider than a tile"};

typedef struct worst {
    double warp[AUDIT_WARPS][AUDIT_SEGMENTS], group[AUDIT_SEGMENTS];
    unsigned launches;
} worst;
static worst table[VARIANTS][ROWS];
static unsigned audited[VARIANTS][TYPES]; /* calls */

static void print_table(void) {
    printf("| variant | rows | warps of 32, segments of 32 | of 64 | warps of 64, of 32 | of 64 | groups, of 32 | of 64 |\n");
    printf("|---|---|---|---|---|---|---|---|\n");
    for (int v = 0; v < VARIANTS; v++) {
        for (int r = 0; r < ROWS; r++) {
            const worst *w = &table[v][r];
            if (w->launches == 0) continue;
            printf("| `%s` | %s |", variants[v].name, rows_names[r]);
            for (int i = 0; i < AUDIT_WARPS * AUDIT_SEGMENTS; i++) printf(" %.2f |", w->warp[i / 2][i % 2]);
            for (int s = 0; s < AUDIT_SEGMENTS; s++) printf(" %.2f%s", w->group[s], s + 1 == AUDIT_SEGMENTS ? " |\n" : " |");
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------- judging */

typedef struct audit_case {
    size_t dims[4];
    unsigned rank;
    int axis;
    clbn_dtype type;
    int variant;
    operation operation;
    int is_spread; /* numbers that differ instead of zeros */
    char title[160];
} audit_case;

/* Bytes of the segments that hold [begin, end). */
static size_t covered(size_t begin, size_t end, size_t segment) {
    return (end + segment - 1) / segment * segment - begin / segment * segment;
}

/* What rows of run bytes, one behind the other, move over their bytes. Each by itself: */
static double row_alone(size_t run, size_t segment) {
    size_t touched = 0;
    for (size_t row = 0; row < segment; row++) touched += covered(row * run, (row + 1) * run, segment);
    return (double)touched / (double)(run * segment);
}

/* And walked in windows from where they begin, the values behind the last vector one by one. */
static double row_walked(size_t run, size_t window, size_t value, size_t segment) {
    const size_t body = run / VECTOR_BYTES * VECTOR_BYTES;
    size_t touched = 0;
    for (size_t row = 0; row < segment; row++) {
        for (size_t at = 0; at < body; at += window) {
            touched += covered(row * run + at, row * run + (at + window < body ? at + window : body), segment);
        }
        touched += (run - body) / value * segment;
    }
    return (double)touched / (double)(run * segment);
}

/* All places of one kind in a launch; *place: the one that moves most beyond what it asks for. */
static audit_bytes sum_of(const audit_launch *launch, int kind, const audit_site **place) {
    audit_bytes sum = {{0}, {{0}}, {0}, {0}};
    double most = -1;
    for (int i = 0; i < AUDIT_SITES; i++) {
        const audit_site *site = &launch->sites[i];
        const audit_bytes *b = &site->bytes;
        if (site->file == NULL || site->kind != kind) continue;
        for (int s = 0; s < AUDIT_SEGMENTS; s++) {
            sum.needed[s] += b->needed[s];
            sum.fetched[s] += b->fetched[s];
            for (int w = 0; w < AUDIT_WARPS; w++) sum.touched[w][s] += b->touched[w][s];
        }
        for (int w = 0; w < AUDIT_WARPS; w++) sum.asked[w] += b->asked[w];
        const double beyond = (double)b->touched[0][1] - (double)b->asked[0];
        if (beyond <= most) continue;
        most = beyond;
        *place = site;
    }
    return sum;
}

/* Tells every miss; the test fails behind the last. */
static unsigned misses;
static char first_miss[512];

static void must_be_within(double ratio, double limit, const audit_case *c, const audit_launch *launch, const audit_site *place,
                           const char *who, unsigned segment) {
    char said_here[512];
    if (ratio <= limit) return;
    snprintf(said_here, sizeof said_here,
             "%s by %s: %s's %s (most at %s:%u) moves %.2f times what %s needs, in segments of %u bytes; %.2f is the limit",
             c->title, variants[c->variant].name, launch->kernel, audit_kind_names[place->kind], place->file, place->line, ratio,
             who, segment, limit);
    fprintf(stderr, "%s\n", said_here);
    if (misses++ == 0) memcpy(first_miss, said_here, sizeof first_miss);
}

/* Is that kind recorded where no group was left out: every value of the tensor? */
static void must_be_recorded(const audit_case *c, const audit_launch *launch, int kind, size_t bytes) {
    const audit_site *place = NULL;
    const audit_bytes sum = sum_of(launch, kind, &place);
    ck_assert_msg(sum.needed[0] >= (launch->stride == 1 ? bytes : 1), "%s: of %s's %s only %llu bytes are recorded", c->title,
                  launch->kernel, audit_kind_names[kind], (unsigned long long)sum.needed[0]);
}

/* Is a tensor of so many bytes asked for as often as the kernel must, where no group was left out? Each value once, by one launch for all
 * twice. Moments ask again for a lane's first pivot, and of numbers that differ for the lane's first blocks, about another one: in slices
 * this short that is the tensor once more, and twice. */
static void must_ask_no_more(const audit_case *c, const audit_launch *launch, int kind, const audit_bytes *sum, size_t bytes) {
    const int loads = kind == AUDIT_LOAD_X || kind == AUDIT_LOAD_Y;
    const int fused = strncmp(launch->kernel, "fused", 5) == 0, backward = strstr(launch->kernel, "grad") != NULL;
    const int moments = !backward && (fused || strncmp(launch->kernel, "moments", 7) == 0);
    const size_t least = bytes * (loads && fused ? 2 : 1);
    const size_t most = least + (moments && kind == AUDIT_LOAD_X ? (c->is_spread ? 2 * bytes : bytes) : 0);
    for (int w = 0; w < AUDIT_WARPS && launch->stride == 1; w++)
        ck_assert_msg(sum->asked[w] >= least && sum->asked[w] <= most, "%s: %s's %s asks for %.3f of the tensor, not for %zu%s",
                      c->title, launch->kernel, audit_kind_names[kind], (double)sum->asked[w] / (double)bytes, least / bytes,
                      most == least + bytes ? " to one more"
                      : most > least        ? " to two more"
                                            : "");
}

static void judge_kind(const audit_case *c, const audit_launch *launch, int kind, size_t bytes, size_t run) {
    const audit_site *place = NULL;
    const audit_bytes sum = sum_of(launch, kind, &place);
    if (place == NULL) return;
    must_ask_no_more(c, launch, kind, &sum, bytes);
    if (c->is_spread) return;
    const int planes = variants[c->variant].planes;
    const rows how = run % audit_segments[1] == 0 ? WHOLE : planes || run <= TILE_BYTES ? UNALIGNED : IN_TILES;
    worst *w = &table[c->variant][how];
    w->launches++;
    ck_assert_msg(launch->lowest[kind] % audit_segments[1] == 0, "%s: a tensor begins within a segment", c->title);
    const size_t value = clbn_dtype_bytes(c->type);
    for (int s = 0; s < AUDIT_SEGMENTS; s++) {
        const unsigned segment = audit_segments[s];
        for (int i = 0; i < AUDIT_WARPS; i++) {
            char who[24];
            const double ratio = (double)sum.touched[i][s] / (double)sum.asked[i];
            const size_t window = planes ? audit_warps[i] * VECTOR_BYTES : TILE_BYTES;
            if (ratio > w->warp[i][s]) w->warp[i][s] = ratio;
            snprintf(who, sizeof who, "a warp of %u", audit_warps[i]);
            must_be_within(ratio, LIMIT * row_walked(run, window, value, segment), c, launch, place, who, segment);
        }
        /* A plane's row has other channels' before and behind it, a row of columns its next. */
        const double ratio = (double)sum.fetched[s] / (double)sum.needed[s] / (planes ? row_alone(run, segment) : 1);
        const double walked = planes ? 1 : row_walked(run, TILE_BYTES, value, segment);
        if (ratio > w->group[s]) w->group[s] = ratio;
        must_be_within(ratio, LIMIT * walked, c, launch, place, "a group", segment);
    }
}

/* ------------------------------------------------------------------------------------------------------------ running */

static clbn_device *device_with(unsigned units) {
    static clbn_device *devices[UNITS + 1];
    clbn_device_options options = listening_options();
    options.skip_trials = 1;
    audit_dress(units);
    if (devices[units] == NULL) ck_clbn(clbn_device_create("opencl", &options, &devices[units]));
    return devices[units];
}

/* Numbers from 1 to 2, at random. */
static void spread(void *numbers, size_t elements, clbn_dtype type) {
    uint32_t state = 1;
    for (size_t k = 0; k < elements; k++) {
        state = state * 1664525 + 1013904223;
        if (type == CLBN_F32)
            ((uint32_t *)numbers)[k] = 0x3f800000 | state >> 9;
        else
            ((uint16_t *)numbers)[k] = (uint16_t)(0x3c00 | state >> 22);
    }
}

static cl_mem array(cl_context context, cl_mem *list, size_t *count, size_t elements, const audit_case *c, clbn_dtype type) {
    const size_t bytes = elements * clbn_dtype_bytes(type);
    cl_int code;
    void *const numbers = calloc(bytes, 1);
    ck_assert_ptr_nonnull(numbers);
    if (c->is_spread) spread(numbers, elements, type);
    list[*count] = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, numbers, &code);
    free(numbers);
    ck_cl(code);
    return list[(*count)++];
}

static void call(const clbn_plan *plan, const clbn_plan_info *info, clbn_device *device, const audit_case *c) {
    const size_t of_tensor = info->outer * info->channels * info->inner, of_channels = info->channels;
    cl_mem made[8];
    size_t count = 0;
    cl_context context;
    cl_command_queue queue;
    ck_clbn(clbn_device_get_cl(device, &context, NULL, &queue));
    const clbn_buffer x = clbn_mem(array(context, made, &count, of_tensor, c, c->type), 0),
                      y = clbn_mem(array(context, made, &count, of_tensor, c, c->type), 0);
    const clbn_buffer gamma = clbn_mem(array(context, made, &count, of_channels, c, CLBN_F32), 0);
    const clbn_buffer a = clbn_mem(array(context, made, &count, of_channels, c, CLBN_F32), 0),
                      b = clbn_mem(array(context, made, &count, of_channels, c, CLBN_F32), 0);
    if (c->operation == BACKWARD) {
        const clbn_buffer dx = clbn_mem(array(context, made, &count, of_tensor, c, c->type), 0);
        const clbn_backward_args args = {.x = x,
                                         .dy = y,
                                         .dx = dx,
                                         .gamma = gamma,
                                         .saved_mean = a,
                                         .saved_inv_std = b,
                                         .dgamma = clbn_mem(array(context, made, &count, of_channels, c, CLBN_F32), 0)};
        ck_clbn(clbn_backward_training(plan, queue, &args, 0, NULL, NULL));
    } else {
        const clbn_forward_args args = {
            .x = x, .y = y, .gamma = gamma, .running_mean = a, .running_var = b, .update_weight = 0.1};
        ck_clbn((c->operation == TRAINING ? clbn_forward_training : clbn_forward_inference)(plan, queue, &args, 0, NULL, NULL));
    }
    while (count > 0) clReleaseMemObject(made[--count]);
}

/* How many times smaller the batch becomes: a power of two. */
static unsigned cut_of(const audit_case *c) {
    size_t elements = 1, inner = 1, outer = c->dims[0];
    unsigned cut = 1;
    for (unsigned i = 0; i < c->rank; i++) elements *= c->dims[i];
    for (unsigned i = 1; i < c->rank; i++) *(c->axis == 1 ? &inner : &outer) *= i == 1 && c->axis == 1 ? 1 : c->dims[i];
    if (c->axis != 1) outer /= c->dims[c->rank - 1];
    const size_t least = inner >= LONG_ROW ? 1 : ENOUGH_ROWS;
    while (elements / cut > ENOUGH_ELEMENTS && outer / cut > least && cut < UNITS && c->dims[0] / cut % 2 == 0) cut *= 2;
    return cut;
}

static void audit(const audit_case *c) {
    const unsigned cut = cut_of(c);
    clbn_device *device = device_with(UNITS / cut);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    size_t dims[4];
    clbn_plan *plan = NULL;
    clbn_plan_info info;
    const audit_launch *launches;
    memcpy(dims, c->dims, sizeof dims);
    dims[0] /= cut;
    config.rank = c->rank;
    config.dims = dims;
    config.axis = c->axis;
    config.dtype = c->type;
    config.variant = variants[c->variant].name;
    const clbn_status status = clbn_plan_create(device, &config, &plan);
    if (status == CLBN_ERROR_UNSUPPORTED) return;
    ck_clbn(status);
    ck_clbn(clbn_plan_query(plan, &info));
    audit_forget();
    call(plan, &info, device, c);
    audited[c->variant][c->type != types[0]]++;
    const size_t bytes = info.outer * info.channels * info.inner * clbn_dtype_bytes(c->type), n = audit_launches(&launches);
    ck_assert_uint_ge(n, 1);
    must_be_recorded(c, &launches[0], AUDIT_LOAD_X, bytes);
    if (c->operation == BACKWARD) must_be_recorded(c, &launches[0], AUDIT_LOAD_Y, bytes);
    must_be_recorded(c, &launches[n - 1], c->operation == BACKWARD ? AUDIT_STORE_X : AUDIT_STORE_Y, bytes);
    const size_t values = variants[c->variant].planes ? info.inner : info.inner * info.channels;
    for (size_t i = 0; i < n; i++) {
        for (int kind = 0; kind < AUDIT_KINDS; kind++)
            judge_kind(c, &launches[i], kind, bytes, values * clbn_dtype_bytes(c->type));
    }
    clbn_plan_destroy(plan);
}

/* ------------------------------------------------------------------------------------------------------------- shapes */

enum { SHORT_SHAPES = sizeof short_shapes / sizeof *short_shapes };
static unsigned seen[SHORT_SHAPES];

static int is_taken(const char *line) {
    int taken = !test_is_short();
    for (int i = 0; i < SHORT_SHAPES; i++) {
        const int is_it = strcmp(line, short_shapes[i]) == 0;
        seen[i] += is_it ? 1 : 0;
        taken |= is_it;
    }
    return taken && *line != '\0' && strchr("#:", *line) == NULL;
}

/* The next shape of bench/units, N C or N C H W; 0 behind the last. */
static int next_shape(FILE *units, audit_case *c) {
    char line[256];
    while (fgets(line, sizeof line, units)) {
        line[strcspn(line, "\n")] = '\0';
        if (!is_taken(line)) continue;
        const int rank = sscanf(line, "%zu %zu %zu %zu", &c->dims[0], &c->dims[1], &c->dims[2], &c->dims[3]);
        ck_assert_msg(rank == 2 || rank == 4, "%s has a line \"%s\"", CLBN_AUDIT_UNITS, line);
        c->rank = (unsigned)rank;
        c->axis = 1;
        return 1;
    }
    return 0;
}

static void audit_operations(audit_case *c) {
    for (int type = 0; type < TYPES; type++) {
        c->type = types[type];
        for (int o = 0; o < OPERATIONS; o++) {
            c->operation = (operation)o;
            if (o == INFERENCE && variants[c->variant].fused) continue;
            c->is_spread = 0;
            int at = snprintf(c->title, sizeof c->title, "%zu", c->dims[0]);
            for (unsigned i = 1; i < c->rank; i++) {
                at += snprintf(c->title + at, sizeof c->title - (size_t)at, "x%zu", c->dims[i]);
            }
            snprintf(c->title + at, sizeof c->title - (size_t)at, " %s, %s, %s",
                     c->rank == 2   ? "NC"
                     : c->axis == 1 ? "NCHW"
                                    : "NHWC",
                     type_names[type], operation_names[o]);
            audit(c);
            if (o != TRAINING) continue;
            c->is_spread = 1;
            audit(c);
        }
    }
}

START_TEST(warps_and_groups_move_what_they_need) {
    const int v = _i;
    misses = 0;
    memset(seen, 0, sizeof seen);
    audit_case c = {.variant = v};
    FILE *units = fopen(CLBN_AUDIT_UNITS, "r");
    ck_assert_msg(units != NULL, "%s cannot be opened", CLBN_AUDIT_UNITS);
    while (next_shape(units, &c)) {
        const size_t nhwc[4] = {c.dims[0], c.dims[2], c.dims[3], c.dims[1]};
        const int planes = c.rank == 4;
        if (variants[v].planes && !planes) continue; /* planes of one value are not what these are for */
        if (variants[v].planes || !planes) audit_operations(&c);
        if (variants[v].planes || !planes) continue;
        memcpy(c.dims, nhwc, sizeof nhwc);
        c.axis = -1;
        audit_operations(&c);
    }
    fclose(units);
    for (int i = 0; i < SHORT_SHAPES; i++)
        ck_assert_msg(seen[i] == 1, "%s has no line \"%s\", or two", CLBN_AUDIT_UNITS, short_shapes[i]);
    for (int type = 0; type < TYPES; type++)
        ck_assert_msg(audited[v][type] > 0, "%s was audited in no call of %s", variants[v].name, type_names[type]);
    ck_assert_msg(misses == 0, "%u misses, the first: %s", misses, first_miss);
}
END_TEST

START_TEST(every_place_in_a_row_of_groups_takes_notes) {
    for (size_t row = 1; row <= 64; row++) {
        for (size_t rows = 1; rows <= 128; rows++) {
            unsigned places = 0;
            char taken[64] = {0};
            const size_t groups = row * rows, stride = audit_stride(row, groups), most = (groups + stride - 1) / stride;
            for (size_t group = 0; group < groups; group += stride) places += !taken[group % row]++;
            ck_assert_msg(places == (most < row ? most : row), "%zu rows of %zu: %u places", rows, row, places);
            ck_assert_msg(most >= 16 || stride == 1, "%zu rows of %zu: %zu groups", rows, row, most);
        }
    }
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "audit");
    tcase_add_test(tests, every_place_in_a_row_of_groups_takes_notes);
    tcase_add_loop_test(tests, warps_and_groups_move_what_they_need, 0, VARIANTS);
}

int main(void) {
    const int failed = run_suite("audit", add);
    print_table();
    return failed;
}
