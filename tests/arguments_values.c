/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments that do not fit the plan or each other, and numbers that no call takes; and what only looks so.
 */
#include "refusals.h"

#include <math.h>

static const clbn_buffer absent;

#define f (a.forward)
#define b (a.backward)
#define m (a.moments)
#define g (a.merge)
#define u (a.update)

#define REFUSALS(XX)                                                                                                          \
    /* what the plan does not have */                                                                                         \
    XX("a residual", PLAIN, FORWARD, f.residual = f.beta, INVALID_ARGUMENT, "residual")                                       \
    XX("a residual", PLAIN, FORWARD_INFERENCE, f.residual = f.x, INVALID_ARGUMENT, "residual")                                \
    XX("a residual", PLAIN, BACKWARD, b.residual = b.dy, INVALID_ARGUMENT, "residual")                                        \
    XX("a residual", PLAIN, BACKWARD_PART, b.residual = b.dy, INVALID_ARGUMENT, "residual")                                   \
    XX("a dresidual", PLAIN, BACKWARD, b.dresidual = b.dx, INVALID_ARGUMENT, "dresidual")                                     \
    XX("a dresidual", PLAIN, BACKWARD_INFERENCE, b.dresidual = b.dx, INVALID_ARGUMENT, "dresidual")                           \
    XX("a mask", PLAIN, FORWARD, f.mask = f.y, INVALID_ARGUMENT, "mask")                                                      \
    XX("a mask", FUSED, FORWARD, f.mask = f.y, INVALID_ARGUMENT, "mask")                                                      \
    XX("a mask", FUSED, FORWARD_INFERENCE, f.mask = f.y, INVALID_ARGUMENT, "mask")                                            \
    XX("a mask", FUSED, BACKWARD, b.mask = b.x, INVALID_ARGUMENT, "mask")                                                     \
    XX("a mask", FUSED, BACKWARD_INFERENCE, b.mask = b.x, INVALID_ARGUMENT, "mask")                                           \
    /* numbers */                                                                                                             \
    XX("a weight below 0", PLAIN, UPDATE_RUNNING, u.update_weight = -1e-300, INVALID_VALUE, "update_weight")                  \
    XX("a weight above 1", PLAIN, UPDATE_RUNNING, u.update_weight = 1 + 1e-15, INVALID_VALUE, "update_weight")                \
    XX("a weight of NaN", PLAIN, UPDATE_RUNNING, u.update_weight = NAN, INVALID_VALUE, "update_weight")                       \
    XX("a weight of NaN", PLAIN, FORWARD_BY_PARTS, f.update_weight = NAN, INVALID_VALUE, "update_weight")                     \
    XX("a bit of no gradient", PLAIN, BACKWARD, b.accumulate = 16, INVALID_ARGUMENT, "accumulate")                            \
    XX("the highest bit", PLAIN, BACKWARD_INFERENCE, b.accumulate = 0x80000000u | 1, INVALID_ARGUMENT, "accumulate")          \
    XX("a bit of no gradient", PLAIN, BACKWARD_PART, b.accumulate = 32, INVALID_ARGUMENT, "accumulate")                       \
    /* none of what there must be one of */                                                                                   \
    XX("no output", PLAIN, MOMENTS_ALONE, m.mean = m.mean_lo = m.var = absent, MISSING_BUFFER, "mean")                        \
    XX("no gradient", PLAIN, BACKWARD, b.dx = b.dgamma = b.dbeta = absent, MISSING_BUFFER, "dx")                              \
    XX("no gradient", PLAIN, BACKWARD_INFERENCE, b.dx = b.dgamma = b.dbeta = absent, MISSING_BUFFER, "dgamma")                \
    XX("no gradient", FUSED, BACKWARD, b.dx = b.dgamma = b.dbeta = b.dresidual = absent, MISSING_BUFFER, "dresidual")         \
    XX("nothing running", PLAIN, UPDATE_RUNNING, u.running_mean = u.running_var = absent, MISSING_BUFFER, "running_mean")     \
    /* half of the saved statistics; x where dx alone does without it, but not through an activation */                       \
    XX("saved_mean alone", PLAIN, BACKWARD, b.saved_mean_lo = b.saved_var = b.saved_inv_std = absent, MISSING_BUFFER,         \
       "saved_inv_std")                                                                                                       \
    XX("saved_inv_std alone", PLAIN, BACKWARD, b.saved_mean_lo = b.saved_var = b.saved_mean = absent, MISSING_BUFFER,         \
       "saved_mean")                                                                                                          \
    XX("saved_var alone", PLAIN, BACKWARD, b.saved_mean_lo = b.saved_inv_std = b.saved_mean = absent, MISSING_BUFFER,         \
       "saved_mean")                                                                                                          \
    XX("saved_mean_lo alone", OUTSIDE, BACKWARD, b.saved_mean = b.saved_var = b.saved_inv_std = absent, MISSING_BUFFER,       \
       "saved_mean")                                                                                                          \
    XX("nothing saved", PLAIN, BACKWARD_BY_PARTS, nothing_saved(&a), MISSING_BUFFER, "saved_mean")                            \
    XX("nothing saved", PLAIN, BACKWARD_PART, nothing_saved(&a), MISSING_BUFFER, "saved_mean")                                \
    XX("no x", FUSED, BACKWARD_INFERENCE, b.x = b.dgamma = absent, MISSING_BUFFER, "x")                                       \
    XX("no x", PLAIN, BACKWARD, b.x = b.dgamma = absent, MISSING_BUFFER, "x")                                                 \
    /* parts */                                                                                                               \
    XX("parts without a number", PLAIN, FORWARD_BY_PARTS, f.part_count = 0, INVALID_VALUE, "part_count")                      \
    XX("parts without a number", PLAIN, BACKWARD_BY_PARTS, b.part_count = 0, INVALID_VALUE, "part_count")                     \
    XX("parts without a number", PLAIN, MOMENTS_MERGE, g.part_count = 0, INVALID_VALUE, "part_count")                         \
    XX("parts without a number", PLAIN, BACKWARD_MERGE, g.part_count = 0, INVALID_VALUE, "part_count")                        \
    XX("parts past every memory", PLAIN, FORWARD_BY_PARTS, f.part_count = SIZE_MAX, INVALID_VALUE, "part_count")              \
    XX("parts past every memory", PLAIN, BACKWARD_BY_PARTS, b.part_count = SIZE_MAX / 200 + 1, INVALID_VALUE, "part_count")   \
    XX("parts past every memory", PLAIN, MOMENTS_MERGE, g.part_count = (size_t)1 << 61, INVALID_VALUE, "part_count")          \
    XX("parts past every memory", PLAIN, BACKWARD_MERGE, g.part_count = SIZE_MAX / 2, INVALID_VALUE, "part_count")            \
    XX("a number without parts", PLAIN, FORWARD, f.part_count = 1, MISSING_BUFFER, "parts")                                   \
    XX("a number without parts", PLAIN, BACKWARD, b.part_count = 3, MISSING_BUFFER, "parts")                                  \
    XX("a number and counts alone", PLAIN, FORWARD_BY_PARTS, f.parts = absent, MISSING_BUFFER, "parts")                       \
    XX("counts alone", PLAIN, FORWARD_BY_PARTS, (f.parts = absent, f.part_count = 0), MISSING_BUFFER, "parts")                \
    XX("parts alone", PLAIN, BACKWARD_BY_PARTS, (b.counts = absent, b.part_count = 0), MISSING_BUFFER, "counts")              \
    XX("a part to write", PLAIN, BACKWARD, b.part = b.dgamma, INVALID_ARGUMENT, "part")                                       \
    XX("a part to write", PLAIN, BACKWARD_INFERENCE, b.part = b.dgamma, INVALID_ARGUMENT, "part")                             \
    XX("a count to write", PLAIN, BACKWARD, b.count = b.dgamma, INVALID_ARGUMENT, "count")                                    \
    XX("dx", PLAIN, BACKWARD_PART, b.dx = b.part, INVALID_ARGUMENT, "dx")                                                     \
    XX("dresidual", FUSED, BACKWARD_PART, b.dresidual = b.part, INVALID_ARGUMENT, "dresidual")                                \
    XX("parts to read", PLAIN, BACKWARD_PART, b.parts = b.part, INVALID_ARGUMENT, "parts")                                    \
    XX("counts to read", PLAIN, BACKWARD_PART, b.counts = b.count, INVALID_ARGUMENT, "counts")                                \
    XX("a number of parts", PLAIN, BACKWARD_PART, b.part_count = 1, INVALID_ARGUMENT, "part_count")                           \
    /* in place where it is not allowed */                                                                                    \
    XX("dx on the dy it is added to", PLAIN, BACKWARD, (b.dx = b.dy, b.accumulate = CLBN_ACCUMULATE_DX), OVERLAP, "dx")       \
    XX("dresidual on the dy it is added to", FUSED, BACKWARD, (b.dresidual = b.dy, b.accumulate = CLBN_ACCUMULATE_DRESIDUAL), \
       OVERLAP, "dresidual")                                                                                                  \
    XX("dx and dresidual on dy", FUSED, BACKWARD, b.dx = b.dresidual = b.dy, OVERLAP, "dresidual")                            \
    XX("dx and dresidual on dy", MASKED, BACKWARD_INFERENCE, b.dx = b.dresidual = b.dy, OVERLAP, "dx")                        \
    XX("dx on x", PLAIN, BACKWARD, b.dx = b.x, OVERLAP, "dx")                                                                 \
    XX("dx on x", PLAIN, BACKWARD_INFERENCE, b.dx = b.x, OVERLAP, "dx")                                                       \
    XX("y on x of another size", WIDENING, FORWARD_INFERENCE, f.x = f.y, OVERLAP, "y")                                        \
    XX("dx on dy of another size", WIDENING, BACKWARD, b.dx = b.dy, OVERLAP, "dx")

