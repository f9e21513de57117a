/* Config: files, includes, settings, short forms, defaults, the resolved echo, and every error a user can make there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/study/config.h"

/* ---- a folder of files per test ---- */

typedef struct folder {
    char path[64], back[1024];
    es_err err;
    es_config *config;
} folder;

static int folder_begin(void **state)
{
    folder *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->path, "/tmp/test_config.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    assert_non_null(getcwd(f->back, sizeof f->back));
    assert_int_equal(chdir(f->path), 0);
    *state = f;
    return 0;
}

static int folder_end(void **state)
{
    folder *f = *state;
    char command[128];
    es_config_free(f->config);
    assert_int_equal(chdir(f->back), 0);
    snprintf(command, sizeof command, "rm -r %s", f->path);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* A config that runs, as short as one can be. */
#define PLAIN "\"trace\": {\"source\": \"synthetic\"}, \"tiers\": {\"cache\": {\"capacity\": \"25%\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}}"

static es_code load(folder *f, const char *path, const char *const *sets, size_t set_count)
{
    es_config_free(f->config);
    f->config = NULL;
    f->err = (es_err){0};
    return es_config_load(&f->config, path, sets, set_count, &f->err);
}

#define LOAD(f, path, ...) \
    load((f), (path), (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void loads(folder *f, es_code code)
{
    if (code)
        fail_msg("%s", f->err.text);
}

/* The load must have failed with an error that contains each of the words. */
static void fails(const folder *f, es_code code, const char *a, const char *b)
{
    assert_int_equal(code, ES_EINPUT);
    assert_null(f->config);
    if (!strstr(f->err.text, a) || !strstr(f->err.text, b))
        fail_msg("\"%s\" and \"%s\" are not both in: %s", a, b, f->err.text);
}

static const char *text_at(const folder *f, const char *path)
{
    const es_json *value = es_json_at(es_config_resolved(f->config), path);
    if (!cJSON_IsString(value))
        fail_msg("%s is %s", path, es_json_kind(value));
    return value->valuestring;
}

static double number_at(const folder *f, const char *path)
{
    const es_json *value = es_json_at(es_config_resolved(f->config), path);
    if (!cJSON_IsNumber(value))
        fail_msg("%s is %s", path, es_json_kind(value));
    return value->valuedouble;
}

/* ---- what is written comes out ---- */

static void a_short_config_has_every_default(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_string_equal(text_at(f, "name"), "a");
    assert_string_equal(text_at(f, "policy.name"), "lru");
    assert_string_equal(text_at(f, "clock"), "none");
    assert_string_equal(text_at(f, "contract.judge"), "event");
    assert_string_equal(text_at(f, "contract.overflow"), "waves");
    assert_string_equal(text_at(f, "contract.quota"), "floor");
    assert_string_equal(text_at(f, "compute.overlap"), "resident_first");
    assert_string_equal(text_at(f, "observers.0.name"), "summary");
    assert_true(cJSON_IsNull(es_json_at(es_config_resolved(f->config), "predictor")));
    assert_true(cJSON_IsTrue(es_json_at(es_config_resolved(f->config), "bounds")));
    assert_true(number_at(f, "seed") == 1);
}

static void the_resolved_config_gives_itself(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"contract\": {\"preset\": \"after_batch\", \"scope\": \"layer\"}, \"policy\": \"lfu\", \"predictor\": \"previous_token\","
        "\"channels\": {\"pcie\": {\"timing\": {\"name\": \"affine\", \"latency\": \"10us\", \"rate\": \"25GB/s\"}}, \"gpu\": {}},"
        "\"links\": [{\"from\": \"host\", \"to\": \"cache\", \"channels\": [\"pcie\"]}], \"observers\": [\"summary\", \"digest\"], \"seed\": 7}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_string_equal(text_at(f, "clock"), "simulated");
    assert_string_equal(text_at(f, "channels.gpu.timing.name"), "compute");
    assert_string_equal(text_at(f, "channels.pcie.scheduler.name"), "demand_first");
    char *once = es_json_text(es_config_resolved(f->config));
    file("b.json", once);
    loads(f, load(f, "b.json", NULL, 0));
    char *twice = es_json_text(es_config_resolved(f->config));
    assert_string_equal(once, twice);
    free(twice);
    es_config *again = NULL;
    es_json *tree = NULL;
    assert_int_equal(es_json_parse(&tree, once, strlen(once), &f->err), ES_OK);
    assert_int_equal(es_config_from(&again, tree, "result.json", NULL, 0, &f->err), ES_OK);
    twice = es_json_text(es_config_resolved(again));
    assert_string_equal(once, twice);
    cJSON_Delete(tree);
    es_config_free(again);
    free(once);
    free(twice);
}

static void a_preset_is_a_name_or_an_object_and_what_stands_beside_it_wins(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"contract\": \"serialized\"}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_string_equal(text_at(f, "contract.unit"), "id");
    assert_string_equal(text_at(f, "contract.judge"), "serialized");
    loads(f, LOAD(f, "a.json", "contract.scope=layer"));
    assert_string_equal(text_at(f, "contract.judge"), "serialized");
    assert_string_equal(text_at(f, "contract.scope"), "layer");
    loads(f, LOAD(f, "a.json", "contract.judge=event", "contract=keep_best"));
    assert_string_equal(text_at(f, "contract.judge"), "event");
    assert_string_equal(text_at(f, "contract.overflow"), "keep_best");
    assert_string_equal(text_at(f, "contract.unit"), "union");
    es_text label = {0};
    es_config_contract_label(es_json_at(es_config_resolved(f->config), "contract"), &label);
    assert_string_equal(label.at, "keep_best");
    es_text_free(&label);
    loads(f, LOAD(f, "a.json", "contract.scope=layer", "contract.quota=round"));
    es_config_contract_label(es_json_at(es_config_resolved(f->config), "contract"), &label);
    assert_string_equal(label.at, "serialized, scope layer, quota round");
    es_text_free(&label);
}

static void settings_win_over_the_file_whatever_their_order(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"policy\": {\"name\": \"random\"}}");
    loads(f, LOAD(f, "a.json", "policy.counts=resident", "policy.name=lfu", "tiers.cache.capacity=10slots", "seed=5"));
    assert_string_equal(text_at(f, "policy.name"), "lfu");
    assert_string_equal(text_at(f, "policy.counts"), "resident");
    assert_string_equal(text_at(f, "tiers.cache.capacity"), "10slots");
    assert_true(number_at(f, "seed") == 5);
    loads(f, LOAD(f, "a.json", "seed=5", "seed=6"));
    assert_true(number_at(f, "seed") == 6);
    loads(f, LOAD(f, "a.json", "predictor.name=previous_token"));     /* makes the object that is absent */
    assert_string_equal(text_at(f, "predictor.name"), "previous_token");
    loads(f, LOAD(f, "a.json", "predictor.name=previous_token", "predictor=null"));
    assert_true(cJSON_IsNull(es_json_at(es_config_resolved(f->config), "predictor")));
}

static void another_part_drops_the_options_of_the_old_one(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"policy\": {\"name\": \"lfu\", \"counts\": \"resident\"}}");
    loads(f, LOAD(f, "a.json", "policy.name=lru"));
    assert_string_equal(text_at(f, "policy.name"), "lru");
    loads(f, LOAD(f, "a.json", "policy.name=lfu"));
    assert_string_equal(text_at(f, "policy.counts"), "resident");
}

static void a_setting_can_reach_into_a_list(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"links\": [{\"from\": \"host\", \"to\": \"cache\"}]}");
    loads(f, LOAD(f, "a.json", "links.0.to=host"));
    assert_string_equal(text_at(f, "links.0.to"), "host");
    fails(f, LOAD(f, "a.json", "links.3.to=host"), "--set", "links.3.to");
}

