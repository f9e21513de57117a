"""Wrong input: one sentence with where, what was found and what would be right; exit code 2; nothing that looks like a result.

Each row is a claim: what is done, and all that is said. NAMES of files are in the folder that files() fills.
"""
import gzip
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

HEAD = 'request_id,token_index,phase,layer,e0,e1\n'
GOOD = HEAD + '0,0,D,0,0,1\n0,0,D,1,0,1\n0,1,D,0,0,2\n0,1,D,1,0,2\n'
CONFIG = {
    'trace': {'path': 'good.csv'}, 'model': {'expert_bytes': '100B'}, 'bounds': False,
    'tiers': {'cache': {'capacity': '4slots', 'compute': 'gpu'}, 'host': {'home': True}},
}

# memory pools: (config of configs/seeds, what is set on top of it, what is said)
MEMORY = [
    ('000-stream', ['tiers.pool.allocator.distribution={"2":0.5,"4":0.6}'],
     'tiers.pool.allocator: distribution: the shares add up to 1.1, but the whole capacity is 1'),
    ('000-stream', ['tiers.pool.capacity=100MiB', 'tiers.pool.allocator.min_pool=0B'],
     'tiers.pool.allocator: the pool of 2 bits has 26214400 bytes, less than one expert (33816576); give it a larger share or raise min_pool'),
    ('003-metal-pool', ['tiers.memory.allocator.heap_size=64MiB', 'tiers.memory.allocator.oversize=error'],
     'tiers.memory.allocator: warm.1: 128MiB is more than heap_size, 67108864 bytes: no heap can ever hold it; raise heap_size, leave the size out, '
     'or set oversize to skip'),
    ('003-metal-pool', ['trace={"path":"never_asked.csv"}'],
     '--set trace: trace.path: never_asked.csv: line 3: buffer 2 is released, but it was never asked for'),
]