#define GOOD(XX)                                                                                                           \
    XX("an accumulated gradient beside dx on dy", PLAIN, BACKWARD, (b.dx = b.dy, b.accumulate = CLBN_ACCUMULATE_DGAMMA))   \
    XX("dx on dy while dresidual is added to", FUSED, BACKWARD, (b.dx = b.dy, b.accumulate = CLBN_ACCUMULATE_DRESIDUAL))   \
    XX("every bit", FUSED, BACKWARD, b.accumulate = 15)                                                                    \
    XX("bits of gradients that are absent", PLAIN, BACKWARD, (b.accumulate = 15, b.dx = b.dgamma = absent))                \
    XX("nothing saved", FUSED, BACKWARD, nothing_saved(&a))                                                                \
    XX("nothing saved", OUTSIDE, BACKWARD, nothing_saved(&a))                                                              \
    XX("what it needs saved", OUTSIDE, BACKWARD, b.saved_mean_lo = b.saved_inv_std = absent)                               \
    XX("what it needs saved", PLAIN, BACKWARD, b.saved_mean_lo = b.saved_var = absent)                                     \
    XX("no x for dx", PLAIN, BACKWARD_INFERENCE, b.x = b.dgamma = absent)                                                  \
    XX("no x for dx behind a mask", MASKED, BACKWARD_INFERENCE, b.x = b.dgamma = b.beta = b.residual = absent)             \
    XX("dresidual alone", FUSED, BACKWARD, b.dx = b.dgamma = b.dbeta = absent)                                             \
    XX("statistics alone", FUSED, FORWARD, f.y = f.residual = absent)                                                      \
    XX("statistics alone, by parts", MASKED, FORWARD_BY_PARTS, f.y = f.residual = f.mask = absent)                         \
    XX("a weight that nothing uses", PLAIN, FORWARD, (f.running_mean = f.running_var = absent, f.update_weight = NAN))     \
    XX("parts that inference does not use", PLAIN, FORWARD_INFERENCE, (f.parts = f.counts = f.x, f.part_count = SIZE_MAX)) \
    XX("saved_* and parts that inference does not use", PLAIN, BACKWARD_INFERENCE,                                         \
       (b.saved_var = b.dx, b.parts = b.dx, b.part_count = SIZE_MAX))                                                      \
    XX("one running statistic", PLAIN, UPDATE_RUNNING, u.var = u.running_var = absent)                                     \
    XX("the other running statistic", PLAIN, UPDATE_RUNNING, u.mean = u.running_mean = absent)                             \
    XX("inputs that are one", FUSED, BACKWARD, (b.residual = b.dy, b.beta = b.gamma = b.saved_inv_std = b.saved_mean))     \
    XX("x, residual and y that are one", FUSED, FORWARD, f.x = f.residual = f.y)

