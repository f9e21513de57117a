"""expertsim report: one HTML file of a run, a comparison or a sweep, read as text: well formed, escaped, complete, self-contained, the same twice;
and what it says of policies that stand still, of ties, of points that failed. report_browser.py looks at it in a browser."""
import html.parser
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

TOOL = sweeps.TOOL
VOID = {'meta', 'br', 'hr', 'img', 'link', 'input', 'wbr'}
EVIL = '<script>alert("\'&1")</script>'


def call(*args, **more):
    return subprocess.run([TOOL, *args], capture_output=True, text=True, **more)


class Page(html.parser.HTMLParser):
    """A page whose elements must nest: its elements, ids, links, texts, headings, and a table per caption."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.elements, self.ids, self.links, self.labels, self.headings, self.texts, self.tables = [], [], [], [], [], [], [], [], {}
        self.table = self.cell = None
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append('left open: %s' % self.open)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        if 'id' in attrs:
            self.ids.append(attrs['id'])
        self.links += [attrs[name][1:] for name in ('href', 'xlink:href') if attrs.get(name, '').startswith('#')]
        self.links += re.findall(r'url\(#([^)]*)\)', ' '.join(value or '' for value in attrs.values()))
        if 'aria-labelledby' in attrs:
            self.links.append(attrs['aria-labelledby'])
        if tag == 'table':
            self.table = {'caption': '', 'rows': []}
        elif tag == 'tr':
            self.table['rows'].append([])
        elif tag in ('td', 'th'):
            self.table['rows'][-1].append('')
        elif re.fullmatch('h[1-6]', tag):
            self.headings.append([int(tag[1]), ''])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append('</%s> within %s' % (tag, self.open[-3:]))
        else:
            self.open.pop()
        if tag == 'table':
            self.tables[self.table['caption']] = self.table['rows']

    def handle_data(self, data):
        if self.open and self.open[-1] in ('script', 'style'):
            return
        self.texts.append(data)
        if 'caption' in self.open:
            self.table['caption'] += data
        elif 'td' in self.open or 'th' in self.open:
            self.table['rows'][-1][-1] += data
        elif self.open and re.fullmatch('h[1-6]', self.open[-1]):
            self.headings[-1][1] += data

    def text(self):
        return re.sub(r'\s+', ' ', ''.join(self.texts).replace('\xa0', ' '))


def sound(check, what, page, source):
    """What every page must be."""
    check.equal(what + ': elements nest', page.faults, [])
    check.equal(what + ': ids are unique', sorted(i for i in set(page.ids) if page.ids.count(i) > 1), [])
    check.equal(what + ': links lead somewhere', sorted(set(page.links) - set(page.ids)), [])
    check.equal(what + ': one script, our own', [attrs for tag, attrs in page.elements if tag == 'script'], [{}])
    check.equal(what + ': nothing runs but that', [(tag, name) for tag, attrs in page.elements for name in attrs if name.startswith('on')], [])
    loads = [(tag, attrs) for tag, attrs in page.elements if tag in ('link', 'img', 'iframe', 'object', 'embed', 'image', 'use', 'source', 'base')
             and not attrs.get('href', '').startswith('#')]
    check.equal(what + ': nothing is fetched', (loads, re.findall(r'(?:src|href)="(?!#)[^"]*"|url\((?!#)[^)]*\)|@import', source)), ([], []))
    check.equal(what + ': every table has a caption', [1 for caption in page.tables if not caption.strip()], [])
    check.equal(what + ': every figure says what it shows', [attrs for tag, attrs in page.elements if tag == 'svg' and not attrs.get('aria-label', '').strip()], [])
    levels = [level for level, _ in page.headings]
    check.equal(what + ': headings step down by one', (levels[0], [b for a, b in zip(levels, levels[1:]) if b > a + 1]), (1, []))
    check.equal(what + ': every heading says something', [level for level, text in page.headings if not text.strip()], [])
    check.equal(what + ': a language and a title', [attrs.get('lang') for tag, attrs in page.elements if tag == 'html'], ['en'])
    rows = [(caption, {len(row) for row in table}) for caption, table in page.tables.items()]
    check.equal(what + ': rows are as long as heads', [row for row in rows if len(row[1]) != 1], [])


def report(check, what, path, *args, **more):
    """The page of a result, checked; made twice, it is the same."""
    pages = []
    for _ in range(2):
        done = call('report', path, '--out', '-', *args, **more)
        check.equal('%s: goes well' % what, (done.returncode, done.stderr), (0, ''))
        pages.append(done.stdout)
    check.equal(what + ': the same twice', pages[0] == pages[1], True)
    page = Page(pages[0])
    sound(check, what, page, pages[0])
    return page


def section(page, name):
    return any(tag == 'section' and attrs.get('id') == name for tag, attrs in page.elements)


def made(here, name, config, *sets):
    """A result of a config."""
    done = call('run', here.write(name + '.json', config), '--out', here.at(name), '--quiet', *[word for one in sets for word in ('--set', one)])
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return here.at(name)


def number(text):
    """22,340 -> 22340; 71.2 % -> 71.2"""
    return float(re.match(r'-?[\d,.]+', text).group(0).replace(',', ''))


def facts(page, caption):
    return {row[0]: row[1] for row in page.tables[caption][1:]}


# ---- runs ----

def check_run(check, here):
    """Every number on the page is the result's, and every section is there."""
    folder = made(here, 'run', {**sweeps.BASE, 'brief': 'a small run'}, 'policy=lru')
    result = json.load(open(os.path.join(folder, 'result.json')))
    page = report(check, 'run', folder)
    for name in ('verdict', 'time', 'hits', 'residency', 'capacity', 'bounds', 'contract', 'config', 'provenance'):
        check.equal('run has section ' + name, section(page, name), True)
    lookups = facts(page, 'Lookups')
    for label, key in (('lookups', 'lookups'), ('hits', 'hits'), ('misses', 'misses'), ('first uses', 'misses_compulsory')):
        check.equal('run: ' + label, number(lookups[label]), result['cache'][key])
    causes = page.tables['Causes, greatest first; they add up to the whole time'][1:]
    shares = [number(row[1]) for row in causes]
    check.equal('causes are in order', shares, sorted(shares, reverse=True))
    check.equal('causes add up', abs(sum(shares) - 100.0) < 0.06 * len(shares), True)
    waits = result['time']['attribution']['wait']['pcie'] / result['time']['total_s']
    check.equal('the first sentence is the cause', 'Waiting for pcie takes %.1f %% of the time' % (100 * waits) in page.text(), True)
    contract = {row[0]: row[1] for row in page.tables['Replay contract'][1:]}
    check.equal('the contract is whole', set(contract), set(result['contract']) - {'label'})
    check.equal('its switches have a meaning', [row[0] for row in page.tables['Replay contract'][1:] if not row[2].strip()], [])
    check.equal('the resolved config is there', '"policy"' in page.text() and result['provenance']['config_sha256'] in page.text(), True)
    check.equal('the command is there', 'expertsim run ' in page.text() and '--set policy=lru' in page.text() and 'expertsim rerun ' + folder in page.text(), True)
    check.equal('nothing of this machine but what was given', result['volatile']['host'] != 'localhost' and ('directory' in page.text().split()), False)
    done = call('report', folder)
    check.equal('it lies beside the result', (done.stdout, os.path.exists(os.path.join(folder, 'report.html'))), (os.path.join(folder, 'report.html') + '\n', True))
    from_h5 = report(check, 'run, from result.h5', os.path.join(folder, 'result.h5'))
    check.equal('result.h5 says the same', facts(from_h5, 'Lookups'), lookups)
    return folder


