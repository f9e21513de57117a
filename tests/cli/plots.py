"""expertsim plot: every figure there is can be drawn of the shipped examples, says what is true, is the same bytes again, and can be drawn from its
script alone. What cannot be drawn is told, with what it takes; bad files are errors of one line.

The contact sheet (plots/contact_sheet.py) is what is looked at: its examples are those of this test.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path[:0] = [os.path.join(ROOT, 'tests', 'support'), os.path.join(ROOT, 'plots')]
import contact_sheet
import tool

TOOL = os.path.abspath(tool.TOOL)
GNUPLOT = shutil.which('gnuplot')
KINDS = ['miss-ratio', 'miss-layers', 'speed', 'pareto', 'latency', 'stalls', 'stalls-time', 'coverage', 'layers', 'residency', 'differences', 'warm-up', 'gains',
         'agreement', 'fit', 'residuals', 'qq', 'contention']


def plot(*args, **more):
    return subprocess.run([TOOL, 'plot', *args], capture_output=True, text=True, **more)


def near(check, what, got, want, off=1e-6):
    check.equal('%s: %r, %r' % (what, got, want), abs(got - want) <= off * max(abs(got), abs(want), 1e-12), True)


def blocks(path):
    """[(label, rows)] of a figure's data."""
    found = []
    for block in open(path).read().split('\n\n\n'):
        lines = block.strip().split('\n')
        if lines != ['']:
            found.append((lines[0].lstrip('# '), [[float(word) for word in line.split()] for line in lines if not line.startswith('#')]))
    return found


def read(path):
    with open(path, 'rb') as file:
        return file.read()


# ---- all of them ----

def kind_of(name):
    plain = re.sub(r'-\d+$', '', name)
    if plain.startswith('contention'):
        return 'contention'
    return {'time': 'fit'}.get(plain.rsplit('-', 1)[-1], plain.rsplit('-', 1)[-1]) if '.' in name else plain


def everything(check, folder, drawn):
    """Every kind of figure is on the sheet; each has data, a script, and pictures with its title."""
    check.equal('kinds', sorted({kind_of(name) for _, _, said in drawn for name in said}), sorted(KINDS))
    listed = plot(os.path.join(folder, 'run'), '--list').stdout
    told = set(re.findall(r'^([a-z-]+?)(?:-\d+)? ', listed, re.M)) - {'-'}
    told |= {kind for line in listed.splitlines() if line.startswith('- ') for kind in line[2:].split(':')[0].split(', ')}
    check.equal('--list names them all', sorted(told), sorted(KINDS))
    helped = subprocess.run([TOOL, 'help', 'plot'], capture_output=True, text=True).stdout
    docs = open(os.path.join(ROOT, 'docs', 'plots.md')).read()
    words = open(os.path.join(ROOT, 'sim', 'cli', 'completion.bash')).read()
    check.equal('help, docs and completion name them', [k for k in KINDS if k not in helped or '`%s`' % k not in docs or k not in words], [])
    for example, _, said in drawn:
        for name, title in said.items():
            at = os.path.join(folder, 'figures', example, name)
            rows = [row for _, rows in blocks(at + '.dat') for row in rows]
            check.equal('%s has numbers' % at, any(value == value for row in rows for value in row), True)
            check.equal('%s has its title' % at, title.split(' ')[0].replace("'", '\u2019') in open(at + '.gp').read(), True)
            if GNUPLOT:
                check.equal('%s is drawn' % at, (read(at + '.png')[:4], os.path.getsize(at + '.svg') > 2000), (b'\x89PNG', True))
    page = open(os.path.join(folder, 'index.html')).read()
    check.equal('the page has them all', page.count('<figure>'), sum(len(said) for _, _, said in drawn))
    check.equal('and no path of this machine', folder in page or ROOT in page, False)


