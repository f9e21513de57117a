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


def check_precision(check, here):
    """An expert of half the bits takes half the time to come: of two precisions the first whose copies are short enough, on a link of a known rate."""
    base = {**sweeps.BASE, 'trace': {'path': here.at('cycle.csv')}, 'model': {'shape': os.path.join(ROOT, 'models', 'shapes', 'gpt-oss-20b.json'), 'precision': 'bf16'},
            'tiers': {'cache': {'capacity': '4slots', 'compute': 'gpu'}, 'host': {'home': True}},
            'channels': {'pcie': {'timing': {'name': 'affine', 'rate': '10GB/s'}}, 'gpu': {'timing': {'name': 'compute', 'expert': '1ms'}}}}
    path = here.write('precise.json', base)
    weight = {}
    for precision in ('bf16', 'mxfp4'):     # every token misses: a copy, then a millisecond
        run = tool.run(base, ['model.precision=' + precision, 'bounds=false'])
        weight[precision] = run['cache']['fetched_bytes'] / run['cache']['misses']
        check.equal('latency of ' + precision, abs(run['time']['token_latency_s']['mean'] - weight[precision] / 1e10 - 1e-3) < 1e-6, True)
    between = (weight['bf16'] + weight['mxfp4']) / 2 / 1e10 + 1e-3
    axis = ['--over', 'model.precision=bf16,mxfp4']
    check.equal('fewer bits where the link is too slow', found(path, '-t', 'latency<=%.6fms' % (between * 1e3), *axis)['found']['values'], {'model.precision': 'mxfp4'})
    check.equal('the first where both will do', found(path, '-t', 'latency<=%.6fms' % (between * 2e3 + 20), *axis)['found']['values'], {'model.precision': 'bf16'})
    check.equal('none', found(path, '-t', 'latency<=1ms', *axis)['found'], None)
    both = found(path, '-t', 'hit_rate>=50%', *axis, '--over', CAPACITY + '=1GiB..4GiB/1MiB')
    want = {p: -(-CYCLE * weight[p] // 2**20) * 2**20 for p in weight}
    check.equal('precision and capacity: the whole cycle in the fewest bytes', (both['found']['values']['model.precision'], both['found']['memory'] <= max(want['mxfp4'], 2**30)), ('mxfp4', True))


def check_split(check, here):
    """Layer 0 goes round 12 experts, layer 1 round 4: of 16 slots only the division 12 and 4 hits, and the whole trace but its first uses."""
    rows = ''.join('0,%d,D,0,%d\n0,%d,D,1,%d\n' % (t, t % 12, t, t % 4) for t in range(600))
    here.write('split.csv', 'request_id,token_index,phase,layer,e0\n' + rows)
    path = here.write('split.json', {**sweeps.BASE, 'trace': {'path': here.at('split.csv')}, 'clock': 'none', 'contract': {'preset': 'event_atomic', 'scope': 'layer'},
                                     'tiers': {'cache': {'capacity': '16slots', 'compute': 'gpu'}, 'host': {'home': True}}})
    quotas = ['[8,8]', '[10,6]', '[12,4]', '[14,2]']
    got = found(path, '-t', 'hit_rate>=90%', '--over', 'contract.quota=' + ','.join(quotas))
    check.equal('the division that fits', got['found']['values'], {'contract.quota': '[12,4]'})
    check.equal('and no other', [p['met'] for p in got['points']], [False, False, True, False])
    check.equal('its hits', got['found']['metrics']['cache.hit_rate'], 1 - 16 / 1200)


def check_first_token(check, here):
    """A prompt of 8 experts waits for 8 copies: the slowest link for a time to the first token follows from one run."""
    rows = ''.join('0,%d,P,0,%d\n' % (t, t) for t in range(8)) + ''.join('0,%d,D,0,%d\n' % (t, t % 8) for t in range(8, 40))
    here.write('prompt.csv', 'request_id,token_index,phase,layer,e0\n' + rows)
    base = {**sweeps.BASE, 'trace': {'path': here.at('prompt.csv')}, 'tiers': {'cache': {'capacity': '8slots', 'compute': 'gpu'}, 'host': {'home': True}}}
    path = here.write('prompt.json', base)
    link = 'channels.pcie.timing.time'
    one, two = (tool.run(base, [link + '=%dms' % ms, 'bounds=false'])['time']['ttft_s'] for ms in (1, 2))
    check.equal('eight copies', round((two - one) * 1e3, 9), 8)
    target = one + 8 * 5.5e-3
    got = found(path, '-t', 'ttft<=%.6fms' % (target * 1e3), '--over', link + '=1ms..20ms/1ms', '--cost', '0 - time.ttft_s')
    check.equal('time to the first token', got['found']['values'], {link: '6ms'})


def check_prices(check, here):
    """Of three machines the first is the dearest that will do, the last is too slow: by price it is the second, in the order given the first."""
    names = []
    for name, price, copy in (('dear', 900, '1ms'), ('fair', 500, '2ms'), ('cheap', 100, '50ms')):
        machine = {'name': name, 'price': price, 'links': {'pcie': {'kind': 'pcie4_x16', 'h2d': {'rate': '20GB/s', 'provenance': 'theoretical', 'source': 'a test'}}}}
        names.append(here.write(name + '.json', {**sweeps.BASE, 'name': name, 'machine': machine, 'channels': {**sweeps.BASE['channels'], 'pcie': {'timing': {'name': 'constant', 'time': copy}}}}))
    rate = {name: tool.command([sweeps.TOOL, 'run', name, '--json', '--quiet', '--set', 'bounds=false']) for name in names}
    rate = {name: json.loads(text)['time']['tokens_per_s'] for name, text in rate.items()}
    target = 'tokens_per_s>=%g' % (0.99 * rate[names[1]])
    got = found(*names, '-t', target, '--cost', 'price')
    check.equal('the cheapest machine by price', (got['found']['values']['config'], got['found']['cost'], got['cost']), (names[1], 500, 'price'))
    check.equal('in the order given', found(*names, '-t', target)['found']['values']['config'], names[0])
    check.equal('a price that nobody says', call(here.at('base.json'), '-t', target, '--over', CAPACITY, '--cost', 'price').returncode, 2)


def check_jobs(check, here):
    """The same bytes, however many at once: a grid, halving, bisection; points that cannot be run among them."""
    for name, args in (('grid', ['--over', CAPACITY + '=2slots..58slots/4slots']), ('bisect', ['-t', 'tokens_per_s>=110', '--over', CAPACITY]),
                       ('halving', ['-t', 'tokens_per_s>=110', '--over', CAPACITY + '=2slots..58slots/1slots', '--over', 'channels.pcie.timing.time=200us..2ms/200us', '--points', '8']),
                       ('some cannot be run', ['-t', 'hit_rate>=1%', '--over', CAPACITY + '=512KiB..64MiB/512KiB'])):
        one, three = (call(here.at('base.json'), *args, '--json', '--jobs', jobs) for jobs in '13')
        check.equal(name + ' by three at once', (three.returncode, three.stdout == one.stdout), (0, True))
    check.equal('jobs', call(here.at('base.json'), '--over', CAPACITY, '-j', '0').returncode, 2)


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
        ([base, *over, '-t', 'tokens_per_s>=20GiB'], 'tokens_per_s is a plain number, "20GiB" is a size'), ([base, *over, '-t', 'latency<=50%'], 'latency is a time, "50%" is a share'),
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
        check_precision(check, here)
        check_split(check, here)
        check_first_token(check, here)
        check_prices(check, here)
        check_jobs(check, here)
        check_text(check, here)
        check_wrong(check, here)
        told = set(tool.keys(found(here.at('base.json'), '-t', 'hit_rate>=1%', '--over', CAPACITY + '=512KiB..64MiB/512KiB')))
        known = lambda key: key in documented or any(d.endswith('.*') and key.startswith(d[:-1]) for d in documented)
        check.equal('keys that docs/search.md lacks', sorted(key for key in told if not known(key)), [])
    check.close()


if __name__ == '__main__':
    main()
