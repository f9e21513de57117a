"""docs/read_result.py, the reader that README shows: 20 lines that print of a fresh result.h5 what result.json says.

It needs h5py, of the python that EXPERTSIM_TORCH names or of this one. Where neither has it, h5dump reads the same numbers.
"""
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

READER = os.path.join(ROOT, 'docs', 'read_result.py')
PYTHON = os.environ.get('EXPERTSIM_TORCH') or sys.executable
OBSERVERS = 'observers=["summary","coverage","latency","traffic","memory","tables","series","attribution"]'
RUNS = {'timed': ['configs/quickstart.json', '--set', OBSERVERS], 'guesses': ['configs/quickstart.json', '--set', 'predictor=previous_token', '--set', OBSERVERS],
        'untimed': ['configs/quickstart.json', '--set', 'clock=none'], 'buffers': ['configs/seeds/003-metal-pool.json']}


def python_reads():
    return subprocess.run([PYTHON, '-c', 'import h5py'], capture_output=True).returncode == 0


def flat(value, before=''):
    """{path: number} of nested objects."""
    if not isinstance(value, dict):
        return {before: value}
    return {path: leaf for key, one in value.items() for path, leaf in flat(one, before + '.' + key if before else key).items()}


# ---- three ways to the same: {'summary': [name, cache, time], 'config':, 'tables': {NAME: (rows, {column: sum})}, 'hist': {NAME: rows}} ----

def by_reader(path):
    found = {'tables': {}, 'hist': {}}
    for line in tool.command([PYTHON, READER, path]).splitlines():
        kind, rest = line.split(' ', 1)
        if kind == 'run':
            name, said = rest.split(' ', 1)
            found['summary'] = [name, json.loads(said)['cache'], json.loads(said)['time']]
        elif kind == 'config':
            found['config'] = json.loads(rest)
        elif kind == 'table':
            name, rows, sums, units = re.fullmatch(r'(\S+) (\d+) rows (\{.*?\}) in (\{.*\})', rest).groups()
            found['tables'][name] = int(rows), json.loads(sums)
            found.setdefault('units', {}).update(json.loads(units))
        else:
            name, units, rows = rest.split(' ', 2)
            found['hist'][name] = [tuple(row) for row in json.loads(rows)]
    return found


def dumped(path, data):
    with tempfile.NamedTemporaryFile() as raw:
        tool.command(['h5dump', '-d', data, '-b', '-o', raw.name, path])
        return json.loads(raw.read().decode())


def dumped_rows(path, data):
    """Names of the columns and all rows of a table."""
    text = tool.command(['h5dump', '-y', '-A', '0', '-d', data, path])
    names = re.findall(r'H5T_\S+ "([^"]+)";', text.split('DATASPACE')[0])
    numbers = [int(number) for number in re.findall(r'-?\d+', text.split('DATA {', 1)[1])]
    return names, list(zip(*[iter(numbers)] * len(names)))


def by_h5dump(path):
    summary = dumped(path, '/summary')
    found = {'summary': [summary['name'], summary.get('cache'), summary['time']], 'config': dumped(path, '/config/resolved'), 'tables': {}, 'hist': {}}
    for name in re.findall(r'dataset\s+(/(?:tables|attribution|hist)/\S+)', tool.command(['h5dump', '-n', path])):
        columns, rows = dumped_rows(path, name)
        if name.startswith('/hist/'):
            found['hist'][name] = rows
        else:
            found['tables'][name] = len(rows), dict(zip(columns, (sum(column) for column in zip(*rows))))
    return found


# ---- what has to come out ----

def checked(check, what, found, result):
    """Numbers of result.h5 beside those of result.json."""
    cache, time, tables = result.get('cache'), result['time'], found['tables']
    check.equal(what + ': name, cache and time', found['summary'], [result['name'], cache, time])
    check.equal(what + ': config', found['config'], result['provenance']['config'])
    if not cache:
        check.equal(what + ': no tables and no histograms of experts', (tables, found['hist']), ({}, {}))
        return
    for table, part in (('layers', cache), ('requests', cache), ('tokens', cache['decode'])):
        for column in ('lookups', 'hits', 'late'):
            check.equal('%s: %s of %s' % (what, column, table), tables['/tables/' + table][1][column], part[column])
    check.equal(what + ': bytes of layers', tables['/tables/layers'][1]['fetched_bytes'], cache['fetched_bytes'])
    check.equal(what + ': rows of tokens', tables['/tables/tokens'][0], result['traffic']['decode_tokens'])
    check.equal(what + ': coverage', tables['/tables/layers'][1]['perfect'] >= result['coverage']['perfect'] > 0, True)
    if time['total_s'] is None:
        return
    check.equal(what + ': stall', tables['/tables/requests'][1]['stall_ns'], round(time['stall_s'] * 1e9))
    latency = found['hist']['/hist/token_latency_ns']
    check.equal(what + ': values of the histogram', sum(count for _, _, count in latency), time['token_latency_s']['samples'])
    longest = time['token_latency_s']['max'] * 1e9
    check.equal(what + ': its last bin has the longest token', latency[-1][0] <= round(longest) < latency[-1][1], True)
    for group, tables_of in (('causes', ('layers', 'requests', 'series')), ('path', ('requests', 'series')), ('decode_causes', ('tokens',)), ('decode_path', ('tokens',))):
        want = {('path.' if 'path' in group else '') + key: round(value * 1e9) for key, value in flat(result['attribution'][group]).items() if value}
        for table in tables_of:
            got = {key: value for key, value in tables['/attribution/' + table][1].items() if key in want}
            check.equal('%s: %s of /attribution/%s' % (what, group, table), got, want)


def main():
    ways = ([by_reader] if python_reads() else []) + ([by_h5dump] if shutil.which('h5dump') else [])
    if by_reader not in ways:
        print('SKIP: docs/read_result.py is not run: %s has no h5py' % PYTHON)
    if not ways:
        sys.exit(77)
    check = tool.Check('read_result')
    check.equal('lines of docs/read_result.py', sum(1 for line in open(READER) if line.strip()) <= 20, True)
    with tempfile.TemporaryDirectory() as folder:
        for what, args in RUNS.items():
            out = os.path.join(folder, what)
            tool.command([os.path.abspath(tool.TOOL), 'run', *args, '--out', out, '-q'], cwd=ROOT)
            with open(os.path.join(out, 'result.json')) as file:
                result = json.load(file)
            for way in ways:
                found = way(os.path.join(out, 'result.h5'))
                checked(check, '%s, %s' % (what, way.__name__), found, result)
                if 'units' in found:
                    check.equal(what + ': units', (found['units']['hits'], found['units']['fetched_bytes'], found['units']['stall_ns']), ('1', 'B', 'ns'))
    check.close()


if __name__ == '__main__':
    main()
