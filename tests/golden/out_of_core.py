"""The composition of seed 004 gives what the plain-Python reference of it gives, number for number, over random settings.

Streams: a generated trace lists the reference's draws, step for step.
Store:   operations over each link, under both clocks, and under the simulated one the time of each link to the nanosecond; with a DRAM
         cache also the whole time, which is their sum because the seed does one thing after another.

Goldens: what was found for the seed's commands before this project had any of it, through the config as it is.
Disks:   where nothing leaves, the time of the variants of the machine follows from how many experts each step lacks.

Of one place in DRAM the seed gives away the copy that it has just read and not yet sent up: it has it in hand (hold_reads false). Without
any, nobody waits for writes to the disk: under the simulated clock those still queued when the last step ends count with the flush. Nor do training steps that update the host's copy
wait for writes of it (v1 has workers for them), so there only the other links are compared under that clock: an update that finds its write
still queued needs no other.
"""
import collections
import json
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import lookahead004
import seed004
import tool

CASES = 30
SEEDS = os.path.join(HERE, '..', '..', 'configs', 'seeds')
CONFIG = os.path.join(SEEDS, '004-bench.json')
MODES = ['read', 'v0', 'v1']         # nothing is updated; the device's copies are; the host's are
OBSERVERS = ['summary', 'audit']
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
    config['tiers']['disk']['holds'] = a['disk']
    if a['disk'] == 'nothing':          # there is none: what leaves DRAM is lost, and what comes is made there, for nothing
        config['tiers']['dram'].update(write_back='never', demote=None)
        config['links'] = [dict(link, channels=None) if 'disk' in link.values() else link for link in config['links']]
    if a['mode'] != 'read':
        config['training'] = {'steps': 'all', 'update': 'device' if a['mode'] == 'v0' else 'host'}
    if a['mode'] == 'v1':               # the device's copy is never the only new one
        config['tiers']['hbm'].update(write_back='never', demote=None)
        config['tiers']['dram'].update(write_through=a['period'] == 1, write_every=a['period'] if a['period'] > 1 else 0)
    config['contract']['flush'] = True
    config['observers'] = OBSERVERS
    for channel, key in (('h2d', 'h2d_gbps'), ('d2h', 'd2h_gbps'), ('disk_read', 'read_gbps'), ('disk_write', 'write_gbps')):
        config['channels'][channel]['timing']['rate'] = '%gGB/s' % a['rates'][key]
    return dict(config, clock=clock)


def reference(a):
    rules = {'gpu_evict': 'write_back' if a['gpu_evict'] == 'always' else a['gpu_evict'], 'cpu_evict': a['cpu_evict']}
    rules.update(disk=a['disk'] != 'nothing', update='cpu' if a['mode'] == 'v1' else 'gpu', period=a['period'])
    if a['mode'] == 'v1':
        rules['gpu_evict'] = 'drop'
    store = seed004.Store(a['slots'], a['cpu'], seed004.expert_bytes(a['d'], a['h']), a['rates'], set(range(a['n'])) if a['disk'] == 'all' else None, **rules)
    for ids in steps(a):
        store.step(ids, a['mode'] != 'read')
    before = collections.Counter(store.count), collections.Counter(store.ns)
    store.flush()
    return before, (store.count - before[0], store.ns - before[1])


def operations(links):
    return {key: links[link]['operations'] for link, key in LINKS.items()}


def nanoseconds(links):
    return {key: round(links[link]['busy_s'] * 1e9) for link, key in LINKS.items()}


def of_links(counter):
    return {key: counter[key] for key in LINKS.values()}


def added(*counts):
    return {key: sum(count.get(key, 0) for count in counts) for key in LINKS.values()}


def operated(result):
    """The reference's counts in a result, and what the audit found wrong, which is nothing."""
    cache, tiers = result['cache'], result['tiers']
    got = {'touch': cache['lookups'], 'gpu_hit': cache['hits'], 'gpu_miss': cache['misses'], 'evict': tiers['hbm']['evictions'],
           'cpu_hit': tiers['dram']['found'], 'cpu_miss': tiers['disk']['found'], 'cpu_evict': tiers['dram']['evictions'],
           'made': tiers['disk'].get('created', 0) + tiers['disk'].get('remade', 0), 'faults': result['audit']['faults']}
    return dict(got, **operations(result['links']))


