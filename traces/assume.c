/* Assume: see assume.h. */
#include "traces/assume.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"

enum { ASSUME_LONG = 512 };

/* Is the sentence a whole line of the notes? */
static bool assume_has(const es_text *notes, const char *sentence)
{
    size_t length = strlen(sentence);
    for (const char *p = notes->length ? notes->at : NULL; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, sentence, length) == 0 && (p[length] == '\n' || p[length] == '\0'))
            return true;
    }
    return false;
}

void es_assume(es_text *notes, const char *fmt, ...)
{
    char sentence[ASSUME_LONG];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    if (!assume_has(notes, sentence))
        es_text_add(notes, "%s%s", notes->length ? "\n" : "", sentence);
}

void es_assume_cut(es_text *notes, uint64_t bytes)
{
    es_assume(notes, "the compressed file is cut: it ends early, after %llu bytes, and what came before was used", (unsigned long long)bytes);
}

static char *assume_provenance(const char *format, const char *sha256, const es_text *notes)
{
    es_json *out = cJSON_CreateObject();
    es_json_add_text(out, "imported_from", format);
    es_json_add_text(out, "sha256", sha256);
    es_json *list = notes->length ? cJSON_AddArrayToObject(out, "assumed") : NULL;
    char line[ASSUME_LONG];
    for (const char *p = list ? notes->at : NULL; p && *p; p += *p == '\n') {
        size_t length = strcspn(p, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, p);
        cJSON_AddItemToArray(list, cJSON_CreateString(line));
        p += length;
    }
    char *text = es_json_text(out);
    cJSON_Delete(out);
    return text;
}

es_code es_imported_as(es_trace_info *info, const char *format, const char *sha256, const es_text *notes, es_arena *arena, es_err *err)
{
    char *provenance = notes->failed ? NULL : assume_provenance(format, sha256, notes);
    info->format = format;
    info->model = info->model ? info->model : "";
    info->sha256 = es_arena_text(arena, sha256);
    info->provenance = provenance ? es_arena_text(arena, provenance) : NULL;
    info->assumed = notes->length ? es_arena_text(arena, notes->at) : NULL;
    free(provenance);
    return info->sha256 && info->provenance && (info->assumed || !notes->length) ? ES_OK : es_err_nomem(err, "a trace");
}

es_code es_imported(es_trace_info *info, const char *format, const es_reader *reader, es_text *notes, es_arena *arena, es_err *err)
{
    uint64_t bytes;
    char hex[65];
    if (es_reader_cut(reader, &bytes))
        es_assume_cut(notes, bytes);
    es_reader_sha256(reader, hex);
    return es_imported_as(info, format, hex, notes, arena, err);
}
