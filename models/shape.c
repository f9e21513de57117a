/* Shape: see shape.h.
 *
 * The checks are there because these numbers are copied by hand from papers and config files: the parameters must be the
 * product they claim to be, pure n-bit sizes must follow from them, and lists must be as long as the model has layers. */
#include "models/shape.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"

typedef struct shape_fields {           /* what the option rows fill: the shape and the members that are read by hand */
    es_shape shape;
    const es_json *shared_experts, *stages, *provenance, *bytes_per_expert, *layer_bytes, *matrix_bytes;
} shape_fields;

#define FIELD(member) offsetof(shape_fields, member)
#define COUNT(field, most, text) \
    { .name = #field, .type = ES_OPT_INT, .offset = FIELD(shape.field), .min = 1, .max = (most), .required = true, .help = text }
#define MOST_LAYERS 65536           /* bounds that catch a slip of the keyboard before it becomes an allocation */
#define MOST_EXPERTS 65535          /* ids in a trace have 16 bits, and the last one means none */
#define MOST_WIDTH 0x1p24

const es_option es_shape_options[] = {
    { .name = "name", .type = ES_OPT_TEXT, .offset = FIELD(shape.name), .required = true, .help = "The model." },
    COUNT(layers, MOST_LAYERS, "Layers, the dense ones included."),
    COUNT(moe_layers, MOST_LAYERS, "Layers with routed experts."),
    { .name = "stages", .type = ES_OPT_JSON, .offset = FIELD(stages),
      .help = "Encoder and decoder, where each counts its own layers: [{name, layers, moe_layers}, ...]." },
    COUNT(experts, MOST_EXPERTS, "Routed experts per MoE layer."),
    COUNT(top_k, MOST_EXPERTS, "Experts a token is routed to in each MoE layer."),
    { .name = "shared_experts", .type = ES_OPT_JSON, .offset = FIELD(shared_experts),
      .help = "Always resident experts, as a number or as the authors write it: \"2x1408\"." },
    COUNT(hidden, MOST_WIDTH, "Width of the model."),
    COUNT(inter, MOST_WIDTH, "Inner width of one expert."),
    COUNT(matrices, 8, "Weight matrices per expert: 3 with a gate (SwiGLU), 2 without."),
    COUNT(params_per_expert, 0x1p53, "Weights per expert: matrices x hidden x inter."),
    { .name = "total_params", .type = ES_OPT_INT, .offset = FIELD(shape.total_params), .max = 0x1p53,
      .help = "Weights of the whole model as published, 0 when not known." },
    { .name = "provenance", .type = ES_OPT_JSON, .offset = FIELD(provenance), .help = "Where the shape was read: {basis, source, marks}." },
    { .name = "bytes_per_expert", .type = ES_OPT_JSON, .offset = FIELD(bytes_per_expert),
      .help = "Bytes of one expert by precision: {\"bf16\": 9437184, ...}." },
    { .name = "layer_bytes", .type = ES_OPT_JSON, .offset = FIELD(layer_bytes),
      .help = "The same where layers differ: a list with one number per MoE layer, by precision." },
    { .name = "matrix_bytes", .type = ES_OPT_JSON, .offset = FIELD(matrix_bytes),
      .help = "Bytes of each matrix where they differ: by precision and matrix, a number or a list with one per MoE layer." },
    { .name = "notes", .type = ES_OPT_TEXT, .offset = FIELD(shape.notes), .help = "What else one should know." },
    { 0 },
};

static const char *const basis_names[] = { "unstated", "config_read", "trace_checked", "partial", "model_card", "known_unverified", NULL };

typedef struct origin {
    int basis;
    const char *source, *marks;
} origin;

static const es_option origin_options[] = {
    { .name = "basis", .type = ES_OPT_ENUM, .offset = offsetof(origin, basis), .choices = basis_names, .help = "How sure the shape is." },
    { .name = "source", .type = ES_OPT_TEXT, .offset = offsetof(origin, source), .help = "Where it was read." },
    { .name = "marks", .type = ES_OPT_TEXT, .offset = offsetof(origin, marks), .help = "Which of the numbers are rounded or computed." },
    { 0 },
};

static const es_option stage_options[] = {
    { .name = "name", .type = ES_OPT_TEXT, .offset = offsetof(es_shape_stage, name), .required = true, .help = "The stage." },
    { .name = "layers", .type = ES_OPT_INT, .offset = offsetof(es_shape_stage, layers), .min = 1, .max = MOST_LAYERS, .required = true,
      .help = "Its layers." },
    { .name = "moe_layers", .type = ES_OPT_INT, .offset = offsetof(es_shape_stage, moe_layers), .max = MOST_LAYERS, .required = true,
      .help = "Those of them with routed experts." },
    { 0 },
};

/* Bits per weight, scales included, of the precisions whose name fixes them. A pure one must be met exactly; the others are what
 * the format takes without padding and biases, so an expert may weigh more but not less.
 * GGUF: block layouts of ggml (K-quants have 256 weights per block). MXFP4: 32 weights share one byte. NVFP4: 16 do.
 * HQQ2g16: two bits in groups of 16, 2.6 with their scales as its users report it. */
static const struct {
    const char *precision;
    double bits;
    bool pure;
} known_bits[] = {
    { "fp32", 32, true },       { "bf16", 16, true },        { "fp16", 16, true },      { "8bit", 8, true },
    { "4bit", 4, true },        { "2bit", 2, true },         { "q8_0", 8.5, false },    { "q6_k", 6.5625, false },
    { "q4_k", 4.5, false },     { "q2_k", 2.625, false },    { "iq2_xxs", 2.0625, false }, { "mxfp4", 4.25, false },
    { "nvfp4", 4.5, false },    { "hqq2g16", 2.6, false },
};

/* A positive whole number of bytes. */
static es_code bytes_read(const es_json *value, int64_t *bytes, es_err *err)
{
    if (!cJSON_IsNumber(value))
        return es_err_set(err, ES_EINPUT, "needs a number of bytes, found %s", es_json_kind(value));
    double v = value->valuedouble;
    if (!(v >= 1.0 && v <= 0x1p53) || v != (double)(int64_t)v)
        return es_err_set(err, ES_EINPUT, "%.17g is not a positive whole number of bytes", v);
    *bytes = (int64_t)v;
    return ES_OK;
}

/* One number per MoE layer into `out`: a list of that length, or where `spread` a single number for all. */
static es_code layers_read(const es_json *value, int64_t layers, bool spread, int64_t *out, es_err *err)
{
    if (spread && cJSON_IsNumber(value)) {
        es_code code = bytes_read(value, &out[0], err);
        if (code != ES_OK)
            return code;
        for (int64_t i = 1; i < layers; i++)
            out[i] = out[0];
        return ES_OK;
    }
    if (!cJSON_IsArray(value))
        return es_err_set(err, ES_EINPUT, "needs a list with one number per MoE layer, found %s", es_json_kind(value));
    int have = cJSON_GetArraySize(value);
    if (have != layers)
        return es_err_set(err, ES_EINPUT, "has %d numbers, the model has %lld MoE layers", have, (long long)layers);
    int64_t i = 0;
    const es_json *item;
    cJSON_ArrayForEach(item, value) {
        es_code code = bytes_read(item, &out[i], err);
        if (code != ES_OK) {
            es_err_at(err, "%lld", (long long)i);
            return code;
        }
        i++;
    }
    return ES_OK;
}

static es_shape_size *size_find(const es_shape *shape, const char *precision)
{
    for (size_t i = 0; i < shape->sizes; i++)
        if (strcmp(shape->size[i].precision, precision) == 0)
            return &shape->size[i];
    return NULL;
}

static es_shape_size *size_add(es_shape *shape, const char *precision, es_arena *arena)
{
    es_shape_size *size = &shape->size[shape->sizes];
    size->precision = es_arena_text(arena, precision);
    if (!size->precision)
        return NULL;
    shape->sizes++;
    return size;
}

static int64_t size_at(const es_shape_size *size, int64_t layer)
{
    return size->layer ? size->layer[layer] : size->bytes;
}

/* Is what a precision weighs possible for this many weights? */
static es_code size_check(const es_shape *shape, const es_shape_size *size, es_err *err)
{
    for (size_t i = 0; i < sizeof known_bits / sizeof known_bits[0]; i++) {
        if (strcmp(known_bits[i].precision, size->precision) != 0)
            continue;
        double want = (double)shape->params_per_expert * known_bits[i].bits / 8.0;
        for (int64_t layer = 0; layer < (size->layer ? shape->moe_layers : 1); layer++) {
            double have = (double)size_at(size, layer);
            /* 0.5: a count of bytes that is not whole was rounded by whoever wrote it down */
            if (have + 0.5 < want || (known_bits[i].pure && have - 0.5 > want))
                return es_err_set(err, ES_EINPUT, "%.0f bytes is %s the %.0f that %lld weights of %g bits take", have,
                    have < want ? "below" : "above", want, (long long)shape->params_per_expert, known_bits[i].bits);
        }
        return ES_OK;
    }
    return ES_OK;
}

static es_code object_check(const es_json *object, const char *what, es_err *err)
{
    if (!object || cJSON_IsObject(object))
        return ES_OK;
    return es_err_set(err, ES_EINPUT, "needs %s, found %s", what, es_json_kind(object));
}

static es_code bytes_per_expert_read(es_shape *shape, const es_json *object, es_arena *arena, es_err *err)
{
    es_code code = object_check(object, "an object of bytes by precision", err);
    if (code != ES_OK || !object)
        return code;
    const es_json *item;
    cJSON_ArrayForEach(item, object) {
        es_shape_size *size = size_add(shape, item->string, arena);
        if (!size)
            return es_err_nomem(err, "the sizes of a shape");
        if ((code = bytes_read(item, &size->bytes, err)) != ES_OK || (code = size_check(shape, size, err)) != ES_OK) {
            es_err_at(err, "%s", item->string);
            return code;
        }
    }
    return ES_OK;
}

static es_code layer_bytes_read(es_shape *shape, const es_json *object, es_arena *arena, es_err *err)
{
    es_code code = object_check(object, "an object of lists by precision", err);
    if (code != ES_OK || !object)
        return code;
    const es_json *item;
    cJSON_ArrayForEach(item, object) {
        if (size_find(shape, item->string))
            return es_err_set(err, ES_EINPUT, "%s: stands under bytes_per_expert too; one of them must go", item->string);
        es_shape_size *size = size_add(shape, item->string, arena);
        int64_t *layer = ES_NEW_ARRAY(arena, shape->moe_layers, int64_t);
        if (!size || !layer)
            return es_err_nomem(err, "the sizes of a shape");
        size->layer = layer;
        if ((code = layers_read(item, shape->moe_layers, false, layer, err)) != ES_OK ||
            (code = size_check(shape, size, err)) != ES_OK) {
            es_err_at(err, "%s", item->string);
            return code;
        }
    }
    return ES_OK;
}

/* The matrices of one precision; they must add up to what the expert weighs in every layer. */
static es_code matrices_read(const es_shape *shape, es_shape_size *size, const es_json *object, es_arena *arena, es_err *err)
{
    es_code code = cJSON_IsObject(object) ? ES_OK :
        es_err_set(err, ES_EINPUT, "needs an object of bytes by matrix, found %s", es_json_kind(object));
    if (code != ES_OK)
        return code;
    int have = cJSON_GetArraySize(object);
    if (have != shape->matrices)
        return es_err_set(err, ES_EINPUT, "names %d matrices, an expert has %lld", have, (long long)shape->matrices);
    int64_t layers = shape->moe_layers;
    int64_t *matrix = es_arena_alloc(arena, (size_t)(shape->matrices * layers), sizeof *matrix);
    size->matrix_name = ES_NEW_ARRAY(arena, shape->matrices, const char *);
    if (!matrix || !size->matrix_name)
        return es_err_nomem(err, "the matrices of a shape");
    size->matrix = matrix;
    int64_t i = 0;
    const es_json *item;
    cJSON_ArrayForEach(item, object) {
        if (!(size->matrix_name[i] = es_arena_text(arena, item->string)))
            return es_err_nomem(err, "the matrices of a shape");
        if ((code = layers_read(item, layers, true, matrix + i * layers, err)) != ES_OK) {
            es_err_at(err, "%s", item->string);
            return code;
        }
        i++;
    }
    for (int64_t layer = 0; layer < layers; layer++) {
        int64_t sum = 0;
        for (i = 0; i < shape->matrices; i++)
            sum += matrix[i * layers + layer];
        if (sum != size_at(size, layer))
            return es_err_set(err, ES_EINPUT, "the matrices of MoE layer %lld add up to %lld bytes, its expert has %lld", (long long)layer,
                (long long)sum, (long long)size_at(size, layer));
    }
    return ES_OK;
}

static es_code matrix_bytes_read(es_shape *shape, const es_json *object, es_arena *arena, es_err *err)
{
    es_code code = object_check(object, "an object of matrices by precision", err);
    if (code != ES_OK || !object)
        return code;
    const es_json *item;
    cJSON_ArrayForEach(item, object) {
        es_shape_size *size = size_find(shape, item->string);
        code = size ? matrices_read(shape, size, item, arena, err) :
            es_err_set(err, ES_EINPUT, "has no size under bytes_per_expert or layer_bytes");
        if (code != ES_OK) {
            es_err_at(err, "%s", item->string);
            return code;
        }
    }
    return ES_OK;
}

static es_code sizes_read(shape_fields *f, es_arena *arena, es_err *err)
{
    es_shape *shape = &f->shape;
    size_t most = (size_t)cJSON_GetArraySize(f->bytes_per_expert) + (size_t)cJSON_GetArraySize(f->layer_bytes);
    shape->size = ES_NEW_ARRAY(arena, most, es_shape_size);
    if (!shape->size)
        return es_err_nomem(err, "the sizes of a shape");
    es_code code;
    if ((code = bytes_per_expert_read(shape, f->bytes_per_expert, arena, err)) != ES_OK)
        es_err_at(err, "bytes_per_expert");
    else if ((code = layer_bytes_read(shape, f->layer_bytes, arena, err)) != ES_OK)
        es_err_at(err, "layer_bytes");
    else if ((code = matrix_bytes_read(shape, f->matrix_bytes, arena, err)) != ES_OK)
        es_err_at(err, "matrix_bytes");
    else if (shape->sizes == 0)
        code = es_err_set(err, ES_EINPUT, "bytes_per_expert: no precision has a size; at least one is needed");
    return code;
}

static es_code stages_read(es_shape *shape, const es_json *list, es_arena *arena, es_err *err)
{
    if (!list)
        return ES_OK;
    if (!cJSON_IsArray(list))
        return es_err_set(err, ES_EINPUT, "stages: needs a list, found %s", es_json_kind(list));
    es_shape_stage *stage = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_shape_stage);
    if (!stage)
        return es_err_nomem(err, "the stages of a shape");
    int64_t layers = 0, moe_layers = 0;
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        es_code code = es_options_parse(stage_options, &stage[shape->stages], item, NULL, arena, err);
        if (code != ES_OK) {
            es_err_at(err, "stages.%zu", shape->stages);
            return code;
        }
        layers += stage[shape->stages].layers;
        moe_layers += stage[shape->stages].moe_layers;
        shape->stages++;
    }
    shape->stage = stage;
    if (layers != shape->layers || moe_layers != shape->moe_layers)
        return es_err_set(err, ES_EINPUT, "stages: they have %lld layers and %lld MoE layers together, the model %lld and %lld",
            (long long)layers, (long long)moe_layers, (long long)shape->layers, (long long)shape->moe_layers);
    return ES_OK;
}

