"""`expertsim mrc` beyond its four curves: policies by runs, bytes, a config's own, a set frozen on another trace, statistics by their
definitions, figures. Counts are compared with those of `expertsim run`, one by one."""
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
SAMPLE = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')
CONFIG = os.path.join(ROOT, 'configs', 'quickstart.json')
SHAPE = os.path.join(ROOT, 'models', 'shapes', 'gpt-oss-20b.json')
LAYERS, EXPERTS = 24, 32
MXFP4 = 13219200
SIZES = [5000000 + 250000 * layer for layer in range(LAYERS)]


def call(*args, **more):
    return subprocess.run([TOOL, 'mrc'] + list(args), capture_output=True, text=True, cwd=ROOT, **more)


def said(*args):
    done = call(*args, '--json')
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (args, done.stderr))
    return json.loads(done.stdout)


def of(report, policy, made=None):
    return {r['capacity']: r for r in report['rows'] if r['policy'] == policy and made in (None, r['made'])}


def as_run(check, what, row, config):
    cache = tool.run(config)['cache']
    check.equal(what, (row['decode_accesses'], row['decode_hits'], row['all_accesses'], row['all_hits']),
                (cache['decode']['lookups'], cache['decode']['hits'], cache['lookups'], cache['hits']))


def by_runs(check):
    for scope, sizes in (('global', [3, 96, 200]), ('layer', [2, 7])):
        names = ['lfu', 'fifo', 'random', 'hybrid', 'shift_cache', 'coverage', 'multi_factor', 'predictive']
        report = said(SAMPLE, '--policies', ','.join(names), '--scope', scope, '--sizes', ','.join(map(str, sizes)))
        check.equal('runs', (report['runs'], len(report['rows'])), (len(names) * len(sizes), len(names) * len(sizes)))
        for name in names:
            for capacity, row in of(report, name, 'run').items():
                slots = capacity * (LAYERS if scope == 'layer' else 1)
                as_run(check, '%s %s %d' % (scope, name, capacity), row, tool.untimed(SAMPLE, '%dslots' % slots, name, {'preset': 'event_atomic', 'scope': scope}))
    grid = said(SAMPLE, '--policies', 'lfu,lru')
    check.equal('12 sizes', sorted(of(grid, 'lfu')), [6, 12, 24, 48, 96, 192, 288, 384, 480, 576, 672, 768])
    check.equal('a curve has all', (len(of(grid, 'lru')), grid['runs']), (768, 12))
    check.equal('it says so', 'policies without a curve took 12 runs' in call(SAMPLE, '--policies', 'lfu,lru').stdout, True)