# (what is set on top of the config, what is said)
SETTINGS = [
    # a wrong key
    ('tiers.cache.capacty=3slots', '--set tiers.cache.capacty: tiers.cache: unknown option "capacty"; did you mean "capacity"?'),
    ('polici=lru', '--set polici: unknown option "polici"; did you mean "policy"?'),
    ('policy=lruu', '--set policy: policy.name: there is no policy "lruu"; did you mean "lru"?'),
    ('policy.counts=resident', '--set policy.counts: policy: unknown option "counts"; the options are name'),
    ('tuner=adaptve', '--set tuner: tuner.name: there is no tuner "adaptve"; did you mean "adaptive"?'),
    ('observers=["residency"]', '--set observers: observers.0: the trace does not say what was resident when it was recorded; leave the observer residency out'),
    ('router=max_rank', '--set router: router.experts: is missing'),
    ('router={"name":"max_rank","experts":2}', '--set: router: experts: 2 of rows of 2 leave nothing to choose from; the trace must list more candidates than a token uses'),
    ('router=cache_aware', '--set router: router.experts: is missing'),
    ('router={"name":"cache_aware","experts":1}', '--set: router: bonus: 0.1 is added to gate weights, which the trace has not'),
    ('router={"name":"cache_aware","experts":1,"bonus":1.5}', '--set router: router.bonus: 1.5 is above 1, the most it may be'),
    ('router={"name":"cache_aware","experts":1,"window":0}', '--set router: router.window: 0 is below 1, the least it may be'),
    ('router=cache_awar', '--set router: router.name: there is no router "cache_awar"; did you mean "cache_aware"?'),
    ('observers=["summary","coverage","summary"]', '--set observers: observers.2: observer summary is there already, as observers.0'),
    ('links[0].from=host', '--set links.0.from: links: found an object, needs a list of {"from", "to", "channels"}'),
    ('=3', '--set: found "=3", needs PATH=VALUE, such as policy.name=lfu'),
    ('tiers={"a/b":{"home":true}}', 'config.json: tiers: "a/b" is no name for one; a name is a word without dots, slashes and blanks'),
    ('observers=["sumary"]', '--set observers: observers.0.name: there is no observer "sumary"; did you mean "summary"?'),
    ('contract=event_atomc', '--set contract: contract.preset: "event_atomc" is not one of event_atomic, after_batch, keep_best, serialized; did you mean "event_atomic"?'),
    ('contract.scope=layers', '--set: contract.scope: "layers" is not one of global, layer; did you mean "layer"?'),
    ('noise=true', '--set: noise: no channel has a timing of a machine whose noise was measured; include what `expertsim calibrate` wrote, or leave it false'),
    # a wrong unit
    ('tiers.cache.capacity=4GB2', '--set: tiers.cache.capacity: "4GB2" is none of bytes ("24GiB"), slots ("192slots") or a share of all experts ("25%")'),
    ('tiers.cache.capacity=4', '--set: tiers.cache.capacity: found a number without a unit; write it as "24GiB", "192slots" or "25%" of all experts'),
    ('tiers.cache.grace=3', '--set: tiers.cache.grace: found a number, needs a text with a unit such as "3.4ms"'),
    # weights that are none, or of another model
    ('predictor=learned', '--set predictor: predictor.weights: is missing'),
    ('predictor={"name":"learned","weights":"none.h5"}', '--set: predictor: weights: none.h5: cannot open: No such file or directory'),
    ('predictor={"name":"learned","weights":"good.csv"}', '--set: predictor: weights: good.csv: is no HDF5 file; needs one that models/predictors/train.py wrote'),
    ('predictor={"name":"learned","weights":"trace.h5"}', '--set: predictor: weights: trace.h5: is "expertsim-trace", needs "expertsim-predictor"'),
    ('predictor={"name":"learned","weights":"weights.h5"}', '--set: predictor: weights: weights.h5: was trained for layers 24, the run has 2; '
     'train one on a trace of this model'),
    # out of bounds
    ('compute.lookahead=65', '--set: compute.lookahead: 65 is above 64, the most it may be'),
    ('seed=-1', '--set: seed: -1 is below 0, the least it may be'),
    ('contract.prefill=tiles:0', '--set: contract.prefill: "tiles:0" needs a number of tokens, for example "tiles:8"'),
    ('tiers.cache.capacity=-4slots', '--set: tiers.cache.capacity: "-4slots" is none of bytes ("24GiB"), slots ("192slots") or a share of all experts ("25%")'),
    ('tiers.cache.capacity=infslots', '--set: tiers.cache.capacity: "infslots" is none of bytes ("24GiB"), slots ("192slots") or a share of all experts ("25%")'),
    ('tiers.cache.capacity=110%', '--set: tiers.cache.capacity: "110%" is none of bytes ("24GiB"), slots ("192slots") or a share of all experts ("25%")'),
    ('model.expert_bytes=-5', '--set: model.expert_bytes: -5 is no size of an expert in bytes; it is 1 to 2^53'),
    ('model.expert_bytes=1e300B', '--set: model.expert_bytes: 1e+300 is no size of an expert in bytes; it is 1 to 2^53'),
    ('seed=1e30', '--set: seed: 1e+30 is too large to be exact; whole numbers in JSON go up to 9007199254740991'),
    ('contract.skip_tokens=2', '--set: contract.skip_tokens: 2 leaves nothing to count; 2 tokens were replayed'),
    ('model.experts=2', 'config.json: trace.path: good.csv: line 4: expert 2 is above 1, the highest; '
     'if ids are places of a load balancer, trace import --map makes experts of them'),
    # a model of a predictor that cannot be
    ('predictor={"name":"noisy_oracle","accuracy":1.2}', '--set predictor: predictor.accuracy: 1.2 is above 1, the most it may be'),
    ('predictor={"name":"ranked","placement":"calibrated"}', '--set: predictor: first_ranks: rank 60 is beyond the 3 experts of a layer'),
    ('predictor={"name":"ranked","placement":"calibrated","first_ranks":[1,3],"first_shares":[0.5,0.9]}',
     '--set: predictor: first_shares: end at 0.9, not at 1, so they are no distribution'),
    ('predictor={"name":"ranked","accuracy":1.5}', '--set predictor: predictor.accuracy: 1.5 is above 1, the most it may be'),
    ('predictor={"name":"noisy_oracle","accuracy":-0.5}', '--set predictor: predictor.accuracy: -0.5 is below 0, the least it may be'),
    ('predictor={"name":"noisy_oracle","recall":[0.5,1.2]}', '--set predictor: predictor.recall: [1]: 1.2 is above 1, the most it may be'),
    ('predictor={"name":"ranked","placement":"calibrated","first_ranks":[1,3],"first_shares":[0.9,0.5]}',
     '--set: predictor: first_shares: 0.5 is no share up to a rank; they lie within 0 and 1 and do not fall'),
    ('predictor={"name":"ranked","placement":"calibrated","first_ranks":[1,3],"first_shares":[0.9]}',
     '--set: predictor: first_shares: 1 numbers for 2 ranks; each rank needs one'),
    # thresholds out of range or crossed
    ('policy={"name":"coverage","l2_threshold":1.2}', '--set policy: policy.l2_threshold: 1.2 is above 1, the most it may be'),
    ('policy={"name":"coverage","l3_threshold":-0.1}', '--set policy: policy.l3_threshold: -0.1 is below 0, the least it may be'),
    ('policy={"name":"coverage","l2_threshold":0.2}',
     '--set: policy: l3_threshold: 0.3 is above l2_threshold, 0.2; the third level is for guesses that are less sure'),
    ('policy={"name":"coverage","l2_least":0.95}', '--set: policy: l2_least: 0.95 is above l2_most, 0.9'),
    ('policy={"name":"coverage","l3_least":0.8}', '--set: policy: l3_least: 0.8 is above l3_most, 0.7'),
    ('tiers.cache.share=1.5', '--set: tiers.cache.share: 1.5 is above 1, the most it may be'),
    ('tiers.host.share=0.5', '--set: tiers.host.share: found 0.5, but this tier is home, which has no capacity to share'),
    # tuners
    ('tuner=[{"name":"schedule","knob":"tiers.cache.share","points":[{"step":0,"value":2}]}]',
     '--set tuner: tuner.0: points.0: value: 2 is above 1, the most it may be'),
    ('tuner=["schedul"]', '--set tuner: tuner.0.name: there is no tuner "schedul"; did you mean "schedule"?'),
    ('tuner=[null]', '--set tuner: tuner.0: found null, needs a tuner'),
    ('tuner=schedule', '--set tuner: tuner.knob: is missing'),
    ('tuner=adaptive', '--set: tuner: adaptive needs clock "simulated"; under clock "none" no time passes and it would never wake'),
    # a wrong type
    ('tiers=[]', '--set: tiers: found a list, needs an object of tiers by name'),
    ('seed="x"', '--set: seed: found a text, needs a whole number'),
    ('policy=3', '--set: policy: found a number, needs the name of a part or an object with its name and options'),
    ('plugins=x.so', '--set: plugins: found a text, needs a list of files'),
    # a wrong path
    ('trace.path=folder', '--set: trace.path: folder: is a folder, not a file'),
    ('trace.path=noise', '--set: trace.path: noise: is in no format that is known here; `expertsim trace formats` lists them, and --as or trace.format names one'),
    ('trace={"path":"good.csv","format":"native"}', '--set trace: trace.path: good.csv: cannot open as HDF5: file signature not found'),
    ('policy={"name":"static","calibrate":"none.csv"}', '--set policy: policy.calibrate: none.csv: cannot open: No such file or directory'),
    ('model.shape=none.json', '--set: model.shape: none.json: cannot open: No such file or directory'),
    ('trace.path=none.csv', '--set: trace.path: none.csv: cannot open: No such file or directory'),
    ('plugins=["none.so"]', '--set plugins: plugins.0: none.so: cannot open: No such file or directory'),
    # a trace that is cut or contradicts itself
    ('trace.path=empty.csv', '--set: trace.path: empty.csv: is empty, needs a trace'),
    ('trace.path=head.csv', '--set: trace.path: head.csv: there are no rows'),
    ('trace.path=odd.txt', '--set: trace.path: odd.txt: is in no format that is known here; `expertsim trace formats` lists them, and --as or trace.format names one'),
    ('trace.path=twice.csv', '--set: trace.path: twice.csv: line 2: expert 0 is listed twice'),
    ('trace.path=order.csv', '--set: trace.path: order.csv: the step that begins on line 3: request 0: token 0 comes after token 1; '
     'positions must ascend from step to step, and the rows of a token stand together'),
    ('trace.path=comma.csv', '--set: trace.path: comma.csv: line 3: the file ends here without a line feed: it was cut, or one is missing; a field for each column is expected, '
     '--lenient leaves the line out'),
    ('trace.path=cut.h5', '--set: trace.path: cut.h5: cannot open as HDF5: the file is cut, it has {half} of {whole} bytes'),
    ('trace.path=huge.csv', '--set: trace.path: huge.csv: line 2: e1 is "70000", not a whole number below 65535'),
    # contents at the start that cannot be
    ('contract.start=none.csv', '--set: contract.start: none.csv: cannot open: No such file or directory'),
    ('contract.start=warm_text.csv', '--set: contract.start: warm_text.csv: line 3: "0;1" is not a layer and an expert; write for example "3,17"'),
    ('contract.start=warm_layer.csv', '--set: contract.start: warm_layer.csv: line 1: the trace has no layer 7; its 2 MoE layers are numbered 0 to 1'),
    ('contract.start=warm_expert.csv', '--set: contract.start: warm_expert.csv: line 1: there is no expert 3; the trace has 3 in each layer'),
    ('contract.start=warm_twice.csv', '--set: contract.start: warm_twice.csv: line 2: layer 1 expert 2 is listed twice'),
    ('contract.start=warm_full.csv', '--set: contract.start: warm_full.csv: line 7: no room is left in tier cache for layer 1 expert 1; its capacity is 4slots'),
    # a tier smaller than one expert
    ('tiers.cache.capacity=0slots', '--set: tiers.cache.capacity: "0slots" is 0 slots, smaller than one expert of layer 0 (1)'),
    ('tiers.cache.capacity=50B', '--set: tiers.cache.capacity: "50B" is 50 bytes, smaller than one expert of layer 0 (100)'),
    # faster than physics
    ('channels={"link":{"kind":"pcie3_x16","timing":{"name":"affine","rate":"24GB/s"}}}', '--set channels: channels.link.timing.rate: 24GB/s is above 15750MB/s, '
     'the most that pcie3_x16 carries in one direction; "force": true lets it pass'),
    # a room for what has none
    ('tiers.host.hold_reads=false', '--set: tiers.host.hold_reads: false is for a tier between home and the serving ones; host is home, which nothing leaves'),
    ('tiers.cache.hold_reads=false', '--set: tiers.cache.hold_reads: false is for a tier between home and the serving ones; cache serves'),
    ('tiers.host.capacity=4GiB', '--set: tiers.host.capacity: found "4GiB", but this tier is home, which holds every expert and has no capacity; leave one of the two out'),
    # what cannot be reached or is not there
    ('links=[{"from":"cache","to":"host"}]', '--set: links: no way leads from the home tier host to cache, so experts could never arrive there'),
    ('clock=simulated', 'config.json: tiers.cache.compute: there is no channel "gpu"'),
]

