/* Ports for programs that have to be told where to listen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/sock.h"

/* A port that the kernel hands out could be an outgoing connection's before the program listens. */
static void test_free_port(void **state)
{
    unsigned first = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    (void)state;
    if (!file || fscanf(file, "%u", &first) != 1 || first < 20000)
        skip();
    fclose(file);
    for (int i = 0; i < 100; i++) {
        struct address a;
        struct fail f;
        int fd;
        assert_true(sock_free_port(&a, &f));
        assert_in_range(address_port(&a), 1024, first - 1);
        assert_true(sock_listen(&a, &fd, 1, 8, &f));
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_free_port)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
