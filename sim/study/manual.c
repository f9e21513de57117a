/* Manual: see manual.h. The schema is in schema.c. */
#include "sim/study/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/sweep.h"

static const char *const manual_kinds[ES_KINDS] = {
    [ES_KIND_POLICY] = "who stays in a tier",
    [ES_KIND_PREDICTOR] = "which experts will be wanted soon, to be prefetched",
    [ES_KIND_DISPATCHER] = "how a miss is served",
    [ES_KIND_ROUTER] = "which experts a token uses",
    [ES_KIND_SCHEDULER] = "which queued copy starts next",
    [ES_KIND_ALLOCATOR] = "how capacity is counted",
    [ES_KIND_TIMING] = "what an operation costs",
    [ES_KIND_TUNER] = "turns tunable options while the run goes on",
    [ES_KIND_OBSERVER] = "what is reported",
    [ES_KIND_SOURCE] = "where the routing comes from: trace formats and generators",
    [ES_KIND_PROBE] = "measures a machine",
};

const es_config_table *es_manual_table_at(size_t i)
{
    size_t configs = 0;
    while (es_config_table_at(configs))
        configs++;
    return i < configs ? es_config_table_at(i) : es_sweep_table_at(i - configs);
}

/* ---- list ---- */

static void manual_list_kind(const es_plugins *plugins, es_kind kind, bool names, const char *indent, es_text *out)
{
    const es_part *part;
    for (size_t i = 0; (part = es_plugins_at(plugins, kind, i)) != NULL; i++) {
        if (names)
            es_text_add(out, "%s\n", part->name);
        else
            es_text_add(out, "%s%-16s %s%s\n", indent, part->name, part->brief, part->flags & ES_ORACLE && !strstr(part->brief, "future") ? " (reads the future)" : "");
    }
}

static es_code manual_unknown_kind(const char *name, es_err *err)
{
    const char *names[ES_KINDS];
    es_text all = {0};
    for (int i = 0; i < ES_KINDS; i++) {
        names[i] = es_kind_name((es_kind)i);
        es_text_add(&all, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = es_text_nearest(name, names, ES_KINDS);
    es_code code = nearest ? es_err_set(err, ES_EINPUT, "there is no kind of part \"%s\"; did you mean \"%s\"?", name, nearest)
                           : es_err_set(err, ES_EINPUT, "there is no kind of part \"%s\"; there are %s", name, all.at ? all.at : "none");
    es_text_free(&all);
    return code;
}

es_code es_manual_list(const es_plugins *plugins, const char *kind, bool names, es_text *out, es_err *err)
{
    es_kind found;
    if (kind) {
        if (!es_kind_find(kind, &found))
            return manual_unknown_kind(kind, err);
        manual_list_kind(plugins, found, names, "", out);
        return ES_OK;
    }
    for (int i = 0; i < ES_KINDS; i++) {
        if (!es_plugins_at(plugins, (es_kind)i, 0))
            continue;
        if (!names)
            es_text_add(out, "%s%s: %s\n", out->length ? "\n" : "", es_kind_name((es_kind)i), manual_kinds[i]);
        manual_list_kind(plugins, (es_kind)i, names, "  ", out);
    }
    return ES_OK;
}

/* ---- describe ---- */

static void describe_part(es_kind kind, const es_part *part, es_text *out)
{
    es_text_add(out, "%s%s %s: %s\n", out->length ? "\n" : "", es_kind_name(kind), part->name, part->brief);
    if (part->flags & ES_ORACLE)
        es_text_add(out, "Reads the future: results are labelled non-causal.\n");
    if (part->options && part->options->name)
        es_options_describe(part->options, "  ", out);
    else
        es_text_add(out, "  It has no options.\n");
}

/* "lru" in every kind that has one, or "policy.lru". */
static bool describe_parts(const es_plugins *plugins, const char *name, es_text *out)
{
    const char *dot = strchr(name, '.');
    bool found = false;
    for (int kind = 0; kind < ES_KINDS; kind++) {
        const char *word = es_kind_name((es_kind)kind);
        bool named = dot && strlen(word) == (size_t)(dot - name) && strncmp(word, name, strlen(word)) == 0;
        const es_part *part;
        for (size_t i = 0; (part = es_plugins_at(plugins, (es_kind)kind, i)) != NULL; i++) {
            if (strcmp(part->name, named ? dot + 1 : name) != 0)
                continue;
            describe_part((es_kind)kind, part, out);
            found = true;
        }
    }
    return found;
}

/* Length of `key` that a table's key covers, where NAME and N stand for any one name; 0: none. */
static size_t describe_covers(const char *table, const char *key)
{
    const char *from = key;
    while (*table) {
        size_t a = strcspn(table, "."), b = strcspn(key, ".");
        bool any = strncmp(table, "NAME", a) == 0 || strncmp(table, "N", a) == 0;
        if (b == 0 || (!any && (a != b || strncmp(table, key, a) != 0)))
            return 0;
        table += a;
        key += b;
        if (*table == '.' && *key == '\0')
            return strcmp(table, ".NAME") == 0 || strcmp(table, ".N") == 0 ? (size_t)(key - from) : 0;      /* "tiers" means tiers.NAME */
        if (*table == '.' && *key == '.')
            table++, key++;
    }
    return (size_t)(key - from);
}

static void describe_option(const es_plugins *plugins, const char *key, const es_option *row, es_text *out)
{
    es_option named[] = {*row, {0}};
    named[0].name = key;
    es_options_describe(named, "", out);
    es_kind kind;
    char place[64];
    /* A key at which a part stands: say which there are. */
    const es_config_table *table;
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++) {
        if (es_options_find(table->options, row->name) != row)
            continue;
        snprintf(place, sizeof place, "%s%s%s", table->key, *table->key ? "." : "", row->name);
        if (es_config_part_at(place, &kind)) {
            es_text_add(out, "Any %s, by name or as an object with its name and options:\n", es_kind_name(kind));
            manual_list_kind(plugins, kind, false, "  ", out);
        }
    }
}

/* A section or one key of it. */
static bool describe_key(const es_plugins *plugins, const char *key, es_text *out)
{
    bool found = false;
    const es_config_table *table;
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++) {
        size_t covers = *table->key ? describe_covers(table->key, key) : 0;
        if (*table->key && covers == 0)
            continue;
        if (covers && key[covers] == '\0') {
            es_text_add(out, "%s%s: %s\n", out->length ? "\n" : "", table->key, table->brief);
            es_options_describe(table->options, "  ", out);
            found = true;
            continue;
        }
        const es_option *row = es_options_find(table->options, key + covers + (covers ? 1 : 0));
        if (!row || (!covers && found))
            continue;
        describe_option(plugins, key, row, out);
        found = true;
    }
    return found;
}

