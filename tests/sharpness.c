/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge is sharp: of every number it judges, what is off by 0.99 of its bound passes, and what is off by 1.01 is a miss. The bounds
 * are written here once more, from the tables of docs/accuracy.md and the words of bounds_gradients.h; no function of oracle/bounds*.c
 * is called, or one that is too wide would agree with itself.
 */
#include "setting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALL_GRADIENTS (CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DRESIDUAL | CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA)

/* What the tables speak of. */
typedef struct words {
    const setting *s;
    int cpu, f64, c;
    long double A, u, n, mu, mu_lo, sigma, r, gamma, beta, K;
    long double delta, delta_back; /* what the mean is off, beyond the promise: forward, and as backward is given it */
    /* Sums over the channel, of absolute values: what counts of dy, and what g is off; the same times |x - mean|; and |sum g|. */
    long double sizes, of_g, sizes_x, of_g_x, sum_g;
} words;

static long double half_ulp(const words *w, long double value) {
    const double size = (double)fabsl(value);
    if (w->f64) return ((long double)nextafter(size, INFINITY) - size) / 2;
    return ((long double)nextafterf((float)size, INFINITY) - (float)size) / 2;
}

/* ----------------------------------------------------------------------------------------------------------------- elements */

static size_t place(const words *w, size_t k) {
    return (k / INNER * CHANNELS + (size_t)w->c) * INNER + k % INNER;
}

static long double distance(const words *w, size_t at) {
    return fabsl((w->s->x[at] - w->mu) - w->mu_lo);
}

/* What v is off, where the mean is off by delta. */
static long double of_v(const words *w, size_t at, long double delta) {
    const long double size = fabsl(w->gamma) * distance(w, at) * w->r + fabsl(w->beta) + fabsl((long double)w->s->residual[at]);
    const long double spread = w->s->given.population ? 0 : fabsl(w->gamma) * w->r * w->sigma;
    return w->A * (w->cpu ? size : fmaxl(1, fmaxl(spread, size))) + fabsl(w->gamma) * w->r * delta;
}

static long double of_y(const words *w, size_t at) {
    const definition_activation *act = &w->s->given.act;
    const long double e = of_v(w, at, w->delta), v = w->s->exact.v[at], y = w->s->exact.y[at];
    switch (act->kind) {
    case DEFINITION_LEAKY:
        return fmaxl(1, act->slope) * e;
    case DEFINITION_SILU:
        return 1.1L * e + w->A * fabsl(y);
    case DEFINITION_SQUARE:
        return 2 * (fabsl(v) + e) * e + w->A * fabsl(y);
    default:
        return e;
    }
}

/* The data has no value so near a kink that either side would do. */
static long double of_g(const words *w, size_t at) {
    const definition_activation *act = &w->s->given.act;
    const long double e = of_v(w, at, w->delta_back), v = w->s->exact.v[at], size = fabsl((long double)w->s->dy[at]);
    switch (act->kind) {
    case DEFINITION_LEAKY:
        ck_assert(fabsl(v) > e);
        return v < 0 ? w->A * act->slope * size : 0;
    case DEFINITION_SILU:
        return size * (e / 2 + w->A * (1 + fabsl(v)));
    case DEFINITION_SQUARE:
        return size * (2 * e + 2 * w->A * fabsl(v));
    default:
        return 0;
    }
}

/* On a device dy times the steepest slope, but for the square, which has none. */
static long double size_of(const words *w, size_t at) {
    const definition_activation *act = &w->s->given.act;
    const long double size = fabsl((long double)w->s->dy[at]);
    if (w->cpu || act->kind == DEFINITION_SQUARE) return fabsl(w->s->exact.g[at]);
    return act->kind == DEFINITION_LEAKY ? act->slope * size : act->kind == DEFINITION_SILU ? 1.1L * size : size;
}

/* Over some rows. */
static void add_up(words *w, size_t first_row, size_t rows) {
    w->sizes = w->of_g = w->sizes_x = w->of_g_x = w->sum_g = 0;
    for (size_t k = first_row * INNER; k < (first_row + rows) * INNER; k++) {
        const size_t at = place(w, k);
        w->sizes += size_of(w, at), w->sizes_x += size_of(w, at) * distance(w, at);
        w->of_g += of_g(w, at), w->of_g_x += of_g(w, at) * distance(w, at);
        w->sum_g += w->s->exact.g[at];
    }
}

