/* Summary of what was simulated beyond what the machine was measured with: a curve is known between the sizes that it was fitted to. See
 * summary.h. */
#include "sim/cli/summary.h"

/* Bytes of the largest expert that a compute unit's points have; 0: it has none. */
static double measured_experts(const es_json *points)
{
    const es_json *point;
    double most = 0.0, bytes;
    cJSON_ArrayForEach(point, points) {
        const char *text = summary_text(point, "bytes");
        if (text && es_text_quantity(text, ES_UNIT_BYTES, &bytes, NULL) == ES_OK)
            most = fmax(most, bytes);
    }
    return most;
}

/* The largest that a channel's profile was measured with, in bytes; 0: nobody knows. */
static double measured_most(const es_json *machine, const es_json *channel)
{
    const char *profile = summary_text(channel, "profile");
    es_text path = {0};
    if (!profile)
        return 0.0;
    es_text_add(&path, "links.%s.fit.largest_B", profile);
    double most = path.failed ? 0.0 : summary_number(machine, path.at);
    path.length = 0;
    es_text_add(&path, "compute.%s.points", profile);
    if (!(most > 0.0))
        most = path.failed ? 0.0 : measured_experts(es_json_at(machine, path.at));
    es_text_free(&path);
    return most;
}

void summary_measured(const es_json *r, es_text *out)
{
    const es_json *machine = es_json_at(r, "provenance.config.machine"), *channel;
    const double expert = summary_number(r, "capacity.population_bytes") / summary_number(r, "capacity.objects");
    bool some = false;
    cJSON_ArrayForEach(channel, es_json_at(r, "provenance.config.channels")) {
        const es_json *did = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r, "channels"), channel->string);
        const double copies = summary_number(did, "transfers"), each = copies > 0.0 ? summary_number(did, "bytes") / copies : expert;
        const double most = measured_most(machine, channel);
        if (!(most > 0.0) || !(each > most) || !(summary_number(did, "busy_s") > 0.0))
            continue;
        if (!some)
            summary_label(out, "note");
        es_text_add(out, some ? "; " : "extrapolated: ");
        es_text_bytes(out, each);
        es_text_add(out, " on %s, whose profile was measured up to ", channel->string);
        es_text_bytes(out, most);
        some = true;
    }
    if (some)
        es_text_add(out, "\n");
}
