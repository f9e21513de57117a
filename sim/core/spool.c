/* Spool: write-backs that hold no room of their tier (tiers.NAME.write_buffer), as where a store hands a copy of what it gives up to
 * threads that write it down by and by.
 *
 * A victim that must be written is OUTBOUND as elsewhere, but its units are free at once: its bytes are in the buffer until it has
 * landed below. One that the buffer has no room for keeps its room in the tier. Who wants it meanwhile takes it from the buffer: it is
 * RESIDENT again, in no time, where the tier makes room for it as for any newcomer; else it is waited for until it has landed
 * (es_dirty_comes). A write that has not begun is forgotten then, one that has goes on. */
#include "sim/core/core.h"

#include <string.h>

#include "sim/base/text.h"

static es_code spool_open(es_run *run, es_tier *tier, const char *text, es_err *err)
{
    double bytes = (double)INT64_MAX;
    if (!text || strcmp(text, "none") == 0)
        return ES_OK;
    if (strcmp(text, "unbounded") != 0 && es_text_quantity(text, ES_UNIT_BYTES, &bytes, NULL) != ES_OK)
        return es_err_set(err, ES_EINPUT, "tiers.%s.write_buffer: \"%s\" is none of none, unbounded or a size (\"4GiB\")", tier->name, text);
    if (tier->home || tier->serving)
        return es_err_set(err, ES_EINPUT, "tiers.%s.write_buffer: is for tiers between home and the serving ones; %s", tier->name,
            tier->home ? "nothing leaves home" : "the copy down reads what is to leave, in its place");
    if (tier->write_back == ES_WRITE_NEVER)
        return es_err_set(err, ES_EINPUT, "tiers.%s.write_buffer: its write_back is never", tier->name);
    if (tier->ground)
        return es_err_set(err, ES_EINPUT, "tiers.%s.write_buffer: allocator %s places copies, and what is written from where it lies stays there until then; leave "
            "it out", tier->name, tier->ground->allocator->part.name);
    tier->spool.most = bytes >= (double)INT64_MAX ? INT64_MAX : (int64_t)bytes;
    ES_NEED(tier->spool.holds = es_new_mask(run), "a write buffer");
    tier->view->spooled = tier->spool.holds;
    return ES_OK;
}

es_code es_spool_open(es_run *run, es_err *err)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_code code = spool_open(run, &run->tier[t], run->plan->tiers[t].write_buffer, err);
        if (code != ES_OK)
            return code;
    }
    return ES_OK;
}

static int64_t spool_bytes(const es_run *run, const es_tier *tier, es_oid object)
{
    return tier->weight * run->bytes[object >> 6];
}

bool es_spool_enter(es_run *run, es_tier *tier, es_oid object)
{
    es_spool *s = &tier->spool;
    const int64_t bytes = spool_bytes(run, tier, object);
    if (!s->holds)
        return false;
    if (bytes > s->most - s->bytes) {
        s->refused++;
        return false;
    }
    s->holds[object >> 6] |= es_bit(object);
    s->entered++;
    s->bytes += bytes;
    s->peak = s->bytes > s->peak ? s->bytes : s->peak;
    return true;
}

void es_spool_leave(es_run *run, es_tier *tier, es_oid object)
{
    tier->spool.holds[object >> 6] &= ~es_bit(object);
    tier->spool.bytes -= spool_bytes(run, tier, object);
}

void es_spool_report(const es_tier *tier, es_json *out)
{
    const es_spool *s = &tier->spool;
    es_json *buffer = s->holds ? es_json_add_object(out, "write_buffer") : NULL;
    if (!buffer)
        return;
    es_json_add_int(buffer, "entered", (int64_t)s->entered);
    es_json_add_int(buffer, "refused", (int64_t)s->refused);
    es_json_add_int(buffer, "recalled", (int64_t)s->recalled);
    es_json_add_int(buffer, "bytes", s->bytes);
    es_json_add_int(buffer, "peak_bytes", s->peak);
}