static long double root_of_roundings(const words *w, long double n, long double mu) {
    return w->cpu ? (2 + sqrtl(n)) * 0x1p-53L * fabsl(mu) : 0;
}

static words words_of(const setting *s, bounds_of who, size_t c) {
    const problem *p = &s->given;
    words w = {.s = s, .c = (int)c, .n = VALUES};
    w.cpu = who == BOUNDS_OF_CPU_PATH || who == BOUNDS_OF_CPU_PATH_F64;
    w.f64 = who == BOUNDS_OF_CPU_PATH_F64 || who == BOUNDS_OF_DEVICE_F64;
    w.A = who == BOUNDS_OF_DEVICE ? 1e-6L : 1e-13L;
    w.u = who == BOUNDS_OF_DEVICE ? 0x1p-24L : 0x1p-53L;
    w.mu = s->exact.mean[c], w.mu_lo = s->exact.mean_lo[c], w.sigma = sqrtl(s->exact.var[c]);
    w.r = p->outside ? 1 / (w.sigma + p->epsilon) : 1 / sqrtl(w.sigma * w.sigma + p->epsilon);
    w.gamma = s->gamma[c], w.beta = s->beta[c], w.K = p->outside ? w.r / w.sigma : w.r * w.r;
    if (w.cpu) w.delta = w.A * w.sigma + root_of_roundings(&w, w.n, w.mu);
    w.delta_back = w.delta + (p->without_lo ? w.u * fabsl(w.mu) : 0);
    add_up(&w, 0, ROWS);
    return w;
}

/* ------------------------------------------------------------------------------------------------------------------ the tables */

static long double of_mean(const words *w) {
    return w->A * w->sigma + root_of_roundings(w, w->n, w->mu);
}

static long double of_running(const words *w, long double old, long double batch, long double of_batch) {
    const long double weight = w->s->given.update_weight, kept = (1 - weight) * old, added = weight * batch;
    const long double saved = w->cpu ? (w->f64 ? 0x1p-53L : 0x1p-24L) * fabsl(added) : 0;
    return weight * of_batch + 5 * w->u * (fabsl(kept) + fabsl(added)) + saved + half_ulp(w, kept + added);
}

static long double of_dgamma(const words *w) {
    const long double promised = w->cpu || w->s->given.population ? 0 : w->A * w->sigma * fabsl(w->sum_g);
    return w->r * (w->of_g_x + w->A * w->sizes_x + w->delta_back * (w->sizes + w->of_g) + promised);
}

static long double of_dbeta(const words *w) {
    return w->of_g + w->A * w->sizes;
}

static long double of_dx(const words *w, size_t at) {
    const long double scale = fabsl(w->gamma) * w->r, own = of_g(w, at) + w->A * size_of(w, at);
    if (w->s->given.population) return scale * own;
    const long double of_products = w->of_g_x + w->A * w->sizes_x + w->delta_back * (w->sizes + w->of_g);
    return scale * (own + of_dbeta(w) / w->n + distance(w, at) * w->K * of_products / w->n +
                    w->delta_back * w->K * (w->sizes_x + w->of_g_x) / w->n);
}

/* Of the named array's element at a place. */
static long double table_of(const words *w, const char *name, size_t at) {
    const setting *s = w->s;
    const long double half_if_cpu = w->cpu ? 1 : 0, var = w->sigma * w->sigma;
    const int given = s->given.population;
    if (!strcmp(name, "y")) return of_y(w, at);
    if (!strcmp(name, "mean")) return given ? 0 : of_mean(w) + half_ulp(w, w->mu);
    if (!strcmp(name, "mean pair")) return given ? 0 : of_mean(w) + (w->f64 ? 0x1p-105L : 0x1p-47L) * fabsl(w->mu);
    if (!strcmp(name, "var")) return given ? 0 : w->A * var + half_if_cpu * half_ulp(w, var);
    if (!strcmp(name, "inv_std")) return (w->A / 2 + 2 * w->u) * w->r + half_if_cpu * half_ulp(w, w->r);
    if (!strcmp(name, "running_mean")) return of_running(w, s->running_mean[w->c], w->mu, of_mean(w));
    if (!strcmp(name, "running_var"))
        return of_running(w, s->running_var[w->c], var * w->n / (w->n - 1), w->A * var * w->n / (w->n - 1));
    if (!strcmp(name, "dx")) return of_dx(w, at);
    if (!strcmp(name, "dresidual")) return of_g(w, at);
    return !strcmp(name, "dgamma") ? of_dgamma(w) : of_dbeta(w);
}

