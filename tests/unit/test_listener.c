/* From an address to the processes that listen there, in a /proc of our own and in the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "lab/listener.h"
#include "lib/fakeroot.h"

static void put_process(int pid, int parent, const char *link)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fakeroot_put(path,
                 "%d (p) S %d 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0 1 0 5 9 9 9 9 9 9 9 9 9 9 9 9 0 "
                 "0 17 1 0\n",
                 pid, parent);
    snprintf(path, sizeof path, "/proc/%d/fd/3", pid);
    fakeroot_link(path, link);
}

static unsigned find(const char *where, pid_t pids[])
{
    struct address a;
    struct fail f;
    assert_true(address_parse(where, &a, &f));
    return listener_find(fakeroot, &a, pids);
}

static const char heading[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                              "retrnsmt   uid  timeout inode\n";

/* Only a socket that listens, on this port, on this address or on all; the process that inherited it
 * is not told, nor is process 1. */
static void test_tcp(void **state)
{
    (void)state;
    pid_t pids[LISTENER_PIDS_MAX];
    fakeroot_put("/proc/net/tcp",
                 "%s"
                 "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 501 1 0 100 0 0 10 0\n"
                 "   1: 0200007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 502 1 0 100 0 0 10 0\n"
                 "   2: 00000000:1F91 00000000:0000 0A 0:0 00:0 0 0 0 503 1 0 100 0 0 10 0\n"
                 "   3: 0100007F:1F92 0100007F:9999 01 0:0 00:0 0 0 0 504 1 0 100 0 0 10 0\n",
                 heading);
    put_process(1, 0, "socket:[501]");
    put_process(20, 1, "socket:[501]");
    put_process(21, 20, "socket:[501]");
    put_process(22, 1, "socket:[502]");
    put_process(23, 1, "socket:[503]");
    put_process(24, 1, "socket:[504]");
    assert_int_equal(find("127.0.0.1:8080", pids), 1);
    assert_int_equal(pids[0], 20);
    assert_int_equal(find("127.0.0.2:8080", pids), 1);
    assert_int_equal(pids[0], 22);
    assert_int_equal(find("127.0.0.1:8081", pids), 1);
    assert_int_equal(pids[0], 23);
    assert_int_equal(find("127.0.0.1:8082", pids), 0);
    assert_int_equal(find("127.0.0.1:8083", pids), 0);
    assert_int_equal(find("203.0.113.9:8081", pids), 0); /* another machine's */
}

/* Version 6, and its sockets that take version 4 as well. */
static void test_tcp6(void **state)
{
    (void)state;
    pid_t pids[LISTENER_PIDS_MAX];
    fakeroot_put(
        "/proc/net/tcp6",
        "%s"
        "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 "
        "0A 0:0 00:0 0 0 0 601 1\n"
        "   1: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 "
        "0A 0:0 00:0 0 0 0 602 1\n"
        "   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 "
        "0A 0:0 00:0 0 0 0 603 1\n",
        heading);
    put_process(30, 1, "socket:[601]");
    put_process(31, 1, "socket:[602]");
    put_process(32, 1, "socket:[603]");
    assert_int_equal(find("127.0.0.1:8080", pids), 1);
    assert_int_equal(pids[0], 30);
    assert_int_equal(find("127.0.0.1:8081", pids), 0);
    assert_int_equal(find("127.0.0.1:8082", pids), 1);
    assert_int_equal(pids[0], 32);
}

/* A Unix socket by its path; several processes that share nothing are all told. */
static void test_unix(void **state)
{
    (void)state;
    pid_t pids[LISTENER_PIDS_MAX];
    fakeroot_put("/proc/net/unix",
                 "Num       RefCount Protocol Flags    Type St Inode Path\n"
                 "0000000000000000: 00000002 00000000 00010000 0001 01 701 /run/a b.sock\n"
                 "0000000000000000: 00000003 00000000 00000000 0001 03 702 /run/a b.sock\n"
                 "0000000000000000: 00000002 00000000 00010000 0001 01 703\n");
    put_process(40, 1, "socket:[701]");
    put_process(41, 1, "socket:[702]");
    put_process(42, 1, "socket:[701]");
    assert_int_equal(find("unix:/run/a b.sock", pids), 2);
    assert_int_equal(pids[0] + pids[1], 82);
    assert_int_equal(find("unix:/run/b.sock", pids), 0);
}

/* The real one: this process listens. */
static void test_real(void **state)
{
    (void)state;
    struct address a;
    struct fail f;
    int fd;
    pid_t pids[LISTENER_PIDS_MAX];
    assert_true(address_parse("127.0.0.1:0", &a, &f));
    assert_true(sock_listen(&a, &fd, 1, 8, &f));
    assert_int_equal(listener_find("", &a, pids), 1);
    assert_int_equal(pids[0], getpid());
    close(fd);
    assert_int_equal(listener_find("", &a, pids), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fakeroot_make, fakeroot_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_tcp), TEST(test_tcp6), TEST(test_unix),
                                       TEST(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
