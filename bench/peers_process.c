/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker processes: starting them, letting one run at a time, asking it something.
 */
#define _GNU_SOURCE
#include "peers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED      3
#define PATIENCE_MS 120000

int process_shared_memory(void) {
    int made = memfd_create("clbn-peers", 0);
    if (made < 0) perror("peers: memfd_create");
    return made;
}

/* The children live in groups of their own and die with the driver, stopped or not. */
static void become(const char *command, int in, int out, int shared) {
    size_t length = strlen(command) + sizeof "exec ";
    char *line = malloc(length);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    if (line && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(shared, SHARED) >= 0) {
        snprintf(line, length, "exec %s", command);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    }
    _exit(127);
}

static int lose(process *p, const char *why) {
    fprintf(stderr, "peers: %s: %s; it is left out\n", *p->name ? p->name : p->command, why);
    p->lost = 1;
    process_end(p);
    return -1;
}

static int read_line(process *p, char *line, size_t size) {
    size_t used = 0;
    struct pollfd ready = {.fd = p->from, .events = POLLIN};
    while (used + 1 < size) {
        if (poll(&ready, 1, PATIENCE_MS) <= 0) return lose(p, "no answer in time");
        if (read(p->from, line + used, 1) != 1) return lose(p, "it ended");
        if (line[used] == '\n') break;
        used++;
    }
    line[used] = '\0';
    return 0;
}

static void stop(process *p) {
    int status;
    kill(-p->pid, SIGSTOP);
    while (waitpid(p->pid, &status, WUNTRACED) == p->pid && !WIFSTOPPED(status))
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            p->pid = 0;
            return;
        }
}

int process_start(process *p, const char *command, int shared) {
    int in[2], out[2];
    char line[700];
    *p = (process){.command = command, .to = -1, .from = -1};
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return lose(p, "no pipe");
    p->pid = fork();
    if (p->pid == 0) become(command, in[0], out[1], shared);
    close(in[0]);
    close(out[1]);
    p->to = in[1];
    p->from = out[0];
    if (p->pid < 0) return lose(p, "no process");
    setpgid(p->pid, p->pid);
    if (read_line(p, line, sizeof line) != 0) return -1;
    if (sscanf(line, "hello %31s %599[^\n]", p->name, p->what) != 2) return lose(p, "it said something else than hello");
    stop(p);
    return 0;
}

void process_end(process *p) {
    if (p->to >= 0) close(p->to);
    if (p->from >= 0) close(p->from);
    p->to = p->from = -1;
    if (p->pid > 0) {
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    p->pid = 0;
}

int process_ask(process *p, char *answer, size_t size, const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (p->lost || length < 0 || (size_t)length >= sizeof line - 1) return -1;
    line[length++] = '\n';
    kill(-p->pid, SIGCONT);
    if (write(p->to, line, (size_t)length) != length) return lose(p, "it takes no line");
    if (read_line(p, answer, size) != 0) return -1;
    stop(p);
    return p->pid ? 0 : lose(p, "it ended");
}
