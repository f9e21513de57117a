/* expertsim options: the option reference of the README, as Markdown. Hidden: for the README's test and its author. */

#include "sim/cli/cmd.h"
#include "sim/study/manual.h"

static es_code options_exec(int count, char **args, es_err *err)
{
    (void)args;
    es_text text = {0};
    if (count > 0)
        return cmd_misused(&cmd_options, err, "it takes no arguments");
    es_manual_markdown(&text);
    return cmd_print(ES_OK, &text, err);
}

const cmd_entry cmd_options = {
    .name = "options",
    .usage = "",
    .brief = "Print the option reference as Markdown.",
    .exec = options_exec,
    .hidden = true,
};