/* ---- includes ---- */

static void later_wins_over_what_it_includes(void **state)
{
    folder *f = *state;
    mkdir("sub", 0700);
    file("sub/a.json", "{" PLAIN ", \"policy\": \"fifo\", \"seed\": 2, \"replication\": 9}");
    file("sub/b.json", "{\"seed\": 3}");
    file("c.json", "{\"include\": [\"sub/a.json\", \"sub/b.json\"], \"tiers\": {\"cache\": {\"capacity\": \"50%\"}}}");
    loads(f, load(f, "c.json", NULL, 0));
    assert_string_equal(text_at(f, "policy.name"), "fifo");
    assert_true(number_at(f, "seed") == 3);
    assert_true(number_at(f, "replication") == 9);
    assert_string_equal(text_at(f, "tiers.cache.capacity"), "50%");
    assert_string_equal(text_at(f, "tiers.cache.compute"), "gpu");
    assert_string_equal(text_at(f, "name"), "c");
}

static void any_object_may_include(void **state)
{
    folder *f = *state;
    mkdir("parts", 0700);
    file("parts/link.json", "{\"timing\": {\"include\": \"slow.json\", \"latency\": \"1us\"}}");
    file("parts/slow.json", "{\"name\": \"affine\", \"rate\": \"1GB/s\", \"latency\": \"9us\"}");
    file("a.json", "{" PLAIN ", \"channels\": {\"pcie\": {\"include\": \"parts/link.json\", \"lanes\": 2}}}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_string_equal(text_at(f, "channels.pcie.timing.rate"), "1GB/s");
    assert_string_equal(text_at(f, "channels.pcie.timing.latency"), "1us");
    assert_true(number_at(f, "channels.pcie.lanes") == 2);
}

static void files_are_relative_to_who_says_them(void **state)
{
    folder *f = *state;
    mkdir("sub", 0700);
    mkdir("sub/deep", 0700);
    file("sub/a.json", "{\"trace\": {\"path\": \"../t.csv\"}, \"include\": \"deep/b.json\"}");
    file("sub/deep/b.json", "{\"tiers\": {\"cache\": {\"capacity\": \"25%\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}}, \"contract\": {\"start\": \"warm.csv\"}}");
    loads(f, load(f, "sub/a.json", NULL, 0));
    assert_string_equal(text_at(f, "trace.path"), "t.csv");
    assert_string_equal(text_at(f, "contract.start"), "sub/deep/warm.csv");
    loads(f, LOAD(f, "sub/a.json", "trace.path=x/y.csv"));
    assert_string_equal(text_at(f, "trace.path"), "x/y.csv");
    loads(f, LOAD(f, "sub/a.json", "trace=/x/y.csv", "contract.start=cold"));
    assert_string_equal(text_at(f, "trace.path"), "/x/y.csv");
    assert_string_equal(text_at(f, "contract.start"), "cold");
}

static void another_trace_drops_what_described_the_old_one(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    loads(f, LOAD(f, "a.json", "trace.path=t.csv"));
    assert_true(cJSON_IsNull(es_json_at(es_config_resolved(f->config), "trace.source")));
    file("b.json", "{\"include\": \"a.json\", \"trace\": {\"path\": \"t.csv\", \"format\": \"csv\"}}");
    loads(f, LOAD(f, "b.json", "trace.path=u.csv"));
    assert_true(cJSON_IsNull(es_json_at(es_config_resolved(f->config), "trace.format")));
}

static void files_that_include_each_other_are_named_in_a_circle(void **state)
{
    folder *f = *state;
    file("a.json", "{\"include\": \"b.json\"}");
    file("b.json", "{\"tiers\": {\"include\": \"./c.json\"}}");
    file("c.json", "{\"cache\": {\"include\": \"a.json\"}}");
    fails(f, load(f, "a.json", NULL, 0), "a.json -> b.json -> c.json -> a.json", "include each other");
    file("d.json", "{\"include\": [\"e.json\", \"e.json\"]," PLAIN "}");      /* twice is no circle */
    file("e.json", "{\"seed\": 4}");
    loads(f, load(f, "d.json", NULL, 0));
}

static void a_missing_or_broken_include_names_both_files(void **state)
{
    folder *f = *state;
    file("a.json", "{\"include\": \"nowhere.json\"}");
    fails(f, load(f, "a.json", NULL, 0), "a.json: include: nowhere.json", "No such file");
    file("a.json", "{\"tiers\": {\"include\": \"b.json\"}}");
    file("b.json", "{\"cache\":\n {]}");
    fails(f, load(f, "a.json", NULL, 0), "a.json: tiers.include: b.json", "line 2");
    file("a.json", "{\"include\": 3}");
    fails(f, load(f, "a.json", NULL, 0), "include", "found a number");
}

/* ---- errors ---- */

static void an_error_names_who_said_it(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"seed\": -1}");
    fails(f, load(f, "a.json", NULL, 0), "a.json: seed:", "below 0");
    file("b.json", "{\"include\": \"a.json\", \"name\": \"b\"}");
    fails(f, load(f, "b.json", NULL, 0), "a.json: seed:", "below 0");
    loads(f, LOAD(f, "b.json", "seed=1"));
    fails(f, LOAD(f, "b.json", "seed=1", "replication=x"), "--set: replication:", "whole number");
    file("c.json", "{\"include\": \"a.json\", \"seed\": 1.5}");
    fails(f, load(f, "c.json", NULL, 0), "c.json: seed:", "1.5");
}

