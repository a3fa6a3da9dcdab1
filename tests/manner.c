/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways to call: see manner.h.
 */
#include "manner.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *levels[8];
} factors[FACTOR_COUNT] = {
#define FACTOR_LEVELS(name, ...) {{__VA_ARGS__}},
    FACTORS(FACTOR_LEVELS)
#undef FACTOR_LEVELS
};

static const clbn_dtype types[] = {CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64};

/* Constants that every storage type holds, so that it does not matter where they are rounded. */
static const definition_activation activations[] = {
    {DEFINITION_IDENTITY, 0, 0, 0},   {DEFINITION_RELU, 0, 0, 0}, {DEFINITION_LEAKY, 0.125, 0, 0},
    {DEFINITION_CLIP, 0, -0.75, 1.5}, {DEFINITION_SILU, 0, 0, 0}, {DEFINITION_SQUARE, 0, 0, 0},
    {DEFINITION_LEAKY, -0.5, 0, 0},
};

static const struct {
    double epsilon, update_weight;
    clbn_epsilon_rule rule;
    clbn_running_variance variance;
} rules[] = {
    {1e-5, 0.1, CLBN_EPSILON_INSIDE, CLBN_RUNNING_UNBIASED}, {1e-3, 0.25, CLBN_EPSILON_OUTSIDE, CLBN_RUNNING_BIASED},
    {0.1, 1, CLBN_EPSILON_INSIDE, CLBN_RUNNING_BIASED},      {0, 0.01, CLBN_EPSILON_INSIDE, CLBN_RUNNING_UNBIASED},
    {0.1, 0, CLBN_EPSILON_OUTSIDE, CLBN_RUNNING_UNBIASED},
};

unsigned factor_levels(factor f) {
    unsigned n = 0;
    while (n < 8 && factors[f].levels[n]) n++;
    return n;
}

/* The rules, each of one ordered pair of factors. */
static int agree(factor f, unsigned a, factor g, unsigned b) {
    if (f == BY_MASK && g == BY_ACTIVATION && a) {
        const int kind = (int)activations[b].kind;
        return kind == DEFINITION_RELU || kind == DEFINITION_LEAKY || kind == DEFINITION_CLIP;
    }
    if (f == BY_IN_PLACE && a == ON_RESIDUAL && g == BY_RESIDUAL) return b == 1;
    if (f == BY_IN_PLACE && a != APART && g == BY_LAYOUT) return b != ALL_DIFFERENT;
    if (f == BY_IN_PLACE && a != APART && g == BY_ACCUMULATE) return b == REPLACING;
    return 1;
}

int factors_agree(factor f, unsigned level, factor g, unsigned other) {
    return agree(f, level, g, other) && agree(g, other, f, level);
}

/* In place x and y must be of one size: the one rule that three factors make. */
static int all_agree(const manner *m) {
    for (int f = 0; f < FACTOR_COUNT; f++)
        for (int g = 0; g < f; g++)
            if (!factors_agree((factor)f, m->level[f], (factor)g, m->level[g])) return 0;
    return m->level[BY_IN_PLACE] != ON_INPUT || clbn_dtype_bytes(manner_x_type(m)) == clbn_dtype_bytes(manner_y_type(m));
}

/* xorshift64* (Vigna, 2016). */
static unsigned below(uint64_t *state, unsigned n) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (unsigned)((*state * 0x2545f4914f6cdd1du) >> 33) % n;
}

manner manner_draw(uint64_t *state) {
    manner m;
    do {
        for (int f = 0; f < FACTOR_COUNT; f++) m.level[f] = (unsigned char)below(state, factor_levels((factor)f));
    } while (!all_agree(&m));
    return m;
}

/* ------------------------------------------------------------------------------------------------------ the covering tables */

enum { MOST_ROWS = 160, TRIES = 200, MOST_LEVELS = 8 };

