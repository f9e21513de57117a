"""configs/engines as they ship: the contract each states, what must hold of any trace, and hits to the integer.

On the sample the integers come from two replays written here, a dozen lines each; on real traces (where they are) from oracle-*.json.
stratamoe's published figures are in switch.py, bigmoeonedge's in bigmoeonedge.py.
"""
import csv
import json
import os
import subprocess
import sys
from collections import OrderedDict

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
SAMPLE = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')
CONTRACT = {
    'onnx-genai': 'event_atomic, overflow trim, quota round, prefill skip, pins free',
    'stratamoe': 'serialized, prefill tokens, prefill_counts together',
    'bigmoeonedge': 'after_batch',
}
SIZE = {'onnx-genai': (), 'stratamoe': (), 'bigmoeonedge': ('model.expert_bytes=13219200',)}   # the sample does not say what an expert weighs
POLICY = {'lru': 'lru', 'lfu': {'name': 'lfu', 'counts': 'resident'}, 'plfu': {'name': 'lfu', 'counts': 'persistent'}, 'opt': 'belady'}


def command(engine, trace, sets, *more):
    args = [tool.TOOL, 'run', os.path.join(ROOT, 'configs', 'engines', engine + '.json'), '--set', 'trace.path=' + trace, *more]
    for s in sets:
        args += ['--set', s]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (engine, done.stderr))
    return done.stdout


def run(engine, trace, *sets):
    return json.loads(command(engine, trace, ('bounds=false',) + sets, '--json'))


def rows(trace):
    """(token, phase, layer, experts) in the order of the trace."""
    done = subprocess.run([tool.TOOL, 'trace', 'export', trace, '-o', '-'], capture_output=True, text=True, check=True)
    table = csv.DictReader(done.stdout.splitlines())
    ids = [name for name in table.fieldnames if name[0] == 'e' and name[1:].isdigit()]
    return [((r['request_id'], r['token_index']), r['phase'], int(r['layer']), [int(r[e]) for e in ids if r[e]]) for r in table]


# ---- two replays ----

def page_in(trace, slots):
    """onnx-genai: a decode row is judged whole, enters whole, then the least recently used that is not of it leaves."""
    resident, hits, lookups = OrderedDict(), 0, 0
    for _, phase, layer, experts in trace:
        if phase != 'D':
            continue
        keys = [(layer, e) for e in experts]
        hits += sum(key in resident for key in keys)
        lookups += len(keys)
        for key in keys:
            resident.pop(key, None)
            resident[key] = True
        while len(resident) > slots:
            resident.popitem(last=False)
    return {'lookups': lookups, 'hits': hits}


def three_tiers(trace, gpu_slots, ram_slots):
    """stratamoe: one id at a time; from RAM it leaves RAM; the victim of the GPU goes to RAM, that of RAM is dropped."""
    gpu, ram = OrderedDict(), OrderedDict()
    count = {'lookups': 0, 'hits': 0, 'ram': 0, 'nvme': 0, 'evictions': 0}
    for _, _, layer, experts in trace:
        for key in ((layer, e) for e in experts):
            count['lookups'] += 1
            if key in gpu:
                count['hits'] += 1
                gpu.move_to_end(key)
                continue
            count['ram' if ram.pop(key, None) else 'nvme'] += 1
            if len(gpu) == gpu_slots:
                victim, _ = gpu.popitem(last=False)
                ram[victim] = True
                count['evictions'] += 1
                if len(ram) > ram_slots:
                    ram.popitem(last=False)
                    count['evictions'] += 1
            gpu[key] = True
    return count


def tiers_of(result):
    cache, tiers = result['cache'], result['tiers']
    return {'lookups': cache['lookups'], 'hits': cache['hits'], 'ram': tiers['ram']['found'], 'nvme': tiers['nvme']['found'],
            'evictions': tiers['gpu']['evictions'] + tiers['ram']['evictions']}


# ---- what is claimed ----

def contracts(check):
    for engine, label in CONTRACT.items():
        result = run(engine, SAMPLE, *SIZE[engine])
        check.equal(engine + ' contract', result['contract']['label'], label)
        line = [line for line in command(engine, SAMPLE, SIZE[engine]).split('\n') if line.startswith('  policy')]
        check.equal(engine + ' says so', line, ['  policy        lru; contract %s; clock none' % label])


