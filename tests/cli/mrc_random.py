"""`expertsim mrc` against `expertsim run`: small random traces, random contracts, slots and bytes, equal and unequal sizes. Every row must be what a
run counts at that capacity; where there are no curves the error says why."""
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
POLICIES = {'lru': 'lru', 'belady': 'belady', 'belady_bypass': {'name': 'belady', 'bypass': True}, 'static': 'static', 'fifo': 'fifo'}
CASES = 30


def settings(values):
    return [word for key, value in values.items() for word in ('--set', '%s=%s' % (key, value if isinstance(value, str) else json.dumps(value)))]


def some_trace(rng, path):
    layers, experts = rng.randint(1, 5), rng.choice([4, 9, 16, 70])
    subprocess.run([TOOL, 'trace', 'generate', 'synthetic', '-o', path] + settings({
        'layers': layers, 'experts': experts, 'top_k': rng.randint(1, 4), 'requests': rng.randint(1, 4), 'prompt_tokens': rng.choice([0, 0, 5, 12]),
        'decode_tokens': rng.randint(8, 60), 'seed': rng.randint(1, 999), 'reuse': rng.choice([0, 0.5, 0.8])}), check=True, capture_output=True)
    return layers, experts


def some_contract(rng):
    return {'judge': rng.choice(['event', 'event', 'serialized', 'serialized_pinned']), 'overflow': rng.choice(['waves', 'trim', 'persist', 'keep_best']),
            'unit': rng.choice(['union', 'token', 'id']), 'duplicates': rng.choice(['refresh', 'refresh', 'ignore']), 'scope': rng.choice(['global', 'layer']),
            'reset': rng.choice(['never', 'request']), 'prefill': rng.choice(['union', 'tokens', 'tiles:3', 'skip']), 'skip_tokens': rng.choice([0, 0, 7]),
            'prefill_counts': rng.choice(['apart', 'together'])}


def reason(contract):
    """Why there are no curves; None: there are."""
    if contract['judge'] == 'serialized_pinned' and contract['overflow'] != 'waves':
        return 'what is pinned may exceed its room'
    if contract['overflow'] == 'keep_best' and (contract['judge'] != 'event' or contract['unit'] == 'id'):
        return 'the best of them stay'
    return None


def compare(check, rng, path):
    layers, experts = some_trace(rng, path)
    contract, in_bytes = some_contract(rng), rng.random() < 0.5
    weights = [rng.randint(100, 900) for _ in range(layers)] if rng.random() < 0.6 else [500] * layers
    most = experts * (1 if contract['scope'] == 'layer' else layers)
    low, high = (max(weights), max(weights) * most) if in_bytes else (1, most + 2)
    sizes = sorted({rng.randint(low, high) for _ in range(3)})
    unit = 'B' if in_bytes else 'slots'
    done = subprocess.run([TOOL, 'mrc', path, '--json', '--policies', ','.join(POLICIES), '--sizes', ','.join('%d%s' % (s, unit) for s in sizes)]
                          + settings({'contract.' + key: value for key, value in contract.items()}) + settings({'model.expert_bytes': weights}),
                          capture_output=True, text=True)
    if done.returncode != 0:
        check.equal('%s: %s' % (contract, done.stderr.strip()), (done.returncode, bool(reason(contract)) and reason(contract) in done.stderr), (2, True))
        return 0
    check.equal('there are curves of %s' % contract, reason(contract), None)
    rows = json.loads(done.stdout)['rows']
    for row in rows:
        capacity = '%d%s' % (row['capacity'] * (layers if contract['scope'] == 'layer' else 1), unit)
        cache = tool.run(tool.untimed(path, capacity, POLICIES[row['policy']], contract, model={'expert_bytes': weights}))['cache']
        check.equal('%s %s %s %s' % (row['policy'], capacity, contract, weights), (row['all_accesses'], row['all_hits'], row['decode_accesses'], row['decode_hits']),
                    (cache['lookups'], cache['hits'], cache['decode']['lookups'], cache['decode']['hits']))
    return len(rows)


def main():
    check, rng, rows = tool.Check('mrc_random'), random.Random(6), 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(CASES):
            rows += compare(check, rng, os.path.join(folder, 'trace.h5'))
    check.equal('most contracts have curves (%d rows)' % rows, rows > CASES * 6, True)
    check.close()


if __name__ == '__main__':
    main()
