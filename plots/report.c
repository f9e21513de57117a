/* Report: see report.h. The page around the sections, and those that every kind of result has. */
#include <stdio.h>
#include <string.h>

#include "plots/report_inside.h"

/* ---- numbers ---- */

html_unit report_unit(const char *key)
{
    static const struct {
        const char *end;
        html_unit unit;
    } ends[] = {{"bytes_per_s", HTML_RATE}, {"tokens_per_s", HTML_NUMBER}, {"_s", HTML_SECONDS}, {"bytes", HTML_BYTES}, {"bytes_per_decode_token", HTML_BYTES}, {"hit_rate", HTML_SHARE},
        {"_rate", HTML_SHARE}, {"_share", HTML_SHARE}, {"fraction", HTML_SHARE}, {"utilization", HTML_SHARE}, {"utilisation", HTML_SHARE}, {"coverage", HTML_SHARE}};
    const size_t length = strlen(key);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t size = strlen(ends[i].end);
        if (length >= size && strcmp(key + length - size, ends[i].end) == 0)
            return ends[i].unit;
    }
    return HTML_NUMBER;
}

bool report_rows(const es_json *result, const char *caption, const report_row *rows, size_t count, es_text *page)
{
    static const html_column columns[] = {{"what", false}, {"value", true}, {"what it means", false}};
    bool begun = false;
    for (size_t i = 0; i < count; i++) {
        const double value = report_number(result, rows[i].path);
        if (!isfinite(value) || (rows[i].some && value == 0.0))
            continue;
        if (!begun)
            html_facts(page, caption, columns, sizeof columns / sizeof *columns);
        begun = true;
        html_row(page, rows[i].label);
        html_cell_number(page, value, rows[i].unit);
        html_cell(page, rows[i].meaning);
        html_row_end(page);
    }
    if (begun)
        html_table_end(page);
    return begun;
}

void report_tile(es_text *page, double value, html_unit unit, const char *label, const char *more)
{
    if (!isfinite(value))
        return;
    html_add(page, "<li><b>");
    html_number(page, value, unit);
    html_add(page, "</b><span>%s</span><small>%s</small></li>\n", label, more);
}

static void all_value(const es_json *value, const char *key, es_text *page)
{
    if (cJSON_IsString(value)) {
        html_cell(page, value->valuestring);
    } else if (cJSON_IsBool(value)) {
        html_cell(page, cJSON_IsTrue(value) ? "true" : "false");
    } else {
        html_add(page, "<td>");
        html_number(page, report_value(value), report_unit(key));
        html_add(page, "</td>");
    }
}

static void all_rows(const es_json *value, const char *before, es_text *page)
{
    const es_json *one;
    int index = 0;
    cJSON_ArrayForEach(one, value) {
        es_text key = {0};
        if (one->string)
            es_text_add(&key, "%s%s%s", before, *before ? "." : "", one->string);
        else
            es_text_add(&key, "%s%s%d", before, *before ? "." : "", index);
        index++;
        const char *name = key.at ? key.at : "";
        if (cJSON_IsObject(one) || cJSON_IsArray(one)) {
            all_rows(one, name, page);
        } else {
            html_row(page, name);
            all_value(one, one->string ? one->string : before, page);
            html_row_end(page);
        }
        page->failed = page->failed || key.failed;
        es_text_free(&key);
    }
}

void report_all(const es_json *value, const char *caption, es_text *page)
{
    static const html_column columns[] = {{"key", false}, {"value", false}};
    html_facts(page, caption, columns, sizeof columns / sizeof *columns);
    if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        all_rows(value, "", page);
    } else {
        html_row(page, caption);
        all_value(value, caption, page);
        html_row_end(page);
    }
    html_table_end(page);
}

/* ---- figures ---- */

static void page_figure(const report_figure *figure, size_t number, es_text *page)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "f%zu-", number);
    const size_t length = strlen(figure->title);
    const char *stop = length > 0 && figure->title[length - 1] == '.' ? "" : ".";
    html_add(page, "<figure>\n<figcaption><strong>%s%s</strong> %s</figcaption>\n<div class=\"plate scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">\n", figure->title, stop,
        figure->asks ? figure->asks : "", figure->title);
    report_svg(figure->svg, prefix, figure->title, page);
    html_add(page, "</div>\n</figure>\n");
}

static void page_missing(const report_ask *ask, es_text *page)
{
    bool begun = false;
    for (size_t i = 0; i < ask->figures; i++) {
        const report_figure *figure = &ask->figure[i];
        if (figure->svg || !figure->missing)
            continue;
        if (!begun) {
            html_fold(page, "Figures that this result cannot give", false);
            html_add(page, "<ul>\n");
        }
        begun = true;
        html_add(page, "<li><strong>%s</strong> (%s) %s</li>\n", figure->title, figure->asks ? figure->asks : "", figure->missing);
    }
    if (begun) {
        html_add(page, "</ul>\n");
        html_fold_end(page);
    }
}

