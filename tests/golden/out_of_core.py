"""The composition of seed 004 gives what the plain-Python reference of it gives, number for number, over random settings.

Streams: a generated trace lists the reference's draws, step for step.
Store:   operations over each link, under both clocks, and under the simulated one the time of each link to the nanosecond; with a DRAM
         cache also the whole time, which is their sum because the seed does one thing after another.

Disks:   where nothing leaves, the time of the variants of the machine follows from how many experts each step lacks.

One place in DRAM is left out: there the seed overwrites the copy that it has just read and not yet sent up, which no machine can. Without
any, nobody waits for writes to the disk, and those still queued when the last step ends are not counted under the simulated clock.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import seed004
import tool

CASES = 30
SEEDS = os.path.join(HERE, '..', '..', 'configs', 'seeds')
CONFIG = os.path.join(SEEDS, '004-bench.json')
LINKS = {'dram-hbm': 'h2d', 'hbm-dram': 'd2h', 'disk-dram': 'read', 'dram-disk': 'write'}


def settings(rng):
    """A benchmark or a training run of the reference, small enough for many."""
    train = rng.random() < .4
    a = {'n': rng.choice([8, 13, 64, 256, 2048]), 'steps': rng.randint(1, 300), 'seed': rng.randrange(1 << 32) % 4294967294,
         'sampler': rng.choice(['episode', 'markov']), 'episode_len': rng.choice([1, 3, 5, 20, 50]), 'p_stay': rng.choice([0., .5, .9, 1.]),
         'd': 128, 'h': 512, 'train': train}
    if train:
        a.update(envs=rng.choice([1, 7, a['n'], 3 * a['n']]), envs_per_batch=rng.choice([1, 2, 5]), batch=rng.choice([1, 6, 64]))
    else:
        a.update(per_step=rng.choice([1, 4, 9]))
    return a


def steps(a):
    return seed004.train_steps(a) if a['train'] else seed004.bench_steps(a)


def source(a):
    """The same as a source of this project."""
    common = {'name': 'environments', 'stream': 'mt19937', 'seed': a['seed'], 'experts': a['n'], 'steps': a['steps'], 'sampler': a['sampler'],
              'episode_length': a['episode_len'], 'stay': a['p_stay']}
    if a['train']:
        return dict(common, envs=a['envs'], envs_per_batch=a['envs_per_batch'], tokens=a['batch'], spread=1)
    return dict(common, tokens=a['per_step'], spread=8)


def generated(folder, options):
    """Experts of each step of the trace that the tool generates."""
    path = os.path.join(folder, 'trace.h5')
    args = [tool.TOOL, 'trace', 'generate', options['name'], '-o', path]
    for key, value in options.items():
        args += ['--set', '%s=%s' % (key, value)] if key != 'name' else []
    subprocess.run(args, check=True, capture_output=True, text=True)
    rows = tool.command([tool.TOOL, 'trace', 'export', path, '-o', '-']).splitlines()
    head = rows[0].split(',')
    step, expert = (head.index('step') if 'step' in head else head.index('token_index')), head.index('e0')
    out = {}
    for row in rows[1:]:
        cells = row.split(',')
        out.setdefault(int(cells[step]), []).append(int(cells[expert]))
    return [out[i] for i in sorted(out)]


def check_streams(check, rng):
    with tempfile.TemporaryDirectory() as folder:
        for case in range(CASES):
            a = settings(rng)
            check.equal('case %d: draws of %r' % (case, a), generated(folder, source(a)), [sorted(ids) for ids in steps(a)])


def composed(a, clock):
    """The reference's settings on top of the config."""
    with open(CONFIG) as f:
        config = json.load(f)
    config['trace'] = {'source': source(a)}
    config['model']['expert_bytes'] = '%dB' % seed004.expert_bytes(a['d'], a['h'])
    config['tiers']['hbm'].update(capacity='%dslots' % a['slots'], write_back=a['gpu_evict'])
    config['tiers']['dram'].update(capacity='%dslots' % a['cpu'], write_back=a['cpu_evict'])
    for channel, key in (('h2d', 'h2d_gbps'), ('d2h', 'd2h_gbps'), ('disk_read', 'read_gbps'), ('disk_write', 'write_gbps')):
        config['channels'][channel]['timing']['rate'] = '%gGB/s' % a['rates'][key]
    return dict(config, clock=clock)


