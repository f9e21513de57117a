/* Machine: the sections of a config that say what the simulated machine is made of: parts, tiers, channels, links, compute. */
#include <stdio.h>
#include <string.h>

#include "sim/study/config_inside.h"
#include "sim/study/key.h"

const es_option config_tier_more[] = {
    {.name = "allocator", .type = ES_OPT_JSON, .help = "How capacity is counted: an allocator; absent: slots or bytes, as the capacity is written."},
    {.name = "policy", .type = ES_OPT_JSON, .help = "Orders this lower tier alone, by what is read from it and put into it: a policy; absent: the run's policy, by last use."},
    {.name = "allocation", .type = ES_OPT_JSON, .help = "What an allocation of a trace of buffers costs: a timing such as alloc; absent: nothing."},
    {.name = "profile", .type = ES_OPT_TEXT, .help = "Memory of the machine's profile that gives the allocation: \"device\"."},
    {.name = "access", .type = ES_OPT_JSON, .help = "What an event pays for reading what it finds here, beside computing it: a timing; absent: nothing."},
    {.name = "moves", .type = ES_OPT_JSON, .help = "What moving copies inside the tier costs when its allocator rearranges itself (defragmentation): a timing; absent: nothing."},
    {0},
};

const es_option config_channel_more[] = {
    {.name = "timing", .type = ES_OPT_JSON, .help = "What an operation costs here: a timing; absent: of the profile, or compute for a compute unit."},
    {.name = "scheduler", .type = ES_OPT_JSON, .help = "Which queued copy starts next: a scheduler; absent: demand_first."},
    {.name = "profile", .type = ES_OPT_TEXT, .help = "Flow, compute unit or (of a channel that only maps pages) memory of the machine's profile that gives the timing: \"pcie.h2d\"."},
    {.name = "kind", .type = ES_OPT_TEXT,
        .help = "What it is physically: pcie4_x16, nvme_gen4_x4, ufs_4 ...; a rate above what that can carry is refused unless force is set."},
    {0},
};

/* ---- parts ---- */

static es_code part_state(es_config *config, const es_part *part, const es_json *given, const char *key, es_plan_part *out, es_err *err)
{
    static const char *const allow[] = {"name", NULL};
    void *state = es_arena_alloc(&config->arena, 1, part->size);
    const char *path = es_arena_text(&config->arena, key);
    if (!state || !path)
        return es_err_nomem(err, part->name);
    es_code code = es_options_parse(part->options, state, given, allow, &config->arena, err);
    if (code)
        return es_key_at(err, "%s", key), code;
    *out = (es_plan_part){.part = part, .state = state, .path = path};
    return ES_OK;
}

static es_code part_echo(const es_plan_part *part, es_json *echo, const char *name, es_err *err)
{
    es_json *object = cJSON_CreateObject();
    if (!object || !(name ? cJSON_AddItemToObject(echo, name, object) : cJSON_AddItemToArray(echo, object))) {
        cJSON_Delete(object);
        return es_err_nomem(err, "the config");
    }
    es_json_add_text(object, "name", part->part->name);
    es_options_echo(part->part->options, part->state, object);
    return ES_OK;
}

/* The name that a part goes by in the config; one without a name is the default one, where there is one. */
static es_code part_name(const es_json *given, const char *key, const char **name, es_err *err)
{
    const es_json *member = cJSON_GetObjectItemCaseSensitive(given, "name");
    if (cJSON_IsString(member)) {
        *name = member->valuestring;
        return ES_OK;
    }
    if (!cJSON_IsObject(given))
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs the name of a part or an object with its name and options", key, es_json_kind(given));
    if (member)
        return es_err_set(err, ES_EINPUT, "%s.name: found %s, needs a text", key, es_json_kind(member));
    if (*name)
        return ES_OK;
    return es_err_set(err, ES_EINPUT, "%s.name: is missing", key);
}

