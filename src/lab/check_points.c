/* What each route must answer. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/uuid.h"
#include "lab/check_priv.h"
#include "storage/cache.h"
#include "target/target.h"

#define TYPE_FIELD "Content-Type: application/json\r\n"

static const char devices[] =
    "[{\"id\":1,\"uuid\":\"9add349c-c35c-4d32-ab0f-53da1ba40a2a\",\"mac\":\"EF-2B-C4-F5-D6-34\","
    "\"firmware\":\"2.1.5\",\"created_at\":\"2024-05-28T15:21:51.137Z\","
    "\"updated_at\":\"2024-05-28T15:21:51.137Z\"},"
    "{\"id\":2,\"uuid\":\"d2293412-36eb-46e7-9231-af7e9249fffe\",\"mac\":\"E7-34-96-33-0C-4C\","
    "\"firmware\":\"1.0.3\",\"created_at\":\"2024-01-28T15:20:51.137Z\","
    "\"updated_at\":\"2024-01-28T15:20:51.137Z\"},"
    "{\"id\":3,\"uuid\":\"eee58ca8-ca51-47a5-ab48-163fd0e44b77\",\"mac\":\"68-93-9B-B5-33-B9\","
    "\"firmware\":\"4.3.1\",\"created_at\":\"2024-08-28T15:18:21.137Z\","
    "\"updated_at\":\"2024-08-28T15:18:21.137Z\"}]";

static bool is_json(const struct checker *c, const char *wanted)
{
    json_t *value = json_loads(wanted, JSON_DECODE_ANY, NULL);
    bool is_equal = c->json && json_equal(c->json, value);
    json_decref(value);
    return is_equal;
}

void check_devices(struct checker *c)
{
    char shown[200];
    check_get(c, "/api/devices");
    if (!check_status(c, "GET /api/devices: status", 200, 0, NULL))
        return;
    check_type(c, "GET /api/devices: type", "application/json");
    check_judge(c, "GET /api/devices: the three devices", is_json(c, devices), NO_DEVIATION,
                "found %s", check_reply_text(c, shown));
}

void check_health(struct checker *c)
{
    char shown[200];
    check_get(c, "/healthz");
    if (check_status(c, "GET /healthz: status", 200, 0, NULL))
        check_judge(c, "GET /healthz: OK", span_eq(c->reply.body, SPAN("OK")), NO_DEVIATION,
                    "found %s", check_reply_text(c, shown));
}

void check_fetch(struct checker *c)
{
    char shown[200];
    check_get(c, "/fetch-external");
    if (!check_status(c, "GET /fetch-external: status", 200, 0, NULL))
        return;
    check_type(c, "GET /fetch-external: type", "application/json");
    check_judge(c, "GET /fetch-external: the upstream's JSON", c->json, NO_DEVIATION, "found %s",
                check_reply_text(c, shown));
}

/* --- TechEmpower --- */

/* Its rules ask for these two fields as well. */
static void check_fields(struct checker *c, const char *text)
{
    struct span value;
    bool has_both = exchange_field(&c->reply, "Server", &value) &&
                    exchange_field(&c->reply, "Date", &value);
    check_judge(c, text, has_both, NO_DEVIATION, "Server or Date is not there");
}

void check_techempower_json(struct checker *c)
{
    char shown[200];
    check_get(c, "/json");
    if (!check_status(c, "GET /json: status", 200, 0, NULL))
        return;
    check_type(c, "GET /json: type", "application/json");
    check_fields(c, "GET /json: Server and Date");
    check_judge(c, "GET /json: the message", is_json(c, "{\"message\":\"Hello, World!\"}"),
                NO_DEVIATION, "found %s", check_reply_text(c, shown));
}

void check_techempower_text(struct checker *c)
{
    char shown[200];
    check_get(c, "/plaintext");
    if (!check_status(c, "GET /plaintext: status", 200, 0, NULL))
        return;
    check_type(c, "GET /plaintext: type", "text/plain");
    check_fields(c, "GET /plaintext: Server and Date");
    check_judge(c, "GET /plaintext: the message", span_eq(c->reply.body, SPAN("Hello, World!")),
                NO_DEVIATION, "found %s", check_reply_text(c, shown));
}

/* --- what it tells of itself --- */

