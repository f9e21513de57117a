/* What the verdict says to people: first what to do and the number that decides it, then what it was judged by. */
#include <math.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/study/verdict_inside.h"

static void say(es_json *sentences, es_text *text)
{
    if (text->at)
        cJSON_AddItemToArray(sentences, cJSON_CreateString(text->at));
    es_text_free(text);
}

static bool say_timed(const verdict *v)
{
    return strcmp(v->by, "time") == 0;
}

static void say_seconds(es_text *text, double seconds)
{
    es_text_duration(text, seconds * 1e9);
}

/* ---- the verdict ---- */

static void say_policy(const verdict *v, es_text *text)
{
    if (say_timed(v)) {
        es_text_add(text, "a better policy or predictor could save up to %.1f %% of the time, as who knows the future would", 100.0 * v->gain_policy);
        return;
    }
    es_text_add(text, "a better policy could hit up to %.1f %% of all lookups instead of %.1f %%", 100.0 * v->belady, 100.0 * v->now.hit_rate);
    if (v->lru > v->now.hit_rate && v->lru - v->now.hit_rate >= VERDICT_HITS_SURE)
        es_text_add(text, "; plain LRU already hits %.1f %%", 100.0 * v->lru);
}

static void say_size(const verdict *v, es_text *text)
{
    const verdict_more *more = &v->more[v->most];
    if (say_timed(v))
        es_text_add(text, "one more GiB of %s saves %.1f %% of the time", more->tier, 100.0 * v->gain_size);
    else
        es_text_add(text, "one more GiB of %s raises the hit rate from %.1f to %.1f %%", more->tier, 100.0 * v->now.hit_rate, 100.0 * more->ran.hit_rate);
}

static void say_link(const verdict *v, es_text *text)
{
    const es_bracket *b = &v->bracket;
    if (!say_timed(v) || v->no_bracket) {
        es_text_add(text, "%.1f %% of the time is waiting for copies, and nothing that was tried makes it much less", 100.0 * v->waits);
        return;
    }
    es_text_add(text, "even the fastest schedule that was found spends %.1f %% of its time on copies; only a faster link%s%s%s%s, or smaller experts, make that less",
        100.0 * v->waits, b->from ? " from " : "", b->from ? b->from : "", b->from ? " to " : "", b->from ? b->to : "");
}

static void say_divided(const verdict *v, es_text *text)
{
    es_text_add(text, "the same capacity divided over the layers as is best for LRU (contract.quota, layer_split.slots of --json) ");
    if (say_timed(v))
        es_text_add(text, "saves %.1f %% of the time", 100.0 * v->gain_split);
    else
        es_text_add(text, "raises the hit rate from %.1f to %.1f %%", 100.0 * v->now.hit_rate, 100.0 * v->divided.hit_rate);
}

/* What each could win, in per cent of what decides. */
static void say_nothing(const verdict *v, es_text *text)
{
    const char *of = say_timed(v) ? "of the time" : "of all lookups";
    const struct {
        const char *name;
        double gain;
    } levers[] = {{"who knows the future", v->gain_policy}, {"one more GiB", v->gain_size}, {"the best division over layers", v->gain_split}};
    bool some = false;
    for (size_t i = 0; i < sizeof levers / sizeof *levers; i++) {
        if (!isfinite(levers[i].gain))
            continue;
        es_text_add(text, "%s%s %s %.1f %% %s", some ? ", " : "", levers[i].name, say_timed(v) ? "saves" : "hits", 100.0 * fmax(levers[i].gain, 0.0),
            some || say_timed(v) ? of : "more of all lookups");
        some = true;
    }
    es_text_add(text, some ? "; that is not worth a change" : "what could win something is not known");
}

static void say_main(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    es_text_add(&text, "Verdict: %s. Decided by %s: ", v->verdict, v->by);
    if (!strcmp(v->verdict, "policy"))
        say_policy(v, &text);
    else if (!strcmp(v->verdict, "size"))
        say_size(v, &text);
    else if (!strcmp(v->verdict, "layer split"))
        say_divided(v, &text);
    else if (!strcmp(v->verdict, "link"))
        say_link(v, &text);
    else if (!strcmp(v->verdict, "compute"))
        es_text_add(&text, "%.1f %% of the time is compute, which no cache makes shorter", 100.0 * v->busy);
    else
        say_nothing(v, &text);
    es_text_add(&text, ".");
    say(sentences, &text);
}

/* ---- what it was judged by ---- */

static void say_time(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    const double bound = verdict_seconds(v->bracket.bound.total_ns);
    if (!isfinite(v->now.total_s))
        return;
    es_text_add(&text, "The run takes ");
    say_seconds(&text, v->now.total_s);
    if (isfinite(v->now.tokens_per_s))
        es_text_add(&text, " (%.4g tokens/s)", v->now.tokens_per_s);
    if (v->no_bracket) {
        es_text_add(&text, "; how fast it could be is not known: %s.", v->no_bracket);
    } else if (v->clairvoyant_s < v->now.total_s) {
        es_text_add(&text, "; who knows the future takes ");
        say_seconds(&text, v->clairvoyant_s);
    } else {
        es_text_add(&text, "; no faster schedule was found");
    }
    if (!v->no_bracket && bound > 0.0) {
        es_text_add(&text, ", and nobody less than ");
        say_seconds(&text, bound);
    }
    es_text_add(&text, v->no_bracket ? "" : ".");
    say(sentences, &text);
}

