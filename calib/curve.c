/* Curve: see curve.h. */
#include "calib/curve.h"

#include <math.h>
#include <string.h>

#include "calib/solve.h"

const char *const curve_names[CURVE_FAMILIES + 1] = {"affine", "knee", "pages", "jump", "knees", NULL};

/* Points a piece needs; terms that are fitted, and with them the knees; by family. */
enum { CURVE_SIDE = 3, CURVE_PASSES = 40, CURVE_QUICK = 2 };
static const size_t curve_terms[CURVE_FAMILIES] = {2, 3, 3, 4, 4}, curve_knees[CURVE_FAMILIES] = {0, 1, 1, 1, 2};

#define CURVE_GAIN 6.0

typedef struct curve_try {      /* one family with given knees, and what came of it */
    int family;
    double knee[CURVE_PIECES - 1];
    solve_answer answer;
    bool sound;
} curve_try;

/* ---- one fit ---- */

/* What term j of the family is at `bytes`. */
static double curve_term(const curve_try *t, size_t j, double bytes)
{
    const double *k = t->knee;
    if (t->family == CURVE_PAGES)
        return j == 0 ? 1.0 : j == 1 ? fmod(bytes, k[0]) : bytes - fmod(bytes, k[0]);
    if (t->family == CURVE_JUMP) {
        bool beyond = bytes >= k[0];
        return beyond != (j >= 2) ? 0.0 : j % 2 == 0 ? 1.0 : bytes;
    }
    if (j == 0)
        return 1.0;
    double low = j >= 2 ? k[j - 2] : 0.0, high = j - 1 < curve_knees[t->family] ? k[j - 1] : INFINITY;
    return fmax(0.0, fmin(bytes, high) - low);
}

static void try_rows(const curve_try *t, const curve_point *point, size_t count, solve_rows *rows)
{
    rows->count = count < SOLVE_ROWS ? count : SOLVE_ROWS;
    rows->terms = curve_terms[t->family];
    for (size_t i = 0; i < rows->count; i++) {
        rows->ns[i] = point[i].ns;
        for (size_t j = 0; j < rows->terms; j++)
            rows->term[i][j] = curve_term(t, j, point[i].bytes);
    }
}

static double try_loss(curve_try *t, const curve_point *point, size_t count, int passes)
{
    solve_rows rows;
    try_rows(t, point, count, &rows);
    t->sound = solve(&rows, passes, &t->answer);
    return t->sound ? t->answer.loss : INFINITY;
}

/* ---- where the knees are ---- */

/* Plain least squares is enough to tell places apart; the loss of one scale would favour whatever has the smallest one. */
static double place_loss(curve_try *t, const curve_point *point, size_t count, double scale)
{
    solve_rows rows;
    try_rows(t, point, count, &rows);
    t->sound = solve(&rows, CURVE_QUICK, &t->answer);
    return t->sound ? solve_loss(&rows, t->answer.theta, scale) : INFINITY;
}

static void place_consider(curve_try *best, double *least, curve_try t, const curve_point *point, size_t count, double scale)
{
    double loss = place_loss(&t, point, count, scale);
    if (loss < *least) {
        *least = loss;
        *best = t;
    }
}

/* The best size of pages, a power of two, with CURVE_SIDE points on either side. */
static curve_try place_pages(const curve_point *point, size_t count, double scale)
{
    curve_try best = {.family = CURVE_PAGES};
    double least = INFINITY;
    for (double page = 4096.0; page <= point[count - CURVE_SIDE].bytes; page *= 2.0)
        if (page > point[CURVE_SIDE - 1].bytes)
            place_consider(&best, &least, (curve_try){.family = CURVE_PAGES, .knee = {page}}, point, count, scale);
    return best;
}

/* The best places among the points, with CURVE_SIDE of them in every piece. */
static curve_try place_search(int family, const curve_point *point, size_t count, double scale)
{
    curve_try best = {.family = family};
    double least = INFINITY;
    if (family == CURVE_PAGES)
        return place_pages(point, count, scale);
    for (size_t i = CURVE_SIDE; i + CURVE_SIDE <= count; i++) {
        if (curve_knees[family] == 1)
            place_consider(&best, &least, (curve_try){.family = family, .knee = {point[i].bytes}}, point, count, scale);
        for (size_t j = i + CURVE_SIDE; curve_knees[family] == 2 && j + CURVE_SIDE <= count; j++)
            place_consider(&best, &least, (curve_try){.family = family, .knee = {point[i].bytes, point[j].bytes}}, point, count, scale);
    }
    return best;
}

/* Moves knee `which` between its neighbours by the golden section, in logarithms. A jump lies between two points: any place will do. */
static void place_refine(curve_try *t, size_t which, double low, double high, const curve_point *point, size_t count, double scale)
{
    const double ratio = 0.6180339887498949;
    double a = log(low), b = log(high);
    for (int step = 0; step < 30; step++) {
        curve_try left = *t, right = *t;
        left.knee[which] = exp(b - ratio * (b - a));
        right.knee[which] = exp(a + ratio * (b - a));
        if (place_loss(&left, point, count, scale) <= place_loss(&right, point, count, scale))
            b = log(right.knee[which]);
        else
            a = log(left.knee[which]);
    }
    t->knee[which] = exp(0.5 * (a + b));
}

/* The neighbours of a knee among the points, at least two points from either end. */
static void place_between(const curve_point *point, size_t count, double knee, double *low, double *high)
{
    size_t at = 1;
    while (at + 3 < count && point[at + 1].bytes < knee * (1.0 - 1e-9))
        at++;
    *low = point[at].bytes;
    *high = point[at + 2 < count ? at + 2 : count - 1].bytes;
}

