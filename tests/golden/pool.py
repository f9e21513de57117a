"""Seed 000, the expert memory pool, composed: the streams of its sub-pools expert for expert beside tests/oracle/seed000.py, the rows of its
claims that have a band, and the arithmetic of its configuration.

A stream is 20,000 accesses, one a millisecond: 64 experts alike, and 2048 by 1 / rank. Compared are hits, misses, who is there at the end
and every victim in order, with slots handed out twice (as coded) and once (as documented). Machines of all pools, with locks, grace, overflow
and defragmentation as coded, are compared access by access and pool by pool.
"""
import collections
import csv
import json
import os
import random
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
MACHINES = 40


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


def machine(folder, widths, keys, total, rate, more):
    """One layer, so many experts of these widths each second; copies and experts take no time."""
    trace, bits, log = (os.path.join(folder, name) for name in ('trace.csv', 'bits.csv', 'events.csv'))
    with open(trace, 'w') as f:
        f.write('request_id,token_index,phase,layer,e0\n' + ''.join('0,%d,D,0,%d\n' % row for row in enumerate(keys)))
    with open(bits, 'w') as f:
        f.writelines('0,%d,%d\n' % row for row in enumerate(widths))
    result = tool.run({
        'trace': {'path': trace}, 'model': {'experts': len(widths), 'expert_bytes': '64.5MiB', 'expert_bits': 4}, 'bounds': False,
        'catalog': {'bits': [2, 4, 8], 'assign': 'file', 'file': bits}, 'contract': {'overflow': 'trim'}, 'policy': 'multi_factor',
        'tiers': {'pool': {'capacity': '%dMiB' % total, 'compute': 'gpu', 'grace': '2s', 'grace_yields': False, 'allocator': dict({'name': 'pools', 'mode': 'as_coded'}, **more)},
                  'host': {'home': True}},
        'channels': {'link': {'timing': {'name': 'constant', 'time': 0}}, 'gpu': {'timing': {'name': 'compute', 'dense': '%dns' % (10 ** 9 // rate), 'expert': 0}}},
        'links': [{'from': 'host', 'to': 'pool', 'channels': ['link']}], 'observers': ['summary', 'audit', {'name': 'events', 'path': log, 'accesses': True}],
    })
    with open(log, newline='') as rows:
        hits = [row['kind'] == 'hit' for row in csv.DictReader(rows) if row['kind'] in ('hit', 'miss')]
    return hits, result['tiers']['pool']['allocator']


def check_machine(check, seed, folder):
    """A small one of all widths; every fifth large and of 4 bits but for a few, so that the pool of 2 bits gives to that of 4."""
    draw, large = random.Random(seed), seed % 5 == 0
    count, rate, total = (72, 64, 4096) if large else (24, 8, draw.randrange(400, 1400, 50))
    widths = [draw.choice((2, 4, 4, 4, 4, 4, 4, 4) if large else (2, 4, 8)) for _ in range(count)]
    weights = [1] * count if large else [1 / (i + 1) for i in draw.sample(range(count), count)]
    keys, early = draw.choices(range(count), weights, k=1200 if large else 300), seed % 3 == 1
    hits, there = machine(folder, widths, keys, total, rate, {'spill': 'before_eviction'} if early else {})
    oracle, want, spilled = seed000.Pool(total=total * MIB, early=early), [], dict.fromkeys(seed000.SHARES, 0)
    for i, key in enumerate(keys):
        now = (i + 1) / rate
        oracle.register(key, widths[key])
        oracle.lock(key)
        known = {bits for bits, pool in oracle.pool.items() if key in pool.slot}
        got = oracle.load(key, now)
        want.append(bool(got and got[0]))
        if got and got[1] != widths[key] and got[1] not in known:
            spilled[got[1]] += 1
        oracle.unlock(key, now)
    check.equal('machine %d: the first access that differs' % seed, next((i for i, two in enumerate(zip(hits, want)) if two[0] != two[1]), None), None)
    check.equal('machine %d: accesses, loads that found no place, defragmentations' % seed, (len(hits), there['overshoots'], there['compactions']),
                (len(want), oracle.failures, oracle.defragments))
    found = collections.Counter(defragmented=oracle.defragments > 0, hidden=there['hidden_hits'] > 1)
    for bits, pool in oracle.pool.items():
        is_ = there['pools']['%dbit' % bits]
        check.equal('machine %d, %d bits: slots, experts, spilled into it' % (seed, bits), (is_['slots'], is_['experts'], is_['spilled_in']),
                    (pool.slots, len(pool.slot), spilled[bits]))
    return found


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


def check_staging(check):
    """Through pinned staging memory all loads are copied first: for nothing when that takes no time, and by more than the copies take when it does."""
    few = ['trace.source.decode_tokens=20', 'predictor=none']
    plain, staged, free = run('000-pool', few), run('000-staged', few), run('000-staged', few + ['channels.memcpy.timing.rate=1000000GB/s'])
    check.equal('staged: each load is', (staged['channels']['memcpy']['transfers'], staged['tiers']['host']['found'] + staged['tiers']['staging']['found']),
                (staged['channels']['loads']['transfers'], staged['cache']['misses']))
    check.equal('staged in no time: hits, loads', (free['cache']['hits'], free['channels']['loads']['transfers']), (plain['cache']['hits'], plain['channels']['loads']['transfers']))
    ratio = free['time']['token_latency_s']['mean'] / plain['time']['token_latency_s']['mean']
    check.equal('staged in no time: time of a token, times that without: %.6f' % ratio, 1 <= ratio < 1.0001, True)
    # a load is both copies, of which those of different loads overlap
    longest = plain['time']['token_latency_s']['mean'] * (1 + 6.6 / 10)
    check.equal('staged: between one copy and both', plain['time']['token_latency_s']['mean'] < staged['time']['token_latency_s']['mean'] < longest, True)


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
        found = sum((check_machine(check, seed, folder) for seed in range(MACHINES)), collections.Counter())
        check.equal('machines that defragment and that look for what has spilled: some', found['defragmented'] > 0 and found['hidden'] > 0, True)
    check_arithmetic(check)
    check_grace(check)
    check_staging(check)
    check_claims(check)
    check.close()


if __name__ == '__main__':
    main()
