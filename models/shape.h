/* Shape: the geometry of one MoE model and what its experts weigh.
 *
 * One expert does not have one size. It depends on the precision, and in files that mix precisions (GGUF's Q4_K_M) on the
 * layer and the matrix as well. A shape therefore holds one row of sizes per precision it knows.
 * Shapes are data: models/shapes/NAME.json, or written out under `model` in a config. */
#ifndef ES_MODELS_SHAPE_H
#define ES_MODELS_SHAPE_H

#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/option.h"

typedef enum es_basis {         /* where the geometry was read */
    ES_BASIS_UNSTATED,          /* a shape of the user's own */
    ES_BASIS_CONFIG_READ,       /* the model's config file */
    ES_BASIS_TRACE_CHECKED,     /* and a public trace agrees to the byte */
    ES_BASIS_PARTIAL,           /* part of it: a trace, a card, a pull request */
    ES_BASIS_MODEL_CARD,
    ES_BASIS_KNOWN_UNVERIFIED   /* general knowledge; re-read before relying on it */
} es_basis;

typedef struct es_shape_size {  /* what one expert weighs in one precision */
    const char *precision;      /* "bf16", "q4_k_m" */
    int64_t bytes;              /* the same in all layers; 0: see layer */
    const int64_t *layer;       /* [moe_layers]; NULL: bytes for all */
    const int64_t *matrix;      /* [matrices][moe_layers], they add up to the above; NULL: not known apart */
    const char **matrix_name;   /* [matrices]: "gate", "up", "down"; NULL likewise */
} es_shape_size;

typedef struct es_shape_stage { /* of a model that counts its layers more than once */
    const char *name;           /* "encoder" */
    int64_t layers, moe_layers;
} es_shape_stage;

typedef struct es_shape {
    const char *name;
    int64_t layers;             /* all of them; the dense ones too */
    int64_t moe_layers, experts, top_k;
    const char *shared_experts; /* as the model's authors write it: "2x1408", "0", "unknown"; always resident, never cached */
    int64_t hidden, inter, matrices;
    int64_t params_per_expert;  /* weights only: matrices * hidden * inter */
    int64_t total_params;       /* published and rounded; 0: not known */
    const es_shape_stage *stage;
    size_t stages;              /* 0: one stack of layers */
    es_shape_size *size;
    size_t sizes;
    es_basis basis;
    const char *source, *marks, *notes;     /* NULL where the file says nothing */
} es_shape;

/* Reads and checks a shape. Members named in `allow` (ends with NULL, may be NULL) are left to the caller. */
es_code es_shape_parse(es_shape *shape, const es_json *object, const char *const *allow, es_arena *arena, es_err *err);
/* The row of a precision. An unknown one is an error that names the nearest and lists the others. */
es_code es_shape_size_of(const es_shape *shape, const char *precision, const es_shape_size **out, es_err *err);
/* Bytes of one expert of the layer-th MoE layer, counted from 0. */
es_code es_shape_bytes(const es_shape *shape, const char *precision, int64_t layer, int64_t *bytes, es_err *err);
/* Cycle bytes: what one token touches, summed over the MoE layers. LRU scores nothing below this capacity when tokens have little
 * in common. `top_k` 0 means the shape's own; engines run with fewer, and with top_k = experts this is the whole bank. */
es_code es_shape_cycle_bytes(const es_shape *shape, const char *precision, int64_t top_k, int64_t *bytes, es_err *err);

extern const es_option es_shape_options[];

#endif
