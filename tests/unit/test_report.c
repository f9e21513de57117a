/* Pages: text is escaped whatever it is, numbers read as people write them, and figures come in without what does not belong there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plots/report_inside.h"

static void is(es_text *text, const char *want)
{
    assert_false(text->failed);
    assert_string_equal(text->at ? text->at : "", want);
    es_text_free(text);
}

static void escapes(void **state)
{
    es_text out = {0};
    (void)state;
    html_put(&out, "<a href=\"x\">&'</a>");
    is(&out, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
    html_add(&out, "<b title=\"%s\">%s %d %zu %.2f %5.1f%%</b>", "\"", "<", -3, (size_t)7, 1.5, 2.25);
    is(&out, "<b title=\"&quot;\">&lt; -3 7 1.50   2.2%</b>");
    html_put(&out, "\xff" "a\xc3\xa9\xc3" "b\xed\xa0\x80\x01\t\n");
    is(&out, "\xef\xbf\xbd" "a\xc3\xa9" "\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd  \n");
    html_put(&out, NULL);
    is(&out, "");
}

#define NB "\xc2\xa0"

static void number_is(double value, html_unit unit, const char *want)
{
    es_text out = {0};
    html_number(&out, value, unit);
    is(&out, want);
}

static void numbers(void **state)
{
    (void)state;
    number_is(22340.0, HTML_COUNT, "22,340");
    number_is(98.343, HTML_NUMBER, "98.34");
    number_is(118.34, HTML_NUMBER, "118.3");
    number_is(-1234.6, HTML_NUMBER, "-1,235");
    number_is(0.5, HTML_NUMBER, "0.5000");
    number_is(0.00012345, HTML_NUMBER, "0.000123");
    number_is(0.0, HTML_NUMBER, "0");
    number_is(1e300, HTML_NUMBER, "1e+300");
    number_is(0.0167, HTML_SECONDS, "16.7" NB "ms");
    number_is(4294967296.0, HTML_BYTES, "4" NB "GiB");
    number_is(15880638401.0, HTML_RATE, "15.9" NB "GB/s");
    number_is(0.0, HTML_RATE, "0" NB "B/s");
    number_is(0.712, HTML_SHARE, "71.2" NB "%");
    number_is(0.00001, HTML_SHARE, "&lt;" NB "0.01" NB "%");
    number_is(0.99999, HTML_SHARE, "&gt;" NB "99.99" NB "%");
    number_is(1.0, HTML_SHARE, "100" NB "%");
    number_is(NAN, HTML_SHARE, "\xe2\x80\x93");
    number_is(INFINITY, HTML_BYTES, "\xe2\x80\x93");
}

static void causes(void **state)
{
    static const char *const words[][2] = {
        {"dense", "dense layers"}, {"wait.pcie", "waiting for pcie"}, {"wait.pcie.behind_guess", "waiting for pcie: queued behind guesses"},
        {"wait.a.b.late", "waiting for a.b: a guess that came late"}, {"wait.room", "waiting for room"}, {"some_thing", "some thing"}, {"wait.", "waiting for "},
    };
    es_text out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        report_cause_words(words[i][0], &out);
        es_text_add(&out, "%s", "");
        is(&out, words[i][1]);
    }
    es_json *json = NULL;
    static const char text[] = "{\"dense\": 1, \"none\": 0, \"wait\": {\"b\": 3, \"a\": 3, \"odd\": \"x\", \"c\": {\"late\": 5}}, \"null\": null, \"list\": [7]}";
    report_cause found[REPORT_CAUSES];
    assert_int_equal(es_json_parse(&json, text, strlen(text), NULL), ES_OK);
    assert_int_equal(report_causes(json, found), 4);
    assert_string_equal(found[0].key, "wait.c.late");
    assert_string_equal(found[1].key, "wait.b");       /* equals stay in order */
    assert_string_equal(found[2].key, "wait.a");
    assert_string_equal(found[3].key, "dense");
    assert_int_equal(report_causes(NULL, found), 0);
    cJSON_Delete(json);
}

static const char figure[] =
    "<?xml version=\"1.0\"?>\n<!DOCTYPE svg [<!ENTITY x \"y\">]>\n<svg width=\"9\" xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" onload=\"run()\">"
    "<title>Gnuplot</title><desc a='>'>By <b>it</b></desc><!-- > <script> --><defs><circle id='dot' r=\"1\"/></defs>"
    "<g id=\"one\" fill='url(#dot)' title='\"<'><use xlink:href='#dot'/><use href='http://far/away#dot'/><script>evil()</script><script src='x'/>"
    "<image xlink:href='http://far'/><text>a &lt; b</text></g></svg>\n";

static void figures(void **state)
{
    es_text out = {0};
    (void)state;
    report_svg(figure, "f1-", "Half of <it>", &out);
    is(&out, "<svg role=\"img\" aria-label=\"Half of &lt;it&gt;\" width=\"9\"><defs><circle id=\"f1-dot\" r=\"1\"/></defs>"
        "<g id=\"f1-one\" fill=\"url(#f1-dot)\" title=\"&quot;&lt;\"><use href=\"#f1-dot\"/><use/><text>a &lt; b</text></g></svg>\n");
    report_svg("no figure at all", "f1-", "x", &out);
    is(&out, "");
}

/* Does a tag at `at` run something or name the outside? Values stand in double quotes and have none inside. */
static bool tag_reaches_out(const char *at)
{
    static const char *const elements[] = {"script", "image", "foreignObject", "a", "style", "title"};
    const char *name = at + 1;
    size_t length = strcspn(name, " />");
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (length == strlen(elements[i]) && strncmp(name, elements[i], length) == 0)
            return true;
    for (at = name + length; *at && *at != '>';) {
        name = at += strspn(at, " /");
        length = strcspn(name, "= />");
        at += length;
        if (at[0] != '=' || at[1] != '"')
            continue;
        const char *value = at + 2;
        if (strncmp(name, "on", 2) == 0 || strncmp(name, "xmlns", 5) == 0 || (length == 4 && strncmp(name, "href", 4) == 0 && *value != '#'))
            return true;
        at = value + strcspn(value, "\"");
        at += *at == '"';
    }
    return false;
}

static bool reaches_out(const char *out)
{
    for (const char *tag = out; (tag = strchr(tag, '<')) != NULL; tag++)
        if (tag[1] != '/' && tag_reaches_out(tag))
            return true;
    return false;
}

/* Cut anywhere, and with any byte replaced, it ends, and nothing of the outside comes in. */
static void figures_broken(void **state)
{
    static const char bytes[] = "<>\"'=/ #-!?a";
    (void)state;
    for (size_t cut = 0; cut < sizeof figure; cut++)
        for (size_t b = 0; b < sizeof bytes; b++) {
            char *text = strdup(figure);
            es_text out = {0};
            assert_non_null(text);
            if (b + 1 < sizeof bytes)
                text[cut < sizeof figure - 1 ? cut : 0] = bytes[b];
            else
                text[cut < sizeof figure - 1 ? cut : 0] = '\0';
            report_svg(text, "f1-", "x", &out);
            assert_false(out.failed);
            assert_false(out.at && reaches_out(out.at));
            es_text_free(&out);
            free(text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes), cmocka_unit_test(numbers), cmocka_unit_test(causes), cmocka_unit_test(figures), cmocka_unit_test(figures_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
