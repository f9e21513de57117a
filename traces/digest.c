/* Digest: SHA-256 over what a trace says, not over how a file stores it. FORMAT.md, "Digest", is the definition; all numbers are little
 * endian, as they are in memory on every machine this is built for. */
#include "traces/write.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/sha256.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the digest is taken from memory as it is");

struct es_trace_digest {
    es_sha256 sha;
    uint64_t width, guesses, attends;   /* cells of a token */
};

static void digest_u32(es_sha256 *sha, uint32_t value)
{
    es_sha256_add(sha, &value, sizeof value);
}

static void digest_list(es_sha256 *sha, const int64_t *values, uint32_t count)
{
    digest_u32(sha, values != NULL);
    if (values)
        es_sha256_add(sha, values, count * sizeof *values);
}

es_code es_trace_digest_new(es_trace_digest **out, const es_trace_info *info, es_err *err)
{
    static const char head[] = "expertsim-trace 1\n";
    es_trace_digest *digest = *out = calloc(1, sizeof *digest);
    if (!digest)
        return es_err_nomem(err, "a digest");
    es_sha256_begin(&digest->sha);
    es_sha256_add(&digest->sha, head, sizeof head - 1);
    digest_u32(&digest->sha, info->layers);
    digest_u32(&digest->sha, info->experts);
    digest_u32(&digest->sha, info->top_k);
    digest_u32(&digest->sha, info->guesses);
    es_sha256_add(&digest->sha, info->layer_number, info->layers * sizeof *info->layer_number);
    digest_list(&digest->sha, info->expert_bytes, info->layers);
    digest_list(&digest->sha, info->dense_bytes, info->layers);
    digest->width = (uint64_t)info->layers * info->top_k;
    digest->guesses = (uint64_t)info->layers * info->guesses;
    digest->attends = info->attends;
    return ES_OK;
}

static void digest_array(es_sha256 *sha, const void *values, uint64_t bytes)
{
    digest_u32(sha, values != NULL);
    if (values)
        es_sha256_add(sha, values, bytes);
}

void es_trace_digest_step(es_trace_digest *digest, const es_step *step)
{
    es_sha256 *sha = &digest->sha;
    uint64_t cells = step->tokens * digest->width, guesses = step->tokens * digest->guesses;
    digest_u32(sha, step->tokens);
    for (uint32_t i = 0; i < step->tokens; i++) {
        const es_token *token = &step->token[i];
        uint32_t number[3] = { token->request, token->position, token->phase };
        es_sha256_add(sha, number, sizeof number);
    }
    es_sha256_add(sha, step->ids, cells * sizeof *step->ids);
    digest_array(sha, step->weights, cells * sizeof *step->weights);
    digest_array(sha, step->residency, cells);
    digest_array(sha, step->guess, guesses * sizeof *step->guess);
    digest_array(sha, step->guess_confidence, guesses * sizeof *step->guess_confidence);
    if (digest->attends > 0) {
        digest_array(sha, step->attended, step->tokens * digest->attends * sizeof *step->attended);
        digest_array(sha, step->attention, step->tokens * digest->attends * sizeof *step->attention);
    }
}

void es_trace_digest_hex(const es_trace_digest *digest, char hex[65])
{
    es_sha256_hex(&digest->sha, hex);
}

void es_trace_digest_free(es_trace_digest *digest)
{
    free(digest);
}