es_code config_part(es_config *config, es_kind kind, const es_json *given, const char *key, const char *def, es_plan_part *out, es_json *echo, const char *name, es_err *err)
{
    const char *called = def;
    const es_part *part = NULL;
    es_code code = ES_OK;
    if (cJSON_IsNull(given))
        given = NULL;
    if (given && (code = part_name(given, key, &called, err)) != ES_OK)
        return code;
    if (called)
        code = es_plugins_find(&config->plugins, kind, called, &part, given ? err : NULL);
    /* What is absent by default may be absent from the registry too; "none" is a name for it. */
    if (!part && (!given || strcmp(called, "none") == 0)) {
        if (name)
            cJSON_AddNullToObject(echo, name);
        return ES_OK;
    }
    if (code)
        return es_key_at(err, "%s.name", key), code;
    code = part_state(config, part, given, key, out, err);
    return code ? code : part_echo(out, echo, name, err);
}

es_code config_observers(es_config *config, es_json *echo, es_err *err)
{
    static const char *const usual[] = {"summary", "coverage", "latency", "traffic", "memory", "tables", "series"};
    const es_json *given = config->top.observers, *entry;
    if (given && !cJSON_IsArray(given))
        return es_err_set(err, ES_EINPUT, "observers: found %s, needs a list", es_json_kind(given));
    size_t room = given ? (size_t)cJSON_GetArraySize(given) : sizeof usual / sizeof *usual;
    config->observers = ES_NEW_ARRAY(&config->arena, room, es_plan_part);
    es_json *list = es_json_add_array(echo, "observers");
    if (!config->observers || !list)
        return es_err_nomem(err, "the observers");
    size_t count = 0;
    es_code code = ES_OK;
    for (size_t i = 0; !given && i < room && code == ES_OK; i++) {
        const es_part *part = NULL;
        if (es_plugins_find(&config->plugins, ES_KIND_OBSERVER, usual[i], &part, NULL) != ES_OK)
            continue;
        char key[32];
        snprintf(key, sizeof key, "observers.%zu", count);
        code = config_part(config, ES_KIND_OBSERVER, NULL, key, usual[i], &config->observers[count++], list, NULL, err);
    }
    cJSON_ArrayForEach(entry, given) {
        char key[32];
        snprintf(key, sizeof key, "observers.%zu", count);
        if (code == ES_OK)
            code = config_part(config, ES_KIND_OBSERVER, entry, key, NULL, &config->observers[count++], list, NULL, err);
        for (size_t i = 0; i + 1 < count && code == ES_OK; i++)
            if (config->observers[i].part == config->observers[count - 1].part)
                code = es_err_set(err, ES_EINPUT, "%s: observer %s is there already, as observers.%zu", key, config->observers[i].part->name, i);
    }
    config->plan.observers = config->observers;
    config->plan.observer_count = count;
    return code;
}

es_code es_config_observe(es_config *config, const char *key, const es_json *observer, es_err *err)
{
    const size_t count = config->plan.observer_count;
    es_json *list = cJSON_GetObjectItemCaseSensitive(config->resolved, "observers");
    es_plan_part *all = ES_NEW_ARRAY(&config->arena, count + 1, es_plan_part);
    if (!all || !list)
        return es_err_nomem(err, "an observer");
    for (size_t i = 0; i < count; i++)
        all[i] = config->observers[i];
    es_code code = config_part(config, ES_KIND_OBSERVER, observer, key, NULL, &all[count], list, NULL, err);
    for (size_t i = 0; i < count && code == ES_OK; i++)
        if (all[i].part == all[count].part)
            code = es_err_set(err, ES_EINPUT, "%s: observer %s is there already, as observers.%zu", key, all[i].part->name, i);
    if (code)
        return code;
    config->plan.observers = config->observers = all;
    config->plan.observer_count = count + 1;
    return ES_OK;
}

/* ---- sections of named rows ---- */

/* Names that another table reads from the same object; ends with NULL. */
static void machine_allow(const es_option *rows, const char *allow[16])
{
    size_t count = 0;
    for (; rows->name && count < 15; rows++)
        allow[count++] = rows->name;
    allow[count] = NULL;
}

