/* expertsim trace formats: every format there is, which way it goes, and what a file of it does not say. */
#include <stdlib.h>
#include <string.h>

#include "sim/cli/trace_args.h"
#include "traces/export.h"

typedef struct formats_row { const char *name, *brief, *lacks; bool read, write; } formats_row;

static void formats_text(es_text *out, const formats_row *row)
{
    es_text_add(out, "  %-20s %-5s %-6s %s\n", row->name, row->read ? "read" : "", row->write ? "write" : "", row->brief);
    if (row->lacks)
        es_text_add(out, "  %-20s %-12s lacks %s\n", "", "", row->lacks);
}

static void formats_json(es_json *list, const formats_row *row)
{
    es_json *one = cJSON_CreateObject();
    es_json_add_text(one, "name", row->name);
    es_json_add_text(one, "brief", row->brief);
    es_json_add_text(one, "lacks", row->lacks);
    es_json_add_bool(one, "read", row->read);
    es_json_add_bool(one, "write", row->write);
    cJSON_AddItemToArray(list, one);
}

static const es_trace_form *formats_form(const char *name)
{
    const es_trace_form *form;
    for (size_t i = 0; (form = es_trace_form_at(i)) != NULL; i++)
        if (strcmp(form->name, name) == 0)
            return form;
    return NULL;
}

/* Sources that take a file, in the order of the registry, then what can only be written. */
static bool formats_at(size_t at, formats_row *row)
{
    const es_source *source;
    for (size_t i = 0; (source = (const es_source *)es_part_at(ES_KIND_SOURCE, i)) != NULL; i++) {
        if (source->sniff && at-- == 0) {
            const bool native = strcmp(source->part.name, "native") == 0;
            *row = (formats_row){source->part.name, source->part.brief, source->lacks, true, native || formats_form(source->part.name)};
            return true;
        }
    }
    const es_trace_form *form;
    for (size_t i = 0; (form = es_trace_form_at(i)) != NULL; i++) {
        const es_part *part;
        if (es_part_find(ES_KIND_SOURCE, form->name, &part, NULL) != ES_OK && at-- == 0) {
            *row = (formats_row){form->name, form->brief, form->lacks, false, true};
            return true;
        }
    }
    return false;
}

es_code trace_formats(const trace_args *args, es_err *err)
{
    es_text text = {0};
    formats_row row;
    if (args->words.count > 1)
        return cmd_misused(&cmd_trace, err, "formats takes no file");
    es_json *list = args->json ? cJSON_CreateArray() : NULL;
    if (args->json && !list)
        return es_err_nomem(err, "the formats");
    for (size_t i = 0; formats_at(i, &row); i++) {
        if (list)
            formats_json(list, &row);
        else
            formats_text(&text, &row);
    }
    if (list) {
        char *words = es_json_text(list);
        es_text_add(&text, "%s", words ? words : "");
        free(words);
        cJSON_Delete(list);
    }
    return cmd_print(text.length ? ES_OK : es_err_nomem(err, "the formats"), &text, err);
}
