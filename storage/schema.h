/* The files storage/schema_*.sql, embedded at build time (storage/schema.S), NUL-terminated. */
#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H

/* PostgreSQL: both make the table and fail if it is there. */
extern const char schema_round1_sql[];
extern const char schema_round2_sql[];

/* SQLite: make what is missing. Round 2 is the first followed by the second. */
extern const char schema_sqlite_sql[];
extern const char schema_sqlite_round2_sql[];

#endif
