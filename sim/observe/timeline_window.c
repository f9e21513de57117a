/* Window: see timeline_window.h. */
#include "sim/observe/timeline_window.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

static const char *const window_names[] = {"time", "step", "token", "request"};

static es_code window_wrong(const char *text, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "window: found \"%s\", needs a time such as \"1ms..3ms\", or \"steps=100..120\", \"tokens=500..510\", \"requests=3\"", text);
}

/* One end, of `length` characters; false: it is none. */
static bool window_end(const window *w, const char *text, size_t length, int64_t *out)
{
    char one[32], *end;
    double ns;
    if (length == 0 || length >= sizeof one)
        return false;
    memcpy(one, text, length);
    one[length] = '\0';
    if (w->kind == WINDOW_TIME) {
        es_err ignored = {0};
        const bool fine = es_text_quantity(one, ES_UNIT_TIME, &ns, &ignored) == ES_OK && ns >= 0.0;
        *out = fine ? es_ns_round(ns) : 0;
        return fine;
    }
    *out = strtoll(one, &end, 10);
    return end != one && !*end && *out >= 0 && one[0] >= '0' && one[0] <= '9';
}

/* What stands before "=": "steps", or "step". Behind it goes on what the caller reads. */
static bool window_kind(window *w, const char **text)
{
    const char *equals = strchr(*text, '=');
    w->kind = WINDOW_TIME;
    for (int k = WINDOW_STEPS; equals && k <= WINDOW_REQUESTS; k++) {
        const size_t length = strlen(window_names[k]), given = (size_t)(equals - *text);
        if (strncmp(*text, window_names[k], length) == 0 && (given == length || (given == length + 1 && (*text)[length] == 's')))
            w->kind = k;
    }
    if (w->kind != WINDOW_TIME)
        *text = equals + 1;
    return !equals || w->kind != WINDOW_TIME;
}

es_code window_parse(window *w, const char *given, es_err *err)
{
    const char *text = given;
    *w = (window){.kind = WINDOW_TIME, .last = INT64_MAX, .closed = INT64_MAX};
    if (!text || !*text)
        return ES_OK;
    if (!window_kind(w, &text))
        return window_wrong(given, err);
    const char *dots = strstr(text, "..");
    const size_t before = dots ? (size_t)(dots - text) : strlen(text), after = dots ? strlen(dots + 2) : 0;
    if (before + after == 0 || (!dots && w->kind == WINDOW_TIME) || (before && !window_end(w, text, before, &w->first)) ||
        (after && !window_end(w, dots + 2, after, &w->last)))
        return window_wrong(given, err);
    if (!dots)
        w->last = w->first;
    if (w->last < w->first || (w->kind == WINDOW_TIME && w->last == w->first))
        return es_err_set(err, ES_EINPUT, "window: \"%s\" ends before it begins", given);
    w->opened = w->kind == WINDOW_TIME ? w->first : 0;
    w->closed = w->kind == WINDOW_TIME ? w->last : 0;
    return ES_OK;
}

static bool window_wants(const window *w, const es_fact *step)
{
    if (w->kind == WINDOW_STEPS)
        return (int64_t)step->step >= w->first && (int64_t)step->step <= w->last;
    if (w->kind == WINDOW_TOKENS)
        return w->tokens <= w->last && w->tokens + (int64_t)step->count > w->first;
    for (uint32_t t = 0; step->tokens && t < step->count; t++)
        if (step->tokens[t].request >= w->first && step->tokens[t].request <= w->last)
            return true;
    return false;
}

void window_step(window *w, const es_fact *step)
{
    if (w->kind == WINDOW_TIME || w->cut)
        return;
    w->open = window_wants(w, step);
    w->tokens += step->count;
    if (!w->open)
        return;
    if (w->closed != step->at || w->closed == w->opened)    /* steps that follow each other are one stretch */
        w->opened = step->at;
    w->closed = INT64_MAX;
}

void window_step_end(window *w, es_time at)
{
    if (w->open && !w->cut)
        w->closed = at;
    w->open = false;
}

void window_cut(window *w, es_time at)
{
    w->cut = true;
    w->closed = at < w->closed ? at : w->closed;
}
