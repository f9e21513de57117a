/* Points of a sweep: all combinations of the axes' values, less those that a constraint leaves out, times replications. Each is resolved
 * as a run would resolve it, so that its id is known and its mistakes are told before anything runs. See sweep_inside.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/formula.h"
#include "sim/study/key.h"
#include "sim/study/sweep_inside.h"

enum { SWEEP_COMBINATIONS = 100000000 };

/* ---- combinations ---- */

size_t sweep_position(const es_sweep *sweep, const sweep_axis *axis, uint64_t combination)
{
    for (size_t w = sweep->wheels - 1; w > axis->wheel; w--)       /* the last wheel turns fastest */
        combination /= sweep->wheel[w];
    return (size_t)(combination % sweep->wheel[axis->wheel]);
}

static es_code points_combinations(es_sweep *sweep, es_err *err)
{
    sweep->combinations = 1;
    for (size_t w = 0; w < sweep->wheels; w++) {
        if (sweep->wheel[w] > SWEEP_COMBINATIONS / sweep->combinations)
            return es_err_set(err, ES_EINPUT, "axes: they have more than %d combinations", SWEEP_COMBINATIONS);
        sweep->combinations *= sweep->wheel[w];
    }
    return ES_OK;
}

/* ---- constraints ---- */

typedef struct points_look {
    const es_sweep *sweep;
    uint64_t combination;
    char missing[128];          /* the path that nobody has a value for */
} points_look;

/* A part counts as its name. */
static const es_json *points_named(const es_json *value)
{
    const es_json *name = cJSON_IsObject(value) ? cJSON_GetObjectItemCaseSensitive(value, "name") : NULL;
    return cJSON_IsString(name) ? name : value;
}

/* What a path has at a combination: a label, a value of an axis, of a part that an axis gives, or of the base. */
static const es_json *points_find(void *self, const char *path)
{
    points_look *look = self;
    const es_json *found = NULL;
    for (size_t a = 0; a < look->sweep->axes && !found; a++) {
        const sweep_axis *axis = &look->sweep->axis[a];
        size_t position = sweep_position(look->sweep, axis, look->combination), at = position * axis->paths;
        if (axis->labels && strcmp(path, axis->name) == 0)
            found = cJSON_GetArrayItem(axis->labels, (int)position);
        for (size_t p = 0; p < axis->paths && !found; p++) {
            size_t length = strlen(axis->path[p]);
            if (strcmp(path, axis->path[p]) == 0)
                found = points_named(axis->value[at + p]);
            else if (strncmp(path, axis->path[p], length) == 0 && path[length] == '.')
                found = es_json_at(axis->value[at + p], path + length + 1);
        }
    }
    if (!found)
        found = points_named(es_json_at(look->sweep->base.root, path));
    if (!found)
        snprintf(look->missing, sizeof look->missing, "%s", path);
    return found;
}

static es_code points_allowed(const es_sweep *sweep, uint64_t combination, bool *allowed, es_err *err)
{
    const es_json *constraint;
    points_look look = {.sweep = sweep, .combination = combination};
    int i = 0;
    *allowed = true;
    cJSON_ArrayForEach(constraint, sweep->file.constraints) {
        double holds;
        es_code code = cJSON_IsString(constraint) ? es_formula_with(constraint->valuestring, points_find, &look, &holds, err)
                                                  : es_err_set(err, ES_EINPUT, "found %s, needs a text such as \"policy != 'lru'\"", es_json_kind(constraint));
        if (code && *look.missing)
            code = es_err_set(err, ES_EINPUT, "\"%s\": no axis has a value of %s, nor has the base", constraint->valuestring, look.missing);
        if (code)
            return es_err_at(err, "constraints.%d", i), code;
        *allowed = *allowed && holds != 0.0;
        i++;
    }
    return ES_OK;
}

/* ---- what a point is ---- */

