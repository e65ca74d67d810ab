#include "lab/keeper.h"

/* One process, one thread, its own session: a terminal's Ctrl-C and a SIGKILL of the main process
 * pass it by. It waits for one thing, the closing of the socket to the main process, which the
 * kernel does however that process ends. Being a subreaper it gets every process that a dying
 * server leaves behind, so nothing survives it. The data is thrown away in the end: servers are
 * told to stop at once, without a last checkpoint. */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/cgroup.h"
#include "lab/files.h"
#include "lab/pgconf.h"
#include "lab/tree.h"

#define START_WAIT_NS (90 * NS_PER_S) /* initdb and the start, each, on a slow and busy machine */
#define STOP_WAIT_NS  (6 * NS_PER_S)  /* PostgreSQL itself kills what is left after 5 s */
#define POLL_MS       5

static struct {
    const struct keeper_order *order;
    int fd;
    pid_t pg_pid, memcached_pid;
    struct fail fail;
} k;

/* --- a process of its own --- */

static void set_signal(int number, void (*handler)(int number))
{
    sigaction(number, &(struct sigaction){.sa_handler = handler}, NULL);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        set_signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGUSR1};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        set_signal(ignored[i], SIG_IGN);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD); /* taken by sigtimedwait() */
    sigprocmask(SIG_BLOCK, &child, NULL);
}

/* Nothing of the user's PG* and LC_* may reach the servers. */
static void keep_environment(void)
{
    const char *const kept[] = {"PATH", "LD_LIBRARY_PATH"};
    char *values[2];
    for (int i = 0; i < 2; i++) {
        const char *value = getenv(kept[i]);
        values[i] = value ? strdup(value) : NULL;
    }
    clearenv();
    for (int i = 0; i < 2; i++)
        if (values[i])
            setenv(kept[i], values[i], 1);
    setenv("LC_ALL", "C", 1);
    setenv("TZ", "UTC", 1);
}

static bool become_user(void)
{
    const struct keeper_order *o = k.order;
    if (!o->is_other_user)
        return true;
    if (chown(o->folder, o->uid, o->gid) || setgroups(0, NULL) || setgid(o->gid) || setuid(o->uid))
        return fail_set(&k.fail, EXIT_LACKING,
                        "cannot run services as user %u, which PostgreSQL needs instead of root "
                        "(%s); start iubench as an ordinary user or use --services embedded",
                        (unsigned)o->uid, strerror(errno));
    return true;
}

static bool settle(int fd)
{
    setsid();
    prctl(PR_SET_NAME, "iubench-keeper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    reset_signals();
    ignore_signals();
    k.fd = files_keep_only(fd);
    keep_environment();
    umask(077);
    sched_setaffinity(0, sizeof k.order->cpus, &k.order->cpus);
    if (!become_user())
        return false;
    if (chdir(k.order->folder))
        return fail_set(&k.fail, EXIT_FAILED, "cannot enter %s: %s", k.order->folder,
                        strerror(errno));
    return true;
}

/* --- starting --- */

/* Runs a server or initdb with both outputs in `log`, in a process group of its own. It ends with
 * the keeper, should even that be killed. */
static pid_t spawn(const char *const argv[], const char *input, const char *log, int end_signal)
{
    pid_t keeper = getpid(), pid = fork();
    if (pid)
        return pid;
    reset_signals();
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, end_signal);
    if (getppid() != keeper)
        _exit(1);
    int in = open(input, O_RDONLY);
    dup2(in, 0);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], (char *const *)argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* "cannot start X: why: " and the last lines of its log. */
static bool fail_with_log(const char *what, const char *why, const char *log)
{
    char tail[601] = "", shown[512];
    size_t len = 0;
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END);
        ssize_t got = pread(fd, tail, sizeof tail - 1, end > 600 ? end - 600 : 0);
        len = got > 0 ? (size_t)got : 0;
        close(fd);
    }
    while (len && tail[len - 1] == '\n')
        tail[--len] = 0;

    int lines = 0;
    const char *from = tail + len;
    while (from > tail && !(from[-1] == '\n' && ++lines == 4))
        from--;
    for (char *at = tail; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    log_escape(span_of(from), shown, sizeof shown);
    return fail_set(&k.fail, EXIT_FAILED, "%s %s%s%s", what, why, *shown ? "; its log ends: " : "",
                    shown);
}

