"""expertsim verdict: a constructed config for each verdict, documented keys, and wrong input as a run says it.

The traces are cycles and walks of one expert a token, in which LRU, Belady and one more GiB (one more slot where an expert weighs that) are
known by hand: LRU with N slots hits nothing in a cycle of N + 1.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool


def write(folder, name, rows):
    """rows: for each token the expert of each layer."""
    with open(os.path.join(folder, name), 'w') as f:
        f.write('request_id,token_index,phase,layer,e0\n')
        for token, experts in enumerate(rows):
            for layer, expert in enumerate(experts):
                f.write('0,%d,D,%d,%d\n' % (token, layer, expert))


def config(trace, expert='1GiB', capacity='8slots', clock='simulated', copy='10ms', compute='1ms', **more):
    value = {
        'name': 'constructed', 'trace': {'path': trace}, 'model': {'expert_bytes': expert}, 'clock': clock, 'bounds': False, 'policy': 'lru',
        'tiers': {'cache': {'capacity': capacity, 'compute': 'gpu'}, 'host': {'home': True}}, 'contract': 'event_atomic',
    }
    if clock == 'simulated':
        value['channels'] = {'pcie': {'timing': {'name': 'constant', 'time': copy}}, 'gpu': {'timing': {'name': 'compute', 'expert': compute}}}
        value['links'] = [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}]
    value.update(more)
    return value


def call(folder, value, *args):
    path = os.path.join(folder, 'config.json')
    with open(path, 'w') as f:
        json.dump(value, f)
    return subprocess.run([tool.TOOL, 'verdict', path, *args], capture_output=True, text=True, cwd=folder)


def leaves(value, before=''):
    for key, one in value.items():
        if isinstance(one, dict):
            yield from leaves(one, before + key + '.')
        else:
            yield before + key


def main():
    check = tool.Check('verdict')
    documented = set(re.findall(r'`([a-z_.]+)`', open(os.path.join(ROOT, 'docs', 'verdict.md')).read()))
    with tempfile.TemporaryDirectory() as folder:
        write(folder, 'cycle9.csv', [[t % 9] for t in range(720)])
        write(folder, 'cycle12.csv', [[t % 12] for t in range(720)])
        write(folder, 'walk.csv', [[t] for t in range(200)])
        write(folder, 'layers.csv', [[t % 4, 0] for t in range(400)])
        write(folder, 'short.csv', [[t % 9] for t in range(63)])
        cases = [
            ('policy', 'time', config('cycle12.csv')),
            ('size', 'time', config('cycle9.csv')),
            ('link', 'time', config('walk.csv')),
            ('compute', 'time', config('cycle12.csv', copy='10us')),
            ('nothing helps', 'time', config('walk.csv', copy='80us')),
            ('policy', 'hit rate', config('cycle12.csv', clock='none')),
            ('size', 'hit rate', config('cycle9.csv', clock='none')),
            ('nothing helps', 'hit rate', config('walk.csv', clock='none')),
            ('layer split', 'hit rate', config('layers.csv', expert='8GiB', capacity='6slots', clock='none', contract={'preset': 'event_atomic', 'scope': 'layer'})),
            ('layer split', 'hit rate', config('layers.csv', expert='8GiB', capacity='6slots', contract={'preset': 'event_atomic', 'scope': 'layer'})),
        ]
        for want, by, value in cases:
            what = '%s by %s' % (want, by)
            done = call(folder, value, '--json')
            check.equal(what + ': exit', (done.returncode, done.stderr), (0, ''))
            if done.returncode:
                continue
            got = json.loads(done.stdout)
            check.equal(what, (got['verdict'], got['decided_by']), (want, by))
            check.equal(what + ': undocumented keys', sorted(set(leaves(got)) - documented), [])
            check.equal(what + ': warning', any('Warning' in s for s in got['sentences']), False)
            lines = call(folder, value).stdout.splitlines()
            check.equal(what + ': lines', lines, got['sentences'])
            check.equal(what + ': few lines', 2 <= len(lines) <= 24, True)
            if 'cycle9' in value['trace']['path']:
                check.equal(what + ': hits', (got['hit_rate']['achieved'], got['one_more_gib']['hit_rate']), (0, 711 / 720))
        short = call(folder, config('short.csv'), '--json', '--out', os.path.join(folder, 'kept'))
        check.equal('63 tokens', 'Warning: only 63 tokens' in short.stdout, True)
        check.equal('kept', open(os.path.join(folder, 'kept', 'verdict.json')).read(), short.stdout)
        bad = call(folder, config('none.csv'))
        run = subprocess.run([tool.TOOL, 'run', 'config.json'], capture_output=True, text=True, cwd=folder)
        check.equal('no trace: exit', (bad.returncode, bad.stdout), (2, ''))
        check.equal('no trace: as a run says it', bad.stderr.replace(folder + '/', ''), run.stderr.replace(folder + '/', ''))
    check.close()


if __name__ == '__main__':
    main()
