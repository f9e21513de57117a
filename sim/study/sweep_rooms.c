/* Points that differ in one capacity alone. See sweep_inside.h.
 *
 * The capacity of a tier is kept as the text that was given, and nothing else of a config depends on it before the trace is opened. So where an axis
 * of its own says it, the configs of a combination of everything else are one config with another text in one place: the first of them is
 * resolved, and of the others the id is told from that (sweep_id.c). A thousand capacities are planned in the time of a few configs.
 * The mistakes that a text may hold are found where all texts of capacities are read: by the run. */
#include <stdlib.h>
#include <string.h>

#include "sim/study/sweep_inside.h"

enum { ROOMS_MOST = 1024, ROOMS_TABLE = 4 * ROOMS_MOST };   /* combinations that are kept, some kilobytes each; beyond, points are resolved by themselves */

typedef struct rooms_kin {      /* of a combination of everything else */
    uint64_t key;
    uint32_t once;
    sweep_identity identity;
} rooms_kin;

struct sweep_rooms {
    const es_sweep *sweep;
    const sweep_axis *axis;     /* NULL: there is none */
    rooms_kin kin[ROOMS_MOST];
    size_t count;
    uint32_t at[ROOMS_TABLE];   /* one more than the place of the kin whose key leads here; 0: free */
};

/* ---- the axis ---- */

/* "tiers.NAME.capacity" */
static bool rooms_is_capacity(const char *path)
{
    const char *name = strncmp(path, "tiers.", 6) == 0 ? path + 6 : "";
    const size_t length = strcspn(name, ".");
    return length > 0 && strcmp(name + length, ".capacity") == 0;
}

/* Does a key say more than this path, which is part of it? */
static bool rooms_is_above(const char *key, const char *path)
{
    const size_t length = strlen(key);
    return strncmp(path, key, length) == 0 && path[length] == '.';
}

/* An axis of one path, all texts, that turns alone; and nobody else says the tier as a whole. */
static bool rooms_fits(const es_sweep *sweep, const sweep_axis *axis)
{
    const char *path = axis->path[0];
    bool fits = axis->paths == 1 && rooms_is_capacity(path);
    for (size_t i = 0; i < axis->count && fits; i++)
        fits = cJSON_IsString(axis->value[i]);
    for (size_t a = 0; a < sweep->axes && fits; a++) {
        const sweep_axis *other = &sweep->axis[a];
        fits = other == axis || other->wheel != axis->wheel;
        for (size_t p = 0; p < other->paths && fits; p++)
            fits = !rooms_is_above(other->path[p], path);
    }
    return fits;
}

/* Of several the last: it turns fastest. */
static const sweep_axis *rooms_axis(const es_sweep *sweep, const char *tier)
{
    for (size_t a = sweep->axes; a-- > 0;) {
        const sweep_axis *axis = &sweep->axis[a];
        const size_t length = tier ? strlen(tier) : 0;
        if ((!tier || (strncmp(axis->path[0], "tiers.", 6) == 0 && strncmp(axis->path[0] + 6, tier, length) == 0 && axis->path[0][6 + length] == '.'))
            && rooms_fits(sweep, axis))
            return axis;
    }
    return NULL;
}

static const char *rooms_value(const es_sweep *sweep, const sweep_axis *axis, uint64_t combination)
{
    return axis->value[sweep_position(sweep, axis, combination)]->valuestring;
}

const char *sweep_rooms_text(const es_sweep *sweep, const es_sweep_point *point, const char *tier)
{
    const sweep_axis *axis = rooms_axis(sweep, tier);
    return axis ? rooms_value(sweep, axis, point->combination) : NULL;
}

/* ---- who is alike ---- */

es_code sweep_rooms_new(sweep_rooms **out, const es_sweep *sweep, es_err *err)
{
    sweep_rooms *rooms = *out = calloc(1, sizeof *rooms);
    if (!rooms)
        return es_err_nomem(err, "the points");
    rooms->sweep = sweep;
    rooms->axis = rooms_axis(sweep, NULL);
    return ES_OK;
}

void sweep_rooms_free(sweep_rooms *rooms)
{
    for (size_t i = 0; rooms && i < rooms->count; i++)
        sweep_identity_free(&rooms->kin[i].identity);
    free(rooms);
}

const char *sweep_rooms_key(const sweep_rooms *rooms)
{
    return rooms->axis ? rooms->axis->path[0] : NULL;
}

/* The combination with the first capacity, its trace and its replication. */
static uint64_t rooms_key(const sweep_rooms *rooms, const es_sweep_point *point)
{
    const es_sweep *sweep = rooms->sweep;
    uint64_t stride = 1;
    for (size_t w = rooms->axis->wheel + 1; w < sweep->wheels; w++)
        stride *= sweep->wheel[w];
    const uint64_t first = point->combination - stride * sweep_position(sweep, rooms->axis, point->combination);
    return (first * (sweep->traces ? sweep->traces : 1) + point->trace) * (uint64_t)sweep->replications.count + point->replication;
}

/* Where a key stands in the table, or would. */
static size_t rooms_place(const sweep_rooms *rooms, uint64_t key)
{
    size_t place = (size_t)((key * 0x9e3779b97f4a7c15U) >> 40) % ROOMS_TABLE;
    while (rooms->at[place] && rooms->kin[rooms->at[place] - 1].key != key)
        place = (place + 1) % ROOMS_TABLE;
    return place;
}

bool sweep_rooms_know(const sweep_rooms *rooms, es_sweep_point *point, uint64_t *feed)
{
    const uint32_t at = rooms->axis ? rooms->at[rooms_place(rooms, rooms_key(rooms, point))] : 0;
    if (!at)
        return false;
    const rooms_kin *kin = &rooms->kin[at - 1];
    sweep_identity_id(&kin->identity, rooms_value(rooms->sweep, rooms->axis, point->combination), point->id);
    point->once = kin->once;
    *feed = kin->identity.feed;
    return true;
}

void sweep_rooms_keep(sweep_rooms *rooms, const es_sweep_point *point, sweep_identity *identity)
{
    if (!rooms->axis || rooms->count == ROOMS_MOST)
        return;
    const char *value = rooms_value(rooms->sweep, rooms->axis, point->combination), *told = identity->text.at + identity->from;
    if (identity->to == identity->text.length || strcmp(told + 1, value) != 0)     /* another text came out than the axis says */
        return;
    const uint64_t key = rooms_key(rooms, point);
    rooms->at[rooms_place(rooms, key)] = (uint32_t)rooms->count + 1;
    rooms->kin[rooms->count++] = (rooms_kin){key, point->once, *identity};
    identity->text = (es_text){0};
}
