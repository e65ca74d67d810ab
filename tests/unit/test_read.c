/* Reading result documents: what is there comes back, what is not is said with file, way and what was
 * expected. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "report/read.h"

static char path[] = "/tmp/test_read.XXXXXX";
static struct fail f;

static void put(const char *text)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

static struct read_node opened(const char *rest)
{
    struct read_node root;
    char text[1024];
    snprintf(text, sizeof text, "{\"schema\": \"iubench-result/1\"%s}", rest);
    put(text);
    if (!read_open(path, &root, &f))
        fail_msg("%s", f.text);
    return root;
}

static void said(bool is_good, const char *what)
{
    char expected[512];
    snprintf(expected, sizeof expected, "%s: %s", path, what);
    assert_false(is_good);
    assert_string_equal(f.text, expected);
    assert_int_equal(f.exit, EXIT_USAGE);
}

static int make(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd);
}

static int drop(void **state)
{
    (void)state;
    return unlink(path);
}

/* Every kind that is there is found by its key, also below objects and arrays. */
static void test_found(void **state)
{
    (void)state;
    struct read_node root = opened(",\"a\": [{\"b\": {\"n\": 1.5, \"c\": 7, \"t\": \"x\", "
                                   "\"yes\": true, \"no\": null}}]"),
                     a, item, b;
    const char *text;
    double number;
    uint64_t count;
    bool is_set = false;
    assert_true(read_array(&root, "a", &a, &f) && read_item(&a, 0, &item, &f));
    assert_true(read_object(&item, "b", &b, &f));
    assert_true(read_number(&b, "n", &number, &f) && number == 1.5);
    assert_true(read_number(&b, "c", &number, &f) && number == 7);
    assert_true(read_count(&b, "c", &count, &f) && count == 7);
    assert_true(read_text(&b, "t", &text, &f) && !strcmp(text, "x"));
    assert_true(read_bool(&b, "yes", &is_set, &f) && is_set);
    assert_true(read_number_or_nan(&b, "no", &number, &f) && isnan(number));
    assert_true(read_number_or_nan(&b, "absent", &number, &f) && isnan(number));
    assert_false(read_has(&b, "no") || read_has(&b, "absent"));
    said(read_count(&b, "n", &count, &f),
         "a[0].b.n: expected a whole number from 0, found a number");
    said(read_number(&b, "t", &number, &f), "a[0].b.t: expected a number, found a text");
    said(read_text(&b, "absent", &text, &f), "a[0].b.absent: expected a text, found nothing");
    said(read_bool(&b, "no", &is_set, &f), "a[0].b.no: expected true or false, found null");
    said(read_object(&root, "a", &b, &f), "a: expected an object, found an array");
    said(read_array(&item, "b", &b, &f), "a[0].b: expected an array, found an object");
    read_close(&root);
}

/* An array of other things than objects is told by its index. */
static void test_item(void **state)
{
    (void)state;
    struct read_node root = opened(",\"a\": [1]"), a, item;
    assert_true(read_array(&root, "a", &a, &f));
    said(read_item(&a, 0, &item, &f), "a[0]: expected an object, found a number");
    read_close(&root);
}

/* A histogram survives, and what is none is refused. */
static void test_histogram(void **state)
{
    (void)state;
    struct hist *h = hist_new();
    struct text t = {0}, rest = {0};
    hist_record_n(h, 1500, 3);
    hist_encode(h, &t);
    text_addf(&rest, ",\"good\": \"%s\",\"bad\": \"HISTFAAAA\"", t.data);
    struct read_node root = opened(rest.data);
    hist_clear(h);
    assert_true(read_histogram(&root, "good", h, &f));
    assert_int_equal(h->count, 3);
    assert_false(read_histogram(&root, "bad", h, &f));
    assert_non_null(strstr(f.text, "bad: expected a histogram"));
    read_close(&root);
    text_free(&t);
    text_free(&rest);
    free(h);
}

/* What `run` has left is named by its folder as well; a label stands before either. */
static void test_words(void **state)
{
    char folder[] = "/tmp/iubench-read-XXXXXX", file[64], word[64], *label;
    struct read_node root;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/result.json", folder);
    FILE *to = fopen(file, "w");
    fputs("{\"schema\": \"iubench-result/1\"}", to);
    fclose(to);
    snprintf(word, sizeof word, "before=%s", folder);
    assert_string_equal(read_label(word, &label), folder);
    assert_string_equal(label, "before");
    free(label);
    assert_true(read_open(folder, &root, &f));
    read_close(&root);
    assert_string_equal(read_label(folder, &label), folder);
    assert_null(label);
    unlink(file);
    rmdir(folder);
}

/* What is no result at all: not there, a folder, no JSON, another schema. */
static void test_no_result(void **state)
{
    struct read_node root;
    (void)state;
    assert_false(read_open("/no/such/file", &root, &f));
    assert_int_equal(f.exit, EXIT_FAILED);
    assert_false(read_open("/tmp", &root, &f));
    assert_int_equal(f.exit, EXIT_FAILED);
    assert_string_equal(f.text, "/tmp/result.json cannot be read: No such file or directory");
    put("{\"schema\": ");
    assert_false(read_open(path, &root, &f));
    assert_non_null(strstr(f.text, "is no JSON: line 1"));
    put("[]");
    said(read_open(path, &root, &f),
         "no result of iubench: expected \"schema\": \"iubench-result/1\"");
    put("{\"schema\": \"iubench-result/2\"}");
    assert_false(read_open(path, &root, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),     cmocka_unit_test(test_item),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_result),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
