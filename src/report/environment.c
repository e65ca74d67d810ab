/* Everything is read from where the kernel shows it; nothing is guessed. */
#include "report/environment.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "version.h"

enum { LINE_BYTES = 512 };

/* The first line of a file; NULL if there is none. */
static const char *first_line(const char *path, char line[LINE_BYTES])
{
    FILE *from = fopen(path, "r");
    if (!from)
        return NULL;
    char *got = fgets(line, LINE_BYTES, from);
    fclose(from);
    if (got)
        line[strcspn(line, "\n")] = 0;
    return got;
}

static json_t *line_json(const char *path)
{
    char line[LINE_BYTES];
    const char *text = first_line(path, line);
    return text ? json_string(text) : json_null();
}

static json_t *cpu_model(void)
{
    char line[LINE_BYTES];
    json_t *model = NULL;
    FILE *from = fopen("/proc/cpuinfo", "r");
    while (from && !model && fgets(line, sizeof line, from)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        model = json_string(colon + 1 + strspn(colon + 1, " "));
    }
    if (from)
        fclose(from);
    return model ? model : json_null();
}

static json_t *limit_json(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return json_null();
    return json_integer((json_int_t)limit.rlim_cur);
}

static json_t *limits_json(void)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "nofile", limit_json(RLIMIT_NOFILE),
                     "memlock_bytes", limit_json(RLIMIT_MEMLOCK), "somaxconn",
                     line_json("/proc/sys/net/core/somaxconn"), "port_range",
                     line_json("/proc/sys/net/ipv4/ip_local_port_range"), "cgroup_cpu_max",
                     line_json("/sys/fs/cgroup/cpu.max"));
}

json_t *environment_json(void)
{
    struct utsname names;
    json_t *kernel = uname(&names) == 0 ? json_string(names.release) : json_null();
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:{s:s, s:s, s:s}}", "kernel", kernel, "cpu_model",
                     cpu_model(), "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "governor",
                     line_json("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "limits",
                     limits_json(), "versions", "iubench", IUBENCH_VERSION, "compiler", __VERSION__,
                     "jansson", JANSSON_VERSION);
}
