"""Independent reference of the selftest's untimed cases: five policies under four contracts, plain Python, from the text of the contracts.

    event_atomic  hits on the state before the event. The event fits: misses make room among the rest. It does not: others leave
                  first; then its own, in the order in which they were computed: hits in union order, then misses as they came.
    after_batch   everything missing enters; then, while there are too many, what the event did not touch leaves in policy order.
    keep_best     everything missing enters; then, while there are too many, the worst of all leaves in policy order.
    serialized    id by id: counted, and when it is missing and the cache is full, the worst leaves and it enters.

Orders (who leaves first): lru: oldest touch. fifo: oldest entry. lfu: fewest uses ever, then oldest touch. resident lfu: the same,
uses forgotten when it leaves. belady: farthest next event (serialized: access), then oldest entry. An id that an event lists again
is touched again but neither looked up nor counted. Run as a test, it compares the tool's tables with itself, and the tool.
"""
import json
import math
import os
import subprocess
import sys

POLICIES = ('lru', 'lfu', 'lfu resident', 'fifo', 'belady')
CONTRACTS = ('event_atomic', 'after_batch', 'keep_best', 'serialized')


def events_of(text):
    """'P0,1|2 D3|0' -> one list of ids per (step, layer); the P tokens of a request are one step, every D token is one."""
    steps, prompt = [], False
    for word in text.split():
        layers = [[int(x) for x in ids.split(',')] for ids in word[1:].split('|')]
        if word[0] == 'P' and prompt:
            for all_ids, ids in zip(steps[-1], layers):
                all_ids += ids
        else:
            steps.append(layers)
        prompt = word[0] == 'P'
    return [[(layer, x) for x in ids] for step in steps for layer, ids in enumerate(step)]


class Cache:
    """What is resident, and who is the worst of some."""

    def __init__(self, policy, events):
        self.policy, self.resident, self.clock = policy, set(), 0
        self.touched, self.entered, self.uses = {}, {}, {}
        self.future = {}
        for i, ids in enumerate(events):
            for x in dict.fromkeys(ids):
                self.future.setdefault(x, []).append(i)

    def use(self, ids, index):
        """Uses of one event: counts once each, recency in the order of the last appearances."""
        for x in dict.fromkeys(ids):
            self.uses[x] = self.uses.get(x, 0) + 1
            self.future[x] = [i for i in self.future[x] if i > index]
        for x in ids:
            self.clock += 1
            self.touched[x] = self.clock

    def enter(self, x):
        self.clock += 1
        self.entered[x] = self.clock
        self.resident.add(x)

    def leave(self, x):
        self.resident.remove(x)
        if self.policy == 'lfu resident':
            self.uses[x] = 0

    def rank(self, x):
        """The lowest leaves first."""
        if self.policy == 'lru':
            return self.touched[x]
        if self.policy == 'fifo':
            return self.entered[x]
        if self.policy == 'belady':
            return (-(self.future[x][0] if self.future[x] else math.inf), self.entered[x])
        return (self.uses[x], self.touched[x])

    def worst(self, among):
        return min(among, key=self.rank)


def atomic(cache, ids, room):
    distinct = list(dict.fromkeys(ids))
    hits = [x for x in distinct if x in cache.resident]
    misses = [x for x in distinct if x not in cache.resident]
    computed, fits = list(hits), len(distinct) <= room
    for x in misses:
        if len(cache.resident) == room:
            others = cache.resident - set(distinct)
            cache.leave(cache.worst(others) if fits or others else computed.pop(0))
        cache.enter(x)
        computed.append(x)
    return len(hits)


def batch(cache, ids, room, protect):
    distinct = list(dict.fromkeys(ids))
    hits = sum(x in cache.resident for x in distinct)
    for x in distinct:
        if x not in cache.resident:
            cache.enter(x)
    while len(cache.resident) > room:
        among = cache.resident - set(distinct) if protect else cache.resident
        if not among:
            break
        cache.leave(cache.worst(among))
    return hits


def replay(text, policy, contract, room):
    """(lookups, hits)"""
    events = events_of(text)
    if contract == 'serialized':
        events = [[x] for ids in events for x in ids]
    cache, lookups, hits = Cache(policy, events), 0, 0
    for i, ids in enumerate(events):
        lookups += len(set(ids))
        cache.use(ids, i)
        if contract in ('event_atomic', 'serialized'):
            hits += atomic(cache, ids, room)
        else:
            hits += batch(cache, ids, room, contract == 'after_batch')
    return lookups, hits


def setting(case, key):
    return next(s[len(key) + 1:] for s in case['settings'] if s.startswith(key + '='))


def name_of(policy):
    return 'lfu resident' if policy.get('counts') == 'resident' else policy['name']


def main():
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
    import tool
    check = tool.Check('selftest_reference')
    done = subprocess.run([tool.TOOL, 'selftest', '--json'], capture_output=True, text=True)
    check.equal('exit', done.returncode, 0)
    table = {}
    for case in json.loads(done.stdout)['cases']:
        if not case['name'].startswith('stronger'):
            continue
        config, trace = case['config'], case['trace']
        policy, contract = name_of(config['policy']), setting(case, 'contract')
        room = int(config['tiers']['cache']['capacity'].removesuffix('slots'))
        lookups, hits = replay(trace, policy, contract, room)
        check.equal(case['name'] + ' lookups', case['expected'].get('cache.lookups'), lookups)
        check.equal(case['name'] + ' hits', case['expected'].get('cache.hits'), hits)
        check.equal(case['name'] + ' oversize', max(len(set(ids)) for ids in events_of(trace)) > room, True)
        table.setdefault(policy, {})[contract] = hits
    check.equal('policies', sorted(table), sorted(POLICIES))
    for policy, row in table.items():
        check.equal(policy + ' under how many contracts', sorted(row), sorted(CONTRACTS))
        check.equal(policy + ' differs between all of them', len(set(row.values())), len(CONTRACTS))
    check.close()


if __name__ == '__main__':
    main()
