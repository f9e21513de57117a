/* expertsim man: the man page, made from the tables of commands, options and parts. Hidden: the build calls it. */
#include <string.h>

#include "sim/cli/cmd.h"
#include "sim/expertsim.h"
#include "sim/study/manual.h"

static void man_line(const char *text, size_t length, es_text *out)
{
    es_roff_text(text, length, out);
    es_text_add(out, "\n");
}

/* A line of a help text: "  TERM  what it is" becomes a tagged paragraph, deeper lines go on with it, others are plain. */
static void man_help_line(const char *line, size_t length, es_text *out)
{
    size_t indent = strspn(line, " ");
    if (indent >= length) {
        es_text_add(out, ".PP\n");
        return;
    }
    if (indent != 2) {
        man_line(line + indent, length - indent, out);
        return;
    }
    const char *term = line + indent, *gap = memmem(term, length - indent, "  ", 2);
    size_t term_length = gap ? (size_t)(gap - term) : length - indent;
    es_text_add(out, ".TP\n.B ");
    man_line(term, term_length, out);
    if (gap)
        man_help_line(gap + strspn(gap, " "), (size_t)(line + length - gap) - strspn(gap, " "), out);
}

static void man_command(const cmd_entry *cmd, es_text *out)
{
    es_text_add(out, ".SS expertsim ");
    es_roff_text(cmd->name, strlen(cmd->name), out);
    es_text_add(out, " ");
    man_line(cmd->usage, strlen(cmd->usage), out);
    man_line(cmd->brief, strlen(cmd->brief), out);
    if (cmd->help)
        es_text_add(out, ".PP\n");
    for (const char *line = cmd->help ? cmd->help : ""; *line; line += strcspn(line, "\n") + 1)
        man_help_line(line, strcspn(line, "\n"), out);
}

static void man_page(es_text *out)
{
    /* No date: the same sources give the same page. */
    es_text_add(out, ".TH EXPERTSIM 1 \"\" \"expertsim %s\" \"User Commands\"\n.nh\n.ad l\n", es_version());
    es_text_add(out, ".SH NAME\nexpertsim \\- simulate expert caching in Mixture\\-of\\-Experts models\n");
    es_text_add(out, ".SH SYNOPSIS\n.B expertsim\n.I COMMAND\n.RI [ ARGUMENT ]...\n.SH DESCRIPTION\n");
    man_line(cmd_purpose, strlen(cmd_purpose), out);
    es_text_add(out, ".SH COMMANDS\n");
    for (size_t i = 0; cmd_table[i]; i++)
        if (!cmd_table[i]->hidden)
            man_command(cmd_table[i], out);
    es_manual_roff(out);
    es_text_add(out, ".SH EXIT STATUS\n");
    for (int i = 0; cmd_exits[i]; i++) {
        es_text_add(out, ".TP\n.B %d\n", i);
        man_line(cmd_exits[i], strlen(cmd_exits[i]), out);
    }
    es_text_add(out, ".SH EXAMPLES\n.nf\nexpertsim run configs/quickstart.json\n"
                     "expertsim run configs/quickstart.json \\-\\-set policy=lfu \\-\\-out lfu\n"
                     "expertsim rerun lfu/result.h5 \\-\\-set tiers.cache.capacity=8GiB\n"
                     "expertsim describe tiers.cache.capacity\n.fi\n");
}

static es_code man_exec(int count, char **args, es_err *err)
{
    (void)args;
    es_text text = {0};
    if (count > 0)
        return cmd_misused(&cmd_man, err, "it takes no arguments");
    man_page(&text);
    return cmd_print(ES_OK, &text, err);
}

const cmd_entry cmd_man = {
    .name = "man",
    .usage = "",
    .brief = "Print the man page.",
    .exec = man_exec,
    .hidden = true,
};
