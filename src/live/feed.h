/* What was told of a run so far, and those who are told of it. The document grows at its end only,
 * as text: a target's rows are appended, so that a snapshot is a length and an event is a range. A
 * viewer is a place in it, whatever its pace: it holds no text of its own. Everything on one loop. */
#ifndef LIVE_FEED_H
#define LIVE_FEED_H

#include "base/text.h"
#include "conn/server.h"
#include "live/live.h"

struct feed;

enum feed_kind { FEED_TARGET, FEED_SECOND, FEED_END };

struct feed_event {
    enum feed_kind kind;
    unsigned target;   /* its index; of FEED_SECOND also */
    size_t begin, end; /* in feed.log */
};

/* One reply in pieces. */
struct viewer {
    struct feed *feed;
    struct server_conn *conn; /* NULL: a free place */
    bool is_stream;           /* of events; else the document alone */
    bool may_write;
    unsigned next; /* the event after the one being sent */

    /* the message being sent: before, log[at, end), after */
    enum { VIEWER_BEFORE, VIEWER_BODY, VIEWER_AFTER, VIEWER_DONE } part;
    char before[64];
    size_t at, end;
    const char *after;
};

struct feed {
    struct text log;
    size_t document_end; /* of the live document in `log`, which the final one may follow */
    struct feed_event *events;
    unsigned event_count, event_room, target_count;
    bool has_row; /* of the last target */
    bool has_ended;
    struct viewer viewers[LIVE_VIEWERS_MAX];
};

/* Begins with `{...` of a document, its last brace left out, which is taken as it stands. */
void feed_open(struct feed *f, struct span head);
void feed_free(struct feed *f);

/* Adds to the document and tells every viewer. `target`: an object, its last brace left out. */
void feed_target(struct feed *f, struct span target);
void feed_second(struct feed *f, struct span row);
void feed_end(struct feed *f, struct span document);

/* Answer a request, now and in further pieces. */
void feed_reply_events(struct feed *f, const struct server_request *r);
void feed_reply_document(struct feed *f, const struct server_request *r);

/* Ends every reply that is not whole. */
void feed_cut(struct feed *f);

#endif