def check_store(check, a, what):
    (count, ns), (flush_count, flush_ns) = reference(a)
    made = {'read': count['reinit']}        # without a disk what is made is counted on the link from where it would be
    for clock in ('none', 'simulated'):
        result = tool.run(composed(a, clock))
        got, links, flush = operated(result), result['links'], result['flush']
        want = dict({key: count[key] for key in got}, made=count['created'] + count['reinit'], read=count['read'] + made['read'])
        name = '%s, clock %s' % (what, clock)
        check.equal(name + ', demotions', result['cache']['demotions'], 0 if a['mode'] == 'v1' else count['d2h'])
        if clock == 'simulated' and a['mode'] == 'v1':
            check.equal(name, dict(got, write=None), dict(want, write=None))
            continue
        if clock == 'simulated' and a['cpu'] == 0:
            check.equal(name + ', all', added(operations(links), operations(flush['links'])), added(of_links(count), of_links(flush_count), made))
            check.equal(name + ', all ns', added(nanoseconds(links), nanoseconds(flush['links'])), added(of_links(ns), of_links(flush_ns)))
            continue
        check.equal(name, got, want)
        check.equal(name + ', flush', operations(flush['links']), of_links(flush_count))
        if clock == 'none':
            continue
        check.equal(what + ', ns', nanoseconds(links), of_links(ns))
        check.equal(what + ', all ns', round(result['time']['total_s'] * 1e9), sum(ns.values()))
        check.equal(what + ', flush, ns', nanoseconds(flush['links']), of_links(flush_ns))


def check_stores(check, rng):
    """On a disk that has every expert, one that has none yet, and without a disk."""
    for case in range(CASES):
        a = dict(settings(rng), slots=rng.choice([1, 2, 4, 8, 16, 40]), cpu=rng.choice([0, 1, 1, 2, 5, 16, 64]), h=rng.choice([64, 512]),
                 disk=rng.choice(['all', 'touched', 'touched', 'nothing']), gpu_evict=rng.choice(['always', 'dirty']), cpu_evict=rng.choice(['always', 'dirty']),
                 rates=dict(seed004.README_RATES, h2d_gbps=rng.choice([7, 12, 25]), read_gbps=rng.choice([3, 5.5])), mode=rng.choice(MODES), period=0)
        if a['mode'] != 'read':         # its training asks for room for all experts of a step
            a['slots'] = max(a['slots'], max(len(set(ids)) for ids in steps(a)))
        if a['mode'] == 'v1':
            a.update(cpu=max(a['cpu'], 1), disk='all' if a['disk'] == 'nothing' else a['disk'], cpu_evict='dirty', period=rng.choice([0, 1, 7]))
        check_store(check, a, 'case %d: %r' % (case, a))


# what is set, and counts before the flush, but for the last three: writes with it, and seconds without and with it
GOLDENS = [
    ((), {'touch': 6651, 'gpu_hit': 6333, 'gpu_miss': 318, 'cpu_hit': 2, 'cpu_miss': 316, 'made': 301, 'read': 15, 'write': 553, 'evict': 302, 'd2h': 302,
          'h2d': 318}, 617, '0.2891', '0.3195'),
    (('tiers.disk.holds=all',), {'read': 316, 'write': 252}, 316, None, '0.2931'),
    (('tiers.dram.capacity=0slots',), {'gpu_miss': 318, 'read': 17, 'write': 603}, 619, None, None),
    (('tiers.dram.capacity=1slots',), {'gpu_miss': 318, 'cpu_hit': 0, 'made': 301, 'read': 17, 'write': 920, 'cpu_evict': 619}, 937, '0.4600', '0.4685'),
    (('tiers.dram.capacity=1slots', 'trace.source.experts=256', 'trace.source.episode_length=5'),
     {'gpu_miss': 2867, 'cpu_hit': 11, 'made': 256, 'read': 2600, 'write': 5962, 'evict': 2851}, 5979, '3.9906', '3.9992'),
    (('tiers.dram.capacity=1slots', 'trace.source.experts=256', 'trace.source.episode_length=5', 'tiers.dram.hold_reads=true'),
     {'gpu_miss': 2867, 'cpu_hit': 0}, None, None, None),
    (('trace.source.experts=256', 'trace.source.episode_length=5'), {'read': 2003, 'write': 2451}, None, None, '2.17'),
    (('trace.source.experts=64',), {'read': 0}, None, None, None),
    (('tiers.hbm.capacity=8slots',), {'gpu_miss': 320}, None, None, None),
    (('trace.source.sampler=markov',), {'read': 349}, None, None, None),
    (('tiers.hbm.write_back=dirty',), {'d2h': 0}, None, None, None),
]


