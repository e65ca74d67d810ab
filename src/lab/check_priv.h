/* How points are asked and judged, for the files of the check alone. */
#ifndef LAB_CHECK_PRIV_H
#define LAB_CHECK_PRIV_H

#include "conn/exchange.h"
#include "http/url.h"
#include "lab/check.h"
#include "storage/audit.h"

/* The ways in which a target may differ, by the names that a user knows them by. */
#define CHECK_DEVIATIONS(X)                               \
    X(ERRORS_ARE_400, "errors-are-400")                   \
    X(ERRORS_ARE_500, "errors-are-500")                   \
    X(ERROR_BODY, "error-body")                           \
    X(ROUTE_ERROR_BODY, "route-error-body")               \
    X(WRONG_INPUT_IS_422, "wrong-input-is-422")           \
    X(UNCHECKED_FIELDS, "unchecked-fields")               \
    X(ASCII_ONLY, "ascii-only")                           \
    X(TIME_FORMAT, "time-format")                         \
    X(CACHE_VALUE_IS_REPR, "cache-value-is-repr")         \
    X(CACHE_KEY_IS_HEX, "cache-key-is-hex")               \
    X(CACHE_NOT_AWAITED, "cache-not-awaited")             \
    X(FIB_UNLIMITED, "fib-unlimited")                     \
    X(FIB_BLOCKS, "fib-blocks")                           \
    X(UPSTREAM_ERRORS_ARE_500, "upstream-errors-are-500") \
    X(UPSTREAM_ERRORS_ARE_502, "upstream-errors-are-502") \
    X(NO_HEAD, "no-head")                                 \
    X(NO_OPTIONS, "no-options")                           \
    X(WRONG_METHOD_IS_404, "wrong-method-is-404")         \
    X(NO_PIPELINING, "no-pipelining")                     \
    X(NO_LIMITS, "no-limits")                             \
    X(LENIENT_HTTP, "lenient-http")

enum deviation {
#define X(id, name) DEVIATES_##id,
    CHECK_DEVIATIONS(X)
#undef X
        DEVIATION_COUNT,
    NO_DEVIATION = DEVIATION_COUNT
};

struct checker {
    const struct check_config *config;
    struct check *out;
    struct url url;
    struct address address;
    bool is_allowed[DEVIATION_COUNT + 1];
    int mode;         /* as it says itself, or as it was told; -1: unknown */
    bool has_mode;    /* whose routes must therefore be there */
    bool stores_none; /* it says that it stores nothing, so that there is no id */
    struct audit *audit;
    bool has_rows, has_values;

    /* the last exchange */
    struct exchange exchange;
    enum exchange_end end;
    struct exchange_reply reply;
    json_t *json; /* of its body; NULL: none */
    bool is_over; /* out of memory for points, or nobody answers any more */
};

/* --- asking --- */

struct question {
    const char *method, *path;
    const char *fields; /* lines with CRLF; NULL: none */
    struct span body;   /* with Content-Length, where there is one */
    bool is_kept;       /* the connection stays open */
};

/* Over a connection of its own, with the reply in c->reply and, if it is that, c->json. False if there
 * is no reply: c->end says why. */
bool check_ask(struct checker *c, const struct question *q);
bool check_get(struct checker *c, const char *path);
bool check_post(struct checker *c, const char *body);

/* The same for bytes as they are; the connection stays open. */
bool check_send(struct checker *c, enum http_method method, struct span bytes);

/* Another reply on that connection. */
bool check_next(struct checker *c, enum http_method method);

/* The whole request as check_ask() sends it. */
void check_request(const struct checker *c, const struct question *q, struct text *to);

/* --- judging --- */

/* A point is passed if `is_kept`; else it is not, by the deviation given, with what was found. */
void check_judge(struct checker *c, const char *text, bool is_kept, enum deviation d,
                 const char *found, ...) PRINTF_LIKE(5, 6);

/* A status that stands for a deviation. */
struct other_status {
    unsigned status;
    enum deviation deviation;
};

/* Whether there is a reply with this status (0 in `or_status`: no other one); `others` ends with a
 * status of 0 and may be NULL. True if the status is the one that was due. */
bool check_status(struct checker *c, const char *text, unsigned status, unsigned or_status,
                  const struct other_status *others);

/* The same for an error, whose body is judged as well. */
void check_error(struct checker *c, const char *text, unsigned status, unsigned or_status,
                 const struct other_status *others);
void check_type(struct checker *c, const char *text, const char *type);

/* "404, {"detail":...": the reply as it is told to a person. */
const char *check_reply_text(const struct checker *c, char out[200]);

/* --- the points --- */

/* Of one route each, and of HTTP itself. */
void check_devices(struct checker *c);
void check_create(struct checker *c);
void check_health(struct checker *c);
void check_fib(struct checker *c);
void check_fetch(struct checker *c);
void check_techempower_json(struct checker *c);
void check_techempower_text(struct checker *c);
void check_metrics(struct checker *c);
void check_openapi(struct checker *c);
void check_http(struct checker *c);

#endif
