/* Placed: see placed.h. */
#include "traces/placed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "traces/assume.h"
#include "traces/bytes.h"
#include "traces/npy_head.h"

/* --- the map -------------------------------------------------------------------------------------------------------------------- */

static es_code places_size(es_places *map, uint64_t layers, uint64_t places, es_arena *arena, uint16_t **expert, es_err *err)
{
    if (layers == 0 || layers > ES_TRACE_LAYERS_MAX || places == 0 || places > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: a map of %llu layers and %llu places is not of 1 to %d and 1 to %d", map->path, (unsigned long long)layers, (unsigned long long)places,
            ES_TRACE_LAYERS_MAX, ES_TRACE_EXPERTS_MAX);
    map->layers = (uint32_t)layers;
    map->places = (uint32_t)places;
    map->expert = *expert = ES_NEW_ARRAY(arena, layers * places, uint16_t);
    return *expert ? ES_OK : es_err_nomem(err, "a map of places");
}

static es_code places_fault(const es_places *map, uint64_t i, double number, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "%s: layer %llu, place %llu: found %.17g, needs an expert from 0 to %d, or -1 where none stands", map->path, (unsigned long long)(i / map->places),
        (unsigned long long)(i % map->places), number, ES_TRACE_EXPERTS_MAX - 1);
}

static const es_json *places_list(const es_json *root)
{
    static const char *const names[] = { "last_physical_to_logical_map", "physical_to_logical_map", "phy2log" };
    const es_json *list = root;
    for (size_t i = 0; cJSON_IsObject(root) && i < sizeof names / sizeof *names; i++)
        if ((list = cJSON_GetObjectItemCaseSensitive(root, names[i])) != NULL)
            break;
    return cJSON_IsArray(list) && cJSON_IsArray(list->child) ? list : NULL;
}

static es_code places_tree(es_places *map, const es_json *root, es_arena *arena, es_err *err)
{
    const es_json *list = places_list(root), *row, *item;
    uint16_t *to;
    uint64_t i = 0;
    if (!list)
        return es_err_set(err, ES_EINPUT, "%s: is no list of lists, [layer][place], nor an object with one as physical_to_logical_map", map->path);
    es_code code = places_size(map, (uint64_t)cJSON_GetArraySize(list), (uint64_t)cJSON_GetArraySize(list->child), arena, &to, err);
    if (code)
        return code;
    cJSON_ArrayForEach(row, list) {
        if (!cJSON_IsArray(row) || cJSON_GetArraySize(row) != (int)map->places)
            return es_err_set(err, ES_EINPUT, "%s: layer %llu is no list of %u places, as layer 0 is", map->path, (unsigned long long)(i / map->places), map->places);
        cJSON_ArrayForEach(item, row) {
            const double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
            if (!(number >= -1.0 && number < ES_TRACE_EXPERTS_MAX) || number != floor(number))
                return places_fault(map, i, number, err);
            to[i++] = number < 0.0 ? ES_NO_EXPERT : (uint16_t)number;
        }
    }
    return ES_OK;
}

static es_code places_array(es_places *map, es_bytes *bytes, es_arena *arena, es_err *err)
{
    const unsigned char *at;
    es_npy_head head;
    es_ids_type type;
    uint16_t *to;
    size_t got;
    es_code code = es_bytes_peek(bytes, ES_NPY_HEAD, &at, &got, err);
    if (!code && (code = es_npy_parse(&head, at, got, err)) != ES_OK)
        es_err_at(err, "%s", map->path);
    if (code)
        return code;
    if (head.rank != 2 || head.fortran || !es_npy_ids_type(&head, &type))
        return es_err_set(err, ES_EINPUT, "%s: a map has two axes, [layers][places], of whole numbers in C order, which this array is not", map->path);
    code = places_size(map, head.shape[0], head.shape[1], arena, &to, err);
    const size_t count = (size_t)map->layers * map->places;
    es_bytes_take(bytes, head.bytes);
    if (!code)
        code = es_bytes_peek(bytes, count * head.size, &at, &got, err);
    if (!code && got < count * head.size)
        code = es_err_set(err, ES_EINPUT, "%s: the file ends with %zu of the %zu bytes of the map", map->path, got, count * head.size);
    if (!code && head.big_endian)
        es_ids_swap(bytes->buffer + bytes->at, head.size, count);
    for (size_t i = 0; !code && i < count; i++) {
        const int64_t number = es_ids_number(at, type, i);
        if (number < -1 || number >= ES_TRACE_EXPERTS_MAX)
            return places_fault(map, i, (double)number, err);
        to[i] = number < 0 ? ES_NO_EXPERT : (uint16_t)number;
    }
    return code;
}

