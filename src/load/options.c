/* The options of a load, one row each; scenario files use the same names as keys. */
#include "load/load.h"

#include <stddef.h>

#define AT(field) offsetof(struct load_config, field)

static const char *const arrivals[] = {"uniform", "poisson", NULL};

const struct option_row load_options[] = {
    {.name = "connections",
     .letter = 'c',
     .kind = OPTION_COUNT,
     .at = AT(connections),
     .metavar = "N",
     .help = "connections, dealt to the threads (default 64)",
     .min = 1,
     .max = 1000000,
     .was_set_at = AT(connections_was_set)},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .at = AT(threads),
     .metavar = "N",
     .help = "threads of the client (default 1)",
     .min = 1,
     .max = 1024},
    {.name = "duration",
     .letter = 'd',
     .kind = OPTION_DURATION,
     .at = AT(duration_ns),
     .metavar = "DURATION",
     .help = "how long to send (default 10s; ramps and stages have their own length)",
     .was_set_at = AT(duration_was_set)},
    {.name = "requests",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .at = AT(requests),
     .metavar = "N",
     .help = "send exactly N requests in a closed loop, instead of for a duration",
     .min = 1,
     .max = UINT32_MAX},
    {.name = "rate",
     .letter = 'r',
     .kind = OPTION_RATE,
     .at = AT(rate),
     .metavar = "RATE",
     .help = "open loop: send RATE requests per second, whatever the target does",
     .was_set_at = AT(rate_was_set)},
    {.name = "rps-ramp",
     .kind = OPTION_TEXT,
     .at = AT(ramp),
     .metavar = "FROM:TO[:STEP]/PERIOD",
     .help = "open loop: raise the rate, linearly within PERIOD or by STEP every PERIOD; without a "
             "value by 1000/s every second until the target no longer keeps up",
     .is_value_optional = true},
    {.name = "stages",
     .kind = OPTION_TEXT,
     .at = AT(stages),
     .metavar = "TIME:RATE,...",
     .help = "open loop: hold each rate for its time, such as 10s:1000,30s:60k"},
    {.name = "arrivals",
     .kind = OPTION_CHOICE,
     .at = AT(arrivals),
     .choices = arrivals,
     .help = "open loop: requests are due evenly, or at random as of users that know nothing of "
             "each other"},
    {.name = "seed",
     .kind = OPTION_COUNT,
     .at = AT(seed),
     .metavar = "N",
     .help =
         "of random arrivals, think times, numbers and the order of weighted requests (default 1)",
     .max = UINT32_MAX},
    {.name = "clients-ramp",
     .kind = OPTION_TEXT,
     .at = AT(clients),
     .metavar = "PODSxMAX/STAGE[,think=40ms][,think-is=uniform|fixed]",
     .help = "closed loop as of the published tester: in stage n PODS times n clients, which think "
             "and send in turn; or published-test1, published-test2; -d compresses the stages"},
    {.name = "method",
     .letter = 'm',
     .kind = OPTION_TEXT,
     .at = AT(method),
     .metavar = "METHOD",
     .help = "method of the request (default GET, or POST when there is a body)"},
    {.name = "header",
     .letter = 'H',
     .kind = OPTION_TEXTS,
     .at = AT(headers),
     .metavar = "\"NAME: VALUE\"",
     .help = "a header field to send; may be given several times"},
    {.name = "body",
     .letter = 'b',
     .kind = OPTION_TEXT,
     .at = AT(body),
     .metavar = "TEXT|@FILE",
     .help = "body of the request, as it stands or read from a file"},
    {.name = "requests-file",
     .kind = OPTION_TEXT,
     .at = AT(requests_file),
     .metavar = "FILE",
     .help =
         "send the requests of FILE, a line \"[WEIGHT] METHOD URL|/PATH [BODY|@FILE]\" each with "
         "indented header lines below it; the URL then only names the host"},
    {.name = "literal",
     .kind = OPTION_FLAG,
     .at = AT(is_literal),
     .help = "send {uuid}, {mac}, {seq} and {rand:1-6} as they stand, instead of filling them in"},
    {.name = "keepalive",
     .kind = OPTION_FLAG,
     .at = AT(is_kept_alive),
     .help =
         "use connections again (default on); --no-keepalive opens one for each request, inside "
         "its latency"},
    {.name = "pipeline",
     .kind = OPTION_COUNT,
     .at = AT(pipeline),
     .metavar = "N",
     .help = "send up to N requests on a connection without waiting for answers (default 1)",
     .min = 1,
     .max = 1024},
    {.name = "expect-status",
     .kind = OPTION_TEXT,
     .at = AT(expect_status),
     .metavar = "STATUS[,...]",
     .help = "count answers with any other status as errors.unexpected (2xx is ok)"},
    {.name = "expect-body-size",
     .kind = OPTION_SIZE,
     .at = AT(expect_body_bytes),
     .metavar = "SIZE",
     .help = "count answers whose body has another size as errors.unexpected"},
    {.name = "timeout",
     .letter = 'T',
     .kind = OPTION_DURATION,
     .at = AT(timeout_ns),
     .metavar = "DURATION",
     .help = "give up on an answer after this time, and on a due request that found no connection "
             "(default 5s)",
     .was_set_at = AT(timeout_was_set)},
    {.name = "cores",
     .kind = OPTION_TEXT,
     .at = AT(cores),
     .metavar = "LIST",
     .help = "pin the threads to these cores, one each in turn (default: not pinned)"},
    {.name = "expect",
     .kind = OPTION_TEXT,
     .at = AT(expect),
     .metavar = "THRESHOLDS",
     .help = "end with exit code 3 unless all hold, such as 'p99<10ms,availability>=99.9%'; of p50 "
             "p90 p95 p99 p999 max mean rps availability errors timeouts"},
    {.name = "pid",
     .kind = OPTION_COUNT,
     .at = AT(pid),
     .metavar = "N",
     .help = "the target's process, with its descendants, whose CPU time and memory are measured "
             "(the one that listens there, if it runs on this machine)",
     .min = 1,
     .max = INT32_MAX},
    {.name = "sample-interval",
     .kind = OPTION_DURATION,
     .at = AT(sample_ns),
     .metavar = "DURATION",
     .help = "how often that is read, from 10ms to 1s; what is read more often than once a second "
             "is shown as mean, least and most of the second (default 1s)"},
    {.name = "dashboard",
     .kind = OPTION_TEXT,
     .at = AT(dashboard),
     .metavar = "ADDR:PORT",
     .help = "show the run live in a browser, at this address (default 127.0.0.1:8081, or a free "
             "port where that is taken)",
     .is_value_optional = true},
    {.name = "metrics",
     .kind = OPTION_TEXT,
     .at = AT(metrics),
     .metavar = "ADDR:PORT",
     .help = "a page /metrics about the load for Prometheus, at this address; the dashboard has it "
             "as well"},
    {.name = "quiet",
     .letter = 'q',
     .kind = OPTION_FLAG,
     .at = AT(is_quiet),
     .help = "no line for each second"},
    {0},
};

