#include "lab/pinning.h"

/* Cores, not CPUs, are dealt: two hardware threads of one core slow each other down, so they belong
 * to the same party. Only where there is nothing but one core are its threads dealt. */

#include <stdio.h>
#include <string.h>

#include "base/cpus.h"

void pinning_siblings(int siblings[CPU_SETSIZE])
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%d", &siblings[cpu]) != 1)
            siblings[cpu] = cpu;
        if (file)
            fclose(file);
    }
}

/* Numbers what is dealt as a whole, cores or single CPUs, in the order of their first CPU: unit[i]
 * for CPU i, -1 outside of `given`. Returns how many there are. */
static int number_units(const cpu_set_t *given, const int *siblings, bool by_core,
                        int unit[CPU_SETSIZE])
{
    int first[CPU_SETSIZE], count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        unit[cpu] = -1;
        if (!CPU_ISSET(cpu, given))
            continue;
        int i = by_core ? 0 : count;
        while (i < count && siblings[first[i]] != siblings[cpu])
            i++;
        if (i == count)
            first[count++] = cpu;
        unit[cpu] = i;
    }
    return count;
}

int pinning_core_count(const cpu_set_t *set, const int *siblings)
{
    int unit[CPU_SETSIZE];
    return number_units(set, siblings, true, unit);
}

static void take(cpu_set_t *to, const int *unit, int from, int count)
{
    CPU_ZERO(to);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (unit[cpu] >= from && unit[cpu] < from + count)
            CPU_SET(cpu, to);
}

static void party_text(char *out, size_t room, const char *name, const cpu_set_t *set)
{
    char cores[CPUS_TEXT_BYTES];
    size_t len = strlen(out);
    snprintf(out + len, room - len, "%s%s %s", len ? ", " : "", name,
             CPU_COUNT(set) ? cpus_text(set, cores) : "unpinned");
}

static void describe(struct pinning *p)
{
    p->text[0] = 0;
    party_text(p->text, sizeof p->text, "target", &p->target);
    party_text(p->text, sizeof p->text, "client", &p->client);
    party_text(p->text, sizeof p->text, "services", &p->services);
}

void pinning_share(const cpu_set_t *given, const int *siblings, struct pinning *p)
{
    int unit[CPU_SETSIZE];
    int count = number_units(given, siblings, true, unit);
    bool is_one_core = count == 1;
    if (is_one_core)
        count = number_units(given, siblings, false, unit);
    *p = (struct pinning){0};
    if (count < 2) {
        snprintf(p->text, sizeof p->text,
                 "not pinned: only CPU %d may be used, so target and client share it",
                 cpus_nth(given, 0));
        return;
    }

    /* 2 of 16 each, as published, and never none; with two there is nothing left for services,
     * which the scheduler then fits in. */
    int each = count / 8 > 1 ? count / 8 : 1;
    take(&p->target, unit, 0, each);
    take(&p->client, unit, each, each);
    take(&p->services, unit, 2 * each, count - 2 * each);
    p->upstream = p->client;
    p->is_pinned = true;
    describe(p);
    if (is_one_core) {
        size_t len = strlen(p->text);
        snprintf(p->text + len, sizeof p->text - len, " (threads of one core)");
    }
}

static bool share_list(const char *how, struct pinning *p, struct fail *f)
{
    int siblings[CPU_SETSIZE];
    cpu_set_t given = *cpus_given();
    if (how && !cpus_parse(how, &given, f))
        return fail_prefix(f, "expected auto, none, a core list, or TARGET/CLIENT[/SERVICES]");
    if (how && CPU_COUNT(&given) < 2)
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" is one CPU, too few for target and client: give two or more, or "
                        "TARGET/CLIENT; to let them share use none",
                        how);
    pinning_siblings(siblings);
    pinning_share(&given, siblings, p);
    return true;
}

/* One party's part of TARGET/CLIENT[/SERVICES]. */
static bool parse_part(const char *text, size_t len, const char *party, cpu_set_t *set,
                       struct fail *f)
{
    char part[256];
    if (!len || len >= sizeof part)
        return fail_set(f, EXIT_USAGE,
                        "the core list of the %s is %s; expected TARGET/CLIENT[/SERVICES] such as "
                        "0/1 or 0-1/2-3/4-7",
                        party, len ? "too long" : "empty");
    snprintf(part, sizeof part, "%.*s", (int)len, text);
    return cpus_parse(part, set, f) || fail_prefix(f, "cores of the %s", party);
}

static bool parse_parties(const char *how, struct pinning *p, struct fail *f)
{
    static const char *const names[] = {"target", "client", "services"};
    cpu_set_t *const sets[] = {&p->target, &p->client, &p->services};
    const char *at = how;
    *p = (struct pinning){0};
    for (int i = 0;; i++) {
        size_t len = strcspn(at, "/");
        if (i == 3)
            return fail_set(f, EXIT_USAGE,
                            "a pinning has at most three core lists: TARGET/CLIENT[/SERVICES]");
        if (!parse_part(at, len, names[i], sets[i], f))
            return false;
        if (!at[len])
            break;
        at += len + 1;
    }
    cpu_set_t both;
    char cores[CPUS_TEXT_BYTES];
    CPU_AND(&both, &p->target, &p->client);
    if (CPU_COUNT(&both))
        return fail_set(f, EXIT_USAGE,
                        "core %s is given to both target and client; to let them share cores use "
                        "--pin none",
                        cpus_text(&both, cores));
    p->upstream = p->client;
    p->is_pinned = true;
    describe(p);
    return true;
}

bool pinning_choose(const char *how, struct pinning *p, struct fail *f)
{
    if (strcmp(how, "none") == 0) {
        *p = (struct pinning){.text = "not pinned"};
        return true;
    }
    if (strcmp(how, "auto") == 0)
        return share_list(NULL, p, f);
    if (strchr(how, '/'))
        return parse_parties(how, p, f);
    return share_list(how, p, f);
}
