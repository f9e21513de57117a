/* Words for numbers in titles: as many digits as a reader takes in. See figures_inside.h. */
#include <math.h>
#include <string.h>

#include "plots/figures_inside.h"

void figures_say_number(es_text *out, double value)
{
    const double size = fabs(value);
    if (!isfinite(value))
        es_text_add(out, "?");
    else if (size >= 999.5 || (value == floor(value) && size >= 1.0))
        es_text_count(out, (int64_t)llround(value));
    else
        es_text_add(out, "%.*f", size >= 99.95 || size == 0.0 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3, value);
}

void figures_say_memory(es_text *out, double value, bool in_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int at = 0;
    if (!in_bytes) {
        figures_say_number(out, value);
        es_text_add(out, value == 1.0 ? " slot" : " slots");
        return;
    }
    while (at < 4 && fabs(value) >= 1024.0) {
        value /= 1024.0;
        at++;
    }
    es_text_add(out, "%.*f %s", value == floor(value) || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value, units[at]);
}

void figures_say_time(es_text *out, double seconds)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    int at = 0;
    while (at < 3 && fabs(seconds) < 0.9995 && seconds != 0.0) {
        seconds *= 1e3;
        at++;
    }
    figures_say_number(out, seconds);
    es_text_add(out, " %s", units[at]);
}

void figures_say_share(es_text *out, double share)
{
    const double percent = 100.0 * share;
    es_text_add(out, "%.*f %%", fabs(percent) >= 9.95 || percent == 0.0 ? 0 : fabs(percent) >= 0.995 ? 1 : 2, percent);
}

void figures_begin(es_text *title)
{
    if (title->length && !title->failed && title->at[0] >= 'a' && title->at[0] <= 'z')
        title->at[0] = (char)(title->at[0] - 'a' + 'A');
}

/* Names of causes as attributions have them; others are told as they stand. */
static const struct { const char *key, *text; } say_causes[] = {
    {"dense", "dense compute"}, {"expert_gpu", "experts on the gpu"}, {"expert_cpu", "experts on the cpu"}, {"access", "reading experts in their tier"},
    {"manage", "managing the cache"}, {"lookup", "looking experts up"}, {"evict", "taking victims out"}, {"move", "moving copies inside a tier"},
    {"predict", "asking the predictor"}, {"allocate", "allocating"}, {"resident", "making memory resident"}, {"compact", "compaction"},
};

const char *figures_cause(figures *all, const char *path)
{
    es_text text = {0};
    const char *rest = strncmp(path, "wait.", 5) == 0 ? path + 5 : path, *deeper = strchr(rest, '.');
    if (rest != path)
        es_text_add(&text, "waiting for ");
    for (size_t i = 0; i < sizeof say_causes / sizeof *say_causes && rest == path; i++)
        if (strcmp(path, say_causes[i].key) == 0)
            return say_causes[i].text;
    for (const char *at = rest; *at; at++)
        if (at == deeper)
            es_text_add(&text, ": ");
        else
            es_text_add(&text, "%c", *at == '_' ? ' ' : *at);
    return figures_keep(all, &text);
}
