/* JSON import: see json_import.h. */
#include "traces/json_import.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/asked.h"

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

bool es_json_import_ids(es_json_import *in)
{
    return es_json_scan_ids(in->scan, in->id, ES_TRACE_TOP_K_MAX, &in->row.count);
}

bool es_json_import_weights(es_json_import *in)
{
    if (es_json_scan_null(in->scan))
        return true;
    in->listed = true;
    if (!es_json_scan_floats(in->scan, in->ask->weights ? in->weight : NULL, ES_TRACE_TOP_K_MAX, &in->weights))
        return false;
    for (uint32_t i = 0; in->ask->weights && i < in->weights; i++)
        if (isnan(in->weight[i]))
            return es_json_scan_fault(in->scan, "place %u is NaN, needs a weight", i);
    return true;
}

bool es_json_import_id(es_json_import *in, uint32_t id)
{
    if (in->row.count == ES_TRACE_TOP_K_MAX)
        return es_json_scan_fault(in->scan, "lists more than %d experts", ES_TRACE_TOP_K_MAX);
    if (id >= ES_NO_EXPERT)
        return es_json_scan_fault(in->scan, "expert %u is above %u, the highest", id, ES_TRACE_EXPERTS_MAX - 1);
    in->id[in->row.count++] = (uint16_t)id;
    return true;
}

bool es_json_import_weight(es_json_import *in, float weight)
{
    if (in->weights == ES_TRACE_TOP_K_MAX)
        return es_json_scan_fault(in->scan, "lists more than %d weights", ES_TRACE_TOP_K_MAX);
    if (isnan(weight))
        return es_json_scan_fault(in->scan, "is NaN, needs a weight");
    in->listed = true;
    in->weight[in->weights++] = weight;
    return true;
}

/* The first row says whether there are weights, for a stream has them everywhere or nowhere. */
static es_code import_begin(es_json_import *in, bool weighted, es_err *err)
{
    es_stream_rules rules = in->format->rules;
    rules.lenient = in->ask->lenient;
    rules.layers = in->layers;
    in->weighted = weighted;
    es_trace_info shape = { .experts = in->experts > 0 ? in->experts : in->ask->experts, .has_weights = weighted && in->ask->weights };
    return es_stream_new(&in->stream, &shape, &rules, err);
}

/* What is wrong with the row at hand, with the place where it stood. */
__attribute__((noinline, cold)) static bool ES_PRINTF(2, 3) import_fault(es_json_import *in, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (in->held)
        return es_json_scan_fault_on(in->scan, in->held_line, "%s[%u][%u]: %s", in->held, in->held_token, in->row.layer, text);
    if (in->held_line > 0)
        return es_json_scan_fault(in->scan, "of the row on line %llu: %s", (unsigned long long)in->held_line, text);
    return es_json_scan_fault(in->scan, "%s", text);
}

static bool import_counts(es_json_import *in, const float *weights, uint32_t count)
{
    const char *unit = in->format->rules.unit ? in->format->rules.unit : "line";
    if (count > 0 && in->top_k == 0) {
        in->top_k = count;
        in->first_record = in->row.record;
    }
    if (count != in->top_k && !in->any_count && !in->ask->lenient && in->first_record > 0)
        return import_fault(in, "lists %u experts where %s %llu lists %u", count, unit, (unsigned long long)in->first_record, in->top_k);
    if (count != in->top_k && !in->any_count && !in->ask->lenient)
        return import_fault(in, "lists %u experts where the file declares %u", count, in->top_k);
    if (count > 0 && (weights != NULL) != in->weighted)
        return import_fault(in, "has %s weights, while the rows before it have %s", weights ? "some" : "no", in->weighted ? "some" : "none");
    return true;
}

/* How the weights of a row are ordered and what they sum to. */
static void import_weigh(es_json_import *in, const float *weights, uint32_t count)
{
    float sum = 0.0f;
    bool falls = true;
    for (uint32_t i = 0; i < count; i++) {
        falls = falls && (i == 0 || weights[i] <= weights[i - 1]);
        sum += weights[i];
    }
    if (!falls && in->unordered == 0)
        in->unordered = in->row.record;
    es_sums_row(&in->sums, sum, in->row.record);
}

