/* A file is read in two steps: lines into entries, then entries into requests, because a path may
 * stand before the URL that says which host all of them go to. */
#include "load/mix.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

enum {
    REQUESTS_MAX = 4096,
    WEIGHT_MAX = 10000,
    HEADERS_MAX = 64,
    CARDS_MIN = 4096, /* rounds differ, so that no target can fall into step with one */
    PATH_MAX_BYTES = 4096,
    DEFAULT_PORT = 8080,
};

/* --- one host --- */

static bool is_same_host(const struct url *a, const struct url *b)
{
    return a->port == b->port && !strcmp(a->host, b->host) && !strcmp(a->unix_path, b->unix_path);
}

static bool has_host(const struct url *u)
{
    return u->host[0] || u->unix_path[0];
}

static bool parse_to_same(const char *text, struct url *u, struct url *base, struct fail *f)
{
    if (!url_parse(text, u, f))
        return false;
    if (!has_host(base))
        *base = *u;
    return is_same_host(u, base) ||
           fail_set(f, EXIT_USAGE,
                    "%s and %s are on different hosts; a load has one target, so that its numbers "
                    "mean one thing: start one load for each",
                    base->text, u->text);
}

static bool add_request(struct mix *m, const struct request_source *from, const struct url *url,
                        uint32_t weight, struct fail *f)
{
    struct request *r = &m->requests[m->count++];
    bool is_good = request_build(r, from, url, f);
    r->weight = weight;
    return is_good;
}

bool mix_from_urls(struct mix *m, const struct request_source *from, const char *const *urls,
                   unsigned count, struct url *base, struct fail *f)
{
    m->requests = mem_need(count, sizeof *m->requests);
    for (unsigned i = 0; i < count; i++) {
        struct url url;
        if (!parse_to_same(urls[i], &url, base, f) || !add_request(m, from, &url, 1, f))
            return false;
    }
    return true;
}

/* --- a file's lines --- */

struct entry {
    unsigned line;
    uint32_t weight;
    const char *method, *where, *body; /* NULL: none */
    const char *headers[HEADERS_MAX];
    size_t header_count;
};

struct file {
    const char *path;
    char *data;
    size_t len;
    struct entry *entries;
    unsigned count, room;
};

static bool fail_line(const struct file *file, unsigned line, struct fail *f)
{
    char shown[256];
    return fail_prefix(f, "%s:%u", log_escape(span_of(file->path), shown, sizeof shown), line);
}

/* Cuts the next word off; NULL if there is none. */
static char *take_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    if (!*word)
        return NULL;
    *at = word + strcspn(word, " \t");
    if (**at)
        *(*at)++ = 0;
    return word;
}

static bool read_weight(const char *word, uint32_t *weight, struct fail *f)
{
    uint64_t value;
    if (!num_get(span_of(word), WEIGHT_MAX, &value) || !value)
        return fail_set(f, EXIT_USAGE, "the weight must be a whole number from 1 to %d",
                        WEIGHT_MAX);
    *weight = (uint32_t)value;
    return true;
}

static bool read_request(struct entry *e, char *line, struct fail *f)
{
    char *word = take_word(&line);
    e->weight = 1;
    if (word && isdigit((unsigned char)*word)) {
        if (!read_weight(word, &e->weight, f))
            return false;
        word = take_word(&line);
    }
    e->method = word;
    e->where = word ? take_word(&line) : NULL;
    if (!e->where)
        return fail_set(f, EXIT_USAGE,
                        "expected [WEIGHT] METHOD URL [BODY], such as: 3 GET /api/devices");
    line += strspn(line, " \t");
    e->body = *line ? line : NULL;
    return true;
}

static bool read_header(struct entry *e, const char *line, struct fail *f)
{
    if (!e)
        return fail_set(f, EXIT_USAGE,
                        "an indented line is a header of the request above it, and there is none");
    if (e->header_count == HEADERS_MAX)
        return fail_set(f, EXIT_USAGE, "a request has at most %d headers", HEADERS_MAX);
    e->headers[e->header_count++] = line + strspn(line, " \t");
    return true;
}

static struct entry *new_entry(struct file *file)
{
    if (file->count == file->room) {
        file->room = file->room ? file->room * 2 : 16;
        file->entries = realloc(file->entries, file->room * sizeof *file->entries);
        CHECK(file->entries);
    }
    struct entry *e = &file->entries[file->count++];
    *e = (struct entry){0};
    return e;
}

static bool read_line(struct file *file, char *line, unsigned number, struct fail *f)
{
    char *text = line + strspn(line, " \t");
    if (!*text || *text == '#')
        return true;
    if (text > line)
        return read_header(file->count ? &file->entries[file->count - 1] : NULL, text, f);
    if (file->count == REQUESTS_MAX)
        return fail_set(f, EXIT_USAGE, "there are more than %d requests", REQUESTS_MAX);
    struct entry *e = new_entry(file);
    e->line = number;
    return read_request(e, line, f);
}

static void trim_end(char *line)
{
    size_t len = strlen(line);
    while (len && strchr(" \t\r", line[len - 1]))
        line[--len] = 0;
}

static bool read_lines(struct file *file, struct fail *f)
{
    char shown[256];
    if (memchr(file->data, 0, file->len))
        return fail_set(f, EXIT_USAGE, "the requests file \"%s\" has a NUL byte: it is no text",
                        log_escape(span_of(file->path), shown, sizeof shown));
    unsigned number = 1;
    for (char *line = file->data, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        trim_end(line);
        if (!read_line(file, line, number, f))
            return fail_line(file, number, f);
    }
    return file->count || fail_set(f, EXIT_USAGE, "the requests file \"%s\" has no requests in it",
                                   log_escape(span_of(file->path), shown, sizeof shown));
}

