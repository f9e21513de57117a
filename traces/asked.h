/* Asked: what a person says of a trace file (--experts, --layers, --top-k, --axes), held against what the file says of itself.
 *
 * What a format does not say is taken as it was asked for. What it does say must be the same: a recording of places of a load balancer would
 * pass for one of experts otherwise. */
#ifndef ES_TRACES_ASKED_H
#define ES_TRACES_ASKED_H

#include "sim/part/source.h"

typedef struct es_said {
    uint32_t experts, layers, top_k;    /* of the file; 0: it does not say, or somebody else looks at it */
    bool array;                         /* its axes may stand in either order */
} es_said;

/* Another number than was asked for is an error that has both; the caller adds the place. So are --axes of what is no array. Fewer experts than were asked for are
 * none here: a config may have a model with more than a recording of it has. */
es_code es_asked(const es_source_ask *ask, const es_said *said, es_err *err);

#endif