def again(check, folder, drawn):
    """The same result gives the same bytes, and every script draws the same picture anew, from any folder and with a locale."""
    some = [one for one in drawn if one[0] in ('run', 'sweep', 'curves', 'validation', 'profile')]
    for example, _, said in some:
        paths = dict((name, paths) for name, _, paths in contact_sheet.EXAMPLES)[example]
        words = [path.replace('DIR/', folder + '/').replace('ROOT/', ROOT + '/') for path in paths]
        done = plot(*words, '--out', os.path.join(folder, 'again', example), '--quiet', '--format', 'svg')
        check.equal('again, quietly: ' + done.stderr, (done.returncode, done.stdout), (0, ''))
        files = sorted(os.listdir(os.path.join(folder, 'again', example)))
        check.equal('svg alone', [name for name in files if name.endswith('.png')], [])
        for name in said:
            for end in ('.dat',) + ('.svg',) * bool(GNUPLOT):
                check.equal('%s/%s%s is the same' % (example, name, end), read(os.path.join(folder, 'again', example, name + end)) == read(os.path.join(folder, 'figures', example, name + end)), True)
    for example, _, said in drawn if GNUPLOT else []:
        here = os.path.join(folder, 'figures', example)
        before = {name: read(os.path.join(here, name + '.svg')) for name in said}
        for name in said:
            os.unlink(os.path.join(here, name + '.svg'))
        done = subprocess.run(['gnuplot'] + [name + '.gp' for name in said], cwd=here, capture_output=True, text=True, env=dict(os.environ, LC_ALL='C'))
        check.equal('%s: the scripts run: %s' % (example, done.stderr), done.returncode, 0)
        check.equal('%s: and draw the same' % example, [name for name in said if read(os.path.join(here, name + '.svg')) != before[name]], [])


# ---- what they say is true ----

def result_of(folder, name):
    return json.load(open(os.path.join(folder, name, 'result.json')))


def three(value):
    """Three digits that count."""
    return '%.*f' % (2 if value < 10 else 1 if value < 100 else 0, value)


def runs_are_right(check, folder, drawn):
    said = {example: said for example, _, said in drawn}
    at = os.path.join(folder, 'figures', 'run')
    result = result_of(folder, 'run')
    decode, latency = result['cache']['decode'], result['time']['token_latency_s']
    miss, best = decode['misses'] / decode['lookups'], 1 - result['bounds']['belady_decode_hits'] / decode['lookups']
    check.equal('title of misses', '%.1fx as many as Belady' % (miss / best) in said['run']['miss-ratio'], True)
    near(check, 'misses', blocks(at + '/miss-ratio.dat')[0][1][0][1], miss)
    near(check, 'Belady', blocks(at + '/miss-ratio.dat')[1][1][0][1], best)
    curve = blocks(at + '/latency.dat')[0][1]
    near(check, 'all tokens', curve[-1][1], 1.0)
    for quantile, share in (('p50', 0.5), ('p95', 0.95), ('p99', 0.99)):
        at_least = next(x for x, y in curve if y >= share)
        near(check, quantile + ' is read off the curve', at_least, latency[quantile], 0.02)
    check.equal('title of latency', 'Half of all tokens take %s ms or less' % three(1e3 * latency['p50']) in said['run']['latency'], True)
    parts = blocks(at + '/stalls.dat')
    near(check, 'the stack is all of the time', parts[-1][1][0][2], result['time']['total_s'])
    near(check, 'what waits for the link', dict((label, rows[0][2] - rows[0][1]) for label, rows in parts)['waiting for pcie'], result['time']['attribution']['wait']['pcie'])
    for _, rows in blocks(at + '/stalls-time.dat')[-1:]:
        check.equal('over time it is all of it', all(abs(row[2] - 1) < 1e-6 for row in rows), True)
    events = sum(result['coverage'][key] for key in ('perfect', 'partial', 'zero'))
    check.equal('coverage is in order', events > 0 and [label for label, _ in blocks(at + '/coverage.dat')],
                ['hits, of all lookups', 'all experts there, of all layers of steps', 'none there, of all layers of steps'])


def occupancy_is_right(check, folder):
    result = result_of(folder, 'run')
    at = os.path.join(folder, 'figures', 'run')
    there = [row[2] for row in blocks(at + '/residency.dat')[0][1]]
    check.equal('a cell per expert', len(there), 24 * 32)
    check.equal('who stays', (sum(share >= 0.9 for share in there), sum(share <= 0.1 for share in there)), (result['occupancy']['stays'], result['occupancy']['rare']))
    held = result['capacity']['peak'] / result['capacity']['objects']
    expert = result['capacity']['population_bytes'] / result['capacity']['objects']
    room = result['capacity']['slots_or_bytes'] / expert / result['capacity']['objects']
    check.equal('as many as there is room for: %g of %g (%g)' % (sum(there) / len(there), room, held), 0.95 * room < sum(there) / len(there) <= room, True)
    uses = [row[2] for row in blocks(at + '/residency-2.dat')[0][1]]
    near(check, 'of the most used', max(uses), 1.0)