/* A sample is a name, perhaps labels, and a number; see "Exposition formats" of Prometheus. */
static bool is_exposition(struct span page)
{
    bool has_sample = false;
    while (page.len) {
        const char *end = memchr(page.data, '\n', page.len);
        if (!end)
            return false;
        struct span line = {page.data, (size_t)(end - page.data)};
        const char *space = memrchr(line.data, ' ', line.len);
        if (line.len && line.data[0] != '#') {
            if (!space || !strchr("+-0123456789.NI", space[1]))
                return false;
            has_sample = true;
        }
        page.data += line.len + 1;
        page.len -= line.len + 1;
    }
    return has_sample;
}

void check_metrics(struct checker *c)
{
    char shown[200];
    check_get(c, "/metrics");
    if (!check_status(c, "GET /metrics: status", 200, 0, NULL))
        return;
    check_type(c, "GET /metrics: type", "text/plain");
    check_judge(c, "GET /metrics: Prometheus' text format", is_exposition(c->reply.body),
                NO_DEVIATION, "found %s", check_reply_text(c, shown));
}

void check_openapi(struct checker *c)
{
    check_get(c, "/openapi.json");
    if (!check_status(c, "GET /openapi.json: status", 200, 0, NULL))
        return;
    const char *version = json_string_value(json_object_get(c->json, "openapi"));
    json_t *path = json_object_get(json_object_get(c->json, "paths"), "/api/devices");
    check_type(c, "GET /openapi.json: type", "application/json");
    check_judge(c, "GET /openapi.json: OpenAPI 3.1 with this API",
                version && strncmp(version, "3.1.", 4) == 0 && json_is_object(path), NO_DEVIATION,
                "found openapi %s, paths./api/devices %s", version ? version : "nothing",
                path ? "is there" : "is missing");
}

/* --- fib --- */

static void check_fib_value(struct checker *c, unsigned n, unsigned value)
{
    char path[32], text[96], wanted[64], shown[200];
    snprintf(path, sizeof path, "/fib/%u", n);
    snprintf(text, sizeof text, "GET %s", path);
    snprintf(wanted, sizeof wanted, "{\"n\":%u,\"fibonacci\":%u}", n, value);
    check_get(c, path);
    check_judge(c, text,
                c->end == EXCHANGE_REPLIED && c->reply.head.status == 200 && is_json(c, wanted),
                NO_DEVIATION, "expected 200 with the body %s, found %s", wanted,
                check_reply_text(c, shown));
}

static uint64_t time_of(struct checker *c, const char *path)
{
    uint64_t begin_ns = clock_ns();
    check_get(c, path);
    return clock_ns() - begin_ns;
}

/* Each step of n takes 1.618 times as long; wanted is a time in which a GET can be answered many
 * times. */
static unsigned long_fib(struct checker *c)
{
    static const double wanted_ns = 0.2 * NS_PER_S, step = 1.618;
    unsigned n = 25;
    double ns = (double)time_of(c, "/fib/25");
    for (; n < 40 && ns < wanted_ns; n++)
        ns *= step;
    return n;
}

/* While one is computed, the other endpoints answer. */
static void check_fib_aside(struct checker *c)
{
    char path[32];
    struct text request = {0};
    struct exchange computing = {.deadline_ns = clock_ns() + c->config->timeout_ns};
    struct exchange_reply reply;
    snprintf(path, sizeof path, "/fib/%u", long_fib(c));
    check_request(c, &(struct question){.method = "GET", .path = path}, &request);
    uint64_t begin_ns = clock_ns();
    bool is_asked = exchange_open(&computing, &c->address) == EXCHANGE_REPLIED &&
                    exchange_send(&computing, text_span(&request)) == EXCHANGE_REPLIED;
    text_free(&request);
    nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    uint64_t get_ns = time_of(c, "/api/devices");
    bool is_answered = c->end == EXCHANGE_REPLIED;
    computing.deadline_ns = clock_ns() + c->config->timeout_ns;
    bool is_computed = is_asked && exchange_read(&computing, HTTP_GET, &reply) == EXCHANGE_REPLIED;
    uint64_t fib_ns = clock_ns() - begin_ns;
    exchange_close(&computing);
    check_judge(c, "GET /fib/{n} does not hold up GET /api/devices",
                is_answered && is_computed && get_ns < fib_ns / 2, DEVIATES_FIB_BLOCKS,
                "beside GET %s, which took %.0f ms, it took %.0f ms", path,
                (double)fib_ns / NS_PER_MS, (double)get_ns / NS_PER_MS);
}

