"""Results: the keys that users may rely on, provenance, what is kept, and that everything can be made again to the byte."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
QUICKSTART = os.path.join('configs', 'quickstart.json')
NUMBER, TEXT, OBJECT, FLAG = (int, float), str, dict, bool

KEYS = {
    'name': TEXT, 'clock': TEXT,
    'cache.lookups': NUMBER, 'cache.hits': NUMBER, 'cache.decode.lookups': NUMBER, 'cache.decode.hits': NUMBER, 'cache.fetched_bytes': NUMBER,
    'cache.evictions': NUMBER,
    'coverage.perfect': NUMBER, 'coverage.partial': NUMBER, 'coverage.zero': NUMBER, 'coverage.mean': NUMBER,
    'time.tokens_per_s': NUMBER, 'time.token_latency_s.mean': NUMBER, 'time.token_latency_s.p50': NUMBER, 'time.token_latency_s.p95': NUMBER,
    'time.token_latency_s.p99': NUMBER, 'time.ttft_s': NUMBER, 'time.stall_s': NUMBER, 'time.attribution': OBJECT,
    'channels.pcie.busy_fraction': NUMBER, 'channels.pcie.bytes': NUMBER, 'channels.pcie.queue_s': NUMBER,
    'capacity.objects': NUMBER, 'capacity.slots_or_bytes': NUMBER, 'capacity.cycle_bytes': NUMBER,
    'bounds.belady_hits': NUMBER, 'bounds.never_cache_s': NUMBER, 'bounds.all_resident_s': NUMBER,
    'bounds.lower_bound_s': NUMBER, 'bounds.clairvoyant_s': NUMBER,
    'contract.label': TEXT, 'contract.unit': TEXT, 'contract.duplicates': TEXT, 'contract.judge': TEXT, 'contract.overflow': TEXT, 'contract.scope': TEXT,
    'contract.quota': TEXT, 'contract.prefill': TEXT, 'contract.prefill_counts': TEXT, 'contract.start': TEXT, 'contract.reset': TEXT,
    'contract.skip_tokens': NUMBER, 'contract.ties': TEXT, 'contract.pins': TEXT, 'contract.pins_take_room': FLAG,
    'provenance.version': TEXT, 'provenance.seed': NUMBER, 'provenance.replication': NUMBER, 'provenance.causal': FLAG, 'provenance.config_sha256': TEXT,
    'provenance.config': OBJECT, 'provenance.input': OBJECT, 'provenance.trace.path': TEXT, 'provenance.trace.sha256': TEXT, 'provenance.trace.synthetic': FLAG,
    'provenance.trace.layers': NUMBER, 'provenance.trace.experts': NUMBER, 'provenance.trace.top_k': NUMBER,
}


def at(value, path):
    for name in path.split('.'):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def call(*args, cwd=ROOT):
    done = subprocess.run([TOOL] + list(args), capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (' '.join(args), done.stderr))
    return done.stdout


def without_volatile(path):
    result = json.load(open(path))
    volatile = result.pop('volatile')
    return json.dumps(result), volatile


def keys(check, result):
    for path, kind in KEYS.items():
        check.equal(path, type(at(result, path)) if not isinstance(at(result, path), kind) else kind, kind)
    parts = result['time']['attribution']
    check.equal('attribution adds up to the time, in ns', sum(round(v * 1e9) for k, v in parts.items() if k != 'wait')
                + sum(round(v * 1e9) for v in parts['wait'].values()), round(result['time']['total_s'] * 1e9))
    check.equal('members of the attribution', set(parts), {'dense', 'expert_gpu', 'expert_cpu', 'access', 'manage', 'predict', 'wait'})
    check.equal('hits and misses are the lookups', result['cache']['hits'] + result['cache']['late'] + result['cache']['misses'], result['cache']['lookups'])
    coverage = result['coverage']
    check.equal('coverage adds up', coverage['perfect'] + coverage['partial'] + coverage['zero'], coverage['events'])
    check.equal('nothing volatile in --json', 'volatile' in result, False)


BOUNDS = ('belady_hits', 'never_cache_s', 'all_resident_s', 'lower_bound_s', 'clairvoyant_s')


def bracket(check):
    """Nobody is below the lower bound, not those who guess, know the future or bring several copies at a time, and a clairvoyant is between."""
    lanes = ('channels.pcie={"profile":"pcie.h2d","discipline":"lanes","lanes":3}',)
    machines = ((), ('compute.overlap=in_order',), ('compute.overlap=barrier',), ('contract.reset=request',), ('contract.scope=layer',), ('contract.overflow=persist',),
                ('contract.unit=token',), ('contract.prefill=tiles:8',), ('tiers.cache.capacity=300slots',), lanes)
    for machine in machines:
        for way in (('policy=lru', 'predictor=none'), ('policy=lfu', 'predictor=noisy_oracle'), ('policy=belady', 'predictor=noisy_oracle')):
            sets = [word for value in machine + way for word in ('--set', value)]
            result = json.loads(call('run', QUICKSTART, '--json', *sets))
            lower, some = at(result, 'bounds.lower_bound_s'), at(result, 'bounds.clairvoyant_s')
            check.equal('%s: below %s' % (' '.join(machine + way), lower), result['time']['total_s'] >= lower >= at(result, 'bounds.all_resident_s'), True)
            check.equal('a schedule for %s' % (machine,), lower <= some <= result['time']['total_s'], True)


def machines(check):
    """The configs with several tiers, links, lanes, charges or free guesses have a bracket too."""
    for name in ('unified-memory', 'unified-warm', 'seeds/000-pool', 'seeds/001-coverage', 'seeds/002-realistic', 'seeds/002-suite', 'seeds/004-aio', 'seeds/004-bench', 'seeds/004-direct'):
        result = json.loads(call('run', os.path.join(ROOT, 'configs', name + '.json'), '--json', '--set', 'bounds=true'))
        lower, some, total = at(result, 'bounds.lower_bound_s'), at(result, 'bounds.clairvoyant_s'), result['time']['total_s']
        check.equal('%s: %s <= %s <= %s' % (name, lower, some, total), lower <= some <= total, True)


def nulls(check):
    """What cannot be had is null with a reason."""
    off = json.loads(call('run', QUICKSTART, '--json', '--set', 'bounds=false'))['bounds']
    check.equal('bounds off', [off.get(k) for k in BOUNDS], [None] * len(BOUNDS))
    check.equal('with a reason', off['reason'], dict.fromkeys(BOUNDS, 'bounds are off'))
    untimed = json.loads(call('run', QUICKSTART, '--json', '--set', 'clock=none'))
    check.equal('no clock, no time', (at(untimed, 'bounds.never_cache_s'), at(untimed, 'bounds.reason.never_cache_s')), (None, 'clock is none'))
    stream = json.loads(call('run', QUICKSTART, '--json', '--set', 'stream=true'))
    check.equal('streaming', (at(stream, 'bounds.belady_hits'), at(stream, 'bounds.reason.belady_hits')), (None, 'the run streams; bounds need the whole trace'))
    check.equal('but hits', isinstance(at(untimed, 'bounds.belady_hits'), int), True)
    mixed = json.loads(call('run', QUICKSTART, '--json', '--set', 'model={"expert_bytes":%s}' % json.dumps([13219200 + i % 2 for i in range(24)])))
    train = ('run', QUICKSTART, '--json', '--set', 'training.steps=all', '--set', 'bounds=true')
    trained = json.loads(call(*train))['bounds']
    check.equal('training', (trained['belady_hits'], 'forward and backward' in trained['reason']['belady_hits'], isinstance(trained['never_cache_s'], float)), (None, True, True))
    lost = json.loads(call(*train, '--set', 'tiers.host.holds=nothing'))['bounds']
    check.equal('no store', (lost['never_cache_s'], 'cannot be fetched' in lost['reason']['never_cache_s'], isinstance(lost['all_resident_s'], float)), (None, True, True))
    check.equal('sizes differ', (at(mixed, 'bounds.belady_hits'), isinstance(at(mixed, 'bounds.belady_uniform_hits'), int)), (None, True))


def percentiles(check):
    """Of two tokens the median is the faster one, or where the option says so half way between them."""
    times = {}
    for rule in ('nearest_rank', 'linear'):
        result = json.loads(call('run', os.path.join(ROOT, 'configs', 'seeds', '001-coverage.json'), '--json', '--set', 'trace.source.decode_tokens=2',
                                 '--set', 'observers=["summary",{"name":"latency","percentile":"%s"}]' % rule))
        times[rule] = result['time']['token_latency_s']
    least, most = times['nearest_rank']['p50'], times['nearest_rank']['max']
    check.equal('two tokens differ', least < most, True)
    check.equal('median half way', round(times['linear']['p50'] * 1e9), round((least + most) / 2 * 1e9))
    check.equal('p95 by rank and between ranks', [round(times[rule]['p95'] * 1e9) for rule in times], [round(most * 1e9), round((least + 0.95 * (most - least)) * 1e9)])


def warm(check):
    """What was there before counts as there, from a file beside the config, and is said in the contract."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, 'a'))
        open(os.path.join(folder, 'a', 'warm.csv'), 'w').write('layer,expert\n\n# the last token before\n3,2\n3,0\n')
        open(os.path.join(folder, 'a', 'trace.csv'), 'w').write('request_id,token_index,phase,layer,e0\n0,0,D,3,0\n0,1,D,3,1\n0,2,D,3,2\n')
        config = {'trace': {'path': 'trace.csv'}, 'model': {'expert_bytes': '100B'}, 'contract': {'start': 'warm.csv'}, 'clock': 'none',
                  'tiers': {'cache': {'capacity': '2slots', 'compute': 'gpu'}, 'host': {'home': True}}}
        json.dump(config, open(os.path.join(folder, 'a', 'config.json'), 'w'))
        result = json.loads(call('run', 'a/config.json', '--json', cwd=folder))
        check.equal('warm hits', (at(result, 'cache.hits'), at(result, 'cache.initial_loads'), at(result, 'cache.initial_bytes')), (1, 2, 0))
        check.equal('warm bounds', at(result, 'bounds.belady_hits'), 2)
        check.equal('warm contract', at(result, 'contract.label'), 'event_atomic, start a/warm.csv')
        open(os.path.join(folder, 'result.json'), 'w').write(json.dumps(result))
        check.equal('warm again', json.loads(call('rerun', 'result.json', '--json', cwd=folder))['cache'], result['cache'])