ADAPTIVE = ['run', 'timed.json', '--set', 'plugins=[]', '--set', 'policy=coverage', '--set']

# (arguments, what is said)
COMMANDS = [
    (['run', 'none.json'], 'none.json: cannot open: No such file or directory'),
    (['run', 'key.json'], 'key.json: unknown option "trase"; did you mean "trace"?'),
    (['run', 'cycle.json'], 'cycle.json: include: again.json: include: the files include each other: cycle.json -> again.json -> cycle.json'),
    (['run', 'syntax.json'], 'syntax.json: line 2, column 1: ends here, needs a value'),
    (['run', 'twice.json'], 'twice.json: "seed" is given twice'),
    (['run', 'config.json', '--set', 'seed'], None),
    (['run'], 'run: which file?; usage: expertsim run CONFIG... [--set PATH=VALUE]... [--out DIR] [--timeline FILE [--window WINDOW]] [--json] [--quiet] [--volatile]'),
    (['run', 'config.json', '--jsn'], 'there is no option --jsn; did you mean --json?'),
    (['run', 'config.json', '--out'], '--out needs a value'),
    (['run', 'config.json', '--out', ''], '--out: the name of a folder is empty'),
    (['run', 'config.json', 'config.json', 'none.json', '--out', 'out'], 'none.json: cannot open: No such file or directory'),
    (['run', 'noise'], None),
    (['run', 'folder'], 'folder: cannot read: Is a directory'),
    (['run', 'nothing.json'], 'nothing.json: line 1, column 1: ends here, needs a value'),
    (['run', 'list.json'], 'list.json: found a list, needs an object'),
    (['run', 'latin.json'], 'latin.json: line 1, column 11: byte 0xe9 is not UTF-8'),
    (['run', 'self.json'], 'self.json: include: the files include each other: self.json -> self.json'),
    (['run', 'links.json'], 'links.json: links[0].to: there is no tier "cach"; did you mean "cache"?'),
    (['run', 'links.json', '--set', 'links[0].to=cash'], '--set links.0.to: links[0].to: there is no tier "cash"'),
    (ADAPTIVE + ['tuner={"name":"adaptive","t2_min":0.95}'], '--set: tuner: t2_min: 0.95 is above t2_max, 0.9'),
    (ADAPTIVE + ['tuner={"name":"adaptive","t3_min":0.7}'], '--set: tuner: t3_min: 0.7 is above t3_max, 0.6'),
    (ADAPTIVE + ['tuner={"name":"adaptive","target":1.1}'], '--set tuner: tuner.target: 1.1 is above 1, the most it may be'),
    (['schema', 'x'], 'schema: of configs without a word, or of a sweep; usage: expertsim schema [sweep]'),
    (['trace', 'info', 'folder'], 'folder: is a folder, not a file'),
    (['trace', 'export', 'good.csv', '--as', 'csv', '-o', 'folder'], 'folder: cannot replace: Is a directory'),
    (['trace', 'export', 'good.csv', '-o', 'z.txt'], 'z.txt: its ending names no format; .csv and .jsonl (with .gz or .zst too), .npy and .h5 do, or --as FORMAT says it'),
    (['trace', 'export', 'good.csv', '-o', 'z.h5.zst'], 'z.h5.zst: its ending names no format; .csv and .jsonl (with .gz or .zst too), .npy and .h5 do, or --as FORMAT says it'),
    (['trace', 'generate', '--like', 'fit.json', '--tokens', 'abc', '-o', 'new.h5'], '--tokens: found "abc", needs a whole number from 1 to 100000000000'),
    (['trace', 'generate', '--like', 'fit.json', '--tokens', '0', '-o', 'new.h5'], '--tokens: found "0", needs a whole number from 1 to 100000000000'),
    (['trace', 'generate', '-o', 'z'], 'z: its ending names no format; .csv and .jsonl (with .gz or .zst too), .npy and .h5 do, or --as FORMAT says it'),
    (['trace', 'export', 'good.csv', '-o', 'z.npy.zst'], 'z.npy.zst: an array is written to a plain file, with its lengths beside it'),
    (['trace', 'import', 'good.csv', '-o', 'z.jsonl.zst'], 'z.jsonl.zst: import writes the native format, into a .h5; `expertsim trace export` writes jsonl'),
    (['trace', 'import', 'good.csv', '-o', 'none/x.h5'], 'none/x.h5.tmp: cannot create the HDF5 file: No such file or directory'),
    (['trace', 'import', 'good.csv', '--append', '-o', 'odd.csv'], 'odd.csv: import writes the native format, into a .h5; `expertsim trace export` writes csv'),
    (['trace', 'generate', 'csv', '-o', 'new.h5'], 'csv reads files; a generator is needed, such as synthetic'),
    (['trace', 'generate', 'buffers_synthetic', '-o', 'new.h5'], 'new.h5: a trace of buffers is written as a new file .csv, or to -'),
    (['trace', 'generate', 'buffers_synthetic', '-o', 'new.csv', '--set', 'least=30'], 'most: 25 is below least, 30'),
    (['rerun', 'whole.h5'], 'whole.h5: /config/resolved: is missing; needs a result.json or result.h5 that `expertsim run --out DIR` wrote'),
    (['rerun', 'good.csv'], "good.csv: line 1, column 1: found 'r', needs a value"),
    (['rnu'], 'there is no command "rnu"; did you mean "run"?'),
    (['rerun', 'config.json'], 'config.json: provenance.config: is missing; needs a result.json or result.h5 that `expertsim run --out DIR` wrote'),
    (['list', 'polic'], 'there is no kind of part "polic"; did you mean "policy"?'),
    (['describe', 'lruu'], 'nothing is called "lruu"; did you mean "lru"?'),
    (['trace', 'inf'], 'there is no trace inf; did you mean "trace info"?'),
    (['trace', 'check', 'twice.csv'], 'twice.csv: line 2: expert 0 is listed twice'),
    (['trace', 'info', 'cut.csv.gz'], None),
    (['trace', 'info', 'cut.h5'], None),
    (['trace', 'generate', '-o', 'new.h5', '--set', 'layer=3'], '--set: unknown option "layer"; did you mean "layers"?'),
    (['trace', 'generate', 'enviroments', '-o', 'new.h5'], 'there is no source "enviroments"; did you mean "environments"?'),
    (['trace', 'generate', 'environments', '-o', 'new.h5', '--set', 'sampler=zipf_ar'], '--set: sampler: "zipf_ar" is not one of episode, markov'),
    (['trace', 'generate', 'environments', '-o', 'new.h5', '--set', 'experts=4'], 'spread: 8 is above experts, 4'),
    (['trace', 'generate', 'environments', '-o', 'none/x.h5'], 'none/x.h5.tmp: cannot create the HDF5 file: No such file or directory'),
    (['run', 'config.json', '--set', 'trace={"source":{"name":"environments","stream":"mt19937","seed":4294967294}}'],
     '--set trace: trace.source: seed: 4294967294 is above 4294967293, the highest for stream mt19937'),
    (['trace', 'import', 'twice.csv', '-o', 'new.h5'], 'twice.csv: line 2: expert 0 is listed twice'),
    (['selftest', 'nothing of the kind'], None),
    # weights that do not match the ids, mixed top-k, layers that are missing for some tokens: the first place
    (['trace', 'check', 'weights.csv'], 'weights.csv: line 3: has 1 weights for 2 experts'),
    (['trace', 'check', 'weights.jsonl'], 'weights.jsonl: line 2, column 72: lists 1 weights for 2 experts'),
    (['trace', 'check', 'mixed.jsonl'], 'mixed.jsonl: line 2, column 84: lists 3 experts where line 1 lists 2'),
    (['trace', 'check', 'layer.jsonl'], 'layer.jsonl: 1 of 6 rows (token, layer) are missing; the first is layer 1 of request 0, token 1, a generated token in the step that begins on line 3; '
     '--lenient takes them as missing'),
    (['trace', 'check', 'last.jsonl'], 'last.jsonl: ends inside request 0, token 1, which begins on line 3: layer 1 of it is missing, which other tokens have; --lenient leaves the token out'),
    # ids of places of a load balancer (physical experts): above the experts that there are, or mapped by what is not their map
    (['trace', 'import', 'good.csv', '--experts', '2', '-o', 'new.h5'],
     'good.csv: line 4: expert 2 is above 1, the highest; if ids are places of a load balancer, trace import --map makes experts of them'),
    (['trace', 'check', 'good.csv', '--map', 'short_map.json'],
     'good.csv: request 0, token 1, layer 0: place 2 is not in short_map.json, which has 2 places'),
    (['trace', 'fit', 'good.csv', '--map', 'twin_map.json'],
     'good.csv: request 0, token 1, layer 0: places 0 and 2 both hold expert 1, which a token uses once; is twin_map.json the map of this recording?'),
    (['trace', 'check', 'good.csv', '--map', 'high_map.json', '--experts', '4'], '--map: high_map.json: layer 1, place 2: expert 4 is above 3, the highest'),
    (['trace', 'info', 'good.csv', '--map', 'good.csv'], "--map: good.csv: line 1, column 1: found 'r', needs a value"),
    (['trace', 'info', 'good.csv', '--map', 'none.json'], '--map: none.json: cannot open: No such file or directory'),
]