/* ------------------------------------------------------------------------------------------------------------------ the judge */

static const struct {
    const char *name;
    bounds_of who;
    clbn_dtype type;
    data_kind data;
    problem how;
} judges[] = {
    {"a device", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.recomputed = 0}},
    {"a device, a far mean", BOUNDS_OF_DEVICE, CLBN_F32, MEAN_1E4, {.recomputed = 0}},
    {"a device, leaky relu", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.act = {DEFINITION_LEAKY, 2.5, 0, 0}}},
    {"a device, silu", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.act = {DEFINITION_SILU, 0, 0, 0}}},
    {"a device, the square", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.act = {DEFINITION_SQUARE, 0, 0, 0}}},
    {"a device, frozen", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.population = 1}},
    {"a device, without saved_mean_lo", BOUNDS_OF_DEVICE, CLBN_F32, MEAN_1E2, {.without_lo = 1}},
    {"a device, epsilon outside", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.outside = 1}},
    {"a device, accumulating", BOUNDS_OF_DEVICE, CLBN_F32, NORMAL, {.accumulate = ALL_GRADIENTS}},
    {"a device, float64", BOUNDS_OF_DEVICE_F64, CLBN_F64, NORMAL, {.recomputed = 0}},
    {"a device, float64, a far mean", BOUNDS_OF_DEVICE_F64, CLBN_F64, MEAN_1E6, {.recomputed = 0}},
    {"the CPU path, float64", BOUNDS_OF_CPU_PATH_F64, CLBN_F64, NORMAL, {.recomputed = 1}},
    {"the CPU path, float64, a far mean", BOUNDS_OF_CPU_PATH_F64, CLBN_F64, MEAN_1E2, {.recomputed = 1}},
    {"the CPU path, accumulating", BOUNDS_OF_CPU_PATH_F64, CLBN_F64, NORMAL, {.recomputed = 1, .accumulate = ALL_GRADIENTS}},
    {"the CPU path", BOUNDS_OF_CPU_PATH, CLBN_F32, NORMAL, {.recomputed = 1}},
};
enum { JUDGES = sizeof judges / sizeof *judges };

static long double exact_of(const setting *s, const char *name, size_t at, size_t c, long double *added) {
    const answer *a = &s->exact;
    const struct {
        const char *name;
        const long double *values;
        const double *old;
        size_t at;
    } all[] = {{"y", a->y, NULL, at},
               {"mean", a->mean, NULL, c},
               {"var", a->var, NULL, c},
               {"inv_std", a->inv_std, NULL, c},
               {"running_mean", a->running_mean, NULL, c},
               {"running_var", a->running_var, NULL, c},
               {"dx", a->dx, s->dy, at},
               {"dresidual", a->g, s->residual, at},
               {"dgamma", a->dgamma, s->gamma, c},
               {"dbeta", a->dbeta, s->beta, c}};
    size_t k = 0;
    while (strcmp(all[k].name, name)) k++;
    const long double exact = all[k].values[all[k].at], old = all[k].old && s->given.accumulate ? all[k].old[all[k].at] : 0;
    *added = old == 0 ? 0 : fabsl(old) + fabsl(exact);
    return exact + old;
}

/* Is it so fine a number in double that a hundredth of its bound is to be seen? */
static int is_fine(long double exact, long double bound) {
    const double size = (double)fabsl(exact);
    return bound > 200 * ((long double)nextafter(size, INFINITY) - size);
}

/* 1 where the judge takes what is off by 0.99 of the bound, and not what is off by 1.01, on either side. */
static void must_be_sharp(const heard said[4], const char *name, const char *judge, size_t at, long double bound) {
    for (int k = 0; k < 4; k++) {
        ck_assert_msg(said[k].named > 0, "%s: %s is not judged", judge, name);
        ck_assert_msg(said[k].named_misses == (size_t)(k % 2), "%s: %s %zu off by %g of its bound %Lg: %zu misses", judge, name,
                      at, k % 2 ? 1.01 : 0.99, bound, said[k].named_misses);
    }
}

static long double turn(int k, long double bound) {
    return (k < 2 ? 1 : -1) * (k % 2 ? 1.01L : 0.99L) * bound;
}

