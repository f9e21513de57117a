/* None: nothing is foreseen. */
#include "sim/part/predictor.h"

const es_predictor es_predictor_none = {
    .part = {
        .abi = ES_ABI,
        .name = "none",
        .brief = "Nothing is foreseen; only demands are fetched.",
    },
    .predict = NULL,
};
