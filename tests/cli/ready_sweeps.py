"""The sweeps that come with the tool: each asks one question, all of it can be planned, and a shrunken form runs through and collects.

Shrunken: the first and the last value of every axis, one replication, and where the trace is the sample's a short one of the same shape.
"""
import csv
import glob
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

SHORT = {'source': {'name': 'synthetic', 'layers': 24, 'experts': 32, 'top_k': 4, 'requests': 1, 'prompt_tokens': 4, 'decode_tokens': 8, 'seed': 1}}


def ends(axis):
    if isinstance(axis, list):
        return axis[:1] + axis[1:][-1:]
    out = dict(axis)
    for key in ('values', 'labels'):
        if key in out:
            out[key] = out[key][:1] + out[key][1:][-1:]
    if 'from' in out:
        out.pop('step', None)
        out['count'] = 2
    return out


def linked(to):
    """A tree in which sweeps can lie beside the originals, so that what they name is found."""
    for path in ['models', 'traces'] + glob.glob('configs/*.json', root_dir=ROOT) + glob.glob('configs/seeds/*', root_dir=ROOT):
        os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
        os.symlink(os.path.join(ROOT, path), os.path.join(to, path))
    os.makedirs(os.path.join(to, 'configs', 'sweeps'))


def shrunken(path):
    with open(path) as f:
        sweep = json.load(f)
    sweep['axes'] = {name: ends(axis) for name, axis in sweep['axes'].items()}
    if 'replications' in sweep:
        sweep['replications']['count'] = 1
    base = sweep['base'] if isinstance(sweep['base'], str) else sweep['base'].get('include', '')
    own = json.dumps(sweep['base']) + (open(os.path.join(os.path.dirname(path), base)).read() if base else '')
    if 'samples/quickstart.h5' in own:
        sweep['replications'] = {'traces': [SHORT]}
    return sweep


def main():
    check = tool.Check('ready_sweeps')
    files = sorted(glob.glob(os.path.join(ROOT, 'configs', 'sweeps', '*.json')) + glob.glob(os.path.join(ROOT, 'configs', 'seeds', '*-sweep.json')))
    readme = open(os.path.join(ROOT, 'README.md')).read()
    questions = set()
    for path in files:
        name = os.path.basename(path)
        plan = json.loads(sweeps.fine('plan', path, '--json'))
        questions.add(plan['brief'])
        check.equal(name + ': one question', re.fullmatch(r'[A-Z][^.?!]*(\.\d[^.?!]*)*\?', plan['brief'] or '') is not None, True)
        check.equal(name + ': name', plan['name'], name[:-5])
        check.equal(name + ': points', plan['counts']['points'] >= 6, True)
        check.equal(name + ': stands in README.md', name in readme or 'configs/seeds/' in path, True)
        with tempfile.TemporaryDirectory() as folder:
            linked(folder)
            small = os.path.join(folder, os.path.relpath(os.path.dirname(path), ROOT), 'small.json')
            with open(small, 'w') as f:
                json.dump({**shrunken(path), 'name': 'small'}, f)
            folder = os.path.join(folder, 'out')
            sweeps.fine('run', small, '-o', folder, '-q')
            sweeps.fine('collect', folder, '-q')
            with open(os.path.join(folder, 'table.csv'), newline='') as f:
                rows = list(csv.DictReader(f))
            count = len(json.load(open(os.path.join(folder, 'plan.json')))['points'])
            check.equal(name + ': all points', (len(rows), len(rows) >= 2), (count, True))
            rates = [row['hit_rate'] for row in rows]
            check.equal(name + ': hit rates', all(rate and 0 <= float(rate) <= 1 for rate in rates), True)
            if name.startswith('policies'):
                compared = sweeps.found('compare', folder, '--by', 'policy', '--no-bounds')
                check.equal(name + ': policies are compared by tokens', (compared['unit'], compared['groups'][0]['units'] >= 8), ('token', True))
    check.equal('questions differ', len(questions), len(files))
    check.equal('kinds of machine', {'policies-pcie3.json', 'policies.json', 'policies-pcie5.json', 'policies-c2c.json', 'policies-unified.json', 'policies-disk.json',
                                     'policies-phone.json', 'precision.json', 'prefetch.json', 'capacity.json'} <= {os.path.basename(path) for path in files}, True)
    check.close()


if __name__ == '__main__':
    main()
