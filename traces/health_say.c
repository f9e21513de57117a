/* Health: what the counts mean, each finding with its figure, its first place and what it distorts.
 *
 *   short        too few tokens: mostly first uses          synthetic    generated, or it says so
 *   phases       no prompts, or nothing but prompts         uniform      routing as chance would have it
 *   missing      rows (token, layer) that are not there     layers       fewer than the model has, or gaps between them
 *   last_layer   only output tokens have its rows           top_k        not the model's k; rows of different width
 *   begins       requests without their beginning            experts      not the model's number of experts
 *   gaps         positions left out
 *   replayed     a growing prefix, computed anew            order        weights that do not fall, or ids in order of number
 *   prefixes     requests that begin alike                  weights      no weights, or not of one kind
 *   duplicates   requests that are copies                   idle         the same token over and over */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/health_inside.h"

enum {
    SAY_SHORT = 64,                 /* tokens: below, what a cache finds at the start is most of what there is */
    SAY_NORMAL = 9                  /* so many rows with a sum of 1 for each other one: then it is the rule, and that one breaks it */
};

typedef struct saying {
    es_health *h;
    bool failed;
} saying;

static const es_health_place say_nowhere = {false, 0, 0, -1};

static char *say_copy(const es_text *text)
{
    return text->failed || !text->at ? NULL : text->at;
}

/* found, and after a line feed what it distorts. */
static void say(saying *s, const char *kind, double figure, const char *unit, es_health_place first, const char *distorts, const char *found, ...) ES_PRINTF(7, 8);

static void say(saying *s, const char *kind, double figure, const char *unit, es_health_place first, const char *distorts, const char *found, ...)
{
    es_health *h = s->h;
    es_text text = {0}, more = {0};
    char line[512];
    va_list args;
    va_start(args, found);
    vsnprintf(line, sizeof line, found, args);
    va_end(args);
    if (h->findings == HEALTH_FINDINGS)
        return;
    es_text_add(&text, "%s", line);
    es_text_add(&more, "%s", distorts);
    es_health_finding *f = &h->finding[h->findings++];
    *f = (es_health_finding){kind, figure, unit, first, say_copy(&text), say_copy(&more)};
    s->failed |= !f->found || !f->distorts;
}

static unsigned long long ull(uint64_t n)
{
    return (unsigned long long)n;
}

/* ---- length and phases ---- */

static uint64_t say_first_uses(const es_health *h)
{
    uint64_t used = 0;
    for (size_t i = 0; i < (size_t)h->info->layers * h->info->experts; i++)
        used += h->uses[i] > 0;
    return used;
}

static void say_length(saying *s)
{
    const es_health *h = s->h;
    const uint64_t tokens = h->tokens[0] + h->tokens[1], first = say_first_uses(h);
    const double share = h->accesses ? (double)first / (double)h->accesses : 0.0;
    const uint64_t counted = h->tokens[1] ? h->tokens[1] : tokens;
    if (counted < SAY_SHORT)
        say(s, "short", (double)counted, "tokens", say_nowhere, "An empty cache fills in this time: rates say how it starts, not how it runs.",
            "%llu %stokens; %.3g %% of all accesses are the first use of an expert", ull(counted), h->tokens[1] ? "decode " : "", 100.0 * share);
}

static void say_phases(saying *s)
{
    const es_health *h = s->h;
    if (h->tokens[1] == 0 && h->tokens[0] > 0)
        say(s, "phases", (double)h->tokens[0], "prompt tokens", say_nowhere,
            "Tokens per second and hit rates of decoding have nothing to be taken from; a layer of a prompt wants most experts at once.",
            "nothing but prompts: %llu tokens, none of decoding", ull(h->tokens[0]));
    else if (h->tokens[0] == 0 && h->tokens[1] > 0 && !h->train)
        say(s, "phases", 0.0, "prompt tokens", say_nowhere, "Caches start without what the prompts would have left in them, and the time to the first token is not known.",
            "no prompts: %llu tokens of decoding, %llu requests", ull(h->tokens[1]), ull(h->requests));
}

/* ---- rows that are not there ---- */

static uint64_t say_missing_elsewhere(const es_health *h, uint32_t layer)
{
    uint64_t sum = 0;
    for (uint32_t l = 0; l < h->info->layers; l++)
        sum += (l == layer ? 0 : h->missing[ES_PREFILL][l]) + h->missing[ES_DECODE][l];
    return sum;
}

