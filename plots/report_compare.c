/* A comparison: who is best, what is a tie, by how much, and why. See report_inside.h. docs/compare.md says what the numbers are. */
#include <string.h>

#include "plots/report_inside.h"

static const char *compare_name(const es_json *candidate)
{
    return report_word(candidate, "name", "?");
}

static const char *compare_where(const es_json *group)
{
    return report_word(group, "where", "all");
}

static bool compare_causal(const es_json *candidate)
{
    return !cJSON_IsFalse(es_json_at(candidate, "causal"));
}

static html_unit compare_unit(const es_json *result)
{
    const char *unit = report_text(result, "metric_unit");
    return !unit ? HTML_NUMBER : strcmp(unit, "s") == 0 ? HTML_SECONDS : strcmp(unit, "B") == 0 ? HTML_BYTES : strcmp(unit, "share") == 0 ? HTML_SHARE : HTML_NUMBER;
}

/* ---- who is where ---- */

/* The least rank among those that an engine can be; NaN: there is none. */
static double compare_first(const es_json *group)
{
    const es_json *one;
    double least = NAN;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates"))
        if (compare_causal(one))
            least = fmin(least, report_number(one, "rank"));
    return least;
}

static const es_json *compare_at_rank(const es_json *group, double rank)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates"))
        if (compare_causal(one) && report_number(one, "rank") == rank)
            return one;
    return NULL;
}

/* The causal candidate of the greatest rank. */
static const es_json *compare_last(const es_json *group)
{
    const es_json *one, *last = NULL;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates"))
        if (compare_causal(one) && (!last || report_number(one, "rank") > report_number(last, "rank")))
            last = one;
    return last;
}

/* "lru, fifo": those of a rank; returns how many. */
static int compare_names(const es_json *group, double rank, es_text *page)
{
    const es_json *one;
    int count = 0;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates"))
        if (compare_causal(one) && report_number(one, "rank") == rank)
            html_add(page, "%s%s", count++ ? ", " : "", compare_name(one));
    return count;
}

/* The interval of a less b, whichever way the pair is written down. */
static bool compare_pair(const es_json *group, const es_json *a, const es_json *b, double *difference, double *low, double *high)
{
    const es_json *pair;
    cJSON_ArrayForEach(pair, es_json_at(group, "pairs")) {
        const char *first = report_text(pair, "a"), *second = report_text(pair, "b");
        const bool same = first && second && strcmp(first, compare_name(a)) == 0 && strcmp(second, compare_name(b)) == 0;
        const bool turned = first && second && strcmp(first, compare_name(b)) == 0 && strcmp(second, compare_name(a)) == 0;
        if (!same && !turned)
            continue;
        const double sign = same ? 1.0 : -1.0, one = sign * report_number(pair, "cold.low"), other = sign * report_number(pair, "cold.high");
        *difference = sign * report_number(pair, "cold.difference");
        *low = same ? one : other;
        *high = same ? other : one;
        return isfinite(*difference);
    }
    return false;
}

/* ---- in words ---- */

static void compare_headline(const es_json *result, const es_json *group, es_text *page)
{
    es_text names = {0};
    const double rank = compare_first(group);
    const int count = compare_names(group, rank, &names);
    const es_json *best = compare_at_rank(group, rank);
    const char *metric = report_text(result, "metric");
    if (count == 0) {
        html_add(page, "All candidates read the future; nothing here is what an engine can do");
    } else if (count == 1) {
        es_text_put(page, names.at, names.length);
        html_add(page, " is best: %s ", metric ? metric : "");
        html_number(page, report_number(best, "cold"), compare_unit(result));
    } else {
        html_add(page, "A tie of %d: ", count);
        es_text_put(page, names.at, names.length);
        html_add(page, "; what differs between them could be noise");
    }
    page->failed = page->failed || names.failed;
    es_text_free(&names);
}

/* Differences of shares are points, not shares of one of them. */
static void compare_put_difference(double value, html_unit unit, es_text *page)
{
    if (unit == HTML_SHARE)
        html_add(page, "%.2f points", 100.0 * value);
    else
        html_number(page, value, unit);
}

