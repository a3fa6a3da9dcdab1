/* SPDX-License-Identifier: Apache-2.0
 *
 * What real PyTorch, TensorFlow, Keras and ONNX gave for the vectors of golden/, without them. For each vector
 *     the library must be within its own bounds of the exact result,
 *     the framework must be as near to that as the vector says (by which its maker refused what is no rounding error),
 *     and the library must be within both together of the framework.
 * No tolerance is written here.
 */
#include "support.h"
#include "vectors.h"
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const frameworks[] = {"pytorch", "tensorflow", "keras", "onnx"};
enum { FRAMEWORKS = sizeof frameworks / sizeof *frameworks, SHORT_TURN = 6 };
static size_t vectors, empty_vectors, compared;

static void report(void) {
    verdict_report();
    printf("vectors %zu, without a value %zu; values compared %zu\n", vectors, empty_vectors, compared);
}

/* ------------------------------------------------------------------------------------------------- a vector as a stage's material */

static manner manner_of_vector(const vector *v, unsigned saved, unsigned place) {
    static const unsigned char of_type[] = {[CLBN_F32] = 0, [CLBN_F16] = 1, [CLBN_BF16] = 2, [CLBN_F64] = 3};
    const int gamma = v->rows[VECTOR_gamma] != NULL, beta = v->rows[VECTOR_beta] != NULL;
    manner m = {{0}};
    m.level[BY_X_TYPE] = of_type[v->x_type];
    m.level[BY_Y_TYPE] = of_type[v->y_type];
    m.level[BY_STATISTICS] = v->training ? OF_BATCH : OF_POPULATION;
    m.level[BY_SAVED] = (unsigned char)saved;
    m.level[BY_PLACE] = (unsigned char)place;
    m.level[BY_AFFINE] = gamma && beta ? GAMMA_BETA : gamma ? GAMMA_ALONE : beta ? BETA_ALONE : NO_GAMMA_NO_BETA;
    m.level[BY_FORWARD_OUTPUTS] = v->rows[VECTOR_running_mean] == NULL;
    return m;
}

static void fill(double *into, const double *values, size_t count) {
    if (values) memcpy(into, values, count * sizeof *values);
}

static void material_of_vector(material *m, const batch *b, const vector *v, const manner *how) {
    const size_t elements = vector_elements(v), channels = vector_channels(v);
    material_make(m, b, how);
    m->epsilon = v->epsilon, m->update_weight = v->weight;
    m->running_variance = v->unbiased ? CLBN_RUNNING_UNBIASED : CLBN_RUNNING_BIASED;
    fill(m->x, v->rows[VECTOR_x], elements);
    fill(m->dy, v->rows[VECTOR_dy], elements);
    fill(m->gamma, v->rows[VECTOR_gamma], channels);
    fill(m->beta, v->rows[VECTOR_beta], channels);
    fill(m->running_mean, v->rows[VECTOR_running_mean], channels);
    fill(m->running_var, v->rows[VECTOR_running_var], channels);
}

/* -------------------------------------------------------------------------------------------------------------------- judgements */

/* Where an answer keeps a row; those that a hearing compares first. */
typedef struct place_of_row {
    vector_row row;
    const char *heard; /* its name there */
    long double **exact;
} place_of_row;

enum { HEARD = 6, PLACES = 9 };
static void places_of(answer *a, place_of_row places[PLACES]) {
    const place_of_row all[PLACES] = {{VECTOR_y, "y", &a->y},
                                      {VECTOR_dx, "dx", &a->dx},
                                      {VECTOR_dgamma, "dgamma", &a->dgamma},
                                      {VECTOR_dbeta, "dbeta", &a->dbeta},
                                      {VECTOR_new_running_mean, "running_mean", &a->running_mean},
                                      {VECTOR_new_running_var, "running_var", &a->running_var},
                                      {VECTOR_saved_mean, NULL, &a->mean},
                                      {VECTOR_saved_var, NULL, &a->var},
                                      {VECTOR_saved_inv_std, NULL, &a->inv_std}};
    memcpy(places, all, sizeof all);
}

/* The framework against the definition. */
static void framework_must_be_as_near_as_it_says(const vector *v, verdict *exact) {
    place_of_row places[PLACES];
    places_of(&exact->exact, places);
    for (int p = 0; p < PLACES; p++) {
        const double *theirs = v->rows[places[p].row];
        for (size_t k = 0; theirs && k < vector_count(v, places[p].row); k++) {
            const long double error = fabsl(theirs[k] - (*places[p].exact)[k]);
            ck_assert_msg(error <= v->off[places[p].row],
                          "%s: its %s %zu is %.12g instead of %.12Lg: %.3Lg off, and it says %.3g", v->name,
                          vector_row_name(places[p].row), k, theirs[k], (*places[p].exact)[k], error, v->off[places[p].row]);
        }
    }
}

