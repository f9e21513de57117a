/* JSON hold: rows of ids that cannot be given yet, because what says where they belong stands behind them in the file (a prompt's
 * length behind its tokens, the layer behind its list). Memory follows the record that is held, not the file. */
#ifndef ES_TRACES_JSON_HOLD_H
#define ES_TRACES_JSON_HOLD_H

#include "traces/json_import.h"

typedef struct es_json_hold {           /* {0} is empty and knows no shape; [tokens][layers][top_k] */
    uint16_t *ids;
    uint64_t held, room;                /* ids */
    uint32_t tokens, layers, top_k;
    bool none;                          /* ids may be -1, for no expert; the caller's */
    char where[96];                     /* path and line of the lists, for messages */
    uint64_t line;
    const uint8_t *skip;                /* [layers] of which nothing is given where it is not 0; the caller's; NULL: none */
} es_json_hold;

/* Reads [[[..k..], ..layers..], ..tokens..] and adds it behind what is held; the shape must be that of what is held. */
bool es_json_hold_tokens(es_json_import *in, es_json_hold *hold);
/* Reads [[..k..], ..tokens..]: tokens of one layer. */
bool es_json_hold_rows(es_json_import *in, es_json_hold *hold);
/* What is held from now on stands where the scan is. */
void es_json_hold_here(es_json_import *in, es_json_hold *hold);
/* Adds one id; tokens are counted by es_json_hold_shape. */
bool es_json_hold_id(es_json_import *in, es_json_hold *hold, uint16_t id);
/* Gives the tokens from `first` to before `end`, with positions from `position` on; layers are numbered from 0. ES_NO_EXPERT ends a row. */
bool es_json_hold_give(es_json_import *in, const es_json_hold *hold, uint32_t first, uint32_t end, uint32_t position);
/* Forgets what is held, not its room. */
void es_json_hold_clear(es_json_hold *hold);
void es_json_hold_free(es_json_hold *hold);

#endif
