/* Verdict: the rule of docs/verdict.md, and how it is said. */
#include <math.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/study/verdict_inside.h"

/* ---- the rule ---- */

/* What each could win; by time where it is known how fast who knows the future would be, else by hits. */
static void verdict_gains(verdict *v, bool timed)
{
    v->gain_policy = v->gain_size = v->gain_split = NAN;
    if (timed) {
        v->gain_policy = 1.0 - verdict_seconds(v->bracket.least_ns) / v->now.total_s;
        if (!v->no_more)
            v->gain_size = 1.0 - v->more.total_s / v->now.total_s;
        return;
    }
    if (!v->no_curves)
        v->gain_policy = v->belady - v->now.hit_rate;
    if (!v->no_more)
        v->gain_size = v->more.hit_rate - v->now.hit_rate;
    if (!v->no_curves && !v->no_split && v->per_layer)
        v->gain_split = v->split_best - v->split_equal;
}

/* The greatest gain of those that reach their thresholds; of equal ones the first, for it costs nothing to buy. */
static const char *verdict_lever(const verdict *v, bool timed)
{
    const struct {
        const char *name;
        double gain, least;
    } levers[] = {
        {"layer split", v->gain_split, VERDICT_HITS_SURE},
        {"policy", v->hopeless ? (double)NAN : v->gain_policy, timed ? VERDICT_POLICY : VERDICT_HITS},
        {"size", v->gain_size, timed ? VERDICT_SIZE : VERDICT_HITS_SURE},
    };
    const char *best = NULL;
    double most = 0.0;
    for (size_t i = 0; i < sizeof levers / sizeof *levers; i++)
        if (levers[i].gain >= levers[i].least && levers[i].gain > most) {
            best = levers[i].name;
            most = levers[i].gain;
        }
    return best;
}

void verdict_decide(verdict *v)
{
    /* The schedules know no quotas of layers: there their gain would be that of a policy and of a division together. */
    const bool timed = !v->no_bracket && v->now.total_s > 0.0 && !v->per_layer;
    const double total = v->now.total_s, clairvoyant = verdict_seconds(v->bracket.least_ns), compute = verdict_seconds(v->bracket.bound.compute_ns);
    v->by = timed ? "time" : "hit rate";
    v->hopeless = v->slots / v->demand < VERDICT_RATIO;
    verdict_gains(v, timed);
    const double busy = timed ? compute / total : 1.0 - v->now.stall_s / total;
    const double waits = timed ? (clairvoyant - compute) / clairvoyant : v->now.stall_s / total;
    const char *lever = busy >= VERDICT_COMPUTE ? "compute" : verdict_lever(v, timed);
    v->verdict = lever ? lever : waits >= VERDICT_LINK ? "link" : "nothing helps";
}

/* ---- in words ---- */

static void verdict_line(es_json *sentences, es_text *text)
{
    if (text->at)
        cJSON_AddItemToArray(sentences, cJSON_CreateString(text->at));
    es_text_free(text);
}

static void verdict_say_main(const verdict *v, es_json *sentences)
{
    static const struct {
        const char *name, *text;
    } said[] = {
        {"policy", "a better policy or predictor is what could win most; the machine and the size allow it"},
        {"size", "of what can be measured, one more GiB wins most"},
        {"layer split", "the capacity is divided badly over the layers; contract.quota can give each its own"},
        {"link", "what remains is waiting for copies; only a faster link or smaller experts help"},
        {"compute", "nearly all of the time is compute; no cache can make that shorter"},
        {"nothing helps", "no policy, no further GiB and no division over layers wins enough to be worth it"},
    };
    es_text text = {0};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strcmp(said[i].name, v->verdict) == 0)
            es_text_add(&text, "Verdict: %s. Decided by %s: %s.", v->verdict, v->by, said[i].text);
    verdict_line(sentences, &text);
}

static void verdict_say_time(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    if (!isfinite(v->now.total_s))
        return;
    es_text_add(&text, "The run takes ");
    es_text_duration(&text, v->now.total_s * 1e9);
    es_text_add(&text, " (%.4g tokens/s)", v->now.tokens_per_s);
    if (v->no_bracket) {
        es_text_add(&text, "; how fast it could be is not known: %s.", v->no_bracket);
        verdict_line(sentences, &text);
        return;
    }
    es_text_add(&text, "; who knows the future needs ");
    es_text_duration(&text, (double)v->bracket.least_ns);
    es_text_add(&text, ", and nobody less than ");
    es_text_duration(&text, (double)v->bracket.bound.total_ns);
    es_text_add(&text, ".");
    verdict_line(sentences, &text);
    es_text_add(&text, "So a better policy or predictor could still win up to %.1f %% of the time.", 100.0 * fmax(1.0 - verdict_seconds(v->bracket.least_ns) / v->now.total_s, 0.0));
    verdict_line(sentences, &text);
    es_text_add(&text, "Compute alone takes ");
    es_text_duration(&text, (double)v->bracket.bound.compute_ns);
    es_text_add(&text, ", the copies that cannot be avoided take ");
    es_text_duration(&text, (double)v->bracket.bound.link_ns);
    es_text_add(&text, ".");
    verdict_line(sentences, &text);
}

static void verdict_say_hits(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    es_text_add(&text, "The policy hits %.1f %% of all lookups", 100.0 * v->now.hit_rate);
    if (v->no_curves)
        es_text_add(&text, "; there are no curves to compare it with: %s.", v->no_curves);
    else
        es_text_add(&text, "; at this size LRU hits %.1f %% and %s %.1f %%.", 100.0 * v->lru,
            v->unequal ? "Belady's rule, which is not the best where sizes differ," : "Belady, which knows the future,", 100.0 * v->belady);
    verdict_line(sentences, &text);
    if (v->no_curves || v->no_split || !v->per_layer)
        return;
    es_text_add(&text, "LRU with the best division over layers hits %.1f %%, with equal shares %.1f %%.", 100.0 * v->split_best, 100.0 * v->split_equal);
    verdict_line(sentences, &text);
}

static void verdict_say_size(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    if (isfinite(v->slots) && isfinite(v->demand)) {
        es_text_add(&text, "%s has %.0f slots; an event needs %.1f experts%s.", v->per_layer ? "A layer's cache" : "The cache", floor(v->slots), v->demand,
            v->hopeless ? ": so few slots that no policy helps" : "");
        verdict_line(sentences, &text);
    }
    if (v->no_more) {
        es_text_add(&text, "What one more GiB would buy is not known: %s.", v->no_more);
        verdict_line(sentences, &text);
        return;
    }
    es_text_add(&text, "One more GiB: hit rate %.1f %% instead of %.1f %%", 100.0 * v->more.hit_rate, 100.0 * v->now.hit_rate);
    if (isfinite(v->more.tokens_per_s))
        es_text_add(&text, ", %.4g tokens/s instead of %.4g", v->more.tokens_per_s, v->now.tokens_per_s);
    es_text_add(&text, ".");
    verdict_line(sentences, &text);
}

void verdict_say(const verdict *v, es_json *sentences)
{
    es_text text = {0};
    verdict_say_main(v, sentences);
    verdict_say_time(v, sentences);
    verdict_say_hits(v, sentences);
    verdict_say_size(v, sentences);
    if (v->tokens < VERDICT_TOKENS) {
        es_text_add(&text, "Warning: only %llu tokens, fewer than %d; the cold start dominates what was said.", (unsigned long long)v->tokens, VERDICT_TOKENS);
        verdict_line(sentences, &text);
    }
}
