/* JSON import: what the readers of JSON and JSONL dumps share, from opening the file to the trace that it becomes.
 *
 * A format is a table with a walk, which scans the file (json_scan.h) and gives its rows one by one:
 *
 *     while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
 *         ... in->row.position, in->row.layer, es_json_import_ids(in), es_json_import_weights(in) ...
 *         es_json_import_row(in);
 *     }
 *
 * Faults stick in the scan, so a walk needs no checks as long as its loops end on false. Rows go to a stream (stream.h), so memory does
 * not grow with the file. Checked here: as many ids in every row, as many weights as ids, ids below what the file declares, values
 * that must be there, all layers of every token. With --lenient a torn end is left out and told, and so is the first row of fewer or
 * more ids, and the first token that lacks a layer; they are taken as they are. */
#ifndef ES_TRACES_JSON_IMPORT_H
#define ES_TRACES_JSON_IMPORT_H

#include "traces/assume.h"
#include "traces/json_scan.h"
#include "traces/stream.h"
#include "traces/sums.h"

typedef struct json_import_names json_import_names;
typedef struct es_json_import es_json_import;

typedef struct es_json_format {
    const char *name;
    es_stream_rules rules;      /* but for lenient; with the unit "row" rows are numbered, for files that are one long line */
    void (*walk)(es_json_import *in);
} es_json_format;

struct es_json_import {
    es_json_scan *scan;
    const es_source_ask *ask;
    es_arena *arena;            /* of the source */
    es_text notes;              /* es_assume (assume.h) */
    es_row row;                 /* the format sets request, position, layer, phase and step; kept from row to row */
    uint32_t experts, top_k;    /* as the file declares, whenever it does; 0: not. top_k: else that of the first row */
    uint32_t layers;            /* as many must occur: --layers at first; 0: not known */
    bool any_count;             /* rows of fewer or more ids are nothing to stumble over */
    bool may_lack;              /* nor are tokens that lack layers */
    bool synthetic;             /* the file says so of itself */
    const char *model;          /* NULL: not said */
    uint64_t rows;              /* given so far */
    uint64_t held_line;         /* of a row that is given later than it was read; 0: the line at hand */
    const char *held;           /* path of the lists [token][layer] that the row is of, for messages; NULL: it stands by itself */
    uint32_t held_token;        /* which of their tokens it is; row.layer is the layer there */
    /* json_import.c's own */
    const es_json_format *format;
    es_row_stream *stream;
    uint16_t *id;               /* [ES_TRACE_TOP_K_MAX] of the row at hand */
    float *weight;
    uint32_t weights;           /* of the row at hand */
    bool listed, weighted;      /* weights were listed in this row; in the first row */
    uint64_t first_record;
    es_sums sums;               /* of the weights of a row */
    uint64_t unordered;         /* record of the first row whose weights do not fall; 0: none */
    json_import_names *names;
};

/* Opens a source whose state begins with es_row_stream *. */
es_code es_json_import_open(es_row_stream **out, const es_json_format *format, const es_source_ask *ask, es_arena *arena, es_err *err);
/* `score` when the bytes begin an object or array of JSON and hold all of `keys` (NULL ends them) as keys in quotes, else 0. */
int es_json_import_sniff(const unsigned char *head, size_t length, int score, const char *const *keys);

/* The list of ids, or of weights, that stands here becomes that of the row. */
bool es_json_import_ids(es_json_import *in);
bool es_json_import_weights(es_json_import *in);
/* One id more in the row, for formats that list them otherwise; a weight likewise (for as many as have one). */
bool es_json_import_id(es_json_import *in, uint32_t id);
bool es_json_import_weight(es_json_import *in, float weight);
/* Gives the row, whose list is empty then. */
bool es_json_import_row(es_json_import *in);
/* Forgets the list at hand without giving it. */
void es_json_import_drop(es_json_import *in);
/* The list at hand survives another row that is given between (es_json_import_give): take it before, put it back behind. */
typedef struct es_json_list { uint32_t count, weights; bool listed; } es_json_list;
static inline es_json_list es_json_import_list(const es_json_import *in)
{
    return (es_json_list){ in->row.count, in->weights, in->listed };
}
static inline void es_json_import_relist(es_json_import *in, es_json_list list)
{
    in->row.count = list.count;
    in->weights = list.weights;
    in->listed = list.listed;
}
/* Gives a row whose ids and weights (NULL: none) are the caller's. */
bool es_json_import_give(es_json_import *in, const uint16_t *ids, const float *weights, uint32_t count);

/* The lists of ids of one token, layer by layer: [[..k ids..], ...]; null stands for a layer without routing. Gives its rows, with layers
 * numbered from 0. *layers is how many a token has; 0: not known yet. */
bool es_json_import_token(es_json_import *in, uint32_t *layers);

/* A whole number that the file declares of itself: what was declared before must be the same. */
bool es_json_import_declared(es_json_import *in, uint32_t *value);
/* A number, or a name that gets a number in the order of appearance, becomes the row's request. */
bool es_json_import_request(es_json_import *in);
/* The same for a name of the caller's. */
bool es_json_import_named(es_json_import *in, const char *name, size_t length);
/* The string that stands here (or null) becomes the model. */
bool es_json_import_model(es_json_import *in);
/* Are all keys of `need` (a bit per name) among those that were got? Else the first that is missing is a fault. */
bool es_json_import_need(es_json_import *in, uint32_t got, uint32_t need, const char *const *names);
/* The string that stands here as one of `words` (NULL ends them); below 0 it is none and a fault. */
int es_json_import_word(es_json_import *in, const char *const *words);

#endif
