/* Contract: the option rows and presets. See contract.h and, for what each switch does, core/events.c and core/room.c. */
#include "sim/core/contract.h"

#define CONTRACT(field) offsetof(es_contract, field)

static const char *const contract_units[] = {"union", "token", "id", "slice", NULL};
static const char *const contract_duplicates[] = {"refresh", "hit", "ignore", NULL};
static const char *const contract_judges[] = {"event", "serialized", "serialized_pinned", NULL};
static const char *const contract_overflows[] = {"waves", "trim", "persist", "keep_best", "bypass", NULL};
static const char *const contract_scopes[] = {"global", "layer", NULL};
static const char *const contract_ties[] = {"policy", "insertion", "key", "random", NULL};
static const char *const contract_counts[] = {"apart", "together", NULL};
static const char *const contract_resets[] = {"never", "request", NULL};
static const char *const contract_pins[] = {"charged", "free", NULL};

const es_option es_contract_options[] = {
    {.name = "unit", .type = ES_OPT_ENUM, .offset = CONTRACT(unit), .choices = contract_units,
        .help = "What is looked up together: the union of a step's tokens in a layer, one token's row, one id, or one matrix of an expert."},
    {.name = "duplicates", .type = ES_OPT_ENUM, .offset = CONTRACT(duplicates), .choices = contract_duplicates,
        .help = "An id repeated inside a unit only refreshes recency, counts as a hit, or is ignored."},
    {.name = "judge", .type = ES_OPT_ENUM, .offset = CONTRACT(judge), .choices = contract_judges,
        .help = "Hits on the state before the event with all of it pinned, or id by id without pins, or id by id with the call pinned."},
    {.name = "overflow", .type = ES_OPT_ENUM, .offset = CONTRACT(overflow), .choices = contract_overflows,
        .help = "What happens when an event needs more than its room: computed in waves; exceeded until it ends (trim) or until a later event "
                "(persist); the best of residents and event stay (keep_best); or the rest is read in place (bypass)."},
    {.name = "scope", .type = ES_OPT_ENUM, .offset = CONTRACT(scope), .choices = contract_scopes, .help = "One cache for all layers, or a quota for each."},
    {.name = "quota", .type = ES_OPT_JSON, .offset = CONTRACT(quota),
        .help = "Share of each layer with scope layer: floor, round (half to even), remainder_low (what is left goes to the first layers), or a list."},
    {.name = "prefill", .type = ES_OPT_TEXT, .offset = CONTRACT(prefill), .def_text = "union",
        .help = "Prompt tokens are one step (union), one step each (tokens), steps of N (tiles:N), or left out (skip)."},
    {.name = "prefill_counts", .type = ES_OPT_ENUM, .offset = CONTRACT(prefill_counts), .choices = contract_counts,
        .help = "Coverage and the headline hit rate are of decode events only (apart) or of all events (together)."},
    {.name = "start", .type = ES_OPT_TEXT, .offset = CONTRACT(start), .def_text = "cold", 
        .help = "What the serving tier holds before the first step: cold, or a file with one \"layer,expert\" a line, the first to leave first; "
                "more than fit are an error. Nothing is charged for them."},
    {.name = "reset", .type = ES_OPT_ENUM, .offset = CONTRACT(reset), .choices = contract_resets, .help = "Whether the caches are emptied at each new request."},
    {.name = "skip_tokens", .type = ES_OPT_INT, .offset = CONTRACT(skip_tokens), .min = 0, .max = 9e15, .unit = "tokens",
        .help = "Tokens at the start that warm the cache and are not counted."},
    {.name = "ties", .type = ES_OPT_ENUM, .offset = CONTRACT(ties), .choices = contract_ties,
        .help = "Between equal victims: the policy's own rule, first to have become resident, lowest id, or a seeded draw."},
    {.name = "pins", .type = ES_OPT_ENUM, .offset = CONTRACT(pins), .choices = contract_pins, .help = "Whether the initial load of pinned experts is charged or free."},
    {.name = "pins_take_room", .type = ES_OPT_BOOL, .offset = CONTRACT(pins_take_room), .def = 1, 
        .help = "Whether pinned experts take room of the tier; false: they stand beside it, and all of it is left to others."},
    {.name = "flush", .type = ES_OPT_BOOL, .offset = CONTRACT(flush),
        .help = "Behind the last step the first serving tier is emptied and every tier writes down what its rule of writing back says; counted apart."},
    {0},
};

static const es_preset contract_presets[] = {
    {"event_atomic", "hits on the state before the event, all of it pinned; the default", "{}"},
    {"after_batch", "the event's experts enter at once, victims leave after it; it may overshoot (BigMoeOnEdge)", "{\"overflow\": \"persist\"}"},
    {"keep_best", "after each event the best of residents and event stay (moe-cache-eval)", "{\"overflow\": \"keep_best\"}"},
    {"serialized", "id by id, evict before insert, no pins (classic cache replay)", "{\"unit\": \"id\", \"judge\": \"serialized\"}"},
};

const es_preset *es_contract_preset(size_t i)
{
    return i < sizeof contract_presets / sizeof *contract_presets ? &contract_presets[i] : NULL;
}