static void an_unknown_key_suggests_the_nearest_at_every_level(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    fails(f, LOAD(f, "a.json", "polcy.name=lru"), "--set polcy.name", "did you mean \"policy\"");
    fails(f, LOAD(f, "a.json", "policy.nmae=lru"), "--set policy.nmae", "did you mean \"name\"");
    fails(f, LOAD(f, "a.json", "policy.name=lfo"), "policy.name", "did you mean \"lfu\"");
    fails(f, LOAD(f, "a.json", "tiers.cache.capcity=1slots"), "tiers.cache", "did you mean \"capacity\"");
    fails(f, LOAD(f, "a.json", "channels.pcie.disciplin=fifo"), "channels.pcie", "did you mean \"discipline\"");
    fails(f, LOAD(f, "a.json", "contract=after_bach"), "contract.preset", "did you mean \"after_batch\"");
    fails(f, LOAD(f, "a.json", "contract.scop=layer"), "contract", "did you mean \"scope\"");
    fails(f, LOAD(f, "a.json", "contract.scope=layr"), "contract.scope", "did you mean \"layer\"");
    fails(f, LOAD(f, "a.json", "compute.overlap=in_ordr"), "compute.overlap", "did you mean \"in_order\"");
    fails(f, LOAD(f, "a.json", "trace.source.layrs=3"), "trace.source", "did you mean \"layers\"");
    fails(f, LOAD(f, "a.json", "observers=[\"summry\"]"), "observers.0.name", "did you mean \"summary\"");
    fails(f, LOAD(f, "a.json", "model.precison=bf16"), "model", "did you mean \"precision\"");
    fails(f, LOAD(f, "a.json", "clock=simulatd"), "clock", "did you mean \"simulated\"");
}

