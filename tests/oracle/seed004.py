"""Seed 004 as it is coded: the tiered expert store (GPU slots, CPU cache, disk), its cache benchmark and its training run, in plain Python.

Written from the description of what the published source does, oddities included, and from nothing of this project: a second opinion
to hold compositions against. The source draws with a 32-bit Mersenne Twister, which is written out here, so its streams are met word for
word and the figures are integers, not bands.

`Store` has the rules of the version the seed's text belongs to (v0: every eviction writes back) and those of the version after it (v1: the
CPU copy is the true one, an eviction writes what is dirty) as options.

    seed004.py                  checks the figures that the seed's commands must give
    seed004.py --table          prints them
"""
import collections
import sys
from fractions import Fraction

# --- draws ----------------------------------------------------------------------------------------------------------------------------


class Twister:
    """MT19937 with the single-integer initialiser of std::mt19937 (Matsumoto and Nishimura 1998, initialiser of 2002)."""

    def __init__(self, seed):
        self.word = [seed & 0xffffffff]
        for i in range(1, 624):
            self.word.append((1812433253 * (self.word[-1] ^ self.word[-1] >> 30) + i) & 0xffffffff)
        self.at = 624

    def twist(self):
        w = self.word
        for i in range(624):
            y = w[i] & 0x80000000 | w[(i + 1) % 624] & 0x7fffffff
            w[i] = w[(i + 397) % 624] ^ y >> 1 ^ (0x9908b0df if y & 1 else 0)
        self.at = 0

    def next(self):
        if self.at == 624:
            self.twist()
        y = self.word[self.at]
        self.at += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9d2c5680
        y ^= y << 15 & 0xefc60000
        return y ^ y >> 18

    def below(self, n):
        return self.next() % n

    def real(self):
        return (self.next() & 0xffffff) / 2.0 ** 24


class Episode:
    """A new environment, perhaps the same, at every `length`-th call; one more is drawn beforehand and never used."""

    def __init__(self, envs, length, seed):
        self.envs, self.length, self.rng, self.calls = envs, length, Twister(seed + 1), 0
        self.env = self.rng.below(envs)

    def next(self):
        if self.calls % self.length == 0:
            self.env = self.rng.below(self.envs)
        self.calls += 1
        return self.env


class Markov:
    """A new environment, perhaps the same, with probability 1 - p_stay at every call, the first included."""

    def __init__(self, envs, p_stay, seed):
        self.envs, self.p_stay, self.rng = envs, p_stay, Twister(seed + 1)
        self.env = self.rng.below(envs)

    def next(self):
        if self.rng.real() > self.p_stay:
            self.env = self.rng.below(self.envs)
        return self.env


def sampler(a):
    return Episode(a['envs'], a['episode_len'], a['seed']) if a['sampler'] == 'episode' else Markov(a['envs'], a['p_stay'], a['seed'])


def bench_steps(a):
    """What each step of the benchmark draws, doubles included: an environment's id and the seven after it, any of them alike."""
    env, jitter = sampler(dict(a, envs=a['n'])), Twister(a['seed'] + 2)
    for _ in range(a['steps']):
        base = env.next()
        yield [(base + jitter.below(8)) % a['n'] for _ in range(a['per_step'])]


def train_steps(a):
    """A batch mixes `envs_per_batch` environments; every token belongs to one of them. (Which, the seed's text leaves open: the stream of the
    jitter is taken, and none of it where there is but one.)"""
    env, choice = sampler(a), Twister(a['seed'] + 2)
    for _ in range(a['steps']):
        envs = [env.next() for _ in range(a['envs_per_batch'])]
        yield [envs[choice.below(len(envs)) if len(envs) > 1 else 0] % a['n'] for _ in range(a['batch'])]


# --- the store --------------------------------------------------------------------------------------------------------------------------

V0 = {'gpu_evict': 'write_back', 'cpu_evict': 'always', 'update': 'gpu', 'disk': True}
V1 = {'gpu_evict': 'drop', 'cpu_evict': 'dirty', 'update': 'cpu', 'disk': True}
FREE = {'h2d_gbps': 0, 'd2h_gbps': 0, 'read_gbps': 0, 'write_gbps': 0, 'io_ms': 0}
README_RATES = {'h2d_gbps': 12, 'd2h_gbps': 12, 'read_gbps': 3, 'write_gbps': 2, 'io_ms': Fraction(1, 5)}
LINKS = {'h2d': 'h2d_gbps', 'd2h': 'd2h_gbps', 'read': 'read_gbps', 'write': 'write_gbps'}


def expert_bytes(d, h):
    return 4 * (2 * d * h + d + h)