static es_code shared_read(es_shape *shape, const es_json *value, es_arena *arena, es_err *err)
{
    char number[32];
    const char *text = "0";
    if (cJSON_IsString(value)) {
        text = value->valuestring;
    } else if (cJSON_IsNumber(value)) {
        snprintf(number, sizeof number, "%g", value->valuedouble);
        text = number;
    } else if (value) {
        return es_err_set(err, ES_EINPUT, "shared_experts: needs a number or a text, found %s", es_json_kind(value));
    }
    shape->shared_experts = es_arena_text(arena, text);
    return shape->shared_experts ? ES_OK : es_err_nomem(err, "a shape");
}

static es_code origin_read(es_shape *shape, const es_json *object, es_arena *arena, es_err *err)
{
    origin o = { 0 };
    es_code code = es_options_parse(origin_options, &o, object, NULL, arena, err);
    if (code != ES_OK) {
        es_err_at(err, "provenance");
        return code;
    }
    shape->basis = (es_basis)o.basis;
    shape->source = o.source;
    shape->marks = o.marks;
    return ES_OK;
}

static es_code geometry_check(const es_shape *s, es_err *err)
{
    if (s->moe_layers > s->layers)
        return es_err_set(err, ES_EINPUT, "moe_layers: %lld is above %lld, all the layers there are", (long long)s->moe_layers,
            (long long)s->layers);
    if (s->top_k > s->experts)
        return es_err_set(err, ES_EINPUT, "top_k: %lld is above %lld, the experts of a layer", (long long)s->top_k, (long long)s->experts);
    /* In double: an absurd width must not overflow, and a real product is far below 2^53. */
    double product = (double)s->matrices * (double)s->hidden * (double)s->inter;
    if ((double)s->params_per_expert != product)
        return es_err_set(err, ES_EINPUT, "params_per_expert: %lld is not matrices x hidden x inter = %lld x %lld x %lld = %.0f",
            (long long)s->params_per_expert, (long long)s->matrices, (long long)s->hidden, (long long)s->inter, product);
    return ES_OK;
}

