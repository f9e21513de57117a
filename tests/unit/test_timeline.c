/* Timelines: the writer of trace events, windows, and where the drawing of a performance ends. What a run draws is tests/cli/timeline.py's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/perfetto.h"
#include "sim/observe/timeline_window.h"
#include "sim/study/validate_inside.h"

static char folder[] = "/tmp/es_timeline_XXXXXX";
static char path[64], partial[72];

static int folder_make(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/t.json", folder);
    snprintf(partial, sizeof partial, "%s.tmp", path);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* The text of the file, which goes away; free() it. */
static char *taken(const char *name)
{
    char *text = NULL;
    size_t length;
    es_err err = {0};
    assert_int_equal(es_file_load(name, 1 << 20, &text, &length, &err), ES_OK);
    assert_int_equal(unlink(name), 0);
    return text;
}

static es_perfetto *opened(void)
{
    es_perfetto *p;
    es_err err = {0};
    assert_int_equal(es_perfetto_open(&p, path, &err), ES_OK);
    return p;
}

/* ---- the writer ---- */

static void an_event_is_a_line(void **state)
{
    (void)state;
    es_err err = {0};
    es_perfetto *p = opened();
    es_perfetto_begin(p, &(es_perfetto_event){'X', 1, 12, 1500, 2000000, "demand"}, "demand %d/%d", 3, 17);
    es_perfetto_int(p, "bytes", 7);
    es_perfetto_text(p, "from", "a\"b\\\n");
    es_perfetto_end(p);
    es_perfetto_begin(p, &(es_perfetto_event){'i', 1, 12, 0, 0, NULL}, "now");
    es_perfetto_end(p);
    es_perfetto_arrow(p, 1, "gate", 11, 1, 12, 1500);
    const int64_t bytes = es_perfetto_bytes(p);
    es_perfetto_other(p);
    es_perfetto_int(p, "run_ns", 5);
    assert_int_equal(es_perfetto_close(p, true, &err), ES_OK);
    char *text = taken(path);
    assert_string_equal(text,
        "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":12,\"ts\":1.500,\"dur\":2000,\"cat\":\"demand\",\"name\":\"demand 3/17\",\"args\":{\"bytes\":7,\"from\":\"a\\\"b\\\\\\u000a\"}},\n"
        "{\"ph\":\"i\",\"pid\":1,\"tid\":12,\"ts\":0,\"s\":\"t\",\"name\":\"now\"},\n"
        "{\"ph\":\"s\",\"pid\":1,\"tid\":11,\"ts\":0.001,\"cat\":\"arrow\",\"name\":\"gate\",\"id\":1},\n"
        "{\"ph\":\"f\",\"pid\":1,\"tid\":12,\"ts\":1.500,\"cat\":\"arrow\",\"name\":\"gate\",\"id\":1,\"bp\":\"e\"}\n"
        "],\"otherData\":{\"run_ns\":5}}\n");
    assert_int_equal(bytes, strlen(text) - strlen("\n],\"otherData\":{\"run_ns\":5}}\n"));
    free(text);
}

/* The importer multiplies the microseconds by 1000 and cuts off. */
static void every_nanosecond_is_read_as_itself(void **state)
{
    (void)state;
    es_err err = {0};
    es_perfetto *p = opened();
    for (int i = 0; i < 5000; i++) {
        es_perfetto_begin(p, &(es_perfetto_event){'i', 1, 1, 1000003LL * i * i + i, 0, NULL}, "x");
        es_perfetto_end(p);
    }
    assert_int_equal(es_perfetto_close(p, true, &err), ES_OK);
    char *text = taken(path), *at = text;
    int tenths = 0;
    for (int i = 0; i < 5000; i++) {
        at = strstr(at, "\"ts\":") + 5;
        char *end;
        assert_int_equal((int64_t)(strtod(at, &end) * 1000.0), 1000003LL * i * i + i);
        const char *dot = memchr(at, '.', (size_t)(end - at));
        tenths += dot && end - dot == 5;
    }
    assert_true(tenths > 0 && tenths < 500);        /* most are written with their three digits */
    free(text);
}

