/* Precision: what was looked up and found at each precision of the experts, and how many bits a used weight had on average. Nothing is
 * reported where nobody says what precision experts have (catalog.bits). Lookups before contract.skip_tokens are left out. */
#include "sim/observe/observe.h"

#include <stdio.h>

enum { PRECISION_MOST = 256 };  /* bits are a byte */

typedef struct precision_count {
    uint64_t lookups, hits, late;
    int64_t bytes;              /* of what was looked up */
} precision_count;

typedef struct precision {
    const es_view *view;
    precision_count *count;     /* [PRECISION_MOST] by bits */
} precision;

static es_code precision_init(void *self, const es_site *site, es_err *err)
{
    precision *s = self;
    s->view = site->view;
    s->count = ES_NEW_ARRAY(site->arena, PRECISION_MOST, precision_count);
    return s->count ? ES_OK : es_err_nomem(err, "lookups by precision");
}

static void precision_notify(void *self, const es_fact *fact)
{
    precision *s = self;
    const es_event *e = fact->event;
    for (uint32_t i = 0; e->counted && i < e->words; i++) {
        const size_t w = e->word + i;
        precision_count *count = &s->count[s->view->bits[w]];
        const uint64_t wanted = (uint64_t)__builtin_popcountll(e->mask[i]);
        uint64_t inbound = 0;
        if (wanted == 0)
            continue;
        for (uint32_t t = 0; t < s->view->tiers && e->late > 0; t++)
            inbound |= s->view->tier[t].serving ? s->view->tier[t].inbound[w] : 0;
        count->lookups += wanted;
        count->hits += (uint64_t)__builtin_popcountll(e->hit[i]);
        count->late += (uint64_t)__builtin_popcountll(e->mask[i] & ~e->hit[i] & inbound);
        count->bytes += (int64_t)wanted * s->view->bytes[w];
    }
}

static void precision_report(void *self, es_json *out)
{
    const precision *s = self;
    uint64_t lookups = 0, bits = 0, now[PRECISION_MOST] = {0};
    es_json *members = s->view->bits[0] ? observe_object(out, "precision") : NULL;
    for (uint32_t w = 0; w < s->view->words; w++)
        now[s->view->bits[w]] += (uint64_t)__builtin_popcountll(s->view->current[w]);
    for (uint32_t b = 1; members && b < PRECISION_MOST; b++) {
        const precision_count *count = &s->count[b];
        char name[16];
        if (now[b] + count->lookups == 0)
            continue;
        snprintf(name, sizeof name, "%ubit", b);
        es_json *one = observe_object(members, name);
        observe_count(one, "objects", now[b]);
        observe_count(one, "lookups", count->lookups);
        observe_count(one, "hits", count->hits);
        observe_count(one, "late", count->late);
        es_json_add_int(one, "lookup_bytes", count->bytes);
        lookups += count->lookups;
        bits += b * count->lookups;
    }
    if (!members)
        return;
    es_json_add_real(members, "mean_bits", observe_ratio((double)bits, (double)lookups));
    observe_count(members, "reassigned", s->view->tally->reassigned);
}

const es_observer es_observer_precision = {
    .part = {
        .abi = ES_ABI,
        .name = "precision",
        .brief = "Lookups and hits by the bits of the experts, and the bits of a used weight on average.",
        .size = sizeof(precision),
        .init = precision_init,
        .notify = precision_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .report = precision_report,
};
