/* The target's options; those of its storage stand in storage/storage.c. */
#include "target/target_priv.h"

#include <stddef.h>

#include "base/units.h"

enum { HEAD_BYTES_MIN = 64, HEAD_BYTES_MAX = 1 << 20 };

static const char *const modes[] = {"all", "static", "fib", "proxy", "post", "db", NULL};

const char *target_mode_name(enum target_mode m)
{
    return modes[m];
}

const struct target_config target_config_default = {
    .storage = {.timeout_ns = 5 * NS_PER_S},
    .mode = MODE_ALL,
    .listen = "127.0.0.1:8080",
    .upstream_timeout_ns = 10 * NS_PER_S,
    .upstream_delay_ns = 500 * NS_PER_MS,
    .upstream_connections = 10000,
    .fib_max = 40,
    .fib_queue = 1024,
    .limits = SERVER_LIMITS_DEFAULT,
};

/* A size within what a head may sensibly have, into a uint32_t. */
static bool parse_head_bytes(void *field, const char *value, struct fail *f)
{
    uint64_t bytes;
    if (!units_size(value, &bytes, f))
        return false;
    if (bytes < HEAD_BYTES_MIN || bytes > HEAD_BYTES_MAX)
        return fail_set(f, EXIT_USAGE, "expected a size from %d bytes to 1M", HEAD_BYTES_MIN);
    *(uint32_t *)field = (uint32_t)bytes;
    return true;
}

#define AT(field) offsetof(struct target_config, field)

const struct option_row target_options[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     .at = AT(mode),
     .metavar = "MODE",
     .choices = modes,
     .help = "which endpoints there are (default all)"},
    {.name = "listen",
     .letter = 'l',
     .kind = OPTION_TEXT,
     .at = AT(listen),
     .metavar = "ADDR:PORT",
     .help = "where to listen, or unix:PATH (default 127.0.0.1:8080; port 0 takes a free one)"},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .at = AT(threads),
     .metavar = "N",
     .min = 1,
     .max = 256,
     .help = "event loops (default: the CPUs this process may use)"},
    {.name = "cores",
     .kind = OPTION_TEXT,
     .at = AT(cores),
     .metavar = "LIST",
     .help = "cores to run on, such as 0-3,6, a loop each in turn (default: not pinned)"},
    {.name = "metrics",
     .kind = OPTION_TEXT,
     .at = AT(metrics),
     .metavar = "ADDR:PORT",
     .help = "answer /metrics on a port of its own as well"},
    {.name = "upstream",
     .kind = OPTION_TEXT,
     .at = AT(upstream),
     .metavar = "URL",
     .help = "what /fetch-external fetches (default: a built-in upstream)"},
    {.name = "upstream-timeout",
     .kind = OPTION_DURATION,
     .at = AT(upstream_timeout_ns),
     .metavar = "TIME",
     .help = "until 504 (default 10s)"},
    {.name = "upstream-delay",
     .kind = OPTION_DURATION,
     .at = AT(upstream_delay_ns),
     .metavar = "TIME",
     .help = "of the built-in upstream (default 500ms)"},
    {.name = "upstream-connections",
     .kind = OPTION_COUNT,
     .at = AT(upstream_connections),
     .metavar = "N",
     .min = 1,
     .max = 1000000,
     .help = "to the upstream at once, per loop; fetches beyond wait (default 10000)"},
    {.name = "fib-max",
     .kind = OPTION_COUNT,
     .at = AT(fib_max),
     .metavar = "N",
     .max = 92,
     .help = "greatest n of /fib/{n} (default 40, which takes 0.2 s)"},
    {.name = "fib-threads",
     .kind = OPTION_COUNT,
     .at = AT(fib_threads),
     .metavar = "N",
     .min = 1,
     .max = 256,
     .help = "threads that compute (default: as many as there are loops)"},
    {.name = "fib-queue",
     .kind = OPTION_COUNT,
     .at = AT(fib_queue),
     .metavar = "N",
     .min = 1,
     .max = 1000000,
     .help = "computations that may wait, 503 beyond (default 1024)"},
    {.name = "max-connections",
     .kind = OPTION_COUNT,
     .at = AT(limits.connections),
     .metavar = "N",
     .min = 1,
     .max = 10000000,
     .help = "open at once, per loop (default 65536)"},
    {.name = "max-requests",
     .kind = OPTION_COUNT,
     .at = AT(limits.requests_per_connection),
     .metavar = "N",
     .max = 4000000000,
     .help = "requests a connection may make, 0 for any number (default 0)"},
    {.name = "max-line",
     .kind = OPTION_PARSED,
     .at = AT(limits.head.line_bytes),
     .metavar = "SIZE",
     .parse = parse_head_bytes,
     .help = "of a request line, 414 beyond (default 8k)"},
    {.name = "max-head",
     .kind = OPTION_PARSED,
     .at = AT(limits.head.head_bytes),
     .metavar = "SIZE",
     .parse = parse_head_bytes,
     .help = "of a request's head, its line included, 431 beyond (default 24k)"},
    {.name = "max-fields",
     .kind = OPTION_COUNT,
     .at = AT(limits.head.fields),
     .metavar = "N",
     .min = 1,
     .max = 10000,
     .help = "header fields of a request, 431 beyond (default 100)"},
    {.name = "max-body",
     .kind = OPTION_SIZE,
     .at = AT(limits.body_bytes),
     .metavar = "SIZE",
     .help = "of a request, 413 beyond (default 1M)"},
    {.name = "head-timeout",
     .kind = OPTION_DURATION,
     .at = AT(limits.head_ns),
     .metavar = "TIME",
     .help = "for a request's head to arrive, 408 beyond (default 10s)"},
    {.name = "body-timeout",
     .kind = OPTION_DURATION,
     .at = AT(limits.body_ns),
     .metavar = "TIME",
     .help = "between pieces of a request's body, 408 beyond (default 10s)"},
    {.name = "idle-timeout",
     .kind = OPTION_DURATION,
     .at = AT(limits.idle_ns),
     .metavar = "TIME",
     .help = "a connection may be idle before it is closed (default 75s)"},
    {.name = "write-timeout",
     .kind = OPTION_DURATION,
     .at = AT(limits.write_ns),
     .metavar = "TIME",
     .help = "a client may take nothing of a reply before it is cut off (default 30s)"},
    {.name = "drain-timeout",
     .kind = OPTION_DURATION,
     .at = AT(limits.drain_ns),
     .metavar = "TIME",
     .help = "requests under way have when the server stops (default 10s)"},
    {0},
};
