/* The verdict's rules, each from numbers alone: what makes a result INVALID, what makes it SUSPECT,
 * and that neighbouring numbers do not. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "load/verdict.h"

/* A run that nothing is to be said against. */
static struct verdict_facts good(bool is_open)
{
    return (struct verdict_facts){
        .is_open = is_open,
        .threads = 1,
        .connections = 64,
        .wanted = 64,
        .opened = 64,
        .cpu_pct_worst_thread = 50,
        .samples = 10000,
        .quoted_due = is_open ? 10000 : 0,
        .quoted_sent = is_open ? 10000 : 0,
        .send_lag_p99_ns = is_open ? 20000 : 0,
        .latency_p99_ns = 500000,
        .in_flight_mean = 8,
        .in_flight_by_law = 8,
        .ended = 10000,
    };
}

static struct load_result judged(const struct verdict_facts *v)
{
    struct load_result r = {0};
    verdict_reach(v, &r);
    return r;
}

static void expect(const struct verdict_facts *v, enum load_verdict verdict, const char *word)
{
    struct load_result r = judged(v);
    assert_int_equal(r.verdict, verdict);
    assert_int_equal(r.reason_count > 0, verdict != LOAD_VALID);
    if (word && !strstr(r.reasons[0], word))
        fail_msg("\"%s\" is not in: %s", word, r.reasons[0]);
}

/* Nothing to say: VALID, without a reason. */
static void test_valid(void **state)
{
    struct verdict_facts open = good(true), closed = good(false);
    (void)state;
    expect(&open, LOAD_VALID, NULL);
    expect(&closed, LOAD_VALID, NULL);
}

/* A closed loop at full CPU measured the client; an open loop that kept its schedule did not. */
static void test_client_was_the_limit(void **state)
{
    struct verdict_facts v = good(false);
    (void)state;
    v.cpu_pct_worst_thread = 97;
    expect(&v, LOAD_SUSPECT, "the client was the limit");
    v.cpu_pct_worst_thread = 94;
    expect(&v, LOAD_VALID, NULL);
    v.cpu_pct_worst_thread = 50; /* and one that was kept from its core measured that */
    v.starved_pct_worst_thread = 44;
    expect(&v, LOAD_VALID, NULL);
    v.starved_pct_worst_thread = 46;
    expect(&v, LOAD_SUSPECT, "used 50 % of its core and waited for it 46 % of the time");
    v = good(true);
    v.cpu_pct_worst_thread = 99;
    expect(&v, LOAD_VALID, NULL);
}

/* 99 % of the due requests must have been sent in the quoted time. */
static void test_unsent(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.quoted_sent = 9900;
    expect(&v, LOAD_VALID, NULL);
    v.quoted_sent = 9899;
    expect(&v, LOAD_INVALID, "99.0 % of the due requests");
    expect(&v, LOAD_INVALID, "all 64 connections were busy; lower the rate or raise -c");
    v.cpu_pct_worst_thread = 80; /* more connections would not help this one */
    v.starved_pct_worst_thread = 15;
    expect(&v, LOAD_INVALID, "used 80 % of its core and waited for it 15 % of the time");
    v.seconds = 10;
    v.seconds_cut_off = 3; /* nor where the target has gone */
    v.connect_errno = ECONNREFUSED;
    expect(&v, LOAD_INVALID,
           "for 3 of 10 s no connection was open nor could be made: Connection refused");
}

/* A closed loop misses no schedule: that its target had gone is said by itself, and after more than a
 * hundredth of the run its rate is of a target that was not there. */
static void test_target_gone(void **state)
{
    struct verdict_facts v = good(false);
    (void)state;
    v.seconds = 100;
    v.seconds_cut_off = 1;
    v.connect_errno = ECONNREFUSED;
    expect(&v, LOAD_SUSPECT, "for 1 of 100 s no connection was open nor could be made: Connection");
    v.seconds_cut_off = 2;
    expect(&v, LOAD_INVALID, "for 2 of 100 s");
    v.seconds = v.seconds_cut_off = 5;
    v.opened = 0; /* nobody was ever there: that is the one reason */
    expect(&v, LOAD_INVALID, "only 0 of 64 connections were ever open: Connection refused");
    assert_int_equal(judged(&v).reason_count, 1);
}

/* Without keep-alive no connection is wanted for long; that none was ever had is said all the same. */
static void test_never_connected(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.wanted = v.opened = 0;
    v.connections_made = 10000;
    v.connect_failures = 5;
    expect(&v, LOAD_VALID, NULL);
    v.connections_made = v.quoted_sent = 0;
    v.connect_errno = ECONNREFUSED;
    expect(&v, LOAD_INVALID, "no connection was ever open: Connection refused");
    assert_int_equal(judged(&v).reason_count, 1);
}

/* A send lag above a tenth of the latency is INVALID, however fast the target is. */
static void test_send_lag(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.latency_p99_ns = 10000000;
    v.send_lag_p99_ns = 1000000;
    expect(&v, LOAD_VALID, NULL);
    v.send_lag_p99_ns = 1000001;
    expect(&v, LOAD_INVALID, "sent late");
    assert_true(judged(&v).is_only_late);
    v.opened = 63;
    assert_false(judged(&v).is_only_late);
    v.opened = 64;
    v.latency_p99_ns = 200000;
    v.send_lag_p99_ns = 20000;
    expect(&v, LOAD_VALID, NULL);
    v.send_lag_p99_ns = 20001;
    expect(&v, LOAD_INVALID, "sent late");
}

