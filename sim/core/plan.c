/* Plan: the option rows of tiers, channels, links, catalog and compute. See plan.h. */
#include "sim/core/plan.h"

static const char *const plan_disciplines[] = {"fifo", "lanes", "shared", NULL};
static const char *const plan_assigns[] = {"index", "popularity", "rarity", "random", "file", NULL};
static const char *const plan_keys[] = {"layer_expert", "expert", NULL};
static const char *const plan_guess_costs[] = {"link", "serial", "free", NULL};
static const char *const plan_overlaps[] = {"resident_first", "in_order", "barrier", NULL};
static const char *const plan_train_steps[] = {"as_traced", "all", "none", NULL};
static const char *const plan_updates[] = {"device", "host", NULL};
static const char *const plan_optimizers[] = {"none", "momentum", "adam", NULL};
static const char *const plan_exceeds[] = {"recompute", "refuse", NULL};
static const char *const plan_holds[] = {"all", "touched", "nothing", NULL};
static const char *const plan_write_rules[] = {"never", "absent", "dirty", "always", NULL};
static const char *const plan_accesses[] = {"first", "every", NULL};

const es_option es_tier_options[] = {
    {.name = "capacity", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_tier, capacity),
        .help = "Room: \"24GiB\", \"192slots\" or \"25%\" of all experts (rounded down). The home tier has none."},
    {.name = "share", .type = ES_OPT_REAL, .offset = offsetof(es_plan_tier, share), .def = 1, .min = 0, .max = 1, .tunable = true,
        .help = "Part of the capacity that experts may take. A tuner may turn it: what is too much then leaves at the next end of a layer or begin of a step, "
            "and there is always room for what is pinned and one expert."},
    {.name = "home", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_tier, home), .help = "Unbounded and holds every expert from the start; exactly one tier is home."},
    {.name = "holds", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_tier, holds), .choices = plan_holds,
        .help = "What the home tier holds: all experts from the start; those that were touched, an expert being created when it is first wanted, which costs a "
                "write here and no read; or nothing, so that an expert that no tier has is made anew."},
    {.name = "compute", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_tier, compute),
        .help = "Compute unit that reads experts from here: a demand hits when the expert is resident in such a tier."},
    {.name = "demote", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_tier, demote), .help = "Tier to which victims go; absent: they are dropped, the home tier has them."},
    {.name = "exclusive", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_tier, exclusive), .help = "An expert that goes up from here leaves."},
    {.name = "hold_reads", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_tier, hold_reads), .def = 1,
        .help = "What is read from here, or waits to be, stays until then; false: it may leave meanwhile, for its reader has it in hand, beside the room of this "
                "tier (a published prototype does). Of tiers below the serving one."},
    {.name = "grace", .type = ES_OPT_TIME, .offset = offsetof(es_plan_tier, grace), .min = 0, .max = 9e15,
        .help = "For so long after its layer ended a used expert should stay: guesses never take it. Needs clock simulated."},
    {.name = "grace_yields", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_tier, grace_yields), .def = 1,
        .help = "A demand takes an expert in grace when nothing else can leave; otherwise it waits or exceeds the tier."},
    {.name = "write_back", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_tier, write_back), .choices = plan_write_rules,
        .help = "What leaves for the tier of `demote` is a transfer over the link down: never (it costs nothing); when it was changed or the tier below has "
                "none (absent); when it was changed, and the rest is dropped (dirty); or always, also what is below unchanged. With several serving tiers only the "
                "first writes back."},
    {.name = "write_through", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_tier, write_through), .help = "What is changed here is written down at once, and stays."},
    {.name = "write_every", .type = ES_OPT_INT, .offset = offsetof(es_plan_tier, write_every), .min = 0, .max = 9e15, .unit = "steps",
        .help = "Behind so many steps what was changed here is written down, and stays; 0: when it leaves."},
    {.name = "write_buffer", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_tier, write_buffer), .def_text = "none",
        .help = "What leaves by a transfer gives its room at once and is in a buffer until it has been written: unbounded, or so many bytes (\"4GiB\"), beyond "
                "which it keeps its room; none: all do. Wanted meanwhile, it comes back from there. Of tiers between home and the serving ones."},
    {0},
};

const es_option es_channel_options[] = {
    {.name = "discipline", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_channel, discipline), .choices = plan_disciplines,
        .help = "fifo: one at a time, first come first served; lanes: several at a time, each at the full rate; shared: all at once, max-min fair."},
    {.name = "lanes", .type = ES_OPT_INT, .offset = offsetof(es_plan_channel, lanes), .def = 1, .min = 1, .max = 1024, .help = "Servers of discipline lanes."},
    {.name = "chunk", .type = ES_OPT_BYTES, .offset = offsetof(es_plan_channel, chunk), .min = 0, .max = 9e15,
        .help = "Large copies are cut into chunks of this size, between which a demand may overtake a guess; 0: never cut."},
    {.name = "slowed_by", .type = ES_OPT_JSON, .offset = offsetof(es_plan_channel, slowed_by), 
        .help = "{\"channel\": factor}: the rate of this channel or compute unit is multiplied by factor while that one, a channel or a compute unit, is busy."},
    {.name = "handover", .type = ES_OPT_TIME, .offset = offsetof(es_plan_channel, handover), .min = 0, .max = 9e15,
        .help = "Until its queue has noticed that another one has done what it waits for. Of action logs (`expertsim validate`); the simulated clock has none."},
    {.name = "onto", .type = ES_OPT_REAL, .offset = offsetof(es_plan_channel, onto), .def = 1, .min = 0.001, .max = 1,
        .help = "Share of its time that a copy takes whose destination was used just before. Of action logs; the simulated clock does not ask."},
    {.name = "onto_near", .type = ES_OPT_BYTES, .offset = offsetof(es_plan_channel, onto_near), .min = 0, .max = 0x1p53,
        .help = "Just before: so many bytes of memory touched since that use ended, at most."},
    {0},
};

