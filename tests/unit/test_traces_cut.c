/* Files that were cut: for every format, a small file (tests/fuzz/corpus/NAME/small) cut at every byte. Nothing crashes, an error says
 * what and where, and what loads has no id that the whole file has not in that place; what is gone without an error is told. */
#include <dirent.h>

#include "sim/part/registry.h"
#include "tests/support/trace_kit.h"

enum { CUT_MOST = 1 << 16 };

typedef struct cut_trace {              /* what a file gives: ids by cell, in the order of tokens */
    es_text cells;                      /* "request.position.layer=ids\n" for each row that is there */
    uint64_t tokens, rows;
    bool told;                          /* it says what was left out or is missing */
} cut_trace;

/* Without waiting for the disk, as es_file_save does: there are thousands of them. */
static void cut_put(const char *data, size_t length)
{
    unlink(at("cut"));                  /* a file that is cut to nothing and written again is flushed by some file systems */
    FILE *file = fopen(at("cut"), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static const char *cut_folder(void)
{
    const char *root = getenv("ES_SOURCE_ROOT");
    static char corpus[4096];
    snprintf(corpus, sizeof corpus, "%s/tests/fuzz/corpus", root ? root : ".");
    return corpus;
}

static void cut_step(cut_trace *trace, const es_trace_info *info, const es_step *step)
{
    for (uint32_t t = 0; t < step->tokens; t++)
        for (uint32_t l = 0; l < info->layers; l++) {
            const uint16_t *row = step->ids + ((size_t)t * info->layers + l) * info->top_k;
            if (row[0] == ES_NO_EXPERT)
                continue;
            es_text_add(&trace->cells, "%c%u.%u.%u=", step->token[t].phase == ES_PREFILL ? 'P' : 'D', step->token[t].request, step->token[t].position, info->layer_number[l]);
            for (uint32_t i = 0; i < info->top_k && row[i] != ES_NO_EXPERT; i++)
                es_text_add(&trace->cells, "%u ", row[i]);
            es_text_add(&trace->cells, "\n");
            trace->rows++;
        }
    trace->tokens += step->tokens;
}

static es_code cut_load(const es_source *source, const char *path, bool lenient, cut_trace *trace, es_err *err)
{
    opened o;
    const es_source_ask ask = { .weights = true, .residency = true, .guesses = true, .layers = 2, .top_k = 2, .lenient = lenient };
    *trace = (cut_trace){ .tokens = 0 };
    es_code code = open_source(&o, source, path, &ask, err);
    for (bool more = !code; more && !code;) {
        es_step step;
        code = source->next(o.self, &step, &more, err);
        if (!code && more)
            cut_step(trace, source->info(o.self), &step);
    }
    if (!code) {
        const char *assumed = source->info(o.self)->assumed;
        trace->told = assumed && (strstr(assumed, "missing") || strstr(assumed, "left out"));
    }
    close_source(&o);
    return code;
}

/* Every row of `part` stands in `whole`, ids and all. */
static void cut_compare(const char *name, size_t bytes, const cut_trace *whole, const cut_trace *part)
{
    for (const char *p = part->cells.at; p && *p; p += strcspn(p, "\n") + 1) {
        char row[256];
        snprintf(row, sizeof row, "%.*s\n", (int)strcspn(p, "\n"), p);
        if (!strstr(whole->cells.at, row))
            fail_msg("%s cut to %zu bytes has %s  which the whole file has not:\n%s", name, bytes, row, whole->cells.at);
    }
}

/* Rows of whole tokens only, or else the trace says what is missing. */
static void cut_silent(const char *name, size_t bytes, const cut_trace *whole, const cut_trace *part)
{
    const uint64_t width = whole->rows / whole->tokens;
    if (part->rows != part->tokens * width && !part->told)
        fail_msg("%s cut to %zu bytes has %llu rows of %llu tokens and says nothing of it", name, bytes, (unsigned long long)part->rows, (unsigned long long)part->tokens);
}

static void cut_file(const es_source *source, const char *name, const char *data, size_t length)
{
    cut_trace whole, part;
    es_err err = { 0 };
    size_t faults = 0;
    cut_put(data, length);
    if (cut_load(source, at("cut"), false, &whole, &err) != ES_OK)
        fail_msg("%s: the small file does not load: %s", name, err.text);
    for (size_t bytes = 0; bytes < length; bytes++) {
        cut_put(data, bytes);
        bool strict = false;
        for (int lenient = 0; lenient < 2; lenient++) {
            err = (es_err){ 0 };
            es_code code = cut_load(source, at("cut"), lenient, &part, &err);
            if (code && (code != ES_EINPUT || !strstr(err.text, "cut: ")))
                fail_msg("%s cut to %zu bytes: code %d, \"%s\"", name, bytes, (int)code, err.text);
            faults += code != ES_OK;
            if (!code) {
                cut_compare(name, bytes, &whole, &part);
                cut_silent(name, bytes, &whole, &part);
                if (lenient && strict && !part.told)
                    fail_msg("%s cut to %zu bytes: --lenient leaves something out and does not say so", name, bytes);
            }
            strict = code != ES_OK;
            es_text_free(&part.cells);
        }
    }
    assert_true(faults > 0);
    es_text_free(&whole.cells);
}

static void every_format_cut_at_every_byte_tells_what_is_gone(void **state)
{
    const es_source *source;
    int files = 0;
    (void)state;
    for (size_t i = 0; (source = (const es_source *)es_part_at(ES_KIND_SOURCE, i)) != NULL; i++) {
        char path[8192], *data = NULL;
        size_t length = 0;
        snprintf(path, sizeof path, "%s/%s/small", cut_folder(), source->part.name);
        if (!source->sniff || access(path, R_OK) != 0)
            continue;
        assert_int_equal(es_file_load(path, CUT_MOST, &data, &length, NULL), ES_OK);
        cut_file(source, source->part.name, data, length);
        free(data);
        files++;
    }
    assert_true(files >= 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_format_cut_at_every_byte_tells_what_is_gone) };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
