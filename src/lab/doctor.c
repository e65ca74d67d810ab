#include "lab/doctor.h"

/* Each look is a function that fills one row from what the machine says, in the order in which a
 * run would stumble over it. A row is MEND only if a run cannot do without; what has a substitute,
 * such as the services, or costs accuracy, such as a governor, is a NOTE. */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cpus.h"
#include "base/text.h"
#include "base/units.h"
#include "lab/pinning.h"
#include "lab/programs.h"
#include "net/ring.h"
#include "report/environment.h"

#define DESCRIPTORS_NEEDED 1024
#define DESCRIPTORS_GOOD   20000 /* both ends of what the scenarios open, with room */
#define PORTS_GOOD         20000
#define BACKLOG_GOOD       1024
#define TMPFS_MAGIC        0x01021994 /* see statfs(2) */

static void say(struct doctor_row *row, enum doctor_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void say(struct doctor_row *row, enum doctor_state state, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    row->state = state;
    vsnprintf(row->text, sizeof row->text, format, args);
    va_end(args);
}

static void advise(struct doctor_row *row, const char *format, ...) PRINTF_LIKE(2, 3);

static void advise(struct doctor_row *row, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(row->mend, sizeof row->mend, format, args);
    va_end(args);
}

/* Reads the numbers of a one-line file of /proc or /sys; returns how many. */
static int read_numbers(const char *path, unsigned *first, unsigned *second)
{
    FILE *file = fopen(path, "re");
    int count = file ? fscanf(file, "%u %u", first, second) : 0;
    if (file)
        fclose(file);
    return count < 0 ? 0 : count;
}

/* --- kernel --- */

void doctor_judge_kernel(struct doctor_row *row, const char *release)
{
    unsigned major = 0, minor = 0;
    row->name = "kernel";
    sscanf(release, "%u.%u", &major, &minor);
    bool is_new_enough = major > 6 || (major == 6 && minor >= 1);
    say(row, is_new_enough ? DOCTOR_OK : DOCTOR_MEND, "Linux %s (6.1 or later is needed)", release);
    if (!is_new_enough)
        advise(row, "boot a newer kernel; Debian 12 has 6.1, Ubuntu 24.04 has 6.8");
}

static void look_at_kernel(struct doctor_row *row)
{
    struct utsname name;
    doctor_judge_kernel(row, uname(&name) ? "?" : name.release);
}

static unsigned seccomp_mode(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned mode = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Seccomp: %u", &mode) == 1)
            break;
    if (file)
        fclose(file);
    return mode;
}

/* The proof is a ring like those of a run; the rest says why there is none. */
static void look_at_io_uring(struct doctor_row *row)
{
    static const struct ring_config config = {
        .entries = 256, .completions = 1024, .buffers = 256, .buffer_bytes = 4096};
    static struct ring ring;
    struct fail f;
    unsigned disabled = 0, unused;
    const char *seccomp = seccomp_mode() ? ", under a seccomp filter" : "";
    row->name = "io_uring";
    read_numbers("/proc/sys/kernel/io_uring_disabled", &disabled, &unused);
    if (!ring_open(&ring, &config, &f)) {
        say(row, DOCTOR_MEND, "%s (kernel.io_uring_disabled is %u%s)", f.text, disabled, seccomp);
        return;
    }
    ring_close(&ring);
    say(row, DOCTOR_OK, "a ring can be set up%s", seccomp);
    if (disabled) {
        say(row, DOCTOR_NOTE, "kernel.io_uring_disabled is %u: only this user may set up rings",
            disabled);
        advise(row, "sysctl -w kernel.io_uring_disabled=0");
    }
}

/* --- limits --- */

void doctor_judge_descriptors(struct doctor_row *row, uint64_t soft, uint64_t hard)
{
    row->name = "descriptors";
    say(row,
        hard < DESCRIPTORS_NEEDED ? DOCTOR_MEND
        : hard < DESCRIPTORS_GOOD ? DOCTOR_NOTE
                                  : DOCTOR_OK,
        "%" PRIu64 " files may be open (soft limit %" PRIu64 ", which iubench raises itself)", hard,
        soft);
    if (hard < DESCRIPTORS_GOOD)
        advise(row, "ulimit -Hn 65536 as root, or nofile in /etc/security/limits.conf, or docker "
                    "run --ulimit nofile=65536");
}

static void look_at_descriptors(struct doctor_row *row)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    doctor_judge_descriptors(row, files.rlim_cur, files.rlim_max);
}

