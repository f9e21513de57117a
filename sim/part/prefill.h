/* Prefill: how prompts are cut into steps (contract.prefill): whole as they stand in the trace, N tokens at a time, or left out. */
#ifndef ES_PART_PREFILL_H
#define ES_PART_PREFILL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sim/part/source.h"

typedef struct es_prefill {
    uint32_t tile;              /* prompt tokens of a step, at most; 0: as many as the trace has in it */
    bool skip;                  /* prompt tokens are left out */
} es_prefill;

/* From "union", "tokens", "tiles:N" or "skip"; any other text is an error. */
static inline es_code es_prefill_read(es_prefill *out, const char *text, es_err *err)
{
    *out = (es_prefill){0};
    if (!strcmp(text, "tokens")) {
        out->tile = 1;
    } else if (!strcmp(text, "skip")) {
        out->skip = true;
    } else if (!strncmp(text, "tiles:", 6)) {
        char *end = NULL;
        unsigned long tile = strtoul(text + 6, &end, 10);
        if (text[6] < '0' || text[6] > '9' || *end || tile < 1 || tile > 1000000)
            return es_err_set(err, ES_EINPUT, "contract.prefill: \"%s\" needs a number of tokens, for example \"tiles:8\"", text);
        out->tile = (uint32_t)tile;
    } else if (strcmp(text, "union") != 0) {
        return es_err_set(err, ES_EINPUT, "contract.prefill: \"%s\" is not one of union, tokens, tiles:N, skip", text);
    }
    return ES_OK;
}

/* Of the `left` rows of a step that are still to come: how many of the first are one step together, as far as their phase stays the
 * same where prompts are cut at all. *dropped: they are left out. */
static inline uint32_t es_prefill_rows(const es_prefill *prefill, const es_token *token, uint32_t left, bool *dropped)
{
    *dropped = false;
    if (prefill->tile == 0 && !prefill->skip)
        return left;
    uint32_t same = 1;
    while (same < left && token[same].phase == token[0].phase)
        same++;
    if (token[0].phase != ES_PREFILL)
        return same;
    *dropped = prefill->skip;
    return !prefill->skip && same > prefill->tile ? prefill->tile : same;
}

#endif