def equal_bytes(check):
    model = ('--model', SHAPE, '--precision', 'mxfp4')
    report = said(SAMPLE, *model, '--sizes', '1GiB,33%,3000000000B', '--policies', 'lru,belady,belady_bypass,static,lfu')
    budgets = [1 << 30, 3000000000, math.floor(0.33 * MXFP4 * LAYERS * EXPERTS)]
    slots = [budget // MXFP4 for budget in budgets]
    check.equal('what is counted', (report['counts'], report['belady'], set(report['expert_bytes'])), ('bytes', 'optimum', {MXFP4}))
    check.equal('cliff', report['statistics']['cliff_bytes'], report['statistics']['cliff_slots'] * MXFP4)
    check.equal('cycle', report['statistics']['cycle_bytes'], report['statistics']['cycle_slots'] * MXFP4)
    plain = said(SAMPLE, '--sizes', ','.join(map(str, slots)), '--policies', 'lru,belady,belady_bypass,static,lfu')
    for policy in ('lru', 'belady', 'belady_bypass', 'static', 'lfu'):
        ours, theirs = of(report, policy), of(plain, policy)
        check.equal('budgets of ' + policy, sorted(ours), sorted(budgets))
        for budget, fits in zip(budgets, slots):
            check.equal('%s in %d bytes is %d slots' % (policy, budget, fits), ours[budget]['hits'], theirs[fits]['hits'])
            check.equal('hit bytes', ours[budget]['hit_bytes'], ours[budget]['hits'] * MXFP4)
    twice = of(said(SAMPLE, *model, '--sizes', '%dB,%dB' % (MXFP4 * 100, MXFP4 * 100 + 5), '--policies', 'lru,belady,static'), 'lru')
    check.equal('two budgets of as many slots', len({row['hits'] for row in twice.values()}), 1)
    every = said(SAMPLE, '--config', CONFIG, '--policies', 'lru')
    check.equal('every size in bytes', sorted(of(every, 'lru', 'curve')), [MXFP4 * n for n in range(1, LAYERS * EXPERTS + 1)])


def divided(check, report):
    """What the divisions in bytes say, from the curves of the layers."""
    def hits(slots):
        return sum(layer['hits'][n - 1] if n else 0 for layer, n in zip(report['layer_lru'], slots))

    check.equal('one for each size', len(report['splits']), len(report['sizes']))
    for split in report['splits']:
        even = [min(split['total_bytes'] // LAYERS // size, EXPERTS) for size in SIZES]
        check.equal('each the same', split['equal_decode_hits'], hits(even))
        check.equal('the best', split['best_decode_hits'], hits(split['layer_slots']))
        check.equal('it fits', sum(n * size for n, size in zip(split['layer_slots'], SIZES)) <= split['total_bytes'], True)
        check.equal('no worse than each the same, nor above the bound', split['equal_decode_hits'] <= split['best_decode_hits'] <= split['bound_decode_hits'], True)


def unequal_bytes(check):
    sets = ('--set', 'model.expert_bytes=' + json.dumps(SIZES))
    policies = {'lru': 'lru', 'belady': 'belady', 'belady_bypass': {'name': 'belady', 'bypass': True}, 'static': 'static', 'fifo': 'fifo'}
    for scope, contract, budgets in (('global', 'event_atomic', ['300MiB', '800MiB', '2GiB']), ('layer', 'event_atomic', ['45MiB', '100MiB']),
                                     ('global', 'serialized', ['300MiB']), ('global', 'after_batch', ['500MiB']), ('global', 'keep_best', ['600MiB'])):
        report = said(SAMPLE, *sets, '--scope', scope, '--contract', contract, '--sizes', ','.join(budgets), '--policies', ','.join(policies))
        if 'lru' in policies and scope == 'global':
            zero = [r['capacity'] for r in report['rows'] if r['policy'] == 'lru' and r['decode_hits'] == 0]
            check.equal('cliff in bytes', report['statistics']['cliff_bytes'], max(zero, default=0))
        check.equal('no optimum', (report['counts'], report['belady']), ('bytes', 'uniform-size optimum'))
        divided(check, report)
        for row in report['rows']:
            total = row['capacity'] * (LAYERS if scope == 'layer' else 1)
            config = tool.untimed(SAMPLE, '%dB' % total, policies[row['policy']], {'preset': contract, 'scope': scope}, model={'expert_bytes': SIZES})
            as_run(check, '%s %s %s %d' % (scope, contract, row['policy'], row['capacity']), row, config)
    text = call(SAMPLE, *sets, '--sizes', '1GiB').stdout
    check.equal('never called optimal', ('uniform-size optimum' in text, 'optimal' in text), (True, False))
    every = said(SAMPLE, *sets, '--sizes', '1%,2%,100%', '--policies', 'lru')
    most = sum(SIZES) * EXPERTS
    check.equal('shares of bytes', [r['capacity'] for r in said(SAMPLE, *sets, '--sizes', '100%,1GiB', '--policies', 'lru')['rows']], [1 << 30, most])
    check.equal('shares alone are slots', [r['capacity'] for r in every['rows']], [7, 15, 768])
    slots = of(said(SAMPLE, *sets, '--sizes', '200', '--policies', 'lru'), 'lru')[200]
    check.equal('hits of unequal experts weigh what they weigh', min(SIZES) < slots['hit_bytes'] / slots['hits'] < max(SIZES), True)


def configured(check, folder):
    config = json.load(open(CONFIG))
    result = tool.run({**config, 'include': os.path.join(ROOT, 'models/profiles/rtx3060-pcie4-desktop.json'), 'trace': {'path': SAMPLE},
                       'model': {'shape': SHAPE, 'precision': 'mxfp4'}})
    report = said('--config', CONFIG)
    own = of(report, 'lru', 'config')
    check.equal('one point at its own capacity', (list(own), report['configured_capacity'], report['config']), ([4 << 30], 4 << 30, 'quickstart'))
    check.equal('what the config hits', (own[4 << 30]['decode_hits'], own[4 << 30]['all_hits']), (result['cache']['decode']['hits'], result['cache']['hits']))
    check.equal('its size is told', [s['capacity'] for s in report['sizes'] if s['capacity'] == 4 << 30], [4 << 30])
    text = call('--config', CONFIG).stdout
    check.equal('and marked', ('\n*       4 GiB' in text, 'the capacity of quickstart' in text), (True, True))
    sets = ['contract.scope=layer', 'contract.overflow=trim', 'contract.prefill=tokens', 'contract.prefill_counts=together', 'contract.reset=request',
            'tiers.cache.capacity=240slots', 'policy=lfu', 'clock=none']
    args = [word for one in sets for word in ('--set', one)]
    report = said('--config', CONFIG, *args, '--sizes', '4,11', '--policies', 'lru,belady')
    check.equal('its contract', (report['rows'][0]['contract'], report['rows'][0]['scope'], report['prefill'], report['reset'], report['phase']),
                ('event_atomic, overflow trim', 'layer', 'tokens', 'request', 'all'))
    check.equal('its policy at the sizes asked too', [(r['policy'], r['made'], r['capacity']) for r in report['rows'] if r['made'] == 'config'],
                [('lfu', 'config', 4), ('lfu', 'config', 10), ('lfu', 'config', 11)])
    contract = {'scope': 'layer', 'overflow': 'trim', 'prefill': 'tokens', 'prefill_counts': 'together', 'reset': 'request'}
    for row in report['rows']:
        as_run(check, 'config %s %d' % (row['policy'], row['capacity']), row, tool.untimed(SAMPLE, '%dslots' % (row['capacity'] * LAYERS), row['policy'], contract))
        check.equal('phase all', (row['accesses'], row['hits']), (row['all_accesses'], row['all_hits']))
    other = os.path.join(folder, 'other.h5')
    subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', other, '--set', 'layers=24', '--set', 'experts=32', '--set', 'top_k=4'], check=True, capture_output=True)
    report = said(other, '--config', CONFIG, '--scope', 'layer', '--policies', 'lru')
    check.equal('a trace and options before the config', (report['trace'], report['rows'][0]['scope']), (other, 'layer'))
    check.equal('csv quotes a contract with commas', list(csv.reader(call('--config', CONFIG, *args, '--sizes', '4', '--csv').stdout.splitlines()))[1][3],
                'event_atomic, overflow trim')


def frozen(check, folder):
    paths = []
    for name, seed in (('here', 1), ('there', 2)):
        paths.append(os.path.join(folder, name + '.h5'))
        subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', paths[-1], '--set', 'layers=6', '--set', 'experts=32', '--set', 'top_k=4',
                        '--set', 'skew=[1.2]', '--set', 'seed=%d' % seed], check=True, capture_output=True)
    here, there = paths
    report = said(here, '--calibrate-on', there, '--sizes', '10,48,100,192')
    check.equal('the default with it', sorted({r['policy'] for r in report['rows']}), ['belady', 'lru', 'static', 'static_frozen'])
    best, honest = of(report, 'static'), of(report, 'static_frozen')
    for capacity, row in honest.items():
        as_run(check, 'frozen %d' % capacity, row, tool.untimed(here, '%dslots' % capacity, {'name': 'static', 'calibrate': there}))
        check.equal('no better than the best set', row['decode_hits'] <= best[capacity]['decode_hits'], True)
    check.equal('it costs something', sum(r['decode_hits'] for r in honest.values()) < sum(r['decode_hits'] for r in best.values()), True)
    own = said(here, '--calibrate-on', here, '--policies', 'static')
    check.equal('on itself it is the best', [r['hits'] for r in of(own, 'static_frozen').values()], [r['hits'] for r in of(own, 'static').values()])
    layer = said(here, '--calibrate-on', there, '--policies', 'static_frozen', '--scope', 'layer', '--sizes', '5')
    as_run(check, 'frozen by layer', layer['rows'][0], tool.untimed(here, '30slots', {'name': 'static', 'calibrate': there}, {'scope': 'layer'}))


def steps_of(path, folder):
    """[request][step] -> {layer: set of experts} of decode tokens, in order."""
    out = os.path.join(folder, 'steps.csv')
    subprocess.run([TOOL, 'trace', 'export', path, '-o', out], check=True, capture_output=True)
    requests, prompt = {}, []
    for row in csv.DictReader(open(out)):
        experts = [int(row[k]) for k in row if k[0] == 'e' and k[1:].isdigit() and row[k] not in ('', '-1')]
        (prompt.append((int(row['layer']), experts)) if row['phase'].upper().startswith('P')
         else requests.setdefault(row['request_id'], {}).setdefault(int(row['token_index']), {}).__setitem__(int(row['layer']), set(experts)))
    return [[steps[t] for t in sorted(steps)] for steps in requests.values()], prompt


def by_definition(check, folder):
    """A trace of one request without a prompt: order of time is order of the file."""
    path = os.path.join(folder, 'one.h5')
    subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', path, '--set', 'layers=3', '--set', 'experts=16', '--set', 'top_k=3', '--set', 'requests=1',
                    '--set', 'prompt_tokens=0', '--set', 'decode_tokens=80', '--set', 'reuse=0.5', '--set', 'skew=[0.8]'], check=True, capture_output=True)
    (steps,), prompt = steps_of(path, folder)
    check.equal('the trace', (len(steps), prompt), (80, []))
    s = said(path, '--sizes', '4,9,20', '--policies', 'lru')
    report, stats = s, s['statistics']
    near = lambda what, got, want: check.equal('%s: %r is %r' % (what, got, want), abs(got - want) < 1e-12 * max(1.0, abs(want)), True)
    uses = [(l, e) for step in steps for l in sorted(step) for e in step[l]]
    count = {o: uses.count(o) for o in set(uses)}
    ranked = sorted(count.values(), reverse=True)
    for share, part in zip(stats['top_share'], (0.1, 0.2, 0.3, 0.4)):
        near('top share', share, sum(ranked[:max(1, math.floor(part * 48 + 1e-9))]) / len(uses))
    entropy = 0
    for l in range(3):
        all_of = [c for o, c in count.items() if o[0] == l]
        entropy -= sum(c / sum(all_of) * math.log2(c / sum(all_of)) for c in all_of) / 3
    near('entropy', stats['layer_entropy_bits'], entropy)
    near('cycle', stats['cycle_slots'], len(uses) / 80)
    near('demand', stats['event_demand'], len(uses) / 240)
    pairs = [(a[l], b[l]) for a, b in zip(steps, steps[1:]) for l in a]
    near('overlap', stats['step_overlap'], sum(len(a & b) for a, b in pairs) / sum(len(b) for _, b in pairs))
    near('layer overlap', stats['layer_overlap'], sum(len(x[l] & x[l - 1]) for x in steps for l in (1, 2)) / sum(len(x[l]) for x in steps for l in (1, 2)))
    objects = [{(l, e) for l in step for e in step[l]} for step in steps]
    for one in stats['working_set']:
        w = one['window_steps']
        near('working set', one['slots'], sum(len(set().union(*objects[i:i + w])) for i in range(80 - w + 1)) / (80 - w + 1))
    for ratio, size in zip(report['sizes'], (4, 9, 20)):
        near('ratio', ratio['ratio'], size / (len(uses) / 240))
    check.equal('reuse adds up', stats['reuse_distance']['first_uses'] + sum(b['lookups'] for b in stats['reuse_distance']['buckets']), len(uses))
    check.equal('first uses', stats['reuse_distance']['first_uses'], len(count))
    serial = {r['capacity']: r['hits'] for r in said(path, '--contract', 'serialized', '--policies', 'lru')['rows']}
    total = 0
    for bucket in stats['reuse_distance']['buckets']:
        total += bucket['lookups']
        check.equal('reuse up to %d' % bucket['up_to_slots'], total, serial[min(bucket['up_to_slots'], 48)])
    check.equal('windows', [c['window_steps'] for c in stats['consistency']], [4, 16, 64])
    for one in stats['consistency']:
        consistent(near, one, objects, (4, 9, 20), len(uses) / 80)


