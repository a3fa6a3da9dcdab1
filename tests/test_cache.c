/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled programs on disk: what was kept is used, and nothing that happens to the files or the folder does harm. The library's
 * OpenCL calls come here first, because an executable's exported symbols come before every library's; here they are counted.
 * Called as `test_cache FOLDER` it is one of many processes that share one.
 */
#define _GNU_SOURCE
#include "folder.h"
#include "pipeline.h"

#include <dlfcn.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned compiled, launched;

cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                          const size_t *global, const size_t *local, cl_uint n, const cl_event *list,
                                          cl_event *event) {
    cl_int (*launch)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,
                     const cl_event *, cl_event *);
    void *found = dlsym(RTLD_NEXT, "clEnqueueNDRangeKernel");
    memcpy(&launch, &found, sizeof launch);
    launched++;
    return launch(queue, kernel, dimensions, offset, global, local, n, list, event);
}

cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts, const size_t *lengths,
                                                 cl_int *code) {
    cl_program (*create)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
    void *found = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
    memcpy(&create, &found, sizeof create);
    compiled += count > 1; /* the device's one-line kernel is none of them */
    return create(context, count, texts, lengths, code);
}

/* -------------------------------------------------------------------------------------------------------------- a plan */

/* Opens a device that keeps its programs in that folder, makes a plan, and training by it must be right. What it cost is in compiled
 * and launched: the calls until the plan was there. */
static void use(const char *cache_dir, clbn_activation activation) {
    clbn_device_options options = listening_options();
    clbn_device *device = NULL;
    cl_command_queue queue = NULL;
    options.cache_dir = cache_dir;
    said_clear();
    ck_clbn(clbn_device_create(test_device_name(), &options, &device));
    ck_clbn(clbn_device_get_cl(device, NULL, NULL, &queue));
    batch b;
    batch_make(&b, case_named("tiny_outliers_lanes"), 0);
    const way w = plain_way(ON_HOST);
    clbn_config config = config_of(&b, &w, NULL);
    config.activation = activation;
    compiled = launched = 0;
    clbn_plan *plan = plan_of(device, &config);
    const unsigned plan_compiled = compiled, plan_launched = launched;
    ck_assert_msg(said()[0] == '\0' && said_notices()[0] == '\0', "said %s%s", said(), said_notices());
    if (activation == CLBN_IDENTITY) {
        scene s;
        scene_make(&s, &b, &w, TRAINING, queue, plan, "from a cache");
        ck_clbn(scene_call(&s, plan, NULL, 0, NULL, NULL));
        must_be_right(&s);
        scene_free(&s);
    }
    clbn_plan_destroy(plan);
    batch_free(&b);
    clbn_device_destroy(device);
    compiled = plan_compiled, launched = plan_launched;
}

START_TEST(a_second_device_neither_compiles_nor_tries) {
    folder_make();
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(compiled, 1);
    ck_assert_uint_gt(launched, 0);
    ck_assert_uint_eq(files(), 1);
    struct stat facts;
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_uint_eq(facts.st_mode & 0777, 0600);
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(compiled, 0);
    ck_assert_uint_eq(launched, 0);
    use(folder, CLBN_RELU); /* another program */
    ck_assert_uint_eq(compiled, 1);
    ck_assert_uint_eq(files(), 2);
    folder_remove();
}
END_TEST

START_TEST(a_folder_that_is_missing_is_made_and_without_one_no_file_is_touched) {
    folder_make();
    const size_t length = strlen(folder);
    use(NULL, CLBN_IDENTITY);
    ck_assert_uint_eq(files(), 0);
    strcat(folder, "/one/two");
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(files(), 1);
    folder_remove();
    folder[length + 4] = '\0';
    rmdir(folder);
    folder[length] = '\0';
    folder_remove();
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_or_read_costs_only_time) {
    static const char *const names[] = {"/dev/null/clbn", "/proc/clbn", "/dev/null", ""};
    char long_name[9000];
    memset(long_name, 'a', sizeof long_name);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = '\0';
    use(_i < 4 ? names[_i] : long_name, CLBN_IDENTITY);
    ck_assert_uint_eq(compiled, 1);
}
END_TEST

START_TEST(a_file_that_is_damaged_or_foreign_is_not_used_and_is_replaced) {
    if (test_is_short() && _i % 5 != 4) return;
    size_t bytes = 0;
    folder_make();
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(files(), 1);
    char *text = content(&bytes);
    damage(_i, text, bytes);
    use(folder, CLBN_IDENTITY);
    ck_assert_msg(compiled == 1, "damage %d: compiled %u times", _i, compiled);
    if (_i != DAMAGE_FOLDER) { /* nothing is put in a folder's place */
        use(folder, CLBN_IDENTITY);
        ck_assert_msg(compiled == 0, "damage %d was not mended", _i);
    }
    folder_remove();
}
END_TEST

START_TEST(a_file_of_another_program_is_not_used_in_its_place) {
    char name[PATH_MAX];
    size_t bytes = 0;
    folder_make();
    use(folder, CLBN_RELU);
    ck_assert_uint_eq(files(), 1);
    char *text = content(&bytes);
    ck_assert_int_eq(remove(path), 0);
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(files(), 1);
    snprintf(name, sizeof name, "%s", path);
    write_content(text, bytes);
    ck_assert_int_eq(chmod(name, 0600), 0);
    free(text);
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(compiled, 1);
    folder_remove();
}
END_TEST

extern char **environ;

START_TEST(sixteen_processes_share_a_folder) {
    enum { PROCESSES = 16 };
    pid_t all[PROCESSES];
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0 || test_is_short()) return;
    self[length] = '\0';
    folder_make();
    for (int i = 0; i < PROCESSES; i++) {
        char *const arguments[] = {self, folder, NULL};
        ck_assert_int_eq(posix_spawn(&all[i], self, NULL, NULL, arguments, environ), 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int ended = -1;
        ck_assert_int_eq(waitpid(all[i], &ended, 0), all[i]);
        ck_assert_msg(WIFEXITED(ended) && WEXITSTATUS(ended) == 0, "process %d ended with %d", i, ended);
    }
    ck_assert_uint_eq(files(), 1); /* no temporary is left */
    use(folder, CLBN_IDENTITY);
    ck_assert_uint_eq(compiled, 0);
    folder_remove();
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "cache");
    tcase_add_test(tests, a_second_device_neither_compiles_nor_tries);
    tcase_add_test(tests, a_folder_that_is_missing_is_made_and_without_one_no_file_is_touched);
    tcase_add_loop_test(tests, a_folder_that_cannot_be_made_or_read_costs_only_time, 0, 5);
    tcase_add_loop_test(tests, a_file_that_is_damaged_or_foreign_is_not_used_and_is_replaced, 0, DAMAGES);
    tcase_add_test(tests, a_file_of_another_program_is_not_used_in_its_place);
    tcase_add_test(tests, sixteen_processes_share_a_folder);
}

START_TEST(one_process_of_many) {
    for (int k = 0; k < 3; k++) use(folder, CLBN_IDENTITY);
}
END_TEST

static void add_one(Suite *suite) {
    tcase_add_test(add_tests(suite, "one"), one_process_of_many);
}

int main(int count, char **arguments) {
    if (count == 1) return run_suite("cache", add);
    snprintf(folder, sizeof folder, "%s", arguments[1]);
    return run_suite("one of many", add_one);
}
