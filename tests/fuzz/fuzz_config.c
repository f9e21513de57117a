/* Fuzzes configs, from text to result: load (includes and settings too), resolve, resolve what was resolved, plan, run.
 *
 * The input is a config, then settings, separated by bytes 0. The trace is always the tiny one below, so that runs end soon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/core/run.h"
#include "sim/study/config.h"
#include "tests/fuzz/fuzz.h"

enum { CONFIG_SETS = 6 };

static const char config_trace[] = "request_id,token_index,phase,layer,e0,e1\n"
                                   "0,0,P,0,0,1\n0,1,P,0,1,2\n0,0,P,1,3,4\n0,1,P,1,3,5\n"
                                   "0,2,D,0,0,2\n0,2,D,1,3,5\n0,3,D,0,1,6\n0,3,D,1,7,4\n1,0,D,0,0,1\n1,0,D,1,3,\n";

static char config_trace_path[64];

static void config_forget(void)
{
    remove(config_trace_path);
}

/* Writes the trace, one file per process; gives the setting that names it. */
static const char *config_trace_set(void)
{
    static char set[96];
    if (set[0] == '\0') {
        snprintf(config_trace_path, sizeof config_trace_path, "fuzz-trace-%ld.csv", (long)getpid());
        FUZZ_HOLDS(es_file_save(config_trace_path, config_trace, sizeof config_trace - 1, NULL) == ES_OK);
        atexit(config_forget);
        snprintf(set, sizeof set, "trace={\"path\": \"%s\"}", config_trace_path);
    }
    return set;
}

/* Plan, run, report: with a trace of ten rows that takes milliseconds. */
static void config_run(es_config *config)
{
    es_err err = { 0 };
    const es_plan *plan = NULL;
    es_run *run = NULL;
    es_code code = es_config_plan(config, &plan, &err);
    if (code == ES_OK)
        code = es_run_new(&run, plan, &err);
    if (code == ES_OK)
        code = es_run_go(run, NULL, &err);
    if (code == ES_OK) {
        es_json *report = cJSON_CreateObject();
        code = es_run_report(run, report, &err);
        cJSON_Delete(report);
    }
    es_run_free(run);
    if (code == ES_ECHECK)              /* an audited run found a fault of the core */
        fuzz_fail(err.text, __FILE__, __LINE__);
    FUZZ_HOLDS(code == ES_OK || (err.code == code && err.text[0] != '\0'));
    FUZZ_HOLDS(code != ES_EINTERNAL || strstr(err.text, "no memory"));
}

/* The resolved config, fed back, gives itself. */
static void config_again(const es_config *config)
{
    es_config *again = NULL;
    es_err err = { 0 };
    char *text = es_json_text(es_config_resolved(config));
    if (es_config_from(&again, es_config_resolved(config), "again", NULL, 0, &err) != ES_OK)
        fuzz_fail(err.text, __FILE__, __LINE__);
    char *same = es_json_text(es_config_resolved(again));
    FUZZ_HOLDS(text && same && strcmp(text, same) == 0);
    free(text);
    free(same);
    es_config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_HOLDS(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    const char *sets[CONFIG_SETS + 2];
    size_t count = 0, length = strlen(text);
    for (const char *p = text + length; p < text + size && count < CONFIG_SETS; p += strlen(p))
        sets[count++] = ++p;
    sets[count++] = config_trace_set();
    sets[count++] = "plugins=[]";
    es_config *config = NULL;
    es_err err = { 0 };
    es_code code = es_config_load(&config, fuzz_file(data, length), sets, count, &err);
    if (code == ES_OK) {
        config_again(config);
        config_run(config);
    }
    FUZZ_HOLDS(code == ES_OK || (config == NULL && err.code == code && err.text[0] != '\0'));
    es_config_free(config);
    free(text);
    return 0;
}