def leaves(value, path=''):
    if isinstance(value, dict) and value:
        return [leaf for name, inner in value.items() for leaf in leaves(inner, path + '.' + name if path else name)]
    return [path]


def documented(check, *results):
    """docs/results.md has every key of these results, and no other."""
    rows = [line.split('|')[1] for line in open(os.path.join(ROOT, 'docs', 'results.md')) if line.startswith('| `')]
    known = [key for row in rows for key in re.findall('`([^`]+)`', row)]
    patterns = {key: re.escape(key).replace('NAME', '[^.]+').replace(r'\*', '.+') for key in known}
    for key in ('provenance.config', 'provenance.input'):
        patterns[key] += r'(\..*)?'
    used = set()
    for leaf in sorted({leaf for result in results for leaf in leaves(result)}):
        found = [key for key in known if re.fullmatch(patterns[key], leaf)]
        used.update(found)
        check.equal('docs/results.md has ' + leaf, bool(found) or leaf in ('name', 'brief', 'clock'), True)
    check.equal('and nothing that is not there', sorted(set(known) - used), [])
    check.equal('each once', len(known), len(set(known)))


def calibrated(check):
    """static pins what another trace used most: a file beside the config; its load is charged or free."""
    head = 'request_id,token_index,phase,layer,e0\n'
    with tempfile.TemporaryDirectory() as folder:
        for name, ids in (('run.csv', '0 1 2 2 2 1'), ('other.csv', '0 0 0 1 1 2')):
            with open(os.path.join(folder, name), 'w') as f:
                f.write(head + ''.join('0,%d,D,0,%s\n' % row for row in enumerate(ids.split())))
        config = {'trace': {'path': 'run.csv'}, 'model': {'expert_bytes': '100B'}, 'clock': 'none', 'bounds': False,
                  'tiers': {'cache': {'capacity': '1slots', 'compute': 'gpu'}, 'host': {'home': True}}}
        with open(os.path.join(folder, 'config.json'), 'w') as f:
            json.dump(config, f)
        for calibrate, hits in (('in_sample', 3), ('run.csv', 3), ('other.csv', 1)):
            for pins, charged in (('charged', 100), ('free', 0)):
                cache = json.loads(call('run', 'config.json', '--json', '--set', 'policy={"name":"static","calibrate":"%s"}' % calibrate,
                                        '--set', 'contract.pins=' + pins, cwd=folder))['cache']
                check.equal('static by %s, %s' % (calibrate, pins), [cache[k] for k in ('hits', 'misses_refused', 'initial_loads', 'initial_bytes')],
                            [hits, 6 - hits, 1, charged])