void es_sweep_describe(const es_sweep *sweep, const es_sweep_point *point, es_text *out)
{
    size_t start = out->length;
    for (size_t a = 0; a < sweep->axes; a++) {
        const sweep_axis *axis = &sweep->axis[a];
        size_t at = sweep_position(sweep, axis, point->combination);
        if (axis->labels)
            es_text_add(out, "%s%s=%s", out->length > start ? ", " : "", axis->name, cJSON_GetArrayItem(axis->labels, (int)at)->valuestring);
        for (size_t p = 0; p < axis->paths && !axis->labels; p++) {
            const es_json *value = axis->value[at * axis->paths + p];
            char *text = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);
            es_text_add(out, "%s%s=%s", out->length > start ? ", " : "", axis->path[p], text ? text : cJSON_IsString(value) ? value->valuestring : "?");
            cJSON_free(text);
        }
    }
    if (sweep->replicated)
        es_text_add(out, ", replication %lld", (long long)(sweep->replications.first + point->replication));
}

/* The axis that has the key, or what is part of it. */
static const char *points_axis(const es_sweep *sweep, const char *key)
{
    for (size_t a = 0; a < sweep->axes; a++)
        for (size_t p = 0; p < sweep->axis[a].paths; p++) {
            const char *path = sweep->axis[a].path[p];
            size_t length = strlen(path);
            if (strncmp(key, path, length) == 0 && (key[length] == '\0' || key[length] == '.'))
                return sweep->axis[a].name;
        }
    return NULL;
}

es_code es_sweep_blame(const es_sweep *sweep, es_err *err)
{
    static const char said[] = "--set";
    if (!err || strncmp(err->text, said, sizeof said - 1) != 0)
        return err ? err->code : ES_OK;
    char key[ES_KEY], text[sizeof err->text];
    snprintf(text, sizeof text, "%s", err->text + sizeof said - 1);
    bool named = *text == ' ';                  /* "--set KEY: TEXT", or "--set: KEY: TEXT" */
    const char *rest = text + strspn(text, ": ");
    size_t length = strcspn(rest, ":");
    length = length < sizeof key ? length : sizeof key - 1;
    memcpy(key, rest, length);
    key[length] = '\0';
    if (named) {
        rest += strcspn(rest, ":");
        rest += strspn(rest, ": ");
    }
    const char *axis = points_axis(sweep, key);
    return es_err_set(err, err->code, "%s%.200s: %.800s", axis ? "axes." : "", axis ? axis : "replications", rest);
}

/* "FILE: axes.policy: policy.name: there is no policy ... (at policy=lruu)" */
static void points_blame(const es_sweep *sweep, const es_sweep_point *point, es_err *err)
{
    char text[sizeof err->text];
    es_text where = {0};
    es_sweep_blame(sweep, err);
    snprintf(text, sizeof text, "%s", err->text);
    es_sweep_describe(sweep, point, &where);
    es_err_set(err, err->code, "%.200s: %.600s (at %.160s)", sweep->path, text, where.at ? where.at : "");
    es_text_free(&where);
}

/* Points run at the same time and see their trace together: what is one for all of them they cannot have. */
static es_code points_shareable(const es_config *config, es_err *err)
{
    const es_json *observer;
    const char *path = es_config_trace_path(config);
    if (path && strcmp(path, "-") == 0)
        return es_err_set(err, ES_EINPUT, "trace.path: standard input can be read only once; a sweep needs a file");
    cJSON_ArrayForEach(observer, cJSON_GetObjectItemCaseSensitive(es_config_resolved(config), "observers")) {
        const es_json *file = cJSON_GetObjectItemCaseSensitive(observer, "path");
        if (cJSON_IsString(file))
            return es_err_set(err, ES_EINPUT, "observers: %s writes %s, and so would every point; leave it out of a sweep",
                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(observer, "name")), file->valuestring);
    }
    return ES_OK;
}

