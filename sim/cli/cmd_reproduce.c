/* expertsim reproduce: what published systems claimed, and what comes out. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/cli/cmd.h"
#include "sim/study/reproduce.h"

#ifndef ES_DATADIR              /* the build says it: where `ninja install` puts configs */
#define ES_DATADIR "/usr/local/share/expertsim"
#endif

static const char reproduce_here[] = "configs/seeds/claims.json", reproduce_installed[] = ES_DATADIR "/configs/seeds/claims.json";

/* ---- numbers ---- */

/* Four significant digits, as a share, or a plain count. */
static void reproduce_number(es_text *out, double value)
{
    if (value == floor(value) && fabs(value) < 1e9)
        es_text_add(out, "%.0f", value);
    else
        es_text_add(out, "%.4g", value);
}

/* "0.8071 ± 0.0388", or the median where the row says so; "-" when it was not run. */
static void reproduce_cell(es_text *out, const es_json *row, const char *mode)
{
    const es_json *all = es_json_at(row, mode), *statistic = es_json_at(row, "statistic");
    if (!cJSON_IsObject(all)) {
        es_text_add(out, "-");
        return;
    }
    reproduce_number(out, es_json_at(all, cJSON_IsString(statistic) ? statistic->valuestring : "mean")->valuedouble);
    double sd = es_json_at(all, "sd")->valuedouble;
    if (sd > 0.0)
        es_text_add(out, " ± %.2g", sd);
}

static void reproduce_claimed(es_text *out, const es_json *row)
{
    const es_json *claimed = es_json_at(row, "claimed");
    if (cJSON_IsNumber(claimed))
        reproduce_number(out, claimed->valuedouble);
    else
        es_text_add(out, "-");
}

/* ---- tables ---- */

enum { REPRODUCE_COLUMNS = 5 };
static const char *const reproduce_heads[REPRODUCE_COLUMNS] = {"", "claimed", "as coded", "as documented", "verdict"};

typedef struct reproduce_line {
    const es_json *row;
    es_text cell[REPRODUCE_COLUMNS];
} reproduce_line;

/* Characters, not bytes: "±" is two of these. */
static int reproduce_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static const char *reproduce_string(const es_json *row, const char *key)
{
    const es_json *value = es_json_at(row, key);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void reproduce_fill(reproduce_line *line, const es_json *row)
{
    const char *what = reproduce_string(row, "what"), *unit = reproduce_string(row, "unit");
    *line = (reproduce_line){.row = row};
    es_text_add(&line->cell[0], "%s%s%s", *what ? what : reproduce_string(row, "id"), *unit ? ", " : "", unit);
    reproduce_claimed(&line->cell[1], row);
    reproduce_cell(&line->cell[2], row, "as_coded");
    reproduce_cell(&line->cell[3], row, "as_documented");
    es_text_add(&line->cell[4], "%s", reproduce_string(row, "verdict"));
}

static void reproduce_plain(es_text *out, const reproduce_line *line, const int *width)
{
    es_text_add(out, "  ");
    for (int c = 0; c < REPRODUCE_COLUMNS; c++) {
        const char *text = line ? line->cell[c].at : reproduce_heads[c];
        es_text_add(out, "%s", text);
        if (c + 1 < REPRODUCE_COLUMNS)
            es_text_add(out, "%*s", width[c] - reproduce_width(text) + 2, "");
    }
    es_text_add(out, "\n");
}

static void reproduce_marked(es_text *out, const reproduce_line *line)
{
    for (int c = 0; c < REPRODUCE_COLUMNS; c++)
        es_text_add(out, "| %s ", line ? line->cell[c].at : reproduce_heads[c]);
    es_text_add(out, "| %s |\n", line ? reproduce_string(line->row, "note") : "");
}

static void reproduce_table(es_text *out, const reproduce_line *line, size_t count, bool markdown)
{
    int width[REPRODUCE_COLUMNS];
    for (int c = 0; c < REPRODUCE_COLUMNS; c++) {
        width[c] = reproduce_width(reproduce_heads[c]);
        for (size_t i = 0; i < count; i++)
            if (reproduce_width(line[i].cell[c].at) > width[c])
                width[c] = reproduce_width(line[i].cell[c].at);
    }
    const char *seed = "";
    for (size_t i = 0; i < count; i++) {
        const char *mine = reproduce_string(line[i].row, "seed");
        if (strcmp(mine, seed) != 0) {
            es_text_add(out, markdown ? "%s## Seed %s\n\n" : "%sseed %s\n", *seed ? "\n" : "", mine);
            seed = mine;
            if (markdown) {
                reproduce_marked(out, NULL);
                es_text_add(out, "|---|---|---|---|---|---|\n");
            } else {
                reproduce_plain(out, NULL, width);
            }
        }
        if (markdown)
            reproduce_marked(out, &line[i]);
        else
            reproduce_plain(out, &line[i], width);
        if (!markdown && *reproduce_string(line[i].row, "note"))
            es_text_add(out, "      %s\n", reproduce_string(line[i].row, "note"));
    }
}

static es_code reproduce_show(const es_json *result, bool markdown, es_err *err)
{
    const es_json *row, *rows = es_json_at(result, "rows");
    size_t count = 0;
    reproduce_line *line = calloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof *line);
    es_text out = {0};
    if (!line)
        return es_err_nomem(err, "the table");
    cJSON_ArrayForEach(row, rows)
        reproduce_fill(&line[count++], row);
    bool failed = false;
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < REPRODUCE_COLUMNS; c++)
            failed = failed || line[i].cell[c].failed || !line[i].cell[c].at;
    if (!failed)
        reproduce_table(&out, line, count, markdown);
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < REPRODUCE_COLUMNS; c++)
            es_text_free(&line[i].cell[c]);
    free(line);
    es_code code = failed || out.failed ? es_err_nomem(err, "the table") : ES_OK;
    if (code == ES_OK)
        fputs(out.at, stdout);
    es_text_free(&out);
    return code;
}