def check_still(check, here):
    """A policy that never replaces is named as such; one that does is not."""
    page = report(check, 'static', made(here, 'static', sweeps.BASE, 'policy=static'))
    check.equal('static: no expert was ever replaced', 'no expert was ever replaced' in page.text() and '0 % of the cache' in page.text(), True)
    moves = report(check, 'lru', made(here, 'moves', sweeps.BASE))
    check.equal('lru replaces', ('ever replaced' in moves.text(), 'cache was replaced as a whole about' in moves.text()), (False, True))
    roomy = report(check, 'all fit', made(here, 'roomy', sweeps.BASE, 'tiers.cache.capacity=64slots'))
    check.equal('nothing had to leave', 'none had to leave' in roomy.text() and 'Static' not in roomy.text(), True)


def check_figures(check, here):
    """With gnuplot its figures are there and nothing is left behind; without it all else is."""
    folder, scratch = here.at('run'), here.at('scratch')
    os.mkdir(scratch)
    env = dict(os.environ, TMPDIR=scratch)
    page = report(check, 'figures', folder, env=env)
    drawn = [attrs['aria-label'] for tag, attrs in page.elements if tag == 'svg' and attrs.get('class') != 'strip']
    check.equal('figures are drawn', len(drawn) >= 3, bool(shutil.which('gnuplot')))
    check.equal('their finding stands above them', [title for title in drawn if title not in page.text()], [])
    check.equal('nothing is left behind', os.listdir(scratch), [])
    bare = report(check, 'no gnuplot', folder, env=dict(env, PATH=scratch))
    check.equal('without gnuplot', ([tag for tag, _ in bare.elements if tag == 'figure'], 'There is no gnuplot here' in bare.text(), 'Lookups' in bare.tables), ([], True, True))
    check.equal('nothing is left behind then either', os.listdir(scratch), [])
    with open(os.path.join(scratch, 'gnuplot'), 'w') as file:
        file.write('#!/bin/sh\necho "cannot draw <b>" >&2\nexit 3\n')
    os.chmod(file.name, 0o755)
    broken = report(check, 'a gnuplot that fails', folder, env=dict(env, PATH=scratch + os.pathsep + os.environ['PATH']))
    check.equal('what gnuplot said is told', 'cannot draw <b>' in broken.text(), True)