/* Since Linux 5.12 rings themselves do not count, so a small limit is no obstacle. */
static void look_at_memlock(struct doctor_row *row)
{
    struct rlimit locked;
    char size[UNITS_TEXT_BYTES] = "unlimited";
    row->name = "memlock";
    getrlimit(RLIMIT_MEMLOCK, &locked);
    if (locked.rlim_cur != RLIM_INFINITY)
        units_size_text(locked.rlim_cur, size);
    say(row, DOCTOR_OK, "%s may be locked", size);
}

/* --- cores --- */

static void look_at_cores(struct doctor_row *row)
{
    char cores[CPUS_TEXT_BYTES];
    int siblings[CPU_SETSIZE];
    struct pinning pinning;
    const cpu_set_t *given = cpus_given();
    row->name = "cores";
    pinning_siblings(siblings);
    pinning_share(given, siblings, &pinning);
    int cpus = CPU_COUNT(given), count = pinning_core_count(given, siblings);
    say(row, cpus < 2 ? DOCTOR_NOTE : DOCTOR_OK,
        "%d of %ld CPUs may be used (%s), on %d core%s; --pin auto gives: %s", cpus,
        sysconf(_SC_NPROCESSORS_CONF), cpus_text(given, cores), count, count == 1 ? "" : "s",
        pinning.text);
    if (cpus < 2)
        advise(row, "with one CPU target and client take it from each other; use two or more");
}

static void look_at_governor(struct doctor_row *row)
{
    char path[96], governor[32] = "";
    row->name = "governor";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
             cpus_nth(cpus_given(), 0));
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%31s", governor) != 1)
        say(row, DOCTOR_OK, "frequency is not ours to govern (a virtual machine, mostly)");
    else if (strcmp(governor, "performance") == 0)
        say(row, DOCTOR_OK, "performance");
    else {
        say(row, DOCTOR_NOTE, "%s: frequencies may change during a run", governor);
        advise(row, "sudo cpupower frequency-set -g performance");
    }
    if (file)
        fclose(file);
}

/* --- control groups --- */

static void look_at_cgroup_cpu(struct doctor_row *row, const struct cgroup *c)
{
    row->name = "cgroup cpu";
    if (!c->cpu.version) {
        say(row, DOCTOR_NOTE, "no cpu controller can be seen: throttling stays unknown");
        return;
    }
    char limit[64] = "no quota", throttling[96] = "throttling cannot be read";
    if (c->cpu_limit > 0)
        snprintf(limit, sizeof limit, "quota of %.2f CPUs", c->cpu_limit);
    if (c->has_throttling)
        snprintf(throttling, sizeof throttling, "throttled %" PRIu64 " times so far",
                 c->throttled_periods);
    bool is_short = c->cpu_limit > 0 && c->cpu_limit < CPU_COUNT(cpus_given());
    say(row, is_short ? DOCTOR_NOTE : DOCTOR_OK, "version %u, %s, %s", c->cpu.version, limit,
        throttling);
    if (is_short)
        advise(row, "the quota is below the %d CPUs of the mask: raise it or expect throttling",
               CPU_COUNT(cpus_given()));
}