static void what_has_the_wrong_form_is_refused(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    fails(f, LOAD(f, "a.json", "policy"), "--set", "PATH=VALUE");
    fails(f, LOAD(f, "a.json", "=3"), "--set", "PATH=VALUE");
    fails(f, LOAD(f, "a.json", "policy=3"), "policy", "found a number");
    fails(f, LOAD(f, "a.json", "policy.name=3"), "policy.name", "found a number");
    fails(f, LOAD(f, "a.json", "predictor={}"), "predictor.name", "is missing");
    fails(f, LOAD(f, "a.json", "policy.decay=3"), "policy", "unknown option \"decay\"");    /* of the default, lru */
    fails(f, LOAD(f, "a.json", "tiers=3"), "tiers", "found a number");
    fails(f, LOAD(f, "a.json", "tiers.cache=3"), "tiers.cache", "found a number");
    fails(f, LOAD(f, "a.json", "tiers={\"a.b\": {}}"), "tiers", "a.b");
    fails(f, LOAD(f, "a.json", "links={}"), "links", "needs a list");
    fails(f, LOAD(f, "a.json", "links=[{\"from\": \"host\"}]"), "links.0.to", "is missing");
    fails(f, LOAD(f, "a.json", "observers=3"), "observers", "needs a list");
    fails(f, LOAD(f, "a.json", "plugins=3"), "plugins", "needs a list");
    fails(f, LOAD(f, "a.json", "plugins=[\"none.so\"]"), "none.so", "cannot open");
    fails(f, LOAD(f, "a.json", "model.shape=3"), "model.shape", "found a number");
    fails(f, LOAD(f, "a.json", "model.shape=none.json"), "none.json", "cannot open");
    fails(f, LOAD(f, "a.json", "machine=3"), "machine", "found a number");
    fails(f, LOAD(f, "a.json", "channels.pcie.timing.name=affine", "channels.pcie.timing.latency=10"), "channels.pcie.timing.latency", "unit");
    fails(f, LOAD(f, "a.json", "channels.pcie.profile=pcie.h2d"), "channels.pcie.profile", "no machine");
    file("b.json", "[1]");
    fails(f, load(f, "b.json", NULL, 0), "b.json", "found a list");
    fails(f, load(f, "none.json", NULL, 0), "none.json", "cannot open");
}

