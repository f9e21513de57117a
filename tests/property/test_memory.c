/* Memory: when an allocation fails, whichever it is, a run ends with "no memory" and gives back all it took.
 *
 * The program is linked with --wrap, so every malloc, calloc, realloc and strdup of ours comes here first. What HDF5, zlib and zstd
 * take inside their shared libraries is out of reach. cJSON is given memory that is counted and never fails: it survives, but a
 * result is made of a thousand members that are added without looking, and would lack one. A run is repeated with its n-th allocation
 * failing, for every n until none is left to fail; once with only that one failing, once with all from that one on.
 *
 * Where a run does without, its result must be that of a run in which nothing failed, but for what it says itself: that there was no
 * memory for a bound (its reason), or that quantiles are not exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>

#include "sim/base/file.h"
#include "sim/study/result.h"
#include "sim/study/sweep.h"

/* ---- allocations ---- */

static struct {                 /* the wrapped functions have no other place for it */
    uint64_t count, fails;      /* so far; the first that fails, 0: none */
    bool all;                   /* and all behind it */
    int64_t live;               /* taken and not given back */
} memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_realpath(const char *path, char *out);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_realpath(const char *path, char *out);
void __wrap_free(void *block);

static bool memory_fails(void)
{
    memory.count++;
    bool fails = memory.fails && (memory.count == memory.fails || (memory.all && memory.count > memory.fails));
    if (fails)
        errno = ENOMEM;
    return fails;
}

static void *memory_taken(void *block)
{
    memory.live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return memory_fails() ? NULL : memory_taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : memory_taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (memory_fails())
        return NULL;
    void *block = __real_realloc(old, size);
    return old ? block : memory_taken(block);
}

char *__wrap_strdup(const char *text)
{
    return memory_fails() ? NULL : memory_taken(__real_strdup(text));
}

char *__wrap_realpath(const char *path, char *out)
{
    return memory_taken(__real_realpath(path, out));        /* allocates inside libc: counted, never failing */
}

static void *memory_for_json(size_t size)
{
    return memory_taken(__real_malloc(size));
}

void __wrap_free(void *block)
{
    memory.live -= block != NULL;
    __real_free(block);
}

/* ---- files ---- */

static const char result_dir[] = "memory-out";
static const char *const leftovers[] = {"memory-out/result.json.tmp", "memory-out/result.h5.tmp", "memory-out/table.h5.tmp", "memory-out/table.csv.tmp"};
static const char *const made[] = {"memory-out/result.json", "memory-out/result.h5", "memory-out/table.h5", "memory-out/table.csv", "memory-out/plan.json", "memory.csv",
    "memory-config.json", "memory-sweep.json"};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int remove_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        unlink(made[i]);
    DIR *points = opendir("memory-out/points");
    for (struct dirent *entry; points && (entry = readdir(points)) != NULL;)
        unlinkat(dirfd(points), entry->d_name, 0);
    if (points)
        closedir(points);
    rmdir("memory-out/points");
    rmdir(result_dir);
    return 0;
}

/* ---- the run ---- */

typedef struct job {
    const char *config;         /* file */
    const char *dir;            /* where the result goes; NULL: it is not written */
    const char *sweep;          /* file of a sweep that is planned, and whose results in `dir` are collected; NULL: a run */
} job;

/* *text: the plan. */
static es_code job_sweep(const job *j, char **text, es_err *err)
{
    es_sweep *sweep = NULL;
    es_json *plan = NULL, *status = NULL;
    *text = NULL;
    es_code code = es_sweep_load(&sweep, j->sweep, false, err);
    if (code == ES_OK && !(plan = es_sweep_plan(sweep)))
        code = es_err_nomem(err, "the plan");
    if (code == ES_OK && (code = es_sweep_status(j->dir, &status, err)) == ES_OK)
        code = es_sweep_collect(j->dir, "memory-out/table.h5", "memory-out/table.csv", false, err);
    if (code == ES_OK && !(*text = es_json_text(plan)))
        code = es_err_nomem(err, "the text");
    cJSON_Delete(status);
    cJSON_Delete(plan);
    es_sweep_free(sweep);
    return code;
}