size_t sweep_settings_of(const es_sweep *sweep, const es_sweep_point *point, sweep_settings *out)
{
    size_t count = 0, varied = 0;
    for (size_t i = 0; i < sweep->fixed_count; i++)
        out->set[count++] = sweep->fixed[i];
    if (sweep->traces)
        out->set[count++] = sweep->trace_set[point->trace];
    for (size_t a = 0; a < sweep->axes; a++) {
        const sweep_axis *axis = &sweep->axis[a];
        size_t at = sweep_position(sweep, axis, point->combination) * axis->paths;
        for (size_t p = 0; p < axis->paths; p++)
            out->set[count++] = axis->set[at + p];
    }
    const es_json *key;
    long long number = (long long)(sweep->replications.first + point->replication);
    if (sweep->replicated) {
        snprintf(out->vary[varied], sizeof *out->vary, "replication=%lld", number);
        out->set[count++] = out->vary[varied++];
    }
    cJSON_ArrayForEach(key, sweep->replications.vary) {
        snprintf(out->vary[varied], sizeof *out->vary, "%s=%lld", key->valuestring, number);
        out->set[count++] = out->vary[varied++];
    }
    return count;
}

es_code es_sweep_config(const es_sweep *sweep, const es_sweep_point *point, es_config **out, es_err *err)
{
    sweep_settings sets;
    const size_t count = sweep_settings_of(sweep, point, &sets);
    es_code code = es_config_from(out, sweep->base.root, sweep->base_path, sets.set, count, err);
    if (code == ES_OK)
        code = points_shareable(*out, err);
    if (code == ES_OK)
        code = es_config_inherit(*out, sweep->base.input, err);
    if (code) {
        if (err)
            points_blame(sweep, point, err);
        es_config_free(*out);
        *out = NULL;
    }
    return code;
}

/* ---- numbers that were met ---- */

typedef struct points_map {     /* 64-bit hashes to the order in which they came */
    uint64_t *key;
    uint32_t *order;            /* 0: free place, otherwise one more than the order */
    size_t room, count;
} points_map;

static bool map_new(points_map *map, size_t most)
{
    for (map->room = 64; map->room < 2 * most;)
        map->room *= 2;
    map->key = calloc(map->room, sizeof *map->key);
    map->order = calloc(map->room, sizeof *map->order);
    return map->key && map->order;
}

static void map_free(points_map *map)
{
    free(map->key);
    free(map->order);
}

/* The order of a hash; *fresh: it is the first time. */
static uint32_t map_order(points_map *map, uint64_t key, bool *fresh)
{
    size_t at = (size_t)key & (map->room - 1);
    while (map->order[at] && map->key[at] != key)
        at = (at + 1) & (map->room - 1);
    *fresh = map->order[at] == 0;
    if (*fresh) {
        map->key[at] = key;
        map->order[at] = (uint32_t)++map->count;
    }
    return map->order[at] - 1;
}

/* ---- all of them ---- */

typedef struct points_maps {
    points_map ids, feeds, onces;
    bool *fits;                 /* [onces] one pass tells points of this group */
    sweep_rooms *rooms;
} points_maps;

/* The number of the group of points that one pass tells; 0: none does. */
static uint32_t points_once(const es_sweep *sweep, const es_config *config, const sweep_identity *identity, points_maps *maps)
{
    bool fresh;
    const uint32_t group = map_order(&maps->onces, sweep_identity_rest(identity), &fresh);
    if (fresh)
        maps->fits[group] = sweep_once_fits(sweep, config);
    return maps->fits[group] ? group + 1 : 0;
}

/* Id, feed and group of a point whose config is read for it. */
static es_code points_identify(es_sweep *sweep, es_sweep_point *point, points_maps *maps, uint64_t *feed, es_err *err)
{
    es_config *config = NULL;
    sweep_identity identity = {0};
    es_code code = es_sweep_config(sweep, point, &config, err);
    const char *tier = code == ES_OK ? sweep_once_room(config) : NULL;
    char key[ES_KEY];
    if (tier)
        snprintf(key, sizeof key, "tiers.%.200s.capacity", tier);
    const char *hole = tier ? key : sweep_rooms_key(maps->rooms);
    if (code == ES_OK && (code = sweep_identify(sweep, config, hole, &identity, err)) == ES_OK) {
        sweep_identity_id(&identity, NULL, point->id);
        *feed = identity.feed;
        point->once = tier ? points_once(sweep, config, &identity, maps) : 0;
        if (hole && sweep_rooms_key(maps->rooms) && strcmp(hole, sweep_rooms_key(maps->rooms)) == 0)
            sweep_rooms_keep(maps->rooms, point, &identity);
    }
    sweep_identity_free(&identity);
    es_config_free(config);
    return code;
}