/* It is not reaped, so that its number stays its own. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Waits until `is_ready` says so or the child ends. False also when the main process has gone. */
static bool await(const char *what, const char *log, pid_t pid, bool (*is_ready)(pid_t pid))
{
    struct pollfd main_process = {.fd = k.fd, .events = POLLIN};
    uint64_t deadline = clock_ns() + START_WAIT_NS;
    while (!is_ready(pid)) {
        if (has_ended(pid)) /* which may be what `is_ready` waits for */
            return is_ready(pid) || fail_with_log(what, "ended while it was starting", log);
        if (clock_ns() > deadline)
            return fail_with_log(what, "did not answer within 90 s", log);
        if (poll(&main_process, 1, POLL_MS) > 0)
            return fail_set(&k.fail, EXIT_FAILED, "interrupted while starting %s", what);
    }
    return true;
}

static uint64_t memory_limit(const struct limits *l)
{
    return l && *l->groups[0] ? l->memory_bytes : UINT64_MAX;
}

/* Published: 4096 MB of a 16 GB machine that ran nothing else, 4 threads for 4 vCPUs. */
static bool start_memcached(void)
{
    const struct keeper_order *o = k.order;
    char socket_path[160], memory[16], connections[16], threads[16], port[16];
    uint64_t limit_bytes = memory_limit(o->config.memcached_limits);
    /* of a limit of its own as much as was published of a machine of its own */
    uint64_t memory_mb = (limit_bytes == UINT64_MAX ? cgroup_memory_bytes() / 16
                                                    : limit_bytes / 4) >>
                         20;
    int cpus = CPU_COUNT(&o->cpus) / 3;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t most = files.rlim_max > 10100 ? 10000 : files.rlim_max - 100;

    snprintf(socket_path, sizeof socket_path, "%s/" KEEPER_MEMCACHED_SOCKET, o->folder);
    memory_mb = memory_mb < 64 ? 64 : memory_mb > 4096 ? 4096 : memory_mb;
    snprintf(memory, sizeof memory, "%u", (unsigned)memory_mb);
    snprintf(connections, sizeof connections, "%d", (int)most);
    snprintf(threads, sizeof threads, "%d", cpus < 1 ? 1 : cpus > 4 ? 4 : cpus);
    snprintf(port, sizeof port, "%u", address_port(&o->memcached_address));
    const char *const common[] = {"-U",        "0",  "-m",    memory, "-c",
                                  connections, "-t", threads, "-R",   "200"};
    const char *const local[] = {"-s", socket_path, "-a", "0700"};
    const char *const tcp[] = {"-l", "127.0.0.1", "-p", port};
    const char *argv[16] = {o->memcached_path};
    memcpy(argv + 1, o->config.has_tcp ? tcp : local, sizeof local);
    memcpy(argv + 5, common, sizeof common);
    k.memcached_pid = spawn(argv, "/dev/null", "memcached.log", SIGTERM);
    return k.memcached_pid > 0 ||
           fail_set(&k.fail, EXIT_FAILED, "cannot fork for memcached: %s", strerror(errno));
}