static void page_figures(const report_ask *ask, es_text *page)
{
    if (ask->figures == 0 && !ask->undrawn)
        return;
    html_section(page, "figures", "Figures");
    if (ask->undrawn)
        html_add(page, "<p class=\"muted\">%s</p>\n", ask->undrawn);
    for (size_t i = 0; i < ask->figures; i++)
        if (ask->figure[i].svg)
            page_figure(&ask->figure[i], i + 1, page);
    page_missing(ask, page);
    html_section_end(page);
}

/* ---- how to make it again ---- */

/* A word of a command line as a shell takes it. */
static void page_word(const char *word, es_text *page)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
    es_text quoted = {0};
    const bool bare = *word && strspn(word, plain) == strlen(word);
    es_text_add(&quoted, "%s", bare ? "" : "'");
    for (; *word; word++)
        es_text_add(&quoted, *word == '\'' ? "'\\''" : "%c", *word);
    es_text_add(&quoted, "%s", bare ? "" : "'");
    html_put(page, quoted.at);
    page->failed = page->failed || quoted.failed;
    es_text_free(&quoted);
}

/* "expertsim run FILE --set ...": what made a run. */
static void page_run_command(const report_ask *ask, es_text *page)
{
    const es_json *first = es_json_at(ask->result, "provenance.input.files.0.path"), *set;
    if (!cJSON_IsString(first))
        return;
    html_add(page, "expertsim run ");
    page_word(first->valuestring, page);
    cJSON_ArrayForEach(set, es_json_at(ask->result, "provenance.input.sets")) {
        html_add(page, " --set ");
        page_word(cJSON_IsString(set) ? set->valuestring : "", page);
    }
    html_add(page, " --out DIR\n");
}

static void page_compare_command(const report_ask *ask, es_text *page)
{
    const es_json *command = es_json_at(ask->result, "command"), *word;
    if (!cJSON_IsArray(command))
        return;
    html_add(page, "expertsim");
    cJSON_ArrayForEach(word, command) {
        html_add(page, " ");
        page_word(cJSON_IsString(word) ? word->valuestring : "", page);
    }
    html_add(page, " --out DIR\n");
}

static void page_commands(const report_ask *ask, es_text *page)
{
    static const char *const verbs[] = {[REPORT_RUN] = "rerun", [REPORT_SWEEP] = "sweep collect"};
    html_add(page, "<pre>");
    page_run_command(ask, page);
    page_compare_command(ask, page);
    if (ask->kind != REPORT_COMPARISON) {
        html_add(page, "expertsim %s ", verbs[ask->kind]);
        page_word(ask->path, page);
        html_add(page, "\n");
    }
    html_add(page, "expertsim report ");
    page_word(ask->path, page);
    html_add(page, "</pre>\n");
}

static void page_fact(const char *name, const char *value, es_text *page)
{
    if (value && *value)
        html_add(page, "<dt>%s</dt><dd>%s</dd>\n", name, value);
}

static void page_number(const char *name, double value, es_text *page)
{
    if (!isfinite(value))
        return;
    html_add(page, "<dt>%s</dt><dd>", name);
    html_number(page, value, HTML_NUMBER);
    html_add(page, "</dd>\n");
}

static void page_trace(const es_json *trace, es_text *page)
{
    if (!trace)
        return;
    page_fact("trace", report_word(trace, "path", report_text(trace, "format")), page);
    page_fact("content of the trace, sha256", report_text(trace, "sha256"), page);
    page_fact("recorded from", report_text(trace, "model"), page);
    if (isfinite(report_number(trace, "layers")))
        html_add(page, "<dt>its shape</dt><dd>%.0f layer%s of %.0f experts, top %.0f</dd>\n", report_number(trace, "layers"), report_number(trace, "layers") == 1.0 ? "" : "s", report_number(trace, "experts"), report_number(trace, "top_k"));
    page_number("requests", report_number(trace, "requests"), page);
    page_number("prompt tokens", report_number(trace, "prompt_tokens"), page);
    page_number("decode tokens", report_number(trace, "decode_tokens"), page);
}

static void page_origin(const report_ask *ask, es_text *page)
{
    const es_json *from = es_json_at(ask->result, "provenance");
    html_section(page, "provenance", "Provenance");
    html_add(page, "<p>To make it again: the same config, trace and seed give the same bytes on any machine.</p>\n");
    page_commands(ask, page);
    html_add(page, "<dl>\n");
    page_fact("expertsim", report_word(from, "version", report_text(ask->result, "version")), page);
    page_fact("clock", report_text(ask->result, "clock"), page);
    page_number("seed", report_number(from, "seed"), page);
    page_number("replication", report_number(from, "replication"), page);
    page_fact("resolved config, sha256", report_text(from, "config_sha256"), page);
    page_fact("machine", report_text(from, "config.machine.name"), page);
    page_fact("model", report_word(from, "config.model.name", report_text(from, "config.model.shape.name")), page);
    page_fact("precision", report_text(from, "config.model.precision"), page);
    page_trace(es_json_at(from, "trace"), page);
    page_fact("simulated on", report_text(ask->result, "volatile.date"), page);
    html_add(page, "</dl>\n");
    html_section_end(page);
}

