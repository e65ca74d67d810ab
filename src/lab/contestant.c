#include "lab/contestant.h"

/* The main process's side of the warden: orders go out as one message each, and reports are read
 * when they are due. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conn/exchange.h"
#include "lab/programs.h"

#define POLL_MS      20
#define HEALTH_NS    (2 * NS_PER_S) /* for one question */
#define HURRY_NS     (5 * NS_PER_S) /* for an end when somebody waits for the whole */
#define TAIL_BYTES   600
#define EXIT_SKIPPED 4 /* of a setup: this machine lacks something */

struct contestants {
    pid_t warden;
    int fd;
    struct warden_order order;
    bool (*stop)(void *arg); /* as the configuration has it */
    void *arg;
    off_t log_begin; /* of what it says itself: others may have written to its log before */
    struct warden_report ended; /* valid with has_ended */
    bool is_running, has_ended;
    struct address address;
    char address_text[ADDRESS_TEXT_BYTES];
};

/* --- the warden --- */

struct contestants *contestants_open(struct fail *f)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
        fail_set(f, EXIT_FAILED, "cannot make a socket for the warden of contestants: %s",
                 strerror(errno));
        return NULL;
    }
    pid_t warden = fork();
    if (warden == 0) {
        close(ends[0]);
        warden_run(ends[1]);
    }
    close(ends[1]);
    if (warden < 0) {
        fail_set(f, EXIT_FAILED, "cannot fork the warden of contestants: %s", strerror(errno));
        close(ends[0]);
        return NULL;
    }
    struct contestants *c = mem_need(1, sizeof *c);
    c->warden = warden;
    c->fd = ends[0];
    return c;
}

void contestants_close(struct contestants *c)
{
    if (!c)
        return;
    close(c->fd);
    while (waitpid(c->warden, NULL, 0) < 0 && errno == EINTR)
        ;
    free(c);
}

/* Should even the warden be killed, the kernel ends what it had started, but not what that had
 * started in turn: its group is ours to end. */
static void lose_warden(struct contestants *c)
{
    if (c->is_running && c->ended.pid > 0)
        kill(-c->ended.pid, SIGKILL);
    c->is_running = false;
    c->ended = (struct warden_report){.status = SIGKILL};
    c->has_ended = true;
}

static bool fail_warden(struct contestants *c, struct fail *f)
{
    lose_warden(c);
    return fail_set(f, EXIT_FAILED, "the warden of contestants has gone");
}

/* The next report of this kind; ENDED ones on the way are kept. */
static bool await_report(struct contestants *c, unsigned kind, struct warden_report *r,
                         struct fail *f)
{
    for (;;) {
        ssize_t got = recv(c->fd, r, sizeof *r, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof *r)
            return fail_warden(c, f);
        if (r->kind == WARDEN_ENDED) {
            c->ended = *r;
            c->has_ended = true;
        }
        if (r->kind == kind)
            return true;
    }
}

static bool has_ended(struct contestants *c)
{
    struct pollfd wait = {.fd = c->fd, .events = POLLIN};
    if (!c->has_ended && poll(&wait, 1, 0) > 0) {
        struct warden_report r;
        if (recv(c->fd, &r, sizeof r, 0) == (ssize_t)sizeof r) {
            c->ended = r;
            c->has_ended = true;
        } else {
            lose_warden(c);
        }
    }
    return c->has_ended;
}

/* Has the warden end what runs, and all that it started. */
static bool end(struct contestants *c, struct warden_report *r, struct fail *f)
{
    static struct warden_order the_end;
    the_end.stop_wait_ns = c->order.stop_wait_ns;
    if (c->stop(c->arg) && the_end.stop_wait_ns > HURRY_NS)
        the_end.stop_wait_ns = HURRY_NS;
    if (send(c->fd, &the_end, sizeof the_end, MSG_NOSIGNAL) != (ssize_t)sizeof the_end)
        return fail_warden(c, f);
    bool is_ended = await_report(c, WARDEN_STOPPED, r, f);
    c->is_running = false;
    return is_ended;
}

/* --- its output --- */

static off_t log_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_size;
}

