"""Collecting sweeps: one table whoever made the points and when, with the numbers of the results; the suites of seed 002 as sweeps."""
import csv
import glob
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
from sweeps import BASE, CAPACITY, TOOL, Folder, call, fine

SEEDS = os.path.join(ROOT, 'configs', 'seeds')


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def collected(folder, out, name):
    """The bytes of both tables."""
    fine('collect', folder.at(out), '-o', folder.at(name), '-q')
    return read(folder.at(name + '.h5')), read(folder.at(name + '.csv'))


def rows(path):
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def alike(check, folder):
    """In one go, in parts, by one process or many, in any order: the same bytes."""
    path = folder.sweep({'policy': ['lru', {'name': 'lfu', 'counts': 'resident'}], CAPACITY: ['8slots', '25%'], 'compute.lookahead': [1, 2]}, replications={'count': 3, 'vary': ['trace.source.seed']})
    fine('run', path, '-o', folder.at('one'), '-j', '1')
    want = collected(folder, 'one', 'one')
    fine('run', path, '-o', folder.at('many'), '-j', '5')
    check.equal('by several processes', collected(folder, 'many', 'many') == want, True)
    for count in (2, 5):
        for i in reversed(range(count)):
            fine('run', path, '-o', folder.at('parts%d' % count), '--shard', '%d/%d' % (i, count))
        check.equal('in %d parts' % count, collected(folder, 'parts%d' % count, 'parts') == want, True)
    fine('run', path, '-o', folder.at('later'), '--shard', '1/3')
    done = call('collect', folder.at('later'))
    check.equal('not all of it', (done.returncode, done.stderr, os.listdir(folder.at('later')).count('table.h5')),
                (2, 'expertsim: %s: 16 of 24 points are not there; run the sweep again, or take what there is with --partial\n' % folder.at('later'), 0))
    fine('collect', folder.at('later'), '--partial', '-o', folder.at('some.csv'))
    check.equal('what there is', [r['id'] for r in rows(folder.at('some.csv'))], [r['id'] for r in rows(folder.at('one.csv'))][1::3])
    check.equal('in both forms', os.path.exists(folder.at('some.h5')), True)
    fine('run', path, '-o', folder.at('later'))
    check.equal('gone on', collected(folder, 'later', 'later') == want, True)
    fine('collect', folder.at('one'))
    fine('collect', folder.at('many'))
    check.equal('beside the points, with links to them', read(folder.at('one', 'table.h5')) == read(folder.at('many', 'table.h5')) != want[0], True)
    check.equal('with the same rows', read(folder.at('one', 'table.csv')), want[1])
    if shutil.which('h5dump'):
        link = subprocess.run(['h5dump', '-n', folder.at('one', 'table.h5')], capture_output=True, text=True).stdout
        check.equal('links', len(re.findall(r'ext link +/results/[0-9a-f]{16} -> points/', link)), 24)


