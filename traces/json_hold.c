/* JSON hold: see json_hold.h. */
#include "traces/json_hold.h"

#include <stdlib.h>
#include <string.h>

static bool hold_room(es_json_import *in, es_json_hold *hold, uint32_t count)
{
    uint64_t room = hold->room ? hold->room : 1024;
    while (room < hold->held + count)
        room *= 2;
    if (room == hold->room)
        return true;
    if (!ES_TRACE_RESIZE(hold->ids, room, 1))
        return es_json_scan_nomem(in->scan, "the tokens of a request");
    hold->room = room;
    return true;
}

void es_json_hold_here(es_json_import *in, es_json_hold *hold)
{
    es_json_scan_where(in->scan, hold->where, sizeof hold->where);
    hold->line = es_json_scan_line(in->scan);
}

/* One list of ids behind the others. */
static bool hold_row(es_json_import *in, es_json_hold *hold)
{
    uint32_t count = 0;
    if (!hold_room(in, hold, ES_TRACE_TOP_K_MAX))
        return false;
    if (!(hold->none ? es_json_scan_places : es_json_scan_ids)(in->scan, hold->ids + hold->held, ES_TRACE_TOP_K_MAX, &count))
        return false;
    if (hold->top_k > 0 && count != hold->top_k)
        return es_json_scan_fault(in->scan, "lists %u experts where those before it list %u", count, hold->top_k);
    if (count == 0)
        return es_json_scan_fault(in->scan, "lists no experts");
    hold->top_k = count;
    hold->held += count;
    return true;
}

static bool hold_token(es_json_import *in, es_json_hold *hold)
{
    uint32_t layers = 0;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); layers++)
        if (!hold_row(in, hold))
            return false;
    if (es_json_scan_failed(in->scan))
        return false;
    if (layers == 0 || (hold->layers > 0 && layers != hold->layers))
        return es_json_scan_fault(in->scan, "has %u layers, needs %u", layers, hold->layers > 0 ? hold->layers : 1);
    hold->layers = layers;
    hold->tokens++;
    return true;
}

bool es_json_hold_tokens(es_json_import *in, es_json_hold *hold)
{
    es_json_hold_here(in, hold);
    if (!es_json_scan_array(in->scan))
        return false;
    while (es_json_scan_item(in->scan))
        if (!hold_token(in, hold))
            return false;
    return !es_json_scan_failed(in->scan);
}

bool es_json_hold_rows(es_json_import *in, es_json_hold *hold)
{
    hold->layers = 1;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); hold->tokens++)
        if (!hold_row(in, hold))
            return false;
    return !es_json_scan_failed(in->scan);
}

bool es_json_hold_id(es_json_import *in, es_json_hold *hold, uint16_t id)
{
    if (!hold_room(in, hold, 1))
        return false;
    hold->ids[hold->held++] = id;
    return true;
}

/* An id behind a place without one? */
static bool hold_gap(const uint16_t *ids, uint32_t count)
{
    bool gap = false;
    for (uint32_t i = 0; i < count; i++)
        gap = gap || ids[i] == ES_NO_EXPERT;
    return gap;
}

bool es_json_hold_give(es_json_import *in, const es_json_hold *hold, uint32_t first, uint32_t end, uint32_t position)
{
    if (first >= end)
        return true;
    const uint16_t *ids = hold->ids + (uint64_t)first * hold->layers * hold->top_k;
    bool good = true;
    in->held = hold->where;
    in->held_line = hold->line;
    for (uint32_t token = first; token < end && good; token++, position++)
        for (uint32_t layer = 0; layer < hold->layers && good; layer++, ids += hold->top_k) {
            uint32_t count = hold->top_k;
            if (hold->skip && hold->skip[layer])
                continue;
            while (count > 0 && ids[count - 1] == ES_NO_EXPERT)
                count--;
            in->row.position = position;
            in->row.layer = layer;
            in->held_token = token;
            if (hold->none && hold_gap(ids, count))
                return es_json_scan_fault_on(in->scan, hold->line, "%s[%u][%u]: expert %u stands behind -1, which is no expert", hold->where, token, layer, ids[count - 1]);
            good = es_json_import_give(in, ids, NULL, count);
        }
    in->held = NULL;
    in->held_line = 0;
    return good;
}

void es_json_hold_clear(es_json_hold *hold)
{
    hold->held = 0;
    hold->tokens = hold->layers = hold->top_k = 0;
}

void es_json_hold_free(es_json_hold *hold)
{
    free(hold->ids);
    *hold = (es_json_hold){ 0 };
}