class Store:
    """Experts in `slots` on the GPU and `cpu` places in host memory, both by recency, above a file per expert.

    gpu_evict   write_back: what leaves the GPU is copied down, dirty or not. dirty: only what was updated. drop: never
    cpu_evict   always: what leaves host memory is written to its file. dirty: only what differs from it. never: it is lost
    update      gpu: a step updates the GPU's copy, which is then dirty. cpu: gradients go down, the CPU's copy is updated, as the newest, and sent
                up again. (What the source does when the CPU has dropped it is not recorded: here all of the expert goes down.)
    period      every so many steps, what is dirty in host memory is written (v1's periodic write-back); 1 is its write-through
    """

    def __init__(self, slots, cpu, size, rates=FREE, root=None, period=0, **rules):
        self.slots, self.places, self.size, self.period, self.steps = slots, cpu, size, period, 0
        self.rules = dict(V0, **rules)
        self.rates = dict(FREE, **rates)
        self.disk = root if root is not None else set()
        self.gpu, self.cpu = collections.OrderedDict(), collections.OrderedDict()       # expert: dirty; the least recent first
        self.count = collections.Counter()
        self.ns = collections.Counter()

    def operate(self, link):
        """One operation on a link: what it counts, and how long it takes. A link without a rate costs nothing, its fixed time included."""
        self.count[link] += 1
        rate = self.rates[LINKS[link]]
        if rate > 0:
            extra = self.rates['io_ms'] * 1000000 if link in ('read', 'write') else 0
            self.ns[link] += round(Fraction(self.size) / Fraction(rate) + extra)

    def write(self, e):
        self.operate('write')
        self.disk.add(e)

    def insert_cpu(self, e, dirty):
        """As the newest. Where it was there already it is the same entry."""
        if self.places == 0:
            return
        self.cpu[e] = dirty
        self.cpu.move_to_end(e)
        if len(self.cpu) > self.places:
            self.evict_cpu()

    def evict_cpu(self):
        e, dirty = self.cpu.popitem(last=False)
        self.count['cpu_evict'] += 1
        if not self.rules['disk'] or self.rules['cpu_evict'] == 'never':
            self.count['lost'] += 1
        elif self.rules['cpu_evict'] == 'always' or dirty:
            self.write(e)

    def load_cpu(self, e):
        if e in self.cpu:
            self.count['cpu_hit'] += 1
            self.cpu.move_to_end(e)
            return
        self.count['cpu_miss'] += 1
        if not self.rules['disk']:
            self.count['reinit'] += 1
        elif e in self.disk:
            self.operate('read')
        else:
            self.count['created'] += 1
            self.write(e)
        self.insert_cpu(e, False)

    def write_back(self, e, dirty):
        self.operate('d2h')
        if self.places > 0:
            self.insert_cpu(e, dirty)
        elif self.rules['disk']:
            self.write(e)

    def leave_gpu(self, e, dirty):
        rule = self.rules['gpu_evict']
        if rule == 'write_back' or rule == 'dirty' and dirty:
            self.write_back(e, dirty)

    def touch(self, e):
        self.count['touch'] += 1
        if e in self.gpu:
            self.count['gpu_hit'] += 1
            self.gpu.move_to_end(e)
            return
        self.count['gpu_miss'] += 1
        self.load_cpu(e)
        if len(self.gpu) == self.slots:
            self.count['evict'] += 1
            self.leave_gpu(*self.gpu.popitem(last=False))
        self.operate('h2d')
        self.gpu[e] = False

    def update(self, e):
        """One optimizer step of an expert that is on the GPU."""
        self.count['update'] += 1
        if self.rules['update'] == 'gpu':
            self.gpu[e] = True
            return
        self.write_back(e, True)
        self.operate('h2d')

    def step(self, ids, train=False):
        used = sorted(set(ids))
        for e in used:
            self.touch(e)
        if train:
            for e in used:
                self.update(e)
        self.steps += 1
        if self.period and self.steps % self.period == 0:
            self.write_dirty()

    def write_dirty(self):
        for e, dirty in self.cpu.items():
            if dirty:
                self.write(e)
                self.cpu[e] = False

    def flush(self):
        while self.gpu:
            self.leave_gpu(*self.gpu.popitem(last=False))
        if self.rules['disk']:
            for e, dirty in self.cpu.items():
                if self.rules['cpu_evict'] == 'always' or dirty:
                    self.write(e)

    def seconds(self):
        return sum(self.ns.values()) / 1e9


# --- the seed's commands ------------------------------------------------------------------------------------------------------------------

BENCH = {'n': 1024, 'd': 128, 'h': 512, 'steps': 2000, 'slots': 16, 'cpu': 64, 'sampler': 'episode', 'episode_len': 20, 'p_stay': .9,
         'per_step': 4, 'seed': 0}