def invariants(check, engine, result):
    cache, info = result['cache'], result['provenance']['trace']
    check.equal(engine + ' lookups are hits and misses', cache['hits'] + cache['late'] + cache['misses'], cache['lookups'])
    check.equal(engine + ' misses by cause', cache['misses_compulsory'] + cache['misses_capacity'] + cache['misses_refused'], cache['misses'])
    tier = result['tiers'][serving(result)]
    check.equal(engine + ' what came is there or has left', result['capacity']['residents'], tier['insertions'] - tier['evictions'])
    check.equal(engine + ' all is demand', (cache['guess_copies'], cache['late'], cache['insertions']), (0, 0, cache['misses']))
    check.equal(engine + ' no more than the trace', cache['lookups'] <= info['accesses'], True)
    for name, tier in result['tiers'].items():
        if not tier['home']:
            check.equal('%s %s keeps to its room at the end' % (engine, name), tier['held'] <= tier['capacity'], True)
    check.equal(engine + ' found where it was', sum(tier.get('found', 0) for tier in result['tiers'].values()), cache['misses'])


def serving(result):
    return next(name for name, tier in result['tiers'].items() if tier['serving'])


def on_the_sample(check):
    trace = rows(SAMPLE)
    for slots in (4, 96, 192, 500):
        result = run('onnx-genai', SAMPLE, 'tiers.cache.capacity=%dslots' % slots)
        check.equal('onnx-genai %d' % slots, {key: result['cache'][key] for key in ('lookups', 'hits')}, page_in(trace, slots))
        check.equal('onnx-genai skips the prompt', result['cache']['prefill']['lookups'], 0)
        invariants(check, 'onnx-genai', result)
    for gpu, ram in ((12, 18), (96, 96), (192, 250), (3, 700)):
        result = run('stratamoe', SAMPLE, 'tiers.gpu.capacity=%dslots' % gpu, 'tiers.ram.capacity=%dslots' % ram)
        check.equal('stratamoe %d %d' % (gpu, ram), tiers_of(result), three_tiers(trace, gpu, ram))
        check.equal('stratamoe brings 64 MB each', result['cache']['fetched_bytes'], 64000000 * result['cache']['misses'])
        invariants(check, 'stratamoe', result)


def oracle(folder, name):
    """Hits of the global caches: (policy, capacity) -> (accesses, hits)."""
    file = json.load(open(tool.trace(folder, name)))
    return {(row['policy'], row['capacity']): (row['accesses'], row['hits']) for row in file['runs'] if row['scope'] == 'global' and not row['reset']}


def on_real_traces(check):
    folder = 'gpt-oss-20b-decode'
    for (policy, slots), want in oracle(folder, 'oracle-set.json').items():
        cache = run('onnx-genai', tool.trace(folder), 'tiers.cache.capacity=%dslots' % slots, 'policy=' + json.dumps(POLICY[policy]))['cache']
        check.equal('onnx-genai %s %d' % (policy, slots), (cache['lookups'], cache['hits']), want)
    # under LRU the GPU alone is a cache of its size, and both tiers together one of theirs
    for folder in ('bigmoeonedge-qwen3-30b-k6', 'bigmoeonedge-gpt-oss-120b-k2', 'deepseek-moe-16b-prefill', 'switch-base-8-encoder', 'gpt-oss-20b-decode'):
        want = oracle(folder, 'oracle-access.json')
        small, large = sorted(slots for policy, slots in want if policy == 'lru')
        experts = json.load(open(tool.trace(folder, 'oracle-access.json')))['check']['experts']
        result = run('stratamoe', tool.trace(folder), 'tiers.gpu.capacity=%dslots' % small, 'tiers.ram.capacity=%dslots' % (large - small), 'model.experts=%d' % experts)
        got = tiers_of(result)
        check.equal('stratamoe gpu ' + folder, (got['lookups'], got['hits']), want['lru', small])
        check.equal('stratamoe gpu and ram ' + folder, (got['lookups'], got['hits'] + got['ram']), want['lru', large])
        invariants(check, 'stratamoe ' + folder, result)


def main():
    check = tool.Check('engines')
    contracts(check)
    on_the_sample(check)
    if os.path.isdir(tool.TRACES):
        on_real_traces(check)
    check.close()


if __name__ == '__main__':
    main()
