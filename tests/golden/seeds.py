"""The compositions of configs/seeds land where their seeds do: every row of the claims that has a band of acceptance, over as many seeds as the bands
were given for.

A band is for the mean, or, where the spread is part of the claim, for every single run. The same figures by another way, as plain
Python, are in tests/oracle.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import seed002
import tool

CLAIMS = os.path.join(ROOT, 'configs', 'seeds', 'claims.json')

RUNS_OF = {'001': 40, '002': seed002.SEEDS}

# seed, row, middle, half width: of the mean
MEANS = [
    ('001', 'latency_ms', 7.0, .5), ('001', 'hit_rate', .81, .015), ('001', 'perfect', .424, .03), ('001', 'efficiency', 1.425, .03),
    ('002', 'hit_rate', .935, .01), ('002', 'misses', 390, 60), ('002', 'prefetches', 5400, 250),
    ('002', 'speedup_recorded', .71, .03), ('002', 'speedup_consistent', 1.015, .045),
    ('002', 'layers_apart_hit_rate', .226, .02), ('002', 'layers_apart_no_prefetch', .221, .02),
]
# of every run
RUNS = [
    ('002', 'conservative_hit_rate', .452, .03), ('002', 'balanced_hit_rate', .896, .02), ('002', 'aggressive_hit_rate', .9985, .0025),
    ('002', 'conservative_hit_rate_27', .297, .03), ('002', 'balanced_hit_rate_27', .587, .03), ('002', 'aggressive_hit_rate_27', .9985, .0025),
]
# what the plain reference has of the same, within 3 %
SAME = [('event_ms', 'event_ms'), ('prefetch_ms', 'prefetch_ms'), ('evictions', 'evictions'), ('utilization', 'utilization'), ('accuracy', 'accuracy'),
        ('cache_hit_share', 'cache_hit')]


def table(seed):
    done = subprocess.run([tool.TOOL, 'reproduce', seed, '--claims', CLAIMS, '--replications', str(RUNS_OF[seed]), '--json', '--quiet'],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return {row['id']: row for row in json.loads(done.stdout)['rows']}


def log(check, folder):
    """The event log has the seed's kinds of event: prefetch, hit (of a guess), cache hit, miss, evict."""
    path = os.path.join(folder, 'events.csv')
    result = json.loads(subprocess.run([tool.TOOL, 'run', os.path.join(ROOT, 'configs', 'seeds', '002-realistic.json'), '--json', '--set',
                                        'observers=' + json.dumps(['summary', {'name': 'events', 'path': path, 'accesses': True}])],
                                       capture_output=True, text=True, check=True).stdout)['cache']
    kinds = [line.split(',')[1] for line in open(path)]
    for kind, key in (('start_guess', 'guess_copies'), ('prefetch_hit', 'hits_prefetched'), ('hit', 'hits_resident'), ('miss', 'misses'), ('evict', 'evictions')):
        check.equal('002 events: ' + kind, kinds.count(kind), result[key])
        check.equal('002 events: some ' + kind, result[key] > 0, True)


def main():
    check = tool.Check('seeds')
    with tempfile.TemporaryDirectory() as folder:
        log(check, folder)
    rows = {seed: table(seed) for seed in sorted({band[0] for band in MEANS + RUNS})}
    for seed, name, middle, half in MEANS:
        got = rows[seed][name]['as_coded']['mean']
        check.equal('%s %s: %g is within %g of %g' % (seed, name, got, half, middle), abs(got - middle) <= half, True)
    for seed, name, middle, half in RUNS:
        low, high = (rows[seed][name]['as_coded'][end] for end in ('min', 'max'))
        check.equal('%s %s: %g to %g is within %g of %g' % (seed, name, low, high, half, middle), middle - half <= low and high <= middle + half, True)
    p95 = rows['001']['p95_ms']['as_coded']['median']
    check.equal('001 p95_ms: the median, %g, is from 20.63 to 20.70' % p95, 20.63 <= p95 <= 20.70, True)
    same = rows['002']['no_prefetch_hit_rate']['as_coded']
    check.equal('002: every replication has a trace of its own', same['min'] < same['max'], True)
    theirs = [seed002.inference(seed) for seed in range(seed002.SEEDS)]
    for name, key in SAME:
        got, want = rows['002'][name]['as_coded']['mean'], seed002.spread(theirs, key)[0]
        check.equal('002 %s: %g is as %g' % (name, got, want), abs(got - want) <= .03 * want, True)
    check.close()


if __name__ == '__main__':
    main()
