#include "lab/services.h"

/* The main process's side of the keeper: it settles everything that can fail in a way worth
 * explaining, forks, reads one report, and later closes the socket. */

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/text.h"
#include "lab/keeper.h"
#include "lab/programs.h"

/* A Unix socket's path has 107 characters; "/.s.PGSQL.5432.lock" and our own name go behind. */
#define FOLDER_PARENT_MAX 76

static bool find_programs(bool wants_postgres, bool wants_memcached, struct keeper_order *o,
                          struct fail *f)
{
    const char *missing[3] = {NULL};
    int count = 0;
    char command[256];
    if (wants_postgres && !programs_find_postgres(o->postgres_folder))
        missing[count++] = "postgresql";
    if (wants_memcached && !programs_find("memcached", o->memcached_path))
        missing[count++] = "memcached";
    if (!count)
        return true;
    return fail_set(f, EXIT_LACKING,
                    "%s not installed; install with: %s (or use --services embedded)",
                    count == 2                             ? "PostgreSQL and memcached are"
                    : strcmp(missing[0], "memcached") == 0 ? "memcached is"
                                                           : "PostgreSQL is",
                    programs_install(missing, command, sizeof command));
}

bool services_available(bool wants_postgres, bool wants_memcached, struct fail *f)
{
    struct keeper_order order;
    return find_programs(wants_postgres, wants_memcached, &order, f);
}

/* As root, files for an unprivileged user need a way there that it may walk. */
static bool is_open_to_all(const char *folder)
{
    char path[512], *slash;
    struct stat st;
    if (!realpath(folder, path))
        return false;
    do {
        if (stat(*path ? path : "/", &st) || !(st.st_mode & S_IXOTH))
            return false;
        slash = strrchr(path, '/');
        if (slash)
            *slash = 0;
    } while (slash);
    return true;
}

static bool make_folder(struct keeper_order *o, struct fail *f)
{
    const char *parents[] = {getenv("TMPDIR"), "/tmp", "/var/tmp"};
    const char *why = NULL;
    for (int i = 0; i < 3; i++) {
        const char *parent = parents[i];
        if (!parent || *parent != '/' || strlen(parent) > FOLDER_PARENT_MAX)
            continue;
        if (o->is_other_user && !is_open_to_all(parent)) {
            why = "users other than root cannot walk there (chmod o+x each folder on the way)";
            continue;
        }
        snprintf(o->folder, sizeof o->folder, "%s/iubench-XXXXXX", parent);
        if (mkdtemp(o->folder))
            return true;
        why = strerror(errno);
    }
    return fail_set(f, EXIT_FAILED,
                    "cannot make a folder for services in $TMPDIR, /tmp or /var/tmp: %s", why);
}

static bool choose_user(struct keeper_order *o, struct fail *f)
{
    if (geteuid() != 0)
        return true;
    const struct passwd *user = getpwnam("postgres");
    if (!user)
        user = getpwnam("nobody");
    if (!user)
        return fail_set(
            f, EXIT_LACKING,
            "PostgreSQL refuses to run as root and there is no user postgres or nobody; "
            "start iubench as an ordinary user or use --services embedded");
    o->is_other_user = true;
    o->uid = user->pw_uid;
    o->gid = user->pw_gid;
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("/-._~", c));
}

/* The folder is part of the URI's query, where RFC 3986 leaves these characters as they are. */
static void set_pg_uri(struct services *s)
{
    struct text uri = {0};
    text_addf(&uri, "postgresql://iubench@/postgres?host=");
    for (const char *c = s->folder; *c; c++)
        text_addf(&uri, is_unreserved(*c) ? "%c" : "%%%02X", (unsigned char)*c);
    CHECK(uri.len < sizeof s->pg_uri);
    memcpy(s->pg_uri, uri.data, uri.len + 1);
    text_free(&uri);
}

/* What can be known of where they will be before they run. */
static bool choose_places(struct keeper_order *o, struct fail *f)
{
    if (!o->config.has_tcp)
        return true;
    uuid_v4(o->password);
    return sock_free_port(&o->pg_address, f) && sock_free_port(&o->memcached_address, f);
}