/* Its last lines as one, harmless to print; "" if there are none. */
static const char *log_tail(const struct contestants *c, int lines, char shown[512])
{
    char tail[TAIL_BYTES + 1] = "";
    size_t len = 0;
    int fd = open(c->order.log, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END), from = c->log_begin;
        ssize_t got = pread(fd, tail, TAIL_BYTES,
                            end - from > TAIL_BYTES ? end - TAIL_BYTES : from);
        len = got > 0 ? (size_t)got : 0;
        close(fd);
    }
    while (len && tail[len - 1] == '\n')
        tail[--len] = 0;
    const char *from = tail + len;
    for (int seen = 0; from > tail; from--)
        if (from[-1] == '\n' && ++seen == lines)
            break;
    for (char *at = tail; at < tail + len; at++)
        if (*at == '\n' || *at == '\t' || !*at)
            *at = ' ';
    return log_escape((struct span){from, len - (size_t)(from - tail)}, shown, 512);
}

static bool fail_with_log(const struct contestants *c, struct fail *f, const char *what)
{
    char shown[512];
    log_tail(c, 5, shown);
    return fail_set(f, EXIT_FAILED, "%s%s%s (its output: %s)", what,
                    *shown ? "; the last lines of its output: " : "", shown, c->order.log);
}

static bool fail_ended(const struct contestants *c, struct fail *f)
{
    char what[96];
    int status = c->ended.status;
    if (WIFSIGNALED(status))
        snprintf(what, sizeof what, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(what, sizeof what, "ended by itself with exit status %d", WEXITSTATUS(status));
    return fail_with_log(c, f, what);
}

/* --- starting --- */

/* Everything of an order but its words. */
static void begin_order(struct contestants *c, const struct contestant_config *config)
{
    struct warden_order *o = &c->order;
    const struct target_file *t = config->file;
    *o = (struct warden_order){.stop_signal = t->stop_signal,
                               .stop_wait_ns = t->stop_timeout_ns,
                               .descriptors = config->descriptors};
    snprintf(o->directory, sizeof o->directory, "%s", t->directory);
    snprintf(o->log, sizeof o->log, "%s", config->log);
    c->stop = config->stop;
    c->arg = config->arg;
    o->cpus = config->cpus && CPU_COUNT(config->cpus) ? *config->cpus : *cpus_given();
    o->is_limited = config->limits;
    if (config->limits)
        memcpy(o->groups, config->limits->groups, sizeof o->groups);
}

static bool add_env(struct contestants *c, const struct contestant_config *config,
                    const struct target_places *places, struct fail *f)
{
    const struct target_file *t = config->file;
    char go_threads[32];
    snprintf(go_threads, sizeof go_threads, "GOMAXPROCS=%u", config->go_threads);
    if (config->go_threads && !target_file_entry(go_threads, "env", places, &c->order.env, f))
        return false;
    for (unsigned i = 0; i < t->env_count; i++)
        if (!target_file_entry(t->env[i], "env", places, &c->order.env, f))
            return false;
    return true;
}

static bool give_order(struct contestants *c, struct fail *f)
{
    struct warden_report r;
    c->has_ended = false;
    c->log_begin = log_size(c->order.log);
    if (send(c->fd, &c->order, sizeof c->order, MSG_NOSIGNAL) != (ssize_t)sizeof c->order)
        return fail_warden(c, f);
    if (!await_report(c, WARDEN_STARTED, &r, f))
        return false;
    if (r.error)
        return fail_set(f, EXIT_FAILED, "could not be started with its output in %s: %s",
                        c->order.log, strerror(r.error));
    c->ended.pid = r.pid;
    c->is_running = true;
    return true;
}

/* --- setup --- */

static bool has_needs(const struct target_file *t, struct fail *f)
{
    char path[PROGRAMS_PATH_BYTES], needs[128], mend[512];
    if (!*t->needs || programs_find(t->needs, path))
        return true;
    return fail_set(f, EXIT_LACKING, "needs %s, which is not in PATH%s%s",
                    log_escape(span_of(t->needs), needs, sizeof needs),
                    *t->mend ? "; mend it by: " : "",
                    log_escape(span_of(t->mend), mend, sizeof mend));
}

static bool judge_setup(struct contestants *c, struct fail *f)
{
    char shown[512];
    int status = c->ended.status;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
        return fail_set(f, EXIT_LACKING, "%s", log_tail(c, 1, shown));
    fail_ended(c, f);
    return fail_prefix(f, "setup");
}

static bool await_end(struct contestants *c, const struct contestant_config *config, struct fail *f)
{
    while (!has_ended(c)) {
        if (config->stop(config->arg))
            return fail_set(f, EXIT_FAILED, "interrupted");
        poll(&(struct pollfd){.fd = c->fd, .events = POLLIN}, 1, POLL_MS);
    }
    return true;
}

bool contestant_setup(struct contestants *c, const struct contestant_config *config, struct fail *f)
{
    const struct target_file *t = config->file;
    struct warden_report r;
    struct fail ignored;
    if (!has_needs(t, f))
        return false;
    if (!*t->setup)
        return true;
    static const struct target_places nowhere = {"127.0.0.1", 1, "-", "-", "-", 1, 1};
    begin_order(c, config);
    if (!target_file_words(t->setup, "setup", &nowhere, &c->order.words, f) ||
        !add_env(c, config, &nowhere, f))
        return false;
    c->order.cpus = *cpus_given();
    c->order.descriptors = 0;
    c->order.is_limited = false;
    if (!give_order(c, f))
        return false;
    bool is_good = await_end(c, config, f) && judge_setup(c, f);
    return end(c, &r, is_good ? f : &ignored) && is_good;
}

/* --- health --- */

static bool is_healthy(struct contestants *c, const char *path, unsigned *status)
{
    char request[512];
    struct exchange x = {.deadline_ns = clock_ns() + HEALTH_NS};
    struct exchange_reply reply;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             path, c->address_text);
    bool has_reply = exchange_open(&x, &c->address) == EXCHANGE_REPLIED &&
                     exchange_send(&x, span_of(request)) == EXCHANGE_REPLIED &&
                     exchange_read(&x, HTTP_GET, &reply) == EXCHANGE_REPLIED;
    if (has_reply)
        *status = reply.head.status;
    exchange_close(&x);
    return has_reply && *status == 200;
}