/* How many experts there are; those of the map are among them. */
static es_code places_experts(es_places *map, uint32_t experts, es_err *err)
{
    uint32_t highest = 0, where = 0;
    for (uint32_t i = 0; i < map->layers * map->places; i++)
        if (map->expert[i] != ES_NO_EXPERT && map->expert[i] >= highest) {
            where = map->expert[i] > highest ? i : where;
            highest = map->expert[i];
        }
    if (experts > 0 && highest >= experts)
        return es_err_set(err, ES_EINPUT, "%s: layer %u, place %u: expert %u is above %u, the highest", map->path, where / map->places, where % map->places, highest, experts - 1);
    map->experts = experts ? experts : highest + 1;
    return ES_OK;
}

es_code es_places_load(es_places *out, const char *path, uint32_t experts, es_arena *arena, es_err *err)
{
    es_bytes bytes = { 0 };
    es_json *tree = NULL;
    const unsigned char *at;
    size_t got = 0;
    *out = (es_places){ .path = path };
    es_code code = es_bytes_open(&bytes, path, err);
    if (!code)
        code = es_bytes_peek(&bytes, 6, &at, &got, err);
    if (!code && got == 6 && memcmp(at, "\x93NUMPY", 6) == 0)
        code = places_array(out, &bytes, arena, err);
    else if (!code && (code = es_json_load(&tree, path, err)) == ES_OK)
        code = places_tree(out, tree, arena, err);
    cJSON_Delete(tree);
    es_bytes_close(&bytes);
    return code ? code : places_experts(out, experts, err);
}

uint32_t es_places_row(const es_places *map, const es_trace_info *info, uint32_t layer)
{
    return map->layers == info->layers ? layer : info->layer_number[layer];
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static es_code placed_row(const es_placed *placed, const es_token *token, uint32_t layer, const uint16_t *from, uint32_t count, bool once, uint16_t *to, es_err *err)
{
    const es_places *map = placed->map;
    const uint16_t *expert = map->expert + (size_t)es_places_row(map, &placed->info, layer) * map->places;
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t place = from[i];
        to[i] = place == ES_NO_EXPERT ? ES_NO_EXPERT : place < map->places ? expert[place] : ES_NO_EXPERT;
        if (place == ES_NO_EXPERT)
            continue;
        if (to[i] == ES_NO_EXPERT)
            return es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u: place %u %s %s, which has %u places", token->request, token->position, placed->info.layer_number[layer],
                place, place < map->places ? "is empty in" : "is not in", map->path, map->places);
        for (uint32_t j = 0; once && j < i; j++)
            if (to[j] == to[i])
                return es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u: places %u and %u both hold expert %u, which a token uses once; is %s the map of this recording?",
                    token->request, token->position, placed->info.layer_number[layer], from[j], place, to[i], map->path);
    }
    return ES_OK;
}

/* All rows of a step; `to` has room for them. */
static es_code placed_rows(const es_placed *placed, const es_step *step, const uint16_t *from, uint32_t width, bool once, uint16_t *to, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t t = 0; t < step->tokens && !code; t++)
        for (uint32_t l = 0; l < placed->info.layers && !code; l++, from += width, to += width)
            code = placed_row(placed, &step->token[t], l, from, width, once, to, err);
    if (code)
        es_err_at(err, "%s", placed->path);
    return code;
}