static void fill_tcp(struct services *s, const struct keeper_order *o)
{
    char address[ADDRESS_TEXT_BYTES];
    if (o->config.wants_postgres)
        snprintf(s->pg_uri, sizeof s->pg_uri, "postgresql://" KEEPER_ROLE ":%s@%s/postgres",
                 o->password, address_text(&o->pg_address, address));
    if (o->config.wants_memcached)
        snprintf(s->memcached, sizeof s->memcached, "%s",
                 address_text(&o->memcached_address, address));
}

static void fill(struct services *s, const struct keeper_order *o)
{
    char program[PROGRAMS_PATH_BYTES + 16];
    memcpy(s->folder, o->folder, sizeof s->folder);
    if (o->config.wants_postgres) {
        set_pg_uri(s);
        snprintf(program, sizeof program, "%s/postgres", o->postgres_folder);
        programs_version(program, "--version", s->pg_version);
    }
    if (o->config.wants_memcached) {
        snprintf(s->memcached, sizeof s->memcached, "%s/" KEEPER_MEMCACHED_SOCKET, o->folder);
        programs_version(o->memcached_path, "-V", s->memcached_version);
    }
    if (o->config.has_tcp)
        fill_tcp(s, o);
}

/* The other end must be closed by the kernel whenever we end, so it is inherited by nobody. */
static bool fork_keeper(struct services *s, const struct keeper_order *o, struct fail *f)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return fail_set(f, EXIT_FAILED, "cannot make a socket for the keeper of services: %s",
                        strerror(errno));
    s->keeper = fork();
    if (s->keeper == 0) {
        close(ends[0]);
        keeper_run(o, ends[1]);
    }
    int error = errno;
    close(ends[1]);
    s->keeper_fd = ends[0];
    if (s->keeper > 0)
        return true;
    close(ends[0]);
    s->keeper = 0;
    return fail_set(f, EXIT_FAILED, "cannot fork the keeper of services: %s", strerror(error));
}

static bool take_report(struct services *s, struct fail *f)
{
    struct keeper_report report;
    ssize_t got;
    do
        got = recv(s->keeper_fd, &report, sizeof report, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof report)
        return fail_set(f, EXIT_FAILED, "the keeper of services has gone");
    if (!report.is_done) {
        *f = report.fail;
        return false;
    }
    bool is_new_pg = report.pg_pid && report.pg_pid != s->pg_pid;
    bool is_new_memcached = report.memcached_pid && report.memcached_pid != s->memcached_pid;
    s->pg_pid = report.pg_pid;
    s->memcached_pid = report.memcached_pid;
    return (!is_new_pg || !s->pg_limits || limits_take(s->pg_limits, s->pg_pid, f)) &&
           (!is_new_memcached || !s->memcached_limits ||
            limits_take(s->memcached_limits, s->memcached_pid, f));
}

bool services_start(struct services *s, const struct services_config *config, struct fail *f)
{
    struct keeper_order order = {.config = *config};
    *s = (struct services){.pg_limits = config->pg_limits,
                           .memcached_limits = config->memcached_limits};
    order.cpus = config->cpus && CPU_COUNT(config->cpus) ? *config->cpus : *cpus_given();
    order.config.cpus = NULL;
    if (!config->wants_postgres && !config->wants_memcached)
        return true;
    if (!find_programs(config->wants_postgres, config->wants_memcached, &order, f) ||
        !choose_user(&order, f) || !choose_places(&order, f) || !make_folder(&order, f))
        return false;
    fill(s, &order);
    if (!fork_keeper(s, &order, f)) {
        rmdir(order.folder);
        return false;
    }
    if (take_report(s, f))
        return true;
    services_stop(s);
    return false;
}

bool services_order(struct services *s, enum service which, enum service_order order,
                    uint32_t limit, struct fail *f)
{
    struct keeper_request request = {.which = which, .order = order, .limit = limit};
    return send(s->keeper_fd, &request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request ||
           fail_set(f, EXIT_FAILED, "the keeper of services has gone");
}

bool services_ordered(struct services *s, bool *is_done, struct fail *f)
{
    struct pollfd report = {.fd = s->keeper_fd, .events = POLLIN};
    *is_done = poll(&report, 1, 0) > 0;
    return !*is_done || take_report(s, f);
}

void services_stop(struct services *s)
{
    if (!s->keeper)
        return;
    close(s->keeper_fd);
    while (waitpid(s->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    *s = (struct services){0};
}
