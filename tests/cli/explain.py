"""expertsim explain: causes add up in every table of result.h5, what-if is what a run by hand gives, a config and its results say the same,
24 lines; documented keys; wrong input.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
QUICKSTART = 'configs/quickstart.json'
GUESSES = ['--set', 'predictor={"name":"previous_token"}', '--set', 'channels.pcie.chunk=4MB']
WRITES = ['--set', 'tiers.cache.demote=host', '--set', 'channels.d2h={"profile":"pcie.d2h"}', '--set',
          'links=[{"from":"host","to":"cache","channels":["pcie"]},{"from":"cache","to":"host","channels":["d2h"]}]', '--set', tool.DRAWN]
LINES, WIDTH = 24, 140


def call(*args, cwd=ROOT):
    return subprocess.run([TOOL] + list(args), capture_output=True, text=True, cwd=cwd)


def explain(*args):
    done = call('explain', *args, '--json')
    if done.returncode:
        raise SystemExit('explain %s: %s' % (' '.join(args), done.stderr))
    return json.loads(done.stdout)


def run(*args):
    return json.loads(call('run', *args, '--json', '--set', 'bounds=false').stdout)


def rows(path, table):
    """A table of result.h5 as a list of {column: number}."""
    head = subprocess.run(['h5dump', '-H', '-A', '0', '-d', table, path], capture_output=True, text=True).stdout
    columns = re.findall(r'H5T_STD_(U32|I64)LE "([^"]+)"', head)
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(['h5dump', '-d', table, '-b', '-o', f.name, path], check=True, capture_output=True)
        data = open(f.name, 'rb').read()
    layout = struct.Struct('=' + ''.join('I' if kind == 'U32' else 'q' for kind, _ in columns))
    return [dict(zip([name for _, name in columns], values)) for values in layout.iter_unpack(data)]


def parts(row, path=False):
    heads = ('request', 'index', 'layer', 'start_ns', 'end_ns', 'prompt_tokens', 'decode_tokens')
    return {name: ns for name, ns in row.items() if name not in heads and name.startswith('path.') == path}


def summed(table, name):
    return sum(row.get(name, 0) for row in table)


def nanoseconds(result, group):
    """The leaves of attribution.GROUP in whole ns, by the name of their column."""
    return {name: round(seconds * 1e9) for name, seconds in flat(result['attribution'][group]).items()}


def flat(value, before=''):
    leaves = {}
    for key, one in value.items():
        if isinstance(one, dict):
            leaves.update(flat(one, before + key + '.'))
        else:
            leaves[before + key] = one
    return leaves


def tables(check, folder):
    """Every row adds up to its time, and all rows to the report."""
    where = os.path.join(folder, 'kept')
    observers = 'observers=["summary","tables","audit",{"name":"attribution","points":32}]'
    check.equal('run', call('run', QUICKSTART, *GUESSES, '--set', observers, '--out', where, '--quiet').returncode, 0)
    result = json.load(open(os.path.join(where, 'result.json')))
    path = os.path.join(where, 'result.h5')
    total = round(result['time']['total_s'] * 1e9)
    causes, decode = nanoseconds(result, 'causes'), nanoseconds(result, 'decode_causes')
    for group in ('causes', 'path'):
        check.equal('all of ' + group, sum(nanoseconds(result, group).values()), total)
    check.equal('guesses are in it', causes['wait.pcie.late'] > 0 and causes['wait.pcie.behind_guess'] > 0, True)
    check.equal('and waits as the core has them', sum(ns for name, ns in causes.items() if name.startswith('wait.')), round(result['time']['stall_s'] * 1e9))
    if not shutil.which('h5dump'):
        return
    tokens, requests, layers, series = (rows(path, '/attribution/' + name) for name in ('tokens', 'requests', 'layers', 'series'))
    plain = rows(path, '/tables/tokens')
    check.equal('a row per token', [(r['request'], r['index'], r['start_ns'], r['end_ns']) for r in tokens],
                [(r['request'], r['index'], r['start_ns'], r['end_ns']) for r in plain])
    check.equal('waits of each token', [sum(ns for name, ns in parts(r).items() if name.startswith('wait.')) for r in tokens], [r['stall_ns'] for r in plain])
    for name, table in (('tokens', tokens), ('requests', requests), ('series', series)):
        took = [r['end_ns'] - r['start_ns'] for r in table]
        check.equal('causes of each row of ' + name, [sum(parts(r).values()) for r in table], took)
        check.equal('path of each row of ' + name, [sum(parts(r, True).values()) for r in table], took)
    check.equal('bins', 16 <= len(series) <= 32, True)
    check.equal('layers add up', sum(sum(parts(r).values()) for r in layers), total)
    for name, ns in causes.items():
        check.equal('sum of %s over layers, requests, bins' % name, [summed(t, name) for t in (layers, requests, series)], [ns] * 3)
        check.equal('sum of %s over tokens' % name, summed(tokens, name), decode[name])
    slowest = max(tokens, key=lambda r: r['end_ns'] - r['start_ns'])
    said = result['attribution']['slowest_token']
    check.equal('slowest', (said['request'], said['index'], round(said['time_s'] * 1e9), round(said['cause_s'] * 1e9)),
                (slowest['request'], slowest['index'], slowest['end_ns'] - slowest['start_ns'], slowest[said['cause']]))


def unchanged(check):
    """Who is watched does the same, to the byte."""
    for sets in ([], GUESSES):
        a = run(QUICKSTART, *sets, '--set', 'observers=["summary","latency","traffic"]')
        b = run(QUICKSTART, *sets, '--set', 'observers=["summary","latency","traffic","attribution"]')
        b.pop('attribution')
        for one in (a, b):
            one.pop('provenance')
        check.equal('watched or not', a == b, True)


def short(check, folder):
    """Few rows: what is left out is said."""
    where = os.path.join(folder, 'short')
    call('run', QUICKSTART, '--set', 'observers=[{"name":"attribution","rows":5}]', '--out', where, '--quiet')
    check.equal('left out', json.load(open(os.path.join(where, 'result.json')))['attribution']['left_out'], 1024 - 5)
    if shutil.which('h5dump'):
        check.equal('rows', len(rows(os.path.join(where, 'result.h5'), '/attribution/tokens')), 5)


def what_if(check):
    """Each of these by hand."""
    found = explain(QUICKSTART, *GUESSES, '--what-if')
    gains = {row['free']: row for row in found['what_if']}
    gpu = json.load(open(os.path.join(ROOT, QUICKSTART)))['channels']['gpu']['timing']
    by_hand = {
        'pcie': ['channels.pcie={"timing":{"name":"constant","time":0}}'],
        'dense': ['channels.gpu.timing=%s' % json.dumps(dict(gpu, dense=0, dense_token=0))],
        'no_prefetch': ['predictor=none'],
        'guesses': ['compute.guess_cost=free'],
    }
    for free, sets in by_hand.items():
        there = GUESSES[:2] if free == 'pcie' else GUESSES
        result = run(QUICKSTART, *there, *(word for one in sets for word in ('--set', one)))
        decode = round(result['time']['total_s'] * 1e9) - round(result['time']['prefill_s'] * 1e9)
        check.equal('if free: ' + free, round(gains[free]['time_s'] * 1e9), decode)
        check.equal('speedup: ' + free, gains[free]['speedup'], found['time_s'] / gains[free]['time_s'])
    check.equal('experts too', 'expert_gpu' in gains, True)
    order = [row['speedup'] for row in found['what_if']]
    check.equal('the largest first', order, sorted(order, reverse=True))
    check.equal('in the sentence', 'x%.2f if %s' % (order[0], found['what_if'][0]['says']) in found['verdict'], True)
    check.equal('without it none', 'what_if' in explain(QUICKSTART), False)
    return found


def layers(check, folder):
    """Each layer has its own time, also where dense parts take none."""
    if not shutil.which('h5dump'):
        return
    where = os.path.join(folder, 'layers')
    timing = '{"name":"compute","dense":0,"dense_token":0,"expert":"10us","token":0,"rate":"0"}'
    done = call('run', QUICKSTART, '--set', 'channels.gpu.timing=' + timing, '--set', 'bounds=false', '--set', 'observers=["tables","attribution"]', '--out', where, '--quiet')
    check.equal('dense for nothing', done.returncode, 0)
    path = os.path.join(where, 'result.h5')
    found, events = rows(path, '/attribution/layers'), rows(path, '/tables/layers')
    check.equal('of each layer', [row['layer'] for row in found], [row['layer'] for row in events])
    check.equal('its experts', [row['expert_gpu'] for row in found], [10000 * row['lookups'] for row in events])


def written_back(check):
    """Victims that are written before there is room: the wait is for that, and without it is gone."""
    found = explain(QUICKSTART, *WRITES, '--set', 'tiers.cache.write_back=always', '--what-if')
    gains = {row['free']: row for row in found['what_if']}
    check.equal('writes are named', '%.1f %% is waiting for write-backs over d2h' % (100 * found['causes'][1]['share']) in found['verdict'], True)
    for free, sets in (('write_back', 'tiers.cache.write_back=never'), ('d2h', 'channels.d2h={"timing":{"name":"constant","time":0}}')):
        there = WRITES[:2] + WRITES[4:] if free == 'd2h' else WRITES
        result = run(QUICKSTART, *there, '--set', 'tiers.cache.write_back=always', '--set', sets)
        check.equal('if free: ' + free, round(gains[free]['time_s'] * 1e9), round(result['time']['total_s'] * 1e9) - round(result['time']['prefill_s'] * 1e9))


def lists(check, found):
    for name in ('causes', 'path'):
        times = [row['time_s'] for row in found[name]]
        check.equal(name + ' sorted', times, sorted(times, reverse=True))
        check.equal(name + ' add up', sum(round(t * 1e9) for t in times), round(found['time_s'] * 1e9))
        check.equal(name + ' shares', abs(sum(row['share'] for row in found[name]) - 1) < 1e-9, True)


def same(check, folder):
    """A config and both of its results say the same; a setting counts for each."""
    where = os.path.join(folder, 'same')
    call('run', QUICKSTART, *GUESSES, '--out', where, '--quiet', '--set', 'bounds=false')
    want = explain(QUICKSTART, *GUESSES)
    for name in ('result.json', 'result.h5', ''):
        check.equal('of ' + name, explain(os.path.join(where, name)), want)
        check.equal('of %s, changed' % name, explain(os.path.join(where, name), '--set', 'predictor=none')['causes'], explain(QUICKSTART, *GUESSES[2:])['causes'])


def kept(check, folder):
    """A result of a run with the observer attribution has the causes: it says the same without being run."""
    where = os.path.join(folder, 'kept')
    call('run', QUICKSTART, *GUESSES, '--out', where, '--quiet', '--set', 'bounds=false', '--set', 'observers=["summary","attribution","tables"]')
    want = explain(QUICKSTART, *GUESSES)
    with open(os.path.join(where, 'result.json')) as file:
        result = json.load(file)
    result['provenance']['config']['trace'] = {'path': 'gone.h5'}
    result['provenance']['input'] = {'files': [], 'sets': []}
    with open(os.path.join(where, 'gone.json'), 'w') as file:
        json.dump(result, file)
    for name in ('result.json', 'result.h5', '', 'gone.json'):
        check.equal('kept: of ' + name, explain(os.path.join(where, name)), want)
    check.equal('kept: what-if is run', call('explain', os.path.join(where, 'gone.json'), '--what-if').returncode, 2)
    check.equal('kept: so is what is changed', explain(where, '--set', 'predictor=none')['causes'], explain(QUICKSTART, *GUESSES[2:])['causes'])


def written(check, *values):
    """docs/explain.md has every key, and no other."""
    rows = [line.split('|')[1] for line in open(os.path.join(ROOT, 'docs', 'explain.md')) if line.startswith('| `')]
    known = {key for row in rows for key in re.findall('`([^`]+)`', row)}
    found = set()
    for value in values:
        for key, one in value.items():
            below = one if isinstance(one, list) else [one] if isinstance(one, dict) else []
            found.update(key + '.' + name for row in below for name in row)
            found.update([] if below or isinstance(one, list) else [key])
    check.equal('keys', sorted(found ^ known - {'what_if.reason'}), [])


def texts(check):
    """At most 24 lines, none too wide, the verdict first, no colour; buffers have causes, too."""
    configs = [QUICKSTART, 'configs/unified-memory.json', 'configs/seeds/000-staged.json', 'configs/seeds/001-coverage.json', 'configs/seeds/003-metal-pool.json',
               'configs/seeds/004-lookahead.json']
    for config in configs:
        done = call('explain', config, '--what-if')
        lines = done.stdout.rstrip('\n').split('\n')
        name = json.load(open(os.path.join(ROOT, config)))['name']
        check.equal(config + ': exit', (done.returncode, done.stderr), (0, ''))
        check.equal(config + ': lines', (len(lines) <= LINES, max(map(len, lines)) <= WIDTH), (True, True))
        check.equal(config + ': verdict first', bool(re.match(re.escape(name) + r': \d+(\.\d)? % of ', lines[0])), True)
        check.equal(config + ': no colour', '\033' in done.stdout, False)
    lookahead = call('explain', 'configs/seeds/004-lookahead.json').stdout
    check.equal('write-backs are named', 'waiting for write-backs over h2d' in lookahead, True)
    staged = explain('configs/seeds/000-staged.json')
    check.equal('queues are named', 'is queued on memcpy behind a guess' in staged['verdict'], True)
    check.equal('quiet', call('explain', QUICKSTART, '--quiet').stdout, '')


def memory(check):
    """Of a trace of buffers nothing overlaps: what is free is gone, to the nanosecond."""
    found = explain('configs/seeds/003-metal-pool.json', '--what-if')
    total = round(found['total_s'] * 1e9)
    check.equal('buffers add up', sum(round(row['time_s'] * 1e9) for row in found['causes']), total)
    times = {row['cause']: round(row['time_s'] * 1e9) for row in found['causes']}
    check.equal('each is what it cost', {row['free']: total - round(row['time_s'] * 1e9) for row in found['what_if']},
                {name: ns for name, ns in times.items() if name != 'dense'})
    check.equal('there is one', len(found['what_if']) > 0, True)


def summary(check):
    """A run that is watched says what its waits were."""
    said = call('run', QUICKSTART, *GUESSES, '--set', 'observers=["summary","attribution"]', '--set', 'bounds=false').stdout
    check.equal('of the waits', bool(re.search(r'\n  of the waits  for guesses on their way [<\d. ]+ %, behind a guess [\d.]+ %\n', said)), True)
    check.equal('else it does not', 'of the waits' in call('run', QUICKSTART, '--set', 'bounds=false').stdout, False)


def bad(check, folder):
    open(os.path.join(folder, 'broken.json'), 'w').write('{"name": ')
    rows = [
        (['explain'], 'which config or result?'),
        (['explain', QUICKSTART, QUICKSTART], 'one at a time'),
        (['explain', QUICKSTART, '--whatif'], '--what-if'),
        (['explain', os.path.join(folder, 'none.json')], 'none.json'),
        (['explain', os.path.join(folder, 'broken.json')], 'line 1'),
        (['explain', QUICKSTART, '--set', 'clock=none'], 'clock: is none, under which nothing takes time; explain needs "simulated"'),
        (['explain', QUICKSTART, '--set', 'policy=lruu'], 'lru'),
        (['explain', 'traces/samples/quickstart.h5'], '/summary: is missing'),
    ]
    for args, want in rows:
        done = call(*args)
        check.equal(' '.join(args), (done.returncode, want in done.stderr, done.stdout), (2, True, ''))


def main():
    check = tool.Check('explain')
    with tempfile.TemporaryDirectory() as folder:
        tables(check, folder)
        short(check, folder)
        layers(check, folder)
        same(check, folder)
        kept(check, folder)
        bad(check, folder)
    unchanged(check)
    memory(check)
    summary(check)
    written_back(check)
    found = what_if(check)
    lists(check, found)
    written(check, found)
    texts(check)
    check.close()


main()
