/* Trace: tokens use the experts that were recorded. */
#include "sim/part/router.h"

const es_router es_router_trace = {
    .part = {
        .abi = ES_ABI,
        .name = "trace",
        .brief = "Tokens use the experts that were recorded.",
    },
    .route = NULL,
};