static void say_missing(saying *s)
{
    const es_health *h = s->h;
    const uint32_t last = h->info->layers - 1;
    const uint64_t in_last = h->missing[ES_PREFILL][last], others = say_missing_elsewhere(h, last);
    if (in_last > 0)
        say(s, "last_layer", (double)in_last, "rows", h->gone[ES_PREFILL].first,
            "The engine computed only the tokens whose output it needed there: the union of a prompt is too small in that layer, and its cache starts too cold.",
            "%llu of %llu prompt tokens have no row in layer %u, the last", ull(in_last), ull(h->tokens[0]), h->info->layer_number[last]);
    if (others > 0) {
        const bool decode = h->gone[ES_DECODE].count > 0;
        say(s, "missing", (double)others, "rows", decode ? h->gone[ES_DECODE].first : h->gone[ES_PREFILL].first,
            "Layers without rows fetch nothing and compute no experts: time and traffic are too small.",
            "%llu rows (token, layer) are missing%s, of %llu", ull(others), in_last > 0 ? " elsewhere" : "", ull(h->rows + others));
    }
}

static void say_gaps(saying *s)
{
    const es_health *h = s->h;
    if (h->late.count > 0)
        say(s, "begins", (double)h->late.count, "requests", h->late.first, "What was before is not in the trace: caches and history start colder than they were.",
            "%llu of %llu requests begin behind position 0", ull(h->late.count), ull(h->requests));
    if (h->gaps.count > 0)
        say(s, "gaps", (double)h->gaps.count, "places", h->gaps.first, "Tokens that are not there separate those that are: what stays from token to token is too little.",
            "positions are left out at %llu places", ull(h->gaps.count));
}

/* ---- what comes again ---- */

static void say_again(saying *s)
{
    const es_health *h = s->h;
    const health_again *a = &h->again;
    const double share = a->tokens ? 100.0 * (double)a->repeated / (double)a->tokens : 0.0;
    const bool grows = a->prefixes >= 3 && a->grown >= HEALTH_RUN && 4 * a->longer >= 3 * (a->prefixes - 1);
    if (grows)
        say(s, "replayed", (double)a->grown, "tokens", a->first_prefix,
            "Without a KV cache all is computed anew for every token; with one these are no accesses at all: hit rates are far too high, tokens far too many.",
            "a growing prefix is replayed: %llu passes begin with all of the one before, %llu tokens (%.3g %%)", ull(a->prefixes), ull(a->grown),
            100.0 * (double)a->grown / (double)a->tokens);
    else if (h->twins > 0)
        say(s, "duplicates", (double)h->twins, "requests", h->twin, "What one request leaves in the cache fits its copy: hit rates are too high, and statistics count it twice.",
            "%llu of %llu requests are copies of another", ull(h->twins), ull(h->requests));
    else if (a->repeated > 0)
        say(s, "prefixes", (double)a->repeated, "tokens", a->first, "An engine with a prefix cache does not compute them: accesses and hits are too many.",
            "%llu stretches of %d tokens and more came before, row for row: %llu tokens (%.3g %%)", ull(a->runs), HEALTH_RUN, ull(a->repeated), share);
    if (a->longest >= HEALTH_RUN)
        say(s, "idle", (double)a->longest, "tokens", a->longest_at, "Rows of a start-up run or of padding: they hit from the second on.",
            "%llu tokens after each other have the rows of the one before", ull(a->longest));
}

/* ---- chance ---- */

typedef struct chance {
    double popularity, slack;       /* variance of the counts by what chance gives, and six of its deviations */
    double common, expected, noise; /* experts shared with the token before: mean, by chance, and four deviations */
    bool enough;
} chance;

static chance say_chance(const es_health *h)
{
    const double experts = h->info->experts, k = h->info->top_k, p = k / experts;
    double sum = 0.0, common = 0.0, pairs = 0.0, uses = 0.0, layers = 0.0;
    for (uint32_t l = 0; l < h->info->layers; l++) {
        const double rows = (double)h->layer_rows[l], mean = rows * p;
        double square = 0.0;
        for (uint32_t e = 0; e < h->info->experts; e++) {
            const double off = (double)h->uses[(size_t)l * h->info->experts + e] - mean;
            square += off * off;
        }
        common += h->common[l];
        pairs += (double)h->pairs[l];
        uses += mean;
        if (rows > 0) {
            sum += square / (experts * rows * p * (1.0 - p));
            layers++;
        }
    }
    const double variance = k * p * (1.0 - p) * (experts - k) / (experts - 1.0);    /* of a hypergeometric draw */
    return (chance){.popularity = layers > 0 ? sum / layers : NAN, .slack = 6.0 * sqrt(2.0 / ((experts - 1.0) * layers)),
        .common = pairs > 0 ? common / pairs : NAN, .expected = k * p, .noise = pairs > 0 ? 4.0 * sqrt(variance / pairs) : 0.0,
        .enough = experts > k && layers > 0 && uses >= 5.0 * layers && pairs >= 100.0};
}

