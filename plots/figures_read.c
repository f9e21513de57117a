/* What a path is: told by what is in it, never by its name alone. See figures_inside.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "plots/figures_inside.h"

enum { READ_TEXT = 256 * 1024 * 1024 };

#define READ_NEEDS "needs what `expertsim run`, sweep, compare, mrc, search, verdict or validate keeps with --out, or a profile of `expertsim calibrate`"

static bool read_is(const char *path, bool folder)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISDIR(at.st_mode) == folder;
}

/* What each kind of JSON has that no other has. */
static const struct { figures_form form; const char *has[2]; } read_forms[] = {
    {FORM_RUN, {"provenance.config", "provenance.version"}},
    {FORM_SWEEP, {"columns", "points"}},
    {FORM_COMPARE, {"groups", "metric"}},
    {FORM_CURVES, {"rows", "layer_lru"}},
    {FORM_SEARCH, {"front.points", "points"}},
    {FORM_VERDICT, {"verdict", "gain"}},
    {FORM_VALIDATION, {"modes", "held_out"}},
    {FORM_PROFILE, {"machine", "machine"}},
};

static figures_form read_form(const es_json *json)
{
    for (size_t i = 0; i < sizeof read_forms / sizeof *read_forms; i++)
        if (es_json_at(json, read_forms[i].has[0]) && es_json_at(json, read_forms[i].has[1]))
            return read_forms[i].form;
    return FORMS;
}

/* FOLDER/NAME where there is such a file, kept; NULL: there is none. */
static const char *read_inside(figures *all, const char *folder, const char *name)
{
    es_text path = {0};
    es_text_add(&path, "%s/%s", folder, name);
    const bool there = !path.failed && read_is(path.at, false);
    if (there)
        return figures_keep(all, &path);
    es_text_free(&path);
    return NULL;
}

/* The file of a folder that says what it holds. A folder of a comparison has runs in it, so the order counts. */
static const char *read_folder(figures *all, const char *folder)
{
    static const char *const names[] = {"result.json", "result.h5", "plan.json", "compare.json", "mrc.json", "search.json", "verdict.json", "validate.json"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = read_inside(all, folder, names[i]);
    return found;
}

/* The result.h5 that belongs to a result.json. */
static const char *read_beside(figures *all, const char *path)
{
    const size_t length = strlen(path);
    es_text h5 = {0};
    if (length <= 5 || strcmp(path + length - 5, ".json") != 0)
        return NULL;
    es_text_put(&h5, path, length - 5);
    es_text_add(&h5, ".h5");
    if (!h5.failed && es_h5_is(h5.at))
        return figures_keep(all, &h5);
    es_text_free(&h5);
    return NULL;
}

/* Of "out/lru/result.json" and "out/lru" it is lru, of "lru.json" lru too. */
static const char *read_label(figures *all, const char *path)
{
    es_text label = {0};
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    const bool plain = strncmp(path + from, "result.", 7) == 0;
    if (plain && from > 1) {
        for (end = from - 1, from = end; from > 0 && path[from - 1] != '/'; from--)
            ;
    } else if (!read_is(path, true)) {
        const char *dot = memchr(path + from, '.', end - from);
        end = dot && dot > path + from ? (size_t)(dot - path) : end;
    }
    es_text_put(&label, path + from, end - from);
    return figures_keep(all, &label);
}

static es_code read_h5(figures_source *source, es_err *err)
{
    es_h5 *file = NULL;
    char *text = NULL, *format = NULL;
    uint64_t length;
    es_code code = es_h5_open(&file, source->path, false, err);
    if (code)
        return code;
    source->h5 = source->path;
    if (es_h5_has_attr(file, "/", "format"))
        es_h5_get_text(file, "/", "format", &format, NULL);
    if (format && strcmp(format, "expertsim-sweep") == 0)
        source->form = FORM_TABLE;
    else if (!es_h5_has(file, "/summary"))
        code = es_err_set(err, ES_EINPUT, "%s: is no result.h5 and no collected table of a sweep%s; " READ_NEEDS, source->path,
            es_h5_has(file, "/rows") ? " (of curves the mrc.json of `mrc --out` is drawn)" : "");
    else if ((code = es_h5_load_text(file, "/summary", READ_TEXT, &text, &length, err)) == ES_OK)
        code = es_json_parse(&source->json, text, length, err) ? es_err_at(err, "%s: /summary", source->path) : ES_OK;
    free(text);
    free(format);
    es_h5_close(file, NULL);
    return code;
}

static es_code read_json(figures *all, figures_source *source, es_err *err)
{
    const size_t length = strlen(source->path);
    if (length > 4 && strcmp(source->path + length - 4, ".csv") == 0)
        return es_err_set(err, ES_EINPUT, "%s: is a table for other programs; of a sweep the table.h5 beside it is drawn, or its folder, of mrc and compare the .json", source->path);
    es_code code = es_json_load(&source->json, source->path, err);
    if (code)
        return code;
    source->form = read_form(source->json);
    if (source->form == FORMS)
        return es_err_set(err, ES_EINPUT, "%s: is none of the files that can be drawn; " READ_NEEDS, source->path);
    source->h5 = source->form == FORM_RUN ? read_beside(all, source->path) : NULL;
    return ES_OK;
}

es_code figures_read(figures *all, const char *word, es_err *err)
{
    const char *equals = read_is(word, true) || read_is(word, false) ? NULL : strchr(word, '='), *path = equals ? equals + 1 : word;
    figures_source *source = &all->source[all->sources];
    es_text label = {0};
    if (equals)
        es_text_put(&label, word, (size_t)(equals - word));
    *source = (figures_source){.label = equals ? figures_keep(all, &label) : read_label(all, path), .path = es_arena_text(&all->arena, path)};
    if (!source->path)
        return es_err_nomem(err, "a path");
    all->sources++;
    if (read_is(path, true) && !(source->path = read_folder(all, path)))
        return es_err_set(err, ES_EINPUT, "%s: has no result; " READ_NEEDS, path);
    return es_h5_is(source->path) ? read_h5(source, err) : read_json(all, source, err);
}
