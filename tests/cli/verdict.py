"""expertsim verdict: a constructed config for each verdict, which what it recommends then proves by real runs; documented keys; wrong input
as a run says it.

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
        elif isinstance(one, list) and one and isinstance(one[0], dict):
            yield from leaves(one[0], before)
        else:
            yield before + key


def run(folder, *sets):
    """The config that was judged, with something changed."""
    words = [word for key, value in sets for word in ('--set', '%s=%s' % (key, value if isinstance(value, str) else json.dumps(value)))]
    done = subprocess.run([tool.TOOL, 'run', 'config.json', '--json'] + words, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit('%s: %s\n%s' % (sets, done.stderr, open(os.path.join(folder, 'config.json')).read()))
    return json.loads(done.stdout)


LRU = (('policy', 'lru'), ('predictor', 'none'), ('clock', 'none'))
BELADY = (('policy', {'name': 'belady', 'bypass': True}),)
ORACLE = BELADY + (('predictor', {'name': 'noisy_oracle', 'accuracy': 1}), ('compute.protect_guesses', True))


def saved(now, then):
    return 1 - then['time']['total_s'] / now['time']['total_s']


def same(check, what, said, then):
    """The marginal value that was printed is that of a real run."""
    check.equal(what + ': hit rate', said['hit_rate'], then['cache']['hit_rate'])
    if said['total_s'] is not None:
        check.equal(what + ': time', (said['total_s'], said['tokens_per_s']), (then['time']['total_s'], then['time']['tokens_per_s']))


def grown(one, counts):
    return ('tiers.%s.capacity' % one['tier'], '%d%s' % (one['capacity'], 'B' if counts == 'bytes' else 'slots'))


def measured(check, folder, what, got):
    """What is said of LRU, Belady, one more GiB and the layers, against runs."""
    check.equal(what + ': lru', got['hit_rate']['lru'], run(folder, *LRU)['cache']['hit_rate'])
    if 'belady' in got['hit_rate']:
        check.equal(what + ': belady', got['hit_rate']['belady'], run(folder, *(LRU + BELADY))['cache']['hit_rate'])
    more = got['one_more_gib']
    if more['capacity'] is not None:
        bigger = grown(more, got['size']['counts'])
        same(check, what + ': one more GiB', more, run(folder, bigger))
        check.equal(what + ': lru with it', more['lru'], run(folder, bigger, *LRU)['cache']['hit_rate'])
        check.equal(what + ': belady with it', more['belady'], run(folder, bigger, *(LRU + BELADY))['cache']['hit_rate'])
    for one in more['others']:
        same(check, what + ': one more GiB of ' + one['tier'], one, run(folder, grown(one, got['size']['counts'])))
    split = got['layer_split']
    if split['best'] is not None:
        layers = LRU + (('contract.scope', 'layer'), ('tiers.cache.capacity', '%dslots' % split['total']))
        check.equal(what + ': best division', split['best'], run(folder, ('contract.quota', split['slots']), *layers)['cache']['hit_rate'])
        check.equal(what + ': equal shares', split['equal'], run(folder, ('contract.quota', 'remainder_low'), *layers)['cache']['hit_rate'])


def true(check, folder, what, got):
    """The verdict is what real runs say."""
    now, gain = run(folder), got['gain']
    timed = got['decided_by'] == 'time'
    more = got['one_more_gib']
    bigger = run(folder, grown(more, got['size']['counts'])) if more['capacity'] is not None else now
    known = min(run(folder, ('compute.lookahead', n), *ORACLE)['time']['total_s'] for n in (1, 4, 16)) if timed else None
    faster = run(folder, ('channels.pcie.timing', {'name': 'constant', 'time': '1us'})) if timed else None
    if timed:
        check.equal(what + ': bracket', got['time']['lower_bound_s'] <= got['time']['clairvoyant_s'] <= min(known, now['time']['total_s']), True)
        check.equal(what + ': gain by size', gain['size'], saved(now, bigger) if more['capacity'] is not None else None)
    if got['verdict'] == 'policy' and timed:
        check.equal(what + ': is to be had', 1 - known / now['time']['total_s'] >= 0.10 and gain['policy'] >= max(gain['size'] or 0, 0.10), True)
    if got['verdict'] == 'policy' and not timed:
        check.equal(what + ': is to be had', run(folder, *(LRU + BELADY))['cache']['hit_rate'] - now['cache']['hit_rate'], gain['policy'])
    if got['verdict'] == 'size' and timed:
        check.equal(what + ': is to be had', saved(now, bigger) == gain['size'] >= 0.05 and gain['size'] > gain['policy'], True)
    if got['verdict'] == 'size' and not timed:
        check.equal(what + ': is to be had', bigger['cache']['hit_rate'] - now['cache']['hit_rate'] == gain['size'] >= 0.02, True)
    if got['verdict'] == 'link':
        check.equal(what + ': not by foresight or size', (1 - known / now['time']['total_s'] < 0.10, saved(now, bigger) < 0.05), (True, True))
        check.equal(what + ': but by a faster link', saved(now, faster) >= 0.10, True)
    if got['verdict'] == 'compute':
        check.equal(what + ': nothing is left', 1 - run(folder, ('bounds', True))['bounds']['all_resident_s'] / now['time']['total_s'] <= 0.05, True)
    if got['verdict'] == 'nothing helps' and timed:
        check.equal(what + ': indeed', (1 - known / now['time']['total_s'] < 0.10, saved(now, bigger) < 0.05, saved(now, faster) < 0.10), (True, True, True))
    if got['verdict'] == 'nothing helps' and not timed:
        best = run(folder, *(LRU + BELADY))['cache']['hit_rate']
        check.equal(what + ': indeed', (best - now['cache']['hit_rate'] < 0.05, bigger['cache']['hit_rate'] - now['cache']['hit_rate'] < 0.02), (True, True))
    if got['verdict'] == 'layer split':
        divided = run(folder, ('contract.quota', got['layer_split']['slots']))
        same(check, what, got['layer_split'], divided)
        check.equal(what + ': gain', gain['layer_split'], saved(now, divided) if timed else divided['cache']['hit_rate'] - now['cache']['hit_rate'])
        check.equal(what + ': is to be had', gain['layer_split'] >= (0.05 if timed else 0.02), True)


def out_of_core():
    """A cycle of 9 through 2 slots and 6 below them, which one more slot of either makes 9."""
    value = config('cycle9.csv', capacity='2slots', contract='event_atomic')
    value['tiers'] = {'cache': {'capacity': '2slots', 'compute': 'gpu', 'demote': 'dram'}, 'dram': {'capacity': '6slots', 'exclusive': True}, 'disk': {'home': True}}
    value['channels']['ssd'] = {'timing': {'name': 'constant', 'time': '40ms'}}
    value['links'] = [{'from': 'dram', 'to': 'cache', 'channels': ['pcie']}, {'from': 'disk', 'to': 'cache', 'channels': ['ssd']}]
    return value


def machines(check, folder):
    """What is printed of LRU, Belady and one more GiB is what runs say, under every contract and division of which there are curves."""
    layers = {'trace': 'layers.csv', 'expert': '512MiB', 'capacity': '5slots', 'clock': 'none'}
    for contract in ('event_atomic', 'after_batch', 'keep_best', 'serialized', {'scope': 'layer'}, {'scope': 'layer', 'quota': 'remainder_low'}, {'scope': 'layer', 'quota': 'round'},
                     {'scope': 'layer', 'quota': [4, 1]}, {'scope': 'layer', 'judge': 'serialized'}, {'reset': 'request'}, {'skip_tokens': 8}):
        for capacity in ('5slots', '2560MiB'):
            if isinstance(contract, dict) and isinstance(contract.get('quota'), list) and capacity != '5slots':
                continue
            done = call(folder, config(**dict(layers, contract=contract, capacity=capacity)), '--json')
            check.equal('%s: exit' % contract, (done.returncode, done.stderr), (0, ''))
            measured(check, folder, '%s, %s' % (contract, capacity), json.loads(done.stdout))
    listed = json.loads(call(folder, config(**dict(layers, contract={'scope': 'layer', 'quota': [4, 1]})), '--json').stdout)
    check.equal('best division already: nothing to gain', (listed['gain']['layer_split'], listed['verdict']), (0, 'nothing helps'))
    check.equal('quotas one by one', (listed['one_more_gib']['capacity'], 'one by one' in listed['one_more_gib']['reason']), (None, True))
    large = json.loads(call(folder, config(**dict(layers, expert='2GiB')), '--json').stdout)
    check.equal('less than one expert', (large['one_more_gib']['capacity'], large['gain']['size'], large['one_more_gib']['reason']), (None, None, 'it is less than one expert'))
    timed = json.loads(call(folder, out_of_core(), '--json').stdout)
    check.equal('both tiers', [timed['one_more_gib']['tier']] + [one['tier'] for one in timed['one_more_gib']['others']], ['cache', 'dram'])
    check.equal('the slowest link', (timed['time']['link_from'], timed['time']['link_to']), ('dram', 'cache'))


def weak(check, folder):
    """Little is known, and it says what."""
    short = call(folder, config('short.csv'), '--json', '--out', os.path.join(folder, 'kept'))
    check.equal('63 tokens', 'Warning: only 63 tokens' in short.stdout, True)
    check.equal('kept', open(os.path.join(folder, 'kept', 'verdict.json')).read(), short.stdout)
    said = call(folder, config('prompt.csv')).stdout
    check.equal('a prompt alone has no tokens/s', ('The run takes 91 ms; ' in said, 'nan' in said), (True, False))
    home = config('cycle9.csv')
    home['tiers'], home['links'] = {'host': {'home': True, 'compute': 'gpu'}}, []
    got = json.loads(call(folder, home, '--json').stdout)
    check.equal('nothing to size', (got['verdict'], got['one_more_gib']['reason'], got['hit_rate']['reason']), ('compute',) + ('no tier serves within a capacity',) * 2)
    unknown = config('cycle9.csv', clock='none')
    del unknown['model']
    got = json.loads(call(folder, unknown, '--json').stdout)
    check.equal('nobody says bytes', (got['verdict'], got['gain']['size'], got['one_more_gib']['reason']), ('policy', None, 'nobody says what an expert weighs'))
    got = json.loads(call(folder, config('router.csv', router={'name': 'max_rank', 'experts': 1, 'keep': 0, 'within': 2}), '--json').stdout)
    why = 'the router decides by what is resident'
    check.equal('closed loop', (got['hit_rate']['reason'], got['time']['reason'], got['gain']['policy'], got['size']['demand']), (why, why, None, None))
    check.equal('but one more GiB is a run', got['one_more_gib']['total_s'], run(folder, ('tiers.cache.capacity', '9slots'))['time']['total_s'])
    got = json.loads(call(folder, config('cycle9.csv', training={'steps': 'all'}), '--json').stdout)
    check.equal('training', (got['decided_by'], got['verdict'], got['time']['reason'], got['gain']['policy']), ('time', 'size', 'steps train', None))


def refused(check, folder):
    """As a run refuses it."""
    machineless, roomless = config('cycle9.csv'), config('cycle9.csv')
    del machineless['channels'], machineless['links'], roomless['tiers']['cache']['capacity']
    tierless = {key: value for key, value in config('cycle9.csv').items() if key != 'tiers'}
    cases = (('no trace', config('none.csv')), ('empty file', config('empty.csv')), ('no rows', config('rowless.csv')), ('no machine', machineless),
             ('no capacity', roomless), ('no tiers', tierless), ('nothing is replayed', config('prompt.csv', contract={'prefill': 'skip'})))
    for what, value in cases:
        bad = call(folder, value)
        ran = subprocess.run([tool.TOOL, 'run', 'config.json'], capture_output=True, text=True, cwd=folder)
        check.equal(what + ': exit', (bad.returncode, bad.stdout), (2, ''))
        check.equal(what + ': as a run says it', bad.stderr.replace(folder + '/', ''), ran.stderr.replace(folder + '/', ''))


def main():
    check = tool.Check('verdict')
    documented = set(re.findall(r'`([a-z_.]+)`', open(os.path.join(ROOT, 'docs', 'verdict.md')).read()))
    with tempfile.TemporaryDirectory() as folder:
        write(folder, 'cycle9.csv', [[t % 9] for t in range(720)])
        write(folder, 'cycle12.csv', [[t % 12] for t in range(720)])
        write(folder, 'walk.csv', [[t] for t in range(200)])
        write(folder, 'layers.csv', [[t % 4, 0] for t in range(400)])
        write(folder, 'short.csv', [[t % 9] for t in range(63)])
        write(folder, 'rowless.csv', [])
        open(os.path.join(folder, 'empty.csv'), 'w').close()
        with open(os.path.join(folder, 'prompt.csv'), 'w') as f:
            f.writelines(['request_id,token_index,phase,layer,e0\n'] + ['0,%d,P,0,%d\n' % (t, t % 9) for t in range(100)])
        with open(os.path.join(folder, 'router.csv'), 'w') as f:
            f.writelines(['request_id,token_index,phase,layer,e0,e1,w0,w1\n'] + ['0,%d,D,0,%d,%d,0.6,0.4\n' % (t, t % 12, (t + 5) % 12) for t in range(300)])
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
            ('layer split', 'time', config('layers.csv', expert='8GiB', capacity='6slots', contract={'preset': 'event_atomic', 'scope': 'layer'})),
            ('size', 'time', out_of_core()),
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
            measured(check, folder, what, got)
            true(check, folder, what, got)
            if 'cycle9' in value['trace']['path'] and len(value['tiers']) == 2:
                check.equal(what + ': hits', (got['hit_rate']['achieved'], got['one_more_gib']['hit_rate']), (0, 711 / 720))
        machines(check, folder)
        weak(check, folder)
        refused(check, folder)
    check.close()


if __name__ == '__main__':
    main()