static void a_timeline_that_broke_off_can_be_opened(void **state)
{
    (void)state;
    es_err err = {0};
    es_perfetto *p = opened();
    es_perfetto_process(p, 1, "simulated");
    assert_int_equal(es_perfetto_close(p, false, &err), ES_OK);
    assert_int_equal(access(partial, F_OK), -1);    /* nothing was drawn */
    p = opened();
    es_perfetto_begin(p, &(es_perfetto_event){'i', 1, 1, 0, 0, NULL}, "x");
    es_perfetto_end(p);
    assert_int_equal(es_perfetto_close(p, false, &err), ES_OK);
    assert_int_equal(access(path, F_OK), -1);
    char *text = taken(partial);
    assert_non_null(strstr(text, "\n],\"otherData\":{}}\n"));
    free(text);
    assert_int_equal(es_perfetto_close(NULL, true, &err), ES_OK);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    es_err err = {0};
    es_perfetto *p;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(symlink("/dev/full", partial), 0);
    assert_int_equal(es_perfetto_open(&p, path, &err), ES_OK);
    for (int i = 0; i < 5000; i++) {
        es_perfetto_begin(p, &(es_perfetto_event){'i', 1, 1, i, 0, NULL}, "x");
        es_perfetto_end(p);
    }
    assert_int_equal(es_perfetto_close(p, true, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "could not be written: No space left on device"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(partial, F_OK), -1);
    assert_int_equal(es_perfetto_open(&p, "", &err), ES_EINPUT);
}

/* ---- windows ---- */

static window parsed(const char *text)
{
    window w;
    es_err err = {0};
    assert_int_equal(window_parse(&w, text, &err), ES_OK);
    return w;
}

static void a_window_of_time_ends_before_its_end(void **state)
{
    (void)state;
    window w = parsed("1us..3us");
    assert_true(window_has(&w, 0, 1001) && window_has(&w, 2999, 9999) && window_has(&w, 1000, 1000));
    assert_false(window_has(&w, 0, 1000) || window_has(&w, 3000, 4000) || window_has(&w, 3000, 3000) || window_has(&w, 999, 999));
    w = parsed(NULL);
    assert_true(window_has(&w, 0, 0) && window_has(&w, INT64_MAX - 1, INT64_MAX));
    w = parsed("2us..");
    assert_false(window_has(&w, 0, 2000) || !window_has(&w, 0, 2001));
}

static void step(window *w, uint64_t number, uint32_t request, es_time begin, es_time end)
{
    const es_token token[2] = {{.request = 99}, {.request = request}};
    window_step(w, &(es_fact){.kind = ES_FACT_STEP, .at = begin, .step = number, .count = 2, .tokens = token});
    assert_int_equal(w->open, w->closed == INT64_MAX);
    window_step_end(w, end);
}

static void steps_that_follow_each_other_are_one_stretch(void **state)
{
    (void)state;
    window w = parsed("steps=1..2");
    step(&w, 0, 0, 0, 10);
    assert_false(window_has(&w, 0, 10));
    step(&w, 1, 0, 10, 20);
    step(&w, 2, 0, 20, 30);
    step(&w, 3, 0, 30, 40);
    assert_int_equal(w.opened, 10);
    assert_int_equal(w.closed, 30);
    w = parsed("tokens=3");                         /* two tokens a step: the second of step 1 */
    step(&w, 0, 0, 0, 10);
    step(&w, 1, 0, 10, 20);
    step(&w, 2, 0, 20, 30);
    assert_true(w.opened == 10 && w.closed == 20);
    w = parsed("requests=7");                       /* not the first token of its step */
    step(&w, 0, 7, 0, 10);
    step(&w, 1, 8, 10, 20);
    step(&w, 2, 7, 20, 30);
    assert_true(w.opened == 20 && w.closed == 30);
    window_cut(&w, 25);
    step(&w, 3, 7, 30, 40);
    assert_true(w.cut && w.closed == 25);
}

static void a_window_that_is_none_is_an_error(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1..2", "steps", "steps=", "steps=a", "steps=1..b", "step=-1", "stepss=1", "time=1ms..2ms", "..", "1ms", "3ms..1ms", "steps=4..3", "5us..5us",
        "steps=1...2", "steps= 1", "-1ms..2ms", "requests=99999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        window w;
        es_err err = {0};
        assert_int_equal(window_parse(&w, wrong[i], &err), ES_EINPUT);
        assert_non_null(strstr(err.text, wrong[i]));
    }
}