static void compare_say_margin(const es_json *result, const es_json *group, es_text *page)
{
    const es_json *best = compare_at_rank(group, compare_first(group)), *one;
    const html_unit unit = compare_unit(result);
    double difference, low, high;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates")) {
        if (one == best || !best || !compare_causal(one) || report_number(one, "rank") == report_number(best, "rank"))
            continue;
        if (!compare_pair(group, one, best, &difference, &low, &high))
            continue;
        html_add(page, "<li><strong>%s</strong> is worse than %s by ", compare_name(one), compare_name(best));
        compare_put_difference(fabs(difference), unit, page);
        if (isfinite(low) && isfinite(high)) {
            html_add(page, " (%.4g %% interval ", 100.0 * report_number(result, "confidence"));
            compare_put_difference(fmin(fabs(low), fabs(high)), unit, page);
            html_add(page, " to ");
            compare_put_difference(fmax(fabs(low), fabs(high)), unit, page);
            html_add(page, ")");
        }
        html_add(page, ".</li>\n");
    }
}

/* What takes the most more of the worst than of the best: the reason, as far as time tells it. */
static void compare_say_why(const es_json *group, es_text *page)
{
    const es_json *best = compare_at_rank(group, compare_first(group)), *last = compare_last(group);
    report_cause mine[REPORT_CAUSES], theirs[REPORT_CAUSES];
    if (!best || !last || best == last)
        return;
    const size_t few = report_causes(es_json_at(best, "why.attribution"), mine), many = report_causes(es_json_at(last, "why.attribution"), theirs);
    double most = 0.0, had = 0.0;
    size_t at = 0;
    for (size_t i = 0; i < many; i++) {
        double before = 0.0;
        for (size_t k = 0; k < few; k++)
            if (strcmp(mine[k].key, theirs[i].key) == 0)
                before = mine[k].seconds;
        if (theirs[i].seconds - before > most) {
            most = theirs[i].seconds - before;
            had = before;
            at = i;
        }
    }
    if (!(most > 0.0))
        return;
    es_text words = {0};
    report_cause_words(theirs[at].key, &words);
    html_add(page, "<li><strong>Why.</strong> Most of what %s takes longer than %s is %s: ", compare_name(last), compare_name(best), words.at ? words.at : "");
    html_number(page, theirs[at].seconds, HTML_SECONDS);
    html_add(page, " instead of ");
    html_number(page, had, HTML_SECONDS);
    html_add(page, ".</li>\n");
    page->failed = page->failed || words.failed;
    es_text_free(&words);
}

/* More hits and yet slower: what people stumble over most. */
static void compare_say_paradox(const es_json *group, es_text *page)
{
    const es_json *a, *b;
    cJSON_ArrayForEach(a, es_json_at(group, "candidates"))
        cJSON_ArrayForEach(b, es_json_at(group, "candidates")) {
            const double more = report_number(a, "why.decode_hit_rate"), fewer = report_number(b, "why.decode_hit_rate");
            const double slow = report_number(a, "total_s"), fast = report_number(b, "total_s");
            if (!(more > fewer + 0.001) || !(slow > 1.001 * fast) || !(report_number(a, "rank") > report_number(b, "rank")))
                continue;
            html_add(page, "<li><strong>More hits, less speed.</strong> %s hits ", compare_name(a));
            html_number(page, more, HTML_SHARE);
            html_add(page, " and takes ");
            html_number(page, slow, HTML_SECONDS);
            html_add(page, "; %s hits ", compare_name(b));
            html_number(page, fewer, HTML_SHARE);
            html_add(page, " and takes ");
            html_number(page, fast, HTML_SECONDS);
            html_add(page, ": see where the time went.</li>\n");
        }
}

static void compare_say_ideal(const es_json *result, const es_json *group, es_text *page)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates"))
        if (!compare_causal(one)) {
            html_add(page, "<li><strong>%s</strong> reads the future: ", compare_name(one));
            html_number(page, report_number(one, "cold"), compare_unit(result));
            html_add(page, " is what could be had, nothing that an engine can do.</li>\n");
        }
}