es_code es_shape_parse(es_shape *shape, const es_json *object, const char *const *allow, es_arena *arena, es_err *err)
{
    shape_fields f = { 0 };
    es_code code = es_options_parse(es_shape_options, &f, object, allow, arena, err);
    if (code == ES_OK)
        code = geometry_check(&f.shape, err);
    if (code == ES_OK)
        code = shared_read(&f.shape, f.shared_experts, arena, err);
    if (code == ES_OK)
        code = stages_read(&f.shape, f.stages, arena, err);
    if (code == ES_OK)
        code = origin_read(&f.shape, f.provenance, arena, err);
    if (code == ES_OK)
        code = sizes_read(&f, arena, err);
    if (code == ES_OK)
        *shape = f.shape;
    return code;
}

es_code es_shape_size_of(const es_shape *shape, const char *precision, const es_shape_size **out, es_err *err)
{
    *out = size_find(shape, precision);
    if (*out)
        return ES_OK;
    const char *name[64];
    size_t count = 0;
    es_text list = { 0 };
    for (size_t i = 0; i < shape->sizes && count < sizeof name / sizeof name[0]; i++) {
        es_text_add(&list, "%s%s", i ? ", " : "", shape->size[i].precision);
        name[count++] = shape->size[i].precision;
    }
    const char *near = es_text_nearest(precision, name, count);
    es_code code = es_err_set(err, ES_EINPUT, "%s has no precision \"%s\"%s%s%s; it has %s", shape->name, precision,
        near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "", list.at ? list.at : "none");
    es_text_free(&list);
    return code;
}