def slices(check):
    """contract.unit slice: an expert is its matrices, in equal parts that lose no byte, whether anyone says what it weighs or not."""
    for model, size, matrices in (('{"shape":null,"precision":null}', None, 3), ('{"shape":null,"precision":null,"matrices":2}', None, 2), ('{"expert_bytes":"100B"}', 34, 3), ('{"expert_bytes":"100B","matrices":4}', 25, 4)):
        union, slice_ = (json.loads(call('run', QUICKSTART, '--set', tool.DRAWN, '--json', '--set', 'clock=none', '--set', 'bounds=false', '--set', 'tiers.cache.capacity=100%',
                                         '--set', 'model=' + model, '--set', 'contract.unit=' + unit)) for unit in ('union', 'slice'))
        for key in ('cache.lookups', 'cache.misses_compulsory', 'capacity.objects', 'capacity.slots_or_bytes'):
            check.equal('%s in slices: %s' % (model, key), at(slice_, key), matrices * at(union, key))
        check.equal(model + ' in slices: bytes', at(slice_, 'cache.fetched_bytes'), size and at(slice_, 'cache.misses') * size)
    # with room for all of them every matrix comes once, so an expert weighs the same in one piece and in several
    for model in ('{"shape":null,"precision":null,"matrix_bytes":[100,"100B",300]}',
                  '{"shape":"models/shapes/qwen3-30b-a3b.json","precision":"q4_k_m"}'):
        union, slice_ = (json.loads(call('run', QUICKSTART, '--json', '--set', 'clock=none', '--set', 'bounds=false', '--set', 'tiers.cache.capacity=100%',
                                         '--set', 'model=' + model, '--set', 'contract.unit=' + unit)) for unit in ('union', 'slice'))
        check.equal('%s in slices: misses' % model, at(slice_, 'cache.misses'), 3 * at(union, 'cache.misses'))
        for key in ('cache.fetched_bytes', 'capacity.population_bytes', 'capacity.cycle_bytes'):
            check.equal('%s in slices: %s' % (model, key), at(slice_, key), at(union, key))