def knobs_are_right(check, folder):
    result = result_of(folder, 'thresholds')
    curves = dict(blocks(os.path.join(folder, 'figures', 'thresholds', 'coverage.dat')))
    for path, knob in result['knobs'].items():
        if knob['turns']:
            rows = curves[path]
            near(check, path + ' at first', rows[0][1], knob['first'])
            near(check, path + ' at last', rows[-1][1], knob['last'])
            check.equal(path + ' turns', len({row[1] for row in rows}) > 1, True)
    check.equal('two thresholds', sum(path in curves for path in result['knobs']), 2)


def sweeps_are_right(check, folder, drawn):
    at = os.path.join(folder, 'figures', 'sweep')
    check.equal('policies', [label for label, _ in blocks(at + '/speed.dat')], ['lru', 'fifo', 'random', 'lfu', 'belady *'])
    speed = {label: rows for label, rows in blocks(at + '/speed.dat')}
    check.equal('five sizes', [len(rows) for rows in speed.values()], [5] * 5)
    table = {label: rows for label, rows in blocks(os.path.join(folder, 'figures', 'table', 'speed.dat'))}
    for label, rows in table.items():
        check.equal('the table has the same of ' + label, [row[1] for row in rows], [row[1] for row in speed[label]])
    points = dict(blocks(at + '/pareto.dat'))
    front = points['on the front: nobody is better in both']
    for x, y in front:
        check.equal('nobody beats %g, %g' % (x, y), [p for p in points['what was run'] if (p[0] <= x and p[1] < y) or (p[0] < x and p[1] <= y)], [])
    check.equal('the knee is on it', points['knee'][0] in front, True)
    bands = blocks(os.path.join(folder, 'figures', 'replications', 'speed.dat'))
    check.equal('a band for each', [label for label, _ in bands], ['no label', 'lru', 'no label', 'random'])
    t_3 = 3.182446305284263                # Student's t, 97.5 %, 3 degrees of freedom
    csv = contact_sheet.call(TOOL, ['sweep', 'collect', 'DIR/replications', '--out', 'DIR/replications.h5'], folder) and open(os.path.join(folder, 'replications.csv')).read()
    rows = [line.split(',') for line in csv.split('\n') if line]
    column = {name: i for i, name in enumerate(rows[0])}
    for policy, band, line in (('lru', bands[0][1], bands[1][1]), ('random', bands[2][1], bands[3][1])):
        groups = {}
        for row in rows[1:]:
            if row[column['policy']] == policy:
                groups.setdefault(int(row[column['point']]), []).append(float(row[column['tokens_per_s']]))
        for (x, low, high), (_, y), values in zip(band, line, groups.values()):
            mean = sum(values) / len(values)
            half = t_3 * (sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values)) ** 0.5
            near(check, 'mean', y, mean, 1e-7)
            near(check, 'interval', (high - low) / 2, half, 1e-5)


def more_sweeps(check, folder):
    """Keys that move together are one axis; points beyond the curves that can be told apart are counted; equals share the title."""
    base = {'trace': {'source': {'name': 'synthetic', 'layers': 4, 'experts': 8, 'top_k': 2, 'decode_tokens': 60}}, 'model': {'expert_bytes': '1MiB'}, 'clock': 'none',
            'tiers': {'hbm': {'capacity': '4MiB', 'compute': 'gpu'}, 'ram': {'capacity': '8MiB'}, 'disk': {'home': True}}, 'policy': 'lru',
            'channels': {'pcie': {'timing': {'name': 'constant', 'time': '1ms'}}},
            'links': [{'from': 'disk', 'to': 'ram', 'channels': ['pcie']}, {'from': 'ram', 'to': 'hbm', 'channels': ['pcie']}]}
    axes = {'together': {'policy': ['lru', 'fifo', 'belady'], 'split': {'paths': ['tiers.hbm.capacity', 'tiers.ram.capacity'], 'values': [['4MiB', '8MiB'], ['8MiB', '4MiB'], ['6MiB', '6MiB']]}},
            'many': {'seed': list(range(1, 17)), 'tiers.hbm.capacity': ['4MiB', '16MiB']},
            'bars': {'policy': ['lru', 'belady'], 'contract.duplicates': ['refresh', 'ignore']}}
    said = {}
    for name in axes:
        with open(os.path.join(folder, name + '.json'), 'w') as file:
            json.dump({'base': base, 'axes': axes[name]}, file)
        contact_sheet.call(TOOL, ['sweep', 'run', 'DIR/%s.json' % name, '-o', 'DIR/' + name, '-q'], folder)
        out = contact_sheet.call(TOOL, ['plot', 'DIR/' + name, '--what', 'miss-ratio', '--out', 'DIR/figures/' + name], folder)
        said[name] = re.search('^miss-ratio +(.*)$', out, re.M).group(1)
    together = blocks(os.path.join(folder, 'figures', 'together', 'miss-ratio.dat'))
    check.equal('two keys that move together are one axis', [(label, [row[0] / 2 ** 20 for row in rows]) for label, rows in together], [(name, [4.0, 6.0, 8.0]) for name in ('lru', 'fifo', 'belady *')])
    many = open(os.path.join(folder, 'figures', 'many', 'miss-ratio.gp')).read()
    check.equal('what is left out is counted', 'the first 12 curves, without 8 points' in many, True)
    bars = open(os.path.join(folder, 'figures', 'bars', 'miss-ratio.gp')).read()
    check.equal('bars: who knows the future is marked, and in no title', ('belady, refresh *' in bars, '* knows the future' in bars, 'belady' in said['bars']), (True, True, False))


