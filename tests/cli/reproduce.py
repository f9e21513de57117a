"""expertsim reproduce: the table of configs/seeds/README.md is what it prints, and its claims file is checked like any input.

    reproduce.py --update       writes the table anew (every claim, as many runs as the claims file says)
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

FOLDER = os.path.join(ROOT, 'configs', 'seeds')
README, CLAIMS = os.path.join(FOLDER, 'README.md'), os.path.join(FOLDER, 'claims.json')
BEGIN, END = '<!-- begin: expertsim reproduce --markdown -->\n', '<!-- end -->\n'

WRONG = [
    ('[', 2, 'line 1'),
    ('{"rows": []}', 2, 'it has no rows'),
    ('{"rows": [{"id": "a", "value": "1"}]}', 2, 'rows.0: needs texts seed, id and value'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "1", "refuted": true}]}', 2, 'rows.0: refuted is true beside a claim, or is left out'),
    ('{"rows": [{"seed": "1", "id": "a", "claimed": 1, "value": "1", "refuted": "yes"}]}', 2, 'rows.0: refuted is true beside a claim, or is left out'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "1 +"}]}', 2, 'rows.0: "1 +": a number, a path or a parenthesis should stand at ""'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "1 / 0"}]}', 2, 'rows.0: "1 / 0": divides by 0'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "cache.hits"}]}', 2, 'the report has nothing at cache.hits, not a number'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "links[dram-disk].operations"}]}', 2, 'the report has nothing at links.dram-disk.operations, not a number'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "links[dram-disk"}]}', 2, '"links[dram-disk": a bracket is not closed'),
    ('{"rows": [{"seed": "1", "id": "a", "value": "links[' + 'x' * 130 + ']"}]}', 2, 'a path is longer than 127 characters'),
    ('{"rows": [{"seed": "1", "id": "a", "experiment": "x", "value": "1"}]}', 2, 'row a: there is no experiment "x"'),
    ('{"experiments": {"x": {}}, "rows": [{"seed": "1", "id": "a", "experiment": "x", "value": "1"}]}', 2, 'experiments.x: is missing or names no config'),
    ('{"experiments": {"x": {"config": "absent.json", "as_coded": []}}, "rows": [{"seed": "1", "id": "a", "experiment": "x", "value": "1"}]}', 2, 'absent.json'),
]


def run(*args):
    return subprocess.run([tool.TOOL, 'reproduce', '--quiet'] + list(args), capture_output=True, text=True)


def table(*args):
    done = run('--claims', CLAIMS, '--markdown', *args)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def update():
    text = open(README).read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(README, 'w') as f:
        f.write(before + BEGIN + '\n' + table() + '\n' + END + after)


def main():
    if '--update' in sys.argv:
        update()
        return
    check = tool.Check('reproduce')
    printed = open(README).read().split(BEGIN)[1].split(END)[0].strip('\n')
    check.equal('configs/seeds/README.md', printed, table().strip('\n'))
    rows = json.loads(run('--claims', CLAIMS, '--json', '-n', '2', '001').stdout)['rows']
    check.equal('rows of one seed', {row['seed'] for row in rows}, {'001'})
    check.equal('two runs each', {row['as_coded']['n'] for row in rows if row.get('experiment')}, {2})
    check.equal('verdicts', {row['verdict'] for row in rows} <= {'reproduced', 'not reproduced', 'cannot be run', 'baseline'}, True)
    for row in rows:
        figures = [row['as_coded'], row['as_documented']]
        check.equal('shape of %s' % row['id'], ({'seed', 'id', 'claimed', 'as_coded', 'as_documented', 'verdict'} <= set(row),
                    all(one is None or {'mean', 'sd', 'n'} <= set(one) for one in figures), (row['claimed'] is None) == (row['verdict'] == 'baseline')), (True, True, True))
    check.equal('some rows have no documented rule', {row['as_documented'] is None for row in rows}, {True, False})
    upstream = [row['id'] for row in json.loads(run('--claims', CLAIMS, '--json', '-n', '1', '003').stdout)['rows'] if row['verdict'] == 'refuted upstream']
    check.equal('what its own project refutes', upstream, ['throughput', 'heaps_acquired'])
    check.equal('an unknown seed', (run('--claims', CLAIMS, '999').returncode, 'it has no rows of seed 999' in run('--claims', CLAIMS, '999').stderr), (2, True))
    check.equal('a number of runs that is none', run('--claims', CLAIMS, '-n', '0').returncode, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'claims.json')
        for text, code, words in WRONG:
            with open(path, 'w') as f:
                f.write(text)
            done = run('--claims', path)
            check.equal(text, (done.returncode, done.stdout, len(done.stderr.splitlines()), bool(re.search(re.escape(words), done.stderr)) or done.stderr), (code, '', 1, True))
    check.close()


if __name__ == '__main__':
    main()
