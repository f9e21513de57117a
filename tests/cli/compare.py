"""expertsim compare, from outside: equals are not ranked and gaps are found in whole runs; sweeps, results, configs; bounds; files; wrong input."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool
from sweeps import CAPACITY

POLICIES = ['--policies', 'lru,random,belady']


def call(*args, **more):
    return subprocess.run([sweeps.TOOL, 'compare', *args], capture_output=True, text=True, **more)


def found(*args):
    return sweeps.found('compare', *args)


def check_equals(check, here):
    """Policy random with other draws is the same policy. Three of them are ranked in at most one of twenty traces; Belady is found in each."""
    families, ranked, missed = 100, 0, 0
    names = []
    for i in range(3):
        config = {**sweeps.BASE, 'bounds': False, 'policy': 'random', 'replication': i + 1, 'trace': {'source': {**sweeps.TRACE['source'], 'decode_tokens': 60}}}
        names.append('draws%d=%s' % (i, here.write('draws%d.json' % i, config)))
    best = 'belady=' + here.write('belady.json', {**config, 'policy': 'belady'})
    for seed in range(families):
        group = found(*names, best, '--set', 'trace.source.seed=%d' % seed, '--resamples', '999')['groups'][0]
        pairs = {(p['a'], p['b']): p['cold'] for p in group['pairs']}
        ranked += any(p['better'] for (a, b), p in pairs.items() if b != 'belady')
        missed += sum(p['better'] != 'belady' for (a, b), p in pairs.items() if b == 'belady')
    check.equal('of %d families of equals %d are ranked' % (families, ranked), ranked * 20 <= families, True)
    check.equal('gaps that are missed', missed, 0)


def check_bounds(check, here):
    """Bounds, totals and values are those of the results."""
    group = found(here.at('base.json'), *POLICIES, '--out', here.at('kept'))['groups'][0]
    for i, candidate in enumerate(group['candidates']):
        result = json.load(open(here.at('kept', 'runs', str(i + 1), 'result.json')))
        lookups = result['cache']['lookups']
        check.equal('value of ' + candidate['name'], round(candidate['cold'], 12), round(result['time']['token_latency_s']['mean'], 12))
        check.equal('total of ' + candidate['name'], candidate['total_s'], result['time']['total_s'])
        check.equal('Belady beside ' + candidate['name'], candidate['bounds']['belady_hit_rate'], result['bounds']['belady_hits'] / lookups)
        for key in ('all_resident_s', 'never_cache_s', 'lower_bound_s', 'clairvoyant_s'):
            check.equal(key + ' beside ' + candidate['name'], (candidate['bounds'][key], candidate['bounds'][key] > 0), (result['bounds'][key], True))
        check.equal('foresight of ' + candidate['name'], candidate['causal'], candidate['name'] != 'belady')
    again = found('lru=' + here.at('kept', 'runs', '1'), 'random=' + here.at('kept', 'runs', '2', 'result.h5'), 'belady=' + here.at('kept', 'runs', '3'))['groups'][0]
    check.equal('results compare as their configs did', again, group)
    return group


def check_drift(check):
    """LFU loses nearly every token to LRU, in some requests by ten times as much as in others: no interval of the mean, and no tie."""
    compared = found(os.path.join(ROOT, 'configs', 'quickstart.json'), '--policies', 'lfu,lru', '--set', tool.DRAWN)
    group, cold = compared['groups'][0], compared['groups'][0]['pairs'][0]['cold']
    check.equal('a drifting gap has no interval', (cold['low'], cold['high'], cold['reason'] is not None), (None, None, True))
    check.equal('and ranks by wins', (cold['by'], cold['better'], cold['won_high'] < -0.5, cold['p'] < 0.01), ('wins', 'lru', True, True))
    check.equal('rank follows', {c['name']: c['rank'] for c in group['candidates']}, {'lru': 1, 'lfu': 2})
    check.equal('what is repeated', (compared['unit'], group['requests'], group['units']), ('token', 4, 1024))
    turned = found(os.path.join(ROOT, 'configs', 'quickstart.json'), '--policies', 'lru,lfu', '--set', tool.DRAWN)['groups'][0]['pairs'][0]['cold']
    check.equal('the other way round', [turned[k] for k in ('won', 'won_low', 'won_high', 'p', 'better')], [-cold['won'], -cold['won_high'], -cold['won_low'], cold['p'], 'lru'])


def check_found_bounds(check, here):
    """Points of a sweep are made without bounds; beside them stand those that a run with bounds has, whatever the policy, once for all of a group."""
    sweep = here.sweep({'policy': ['random', 'lru', 'belady'], CAPACITY: ['16slots', '24slots']}, name='unbound.json', base={**sweeps.BASE, 'bounds': False})
    sweeps.fine('run', sweep, '-o', here.at('unbound'), '-q')
    said = call(here.at('unbound'), '--by', 'policy', '--no-bounds').stdout
    check.equal('what nothing can be said of is said once', (said.count('  no pair is ranked: there are fewer than 10 units\n'), said.count('tie because'),
        said.count('  more can be ranked with replications or traces in the sweep, or with tokens, which it keeps where its base has the observer tables\n')), (2, 0, 1))
    compared = found(here.at('unbound'), '--jobs', '1')
    for group, capacity in zip(compared['groups'], ('16slots', '24slots')):
        for one in group['candidates']:
            config = here.write('bound.json', {**sweeps.BASE, 'bounds': True, 'policy': one['name']})
            ran = json.loads(tool.command([sweeps.TOOL, 'run', config, '--set', CAPACITY + '=' + capacity, '--json', '--quiet']))
            want = {key: ran['bounds'][key] for key in ('all_resident_s', 'never_cache_s', 'lower_bound_s', 'clairvoyant_s')}
            want['belady_hit_rate'] = ran['bounds']['belady_hits'] / ran['cache']['lookups']
            check.equal('bounds of %s in %s' % (one['name'], capacity), {key: one['bounds'][key] for key in want}, want)
            check.equal('no engine knows them', one['bounds_causal'], False)
    check.equal('so many at once', found(here.at('unbound'), '--jobs', '3'), compared)
    text = call(here.at('unbound')).stdout
    check.equal('bounds are told apart from candidates', text.count('bounds, which no engine can know beforehand:'), 2)
    off = found(here.at('unbound'), '--no-bounds')['groups'][0]['candidates'][0]
    check.equal('none are asked for', set(off['bounds'].values()), {None})
    kept = [found(here.at('base.json'), *POLICIES, '--jobs', jobs, '--out', here.at('jobs' + jobs)) for jobs in '13']
    check.equal('configs run at once', kept[0], kept[1])
    for name in ('compare.json', 'units.csv'):
        with open(here.at('jobs1', name), 'rb') as one, open(here.at('jobs3', name), 'rb') as three:
            check.equal(name + ' to the byte', one.read() == three.read(), True)
    os.rename(here.at('a.h5'), here.at('moved.h5'))
    gone = found(here.at('recorded'))['groups'][0]['candidates'][0]
    check.equal('a trace that is gone keeps nobody from comparing', ('a.h5' in gone['bounds_reason'], gone['bounds']['all_resident_s']), (True, None))
    os.rename(here.at('moved.h5'), here.at('a.h5'))
    for jobs in ('0', 'x', '9999'):
        done = call(here.at('base.json'), *POLICIES, '--jobs', jobs)
        check.equal('jobs ' + jobs, (done.returncode, '--jobs' in done.stderr), (2, True))


def check_files(check, here):
    names = set(os.listdir(here.at('kept')))
    wanted = {'compare.json', 'units.csv', 'runs', 'differences.gp', 'differences.dat', 'warm-up.gp', 'warm-up.dat'}
    if shutil.which('gnuplot'):
        wanted |= {'differences.svg', 'differences.png', 'warm-up.svg', 'warm-up.png'}
    check.equal('files', names, wanted)
    bare = call(here.at('base.json'), *POLICIES, '--out', here.at('bare'), env={'PATH': here.at('nowhere')})
    check.equal('without gnuplot', (bare.returncode, 'gnuplot *.gp' in bare.stderr, os.path.exists(here.at('bare', 'differences.gp'))), (0, True, True))
    for name in ('compare.json', 'units.csv', 'differences.dat', 'differences.gp'):
        check.equal('the same %s again' % name, open(here.at('bare', name)).read(), open(here.at('kept', name)).read())


def check_text(check, here):
    long = 'a candidate whose name is much longer than what a column of a table has room for, and then some more words'
    for what, args in (('policies', [here.at('base.json'), *POLICIES]), ('names', [long + '=' + here.at('base.json'), 'b=' + here.at('belady.json'), '--set', 'replication=0',
                       '--set', 'trace.source.decode_tokens=40']), ('many', [here.at('base.json'), '--policies', 'lru,fifo,lfu,random,static,coverage,hybrid,belady'])):
        done = call(*args)
        check.equal(what + ': exit', (done.returncode, done.stderr), (0, ''))
        check.equal(what + ': columns', [line for line in done.stdout.split('\n') if len(line) > 100], [])
        check.equal(what + ': says bounds and their meaning', ('all resident' in done.stdout, 'never cache' in done.stdout, 'nobody is below' in done.stdout), (True, True, True))
    check.equal('many: only pairs with the best', done.stdout.count(' - '), 7 + done.stdout.count('  - in the last'))


def check_sweep(check, here):
    base = {**sweeps.BASE, 'observers': ['summary', 'latency', 'tables']}
    here.write('sweep.json', {'base': base, 'axes': {'policy': ['lru', 'random', 'belady'], sweeps.CAPACITY: ['8slots', '24slots']}})
    sweeps.fine('run', here.at('sweep.json'), '-o', here.at('points'), '-q')
    by_policy = found(here.at('points'))
    check.equal('groups', [g['where'] for g in by_policy['groups']], [sweeps.CAPACITY + '=8slots', sweeps.CAPACITY + '=24slots'])
    check.equal('candidates', [[c['name'] for c in g['candidates']] for g in by_policy['groups']], [['lru', 'random', 'belady']] * 2)
    check.equal('family', by_policy['family'], 6)
    by_capacity = found(here.at('points'), '--by', sweeps.CAPACITY, '--metric', 'hit_rate')
    check.equal('by capacity', [[c['name'] for c in g['candidates']] for g in by_capacity['groups']], [['8slots', '24slots']] * 3)
    check.equal('more memory is better', {p['cold']['better'] for g in by_capacity['groups'] for p in g['pairs']}, {'24slots'})
    bare = {'base': {k: v for k, v in sweeps.BASE.items()}, 'axes': {'policy': ['lru', 'random']}}
    here.write('few.json', {**bare, 'replications': {'count': 5, 'vary': ['trace.source.seed']}})
    here.write('runs.json', {**bare, 'replications': {'count': 20, 'vary': ['trace.source.seed']}})
    for name in ('few', 'runs'):
        sweeps.fine('run', here.at(name + '.json'), '-o', here.at(name), '-q')
    few, runs = found(here.at('few')), found(here.at('runs'))
    check.equal('five runs rank nobody', (few['unit'], few['groups'][0]['pairs'][0]['cold']['better'], few['groups'][0]['pairs'][0]['cold']['reason']), ('run', None, 'there are fewer than 10 units'))
    check.equal('twenty do', (runs['unit'], runs['groups'][0]['units'], runs['groups'][0]['pairs'][0]['cold']['better']), ('run', 20, 'lru'))
    os.unlink(here.at('runs', 'points', sorted(n for n in os.listdir(here.at('runs', 'points')) if n.endswith('.h5'))[0]))
    check.equal('a point that is missing takes its pair along', found(here.at('runs'))['groups'][0]['units'], 19)


def check_wrong(check, here):
    here.write('none.json', {**{k: v for k, v in sweeps.BASE.items() if k not in ('channels', 'links')}, 'clock': 'none'})
    here.write('other.json', {**sweeps.BASE, 'trace': {'source': {**sweeps.TRACE['source'], 'requests': 3}}})
    subprocess.run([sweeps.TOOL, 'run', here.at('base.json'), '-o', here.at('plain'), '-q', '--set', 'observers=["summary"]'], check=True)
    cases = [
        ([], 'what is to be compared?'), ([here.at('base.json')], '"small" is alone; a comparison needs two candidates'),
        ([here.at('base.json'), here.at('base.json')], 'are both "small"; name them'),
        ([here.at('base.json'), 'b=' + here.at('base.json'), '--metric', 'latncy'], 'there is no metric "latncy"; did you mean "latency"?'),
        ([here.at('base.json'), *POLICIES, '--unit', 'week'], 'there is no unit "week"; there are token, request and run'),
        ([here.at('base.json'), *POLICIES, '--confidence', '95'], 'a confidence of 95 is not within 0.5 and 0.999'),
        ([here.at('base.json'), *POLICIES, '--confidence', 'high'], '--confidence: "high" is no number'),
        ([here.at('base.json'), *POLICIES, '--resamples', '5'], '5 resamples are not within 99 and 999999'),
        ([here.at('base.json'), *POLICIES, '--resamples', '-5'], '--resamples: "-5" is no whole number'),
        ([here.at('base.json'), *POLICIES, '--out', ''], '--out: the name of a folder is empty'),
        ([here.at('base.json'), 'b=' + here.at('other.json')], 'did not replay the same requests (80 and 120 rows)'),
        ([here.at('none.json'), *POLICIES, '--metric', 'latency'], 'has no times, for its clock is none'),
        ([here.at('base.json'), '--policies', 'lru,lruu'], 'did you mean "lru"?'),
        ([here.at('plain'), 'b=' + here.at('plain', 'result.h5'), '--unit', 'token'], 'has no tables'),
        ([here.at('plain'), 'b=' + here.at('plain'), '--metric', 'stall'], 'it has no tables, which metric stall needs'),
        ([here.at('points'), '--by', 'polcy'], 'has no axis "polcy"; did you mean "policy"?'),
        ([here.at('nowhere.json'), *POLICIES], 'nowhere.json'), ([here.at('sweep.json')], 'is a sweep; run it and compare its folder'),
    ]
    for args, said in cases:
        done = call(*args)
        check.equal('wrong: %s' % ' '.join(args[-3:]), (done.returncode, said in done.stderr and done.stderr.count('\n') == 1), (2, True))
        if said not in done.stderr:
            print(done.stderr)
    check.equal('nothing is left behind', [n for n in os.listdir(here.at('tmp')) if n.startswith('expertsim-compare')], [])


def main():
    check = tool.Check('compare')
    documented = set(re.findall(r'`([a-z_.]+)(?:\.\*)?`', open(os.path.join(ROOT, 'docs', 'compare.md')).read()))
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        os.mkdir(here.at('tmp'))
        os.environ['TMPDIR'] = here.at('tmp')
        check_equals(check, here)
        check_bounds(check, here)
        check_drift(check)
        here.traces()
        recorded = here.sweep({'policy': ['lru', 'fifo']}, name='recorded.json', base={**{k: v for k, v in sweeps.BASE.items() if k != 'trace'}, 'trace': {'path': 'a.h5'}})
        sweeps.fine('run', recorded, '-o', here.at('recorded'), '-q')
        check_found_bounds(check, here)
        check_files(check, here)
        check_text(check, here)
        check_sweep(check, here)
        check_wrong(check, here)
        hits = found(here.at('none.json'), *POLICIES)
        check.equal('without time hits are compared', (hits['metric'], hits['better']), ('hit_rate', 'higher'))
        told = set(tool.keys(hits)) | set(tool.keys(found(here.at('few'))))
        check.equal('keys that docs/compare.md lacks', sorted(key for key in told if '.warm.' not in key and not key.endswith('.warm')
                                                                      and re.sub(r'(\.attribution)\..*', r'\1', key) not in documented), [])
    check.close()


if __name__ == '__main__':
    main()