const struct option_row load_lone_options[] = {
    {.name = "json",
     .kind = OPTION_TEXT,
     .at = AT(json),
     .metavar = "FILE",
     .help = "write the result to FILE (- is the standard output)"},
    {.name = "csv",
     .kind = OPTION_TEXT,
     .at = AT(csv),
     .metavar = "FILE",
     .help = "write the series to FILE, a row for each second"},
    {.name = "hdr",
     .kind = OPTION_TEXT,
     .at = AT(hdr),
     .metavar = "FILE",
     .help = "write an HdrHistogram interval log to FILE while the load runs: latency and service "
             "time of each second, in nanoseconds"},
    {.name = "find-max",
     .kind = OPTION_TEXT,
     .at = AT(find_max),
     .metavar = "THRESHOLDS",
     .help = "find the highest rate at which all hold, such as 'p99<50ms,availability>=99.9%': by "
             "short runs, then by three of -d at the rate found"},
    {.name = "find-start",
     .kind = OPTION_RATE,
     .at = AT(find_start),
     .metavar = "RATE",
     .help = "where --find-max begins (default 1000)"},
    {.name = "probe-time",
     .kind = OPTION_DURATION,
     .at = AT(probe_ns),
     .metavar = "DURATION",
     .help = "length of a short run of --find-max (default 2s)"},
    {0},
};

const struct option_row load_shard_options[] = {
    {.name = "shard",
     .kind = OPTION_TEXT,
     .at = AT(shard),
     .metavar = "INDEX/COUNT",
     .help = "be one of COUNT clients with the same options, from 0/COUNT on, that share schedule, "
             "connections and requests; `iubench merge` makes one result of theirs"},
    {.name = "start-at",
     .kind = OPTION_TEXT,
     .at = AT(start_at),
     .metavar = "TIME",
     .help = "begin at this time, such as 2026-11-20T17:00:00Z, or +5s from now; connections are "
             "opened before"},
    {.name = "clock-from",
     .kind = OPTION_TEXT,
     .at = AT(clock_from),
     .metavar = "URL",
     .help =
         "measure how far the clock is from that of an HTTP server, the same for all clients, and "
         "state it; takes up to 12 s before the start"},
    {0},
};

void load_config_give_way(struct load_config *c, const struct load_config *given)
{
    bool is_given = given->rate > 0 || given->ramp || given->stages || given->clients ||
                    given->requests;
    if (!is_given)
        return;
    bool had_clients = c->clients;
    c->rate = 0;
    c->ramp = c->stages = c->clients = NULL;
    c->requests = 0;
    if (given->ramp || given->stages || given->clients || given->requests)
        c->duration_was_set = false; /* the length of something else */
    if (given->clients)
        c->connections_was_set = false;
    if (had_clients && !given->clients)
        c->connections = LOAD_CONFIG_DEFAULT.connections;
}