/* Where nothing can be ranked for lack of evidence, why: each reason once. */
static void compare_say_reasons(const es_json *group, es_text *page)
{
    const es_json *pair, *before;
    const es_json *pairs = es_json_at(group, "pairs");
    cJSON_ArrayForEach(pair, pairs) {
        const char *reason = report_text(pair, "cold.reason");
        bool first = reason != NULL;
        for (before = pairs->child; first && before != pair; before = before->next)
            first = strcmp(report_word(before, "cold.reason", ""), reason) != 0;
        if (first)
            html_add(page, "<li><strong>Not ranked:</strong> %s and %s: %s.</li>\n", report_word(pair, "a", "?"), report_word(pair, "b", "?"), reason);
    }
}

static void compare_points(const es_json *result, const es_json *group, es_text *page)
{
    html_add(page, "<ul class=\"points\">\n");
    compare_say_margin(result, group, page);
    compare_say_reasons(group, page);
    compare_say_paradox(group, page);
    compare_say_why(group, page);
    compare_say_ideal(result, group, page);
    html_add(page, "</ul>\n");
}

/* Groups in which a candidate is best alone. */
static int compare_wins(const es_json *groups, const char *name)
{
    const es_json *group;
    int wins = 0;
    cJSON_ArrayForEach(group, groups) {
        es_text names = {0};
        const es_json *best = compare_at_rank(group, compare_first(group));
        wins += compare_names(group, compare_first(group), &names) == 1 && strcmp(compare_name(best), name) == 0;
        es_text_free(&names);
    }
    return wins;
}

/* Of several groups: who is best in most of them, and then a line for each. */
static void compare_groups(const es_json *result, const es_json *groups, es_text *page)
{
    const es_json *one, *group;
    const char *most = NULL;
    int wins = 0;
    cJSON_ArrayForEach(one, es_json_at(groups, "0.candidates")) {
        const int here = compare_wins(groups, compare_name(one));
        most = here > wins ? compare_name(one) : most;
        wins = here > wins ? here : wins;
    }
    html_add(page, "<p class=\"lead\">");
    if (most)
        html_add(page, "%s is best alone in %d of %d groups.</p>\n<ul class=\"points\">\n", most, wins, cJSON_GetArraySize(groups));
    else
        html_add(page, "In none of %d groups is a candidate best alone.</p>\n<ul class=\"points\">\n", cJSON_GetArraySize(groups));
    cJSON_ArrayForEach(group, groups) {
        html_add(page, "<li><strong>%s:</strong> ", compare_where(group));
        compare_headline(result, group, page);
        html_add(page, ".</li>\n");
    }
    html_add(page, "</ul>\n");
}

void report_compare_verdict(const report_ask *ask, es_text *page)
{
    const es_json *groups = es_json_at(ask->result, "groups"), *group = es_json_at(groups, "0");
    const char *unit = report_word(ask->result, "unit", "unit");
    if (cJSON_GetArraySize(groups) > 1) {
        compare_groups(ask->result, groups, page);
    } else {
        html_add(page, "<p class=\"lead\">");
        compare_headline(ask->result, group, page);
        html_add(page, ".</p>\n");
        compare_points(ask->result, group, page);
    }
    html_add(page, "<p class=\"muted\">Compared is %s: %s, %s is better. All candidates replay the same requests and are compared %s by %s; what could be noise is a tie."
        "</p>\n", report_word(ask->result, "metric", "?"), report_word(ask->result, "meaning", "?"), report_word(ask->result, "better", "?"), unit, unit);
}

/* ---- tables ---- */

static void compare_units(const es_json *result, const es_json *group, es_text *page)
{
    const char *unit = report_text(result, "unit");
    const double runs = report_number(group, "runs");
    html_add(page, "<p class=\"muted\">Units: ");
    html_number(page, report_number(group, "units"), HTML_COUNT);
    html_add(page, " (each a %s) in %.0f run%s of each candidate, ", unit ? unit : "unit", runs, runs == 1.0 ? "" : "s");
    html_number(page, report_number(group, "units_warm"), HTML_COUNT);
    html_add(page, " of them warm.</p>\n");
}