def others_are_right(check, folder, drawn):
    said = {example: said for example, _, said in drawn}
    figures = os.path.join(folder, 'figures')
    search = json.load(open(os.path.join(folder, 'search', 'search.json')))
    knee = [[p['memory'], p['against']] for p in search['front']['points'] if p['knee']]
    points = dict(blocks(figures + '/search/pareto.dat'))
    near(check, 'the knee of the search', points['knee'][0][0], knee[0][0])
    check.equal('its front', len(points['on the front: nobody is better in both']), len(search['front']['points']))
    compared = json.load(open(os.path.join(folder, 'comparison', 'compare.json')))
    pair = next(p for p in compared['groups'][0]['pairs'] if {p['a'], p['b']} == {'lru', 'belady'})
    bars = blocks(figures + '/comparison/differences.dat')[0][1]
    near(check, 'lru less belady', bars[0][1], pair['cold']['difference'])
    near(check, 'and its interval', bars[0][3], pair['cold']['high'])
    check.equal('title of a comparison', said['comparison']['differences'].startswith('belady is best: the next, lru, has %s ms more' % three(1e3 * bars[0][1])), True)
    verdict = json.load(open(os.path.join(folder, 'verdict', 'verdict.json')))
    check.equal('title of a verdict', said['verdict']['gains'], verdict['sentences'][0])
    near(check, 'time as run', blocks(figures + '/verdict/gains.dat')[0][1][0][1], verdict['time']['total_s'])
    mode = json.load(open(os.path.join(folder, 'validation', 'validate.json')))['modes'][0]
    steps = blocks(figures + '/validation/agreement.dat')[2][1]
    check.equal('steps', steps, [[float('%.9g' % m), float('%.9g' % s)] for m, s in zip(*(mode['candidates'][0]['steps'][k] for k in ('measured_s', 'simulated_s')))])
    offs = blocks(figures + '/validation/agreement-2.dat')
    near(check, 'what a step is off by', offs[2][1][0][1], steps[0][1] / steps[0][0] - 1, 1e-4)
    check.equal('the band', [row[1:] for row in offs[0][1]], [[-0.1, 0.1]] * 2)
    flow = blocks(figures + '/profile/fit.dat')[0][1]
    near(check, 'h2d of 256 MiB', flow[-1][1], 10e-6 + 2 ** 28 / 24e9)
    near(check, 'h2d of 4 KiB', flow[0][1], 10e-6 + 4096 / 24e9)


# ---- what is told ----