def pooled(check):
    """Experts of three precisions in a pool each: what comes and goes adds up, and bounds know of no pools."""
    result = json.loads(call('run', QUICKSTART, '--json', '--set', 'catalog={"bits":{"2":0.25,"4":0.5,"8":0.25},"assign":"popularity"}',
                             '--set', 'tiers.cache.allocator={"name":"pools","min_pool":"16MiB"}', '--set', 'observers=["summary","audit"]', '--set', 'tiers.cache.moves={"name":"constant","time":"1us"}'))
    allocator, pools = result['tiers']['cache']['allocator'], result['tiers']['cache']['allocator']['pools']
    check.equal('a pool for each', sorted(pools), ['2bit', '4bit', '8bit'])
    check.equal('audited', (result['audit']['faults'], result['audit']['overcommitted']), (0, 0))
    check.equal('experts that came', sum(p['allocations'] + p['spilled_in'] for p in pools.values()), result['tiers']['cache']['insertions'])
    check.equal('and went', sum(p['released'] for p in pools.values()), result['cache']['evictions'])
    check.equal('used', sum(p['used_bytes'] for p in pools.values()), result['tiers']['cache']['held'])
    check.equal('slots', [p['slots'] * p['slot_bytes'] for p in pools.values()], [p['capacity_bytes'] for p in pools.values()])
    check.equal('what became of the shares', sum(p['capacity_bytes'] + p['tail_bytes'] for p in pools.values()) + allocator['lost_bytes'], allocator['pool_bytes'])
    check.equal('the full pool got from the idle one', (allocator['compactions'] > 0, pools['8bit']['share_bytes'] < pools['8bit']['capacity_bytes']), (True, True))
    check.equal('moves took time', result['time']['attribution']['manage'] > 0, True)
    check.equal('shares', sum(p['share_bytes'] for p in pools.values()), allocator['pool_bytes'])
    check.equal('a bound', result['bounds']['belady_uniform_hits'] >= result['cache']['hits'], True)
    coded = json.loads(call('run', QUICKSTART, '--json', '--set', 'catalog={"bits":{"2":0.25,"4":0.5,"8":0.25},"assign":"popularity"}', '--set', 'clock=none', '--set', 'bounds=false',
                            '--set', 'tiers.cache.allocator={"name":"pools","min_pool":"16MiB","mode":"as_coded"}', '--set', 'tiers.cache.capacity=1GiB'))
    pools = coded['tiers']['cache']['allocator']['pools']
    check.equal('as coded there are more experts than slots', pools['8bit']['utilisation'] > 1, True)
    wide = json.loads(call('run', QUICKSTART, '--json', '--set', 'catalog={"bits":4}', '--set', 'tiers.cache.capacity=1GiB', '--set', 'clock=none',
                           '--set', 'tiers.cache.allocator={"name":"pools","min_pool":"3GiB","distribution":{"4":1}}'))
    check.equal('pools larger than the capacity: no bound', (wide['bounds']['belady_hits'], 'cut from' in wide['bounds']['reason']['belady_hits']), (None, True))
    layered = json.loads(call('run', QUICKSTART, '--json', '--set', 'catalog={"bits":{"4":0.5,"8":0.5},"assign":"popularity"}', '--set', 'contract={"scope":"layer","pins_take_room":false}',
                              '--set', 'policy={"name":"hybrid","pins":24}', '--set', 'tiers.cache.capacity=4GiB',
                              '--set', 'tiers.cache.allocator={"name":"pools","min_pool":0,"distribution":{"4":0.4,"8":0.6}}', '--set', 'observers=["summary","audit"]'))
    own = layered['tiers']['cache']['allocator']
    check.equal('pools of every layer: audited', layered['audit']['faults'], 0)
    check.equal('pools of every layer: used', sum(p['used_bytes'] for p in own['pools'].values()), layered['tiers']['cache']['held'])
    check.equal('pools of every layer: capacity', sum(p['capacity_bytes'] for p in own['pools'].values()), layered['tiers']['cache']['capacity'])
    check.equal('pins beside them', own['pinned_bytes'] > 0, True)
    changed = json.loads(call('run', QUICKSTART, '--json', '--set', 'catalog.bits={"4":0.75,"8":0.25}', '--set', 'bounds=false', '--set', 'tuner={"name":"importance","interval":"50ms"}',
                              '--set', 'observers=["summary","audit","precision"]'))
    precision = changed['precision']
    check.equal('audited', changed['audit']['faults'], 0)
    check.equal('lookups by precision', sum(precision[bits]['lookups'] for bits in ('4bit', '8bit')), changed['cache']['lookups'])
    check.equal('hits by precision', sum(precision[bits]['hits'] for bits in ('4bit', '8bit')), changed['cache']['hits'])
    check.equal('numbers of experts stay', (precision['4bit']['objects'], precision['8bit']['objects']), (24 * 24, 24 * 8))
    check.equal('the important ones get more bits', (precision['reassigned'] > 0, precision['mean_bits'] > 5.0), (True, True))
    return [{'tiers': part['tiers']} for part in (result, coded, layered)] + [{'precision': precision}, {'log': logged(check)}, {'occupancy': occupied(check)}]


