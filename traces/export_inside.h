/* Export, inside: the file that is written and the numbers that go into it. export.c has both, export_NAME.c one format each. */
#ifndef ES_TRACES_EXPORT_INSIDE_H
#define ES_TRACES_EXPORT_INSIDE_H

#include <zlib.h>
#include <zstd.h>

#include "traces/export.h"

enum { EXPORT_BUFFER = 256 * 1024, EXPORT_FIELD = 32 };

typedef struct es_export {
    const es_source *source;
    void *self;
    const es_trace_info *info;
    es_source_ask ask;
    es_text *notes;                     /* what the format cannot hold and was left out */
    const char *path;                   /* as it was asked for */
    gzFile file;                        /* transparent when the name does not end in .gz */
    ZSTD_CCtx *zstd;                    /* for a name that ends in .zst, else NULL: what goes to the file is its frame then */
    char *packed;                       /* [EXPORT_BUFFER] of it */
    char *buffer;
    size_t used;
    bool failed;                        /* something could not be written; told at the end */
    uint64_t bytes;                     /* written so far, before compression */
} es_export;

void es_export_text(es_export *out, const void *text, size_t length);    /* at most EXPORT_BUFFER at a time */
void es_export_word(es_export *out, const char *text);
void es_export_number(es_export *out, uint64_t value);
/* The shortest text that reads back to the same bits; what is not finite: "nan". */
void es_export_real(es_export *out, float value);

/* Tells that the file will not have what goes with the routing, as far as the trace has it: one bit for each. */
enum { EXPORT_WEIGHTS = 1, EXPORT_RESIDENCY = 2, EXPORT_GUESSES = 4, EXPORT_ATTENTION = 8, EXPORT_BYTES = 16, EXPORT_MODEL = 32 };
void es_export_leaves(es_export *out, unsigned what);
/* A text of the trace as JSON, quotes and all. */
void es_export_quoted(es_export *out, const char *text);

/* Every step from the beginning. */
es_code es_export_each(es_export *out, es_code (*take)(void *to, const es_step *step, es_err *err), void *to, es_err *err);

/* Whether guesses come with confidences is seen at the first step. Steps that follow from the requests: a prompt, or part of one with
 * something between, or one generated token each. Batched: all tokens of a step have one position, which rises from step to step. */
typedef struct es_export_look {
    bool by_request, batched, confidence;
    bool *occurs;                       /* [layers] some row of the layer has an id or a guess */
    bool any;
    es_token last;
    uint64_t tokens, written;           /* in all; whose rows es_export_rows gave */
    uint32_t lacks;                     /* rows that the last one lacks at its end */
    uint32_t highest;                   /* id or guess */
} es_export_look;
/* Reads all of it once; `look->occurs` is the caller's to free. */
es_code es_export_look_at(es_export *out, es_export_look *look, es_err *err);
/* The rows of a step that are to be written, token by token: those that have ids or guesses, those without which a token or a layer would not
 * occur at all, and those at the end of a last generated token, which would look torn. Called for each step of the trace. */
void es_export_rows(const es_export *out, es_export_look *look, const es_step *step, void (*row)(void *to, const es_step *step, uint32_t token, uint32_t layer), void *to);

#endif
