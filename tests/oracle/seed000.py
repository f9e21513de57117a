"""Seed 000 as it is coded: pools by bit width, their victims, locks, overflow and defragmentation, and its prefetcher, in plain Python.

Written from the description of what the published classes do, oddities included, and from nothing of this project: a second opinion
to hold compositions against. The clock is an argument of every call, in seconds.

    seed000.py              checks the figures that the published classes must give
    seed000.py --table      prints the hit rates of the two streams, seed by seed
"""
import collections
import itertools
import os
import random
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

MIB = 1 << 20
TOTAL, EXPERT_DIM, HIDDEN_DIM = 4096 * MIB, 4096, 11008
SHARES = {2: .25, 4: .50, 8: .25}       # in the order of declaration
MIN_POOL = 64 * MIB
GRACE, COOLDOWN = 2.0, 5.0
AGE, FREQUENCY = .7, .3


def expert_bytes(bits):
    return 3 * EXPERT_DIM * HIDDEN_DIM * bits // 8


class SubPool:
    """Equal slots for one bit width. As coded, a victim's slot is given to the newcomer and put on the free list besides."""

    def __init__(self, slots, slot_bytes, aliasing=True, keep_counts=False):
        self.slots, self.slot_bytes, self.aliasing, self.keep_counts = slots, slot_bytes, aliasing, keep_counts
        self.free = list(range(slots))
        self.slot, self.last, self.count = {}, {}, {}
        self.locks, self.unlocked = collections.Counter(), {}
        self.evicted = []

    def bytes(self):
        return self.slots * self.slot_bytes

    def utilization(self):
        return len(self.slot) / self.slots

    def score(self, key, now):
        """To a billionth: what differs by less are equals, of which the source takes whichever rounding favours."""
        return round(AGE * (now - self.last[key]) + FREQUENCY / (self.count[key] + 1), 9)

    def protected(self, key, now):
        stamp = self.unlocked.get(key)
        return self.locks[key] > 0 or bool(stamp and now - stamp < GRACE)       # a stamp of exactly 0 counts as none

    def victim(self, now, avoid=()):
        open_to = [key for key in self.slot if key not in avoid and not self.protected(key, now)]
        return max(open_to, key=lambda key: self.score(key, now), default=None)         # the first of equals

    def take(self, key, slot, now):
        self.slot[key], self.last[key] = slot, now
        self.count[key] = self.count.get(key, 0) + 1
        return slot

    def drop(self, key):
        self.evicted.append(key)
        del self.last[key]
        if not self.keep_counts:
            del self.count[key]
        self.unlocked.pop(key, None)
        return self.slot.pop(key)

    def allocate(self, key, now, avoid=()):
        """The slot; None when all that is resident is locked, in grace or to be avoided."""
        if key in self.slot:
            return self.take(key, self.slot[key], now)
        if self.free:
            return self.take(key, self.free.pop(), now)
        victim = self.victim(now, avoid)
        if victim is None:
            return None
        slot = self.drop(victim)
        if self.aliasing:
            self.free.append(slot)
        return self.take(key, slot, now)

    def lock(self, key):
        self.locks[key] += 1

    def unlock(self, key, now):
        if self.locks[key] == 0:
            return
        self.locks[key] -= 1
        if self.locks[key] == 0:
            self.unlocked[key] = now

    def resize(self, slots):
        """The most recent first into slots 0, 1, ...; who no longer fits is dropped."""
        recent = sorted(self.slot, key=lambda key: -self.last[key])
        for key in recent[slots:]:
            self.drop(key)
            self.evicted.pop()
        self.slots, self.slot = slots, {key: i for i, key in enumerate(recent[:slots])}
        self.free = list(range(len(self.slot), slots))