def check_goldens(check):
    for clock in ('none', 'simulated'):
        check.equal('demotions, clock ' + clock, variant('004-bench', 'clock=' + clock)['cache']['demotions'], 302)
    for sets, counts, writes, before, after in GOLDENS:
        result = variant('004-bench', *sets)
        what = ', '.join(sets) or 'as it is'
        got = operated(result)
        check.equal(what, {key: got[key] for key in counts}, counts)
        flush = result['flush']
        if writes:
            check.equal(what + ', flushed', got['write'] + operations(flush['links'])['write'], writes)
        for time, want in ((result['time']['total_s'], before), (result['time']['total_s'] + flush['time_s'], after)):
            if want:
                check.equal(what + ', seconds', '%.*f' % (len(want.split('.')[1]), time), want)
        busy = {key: nanoseconds(result['links'])[key] + nanoseconds(flush['links'])[key] for key in LINKS.values()}
        check.equal(what + ', every operation takes its time', busy,
                    {key: (got[key] + operations(flush['links'])[key]) * ns for key, ns in (('h2d', 43904), ('d2h', 43904), ('read', 375616), ('write', 463424))})


# a training run that does use the tiers, under the rules of both versions
BUSY = [
    ('004-train', (), {}), ('004-train', ('tiers.hbm.write_back=dirty', 'tiers.dram.write_back=dirty'), {'gpu_evict': 'dirty', 'cpu_evict': 'dirty'}),
    ('004-v1', (), seed004.V1), ('004-v1', ('tiers.dram.write_every=10',), dict(seed004.V1, period=10)),
    ('004-v1', ('tiers.dram.write_through=true',), dict(seed004.V1, period=1)),
]


def ahead_settings(rng):
    """A training run under the rules of v1 in which the tiers are used; times that seldom meet in an instant, or always do."""
    round_times = rng.random() < .3
    a = dict(settings(rng), train=True, lanes=rng.choice([1, 2, 3]), disk=rng.choice(['all', 'touched']), ahead=rng.random() < .8, steps=rng.randint(20, 200),
             forward=rng.choice([0, 1000, 40000, 300000]), update=rng.choice([0, 5000, 90000]))
    a.pop('per_step', None)
    a['n'] = a['envs'] = rng.choice([13, 40, 64])
    a.update(envs_per_batch=rng.choice([2, 5, 8]), batch=rng.choice([6, 64]), episode_len=rng.choice([1, 3, 5]), p_stay=rng.choice([0., .5]))
    a.update(slots=max(rng.choice([2, 4, 8]), max(len(set(ids)) for ids in steps(a))), cpu=a['lanes'] + rng.choice([5, 6, 12, 20]))
    fixed = [10000, 10000, 20000, 40000] if round_times else [rng.randint(1000, 400000) for _ in range(4)]
    return dict(a, cost=dict(zip(lookahead004.LINKS, fixed)))


def ahead_config(a):
    with open(os.path.join(SEEDS, '004-lookahead.json')) as f:
        config = dict(json.load(f), include=os.path.abspath(os.path.join(SEEDS, '004-v1.json')))
    config['trace'] = {'source': source(a)}
    config['tiers']['hbm']['capacity'] = '%dslots' % a['slots']
    config['tiers']['dram']['capacity'] = '%dslots' % a['cpu']
    config['tiers']['disk'] = {'holds': a['disk']}
    config['channels'] = {channel: {'timing': {'name': 'affine', 'latency': '%dns' % a['cost'][link], 'rate': 0}}
                          for channel, link in (('h2d', 'h2d'), ('d2h', 'd2h'), ('disk_read', 'read'), ('disk_write', 'write'))}
    config['channels']['disk_write'].update(discipline='lanes', lanes=a['lanes'])
    config['channels'].update(gpu={'timing': {'name': 'compute', 'expert': '%dns' % a['forward']}}, cpu={'timing': {'name': 'compute', 'update': '%dns' % a['update']}})
    config['predictor'] = {'name': 'noisy_oracle', 'accuracy': 1} if a['ahead'] else 'none'
    return dict(config, observers=OBSERVERS)


