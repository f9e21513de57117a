/* Log: see log.h. */
#include "traces/log.h"

#include <string.h>

#include "traces/asked.h"

es_code es_log_fault(const char *p, char end, const char *name, const char *right, es_err *err)
{
    const char stop[2] = { end, '\0' };
    const size_t length = strcspn(p, stop);
    return es_err_set(err, ES_EINPUT, "%s is \"%.*s\", not %s", name, (int)(length < 40 ? length : 40), p, right);
}

char *es_log_squeeze(char *line)
{
    char *to = line;
    if (line[0] != ' ' && !strchr(line, '\t') && !strstr(line, "  "))
        return line;            /* nearly all lines; a blank at the end is passed over by who reads it */
    for (const char *p = line; *p != '\0'; p++)
        if (*p != ' ' && *p != '\t')
            *to++ = *p;
        else if (to > line && to[-1] != ' ')
            *to++ = ' ';
    to -= to > line && to[-1] == ' ';
    *to = '\0';
    return line;
}

es_code es_log_other(const char **p, char end, const char *name, const char *right, uint32_t most, uint32_t *value, es_err *err)
{
    const char *next = es_field_whole(*p, value);
    if (!next || (*next != end && *next != '\0') || *value > most)
        return es_log_fault(*p, end, name, right, err);
    *p = next + (*next == end && end != '\0');
    return ES_OK;
}

/* --- the file ------------------------------------------------------------------------------------------------------------------- */

/* What a format takes at once of lines that are there. An error is in the last line that it took. */
static es_code log_many(const es_log_format *format, es_log *log, es_err *err)
{
    es_log_taken taken = { 0, 0 };
    size_t length;
    const char *text = es_reader_lines(log->lines.reader, &length);
    if (length == 0)
        return ES_OK;
    es_code code = format->lines(log, text, length, &taken, err);
    es_reader_took(log->lines.reader, taken.bytes, taken.lines);
    return code;
}

/* Every line, and then what is left of the last pass. */
static es_code log_lines(const es_log_format *format, es_log *log, es_err *err)
{
    for (;;) {
        char *line;
        size_t length;
        es_code code = format->lines ? log_many(format, log, err) : ES_OK;
        if (code)
            return es_lines_at(&log->lines, err), code;
        code = es_lines_next(&log->lines, format->expected, &line, &length, err);
        if (code)
            return code;
        log->record = es_reader_line_number(log->lines.reader);
        if (line) {
            code = es_lines_read(&log->lines, format->line(log, line, length, err), format->expected, err);
            if (code)
                return code;
        } else if (format->end) {
            code = format->end(log, err);
        }
        if (!code && !line && log->passes)
            code = es_passes_finish(log->passes, err);
        if (code)
            return es_lines_at(&log->lines, err), code;
        if (!line)
            return ES_OK;
    }
}

static es_code log_finish(const es_log_format *format, es_log *log, es_err *err)
{
    if (log->passes)
        es_passes_tell(log->passes, &log->notes);
    es_code code = es_stream_finish(log->stream, &log->notes, err);
    es_trace_info *info = es_stream_about(log->stream);
    if (!code) {
        info->has_weights = format->weights;
        code = format->about ? format->about(log, info, err) : ES_OK;
    }
    if (!code && !format->top_k)
        code = es_asked(log->ask, &(es_said){ .top_k = info->top_k }, err);
    if (code)
        return es_err_at(err, "%s", es_reader_path(log->lines.reader)), code;
    return es_imported(info, format->name, log->lines.reader, &log->notes, log->arena, err);
}

es_code es_log_open(const es_log_format *format, es_row_stream **stream, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_log log = { .ask = ask, .arena = arena, .parse = es_arena_alloc(arena, 1, format->parse_bytes) };
    es_stream_rules rules = format->rules;
    const es_trace_info shape = { .experts = ask->experts, .has_weights = format->weights && ask->weights };
    if (!log.parse)
        return es_err_nomem(err, "a trace");
    rules.lenient = ask->lenient;
    rules.layers = ask->layers;
    log.lines = (es_lines){ .notes = &log.notes, .lenient = ask->lenient };
    es_code code = es_reader_open(&log.lines.reader, ask->path, err);
    if (!code) {
        es_reader_lenient(log.lines.reader, ask->lenient);
        code = es_stream_new(stream, &shape, &rules, err);
    }
    log.stream = *stream;
    if (!code && format->passes)
        code = es_passes_new(&log.passes, log.stream, format->outputs, err);
    if (!code && (code = es_asked(ask, &(es_said){ .experts = 0 }, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (!code && format->begin && (code = format->begin(&log, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (!code)
        code = log_lines(format, &log, err);
    if (!code)
        code = log_finish(format, &log, err);
    es_passes_free(log.passes);
    es_reader_close(log.lines.reader);
    es_text_free(&log.notes);
    return code;
}