void es_json_import_drop(es_json_import *in)
{
    in->row.count = in->weights = 0;
    in->listed = false;
}

static bool import_add(es_json_import *in)
{
    es_err err;                         /* not cleared: a thousand bytes for every row */
    es_code code = es_stream_add(in->stream, &in->row, &err);
    if (code == ES_EINTERNAL)
        return es_json_scan_nomem(in->scan, "a trace");
    return !code || import_fault(in, "%s", err.text);
}

bool es_json_import_give(es_json_import *in, const uint16_t *ids, const float *weights, uint32_t count)
{
    es_err err;
    if (es_json_scan_failed(in->scan))
        return false;
    in->rows++;
    in->row.record = in->format->rules.unit ? in->rows : in->held_line ? in->held_line : es_json_scan_line(in->scan);
    if (in->rows == 1 && es_asked(in->ask, &(es_said){ .top_k = in->any_count || in->ask->lenient ? 0 : count }, &err))
        return import_fault(in, "%s", err.text);
    if (!in->stream && import_begin(in, weights != NULL, &err))
        return es_json_scan_nomem(in->scan, "a trace");
    if (!import_counts(in, weights, count))
        return false;
    if (weights && count > 0 && in->ask->weights)
        import_weigh(in, weights, count);
    in->row.ids = ids;
    in->row.weights = weights;
    in->row.count = count;
    bool good = import_add(in);
    es_json_import_drop(in);
    return good;
}

bool es_json_import_row(es_json_import *in)
{
    bool weighted = in->listed && (in->weights > 0 || in->row.count == 0);
    if (weighted && in->weights != in->row.count)
        return es_json_scan_fault(in->scan, "lists %u weights for %u experts", in->weights, in->row.count);
    return es_json_import_give(in, in->id, weighted ? in->weight : NULL, in->row.count);
}

bool es_json_import_token(es_json_import *in, uint32_t *layers)
{
    uint32_t layer = 0;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); layer++) {
        in->row.layer = layer;
        if (!es_json_scan_null(in->scan) && (!es_json_import_ids(in) || !es_json_import_row(in)))
            return false;
    }
    if (es_json_scan_failed(in->scan))
        return false;
    if (*layers > 0 && layer != *layers)
        return es_json_scan_fault(in->scan, "has %u layers, others have %u", layer, *layers);
    *layers = layer;
    return true;
}

/* --- what else a file says ------------------------------------------------------------------------------------------------------ */

bool es_json_import_declared(es_json_import *in, uint32_t *value)
{
    uint32_t before = *value, now = 0;
    if (es_json_scan_null(in->scan))
        return true;
    if (!es_json_scan_u32(in->scan, &now))
        return false;
    if (before > 0 && now != before)
        return es_json_scan_fault(in->scan, "is %u here and %u before", now, before);
    const es_said said = { .experts = value == &in->experts ? now : 0, .top_k = value == &in->top_k ? now : 0 };
    es_err err;
    if (es_asked(in->ask, &said, &err))
        return es_json_scan_fault(in->scan, "%s", err.text);
    *value = now;
    return now > 0 || es_json_scan_fault(in->scan, "is 0, needs 1 or more");
}

bool es_json_import_model(es_json_import *in)
{
    const char *text;
    size_t length;
    if (es_json_scan_null(in->scan))
        return true;
    if (!es_json_scan_text(in->scan, &text, &length))
        return false;
    in->model = es_arena_text(in->arena, text);
    return in->model || es_json_scan_nomem(in->scan, "a trace");
}

bool es_json_import_need(es_json_import *in, uint32_t got, uint32_t need, const char *const *names)
{
    for (uint32_t i = 0; (need & ~got) >> i != 0; i++)
        if ((need & ~got) >> i & 1)
            return es_json_scan_fault(in->scan, "the key \"%s\" is missing", names[i]);
    return !es_json_scan_failed(in->scan);
}

int es_json_import_word(es_json_import *in, const char *const *words)
{
    const char *text;
    size_t length;
    char all[256] = "";
    if (!es_json_scan_text(in->scan, &text, &length))
        return -1;
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
        if (strlen(all) + strlen(words[i]) + 3 < sizeof all)
            strcat(strcat(all, i ? ", " : ""), words[i]);
    }
    es_json_scan_fault(in->scan, "is \"%.40s\", needs one of %s", text, all);
    return -1;
}

