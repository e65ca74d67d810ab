/* Target files: how somebody's service is set up, started and reached, so that a run can race it.
 * The format is contestants/README.md's: INI, one section [target] with the keys name, summary,
 * needs, mend, setup, command, directory, health, env, deviations, files, start-timeout, stop-timeout,
 * stop-signal. */
#ifndef LAB_TARGET_FILE_H
#define LAB_TARGET_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/span.h"

enum { TARGET_FILE_TEXT_BYTES = 2048, TARGET_FILE_ENV_MOST = 32 };

struct target_file {
    char name[64], summary[256];
    char needs[64], mend[256]; /* a program that must be in PATH; the command that brings it */
    char setup[TARGET_FILE_TEXT_BYTES], command[TARGET_FILE_TEXT_BYTES];
    char directory[4096]; /* absolute: where both of them run */
    char health[256];     /* path that answers 200 when it is up */
    char env[TARGET_FILE_ENV_MOST][TARGET_FILE_TEXT_BYTES];
    unsigned env_count;
    char deviations[512]; /* as `check --allow` takes them */
    char files[1024]; /* what is installed for it: files and folders, white space between, relative
                         to `directory` */
    uint64_t start_timeout_ns, stop_timeout_ns;
    int stop_signal;
};

/* `name` is a folder of contestants/ (beside the program, in a source tree above it, or where the
 * program was installed) or the path of a file (with a slash or ending in .ini). Unknown: EXIT_USAGE
 * with the names there are and the nearest. */
bool target_file_load(const char *name, struct target_file *t, struct fail *f) MUST_USE;

/* Parses `text`; `where` stands for the file's name in messages, and its folder is what `directory`
 * is relative to. */
bool target_file_parse(const char *where, struct span text, struct target_file *t,
                       struct fail *f) MUST_USE;

/* What stands in place of {host}, {port} and so on; NULL or 0: not known, and an error if it is
 * asked for. */
struct target_places {
    const char *host;
    unsigned port;
    const char *pg_uri, *memcached, *upstream;
    unsigned cores, workers;
};

/* Words or environment entries, each with its NUL, one behind the other. */
struct target_words {
    char text[16384];
    unsigned len, count;
};

/* Takes a command apart at white space ("..." keeps a word together) with the places filled in and
 * appends its words; `what` names it in messages. target_file_entry() appends a whole text as one. */
bool target_file_words(const char *command, const char *what, const struct target_places *places,
                       struct target_words *words, struct fail *f) MUST_USE;
bool target_file_entry(const char *text, const char *what, const struct target_places *places,
                       struct target_words *words, struct fail *f) MUST_USE;

#endif