static void look_at_cgroup_memory(struct doctor_row *row, const struct cgroup *c)
{
    char size[UNITS_TEXT_BYTES];
    const uint64_t needed_bytes = UINT64_C(256) << 20;
    row->name = "cgroup memory";
    if (!c->memory.version)
        say(row, DOCTOR_OK, "no memory controller can be seen, so no limit");
    else if (c->memory_limit_bytes == UINT64_MAX)
        say(row, DOCTOR_OK, "version %u, no limit", c->memory.version);
    else {
        bool is_small = c->memory_limit_bytes < needed_bytes;
        say(row, is_small ? DOCTOR_NOTE : DOCTOR_OK, "version %u, limit of %s", c->memory.version,
            units_size_text(c->memory_limit_bytes, size));
        if (is_small)
            advise(row, "services and many connections want 256M or more");
    }
}

/* --- services and programs --- */

static void look_at_postgres(struct doctor_row *row)
{
    static const char *const need[] = {"postgresql", NULL};
    char folder[PROGRAMS_PATH_BYTES], path[PROGRAMS_PATH_BYTES + 16],
        version[PROGRAMS_VERSION_BYTES];
    row->name = "postgresql";
    if (!programs_find_postgres(folder)) {
        say(row, DOCTOR_NOTE, "not installed: test 2 uses SQLite");
        programs_install(need, row->mend, sizeof row->mend);
        return;
    }
    snprintf(path, sizeof path, "%s/postgres", folder);
    programs_version(path, "--version", version);
    say(row, DOCTOR_OK, "%s in %s", version, folder);
}

static void look_at_program(struct doctor_row *row, const char *need, const char *argument,
                            const char *without)
{
    const char *const needs[] = {need, NULL};
    char path[PROGRAMS_PATH_BYTES], version[PROGRAMS_VERSION_BYTES];
    row->name = need;
    if (!programs_find(need, path)) {
        say(row, DOCTOR_NOTE, "not installed: %s", without);
        programs_install(needs, row->mend, sizeof row->mend);
    } else if (programs_version(path, argument, version))
        say(row, DOCTOR_OK, "%s at %s", version, path);
    else
        say(row, DOCTOR_NOTE, "%s does not tell its version: %s", path, without);
}

static void look_at_libraries(struct doctor_row *row)
{
    struct text names = {0};
    row->name = "libraries";
    environment_libraries(&names);
    say(row, DOCTOR_OK, "%s", names.len ? names.data : "linked in");
    text_free(&names);
}

/* --- network and disk --- */

void doctor_judge_ports(struct doctor_row *row, unsigned low, unsigned high)
{
    unsigned count = high >= low && low ? high - low + 1 : 0;
    row->name = "ports";
    say(row, count < PORTS_GOOD ? DOCTOR_NOTE : DOCTOR_OK,
        "%u ports for the client's connections (%u to %u)", count, low, high);
    if (count < PORTS_GOOD)
        advise(row, "sysctl -w net.ipv4.ip_local_port_range=\"16384 65000\"");
}

static void look_at_ports(struct doctor_row *row)
{
    unsigned low = 0, high = 0;
    read_numbers("/proc/sys/net/ipv4/ip_local_port_range", &low, &high);
    doctor_judge_ports(row, low, high);
}

void doctor_judge_backlog(struct doctor_row *row, unsigned somaxconn)
{
    row->name = "somaxconn";
    say(row, somaxconn < BACKLOG_GOOD ? DOCTOR_NOTE : DOCTOR_OK,
        "%u connections may wait to be accepted", somaxconn);
    if (somaxconn < BACKLOG_GOOD)
        advise(row, "sysctl -w net.core.somaxconn=4096");
}

static void look_at_backlog(struct doctor_row *row)
{
    unsigned somaxconn = 0, unused;
    read_numbers("/proc/sys/net/core/somaxconn", &somaxconn, &unused);
    doctor_judge_backlog(row, somaxconn);
}

/* A connection to ourselves, as a container without a loopback interface refuses it. */
static bool can_connect_loopback(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_connected = bind(listener, (struct sockaddr *)&addr, len) == 0 &&
                        listen(listener, 1) == 0 &&
                        getsockname(listener, (struct sockaddr *)&addr, &len) == 0 &&
                        connect(client, (struct sockaddr *)&addr, len) == 0;
    int error = errno;
    close(client);
    close(listener);
    errno = error;
    return is_connected;
}