static void exactly_one_tier_is_home_and_the_others_have_a_capacity(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    fails(f, LOAD(f, "a.json", "tiers.cache.home=true"), "home", "exactly one");
    fails(f, LOAD(f, "a.json", "tiers.host.capacity=100%"), "tiers.host.capacity", "has no capacity");
    fails(f, LOAD(f, "a.json", "tiers.host.home=false", "tiers.host.capacity=100%"), "tiers", "no tier is home");
    fails(f, LOAD(f, "a.json", "tiers.more.compute=cpu"), "tiers.more.capacity", "is missing");
    file("b.json", "{}");
    fails(f, load(f, "b.json", NULL, 0), "b.json: trace.path", "is missing");
}

static void a_link_is_not_faster_than_its_kind_unless_forced(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"channels\": {\"pcie\": {\"kind\": \"pcie4_x16\", \"timing\": {\"name\": \"affine\", \"rate\": \"25GB/s\"}}}}");
    loads(f, load(f, "a.json", NULL, 0));
    fails(f, LOAD(f, "a.json", "channels.pcie.timing.rate=64GB/s"), "channels.pcie.timing.rate", "31.5GB/s");
    loads(f, LOAD(f, "a.json", "channels.pcie.timing.rate=64GB/s", "force=true"));
    fails(f, LOAD(f, "a.json", "channels.pcie.kind=pcie4_x15"), "channels.pcie.kind", "pcie4_x16");
}