/* An object of named objects, or nothing. Names are parts of keys and of paths in result.h5, so they have no dots and no slashes. */
static es_code machine_names(const es_json *section, const char *key, es_err *err)
{
    if (section && !cJSON_IsObject(section))
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs an object of %s by name", key, es_json_kind(section), key);
    const es_json *member;
    cJSON_ArrayForEach(member, section) {
        if (*member->string == '\0' || strpbrk(member->string, "./ "))
            return es_err_set(err, ES_EINPUT, "%s: \"%s\" is no name for one; a name is a word without dots, slashes and blanks", key, member->string);
        if (!cJSON_IsObject(member))
            return es_err_set(err, ES_EINPUT, "%s.%s: found %s, needs an object", key, member->string, es_json_kind(member));
    }
    return ES_OK;
}

/* A text that only the config knows; the tree keeps it. */
static es_code machine_text(const es_json *given, const char *name, const char **text, es_err *err)
{
    const es_json *member = cJSON_GetObjectItemCaseSensitive(given, name);
    if (!member || cJSON_IsNull(member))
        return ES_OK;
    if (!cJSON_IsString(member))
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs a text", name, es_json_kind(member));
    *text = member->valuestring;
    return ES_OK;
}

static es_code machine_home(const es_config *config, es_err *err)
{
    const es_plan_tier *home = NULL;
    for (size_t i = 0; i < config->plan.tier_count; i++) {
        const es_plan_tier *tier = &config->tiers[i];
        if (tier->home && home)
            return es_err_set(err, ES_EINPUT, "tiers.%s.home: %s is home already; exactly one tier holds everything at the start", tier->name, home->name);
        if (tier->home)
            home = tier;
    }
    if (!home)
        return es_err_set(err, ES_EINPUT, "tiers: no tier is home; one needs \"home\": true, it holds every expert at the start");
    if (home->capacity)
        return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: found \"%s\", but this tier is home, which holds every expert and has no capacity; leave one of the two out",
            home->name, home->capacity);
    if (home->share < 1.0)
        return es_err_set(err, ES_EINPUT, "tiers.%s.share: found %g, but this tier is home, which has no capacity to share", home->name, home->share);
    return ES_OK;
}

#define MACHINE_ROOM "write it as \"24GiB\", \"192slots\" or \"25%%\" of all experts"

/* The parts of a tier, each at a key of its name. */
static es_code tier_parts(es_config *config, const es_json *given, es_plan_tier *tier, es_json *row, es_err *err)
{
    const struct { const char *name; es_kind kind; es_plan_part *part; } parts[] = {
        {"allocator", ES_KIND_ALLOCATOR, &tier->allocator}, {"policy", ES_KIND_POLICY, &tier->policy}, {"allocation", ES_KIND_TIMING, &tier->allocation},
        {"access", ES_KIND_TIMING, &tier->access}, {"moves", ES_KIND_TIMING, &tier->moves},
    };
    es_code code = ES_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == ES_OK; i++) {
        char key[ES_KEY];
        snprintf(key, sizeof key, "tiers.%.200s.%s", given->string, parts[i].name);
        code = config_part(config, parts[i].kind, cJSON_GetObjectItemCaseSensitive(given, parts[i].name), key, NULL, parts[i].part, row, parts[i].name, err);
    }
    return code;
}

static es_code tier_read(es_config *config, es_json *given, es_plan_tier *tier, es_json *row, es_err *err)
{
    const char *allow[16], *profile = NULL;
    machine_allow(config_tier_more, allow);
    if (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(given, "capacity")))
        return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: found a number without a unit; " MACHINE_ROOM, given->string);
    es_code code = machine_text(given, "profile", &profile, err);
    if (code == ES_OK && profile)
        code = config_profiled_tier(config, given, profile, err);       /* first: it adds what the parts below read */
    if (code == ES_OK)
        code = es_options_parse(es_tier_options, tier, given, allow, &config->arena, err);
    if (code)
        return es_key_at(err, "tiers.%s", given->string), code;
    if (!row || !(tier->name = es_arena_text(&config->arena, given->string)))
        return es_err_nomem(err, "the tiers");
    es_options_echo(es_tier_options, tier, row);
    if ((code = tier_parts(config, given, tier, row, err)) != ES_OK)
        return code;
    es_json_add_text(row, "profile", profile);
    if (!tier->home && !tier->capacity)
        return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: is missing; " MACHINE_ROOM, tier->name);
    return ES_OK;
}

