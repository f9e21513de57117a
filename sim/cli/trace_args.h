/* What the verbs of `expertsim trace` share: the command line, and opening a file as it says. */
#ifndef ES_CLI_TRACE_ARGS_H
#define ES_CLI_TRACE_ARGS_H

#include "sim/cli/cmd.h"
#include "sim/study/feed.h"

typedef struct trace_args {
    cmd_words words, sets;      /* words: the verb, then files */
    const char *out, *as, *model;
    const char *layers, *top_k, *experts, *axes, *map;  /* as they were given */
    struct es_places *places;   /* what --map names; NULL: ids are experts */
    const char *like, *tokens;  /* of generate */
    const char *batch, *budget, *window, *accept, *arrive, *seed;   /* of compose */
    bool json, append, lenient;
} trace_args;

/* What the command line says of a file; with `everything` also weights, residency, guesses and attention. */
es_code trace_ask(const trace_args *args, const char *path, bool everything, es_source_ask *ask, es_err *err);
/* Opens a file to be read, in a format by name or NULL; with --map its ids become experts. */
es_code trace_open(const es_source_ask *ask, const char *format, es_feed *feed, es_err *err);

/* A whole number from 1 to `most` of a flag; absent: 0. */
es_code trace_number(const char *name, const char *text, uint32_t most, uint32_t *value, es_err *err);

es_code trace_info(const trace_args *args, es_err *err);
es_code trace_check(const trace_args *args, es_err *err);
es_code trace_import(const trace_args *args, es_err *err);
es_code trace_export(const trace_args *args, es_err *err);
es_code trace_generate(const trace_args *args, es_err *err);
es_code trace_compose(const trace_args *args, es_err *err);
es_code trace_fit(const trace_args *args, es_err *err);
es_code trace_formats(const trace_args *args, es_err *err);

#endif
