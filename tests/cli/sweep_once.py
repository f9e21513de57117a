"""Points of a sweep that one pass over the trace tells: the collected table is to the byte the one of a sweep that ran every point.

Which results were not run is seen in them (`one_pass`); what is not exactly a plain cache is always run.
"""
import glob
import json
import os
import sys
import tempfile
import zlib

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool
from sweeps import CAPACITY

NONE = {**sweeps.BASE, 'clock': 'none'}
SLOTS = {'from': '1slots', 'to': '64slots', 'step': '1slots'}
HITS = {'hit_rate': 'cache.hits / cache.lookups', 'decode': 'cache.decode.hit_rate', 'evictions': 'cache.evictions', 'bytes': 'cache.fetched_bytes', 'peak': 'capacity.peak',
        'room': 'capacity.slots_or_bytes', 'capacity_misses': 'cache.misses_capacity', 'prefill': 'cache.prefill.hits + 3 * cache.prefill.misses'}

COVERAGE = {'perfect': 'coverage.perfect', 'partial': 'coverage.partial', 'zero': 'coverage.zero', 'overflow': 'cache.overflow_events', 'hits': 'cache.decode.hits',
            'evictions': 'cache.evictions', 'insertions': 'cache.insertions'}


def read(folder):
    return [open(os.path.join(folder, 'table' + end), 'rb').read() for end in ('.h5', '.csv')]


def one_pass(path):
    """Does a result say so? Its report is one deflated chunk of bytes somewhere in the file."""
    with open(path, 'rb') as file:
        text = file.read()
    at = text.find(b'\x78')
    while at >= 0:
        try:
            report = zlib.decompressobj().decompress(text[at:])
            if b'"provenance"' in report and b'"clock"' in report and b'"cache"' in report:
                return b'"one_pass": true' in report
        except zlib.error:
            pass
        at = text.find(b'\x78', at + 1)
    raise RuntimeError(path + ': no report in it')


def told(folder):
    """How many results were not run."""
    return sum(one_pass(path) for path in glob.glob(os.path.join(folder, 'points', '*.h5')))


def both(check, here, what, want, axes, **more):
    """Runs the sweep both ways; `want`: so many results are not run, or None: some."""
    path = here.sweep(axes, name=what.replace(' ', '_') + '.json', **{'base': NONE, **more})
    one, all_of = here.at(what + ' once'), here.at(what + ' run')
    sweeps.fine('run', path, '-o', one, '-q', '-j', '2')
    sweeps.fine('run', path, '-o', all_of, '-q', '-j', '2', '--simulate')
    for folder in (one, all_of):
        sweeps.fine('collect', folder, '-q')
    check.equal(what + ': the same table', read(one) == read(all_of), True)
    got = told(one)
    check.equal(what + ': %d of them are not run' % got, got == want if want is not None else got > 0, True)
    check.equal(what + ': --simulate runs all', told(all_of), 0)
    return one


def main():
    check = tool.Check('sweep_once')
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        here.traces()
        # 64 sizes: the widest event of the prompt (4 tokens x 2) and what is below it, and the two ends, are run
        widest = both(check, here, 'slots', None, {CAPACITY: SLOTS})
        both(check, here, 'policies', None, {'policy': ['lru', 'fifo', 'belady'], CAPACITY: SLOTS}, metrics=HITS)
        both(check, here, 'share', None, {CAPACITY: {'from': '5%', 'to': '100%', 'step': '2.5%'}})
        both(check, here, 'bytes', None, {CAPACITY: {'from': '10MiB', 'to': '80MiB', 'step': '1536KiB'}})
        both(check, here, 'traces', None, {CAPACITY: SLOTS}, replications={'traces': [here.at('a.h5'), here.at('b.h5')]})
        both(check, here, 'draws', None, {CAPACITY: {'from': '20slots', 'to': '60slots', 'step': '5slots'}}, replications={'count': 3, 'vary': ['trace.source.seed']})
        both(check, here, 'beyond the population', None, {CAPACITY: {'from': '40slots', 'to': '200slots', 'step': '20slots'}})
        both(check, here, 'no bytes', None, {CAPACITY: SLOTS}, base={k: v for k, v in NONE.items() if k != 'model'})
        # tokens of 6 experts, prompts of nearly all: caches that they do not fit into go by the order within events
        wide = {**NONE, 'trace': {'source': {**sweeps.TRACE['source'], 'top_k': 6, 'prompt_tokens': 6, 'requests': 6}}}
        few = {CAPACITY: {'from': '20slots', 'to': '60slots', 'step': '5slots'}}
        both(check, here, 'three points', 0, {CAPACITY: ['20slots', '30slots', '40slots']})
        both(check, here, 'with time', 0, few, base=sweeps.BASE)
        both(check, here, 'coverage of belady', 61, {CAPACITY: SLOTS}, base={**NONE, 'policy': 'belady'})
        both(check, here, 'coverage of wide events', None, {'policy': ['lru', 'belady'], CAPACITY: SLOTS}, metrics=COVERAGE, base=wide)
        both(check, here, 'a metric that no curve tells', 0, few, metrics={'age': 'capacity.resident_age_steps'})
        plain = {'another contract': {'contract': 'after_batch'}, 'caches of layers': {'contract': {'preset': 'event_atomic', 'scope': 'layer'}},
                 'skipped tokens': {'contract': {'preset': 'event_atomic', 'skip_tokens': 5}}, 'a predictor': {'predictor': 'previous_token'},
                 'an option of the policy': {'policy': 'random'}, 'a grace': {'tiers': {'cache': {'capacity': '16slots', 'compute': 'gpu', 'share': 0.5}, 'host': {'home': True}}},
                 'unequal bytes': {'model': {'layer_bytes': {'0': 1048576, '1': 1048576, '2': 2097152, '3': 1048576}}}, 'bounds': {'bounds': True}}
        for what, config in plain.items():
            both(check, here, what, 0, few, base={**NONE, **config})
        some = sorted(path for path in glob.glob(os.path.join(widest, 'points', '*.h5')) if one_pass(path))[0]
        again = json.loads(tool.command([sweeps.TOOL, 'rerun', some, '--json', '--quiet']))
        with open(os.path.join(widest, 'plan.json')) as file:
            row = next(row for row in json.load(file)['points'] if row[0] == os.path.basename(some)[:-3])
        check.equal('a result that was not run can be run again', (again['cache']['hits'] > 0, again['tiers']['cache']['capacity']), (True, int(row[2][:-5])))
        os.unlink(some)
        check.equal('one that is missing is made again', (sweeps.call('run', here.at('slots.json'), '-o', widest, '-q').returncode, os.path.exists(some)), (0, True))
        for part in range(3):
            sweeps.fine('run', here.at('slots.json'), '-o', here.at('parts'), '-q', '--shard', '%d/3' % part)
        sweeps.fine('collect', here.at('parts'), '-q')
        sweeps.fine('collect', here.at('slots run'), '-q')
        check.equal('parts make passes of their own', (read(here.at('parts')) == read(here.at('slots run')), told(here.at('parts')) > 0), (True, True))
        # a pass that is stopped by a limit: each point is run by itself, and those that can be are there
        path = here.sweep({CAPACITY: SLOTS}, name='limit.json', base=NONE)
        done = sweeps.call('run', path, '-o', here.at('limit'), '-q', '--memory', '1KiB')
        check.equal('a pass without memory falls back', (done.returncode, len(glob.glob(here.at('limit', 'points', '*.err'))) > 0), (5, True))
    check.close()


if __name__ == '__main__':
    main()