es_code config_tiers(es_config *config, es_json *echo, es_err *err)
{
    const es_json *section = config->top.tiers;
    es_code code = machine_names(section, "tiers", err);
    if (code)
        return code;
    config->tiers = ES_NEW_ARRAY(&config->arena, cJSON_GetArraySize(section), es_plan_tier);
    es_json *out = es_json_add_object(echo, "tiers");
    if (!config->tiers || !out)
        return es_err_nomem(err, "the tiers");
    size_t count = 0;
    for (es_json *given = section ? section->child : NULL; given && code == ES_OK; given = given->next, count++)
        code = tier_read(config, given, &config->tiers[count], es_json_add_object(out, given->string), err);
    config->plan.tiers = config->tiers;
    config->plan.tier_count = count;
    return code ? code : machine_home(config, err);
}

/* ---- channels ---- */

/* Refuses a rate that this kind of link cannot carry. */
static es_code channel_ceiling(const es_config *config, const es_plan_channel *channel, const char *kind, es_err *err)
{
    double most = 0.0, rate = 0.0;
    es_code code = es_profile_ceiling(kind, &most, err);
    if (code)
        return es_key_at(err, "kind"), code;
    const es_option *row = channel->timing.part ? es_options_find(channel->timing.part->options, "rate") : NULL;
    if (row && row->type == ES_OPT_RATE)
        rate = *(const double *)((const char *)channel->timing.state + row->offset);
    if (most <= 0.0 || rate <= most || config->top.force)
        return ES_OK;
    es_text have = {0}, may = {0};
    es_text_unit(&have, rate, ES_UNIT_RATE);
    es_text_unit(&may, most, ES_UNIT_RATE);
    code = es_err_set(err, ES_EINPUT, "timing.rate: %s is above %s, the most that %s carries in one direction; \"force\": true lets it pass", have.at ? have.at : "",
        may.at ? may.at : "", kind);
    es_text_free(&have);
    es_text_free(&may);
    return code;
}

static bool channel_computes(const es_config *config, const char *name)
{
    for (size_t i = 0; i < config->plan.tier_count; i++)
        if (config->tiers[i].compute && strcmp(config->tiers[i].compute, name) == 0)
            return true;
    return false;
}

static es_code channel_parts(es_config *config, es_json *given, es_plan_channel *channel, const config_channel *extra, es_json *row, es_err *err)
{
    char key[ES_KEY];
    snprintf(key, sizeof key, "channels.%.200s.timing", given->string);
    es_code code = config_part(config, ES_KIND_TIMING, cJSON_GetObjectItemCaseSensitive(given, "timing"), key, extra->compute ? "compute" : NULL, &channel->timing, row,
        "timing", err);
    if (code)
        return code;
    snprintf(key, sizeof key, "channels.%.200s.scheduler", given->string);
    return config_part(config, ES_KIND_SCHEDULER, cJSON_GetObjectItemCaseSensitive(given, "scheduler"), key, extra->compute ? NULL : "demand_first", &channel->scheduler, row,
        "scheduler", err);
}

static es_code channel_read(es_config *config, es_json *given, es_plan_channel *channel, config_channel *extra, es_json *row, es_err *err)
{
    const char *allow[16];
    machine_allow(config_channel_more, allow);
    es_code code = machine_text(given, "profile", &extra->profile, err);
    if (code == ES_OK)
        code = machine_text(given, "kind", &extra->kind, err);
    if (code == ES_OK)
        code = config_profiled(config, given, extra, err);     /* first: it adds what the rows below read */
    if (code == ES_OK)
        code = es_options_parse(es_channel_options, channel, given, allow, &config->arena, err);
    if (code)
        return es_key_at(err, "channels.%s", given->string), code;
    extra->compute = channel_computes(config, given->string);
    if (!row || !(channel->name = es_arena_text(&config->arena, given->string)))
        return es_err_nomem(err, "the channels");
    es_options_echo(es_channel_options, channel, row);
    if ((code = channel_parts(config, given, channel, extra, row, err)) != ES_OK)
        return code;
    es_json_add_text(row, "profile", extra->profile);
    es_json_add_text(row, "kind", extra->kind);
    if (extra->kind && (code = channel_ceiling(config, channel, extra->kind, err)) != ES_OK)
        es_key_at(err, "channels.%s", given->string);
    return code;
}

