/* Nested step lists, as in the data set of "Patterns behind Chaos" (core12345/MoE_expert_selection_trace): one JSON file per request.
 *
 *     [{"0": null, "3": [[..k ids..] per prompt token], "4": ...},         the prompt
 *      {"0": null, "3": [[..k ids..]], ...}, ...]                          then a step per generated token
 *
 * Keys are the model's own layer numbers; dense layers are null. The one row of a generated token may also stand without the outer
 * list. Steps of several rows behind the first are tokens that are verified together (speculative decoding). */
#include "traces/json_import.h"

#include <string.h>

typedef struct step_lists { es_row_stream *stream; } step_lists;

typedef struct steps_walker {
    es_json_import *in;
    uint32_t step, position;            /* of the step's first token */
    uint32_t rows, layer;               /* of the step, as its first layer has them */
    bool several;                       /* a generated step had several rows */
} steps_walker;

/* A layer's number, which is a key. */
static bool steps_number(es_json_import *in, const char *name, uint32_t *number)
{
    uint32_t v = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9' && v < 100000; p++)
        v = v * 10 + (uint32_t)(*p - '0');
    *number = v;
    return (p > name && *p == '\0') || es_json_scan_fault(in->scan, "the key is \"%s\", needs a layer's number", name);
}

static bool steps_row(steps_walker *walker, uint32_t row)
{
    es_json_import *in = walker->in;
    in->row.position = walker->position + row;
    in->row.step = walker->step;
    in->row.phase = walker->step == 0 ? ES_PREFILL : ES_DECODE;
    return es_json_import_row(in);
}

/* [[..k..], ...] or [..k..]: which of them shows in the second byte that is no space. */
static bool steps_rows(steps_walker *walker, uint32_t *rows)
{
    es_json_import *in = walker->in;
    uint32_t id;
    *rows = 0;
    if (!es_json_scan_array(in->scan))
        return false;
    while (es_json_scan_item(in->scan)) {
        if (es_json_scan_peek(in->scan) == '[') {
            if (in->row.count > 0)
                return es_json_scan_fault(in->scan, "a list stands among experts");
            if (!es_json_import_ids(in) || !steps_row(walker, (*rows)++))
                return false;
        } else if (*rows > 0 || !es_json_scan_u32(in->scan, &id) || !es_json_import_id(in, id)) {
            return es_json_scan_fault(in->scan, "an expert stands among lists");
        }
    }
    if (es_json_scan_failed(in->scan))
        return false;
    if (in->row.count > 0) {
        *rows = 1;
        return steps_row(walker, 0);
    }
    return true;
}

static bool steps_layer(steps_walker *walker, const char *name)
{
    es_json_import *in = walker->in;
    uint32_t rows, layer;
    if (!steps_number(in, name, &layer))
        return false;
    if (es_json_scan_null(in->scan))
        return true;
    in->row.layer = layer;
    if (!steps_rows(walker, &rows))
        return false;
    if (walker->rows > 0 && rows != walker->rows && !in->ask->lenient)
        return es_json_scan_fault(in->scan, "layer %u has %u tokens, layer %u has %u", layer, rows, walker->layer, walker->rows);
    walker->layer = walker->rows > 0 ? walker->layer : layer;
    walker->rows = rows > walker->rows ? rows : walker->rows;
    return true;
}

static bool steps_one(steps_walker *walker)
{
    es_json_import *in = walker->in;
    const char *name;
    size_t length;
    walker->rows = 0;
    if (!es_json_scan_object(in->scan))
        return false;
    while (es_json_scan_name(in->scan, &name, &length))
        if (!steps_layer(walker, name))
            return false;
    walker->several = walker->several || (walker->step > 0 && walker->rows > 1);
    walker->position += walker->rows;
    walker->step++;
    return !es_json_scan_failed(in->scan);
}

static void steps_walk(es_json_import *in)
{
    steps_walker walker = { .in = in };
    bool good = es_json_scan_array(in->scan);
    while (good && es_json_scan_item(in->scan))
        good = steps_one(&walker);
    if (es_json_scan_more(in->scan))
        es_json_scan_fault(in->scan, "more stands behind the trace");
    es_assume(&in->notes, "the file is one request; its first step is the prompt, each other one generates; layers are the model's own numbers");
    if (walker.several)
        es_assume(&in->notes, "some steps behind the prompt have several tokens: they were taken as generated together");
}

static es_code steps_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "step_lists", .rules = { .whole_tokens = true, .unit = "row" }, .walk = steps_walk };
    return es_json_import_open(&((step_lists *)self)->stream, &format, ask, arena, err);
}

/* [{"NUMBER": null or [ */
static int steps_sniff(const unsigned char *head, size_t length)
{
    static const char *const parts[] = { "[", "{", "\"", "0123456789", "\"", ":", "[n" };
    size_t at = length >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        while (at < length && i != 3 && i != 4 && head[at] != '\0' && strchr(" \t\r\n", head[at]))
            at++;
        if (at >= length || head[at] == '\0' || !strchr(parts[i], head[at]))
            return 0;
        for (at++; i == 3 && at < length && head[at] >= '0' && head[at] <= '9'; at++)
            ;
    }
    return 85;
}

const es_source es_source_step_lists = {
    .part = { .abi = ES_ABI, .name = "step_lists", .brief = "Nested step lists (Patterns behind Chaos): a JSON list of steps, each an object of layers.",
              .size = sizeof(step_lists), .fini = es_stream_fini },
    .sniff = steps_sniff,
    .open = steps_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "weights, how many experts there are",
};
