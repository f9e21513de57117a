"""`expertsim mrc`: its rows are those of `expertsim run`, the oracles' where real traces are, and what it says of bad input."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
SAMPLE = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')
POLICIES = {'lru': 'lru', 'belady': 'belady', 'belady_bypass': {'name': 'belady', 'bypass': True}, 'static': 'static'}
LAYERS = 24


def call(*args):
    return subprocess.run([TOOL, 'mrc'] + list(args), capture_output=True, text=True, cwd=ROOT)


def rows(*args):
    done = call(*args, '--json')
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def as_run(check, contract, scope, sizes, *more, **contract_more):
    """Rows against single runs; the tool's capacity is that of all layers."""
    said = rows(SAMPLE, '--contract', contract, '--scope', scope, '--sizes', ','.join(map(str, sizes)), '--policies', ','.join(POLICIES), *more)
    check.equal('rows of %s %s' % (contract, scope), [(r['policy'], r['capacity']) for r in said['rows']], [(p, s) for p in POLICIES for s in sizes])
    for row in said['rows']:
        slots = row['capacity'] * (LAYERS if scope == 'layer' else 1)
        cache = tool.run(tool.untimed(SAMPLE, '%dslots' % slots, POLICIES[row['policy']], dict(contract_more, preset=contract, scope=scope)))['cache']
        name = '%s %s %s %d ' % (contract, scope, row['policy'], row['capacity'])
        check.equal(name + 'decode', (row['decode_accesses'], row['decode_hits']), (cache['decode']['lookups'], cache['decode']['hits']))
        check.equal(name + 'all', (row['all_accesses'], row['all_hits']), (cache['lookups'], cache['hits']))
        check.equal(name + 'phase', (row['accesses'], row['hits']), (row['decode_accesses'], row['decode_hits']))


