/* Sharing: what a calibration says of things that run at once, as the profile has it: the discipline of a flow, who waits for whom in it,
 * how many streams fill it, what slows it and what slows computing; and the times that this comes from. */
#ifndef ES_CALIB_SHARING_H
#define ES_CALIB_SHARING_H

#include "calib/sample.h"
#include "sim/base/text.h"

/* Adds to the links and compute units that "machine" has already, and "contention" beside them; lines to `told` for what no profile can say. */
void sharing_report(const calib_samples *samples, es_json *machine, es_text *told);

#endif
