/* expertsim selftest: the conformance cases that ship inside the tool. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/cli/cmd.h"
#include "sim/study/selftest.h"

static void selftest_number(es_text *line, const es_json *value)
{
    if (cJSON_IsRaw(value))
        es_text_add(line, "%s", value->valuestring);
    else if (cJSON_IsNumber(value))
        es_text_add(line, "%.0f", value->valuedouble);
    else
        es_text_add(line, "nothing");
}

/* "ok    late hit: time.total_s 230, cache.late 1" and, when it is not: "... cache.late 0 (expected 1)"; times are in ns. */
static void selftest_line(const es_json *row, es_text *line)
{
    const es_json *want = es_json_at(row, "expected"), *found = es_json_at(row, "found"), *fault = es_json_at(row, "fault"), *right;
    bool ok = cJSON_IsTrue(es_json_at(row, "ok"));
    es_text_add(line, "%s  %s", ok ? "ok    " : "FAILED", es_json_at(row, "name")->valuestring);
    const char *comma = ": ";
    cJSON_ArrayForEach(right, want) {
        const es_json *is = cJSON_GetObjectItemCaseSensitive(found, right->string);
        es_text_add(line, "%s%s ", comma, right->string);
        selftest_number(line, is);
        if (!cJSON_Compare(right, is, true)) {
            es_text_add(line, " (expected ");
            selftest_number(line, right);
            es_text_add(line, ")");
        }
        comma = ", ";
    }
    if (cJSON_IsString(fault))
        es_text_add(line, "%s%s", comma, fault->valuestring);
    es_text_add(line, "\n");
}

static es_code selftest_show(const es_json *result, bool json, es_err *err)
{
    es_text text = {0};
    const es_json *row;
    if (json) {
        char *all = es_json_text(result);
        es_text_add(&text, "%s", all ? all : "");
        free(all);
    } else {
        cJSON_ArrayForEach(row, es_json_at(result, "cases"))
            selftest_line(row, &text);
        es_text_add(&text, "%s: ", es_json_at(result, "failed")->valuedouble > 0 ? "FAILED" : "all as expected");
        selftest_number(&text, es_json_at(result, "passed"));
        es_text_add(&text, " passed, ");
        selftest_number(&text, es_json_at(result, "failed"));
        es_text_add(&text, " failed (times in ns)\n");
    }
    es_code code = text.failed || text.length == 0 ? es_err_nomem(err, "the text") : ES_OK;
    if (code == ES_OK)
        fputs(text.at, stdout);
    es_text_free(&text);
    return code;
}

static es_code selftest_exec(int count, char **args, es_err *err)
{
    bool json = false;
    cmd_words names = {0}, sets = {0};
    const cmd_flag flags[] = {{.name = "--set", .letter = "-s", .values = &sets}, {.name = "--json", .on = &json}, {0}};
    es_json *result = NULL;
    es_code code = cmd_parse(flags, count, args, &names, err);
    if (code == ES_OK)
        code = es_selftest(&(es_selftest_ask){names.at, names.count, sets.at, sets.count}, &result, err);
    if (result) {
        es_err other = {0};
        es_code shown = selftest_show(result, json, &other);
        if (shown) {
            *err = other;
            code = shown;
        }
    }
    cJSON_Delete(result);
    free(names.at);
    free(sets.at);
    return code;
}

const cmd_entry cmd_selftest = {
    .name = "selftest",
    .usage = "[NAME]... [--set PATH=VALUE]... [--json]",
    .brief = "Check this build against conformance cases whose answers are known.",
    .help = "  NAME              only cases with this in their name\n"
            "  --set PATH=VALUE  an option for every case, so that a plug-in can be judged:\n"
            "                    expertsim selftest 'stronger lru' --set 'plugins=[\"./mine.so\"]' --set policy=mine\n"
            "  --json            the cases with their traces, configs, expected and found integers, for other simulators\n"
            "\n"
            "Exit code 5 when a case fails.\n",
    .exec = selftest_exec,
};