/* --- requests by name ----------------------------------------------------------------------------------------------------------- */

typedef struct import_name { uint64_t hash; char *text; uint32_t number; } import_name;

struct json_import_names {
    import_name *slot;                  /* [room] by hash; text NULL: free */
    uint32_t count, room;
    bool numbered, named;               /* requests have been numbers, names */
};

static uint64_t import_hash(const char *name, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ull;
    return hash;
}

static import_name *import_slot(const json_import_names *names, uint64_t hash, const char *text)
{
    uint32_t at = (uint32_t)hash & (names->room - 1);
    while (names->slot[at].text && (names->slot[at].hash != hash || (text && strcmp(names->slot[at].text, text) != 0)))
        at = (at + 1) & (names->room - 1);
    return &names->slot[at];
}

static bool import_names_room(json_import_names *names)
{
    json_import_names more = *names;
    if (2 * names->count < names->room)
        return true;
    more.room = names->room ? 2 * names->room : 64;
    more.slot = calloc(more.room, sizeof *more.slot);
    if (!more.slot)
        return false;
    for (uint32_t i = 0; i < names->room; i++) {
        import_name *from = &names->slot[i];
        if (from->text)
            *import_slot(&more, from->hash, from->text) = *from;
    }
    free(names->slot);
    *names = more;
    return true;
}

bool es_json_import_named(es_json_import *in, const char *name, size_t length)
{
    json_import_names *names = in->names;
    if (es_json_scan_failed(in->scan))
        return false;
    if (names->numbered)
        return es_json_scan_fault(in->scan, "is a name, \"%.40s\", while requests before it are numbers", name);
    names->named = true;
    if (!import_names_room(names))
        return es_json_scan_nomem(in->scan, "the requests of a trace");
    uint64_t hash = import_hash(name, length);
    import_name *slot = import_slot(names, hash, name);
    if (!slot->text) {
        *slot = (import_name){ hash, strdup(name), names->count };
        if (!slot->text)
            return es_json_scan_nomem(in->scan, "the requests of a trace");
        names->count++;
    }
    in->row.request = slot->number;
    return true;
}

bool es_json_import_request(es_json_import *in)
{
    const char *text;
    size_t length;
    if (es_json_scan_peek(in->scan) == '"')
        return es_json_scan_text(in->scan, &text, &length) && es_json_import_named(in, text, length);
    if (!es_json_scan_u32(in->scan, &in->row.request))
        return false;
    in->names->numbered = true;
    return !in->names->named || es_json_scan_fault(in->scan, "is the number %u, while requests before it have names", in->row.request);
}

static void import_names_free(json_import_names *names)
{
    for (uint32_t i = 0; names && i < names->room; i++)
        free(names->slot[i].text);
    free(names ? names->slot : NULL);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

int es_json_import_sniff(const unsigned char *head, size_t length, int score, const char *const *keys)
{
    size_t at = length >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < length && strchr(" \t\r\n", head[at]) && head[at])
        at++;
    if (at == length || (head[at] != '{' && head[at] != '['))
        return 0;
    for (; *keys; keys++) {
        char quoted[64];
        const size_t size = strlen(*keys);
        assert(size + 2 <= sizeof quoted);
        quoted[0] = quoted[size + 1] = '"';
        memcpy(quoted + 1, *keys, size);
        if (!memmem(head + at, length - at, quoted, size + 2))
            return 0;
    }
    return score;
}

/* The end of the walk: what the scan met, and a torn record that may be left out. */
static es_code import_scanned(es_json_import *in, es_err *err)
{
    es_err fault = { 0 };
    const unsigned long long line = es_json_scan_line(in->scan);
    es_code code = es_json_scan_end(in->scan, &fault);
    const bool torn = code && es_json_scan_torn(in->scan) && in->rows > 0;
    if (code && (!torn || !in->ask->lenient))
        return es_err_set(err, code, "%s%s", fault.text, torn ? "; --lenient takes what is there before" : "");
    if (torn && es_json_scan_closing(in->scan) && in->row.count == 0)
        es_assume(&in->notes, "the file is cut on line %llu: the brackets that close it are missing, and what may have stood behind its last row", line);
    else if (torn)
        es_assume(&in->notes, "the file ends inside a record, on line %llu; it was left out", line);
    return ES_OK;
}