es_code config_channels(es_config *config, es_json *echo, es_err *err)
{
    const es_json *section = config->top.channels;
    es_code code = machine_names(section, "channels", err);
    if (code)
        return code;
    int room = section ? cJSON_GetArraySize(section) : 0;
    config->channels = ES_NEW_ARRAY(&config->arena, room, es_plan_channel);
    config->channel_extra = ES_NEW_ARRAY(&config->arena, room, config_channel);
    es_json *out = es_json_add_object(echo, "channels");
    if (!config->channels || !config->channel_extra || !out)
        return es_err_nomem(err, "the channels");
    size_t count = 0;
    for (es_json *given = section ? section->child : NULL; given && code == ES_OK; given = given->next, count++)
        code = channel_read(config, given, &config->channels[count], &config->channel_extra[count], es_json_add_object(out, given->string), err);
    config->plan.channels = config->channels;
    config->plan.channel_count = count;
    if (code == ES_OK && config->top.noise && !config->noise_known)
        return es_err_set(err, ES_EINPUT, "noise: no channel has a timing of a machine whose noise was measured; include what `expertsim calibrate` wrote, or leave it false");
    return code;
}

/* ---- links and compute ---- */

es_code config_links(es_config *config, es_json *echo, es_err *err)
{
    const es_json *section = config->top.links, *given;
    if (section && !cJSON_IsArray(section))
        return es_err_set(err, ES_EINPUT, "links: found %s, needs a list of {\"from\", \"to\", \"channels\"}", es_json_kind(section));
    config->links = ES_NEW_ARRAY(&config->arena, cJSON_GetArraySize(section), es_plan_link);
    es_json *out = es_json_add_array(echo, "links");
    if (!config->links || !out)
        return es_err_nomem(err, "the links");
    size_t count = 0;
    cJSON_ArrayForEach(given, section) {
        es_plan_link *link = &config->links[count];
        es_code code = es_options_parse(es_link_options, link, given, NULL, &config->arena, err);
        if (code)
            return es_key_at(err, "links.%zu", count), code;
        es_json *row = cJSON_CreateObject();
        if (!row || !cJSON_AddItemToArray(out, row)) {
            cJSON_Delete(row);
            return es_err_nomem(err, "the links");
        }
        es_options_echo(es_link_options, link, row);
        count++;
    }
    config->plan.links = config->links;
    config->plan.link_count = count;
    return ES_OK;
}

/* A section that is nothing but options. */
static es_code machine_section(es_config *config, const char *name, const es_option *options, void *state, const es_json *given, es_json *echo, es_err *err)
{
    es_code code = es_options_parse(options, state, given, NULL, &config->arena, err);
    if (code)
        return es_key_at(err, "%s", name), code;
    es_json *out = es_json_add_object(echo, name);
    if (!out)
        return es_err_nomem(err, "the config");
    es_options_echo(options, state, out);
    return ES_OK;
}

es_code config_catalog(es_config *config, es_json *echo, es_err *err)
{
    return machine_section(config, "catalog", es_catalog_options, &config->plan.catalog, config->top.catalog, echo, err);
}

es_code config_compute(es_config *config, es_json *echo, es_err *err)
{
    return machine_section(config, "compute", es_compute_options, &config->plan.compute, config->top.compute, echo, err);
}

es_code config_training(es_config *config, es_json *echo, es_err *err)
{
    return machine_section(config, "training", es_training_options, &config->plan.training, config->top.training, echo, err);
}
