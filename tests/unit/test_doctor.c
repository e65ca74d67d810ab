#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lab/doctor.h"

/* 6.1 is the floor, and numbers are compared as numbers. */
static void test_kernel(void **state)
{
    (void)state;
    static const struct {
        const char *release;
        enum doctor_state state;
    } cases[] = {
        {"6.1.0-18-amd64", DOCTOR_OK},
        {"6.18.44", DOCTOR_OK},
        {"7.0", DOCTOR_OK},
        {"10.2.1", DOCTOR_OK},
        {"6.0.19", DOCTOR_MEND},
        {"5.15.0-91-generic", DOCTOR_MEND},
        {"?", DOCTOR_MEND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct doctor_row row = {0};
        doctor_judge_kernel(&row, cases[i].release);
        assert_int_equal(row.state, cases[i].state);
        assert_int_equal(*row.mend != 0, cases[i].state == DOCTOR_MEND);
    }
}

/* The hard limit decides, since the soft one is raised by ourselves. */
static void test_descriptors(void **state)
{
    (void)state;
    struct doctor_row row = {0};
    doctor_judge_descriptors(&row, 1024, 1048576);
    assert_int_equal(row.state, DOCTOR_OK);
    assert_string_equal(row.mend, "");
    doctor_judge_descriptors(&row, 1024, 4096);
    assert_int_equal(row.state, DOCTOR_NOTE);
    assert_non_null(strstr(row.mend, "65536"));
    doctor_judge_descriptors(&row, 256, 256);
    assert_int_equal(row.state, DOCTOR_MEND);
}

/* Small ranges and short queues are noted with the sysctl that mends them. */
static void test_network(void **state)
{
    (void)state;
    struct doctor_row ports = {0}, backlog = {0};
    doctor_judge_ports(&ports, 32768, 60999);
    assert_int_equal(ports.state, DOCTOR_OK);
    assert_non_null(strstr(ports.text, "28232 ports"));
    doctor_judge_ports(&ports, 60000, 60999);
    assert_int_equal(ports.state, DOCTOR_NOTE);
    assert_non_null(strstr(ports.mend, "ip_local_port_range"));
    doctor_judge_ports(&ports, 0, 0);
    assert_int_equal(ports.state, DOCTOR_NOTE);
    doctor_judge_backlog(&backlog, 4096);
    assert_int_equal(backlog.state, DOCTOR_OK);
    doctor_judge_backlog(&backlog, 128);
    assert_int_equal(backlog.state, DOCTOR_NOTE);
    assert_non_null(strstr(backlog.mend, "somaxconn"));
}

/* One line a row, in colour only when asked; one thing to mend makes exit 4. */
static void test_print(void **state)
{
    (void)state;
    static const struct doctor_row rows[] = {
        {DOCTOR_OK, "kernel", "Linux 6.1", ""},
        {DOCTOR_NOTE, "memcached", "not installed", "apt-get install memcached"},
        {DOCTOR_MEND, "loopback", "does not answer", "ip link set lo up"},
    };
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    doctor_print(out, rows, 3, false);
    fclose(out);
    assert_string_equal(text, "ok    kernel         Linux 6.1\n"
                              "note  memcached      not installed: apt-get install memcached\n"
                              "mend  loopback       does not answer: ip link set lo up\n");
    free(text);
    out = open_memstream(&text, &len);
    doctor_print(out, rows, 1, true);
    fclose(out);
    assert_string_equal(text, "\033[32mok   \033[0m kernel         Linux 6.1\n");
    free(text);
    assert_int_equal(doctor_exit(rows, 2), EXIT_DONE);
    assert_int_equal(doctor_exit(rows, 3), EXIT_LACKING);
}

/* On a machine that runs these tests every look finds something to say, each thing once. */
static void test_examine(void **state)
{
    (void)state;
    static struct doctor_row rows[DOCTOR_ROWS_MAX];
    unsigned count = doctor_examine(rows);
    assert_true(count >= 15);
    for (unsigned i = 0; i < count; i++) {
        assert_true(*rows[i].text);
        assert_null(strchr(rows[i].text, '\n'));
        assert_true(rows[i].state == DOCTOR_OK || *rows[i].mend ||
                    !strcmp(rows[i].name, "io_uring"));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(rows[i].name, rows[j].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel),  cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_network), cmocka_unit_test(test_print),
        cmocka_unit_test(test_examine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
