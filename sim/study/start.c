/* Start: the file of contract.start, one "layer,expert" a line in the model's own numbers. Blank lines, lines that begin with # and
 * the heading "layer,expert" are passed over. What is wrong is said with file and line. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/reader.h"
#include "sim/study/config_inside.h"
#include "sim/study/key.h"

/* Two whole numbers with a comma between; blanks do no harm. */
static bool start_numbers(const char *line, uint64_t number[2])
{
    for (int i = 0; i < 2; i++) {
        char *end;
        while (isspace((unsigned char)*line))
            line++;
        if (!isdigit((unsigned char)*line))
            return false;
        number[i] = strtoull(line, &end, 10);
        for (line = end; isspace((unsigned char)*line);)
            line++;
        if (i == 0 && *line++ != ',')
            return false;
    }
    return *line == '\0';
}

static bool start_passes(const char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    return *line == '\0' || *line == '#' || strcmp(line, "layer,expert") == 0;
}

/* The place of the line's expert among the rows that may be there; ES_OK with *row filled. */
static es_code start_row(const es_trace_info *info, const char *line, bool *listed, es_plan_start *row, es_err *err)
{
    uint64_t number[2];
    uint32_t layer = 0;
    if (!start_numbers(line, number))
        return es_err_set(err, ES_EINPUT, "\"%.60s\" is not a layer and an expert; write for example \"3,17\"", line);
    while (layer < info->layers && info->layer_number[layer] != number[0])
        layer++;
    if (layer == info->layers)
        return es_err_set(err, ES_EINPUT, "the trace has no layer %llu; its %u MoE layers are numbered %u to %u", (unsigned long long)number[0], info->layers,
            info->layer_number[0], info->layer_number[info->layers - 1]);
    if (number[1] >= info->experts)
        return es_err_set(err, ES_EINPUT, "there is no expert %llu; the trace has %u in each layer", (unsigned long long)number[1], info->experts);
    bool *seen = &listed[(size_t)layer * info->experts + number[1]];
    if (*seen)
        return es_err_set(err, ES_EINPUT, "layer %llu expert %llu is listed twice", (unsigned long long)number[0], (unsigned long long)number[1]);
    *seen = true;
    row->layer = layer;
    row->expert = (uint32_t)number[1];
    return ES_OK;
}

static es_code start_read(es_config *config, es_reader *reader, es_plan_start *rows, bool *listed, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    char *line;
    size_t length;
    for (;;) {
        es_code code = es_reader_line(reader, &line, &length, err);
        if (code || !line)
            return code;
        if (start_passes(line))
            continue;
        es_plan_start *row = &rows[config->plan.start_count];
        row->line = es_reader_line_number(reader);
        if ((code = start_row(info, line, listed, row, err)) != ES_OK)
            return es_err_at(err, "%s: line %llu", es_reader_path(reader), (unsigned long long)row->line), code;
        config->plan.start_count++;
    }
}

es_code config_start(es_config *config, es_err *err)
{
    const char *path = config->plan.contract.start;
    if (strcmp(path, "cold") == 0)
        return ES_OK;
    const es_trace_info *info = es_config_trace(config);
    size_t most = (size_t)info->layers * info->experts;
    es_plan_start *rows = ES_NEW_ARRAY(&config->arena, most + 1, es_plan_start);
    bool *listed = ES_NEW_ARRAY(&config->arena, most, bool);
    if (!rows || !listed)
        return es_err_nomem(err, "the contents at the start");
    es_reader *reader = NULL;
    es_code code = es_reader_open(&reader, path, err);
    if (code == ES_OK)
        code = start_read(config, reader, rows, listed, err);
    es_reader_close(reader);
    config->plan.start = rows;
    if (code)
        es_err_at(err, "contract.start");
    return code;
}
