/* What the files of the summary share: figures of a result, and how they are written. */
#ifndef ES_CLI_SUMMARY_H
#define ES_CLI_SUMMARY_H

#include <math.h>
#include <stdlib.h>

#include "sim/cli/cmd.h"

static inline double summary_number(const es_json *result, const char *path)
{
    const es_json *value = es_json_at(result, path);
    return cJSON_IsNumber(value) ? value->valuedouble : cJSON_IsRaw(value) ? strtod(value->valuestring, NULL) : (double)NAN;
}

static inline const char *summary_text(const es_json *result, const char *path)
{
    const es_json *value = es_json_at(result, path);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

/* A channel's name may be wider than the column. */
static inline void summary_label(es_text *out, const char *label)
{
    es_text_add(out, "  %-13s ", label);
}

static inline void summary_count(es_text *out, double value)
{
    es_text_count(out, (int64_t)value);
}

/* "0.53", "59.8", "1,024" of something per second. */
static inline void summary_rate(es_text *out, double rate)
{
    if (rate < 1000)
        es_text_add(out, rate < 10 ? "%.2f" : "%.1f", rate);
    else
        summary_count(out, round(rate));
}

static inline void summary_seconds(es_text *out, double seconds)
{
    es_text_duration(out, seconds * 1e9);
}

/* "71.2 %"; "0 %" and "100 %" are none and all, never nearly so. */
static inline void summary_percent(es_text *out, double part, double of)
{
    double percent = of > 0 ? 100.0 * part / of : 0.0;
    if (percent > 0.0 && percent < 0.005)
        es_text_add(out, "< 0.01 %%");
    else if (percent > 99.95 && percent < 100.0)
        es_text_add(out, percent < 99.99 ? "%.2f %%" : "> 99.99 %%", percent);
    else
        es_text_add(out, "%.*f %%", percent >= 99.95 || percent == 0.0 ? 0 : percent < 1.0 ? 2 : 1, percent);
}

/* Speed and latency of tokens. */
void summary_speed(const es_json *r, es_text *out);
/* A note where copies or experts are larger than any that the machine was measured with. */
void summary_measured(const es_json *r, es_text *out);
/* All there is to say of a trace of buffers. */
void summary_buffers(const es_json *r, es_text *out);

#endif