def numbers(check, folder):
    """Rows have what the results say."""
    path = folder.sweep({'policy': ['lru', 'lfu'], 'size': {'path': CAPACITY, 'values': ['8slots', '25%'], 'labels': ['a, "b"', 'c']}, 'compute.guess_confidence': [0.5, 1]},
                        metrics={'hits': 'cache.hits', 'rate': 'cache.hits / cache.lookups', 'late': 'time.token_latency_s.p95', 'none': 'bounds.belady_hits', 'nothing': '1 / cache.late'})
    fine('run', path, '-o', folder.at('numbers'))
    collected(folder, 'numbers', 'numbers')
    got = rows(folder.at('numbers.csv'))
    check.equal('columns', list(got[0]), ['id', 'point', 'policy', 'size', CAPACITY, 'compute.guess_confidence', 'hits', 'rate', 'late', 'none', 'nothing'])
    plan = json.loads(read(folder.at('numbers', 'plan.json')))
    check.equal('in the order of the plan', [[r['id'], int(r['point']), r['policy'], r['size'], r[CAPACITY], float(r['compute.guess_confidence'])] for r in got], plan['points'])
    for r in got:
        want = json.loads(tool.command([TOOL, 'rerun', folder.at('numbers', 'points', r['id'] + '.h5'), '--json']))
        check.equal('row of ' + r['id'], (float(r['hits']), float(r['rate']), float(r['late']), r['none'], r['nothing']),
                    (want['cache']['hits'], want['cache']['hits'] / want['cache']['lookups'], want['time']['token_latency_s']['p95'], '', ''))
    folder.sweep({'seed': [1]}, metrics={'a': 'cache.hits', 'b': 'cache.hit * 2'})
    fine('run', folder.at('sweep.json'), '-o', folder.at('unknown'))
    done = call('collect', folder.at('unknown'))
    check.equal('what no result has', (done.returncode, done.stderr), (2, 'expertsim: metrics.b: no result has cache.hit; docs/results.md lists what there is\n'))
    path = folder.sweep({'observers': [['summary'], ['summary', 'coverage']]}, metrics={'perfect': 'coverage.perfect'})
    fine('run', path, '-o', folder.at('half'))
    collected(folder, 'half', 'half')
    check.equal('what only some have', [bool(r['perfect']) for r in rows(folder.at('half.csv'))], [False, True])


def bins(path, data):
    dump = tool.command(['h5dump', '-y', '-A', '0', '-d', data, path])
    flat = [int(n) for n in re.findall(r'-?\d+', dump.split('DATA {')[1].split('\n   }')[0])]
    columns = len(re.findall(r'H5T_STD_I64LE "', dump.split('DATASPACE')[0]))
    return [tuple(flat[i:i + columns]) for i in range(0, len(flat), columns)]


def histograms(check, folder):
    """Those of replications are added up, bin by bin."""
    path = folder.sweep({'policy': ['lru', 'lfu']}, replications={'count': 4, 'vary': ['trace.source.seed']})
    fine('run', path, '-o', folder.at('hist'))
    collected(folder, 'hist', 'hist')
    for name in ('token_latency_ns', 'token_stall_ns', 'ttft_ns'):
        want = {}
        for row in json.loads(read(folder.at('hist', 'plan.json')))['points']:
            for low, high, count in bins(folder.at('hist', 'points', row[0] + '.h5'), '/hist/' + name):
                want[row[1], low, high] = want.get((row[1], low, high), 0) + count
        check.equal(name, bins(folder.at('hist.h5'), '/hist/' + name), [key + (want[key],) for key in sorted(want)])
        check.equal(name + ' is some', sum(want.values()) > 0, True)