es_code es_shape_bytes(const es_shape *shape, const char *precision, int64_t layer, int64_t *bytes, es_err *err)
{
    const es_shape_size *size;
    es_code code = es_shape_size_of(shape, precision, &size, err);
    if (code != ES_OK)
        return code;
    if (layer < 0 || layer >= shape->moe_layers)
        return es_err_set(err, ES_EINPUT, "%s has no MoE layer %lld; it has %lld, counted from 0", shape->name, (long long)layer,
            (long long)shape->moe_layers);
    *bytes = size_at(size, layer);
    return ES_OK;
}

es_code es_shape_cycle_bytes(const es_shape *shape, const char *precision, int64_t top_k, int64_t *bytes, es_err *err)
{
    const es_shape_size *size;
    es_code code = es_shape_size_of(shape, precision, &size, err);
    if (code != ES_OK)
        return code;
    int64_t k = top_k ? top_k : shape->top_k;
    if (k < 1 || k > shape->experts)
        return es_err_set(err, ES_EINPUT, "%lld experts per token is not between 1 and %lld, the experts of a layer of %s", (long long)k,
            (long long)shape->experts, shape->name);
    int64_t sum = 0;
    for (int64_t layer = 0; layer < shape->moe_layers; layer++) {
        if (size_at(size, layer) > (INT64_MAX - sum) / k)
            return es_err_set(err, ES_EINPUT, "the experts of one token of %s would take more than 2^63 bytes", shape->name);
        sum += k * size_at(size, layer);
    }
    *bytes = sum;
    return ES_OK;
}