class Pool:
    """All sub-pools. `load` gives (hit, bit width of the pool it lies in, slot), or None when memory ran out. With `early` the others are tried
    before anybody has to leave, which the published class does not do."""

    def __init__(self, aliasing=True, defragment=True, shares=SHARES, total=TOTAL, early=False):
        self.early = early
        self.pool = {}
        for bits, share in shares.items():
            size = expert_bytes(bits)
            self.pool[bits] = SubPool(max(1, max(int(total * share), MIN_POOL) // size), size, aliasing)
        self.defragment_on, self.last_defragment = defragment, None
        self.defragments = self.bytes_moved = self.hits = self.misses = self.overflows = self.failures = 0
        self.bits = {}

    def register(self, key, bits):
        self.bits[key] = bits

    def lock(self, key):
        self.pool[self.bits[key]].lock(key)             # of its own width, wherever it lies

    def unlock(self, key, now):
        self.pool[self.bits[key]].unlock(key, now)

    def slots(self):
        return tuple(p.slots for p in self.pool.values())

    def load(self, key, now):
        bits = self.bits[key]
        own = self.pool[bits]
        hit = key in own.slot                           # an overflow copy is not looked for
        self.hits += hit
        self.misses += not hit
        if self.early and not hit and not own.free:
            for other, pool in self.pool.items():
                if other != bits and pool.slot_bytes >= own.slot_bytes and (key in pool.slot or pool.free):
                    self.overflows += 1
                    return False, other, pool.allocate(key, now)
        slot = own.allocate(key, now)
        if slot is None and self.defragment_on and self.defragment(now):
            slot = own.allocate(key, now)
        if slot is not None:
            return hit, bits, slot
        for other, pool in self.pool.items():
            if other != bits and pool.slot_bytes >= own.slot_bytes:
                slot = pool.allocate(key, now)
                if slot is not None:
                    self.overflows += 1
                    return False, other, slot
        self.failures += 1
        return None

    def defragment(self, now):
        if self.last_defragment is not None and now - self.last_defragment < COOLDOWN:
            return False
        receivers = [p for p in self.pool.values() if p.utilization() > .90]
        donors = [p for p in self.pool.values() if p.utilization() < .45 and p.bytes() > MIN_POOL]
        if not receivers or not donors:
            return False
        receiver = max(receivers, key=SubPool.utilization)
        donor = min(donors, key=SubPool.utilization)
        moved = min(len(donor.free) * donor.slot_bytes // 4, donor.bytes() // 10)
        less, more = moved // donor.slot_bytes, moved // receiver.slot_bytes
        if less == 0 or more == 0:
            return False
        donor.resize(donor.slots - less)
        receiver.resize(receiver.slots + more)
        self.defragments += 1
        self.bytes_moved += moved
        self.last_defragment = now
        return True


class Prefetcher:
    """Which experts a layer wants next, from what it used before: the newest 32 tokens, or by position."""

    def __init__(self, k=4, decay=.9, window=32, floor=.05, positions=2048):
        self.k, self.decay, self.floor, self.positions = k, decay, floor, positions
        self.history = collections.defaultdict(lambda: collections.deque(maxlen=window))
        self.at = collections.defaultdict(dict)         # layer -> position -> experts

    def record(self, layer, ids, position=None):
        self.history[layer].append(list(ids))
        if position is not None:
            self.at[layer][position] = list(ids)
            self.at[layer].pop(position - self.positions, None)

    def best(self, score):
        return sorted(score, key=lambda e: -score[e])[:self.k]          # equals in the order in which they were first seen

    def topk_recency(self, layer):
        score = {}
        for steps, ids in enumerate(reversed(self.history[layer])):
            for e in ids:
                score[e] = score.get(e, 0.0) + self.decay ** steps
        for e in self.history[layer][-1] if self.history[layer] else ():
            score[e] += 2.0
        return self.best(score)

    def repeat(self, current):
        return list(current)[:self.k]

    def counts(self, layer, current):
        score = collections.Counter()
        for ids in reversed(self.history[layer]):
            score.update(ids)
        total = sum(score.values())
        often = {e: n for e, n in score.items() if n / total >= self.floor}
        return self.best(often) if often else self.repeat(current)

    def attention(self, layer, pattern):
        """pattern[head][position]; what is not recorded adds nothing."""
        score = {}
        for position, weights in enumerate(itertools.islice(zip(*pattern), self.positions)):
            for e in self.at[layer].get(position, ()):
                score[e] = score.get(e, 0.0) + statistics.fmean(weights)
        return self.best(score) if score else self.topk_recency(layer)

    def queue_as_coded(self, layer, current, predicted, lookahead):
        """The current ids again and again, for this layer."""
        ids = predicted + list(current) * lookahead
        return [(layer, e) for e in dict.fromkeys(ids)]

    def queue_as_documented(self, layer, predicted, lookahead):
        return [(layer + d, e) for d in range(1, lookahead + 1) for e in predicted]


# ---- the two streams ----

ACCESSES, STEP = 20000, .001
STREAMS = {'uniform': [1.0] * 64, 'zipf': [1 / (i + 1) for i in range(2048)]}


def stream(name, seed):
    weights = STREAMS[name]
    return random.Random(seed).choices(range(len(weights)), weights, k=ACCESSES)


def replay(keys, aliasing):
    """31 slots, an access each millisecond: (hits, misses, resident)."""
    pool = SubPool(31, expert_bytes(4), aliasing)
    hits = 0
    for i, key in enumerate(keys):
        hits += key in pool.slot
        pool.allocate(key, (i + 1) * STEP)
    return hits, len(keys) - hits, len(pool.slot)


# stream, aliasing, mean hit rate, how far the mean of the seeds may be from it (the spread over 16 seeds)
HIT_RATES = [('uniform', False, .485, .004), ('uniform', True, .99515, 0.0), ('zipf', False, .407, .006), ('zipf', True, .854, .0015)]
SEEDS = 6


def check_streams(check, show):
    for name, aliasing, want, apart in HIT_RATES:
        runs = [replay(stream(name, seed), aliasing) for seed in range(SEEDS)]
        rates = [hits / ACCESSES for hits, _, _ in runs]
        if show:
            print(name, 'as coded' if aliasing else 'intended', ['%.4f' % r for r in rates], [resident for _, _, resident in runs])
        check.equal('%s, %s: hit rate %.5f is within %g of %g' % (name, aliasing, statistics.fmean(rates), apart, want),
                    abs(statistics.fmean(rates) - want) <= apart + 1e-9, True)
        if aliasing and name == 'uniform':
            check.equal('uniform as coded: misses and residents of every seed', set(run[1:] for run in runs), {(97, 64)})
        elif aliasing:
            resident = statistics.fmean(run[2] for run in runs)
            check.equal('zipf as coded: %g residents are within 14 of 1479' % resident, abs(resident - 1479) <= 14, True)
        else:
            check.equal('%s intended: residents fill the slots' % name, {run[2] for run in runs}, {31})


# ---- arithmetic and scripts ----

def check_sizes(check):
    pool = Pool()
    check.equal('slots', pool.slots(), (31, 31, 7))
    check.equal('MiB of an expert', [expert_bytes(b) / MIB for b in SHARES], [32.25, 64.5, 129.0])
    tail = [int(TOTAL * share) - p.bytes() for share, p in zip(SHARES.values(), pool.pool.values())]
    check.equal('MiB left over', [t / MIB for t in tail], [24.25, 48.5, 121.0])
    check.equal('share left over', round(sum(tail) / TOTAL, 3), .047)
    small = Pool(total=100 * MIB)
    check.equal('sub-pools of at least 64 MiB overshoot a small total', sum(p.bytes() for p in small.pool.values()) > 100 * MIB, True)
    check.equal('slots of a small total', small.slots(), (1, 1, 1))


def check_victims(check):
    pool = SubPool(2, 1, aliasing=False)
    for i in range(50):
        pool.allocate('often', i * .001)
    pool.allocate('once', .149)
    check.equal('score of one used once just now', round(pool.score('once', .149), 3), .15)
    check.equal('score of one used 50 times .1 s ago', round(pool.score('often', .149), 3), .076)
    check.equal('the newcomer leaves', pool.victim(.149), 'once')
    check.equal('unless it is to be avoided', pool.victim(.149, avoid=('once',)), 'often')
    check.equal('age is worth more than any count beyond .214 s', FREQUENCY / 2 / AGE, .15 / .7)
    check.equal('.3 s later it still does: both have aged alike', pool.victim(.45), 'once')
    pool.allocate('once', .45)
    check.equal('used again, the old one leaves', pool.victim(.46), 'often')
    even = SubPool(3, 1, aliasing=False)
    for key in 'cab':
        even.allocate(key, 1.0)
    check.equal('of equals the first that came', even.victim(2.0), 'c')
    even.allocate('d', 2.0)
    even.allocate('c', 2.0)
    check.equal('counts are forgotten', even.count, {'b': 1, 'd': 1, 'c': 1})
    kept = SubPool(1, 1, aliasing=False, keep_counts=True)
    for t, key in enumerate('xyx'):
        kept.allocate(key, t)
    check.equal('or kept', kept.count, {'x': 2, 'y': 1})


def check_aliasing(check):
    """Slots of the first loads, by hand: the free list is a stack, and as coded a victim's slot is handed out twice."""
    for aliasing, want in (False, [2, 1, 0, 2, 1, 0]), (True, [2, 1, 0, 2, 2, 1]):
        pool = SubPool(3, 1, aliasing)
        check.equal('slots of six loads, %s' % aliasing, [pool.allocate(key, 1 + key) for key in range(6)], want)
        check.equal('victims', pool.evicted, [0, 1] if aliasing else [0, 1, 2])
        check.equal('residents', len(pool.slot), 4 if aliasing else 3)
    check.equal('utilization above 1', pool.utilization() > 1, True)


def check_locks(check):
    pool = SubPool(31, 1, aliasing=False)
    for i in range(31):
        pool.allocate(i, (i + 1) * .001)
        pool.lock(i)
    pool.lock(7)
    pool.lock(7)
    pool.unlock(7, .5)
    pool.unlock(7, .6)
    check.equal('nested: still locked', (pool.locks[7], pool.unlocked, pool.allocate(31, 2.0)), (1, {}, None))
    pool.unlock(7, 1.0)
    check.equal('refused in grace', pool.allocate(31, 2.9), None)
    check.equal('evicted when two seconds have passed', (pool.allocate(31, 3.0), pool.evicted), (23, [7]))
    pool.unlock(31, 3.0)
    check.equal('no unlock without a lock', pool.unlocked, {})
    pool.lock('absent')
    check.equal('what is not resident may be locked', pool.locks['absent'], 1)
    pool.unlock(0, 4.0)
    pool.lock(0)
    check.equal('locked again, the old stamp stays', pool.unlocked[0], 4.0)
    zero = SubPool(1, 1, aliasing=False)
    zero.allocate('a', 0.0)
    zero.lock('a')
    zero.unlock('a', 0.0)
    check.equal('a stamp of exactly 0 is none', zero.allocate('b', .1), 0)


def check_defragmentation(check):
    pool, seen, now = Pool(aliasing=False), [], 0.0
    names = itertools.count()
    while True:
        own = pool.pool[4]
        while len(own.slot) < own.slots:
            own.allocate(next(names), now)
        seen.append((pool.pool[2].slots, own.slots))
        if not pool.defragment(now):
            break
        now += COOLDOWN
    check.equal('slots of 2 and 4 bits', seen, [(31, 31), (28, 32), (26, 33), (24, 34), (22, 35), (20, 36), (18, 37)])
    check.equal('MiB moved', round(pool.bytes_moved / MIB, 3), 486.975)
    check.equal('MiB lost', sum(map(SubPool.bytes, Pool().pool.values())) / MIB - sum(map(SubPool.bytes, pool.pool.values())) / MIB, 32.25)
    check.equal('the last would move MiB', round(min(18 * 32.25 / 4, 18 * 32.25 / 10), 2), 58.05)
    eight = Pool(aliasing=False)
    for i in range(7):
        eight.pool[8].allocate(i, 0.0)
    check.equal('8 bits full: too little for a slot', (eight.defragment(1.0), eight.last_defragment), (False, None))
    check.equal('8 bits never give', eight.pool[8].bytes() // 10 < eight.pool[8].slot_bytes, True)
    shrunk = SubPool(4, 1, aliasing=False)
    for t, key in enumerate('abcd'):
        shrunk.allocate(key, t)
    shrunk.allocate('a', 9)
    shrunk.resize(3)
    check.equal('compaction: the most recent first, the oldest is dropped', (shrunk.slot, shrunk.free), ({'a': 0, 'd': 1, 'c': 2}, []))
    shrunk.resize(5)
    check.equal('growth: new indices are free', (shrunk.free[:], shrunk.allocate('e', 10)), ([3, 4], 4))


def script(aliasing=False):
    """The script of locked experts: what each load gives, and the slots after it."""
    pool = Pool(aliasing=aliasing)
    times = [(i + 1) * .001 for i in range(31)] + [1.0 + i * .5 for i in range(12)]
    log = []
    for key, now in enumerate(times):
        pool.register(key, 4)
        log.append(pool.load(key, now)[1:] + pool.slots()[:2])
        pool.lock(key)
    return pool, log


def check_script(check):
    pool, log = script()
    check.equal('the first gets slot 30, the last of 31 slot 0', (log[0], log[30]), ((4, 30, 31, 31), (4, 0, 31, 31)))
    check.equal('the 32nd at t = 1 makes room', log[31], (4, 31, 28, 32))
    check.equal('to t = 5.5 into 8 bits', [entry[0] for entry in log[32:41]], [8] * 9)
    check.equal('slots there: the eighth evicts the first', [entry[1] for entry in log[32:41]], [6, 5, 4, 3, 2, 1, 0, 6, 5])
    check.equal('victims there', pool.pool[8].evicted, [32, 33, 34])
    check.equal('t = 6: again', log[41], (4, 32, 26, 33))
    check.equal('then into 8 bits again', log[42], (8, 4, 26, 33))
    check.equal('twice', (pool.defragments, pool.overflows), (2, 10))
    coded, log = script(aliasing=True)
    check.equal('with slots handed out twice the 8-bit pool is the fuller receiver from its ninth on, and cannot grow',
                (coded.defragments, coded.pool[8].utilization() > 1, [entry[0] for entry in log[41:]]), (1, True, [8, 8]))


def check_overflow(check):
    pool = Pool(aliasing=False, defragment=False)
    for key in range(33):
        pool.register(key, 4)
        pool.load(key, 1.0 + key * .001)
        pool.lock(key)
    check.equal('overflow', (31 in pool.pool[8].slot, 32 in pool.pool[8].slot, pool.pool[8].slot[31]), (True, True, 6))
    check.equal('it is not found there', pool.load(31, 2.0), (False, 8, 6))
    pool.unlock(0, 2.0)
    check.equal('when its own pool can, it gets a second copy', pool.load(31, 4.0), (False, 4, 30))
    check.equal('and the first stays', 31 in pool.pool[8].slot, True)
    check.equal('now it is found', pool.load(31, 4.1), (True, 4, 30))
    wide = Pool(aliasing=False, defragment=False)
    for key in range(40):
        wide.register(key, 2 if key < 32 else 8)
        wide.load(key, 1.0)
        wide.lock(key)
    check.equal('2 bits into 4', (31 in wide.pool[4].slot, wide.load(39, 2.0)), (True, None))


def check_prefetcher(check):
    p = Prefetcher()
    for ids in [1, 2], [3, 1], [2, 5]:
        p.record(0, ids)
    # newest first: 2: 1 + .81 + 2, 5: 1 + 2, 3: .9, 1: .9 + .81
    check.equal('recency', p.topk_recency(0), [2, 5, 1, 3])
    check.equal('repeat', p.repeat([9, 8, 7, 6, 5]), [9, 8, 7, 6])
    check.equal('counts', p.counts(0, []), [2, 1, 5, 3])
    for i in range(40):
        p.record(1, [i])
    check.equal('a window of 32, each with 1/32: nobody has the share', (len(p.history[1]), p.counts(1, [7, 8])), (32, [7, 8]))
    check.equal('equals in the order first seen', p.topk_recency(1), [39, 38, 37, 36])
    p.record(2, [4, 5], 0)
    p.record(2, [6, 4], 1)
    check.equal('attention, mean over heads', p.attention(2, [[.1, .5], [.3, .1]]), [4, 6, 5])
    check.equal('without anything recorded there: recency', p.attention(0, [[1.0]]), p.topk_recency(0))
    p.record(2, [1], 2048)
    check.equal('positions are bounded', sorted(p.at[2]), [1, 2048])
    check.equal('lookahead as coded never leaves the layer', p.queue_as_coded(5, [1, 2], [2, 3], 3), [(5, 2), (5, 3), (5, 1)])
    check.equal('and as documented does', p.queue_as_documented(5, [2, 3], 2), [(6, 2), (6, 3), (7, 2), (7, 3)])


def main():
    check = tool.Check('seed000')
    for one in (check_sizes, check_victims, check_aliasing, check_locks, check_defragmentation, check_script, check_overflow, check_prefetcher):
        one(check)
    check_streams(check, '--table' in sys.argv)
    check.close()


if __name__ == '__main__':
    main()