const es_option es_link_options[] = {
    {.name = "from", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_link, from), .required = true, .help = "Tier that is read."},
    {.name = "to", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_link, to), .required = true, .help = "Tier that is written."},
    {.name = "channels", .type = ES_OPT_JSON, .offset = offsetof(es_plan_link, channels),
        .help = "Channels that a copy occupies: it queues at the first, the rest are limits it shares. Absent: the copy costs nothing."},
    {0},
};

const es_option es_catalog_options[] = {
    {.name = "key", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_catalog, key), .choices = plan_keys,
        .help = "What is one object: an expert of one layer; or an expert index, which all layers share (some published simulators do, and it flatters hit rates)."},
    {.name = "bits", .type = ES_OPT_JSON, .offset = offsetof(es_plan_catalog, bits),
        .help = "Bits of a weight of the experts: 4, or the share of each layer's experts at each precision, {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}; absent: one precision, of which nothing is said."},
    {.name = "assign", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_catalog, assign), .choices = plan_assigns,
        .help = "Which experts have which bits: by their numbers, in the order of `bits`; the most used the widest (popularity) or the narrowest (rarity); by chance; as `file` says."},
    {.name = "calibrate", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_catalog, calibrate), .def_text = "in_sample",
        .help = "Trace whose decode steps say who is used most; in_sample: the run's own."},
    {.name = "file", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_catalog, file), .help = "With assign file: lines `layer,expert,bits`, one for every expert; `bits` is then a list."},
    {.name = "bytes", .type = ES_OPT_JSON, .offset = offsetof(es_plan_catalog, bytes),
        .help = "Bytes of an expert by its bits, {\"4\": \"64.5MiB\"}; where nothing is said, the model's bytes * bits / model.expert_bits, rounded down."},
    {.name = "decode", .type = ES_OPT_JSON, .offset = offsetof(es_plan_catalog, decode),
        .help = "What decoding adds to computing an expert, by its bits: a time, or a rate for its bytes, {\"2\": \"30us\", \"4\": \"200GB/s\"}; absent: nothing. So compressed experts are experts of fewer bits."},
    {0},
};

const es_option es_compute_options[] = {
    {.name = "overlap", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_compute, overlap), .choices = plan_overlaps,
        .help = "Experts are computed as they are there, resident ones first; in the order of the union; or all behind the last copy."},
    {.name = "access", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_compute, access), .choices = plan_accesses,
        .help = "With several serving tiers: an expert that is in two of them is read from the first, or paid for in every one (a published simulator does)."},
    {.name = "protect_guesses", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_compute, protect_guesses),
        .help = "An expert that was guessed is not given up for another guess before the gate of its layer."},
    {.name = "lookahead", .type = ES_OPT_INT, .offset = offsetof(es_plan_compute, lookahead), .def = 1, .min = 1, .max = 64, .unit = "layers",
        .help = "How many of the coming layers the predictor is asked for at each gate."},
    {.name = "guess_cost", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_compute, guess_cost), .choices = plan_guess_costs,
        .help = "Copies of guesses share the link with demands, beside compute; or compute stands still until they are there, one after another; or they are there at once, for nothing."},
    {.name = "guess_top", .type = ES_OPT_INT, .offset = offsetof(es_plan_compute, guess_top), .def = 0, .min = 0, .max = 65535, .unit = "experts", .tunable = true,
        .help = "Of each answer of the predictor only so many are fetched, the surest first; 0: all, in its order."},
    {.name = "guess_confidence", .type = ES_OPT_REAL, .offset = offsetof(es_plan_compute, guess_confidence), .def = 0, .min = 0, .max = 1, .tunable = true,
        .help = "A guess less sure than this is not fetched."},
    {.name = "guess_tier", .type = ES_OPT_TEXT, .offset = offsetof(es_plan_compute, guess_tier),
        .help = "Tier that guesses are brought to, below the serving one: a demand has the rest of the way only, and waits for one that is in flight. Absent: to the serving tier."},
    {0},
};

const es_option es_training_options[] = {
    {.name = "steps", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_training, steps), .choices = plan_train_steps,
        .help = "Which steps train, that is go forward through the layers, backward through them and update what they used: those that the trace says, all, or none."},
    {.name = "update", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_training, update), .choices = plan_updates,
        .help = "Each expert that a step used is updated once: on the device, whose copy is newer then than those below; or on the host, to which gradients "
                "go down, where its compute unit makes the step (tiers.NAME.compute, its timing's `update`; without one it costs nothing), and from which "
                "the new weights come up, before the layer ends."},
    {.name = "optimizer", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_training, optimizer), .choices = plan_optimizers,
        .help = "Its state beside the weights, which takes room and transfers below the device: none, once (momentum) or twice their size (adam)."},
    {.name = "state_on_device", .type = ES_OPT_BOOL, .offset = offsetof(es_plan_training, state_on_device), .help = "The state of the optimizer goes up to the device with the weights."},
    {.name = "exceed", .type = ES_OPT_ENUM, .offset = offsetof(es_plan_training, exceed), .choices = plan_exceeds,
        .help = "A step that uses more experts than there is room for: those that have left are loaded and computed again on the way back (recompute), or it is an error (refuse)."},
    {0},
};
