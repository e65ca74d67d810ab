/* What a contestant's files weigh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "lab/footprint.h"
#include "lib/fakeroot.h"

/* Folders with what is below them, but not through a link, which has the length of its target. */
static void test_sum(void **state)
{
    (void)state;
    char absolute[64];
    fakeroot_put("/app/main", "12345");
    fakeroot_put("/app/lib/deep/a", "123");
    fakeroot_put("/app/lib/b", "1");
    fakeroot_put("/other/big", "%080d", 0);
    fakeroot_link("/app/lib/c", "../../other");
    char directory[64];
    snprintf(directory, sizeof directory, "%s/app", fakeroot);
    snprintf(absolute, sizeof absolute, "main\t %s/other ", fakeroot);
    assert_true(footprint_size("main", directory) == 5);
    assert_true(footprint_size("lib", directory) == 3 + 1 + 11);
    assert_true(footprint_size(" main lib", directory) == 5 + 15);
    assert_true(footprint_size(absolute, directory) == 5 + 80);
}

static void test_unknown(void **state)
{
    (void)state;
    fakeroot_put("/there", "1");
    assert_true(isnan(footprint_size("", fakeroot)));
    assert_true(isnan(footprint_size("gone", fakeroot)));
    assert_true(isnan(footprint_size("there gone", fakeroot)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sum, fakeroot_make, fakeroot_remove),
        cmocka_unit_test_setup_teardown(test_unknown, fakeroot_make, fakeroot_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