/* Connections that were never open, descriptors, ports: INVALID, with what the system said. */
static void test_connections(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.opened = 63;
    v.connect_errno = ECONNREFUSED;
    expect(&v, LOAD_INVALID, "only 63 of 64");
    expect(&v, LOAD_INVALID, strerror(ECONNREFUSED));
    v.wanted = 63; /* a client that thought until the end */
    expect(&v, LOAD_VALID, NULL);
    v = good(false);
    v.descriptor_failures = 1;
    expect(&v, LOAD_INVALID, "descriptors");
    v = good(false);
    v.port_failures = 1;
    expect(&v, LOAD_INVALID, "ports");
}

/* Little's law: a difference above 5 % is a broken count, if it rests on enough requests. */
static void test_little(void **state)
{
    struct verdict_facts v = good(false);
    (void)state;
    v.in_flight_by_law = 8.3;
    expect(&v, LOAD_VALID, NULL);
    v.in_flight_by_law = 8.5;
    expect(&v, LOAD_INVALID, "Little");
    v.in_flight_by_law = 7.5;
    expect(&v, LOAD_INVALID, "Little");
    v.ended = 20;
    expect(&v, LOAD_VALID, NULL);
}

/* Steal above a few percent: SUSPECT; unknown: nothing. */
static void test_steal(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.steal_pct = 2;
    expect(&v, LOAD_VALID, NULL);
    v.steal_pct = 2.1;
    expect(&v, LOAD_SUSPECT, "steal");
    v.steal_pct = NAN;
    expect(&v, LOAD_VALID, NULL);
}

/* Too few samples, no held step, an overflowed ring: SUSPECT. */
static void test_suspect(void **state)
{
    struct verdict_facts v = good(true);
    (void)state;
    v.samples = 999;
    expect(&v, LOAD_SUSPECT, "999 requests");
    v.samples = 9999;
    v.samples_needed = 10000;
    expect(&v, LOAD_SUSPECT, "needs 10000");
    v.samples = 10000;
    expect(&v, LOAD_VALID, NULL);
    v = good(true);
    v.has_steps = true;
    expect(&v, LOAD_SUSPECT, "held no step");
    v.has_held_step = true;
    expect(&v, LOAD_VALID, NULL);
    v = good(true);
    v.ring_overflows = 3;
    expect(&v, LOAD_SUSPECT, "overflowed 3 times");
}

/* The worst reason is the verdict and stands first; the others are kept. */
static void test_order(void **state)
{
    struct verdict_facts v = good(false);
    (void)state;
    v.samples = 5;
    v.cpu_pct_worst_thread = 100;
    v.descriptor_failures = 7;
    struct load_result r = judged(&v);
    assert_int_equal(r.verdict, LOAD_INVALID);
    assert_int_equal(r.reason_count, 3);
    assert_non_null(strstr(r.reasons[0], "descriptors ran out 7 times"));
}

/* Exit codes: nothing succeeded goes before INVALID; SUSPECT is no failure. */
static void test_exit_code(void **state)
{
    struct load_result r = {.verdict = LOAD_INVALID};
    (void)state;
    assert_int_equal(load_exit_code(&r), EXIT_FAILED);
    r.counts.ok = 1;
    assert_int_equal(load_exit_code(&r), EXIT_INVALID);
    r.verdict = LOAD_SUSPECT;
    assert_int_equal(load_exit_code(&r), EXIT_DONE);
    r.expected.count = 1;
    assert_int_equal(load_exit_code(&r), EXIT_THRESHOLD);
    r.verdict = LOAD_INVALID;
    assert_int_equal(load_exit_code(&r), EXIT_INVALID);
    r.verdict = LOAD_VALID;
    r.expected.items[0].is_met = true;
    assert_int_equal(load_exit_code(&r), EXIT_DONE);
}

/* Availability is ok among what ended; unsent requests count in open loop, unfinished ones never. */
static void test_availability(void **state)
{
    struct load_result r = {.is_open = true};
    (void)state;
    assert_true(load_availability(&r.counts) == 1);
    assert_true(load_ended(&r.counts) == 0);
    r.counts = (struct load_counts){
        .scheduled = 110, .sent = 100, .unsent = 10, .ok = 60, .timeouts = 20, .unfinished = 10};
    r.counts.errors[LOAD_ERROR_status_5xx] = 10;
    assert_true(load_availability(&r.counts) == 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),        cmocka_unit_test(test_client_was_the_limit),
        cmocka_unit_test(test_unsent),       cmocka_unit_test(test_send_lag),
        cmocka_unit_test(test_connections),  cmocka_unit_test(test_little),
        cmocka_unit_test(test_target_gone),  cmocka_unit_test(test_never_connected),
        cmocka_unit_test(test_suspect),      cmocka_unit_test(test_order),
        cmocka_unit_test(test_steal),        cmocka_unit_test(test_exit_code),
        cmocka_unit_test(test_availability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
