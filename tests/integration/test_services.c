/* Private services, started and ended in every way that a run can end. Each test hosts them in a
 * child process, which stands for iubench, so that it can be killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/services.h"

#define GONE_WAIT_NS (15 * NS_PER_S)

static const struct services_config both = {
    .wants_postgres = true, .wants_memcached = true, .max_connections = 33};

struct outcome {
    bool is_up;
    struct services services;
    struct fail fail;
};

struct host {
    pid_t pid;
    int report, end; /* pipes: from the host; to it, whose closing asks it to stop */
    struct outcome outcome;
};

/* What the host is to do to a service. */
struct request {
    enum service which;
    enum service_order order;
    uint32_t limit;
};

static bool carry_out(struct services *s, const struct request *r, struct fail *f)
{
    bool is_done = false;
    if (!services_order(s, r->which, r->order, r->limit, f))
        return false;
    while (!is_done) {
        if (!services_ordered(s, &is_done, f))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    return true;
}

/* In the child: starts, reports, does what it is asked to and reports again, and stops in the end. */
static void live(const struct services_config *config, int report, int end)
{
    struct outcome outcome = {0};
    struct request request;
    outcome.is_up = services_start(&outcome.services, config, &outcome.fail);
    do {
        if (write(report, &outcome, sizeof outcome) != sizeof outcome)
            _exit(2);
        if (read(end, &request, sizeof request) != sizeof request)
            break;
        outcome.is_up = carry_out(&outcome.services, &request, &outcome.fail);
    } while (true);
    services_stop(&outcome.services);
    _exit(outcome.services.keeper != 0);
}

static void host_fork(struct host *h, const struct services_config *config)
{
    int report[2], end[2];
    assert_int_equal(pipe(report), 0);
    assert_int_equal(pipe(end), 0);
    fflush(NULL);
    h->pid = fork();
    assert_true(h->pid >= 0);
    if (h->pid == 0) {
        /* Only its own ends of its own pipes. */
        setpgid(0, 0);
        dup2(report[1], report[0]);
        dup2(end[0], end[1]);
        for (int fd = 3; fd < 64; fd++)
            if (fd != report[0] && fd != end[1])
                close(fd);
        live(config, report[0], end[1]);
    }
    setpgid(h->pid, h->pid);
    close(report[1]);
    close(end[0]);
    h->report = report[0];
    h->end = end[1];
}

static void host_await(struct host *h)
{
    assert_int_equal(read(h->report, &h->outcome, sizeof h->outcome), sizeof h->outcome);
}

/* The same of a host that is expected to be up. */
static void host_await_up(struct host *h)
{
    host_await(h);
    if (!h->outcome.is_up)
        fail_msg("%s", h->outcome.fail.text);
}

static void host_start(struct host *h, const struct services_config *config)
{
    host_fork(h, config);
    host_await_up(h);
}

/* Has it do something to a service, and returns whether that was done. */
static bool host_ask_limit(struct host *h, enum service which, enum service_order order,
                           uint32_t limit)
{
    struct request request = {which, order, limit};
    assert_int_equal(write(h->end, &request, sizeof request), sizeof request);
    host_await(h);
    return h->outcome.is_up;
}

static bool host_ask(struct host *h, enum service which, enum service_order order)
{
    return host_ask_limit(h, which, order, 0);
}

/* Asks the host to stop and returns its exit status. */
static int host_stop(struct host *h)
{
    int status;
    close(h->end);
    close(h->report);
    assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
    return status;
}

static bool is_alive(pid_t pid)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return pid > 0 && kill(pid, 0) == 0;
}

static bool is_gone(const struct services *s)
{
    return !is_alive(s->pg_pid) && !is_alive(s->memcached_pid) && !is_alive(s->keeper) &&
           access(s->folder, F_OK) != 0;
}

static void await_gone(const struct services *s)
{
    uint64_t deadline = clock_ns() + GONE_WAIT_NS;
    while (!is_gone(s) && clock_ns() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_true(is_gone(s));
}

int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);

/* A child may end right after somebody asked whether it had. Here it nearly always does: an answer
 * "not yet" is held back while it becomes wrong. */
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    int result = __real_waitid(type, id, info, options);
    uint64_t deadline = clock_ns() + 50 * NS_PER_MS;
    siginfo_t now = {0};
    while (result == 0 && (options & WNOHANG) && !info->si_pid && !now.si_pid &&
           clock_ns() < deadline) {
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        __real_waitid(type, id, &now, WEXITED | WNOHANG | WNOWAIT);
    }
    return result;
}

static PGconn *connect_to(const struct services *s)
{
    PGconn *connection = PQconnectdb(s->pg_uri);
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    return connection;
}