static bool memcached_answers(pid_t pid)
{
    (void)pid;
    static const char question[] = "version\r\n";
    struct address to = {.len = sizeof to.sa.un, .sa.un = {.sun_family = AF_UNIX}};
    char answer[64] = "";
    snprintf(to.sa.un.sun_path, sizeof to.sa.un.sun_path, "%s", KEEPER_MEMCACHED_SOCKET);
    if (k.order->config.has_tcp)
        to = k.order->memcached_address;
    int fd = socket(to.sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool is_there = connect(fd, &to.sa.any, to.len) == 0 &&
                    write(fd, question, sizeof question - 1) > 0 &&
                    read(fd, answer, sizeof answer - 1) > 0 && strncmp(answer, "VERSION", 7) == 0;
    close(fd);
    return is_there;
}

static bool write_conf(void)
{
    const struct keeper_order *o = k.order;
    struct statvfs disk = {0};
    struct text text = {0};
    uint64_t limit_bytes = memory_limit(o->config.pg_limits), machine_bytes = cgroup_memory_bytes();
    statvfs(".", &disk);
    pgconf_text(
        &(struct pgconf){.folder = o->folder,
                         .memory_bytes = limit_bytes < machine_bytes ? limit_bytes : machine_bytes,
                         .disk_bytes = (uint64_t)disk.f_bavail * disk.f_frsize,
                         .cpus = (unsigned)CPU_COUNT(&o->cpus),
                         .max_connections = o->config.max_connections,
                         .port = o->config.has_tcp ? address_port(&o->pg_address) : 0,
                         .is_sync_commit_on = o->config.is_sync_commit_on},
        &text);
    FILE *file = fopen("pg/postgresql.conf", "ae");
    bool is_written = file && fwrite(text.data, text.len, 1, file) == 1;
    is_written = file && fclose(file) == 0 && is_written;
    text_free(&text);
    return is_written || fail_set(&k.fail, EXIT_FAILED, "cannot write %s/pg/postgresql.conf: %s",
                                  o->folder, strerror(errno));
}

/* Runs one of PostgreSQL's programs to its end. */
static bool run_to_end(const char *what, const char *const argv[], const char *input)
{
    int status;
    pid_t pid = spawn(argv, input, "initdb.log", SIGKILL);
    if (pid < 0)
        return fail_set(&k.fail, EXIT_FAILED, "cannot fork for %s: %s", what, strerror(errno));
    if (!await(what, "initdb.log", pid, has_ended))
        return false;
    waitpid(pid, &status, 0);
    return !status || fail_with_log(what, "failed", "initdb.log");
}

/* Whoever comes by TCP has a password, which any user of this machine may read on the command line of
 * a contestant: so it opens this database and no more. */
static bool make_role(const char *postgres)
{
    FILE *file = fopen("role.sql", "we");
    if (file)
        fprintf(file,
                "CREATE ROLE " KEEPER_ROLE " LOGIN PASSWORD '%s'\n"
                "ALTER DATABASE postgres OWNER TO " KEEPER_ROLE "\n"
                "GRANT CREATE ON SCHEMA public TO " KEEPER_ROLE "\n",
                k.order->password);
    if (!file || fclose(file))
        return fail_set(&k.fail, EXIT_FAILED, "cannot write %s/role.sql: %s", k.order->folder,
                        strerror(errno));
    const char *const argv[] = {postgres, "--single", "-D", "pg", "postgres", NULL};
    return run_to_end("making a role", argv, "role.sql");
}

/* The folder lets nobody else in, so "trust" trusts its owner and root alone. */
static bool make_database(void)
{
    char initdb[300], postgres[300];
    snprintf(initdb, sizeof initdb, "%s/initdb", k.order->postgres_folder);
    snprintf(postgres, sizeof postgres, "%s/postgres", k.order->postgres_folder);
    const char *const argv[] = {initdb,
                                "-D",
                                "pg",
                                "-U",
                                "iubench",
                                "-E",
                                "UTF8",
                                "--auth-local=trust",
                                "--auth-host=scram-sha-256",
                                "--no-locale",
                                "--no-sync",
                                NULL};
    return run_to_end("initdb", argv, "/dev/null") && write_conf() &&
           (!k.order->config.has_tcp || make_role(postgres));
}

static bool start_postgres(void)
{
    char program[300], data[160];
    snprintf(program, sizeof program, "%s/postgres", k.order->postgres_folder);
    snprintf(data, sizeof data, "%s/pg", k.order->folder);
    const char *const argv[] = {program, "-D", data, NULL};
    k.pg_pid = spawn(argv, "/dev/null", "postgres.log", SIGQUIT);
    return k.pg_pid > 0 ||
           fail_set(&k.fail, EXIT_FAILED, "cannot fork for PostgreSQL: %s", strerror(errno));
}

/* The eighth line of postmaster.pid is the server's state, which pg_ctl(1) waits for as well. */
static bool postgres_answers(pid_t pid)
{
    (void)pid;
    char line[256] = "";
    int count = 0;
    FILE *file = fopen("pg/postmaster.pid", "re");
    if (!file)
        return false;
    while (count < 8 && fgets(line, sizeof line, file))
        count++;
    fclose(file);
    return count == 8 && strncmp(line, "ready", 5) == 0;
}

static bool start_all(void)
{
    const struct services_config *wanted = &k.order->config;
    if (wanted->wants_memcached && !start_memcached())
        return false;
    if (wanted->wants_postgres &&
        !(make_database() && start_postgres() &&
          await("PostgreSQL", "postgres.log", k.pg_pid, postgres_answers)))
        return false;
    return !wanted->wants_memcached ||
           await("memcached", "memcached.log", k.memcached_pid, memcached_answers);
}

/* --- orders --- */

static pid_t *pid_of(enum service which)
{
    return which == SERVICE_POSTGRES ? &k.pg_pid : &k.memcached_pid;
}

static const char *name_of(enum service which)
{
    return which == SERVICE_POSTGRES ? "PostgreSQL" : "memcached";
}

/* Takes what has ended, and says whether but one child is left, or none: whatever the killed service
 * consisted of has come to us. */
static bool has_but(pid_t other)
{
    char path[64];
    int pid, others = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1)
        others += pid != other;
    if (file)
        fclose(file);
    return !others;
}