static es_code placed_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_placed *placed = self;
    es_code code = placed->inner->next(placed->state, step, more, err);
    if (code || !*more)
        return code;
    const uint64_t cells = (uint64_t)step->tokens * placed->info.layers, ids = cells * placed->info.top_k, guesses = step->guess ? cells * placed->info.guesses : 0;
    if ((ids > placed->room && !ES_TRACE_RESIZE(placed->ids, ids, 1)) || (guesses > placed->guess_room && !ES_TRACE_RESIZE(placed->guess, guesses, 1)))
        return es_err_nomem(err, "a step");
    placed->room = ids > placed->room ? ids : placed->room;
    placed->guess_room = guesses > placed->guess_room ? guesses : placed->guess_room;
    code = placed_rows(placed, step, step->ids, placed->info.top_k, true, placed->ids, err);
    step->ids = placed->ids;
    if (!code && step->guess) {
        code = placed_rows(placed, step, step->guess, placed->info.guesses, false, placed->guess, err);
        step->guess = placed->guess;
    }
    return code;
}

static const es_trace_info *placed_info(void *self)
{
    return &((es_placed *)self)->info;
}

static es_code placed_rewind(void *self, es_err *err)
{
    es_placed *placed = self;
    return placed->inner->rewind(placed->state, err);
}

static void placed_fini(void *self)
{
    es_placed *placed = self;
    if (placed->inner && placed->inner->part.fini)
        placed->inner->part.fini(placed->state);
    free(placed->ids);
    free(placed->guess);
}

/* --- what it is ----------------------------------------------------------------------------------------------------------------- */

/* What was assumed before, and that ids were mapped; the provenance says it too. */
static es_code placed_describe(es_placed *placed, es_arena *arena, es_err *err)
{
    es_trace_info *info = &placed->info;
    es_text notes = { 0 };
    es_json *origin = NULL;
    if (info->assumed)
        es_text_add(&notes, "%s", info->assumed);
    es_assume(&notes, "ids were places of a load balancer and were made experts by %s: %u places, %u experts", placed->map->path, placed->map->places, placed->map->experts);
    if (!info->provenance || es_json_parse(&origin, info->provenance, strlen(info->provenance), NULL) != ES_OK || !cJSON_IsObject(origin)) {
        cJSON_Delete(origin);
        origin = cJSON_CreateObject();
    }
    es_json_add_text(origin, "physical_to_logical_map", placed->map->path);
    char *text = origin ? es_json_text(origin) : NULL;
    info->format = strcmp(info->format, "native") == 0 ? "native, places mapped" : info->format;    /* its hash is of the places */
    info->assumed = notes.failed ? NULL : es_arena_text(arena, notes.at);
    info->provenance = text ? es_arena_text(arena, text) : NULL;
    info->experts = placed->map->experts;
    free(text);
    cJSON_Delete(origin);
    es_text_free(&notes);
    return info->assumed && info->provenance ? ES_OK : es_err_nomem(err, "a trace");
}

es_code es_placed_over(es_placed *placed, const es_source *inner, void *state, const es_places *map, const char *path, es_arena *arena, es_err *err)
{
    *placed = (es_placed){ .inner = inner, .state = state, .map = map, .path = path, .info = *inner->info(state) };
    const es_trace_info *info = &placed->info;
    if (map->layers != info->layers && map->layers <= info->layer_number[info->layers - 1])
        return es_err_set(err, ES_EINPUT, "%s: has %u layers; the trace has %u, the last with number %u", map->path, map->layers, info->layers, info->layer_number[info->layers - 1]);
    return placed_describe(placed, arena, err);
}

const es_source es_placed_source = {
    .part = { .abi = ES_ABI, .name = "placed", .brief = "Another source's ids, places of a load balancer, as experts.", .size = sizeof(es_placed), .fini = placed_fini },
    .info = placed_info,
    .next = placed_next,
    .rewind = placed_rewind,
};