/* The candidates of a group, best first, equals in the order in which they were given; free() it. NULL: no memory. */
static const es_json **compare_ranked(const es_json *group, size_t *count)
{
    const es_json *one, *candidates = es_json_at(group, "candidates");
    const es_json **ranked = malloc(((size_t)cJSON_GetArraySize(candidates) + 1) * sizeof(es_json *));
    *count = 0;
    cJSON_ArrayForEach(one, candidates) {
        size_t at = ranked ? (*count)++ : 0;
        for (; ranked && at > 0 && report_number(ranked[at - 1], "rank") > report_number(one, "rank"); at--)
            ranked[at] = ranked[at - 1];
        if (ranked)
            ranked[at] = one;
    }
    return ranked;
}

static void compare_row(const es_json *one, html_unit unit, double first, es_text *page)
{
    html_row(page, compare_name(one));
    html_cell_number(page, report_number(one, "rank"), HTML_COUNT);
    html_cell_number(page, report_number(one, "cold"), unit);
    html_cell_number(page, report_number(one, "warm"), unit);
    html_cell_number(page, report_number(one, "total_s"), HTML_SECONDS);
    html_cell_number(page, report_number(one, "why.decode_hit_rate"), HTML_SHARE);
    html_cell_number(page, report_number(one, "why.fetched_bytes"), HTML_BYTES);
    html_cell_number(page, report_number(one, "warm_up"), HTML_COUNT);
    html_cell(page, !compare_causal(one) ? "yes: non-causal" : report_number(one, "rank") == first ? "no; best that can be built" : "no");
    html_row_end(page);
}

static void compare_ranking(const es_json *result, const es_json *group, es_text *page)
{
    static const html_column columns[] = {{"candidate", false}, {"rank", true}, {"all units", true}, {"warm", true}, {"total time", true}, {"hit rate of decode", true},
        {"fetched", true}, {"warm-up", true}, {"reads the future", false}};
    const html_unit unit = compare_unit(result);
    const double first = compare_first(group);
    size_t count;
    const es_json **ranked = compare_ranked(group, &count);
    page->failed = page->failed || !ranked;
    html_table(page, "Ranking: those of one rank are a tie", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++)
        compare_row(ranked[i], unit, first, page);
    html_table_end(page);
    free(ranked);
}

static void compare_phase(const es_json *result, const es_json *pair, const char *phase, es_text *page)
{
    const es_json *in = es_json_at(pair, phase);
    const html_unit unit = compare_unit(result);
    const char *better = report_text(in, "better"), *reason = report_text(in, "reason");
    if (!cJSON_IsObject(in))
        return;
    html_add(page, "<tr><th scope=\"row\">%s \xe2\x88\x92 %s</th>", report_word(pair, "a", "?"), report_word(pair, "b", "?"));
    html_cell(page, strcmp(phase, "cold") == 0 ? "all" : "warm");
    html_cell_number(page, report_number(in, "difference"), unit);
    html_cell_number(page, report_number(in, "low"), unit);
    html_cell_number(page, report_number(in, "high"), unit);
    html_cell_number(page, report_number(in, "wins"), HTML_COUNT);
    html_cell_number(page, report_number(in, "ties"), HTML_COUNT);
    html_cell_number(page, report_number(in, "losses"), HTML_COUNT);
    html_cell_number(page, report_number(in, "p_holm"), HTML_NUMBER);
    html_cell(page, better ? better : reason ? reason : "a tie");
    html_row_end(page);
}

static void compare_pairs(const es_json *result, const es_json *group, es_text *page)
{
    static const html_column columns[] = {{"pair", false}, {"units", false}, {"difference", true}, {"low", true}, {"high", true}, {"first wins", true}, {"alike", true},
        {"second wins", true}, {"p (Holm)", true}, {"better", false}};
    const es_json *pair;
    es_text caption = {0};
    es_text_add(&caption, "Pairs, with %.4g %% intervals; p over all %.0f pairs together", 100.0 * report_number(result, "confidence"), report_number(result, "family"));
    html_table(page, caption.at ? caption.at : "", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(pair, es_json_at(group, "pairs")) {
        compare_phase(result, pair, "cold", page);
        compare_phase(result, pair, "warm", page);
    }
    html_table_end(page);
    page->failed = page->failed || caption.failed;
    es_text_free(&caption);
}

/* ---- where the time went ---- */

static double compare_cause(const report_cause *causes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(causes[i].key, key) == 0)
            return causes[i].seconds;
    return 0.0;
}

