/* Stream, inside: the state that its halves share. stream.c takes rows, stream_sort.c brings rows of any order into order,
 * stream_read.c gives steps.
 *
 * A step in the spool: stream_step, then its tokens (es_token[]), then its rows. A row: stream_row, weights, confidences, ids, guesses,
 * residency, without padding. */
#ifndef ES_TRACES_STREAM_INSIDE_H
#define ES_TRACES_STREAM_INSIDE_H

#include "traces/spool.h"
#include "traces/stream.h"

enum { STREAM_LAYERS = 65536, STREAM_ROW_MOST = 32 * 1024 };

typedef struct stream_step { uint64_t record, bytes, rows, tokens; } stream_step;       /* bytes: of the rows */
typedef struct stream_row { uint64_t record; uint32_t token; uint16_t layer, count, guesses; uint8_t confident, phase; } stream_row; /* token: in the step */

typedef struct stream_place { uint32_t request, position, layer; uint64_t record; } stream_place;

struct es_row_stream {
    es_trace_info info;
    es_stream_rules rules;
    bool weighted, resident;            /* rows carry them; the info may say more, of what was not asked for */
    uint32_t guesses;                   /* width that is given; likewise */
    es_spool *spool;
    es_tally tally;
    bool back;                          /* rows went back: the spool holds steps as the file has them, to be sorted */
    /* what occurred */
    uint32_t layer_room;                /* above the highest layer so far */
    uint64_t *rows_of[2];               /* [es_phase_of][layer_room] rows with an id */
    uint8_t *occurs;                    /* [layer_room] */
    uint64_t filled;                    /* rows with an id */
    uint32_t highest_id, longest, shortest, longest_guess;
    bool mixed;
    stream_place first_mixed;           /* the first row whose length is not that of the rows before */
    uint32_t mixed_count;
    float least_sum, most_sum;          /* of a row's weights, where all are numbers */
    uint64_t summed, unordered;         /* rows so; rows whose weights do not fall */
    stream_place first_unordered;
    /* the step that is being taken */
    uint32_t number;
    uint64_t record;
    es_token *token;
    uint64_t tokens, token_room, hint, highest;
    bool sorted;                        /* its tokens came in order */
    uint32_t *hash;
    uint64_t hash_room, hashed;
    unsigned char *bytes;               /* its rows */
    size_t held, room;
    uint64_t rows;
    uint32_t last_layer;
    size_t last_at;                     /* the last row in `bytes`; is its token one that it began? */
    bool last_new;
    uint64_t last_record;
    bool rising[2];                     /* rows rise by (token, layer); by (layer, token): either way none is there twice */
    uint64_t last[2];
    /* reading */
    uint32_t *layer_number;
    uint16_t *rank;                     /* [layer_room] */
    uint64_t at;                        /* of the next step in the spool */
    es_token *given;                    /* the step that was given last */
    uint64_t given_room;
    uint16_t *ids, *guess;
    float *weights, *confidence;
    uint8_t *residency;
    bool confident;                     /* some row came with confidences */
};

/* How long a row is in the spool. */
static inline size_t stream_row_bytes(const es_row_stream *stream, const stream_row *row)
{
    size_t bytes = sizeof *row + (size_t)row->count * sizeof(uint16_t) + (size_t)row->guesses * sizeof(uint16_t);
    bytes += stream->weighted ? (size_t)row->count * sizeof(float) : 0;
    bytes += row->confident ? (size_t)row->guesses * sizeof(float) : 0;
    return bytes + (stream->resident ? row->count : 0);
}

/* Room for one more token of the step; for so many bytes more of its rows. */
bool stream_token_room(es_row_stream *stream);
bool stream_bytes_room(es_row_stream *stream, size_t bytes);
/* Counts the step at hand and writes it to the spool. */
es_code stream_end_step(es_row_stream *stream, es_err *err);
/* The spool again, in order of request, token and layer. */
es_code stream_sort(es_row_stream *stream, es_err *err);

#endif