static void a_channel_takes_its_timing_from_a_profile(void **state)
{
    folder *f = *state;
    file("p.json", "{\"machine\": {\"name\": \"M\", \"links\": {\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"24GB/s\", \"provenance\": \"reported\","
        "\"source\": \"somebody\", \"latency\": \"10us\"}}}}}");
    file("a.json", "{" PLAIN ", \"include\": \"p.json\", \"channels\": {\"pcie\": {\"profile\": \"pcie.h2d\"}}}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_string_equal(text_at(f, "channels.pcie.timing.name"), "affine");
    assert_string_equal(text_at(f, "channels.pcie.timing.rate"), "24GB/s");
    assert_string_equal(text_at(f, "channels.pcie.timing.latency"), "10us");
    assert_string_equal(text_at(f, "channels.pcie.kind"), "pcie4_x16");
    loads(f, LOAD(f, "a.json", "channels.pcie.timing.latency=3us"));
    assert_string_equal(text_at(f, "channels.pcie.timing.rate"), "24GB/s");
    assert_string_equal(text_at(f, "channels.pcie.timing.latency"), "3us");
    fails(f, LOAD(f, "a.json", "channels.pcie.profile=pcie.d2h"), "channels.pcie.profile", "pcie.h2d");
}

/* ---- bytes ---- */

static const es_plan *planned(folder *f)
{
    const es_plan *plan = NULL;
    es_code code = es_config_plan(f->config, &plan, &f->err);
    if (code)
        fail_msg("%s", f->err.text);
    return plan;
}

static void bytes_come_from_the_config_before_the_trace(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN ", \"trace\": {\"source\": {\"name\": \"synthetic\", \"layers\": 3, \"expert_bytes\": \"1000B\"}}}");
    /* The name stands twice in one object: the parser must say so. */
    fails(f, load(f, "a.json", NULL, 0), "\"trace\"", "twice");
    file("a.json", "{" PLAIN "}");
    loads(f, LOAD(f, "a.json", "trace.source.layers=3", "trace.source.expert_bytes=1000B"));
    assert_int_equal(planned(f)->expert_bytes[2], 1000);
    assert_true(es_config_bytes_known(f->config));
    loads(f, LOAD(f, "a.json", "trace.source.layers=3", "trace.source.expert_bytes=1000B", "model.expert_bytes=2KB"));
    assert_int_equal(planned(f)->expert_bytes[2], 2000);
    loads(f, LOAD(f, "a.json", "trace.source.layers=3", "model.expert_bytes=[1, \"2KiB\", 3]"));
    assert_int_equal(planned(f)->expert_bytes[1], 2048);
    file("bytes.txt", "# layer bytes\n0 10\n1 11\n\n2 12\n3 13\n");
    loads(f, LOAD(f, "a.json", "trace.source.layers=3", "model.layer_bytes=bytes.txt"));
    assert_int_equal(planned(f)->expert_bytes[2], 12);
    assert_true(number_at(f, "model.layer_bytes.3") == 13);     /* the resolved config needs no file */
}

/* Matrices of the config add up to the expert; they are told apart only where the unit is a slice. */
static void matrices_weigh_what_the_config_says(void **state)
{
    folder *f = *state;
    file("a.json", "{" PLAIN "}");
    loads(f, LOAD(f, "a.json", "trace.source.layers=2", "contract.unit=slice", "model.matrix_bytes=[10, [1, \"2KiB\"]]"));
    assert_int_equal(planned(f)->slices, 2);
    assert_int_equal(planned(f)->expert_bytes[0], 11);
    assert_int_equal(planned(f)->expert_bytes[1], 2058);
    assert_int_equal(planned(f)->matrix_bytes[1], 10);          /* [matrix][layer] */
    assert_int_equal(planned(f)->matrix_bytes[2], 1);
    assert_int_equal(planned(f)->matrix_bytes[3], 2048);
    loads(f, LOAD(f, "a.json", "trace.source.layers=2", "model.matrix_bytes=[10, 20]"));
    assert_int_equal(planned(f)->slices, 0);
    assert_int_equal(planned(f)->expert_bytes[1], 30);
    loads(f, LOAD(f, "a.json", "trace.source.layers=2", "contract.unit=slice", "model.expert_bytes=100B"));
    assert_null(planned(f)->matrix_bytes);
    assert_int_equal(planned(f)->expert_bytes[1], 102);         /* three equal parts, rounded up */
    fails(f, LOAD(f, "a.json", "model.matrix_bytes=5"), "model.matrix_bytes", "list");
    fails(f, LOAD(f, "a.json", "model.matrix_bytes=[1, 2]", "model.matrices=3"), "model.matrix_bytes", "model.matrices");
    fails(f, LOAD(f, "a.json", "model.matrix_bytes=[1, 2]", "model.expert_bytes=3"), "model.matrix_bytes", "expert_bytes");
}