static void execute(PGconn *connection, const char *query)
{
    PGresult *result = PQexec(connection, query);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(connection));
    PQclear(result);
}

static void assert_value(PGconn *connection, const char *query, const char *expected)
{
    PGresult *result = PQexec(connection, query);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_string_equal(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
}

static void assert_setting(PGconn *connection, const char *name, const char *expected)
{
    char query[128];
    snprintf(query, sizeof query, "show %s", name);
    assert_value(connection, query, expected);
}

/* Asks memcached for its version; returns the connection, or -1 where nobody is. */
static int ask_memcached(const struct services *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%.100s", s->memcached);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0) {
        assert_int_equal(write(fd, "version\r\n", 9), 9);
        return fd;
    }
    close(fd);
    return -1;
}

static bool answers_within(int fd, int ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ms) > 0;
}

static void assert_memcached_answers(const struct services *s)
{
    char answer[64] = "", expected[64];
    snprintf(expected, sizeof expected, "VERSION %s\r\n", s->memcached_version);
    int fd = ask_memcached(s);
    assert_true(fd >= 0);
    assert_true(read(fd, answer, sizeof answer - 1) > 0);
    assert_string_equal(answer, expected);
    close(fd);
}

/* Both servers answer, PostgreSQL with the published settings, nobody else can reach them, and a
 * stop leaves nothing. */