def occupied(check):
    """Layer by expert: lookups and hits add up to the summary, as do the events that a curve calls complete or empty."""
    with tempfile.TemporaryDirectory() as folder:
        call('run', QUICKSTART, '--out', folder, '--quiet', '--set', 'bounds=false', '--set', 'contract.prefill_counts=together',
             '--set', 'observers=["summary","coverage","memory","series","occupancy"]')
        result, path = json.load(open(os.path.join(folder, 'result.json'))), os.path.join(folder, 'result.h5')
        cells = {}
        for name in ('uses', 'hits', 'resident'):
            text = dump(path, '/occupancy/' + name)
            data = re.sub(r'\(\d+,\d+\):', ' ', text.split('DATA {')[1].split('\n   }')[0])
            cells[name] = [float(word) for word in re.findall(r'[-+.\de]+', data)]
        sums = {name: sum(row[2] for row in numbers(path, '/series/' + name)) for name in ('events', 'perfect', 'zero')}
    info = result['provenance']['trace']
    check.equal('a cell per expert', {name: len(values) for name, values in cells.items()}, dict.fromkeys(cells, info['layers'] * info['experts']))
    check.equal('lookups and hits by expert', (sum(cells['uses']), sum(cells['hits'])), (result['cache']['lookups'], result['cache']['hits']))
    check.equal('no more hits than lookups', all(h <= u for h, u in zip(cells['hits'], cells['uses'])), True)
    check.equal('stays, rare', (sum(s >= 0.9 for s in cells['resident']), sum(s <= 0.1 for s in cells['resident'])), (result['occupancy']['stays'], result['occupancy']['rare']))
    check.equal('shares', 0 <= min(cells['resident']) <= max(cells['resident']) <= 1, True)
    check.equal('complete and empty layers of steps', sums, {'events': result['cache']['events'], 'perfect': result['coverage']['perfect'], 'zero': result['coverage']['zero']})
    return result['occupancy']


