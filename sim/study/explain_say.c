/* Explain, in words: what a cause is called, and the verdict. */
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/study/explain_inside.h"

static const struct { const char *cause, *words; } say_causes[] = {
    {"dense", "dense layers"},
    {"expert_gpu", "experts on the gpu"},
    {"expert_cpu", "experts on the host"},
    {"access", "reading experts from their tier"},
    {"lookup", "looking experts up"},
    {"evict", "evictions"},
    {"move", "moving copies inside a tier"},
    {"predict", "asking the predictor"},
    {"allocate", "getting memory"},
    {"resident", "making buffers resident"},
    {"compact", "moving buffers"},
};

/* Of a channel's wait, or operation. %s: the channel. */
static const struct { const char *group, *kind, *words; } say_waits[] = {
    {"wait", "transfer", "waiting for copies over %s"},
    {"wait", "late", "waiting for guesses on their way over %s"},
    {"wait", "shared", "copies over %s slowed by others"},
    {"wait", "behind_demand", "queued on %s behind another demand"},
    {"wait", "behind_guess", "queued on %s behind a guess"},
    {"wait", "behind_write", "waiting for write-backs over %s"},
    {"wait", "behind_device", "queued on %s behind another device"},
    {"wait", "room", "waiting for room, to come over %s"},
    {"copy", "demand", "demands over %s"},
    {"copy", "guess", "guesses over %s"},
    {"copy", "write", "write-backs over %s"},
    {"copy", "room", "waiting for room, to come over %s"},
};

enum { SAY_NAME = 256, SAY_NOWHERE = sizeof say_waits / sizeof *say_waits };

/* Which of say_waits it is, and its channel. A channel's name may have dots. */
static size_t say_split(const char *cause, char channel[SAY_NAME])
{
    const char *first = strchr(cause, '.'), *last = strrchr(cause, '.');
    if (!first || last == first)
        return SAY_NOWHERE;
    snprintf(channel, SAY_NAME, "%.*s", (int)(last - first - 1), first + 1);
    for (size_t i = 0; i < SAY_NOWHERE; i++)
        if (strncmp(cause, say_waits[i].group, (size_t)(first - cause)) == 0 && strcmp(last + 1, say_waits[i].kind) == 0)
            return i;
    return SAY_NOWHERE;
}

void explain_says(const char *cause, es_text *out)
{
    char channel[SAY_NAME];
    const size_t wait = say_split(cause, channel);
    for (size_t i = 0; i < sizeof say_causes / sizeof *say_causes; i++)
        if (strcmp(cause, say_causes[i].cause) == 0) {
            es_text_add(out, "%s", say_causes[i].words);
            return;
        }
    if (wait == SAY_NOWHERE) {
        es_text_add(out, "%s", cause);
        return;
    }
    const char *words = say_waits[wait].words, *at = strstr(words, "%s");
    es_text_add(out, "%.*s%s%s", (int)(at - words), words, channel, at + 2);
}

/* ---- the verdict ---- */

/* "60.1 %" */
static void say_share(es_text *out, double share)
{
    es_text_add(out, share >= 0.9995 ? "%.0f %%" : "%.1f %%", 100.0 * share);
}

typedef struct say_waiting {   /* what the causes say of waits */
    double all, worst;          /* shares: of all channels, of the worst of them */
    char channel[SAY_NAME];     /* which that is */
    const es_json *once, *queue;/* the largest cause that is none; the largest that is not just copies being on their way */
} say_waiting;

/* All waits of a channel together. */
static double say_channel(const es_json *causes, const char *channel)
{
    const es_json *one;
    double sum = 0.0;
    cJSON_ArrayForEach(one, causes) {
        char name[SAY_NAME];
        if (say_split(es_json_at(one, "cause")->valuestring, name) != SAY_NOWHERE && strcmp(name, channel) == 0)
            sum += explain_number(one, "share");
    }
    return sum;
}

static say_waiting say_waits_of(const es_json *causes)
{
    say_waiting found = {0};
    const es_json *one;
    cJSON_ArrayForEach(one, causes) {
        char name[SAY_NAME];
        const size_t wait = say_split(es_json_at(one, "cause")->valuestring, name);
        if (wait == SAY_NOWHERE) {
            found.once = found.once ? found.once : one;
            continue;
        }
        found.all += explain_number(one, "share");
        if (!found.queue && strcmp(say_waits[wait].kind, "transfer") != 0)
            found.queue = one;
        const double share = say_channel(causes, name);
        if (share > found.worst) {
            found.worst = share;
            snprintf(found.channel, sizeof found.channel, "%s", name);
        }
    }
    return found;
}

/* "62.3 % of decode time waits for copies, 41.0 % for those over loads; 14.6 % is queued on memcpy behind a guess" */
static void say_what(const explain *x, const es_json *causes, es_text *out)
{
    const char *time = x->decodes ? "decode time" : "the time";
    const say_waiting w = say_waits_of(causes);
    const double once = w.once ? explain_number(w.once, "share") : 0.0, queue = w.queue ? explain_number(w.queue, "share") : 0.0;
    if (w.all <= once) {
        say_share(out, once);
        es_text_add(out, " of %s goes to %s", time, es_json_at(w.once, "says")->valuestring);
        if (w.all > 0.0) {
            es_text_add(out, ", ");
            say_share(out, w.all);
            es_text_add(out, " waits for copies");
        }
    } else {
        say_share(out, w.all);
        es_text_add(out, " of %s waits for copies", time);
        if (w.worst < w.all) {
            es_text_add(out, ", ");
            say_share(out, w.worst);
            es_text_add(out, " for those");
        }
        es_text_add(out, " over %s", w.channel);
    }
    if (queue >= 0.01) {
        es_text_add(out, ", ");
        say_share(out, queue);
        es_text_add(out, " is %s", es_json_at(w.queue, "says")->valuestring);
    }
}

/* The largest gain, and what guesses cost altogether, where they cost. */
static void say_gain(const es_json *list, es_text *out)
{
    const es_json *one, *without = NULL, *best = list ? list->child : NULL;
    cJSON_ArrayForEach(one, list) if (strcmp(es_json_at(one, "free")->valuestring, "no_prefetch") == 0) without = one;
    if (without && without != best && explain_number(without, "speedup") > 1.005)
        es_text_add(out, "; x%.2f without prefetching", explain_number(without, "speedup"));
    if (best && explain_number(best, "speedup") > 1.005)
        es_text_add(out, "; x%.2f if %s", explain_number(best, "speedup"), es_json_at(best, "says")->valuestring);
}

void explain_verdict(const explain *x, es_json *out)
{
    es_text verdict = {0};
    say_what(x, es_json_at(out, "causes"), &verdict);
    say_gain(es_json_at(out, "what_if"), &verdict);
    if (verdict.at)
        cJSON_ReplaceItemInObjectCaseSensitive(out, "verdict", cJSON_CreateString(verdict.at));
    es_text_free(&verdict);
}
