/* Onto: see onto.h. */
#include "calib/onto.h"

#include <math.h>

#include "calib/batch.h"
#include "calib/copied.h"
#include "calib/solve.h"

#define ONTO_PAGE 4096
#define ONTO_DIGITS 1e3         /* more are noise */

int64_t onto_bytes(int64_t cache_bytes)
{
    const int64_t bytes = cache_bytes / 8 / ONTO_PAGE * ONTO_PAGE;
    return bytes > ONTO_PAGE ? bytes : ONTO_PAGE;
}

/* What a copy of so many bytes takes to where nothing is near: by a line between the medians of the sizes around it; 0: nobody measured those. */
static double onto_cold(const calib_series *copies, double bytes, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    const batch_point *low = NULL, *high = NULL;
    double issue;
    const size_t count = batch_points(copies, point, &issue, arena);
    for (size_t i = 0; i < count; i++) {
        if (point[i].bytes <= bytes && (!low || point[i].bytes > low->bytes))
            low = &point[i];
        if (point[i].bytes >= bytes && (!high || point[i].bytes < high->bytes))
            high = &point[i];
    }
    if (!low || !high)
        return 0.0;
    return low == high ? low->ns : low->ns + (bytes - low->bytes) / (high->bytes - low->bytes) * (high->ns - low->ns);
}

/* Right behind the copy that went there. */
static double onto_first(const calib_series *onto, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    return copied_medians(onto, point, arena) ? point[0].ns : 0.0;
}

/* The distance at which half of what it saves is lost, by a line between two that were measured; the last of them where it is not lost by then;
 * 0: it saves next to nothing. */
static double onto_near(const calib_series *onto, double cold_ns, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    const size_t count = copied_medians(onto, point, arena);
    size_t at = 1;
    if (count == 0 || !(point[0].ns < (1.0 - COPIED_SAVES) * cold_ns))
        return 0.0;
    const double half = 0.5 * (point[0].ns + cold_ns);
    while (at < count && point[at].ns < half)
        at++;
    if (at == count)
        return copied_distance(&point[count - 1]);
    const batch_point *low = &point[at - 1], *high = &point[at];
    const double share = (half - low->ns) / (high->ns - low->ns), from = copied_distance(low);
    return floor(from + share * (copied_distance(high) - from));
}

void onto_report(const calib_samples *samples, es_json *machine)
{
    es_arena arena = {0};
    const calib_series *onto = &samples->row[calib_row_find("pcie.onto") - calib_rows], *copies = &samples->row[calib_row_find("pcie.h2d") - calib_rows];
    es_json *flow = es_json_at(machine, "links.pcie.h2d");
    const double cold = flow && onto->count ? onto_cold(copies, (double)onto->at[0].bytes, &arena) : 0.0;
    const double near = cold > 0.0 ? onto_near(onto, cold, &arena) : 0.0;
    if (near > 0.0) {
        es_json_add_real(flow, "onto", floor(onto_first(onto, &arena) / cold * ONTO_DIGITS + 0.5) / ONTO_DIGITS);
        es_json_add_quantity(flow, "onto_near", near, ES_UNIT_BYTES);
    }
    es_arena_free(&arena);
}