/* All causes that some candidate has, in the order in which they are met. */
static size_t compare_causes(const es_json *group, report_cause *all)
{
    const es_json *one;
    size_t count = 0;
    cJSON_ArrayForEach(one, es_json_at(group, "candidates")) {
        report_cause causes[REPORT_CAUSES];
        const size_t some = report_causes(es_json_at(one, "why.attribution"), causes);
        for (size_t i = 0; i < some && count < REPORT_CAUSES; i++)
            if (compare_cause(all, count, causes[i].key) == 0.0)
                all[count++] = causes[i];
    }
    return count;
}

static void compare_time(const es_json *group, es_text *page)
{
    report_cause all[REPORT_CAUSES], causes[REPORT_CAUSES];
    html_column columns[REPORT_CAUSES + 1] = {{"candidate", false}};
    es_text words[REPORT_CAUSES] = {{0}};
    const size_t count = compare_causes(group, all);
    const es_json *one;
    for (size_t i = 0; i < count; i++) {
        report_cause_words(all[i].key, &words[i]);
        columns[i + 1] = (html_column){words[i].at ? words[i].at : "", true};
    }
    if (count > 0) {
        html_table(page, "Where the time of each went: seconds by cause", columns, count + 1);
        cJSON_ArrayForEach(one, es_json_at(group, "candidates")) {
            const size_t some = report_causes(es_json_at(one, "why.attribution"), causes);
            html_row(page, compare_name(one));
            for (size_t i = 0; i < count; i++)
                html_cell_number(page, compare_cause(causes, some, all[i].key), HTML_SECONDS);
            html_row_end(page);
        }
        html_table_end(page);
    }
    for (size_t i = 0; i < count; i++) {
        page->failed = page->failed || words[i].failed;
        es_text_free(&words[i]);
    }
}

static void compare_bounds(const es_json *group, es_text *page)
{
    static const report_row rows[] = {
        {"belady_decode_hit_rate", "Belady's hits of decode", HTML_SHARE, "Gives up whom it needs last.", false},
        {"belady_uniform_hit_rate", "hits, at most", HTML_SHARE, "Belady with all experts as small as the smallest.", false},
        {"lower_bound_s", "nobody is below", HTML_SECONDS, "Proved.", false},
        {"clairvoyant_s", "who knows the future", HTML_SECONDS, "Reaches this.", false},
        {"all_resident_s", "everything resident", HTML_SECONDS, "From the start.", false},
        {"never_cache_s", "without a cache", HTML_SECONDS, "Every use is fetched.", false},
    };
    const es_json *one = es_json_at(group, "candidates.0");
    report_rows(es_json_at(one, "bounds"), "Bounds (non-causal: no engine can know them beforehand), of the first candidate", rows, sizeof rows / sizeof *rows, page);
}

void report_compare(const report_ask *ask, es_text *page)
{
    const es_json *group;
    const bool several = cJSON_GetArraySize(es_json_at(ask->result, "groups")) > 1;
    html_section(page, "ranking", "Ranking");
    cJSON_ArrayForEach(group, es_json_at(ask->result, "groups")) {
        if (several)
            html_add(page, "<h3>%s</h3>\n", compare_where(group));
        if (several)
            compare_points(ask->result, group, page);
        compare_units(ask->result, group, page);
        compare_ranking(ask->result, group, page);
        compare_time(group, page);
        compare_bounds(group, page);
    }
    html_section_end(page);
    html_section(page, "pairs", "Differences and how sure they are");
    cJSON_ArrayForEach(group, es_json_at(ask->result, "groups")) {
        if (several)
            html_add(page, "<h3>%s</h3>\n", compare_where(group));
        compare_pairs(ask->result, group, page);
    }
    html_section_end(page);
}
