/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that is good until a test spoils it: see refusals.h.
 */
#include "refusals.h"

#include <string.h>

void trial_make(trial *t, place where, verb v) {
    memset(t, 0, sizeof *t);
    way w = plain_way(where);
    w.own_workspace = 0, w.any_access = 1;
    t->of = case_of(3, 17, 50, NORMAL);
    batch_make(&t->b, &t->of, 0);
    clbn_config config = config_of(&t->b, &w, NULL);
    t->plan = plan_of(tested(), &config);
    scene_make(&t->scene, &t->b, &w, v, tested_queue(), t->plan, "a call that is to be refused");
    t->queue = where < ON_HOST ? tested_queue() : NULL;
}

clbn_status trial_call(trial *t) {
    said_clear();
    return scene_call(&t->scene, t->plan, t->queue, t->n_wait, t->wait_list, t->event);
}

void trial_must_be_refused(trial *t, clbn_status expected, const char *word, const char *what) {
    must_refuse(trial_call(t), expected, word, what);
    ck_assert_msg(!t->event || !*t->event, "%s: was refused, and gave an event", what);
    if (tested_queue()) ck_cl(clFinish(tested_queue()));
    scene_must_be_untouched(&t->scene);
    trial_free(t);
}

void trial_free(trial *t) {
    if (tested_queue()) ck_cl(clFinish(tested_queue()));
    scene_free(&t->scene);
    clbn_plan_destroy(t->plan);
    batch_free(&t->b);
}
