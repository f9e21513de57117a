"""Seed 000, the expert memory pool, composed: the streams of its sub-pools expert for expert beside tests/oracle/seed000.py, the rows of its
claims that have a band, and the arithmetic of its configuration.

A stream is 20,000 accesses, one a millisecond: 64 experts alike, and 2048 by 1 / rank. Compared are hits, misses, who is there at the end
and every victim in order, with slots handed out twice (as coded) and once (as documented).
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import seed000
import tool

SEEDS = os.path.join(ROOT, 'configs', 'seeds')
STREAMS = {'uniform': [], 'zipf': ['trace.source.sampler=markov', 'trace.source.experts=2048']}

# row, mode, mean, how far it may be off: the spread over 16 seeds
BANDS = [
    ('uniform', 'as_coded', .99515, 1e-12), ('uniform', 'as_documented', .485, .004), ('uniform_resident', 'as_coded', 64, 0),
    ('zipf', 'as_coded', .854, .0015), ('zipf', 'as_documented', .407, .006), ('zipf_resident', 'as_coded', 1479, 14),
    ('overhead', 'as_coded', .0473, .0001), ('slots', 'as_coded', 69, 0), ('prefetched', 'as_coded', 0, 0), ('four_bits_slots', 'as_coded', 37, 0),
]
MIB = 1 << 20


def run(config, sets):
    args = [tool.TOOL, 'run', os.path.join(SEEDS, config + '.json'), '--json', '--quiet']
    return json.loads(tool.command(args + [word for one in sets for word in ('--set', one)]))


def victims(path):
    """Who was accessed, and who left, in the order of the log."""
    used, left = [], []
    with open(path, newline='') as log:
        for row in csv.DictReader(log):
            if row['kind'] in ('hit', 'miss'):
                used.append(int(row['expert']))
            elif row['kind'] == 'evict':
                left.append(int(row['expert']))
    return used, left


def check_stream(check, name, mode, seed, folder):
    log = os.path.join(folder, 'events.csv')
    observers = json.dumps(['summary', {'name': 'events', 'path': log, 'accesses': True}])
    result = run('000-stream', STREAMS[name] + ['tiers.pool.allocator.mode=' + mode, 'trace.source.seed=%d' % seed, 'observers=' + observers])
    used, left = victims(log)
    pool = seed000.SubPool(31, seed000.expert_bytes(4), aliasing=mode == 'as_coded')
    hits = 0
    for i, key in enumerate(used):
        hits += key in pool.slot
        pool.allocate(key, (i + 1) * seed000.STEP)
    what = '%s %s seed %d: ' % (name, mode, seed)
    there = result['tiers']['pool']['allocator']['pools']['4bit']
    check.equal(what + 'accesses', len(used), seed000.ACCESSES)
    check.equal(what + 'hits, experts there, share of slots', (result['cache']['hits'], there['experts'], there['utilisation']),
                (hits, len(pool.slot), pool.utilization()))
    check.equal(what + 'victims in order', left == pool.evicted or (left[:20], pool.evicted[:20]), True)


def check_arithmetic(check):
    result = run('000-pool', ['trace.source.decode_tokens=2'])
    pools = result['tiers']['pool']['allocator']['pools']
    oracle = seed000.Pool()
    for bits, own in oracle.pool.items():
        is_ = pools['%dbit' % bits]
        check.equal('%d bits: slots, bytes of one, tail' % bits, (is_['slots'], is_['slot_bytes'], is_['tail_bytes']),
                    (own.slots, own.slot_bytes, int(seed000.TOTAL * seed000.SHARES[bits]) - own.bytes()))
    check.equal('MiB left over', result['tiers']['pool']['allocator']['tail_bytes'] / MIB, 193.75)


def check_grace(check):
    """Two seconds of grace keep guesses out; without it they are copied by the thousand, and tokens take longer."""
    with_grace, without = run('000-pool', ['trace.source.decode_tokens=40']), run('000-pool', ['trace.source.decode_tokens=40', 'tiers.pool.grace=0ns'])
    check.equal('guesses copied', with_grace['cache']['guess_copies'] * 20 < without['cache']['guess_copies'], True)
    check.equal('time of a token', with_grace['time']['token_latency_s']['mean'] < without['time']['token_latency_s']['mean'], True)
    few, many = (run('000-pool', ['trace.source.decode_tokens=40', 'tiers.pool.grace=0ns', 'channels.loads.lanes=%d' % n]) for n in (1, 8))
    check.equal('more loads at once, more guesses that are there in time', few['cache']['hits_prefetched'] < many['cache']['hits_prefetched'], True)


def check_claims(check):
    done = subprocess.run([tool.TOOL, 'reproduce', '000', '--claims', os.path.join(SEEDS, 'claims.json'), '--json', '--quiet'], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    rows = {row['id']: row for row in json.loads(done.stdout)['rows']}
    for name, mode, middle, half in BANDS:
        got = rows[name][mode]['mean']
        check.equal('%s %s: %g is within %g of %g' % (name, mode, got, half, middle), abs(got - middle) <= half, True)
    check.equal('verdicts', {row['id'] for row in rows.values() if row['verdict'] == 'not reproduced'}, {'overhead', 'prefetched', 'miss_2', 'miss_8', 'loads'})
    order = ['zipf_lru', 'zipf', 'zipf_belady']
    means = [rows[name]['as_documented' if name == 'zipf' else 'as_coded']['mean'] for name in order]
    check.equal('1 / rank: the multi-factor score is between LRU and Belady', means, sorted(means))


def main():
    check = tool.Check('pool')
    with tempfile.TemporaryDirectory() as folder:
        for name in STREAMS:
            for mode in ('as_coded', 'as_documented'):
                for seed in range(2):
                    check_stream(check, name, mode, seed, folder)
    check_arithmetic(check)
    check_grace(check)
    check_claims(check)
    check.close()


if __name__ == '__main__':
    main()
