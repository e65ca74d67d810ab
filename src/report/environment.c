/* Everything is read from where the kernel shows it; nothing is guessed. */
#include "report/environment.h"

#include <dirent.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cpus.h"
#include "report/json_priv.h"
#include "version.h"

#define CPU "/sys/devices/system/cpu/"

enum { LINE_BYTES = 512, PATH_BYTES = 512 };

/* --- files --- */

/* The first line of a file, without blanks around it; NULL if there is none. */
static const char *first_line(const char *root, const char *path, char line[LINE_BYTES])
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *from = fopen(full, "re");
    if (!from)
        return NULL;
    char *got = fgets(line, LINE_BYTES, from);
    fclose(from);
    if (!got)
        return NULL;
    for (size_t len = strlen(got); len && strchr(" \t\n", got[len - 1]);)
        got[--len] = 0;
    for (char *c = got; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
    return got;
}

static json_t *line_json(const char *root, const char *path)
{
    char line[LINE_BYTES];
    const char *text = first_line(root, path, line);
    json_t *value = text ? json_string(text) : NULL; /* NULL: not UTF-8 */
    return value ? value : json_null();
}

static json_t *number_json(const char *root, const char *path)
{
    char line[LINE_BYTES], *end;
    const char *text = first_line(root, path, line);
    long long value = text ? strtoll(text, &end, 10) : 0;
    return text && end != text ? json_integer(value) : json_null();
}

/* The value of "key : value" or KEY="value", in the first line that begins with `key`. */
static json_t *field_json(const char *root, const char *path, const char *key, char separator)
{
    char full[PATH_BYTES], line[LINE_BYTES];
    json_t *value = NULL;
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *from = fopen(full, "re");
    while (from && !value && fgets(line, sizeof line, from)) {
        char *at = strchr(line, separator);
        if (!at || strncmp(line, key, strlen(key)) != 0)
            continue;
        at += 1 + strspn(at + 1, " \t\"");
        at[strcspn(at, "\"\n")] = 0;
        value = json_string(at);
    }
    if (from)
        fclose(from);
    return value ? value : json_null();
}

/* Those of the files that there are, by name: the path with dots for slashes. */
static json_t *lines_json(const char *root, const char *folder, const char *const *names)
{
    json_t *lines = json_object();
    for (; *names; names++) {
        char path[PATH_BYTES], key[128];
        snprintf(path, sizeof path, "%s%s", folder, *names);
        snprintf(key, sizeof key, "%s", *names);
        for (char *c = key; *c; c++)
            *c = *c == '/' ? '.' : *c;
        json_t *line = line_json(root, path);
        if (json_is_null(line))
            json_decref(line);
        else
            put(lines, key, line);
    }
    return lines;
}

/* --- CPU --- */

/* How many different pairs of numbers there are. */
static unsigned distinct(const long long (*pairs)[2], unsigned pair_count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < pair_count; i++) {
        unsigned k = 0;
        while (k < i && (pairs[k][0] != pairs[i][0] || pairs[k][1] != pairs[i][1]))
            k++;
        found += k == i;
    }
    return found;
}

static bool read_number(const char *root, unsigned cpu, const char *name, long long *value)
{
    char path[PATH_BYTES], line[LINE_BYTES], *end;
    snprintf(path, sizeof path, CPU "cpu%u/topology/%s", cpu, name);
    const char *text = first_line(root, path, line);
    *value = text ? strtoll(text, &end, 10) : 0;
    return text && end != text;
}

static json_t *topology_json(const char *root)
{
    long long cores[CPU_SETSIZE][2], sockets[CPU_SETSIZE][2] = {{0}};
    unsigned threads = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!read_number(root, cpu, "physical_package_id", &cores[threads][0]) ||
            !read_number(root, cpu, "core_id", &cores[threads][1]))
            continue;
        sockets[threads][0] = cores[threads][0];
        threads++;
    }
    if (!threads)
        return json_null();
    return json_pack("{s:i, s:i, s:i}", "sockets", (int)distinct(sockets, threads), "cores",
                     (int)distinct(cores, threads), "threads", (int)threads);
}

static json_t *mitigations_json(const char *root)
{
    char path[PATH_BYTES];
    const char *names[65] = {NULL};
    unsigned count = 0;
    snprintf(path, sizeof path, "%s" CPU "vulnerabilities", root);
    struct dirent **entries = NULL;
    int found = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++)
        if (entries[i]->d_name[0] != '.' && count < 64)
            names[count++] = entries[i]->d_name;
    json_t *mitigations = lines_json(root, CPU "vulnerabilities/", names);
    for (int i = 0; i < found; i++)
        free(entries[i]);
    free(entries);
    return mitigations;
}

static json_t *cpu_json(const char *root)
{
    json_t *cpu = json_object();
    char given[CPUS_TEXT_BYTES];
    put(cpu, "topology", topology_json(root));
    put(cpu, "smt", line_json(root, CPU "smt/control"));
    put(cpu, "frequency_driver", line_json(root, CPU "cpu0/cpufreq/scaling_driver"));
    put(cpu, "frequency_max_khz", number_json(root, CPU "cpu0/cpufreq/cpuinfo_max_freq"));
    put(cpu, "boost", line_json(root, CPU "cpufreq/boost"));
    put(cpu, "no_turbo", line_json(root, CPU "intel_pstate/no_turbo"));
    put(cpu, "idle_driver", line_json(root, CPU "cpuidle/current_driver"));
    put(cpu, "isolated", line_json(root, CPU "isolated"));
    put(cpu, "nohz_full", line_json(root, CPU "nohz_full"));
    put(cpu, "microcode", field_json(root, "/proc/cpuinfo", "microcode", ':'));
    put(cpu, "allowed", json_string(cpus_text(cpus_given(), given)));
    return cpu;
}