def check_lookahead(check, rng):
    """v1 with its lookahead, an optimizer on the host that takes time, and writers with copies of their own: nothing here is one after another any more,
    so a reference of its own (lookahead004) has the time of the run to the nanosecond."""
    waited = recalled = 0
    for case in range(2 * CASES):
        a = ahead_settings(rng)
        m = lookahead004.train([sorted(set(ids)) for ids in steps(a)], slots=a['slots'], places=a['cpu'], cost=a['cost'], lanes=a['lanes'],
                               on_disk=range(a['n']) if a['disk'] == 'all' else (), forward=a['forward'], backward=2 * a['forward'], update=a['update'], ahead=a['ahead'])
        result = tool.run(ahead_config(a))
        dram, disk = result['tiers']['dram'], result['tiers']['disk']
        got = dict(operations(result['links']), ns=nanoseconds(result['links']), total=round(result['time']['total_s'] * 1e9), miss=result['cache']['misses'],
                   created=disk.get('created', 0), prefetched=dram.get('prefetched', 0), used=dram.get('prefetch_used', 0), waited=dram.get('prefetch_waited', 0),
                   recalled=dram['write_buffer']['recalled'], faults=result['audit']['faults'])
        want = dict(of_links(m.count), ns=of_links(m.ns), total=m.ended, miss=m.count['miss'], created=m.count['created'], prefetched=m.count['prefetched'],
                    used=m.count['used'], waited=m.count['waited'], recalled=m.count['recalled'], faults=0)
        check.equal('lookahead, case %d: %r' % (case, a), got, want)
        waited += m.count['waited']
        recalled += m.count['recalled']
    check.equal('lookahead: some waited, some came back from the writers', (waited > 0, recalled > 0), (True, True))


def check_train(check):
    """Seven episodes of one expert each in 16 slots: nothing ever leaves, but for the flush."""
    result = variant('004-train')
    got = operated(result)
    check.equal('train', (got['gpu_miss'], got['gpu_hit'], got['evict'], result['cache']['assignments']), (7, 193, 0, 200))
    check.equal('train, flushed', operations(result['flush']['links']), {'h2d': 0, 'd2h': 7, 'read': 0, 'write': 7})
    for config, sets, rules in BUSY:
        a = dict(seed004.README_TRAIN, envs_per_batch=8, episode_len=5, slots=8, cpu=16)
        result = variant(config, 'trace.source.envs_per_batch=8', 'trace.source.episode_length=5', 'tiers.hbm.capacity=8slots', 'tiers.dram.capacity=16slots', *sets)
        store, _ = seed004.run(seed004.train_steps, a, train=True, rates=seed004.FREE, **rules)
        what = ', '.join((config,) + sets)
        check.equal(what, added(operations(result['links']), operations(result['flush']['links'])), of_links(store.count))
        check.equal(what + ', updates', result['training']['updates'], store.count['update'])


def check_states(check):
    """Momentum keeps the weights once more beside them, Adam twice: what a link moves weighs as much as the lighter of its ends keeps. The
    config keeps the state in DRAM and on disk; with state_on_device it goes up and down with the weights. Counts of operations stay."""
    expert = seed004.expert_bytes(128, 512)
    for config, rules in (('004-train', {}), ('004-v1', seed004.V1)):
        a = dict(seed004.README_TRAIN, envs_per_batch=8, episode_len=5, slots=8, cpu=16)
        store, _ = seed004.run(seed004.train_steps, a, train=True, rates=seed004.FREE, **rules)
        for optimizer, state in (('none', 0), ('momentum', 1), ('adam', 2)):
            for device in (False, True) if config == '004-train' else (False,):    # an optimizer on the host has its state there
                result = variant(config, 'trace.source.envs_per_batch=8', 'trace.source.episode_length=5', 'tiers.hbm.capacity=8slots',
                                 'tiers.dram.capacity=16slots', 'training.optimizer=' + optimizer, 'training.state_on_device=' + json.dumps(device))
                got = {key: result['links'][link]['bytes'] + result['flush']['links'][link]['bytes'] for link, key in LINKS.items()}
                weight = {'h2d': 1 + state * device, 'd2h': 1 + state * device, 'read': 1 + state, 'write': 1 + state}
                check.equal('%s, %s, on the device: %s' % (config, optimizer, device), got, {key: store.count[key] * expert * weight[key] for key in weight})


def variant(config, *sets):
    args = [tool.TOOL, 'run', os.path.join(SEEDS, config + '.json'), '--json', '--quiet', '--set', 'observers=' + json.dumps(OBSERVERS)]
    return json.loads(tool.command(args + [word for one in sets for word in ('--set', one)]))


def seconds(config, *sets):
    """Of one run of a variant of the benchmark in which all experts fit on the device, in ns."""
    sets = ('trace.source.experts=64', 'tiers.hbm.capacity=64slots', 'tiers.disk.holds=all', 'contract.judge=event') + sets
    return round(variant(config, *sets)['time']['total_s'] * 1e9)


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
    check_goldens(check)
    check_lookahead(check, random.Random(6))
    check_train(check)
    check_states(check)
    check_disks(check)
    check.close()


if __name__ == '__main__':
    main()