# What a policy comes to that never names a victim, or names a wrong one.
STUCK = '''
#include "sim/part/policy.h"
#include "sim/part/registry.h"
typedef struct wrong { int64_t names; const es_view *view; } wrong;
static const es_option options[] = {
    {.name = "names", .type = ES_OPT_INT, .offset = offsetof(wrong, names), .min = 0, .max = 3, .help = "0 nobody, 1 no expert, 2 one twice, 3 what is pinned."}, {0}};
static es_code init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((wrong *)self)->view = site->view;
    return ES_OK;
}
static size_t victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const wrong *s = self;
    es_oid first = 0;
    if (s->names == 0 || most < 2)
        return 0;
    while (first < s->view->objects && !(es_mask_has(s->view->tier[need->tier].resident, first) && es_mask_has(s->view->guard, first) == (s->names == 3)))
        first++;
    out[0] = out[1] = s->names == 1 ? s->view->objects : first;
    return 2;
}
static const es_policy policy = {.part = {.abi = ES_ABI, .name = "never", .brief = "Names wrong ones.", .options = options, .size = sizeof(wrong), .init = init},
    .victims = victims};
static const es_plugin_entry parts[] = {{ES_KIND_POLICY, &policy.part}};
const es_plugin es_plugin_table = {ES_ABI, parts, 1};
'''
TIMED = {
    'trace': {'path': 'good.csv'}, 'model': {'expert_bytes': '100B'}, 'bounds': False, 'policy': 'never', 'plugins': ['never.so'],
    'tiers': {'cache': {'capacity': '2slots', 'compute': 'gpu'}, 'host': {'home': True}},
    'channels': {'link': {'timing': {'name': 'constant', 'time': '1us'}}, 'gpu': {'timing': {'name': 'compute', 'expert': '1us'}}},
    'links': [{'from': 'host', 'to': 'cache', 'channels': ['link']}],
}


