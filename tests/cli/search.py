"""expertsim search, from outside, on traces whose optimum is known in closed form, and against all points run one by one.

The trace is a cycle of N experts, one a token. LRU with fewer than N slots never hits, with N it hits all but the first N. Belady with C slots hits
(C - 1) / (N - 1) of what is not a first use. Every miss waits for one copy, so the rate of tokens follows from the hits.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool

CYCLE, TOKENS, COPY, COMPUTE = 24, 1200, 0.010, 0.001
CAPACITY = 'tiers.cache.capacity'


def call(*args):
    return subprocess.run([sweeps.TOOL, 'search', *args], capture_output=True, text=True)


def found(*args):
    return sweeps.found('search', *args)


def check_closed_forms(check, here):
    cycle = here.at('cycle.json')
    lru = found(cycle, '-t', 'hit_rate>=50%', '--over', CAPACITY)
    check.equal('LRU needs the whole cycle', (lru['found']['values'], lru['method']), ({CAPACITY: '%dslots' % CYCLE}, 'bisect'))
    check.equal('its hits are all but the first uses', lru['found']['metrics']['cache.hit_rate'], 1 - CYCLE / TOKENS)
    for share in (0.2, 0.5, 0.9):
        # hits of Belady: after the first round every slot but one saves one of the CYCLE - 1 others
        want = min(c for c in range(1, CYCLE + 1) if (TOKENS - CYCLE) / TOKENS * (c - 1) / (CYCLE - 1) >= share)
        got = found(cycle, '-t', 'hit_rate>=%g' % share, '--over', CAPACITY, '--set', 'policy=belady')['found']['values'][CAPACITY]
        check.equal('Belady for %g is within a slot of the closed form' % share, abs(int(got[:-5]) - want) <= 1, True)
    rate = TOKENS / (CYCLE * COPY + TOKENS * COMPUTE)
    timed = found(cycle, '-t', 'tokens_per_s>=%.6f' % (rate * 0.999999), '--over', CAPACITY)
    check.equal('tokens/s of D/D/1', (timed['found']['values'][CAPACITY], abs(timed['found']['metrics']['time.tokens_per_s'] / rate - 1) < 1e-9), ('%dslots' % CYCLE, True))
    check.equal('what nothing reaches', found(cycle, '-t', 'tokens_per_s>=%.6f' % (rate * 1.01), '--over', CAPACITY)['found'], None)
    check.equal('perfect coverage', found(cycle, '-t', 'perfect_coverage>=90%', '--over', CAPACITY)['found']['values'][CAPACITY], '%dslots' % CYCLE)
    both = found(cycle, '-t', 'tokens_per_s>=10', '-t', 'latency_p95<=1ms', '--over', CAPACITY)
    check.equal('two targets', both['found']['values'][CAPACITY], '%dslots' % CYCLE)
    link = found(cycle, '--set', CAPACITY + '=4slots', '-t', 'latency<=6ms', '--over', 'channels.pcie.timing.time=1ms..20ms/1ms', '--cost', '0 - time.token_latency_s.mean')
    check.equal('the slowest link that will do', link['found']['values'], {'channels.pcie.timing.time': '5ms'})


def check_exhaustive(check, here):
    """Whatever the method: the cheapest of all points, each of them run by itself."""
    base = here.at('base.json')
    slots, policies = list(range(2, 62, 4)), ['lru', 'lfu', 'belady']
    rates = {(s, p): tool.run(sweeps.BASE, ['%s=%dslots' % (CAPACITY, s), 'policy=' + p, 'bounds=false'])['time']['tokens_per_s'] for s in slots for p in policies}
    for target in (60, 110, 200, 300):
        args = ['-t', 'tokens_per_s>=%d' % target, '--over', 'policy=' + ','.join(policies), '--over', CAPACITY + '=2slots..58slots/4slots']
        want = min(((s, policies.index(p)) for (s, p), rate in rates.items() if rate >= target), default=None)
        for method in ('bisect', 'grid', 'halving'):
            got = found(base, *args, '--method', method)['found']
            got = got and (int(got['values'][CAPACITY][:-5]), policies.index(got['values']['policy']))
            check.equal('tokens/s >= %d by %s' % (target, method), got, want)
    grid = found(base, '--over', CAPACITY + '=2slots..58slots/4slots')
    check.equal('without a target all points are run', ([(p['values'][CAPACITY], p['against']) for p in grid['points']], 'found' in grid),
                ([('%dslots' % s, tool.run(sweeps.BASE, ['%s=%dslots' % (CAPACITY, s), 'bounds=false'])['time']['token_latency_s']['mean']) for s in slots], False))
    two = found(base, '-t', 'tokens_per_s>=110', '--over', CAPACITY + '=2slots..58slots/1slots', '--over', 'channels.pcie.timing.time=200us..2ms/200us', '--points', '10')
    all_of = found(base, '-t', 'tokens_per_s>=110', '--over', CAPACITY + '=2slots..58slots/1slots', '--over', 'channels.pcie.timing.time=200us..2ms/200us', '--points', '10', '--method', 'grid')
    check.equal('halving', (two['method'], two['short_runs'] > 0, two['runs'] < all_of['runs'] / 2, two['found']['values']), ('halving', True, True, all_of['found']['values']))


def check_lists(check, here):
    slow = {**sweeps.BASE, 'name': 'slow', 'channels': {**sweeps.BASE['channels'], 'pcie': {'timing': {'name': 'constant', 'time': '5ms'}}}}
    here.write('slow.json', slow)
    machines = found(here.at('slow.json'), here.at('base.json'), '-t', 'tokens_per_s>=100')
    check.equal('the cheapest machine', (machines['found']['values'], machines['method'], machines['cost']), ({'config': here.at('base.json')}, 'grid', 'order of the values'))
    check.equal('the first that will do', found(here.at('slow.json'), here.at('base.json'), '-t', 'tokens_per_s>=5')['found']['values'], {'config': here.at('slow.json')})
    parts = found(here.at('base.json'), '-t', 'hit_rate>=1%', '--over', 'policy={"name":"random"},{"name":"lru"}')
    check.equal('whole parts', parts['found']['values'], {'policy': '{"name":"random"}'})
    sizes = found(here.at('base.json'), '-t', 'hit_rate>=70%', '--over', 'model.expert_bytes=1MiB,2MiB', '--over', CAPACITY + '=8MiB..128MiB/1MiB')
    check.equal('half of the bytes, half of the memory', (sizes['found']['values']['model.expert_bytes'], sizes['monotone']), ('1MiB', True))


def check_text(check, here):
    done = call(here.at('cycle.json'), '-t', 'hit_rate>=50%', '--over', CAPACITY)
    check.equal('text', (done.returncode, done.stdout.split('\n')[0], '<- knee' in done.stdout, done.stderr), (0, 'hit_rate>=50%%: %s=%dslots' % (CAPACITY, CYCLE), False, ''))
    check.equal('nothing', call(here.at('cycle.json'), '-t', 'hit_rate>=100%', '--over', CAPACITY).stdout.split('\n')[0], 'Nothing that was run meets hit_rate>=100%.')
    hump = call(here.at('base.json'), '-t', 'tokens_per_s>=60', '--over', 'channels.pcie.timing.time=100us..9ms', '--cost', '1')
    check.equal('a falling metric is no monotone one', ('more is not always better' in hump.stdout, hump.returncode), (True, 0))
    subprocess.run([sweeps.TOOL, 'search', here.at('base.json'), '-t', 'hit_rate>=50%', '--over', CAPACITY, '-o', here.at('kept'), '-q'], check=True)
    check.equal('kept', json.load(open(here.at('kept', 'search.json'))), found(here.at('base.json'), '-t', 'hit_rate>=50%', '--over', CAPACITY))


def check_wrong(check, here):
    base, over = here.at('base.json'), ['--over', CAPACITY]
    cases = [
        ([], 'which config?'), ([base, '-t', 'hit_rate>=1'], '--over: there is none'),
        ([base, *over, '-t', 'hit_rate'], '"hit_rate" is no target'), ([base, *over, '-t', 'hitrate>=1'], 'there is no metric "hitrate"; did you mean "hit_rate"?'),
        ([base, *over, '-t', 'hit_rate>=much'], '"much" is no number, time, size or share'), ([base, '--over', 'policy'], 'policy: needs values: policy=A..B'),
        ([base, '--over', 'policy=lru,,lfu'], 'value 2 is empty'), ([base, *over, *over], 'tiers.cache.capacity is there twice'),
        ([base, '--over', CAPACITY + '=9slots..3slots'], 'it ends below its beginning'), ([base, '--over', CAPACITY + '=1GiB..30slots'], '"30slots" is not of the same kind as "1GiB"'),
        ([base, '--over', CAPACITY + '=1slots..9slots/0slots'], 'is not above 0'), ([base, '--over', 'seed=1..2', '--method', 'best'], 'there is no "best"'),
        ([base, '--over', 'policy=lru,lfu', '-t', 'hit_rate>=1', '--method', 'bisect'], 'bisect needs one range'),
        ([base, *over, '--method', 'bisect'], 'bisect needs a target'), ([base, *over, '--points', '1'], '--points: "1" is not a number'),
        ([base, '--over', 'polcy=lru,lfu'], 'did you mean "policy"'), ([base, '--over', 'policy=lruu'], 'did you mean "lru"'),
        ([base, *over, '-t', 'ttft<=1s', '--set', 'clock=none'], 'the result has no time.ttft_s'),
        ([here.at('nowhere.json'), *over], 'nowhere.json'),
    ]
    for args, said in cases:
        done = call(*args)
        check.equal('wrong: %s' % ' '.join(args[-3:]), (done.returncode, said in done.stderr and done.stderr.count('\n') == 1), (2, True))
        if said not in done.stderr:
            print(done.stdout, done.stderr)
    some = found(base, '-t', 'hit_rate>=1%', '--over', CAPACITY + '=256KiB..64MiB/256KiB')
    check.equal('points that cannot be run are told of', ('reason' in some['points'][1], some['points'][1]['met'], int(some['found']['values'][CAPACITY][:-3]) >= 1), (True, False, True))


def main():
    check = tool.Check('search')
    documented = re.findall(r'`([a-z_.*]+)`', open(os.path.join(ROOT, 'docs', 'search.md')).read())
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        here.write('cycle.csv', 'request_id,token_index,phase,layer,e0\n' + ''.join('0,%d,D,0,%d\n' % (t, t % CYCLE) for t in range(TOKENS)))
        here.write('cycle.json', {**sweeps.BASE, 'trace': {'path': here.at('cycle.csv')}, 'channels': {
            'pcie': {'timing': {'name': 'constant', 'time': '%gms' % (COPY * 1e3)}}, 'gpu': {'timing': {'name': 'compute', 'expert': '%gms' % (COMPUTE * 1e3)}}}})
        check_closed_forms(check, here)
        check_exhaustive(check, here)
        check_lists(check, here)
        check_text(check, here)
        check_wrong(check, here)
        told = set(tool.keys(found(here.at('base.json'), '-t', 'hit_rate>=1%', '--over', CAPACITY + '=512KiB..64MiB/512KiB')))
        known = lambda key: key in documented or any(d.endswith('.*') and key.startswith(d[:-1]) for d in documented)
        check.equal('keys that docs/search.md lacks', sorted(key for key in told if not known(key)), [])
    check.close()


if __name__ == '__main__':
    main()