def told(check, folder):
    """What status says, and what is no folder of a sweep."""
    path = folder.write('status.json', {'base': BASE, 'axes': {'contract.skip_tokens': [0, 100000], 'seed': [1, 2]}})
    call('run', path, '-o', folder.at('status'), '-q', '--shard', '0/2')
    check.equal('text', fine('status', folder.at('status')).split(': contract')[0].split(', contract')[0].split('\n')[0], 'status: 1 of 4 points done, 1 failed, 2 left')
    status = json.loads(fine('status', folder.at('status'), '--json'))
    check.equal('json', (status['points'], status['done'], status['left'], [f['what'] for f in status['failed']]), (4, 1, 2, ['contract.skip_tokens=100000, seed=1']))
    check.equal('reason', status['failed'][0]['reason'], 'axes.contract.skip_tokens: contract.skip_tokens: 100000 leaves nothing to count; 88 tokens were replayed')
    for text, said in [('', 'line 1'), ('{}', 'is no plan as'), ('{"name": "a", "columns": [], "metrics": {}, "points": [["../../etc/passwd", 0]]}', 'is no plan as'),
                       ('{"name": "a", "columns": [{"name": "b", "values": "texts"}], "metrics": {}, "points": [["0123456789abcdef", 0]]}', 'is no plan as'),
                       ('{"name": "a", "columns": [{"name": "b", "values": "texts"}], "metrics": {}, "points": [["0123456789abcdef", 0, 3]]}', 'is no plan as')]:
        folder.write('broken/plan.json', text)
        for verb in ('status', 'collect'):
            done = call(verb, folder.at('broken'))
            check.equal('%s of %s' % (verb, text), (done.returncode, said in done.stderr or done.stderr), (2, True))
    done = call('status', folder.path)
    check.equal('no sweep', (done.returncode, done.stderr), (2, 'expertsim: %s: has no plan.json; needs a folder that `expertsim sweep run FILE -o DIR` wrote\n' % folder.path))
    row = json.loads(read(folder.at('one', 'plan.json')))['points'][0]
    torn = folder.at('one', 'points', row[0] + '.h5')
    whole = read(torn)
    with open(torn, 'wb') as f:
        f.write(whole[:len(whole) // 2])
    done = call('collect', folder.at('one'))
    check.equal('a result that is cut', (done.returncode, torn in done.stderr), (2, True))


# ---- what is shipped ----

def shipped(check):
    """Every sweep of configs plans, and says which question it answers."""
    found = 0
    for path in sorted(glob.glob(os.path.join(ROOT, 'configs', '**', '*.json'), recursive=True)):
        sweep = json.load(open(path))
        if 'axes' in sweep:
            found += 1
            check.equal('%s asks a question' % os.path.relpath(path, ROOT), sweep['brief'][-1:], '?')
            check.equal('%s plans' % os.path.relpath(path, ROOT), json.loads(fine('plan', path, '--json'))['counts']['points'] > 1, True)
    check.equal('there are some', found >= 4, True)


EXPERIMENT = {      # of claims.json: sweep, labels of the row
    '002-B k5': ('002-suite-sweep', 'k5', '18MB'), '002-B k10': ('002-suite-sweep', 'k10', '18MB'), '002-B k20': ('002-suite-sweep', 'k20', '18MB'),
    '002-B k5 27 MB': ('002-suite-sweep', 'k5', '27MB'), '002-B k10 27 MB': ('002-suite-sweep', 'k10', '27MB'), '002-B k20 27 MB': ('002-suite-sweep', 'k20', '27MB'),
    '002-B no cache': ('002-suite-sweep', 'no cache', '18MB'),
    **{'002-B sweep k%d' % k: ('002-k-sweep', 'k%d' % k) for k in (1, 3, 5, 10, 15, 20)},
}


def suites(check, folder):
    """The suites of seed 002 as sweeps have the numbers of `expertsim reproduce`, run by run."""
    got = {}
    for name in ('002-suite-sweep', '002-k-sweep'):
        path = os.path.join(SEEDS, name + '.json')
        fine('run', path, '-o', folder.at(name))
        collected(folder, name, name)
        metrics = json.load(open(path))['metrics']
        for row in rows(folder.at(name + '.csv')):
            labels = (name, row.get('setup') or row['k']) + ((row['model.expert_bytes'],) if 'setup' in row else ())
            for metric, formula in metrics.items():
                got.setdefault((labels, formula), []).append(float(row[metric]))
    claims = os.path.join(SEEDS, 'claims.json')
    seen = set()
    for row in json.loads(tool.command([TOOL, 'reproduce', '002', '--json', '--quiet', '--claims', claims]))['rows']:
        if row.get('experiment') not in EXPERIMENT:
            continue
        values = got.get((EXPERIMENT[row['experiment']], row['value']))
        seen.add(row['experiment'])
        check.equal('%s %s' % (row['experiment'], row['id']), values and (sum(values) / len(values), min(values), max(values), len(values)),
                    tuple(row['as_coded'][key] for key in ('mean', 'min', 'max', 'n')))
    check.equal('all experiments', seen, set(EXPERIMENT))


def main():
    check = tool.Check('sweep_collect')
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        alike(check, folder)
        numbers(check, folder)
        if shutil.which('h5dump'):
            histograms(check, folder)
        told(check, folder)
        shipped(check)
        suites(check, folder)
    check.close()


if __name__ == '__main__':
    main()