static void place_settle(curve_try *t, const curve_point *point, size_t count, double scale)
{
    bool moves = t->family != CURVE_JUMP && t->family != CURVE_PAGES;
    for (int round = 0; moves && round < (t->family == CURVE_KNEES ? 2 : 1); round++)
        for (size_t k = 0; k < curve_knees[t->family]; k++) {
            double low, high;
            place_between(point, count, t->knee[k], &low, &high);
            if (k > 0)
                low = fmax(low, t->knee[k - 1] * 1.01);
            if (k + 1 < curve_knees[t->family])
                high = fmin(high, t->knee[k + 1] / 1.01);
            if (low < high)
                place_refine(t, k, low, high, point, count, scale);
        }
    try_loss(t, point, count, CURVE_PASSES);
}

/* ---- which family ---- */

static void curve_of(const curve_try *t, calib_curve *out)
{
    const double *theta = t->answer.theta;
    out->family = t->family;
    out->pieces = curve_knees[t->family] + 1;
    out->from[0] = 0.0;
    out->fixed[0] = theta[0];
    out->slope[0] = theta[1];
    out->clamped = theta[0] <= 0.0;
    for (size_t i = 1; i < out->pieces; i++) {
        out->from[i] = t->knee[i - 1];
        out->slope[i] = t->family == CURVE_JUMP ? theta[3] : theta[i + 1];
        out->fixed[i] = t->family == CURVE_JUMP ? theta[2] : t->family == CURVE_PAGES ? theta[0] : out->fixed[i - 1] + (out->slope[i - 1] - out->slope[i]) * t->knee[i - 1];
    }
}

double curve_ns(const calib_curve *curve, double bytes)
{
    size_t i = curve->pieces - 1;
    if (curve->family == CURVE_PAGES) {
        double rest = fmod(bytes, curve->from[1]);
        return curve->fixed[0] + curve->slope[0] * rest + curve->slope[1] * (bytes - rest);
    }
    while (i > 0 && bytes < curve->from[i])
        i--;
    return curve->fixed[i] + curve->slope[i] * bytes;
}

typedef struct curve_criteria {
    double aicc, bic;
} curve_criteria;

/* On one scale for all: bounded losses of different scales cannot be compared. */
static curve_criteria curve_judge(const curve_try *t, const curve_point *point, size_t count, double scale)
{
    solve_rows rows;
    try_rows(t, point, count, &rows);
    double n = (double)count, p = (double)(curve_terms[t->family] + curve_knees[t->family]);
    double mean = solve_loss(&rows, t->answer.theta, scale) / n + SOLVE_LEAST * SOLVE_LEAST;
    return (curve_criteria){n * log(mean) + 2.0 * p + 2.0 * p * (p + 1.0) / (n - p - 1.0), n * log(mean) + p * log(n)};
}

/* Enough points for the criterion, and for every piece. */
static bool family_fits(int family, size_t count)
{
    size_t p = curve_terms[family] + curve_knees[family];
    return count > p + 1 && count >= CURVE_SIDE * (curve_knees[family] + 1);
}

/* The deviation of the noise: what is left of the richest family that has three points for each of its parameters. */
static double family_scale(const curve_try *tries, size_t count)
{
    double scale = tries[CURVE_AFFINE].answer.scale;
    for (int f = 0; f < CURVE_FAMILIES; f++) {
        size_t p = curve_terms[f] + curve_knees[f];
        if (tries[f].sound && count >= 3 * p)
            scale = fmin(scale, tries[f].answer.scale * sqrt((double)count / (double)(count - p)));
    }
    return fmax(scale, SOLVE_LEAST);
}

/* The first family from which no later one differs by the gain. */
static int curve_choice(const double criterion[CURVE_FAMILIES])
{
    int best = CURVE_AFFINE;
    for (int f = 0; f < CURVE_FAMILIES; f++)
        if (criterion[f] < criterion[best] - CURVE_GAIN)
            best = f;
    return best;
}

bool curve_fit(const curve_point *point, size_t count, unsigned families, calib_curve *out)
{
    curve_try tries[CURVE_FAMILIES] = {{.family = CURVE_AFFINE}};
    memset(out, 0, sizeof *out);
    if (count < 3 || !isfinite(try_loss(&tries[CURVE_AFFINE], point, count, CURVE_PASSES)))
        return false;
    double wide = tries[CURVE_AFFINE].answer.scale;
    for (int f = CURVE_KNEE; f < CURVE_FAMILIES; f++) {
        if (!family_fits(f, count) || !(families >> f & 1))
            continue;
        tries[f] = place_search(f, point, count, wide);
        if (tries[f].sound)
            place_settle(&tries[f], point, count, wide);
    }
    double scale = family_scale(tries, count);
    for (int f = 0; f < CURVE_FAMILIES; f++) {
        bool judged = tries[f].sound && count > curve_terms[f] + curve_knees[f] + 1;
        curve_criteria criteria = judged ? curve_judge(&tries[f], point, count, scale) : (curve_criteria){NAN, NAN};
        out->aicc[f] = criteria.aicc;
        out->bic[f] = criteria.bic;
    }
    out->family_bic = curve_choice(out->bic);
    curve_of(&tries[curve_choice(out->aicc)], out);
    return true;
}

bool curve_refit(const curve_point *point, size_t count, const calib_curve *like, calib_curve *out)
{
    curve_try t = {.family = like->family};
    for (size_t i = 1; i < like->pieces; i++)
        t.knee[i - 1] = like->from[i];
    *out = *like;
    if (!isfinite(try_loss(&t, point, count, CURVE_QUICK)))
        return false;
    place_settle(&t, point, count, t.answer.scale);
    if (t.sound)
        curve_of(&t, out);
    return t.sound;
}