README = dict(BENCH, n=2048, episode_len=50)
TRAIN = {'n': 256, 'envs': 256, 'd': 128, 'h': 512, 'steps': 200, 'slots': 16, 'cpu': 64, 'sampler': 'episode', 'episode_len': 20, 'p_stay': .9,
         'envs_per_batch': 1, 'batch': 1024, 'seed': 0}
README_TRAIN = dict(TRAIN, n=512, envs=512, episode_len=30)


def run(steps, a, root=None, train=False, rates=README_RATES, **rules):
    """The store after all steps, and its account from before the flush."""
    store = Store(a['slots'], a['cpu'], expert_bytes(a['d'], a['h']), rates, root, **rules)
    for ids in steps(a):
        store.step(ids, train)
    before = (collections.Counter(store.count), store.seconds())
    store.flush()
    return store, before


def bench(root=None, rules=None, **changed):
    return run(bench_steps, dict(README, **changed), root, **(rules or {}))


def rate(count, level):
    hit, miss = count[level + '_hit'], count[level + '_miss']
    return 100.0 * hit / (hit + miss)


# --- checks ---------------------------------------------------------------------------------------------------------------------------------


class Expect:
    def __init__(self):
        self.failed = 0

    def equal(self, what, got, want):
        if got != want:
            self.failed += 1
            print('%s: %r, not %r' % (what, got, want))

    def counts(self, what, count, **want):
        for key, number in want.items():
            self.equal('%s: %s' % (what, key), count[key], number)

    def rounded(self, what, got, want):
        """As many decimals as the figure was published with."""
        self.equal(what, '%.*f' % (len(want.partition('.')[2]), got), want)


def check_draws(x):
    word = Twister(1)
    x.equal('words of seed 1', [word.next() for _ in range(3)], [1791095845, 4282876139, 3093770124])
    env = Twister(1)
    x.equal('environments of 2048', [env.below(2048) for _ in range(4)], [1061, 235, 1932, 1096])
    walk = Episode(2048, 50, 0)
    x.equal('the first is never used', [walk.next() for _ in range(101)][::50], [235, 1932, 1096])
    jitter = Twister(2)
    x.equal('jitter', [jitter.below(8) for _ in range(8)], [0, 7, 5, 0, 6, 3, 2, 3])
    x.equal('the first steps', [sorted(set(ids)) for _, ids in zip(range(2), bench_steps(README))], [[235, 240, 242], [237, 238, 241]])


def check_readme(x):
    x.equal('bytes of an expert', expert_bytes(128, 512), 526848)
    root = set()
    store, (before, seconds) = bench(root)
    x.counts('bench', before, touch=6651, gpu_hit=6333, gpu_miss=318, cpu_hit=2, cpu_miss=316, created=301, read=15, write=553, evict=302, d2h=302, h2d=318)
    x.counts('bench, flushed', store.count, write=617, d2h=318, read=15)
    x.rounded('bench: seconds', seconds, '0.2891')
    x.rounded('bench, flushed: seconds', store.seconds(), '0.3195')
    x.equal('bench: the clock is its links, op by op', sum(store.ns.values()),
            318 * 43904 + 318 * 43904 + 15 * (175616 + 200000) + 617 * (263424 + 200000))
    store, (before, _) = bench(root)
    x.counts('rerun on the same root', before, created=0, read=316, write=252)
    x.counts('rerun on the same root, flushed', store.count, write=316)
    x.rounded('rerun on the same root: seconds', store.seconds(), '0.2931')
    store, (before, _) = bench(cpu=0)
    x.counts('no CPU cache', before, read=17, write=603)
    x.counts('no CPU cache, flushed', store.count, write=619)
    store, (before, seconds) = bench(cpu=1)
    x.counts('one place in the CPU cache', before, cpu_hit=0, read=17, write=301 + 619, cpu_evict=318 + 302 - 1)
    x.counts('one place in the CPU cache, flushed', store.count, write=301 + 318 + 318)
    x.rounded('one place in the CPU cache: seconds', seconds, '0.4600')
    misses, reads = zip(*((c['gpu_miss'], c['read']) for c in (bench(seed=s)[1][0] for s in (1, 2, 3))))
    x.equal('seeds 1 to 3: misses from 314 to 320', (min(misses), max(misses)), (314, 320))
    x.equal('seeds 1 to 3: reads from 10 to 22', (min(reads), max(reads)), (10, 22))