void check_fib(struct checker *c)
{
    static const struct other_status below[] = {{200, DEVIATES_FIB_UNLIMITED},
                                                {422, DEVIATES_WRONG_INPUT_IS_422},
                                                {404, DEVIATES_FIB_UNLIMITED},
                                                {0}},
                                     wrong[] = {{422, DEVIATES_WRONG_INPUT_IS_422}, {0}};
    static const unsigned values[][2] = {{0, 0}, {1, 1}, {2, 1}, {20, 6765}};
    for (unsigned i = 0; i < 4; i++)
        check_fib_value(c, values[i][0], values[i][1]);
    check_type(c, "GET /fib/20: type", "application/json");
    if (c->config->path)
        return;
    check_fib_aside(c);
    check_get(c, "/fib/-1");
    check_error(c, "GET /fib/-1", 400, 0, below);
    check_get(c, "/fib/abc");
    check_error(c, "GET /fib/abc", 400, 404, wrong);
    if (c->is_allowed[DEVIATES_FIB_UNLIMITED]) {
        check_judge(c, "GET /fib/41", false, DEVIATES_FIB_UNLIMITED,
                    "not asked: it would be computed");
        return;
    }
    check_get(c, "/fib/41");
    check_error(c, "GET /fib/41", 400, 0, below);
}

/* --- POST --- */