/* ---- the command ---- */

static void reproduce_tell(void *self, size_t number, size_t count, const char *name)
{
    (void)self;
    fprintf(stderr, "\r\033[K[%zu/%zu] %s", number, count, name);
}

static es_code reproduce_count(const char *text, int64_t *count, es_err *err)
{
    char *end;
    double value = text ? strtod(text, &end) : 0.0;
    if (text && (end == text || *end || value < 1 || value > 1e6 || value != floor(value)))
        return es_err_set(err, ES_EINPUT, "--replications: \"%s\" is not a whole number from 1 to 1000000", text);
    *count = (int64_t)value;
    return ES_OK;
}

static es_code reproduce_exec(int argc, char **args, es_err *err)
{
    bool json = false, markdown = false, quiet = false;
    const char *claims = NULL, *replications = NULL;
    cmd_words seeds = {0};
    const cmd_flag flags[] = {
        {.name = "--json", .on = &json},
        {.name = "--markdown", .on = &markdown},
        {.name = "--quiet", .letter = "-q", .on = &quiet},
        {.name = "--claims", .value = &claims},
        {.name = "--replications", .letter = "-n", .value = &replications},
        {0},
    };
    es_reproduce_ask ask = {0};
    es_json *result = NULL;
    es_code code = cmd_parse(flags, argc, args, &seeds, err);
    if (code == ES_OK && seeds.count > 1)
        code = cmd_misused(&cmd_reproduce, err, "one seed or all of them");
    if (code == ES_OK)
        code = reproduce_count(replications, &ask.replications, err);
    if (code == ES_OK) {
        bool shown = !quiet && isatty(STDERR_FILENO);
        ask.claims = claims ? claims : access(reproduce_here, R_OK) == 0 ? reproduce_here : reproduce_installed;
        ask.seed = seeds.count ? seeds.at[0] : NULL;
        ask.tell = shown ? reproduce_tell : NULL;
        code = es_reproduce(&ask, &result, err);
        if (shown)
            fputs("\r\033[K", stderr);
    }
    free(seeds.at);
    if (code == ES_OK && json) {
        char *text = es_json_text(result);
        if (text)
            fputs(text, stdout);
        else
            code = es_err_nomem(err, "the rows");
        free(text);
    } else if (code == ES_OK) {
        code = reproduce_show(result, markdown, err);
    }
    cJSON_Delete(result);
    return code;
}

const cmd_entry cmd_reproduce = {
    .name = "reproduce",
    .usage = "[SEED] [--json | --markdown] [--replications N] [--claims FILE]",
    .brief = "Set what published systems claimed beside what comes out.",
    .help = "Each claim is simulated twice: as the published source behaves, oddities included, and as its text promises. Baselines\n"
            "stand below the claims: what a plain cache does with the same room, and what chance would.\n"
            "\n"
            "  SEED              one of the systems this project began with: 000 to 004\n"
            "  --replications N  runs per experiment, each with other draws; otherwise as the claims file says\n"
            "  --claims FILE     claims of your own; configs/seeds/claims.json shows the form\n"
            "  --json            every row with mean, deviation, median and range\n"
            "  --markdown        the table as it stands in configs/seeds/README.md\n",
    .exec = reproduce_exec,
};
