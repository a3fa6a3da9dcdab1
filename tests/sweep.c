/* SPDX-License-Identifier: Apache-2.0
 *
 * One case in all its ways: see sweep.h.
 */
#include "sweep.h"
#include "support.h"

enum { SMALL = 2500, MEDIUM = 100000 };

/* The plan of one variant, or NULL where it does not fit. */
static clbn_plan *plan_by(const sweep *s, size_t variant, const clbn_config *config) {
    clbn_plan *plan = NULL;
    said_clear();
    clbn_status status = clbn_plan_create(s->device, config, &plan);
    if (status == CLBN_ERROR_UNSUPPORTED && config->variant) {
        ck_assert_ptr_null(plan);
        return NULL;
    }
    ck_clbn(status);
    if (s->ran) s->ran[variant]++;
    return plan;
}

static void judge_call(const sweep *s, const clbn_plan *plan, const reference *r, unsigned nth) {
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(plan, &info));
    cl_command_queue queue = s->cpu ? tested_queue() : NULL;
    scene made;
    scene_make(&made, r->b, &r->way, r->verb, queue, plan, s->cpu ? info.variant : s->note);
    /* A host call may name the queue or not. */
    result got = scene_run(&made, plan, r->way.place >= ON_HOST && nth % 2 ? NULL : queue);
    judge(r, s->cpu ? BOUNDS_OF_DEVICE : BOUNDS_OF_CPU_PATH, &got, made.title);
    scene_free(&made);
}

/* Every variant's plan does the calls of one way. */
static void judge_way(const sweep *s, clbn_plan *const *plans, const batch *b, unsigned rule, unsigned nth, int verbs) {
    const way w = way_of(rule, nth);
    for (int v = TRAINING; v < verbs; v++) {
        reference r;
        if (s->cpu)
            reference_by_cpu_path(&r, s->cpu, b, &w, (verb)v);
        else
            reference_by_definition(&r, b, &w, (verb)v);
        for (size_t k = 0; k < s->variant_count; k++)
            if (plans[k]) judge_call(s, plans[k], &r, nth);
        reference_free(&r);
    }
}

void sweep_case(const sweep *s, size_t index) {
    const test_case *c = &cases[index];
    if (case_elements(c) > test_element_limit()) return;
    batch b;
    batch_make(&b, c, s->cpu && tested_flushes_denormals());
    int every_rule = b.count <= SMALL && !test_is_short();
    unsigned ways = test_is_short() ? 1 : b.count <= MEDIUM ? WAYS_A_RULE : 2;
    for (unsigned rule = 0; rule < RULES; rule++) {
        if (!every_rule && rule != index % RULES) continue;
        const way of_rule = way_of(rule, 0);
        clbn_plan *plans[16] = {NULL};
        ck_assert_uint_le(s->variant_count, 16);
        for (size_t k = 0; k < s->variant_count; k++) {
            clbn_config config = config_of(&b, &of_rule, s->variants[k]);
            if (test_is_short() && k != index % s->variant_count) continue;
            plans[k] = plan_by(s, k, &config);
        }
        for (unsigned k = 0; k < ways; k++) {
            unsigned nth = ways == WAYS_A_RULE ? k : (unsigned)(index / RULES + k * 2) % WAYS_A_RULE;
            judge_way(s, plans, &b, rule, nth, rule == index % RULES ? MOMENTS + 1 : INFERENCE + 1);
        }
        for (size_t k = 0; k < s->variant_count; k++) clbn_plan_destroy(plans[k]);
    }
    batch_free(&b);
}
