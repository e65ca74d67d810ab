#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/programs.h"

/* What the programs print, down to the number. */
static void test_version_in(void **state)
{
    (void)state;
    static const struct {
        const char *text, *version;
    } cases[] = {
        {"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18"},
        {"postgres (PostgreSQL) 17devel\n", "17"},
        {"memcached 1.6.18\n", "1.6.18"},
        {"go version go1.19.8 linux/amd64\n", "1.19.8"},
        {"v18.13.0\n", "18.13.0"},
        {"version 3.\n", "3"},
    };
    char version[PROGRAMS_VERSION_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(programs_version_in(cases[i].text, version));
        assert_string_equal(version, cases[i].version);
    }
    assert_false(programs_version_in("none", version));
    assert_string_equal(version, "");
}

static void make_script(const char *path, const char *body)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
}

/* A program is found on PATH only, run with its argument, and asked for its version. */
static void test_find_and_ask(void **state)
{
    (void)state;
    char folder[] = "/tmp/iubench-programs-XXXXXX", path[64], found[PROGRAMS_PATH_BYTES];
    char version[PROGRAMS_VERSION_BYTES], *old = strdup(getenv("PATH"));
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/iubench-toy", folder);
    assert_false(programs_find("iubench-toy", found));
    make_script(path, "test \"$1\" = --version && echo toy 4.5.6 >&2");
    char new[512];
    snprintf(new, sizeof new, "/nowhere::%s", folder);
    setenv("PATH", new, 1);
    assert_true(programs_find("iubench-toy", found));
    assert_string_equal(found, path);
    assert_true(programs_version(path, "--version", version));
    assert_string_equal(version, "4.5.6");
    assert_false(programs_version(path, "--wrong", version));
    assert_false(programs_version("/nowhere/toy", "--version", version));
    chmod(path, 0600);
    assert_true(geteuid() == 0 || !programs_find("iubench-toy", found));
    setenv("PATH", old, 1);
    unlink(path);
    rmdir(folder);
    free(old);
}

/* A server's folder on PATH counts only if it has both programs. */
static void test_find_postgres(void **state)
{
    (void)state;
    char folder[] = "/tmp/iubench-programs-XXXXXX", initdb[64], postgres[64];
    char found[PROGRAMS_PATH_BYTES], *old = strdup(getenv("PATH"));
    assert_non_null(mkdtemp(folder));
    snprintf(initdb, sizeof initdb, "%s/initdb", folder);
    snprintf(postgres, sizeof postgres, "%s/postgres", folder);
    make_script(initdb, "");
    setenv("PATH", folder, 1);
    assert_true(!programs_find_postgres(found) || strcmp(found, folder) != 0);
    make_script(postgres, "");
    assert_true(programs_find_postgres(found));
    assert_string_equal(found, folder);
    setenv("PATH", old, 1);
    unlink(initdb);
    unlink(postgres);
    rmdir(folder);
    free(old);
}

/* The command has the distribution's names, and is Debian's where no manager is known. */
static void test_install(void **state)
{
    (void)state;
    static const char *const needs[] = {"postgresql", "memcached", "go", NULL};
    char folder[] = "/tmp/iubench-programs-XXXXXX", manager[64], command[256], expected[256];
    char *old = strdup(getenv("PATH"));
    const char *sudo = geteuid() ? "sudo " : "";
    assert_non_null(mkdtemp(folder));
    setenv("PATH", folder, 1);
    snprintf(expected, sizeof expected, "%sapt-get install postgresql memcached golang", sudo);
    assert_string_equal(programs_install(needs, command, sizeof command), expected);
    snprintf(manager, sizeof manager, "%s/dnf", folder);
    make_script(manager, "");
    snprintf(expected, sizeof expected, "%sdnf install postgresql-server memcached golang", sudo);
    assert_string_equal(programs_install(needs, command, sizeof command), expected);
    setenv("PATH", old, 1);
    unlink(manager);
    rmdir(folder);
    free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_in),
        cmocka_unit_test(test_find_and_ask),
        cmocka_unit_test(test_find_postgres),
        cmocka_unit_test(test_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
