/* Lens: which tokens of an array belong to which request, from a list of lengths beside it.
 *
 * NAME.lens.json stands beside NAME.npy, NAME.bin and so on. It holds a list with one entry per request, or an object with that list
 * as "lens": a number of tokens, or [prompt tokens, generated tokens]. The object may say how many "experts" a layer has. Without such a
 * file there is one request. */
#ifndef ES_TRACES_LENS_H
#define ES_TRACES_LENS_H

#include "sim/part/source.h"

typedef struct es_lens_request { uint64_t first; uint32_t prompt, tokens; } es_lens_request;

typedef struct es_lens {
    char *path;                         /* NULL: there is no list */
    es_lens_request *request;           /* [count] those of no tokens are left out; free with es_lens_free */
    uint64_t count, tokens, prompt_tokens, prompts;
    uint32_t longest_prompt, experts;   /* experts 0: not said */
} es_lens;

typedef struct es_lens_place { uint64_t request, position; } es_lens_place;   /* {0} is the first token */

es_code es_lens_load(es_lens *lens, const char *path, es_err *err);
void es_lens_free(es_lens *lens);

/* Tokens of the step that begins at a place, no more than are `left`: the rest of a prompt, or one generated token. */
uint32_t es_lens_step(const es_lens *lens, const es_lens_place *place, uint64_t left);
/* Names the tokens of that step and goes on to the next. */
void es_lens_tokens(const es_lens *lens, es_lens_place *place, es_token *token, uint32_t count);

#endif
