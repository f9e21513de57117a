"""The published toy of event-atomic replay: its totals, the misses of each event, and that the selftest ships the same trace."""
import csv
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool


def requests():
    """[step][layer] -> (ids, misses) of events.csv."""
    steps = {}
    with open(tool.trace('event-atomic-toy', 'events.csv'), newline='') as f:
        for row in csv.DictReader(f):
            steps.setdefault(int(row['scheduler_step']), {})[int(row['layer'])] = ([int(x) for x in row['requested_experts'].split()], int(row['misses']))
    return [[steps[s][layer] for layer in sorted(steps[s])] for s in sorted(steps)]


def neutral_csv(steps, path):
    with open(path, 'w') as f:
        f.write('request_id,token_index,phase,layer,e0,e1\n')
        for position, layers in enumerate(steps):
            for layer, (ids, _) in enumerate(layers):
                f.write('0,%d,D,%d,%s\n' % (position, layer, ','.join(map(str, ids))))


def misses_by_event(log):
    """Copies that began between one use and the next."""
    events = []
    with open(log, newline='') as f:
        for row in csv.DictReader(f):
            if row['kind'] == 'use':
                events.append(0)
            elif row['kind'] == 'start':
                events[-1] += 1
    return events


def main():
    tool.need_traces()
    check = tool.Check('toy')
    want = json.load(open(tool.trace('event-atomic-toy', 'manifest.json')))['expected']
    steps = requests()
    with tempfile.TemporaryDirectory() as folder:
        path, log = os.path.join(folder, 'toy.csv'), os.path.join(folder, 'events.csv')
        neutral_csv(steps, path)
        config = tool.untimed(path, '%dslots' % want['capacity_blocks'], want['policy'], {'preset': 'keep_best', 'scope': 'layer'},
                              observers=['summary', 'audit', {'name': 'events', 'path': log}])
        cache = tool.run(config)['cache']
        check.equal('misses by event', misses_by_event(log), want['event_misses'])
    for ours, theirs in (('lookups', 'total_accesses'), ('hits', 'hits'), ('misses', 'misses'), ('misses_compulsory', 'compulsory_misses'),
                         ('misses_capacity', 'capacity_misses'), ('evictions', 'evictions'), ('insertions', 'cache_insertions')):
        check.equal(ours, cache[ours], want[theirs])
    check.equal('misses of events.csv', [m for layers in steps for _, m in layers], want['event_misses'])
    shipped = json.loads(subprocess.run([tool.TOOL, 'selftest', 'toy', '--json'], capture_output=True, text=True).stdout)['cases'][0]
    check.equal('trace of the selftest', shipped['trace'], ' '.join('D' + '|'.join(','.join(map(str, ids)) for ids, _ in layers) for layers in steps))
    for key, value in shipped['expected'].items():
        check.equal('selftest ' + key, value, cache[key.split('.')[1]])
    check.close()


if __name__ == '__main__':
    main()
