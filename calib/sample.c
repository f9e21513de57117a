/* Samples: see sample.h. */
#include "calib/sample.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const calib_stop_names[CALIB_STOPS + 1] = {"precise", "stable", "budget", NULL};

const char *const calib_question_names[CALIB_QUESTIONS] = {"h2d_behind", "d2h_behind", "d2h_across", "h2d_first", "h2d_chunked", "h2d_spaced",
    "h2d_streams_1", "h2d_streams_2", "h2d_streams_4", "h2d_streams_8", "d2h_streams_1", "d2h_streams_2", "d2h_streams_4", "d2h_streams_8", "h2d_opposite",
    "d2h_opposite", "h2d_computing", "d2h_computing", "h2d_multiplying", "d2h_multiplying", "expert_copying", "expert_sending", "product_copying",
    "h2d_waiting", "d2h_waiting", "expert_waiting", "read_waiting"};

#define PRECISE_SHARE 0.02      /* half of the interval of the median, as a share of it */
#define STABLE_SHARE 0.05       /* nvbench's: how far the last estimates of the noise may lie apart */
enum { PRECISE_LEAST = 10, STABLE_LEAST = 60 };     /* samples: fewer tell nothing of a tail; 60 gave 2 to 4 % on a noisy machine */

es_code calib_series_add(calib_series *series, const calib_sample *sample, es_err *err)
{
    if (series->count == series->room) {
        size_t room = series->room ? 2 * series->room : 256;
        calib_sample *at = realloc(series->at, room * sizeof *at);
        if (!at)
            return es_err_nomem(err, "samples");
        series->at = at;
        series->room = room;
    }
    series->at[series->count++] = *sample;
    return ES_OK;
}

void calib_samples_free(calib_samples *samples)
{
    for (size_t i = 0; i < CALIB_ROWS; i++)
        free(samples->row[i].at);
    cJSON_Delete(samples->environment);
    *samples = (calib_samples){0};
}

/* The smallest k whose value is not below the median of a resample with at least this probability. */
static size_t median_rank(size_t n, double probability)
{
    unsigned m = (unsigned)((n + 1) / 2), low = 0, high = (unsigned)n;
    while (high - low > 1) {
        unsigned k = low + (high - low) / 2;
        if (gsl_cdf_binomial_Q(m - 1, (double)k / (double)n, (unsigned)n) >= probability)
            high = k;
        else
            low = k;
    }
    return high;
}

calib_interval calib_median(const double *ascending, size_t n)
{
    double median = gsl_stats_median_from_sorted_data(ascending, 1, n);
    return (calib_interval){median, ascending[median_rank(n, 0.025) - 1], ascending[median_rank(n, 0.975) - 1]};
}

static bool case_is_stable(const calib_case_state *state)
{
    double least = INFINITY, most = 0.0;
    for (size_t i = 0; i < CALIB_RECENT; i++) {
        least = fmin(least, state->noise[i]);
        most = fmax(most, state->noise[i]);
    }
    return most - least <= STABLE_SHARE * most;
}

void calib_case_take(calib_case_state *state, double ns)
{
    if (state->count == CALIB_ROUNDS)
        return;
    size_t at = state->count;
    for (; at > 0 && state->ns[at - 1] > ns; at--)
        state->ns[at] = state->ns[at - 1];
    state->ns[at] = ns;
    uint32_t n = ++state->count;
    state->stop = CALIB_BUDGET;
    double spread = gsl_stats_quantile_from_sorted_data(state->ns, 1, n, 0.75) - gsl_stats_quantile_from_sorted_data(state->ns, 1, n, 0.25);
    calib_interval now = calib_median(state->ns, n);
    state->noise[n % CALIB_RECENT] = now.median > 0.0 ? spread / now.median : 0.0;
    if (n >= PRECISE_LEAST && now.high - now.low <= 2.0 * PRECISE_SHARE * now.median)
        state->stop = CALIB_PRECISE;
    else if (n >= STABLE_LEAST && case_is_stable(state))
        state->stop = CALIB_STABLE;
    state->stopped = state->stop != CALIB_BUDGET || n == CALIB_ROUNDS;
}
