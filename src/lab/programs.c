#include "lab/programs.h"

/* Looking for programs is reading PATH; asking one for its version is running it with a deadline,
 * since what is found on a PATH may be a wrapper that does anything. */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define VERSION_WAIT_NS (10 * NS_PER_S)

extern char **environ;

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool has_program(const char *folder, size_t folder_len, const char *name,
                        char path[PROGRAMS_PATH_BYTES])
{
    int len = snprintf(path, PROGRAMS_PATH_BYTES, "%.*s/%s", (int)folder_len, folder, name);
    return len < PROGRAMS_PATH_BYTES && is_program(path);
}

/* Calls `has` for each folder of PATH until it says true. */
static bool search_path(bool (*has)(const char *folder, size_t len, const char *name, char *out),
                        const char *name, char *out)
{
    const char *at = getenv("PATH");
    if (!at)
        at = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t len = strcspn(at, ":");
        if (has(len ? at : ".", len ? len : 1, name, out))
            return true;
        if (!at[len])
            return false;
        at += len + 1;
    }
}

bool programs_find(const char *name, char path[PROGRAMS_PATH_BYTES])
{
    return search_path(has_program, name, path);
}

static bool has_server(const char *folder, size_t len, const char *name, char *out)
{
    char path[PROGRAMS_PATH_BYTES];
    if (!has_program(folder, len, name, path) || !has_program(folder, len, "postgres", path))
        return false;
    snprintf(out, PROGRAMS_PATH_BYTES, "%.*s", (int)len, folder);
    return true;
}

static unsigned first_number(const char *path)
{
    path += strcspn(path, "0123456789");
    return (unsigned)strtoul(path, NULL, 10);
}

bool programs_find_postgres(char folder[PROGRAMS_PATH_BYTES])
{
    static const char *const patterns[] = {
        "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin",
        "/usr/libexec/postgresql*",  "/usr/libexec",     "/usr/local/pgsql/bin",
    };
    if (search_path(has_server, "initdb", folder))
        return true;

    glob_t found = {0};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &found);
    const char *best = NULL;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        if (has_server(path, strlen(path), "initdb", folder) &&
            (!best || first_number(path) > first_number(best)))
            best = path;
    }
    if (best)
        snprintf(folder, PROGRAMS_PATH_BYTES, "%s", best);
    globfree(&found);
    return best;
}

bool programs_version_in(const char *text, char version[PROGRAMS_VERSION_BYTES])
{
    text += strcspn(text, "0123456789");
    size_t len = strspn(text, "0123456789.");
    while (len && text[len - 1] == '.')
        len--;
    snprintf(version, PROGRAMS_VERSION_BYTES, "%.*s", (int)len, text);
    return len;
}

/* Starts `path argument` with its output, errors too, in the pipe `write_fd`. */
static bool spawn_into(const char *path, const char *argument, int write_fd, pid_t *pid)
{
    char *argv[] = {(char *)path, (char *)argument, NULL};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, write_fd, 1);
    posix_spawn_file_actions_adddup2(&files, write_fd, 2);
    int error = posix_spawn(pid, path, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return error == 0;
}

/* Reads until the end of stream, a full buffer or the deadline. */
static void read_all(int fd, char *text, size_t room)
{
    uint64_t deadline = clock_ns() + VERSION_WAIT_NS;
    size_t len = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    for (uint64_t now = clock_ns(); now < deadline && len < room - 1; now = clock_ns()) {
        if (poll(&wait, 1, (int)((deadline - now) / NS_PER_MS) + 1) <= 0)
            continue;
        ssize_t got = read(fd, text + len, room - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    text[len] = 0;
}

bool programs_version(const char *path, const char *argument, char version[PROGRAMS_VERSION_BYTES])
{
    char text[512];
    int ends[2];
    pid_t pid;
    version[0] = 0;
    if (pipe2(ends, O_CLOEXEC))
        return false;
    bool is_started = spawn_into(path, argument, ends[1], &pid);
    close(ends[1]);
    if (is_started) {
        read_all(ends[0], text, sizeof text);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    return is_started && programs_version_in(text, version);
}

/* A package manager and its names for what we may need. */
static const struct manager {
    const char *program, *command;
    const char *names[5]; /* in the order of need_names */
} managers[] = {
    {"apt-get", "apt-get install", {"postgresql", "memcached", "golang", "python3", "nodejs"}},
    {"dnf", "dnf install", {"postgresql-server", "memcached", "golang", "python3", "nodejs"}},
    {"pacman", "pacman -S", {"postgresql", "memcached", "go", "python", "nodejs"}},
    {"zypper", "zypper install", {"postgresql-server", "memcached", "go", "python3", "nodejs"}},
    {"apk", "apk add", {"postgresql", "memcached", "go", "python3", "nodejs"}},
};
static const char *const need_names[] = {"postgresql", "memcached", "go", "python3", "node"};

static const char *package_name(const struct manager *m, const char *need)
{
    for (size_t i = 0; i < sizeof need_names / sizeof *need_names; i++)
        if (strcmp(need_names[i], need) == 0)
            return m->names[i];
    return need;
}

const char *programs_install(const char *const *needs, char *out, size_t room)
{
    char path[PROGRAMS_PATH_BYTES];
    const struct manager *m = managers;
    for (size_t i = 0; i < sizeof managers / sizeof *managers; i++)
        if (programs_find(managers[i].program, path)) {
            m = &managers[i];
            break;
        }
    int len = snprintf(out, room, "%s%s", geteuid() ? "sudo " : "", m->command);
    for (; *needs && len > 0 && (size_t)len < room; needs++)
        len += snprintf(out + len, room - (size_t)len, " %s", package_name(m, *needs));
    return out;
}
