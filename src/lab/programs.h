/* Programs of this machine that a run or a contestant needs: where they are, which version they are
 * and which command installs them. */
#ifndef LAB_PROGRAMS_H
#define LAB_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

#define PROGRAMS_PATH_BYTES    256
#define PROGRAMS_VERSION_BYTES 32

/* The path of `name` as execvp(3) would find it. */
bool programs_find(const char *name, char path[PROGRAMS_PATH_BYTES]);

/* The folder that holds both initdb and postgres: on PATH, else where distributions put them, the
 * highest version first. */
bool programs_find_postgres(char folder[PROGRAMS_PATH_BYTES]);

/* Runs `path argument` for at most 10 s and keeps the version that it prints, such as "15.18". */
bool programs_version(const char *path, const char *argument, char version[PROGRAMS_VERSION_BYTES]);

/* The first number with its dots in `text`: "go version go1.19.8 linux/amd64" gives "1.19.8". */
bool programs_version_in(const char *text, char version[PROGRAMS_VERSION_BYTES]);

/* The command that installs what the NULL-terminated `needs` name ("postgresql", "memcached", "go",
 * "python3", "node"), by this distribution's package manager, with sudo unless we are root. Returns
 * `out`. */
const char *programs_install(const char *const *needs, char *out, size_t room);

#endif
