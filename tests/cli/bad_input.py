"""Wrong input: one sentence with where, what was found and what would be right; exit code 2; nothing that looks like a result.

Each row is a claim: what is done, and all that is said. NAMES of files are in the folder that files() fills.
"""
import gzip
import json
import os
import shutil
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

# (what is set on top of the config, what is said)
SETTINGS = [
    # a wrong key
    ('tiers.cache.capacty=3slots', '--set tiers.cache.capacty: tiers.cache: unknown option "capacty"; did you mean "capacity"?'),
    ('polici=lru', '--set polici: unknown option "polici"; did you mean "policy"?'),
    ('policy=lruu', '--set policy: policy.name: there is no policy "lruu"; did you mean "lru"?'),
    ('policy.counts=resident', '--set policy.counts: policy: unknown option "counts"; the options are name'),
    ('observers=["sumary"]', '--set observers: observers.0.name: there is no observer "sumary"; did you mean "summary"?'),
    ('contract=event_atomc', '--set contract: contract.preset: "event_atomc" is not one of event_atomic, after_batch, keep_best, serialized; did you mean "event_atomic"?'),
    ('contract.scope=layers', '--set: contract.scope: "layers" is not one of global, layer; did you mean "layer"?'),
    # a wrong unit
    ('tiers.cache.capacity=4GB2', '--set: tiers.cache.capacity: "4GB2" is none of bytes ("24GiB"), slots ("192slots") or a share of all experts ("25%")'),
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
    # a wrong path
    ('trace.path=none.csv', '--set: trace.path: none.csv: cannot open: No such file or directory'),
    ('plugins=["none.so"]', '--set plugins: plugins.0: none.so: cannot open: No such file or directory'),
    # a trace that is cut or contradicts itself
    ('trace.path=empty.csv', '--set: trace.path: empty.csv: is empty, needs a trace'),
    ('trace.path=head.csv', '--set: trace.path: head.csv: there are no rows'),
    ('trace.path=odd.txt', '--set: trace.path: odd.txt: is in no format that is known here (native, csv, route_trace); name it with trace.format if it is'),
    ('trace.path=twice.csv', '--set: trace.path: twice.csv: line 2: expert 0 is listed twice'),
    ('trace.path=order.csv', '--set: trace.path: order.csv: the step that begins on line 3: request 0: token 0 comes after token 1; '
     'positions must ascend from step to step, and the rows of a token stand together'),
    ('trace.path=huge.csv', '--set: trace.path: huge.csv: line 2: e1 is "70000", not a whole number below 65535'),
    # a tier smaller than one expert
    ('tiers.cache.capacity=0slots', '--set: tiers.cache.capacity: "0slots" is 0 slots, smaller than one expert of layer 0 (1)'),
    ('tiers.cache.capacity=50B', '--set: tiers.cache.capacity: "50B" is 50 bytes, smaller than one expert of layer 0 (100)'),
    # what cannot be reached or is not there
    ('links=[{"from":"cache","to":"host"}]', '--set: links: no way leads from the home tier host to cache, so experts could never arrive there'),
    ('clock=simulated', 'config.json: tiers.cache.compute: there is no channel "gpu"'),
]

# (arguments, what is said)
COMMANDS = [
    (['run', 'none.json'], 'none.json: cannot open: No such file or directory'),
    (['run', 'key.json'], 'key.json: unknown option "trase"; did you mean "trace"?'),
    (['run', 'cycle.json'], 'cycle.json: include: again.json: include: the files include each other: cycle.json -> again.json -> cycle.json'),
    (['run', 'syntax.json'], 'syntax.json: line 2, column 1: ends here, needs a value'),
    (['run', 'twice.json'], 'twice.json: "seed" is given twice'),
    (['run', 'config.json', '--set', 'seed'], None),
    (['run'], 'run: which file?; usage: expertsim run CONFIG... [--set PATH=VALUE]... [--out DIR] [--json] [--quiet] [--volatile]'),
    (['run', 'config.json', '--jsn'], 'there is no option --jsn; did you mean --json?'),
    (['run', 'config.json', '--out'], '--out needs a value'),
    (['rnu'], 'there is no command "rnu"; did you mean "run"?'),
    (['rerun', 'config.json'], 'config.json: provenance.config: is missing; needs a result.json or result.h5 that `expertsim run --out DIR` wrote'),
    (['list', 'polic'], 'there is no kind of part "polic"; did you mean "policy"?'),
    (['describe', 'lruu'], 'nothing is called "lruu"; did you mean "lru"?'),
    (['trace', 'inf'], 'there is no trace inf; did you mean "trace info"?'),
    (['trace', 'check', 'twice.csv'], 'twice.csv: line 2: expert 0 is listed twice'),
    (['trace', 'info', 'cut.csv.gz'], None),
    (['trace', 'info', 'cut.h5'], None),
    (['trace', 'generate', '-o', 'new.h5', '--set', 'layer=3'], '--set: unknown option "layer"; did you mean "layers"?'),
    (['trace', 'import', 'twice.csv', '-o', 'new.h5'], 'twice.csv: line 2: expert 0 is listed twice'),
    (['selftest', 'nothing of the kind'], None),
]

