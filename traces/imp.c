/* imp JSON, the traces of the imp engine: generated tokens only.
 *
 *     {"top_k": 2, "trace": [[0, 33, 50], [1, 104, 83], ...]}         rows of a layer and its experts
 *     [0, 33, 50, 1, 104, 83, ...]                                    the same as one list, which needs top_k
 *
 * The rows are the file or stand in it as "trace", "entries" or "data". Tokens are not numbered: one begins where the layer does not
 * rise. When a plain list stands before "top_k", the file is read twice. */
#include "traces/json_import.h"

#include <string.h>

typedef struct imp { es_row_stream *stream; } imp;

typedef struct imp_walker { es_json_import *in; uint32_t last; bool begun; } imp_walker;

static const char *const imp_names[] = { "trace", "entries", "data", "top_k", NULL };
enum { IMP_DATA = 2, IMP_TOP_K };

/* The token that follows from a row's layer. */
static void imp_place(imp_walker *walker, uint32_t layer)
{
    es_row *row = &walker->in->row;
    row->position += walker->begun && layer <= walker->last;
    row->layer = walker->last = layer;
    walker->begun = true;
}

/* [layer, e0, e1 ...] */
static bool imp_list(imp_walker *walker)
{
    es_json_import *in = walker->in;
    uint32_t layer = 0, id;
    if (!es_json_scan_array(in->scan))
        return false;
    if (!es_json_scan_item(in->scan))
        return es_json_scan_fault(in->scan, "is an empty row, needs a layer and its experts");
    es_json_scan_u32(in->scan, &layer);
    while (es_json_scan_item(in->scan))
        if (!es_json_scan_u32(in->scan, &id) || !es_json_import_id(in, id))
            return false;
    imp_place(walker, layer);
    return es_json_import_row(in);
}

/* "top_k" of an object at the top, wherever it stands; then the file from its beginning once more. */
static bool imp_look(es_json_import *in)
{
    static const char *const names[] = { "top_k", NULL };
    es_err err;
    if (es_json_scan_rewind(in->scan, &err))
        return es_json_scan_nomem(in->scan, "a trace");
    es_json_scan_unhashed(in->scan);
    if (es_json_scan_more(in->scan) && es_json_scan_peek(in->scan) == '{' && es_json_scan_object(in->scan))
        while (es_json_scan_key(in->scan, names) >= 0)
            es_json_import_declared(in, &in->top_k);
    if (es_json_scan_failed(in->scan))
        return false;
    if (in->top_k == 0)
        return es_json_scan_fault(in->scan, "a list without rows needs top_k, in the file or as --top-k");
    return es_json_scan_rewind(in->scan, &err) == ES_OK;
}

/* layer, e0 .. e(k-1), layer, ... The first item is begun already, so far as to know that it is no row. */
static bool imp_flat(imp_walker *walker)
{
    es_json_import *in = walker->in;
    uint16_t number[ES_TRACE_TOP_K_MAX + 1];
    const uint32_t width = in->top_k + 1;
    uint32_t first, held = 0;
    if (in->top_k > ES_TRACE_TOP_K_MAX)
        return es_json_scan_fault(in->scan, "top_k is %u, above %d, the most", in->top_k, ES_TRACE_TOP_K_MAX);
    if (!es_json_scan_u32(in->scan, &first))
        return false;
    if (first >= ES_NO_EXPERT)
        return es_json_scan_fault(in->scan, "layer %u is above %u, the highest", first, ES_NO_EXPERT - 1);
    number[0] = (uint16_t)first;
    bool good = es_json_scan_run(in->scan, number + 1, width - 1, &held);
    for (held++; good && held == width; good = good && es_json_scan_run(in->scan, number, width, &held)) {
        imp_place(walker, number[0]);
        good = es_json_import_give(in, number + 1, NULL, in->top_k);
    }
    return good && (held == 0 || es_json_scan_fault(in->scan, "the list ends inside a row: %u of %u numbers", held, width));
}