static void look_at_loopback(struct doctor_row *row)
{
    row->name = "loopback";
    if (can_connect_loopback()) {
        say(row, DOCTOR_OK, "127.0.0.1 answers");
        return;
    }
    say(row, DOCTOR_MEND, "127.0.0.1 does not answer: %s", strerror(errno));
    advise(row, "sudo ip link set lo up");
}

/* Where the private services put their data. */
static void look_at_disk(struct doctor_row *row)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    const uint64_t good_bytes = UINT64_C(2) << 30;
    struct statfs disk;
    char size[UNITS_TEXT_BYTES];
    row->name = "temporary";
    if (statfs(folder, &disk)) {
        say(row, DOCTOR_NOTE, "%s cannot be used: %s", folder, strerror(errno));
        advise(row, "set TMPDIR to a folder that can be written");
        return;
    }
    uint64_t free_mb = (uint64_t)disk.f_bavail * (uint64_t)disk.f_bsize >> 20;
    bool is_memory = disk.f_type == TMPFS_MAGIC, is_small = free_mb << 20 < good_bytes;
    say(row, is_memory || is_small ? DOCTOR_NOTE : DOCTOR_OK, "%s has %s free%s", folder,
        units_size_text(free_mb >= 10240 ? free_mb >> 10 << 30 : free_mb << 20, size),
        is_memory ? "; it lies in memory, where syncing a commit costs nothing" : "");
    if (is_memory || is_small)
        advise(row, "set TMPDIR to a folder on a disk with 2G or more for the private PostgreSQL");
}

/* --- all of it --- */

unsigned doctor_examine(struct doctor_row rows[DOCTOR_ROWS_MAX])
{
    static void (*const looks[])(struct doctor_row *) = {
        look_at_kernel,  look_at_io_uring, look_at_descriptors, look_at_memlock,
        look_at_cores,   look_at_governor, look_at_loopback,    look_at_ports,
        look_at_backlog, look_at_disk,     look_at_libraries,   look_at_postgres,
    };
    unsigned count = 0;
    struct cgroup group;
    memset(rows, 0, DOCTOR_ROWS_MAX * sizeof *rows);
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        looks[i](&rows[count++]);
    look_at_program(&rows[count++], "memcached", "-V", "test 2 uses the cache in memory");
    cgroup_read("", &group);
    look_at_cgroup_cpu(&rows[count++], &group);
    look_at_cgroup_memory(&rows[count++], &group);
    look_at_program(&rows[count++], "go", "version", "contestants in Go cannot be built");
    look_at_program(&rows[count++], "python3", "--version", "contestants in Python cannot run");
    look_at_program(&rows[count++], "node", "--version", "contestants in JavaScript cannot run");
    CHECK(count <= DOCTOR_ROWS_MAX);
    return count;
}

void doctor_print(FILE *out, const struct doctor_row *rows, unsigned count, bool color)
{
    static const char *const words[] = {"ok", "note", "mend"};
    static const char *const colors[] = {"\033[32m", "\033[33m", "\033[31m"};
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%s%-5s%s %-14s %s%s%s\n", color ? colors[rows[i].state] : "",
                words[rows[i].state], color ? "\033[0m" : "", rows[i].name, rows[i].text,
                *rows[i].mend ? ": " : "", rows[i].mend);
}

int doctor_exit(const struct doctor_row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (rows[i].state == DOCTOR_MEND)
            return EXIT_LACKING;
    return EXIT_DONE;
}

int doctor_run(FILE *out, bool color)
{
    struct doctor_row rows[DOCTOR_ROWS_MAX];
    unsigned count = doctor_examine(rows);
    doctor_print(out, rows, count, color);
    return doctor_exit(rows, count);
}