def check_kinds(check, here):
    """Without time, with guesses, with a verdict beside it, of buffers."""
    page = report(check, 'no clock', made(here, 'none', sweeps.BASE, 'clock=none'))
    check.equal('without a clock no time is told', (section(page, 'time'), 'tokens/s' in page.text()), (False, False))
    check.equal('hits lead', bool(re.search(r'[\d.]+ % of decode lookups hit; who knows the future hits [\d.]+ %', page.text())), True)
    blind = report(check, 'no bounds', made(here, 'blind', {**sweeps.BASE, 'bounds': False}))
    check.equal('why there are no bounds', 'is not known without bounds: bounds are off' in blind.text() and 'Not known: belady_hits, ' in blind.text(), True)
    folder = made(here, 'guesses', sweeps.BASE, 'predictor={"name":"noisy_oracle","accuracy":0.5}')
    page = report(check, 'guesses', folder)
    check.equal('what became of the guesses', 'What became of the guesses' in page.tables and 'Non-causal' in page.text(), True)
    call('verdict', here.at('guesses.json'), '--out', folder, '--quiet')
    page = report(check, 'with a verdict', folder)
    verdict = json.load(open(os.path.join(folder, 'verdict.json')))
    check.equal('its sentences are there', [line for line in verdict['sentences'] if re.sub(r'\s+', ' ', line) not in page.text()], [])
    folder = here.at('buffers')
    call('run', os.path.join(ROOT, 'configs', 'seeds', '003-metal-pool.json'), '--out', folder, '--quiet', cwd=ROOT)
    page = report(check, 'buffers', folder)
    result = json.load(open(os.path.join(folder, 'result.json')))
    check.equal('findings are there', [one['text'] for one in result['findings'] if one['text'] not in page.text()], [])
    check.equal('requests', number(facts(page, 'What was asked for and what became of it')['requests']), result['buffers']['requests'])


def check_finer(check, here):
    """Waits that are divided, what would be if things were free, a cache that hardly changes: as results have them that say so."""
    folder = made(here, 'finer', sweeps.BASE)
    path = os.path.join(folder, 'result.json')
    result = json.load(open(path))
    causes = result['time']['attribution']
    wait = causes['wait'].pop('pcie')
    result['attribution'] = {'causes': {**causes, 'wait': {'pcie': {'transfer': 0.75 * wait, 'behind_guess': 0.25 * wait, 'room': 0}}},
                             'path': {'dense': causes['dense'], 'copy': {'pcie': {'demand': wait, 'guess': 0}}}}
    causes['wait']['pcie'] = wait
    result['tiers']['cache']['evictions'] = 3
    json.dump(result, open(path, 'w'))
    what_if = [{'free': 'pcie', 'says': 'copies over pcie took no time', 'time_s': 0.1, 'speedup': 2.5}, {'free': 'x', 'says': 'x', 'reason': 'cannot be'}]
    json.dump({'what_if': what_if}, open(os.path.join(folder, 'explain.json'), 'w'))
    page = report(check, 'finer causes', folder)
    names = [row[0] for row in page.tables['Causes, greatest first; they add up to the whole time'][1:]]
    check.equal('waits are divided', [name for name in names if name.startswith('waiting')], ['waiting for pcie: the copy itself', 'waiting for pcie: queued behind guesses'])
    check.equal('the headline is not', 'Waiting for pcie takes' in page.text() and '75.0 % of it is waiting for pcie: the copy itself' in page.text(), True)
    path = next(table for caption, table in page.tables.items() if 'critical path' in caption)
    check.equal('the critical path', {row[0] for row in path[1:]}, {'dense layers', 'demands over pcie'})
    free = next(table for caption, table in page.tables.items() if caption.startswith('What if'))
    check.equal('what if', ([row[0] for row in free[1:]], number(free[1][1]), '2.500 times as fast if copies over pcie took no time' in page.text().replace('\xa0', ' ')),
                (['copies over pcie took no time', 'x: cannot be'], 2.5, True))
    share = '%.1f %%' % (100 * 3 / result['capacity']['residents'])
    check.equal('nearly frozen', 'Nearly frozen: 3 evictions' in page.text() and 'at most %s of the cache ever changed' % share in page.text(), True)