static es_code import_declared(es_json_import *in, es_trace_info *info, es_err *err)
{
    if (in->experts == 0)
        return ES_OK;
    if (info->experts > in->experts)
        return es_err_set(err, ES_EINPUT, "expert %u occurs, but the file declares %u experts", info->experts - 1, in->experts);
    info->experts = in->experts;
    return es_trace_check_shape(info, err);
}

static void import_note_weights(es_json_import *in)
{
    const char *unit = in->format->rules.unit ? in->format->rules.unit : "line";
    if (!in->weighted)
        es_assume(&in->notes, "there are no weights: the order of ids within a row was taken as the router's, the most important first");
    if (!in->weighted || !in->ask->weights)
        return;
    if (in->unordered > 0)
        es_assume(&in->notes, "ids do not stand in order of weight (first on %s %llu); they were kept in the order of the file", unit, (unsigned long long)in->unordered);
    else
        es_assume(&in->notes, "ids of a row stand by falling weight");
    if (in->sums.least > 0.98f && in->sums.most < 1.02f)
        es_assume(&in->notes, "the weights of a row sum to 1: they are normalised over the chosen experts");
    else
        es_assume(&in->notes, "the weights of a row sum to %.3g to %.3g: they are not normalised over the chosen experts", (double)in->sums.least, (double)in->sums.most);
    es_sums_tell(&in->sums, unit, &in->notes);
}

/* Layers that some tokens lack: what the stream says of them, which stands behind `before` bytes of the notes, is a fault. */
static es_code import_lacking(const es_json_import *in, size_t before, es_err *err)
{
    const char *sentence = in->notes.length > before ? strstr(in->notes.at + before, " rows (token, layer) are missing") : NULL;
    if (in->may_lack || in->ask->lenient || !sentence)
        return ES_OK;
    while (sentence > in->notes.at && sentence[-1] != '\n')
        sentence--;
    return es_err_set(err, ES_EINPUT, "%.*s; --lenient takes them as missing", (int)strcspn(sentence, "\n"), sentence);
}

static es_code import_finish(es_json_import *in, es_err *err)
{
    const size_t before = in->notes.length;
    uint64_t bytes;
    char hex[65];
    if (!in->stream)
        return es_err_set(err, ES_EINPUT, "%s: there are no rows of routing", es_json_scan_path(in->scan));
    es_code code = es_stream_finish(in->stream, &in->notes, err);
    es_trace_info *info = es_stream_about(in->stream);
    if (!code)
        code = import_lacking(in, before, err);
    if (!code)
        code = import_declared(in, info, err);
    if (code)
        return es_err_at(err, "%s", es_json_scan_path(in->scan)), code;
    if (es_asked(in->ask, &(es_said){ .experts = info->experts, .top_k = info->top_k }, err))
        return es_err_at(err, "%s", es_json_scan_path(in->scan)), ES_EINPUT;
    import_note_weights(in);
    info->has_weights = in->weighted;
    info->model = in->model ? in->model : "";
    info->synthetic = in->synthetic;
    if (es_json_scan_short(in->scan, &bytes))
        es_assume_cut(&in->notes, bytes);
    es_json_scan_sha256(in->scan, hex);
    return es_imported_as(info, in->format->name, hex, &in->notes, in->arena, err);
}

es_code es_json_import_open(es_row_stream **out, const es_json_format *format, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    json_import_names names = { 0 };
    es_json_import in = { .ask = ask, .arena = arena, .format = format, .names = &names, .row.step = ES_ROW_NO_STEP, .row.phase = ES_DECODE,
        .layers = ask->layers };
    in.id = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, uint16_t);
    in.weight = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, float);
    es_code code = in.id && in.weight ? es_json_scan_open(&in.scan, ask->path, ask->lenient, err) : es_err_nomem(err, "a trace");
    if (!code && (code = es_asked(ask, &(es_said){ .experts = 0 }, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (!code) {
        format->walk(&in);
        code = import_scanned(&in, err);
    }
    if (!code)
        code = import_finish(&in, err);
    *out = in.stream;
    import_names_free(&names);
    es_text_free(&in.notes);
    es_json_scan_close(in.scan);
    return code;
}
