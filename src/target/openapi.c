/* GET /openapi.json: the contract, with what this target is under `x-iubench`. Made once, at start.
 */
#include "target/target_priv.h"

#include "base/log.h"
#include "version.h"

extern const char openapi_json_begin[], openapi_json_end[];

static void put_quoted(struct text *out, const char *s)
{
    char escaped[512];
    for (char *at = (char *)log_escape(span_of(s), escaped, sizeof escaped); *at; at++)
        if (*at == '\\')
            *at = '/'; /* an escape of a log is none of JSON's; such a name is shown, never used */
    text_addf(out, "\"%s\"", escaped);
}

void openapi_build(struct target *t)
{
    static const struct span mark = {"@X_IUBENCH@", 11};
    const char *at = memmem(openapi_json_begin, (size_t)(openapi_json_end - openapi_json_begin),
                            mark.data, mark.len);
    CHECK(at);
    text_add(&t->openapi, (struct span){openapi_json_begin, (size_t)(at - openapi_json_begin)});
    text_addf(&t->openapi,
              "{\"version\":\"%s\",\"mode\":\"%s\",\"threads\":%u,\"store\":", IUBENCH_VERSION,
              target_mode_name((enum target_mode)t->config.mode), t->thread_count);
    put_quoted(&t->openapi, target_store_text(t));
    text_addf(&t->openapi, ",\"cache\":");
    put_quoted(&t->openapi, target_cache_text(t));
    if (target_pg_batch(t))
        text_addf(&t->openapi, ",\"pg_batch\":%u", target_pg_batch(t));
    text_addf(&t->openapi, "}");
    at += mark.len;
    text_add(&t->openapi, (struct span){at, (size_t)(openapi_json_end - at)});
}

void endpoint_openapi(struct target_worker *w, const struct server_request *r)
{
    server_reply(r->conn, &(struct server_reply){.status = 200,
                                                 .type = SPAN("application/json"),
                                                 .body = text_span(&w->target->openapi)});
}