static void describe_all(es_text *out)
{
    const es_config_table *table;
    es_text_add(out, "Sections of a config, each to be described: expertsim describe SECTION\n");
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++)
        if (*table->key && strcmp(table->key, es_manual_table_at(i - 1)->key) != 0)
            es_text_add(out, "  %-16s %s\n", table->key, table->brief);
    es_text_add(out, "\nThe top level:\n");
    es_options_describe(es_manual_table_at(0)->options, "  ", out);
    es_text_add(out, "\nParts, each to be described: expertsim describe PART; expertsim list shows them.\n");
}

void es_manual_names(const es_plugins *plugins, es_text *out)
{
    const es_config_table *table;
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++) {
        if (*table->key)
            es_text_add(out, "%s\n", table->key);
        for (const es_option *row = table->options; row->name; row++)
            es_text_add(out, "%s%s%s\n", table->key, *table->key ? "." : "", row->name);
    }
    for (int kind = 0; kind < ES_KINDS; kind++) {
        const es_part *part;
        for (size_t i = 0; (part = es_plugins_at(plugins, (es_kind)kind, i)) != NULL; i++)
            es_text_add(out, "%s\n", part->name);
    }
}

static es_code describe_unknown(const es_plugins *plugins, const char *name, es_err *err)
{
    const char *names[512];
    size_t count = 0;
    es_text all = {0};
    es_manual_names(plugins, &all);
    for (char *at = all.at, *end; at && *at && count < sizeof names / sizeof *names; at = end + 1) {
        end = strchr(at, '\n');
        *end = '\0';
        names[count++] = at;
    }
    const char *nearest = es_text_nearest(name, names, count);
    const char *lasts[512];
    for (size_t i = 0; i < count; i++)      /* by its last name alone: "capcity" */
        lasts[i] = strrchr(names[i], '.') ? strrchr(names[i], '.') + 1 : names[i];
    const char *last = nearest ? NULL : es_text_nearest(name, lasts, count);
    for (size_t i = 0; last && i < count && !nearest; i++)
        nearest = lasts[i] == last ? names[i] : NULL;
    es_code code = nearest ? es_err_set(err, ES_EINPUT, "nothing is called \"%s\"; did you mean \"%s\"?", name, nearest)
                           : es_err_set(err, ES_EINPUT, "nothing is called \"%s\"; expertsim list shows the parts, expertsim describe the sections of a config", name);
    es_text_free(&all);
    return code;
}

es_code es_manual_describe(const es_plugins *plugins, const char *name, es_text *out, es_err *err)
{
    es_kind kind;
    if (!name) {
        describe_all(out);
        return ES_OK;
    }
    bool found = describe_key(plugins, name, out);
    if (!found && es_kind_find(name, &kind) && es_plugins_at(plugins, kind, 0)) {
        es_text_add(out, "%s: %s\n", name, manual_kinds[kind]);
        manual_list_kind(plugins, kind, false, "  ", out);
        found = true;
    }
    if (describe_parts(plugins, name, out))
        found = true;
    return found ? ES_OK : describe_unknown(plugins, name, err);
}

/* ---- Markdown ---- */

static void markdown_head(es_text *out)
{
    es_text_add(out, "| Key | Value | Default | Bounds | |\n|---|---|---|---|---|\n");
}

void es_manual_markdown(es_text *out)
{
    const es_config_table *table;
    const char *last = NULL;
    for (size_t i = 0; (table = es_manual_table_at(i)) != NULL; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s%s", table->key, *table->key ? "." : "");
        if (!last || strcmp(last, table->key) != 0) {
            es_text_add(out, "%s### %s%s%s\n\n%s\n\n", i ? "\n" : "", *table->key ? "`" : "", *table->key ? table->key : "Top level", *table->key ? "`" : "", table->brief);
            markdown_head(out);
        }
        es_options_markdown(table->options, prefix, out);
        last = table->key;
    }
    for (int kind = 0; kind < ES_KINDS; kind++) {
        const es_part *part;
        if (!es_part_at((es_kind)kind, 0))
            continue;
        es_text_add(out, "\n### %s: %s\n", es_kind_name((es_kind)kind), manual_kinds[kind]);
        for (size_t i = 0; (part = es_part_at((es_kind)kind, i)) != NULL; i++) {
            es_text_add(out, "\n**`%s`** %s\n", part->name, part->brief);
            if (!part->options || !part->options->name)
                continue;
            es_text_add(out, "\n");
            markdown_head(out);
            es_options_markdown(part->options, "", out);
        }
    }
}