/* ---- a performance ---- */

/* Steps of one copy and the expert that waits for it; the machine takes a tenth longer than the model. */
static void a_full_timeline_has_the_first_steps(void **state)
{
    (void)state;
    enum { STEPS = 50, ROWS = 2 * STEPS };
    static es_action action[ROWS];
    static es_action_time row[2 * ROWS];
    static int64_t step_ns[2 * STEPS];
    for (int i = 0; i < STEPS; i++) {
        action[2 * i] = (es_action){.step = i, .op = ES_ACTION_H2D, .bytes = 100, .layer = 1, .expert = 2};
        action[2 * i + 1] = (es_action){.step = i, .op = ES_ACTION_GEMM, .bytes = 100, .tokens = 1, .afters = 1, .after = {(uint32_t)(2 * i)}};
        for (int side = 0; side < 2; side++) {
            es_action_time *r = row + side * ROWS + 2 * i;
            r[0] = (es_action_time){0, 0, 1000 + 100 * side};
            r[1] = (es_action_time){0, 1000 + 100 * side, 1500 + 150 * side};
            step_ns[side * STEPS + i] = 1500 + 150 * side;
        }
    }
    validate_candidate c = {.policy = "lru", .log = {.at = action, .count = ROWS, .steps = STEPS}, .runs = 1, .row = row, .step_ns = step_ns};
    const int64_t limits[] = {1 << 20, 8000};
    for (int i = 0; i < 2; i++) {
        es_err err = {0};
        int64_t drawn = 0;
        es_perfetto *p = opened();
        assert_int_equal(validate_draw(p, &c, "overlapped", 0, limits[i], &drawn, &err), ES_OK);
        assert_true(i == 0 ? drawn == STEPS : drawn > 0 && drawn < STEPS / 2);
        assert_true(es_perfetto_bytes(p) < limits[i] + 2000);
        assert_int_equal(es_perfetto_close(p, true, &err), ES_OK);
        char *text = taken(path);
        assert_non_null(strstr(text, "\"name\":\"measured: lru, overlapped\""));
        assert_non_null(strstr(text, "\"ts\":1.650,\"dur\":1.100,\"cat\":\"h2d\",\"name\":\"h2d 1/2\",\"args\":{\"row\":2,\"bytes\":100,\"simulated_ns\":1000}"));
        assert_non_null(strstr(text, "\"ts\":1.650,\"dur\":1,\"cat\":\"h2d\",\"name\":\"h2d 1/2\",\"args\":{\"row\":2,\"bytes\":100,\"measured_ns\":1100}"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_a_line), cmocka_unit_test(every_nanosecond_is_read_as_itself), cmocka_unit_test(a_timeline_that_broke_off_can_be_opened),
        cmocka_unit_test(a_full_disk_is_an_error), cmocka_unit_test(a_window_of_time_ends_before_its_end), cmocka_unit_test(steps_that_follow_each_other_are_one_stretch),
        cmocka_unit_test(a_window_that_is_none_is_an_error), cmocka_unit_test(a_full_timeline_has_the_first_steps),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