/* --- a file's requests --- */

static bool is_path(const char *where)
{
    return where[0] == '/';
}

/* The host, if only a URL in the file names it. */
static bool find_base(const struct file *file, struct url *base, struct fail *f)
{
    for (unsigned i = 0; i < file->count && !has_host(base); i++)
        if (!is_path(file->entries[i].where) && !url_parse(file->entries[i].where, base, f))
            return fail_line(file, file->entries[i].line, f);
    if (has_host(base))
        return true;
    log_line("no URL was given: the requests go to http://127.0.0.1:%d", DEFAULT_PORT);
    return url_parse("http://127.0.0.1:8080/", base, f);
}

static bool entry_url(const struct entry *e, struct url *base, struct url *url, struct fail *f)
{
    struct text whole = {0};
    if (!is_path(e->where))
        return parse_to_same(e->where, url, base, f);
    if (base->unix_path[0])
        text_addf(&whole, "unix:%s:%s", base->unix_path, e->where);
    else
        text_addf(&whole, "http://%s%s", base->host_field, e->where);
    bool is_good = url_parse(whole.data, url, f);
    text_free(&whole);
    return is_good;
}

/* A body file's path is relative to the file that names it. */
static char *read_entry_body(const struct file *file, const char *name, size_t *len, struct fail *f)
{
    char path[PATH_MAX_BYTES];
    const char *slash = strrchr(file->path, '/');
    int folder = slash && name[0] != '/' ? (int)(slash - file->path + 1) : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, file->path, name) >= (int)sizeof path) {
        fail_set(f, EXIT_USAGE, "the path of the body file is too long");
        return NULL;
    }
    return request_read_file("the body file", path, len, f);
}

static bool build_entry(struct mix *m, const struct file *file, const struct entry *e,
                        const struct request_source *common, struct url *base, struct fail *f)
{
    struct request_source from = *common;
    struct url url;
    char *data = NULL;
    from.method = e->method;
    from.method_place = "the method";
    from.headers_place = "the header";
    from.headers = (struct cli_texts){(const char **)(uintptr_t)e->headers, e->header_count};
    from.has_body = e->body;
    from.body = e->body ? span_of(e->body) : SPAN("");
    if (e->body && e->body[0] == '@') {
        data = read_entry_body(file, e->body + 1, &from.body.len, f);
        from.body.data = data;
        if (!data)
            return false;
    }
    bool is_good = entry_url(e, base, &url, f) && add_request(m, &from, &url, e->weight, f);
    free(data);
    return is_good;
}

bool mix_read(struct mix *m, const struct request_source *from, const char *path, struct url *base,
              struct fail *f)
{
    struct file file = {.path = path};
    file.data = request_read_file("the requests file", path, &file.len, f);
    bool is_good = file.data && read_lines(&file, f) && find_base(&file, base, f);
    if (is_good)
        m->requests = mem_need(file.count, sizeof *m->requests);
    for (unsigned i = 0; i < file.count && is_good; i++) {
        is_good = build_entry(m, &file, &file.entries[i], from, base, f);
        if (!is_good)
            fail_line(&file, file.entries[i].line, f);
    }
    free(file.entries);
    free(file.data);
    return is_good;
}

/* --- cards --- */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

static void shuffle(uint16_t *cards, uint32_t count, struct rng *rng)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)rng_below(rng, i);
        uint16_t card = cards[i - 1];
        cards[i - 1] = cards[other];
        cards[other] = card;
    }
}

static void make_deck(struct mix *m, uint64_t seed)
{
    struct rng rng;
    uint32_t divisor = 0, round = 0;
    for (unsigned i = 0; i < m->count; i++)
        divisor = common_divisor(m->requests[i].weight, divisor);
    for (unsigned i = 0; i < m->count; i++)
        round += m->requests[i].weight / divisor;
    uint32_t rounds = (CARDS_MIN + round - 1) / round;
    m->deck = mem_need((size_t)rounds * round, sizeof *m->deck);
    rng_seed(&rng, seed);
    for (uint32_t r = 0; r < rounds; r++) {
        uint16_t *cards = m->deck + m->deck_count;
        for (unsigned i = 0; i < m->count; i++)
            for (uint32_t n = m->requests[i].weight / divisor; n; n--)
                m->deck[m->deck_count++] = (uint16_t)i;
        shuffle(cards, round, &rng);
    }
}

void mix_shuffle(struct mix *m, uint64_t seed, unsigned copies)
{
    const struct template *only = &m->requests[0].bytes;
    if (m->count > 1) {
        make_deck(m, seed);
        return;
    }
    if (!template_is_literal(only))
        return;
    m->literal_len = only->literals.len;
    m->literal = mem_need(copies, m->literal_len);
    for (unsigned i = 0; i < copies; i++)
        memcpy(m->literal + i * m->literal_len, only->literals.data, m->literal_len);
}

void mix_free(struct mix *m)
{
    for (unsigned i = 0; i < m->count; i++)
        request_free(&m->requests[i]);
    free(m->requests);
    free(m->deck);
    free(m->literal);
    *m = (struct mix){0};
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *byte = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t mix_hash(const struct mix *m)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < m->count; i++) {
        const struct template *t = &m->requests[i].bytes;
        hash = hash_bytes(hash, &m->requests[i].weight, sizeof m->requests[i].weight);
        hash = hash_bytes(hash, t->literals.data, t->literals.len);
        for (unsigned j = 0; j < t->slot_count; j++) {
            const struct template_piece *p = &t->pieces[j];
            uint64_t numbers[] = {p->literal_at, p->literal_len, p->slot, p->low, p->count};
            hash = hash_bytes(hash, numbers, sizeof numbers);
        }
    }
    return hash;
}