def logged(check):
    """A row of counters every 100 ms of simulated time, the last at the end: what the result says."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'log.csv')
        result = json.loads(call('run', QUICKSTART, '--json', '--set', 'bounds=false', '--set', 'catalog={"bits":{"4":0.75,"8":0.25}}',
                                 '--set', 'tiers.cache.allocator={"name":"pools","distribution":{"4":0.8,"8":0.2}}',
                                 '--set', 'observers=["summary",{"name":"log","path":"%s","interval":"100ms"}]' % path))
        check.equal('only the whole log', os.listdir(folder), ['log.csv'])
        rows = [line.rstrip('\n').split(',') for line in open(path)]
    columns, last = rows[0], dict(zip(rows[0], rows[-1]))
    check.equal('rows of the log', len(rows) - 1, result['log']['rows'])
    check.equal('every 100 ms', [row[0] for row in rows[1:4]], ['0.1', '0.2', '0.3'])
    check.equal('columns', {len(row) for row in rows}, {len(columns)})
    for column, want in (('lookups', result['cache']['lookups']), ('hits', result['cache']['hits']), ('evictions', result['cache']['evictions']),
                         ('cache.8bit.used_bytes', result['tiers']['cache']['allocator']['pools']['8bit']['used_bytes']),
                         ('cache.8bit.experts', result['tiers']['cache']['allocator']['pools']['8bit']['experts'])):
        check.equal('log at the end: ' + column, int(last[column]), want)
    bad = subprocess.run([TOOL, 'run', QUICKSTART, '--set', 'clock=none', '--set', 'observers=[{"name":"log","path":"x"}]'], capture_output=True, text=True, cwd=ROOT)
    check.equal('no clock, no log', (bad.returncode != 0, 'clock "none" has none' in bad.stderr), (True, True))
    return result['log']


def provenance(check, result, folder):
    p = result['provenance']
    for path in ('config_sha256', 'trace.sha256'):
        check.equal('provenance.%s is one' % path, bool(re.fullmatch('[0-9a-f]{64}', at(p, path))), True)
    info = json.loads(call('trace', 'info', p['trace']['path'], '--json'))
    for key in ('sha256', 'layers', 'experts', 'top_k', 'requests', 'prompt_tokens', 'decode_tokens', 'accesses', 'missing_cells', 'synthetic', 'uniform', 'provenance'):
        check.equal('trace %s' % key, p['trace'][key], info[key])
    check.equal('causal', p['causal'], True)
    check.equal('belady is not', json.loads(call('run', QUICKSTART, '--json', '--set', 'bounds=false', '--set', 'policy=belady'))['provenance']['causal'], False)
    # the resolved config, run as a config, is itself
    path = os.path.join(folder, 'resolved.json')
    with open(path, 'w') as f:
        json.dump(dict(p['config'], trace=dict(p['config']['trace'], path=os.path.join(ROOT, p['config']['trace']['path']))), f)
    again = json.loads(call('run', path, '--json'))
    check.equal('the resolved config gives the same', [again[k] for k in result if k != 'provenance'], [result[k] for k in result if k != 'provenance'])
    check.equal('and has every default', dict(again['provenance']['config'], trace=None), dict(p['config'], trace=None))


def kept(check, printed, folder):
    one, two = os.path.join(folder, 'deep', 'one'), os.path.join(folder, 'two')
    summary = call('run', QUICKSTART, '--out', one)
    check.equal('the summary says where', summary.strip().split('\n')[-1], '  results       %s/result.json, %s/result.h5' % (one, one))
    check.equal('what is kept', sorted(os.listdir(one)), ['result.h5', 'result.json'])
    text, volatile = without_volatile(os.path.join(one, 'result.json'))
    check.equal('kept as printed', json.loads(text), json.loads(printed))
    check.equal('volatile', sorted(volatile), ['date', 'directory', 'host', 'wall_s'])
    for name in ('result.json', 'result.h5'):
        check.equal('rerun of ' + name, call('rerun', os.path.join(one, name), '--json') == printed, True)
    call('rerun', os.path.join(one, 'result.h5'), '--out', two, '--quiet')
    check.equal('kept again', without_volatile(os.path.join(two, 'result.json'))[0] == text, True)
    other = json.loads(call('rerun', os.path.join(one, 'result.json'), '--json', '--set', 'policy=fifo'))
    check.equal('rerun with another policy', other['provenance']['config']['policy'], {'name': 'fifo'})
    done = subprocess.run([TOOL, 'rerun', os.path.join(one, 'result.json')], capture_output=True, text=True, cwd=folder)
    check.equal('rerun from elsewhere', (done.returncode, done.stderr), (2, 'expertsim: %s: the trace traces/samples/quickstart.h5 is not here; the result was made in %s: '
                'run it again there, or give --set trace.path=FILE\n' % (os.path.join(one, 'result.json'), ROOT)))
    many = os.path.join(folder, 'many')
    call('run', QUICKSTART, QUICKSTART, '--out', many, '--quiet', '--set', 'bounds=false')
    check.equal('several configs', sorted(os.listdir(many)), ['quickstart', 'quickstart-2'])
    h5(check, os.path.join(one, 'result.h5'), os.path.join(two, 'result.h5'))


def said(check, folder):
    """What the user wrote is kept to the letter, and a rerun of a rerun still has it."""
    profile, config = os.path.join(folder, 'profile.json'), os.path.join(folder, 'mine.json')
    with open(profile, 'w') as f:
        f.write('{"policy":\t"fifo"}')                        # no line feed at the end
    with open(config, 'w') as f:
        f.write('\n{ "include" : ["profile.json", "%s"], "policy": {}, "name": "mïne" }\r\n\n' % os.path.join(ROOT, QUICKSTART))
    first, second = os.path.join(folder, 'said'), os.path.join(folder, 'again')
    call('run', config, '--out', first, '--quiet', '--set', 'seed=3', '--set', 'bounds=false')
    call('rerun', os.path.join(first, 'result.h5'), '--out', second, '--quiet', '--set', 'policy=lru')
    for where, sets in ((first, ['seed=3', 'bounds=false']), (second, ['seed=3', 'bounds=false', 'policy=lru'])):
        given = json.load(open(os.path.join(where, 'result.json')))['provenance']['input']
        check.equal('settings', given['sets'], sets)
        check.equal('files', [file['path'] for file in given['files']][:2], [config, profile])
        for i, file in enumerate(given['files']):
            text = open(file['path'], 'rb').read()
            check.equal('text of ' + file['path'], file['text'].encode(), text)
            if shutil.which('h5dump'):
                raw = os.path.join(folder, 'raw')
                subprocess.run(['h5dump', '-d', '/config/files/%d' % i, '-b', '-o', raw, os.path.join(where, 'result.h5')], check=True, capture_output=True)
                check.equal('text in result.h5', open(raw, 'rb').read(), text)


def dump(path, data):
    """What h5dump says of a dataset; nothing when there is none."""
    done = subprocess.run(['h5dump', '-y', '-A', '0', '-d', data, path], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ''


def numbers(path, data):
    """The rows of a table of integers."""
    text = dump(path, data)
    columns = len(re.findall(r'H5T_STD_I64LE "', text.split('DATASPACE')[0]))
    flat = [int(n) for n in re.findall(r'-?\d+', text.split('DATA {')[1].split('\n   }')[0])]
    return [flat[i:i + columns] for i in range(0, len(flat), columns)]


def attribute(path, object, name):
    dump = subprocess.run(['h5dump', '-y', '-a', object + '/' + name, path], capture_output=True, text=True).stdout
    return float(dump.split('DATA {')[1].split('}')[0])


def curves(check, path, result):
    """Curves add up to the summary, bins of a histogram to its samples."""
    cache, time, pcie = result['cache'], result['time'], result['channels']['pcie']
    info = result['provenance']['trace']
    names = subprocess.run(['h5ls', '-r', path], capture_output=True, text=True).stdout
    series = [line.split()[0] for line in names.split('\n') if line.startswith('/series') and 'Dataset' in line]
    check.equal('there are curves', len(series) > 20, True)
    rows = {name[len('/series/'):]: numbers(path, name) for name in series}
    axis = [row[:2] for row in rows['hits']]
    check.equal('all over the same bins', all([row[:2] for row in curve] == axis for curve in rows.values()), True)
    check.equal('which go on', all(a[0] < b[0] and a[1] < b[1] for a, b in zip(axis, axis[1:])), True)
    check.equal('to the end', axis[-1], [round(time['total_s'] * 1e9), info['prompt_tokens'] + info['decode_tokens']])
    for name, want in [
            ('lookups', cache['lookups']), ('hits', cache['hits']), ('late', cache['late']), ('evictions', cache['evictions']),
            ('fetched_bytes', cache['fetched_bytes']), ('guess_bytes', cache['guess_bytes']), ('decode_tokens', info['decode_tokens']),
            ('stall_ns', time['stall_s'] * 1e9), ('total_ns', time['total_s'] * 1e9), ('dense_ns', time['attribution']['dense'] * 1e9),
            ('expert_gpu_ns', time['attribution']['expert_gpu'] * 1e9), ('channels/pcie/bytes', pcie['bytes']), ('channels/pcie/transfers', pcie['transfers']),
            ('channels/pcie/busy_ns', pcie['busy_s'] * 1e9), ('channels/pcie/queue_ns', pcie['queue_s'] * 1e9), ('channels/pcie/wait_ns', pcie['wait_s'] * 1e9)]:
        check.equal('sum of ' + name, sum(row[2] for row in rows[name]), round(want))
    held = [row[2] for row in rows['tiers/cache/resident']]
    check.equal('residents at the end', (held[-1], max(held) <= result['capacity']['objects']), (result['capacity']['residents'], True))
    check.equal('bytes held', rows['tiers/cache/resident_bytes'][-1][2], result['tiers']['cache']['held'])
    for name, want in (('token_latency_ns', time['token_latency_s']), ('ttft_ns', time['ttft_quantiles_s'])):
        at = '/hist/' + name
        bins = numbers(path, at)
        check.equal('samples of ' + name, (sum(row[2] for row in bins), attribute(path, at, 'samples')), (want['samples'], want['samples']))
        check.equal('bins of ' + name, all(a[1] <= b[0] for a, b in zip(bins, bins[1:])) and all(a[0] < a[1] for a in bins), True)
        for q in ('p50', 'p95', 'p99', 'max'):
            check.equal('%s of %s' % (q, name), attribute(path, at, q), round(want[q] * 1e9))
    for name in series + ['/hist/token_latency_ns', '/hist/token_stall_ns', '/hist/ttft_ns', '/tables/tokens', '/tables/requests', '/tables/layers',
                          '/summary', '/config/resolved', '/config/files/0', '/calibration/machine']:
        dump = subprocess.run(['h5dump', '-A', '-d', name, path], capture_output=True, text=True).stdout
        check.equal('units and long_name of ' + name, ['ATTRIBUTE "%s"' % a in dump for a in ('units', 'long_name')], [True, True])


def bounded(check, folder):
    """A trace twice as long takes no more points."""
    sizes = []
    for tokens in (1500, 3000):
        where = os.path.join(folder, 'long%d' % tokens)
        call('run', QUICKSTART, '--out', where, '--quiet', '--set', 'bounds=false', '--set', 'observers=["summary",{"name":"series","bins":64}]', '--set', 'clock=none',
             '--set', 'trace={"source":{"name":"synthetic","layers":24,"experts":32,"top_k":4,"requests":1,"prompt_tokens":1,"decode_tokens":%d}}' % tokens)
        result = json.load(open(os.path.join(where, 'result.json')))
        rows = numbers(os.path.join(where, 'result.h5'), '/series/hits')
        sizes.append(32 <= len(rows) <= 64)
        check.equal('hits of %d tokens' % tokens, sum(row[2] for row in rows), result['cache']['hits'])
        check.equal('without a clock there is no time', {row[0] for row in rows}, {0})
        check.equal('nor a curve of it', 'HDF5' in dump(os.path.join(where, 'result.h5'), '/series/stall_ns'), False)
    check.equal('points', sizes, [True, True])


def pool_curves(check, folder):
    """What each pool had and held over time ends with what the result says."""
    where = os.path.join(folder, 'pools')
    call('run', QUICKSTART, '--out', where, '--quiet', '--set', 'bounds=false', '--set', 'catalog={"bits":{"4":0.75,"8":0.25},"assign":"popularity"}',
         '--set', 'tiers.cache.allocator={"name":"pools","distribution":{"4":0.8,"8":0.2}}')
    pools = json.load(open(os.path.join(where, 'result.json')))['tiers']['cache']['allocator']['pools']
    for name, pool in pools.items():
        last = [numbers(os.path.join(where, 'result.h5'), '/series/tiers/cache/pools/%s/%s' % (name, key))[-1][2] for key in ('resident', 'resident_bytes', 'capacity_bytes')]
        check.equal('curves of ' + name, last, [pool['experts'], pool['used_bytes'], pool['capacity_bytes']])


def streamed(check, folder):
    """Without kept samples the bins are the same, and quantiles within one percent."""
    kept, stream = os.path.join(folder, 'kept'), os.path.join(folder, 'stream')
    for where, flag in ((kept, 'false'), (stream, 'true')):
        call('run', QUICKSTART, '--out', where, '--quiet', '--set', 'bounds=false', '--set', 'stream=' + flag)
    kept, stream = os.path.join(kept, 'result.h5'), os.path.join(stream, 'result.h5')
    for name in ('/hist/token_latency_ns', '/hist/token_stall_ns', '/hist/ttft_ns', '/series/hits', '/series/stall_ns'):
        check.equal(name + ' of a stream', numbers(stream, name), numbers(kept, name))
    for q in ('p50', 'p90', 'p95', 'p99', 'p999'):
        exact, rough = (attribute(path, '/hist/token_latency_ns', q) for path in (kept, stream))
        check.equal('%s of a stream' % q, abs(rough - exact) <= exact / 100, True)
    check.equal('exact', [attribute(path, '/hist/token_latency_ns', 'exact') for path in (kept, stream)], [1, 0])


def h5(check, one, two):
    if shutil.which('h5dump') and shutil.which('h5ls'):
        curves(check, one, json.load(open(os.path.join(os.path.dirname(one), 'result.json'))))
    if shutil.which('h5dump'):
        def dump(path):
            return subprocess.run(['h5dump', '-A', path], capture_output=True, text=True)
        done = dump(one)
        check.equal('h5dump', done.returncode, 0)
        for name in ('DATASET "resolved"', 'DATASET "summary"', 'GROUP "tables"', 'GROUP "series"', 'GROUP "hist"', 'GROUP "calibration"', 'GROUP "volatile"', 'ATTRIBUTE "config_sha256"', 'ATTRIBUTE "trace_sha256"',
                     'ATTRIBUTE "version"', 'ATTRIBUTE "seed"', 'ATTRIBUTE "units"', 'ATTRIBUTE "long_name"'):
            check.equal('result.h5 has ' + name, name in done.stdout, True)
    if shutil.which('h5diff'):
        done = subprocess.run(['h5diff', '--exclude-path', '/volatile', one, two], capture_output=True, text=True)
        check.equal('result.h5 twice', (done.returncode, done.stdout), (0, ''))


def pools(check):
    """Results of traces of buffers, whose time adds up as well."""
    config, results = os.path.join('configs', 'seeds', '003-metal-pool.json'), []
    for sets in ((), ('--set', 'tiers.memory.allocator.mode=checkout')):
        printed = call('run', config, '--json', *sets)
        check.equal('two runs over a pool are equal', call('run', config, '--json', *sets) == printed, True)
        result = json.loads(printed)
        check.equal('its attribution adds up to the time, in ns', sum(round(v * 1e9) for v in result['time']['attribution'].values()), round(result['time']['total_s'] * 1e9))
        check.equal('every request is counted once', sum(result['buffers'][key] for key in ('placed', 'fallback', 'refused')), result['buffers']['requests'])
        results.append(result)
    return results


def written_back(check):
    """Two slots over three over a disk that holds nothing at first: what is written, and the flush."""
    with tempfile.TemporaryDirectory() as folder:
        ids = [0, 1, 2, 0, 3, 4, 1, 0]
        open(os.path.join(folder, 'trace.csv'), 'w').write('request_id,token_index,phase,layer,e0\n' + ''.join('0,%d,D,0,%d\n' % row for row in enumerate(ids)))
        json.dump({'trace': {'path': 'trace.csv'}, 'model': {'expert_bytes': '1000B'}, 'contract': {'unit': 'id', 'judge': 'serialized', 'flush': True},
                   'training': {'steps': 'all'}, 'predictor': {'name': 'noisy_oracle', 'accuracy': 1}, 'compute': {'guess_tier': 'dram'},
                   'tiers': {'hbm': {'capacity': '2slots', 'compute': 'gpu', 'demote': 'dram', 'write_back': 'always'},
                             'dram': {'capacity': '3slots', 'policy': 'lru', 'demote': 'disk', 'write_back': 'always', 'write_buffer': '2KB'},
                             'disk': {'home': True, 'holds': 'touched'}},
                   'channels': {'pcie': {'timing': {'name': 'affine', 'rate': '1GB/s'}}, 'nvme': {'timing': {'name': 'affine', 'rate': '1GB/s'}}, 'gpu': {}},
                   'links': [{'from': 'disk', 'to': 'dram', 'channels': ['nvme']}, {'from': 'dram', 'to': 'disk', 'channels': ['nvme']},
                             {'from': 'dram', 'to': 'hbm', 'channels': ['pcie']}, {'from': 'hbm', 'to': 'dram', 'channels': ['pcie']}]},
                  open(os.path.join(folder, 'config.json'), 'w'))
        result = json.loads(call('run', 'config.json', '--json', cwd=folder))
    check.equal('experts were created', at(result, 'tiers.disk.created'), 5)
    check.equal('every change of hands is counted', at(result, 'links.dram-hbm.operations'), at(result, 'cache.misses'))
    check.equal('and every eviction', at(result, 'links.hbm-dram.operations'), at(result, 'tiers.hbm.evictions'))
    check.equal('the flush empties two slots', at(result, 'flush.links.hbm-dram.operations'), 2)
    return {name: result[name] for name in ('tiers', 'links', 'flush', 'training')}


def main():
    check = tool.Check('results')
    printed = call('run', QUICKSTART, '--json')
    check.equal('two runs are equal', call('run', QUICKSTART, '--json') == printed, True)
    result = json.loads(printed)
    keys(check, result)
    levels = json.loads(call('run', os.path.join(ROOT, 'configs', 'seeds', '001-coverage.json'), '--json'))
    explained = json.loads(call('run', QUICKSTART, '--json', '--set', 'observers=["attribution"]'))
    documented(check, result, {'tiers': levels['tiers'], 'attribution': explained['attribution']}, *pooled(check), *pools(check), written_back(check))
    bracket(check)
    machines(check)
    nulls(check)
    percentiles(check)
    warm(check)
    slices(check)
    calibrated(check)
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        provenance(check, result, folder)
        kept(check, printed, folder)
        said(check, folder)
        if shutil.which('h5dump'):
            bounded(check, folder)
            pool_curves(check, folder)
            streamed(check, folder)
    check.close()


if __name__ == '__main__':
    main()