/* Rows that hold every pair of levels. The table of kinds has the factors that OpenCL kernels are compiled for, and of the layout
 * only whether there are strides; each row of the other table is of one of these kinds, so that few programs are built. */
typedef struct pairs {
    manner rows[MOST_ROWS];
    size_t count;
    unsigned char covered[FACTOR_COUNT][MOST_LEVELS][FACTOR_COUNT][MOST_LEVELS];
} pairs;

static pairs kinds, table;

static int is_of_kinds(int f) {
    return f == BY_X_TYPE || f == BY_Y_TYPE || f == BY_ACTIVATION || f == BY_RESIDUAL || f == BY_MASK || f == BY_LAYOUT;
}

static unsigned levels_in(const pairs *t, int f) {
    if (t == &kinds && f == BY_LAYOUT) return 2;
    return t == &table || is_of_kinds(f) ? factor_levels((factor)f) : 1;
}

static manner draw(const pairs *t, uint64_t *state) {
    manner m = {{0}};
    if (t == &table) m = kinds.rows[below(state, (unsigned)kinds.count)];
    for (int f = 0; f < FACTOR_COUNT; f++)
        if (t == &kinds || !is_of_kinds(f))
            m.level[f] = (unsigned char)below(state, levels_in(t, f));
        else if (f == BY_LAYOUT && m.level[f] != DENSE)
            m.level[f] = (unsigned char)(1 + below(state, levels_in(t, f) - 1));
    return m;
}

/* A row that has a pair of levels, the rest drawn; 0 where none was found. */
static int draw_with(const pairs *t, manner *m, uint64_t *state, int f, unsigned a, int g, unsigned b) {
    for (int k = 0; k < 20000; k++) {
        *m = draw(t, state);
        if (t == &kinds || !is_of_kinds(f)) m->level[f] = (unsigned char)a;
        if (t == &kinds || !is_of_kinds(g)) m->level[g] = (unsigned char)b;
        if (m->level[f] == a && m->level[g] == b && all_agree(m)) return 1;
    }
    return 0;
}

/* Pairs of m that no row has yet; marks them where told to. */
static unsigned new_pairs(pairs *t, const manner *m, int mark) {
    unsigned count = 0;
    for (int f = 0; f < FACTOR_COUNT; f++)
        for (int g = 0; g < f; g++) {
            unsigned char *pair = &t->covered[f][m->level[f]][g][m->level[g]];
            count += !*pair;
            if (mark) *pair = 1;
        }
    return count;
}

/* No kind has this pair with all that must go with it: one more has. */
static int draw_new_kind(manner *m, uint64_t *state, int f, unsigned a, int g, unsigned b) {
    for (int k = 0; k < 20000; k++) {
        *m = manner_draw(state);
        m->level[f] = (unsigned char)a, m->level[g] = (unsigned char)b;
        if (!all_agree(m)) continue;
        if (kinds.count == MOST_ROWS) ck_abort_msg("the kinds are too many");
        manner *kind = &kinds.rows[kinds.count++];
        memset(kind, 0, sizeof *kind);
        for (int h = 0; h < FACTOR_COUNT; h++)
            if (is_of_kinds(h)) kind->level[h] = h == BY_LAYOUT ? m->level[h] != DENSE : m->level[h];
        return 1;
    }
    return 0;
}

/* Greedy (Cohen, Dalal, Fredman, Patton, "The AETG system", 1997): of many rows that have a missing pair, the one that has most. */
static void cover(pairs *t, uint64_t *state, int f, unsigned a, int g, unsigned b) {
    manner best;
    unsigned most = 0;
    for (int k = 0; k < TRIES; k++) {
        manner m;
        if (!draw_with(t, &m, state, f, a, g, b) && !draw_new_kind(&m, state, f, a, g, b)) return;
        const unsigned found = new_pairs(t, &m, 0);
        if (found > most) most = found, best = m;
    }
    if (t->count == MOST_ROWS) ck_abort_msg("the manners are too many");
    new_pairs(t, &best, 1);
    t->rows[t->count++] = best;
}