/* --- limits --- */

static json_t *limit_json(rlim_t limit)
{
    return limit == RLIM_INFINITY ? json_null() : json_integer((json_int_t)limit);
}

static json_t *limits_json(void)
{
    struct rlimit files = {0}, locked = {0}, processes = {0};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_MEMLOCK, &locked);
    (void)getrlimit(RLIMIT_NPROC, &processes);
    return json_pack("{s:o, s:o, s:o, s:o}", "nofile", limit_json(files.rlim_cur), "nofile_hard",
                     limit_json(files.rlim_max), "memlock_bytes", limit_json(locked.rlim_cur),
                     "nproc", limit_json(processes.rlim_cur));
}

static json_t *sysctls_json(const char *root)
{
    static const char *const names[] = {"fs/file-max",
                                        "fs/nr_open",
                                        "kernel/io_uring_disabled",
                                        "kernel/numa_balancing",
                                        "kernel/sched_autogroup_enabled",
                                        "kernel/sched_cfs_bandwidth_slice_us",
                                        "kernel/sched_rt_runtime_us",
                                        "net/core/default_qdisc",
                                        "net/core/netdev_max_backlog",
                                        "net/core/rmem_max",
                                        "net/core/somaxconn",
                                        "net/core/wmem_max",
                                        "net/ipv4/ip_local_port_range",
                                        "net/ipv4/tcp_congestion_control",
                                        "net/ipv4/tcp_fin_timeout",
                                        "net/ipv4/tcp_max_syn_backlog",
                                        "net/ipv4/tcp_max_tw_buckets",
                                        "net/ipv4/tcp_rmem",
                                        "net/ipv4/tcp_syncookies",
                                        "net/ipv4/tcp_tw_reuse",
                                        "net/ipv4/tcp_wmem",
                                        "vm/max_map_count",
                                        "vm/overcommit_memory",
                                        "vm/swappiness",
                                        NULL};
    return lines_json(root, "/proc/sys/", names);
}

static json_t *cgroup_json(const char *root)
{
    struct cgroup c;
    cgroup_read(root, &c);
    json_t *to = json_object();
    put(to, "version", c.cpu.version ? json_integer(c.cpu.version) : json_null());
    put(to, "cpu_limit", c.cpu_limit > 0 ? json_real(c.cpu_limit) : json_null());
    put(to, "memory_limit_bytes",
        c.memory_limit_bytes == UINT64_MAX ? json_null() : count(c.memory_limit_bytes));
    return to;
}

/* --- versions --- */

/* The file names behind the sonames carry the versions of what was loaded, without asking each
 * library in its own way. */
static int add_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    static const char *const wanted[] = {"liburing.", "libpq.",      "libmemcached.", "libsqlite3.",
                                         "libinih.",  "libjansson.", "libz."};
    struct text *out = arg;
    char path[PATH_MAX];
    (void)size;
    const char *real = realpath(info->dlpi_name, path);
    const char *base = real ? strrchr(real, '/') : NULL;
    for (size_t i = 0; base && i < sizeof wanted / sizeof *wanted; i++)
        if (strncmp(base + 1, wanted[i], strlen(wanted[i])) == 0)
            text_addf(out, "%s%s", out->len ? " " : "", base + 1);
    return 0;
}

void environment_libraries(struct text *out)
{
    dl_iterate_phdr(add_library, out);
}

/* "0.1.0+gabc1234": the revision is behind the g. */
static json_t *revision_json(void)
{
    const char *revision = strstr(IUBENCH_VERSION, "+g");
    return revision ? json_string(revision + 2) : json_null();
}

static json_t *versions_json(void)
{
    struct text libraries = {0};
    environment_libraries(&libraries);
    json_t *versions = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "iubench", IUBENCH_VERSION,
                                 "revision", revision_json(), "date", IUBENCH_DATE, "compiler",
                                 __VERSION__, "jansson", JANSSON_VERSION, "libraries",
                                 libraries.len ? libraries.data : "linked in");
    text_free(&libraries);
    return versions;
}

/* --- the whole --- */

json_t *environment_json(const char *root)
{
    struct utsname names;
    bool is_named = uname(&names) == 0;
    json_t *to = json_object();
    put(to, "kernel", is_named ? json_string(names.release) : json_null());
    put(to, "kernel_build", is_named ? json_string(names.version) : json_null());
    put(to, "architecture", is_named ? json_string(names.machine) : json_null());
    put(to, "system", field_json(root, "/etc/os-release", "PRETTY_NAME", '='));
    put(to, "hardware", line_json(root, "/sys/class/dmi/id/product_name"));
    put(to, "cpu_model", field_json(root, "/proc/cpuinfo", "model name", ':'));
    put(to, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    put(to, "governor", line_json(root, CPU "cpu0/cpufreq/scaling_governor"));
    put(to, "cpu", cpu_json(root));
    put(to, "mitigations", mitigations_json(root));
    put(to, "numa_nodes", line_json(root, "/sys/devices/system/node/online"));
    put(to, "memory_bytes",
        count((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE)));
    put(to, "huge_pages", line_json(root, "/sys/kernel/mm/transparent_hugepage/enabled"));
    put(to, "clocksource",
        line_json(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource"));
    put(to, "limits", limits_json());
    put(to, "sysctls", sysctls_json(root));
    put(to, "cgroup", cgroup_json(root));
    put(to, "versions", versions_json());
    return to;
}
