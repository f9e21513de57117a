/* expertsim sweep status, collect: what of a sweep is done, and all of it in one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/sweep.h"

enum { STATUS_SAID = 3 };       /* lines of what a failed point said */

/* The last lines but the very last, which the reason ends with. */
static void status_said(const char *said, es_text *out)
{
    size_t length = strlen(said), lines = 0, from = length;
    while (length > 0 && said[length - 1] == '\n')
        length--;
    while (length > 0 && said[length - 1] != '\n')
        length--;
    for (from = length; from > 0 && !(said[from - 1] == '\n' && ++lines > STATUS_SAID); from--) {
    }
    while (from < length) {
        size_t line = strcspn(said + from, "\n");
        es_text_add(out, "          | %.*s\n", (int)line, said + from);
        from += line + 1;
    }
}

static void status_write(const es_json *status, es_text *out)
{
    const es_json *failed = cJSON_GetObjectItemCaseSensitive(status, "failed"), *entry;
    es_text_add(out, "%s: ", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(status, "name")));
    es_text_count(out, (int64_t)cJSON_GetObjectItemCaseSensitive(status, "done")->valuedouble);
    es_text_add(out, " of ");
    es_text_count(out, (int64_t)cJSON_GetObjectItemCaseSensitive(status, "points")->valuedouble);
    es_text_add(out, " points done, %d failed, ", cJSON_GetArraySize(failed));
    es_text_count(out, (int64_t)cJSON_GetObjectItemCaseSensitive(status, "left")->valuedouble);
    es_text_add(out, " left\n");
    cJSON_ArrayForEach(entry, failed) {
        es_text_add(out, "  failed  %s, %s: %s\n", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "id")),
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "what")), cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "reason")));
        status_said(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "said")), out);
    }
}

es_code sweep_status(const sweep_args *args, const char *dir, es_err *err)
{
    es_json *status = NULL;
    es_text text = {0};
    es_code code = es_sweep_status(dir, &status, err);
    char *json = code == ES_OK && args->json ? es_json_text(status) : NULL;
    if (code == ES_OK && args->json && !json)
        code = es_err_nomem(err, "the status");
    else if (json)
        es_text_add(&text, "%s", json);
    else if (code == ES_OK)
        status_write(status, &text);
    free(json);
    cJSON_Delete(status);
    return cmd_print(code, &text, err);
}

/* ---- collect ---- */

/* "out.h5" and "out.csv" from either of them, or from a name without an end. */
static void collect_names(const char *out, const char *dir, es_text *h5, es_text *csv)
{
    es_text stem = {0};
    es_text_add(&stem, "%s%s", out ? out : dir, out ? "" : "/table");
    const char *ends[] = {".h5", ".csv"};
    for (size_t i = 0; i < 2 && stem.at; i++) {
        size_t length = strlen(ends[i]);
        if (stem.length > length && strcmp(stem.at + stem.length - length, ends[i]) == 0) {
            stem.at[stem.length - length] = '\0';
            break;
        }
    }
    es_text_add(h5, "%s.h5", stem.at ? stem.at : "");
    es_text_add(csv, "%s.csv", stem.at ? stem.at : "");
    h5->failed = h5->failed || stem.failed;
    es_text_free(&stem);
}

es_code sweep_collect(const sweep_args *args, const char *dir, es_err *err)
{
    es_text h5 = {0}, csv = {0};
    collect_names(args->out, dir, &h5, &csv);
    es_code code = h5.failed || csv.failed ? es_err_nomem(err, "the names") : es_sweep_collect(dir, h5.at, csv.at, args->partial, err);
    if (code == ES_OK && !args->quiet)
        printf("%s, %s\n", h5.at, csv.at);
    es_text_free(&h5);
    es_text_free(&csv);
    return code;
}