static void make(pairs *t) {
    uint64_t state = 20150211;
    for (int f = 0; f < FACTOR_COUNT; f++)
        for (int g = 0; g < f; g++)
            for (unsigned a = 0; a < levels_in(t, f); a++)
                for (unsigned b = 0; b < levels_in(t, g); b++)
                    if (!t->covered[f][a][g][b] && factors_agree((factor)f, a, (factor)g, b)) cover(t, &state, f, a, g, b);
}

size_t manner_count(void) {
    if (table.count == 0) {
        make(&kinds);
        make(&table);
    }
    return table.count;
}

manner manner_of(size_t nth) {
    if (nth >= manner_count()) ck_abort_msg("there is no manner %zu", nth);
    return table.rows[nth];
}

manner manner_draw_known(uint64_t *state) {
    manner m;
    manner_count();
    do {
        m = draw(&table, state);
    } while (!all_agree(&m));
    return m;
}

size_t manner_kind(const manner *m) {
    for (size_t k = 0; k < kinds.count; k++) {
        int same = 1;
        for (int f = 0; f < FACTOR_COUNT; f++)
            if (is_of_kinds(f) && f != BY_LAYOUT) same = same && kinds.rows[k].level[f] == m->level[f];
        if (same && (kinds.rows[k].level[BY_LAYOUT] == DENSE) == (m->level[BY_LAYOUT] == DENSE)) return k;
    }
    return kinds.count;
}

/* ------------------------------------------------------------------------------------------------------------------ settings */

void manner_write(const manner *m, char *text, size_t size) {
    size_t used = 0;
    for (int f = 0; f < FACTOR_COUNT && used < size; f++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", f ? ", " : "", factors[f].levels[m->level[f]]);
}

clbn_dtype manner_x_type(const manner *m) {
    return types[m->level[BY_X_TYPE]];
}

clbn_dtype manner_y_type(const manner *m) {
    return types[m->level[BY_Y_TYPE]];
}

int manner_is_f64(const manner *m) {
    return manner_x_type(m) == CLBN_F64 || manner_y_type(m) == CLBN_F64;
}

definition_activation manner_activation(const manner *m) {
    return activations[m->level[BY_ACTIVATION]];
}

size_t manner_offset(const manner *m) {
    static const size_t offsets[] = {0, 1, 3, 127};
    return offsets[m->level[BY_OFFSET]];
}

double manner_update_weight(const manner *m) {
    return rules[m->level[BY_RULE]].update_weight;
}

static void square(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = v[i] * v[i];
}

static void square_derivative(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = 2 * v[i];
}

clbn_config manner_config(const manner *m) {
    static const clbn_custom_activation custom = {"v * v", "v + v", square, square_derivative, NULL};
    static const clbn_activation names[] = {
        [DEFINITION_IDENTITY] = CLBN_IDENTITY, [DEFINITION_RELU] = CLBN_RELU, [DEFINITION_LEAKY] = CLBN_LEAKY_RELU,
        [DEFINITION_CLIP] = CLBN_CLIP,         [DEFINITION_SILU] = CLBN_SILU, [DEFINITION_SQUARE] = CLBN_CUSTOM};
    const definition_activation act = manner_activation(m);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.dtype = manner_x_type(m);
    config.y_dtype = manner_y_type(m) == config.dtype ? CLBN_AS_X : manner_y_type(m);
    config.epsilon = rules[m->level[BY_RULE]].epsilon;
    config.epsilon_rule = rules[m->level[BY_RULE]].rule;
    config.running_variance = rules[m->level[BY_RULE]].variance;
    config.activation = names[act.kind];
    config.slope = act.slope, config.low = act.low, config.high = act.high;
    config.custom = act.kind == DEFINITION_SQUARE ? &custom : NULL;
    config.residual = m->level[BY_RESIDUAL];
    config.mask = m->level[BY_MASK];
    return config;
}