static void test_start_and_stop(void **state)
{
    (void)state;
    struct host h;
    struct stat st;
    host_start(&h, &both);
    const struct services *s = &h.outcome.services;
    assert_int_equal(stat(s->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    PGconn *connection = connect_to(s);
    static const char *const settings[][2] = {
        {"listen_addresses", ""},    {"fsync", "on"},
        {"full_page_writes", "on"},  {"synchronous_commit", "off"},
        {"max_connections", "33"},   {"wal_buffers", "16MB"},
        {"TimeZone", "Etc/UTC"},     {"checkpoint_completion_target", "0.9"},
        {"server_encoding", "UTF8"}, {"effective_io_concurrency", "200"},
        {"random_page_cost", "1.1"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_setting(connection, settings[i][0], settings[i][1]);
    assert_int_equal(strncmp(PQparameterStatus(connection, "server_version"), s->pg_version,
                             strlen(s->pg_version)),
                     0);
    PQfinish(connection);
    assert_memcached_answers(s);

    assert_int_equal(host_stop(&h), 0);
    assert_true(is_gone(s));
}

/* Committing on its own is on when asked for. */
static void test_sync_commit(void **state)
{
    (void)state;
    struct services_config config = {.wants_postgres = true, .is_sync_commit_on = true};
    struct host h;
    host_start(&h, &config);
    PGconn *connection = PQconnectdb(h.outcome.services.pg_uri);
    assert_setting(connection, "synchronous_commit", "on");
    assert_setting(connection, "max_connections", "20");
    assert_string_equal(h.outcome.services.memcached, "");
    assert_int_equal(h.outcome.services.memcached_pid, 0);
    PQfinish(connection);
    assert_int_equal(host_stop(&h), 0);
    assert_true(is_gone(&h.outcome.services));
}

/* A SIGKILL of the main process, a client still connected, leaves no server and no folder. */
static void test_main_killed(void **state)
{
    (void)state;
    struct host h;
    host_start(&h, &both);
    PGconn *connection = PQconnectdb(h.outcome.services.pg_uri);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    kill(h.pid, SIGKILL);
    await_gone(&h.outcome.services);
    PQfinish(connection);
    close(h.end);
    close(h.report);
}

/* A SIGKILL while PostgreSQL is still being started leaves nothing either. */
static void test_main_killed_early(void **state)
{
    (void)state;
    struct host h;
    char folder[64], before[256];
    mkdir("/tmp/iubench-test", 0711);
    snprintf(folder, sizeof folder, "/tmp/iubench-test/%d", getpid());
    assert_int_equal(mkdir(folder, 0711), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    setenv("TMPDIR", folder, 1);
    host_fork(&h, &both);
    unsetenv("TMPDIR");
    uint64_t deadline = clock_ns() + GONE_WAIT_NS;
    snprintf(before, sizeof before, "ls %s/iubench-*/initdb.log >/dev/null 2>&1", folder);
    while (system(before) != 0 && clock_ns() < deadline)
        ;
    kill(h.pid, SIGKILL);
    while (rmdir(folder) && errno == ENOTEMPTY && clock_ns() < deadline)
        is_alive(0);
    assert_int_not_equal(access(folder, F_OK), 0);
    rmdir("/tmp/iubench-test");
    close(h.end);
    close(h.report);
}

/* Ctrl-C reaches the whole foreground group, but the servers stay until the main process ends. */
static void test_interrupt(void **state)
{
    (void)state;
    struct host h;
    int status;
    host_start(&h, &both);
    const struct services *s = &h.outcome.services;
    assert_int_equal(kill(s->keeper, SIGINT), 0);
    assert_int_equal(kill(s->keeper, SIGTERM), 0);
    assert_true(getpgid(s->keeper) != h.pid);
    assert_true(getpgid(s->pg_pid) != h.pid);
    assert_true(getpgid(s->memcached_pid) != h.pid);
    assert_memcached_answers(s);
    assert_int_equal(kill(-h.pid, SIGINT), 0);
    assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    await_gone(s);
    close(h.end);
    close(h.report);
}

/* A killed keeper takes the servers with it. */
static void test_keeper_killed(void **state)
{
    (void)state;
    struct host h;
    char command[256];
    host_start(&h, &both);
    const struct services *s = &h.outcome.services;
    kill(s->keeper, SIGKILL);
    uint64_t deadline = clock_ns() + GONE_WAIT_NS;
    while ((is_alive(s->pg_pid) || is_alive(s->memcached_pid)) && clock_ns() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_false(is_alive(s->pg_pid) || is_alive(s->memcached_pid));
    assert_int_equal(host_stop(&h), 0);
    snprintf(command, sizeof command, "rm -rf %s", s->folder);
    assert_int_equal(system(command), 0);
}

/* A stalled service takes requests and answers them when it goes on, backends too. */
static void test_stall(void **state)
{
    (void)state;
    struct host h;
    host_start(&h, &both);
    const struct services *s = &h.outcome.services;
    PGconn *connection = connect_to(s);
    assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_STALL));
    assert_true(host_ask(&h, SERVICE_POSTGRES, SERVICE_STALL));
    int fd = ask_memcached(s);
    assert_int_equal(PQsendQuery(connection, "select 1"), 1);
    assert_false(answers_within(fd, 100));
    assert_false(answers_within(PQsocket(connection), 100));
    assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_RESUME));
    assert_true(host_ask(&h, SERVICE_POSTGRES, SERVICE_RESUME));
    assert_true(answers_within(fd, 10000));
    assert_true(answers_within(PQsocket(connection), 10000));
    close(fd);
    PQfinish(connection);
    assert_int_equal(host_stop(&h), 0);
    assert_true(is_gone(s));
}

/* A killed service is gone with all its processes, and comes back where it was: PostgreSQL with what
 * was committed, memcached empty. */
static void test_kill_and_start(void **state)
{
    (void)state;
    struct services_config config = both;
    struct host h;
    config.is_sync_commit_on = true;
    host_start(&h, &config);
    const struct services *s = &h.outcome.services;
    const struct services before = *s;
    PGconn *connection = connect_to(s);
    pid_t backend = PQbackendPID(connection);
    execute(connection, "create table kept (n int)");
    execute(connection, "insert into kept values (42)");
    assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_KILL));
    assert_true(host_ask(&h, SERVICE_POSTGRES, SERVICE_KILL));
    assert_int_equal(ask_memcached(s), -1);
    assert_false(is_alive(backend) || is_alive(before.pg_pid) || is_alive(before.memcached_pid));
    PQfinish(connection);
    assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_START));
    assert_true(host_ask(&h, SERVICE_POSTGRES, SERVICE_START));
    assert_memcached_answers(s);
    assert_true(s->pg_pid != before.pg_pid && is_alive(s->pg_pid) && is_alive(s->memcached_pid));
    connection = connect_to(s);
    assert_value(connection, "select n from kept", "42");
    PQfinish(connection);
    assert_int_equal(host_stop(&h), 0);
    assert_true(is_gone(s));
}

/* Out of descriptors, memcached answers whom it knows, and the others when it has some again. */
static void test_limit(void **state)
{
    (void)state;
    struct services_config config = {.wants_memcached = true};
    struct host h;
    char answer[64];
    host_start(&h, &config);
    const struct services *s = &h.outcome.services;
    int known = ask_memcached(s);
    assert_true(read(known, answer, sizeof answer) > 0);
    assert_true(host_ask_limit(&h, SERVICE_MEMCACHED, SERVICE_LIMIT, 10));
    int other = ask_memcached(s);
    assert_int_equal(write(known, "version\r\n", 9), 9);
    assert_true(answers_within(known, 10000));
    assert_false(answers_within(other, 200));
    assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_UNLIMIT));
    close(known); /* which is when memcached tries again */
    assert_true(answers_within(other, 10000));
    close(other);
    assert_int_equal(host_stop(&h), 0);
}