static bool await_health(struct contestants *c, const struct contestant_config *config,
                         struct fail *f)
{
    const struct target_file *t = config->file;
    uint64_t deadline = clock_ns() + t->start_timeout_ns;
    char what[512], within[UNITS_TEXT_BYTES];
    unsigned status = 0;
    while (!is_healthy(c, t->health, &status)) {
        if (has_ended(c)) {
            fail_ended(c, f);
            return fail_prefix(f, "start");
        }
        if (config->stop(config->arg))
            return fail_set(f, EXIT_FAILED, "interrupted while it was starting");
        if (clock_ns() < deadline) {
            poll(&(struct pollfd){.fd = c->fd, .events = POLLIN}, 1, POLL_MS);
            continue;
        }
        int len = snprintf(what, sizeof what, "was not healthy within %s: GET http://%s%s ",
                           units_duration_text(t->start_timeout_ns, within), c->address_text,
                           t->health);
        if (status)
            snprintf(what + len, sizeof what - (size_t)len, "answered %u, expected 200", status);
        else
            snprintf(what + len, sizeof what - (size_t)len, "was never answered");
        return fail_with_log(c, f, what);
    }
    return true;
}

bool contestant_start(struct contestants *c, const struct contestant_config *config, struct fail *f)
{
    const struct target_file *t = config->file;
    struct target_places places = config->places;
    struct fail ignored;
    if (!sock_free_port(&c->address, f))
        return false;
    address_text(&c->address, c->address_text);
    begin_order(c, config);
    places.host = "127.0.0.1";
    places.port = address_port(&c->address);
    if (!target_file_words(t->command, "command", &places, &c->order.words, f) ||
        !add_env(c, config, &places, f) || !give_order(c, f))
        return false;
    if (await_health(c, config, f))
        return true;
    (void)!contestant_stop(c, &ignored);
    return false;
}

/* --- while it runs, and its end --- */

pid_t contestant_pid(const struct contestants *c)
{
    return c->is_running ? c->ended.pid : 0;
}

const char *contestant_address(const struct contestants *c)
{
    return c->address_text;
}

bool contestant_is_up(struct contestants *c, struct fail *f)
{
    return !has_ended(c) || fail_ended(c, f);
}

static bool fail_stubborn(const struct contestants *c, struct fail *f)
{
    char what[96], within[UNITS_TEXT_BYTES];
    snprintf(what, sizeof what, "did not end within %s of being told to, and was killed",
             units_duration_text(c->order.stop_wait_ns, within));
    return fail_with_log(c, f, what);
}

bool contestant_stop(struct contestants *c, struct fail *f)
{
    struct warden_report r;
    bool had_ended = has_ended(c);
    if (!end(c, &r, f))
        return false;
    if (had_ended)
        return fail_ended(c, f);
    if (r.was_killed)
        return fail_stubborn(c, f);
    if (r.left[0]) {
        char left[512];
        return fail_set(f, EXIT_FAILED,
                        "left processes behind, which were killed: %s; a target has to run in the "
                        "foreground and to end with all that it started",
                        log_escape(span_of(r.left), left, sizeof left));
    }
    return true;
}