/* What we saved against what the framework did. */
static void saved_must_agree(const vector *v, const verdict *exact, bounds_of who, const outcome *got, const char *title) {
    for (size_t c = 0; c < vector_channels(v); c++) {
        const bounds_channel of = {exact->exact.mean[c], exact->exact.var[c], exact->exact.inv_std[c], 1, 0, exact->given.values};
        const struct {
            vector_row row;
            const double *ours;
            long double bound;
        } saved[] = {{VECTOR_saved_mean, got->mean, bounds_mean(who, &of)},
                     {VECTOR_saved_var, got->var, bounds_var(who, &of)},
                     {VECTOR_saved_inv_std, got->inv_std, bounds_inv_std(who, &of)}};
        for (int k = 0; k < 3; k++) {
            const double *theirs = v->rows[saved[k].row];
            if (!theirs || !saved[k].ours) continue;
            const long double error = fabsl((long double)theirs[c] - saved[k].ours[c]);
            ck_assert_msg(error <= saved[k].bound + v->off[saved[k].row], "%s: %s %zu is %.12g here and %.12g there: %s", v->name,
                          vector_row_name(saved[k].row), c, saved[k].ours[c], theirs[c], title);
            compared++;
        }
    }
}

typedef struct framework {
    const vector *of;
    const char *title;
} framework;

/* A finding whose exact result is the framework's: within our bound of it, and what it is off itself. */
static void hear_beside(void *by, const finding *f) {
    const framework *theirs = by;
    place_of_row places[PLACES];
    answer none = {0};
    places_of(&none, places);
    int p = 0;
    while (p < HEARD && strcmp(places[p].heard, f->what) != 0) p++;
    if (p == HEARD) ck_abort_msg("%s is compared with nothing: %s", f->what, theirs->title);
    const double off = theirs->of->off[places[p].row];
    ck_assert_msg(f->error <= f->bound + off, "%s: %s is %.12Lg here and %.12Lg there, which is %.3g off itself: %s",
                  theirs->of->name, f->what, f->got, f->exact, off, theirs->title);
    compared++;
}

/* The library against the framework: its results stand where the exact ones did, the rest of the answer is as it was. */
static void must_agree(const vector *v, const verdict *exact, bounds_of who, const outcome *got, const char *title) {
    framework by = {v, title};
    const hearing beside = {hear_beside, &by};
    answer theirs = exact->exact;
    place_of_row places[PLACES];
    outcome asked = *got;
    long double *held[HEARD] = {NULL};
    places_of(&theirs, places);
    for (int p = 0; p < HEARD; p++) {
        const double *values = v->rows[places[p].row];
        const size_t count = vector_count(v, places[p].row);
        if (!values) continue;
        *places[p].exact = held[p] = calloc(count + 1, sizeof **held);
        ck_assert_ptr_nonnull(held[p]);
        for (size_t k = 0; k < count; k++) held[p][k] = values[k];
    }
    asked.mean = asked.mean_lo = asked.var = asked.inv_std = NULL;
    if (!v->rows[VECTOR_new_running_mean]) asked.running_mean = asked.running_var = NULL;
    if (!v->rows[VECTOR_dgamma]) asked.dgamma = NULL;
    if (!v->rows[VECTOR_dbeta]) asked.dbeta = NULL;
    judge_forward(&beside, &theirs, who, &asked);
    if (v->rows[VECTOR_dx]) judge_backward(&beside, &theirs, who, &asked);
    for (int p = 0; p < HEARD; p++) free(held[p]);
    saved_must_agree(v, exact, who, got, title);
}