def sizes(check):
    every = rows(SAMPLE)
    check.equal('all sizes', [r['capacity'] for r in every['rows'] if r['policy'] == 'lru'], list(range(1, 769)))
    some = rows(SAMPLE, '--sizes', '50%,100,100slots', '--policies', 'lru')
    check.equal('ascending, each once', [r['capacity'] for r in some['rows']], [100, 384])
    check.equal('some of all', some['rows'], [r for r in every['rows'] if r['policy'] == 'lru' and r['capacity'] in (100, 384)])
    lru = {r['capacity']: r['hits'] for r in every['rows'] if r['policy'] == 'lru'}
    cliff = every['statistics']['cliff_slots']
    check.equal('cliff', (lru[cliff], lru[cliff + 1] > 0), (0, True))
    layer = {r['capacity']: r['decode_hits'] for r in rows(SAMPLE, '--scope', 'layer', '--policies', 'lru')['rows']}
    for split in every['splits']:
        check.equal('division of %d' % split['total_slots'], sum(split['layer_slots']) <= split['total_slots'], True)
        check.equal('no worse than equal', split['best_decode_hits'] >= split['equal_decode_hits'], True)
        if split['total_slots'] % LAYERS == 0:
            check.equal('equal division', split['equal_decode_hits'], layer[split['total_slots'] // LAYERS])
    counted = rows(SAMPLE, '--phase', 'all', '--sizes', '100', '--policies', 'lru')['rows'][0]
    check.equal('phase all', (counted['accesses'], counted['hits']), (counted['all_accesses'], counted['all_hits']))


def bad(check):
    shape = os.path.join(ROOT, 'models', 'shapes', 'gpt-oss-20b.json')
    model, config = ['--model', shape, '--precision', 'mxfp4'], ['--config', os.path.join(ROOT, 'configs', 'quickstart.json')]
    for args, says in [
        (['--policies', 'lruu'], 'did you mean "lru"?'), (['--scope', 'layers'], 'did you mean "layer"?'), (['--contract', 'serialised'], 'did you mean "serialized"?'),
        (['--phase', 'decod'], 'did you mean "decode"?'), (['--reset', 'requests'], 'did you mean "request"?'), (['--prefill', 'whole'], 'union, tokens, tiles:N, skip'),
        (['--sizes', '8,x'], 'found "x"'), (['--sizes', '0'], 'from 1 on'), (['--sizes', '101%'], 'from 0% to 100%'), (['--sizes', '1.5'], 'from 1 on'),
        (['--sizes', ''], 'found ""'), (['--sizes', '0x10'], 'found "0x10"'), (['--sizes', '1e2'], 'found "1e2"'),
        (['--size', '4'], 'did you mean --sizes?'), ([SAMPLE], 'one trace at a time'),
        (['--sizes', '8,,9'], 'found ""'), (['--sizes', '-4'], 'found "-4"'), (['--sizes', '8GiBB'], 'found "8GiBB"'), (['--sizes', '0.01%'], 'from 1 on'),
        (['--sizes', '99999999999'], 'from 1 on'), (model + ['--sizes', '4GiB,8'], '"8" are slots and "4GiB" are bytes'),
        (model + ['--sizes', '1MiB'], 'needs 13219200 for its largest expert'), (['--model', shape], 'name one with --precision'),
        (['--model', shape, '--precision', 'mxfp5'], 'did you mean "mxfp4"'), (['--precision', 'mxfp4'], 'name the model with --model'),
        (['--model', shape.replace('gpt-oss-20b', 'mixtral-8x7b'), '--precision', 'bf16'], 'has 32 experts in a layer, but 8 were asked for (--experts, or the experts of a model)'), (['--model', ''], 'is empty'),
        (['--policies', ''], 'there is no ""'), (['--policies', 'lru,lfuu'], 'did you mean "lfu"?'), (['--policies', 'static_frozen'], '--calibrate-on TRACE'),
        (['--calibrate-on', 'no.h5'], 'no.h5: cannot open'), (['--calibrate-on', ''], 'is empty'), (['--calibrate-on', 'README.md'], 'in no format that is known'),
        (['--config', 'no.json'], 'no.json: cannot open'), (config + ['--set', 'policy=lruu'], 'did you mean "lru"?'),
        (config + ['--set', 'contract.scop=layer'], 'did you mean "scope"?'), (config + ['--set', 'contract.overflow=bypass'], 'no curves: what does not fit'),
        (config + ['--set', 'contract.duplicates=hit'], 'no curves: repeats'), (config + ['--set', 'contract.unit=slice'], 'no curves: experts come in slices'),
        (config + ['--set', 'training.steps=all'], 'no curves: steps train'), (config + ['--set', 'contract.quota=[1]', '--scope', 'layer'], 'quotas of their own'),
        (config + ['--set', 'tiers.cache.capacity=1KiB'], 'smaller than one expert'), (['--set', 'foo'], 'needs PATH=VALUE'),
        (['--set', 'model.expert_bytes=[1,2]'], 'has 2 entries'), (['--json', '--csv'], '--out DIR writes both'), (['--out', ''], 'is empty'), (['--h5', ''], 'is empty'),
        (['--h5', 'no/such/folder.h5'], 'cannot create'), (['--polices', 'lru'], 'did you mean --policies?'), (['--sizes'], 'needs a value'),
    ]:
        done = call(SAMPLE, *args)
        check.equal('exit of %s' % args, (done.returncode, done.stdout), (2, ''))
        check.equal('%s says %s (%s)' % (args, says, done.stderr), says in done.stderr, True)
    unweighed = call(os.path.join(ROOT, 'tests', 'fuzz', 'corpus', 'csv', 'small'), '--sizes', '4GiB')
    check.equal('a size in bytes of who knows what: ' + unweighed.stderr, (unweighed.returncode, 'does not say what an expert weighs' in unweighed.stderr), (2, True))
    check.equal('no trace', call().returncode, 2)
    absent = call('no/such.h5')
    check.equal('trace that is absent', (absent.returncode, absent.stderr.startswith('expertsim: no/such.h5: cannot open')), (2, True))
    buffers = call('--config', os.path.join(ROOT, 'configs', 'seeds', '003-metal-pool.json'))
    check.equal('a trace of buffers', (buffers.returncode, 'is a trace of buffers' in buffers.stderr), (2, True))


def short(check, folder):
    path = os.path.join(folder, 'short.h5')
    subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', path, '--set', 'decode_tokens=20'], check=True, capture_output=True)
    said = rows(path, '--policies', 'lru')
    check.equal('short', (said['tokens'] < 64, 'cold start' in (said['warning'] or ''), len(said['rows']) > 0), (True, True, True))
    check.equal('the warning is printed', 'warning: ' in call(path).stdout, True)
    prompt = os.path.join(folder, 'prompt.h5')
    subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', prompt, '--set', 'decode_tokens=0', '--set', 'prompt_tokens=80'], check=True,
                   capture_output=True)
    said = rows(prompt, '--phase', 'all', '--sizes', '96', '--policies', 'lru')
    check.equal('without decode', ('no decode' in (said['warning'] or ''), said['statistics']['cliff_slots'], said['rows'][0]['accesses'] > 0), (True, 0, True))
    check.equal('nothing is said of decode', 'cliff' in call(prompt).stdout, False)
    said = rows(prompt, '--prefill', 'skip')
    check.equal('empty', ('no lookups' in (said['warning'] or ''), said['rows'], call(prompt, '--prefill', 'skip').returncode), (True, [], 0))
    check.equal('no warning', rows(SAMPLE, '--sizes', '8')['warning'], None)


def files(check, folder):
    for name in ('a', 'b'):
        check.equal('--out', call(SAMPLE, '--out', os.path.join(folder, name)).returncode, 0)
    for name in ('mrc.json', 'mrc.csv'):
        one, two = (open(os.path.join(folder, at, name)).read() for at in 'ab')
        check.equal('same bytes ' + name, one == two and len(one) > 1000, True)
    one, two = (open(os.path.join(folder, at, 'mrc.h5'), 'rb').read() for at in 'ab')
    check.equal('same bytes mrc.h5', one == two and one[1:4] == b'HDF', True)
    said = json.load(open(os.path.join(folder, 'a', 'mrc.json')))
    check.equal('--out is --json', said, dict(rows(SAMPLE), trace=said['trace']))
    lines = open(os.path.join(folder, 'a', 'mrc.csv')).read().split()
    check.equal('rows of the CSV', lines[1:] == [','.join('' if v is None else str(v) for v in row.values()) for row in said['rows']], True)
    text = call(SAMPLE).stdout
    check.equal('a short text', len(text.split('\n')) <= 24, True)
    page = open(os.path.join(ROOT, 'docs', 'curves.md')).read()
    for part in (said, said['statistics'], said['splits'][0], said['rows'][0], said['layer_lru'][0], said['statistics']['working_set'][0], said['sizes'][0],
                 said['statistics']['reuse_distance'], said['statistics']['reuse_distance']['buckets'][0], said['statistics']['consistency'][0]):
        for key in part:
            check.equal('docs/curves.md has ' + key, '`%s`' % key in page, True)


def oracles(check):
    """Decode traces of one token a step with events that fit: there the oracle's set mode is event_atomic, and its access mode serialized."""
    folder = os.path.join(tool.TRACES, 'gpt-oss-20b-decode')
    if not os.path.isdir(folder):
        print('mrc: no oracles: there are no real traces at', tool.TRACES)
        return
    for name, contract in (('oracle-set.json', 'event_atomic'), ('oracle-access.json', 'serialized')):
        oracle = json.load(open(os.path.join(folder, name)))
        for scope in ('layer', 'global'):
            want = {(('belady' if r['policy'] == 'opt' else 'lru'), r['capacity']): (r['accesses'], r['hits']) for r in oracle['runs']
                    if r['policy'] in ('lru', 'opt') and r['scope'] == scope and r['capacity'] >= oracle['check']['top_k']}
            said = rows(tool.trace('gpt-oss-20b-decode'), '--contract', contract, '--scope', scope, '--policies', 'lru,belady', '--phase', 'all',
                        '--prefill', 'tokens', '--sizes', ','.join(sorted({str(size) for _, size in want})))
            got = {(r['policy'], r['capacity']): (r['accesses'], r['hits']) for r in said['rows']}
            check.equal('%s %s' % (name, scope), {key: got[key] for key in want}, want)


def main():
    check = tool.Check('mrc')
    as_run(check, 'event_atomic', 'global', [2, 24, 93, 300])
    as_run(check, 'event_atomic', 'layer', [2, 4, 17])
    as_run(check, 'serialized', 'global', [3, 200])
    as_run(check, 'keep_best', 'layer', [3, 9])
    as_run(check, 'after_batch', 'global', [150])
    as_run(check, 'event_atomic', 'global', [120], '--reset', 'request', '--prefill', 'tokens', reset='request', prefill='tokens')
    sizes(check)
    bad(check)
    with tempfile.TemporaryDirectory() as folder:
        short(check, folder)
        files(check, folder)
    oracles(check)
    check.close()


if __name__ == '__main__':
    main()