def consistent(near, one, objects, sizes, k):
    """SRP and SCH as they are defined, window by window."""
    m = one['window_steps']
    windows = [objects[i:i + m] for i in range(len(objects) - m + 1)]
    counts = [sorted((sum(o in step for step in window) for o in set().union(*window)), reverse=True) for window in windows]
    activations = sum(map(sum, counts))
    for share, size in zip(one['sch'], sizes):
        near('SCH %d' % m, share, sum(sum(c[:size]) for c in counts) / activations)
    best = 0
    for t in range(1, m + 1):
        taken = [x for c in counts for x in c if x >= t]
        best = max(best, 2 * sum(taken) / (m * len(taken) + activations))
    near('SRP %d' % m, one['srp'], best)


def figures(check, folder):
    paths = [os.path.join(folder, name) for name in ('one', 'two', 'none')]
    args = ('--config', CONFIG, '--policies', 'lru,belady,belady_bypass,static,lfu')
    drawn = call(*args, '--out', paths[0]).stdout
    call(*args, '--out', paths[1])
    have = shutil.which('gnuplot') is not None
    names = ['mrc.json', 'mrc.csv', 'mrc-layers.csv', 'mrc.h5', 'miss-ratio.gp', 'miss-ratio.dat', 'miss-layers.gp', 'miss-layers.dat'] + ['miss-ratio.svg', 'miss-layers.svg'] * have
    for name in names:
        one, two = (open(os.path.join(path, name), 'rb').read() for path in paths[:2])
        check.equal('same bytes ' + name, one == two and len(one) > 200, True)
    check.equal('png too', all(open(os.path.join(paths[0], name + '.png'), 'rb').read(4) == b'\x89PNG' for name in ('miss-ratio', 'miss-layers')) if have else True, True)
    check.equal('it says what it drew', ('miss-ratio.svg' if have else 'there is no gnuplot') in drawn, True)
    empty = os.path.join(folder, 'empty')
    os.mkdir(empty)
    done = call(*args, '--out', paths[2], env=dict(os.environ, PATH=empty))
    check.equal('without gnuplot', (done.returncode, 'there is no gnuplot here; draw them with: cd %s && gnuplot miss-ratio.gp miss-layers.gp' % paths[2] in done.stdout), (0, True))
    check.equal('data and scripts stay', sorted(os.listdir(paths[2])), sorted(n for n in names if not n.endswith('.svg')))
    script = open(os.path.join(paths[0], 'miss-ratio.gp')).read()
    for wanted in ('lru at 4 GiB: 2.4x the misses of belady', 'lru, as quickstart has it', 'belady_bypass', 'cliff', 'one cycle', 'miss ratio, decode, %', 'capacity, GiB'):
        check.equal('the figure has ' + wanted, wanted in script, True)
    heat = open(os.path.join(paths[0], 'miss-layers.gp')).read()
    check.equal('the map tells a finding', ('With 8 slots each, layer' in heat, 'miss ratio of LRU, %' in heat), (True, True))
    layer = {r['capacity']: r for r in said(SAMPLE, '--scope', 'layer', '--policies', 'lru')['rows']}
    cells = [list(map(float, line.split())) for line in open(os.path.join(paths[0], 'miss-layers.dat')) if line[0] != '#']
    check.equal('a cell for each layer and size', len(cells), LAYERS * EXPERTS)
    for slots in (1, 8, 31):
        got = sum(cell[2] for cell in cells if cell[0] == slots) / LAYERS
        want = 1 - layer[slots]['hits'] / layer[slots]['accesses']
        check.equal('its cells at %d slots are the curve (%g, %g)' % (slots, got, want), abs(got - want) < 1e-6, True)
    by_layer = json.load(open(os.path.join(paths[0], 'mrc.json')))['layer_lru']
    check.equal('layers add up', [sum(l['hits'][slots - 1] for l in by_layer) for slots in layer], [r['hits'] for r in layer.values()])
    table = list(csv.DictReader(open(os.path.join(paths[0], 'mrc-layers.csv'))))
    check.equal('layers in the CSV', [(int(r['layer']), int(r['accesses']), int(r['hits'])) for r in table],
                [(l['layer'], l['accesses'], hits) for l in by_layer for hits in l['hits']])
    alone = os.path.join(folder, 'alone.h5')
    check.equal('--h5', (call(*args, '--h5', alone, '--quiet').stdout, open(alone, 'rb').read()), ('', open(os.path.join(paths[0], 'mrc.h5'), 'rb').read()))
    check.equal('--csv', call(*args, '--csv').stdout, open(os.path.join(paths[0], 'mrc.csv')).read())
    check.equal('--json', call(*args, '--json').stdout, open(os.path.join(paths[0], 'mrc.json')).read())
    try:
        import h5py
    except ImportError:
        return
    with h5py.File(alone) as f:
        report = json.load(open(os.path.join(paths[0], 'mrc.json')))
        rows, layers = report.pop('rows'), report.pop('layer_lru')
        check.equal('layers of the table', [(int(r['layer']), int(r['hits'])) for r in f['layers'][:]], [(l['layer'], hits) for l in layers for hits in l['hits']])
        check.equal('the attribute report', json.loads(f.attrs['report']), report)
        check.equal('rows of the table', [(r['policy'].decode(), r['made'].decode(), int(r['capacity']), int(r['hits'])) for r in f['rows'][:]],
                    [(r['policy'], r['made'], r['capacity'], r['hits']) for r in rows])