def bad(check, folder):
    """(arguments, exit code, what is said)"""
    run, nowhere = os.path.join(folder, 'run'), os.path.join(folder, 'nowhere')
    os.makedirs(os.path.join(folder, 'empty'))
    with open(os.path.join(folder, 'other.json'), 'w') as file:
        file.write('{"some": "thing"}')
    with open(os.path.join(folder, 'file'), 'w') as file:
        file.write('x')
    for args, code, said in [
            ([], 2, 'plot: which result?; usage: '),
            ([run, '--what', 'latncy'], 2, '--what: there is no figure "latncy"; did you mean "latency"?'),
            ([run, '--what', ','], 2, '--what: found ",", needs names with commas between'),
            ([run, '--what', 'latency,qq'], 2, 'qq: needs the raw samples that'),
            ([run, '--format', 'pdf'], 2, '--format: found "pdf", needs svg, png or svg,png'),
            ([run, '--out', ''], 2, '--out: the name of a folder is empty'),
            ([run, '--out', os.path.join(folder, 'file')], 2, 'file'),
            ([nowhere], 2, 'nowhere: cannot open'),
            ([os.path.join(folder, 'empty')], 2, 'empty: has no result; needs what `expertsim run`'),
            ([os.path.join(folder, 'other.json')], 2, 'other.json: is none of the files that can be drawn'),
            ([os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')], 2, 'quickstart.h5: is no result.h5 and no collected table'),
            ([run, os.path.join(folder, 'sweep')], 2, 'cannot be drawn together'),
            ([os.path.join(folder, 'replications.csv')], 2, 'replications.csv: is a table for other programs; of a sweep the table.h5 beside it is drawn, or its folder'),
            ([os.path.join(folder, 'curves', 'mrc.h5')], 2, 'mrc.h5: is no result.h5 and no collected table of a sweep (of curves the mrc.json of `mrc --out` is drawn)'),
            ([os.path.join(ROOT, 'models', 'profiles', 'host-epyc-vm.h5'), '--what', 'speed'], 2, 'speed: the samples have nothing for it'),
    ]:
        done = plot(*args, cwd=folder)
        check.equal('%s: %s' % (args, done.stderr.strip()), (done.returncode, said in done.stderr, done.stderr.count('\n'), done.stdout), (code, True, 1, ''))
    check.equal('nothing was drawn', os.path.exists(os.path.join(folder, 'figures', 'latency.gp')), False)


def bare(check, folder):
    """Without gnuplot data and scripts stay, and a line says how to draw them; --list needs none."""
    env = dict(os.environ, PATH=os.path.join(folder, 'empty'))
    out = os.path.join(folder, 'bare')
    done = plot('a=' + os.path.join(folder, 'lru'), 'b=' + os.path.join(folder, 'lfu', 'result.h5'), '--what', 'stalls,latency', '--out', out, env=env)
    check.equal('without gnuplot: ' + done.stderr, (done.returncode, 'There is no gnuplot here' in done.stdout), (0, True))
    check.equal('these stay', sorted(os.listdir(out)), ['latency.dat', 'latency.gp', 'stalls.dat', 'stalls.gp'])
    check.equal('runs have the names they were given', [label for label, _ in blocks(out + '/latency.dat')], ['a', 'b'])
    if GNUPLOT:
        command = re.search(r'where it is: (.*)', done.stdout).group(1)
        check.equal('the line draws them', subprocess.run(command, shell=True, capture_output=True).returncode, 0)
        check.equal('all', {'latency.svg', 'latency.png', 'stalls.svg', 'stalls.png'} <= set(os.listdir(out)), True)


def damaged(value, path=()):
    """Copies of a result with one member gone or of another kind, at any depth of three."""
    for key in list(value)[:12] if len(path) < 3 else []:
        for other in ('gone', None, 'text', [], {}, -1):
            copy = json.loads(json.dumps(value))
            if other == 'gone':
                del copy[key]
            else:
                copy[key] = other
            yield copy
        if isinstance(value[key], dict):
            for copy in damaged(value[key], path + (key,)):
                yield dict(value, **{key: copy})


def survives(check, folder):
    """No file can break it: it is drawn, or refused with one line."""
    out = os.path.join(folder, 'damaged.json')
    for name in ('run/result.json', 'comparison/compare.json', 'curves/mrc.json', 'search/search.json', 'verdict/verdict.json', 'validation/validate.json', 'sweep/plan.json'):
        whole = json.load(open(os.path.join(folder, name)))
        if name.startswith('curves'):
            whole['rows'] = whole['rows'][:40]
        codes = set()
        for i, copy in enumerate(damaged(whole)):
            if i % (3 if name.startswith('run') else 1):
                continue
            with open(out, 'w') as file:
                json.dump(copy, file)
            done = plot(out, '--list')
            codes.add(done.returncode)
            if done.returncode not in (0, 2) or done.stderr.count('\n') > 1:
                check.equal('%s, damaged: %s' % (name, done.stderr[-300:]), done.returncode, 0)
        check.equal(name + ' is read or refused', codes <= {0, 2} and bool(codes), True)


def main():
    check = tool.Check('plots')
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        drawn = contact_sheet.sheet(TOOL, folder)
        everything(check, folder, drawn)
        runs_are_right(check, folder, drawn)
        occupancy_is_right(check, folder)
        knobs_are_right(check, folder)
        sweeps_are_right(check, folder, drawn)
        more_sweeps(check, folder)
        others_are_right(check, folder, drawn)
        again(check, folder, drawn)
        bad(check, folder)
        bare(check, folder)
        survives(check, folder)
    check.close()


if __name__ == '__main__':
    main()