static int try_element(setting *s, int j, size_t array, size_t at) {
    heard said[4];
    const char *name;
    size_t count;
    double *one = setting_array(&s->got, array, &name, &count) + at, was = *one;
    const size_t c = count == COUNT ? at / INNER % CHANNELS : at;
    const words w = words_of(s, judges[j].who, c);
    long double added, bound = table_of(&w, name, at);
    const int low = !strcmp(name, "mean pair"); /* then *one is what the mean has not */
    const long double exact = low ? (w.mu - s->got.mean[c]) + w.mu_lo : exact_of(s, name, at, c, &added);
    if (!low && added > 0) bound += (w.cpu ? w.A : w.u) * (added + bound);
    if (bound == 0 || !is_fine(exact, bound)) return 0;
    for (int k = 0; k < 4; k++) {
        *one = (double)(exact + turn(k, bound));
        said[k] = setting_judged(s, judges[j].who, name);
    }
    *one = was;
    must_be_sharp(said, name, judges[j].name, at, bound);
    return 1;
}

/* Of the CPU path in float32 what is rounded on to float lies on its grid, and is left to float64, which goes by the same formulas. */
static int is_on_a_grid(int j, size_t array) {
    return judges[j].who == BOUNDS_OF_CPU_PATH && (array == 0 || array > 6);
}

START_TEST(each_number_is_judged_by_its_bound_and_by_no_more) {
    static size_t tried[2][11];
    for (int j = 0; j < JUDGES; j++) {
        setting s;
        const char *name;
        size_t count;
        setting_open(&s, judges[j].type, judges[j].data, &judges[j].how);
        const heard plain = setting_judged(&s, judges[j].who, NULL);
        ck_assert_msg(plain.misses == 0, "%s: %s misses", judges[j].name, plain.miss.what);
        for (size_t k = 0; setting_array(&s.got, k, &name, &count); k++)
            for (size_t at = 0; at < count && !is_on_a_grid(j, k); at += count == COUNT ? 13 : 1)
                tried[judges[j].who == BOUNDS_OF_DEVICE][k] += (size_t)try_element(&s, j, k, at);
        setting_close(&s);
    }
    for (size_t k = 0; k < 11; k++) ck_assert_msg(tried[0][k] && tried[1][k], "array %zu was left out", k);
}
END_TEST

/* ----------------------------------------------------------------------------------------------------------------- of parts */

enum { FIRST = 1, SOME = 3 };

/* The moments and sums of some rows of channel c; word for word as words_of, but of these rows. */
static words words_of_rows(const setting *s, bounds_of who, size_t c, const long double *mean, const long double *var) {
    words w = words_of(s, who, c);
    add_up(&w, FIRST, SOME);
    w.n = SOME * INNER;
    if (mean) w.mu = mean[c], w.sigma = sqrtl(var[c]);
    return w;
}

static heard hear_moments(const setting *s, bounds_of who, const double *part, const char *name) {
    heard h = {.name = name};
    ck_assert(judge_moments_part(&(hearing){heard_hear, &h}, &s->given, who, FIRST, SOME, part));
    return h;
}

static heard hear_sums(const setting *s, bounds_of who, const double *part, const double *dgamma, const double *dbeta,
                       const char *name) {
    heard h = {.name = name};
    judge_sums(&(hearing){heard_hear, &h}, &s->exact, who, FIRST, SOME, part, dgamma, dbeta);
    return h;
}

/* part[k] and part[k + 1] of channel c are to be a value, which two doubles hold. */
static void put_pair(double *part, size_t k, size_t c, long double value) {
    part[k * CHANNELS + c] = (double)value;
    part[(k + 1) * CHANNELS + c] = (double)(value - part[k * CHANNELS + c]);
}

