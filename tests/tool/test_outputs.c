/* SPDX-License-Identifier: Apache-2.0
 *
 * All outputs of a call or none: what survives a failure, what a name may stand for, and that no temporary stays.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "support.h"

static const float six[] = {1, 2, 3, 4, 5, 9};

static void put_x(void) {
    put_floats("x.npy", "(2, 3)", six, 6);
}

static unsigned entries_of(const char *folder) {
    unsigned count = 0;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) count += entry->d_name[0] != '.';
    if (entries) closedir(entries);
    return count;
}

/* Runs on an OpenCL device where there is one, with these in the environment, and gives them back. */
static void run_with(const char *cache, const char *xdg, const char *home) {
    static const char *const names[] = {"CLBN_CACHE", "XDG_CACHE_HOME", "HOME"};
    const char *const values[] = {cache, xdg, home};
    char *before[3];
    for (int i = 0; i < 3; i++) {
        before[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
        if (values[i])
            setenv(names[i], values[i], 1);
        else
            unsetenv(names[i]);
    }
    OK("normalize", "x.npy", "-o", "y.npy");
    for (int i = 0; i < 3; i++) {
        if (before[i])
            setenv(names[i], before[i], 1);
        else
            unsetenv(names[i]);
        free(before[i]);
    }
}

START_TEST(kernels_are_kept_in_the_users_cache_folder_unless_that_is_off) {
    char here[1024], name[1100];
    put_x();
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    const unsigned kept = strstr(CLBN("normalize", "x.npy", "-o", "y.npy")->out, "CPU path") ? 0 : 1;
    snprintf(name, sizeof name, "%s/off", here);
    run_with("off", name, name);
    ck_assert_uint_eq(entries_of("off/clbn") + entries_of("off/.cache/clbn"), 0);
    snprintf(name, sizeof name, "%s/xdg", here);
    run_with(NULL, name, here);
    ck_assert_uint_eq(entries_of("xdg/clbn"), kept);
    run_with("", "relative", here); /* which the standard says to ignore */
    ck_assert_uint_eq(entries_of("relative/clbn"), 0);
    ck_assert_uint_eq(entries_of(".cache/clbn"), kept);
    run_with(NULL, NULL, NULL);
}
END_TEST

static void check_no_temporary(const char *folder) {
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        ck_assert_msg(strncmp(entry->d_name, ".clbn", 5) != 0, "%s stays", entry->d_name);
    closedir(entries);
}

START_TEST(all_outputs_are_there_and_nothing_else) {
    float values[6];
    put_x();
    OK("normalize", "x.npy", "-o", "y.npy", "--mean-out=m.npy", "--var-out=v.npy", "--inv-std-out=s.npy",
       "--running-mean-out=rm.npy", "--running-var-out=rv.csv", "--device=cpu");
    get_floats("y.npy", "(2, 3)", values, 6);
    get_floats("m.npy", "(3,)", values, 3);
    get_floats("v.npy", "(3,)", values, 3);
    get_floats("s.npy", "(3,)", values, 3);
    get_floats("rm.npy", "(3,)", values, 3);
    ck_assert(exists("rv.csv"));
    check_no_temporary(".");
}
END_TEST

START_TEST(an_output_that_cannot_be_written_is_status_1_and_leaves_the_others) {
    put_x();
    put_text("y.npy", "old");
    ck_assert_int_eq(mkdir("folder.npy", 0777), 0);
    REFUSED(1, "--mean-out none/m.npy|none", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "none/m.npy", "--device", "cpu");
    REFUSED(1, "--mean-out x.npy/m.npy", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "x.npy/m.npy", "--device", "cpu");
    REFUSED(1, "--mean-out folder.npy|regular", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "folder.npy", "--device",
            "cpu");
    REFUSED(2, "--mean-out m.txt|.npy or .csv", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "m.txt", "--device", "cpu");
    REFUSED(1, "--mean-out none/m.npy", "moments", "x.npy", "--mean-out", "none/m.npy", "--device", "cpu");
}
END_TEST

/* A limit on file sizes is a full disk that any user can have: y fits, the temporary of the second output does not. */
START_TEST(a_full_disk_leaves_what_was_there) {
    static float many[40000];
    char command[8192];
    put_floats("x.npy", "(1, 40000)", many, 40000);
    put_text("y.npy", "old y");
    put_text("m.csv", "old m");
    snprintf(command, sizeof command,
             "trap '' XFSZ; ulimit -f 400; exec %s normalize x.npy -o y.npy --inv-std-out m.csv --device cpu >out 2>err",
             CLBN_TOOL_PATH);
    ck_assert_int_eq(system(command) >> 8, 1);
    ck_assert_ptr_nonnull(strstr(get_text("err"), "clbn: --inv-std-out m.csv: cannot be written"));
    ck_assert_str_eq(get_text("y.npy"), "old y");
    ck_assert_str_eq(get_text("m.csv"), "old m");
    check_no_temporary(".");
}
END_TEST

START_TEST(two_outputs_need_two_files) {
    put_x();
    REFUSED(2, "--mean-out y.npy|-o y.npy", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "y.npy", "--device", "cpu");
    REFUSED(2, "--mean-out ./y.npy|-o y.npy", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "./y.npy", "--device", "cpu");
    REFUSED(2, "--var-out m.csv|--mean-out m.csv", "moments", "x.npy", "--mean-out", "m.csv", "--var-out", "m.csv");
    put_text("y.npy", "old");
    ck_assert_int_eq(symlink("y.npy", "link.npy"), 0);
    REFUSED(2, "--mean-out link.npy|-o y.npy", "normalize", "x.npy", "-o", "y.npy", "--mean-out", "link.npy", "--device", "cpu");
}
END_TEST

START_TEST(an_output_may_replace_an_input) {
    float y[6], again[6], running[3], expected[3];
    put_x();
    OK("normalize", "x.npy", "-o", "y.npy", "--running-mean-out", "rm.npy", "--device", "cpu");
    get_floats("y.npy", "(2, 3)", y, 6);
    OK("normalize", "x.npy", "--running-mean", "rm.npy", "--running-mean-out", "rm2.npy", "--device", "cpu");
    OK("normalize", "x.npy", "-o", "x.npy", "--running-mean", "rm.npy", "--running-mean-out", "rm.npy", "--device", "cpu");
    get_floats("x.npy", "(2, 3)", again, 6);
    get_floats("rm.npy", "(3,)", running, 3);
    get_floats("rm2.npy", "(3,)", expected, 3);
    ck_assert_mem_eq(y, again, sizeof y);
    ck_assert_mem_eq(running, expected, sizeof running);
}
END_TEST

START_TEST(a_link_stays_a_link_and_a_mode_stays) {
    struct stat info;
    float y[6];
    put_x();
    ck_assert_int_eq(mkdir("there", 0777), 0);
    put_text("there/y.npy", "old");
    ck_assert_int_eq(chmod("there/y.npy", 0640), 0);
    ck_assert_int_eq(symlink("there/y.npy", "y.npy"), 0);
    OK("normalize", "x.npy", "-o", "y.npy", "--device", "cpu");
    ck_assert(lstat("y.npy", &info) == 0 && S_ISLNK(info.st_mode));
    ck_assert_int_eq(stat("there/y.npy", &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0640);
    get_floats("there/y.npy", "(2, 3)", y, 6);
    check_no_temporary("there");
}
END_TEST

/* From outside a rename fails only for what the checks before have seen; so the parts are driven here, and the third target
 * becomes a folder when the checks are past. */
START_TEST(a_failed_rename_puts_the_old_files_back) {
    output_set set = {0};
    size_t one = 1;
    array a;
    put_text("a.npy", "old a");
    ck_assert_int_eq(array_make(&a, (file_ref){"", "a"}, ARRAY_F32, 1, &one), EXIT_DONE);
    *(float *)a.data = 1;
    static const char *const names[] = {"a.npy", "b.npy", "c.npy"};
    for (int i = 0; i < 3; i++) ck_assert_int_eq(output_add(&set, names[i], names[i]), EXIT_DONE);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(output_write(&set, names[i], &a), EXIT_DONE);
    ck_assert_int_eq(mkdir("c.npy", 0777), 0);
    int quiet = open("/dev/null", O_WRONLY), loud = dup(STDERR_FILENO);
    dup2(quiet, STDERR_FILENO);
    int status = output_commit(&set);
    dup2(loud, STDERR_FILENO);
    close(quiet);
    close(loud);
    output_close(&set);
    array_free(&a);
    ck_assert_int_eq(status, EXIT_RUN);
    ck_assert_str_eq(get_text("a.npy"), "old a");
    ck_assert(!exists("b.npy"));
    check_no_temporary(".");
}
END_TEST

START_TEST(a_call_that_is_stopped_leaves_no_temporary) {
    char command[8192];
    put_floats("x.npy", "(1, 3)", six, 3);
    put_text("y.csv", "old");
    FILE *stream = fopen("x.csv", "w");
    for (int i = 0; i < 400000; i++) fprintf(stream, "1.2345678,2.3456789,3.4567891\n");
    fclose(stream);
    /* Stopped as soon as the temporary is there. */
    snprintf(command, sizeof command,
             "%s normalize x.csv -o y.csv --device cpu >out 2>err & p=$!; i=0; "
             "while [ $i -lt 3000000 ]; do set -- .clbn-*; [ -e \"$1\" ] && break; i=$((i+1)); done; "
             "echo \"$1\" >seen; kill -TERM $p; wait $p; echo $? >status",
             CLBN_TOOL_PATH);
    ck_assert_int_eq(system(command), 0);
    ck_assert_ptr_null(strstr(get_text("seen"), "*"));
    ck_assert_str_eq(get_text("status"), "143\n");
    ck_assert_str_eq(get_text("y.csv"), "old");
    check_no_temporary(".");
}
END_TEST

void add_outputs(Suite *suite) {
    TCase *tests = add_case(suite, "outputs");
    tcase_add_test(tests, all_outputs_are_there_and_nothing_else);
    tcase_add_test(tests, kernels_are_kept_in_the_users_cache_folder_unless_that_is_off);
    tcase_add_test(tests, an_output_that_cannot_be_written_is_status_1_and_leaves_the_others);
    tcase_add_test(tests, a_full_disk_leaves_what_was_there);
    tcase_add_test(tests, two_outputs_need_two_files);
    tcase_add_test(tests, an_output_may_replace_an_input);
    tcase_add_test(tests, a_link_stays_a_link_and_a_mode_stays);
    tcase_add_test(tests, a_failed_rename_puts_the_old_files_back);
    tcase_add_test(tests, a_call_that_is_stopped_leaves_no_temporary);
}