/* Resolves a point, if none that differs in a capacity alone was, and keeps it, unless one that is alike is there. */
static es_code points_add(es_sweep *sweep, es_sweep_point *point, points_maps *maps, es_err *err)
{
    uint64_t feed = 0;
    bool fresh;
    es_code code = sweep_rooms_know(maps->rooms, point, &feed) ? ES_OK : points_identify(sweep, point, maps, &feed, err);
    if (code)
        return code;
    map_order(&maps->ids, strtoull(point->id, NULL, 16), &fresh);
    if (!fresh) {
        sweep->alike++;
        return ES_OK;
    }
    bool ignored;
    point->feed = map_order(&maps->feeds, feed, &ignored);
    sweep->point[sweep->points++] = *point;
    return ES_OK;
}

static es_code points_resolve(es_sweep *sweep, const uint64_t *kept, size_t count, es_err *err)
{
    size_t traces = sweep->traces ? sweep->traces : 1, runs = (size_t)sweep->replications.count;
    const size_t most = count * traces * runs;
    points_maps maps = {.fits = calloc(most + 1, sizeof *maps.fits)};
    es_code code = maps.fits && map_new(&maps.ids, most) && map_new(&maps.feeds, most) && map_new(&maps.onces, most) ? ES_OK : es_err_nomem(err, "the points");
    if (code == ES_OK)
        code = sweep_rooms_new(&maps.rooms, sweep, err);
    for (size_t i = 0; i < count && code == ES_OK; i++)
        for (size_t t = 0; t < traces && code == ES_OK; t++)
            for (size_t r = 0; r < runs && code == ES_OK; r++) {
                es_sweep_point point = {.number = (uint32_t)i, .replication = (uint32_t)r, .trace = (uint32_t)t, .combination = kept[i]};
                code = points_add(sweep, &point, &maps, err);
            }
    sweep->feeds = maps.feeds.count;
    map_free(&maps.ids);
    map_free(&maps.feeds);
    map_free(&maps.onces);
    free(maps.fits);
    sweep_rooms_free(maps.rooms);
    return code;
}

static es_code points_most(const es_sweep *sweep, size_t count, es_err *err)
{
    size_t times = (size_t)sweep->replications.count * (sweep->traces ? sweep->traces : 1);
    if (count == 0)
        return es_err_set(err, ES_EINPUT, "constraints: leave nothing of %zu combinations", sweep->combinations);
    if (times > UINT32_MAX / 4 / count)
        return es_err_set(err, ES_EINPUT, "replications: make more than %u points", UINT32_MAX / 4);
    if (count * times > ES_SWEEP_MANY && !sweep->many)
        return es_err_set(err, ES_EINPUT, "axes: make %zu points; more than %d need --yes", count * times, ES_SWEEP_MANY);
    return ES_OK;
}

es_code sweep_points_make(es_sweep *sweep, es_err *err)
{
    es_code code = points_combinations(sweep, err);
    uint64_t *kept = code == ES_OK ? calloc(sweep->combinations, sizeof *kept) : NULL;
    size_t count = 0;
    if (code == ES_OK && !kept)
        code = es_err_nomem(err, "the points");
    for (uint64_t c = 0; code == ES_OK && c < sweep->combinations; c++) {
        bool allowed;
        code = points_allowed(sweep, c, &allowed, err);
        if (code == ES_OK && allowed)
            kept[count++] = c;
    }
    if (code == ES_OK)
        code = points_most(sweep, count, err);
    if (code)
        es_err_at(err, "%s", sweep->path);
    sweep->left_out = sweep->combinations - count;
    if (code == ES_OK && !(sweep->point = calloc(count * (size_t)sweep->replications.count * (sweep->traces ? sweep->traces : 1), sizeof *sweep->point)))
        code = es_err_nomem(err, "the points");
    if (code == ES_OK)
        code = points_resolve(sweep, kept, count, err);
    free(kept);
    return code;
}