/* false also where the file must be read again (*again). */
static bool imp_rows(imp_walker *walker, bool *again)
{
    es_json_import *in = walker->in;
    if (!es_json_scan_array(in->scan))
        return false;
    if (!es_json_scan_item(in->scan))
        return !es_json_scan_failed(in->scan);
    if (es_json_scan_peek(in->scan) != '[') {
        *again = in->top_k == 0;
        return !*again && imp_flat(walker);
    }
    do
        if (!imp_list(walker))
            return false;
    while (es_json_scan_item(in->scan));
    return !es_json_scan_failed(in->scan);
}

static void imp_file(imp_walker *walker, bool *again)
{
    es_json_import *in = walker->in;
    if (es_json_scan_peek(in->scan) == '[') {
        imp_rows(walker, again);
    } else if (es_json_scan_object(in->scan)) {
        for (int key; !*again && (key = es_json_scan_key(in->scan, imp_names)) >= 0;) {
            if (key == IMP_TOP_K)
                es_json_import_declared(in, &in->top_k);
            else
                imp_rows(walker, again);
        }
    }
    if (!*again && es_json_scan_more(in->scan))
        es_json_scan_fault(in->scan, "more stands behind the trace");
}

static void imp_walk(es_json_import *in)
{
    imp_walker walker = { .in = in };
    bool again = false;
    es_assume(&in->notes, "tokens are not numbered: one begins where the layer does not rise; every one was taken as generated, of one request");
    in->top_k = in->ask->top_k;
    imp_file(&walker, &again);
    if (again && imp_look(in)) {
        again = false;
        imp_file(&walker, &again);
    }
}

static es_code imp_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "imp", .rules = { .whole_tokens = true, .unit = "row" }, .walk = imp_walk };
    return es_json_import_open(&((imp *)self)->stream, &format, ask, arena, err);
}

/* A list of whole numbers, or of such lists, may be little else. */
static bool imp_numbers(const unsigned char *head, size_t length)
{
    size_t at = 0, digits = 0, open = 0;
    for (; at < length && head[at] != '\0' && strchr(" \t\r\n[", head[at]); at++)
        open += head[at] == '[';
    for (size_t i = at; i < length && head[i] != ']'; i++) {
        if (head[i] == '\0' || !strchr("0123456789, \t\r\n", head[i]))
            return false;
        digits += head[i] >= '0' && head[i] <= '9';
    }
    return at < length && digits > 0 && open <= 2;
}

static int imp_sniff(const unsigned char *head, size_t length)
{
    static const char *const words[] = { "trace", "entries", "data" };
    int most = length > 0 && head[0] == '[' && imp_numbers(head, length) ? 40 : 0;
    for (size_t i = 0; i < 3; i++) {
        char key[16] = "\"";
        strcat(strcat(key, words[i]), "\"");
        const unsigned char *at = es_json_import_sniff(head, length, 1, (const char *const[]){ words[i], NULL }) ? memmem(head, length, key, strlen(key)) : NULL;
        size_t left = at ? length - (size_t)(at - head) - strlen(key) : 0;
        at = at ? at + strlen(key) : NULL;
        while (left > 0 && *at != '\0' && strchr(": \t\r\n", *at)) {
            at++;
            left--;
        }
        if (left > 0 && *at == '[' && imp_numbers(at, left))
            most = es_json_import_sniff(head, length, 1, (const char *const[]){ "top_k", NULL }) ? 75 : 50;
    }
    return most;
}

const es_source es_source_imp = {
    .part = { .abi = ES_ABI, .name = "imp", .brief = "imp JSON: rows of a layer and its experts, or one list of them.", .size = sizeof(imp), .fini = es_stream_fini },
    .sniff = imp_sniff,
    .open = imp_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, tokens, how many experts there are; in one form top_k (--top-k)",
};
