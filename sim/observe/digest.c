/* Digest: two numbers that say whether two runs did the same.
 *
 * decisions: what left each tier in order, and what was admitted in order. The two streams are hashed apart, object by object,
 * and joined at the end, so neither the grouping of objects into facts nor how the streams interleave matters; no time enters.
 * Zero-cost links under the simulated clock must give the decisions of clock none.
 * facts: every fact with its times, as it was told. */
#include "sim/observe/observe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct digest {
    uint64_t evictions, admissions, facts;
    uint64_t evicted, admitted, heard;      /* how many entered each */
} digest;

static void digest_objects(uint64_t *hash, uint64_t *count, const es_fact *fact, uint32_t tier)
{
    uint64_t h = *hash;
    for (uint32_t i = 0; i < fact->count; i++)
        h = es_mix(h ^ ((uint64_t)tier << 32 | fact->objects[i]));
    *hash = h;
    *count += fact->count;
}

static uint64_t digest_fact(uint64_t h, const es_fact *fact)
{
    const uint64_t head[] = {(uint64_t)fact->kind << 8 | (uint64_t)fact->why, (uint64_t)fact->at, (uint64_t)fact->since,
        (uint64_t)fact->from << 32 | fact->to, (uint64_t)fact->channel << 32 | fact->count, (uint64_t)fact->bytes, fact->step};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        h = es_mix(h ^ head[i]);
    for (uint32_t i = 0; fact->objects && i < fact->count; i++)
        h = es_mix(h ^ fact->objects[i]);
    if (fact->kind == ES_FACT_TURN) {
        for (const char *c = fact->turn->path; *c; c++)
            h = es_mix(h ^ (uint64_t)*c);
        uint64_t bits;
        memcpy(&bits, &fact->turn->to, sizeof bits);
        return es_mix(h ^ bits);
    }
    const es_event *event = fact->event;
    if (fact->kind != ES_FACT_USE && fact->kind != ES_FACT_RELEASE)
        return h;               /* elsewhere the event may not be composed yet */
    h = es_mix(h ^ event->index);
    h = es_mix(h ^ event->layer);
    h = es_mix(h ^ ((uint64_t)event->hits << 32 | event->late));
    for (uint32_t i = 0; i < event->count; i++)
        h = es_mix(h ^ event->list[i]);
    return h;
}

static void digest_notify(void *self, const es_fact *fact)
{
    digest *s = self;
    if (fact->kind == ES_FACT_EVICT || fact->kind == ES_FACT_LEAVE_LOW)
        digest_objects(&s->evictions, &s->evicted, fact, fact->from);
    else if (fact->kind == ES_FACT_START || fact->kind == ES_FACT_START_GUESS)
        digest_objects(&s->admissions, &s->admitted, fact, fact->to);
    s->facts = digest_fact(s->facts, fact);
    s->heard++;
}

static void digest_add(es_json *out, const char *name, uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    es_json_add_text(out, name, text);
}

static void digest_report(void *self, es_json *out)
{
    const digest *s = self;
    es_json *members = observe_object(out, "digest");
    digest_add(members, "decisions", es_mix(es_mix(s->evictions ^ s->evicted) ^ s->admissions) ^ s->admitted);
    digest_add(members, "facts", es_mix(s->facts ^ s->heard));
}

const es_observer es_observer_digest = {
    .part = {
        .abi = ES_ABI,
        .name = "digest",
        .brief = "Hashes over all decisions and over all facts: equal runs have equal digests.",
        .size = sizeof(digest),
        .notify = digest_notify,
        .hears = (ES_HEARS(ES_FACTS) - 1u) & ~(ES_HEARS(ES_FACT_GUESS) | ES_HEARS(ES_FACT_COPY) | ES_HEARS(ES_FACT_CHARGE) |
            ES_HEARS(ES_FACT_WAITING) | ES_HEARS(ES_FACT_DEPART)),
    },
    .report = digest_report,
};