/* *text: the result, when there is one. */
static es_code job_run(const job *j, char **text, es_err *err)
{
    es_config *config = NULL;
    es_json *result = NULL;
    es_run *kept = NULL;
    *text = NULL;
    if (j->sweep)
        return job_sweep(j, text, err);
    es_code code = es_config_load(&config, j->config, NULL, 0, err);
    if (code != ES_OK)
        return code;
    code = es_result_run(config, NULL, j->dir ? &kept : NULL, &result, err);
    if (code == ES_OK && j->dir)
        code = es_result_save(result, kept, j->dir, err);
    if (code == ES_OK && !(*text = es_result_text(result, false)))
        code = es_err_nomem(err, "the text");
    es_run_free(kept);
    cJSON_Delete(result);
    es_config_free(config);
    return code;
}

typedef struct outcome {
    uint64_t errors, unsaid;
} outcome;

/* May this be the result of a run in which something failed? */
static bool job_honest(const char *text, const char *right)
{
    return strcmp(text, right) == 0 || strstr(text, "no memory for") || strstr(text, "\"exact\": false");
}

/* One run with its n-th allocation failing. false: it had no n-th. */
static bool job_fails_at(const job *j, uint64_t n, bool all, const char *right, outcome *o)
{
    char *text = NULL;
    es_err err = {0};
    int64_t before = memory.live;
    memory.count = 0;
    memory.fails = n;
    memory.all = all;
    es_code code = job_run(j, &text, &err);
    bool failed = memory.count >= n;
    memory.fails = 0;
    if (code != ES_OK ? code != ES_EINTERNAL || !strstr(err.text, "no memory") : !job_honest(text, right))
        fail_msg("allocation %" PRIu64 "%s: code %d \"%s\"%s", n, all ? " and all behind it" : "", (int)code, err.text, code ? "" : ", and another result");
    free(text);
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        if (access(leftovers[i], F_OK) == 0)
            fail_msg("allocation %" PRIu64 "%s: leaves %s (%s)", n, all ? " and all behind it" : "", leftovers[i], err.text);
    if (memory.live != before)
        fail_msg("allocation %" PRIu64 "%s: %" PRId64 " blocks are lost (%s)", n, all ? " and all behind it" : "", memory.live - before, err.text);
    o->errors += code != ES_OK;
    o->unsaid += failed && code == ES_OK;
    return failed;
}

static void job_each_allocation_fails(const char *test, const job *j)
{
    char *right = NULL;
    es_err err = {0};
    if (job_run(j, &right, &err) != ES_OK)      /* the libraries have made what they keep */
        fail_msg("%s", err.text);
    for (int all = 0; all < 2; all++) {
        outcome o = {0, 0};
        uint64_t n = 1;
        while (job_fails_at(j, n, all, right, &o))
            n++;
        printf("%s: %" PRIu64 " allocations, %s fails: %" PRIu64 " errors, %" PRIu64 " did without\n", test, n - 1, all ? "each with all behind it" : "each alone",
            o.errors, o.unsaid);
        assert_true(o.errors > 50);
    }
    free(right);
}

/* ---- what runs ---- */

static const char machine[] =
    "\"tiers\": {\"cache\": {\"capacity\": \"6slots\", \"compute\": \"gpu\", \"demote\": \"dram\"}, \"dram\": {\"capacity\": \"8slots\"}, \"host\": {\"home\": true}},"
    "\"channels\": {\"pcie\": {\"timing\": {\"name\": \"affine\", \"latency\": \"1us\", \"rate\": \"1GB/s\"}, \"discipline\": \"shared\"},"
    "  \"gpu\": {\"timing\": {\"name\": \"compute\", \"dense\": \"2us\", \"expert\": \"1us\"}}},"
    "\"links\": [{\"from\": \"host\", \"to\": \"cache\", \"channels\": [\"pcie\"]}, {\"from\": \"dram\", \"to\": \"cache\", \"channels\": [\"pcie\"]}],"
    "\"policy\": \"lfu\", \"predictor\": \"previous_token\", \"observers\": [\"summary\", \"coverage\", \"latency\", \"traffic\", \"memory\", \"digest\", \"audit\"]";

