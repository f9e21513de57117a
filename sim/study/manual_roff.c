/* Manual, as a man page: the option reference in man(7) macros. See manual.h. */
#include <stdio.h>
#include <string.h>

#include "sim/study/config.h"
#include "sim/study/manual.h"

/* What roff would take for an order of its own, or set as another character than the one that must be typed. */
void es_roff_text(const char *text, size_t length, es_text *out)
{
    if (length > 0 && (*text == '.' || *text == '\''))
        es_text_add(out, "\\&");
    for (size_t i = 0; i < length; i++)
        switch (text[i]) {
        case '\\': es_text_add(out, "\\e"); break;
        case '-': es_text_add(out, "\\-"); break;
        case '\'': es_text_add(out, "\\(aq"); break;
        case '`': es_text_add(out, "\\(ga"); break;
        case '^': es_text_add(out, "\\(ha"); break;
        case '~': es_text_add(out, "\\(ti"); break;
        case '"': es_text_add(out, "\\(dq"); break;
        default: es_text_put(out, &text[i], 1);
        }
}

static void roff_line(const char *text, es_text *out)
{
    es_roff_text(text, strlen(text), out);
    es_text_add(out, "\n");
}

/* One option, from what `describe` says of it: "NAME: TYPE, default ...", then its help. */
static void roff_option(const es_option *row, es_text *out)
{
    const es_option one[] = {*row, {0}};
    es_text said = {0};
    es_options_describe(one, "", &said);
    if (said.failed || !said.at) {
        out->failed = true;
        es_text_free(&said);
        return;
    }
    size_t name = strlen(row->name) + 2, first = strcspn(said.at, "\n");
    es_text_add(out, ".TP\n.B ");
    roff_line(row->name, out);
    es_roff_text(said.at + name, first - name, out);
    es_text_add(out, ".\n");
    if (row->help) {
        es_text_add(out, ".br\n");
        roff_line(row->help, out);
    }
    es_text_free(&said);
}

static void roff_options(const es_option *rows, es_text *out)
{
    for (; rows && rows->name; rows++)
        roff_option(rows, out);
}

static void roff_sections(es_text *out)
{
    const es_config_table *table;
    const char *last = NULL;
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++) {
        if (!last || strcmp(last, table->key) != 0) {
            es_text_add(out, ".SS ");
            roff_line(*table->key ? table->key : "Top level", out);
            roff_line(table->brief, out);
        }
        roff_options(table->options, out);
        last = table->key;
    }
}

static void roff_part(es_kind kind, const es_part *part, es_text *out)
{
    es_text_add(out, ".SS %s ", es_kind_name(kind));
    roff_line(part->name, out);
    roff_line(part->brief, out);
    if (part->flags & ES_ORACLE)
        es_text_add(out, "Reads the future: results are labelled non\\-causal.\n");
    roff_options(part->options, out);
}

void es_manual_roff(es_text *out)
{
    es_text_add(out, ".SH CONFIGURATION\nA config is a JSON object. NAME stands for a name of your own, N for an index.\n");
    roff_sections(out);
    es_text_add(out, ".SH PARTS\nA part is named where it stands in the config, or is an object of its name and its options.\n");
    for (int kind = 0; kind < ES_KINDS; kind++) {
        const es_part *part;
        for (size_t i = 0; (part = es_part_at((es_kind)kind, i)) != NULL; i++)
            roff_part((es_kind)kind, part, out);
    }
}
