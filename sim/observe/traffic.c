/* Traffic: what went over each channel and compute unit, and how many bytes a token costs.
 *
 * All but the number of tokens is quoted from the core when the run is over. `channels` is null under clock none, where nothing
 * takes time; bytes are known under both clocks. Everything is of the whole run. */
#include "sim/observe/observe.h"

typedef struct traffic {
    const es_view *view;
    uint64_t tokens[2];         /* by es_phase_of */
} traffic;

static es_code traffic_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    traffic *s = self;
    s->view = site->view;
    return ES_OK;
}

static void traffic_notify(void *self, const es_fact *fact)
{
    traffic *s = self;
    s->tokens[fact->from & 1] += fact->count;
}

static void traffic_channel(const es_channel_view *channel, es_time total, es_json *out)
{
    es_json_add_real(out, "busy_fraction", observe_ratio((double)channel->busy_ns, (double)total * channel->lanes));
    es_json_add_real(out, "busy_s", observe_seconds(channel->busy_ns));
    es_json_add_int(out, "bytes", channel->bytes);
    observe_count(out, "transfers", channel->transfers);
    observe_count(out, "batches", channel->batches);
    es_json_add_real(out, "queue_s", observe_seconds(channel->queue_ns));
    es_json_add_real(out, "wait_s", observe_seconds(channel->wait_ns));
    es_json_add_real(out, "mean_bytes_per_s", observe_ratio((double)channel->bytes * 1e9, (double)total));
}

static void traffic_report(void *self, es_json *out)
{
    const traffic *s = self;
    const es_view *view = s->view;
    const es_counts *tally = view->tally;
    if (view->timed) {
        es_json *channels = observe_object(out, "channels");
        for (uint32_t c = 0; c < view->channels; c++)
            traffic_channel(&view->channel[c], view->times->total, es_json_add_object(channels, view->channel[c].name));
    } else {
        cJSON_AddNullToObject(out, "channels");
    }
    es_json *bytes = observe_object(out, "traffic");
    observe_count(bytes, "decode_tokens", s->tokens[ES_DECODE]);
    observe_count(bytes, "prefill_tokens", s->tokens[ES_PREFILL]);
    es_json_add_real(bytes, "bytes_per_decode_token", observe_ratio((double)tally->decode_fetched_bytes, (double)s->tokens[ES_DECODE]));
    es_json_add_real(bytes, "guess_bytes_per_decode_token", observe_ratio((double)tally->guess_bytes, (double)s->tokens[ES_DECODE]));
    es_json_add_real(bytes, "wasted_fraction", observe_ratio((double)tally->wasted_bytes, (double)tally->guess_bytes));
}

const es_observer es_observer_traffic = {
    .part = {
        .abi = ES_ABI,
        .name = "traffic",
        .brief = "Use of every channel and compute unit, and bytes per token.",
        .size = sizeof(traffic),
        .init = traffic_init,
        .notify = traffic_notify,
        .hears = ES_HEARS(ES_FACT_STEP_END),
    },
    .report = traffic_report,
};