def engine(check):
    """BigMoeOnEdge at all its budgets: experts of unequal size, after_batch; nothing hits below one cycle."""
    config = os.path.join(ROOT, 'configs', 'engines', 'bigmoeonedge.json')
    for folder in ('bigmoeonedge-qwen3-30b-k6', 'bigmoeonedge-gpt-oss-120b-k2'):
        if not os.path.isdir(os.path.join(tool.TRACES, folder)):
            print('mrc_asks: no budgets of an engine: there is no real trace', folder)
            continue
        rows = [r for r in json.load(open(tool.trace(folder, 'expected.json')))['rows'] if r['policy'] in ('lru', 'lfu', 'belady')]
        budgets = ','.join(sorted({'%dMiB' % r['budget_mib'] for r in rows}))
        report = said(tool.trace(folder, 'route.csv.gz'), '--config', config, '--sizes', budgets, '--policies', 'lru,lfu,belady', '--phase', 'all')
        check.equal(folder + ' budgets', len([r for r in rows if r['policy'] == 'lru']), 11)
        for want in rows:
            row = of(report, want['policy'], 'run' if want['policy'] == 'lfu' else 'curve')[want['budget_mib'] << 20]
            name = '%s %s %d MiB' % (folder, want['policy'], want['budget_mib'])
            check.equal(name, (row['accesses'], row['hits'], row['decode_accesses'], row['decode_hits']),
                        (want['lookups'], want['hits'], want['dec_lookups'], want['dec_hits']))
            if want['policy'] == 'lru':
                check.equal(name + ' read', row['access_bytes'] - row['hit_bytes'], want['read_bytes'])
                check.equal(name + ' cycle', row['decode_hits'] > 0, row['capacity'] > report['statistics']['cycle_bytes'] * 0.99)


def main():
    check = tool.Check('mrc_asks')
    engine(check)
    by_runs(check)
    equal_bytes(check)
    unequal_bytes(check)
    with tempfile.TemporaryDirectory() as folder:
        configured(check, folder)
        frozen(check, folder)
        by_definition(check, folder)
        figures(check, folder)
    check.close()


if __name__ == '__main__':
    main()