static void say_uniform(saying *s)
{
    const es_health *h = s->h;
    const chance c = say_chance(h);
    if (h->info->synthetic)
        say(s, "synthetic", 1.0, "trace", say_nowhere, "Policies and predictors live on habits of real routing; what one gains here need not be gained there.",
            "generated, not recorded%s", h->info->uniform ? ": every expert is equally likely" : "");
    const bool equal = c.enough && c.popularity < 1.0 + c.slack, forgets = c.enough && fabs(c.common - c.expected) < c.noise;
    if (!equal && !forgets)
        return;
    say(s, "uniform", equal ? c.popularity : c.common, equal ? "of chance" : "experts", say_nowhere,
        equal && forgets ? "No policy can beat another: the hit rate is capacity / population." : equal ? "No expert is worth pinning; recorded routing is not so even."
                                                                                                : "Nothing stays from token to token; recorded routing keeps more.",
        "%s%s: uses differ %.3g times as much as equal chances would make them, a token shares %.3g of %u experts with the one before (chance: %.3g)",
        equal ? "experts are used alike" : "tokens share no more experts than strangers", equal && forgets ? " and without memory" : "", c.popularity, c.common, h->info->top_k, c.expected);
}

/* ---- the model ---- */

/* Every step between neighbours, when they are all alike, is a habit of the model (every other layer has experts). */
static int64_t say_gap_layer(const es_trace_info *info)
{
    const uint32_t *n = info->layer_number;
    for (uint32_t l = 2; l < info->layers; l++)
        if (n[l] - n[l - 1] != n[1] - n[0])
            return n[l] - n[l - 1] > n[1] - n[0] ? n[l - 1] + (n[1] - n[0]) : n[0] + (n[l] - n[l - 1]);
    return -1;
}

static void say_layers(saying *s)
{
    const es_health *h = s->h;
    const es_trace_info *info = h->info;
    const int64_t gap = say_gap_layer(info), model = h->model.moe_layers;
    const es_health_place first = {gap >= 0, 0, 0, gap};
    static const char distorts[] = "Layers that are not there fetch nothing and take no room: time, traffic and the capacity needed are too small.";
    if (h->model.name && model > 0 && (int64_t)info->layers != model)
        say(s, "layers", info->layers, "layers", first, distorts, "%u MoE layers, %s has %lld", info->layers, h->model.name, (long long)model);
    else if (gap >= 0)
        say(s, "layers", info->layers, "layers", first, distorts, "%u layers from %u to %u, and none with number %lld", info->layers, info->layer_number[0],
            info->layer_number[info->layers - 1], (long long)gap);
    else if (info->layers == 1 && !h->model.name)
        say(s, "layers", 1.0, "layers", say_nowhere, distorts, "one layer only, number %u", info->layer_number[0]);
}

static void say_width(saying *s)
{
    const es_health *h = s->h;
    const es_trace_info *info = h->info;
    if (h->model.name && h->model.top_k > 0 && h->model.top_k != (int64_t)info->top_k)
        say(s, "top_k", info->top_k, "experts", say_nowhere, "Rates are of this k: more experts a token need more room for the same hits, and move more bytes.",
            "top-%u, %s uses %lld", info->top_k, h->model.name, (long long)h->model.top_k);
    if (h->narrow.count > 0)
        say(s, "top_k", (double)h->narrow.count, "rows", h->narrow.first, "Experts that were trimmed or lost are not fetched: accesses are too few.",
            "%llu of %llu rows list fewer than %u experts", ull(h->narrow.count), ull(h->rows), info->top_k);
    if (h->beyond.count > 0)
        say(s, "experts", info->experts, "experts", h->beyond.first,
            "Places of a load balancer count replicas as experts of their own: hits are too few, capacities in percent too large; import --map makes experts of them.",
            "%u experts a layer, %s has %lld: %llu rows list more than it has", info->experts, h->model.name, (long long)h->model.experts, ull(h->beyond.count));
    else if (h->model.name && h->model.experts > 0 && h->model.experts != (int64_t)info->experts)
        say(s, "experts", info->experts, "experts", say_nowhere, "A capacity in percent is of another number of experts; give trace or model their number.",
            "%u experts a layer, %s has %lld", info->experts, h->model.name, (long long)h->model.experts);
}