def lattice(layer, token, ids, weights):
    return '{"layer_idx":%d,"token_idx":%d,"selected_ids":%s,"gate_weights":%s}\n' % (layer, token, ids, weights)


def files():
    for name, text in {
        'config.json': json.dumps(CONFIG), 'good.csv': GOOD, 'empty.csv': '', 'head.csv': HEAD, 'odd.txt': 'hello\n', 'twice.csv': HEAD + '0,0,D,0,0,0\n',
        'order.csv': HEAD + '0,1,D,0,0,1\n0,0,D,0,0,1\n', 'huge.csv': HEAD + '0,0,D,0,0,70000\n', 'key.json': '{"trase": {"path": "good.csv"}}',
        'cycle.json': '{"include": "again.json"}', 'again.json': '{"include": "cycle.json"}', 'syntax.json': '{"trace":\n', 'twice.json': '{"seed": 1, "seed": 2}',
        'timed.json': json.dumps(TIMED), 'warm_text.csv': 'layer,expert\n0,1\n0;1\n', 'warm_layer.csv': '7,0\n', 'warm_expert.csv': '0,3\n',
        'warm_twice.csv': '1,2\n1, 2\n', 'warm_full.csv': 'layer,expert\n# all of it\n0,0\n0,1\n0,2\n1,0\n1,1\n', 'never.c': STUCK, 'a file': '',
        'never_asked.csv': 'step,id,bytes,lifetime\n0,1,5,3\n0,2,release,\n',
        'comma.csv': HEAD + '0,0,D,0,0,1\n0,1,D,0,0,',
        'nothing.json': '', 'list.json': '[1, 2]', 'self.json': '{"include": "self.json"}', 'old.c': STUCK.replace('es_plugin_table = {ES_ABI', 'es_plugin_table = {ES_ABI + 1'),
        'weights.csv': HEAD[:-1] + ',w0,w1\n0,0,D,0,0,1,0.5,0.5\n0,0,D,1,0,1,0.5,\n',
        'weights.jsonl': lattice(0, 0, '[1,2]', '[0.5,0.5]') + lattice(1, 0, '[1,2]', '[0.5]'),
        'mixed.jsonl': lattice(0, 0, '[1,2]', '[0.5,0.5]') + lattice(1, 0, '[1,2,3]', '[0.5,0.25,0.25]'),
        'layer.jsonl': ''.join(lattice(l, t, '[1,2]', '[0.5,0.5]') for t, l in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1))),
        'last.jsonl': ''.join(lattice(l, t, '[1,2]', '[0.5,0.5]') for t, l in ((0, 0), (0, 1), (1, 0))),
        'short_map.json': '[[1, 0], [1, 0]]', 'twin_map.json': '[[1, 0, 1], [1, 0, 2]]', 'high_map.json': '[[0, 1, 2], [0, 1, 4]]',
        'links.json': json.dumps(dict(CONFIG, links=[{'from': 'host', 'to': 'cach'}])),
    }.items():
        open(name, 'w').write(text)
    os.mkdir('folder')
    open('noise', 'wb').write(bytes(range(128, 256)) * 40)
    open('latin.json', 'wb').write(b'{"name": "\xe9"}')
    rows = ''.join('0,%d,D,0,%d,%d\n' % (t, t % 7, 7 + t % 5) for t in range(5000))
    packed = gzip.compress((HEAD + rows).encode())
    open('cut.csv.gz', 'wb').write(packed[:len(packed) // 2])
    native = open(os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5'), 'rb').read()
    open('whole.h5', 'wb').write(native)
    open('cut.h5', 'wb').write(native[:len(native) // 2])
    open('trace.h5', 'wb').write(native)
    shutil.copy(os.path.join(ROOT, 'models', 'predictors', 'quickstart.h5'), 'weights.h5')
    return {'half': len(native) // 2, 'whole': len(native)}


def small_disk():
    """No file may grow beyond 64 KiB: writing more fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


def tree():
    return sorted(os.path.join(place, name) for place, _, names in os.walk('.') for name in names)


def says(check, args, code, text):
    """Runs the tool: one sentence on stderr, nothing on stdout, no new file."""
    before = tree()
    done = subprocess.run([os.path.abspath(TOOL)] + args, capture_output=True, text=True)
    name = ' '.join(args)
    check.equal(name + ' exit', done.returncode, code)
    check.equal(name + ' prints', done.stdout, '')
    if text is None:
        check.equal(name + ' says one line: ' + done.stderr.strip(), done.stderr.startswith('expertsim: ') and done.stderr.count('\n') == 1, True)
    else:
        check.equal(name, done.stderr, 'expertsim: ' + text + '\n')
    check.equal(name + ' leaves', tree(), before)
    shutil.rmtree('out', ignore_errors=True)


def unwritable(check):
    """A result or a log that has no place is refused before the run, and the result of before is still there (root writes anywhere, so no place is one inside a file)."""
    bench = os.path.join(ROOT, 'configs', 'seeds', '004-bench.json')
    says(check, ['run', bench, '--out', 'a file', '--quiet'], 2, 'a file: cannot make the folder: File exists')
    os.makedirs('earlier', exist_ok=True)
    open('earlier/result.json', 'w').write('before')
    for observer in ('events', 'actions', 'log'):
        for path, why in (('a file/e.csv', 'Not a directory'), ('none/e.csv', 'No such file or directory')):
            observers = 'observers=["summary",{"name":"%s","path":"%s"}]' % (observer, path)
            clock = 'clock=none' if observer == 'actions' else 'clock=simulated'
            says(check, ['run', bench, '--out', 'earlier', '--set', clock, '--set', observers], 2, '--set observers: observers.1: path: cannot write "%s.tmp": %s' % (path, why))
    check.equal('the result of before', (open('earlier/result.json').read(), os.listdir('earlier'), os.path.getsize('a file')), ('before', ['result.json'], 0))


def main():
    global TOOL
    TOOL = os.path.abspath(tool.TOOL)
    check = tool.Check('bad_input')
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        size = files()
        for setting, text in SETTINGS:
            for word, number in size.items():
                text = text.replace('{%s}' % word, str(number))
            says(check, ['run', 'config.json', '--out', 'out', '--set', setting], 2, text)
        for args, text in COMMANDS:
            says(check, args, 2, text)

        for name, settings, text in MEMORY:
            config = os.path.join(ROOT, 'configs', 'seeds', name + '.json')
            says(check, ['run', config, '--out', 'out'] + [word for one in settings for word in ('--set', one)], 2, text if text.startswith('--set') else config + ': ' + text)
        # a disk that is full before the log of events is whole: nothing that looks like a log or a result, and the result of before stays
        os.makedirs('full')
        open('full/result.json', 'w').write('before')
        done = subprocess.run([TOOL, 'run', os.path.join(ROOT, 'configs', 'seeds', '000-stream.json'), '--quiet', '--out', 'full', '--set',
                               'observers=["summary",{"name":"events","path":"full/events.csv"}]'], capture_output=True, text=True, preexec_fn=small_disk)
        check.equal('a disk that becomes full: exit', done.returncode, 2)
        check.equal('what it says: ' + done.stderr, 'full/events.csv' in done.stderr and done.stderr.count('\n') == 1, True)
        check.equal('what is left', (os.path.exists('full/events.csv'), open('full/result.json').read()), (False, 'before'))
        # found out only when part of the run is done
        for name in ('cut.csv.gz', 'cut.h5'):
            says(check, ['run', 'config.json', '--out', 'out', '--set', 'trace.path=' + name], 2, None)
        # what cannot be written
        says(check, ['run', 'config.json', '--out', 'a file/x'], 2, 'a file: cannot make the folder: File exists')
        unwritable(check)
        os.makedirs('half/result.json')
        says(check, ['run', 'config.json', '--out', 'half', '--quiet'], 2, 'half/result.json: cannot replace: Is a directory')
        # and then what was there before is there as it was
        os.makedirs('kept/x.h5.tmp')
        shutil.copy('whole.h5', 'kept/x.h5')
        for verb in (['generate', 'environments'], ['import', 'good.csv']):
            says(check, ['trace'] + verb + ['-o', 'kept/x.h5'], 2, 'kept/x.h5.tmp: cannot create the HDF5 file: Is a directory')
            check.equal('the trace before trace ' + verb[0], open('kept/x.h5', 'rb').read(), open('whole.h5', 'rb').read())
        if os.path.exists('/dev/full'):
            for args in (['run', 'config.json'], ['run', 'config.json', '--json'], ['list'], ['schema'], ['trace', 'info', 'good.csv']):
                done = subprocess.run([TOOL] + args, stdout=open('/dev/full', 'w'), stderr=subprocess.PIPE, text=True)
                check.equal('a full disk under ' + ' '.join(args), (done.returncode, done.stderr), (2, 'expertsim: standard output: cannot be written\n'))
        # more room than there are experts is no error, but a note says so
        done = subprocess.run([TOOL, 'run', 'config.json', '--set', 'tiers.cache.capacity=9slots'], capture_output=True, text=True)
        check.equal('slots beyond the population', (done.returncode, 'note          more room (9 slots) than there are experts (6)' in done.stdout), (0, True))
        done = subprocess.run([TOOL, 'run', 'config.json', '--set', 'tiers.cache.capacity=1KiB'], capture_output=True, text=True)
        check.equal('bytes beyond the population', (done.returncode, 'note          more room (1 KiB) than all experts take (600 B)' in done.stdout), (0, True))
        # a name is no way out of the folder of results
        json.dump(dict(CONFIG, name='../up'), open('up.json', 'w'))
        subprocess.run([TOOL, 'run', 'up.json', 'config.json', '--out', 'here', '--quiet'], check=True)
        check.equal('names of folders', (sorted(os.listdir('here')), os.path.exists('up')), (['_._up', 'config'], False))
        # 3: something is absent or cannot be used
        says(check, ['run', 'config.json', '--out', 'out', '--set', 'plugins=["good.csv"]'], 3, None)
        # 5: a check failed
        done = subprocess.run([TOOL, 'selftest', 'demand miss', '--set', 'channels.gpu.timing.dense=11ns'], capture_output=True, text=True)
        check.equal('selftest that fails', (done.returncode, done.stderr), (5, 'expertsim: 1 of 1 cases failed\n'))
        check.equal('what it says', done.stdout.split('\n')[0], 'FAILED  demand miss: time.total_s 131 (expected 130), time.stall_s 100, cache.misses 1, '
                    'cache.fetched_bytes 100, channels.link.busy_s 100')
        # 4: it cannot go on
        cjson = subprocess.run(['pkg-config', '--cflags', 'libcjson'], capture_output=True, text=True).stdout.split()
        subprocess.run(os.environ.get('CC', 'cc').split() + ['-shared', '-fPIC', '-I' + ROOT] + cjson + ['never.c', '-o', 'never.so'], check=True)
        subprocess.run(os.environ.get('CC', 'cc').split() + ['-shared', '-fPIC', '-I' + ROOT] + cjson + ['old.c', '-o', 'old.so'], check=True)
        says(check, ['run', 'timed.json', '--out', 'out', '--set', 'plugins=["old.so"]'], 2, None)
        says(check, ['run', 'timed.json', '--out', 'out', '--set', 'observers=["summary","audit"]'], 4, 'timed.json: nothing can go on at 0.000003 s: layer 1 of step 0 waits for 2 experts, '
             'and no copy is in flight or can find room in tier cache, where policy never names no victims and 2 experts may leave')
        # 1: a policy is wrong; the same is said of it whether every copy is watched (core/room.c) or not (core/quick.h)
        for clock, overflow, names in itertools.product(('none', 'simulated'), ('waves', 'trim'), range(4)):
            said = []
            for observers in ('["summary"]', '["summary","audit"]'):
                sets = ['clock=' + clock, 'contract.overflow=' + overflow, 'policy.names=%d' % names, 'observers=' + observers]
                done = subprocess.run([TOOL, 'run', 'timed.json', '--out', 'out'] + [x for one in sets for x in ('--set', one)], capture_output=True, text=True)
                said.append((done.returncode, done.stderr, done.stdout, os.listdir('out')))
            name = 'a wrong policy, clock %s, %s, %d: ' % (clock, overflow, names)
            check.equal(name + 'both ways', said[0], said[1])
            check.equal(name + said[0][1], (said[0][0], 'policy never names' in said[0][1], said[0][2:]),
                        (4 if clock == 'simulated' and overflow == 'waves' and names == 0 else 1, True, ('', [])))
        os.chdir(ROOT)
    check.close()


if __name__ == '__main__':
    main()
