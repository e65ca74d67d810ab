/* A viewer's next piece is looked up when its connection takes more, at its own place in the log;
 * the server ends a connection that takes nothing for too long. */
#include "live/feed.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE_BYTES = 16 * 1024 };

#define STREAM_BEGIN "retry: 1000\nevent: start\ndata: "
#define MESSAGE_END  "\n\n"

static void feed_push(struct feed *f, enum feed_kind kind, struct span text);

void feed_open(struct feed *f, struct span head)
{
    text_add(&f->log, head);
    text_add(&f->log, SPAN(",\"live\":true,\"targets\":["));
    f->document_end = f->log.len;
    for (unsigned i = 0; i < LIVE_VIEWERS_MAX; i++)
        f->viewers[i].feed = f;
}

void feed_free(struct feed *f)
{
    text_free(&f->log);
    free(f->events);
}

/* --- told --- */

void feed_target(struct feed *f, struct span target)
{
    if (f->target_count++)
        text_add(&f->log, SPAN("]},"));
    f->has_row = false;
    feed_push(f, FEED_TARGET, target);
}

void feed_second(struct feed *f, struct span row)
{
    CHECK(f->target_count);
    if (f->has_row)
        text_add(&f->log, SPAN(","));
    f->has_row = true;
    feed_push(f, FEED_SECOND, row);
}

void feed_end(struct feed *f, struct span document)
{
    f->has_ended = true;
    feed_push(f, FEED_END, document);
}

static void viewer_go_on(void *arg);

static void feed_push(struct feed *f, enum feed_kind kind, struct span text)
{
    if (f->event_count == f->event_room) {
        f->event_room = f->event_room ? 2 * f->event_room : 64;
        f->events = realloc(f->events, f->event_room * sizeof *f->events);
        CHECK(f->events);
    }
    struct feed_event *e = &f->events[f->event_count++];
    *e = (struct feed_event){kind, f->target_count - 1, f->log.len, f->log.len + text.len};
    text_add(&f->log, text);
    if (kind == FEED_TARGET)
        text_add(&f->log, SPAN(",\"series\":["));
    if (kind != FEED_END)
        f->document_end = f->log.len;
    for (unsigned i = 0; i < LIVE_VIEWERS_MAX; i++)
        if (f->viewers[i].conn && f->viewers[i].may_write)
            viewer_go_on(&f->viewers[i]);
}

/* --- sent --- */

static void message_set(struct viewer *v, size_t begin, size_t end, const char *after)
{
    v->part = VIEWER_BEFORE;
    v->at = begin;
    v->end = end;
    v->after = after;
}

/* What closes the document where it is cut off. */
static const char *closing(const struct viewer *v)
{
    if (v->is_stream)
        return v->feed->target_count ? "]}]}" MESSAGE_END : "]}" MESSAGE_END;
    return v->feed->target_count ? "]}]}" : "]}";
}

static bool message_next(struct viewer *v)
{
    const struct feed *f = v->feed;
    if (!v->is_stream || v->next == f->event_count)
        return false;
    const struct feed_event *e = &f->events[v->next++];
    if (e->kind == FEED_TARGET) {
        message_set(v, e->begin, e->end, ",\"series\":[]}}" MESSAGE_END);
        snprintf(v->before, sizeof v->before,
                 "event: target\ndata: {\"index\":%u,\"target\":", e->target);
    } else if (e->kind == FEED_SECOND) {
        message_set(v, e->begin, e->end, "}" MESSAGE_END);
        snprintf(v->before, sizeof v->before,
                 "event: second\ndata: {\"target\":%u,\"row\":", e->target);
    } else {
        message_set(v, e->begin, e->end, MESSAGE_END);
        snprintf(v->before, sizeof v->before, "event: end\ndata: ");
    }
    return true;
}

/* The next piece of the message; empty: there is none. */
static struct span message_piece(struct viewer *v)
{
    struct span piece = {0};
    if (v->part == VIEWER_BEFORE && !v->before[0])
        v->part = VIEWER_BODY;
    switch (v->part) {
    case VIEWER_BEFORE:
        v->part = VIEWER_BODY;
        piece = span_of(v->before);
        break;
    case VIEWER_BODY:
        piece = (struct span){v->feed->log.data + v->at, v->end - v->at};
        if (piece.len > PIECE_BYTES)
            piece.len = PIECE_BYTES;
        v->at += piece.len;
        v->part = v->at == v->end ? VIEWER_AFTER : VIEWER_BODY;
        break;
    case VIEWER_AFTER:
        v->part = VIEWER_DONE;
        piece = span_of(v->after);
        break;
    case VIEWER_DONE:
        break;
    }
    return piece;
}

static void viewer_end(struct viewer *v, bool is_whole)
{
    struct server_conn *conn = v->conn;
    v->conn = NULL;
    server_stream_end(conn, is_whole);
}

/* Writes as much as the connection takes; it may be lost meanwhile. */
static void viewer_go_on(void *arg)
{
    struct viewer *v = arg;
    v->may_write = true;
    while (v->conn && v->may_write && (v->part != VIEWER_DONE || message_next(v)))
        v->may_write = server_stream_write(v->conn, message_piece(v));
    if (v->conn && v->part == VIEWER_DONE && v->may_write && (!v->is_stream || v->feed->has_ended))
        viewer_end(v, true);
}

static void viewer_gone(void *arg)
{
    viewer_end(arg, false);
}

/* --- asked for --- */

static struct viewer *viewer_new(struct feed *f, struct server_conn *conn)
{
    for (unsigned i = 0; i < LIVE_VIEWERS_MAX; i++)
        if (!f->viewers[i].conn) {
            f->viewers[i] = (struct viewer){.feed = f, .conn = conn};
            return &f->viewers[i];
        }
    server_reply_error(conn, 503, SPAN("Retry-After: 10\r\n"), "too many are watching already");
    return NULL;
}

static void viewer_begin(struct viewer *v, const struct server_reply *head, uint64_t length,
                         bool is_head_request)
{
    server_stream_begin(v->conn, head, length, viewer_go_on, v);
    if (is_head_request) {
        viewer_end(v, true);
        return;
    }
    server_on_abandon(v->conn, viewer_gone, v);
    viewer_go_on(v);
}

void feed_reply_events(struct feed *f, const struct server_request *r)
{
    struct viewer *v = viewer_new(f, r->conn);
    if (!v)
        return;
    v->is_stream = true;
    v->next = f->event_count - f->has_ended;
    message_set(v, 0, f->document_end, closing(v));
    snprintf(v->before, sizeof v->before, STREAM_BEGIN);
    viewer_begin(v,
                 &(struct server_reply){.status = 200,
                                        .type = SPAN("text/event-stream"),
                                        .fields = SPAN("Cache-Control: no-store\r\n")},
                 SERVER_LENGTH_UNKNOWN, r->method == HTTP_HEAD);
}

void feed_reply_document(struct feed *f, const struct server_request *r)
{
    struct viewer *v = viewer_new(f, r->conn);
    if (!v)
        return;
    message_set(v, 0, f->document_end, closing(v));
    viewer_begin(v,
                 &(struct server_reply){.status = 200,
                                        .type = SPAN("application/json"),
                                        .fields = SPAN("Cache-Control: no-store\r\n")},
                 v->end + strlen(v->after), r->method == HTTP_HEAD);
}

void feed_cut(struct feed *f)
{
    for (unsigned i = 0; i < LIVE_VIEWERS_MAX; i++)
        if (f->viewers[i].conn)
            viewer_end(&f->viewers[i], false);
}