static void bytes_nobody_knows_are_an_error_only_where_they_matter(void **state)
{
    folder *f = *state;
    const es_plan *plan = NULL;
    file("a.json", "{" PLAIN "}");
    loads(f, load(f, "a.json", NULL, 0));
    assert_null(planned(f)->expert_bytes);
    assert_false(es_config_bytes_known(f->config));
    loads(f, LOAD(f, "a.json", "tiers.cache.capacity=1GiB"));
    assert_int_equal(es_config_plan(f->config, &plan, &f->err), ES_EINPUT);
    assert_non_null(strstr(f->err.text, "model.expert_bytes"));
    assert_non_null(strstr(f->err.text, "tiers.cache.capacity is 1GiB"));
    loads(f, LOAD(f, "a.json", "model.expert_bytes=[1, 2]"));
    assert_int_equal(es_config_plan(f->config, &plan, &f->err), ES_EINPUT);
    assert_non_null(strstr(f->err.text, "has 2 entries, the trace has 24"));
    file("bytes.txt", "0 10\n1 x\n");
    fails(f, LOAD(f, "a.json", "model.layer_bytes=bytes.txt"), "bytes.txt: line 2", "layer bytes");
}

static void a_trace_that_is_not_there_is_named(void **state)
{
    folder *f = *state;
    const es_plan *plan = NULL;
    file("a.json", "{" PLAIN "}");
    loads(f, LOAD(f, "a.json", "trace.path=none.csv"));
    assert_int_equal(es_config_plan(f->config, &plan, &f->err), ES_EINPUT);
    assert_non_null(strstr(f->err.text, "--set: trace.path: none.csv"));
    file("what.bin", "what is this?\n");
    loads(f, LOAD(f, "a.json", "trace.path=what.bin"));
    assert_int_equal(es_config_plan(f->config, &plan, &f->err), ES_EINPUT);
    assert_non_null(strstr(f->err.text, "no format that is known"));
    fails(f, LOAD(f, "a.json", "trace.source=csv"), "trace.path", "reads a file");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_begin, folder_end)
    const struct CMUnitTest tests[] = {
        T(a_short_config_has_every_default),
        T(the_resolved_config_gives_itself),
        T(a_preset_is_a_name_or_an_object_and_what_stands_beside_it_wins),
        T(settings_win_over_the_file_whatever_their_order),
        T(another_part_drops_the_options_of_the_old_one),
        T(a_setting_can_reach_into_a_list),
        T(later_wins_over_what_it_includes),
        T(any_object_may_include),
        T(files_are_relative_to_who_says_them),
        T(another_trace_drops_what_described_the_old_one),
        T(files_that_include_each_other_are_named_in_a_circle),
        T(a_missing_or_broken_include_names_both_files),
        T(an_error_names_who_said_it),
        T(an_unknown_key_suggests_the_nearest_at_every_level),
        T(what_has_the_wrong_form_is_refused),
        T(exactly_one_tier_is_home_and_the_others_have_a_capacity),
        T(a_link_is_not_faster_than_its_kind_unless_forced),
        T(a_channel_takes_its_timing_from_a_profile),
        T(bytes_come_from_the_config_before_the_trace),
        T(matrices_weigh_what_the_config_says),
        T(bytes_nobody_knows_are_an_error_only_where_they_matter),
        T(a_trace_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