static bool kill_service(enum service which)
{
    pid_t *pid = pid_of(which);
    pid_t other = which == SERVICE_POSTGRES ? k.memcached_pid : k.pg_pid;
    uint64_t deadline = clock_ns() + STOP_WAIT_NS;
    tree_signal(*pid, SIGKILL);
    while (!has_but(other)) {
        if (clock_ns() > deadline)
            return fail_set(&k.fail, EXIT_FAILED, "%s was killed and has not gone", name_of(which));
        poll(NULL, 0, POLL_MS);
    }
    *pid = 0;
    if (which == SERVICE_POSTGRES)
        unlink("pg/postmaster.pid"); /* which says that it is ready */
    return true;
}

static bool start_service(enum service which)
{
    if (which == SERVICE_MEMCACHED)
        return start_memcached() &&
               await("memcached", "memcached.log", k.memcached_pid, memcached_answers);
    return start_postgres() && await("PostgreSQL", "postgres.log", k.pg_pid, postgres_answers);
}

/* The soft limit, which needs no privilege to be raised again. */
static void set_limit(pid_t pid, void *most)
{
    struct rlimit files;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &files) == 0) {
        files.rlim_cur = *(rlim_t *)most < files.rlim_max ? *(rlim_t *)most : files.rlim_max;
        prlimit(pid, RLIMIT_NOFILE, &files, NULL);
    }
}

static bool limit_descriptors(pid_t pid, rlim_t most)
{
    tree_each(pid, set_limit, &most);
    return true;
}

static bool obey(const struct keeper_request *r)
{
    pid_t pid = *pid_of(r->which);
    bool is_killed = !pid;
    if (is_killed != (r->order == SERVICE_START))
        return fail_set(&k.fail, EXIT_FAILED, "%s %s", name_of(r->which),
                        is_killed ? "does not run" : "runs already");
    switch (r->order) {
    case SERVICE_STALL:
        tree_signal(pid, SIGSTOP);
        return true;
    case SERVICE_RESUME:
        tree_signal(pid, SIGCONT);
        return true;
    case SERVICE_KILL:
        return kill_service(r->which);
    case SERVICE_LIMIT:
        return limit_descriptors(pid, r->limit);
    case SERVICE_UNLIMIT:
        return limit_descriptors(pid, RLIM_INFINITY);
    default:
        return start_service(r->which);
    }
}

static void report(bool is_done)
{
    struct keeper_report report = {
        .is_done = is_done, .pg_pid = k.pg_pid, .memcached_pid = k.memcached_pid, .fail = k.fail};
    send(k.fd, &report, sizeof report, MSG_NOSIGNAL);
}

/* Until the main process has gone. */
static void obey_all(void)
{
    struct keeper_request request;
    while (recv(k.fd, &request, sizeof request, 0) == (ssize_t)sizeof request) {
        k.fail = (struct fail){0};
        report(obey(&request));
    }
}

/* --- stopping --- */

/* Waits for the last child, own or inherited; false if there are some left at the deadline. */
static bool reap_until(uint64_t deadline)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0)
            return true;
        uint64_t now = clock_ns();
        if (now >= deadline)
            return false;
        struct timespec wait = {.tv_sec = (time_t)((deadline - now) / NS_PER_S),
                                .tv_nsec = (long)((deadline - now) % NS_PER_S)};
        sigtimedwait(&child, NULL, &wait);
    }
}

static void kill_children(void)
{
    char path[64];
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    if (file)
        fclose(file);
    if (k.pg_pid > 0)
        kill(k.pg_pid, SIGKILL);
    if (k.memcached_pid > 0)
        kill(k.memcached_pid, SIGKILL);
}

/* Whoever is stalled would not hear of it. */
static void tell(pid_t pid, int signal)
{
    if (pid <= 0)
        return;
    kill(pid, signal);
    tree_signal(pid, SIGCONT);
}

static void stop_all(void)
{
    tell(k.memcached_pid, SIGTERM);
    tell(k.pg_pid, SIGQUIT);
    uint64_t deadline = clock_ns() + STOP_WAIT_NS;
    while (!reap_until(deadline)) {
        kill_children();
        deadline = clock_ns() + NS_PER_S;
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path) && errno != ENOENT;
}

static void remove_folder(void)
{
    const char *folder = k.order->folder;
    if (chdir("/") || nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS))
        log_line("cannot remove %s: %s", folder, strerror(errno));
}

void keeper_run(const struct keeper_order *order, int fd)
{
    k.order = order;
    bool is_up = settle(fd) && start_all();
    if (is_up) {
        report(true);
        obey_all();
    }
    stop_all();
    remove_folder();
    if (!is_up)
        report(false);
    _exit(0);
}