# What a policy that never names a victim comes to.
STUCK = '''
#include "sim/part/policy.h"
#include "sim/part/registry.h"
static size_t never(void *self, const es_need *need, es_oid *out, size_t most)
{
    (void)self, (void)need, (void)out, (void)most;
    return 0;
}
static const es_policy policy = {.part = {.abi = ES_ABI, .name = "never", .brief = "Names nobody."}, .victims = never};
static const es_plugin_entry parts[] = {{ES_KIND_POLICY, &policy.part}};
const es_plugin es_plugin_table = {ES_ABI, parts, 1};
'''
TIMED = {
    'trace': {'path': 'good.csv'}, 'model': {'expert_bytes': '100B'}, 'bounds': False, 'policy': 'never', 'plugins': ['never.so'],
    'tiers': {'cache': {'capacity': '2slots', 'compute': 'gpu'}, 'host': {'home': True}},
    'channels': {'link': {'timing': {'name': 'constant', 'time': '1us'}}, 'gpu': {'timing': {'name': 'compute', 'expert': '1us'}}},
    'links': [{'from': 'host', 'to': 'cache', 'channels': ['link']}],
}


def files():
    for name, text in {
        'config.json': json.dumps(CONFIG), 'good.csv': GOOD, 'empty.csv': '', 'head.csv': HEAD, 'odd.txt': 'hello\n', 'twice.csv': HEAD + '0,0,D,0,0,0\n',
        'order.csv': HEAD + '0,1,D,0,0,1\n0,0,D,0,0,1\n', 'huge.csv': HEAD + '0,0,D,0,0,70000\n', 'key.json': '{"trase": {"path": "good.csv"}}',
        'cycle.json': '{"include": "again.json"}', 'again.json': '{"include": "cycle.json"}', 'syntax.json': '{"trace":\n', 'twice.json': '{"seed": 1, "seed": 2}',
        'timed.json': json.dumps(TIMED), 'never.c': STUCK, 'a file': '',
    }.items():
        open(name, 'w').write(text)
    rows = ''.join('0,%d,D,0,%d,%d\n' % (t, t % 7, 7 + t % 5) for t in range(5000))
    packed = gzip.compress((HEAD + rows).encode())
    open('cut.csv.gz', 'wb').write(packed[:len(packed) // 2])
    native = open(os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5'), 'rb').read()
    open('cut.h5', 'wb').write(native[:len(native) // 2])
    open('trace.h5', 'wb').write(native)
    shutil.copy(os.path.join(ROOT, 'models', 'predictors', 'quickstart.h5'), 'weights.h5')


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


def main():
    global TOOL
    TOOL = os.path.abspath(tool.TOOL)
    check = tool.Check('bad_input')
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        files()
        for setting, text in SETTINGS:
            says(check, ['run', 'config.json', '--out', 'out', '--set', setting], 2, text)
        for args, text in COMMANDS:
            says(check, args, 2, text)

        # found out only when part of the run is done
        for name in ('cut.csv.gz', 'cut.h5'):
            says(check, ['run', 'config.json', '--out', 'out', '--set', 'trace.path=' + name], 2, None)
        # what cannot be written
        says(check, ['run', 'config.json', '--out', 'a file/x'], 2, 'a file: cannot make the folder: File exists')
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
        says(check, ['run', 'timed.json', '--out', 'out', '--set', 'observers=["summary","audit"]'], 4, 'timed.json: nothing can go on at 0.000003 s: layer 1 of step 0 waits for 2 experts, '
             'and no copy is in flight or can find room in tier cache, where policy never names no victims and 2 experts may leave')
        # the same where nobody watches (core/quick.c): the policy is to blame
        done = subprocess.run([TOOL, 'run', 'timed.json', '--out', 'out'], capture_output=True, text=True)
        check.equal('a policy that names nobody', (done.returncode in (1, 4), 'policy never names' in done.stderr, done.stdout, os.listdir('out')), (True, True, '', []))
        os.chdir(ROOT)
    check.close()


if __name__ == '__main__':
    main()