static void say_parts(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    const double compute = verdict_seconds(v->bracket.bound.compute_ns), link = verdict_seconds(v->bracket.bound.link_ns);
    if (v->no_bracket || !isfinite(v->now.total_s) || compute + link <= 0.0)
        return;
    if (compute > 0.0) {
        es_text_add(&text, "Compute alone takes ");
        say_seconds(&text, compute);
    }
    if (link > 0.0) {
        es_text_add(&text, "%s from %s to %s that nobody can avoid take ", compute > 0.0 ? "; the copies" : "The copies", v->bracket.from, v->bracket.to);
        say_seconds(&text, link);
    }
    es_text_add(&text, ".");
    say(sentences, &text);
}

static void say_hits(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    es_text_add(&text, "The policy (%s) hits %.1f %% of all lookups", v->policy, 100.0 * v->now.hit_rate);
    if (v->no_curves)
        es_text_add(&text, "; what others would hit is not known: %s.", v->no_curves);
    else
        es_text_add(&text, "; at this size LRU without a predictor hits %.1f %% and %s %.1f %%.", 100.0 * v->lru,
            v->unequal ? "Belady's rule, which is not the best where sizes differ," : "Belady, which knows the future,", 100.0 * v->belady);
    say(sentences, &text);
    if (v->no_divided)
        return;
    es_text_add(&text, "With the best division over layers: hit rate %.1f %% instead of %.1f %%", 100.0 * v->divided.hit_rate, 100.0 * v->now.hit_rate);
    if (isfinite(v->divided.tokens_per_s))
        es_text_add(&text, ", %.4g tokens/s instead of %.4g", v->divided.tokens_per_s, v->now.tokens_per_s);
    es_text_add(&text, ".");
    say(sentences, &text);
}

static void say_room(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    if (v->capacity == 0)
        return;
    if (v->tier)
        es_text_add(&text, "%s %s has room for ", v->per_layer ? "A layer's share of tier" : "Tier", v->tier);
    else
        es_text_add(&text, "The serving tiers together have room for ");
    if (v->everything && !v->per_layer) {
        es_text_add(&text, "every expert.");
    } else if (isfinite(v->slots) && isfinite(v->demand)) {
        es_text_add(&text, "%.0f experts; a layer of a step needs %.1f", floor(v->slots), v->demand);
        if (!v->per_layer && v->cycle > v->demand)
            es_text_add(&text, ", all layers together %.0f", v->cycle);
        es_text_add(&text, "%s.", v->hopeless ? ": so few that no policy helps" : "");
    } else {
        es_text_add(&text, "%lld %s.", (long long)v->capacity, v->in_bytes ? "bytes" : "slots");
    }
    say(sentences, &text);
}

/* Of a tier below, what nobody would see is left out. */
static void say_tier(const verdict *v, const verdict_more *more, bool below, es_json *sentences)
{
    es_text text = {0};
    const bool hits = !below || fabs(more->ran.hit_rate - v->now.hit_rate) >= 0.0005, speed = isfinite(more->ran.tokens_per_s);
    if (more->why)
        es_text_add(&text, "What one more GiB of %s would buy is not known: %s.", more->tier, more->why);
    if (more->why || (!hits && !speed)) {
        say(sentences, &text);
        return;
    }
    es_text_add(&text, "One more GiB of %s: ", more->tier);
    if (hits)
        es_text_add(&text, "hit rate %.1f %% instead of %.1f %%%s", 100.0 * more->ran.hit_rate, 100.0 * v->now.hit_rate, speed ? ", " : "");
    if (speed)
        es_text_add(&text, "%.4g tokens/s instead of %.4g", more->ran.tokens_per_s, v->now.tokens_per_s);
    es_text_add(&text, ".");
    say(sentences, &text);
}

static void say_more(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    for (uint32_t i = 0; i < v->mores; i++)
        say_tier(v, &v->more[i], i > 0, sentences);
    if (v->mores == 0)
        es_text_add(&text, "What one more GiB would buy is not known: %s.", v->no_more);
    say(sentences, &text);
}

void verdict_say(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    say_main(v, sentences);
    say_time(v, sentences);
    say_parts(v, sentences);
    say_hits(v, sentences);
    say_room(v, sentences);
    say_more(v, sentences);
    if (v->tokens >= VERDICT_TOKENS)
        return;
    es_text_add(&text, "Warning: only %llu tokens, fewer than %d; the cold start dominates what was said.", (unsigned long long)v->tokens, VERDICT_TOKENS);
    say(sentences, &text);
}