static void nothing_saved(attempt *a) {
    a->backward.saved_mean = a->backward.saved_mean_lo = a->backward.saved_var = a->backward.saved_inv_std = absent;
}

static void refuse_all(int in_mem) {
    attempt a;
#define MUST_BE_REFUSED(what, kind, op, spoil, status, word)      \
    attempt_make(&a, kind, op, in_mem);                           \
    spoil;                                                        \
    attempt_must_be_refused(&a, CLBN_ERROR_##status, word, what); \
    attempt_free(&a);
    REFUSALS(MUST_BE_REFUSED)
#undef MUST_BE_REFUSED
}

static void pass_all(int in_mem) {
    attempt a;
#define MUST_PASS(what, kind, op, change) \
    attempt_make(&a, kind, op, in_mem);   \
    change;                               \
    attempt_must_pass(&a, what);          \
    attempt_free(&a);
    GOOD(MUST_PASS)
#undef MUST_PASS
}

START_TEST(arguments_that_fit_neither_plan_nor_call_are_refused) {
    refuse_all(0);
    if (!tested_is_cpu_path()) refuse_all(1);
}
END_TEST

START_TEST(arguments_that_only_look_wrong_pass) {
    pass_all(0);
    if (!tested_is_cpu_path()) pass_all(1);
}
END_TEST

/* What cannot be folded, each alone. */
START_TEST(folding_into_an_activation_or_a_residual_is_refused) {
    for (int k = 0; k < 2; k++) {
        clbn_config config = config_of_kind(PLAIN);
        config.activation = k ? CLBN_IDENTITY : CLBN_RELU, config.residual = k;
        clbn_plan *plan = plan_of(tested(), &config);
        attempt a;
        attempt_make(&a, PLAIN, FOLD, 0);
        a.plan = plan;
        attempt_must_be_refused(&a, CLBN_ERROR_UNSUPPORTED, k ? "residual" : "activation", "a plan with");
        attempt_free(&a);
        clbn_plan_destroy(plan);
    }
}
END_TEST

/* Where there are no channels, or no elements, no buffer is looked at but what is written all the same. */
START_TEST(a_call_without_elements_needs_only_what_it_writes) {
    for (int axis = 0; axis < 2; axis++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 2, config.dims = (const size_t[]){0, 3}, config.axis = axis;
        clbn_plan *plan = plan_of(tested(), &config);
        float gradient[3] = {7, 7, 7}, running[3] = {1, 2, 3};
        const size_t written = axis ? 3 : 0;
        ck_clbn(clbn_forward_training(plan, tested_queue(), &(clbn_forward_args){.update_weight = 0}, 0, NULL, NULL));
        ck_clbn(clbn_forward_inference(plan, tested_queue(), &(clbn_forward_args){.update_weight = 0}, 0, NULL, NULL));
        ck_clbn(clbn_moments(plan, tested_queue(), &(clbn_moments_args){.x = absent}, 0, NULL, NULL));
        ck_clbn(clbn_forward_training(
            plan, tested_queue(),
            &(clbn_forward_args){.update_weight = 1, .running_mean = clbn_host(running), .saved_mean = clbn_host(gradient)}, 0,
            NULL, NULL));
        ck_assert(running[0] == 1 && running[1] == 2 && running[2] == 3 && gradient[0] == 7);
        ck_clbn(
            clbn_backward_training(plan, tested_queue(), &(clbn_backward_args){.dgamma = clbn_host(gradient)}, 0, NULL, NULL));
        for (size_t c = 0; c < 3; c++) ck_assert_float_eq(gradient[c], c < written ? 0 : 7);
        clbn_plan_destroy(plan);
    }
}
END_TEST

void add_value_refusals(TCase *tests) {
    tcase_add_unchecked_fixture(tests, NULL, attempt_free_plans);
    tcase_add_test(tests, arguments_that_fit_neither_plan_nor_call_are_refused);
    tcase_add_test(tests, arguments_that_only_look_wrong_pass);
    tcase_add_test(tests, folding_into_an_activation_or_a_residual_is_refused);
    tcase_add_test(tests, a_call_without_elements_needs_only_what_it_writes);
}
