/* Whole traces: copying a source into a file, continuing a file, and checking what a source gives. See write.h. */
#include "traces/write.h"

#include <stdlib.h>
#include <string.h>

extern const es_source es_source_native;

typedef es_code copy_fn(void *to, const es_step *step, es_err *err);

/* Every step of a source from its beginning. */
static es_code copy_each(const es_source *source, void *self, copy_fn *take, void *to, es_err *err)
{
    es_code code = source->rewind(self, err);
    for (bool more = true; !code && more;) {
        es_step step;
        code = source->next(self, &step, &more, err);
        if (!code && more)
            code = take(to, &step, err);
    }
    return code;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------- */

typedef struct copy_to {
    es_trace_writer *writer;
    es_source_ask ask;
    uint32_t first_request;             /* added to every request number */
    es_token *token;
    uint32_t room;
} copy_to;

static es_code copy_renumber(copy_to *to, es_step *step, es_err *err)
{
    if (step->tokens > to->room) {
        es_token *token = realloc(to->token, step->tokens * sizeof *token);
        if (!token)
            return es_err_nomem(err, "the tokens of a step");
        to->token = token;
        to->room = step->tokens;
    }
    for (uint32_t i = 0; i < step->tokens; i++) {
        to->token[i] = step->token[i];
        if (to->token[i].request > UINT32_MAX - to->first_request)
            return es_err_set(err, ES_EINPUT, "request %u cannot be renumbered from %u on: there are no numbers left", to->token[i].request, to->first_request);
        to->token[i].request += to->first_request;
    }
    step->token = to->token;
    return ES_OK;
}

static es_code copy_write(void *self, const es_step *step, es_err *err)
{
    copy_to *to = self;
    es_step kept = *step;
    if (!to->ask.weights)
        kept.weights = NULL;
    if (!to->ask.residency)
        kept.residency = NULL;
    if (!to->ask.guesses)
        kept.guess = NULL, kept.guess_confidence = NULL;
    if (!to->ask.attention)
        kept.attended = NULL, kept.attention = NULL;
    if (to->first_request > 0) {
        es_code code = copy_renumber(to, &kept, err);
        if (code)
            return code;
    }
    return es_trace_writer_step(to->writer, &kept, err);
}

static es_code copy_same(const es_trace_info *old, const es_trace_info *new, es_err *err)
{
    const struct { const char *name; uint32_t is, was; } number[] = {
        { "layers", new->layers, old->layers }, { "experts", new->experts, old->experts }, { "top_k", new->top_k, old->top_k },
        { "guesses", new->guesses, old->guesses }, { "weights", new->has_weights, old->has_weights }, { "residency", new->has_residency, old->has_residency },
        { "attended positions", new->attends, old->attends },
    };
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        if (number[i].is != number[i].was)
            return es_err_set(err, ES_EINPUT, "cannot be continued: it has %s %u, what is added has %u%s", number[i].name, number[i].was, number[i].is,
                i < 3 ? "; where a format does not say it, --experts and --top-k do" : "");
    if (memcmp(old->layer_number, new->layer_number, old->layers * sizeof *old->layer_number) != 0)
        return es_err_set(err, ES_EINPUT, "cannot be continued: what is added has other layer numbers");
    return ES_OK;
}

es_trace_info es_trace_writer_shape(const es_trace_info *info, const es_source_ask *ask)
{
    es_trace_info shape = *info;
    shape.has_weights = info->has_weights && ask->weights;
    shape.has_residency = info->has_residency && ask->residency;
    shape.guesses = ask->guesses ? info->guesses : 0;
    shape.attends = ask->attention ? info->attends : 0;
    return shape;
}

es_code es_trace_writer_source(es_trace_writer *writer, const es_source *source, void *self, const es_source_ask *ask, es_err *err)
{
    copy_to to = { .writer = writer, .ask = *ask, .first_request = es_trace_writer_next_request(writer) };
    const es_trace_info info = es_trace_writer_shape(source->info(self), ask);
    es_code code = copy_same(es_trace_writer_info(writer), &info, err);
    if (!code)
        code = copy_each(source, self, copy_write, &to, err);
    free(to.token);
    return code;
}

es_code es_trace_write(const char *path, const es_source *source, void *self, const es_source_ask *ask, bool append, es_err *err)
{
    const es_trace_info info = es_trace_writer_shape(source->info(self), ask);
    es_trace_writer *writer = NULL;
    es_code code = append ? es_trace_writer_append(&writer, path, &info, err) : es_trace_writer_open(&writer, path, &info, err);
    if (code)
        return code;
    code = es_trace_writer_source(writer, source, self, ask, err);
    es_code closed = es_trace_writer_close(writer, !code, code ? NULL : err);
    return code ? code : closed;
}

/* --- continuing a file ---------------------------------------------------------------------------------------------------------- */

static es_code copy_continue(es_trace_writer **out, const char *path, const es_trace_info *info, void *old, es_err *err)
{
    copy_to to = { .ask = { .weights = true, .residency = true, .guesses = true, .attention = true } };
    es_code code = copy_same(es_source_native.info(old), info, err);
    if (code) {
        es_err_at(err, "%s", path);
        return code;
    }
    code = es_trace_writer_open(&to.writer, path, es_source_native.info(old), err);
    if (code)
        return code;
    code = copy_each(&es_source_native, old, copy_write, &to, err);
    if (code)
        (void)!es_trace_writer_close(to.writer, false, NULL);
    else
        *out = to.writer;
    return code;
}

es_code es_trace_writer_append(es_trace_writer **out, const char *path, const es_trace_info *info, es_err *err)
{
    const es_source_ask ask = { .path = path, .weights = true, .residency = true, .guesses = true, .attention = true };
    es_arena arena = { 0 };
    *out = NULL;
    void *old = es_arena_alloc(&arena, 1, es_source_native.part.size);
    if (!old)
        return es_err_nomem(err, "a trace");
    es_code code = es_source_native.open(old, &ask, &arena, err);
    if (!code)
        code = copy_continue(out, path, info, old, err);
    es_source_native.part.fini(old);
    es_arena_free(&arena);
    return code;
}

/* --- checking ------------------------------------------------------------------------------------------------------------------- */

typedef struct copy_check { const es_trace_info *info; es_tally tally; es_trace_digest *digest; } copy_check;

static es_code copy_count(void *self, const es_step *step, es_err *err)
{
    copy_check *check = self;
    es_trace_digest_step(check->digest, step);
    return es_tally_step(&check->tally, check->info, step, err);
}

static es_code copy_totals(const es_trace_info *info, const es_tally *t, const char *hex, es_err *err)
{
    const struct { const char *name; uint64_t said, is; } number[] = {
        { "requests", info->requests, t->requests }, { "steps", info->steps, t->steps }, { "prompt_tokens", info->prompt_tokens, t->prompt_tokens },
        { "decode_tokens", info->decode_tokens, t->decode_tokens }, { "accesses", info->accesses, t->accesses }, { "missing_cells", info->missing_cells, t->missing_cells },
    };
    for (size_t i = 0; info->counted && i < sizeof number / sizeof number[0]; i++)
        if (number[i].said != number[i].is)
            return es_err_set(err, ES_EINPUT, "says %s %llu, but has %llu", number[i].name, (unsigned long long)number[i].said, (unsigned long long)number[i].is);
    if (strcmp(info->format, "native") == 0 && strcmp(info->sha256, hex) != 0)
        return es_err_set(err, ES_EINPUT, "says sha256 %s, but its content has %s", info->sha256, hex);
    return ES_OK;
}

es_code es_trace_check(const es_source *source, void *self, es_tally *counts, char hex[65], es_err *err)
{
    copy_check check = { .info = source->info(self) };
    char own[65];
    es_code code = es_trace_digest_new(&check.digest, check.info, err);
    if (!code)
        code = copy_each(source, self, copy_count, &check, err);
    if (!code) {
        es_trace_digest_hex(check.digest, hex ? hex : own);
        code = copy_totals(source->info(self), &check.tally, hex ? hex : own, err);
    }
    es_trace_digest_free(check.digest);
    if (counts) {
        *counts = check.tally;
        counts->slot = NULL;
        counts->slots = 0;
        counts->twice = NULL;
    }
    es_tally_free(&check.tally);
    return code;
}
