/* Fetch: every missing expert is copied to where it is computed. */
#include "sim/part/dispatcher.h"

const es_dispatcher es_dispatcher_fetch = {
    .part = {
        .abi = ES_ABI,
        .name = "fetch",
        .brief = "Every missing expert is copied to where it is computed.",
    },
    .serve = NULL,
};