/* dddd-dd-ddTdd:dd:dd, then what `is_exact` wants: .dddddd and Z. */
static bool is_time(const char *text, bool is_exact)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    size_t len = is_exact ? sizeof pattern - 1 : 19;
    if (!text || strlen(text) < len || (is_exact && strlen(text) != len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (pattern[i] == 'd'
                ? text[i] < '0' || text[i] > '9'
                : text[i] != pattern[i] && !(pattern[i] == 'T' && !is_exact && text[i] == ' '))
            return false;
    return true;
}

/* RFC 9562: version 4, variant 10. */
static bool is_uuid(const char *text)
{
    if (!text || strlen(text) != UUID_TEXT_BYTES)
        return false;
    for (int i = 0; i < UUID_TEXT_BYTES; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
            return false;
    }
    return text[14] == '4' && strchr("89ab", text[19]);
}

static const char *member(const struct checker *c, const char *name)
{
    return json_string_value(json_object_get(c->json, name));
}

static void check_times(struct checker *c)
{
    const char *created = member(c, "created_at"), *updated = member(c, "updated_at");
    char shown[96];
    log_escape(span_of(created ? created : "none"), shown, sizeof shown);
    check_judge(c, "POST /api/devices: times in UTC with six digits",
                is_time(created, true) && is_time(updated, true),
                is_time(created, false) && is_time(updated, false) ? DEVIATES_TIME_FORMAT
                                                                   : NO_DEVIATION,
                "expected one such as 2026-11-20T17:00:00.123456Z, found %s", shown);
}

static void check_id(struct checker *c, json_t *id)
{
    bool is_number = json_is_integer(id) && json_integer_value(id) > 0;
    bool must_be = c->has_rows || c->mode == MODE_DB || c->mode == MODE_ALL;
    bool must_not_be = !c->has_rows && (c->mode == MODE_POST || c->stores_none);
    if (must_not_be)
        check_judge(c, "POST /api/devices: no id, since nothing is stored", !id, NO_DEVIATION,
                    "there is one");
    else
        check_judge(c, "POST /api/devices: id", is_number || (!id && !must_be), NO_DEVIATION,
                    "expected a whole number above 0, found %s", id ? "something else" : "none");
}

/* The object of an answer, member by member. */
static void check_object(struct checker *c, const char *mac, const char *firmware)
{
    char shown[200];
    const char *uuid = member(c, "uuid"), *own_mac = member(c, "mac"),
               *own_firmware = member(c, "firmware");
    check_judge(c, "POST /api/devices: mac and firmware as they were sent",
                own_mac && own_firmware && !strcmp(own_mac, mac) && !strcmp(own_firmware, firmware),
                NO_DEVIATION, "found %s", check_reply_text(c, shown));
    check_judge(c, "POST /api/devices: a UUID of version 4, lower case", is_uuid(uuid),
                NO_DEVIATION, "found %s", check_reply_text(c, shown));
    check_times(c);
    check_id(c, json_object_get(c->json, "id"));
}

static void check_row(struct checker *c)
{
    struct audit_row row;
    struct fail f = {.text = "it is not there"};
    const char *uuid = member(c, "uuid"), *mac = member(c, "mac"),
               *firmware = member(c, "firmware"), *created = member(c, "created_at");
    bool is_there = false;
    bool is_kept = uuid && mac && firmware && created &&
                   audit_find_row(c->audit, uuid, &row, &is_there, &f) && is_there;
    if (is_kept && (row.id != json_integer_value(json_object_get(c->json, "id")) ||
                    strcmp(row.mac, mac) != 0 || strcmp(row.firmware, firmware) != 0 ||
                    strncmp(row.created_at, created, 10) != 0 ||
                    strncmp(row.created_at + 11, created + 11, 8) != 0))
        is_kept = fail_set(&f, EXIT_FAILED, "it is id %" PRId64 ", %s, %s, %s", row.id, row.mac,
                           row.firmware, row.created_at);
    check_judge(c, "POST /api/devices: the row in PostgreSQL", is_kept, NO_DEVIATION, "%s", f.text);
}

static void without_hyphens(const char *uuid, char out[UUID_TEXT_BYTES + 1])
{
    for (; *uuid; uuid++)
        if (*uuid != '-')
            *out++ = *uuid;
    *out = 0;
}

/* A target that does not wait for the set may be a little late. */
static bool find_value(struct checker *c, const char *key, struct audit_value *value, bool *is_late,
                       struct fail *f)
{
    bool is_there = false;
    *is_late = false;
    for (int i = 0; i < 20; i++) {
        if (!audit_find_value(c->audit, key, value, &is_there, f) || is_there)
            return is_there;
        *is_late = true;
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    }
    return false;
}

static void check_value(struct checker *c)
{
    char key[UUID_TEXT_BYTES + 1], shown[200];
    struct audit_value value;
    struct fail f = {.text = ""};
    bool is_late, is_other_late;
    const char *uuid = member(c, "uuid");
    if (!is_uuid(uuid))
        return;
    without_hyphens(uuid, key);
    bool is_found = find_value(c, uuid, &value, &is_late, &f);
    bool is_hex = !is_found && find_value(c, key, &value, &is_other_late, &f);
    check_judge(c, "POST /api/devices: a value in memcached, its key the UUID", is_found,
                is_hex ? DEVIATES_CACHE_KEY_IS_HEX : NO_DEVIATION, "%s%s",
                is_hex ? "the key has no hyphens" : "there is none; ", is_hex ? "" : f.text);
    if (!is_found && !is_hex)
        return;
    check_judge(c, "POST /api/devices: it is there with the answer", !(is_found && is_late),
                DEVIATES_CACHE_NOT_AWAITED, "it came after the answer");
    json_t *object = json_loadb(value.data, value.len, 0, NULL);
    check_judge(c, "POST /api/devices: the value is the object", json_equal(object, c->json),
                !object && value.len && value.data[0] == '{' ? DEVIATES_CACHE_VALUE_IS_REPR
                                                             : NO_DEVIATION,
                "found %s", log_escape((struct span){value.data, value.len}, shown, sizeof shown));
    json_decref(object);
    check_judge(c, "POST /api/devices: it expires after 20 s",
                value.ttl_s > CACHE_EXPIRY_S - 5 && value.ttl_s <= CACHE_EXPIRY_S, NO_DEVIATION,
                "it expires in %" PRId64 " s (-1: never)", value.ttl_s);
}

static void check_bad_bodies(struct checker *c)
{
    static const struct other_status wrong[] = {{422, DEVIATES_WRONG_INPUT_IS_422}, {0}};
    static const struct other_status missing[] = {{422, DEVIATES_WRONG_INPUT_IS_422},
                                                  {201, DEVIATES_UNCHECKED_FIELDS},
                                                  {500, DEVIATES_UNCHECKED_FIELDS},
                                                  {0}};
    static const struct {
        const char *text, *body;
        unsigned or_status;
        const struct other_status *others;
    } bodies[] = {
        {"POST /api/devices, not JSON", "mac=EF&firmware=1", 0, wrong},
        {"POST /api/devices, JSON that is cut", "{\"mac\":\"EF\",\"firmw", 0, wrong},
        {"POST /api/devices, an empty body", "", 0, wrong},
        {"POST /api/devices, an array", "[1,2]", 422, wrong},
        {"POST /api/devices, without mac", "{\"firmware\":\"1\"}", 0, missing},
        {"POST /api/devices, without firmware", "{\"mac\":\"EF\"}", 0, missing},
        {"POST /api/devices, mac a number", "{\"mac\":17,\"firmware\":\"1\"}", 422, missing},
        {"POST /api/devices, firmware null", "{\"mac\":\"EF\",\"firmware\":null}", 422, missing},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        check_post(c, bodies[i].body);
        check_error(c, bodies[i].text, 400, bodies[i].or_status, bodies[i].others);
    }
}

static void post_mac_of(struct checker *c, size_t len)
{
    struct text body = {0};
    text_addf(&body, "{\"mac\":\"");
    for (size_t i = 0; i < len; i++)
        text_addf(&body, "a");
    text_addf(&body, "\",\"firmware\":\"1\"}");
    check_post(c, body.data);
    text_free(&body);
}

static void check_texts(struct checker *c)
{
    static const struct other_status ascii[] = {
        {400, DEVIATES_ASCII_ONLY}, {422, DEVIATES_ASCII_ONLY}, {500, DEVIATES_ASCII_ONLY}, {0}};
    static const struct other_status wrong[] = {{422, DEVIATES_WRONG_INPUT_IS_422},
                                                {500, DEVIATES_ERRORS_ARE_500},
                                                {201, DEVIATES_UNCHECKED_FIELDS},
                                                {0}};
    char shown[200];
    check_post(c, "{\"mac\":\"\\u00e4\\ud83d\\ude00\",\"firmware\":\"\xc3\xbc\"}");
    if (check_status(c, "POST /api/devices, texts beyond ASCII", 201, 0, ascii))
        check_judge(c, "POST /api/devices, texts beyond ASCII: as they were sent",
                    member(c, "mac") && !strcmp(member(c, "mac"), "\xc3\xa4\xf0\x9f\x98\x80") &&
                        member(c, "firmware") && !strcmp(member(c, "firmware"), "\xc3\xbc"),
                    NO_DEVIATION, "found %s", check_reply_text(c, shown));
    post_mac_of(c, 255);
    check_status(c, "POST /api/devices, mac of 255 characters", 201, 0, NULL);
    post_mac_of(c, 256);
    check_error(c, "POST /api/devices, mac of 256 characters", 400, 0, wrong);
    check_post(c, "{\"mac\":\"a\\u0000b\",\"firmware\":\"1\"}");
    check_error(c, "POST /api/devices, mac with a NUL", 400, 0, wrong);
}

/* A valid body of `len` bytes, most of them space. */
static void post_padded(struct checker *c, size_t len)
{
    static const char object[] = "{\"mac\":\"EF\",\"firmware\":\"1\"}";
    struct text body = {0};
    static const char spaces[] = "                                                                ";
    for (size_t left = len - (sizeof object - 1); left; left -= left < 64 ? left : 64)
        text_add(&body, (struct span){spaces, left < 64 ? left : 64});
    text_addf(&body, "%s", object);
    check_post(c, body.data);
    text_free(&body);
}

static void check_sizes(struct checker *c)
{
    static const struct other_status unlimited[] = {{201, DEVIATES_NO_LIMITS}, {0}};
    post_padded(c, (1 << 20) - 1024);
    check_status(c, "POST /api/devices, a body of 1 MiB", 201, 0, NULL);
    post_padded(c, 8 << 20);
    if (c->end == EXCHANGE_CLOSED || c->end == EXCHANGE_INCOMPLETE)
        check_judge(c, "POST /api/devices, a body of 8 MiB is refused", true, NO_DEVIATION, "-");
    else
        check_status(c, "POST /api/devices, a body of 8 MiB is refused", 413, 400, unlimited);
    check_get(c, "/healthz");
    check_status(c, "it answers after that", 200, 0, NULL);
}

void check_create(struct checker *c)
{
    char first[64] = "";
    check_post(c, "{\"mac\":\"EF-2B-C4-F5-D6-34\",\"firmware\":\"2.1.5\"}");
    if (!check_status(c, "POST /api/devices: status", 201, 0, NULL))
        return;
    check_type(c, "POST /api/devices: type", "application/json");
    check_object(c, "EF-2B-C4-F5-D6-34", "2.1.5");
    if (c->has_rows)
        check_row(c);
    if (c->has_values)
        check_value(c);
    if (member(c, "uuid"))
        snprintf(first, sizeof first, "%s", member(c, "uuid"));
    check_post(c, "{ \"firmware\" : \"3\", \"other\": [1, {}], \"mac\" : \"EF\" }");
    if (check_status(c, "POST /api/devices, in another order and with more", 201, 0, NULL))
        check_judge(c, "POST /api/devices: a UUID for each",
                    member(c, "uuid") && strcmp(member(c, "uuid"), first) != 0, NO_DEVIATION,
                    "it is the same as the one before");
    check_bad_bodies(c);
    check_texts(c);
    if (!c->config->path)
        check_sizes(c);
}
