/* Prints how many rows a second the SQLite store commits (WAL, synchronous=NORMAL, the best of several
 * rounds) with ever more inserts under way: one loop that inserts, and the store's own thread.
 * Nothing is asserted but that every row was stored. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/loop.h"
#include "storage/storage.h"

enum { ROUNDS = 3 };
static const uint64_t ROUND_NS = NS_PER_S / 4;

static const struct ring_config ring = {
    .entries = 256, .completions = 4096, .buffers = 64, .buffer_bytes = 4096};

struct bench {
    struct loop loop;
    struct store *store;
    uint64_t end_ns, stored;
    unsigned under_way;
};

struct row {
    struct store_insert insert;
    struct bench *bench;
};

static void insert_next(struct row *row);

static void stored(struct store_insert *i, enum store_outcome outcome)
{
    struct row *row = (struct row *)((char *)i - offsetof(struct row, insert));
    CHECK(outcome == STORE_DONE);
    row->bench->stored++;
    row->bench->under_way--;
    if (row->bench->loop.now_ns < row->bench->end_ns)
        insert_next(row);
}

static void insert_next(struct row *row)
{
    row->insert = (struct store_insert){
        .mac = SPAN("EF-2B-C4-F5-D6-34"),
        .firmware = SPAN("2.1.5"),
        .created_us = clock_wall_us(),
        .done = stored,
    };
    uuid_v4(row->insert.uuid);
    row->bench->under_way++;
    store_insert(row->bench->store, &row->insert);
}

static double run_round(struct bench *b, struct row *rows, unsigned count)
{
    uint64_t begin_ns = clock_ns();
    b->stored = 0;
    b->end_ns = begin_ns + ROUND_NS;
    for (unsigned i = 0; i < count; i++)
        insert_next(&rows[i]);
    while (b->under_way)
        loop_turn(&b->loop, NS_PER_S);
    return (double)b->stored * (double)NS_PER_S / (double)(clock_ns() - begin_ns);
}

static void measure(struct bench *b, unsigned count)
{
    struct row *rows = mem_need(count, sizeof *rows);
    double best = 0;
    for (unsigned i = 0; i < count; i++)
        rows[i].bench = b;
    for (int round = 0; round < ROUNDS; round++) {
        double rate = run_round(b, rows, count);
        best = rate > best ? rate : best;
    }
    printf("sqlite, %5u under way %7.0f rows/s\n", count, best);
    free(rows);
}

int main(void)
{
    struct storage_config config = STORAGE_CONFIG_DEFAULT;
    struct bench b = {0};
    struct cache *cache;
    struct fail f;
    config.store = "sqlite";
    config.cache = "none";
    struct storage *storage = storage_open(&config, 1, &f);
    if (!storage || !loop_open(&b.loop, &ring, &f) ||
        !storage_attach(storage, &b.loop, 0, &b.store, &cache, &f))
        fail_end(f.exit, "%s", f.text);
    for (unsigned count = 64; count <= 4096; count *= 8)
        measure(&b, count);
    store_close(b.store);
    loop_close(&b.loop);
    storage_free(storage);
    return 0;
}
