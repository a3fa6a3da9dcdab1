/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn, the command-line tool: reads the command line and hands over to the command.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

static int dispatch(const options *o) {
    switch (o->command) {
    case COMMAND_NORMALIZE:
        return run_normalize(o);
    case COMMAND_BACKWARD:
        return run_backward(o);
    case COMMAND_MOMENTS:
        return run_moments(o);
    case COMMAND_DEVICES:
        return run_devices(o);
    case COMMAND_BENCH:
        return run_bench(o);
    case COMMAND_TUNE:
        return run_tune(o);
    case COMMAND_VERIFY:
        return run_verify(o);
    case COMMAND_HELP:
        options_print_usage(COMMAND_HELP);
        return EXIT_DONE;
    case COMMAND_VERSION:
        note("clbn %s", clbn_version());
        return EXIT_DONE;
    default:
        return EXIT_DONE; /* the usage of one command has been printed */
    }
}

int main(int argc, char **argv) {
    options o;
    int status = options_parse(&o, argc, argv);
    if (status == EXIT_DONE) status = dispatch(&o);
    if (status == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout)))
        status = fail_run("standard output: cannot be written: %s", strerror(errno));
    return status;
}