static void a_run_on_a_trace_file_survives_every_failing_allocation(void **state)
{
    (void)state;
    char config[2048];
    write_file("memory.csv", "request_id,token_index,phase,layer,e0,e1\n0,0,P,0,1,2\n0,0,P,1,3,4\n0,1,D,0,1,5\n0,1,D,1,2,4\n0,2,D,0,6,7\n0,2,D,1,0,1\n");
    snprintf(config, sizeof config, "{\"trace\": {\"path\": \"memory.csv\"}, \"model\": {\"expert_bytes\": \"1000B\"}, \"clock\": \"simulated\", %s}", machine);
    write_file("memory-config.json", config);
    job_each_allocation_fails(__func__, &(job){.config = "memory-config.json"});
}

static void a_result_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    char config[2048];
    snprintf(config, sizeof config, "{\"trace\": {\"source\": {\"name\": \"synthetic\", \"layers\": 2, \"experts\": 8, \"top_k\": 2, \"decode_tokens\": 20}}, \"clock\": \"none\", \"bounds\": false, %s}", machine);
    write_file("memory-config.json", config);
    job_each_allocation_fails(__func__, &(job){.config = "memory-config.json", .dir = result_dir});
}

/* Runs the points of a sweep and keeps its plan, as `sweep run` does. */
static void make_points(const char *file)
{
    es_sweep *sweep = NULL;
    es_err err = {0};
    if (es_sweep_load(&sweep, file, false, &err) != ES_OK || es_file_make_dirs("memory-out/points", &err) != ES_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < es_sweep_count(sweep); i++) {
        es_config *config = NULL;
        es_json *result = NULL;
        es_run *kept = NULL;
        char path[64];
        snprintf(path, sizeof path, "memory-out/points/%s.h5", es_sweep_at(sweep, i)->id);
        if (es_sweep_config(sweep, es_sweep_at(sweep, i), &config, &err) != ES_OK || es_result_run(config, NULL, &kept, &result, &err) != ES_OK
            || es_result_write_h5(result, kept, path, &err) != ES_OK)
            fail_msg("%s", err.text);
        es_run_free(kept);
        cJSON_Delete(result);
        es_config_free(config);
    }
    es_json *plan = es_sweep_plan(sweep);
    char *text = es_json_text(plan);
    write_file("memory-out/plan.json", text);
    free(text);
    cJSON_Delete(plan);
    es_sweep_free(sweep);
}

static void a_sweep_is_planned_and_collected_or_not_at_all(void **state)
{
    (void)state;
    char config[2048];
    write_file("memory.csv", "request_id,token_index,phase,layer,e0,e1\n0,0,P,0,1,2\n0,0,P,1,3,4\n0,1,D,0,1,5\n0,1,D,1,2,4\n0,2,D,0,6,7\n0,2,D,1,0,1\n");
    snprintf(config, sizeof config, "{\"trace\": {\"path\": \"memory.csv\"}, \"model\": {\"expert_bytes\": \"1000B\"}, \"clock\": \"simulated\", %s}", machine);
    write_file("memory-config.json", config);
    write_file("memory-sweep.json", "{\"base\": {\"include\": \"memory-config.json\"}, \"axes\": {\"policy\": {\"path\": \"policy.name\", \"values\": [\"lru\", \"lfu\"], \"labels\": [\"a\", \"b\"]},"
                                   "\"compute.lookahead\": {\"from\": 1, \"to\": 4, \"step\": 1}}, \"design\": {\"points\": 2}, \"constraints\": [\"policy == 'a' or compute.lookahead < 9\"],"
                                   "\"replications\": {\"count\": 1, \"vary\": [\"seed\"]}}");
    make_points("memory-sweep.json");
    job_each_allocation_fails(__func__, &(job){.sweep = "memory-sweep.json", .dir = result_dir});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_run_on_a_trace_file_survives_every_failing_allocation, remove_files),
        cmocka_unit_test_teardown(a_result_is_written_whole_or_not_at_all, remove_files),
        cmocka_unit_test_teardown(a_sweep_is_planned_and_collected_or_not_at_all, remove_files),
    };
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = memory_for_json, .free_fn = __wrap_free});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
