#include "lab/warden.h"

/* One process, one thread, its own session: a terminal's Ctrl-C passes it by. Being a subreaper it is
 * given every process whose parent has died, however often that forked and whatever session it made
 * for itself, so that what a contestant leaves behind is always among the warden's children. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lab/files.h"
#include "net/sock.h"

#define GRACE_WAIT_NS NS_PER_S /* for workers to follow their parent */
#define POLL_NS       (20 * NS_PER_MS)
#define KILLS_MAX     250 /* of what is left, one each POLL_NS at least */
#define REMOVALS_MAX  50

static struct {
    int fd, signals;
    struct warden_order *order;
    pid_t pid; /* of the contestant; 0: none */
    bool has_ended;
    int status;
} w;

/* --- a process of its own --- */

static void set_handlers(void (*handler)(int number))
{
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &(struct sigaction){.sa_handler = handler}, NULL);
}

static void settle(int fd)
{
    sigset_t child;
    setsid();
    prctl(PR_SET_NAME, "iubench-warden");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    set_handlers(SIG_DFL);
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGUSR1};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        sigaction(ignored[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);

    w.fd = files_keep_only(fd);
    w.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    w.order = mem_need(1, sizeof *w.order);
    sock_raise_descriptors(); /* as a pod has them; not every runtime does so itself */
}

static void report(struct warden_report *r)
{
    r->pid = w.pid;
    send(w.fd, r, sizeof *r, MSG_NOSIGNAL);
}

/* --- starting --- */

static void enter_groups(void)
{
    for (int i = 0; i < WARDEN_GROUPS_MOST && w.order->is_limited; i++) {
        char path[WARDEN_GROUP_BYTES + 16];
        if (!*w.order->groups[i])
            continue;
        snprintf(path, sizeof path, "%s/cgroup.procs", w.order->groups[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || dprintf(fd, "%d", getpid()) < 0) {
            dprintf(2, "iubench: cannot enter the control group %s: %s\n", w.order->groups[i],
                    strerror(errno));
            _exit(127);
        }
        close(fd);
    }
}

/* In the child, up to the program. It ends with the warden, should even that be killed. */
static void become_contestant(pid_t warden, int log) __attribute__((noreturn));
static void become_contestant(pid_t warden, int log)
{
    struct warden_order *o = w.order;
    char **argv = mem_need(o->words.count + 1, sizeof *argv), *word = o->words.text;
    sigset_t none;
    sigemptyset(&none);
    set_handlers(SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, 1);
    dup2(log, 2);
    if (getppid() != warden)
        _exit(1);
    for (unsigned i = 0; i < o->words.count; i++, word += strlen(word) + 1)
        argv[i] = word;
    char *entry = o->env.text;
    for (unsigned i = 0; i < o->env.count; i++, entry += strlen(entry) + 1)
        putenv(entry);
    sched_setaffinity(0, sizeof o->cpus, &o->cpus);
    enter_groups();
    if (o->descriptors)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){o->descriptors, o->descriptors});
    if (chdir(o->directory) == 0)
        execvp(argv[0], argv);
    dprintf(2, "iubench: cannot run %s in %s: %s\n", argv[0], o->directory, strerror(errno));
    _exit(127);
}

static void start(void)
{
    struct warden_report r = {.kind = WARDEN_STARTED};
    pid_t warden = getpid();
    int log = open(w.order->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    w.has_ended = false;
    w.pid = log < 0 ? -1 : fork();
    if (w.pid == 0)
        become_contestant(warden, log);
    if (w.pid < 0) {
        r.error = errno;
        w.pid = 0;
    }
    if (log >= 0)
        close(log);
    report(&r);
}

/* --- watching --- */

/* Takes what has ended; true once no child is left. */
static bool reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == w.pid) {
            w.has_ended = true;
            w.status = status;
        }
    return pid < 0;
}

static void child_ended(void)
{
    struct signalfd_siginfo info;
    bool had_ended = w.has_ended;
    while (read(w.signals, &info, sizeof info) > 0)
        ;
    reap();
    if (w.pid && w.has_ended && !had_ended)
        report(&(struct warden_report){.kind = WARDEN_ENDED, .status = w.status});
}

/* --- stopping --- */

static bool has_ended(void)
{
    reap();
    return w.has_ended;
}

static bool await(bool (*is_so)(void), uint64_t most_ns)
{
    uint64_t deadline = clock_ns() + most_ns;
    while (!is_so()) {
        if (clock_ns() > deadline)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return true;
}

/* Kills our children, which after that are given us the next generation, and so on; `names` NULL:
 * not asked for. */
static void kill_children(char names[WARDEN_NAMES_BYTES])
{
    char path[64], name[32];
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *comm = names ? fopen(path, "re") : NULL;
        if (comm && fscanf(comm, "%31[^\n]", name) == 1) {
            size_t len = strlen(names);
            snprintf(names + len, WARDEN_NAMES_BYTES - len, "%s%s", len ? ", " : "", name);
        }
        if (comm)
            fclose(comm);
        kill(pid, SIGKILL);
    }
    if (file)
        fclose(file);
}

/* The contestant is told to end, and killed with its group if it does not; what is left then had a
 * moment to follow it, and is what was left behind. */
static void stop(struct warden_report *r)
{
    if (w.pid && !has_ended()) {
        kill(w.pid, w.order->stop_signal);
        r->was_killed = !await(has_ended, w.order->stop_wait_ns);
        if (r->was_killed)
            kill(-w.pid, SIGKILL);
    }
    if (!await(reap, GRACE_WAIT_NS)) {
        kill_children(r->left);
        for (unsigned i = 0; i < KILLS_MAX && !await(reap, POLL_NS); i++)
            kill_children(NULL); /* one of another user would live on */
    }
    r->kind = WARDEN_STOPPED;
    r->status = w.status;
}

/* The main process does so itself unless it was killed. What has just ended may still count. */
static void remove_groups(void)
{
    for (int i = 0; i < WARDEN_GROUPS_MOST; i++) {
        const char *group = w.order->groups[i];
        for (int k = 0; *group && rmdir(group) && errno == EBUSY && k < REMOVALS_MAX; k++)
            nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

void warden_run(int fd)
{
    settle(fd);
    struct pollfd waits[] = {{.fd = w.fd, .events = POLLIN}, {.fd = w.signals, .events = POLLIN}};
    struct warden_report r;
    for (;;) {
        if (poll(waits, 2, -1) < 0)
            continue;
        if (waits[1].revents)
            child_ended();
        if (!waits[0].revents)
            continue;
        struct warden_order next;
        if (recv(w.fd, &next, sizeof next, 0) != (ssize_t)sizeof next)
            break;
        r = (struct warden_report){0};
        if (next.words.count) {
            *w.order = next;
            start();
        } else {
            w.order->stop_wait_ns = next.stop_wait_ns;
            stop(&r);
            report(&r);
            w.pid = 0;
        }
    }
    w.order->stop_signal = SIGKILL;
    stop(&r);
    remove_groups();
    _exit(0);
}