/* ---- order and weights ---- */

static void say_order(saying *s)
{
    const es_health *h = s->h;
    if (h->disorder.count > 0)
        say(s, "order", (double)h->disorder.count, "rows", h->disorder.first, "Ranks mean nothing: routers and policies that drop the last of a row drop others.",
            "weights do not fall within %llu of %llu rows", ull(h->disorder.count), ull(h->weighed));
    else if (h->weighed == 0 && h->listed >= SAY_SHORT && h->ascending == h->listed)
        say(s, "order", (double)h->listed, "rows", say_nowhere, "The order of the router is lost: who ranks experts by their place ranks them by number.",
            "ids stand in order of number in all %llu rows", ull(h->listed));
    if (h->strange.count > 0)
        say(s, "weights", (double)h->strange.count, "rows", h->strange.first, "What reads weights reads these: give a trace without them, or with all.",
            "%llu of %llu rows have a weight that is no number or below 0", ull(h->strange.count), ull(h->weighed));
    if (h->uneven.count > 0 && h->whole >= SAY_NORMAL * h->uneven.count)
        say(s, "weights", (double)h->uneven.count, "rows", h->uneven.first, "These rows are of another normalisation, or of other experts: what adds up weights across rows counts them wrongly.",
            "weights sum to 1 in %llu rows, and not in %llu", ull(h->whole), ull(h->uneven.count));
}

es_code health_judge(es_health *h, es_err *err)
{
    saying s = {h, false};
    if (h->info->layers == 0)
        return ES_OK;
    say_length(&s);
    say_phases(&s);
    say_uniform(&s);
    say_again(&s);
    say_missing(&s);
    say_gaps(&s);
    say_layers(&s);
    say_width(&s);
    say_order(&s);
    return s.failed ? es_err_nomem(err, "a health report") : ES_OK;
}

/* ---- showing ---- */

static void place_text(const es_health_place *p, es_text *out)
{
    if (p->layer >= 0)
        es_text_add(out, "layer %lld", (long long)p->layer);
    if (p->known)
        es_text_add(out, "%srequest %llu, token %llu", p->layer >= 0 ? " of " : "", ull(p->request), ull(p->position));
}

void es_health_text(const es_health *h, es_text *out)
{
    for (size_t i = 0; i < h->findings; i++) {
        const es_health_finding *f = &h->finding[i];
        es_text_add(out, "  %-11s %s", f->kind, f->found);
        if (f->first.known && strcmp(f->kind, "layers") != 0) {
            es_text_add(out, "; first: ");
            place_text(&f->first, out);
        }
        es_text_add(out, "\n  %-11s %s\n", "", f->distorts);
    }
    if (h->findings == 0)
        es_text_add(out, "  %-11s nothing that would distort a result\n", "healthy");
    if (h->partial)
        es_text_add(out, "  %-11s what comes again was looked for in the first %d tokens\n", "note", HEALTH_TOKENS);
}

void es_health_json(const es_health *h, es_json *out)
{
    es_json *list = es_json_add_array(out, "findings");
    for (size_t i = 0; i < h->findings && list; i++) {
        const es_health_finding *f = &h->finding[i];
        es_json *one = cJSON_CreateObject();
        if (!one || !cJSON_AddItemToArray(list, one))
            return;
        es_json_add_text(one, "kind", f->kind);
        es_json_add_real(one, "figure", f->figure);
        es_json_add_text(one, "unit", f->unit);
        es_json *first = f->first.known ? es_json_add_object(one, "first") : NULL;
        if (!first) {
            cJSON_AddNullToObject(one, "first");
        } else if (strcmp(f->kind, "layers") == 0) {
            es_json_add_int(first, "layer", f->first.layer);
        } else {
            es_json_add_int(first, "request", (int64_t)f->first.request);
            es_json_add_int(first, "position", (int64_t)f->first.position);
            if (f->first.layer >= 0)
                es_json_add_int(first, "layer", f->first.layer);
        }
        es_json_add_text(one, "found", f->found);
        es_json_add_text(one, "distorts", f->distorts);
    }
}