/* What cannot be done is said, and does no harm. */
static void test_wrong_order(void **state)
{
    (void)state;
    struct services_config config = {.wants_memcached = true};
    struct host h;
    host_start(&h, &config);
    assert_false(host_ask(&h, SERVICE_POSTGRES, SERVICE_STALL));
    assert_non_null(strstr(h.outcome.fail.text, "PostgreSQL does not run"));
    assert_false(host_ask(&h, SERVICE_MEMCACHED, SERVICE_START));
    assert_non_null(strstr(h.outcome.fail.text, "memcached runs already"));
    assert_memcached_answers(&h.outcome.services);
    assert_int_equal(host_stop(&h), 0);
}

/* Nothing that is stalled is left behind either, however the run ends. */
static void test_end_while_stalled(void **state)
{
    (void)state;
    struct host h;
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        host_start(&h, &both);
        PGconn *connection = connect_to(&h.outcome.services);
        assert_true(host_ask(&h, SERVICE_POSTGRES, SERVICE_STALL));
        assert_true(host_ask(&h, SERVICE_MEMCACHED, SERVICE_STALL));
        if (is_killed)
            kill(h.pid, SIGKILL);
        close(h.end);
        close(h.report);
        await_gone(&h.outcome.services);
        PQfinish(connection);
    }
}

/* Two runs at once do not meet. */
static void test_two_at_once(void **state)
{
    (void)state;
    struct host one, other;
    host_fork(&one, &both);
    host_fork(&other, &both);
    host_await_up(&one);
    host_await_up(&other);
    assert_string_not_equal(one.outcome.services.folder, other.outcome.services.folder);
    assert_int_equal(host_stop(&one), 0);
    PGconn *connection = PQconnectdb(other.outcome.services.pg_uri);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    assert_int_equal(host_stop(&other), 0);
    assert_true(is_gone(&other.outcome.services));
}

/* A missing program is named with the command that installs it, before anything is started. */
static void test_missing(void **state)
{
    (void)state;
    char folder[] = "/tmp/iubench-path-XXXXXX", *path = strdup(getenv("PATH"));
    struct services s;
    struct fail f;
    assert_non_null(mkdtemp(folder));
    setenv("PATH", folder, 1);
    assert_false(services_available(false, true, &f));
    assert_int_equal(f.exit, EXIT_LACKING);
    assert_non_null(strstr(f.text, "memcached is not installed"));
    assert_non_null(strstr(f.text, "install memcached"));
    assert_false(services_start(&s, &both, &f));
    assert_int_equal(f.exit, EXIT_LACKING);
    services_stop(&s);
    setenv("PATH", path, 1);
    assert_true(services_available(true, true, &f));
    rmdir(folder);
    free(path);
}

/* A server that fails to start is cleaned up after, and its own words are in the message. */
static void test_failing_server(void **state)
{
    (void)state;
    char folder[] = "/tmp/iubench-path-XXXXXX", program[64], *path = strdup(getenv("PATH"));
    struct host h;
    assert_non_null(mkdtemp(folder));
    chmod(folder, 0755);
    snprintf(program, sizeof program, "%s/memcached", folder);
    FILE *script = fopen(program, "w");
    fprintf(script, "#!/bin/sh\necho \"cannot grow wings\" >&2\nexit 3\n");
    fchmod(fileno(script), 0755);
    fclose(script);
    char both_paths[4096];
    snprintf(both_paths, sizeof both_paths, "%s:%s", folder, path);
    setenv("PATH", both_paths, 1);
    host_fork(&h, &(struct services_config){.wants_memcached = true});
    host_await(&h);
    setenv("PATH", path, 1);
    assert_false(h.outcome.is_up);
    assert_int_equal(h.outcome.fail.exit, EXIT_FAILED);
    assert_non_null(strstr(h.outcome.fail.text, "memcached ended while it was starting"));
    assert_non_null(strstr(h.outcome.fail.text, "cannot grow wings"));
    assert_int_equal(host_stop(&h), 0);
    unlink(program);
    rmdir(folder);
    free(path);
}

/* Nothing wanted, nothing started; stopping that, or twice, is harmless. */
static void test_nothing(void **state)
{
    (void)state;
    struct services s;
    struct fail f;
    assert_true(services_start(&s, &(struct services_config){0}, &f));
    assert_int_equal(s.keeper, 0);
    services_stop(&s);
    services_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_sync_commit),
        cmocka_unit_test(test_failing_server),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_kill_and_start),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_wrong_order),
        cmocka_unit_test(test_end_while_stalled),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_main_killed),
        cmocka_unit_test(test_main_killed_early),
        cmocka_unit_test(test_keeper_killed),
    };
    /* Orphaned keepers come to us, where they can be reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