static void play(const vector *v, unsigned saved, unsigned place) {
    test_case of = {.name = v->name, .rank = v->rank, .axis = v->axis, .data = NORMAL};
    const manner how = manner_of_vector(v, saved, place);
    const bounds_of who = bounds_for(tested_is_cpu_path(), &how);
    batch b;
    material m;
    verdict exact;
    stage s;
    memcpy(of.dims, v->dims, sizeof of.dims);
    batch_make(&b, &of, 0);
    material_of_vector(&m, &b, v, &how);
    verdict_make(&exact, &m);
    framework_must_be_as_near_as_it_says(v, &exact);
    const clbn_status status = stage_open(&s, tested(), tested_queue(), &m, NULL, "golden");
    if (!stage_is_refused_for_f64(&m, status)) {
        if (status != CLBN_SUCCESS) ck_abort_msg("no plan: %s, saying: %s\n%s", clbn_status_name(status), said(), s.title);
        stage_forward(&s);
        verdict_forward(&exact, who, &s.out, s.title);
        if (v->rows[VECTOR_dy]) {
            stage_backward(&s);
            verdict_backward(&exact, who, &s.out, s.title);
        }
        must_agree(v, &exact, who, &s.out, s.title);
    }
    stage_close(&s);
    verdict_free(&exact);
    material_free(&m);
    batch_free(&b);
}

/* ------------------------------------------------------------------------------------------------------------------- no value at all */

static void floats(float *into, const double *values, size_t count) {
    for (size_t k = 0; k < count; k++) into[k] = values ? (float)values[k] : NAN;
}

static void must_be(const vector *v, vector_row row, const float *got) {
    for (size_t c = 0; v->rows[row] && c < vector_channels(v); c++)
        ck_assert_msg(got[c] == v->rows[row][c], "%s: %s %zu is %g here and %g there", v->name, vector_row_name(row), c,
                      (double)got[c], v->rows[row][c]);
}

/* What stays must stay to the bit, and gradients are exactly 0: as the framework has it. */
static void play_empty(const vector *v) {
    enum { MOST = 16 };
    float x[1] = {0}, y[1] = {7}, running_mean[MOST], running_var[MOST], dgamma[MOST], dbeta[MOST];
    const size_t channels = vector_channels(v);
    ck_assert_uint_le(channels, MOST);
    floats(running_mean, v->rows[VECTOR_running_mean], channels);
    floats(running_var, v->rows[VECTOR_running_var], channels);
    floats(dgamma, NULL, channels), floats(dbeta, NULL, channels);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = v->rank, config.dims = v->dims, config.axis = v->axis, config.epsilon = v->epsilon;
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_buffer mean = clbn_host(running_mean), var = clbn_host(running_var);
    const clbn_forward_args forward = {
        .x = clbn_host(x), .y = clbn_host(y), .running_mean = mean, .running_var = var, .update_weight = v->weight};
    const clbn_backward_args backward = {.dy = clbn_host(x),
                                         .x = clbn_host(x),
                                         .dx = clbn_host(y),
                                         .dgamma = clbn_host(dgamma),
                                         .dbeta = clbn_host(dbeta),
                                         .running_mean = v->training ? (clbn_buffer){0} : mean,
                                         .running_var = v->training ? (clbn_buffer){0} : var};
    ck_clbn((v->training ? clbn_forward_training : clbn_forward_inference)(plan, NULL, &forward, 0, NULL, NULL));
    ck_clbn((v->training ? clbn_backward_training : clbn_backward_inference)(plan, NULL, &backward, 0, NULL, NULL));
    must_be(v, VECTOR_new_running_mean, running_mean);
    must_be(v, VECTOR_new_running_var, running_var);
    must_be(v, VECTOR_dgamma, dgamma);
    must_be(v, VECTOR_dbeta, dbeta);
    ck_assert(y[0] == 7);
    clbn_plan_destroy(plan);
    empty_vectors++;
}

START_TEST(a_frameworks_vectors_hold) {
    FILE *from = vectors_open(frameworks[_i]);
    vector v;
    size_t nth = 0;
    for (; vector_read(from, &v); vector_free(&v), nth++) {
        const unsigned saved = nth % 3 == 1 ? RECOMPUTED : nth % 3 ? NEEDED_SAVED : ALL_SAVED;
        if (vector_elements(&v) == 0) {
            play_empty(&v);
            continue;
        }
        if (test_is_short() && nth % SHORT_TURN != (size_t)_i % SHORT_TURN) continue; /* simulators compile for seconds */
        vectors++;
        play(&v, ALL_SAVED, PLACED_IN_MEM);
        if (!test_is_short()) play(&v, saved ? saved : RECOMPUTED, PLACED_ON_HOST);
    }
    ck_assert_uint_gt(nth, 0);
    fclose(from);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "golden");
    tcase_add_unchecked_fixture(tests, NULL, report);
    tcase_add_loop_test(tests, a_frameworks_vectors_hold, 0, FRAMEWORKS);
}

int main(void) {
    return run_suite("golden", add);
}
