/* expertsim list, describe: which parts there are, and what can be set. */
#include <stdlib.h>

#include "sim/cli/cmd.h"
#include "sim/study/manual.h"

static es_code list_exec(int count, char **args, es_err *err)
{
    bool names = false;
    cmd_words rest = {0}, files = {0};
    es_plugins plugins = {0};
    const cmd_flag flags[] = {{.name = "--names", .on = &names}, {.name = "--plugin", .values = &files}, {0}};
    es_text text = {0};
    es_code code = cmd_parse(flags, count, args, &rest, err);
    if (code == ES_OK)
        code = cmd_plugins(&plugins, &files, err);
    if (code == ES_OK && rest.count > 1)
        code = cmd_misused(&cmd_list, err, "one kind at a time");
    if (code == ES_OK)
        code = es_manual_list(&plugins, rest.count ? rest.at[0] : NULL, names, &text, err);
    free(rest.at);
    free(files.at);
    es_plugins_free(&plugins);
    return cmd_print(code, &text, err);
}

static es_code describe_exec(int count, char **args, es_err *err)
{
    bool names = false;
    cmd_words rest = {0}, files = {0};
    es_plugins plugins = {0};
    const cmd_flag flags[] = {{.name = "--names", .on = &names}, {.name = "--plugin", .values = &files}, {0}};
    es_text text = {0};
    es_code code = cmd_parse(flags, count, args, &rest, err);
    if (code == ES_OK)
        code = cmd_plugins(&plugins, &files, err);
    if (code == ES_OK && names)
        es_manual_names(&plugins, &text);
    else if (code == ES_OK && rest.count == 0)
        code = es_manual_describe(&plugins, NULL, &text, err);
    for (size_t i = 0; i < rest.count && code == ES_OK && !names; i++)
        code = es_manual_describe(&plugins, rest.at[i], &text, err);
    free(rest.at);
    free(files.at);
    es_plugins_free(&plugins);
    return cmd_print(code, &text, err);
}

const cmd_entry cmd_list = {
    .name = "list",
    .usage = "[KIND] [--names] [--plugin FILE.so]...",
    .brief = "Show the parts a system is put together from: policies, predictors, timings ...",
    .help = "  KIND     only these: policy, predictor, dispatcher, router, scheduler, allocator, timing, tuner, observer, source, probe\n"
            "  --names  bare names, one a line, for scripts\n"
            "  --plugin FILE.so  a plug-in whose parts are listed, too; may be repeated\n",
    .exec = list_exec,
};

const cmd_entry cmd_describe = {
    .name = "describe",
    .usage = "[PART|KEY]... [--names] [--plugin FILE.so]...",
    .brief = "Explain the options of a part or a key of the config.",
    .help = "  expertsim describe lru                   a part\n"
            "  expertsim describe contract              a section of the config\n"
            "  expertsim describe tiers.cache.capacity  one key\n"
            "  expertsim describe                       the sections, and the top level\n"
            "  --names  all that can be described, one a line, for scripts\n"
            "  --plugin FILE.so  a plug-in whose parts can be described, too; may be repeated\n",
    .exec = describe_exec,
};