static void page_config(const report_ask *ask, es_text *page)
{
    const es_json *config = es_json_at(ask->result, "provenance.config"), *file;
    if (!config)
        return;
    html_section(page, "config", "Config");
    char *text = es_json_text(config);
    html_fold(page, "Resolved: every option with the value it had", true);
    html_add(page, "<pre>%s</pre>\n", text ? text : "");
    html_fold_end(page);
    page->failed = page->failed || !text;
    free(text);
    cJSON_ArrayForEach(file, es_json_at(ask->result, "provenance.input.files")) {
        const char *path = report_text(file, "path");
        html_fold(page, path ? path : "as it was written", true);
        html_add(page, "<pre>%s</pre>\n", report_word(file, "text", ""));
        html_fold_end(page);
    }
    html_section_end(page);
}

/* ---- the page ---- */

/* Links to all sections of the body, whose headings stand in a form of our own making. */
static void page_contents(const char *body, es_text *page)
{
    html_add(page, "<nav aria-label=\"Sections\"><ul>\n");
    for (const char *at = body; (at = strstr(at, "<section id=\"")) != NULL;) {
        const char *id = at + strlen("<section id=\""), *head = strstr(id, "<h2 ");
        const char *text = head ? strchr(head, '>') + 1 : NULL, *end = text ? strstr(text, "</h2>") : NULL;
        if (!end)
            break;
        html_add(page, "<li><a href=\"#");
        es_text_put(page, id, strcspn(id, "\""));
        html_add(page, "\">");
        es_text_put(page, text, (size_t)(end - text));
        html_add(page, "</a></li>\n");
        at = end;
    }
    html_add(page, "</ul></nav>\n");
}

static void page_body(const report_ask *ask, es_text *body)
{
    static const struct {
        void (*verdict)(const report_ask *ask, es_text *page), (*sections)(const report_ask *ask, es_text *page);
    } kinds[] = {[REPORT_RUN] = {report_run_verdict, report_run}, [REPORT_COMPARISON] = {report_compare_verdict, report_compare},
        [REPORT_SWEEP] = {report_sweep_verdict, report_sweep}};
    const bool buffers = ask->kind == REPORT_RUN && es_json_at(ask->result, "buffers");
    html_section(body, "verdict", "Verdict");
    (buffers ? report_buffers_verdict : kinds[ask->kind].verdict)(ask, body);
    html_section_end(body);
    if (ask->kind == REPORT_RUN)
        report_time(ask, body);
    page_figures(ask, body);
    (buffers ? report_buffers : kinds[ask->kind].sections)(ask, body);
    page_config(ask, body);
    page_origin(ask, body);
}

/* A comparison has no name of its own: its candidates, or how many there are. */
static void page_name(const report_ask *ask, es_text *name)
{
    const es_json *one, *candidates = es_json_at(ask->result, "groups.0.candidates");
    const char *given = report_text(ask->result, "name");
    const int count = cJSON_GetArraySize(candidates);
    if (ask->kind != REPORT_COMPARISON || count > 6) {
        es_text_add(name, "%s", given ? given : "");
        if (!given && count > 6)
            es_text_add(name, "%d candidates", count);
        return;
    }
    cJSON_ArrayForEach(one, candidates)
        es_text_add(name, "%s%s", name->length ? ", " : "", report_word(one, "name", "?"));
}

void report_write(const report_ask *ask, es_text *page)
{
    static const char *const kinds[] = {[REPORT_RUN] = "run", [REPORT_COMPARISON] = "comparison", [REPORT_SWEEP] = "sweep"};
    const char *brief = report_text(ask->result, "brief");
    es_text body = {0}, named = {0};
    page_body(ask, &body);
    page_name(ask, &named);
    const char *name = named.length ? named.at : kinds[ask->kind];
    html_add(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n");
    html_add(page, "<title>%s: expertsim %s</title>\n<style>\n", name, kinds[ask->kind]);
    es_text_put(page, report_css, strlen(report_css));
    html_add(page, "</style>\n</head>\n<body>\n<header>\n<p class=\"kind\">expertsim %s</p>\n<h1>%s</h1>\n", kinds[ask->kind], name);
    if (brief && *brief)
        html_add(page, "<p class=\"brief\">%s</p>\n", brief);
    html_add(page, "</header>\n");
    page_contents(body.at ? body.at : "", page);
    html_add(page, "<main>\n");
    es_text_put(page, body.at ? body.at : "", body.length);
    html_add(page, "</main>\n<script>\n");
    es_text_put(page, report_js, strlen(report_js));
    html_add(page, "</script>\n</body>\n</html>\n");
    page->failed = page->failed || body.failed || named.failed;
    es_text_free(&body);
    es_text_free(&named);
}