static void try_moments_part(const setting *s, bounds_of who, const char *judge) {
    double part[CLBN_PART_REALS * CHANNELS] = {0};
    long double *mean, *var;
    heard said[3][4];
    answer_rows(&s->given, FIRST, SOME, &mean, &var);
    ck_assert(mean && var);
    for (size_t c = 0; c < CHANNELS; c++)
        put_pair(part, 0, c, mean[c] += mean[CHANNELS + c]), put_pair(part, 2, c, var[c] * SOME * INNER);
    ck_assert_uint_eq(hear_moments(s, who, part, NULL).misses, 0);
    for (size_t c = 0; c < CHANNELS; c++) {
        const words w = words_of_rows(s, who, c, mean, var);
        const long double high = of_mean(&w) + half_ulp(&w, w.mu), both = table_of(&w, "mean pair", 0);
        const long double m2 = w.n * table_of(&w, "var", 0);
        for (int k = 0; k < 4; k++) {
            part[c] = (double)(mean[c] + turn(k, high)), part[CHANNELS + c] = 0;
            said[0][k] = hear_moments(s, who, part, "part's mean, high");
            put_pair(part, 0, c, mean[c] + turn(k, both));
            said[1][k] = hear_moments(s, who, part, "part's mean");
            put_pair(part, 0, c, mean[c]);
            put_pair(part, 2, c, var[c] * w.n + turn(k, m2));
            said[2][k] = hear_moments(s, who, part, "part's M2");
            put_pair(part, 2, c, var[c] * w.n);
        }
        must_be_sharp(said[0], "part's mean, high", judge, c, high);
        must_be_sharp(said[1], "part's mean", judge, c, both);
        must_be_sharp(said[2], "part's M2", judge, c, m2);
    }
    free(mean), free(var);
}

static void try_sums_part(const setting *s, bounds_of who, const char *judge) {
    double part[CLBN_PART_REALS * CHANNELS] = {0}, dgamma[CHANNELS], dbeta[CHANNELS];
    long double sum[CHANNELS] = {0}, product[CHANNELS] = {0};
    static const char *const names[] = {"part's sum", "part's product", "part's dbeta", "part's dgamma"};
    heard said[4][4];
    for (size_t c = 0; c < CHANNELS; c++) {
        const words w = words_of(s, who, c);
        for (size_t k = FIRST * INNER; k < (FIRST + SOME) * INNER; k++) {
            const size_t at = place(&w, k);
            sum[c] += s->exact.g[at], product[c] += s->exact.g[at] * ((s->x[at] - w.mu) - w.mu_lo);
        }
        put_pair(part, 0, c, sum[c]), put_pair(part, 2, c, product[c]);
        dbeta[c] = (double)sum[c], dgamma[c] = (double)(w.r * product[c]);
    }
    ck_assert_uint_eq(hear_sums(s, who, part, dgamma, dbeta, NULL).misses, 0);
    for (size_t c = 0; c < CHANNELS; c++) {
        const words w = words_of_rows(s, who, c, NULL, NULL);
        const long double moved = w.cpu ? 0 : w.A * w.sigma * w.sizes, of_sum = of_dbeta(&w);
        const long double of_product = w.r * (w.A * w.sizes_x + w.delta_back * w.sizes + moved);
        for (int k = 0; k < 4; k++) {
            put_pair(part, 0, c, sum[c] + turn(k, of_sum)), put_pair(part, 2, c, product[c] + turn(k, of_product / w.r));
            dbeta[c] = (double)(sum[c] + turn(k, of_sum)), dgamma[c] = (double)(w.r * product[c] + turn(k, of_product));
            for (int n = 0; n < 4; n++) said[n][k] = hear_sums(s, who, part, dgamma, dbeta, names[n]);
        }
        put_pair(part, 0, c, sum[c]), put_pair(part, 2, c, product[c]);
        dbeta[c] = (double)sum[c], dgamma[c] = (double)(w.r * product[c]);
        for (int n = 0; n < 4; n++) must_be_sharp(said[n], names[n], judge, c, n % 2 ? of_product : of_sum);
    }
}

START_TEST(parts_are_judged_by_their_bounds_and_by_no_more) {
    static const struct {
        bounds_of who;
        clbn_dtype type;
    } by[] = {{BOUNDS_OF_DEVICE, CLBN_F32}, {BOUNDS_OF_DEVICE_F64, CLBN_F64}, {BOUNDS_OF_CPU_PATH_F64, CLBN_F64}};
    for (int j = 0; j < 3; j++) {
        const char *judge = j == 0 ? "a device" : j == 1 ? "a device, float64" : "the CPU path, float64";
        const problem how = {.recomputed = 1};
        setting s;
        setting_open(&s, by[j].type, NORMAL, &how);
        try_moments_part(&s, by[j].who, judge);
        try_sums_part(&s, by[j].who, judge);
        setting_close(&s);
    }
}
END_TEST

void add_sharpness(TCase *tests) {
    tcase_add_test(tests, each_number_is_judged_by_its_bound_and_by_no_more);
    tcase_add_test(tests, parts_are_judged_by_their_bounds_and_by_no_more);
}