def check_evil(check, here):
    """Whatever a config says is text."""
    folder = made(here, 'evil', {**sweeps.BASE, 'name': EVIL, 'brief': '</style></title>' + EVIL})
    page = report(check, 'evil', folder)
    check.equal('its name is read', [text for level, text in page.headings if level == 1], [EVIL])
    check.equal('its brief too', '</style></title>' + EVIL in page.text(), True)


# ---- comparisons ----

def check_compare(check, here):
    config = here.write('compare.json', sweeps.BASE)
    folder = here.at('compared')
    done = call('compare', config, '--policies', 'lru,random,belady', '--resamples', '199', '--out', folder, '--quiet')
    check.equal('compare', done.returncode, 0)
    compared = json.load(open(os.path.join(folder, 'compare.json')))
    page = report(check, 'comparison', folder)
    ranking = {row[0]: row for row in page.tables['Ranking: those of one rank are a tie'][1:]}
    for candidate in compared['groups'][0]['candidates']:
        row = ranking[candidate['name']]
        check.equal('rank of ' + candidate['name'], number(row[1]), candidate['rank'])
        check.equal('%s reads the future' % candidate['name'], row[-1].startswith('yes'), not candidate['causal'])
        total = sum(value for key, value in leaves(candidate['why']['attribution']))
        check.equal('%s: causes are the total' % candidate['name'], round(total * 1e9), round(candidate['total_s'] * 1e9))
    check.equal('the command is there', 'expertsim compare %s --policies lru,random,belady --resamples 199 --out DIR' % config in page.text(), True)
    first = min((one for one in compared['groups'][0]['candidates'] if one['causal']), key=lambda one: one['rank'])
    check.equal('the best that can be built leads', '%s is best: latency ' % first['name'] in page.text() and 'belady reads the future' in page.text(), True)
    check.equal('bounds are labelled', any('non-causal' in caption for caption in page.tables), True)
    check.equal('every pair is there', len(next(table for caption, table in page.tables.items() if caption.startswith('Pairs'))) - 1, 2 * len(compared['groups'][0]['pairs']))
    check.equal('why', 'Where the time of each went: seconds by cause' in page.tables, True)
    twins = here.at('twins')
    other = here.write('other.json', {**sweeps.BASE, 'policy': 'random', 'replication': 2})
    one = here.write('one.json', {**sweeps.BASE, 'policy': 'random'})
    call('compare', 'same=' + one, EVIL + '=' + other, '--resamples', '199', '--out', twins, '--quiet')
    page = report(check, 'equals', twins)
    ranks = [row[1] for row in page.tables['Ranking: those of one rank are a tie'][1:]]
    check.equal('equals tie, whatever they are called', (ranks, 'A tie of 2: same, ' + EVIL in page.text()), (['1', '1'], True))


def leaves(value, before=''):
    for key, one in value.items():
        if isinstance(one, dict):
            yield from leaves(one, before + key + '.')
        else:
            yield before + key, one


# ---- sweeps ----

def check_sweep(check, here):
    sweep = here.sweep({'policy': ['lru', 'random', 'belady'], sweeps.CAPACITY: ['8slots', '16slots', '32slots']}, name='sweep.json', brief=EVIL,
                       replications={'count': 2, 'vary': ['trace.source.seed']})
    folder = here.at('swept')
    sweeps.fine('run', sweep, '-o', folder, '-q')
    page = report(check, 'sweep', folder)
    rows = sorted(line.split(',') for line in open(collected(folder)).read().split('\n')[1:] if line)
    points = page.tables['Points; a result lies in points/ID.h5 and can be reported by itself']
    check.equal('replications are one point', (len(rows), len(points) - 1), (18, 9))
    speed, room = points[0].index('tokens_per_s'), points[0].index('room in slots')
    causal = [row for row in points[1:] if row[-2] == '']
    check.equal('who reads the future is marked', len(causal), 6)
    best = max(causal, key=lambda row: number(row[speed]))
    check.equal('the best leads', 'Best: %s tokens/s with policy %s, %s %s.' % (best[speed], best[0], sweeps.CAPACITY, best[1]) in page.text(), True)
    front = {(row[0].split()[1].rstrip(','), row[0].split()[3]) for row in page.tables['Pareto front'][1:]}
    want = {(row[0], row[1]) for row in causal if not any(number(other[speed]) >= number(row[speed]) and number(other[room]) <= number(row[room]) and other is not row
                                                         for other in causal)}
    check.equal('the front is what nothing beats', front, want)
    each = {row[0]: number(row[1]) for row in page.tables['Best point of each'][1:]}
    check.equal('the best of each policy', each, {name: max(number(row[speed]) for row in points[1:] if row[0] == name) for name in ('lru', 'random', 'belady')})
    grid = next(table for caption, table in page.tables.items() if ' by policy and ' in caption)
    check.equal('two axes crossed', {(row[0], head): cell for row in grid[1:] for head, cell in zip(grid[0][1:], row[1:])},
                {(row[0], row[1]): row[speed] for row in points[1:]})