def reference(a):
    rules = {'gpu_evict': 'write_back' if a['gpu_evict'] == 'always' else a['gpu_evict'], 'cpu_evict': a['cpu_evict']}
    store = seed004.Store(a['slots'], a['cpu'], seed004.expert_bytes(a['d'], a['h']), a['rates'], set(range(a['n'])), **rules)
    for ids in steps(a):
        store.step(ids)
    return store


def check_store(check, a, what):
    store = reference(a)
    count = store.count
    for clock in ('none', 'simulated') if a['cpu'] > 0 else ('none',):
        result = tool.run(composed(a, clock))
        cache, tiers, links = result['cache'], result['tiers'], result['links']
        got = {'touch': cache['lookups'], 'gpu_hit': cache['hits'], 'gpu_miss': cache['misses'], 'evict': tiers['hbm']['evictions'],
               'cpu_hit': tiers['dram']['found'], 'cpu_miss': tiers['disk']['found'], 'cpu_evict': tiers['dram']['evictions']}
        got.update((key, links[link]['operations']) for link, key in LINKS.items())
        check.equal('%s, clock %s' % (what, clock), got, {key: count[key] for key in got})
        if clock == 'none':
            continue
        check.equal(what + ', ns', {key: round(links[link]['busy_s'] * 1e9) for link, key in LINKS.items()}, {key: store.ns[key] for key in LINKS.values()})
        check.equal(what + ', all ns', round(result['time']['total_s'] * 1e9), sum(store.ns.values()))


def check_stores(check, rng):
    """As many experts as there are on disk from the start: nothing is created."""
    for case in range(CASES):
        a = dict(settings(rng), slots=rng.choice([1, 2, 4, 8, 16, 40]), cpu=rng.choice([0, 2, 5, 16, 64]), h=rng.choice([64, 512]),
                 gpu_evict=rng.choice(['always', 'dirty']), cpu_evict=rng.choice(['always', 'dirty']),
                 rates=dict(seed004.README_RATES, h2d_gbps=rng.choice([7, 12, 25]), read_gbps=rng.choice([3, 5.5])))
        check_store(check, a, 'case %d: %r' % (case, a))


def seconds(config, *sets):
    """Of one run of a variant of the benchmark in which all experts fit on the device, in ns."""
    sets = ('trace.source.experts=64', 'tiers.hbm.capacity=64slots', 'contract.judge=event') + sets
    args = [tool.TOOL, 'run', os.path.join(SEEDS, config + '.json'), '--json', '--quiet']
    return round(json.loads(tool.command(args + [word for one in sets for word in ('--set', one)]))['time']['total_s'] * 1e9)


def check_disks(check):
    """A synchronous disk does one operation after another, and what it read goes up beside the next. Straight to the device nothing follows. With
    a queue that takes all, a step pays the latency once, its reads end together, and then they go up."""
    fixed, read, up = 200000, 175616, 43904
    store = seed004.Store(64, 64, 526848, root=set(range(64)))
    lacks = []
    for ids in seed004.bench_steps(dict(seed004.README, n=64)):
        before = store.count['gpu_miss']
        store.step(ids)
        lacks.append(store.count['gpu_miss'] - before)
    misses, events = sum(lacks), sum(m > 0 for m in lacks)
    check.equal('some steps lack several', (misses, max(lacks) > 1), (64, True))
    check.equal('one after another', seconds('004-bench'), misses * (fixed + read) + events * up)
    check.equal('straight to the device', seconds('004-direct'), misses * (fixed + read))
    check.equal('queued', seconds('004-aio'), events * fixed + misses * (read + up))
    check.equal('a queue of one', seconds('004-aio', 'channels.aio.lanes=1'), seconds('004-bench'))
    check.equal('a device that is slower than the disk', seconds('004-direct', 'channels.h2d.timing.rate=1GB/s'), misses * (fixed + 526848))


def main():
    check = tool.Check('out_of_core')
    check_streams(check, random.Random(4))
    check_stores(check, random.Random(5))
    check_disks(check)
    check.close()


if __name__ == '__main__':
    main()