def check_variants(x):
    store, (before, _) = bench(n=256, episode_len=5)
    x.rounded('n 256: GPU', rate(store.count, 'gpu'), '56.9')
    x.rounded('n 256: CPU', rate(store.count, 'cpu'), '21.2')
    x.counts('n 256', before, read=2003, write=2451)
    x.rounded('n 256: seconds', store.seconds(), '2.17')
    store, _ = bench(n=64)
    x.rounded('n 64: GPU', rate(store.count, 'gpu'), '96.3')
    x.rounded('n 64: CPU', rate(store.count, 'cpu'), '73.7')
    x.counts('n 64', store.count, read=0)
    store, _ = bench(slots=8)
    x.rounded('8 slots: GPU', rate(store.count, 'gpu'), '95.2')
    x.counts('8 slots', store.count, gpu_miss=320)
    store, _ = bench(slots=4)
    x.rounded('4 slots: GPU', rate(store.count, 'gpu'), '40.0')
    x.rounded('4 slots: CPU', rate(store.count, 'cpu'), '92')
    store, _ = bench(sampler='markov')
    x.rounded('markov: GPU', rate(store.count, 'gpu'), '79.4')
    x.counts('markov', store.count, read=349)
    for length, formula, measured in ((5, '55.0', None), (20, '87.9', '88.0'), (50, '95.2', '95.2')):
        union = 8 * (1 - (7 / 8) ** 4)
        x.rounded('formula at %d' % length, 100 * (1 - 8 * (1 - (7 / 8) ** (4 * length)) / (union * length)), formula)
        if measured:
            x.rounded('GPU at %d' % length, rate(bench(episode_len=length)[1][0], 'gpu'), measured)


def check_train(x):
    store, (before, _) = run(train_steps, README_TRAIN, train=True, rates=FREE)
    x.counts('train', before, gpu_miss=7, gpu_hit=193, evict=0, update=200)
    x.counts('train, flushed', store.count, d2h=7, write=14)
    x.equal('train: seconds', store.seconds(), 0.0)


def check_later(x):
    """v1 and what lies between: only what was updated moves down."""
    store, _ = bench(rules={'gpu_evict': 'dirty'})
    x.counts('bench, GPU evictions written back when dirty', store.count, d2h=0)
    store, _ = bench(rules=V1)
    x.counts('bench, v1', store.count, d2h=0, write=301, created=301, read=15)
    steps = dict(README_TRAIN, envs_per_batch=8, batch=64, slots=8, cpu=16)
    store, (before, _) = run(train_steps, steps, train=True, **V1)
    x.equal('train, v1: gradients down, weights up, once per step and expert', before['d2h'], before['update'])
    x.equal('train, v1: and a copy up per miss', before['h2d'], before['update'] + before['gpu_miss'])
    through, _ = run(train_steps, steps, train=True, period=1, **V1)
    periodic, _ = run(train_steps, steps, train=True, period=10, **V1)
    x.equal('train, v1: write-through writes every update', through.count['write'] - through.count['created'], through.count['update'])
    x.equal('train, v1: writing now and then is between', store.count['write'] < periodic.count['write'] < through.count['write'], True)
    always, _ = run(train_steps, steps, train=True)
    dirty, _ = run(train_steps, steps, train=True, gpu_evict='dirty', cpu_evict='dirty')
    x.equal('train: all that leaves the GPU was updated', dirty.count['d2h'], always.count['d2h'])
    x.equal('train: but not all that leaves the CPU', dirty.count['write'] < always.count['write'], True)


def table():
    rows = [('README', {}), ('n 256, ep 5', {'n': 256, 'episode_len': 5}), ('n 64', {'n': 64}), ('8 slots', {'slots': 8}), ('4 slots', {'slots': 4}),
            ('markov', {'sampler': 'markov'}), ('C 0', {'cpu': 0}), ('seed 1', {'seed': 1}), ('seed 2', {'seed': 2}), ('seed 3', {'seed': 3})]
    print('%-12s %6s %6s %6s %6s %6s %6s %6s %6s %8s' % ('', 'touch', 'miss', 'GPU %', 'CPU %', 'new', 'read', 'write', 'evict', 's'))
    for name, changed in rows:
        store, (c, _) = bench(**changed)
        cpu = rate(c, 'cpu') if changed.get('cpu') != 0 else 0.0
        print('%-12s %6d %6d %6.1f %6.1f %6d %6d %6d %6d %8.4f' % (name, c['touch'], c['gpu_miss'], rate(c, 'gpu'), cpu, c['created'],
              c['read'], store.count['write'], c['evict'], store.seconds()))


def main():
    if '--table' in sys.argv[1:]:
        table()
        return
    x = Expect()
    for check in (check_draws, check_readme, check_variants, check_train, check_later):
        check(x)
    if x.failed:
        sys.exit('seed004: %d differ' % x.failed)
    print('seed004: all figures as the seed has them')


if __name__ == '__main__':
    main()