def check_groups(check, here):
    """Several groups: each has a line at the top, and tables of its own."""
    done = call('compare', here.at('swept'), '--by', 'policy', '--resamples', '199', '--out', here.at('groups'), '--quiet')
    check.equal('compare of a sweep', (done.returncode, done.stderr), (0, ''))
    page = report(check, 'groups', here.at('groups'))
    groups = json.load(open(here.at('groups', 'compare.json')))['groups']
    check.equal('a group for each capacity', len(groups), 3)
    check.equal('each is named twice over its tables', [sum(text == one['where'] for _, text in page.headings) for one in groups], [2, 2, 2])
    check.equal('what is not ranked has its reason', groups[0]['pairs'][0]['cold']['reason'] in page.text(), True)


def collected(folder):
    sweeps.fine('collect', folder, '-q')
    return os.path.join(folder, 'table.csv')


def check_failed(check, here):
    """A point that failed is named with its reason; one that is not there yet is counted."""
    sweep = here.sweep({'policy': ['lru', 'lfu', 'fifo']}, name='failing.json')
    folder = here.at('failed')
    sweeps.fine('run', sweep, '-o', folder, '-q')
    plan = json.load(open(os.path.join(folder, 'plan.json')))
    first, second = (os.path.join(folder, 'points', row[0]) for row in plan['points'][:2])
    os.remove(first + '.h5')
    os.remove(second + '.h5')
    with open(first + '.err', 'w') as file:
        file.write('took too long: %s\nlast words\n' % EVIL)
    page = report(check, 'failed', folder)
    check.equal('the failure is named', [row[1:] for row in page.tables['Failures'][1:]], [['policy=lru', 'took too long: ' + EVIL]])
    check.equal('what is left is counted', '1 of 3 points are done, 1 failed, 1 are left' in page.text(), True)
    os.remove(os.path.join(folder, 'points', plan['points'][2][0] + '.h5'))
    check.equal('nothing is known yet', 'No point has a metric that is known yet' in report(check, 'empty sweep', folder).text(), True)


# ---- wrong input ----

def check_wrong(check, here):
    cases = [
        ((), 'which result?'), (('a', 'b'), 'one result at a time'), ((here.at('nowhere'),), 'is not there'), ((here.at(),), 'is no result'),
        ((here.write('config.json', sweeps.BASE),), 'is no result'), ((here.write('broken.json', '{"name": '),), 'line 1'),
        ((here.at('run'), '--out', here.at('no', 'such', 'folder', 'x.html')), 'x.html'), ((here.at('run'), '--out', ''), 'empty'), ((here.at('run'), '--figure'), 'no option --figure'),
    ]
    for args, said in cases:
        done = call('report', *args)
        check.equal('wrong: report %s' % ' '.join(args), (done.returncode, said in done.stderr, done.stderr.count('\n')), (2, True, 1))
    here.write('odd/compare.json', {'metric': 3, 'groups': [{'candidates': [{}, 7, None], 'pairs': [{}, {'a': 1}]}]})
    here.write('odd-run/result.json', {'provenance': {}, 'time': {'total_s': 1, 'attribution': {'wait': {'x': 'y'}, 'dense': 1}}, 'contract': {'unit': None}, 'cache': []})
    for name in ('odd', 'odd-run'):
        report(check, 'a result that lacks most', here.at(name))


def main():
    check = tool.Check('report')
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        check_run(check, here)
        check_figures(check, here)
        check_still(check, here)
        check_kinds(check, here)
        check_finer(check, here)
        check_evil(check, here)
        check_compare(check, here)
        check_sweep(check, here)
        check_groups(check, here)
        check_failed(check, here)
        check_wrong(check, here)
    check.close()


if __name__ == '__main__':
    main()
