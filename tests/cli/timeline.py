"""run --timeline: what ui.perfetto.dev would read of it, by a reader of our own that follows its importer's rules; sums of slices against the
result; windows against the whole; the limit; a small case worked out by hand. Over ready-made configs and random ones."""
import glob
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool
import trace_events

TOOL = os.path.abspath(tool.TOOL)
SCENES = 60
STEP_TRACKS = {'stalls', 'memory management'}
FIXED = {'steps', 'stalls', 'memory management', 'leaving a tier'}


def draw(folder, config, window=None, name='t.json', sets=()):
    """(the timeline, the result) of a config: a path or a tree."""
    if not isinstance(config, str):
        with open(os.path.join(folder, 'c.json'), 'w') as f:
            json.dump(config, f)
        config = os.path.join(folder, 'c.json')
    path = os.path.join(folder, name)
    args = [TOOL, 'run', config, '--json', '--timeline', path] + (['--window', window] if window else [])
    done = subprocess.run(args + [word for s in sets for word in ('--set', s)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (config, done.stderr))
    return trace_events.read(path), json.loads(done.stdout)


# ---- against the result ----

def ns(seconds):
    return round(seconds * 1e9)


def plain(config, channel):
    """Is its busy time what its copies took: nothing shares or slows it?"""
    one = config['channels'][channel]
    alone = all(channel not in link['channels'][1:] for link in config['links'])
    first = all(len(link['channels']) == 1 for link in config['links'] if link['channels'][0] == channel)
    return one.get('discipline') != 'shared' and not one.get('slowed_by') and alone and first


def tiles(check, what, timeline, gpu):
    """Compute, stalls and management fill every step from end to end."""
    steps = [s for s in timeline.on('steps') if s.inside == 0]
    parts = sorted(timeline.on(gpu, *STEP_TRACKS), key=lambda s: s.begin)
    at, i, holes = 0, 0, []
    for step in steps:
        at = step.begin
        while i < len(parts) and parts[i].begin < step.end:
            if parts[i].begin != at:
                holes.append((at, parts[i]))
            at = parts[i].end
            i += 1
        if at != step.end:
            holes.append((at, step))
    check.equal(what + ': steps are filled without gap or overlap', (holes[:3], i), ([], len(parts)))
    return len(steps)


def channels(check, what, timeline, result):
    config = result['provenance']['config']
    copies = [s for s in timeline.slices if s.cat in ('demand', 'prefetch', 'late', 'write-back')]
    by = {}
    for s in copies:
        by.setdefault(timeline.tracks[s.track].split(' lane ')[0], []).append(s)
    for name, channel in result['channels'].items():
        mine = by.pop(name, [])
        firsts = {link['channels'][0] for link in config['links']}
        if name not in firsts:
            check.equal('%s: %s has no slices of its own' % (what, name), mine, [])
            continue
        if all(name not in link['channels'][1:] for link in config['links']):       # what only passes is drawn where it queues
            check.equal('%s: bytes over %s' % (what, name), sum(s.args['bytes'] for s in mine), channel['bytes'])
        if plain(config, name):
            check.equal('%s: %s is busy' % (what, name), sum(s.end - s.begin for s in mine), ns(channel['busy_s']))
        area, curve = 0, timeline.counters.get('queue %s copies' % name, [])
        for (t, value), (until, _) in zip(curve, curve[1:] + [(ns(result['time']['total_s']), 0)]):
            area += value * max(0, until - t)
        check.equal('%s: area of the queue of %s' % (what, name), area, ns(channel['queue_s']))
        flying = timeline.counters.get('in flight %s bytes' % name, [(0, 0)])[-1][1]
        check.equal('%s: on its way over %s at the end' % (what, name), flying, sum(s.args['bytes'] for s in mine if 'unfinished' in s.args))
    check.equal(what + ': slices of other channels', by, {})
    return copies


def arrows(check, what, timeline, copies):
    into = {}
    for _, _, end in timeline.flows:
        into[end] = into.get(end, 0) + 1
    for one in copies:
        if one.cat == 'demand' and one.end > one.begin and 'unfinished' not in one.args and one.args.get('queued_ns') is not None and into.get(one, 0) > 1:
            check.equal('%s: arrows into %s' % (what, one), into.get(one), 1)
    lone = [s for s in copies if s.cat == 'demand' and s.end > s.begin and 'unfinished' not in s.args and s not in into]
    return lone


def whole(check, what, timeline, result):
    """All that is checked of a timeline of a whole run."""
    check.equal(what + ': Perfetto reads it as it is meant', timeline.faults, [])
    gpu = next((name for name in timeline.tracks.values() if name in result['provenance']['config']['channels']
                and any(tier.get('compute') == name for tier in result['provenance']['config']['tiers'].values() if tier.get('compute'))), None)
    serving = [t for t in result['provenance']['config']['tiers'].values() if t.get('compute')]
    gpu = timeline.tracks.get(12, gpu)
    check.equal(what + ': a unit computes', gpu in {t['compute'] for t in serving}, True)
    steps = tiles(check, what, timeline, gpu)
    copies = channels(check, what, timeline, result)
    layers = [s for s in timeline.on('steps') if s.inside == 1]
    if not result['provenance']['config']['contract'].get('skip_tokens') and 'training' not in result:
        check.equal(what + ': what the gates found', (sum(s.args['hits'] for s in layers), sum(s.args['late'] for s in layers), len(layers)),
                    (result['cache']['hits'], result['cache']['late'], result['cache']['events']))
    stalls = {}
    for s in timeline.on('stalls'):
        if s.cat == 'stall':
            stalls[s.name[9:]] = stalls.get(s.name[9:], 0) + s.end - s.begin
    check.equal(what + ': stalls', sum(stalls.values()), ns(result['time']['attribution'].get('stall_s', sum(stalls.values()) * 1e-9)))
    check.equal(what + ': the last step ends', max(s.end for s in timeline.on('steps')), ns(result['time']['total_s']))
    written = any(t.get('write_back', 'never') != 'never' for t in result['provenance']['config']['tiers'].values())
    for name, tier in result['tiers'].items():
        if not tier['home'] and tier['counts'] == 'slots' and not written and not any('unfinished' in s.args for s in copies):
            check.equal('%s: experts in %s at the end' % (what, name), timeline.counters['residency %s experts' % name][-1][1], tier['held'])
    members = result['timeline']
    check.equal(what + ': counted', (members['slices'], members['arrows'], members['limited'], members['left_out']), (len(timeline.slices), len(timeline.flows), False, 0))
    lone = arrows(check, what, timeline, copies)
    return steps, len(copies), len(lone)


# ---- by hand ----

def by_hand(check, folder):
    """Two layers of two experts each, room for two; a copy takes 1000 ns, dense 100, an expert 10. Tokens: layer 0 {0,1}, layer 1 {0,1}."""
    config = {'trace': {'source': {'name': 'synthetic', 'layers': 2, 'experts': 2, 'top_k': 2, 'decode_tokens': 1}}, 'model': {'expert_bytes': 1000}, 'bounds': False,
              'tiers': {'cache': {'capacity': '2slots', 'compute': 'gpu'}, 'host': {'home': True}}, 'policy': 'lru',
              'channels': {'pcie': {'timing': {'name': 'constant', 'time': '1000ns'}}, 'gpu': {'timing': {'name': 'compute', 'dense': '100ns', 'expert': '10ns'}}},
              'links': [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}]}
    timeline, _ = draw(folder, config)
    got = [(timeline.tracks[s.track], s.name, s.begin, s.end) for s in timeline.slices]
    order = [s.name.split()[1] for s in timeline.on('pcie')]
    check.equal('by hand: order of copies', sorted(order), ['0/0', '0/1', '1/0', '1/1'])
    a, b, c, d = order
    check.equal('by hand', sorted(got), sorted([
        ('steps', 'step 0', 0, 4220), ('steps', 'layer 0', 0, 2110), ('steps', 'layer 1', 2110, 4220),
        ('gpu', 'dense', 0, 100), ('gpu', 'expert ' + a, 1100, 1110), ('gpu', 'expert ' + b, 2100, 2110),
        ('gpu', 'dense', 2110, 2210), ('gpu', 'expert ' + c, 3210, 3220), ('gpu', 'expert ' + d, 4210, 4220),
        ('stalls', 'wait for pcie', 100, 1100), ('stalls', 'wait for pcie', 1110, 2100), ('stalls', 'wait for pcie', 2210, 3210), ('stalls', 'wait for pcie', 3220, 4210),
        ('pcie', 'demand ' + a, 100, 1100), ('pcie', 'demand ' + b, 1100, 2100), ('pcie', 'demand ' + c, 2210, 3210), ('pcie', 'demand ' + d, 3210, 4210),
        ('leaving a tier', 'evict ' + a, 2210, 2210), ('leaving a tier', 'evict ' + b, 3210, 3210)]))
    copies = timeline.on('pcie')
    check.equal('by hand: queueing', [s.args['queued_ns'] for s in copies], [0, 1000, 0, 1000])
    check.equal('by hand: arguments', copies[1].args, {'layer': 0, 'expert': int(b.split('/')[1]), 'from': 'host', 'to': 'cache', 'bytes': 1000, 'queued_ns': 1000})
    check.equal('by hand: arrows', sorted((name, one.name, two.name, two.begin) for name, one, two in timeline.flows), sorted(
        [('gate', 'layer 0', 'demand ' + a, 100), ('gate', 'layer 0', 'demand ' + b, 1100), ('gate', 'layer 1', 'demand ' + c, 2210), ('gate', 'layer 1', 'demand ' + d, 3210),
         ('use', 'demand ' + a, 'expert ' + a, 1100), ('use', 'demand ' + b, 'expert ' + b, 2100), ('use', 'demand ' + c, 'expert ' + c, 3210),
         ('use', 'demand ' + d, 'expert ' + d, 4210)]))
    check.equal('by hand: counters', timeline.counters, {
        'residency cache experts': [(0, 0), (1100, 1), (2100, 2), (2210, 1), (4210, 2)],
        'queue pcie copies': [(0, 0), (100, 1), (1100, 0), (2210, 1), (3210, 0)],
        'in flight pcie bytes': [(0, 0), (100, 1000), (2100, 0), (2210, 1000), (4210, 0)]})


def late_by_hand(check, folder):
    """A guess that is right and too late: queued behind the demand of its gate, in flight at its own, waited for."""
    config = {'trace': {'source': {'name': 'synthetic', 'layers': 2, 'experts': 4, 'top_k': 1, 'decode_tokens': 1}}, 'model': {'expert_bytes': 1000}, 'bounds': False,
              'tiers': {'cache': {'capacity': '2slots', 'compute': 'gpu'}, 'host': {'home': True}}, 'policy': 'lru', 'predictor': {'name': 'noisy_oracle', 'accuracy': 1},
              'channels': {'pcie': {'timing': {'name': 'constant', 'time': '1000ns'}},
                           'gpu': {'timing': {'name': 'compute', 'dense': '100ns', 'expert': '10ns', 'lookup': '5ns', 'evict': '7ns'}}},
              'links': [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}]}
    timeline, _ = draw(folder, config)
    a, b = [s.name.split()[1] for s in timeline.on('pcie')]
    check.equal('late by hand', sorted((timeline.tracks[s.track], s.name, s.begin, s.end) for s in timeline.slices), sorted([
        ('steps', 'step 0', 0, 2115), ('steps', 'layer 0', 0, 1115), ('steps', 'layer 1', 1115, 2115),
        ('gpu', 'dense', 0, 100), ('memory management', 'lookup', 100, 105), ('stalls', 'wait for pcie', 105, 1105), ('gpu', 'expert ' + a, 1105, 1115),
        ('gpu', 'dense', 1115, 1215), ('memory management', 'lookup', 1215, 1220), ('stalls', 'wait for pcie', 1220, 2105), ('gpu', 'expert ' + b, 2105, 2115),
        ('pcie', 'demand ' + a, 105, 1105), ('pcie', 'late ' + b, 1105, 2105)]))
    check.equal('late by hand: queueing', [s.args['queued_ns'] for s in timeline.on('pcie')], [0, 1000])
    check.equal('late by hand: arrows', sorted((name, one.name, two.name) for name, one, two in timeline.flows), sorted(
        [('gate', 'layer 0', 'demand ' + a), ('guess', 'layer 0', 'late ' + b), ('use', 'demand ' + a, 'expert ' + a), ('use', 'late ' + b, 'expert ' + b)]))
    check.equal('late by hand: gates', [(s.args['hits'], s.args['late'], s.args['misses']) for s in timeline.on('steps') if s.inside], [(0, 0, 1), (0, 1, 0)])


# ---- windows and the limit ----

def inside(s, begin, end):
    return s.begin < end and (s.end > begin or s.begin >= begin)


def windows(check, what, folder, config, full, rng, sets=(), most=9):
    steps = [s for s in full.on('steps') if s.inside == 0]
    last = steps[-1].end
    a, b = sorted(rng.sample(range(len(steps)), 2)) if len(steps) > 1 else (0, 0)
    t, u = sorted(rng.sample(range(last + 2), 2))
    request = rng.choice(steps).args['request']
    tokens, first = [], 0
    for s in steps:
        tokens.append((first, first + s.args['tokens'] - 1))
        first += s.args['tokens']
    low = rng.randrange(first)
    kinds = [('%dns..%dns' % (t, u), [(t, u)]), ('steps=%d..%d' % (a, b), [(steps[a].begin, steps[b].end)]), ('step=%d' % b, [(steps[b].begin, steps[b].end)]),
             ('tokens=%d..%d' % (low, low), [(s.begin, s.end) for s, (x, y) in zip(steps, tokens) if x <= low <= y]), ('%dns..' % t, [(t, last + 10 ** 12)])]
    if max(s.args['tokens'] for s in steps if 'prefill' not in s.name) == 1:
        kinds.append(('request=%d' % request, [(s.begin, s.end) for s in steps if s.args['request'] == request]))
    for window, parts in rng.sample(kinds, min(most, len(kinds))):
        # what takes no time, such as an eviction, may belong to either of two steps that meet at that instant
        edges = set() if window.endswith('ns') or window.endswith('..') else {t for part in parts for t in part}
        picks = lambda slices: sorted(s.key() for s in slices if s.begin < s.end or s.begin not in edges)
        want = picks(s for s in full.slices if any(inside(s, x, y) for x, y in parts))
        if not want:
            continue
        part, result = draw(folder, config, window, 'w.json', sets)
        check.equal('%s: %s: rules' % (what, window), part.faults, [])
        got = picks(part.slices)
        check.equal('%s: %s draws what lies in it' % (what, window), (got == want, len(got)), (True, len(want)))
        for name, curve in part.counters.items():
            for x, value in curve:
                level = [v for y, v in full.counters[name] if y <= x]
                if (x, value) != (parts[0][0], value) and value not in level[-1:]:
                    check.equal('%s: %s: %s at %d' % (what, window, name, x), value, level[-1:])


def limit(check, folder):
    """What begins before the limit was reached is there, nothing else."""
    config = os.path.join(ROOT, 'configs', 'seeds', '001-coverage.json')
    full, _ = draw(folder, config)
    for bytes in (200000, 1000000):
        path = os.path.join(folder, 'l.json')
        result = tool_run(config, ['observers=[{"name": "timeline", "path": "%s", "limit": "%dB"}]' % (path, bytes)])
        part, members = trace_events.read(path), result['timeline']
        check.equal('limit %d: rules' % bytes, part.faults, [])
        check.equal('limit %d: size' % bytes, bytes * 0.8 < part.bytes <= bytes, True)
        end = part.other['cut_at_ns']
        check.equal('limit %d: said' % bytes, (members['limited'], members['from_s'], ns(members['to_s'])), (True, 0, end))
        check.equal('limit %d: what is there' % bytes, sorted(s.key() for s in part.slices) == sorted(s.key() for s in full.slices if s.begin < end), True)
    text = subprocess.run([TOOL, 'run', config, '--set', 'observers=["summary", {"name": "timeline", "path": "%s", "limit": "200KB"}]' % path], capture_output=True, text=True).stdout
    with open(path) as f:
        end = json.load(f)['otherData']['cut_at_ns']
    check.equal('the summary says how to see more: ' + text, ' only, for it is full; --window %dns.. draws what follows' % end in text, True)


def tool_run(config, sets):
    return json.loads(subprocess.run([TOOL, 'run', config, '--json'] + [word for s in sets for word in ('--set', s)], capture_output=True, text=True, check=True).stdout)


# ---- many configs ----

def scene(rng):
    """A config with whatever a machine may have."""
    layers, experts, top_k = rng.randint(1, 4), rng.choice([4, 8, 16]), rng.randint(1, 3)
    host = rng.random() < 0.5
    config = {
        'bounds': False, 'policy': rng.choice(['lru', 'lfu', 'fifo', 'random']), 'model': {'expert_bytes': rng.choice([1000, 4096, 9999])},
        'trace': {'source': {'name': 'synthetic', 'layers': layers, 'experts': experts, 'top_k': top_k, 'requests': rng.randint(1, 3), 'prompt_tokens': rng.choice([0, 3, 9]),
                             'decode_tokens': rng.randint(2, 12), 'reuse': rng.choice([0, 0.5]), 'seed': rng.randint(1, 999)}},
        'tiers': {'cache': {'capacity': '%dslots' % rng.randint(1, layers * experts), 'compute': 'gpu'}, 'home': {'home': True}},
        'channels': {'pcie': {'timing': rng.choice([{'name': 'constant', 'time': '1us'}, {'name': 'affine', 'latency': '333ns', 'rate': '3GB/s'}])},
                     'gpu': {'timing': {'name': 'compute', 'dense': rng.choice(['0', '501ns', '2us']), 'expert': rng.choice(['0', '77ns', '700ns'])}}},
        'links': [{'from': 'home', 'to': 'cache', 'channels': ['pcie']}],
        'compute': {'overlap': rng.choice(['resident_first', 'resident_first', 'in_order', 'barrier'])},
        'contract': {'overflow': rng.choice(['waves', 'trim', 'persist', 'bypass']), 'unit': rng.choice(['union', 'union', 'token']), 'reset': rng.choice(['never', 'request'])},
    }
    pcie, gpu = config['channels']['pcie'], config['channels']['gpu']
    if host:
        config['tiers'] = {'cache': config['tiers']['cache'], 'host': {'capacity': '%dslots' % rng.randint(2, layers * experts)}, 'home': {'home': True}}
        config['channels']['nvme'] = {'timing': {'name': 'affine', 'latency': '1us', 'rate': '900MB/s'}}
        config['channels']['nvme'].update(rng.choice([{}, {'discipline': 'lanes', 'lanes': 3}, {'discipline': 'shared'}]))
        config['links'] = [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}, {'from': 'home', 'to': 'host', 'channels': ['nvme']}]
        if rng.random() < 0.4:
            config['links'] += [{'from': 'cache', 'to': 'host', 'channels': ['d2h']}]
            config['channels']['d2h'] = {'timing': {'name': 'constant', 'time': '800ns'}}
            config['tiers']['cache'].update({'demote': 'host', 'write_back': rng.choice(['absent', 'always'])})
    some = rng.random()
    if some < 0.2:
        pcie.update({'discipline': 'lanes', 'lanes': 2})
    elif some < 0.4:
        pcie['discipline'] = 'shared'
    elif some < 0.6:
        pcie['scheduler'] = {'name': 'demand_first', 'batch': rng.choice([2, 8])}
    elif some < 0.7:
        pcie['slowed_by'] = {'gpu': 0.5}
    if rng.random() < 0.3:
        pcie['chunk'] = '1000B'
    if rng.random() < 0.2:
        gpu['slowed_by'] = {'pcie': 0.7}
    if rng.random() < 0.4:
        gpu['timing'].update({'predict': '50ns', 'lookup': '10ns', 'evict': '20ns'})
    if rng.random() < 0.3:
        config['tiers']['cache']['access'] = {'name': 'constant', 'time': '33ns'}
    if rng.random() < 0.6:
        config['predictor'] = rng.choice(['previous_token', 'transition', {'name': 'noisy_oracle', 'accuracy': 0.7}, {'name': 'noisy_oracle', 'point': 'before_lookup'},
                                          {'name': 'noisy_oracle', 'point': 'step_end'}])
        config['compute'].update({'lookahead': rng.randint(1, 3), 'guess_cost': rng.choice(['link', 'link', 'serial'])})
        if host and rng.random() < 0.3:
            config['compute']['guess_tier'] = 'host'
    elif rng.random() < 0.2:
        config['training'] = {'steps': 'all', 'update': 'device', 'exceed': 'recompute'}
    elif rng.random() < 0.4:
        config['tiers']['host' if host else 'home']['compute'] = 'cpu'
        config['channels']['cpu'] = {'timing': {'name': 'compute', 'expert': '900ns'}}
        config['dispatcher'] = {'name': 'host_compute', 'rule': rng.choice(['always', 'cheaper', 'n'])}
    return config


def scenes(check, folder, rng):
    done = {'steps': 0, 'copies': 0, 'lone': 0, 'refused': 0}
    causes, trained = set(), 0
    for i in range(SCENES):
        config = scene(rng)
        try:
            timeline, result = draw(folder, config)
        except RuntimeError as error:
            done['refused'] += 1
            check.equal('scene %d: %s' % (i, error), 'Traceback' in str(error) or 'timeline' in str(error), False)
            continue
        what = 'scene %d %s' % (i, json.dumps(config) if os.environ.get('SCENES') else '')
        steps, copies, lone = whole(check, what, timeline, result)
        done['steps'] += steps
        done['copies'] += copies
        done['lone'] += lone if 'chunk' not in config['channels']['pcie'] else 0        # a copy in chunks has one arrow
        trained += 'training' in config
        causes |= {s.cat for s in timeline.slices}
        if i % 4 == 0:
            windows(check, what, folder, config, timeline, rng)
    check.equal('most scenes run: %s' % done, done['refused'] < SCENES // 4, True)
    check.equal('some train', trained > 1, True)
    check.equal('all causes were drawn', causes >= {'demand', 'prefetch', 'late', 'write-back', 'dense', 'expert', 'stall', 'charge', 'evict'}, True)
    check.equal('demands whose gate is not pointed to', done['lone'] * 20 < done['copies'], True)


def ready(check, folder, rng):
    drawn = 0
    for path in sorted(glob.glob(os.path.join(ROOT, 'configs', 'seeds', '*.json'))):
        sets = ['trace.source.decode_tokens=%d' % (10 if '000' in path else 60)] if '/00' in path and '004' not in path else []
        sets += ['observers=["summary","traffic"]']
        try:
            timeline, result = draw(folder, path, sets=sets)
        except RuntimeError as error:
            said = str(error)
            check.equal('%s: %s' % (path, said), any(why in said for why in ('needs a clock', 'unknown option', 'trace.path: is missing', 'a trace of buffers')), True)
            continue
        whole(check, os.path.basename(path), timeline, result)
        windows(check, os.path.basename(path), folder, path, timeline, rng, sets, most=2)
        drawn += 1
    for path in glob.glob(os.path.join(ROOT, 'configs', '*.json')) + glob.glob(os.path.join(ROOT, 'configs', 'engines', '*.json')):
        done = subprocess.run([TOOL, 'run', path, '--json', '--timeline', os.path.join(folder, 'e.json'), '--window', '..200ms', '--set', 'bounds=false'], capture_output=True, text=True)
        if done.returncode == 0:
            check.equal(os.path.basename(path) + ': rules', trace_events.read(os.path.join(folder, 'e.json')).faults, [])
            drawn += 1
        else:
            check.equal('%s: %s' % (path, done.stderr), any(why in done.stderr for why in ('needs a clock', 'trace.path', 'a trace of buffers')), True)
    check.equal('ready-made configs were drawn: %d' % drawn, drawn >= 12, True)


# ---- the file ----

def same(check, folder):
    config = os.path.join(ROOT, 'configs', 'quickstart.json')
    read = lambda name: open(os.path.join(folder, name), 'rb').read()
    for name in ('a.json', 'b.json', 'a.json.gz', 'b.json.gz'):
        draw(folder, config, 'steps=10..14', name)
    check.equal('same input, same bytes', (read('a.json') == read('b.json'), read('a.json.gz') == read('b.json.gz')), (True, True))
    check.equal('compressed it is the same', gzip.decompress(read('a.json.gz')) == read('a.json'), True)
    check.equal('and smaller', len(read('a.json.gz')) * 5 < len(read('a.json')), True)
    with_one = tool_run(config, [])
    _, drawn = draw(folder, config, 'steps=1')
    drawn.pop('timeline')
    for result in (with_one, drawn):
        result['provenance'].pop('config'), result['provenance'].pop('config_sha256')
    check.equal('nothing else of the result differs', drawn == with_one, True)


WRONG = [
    (['--window', '1ms..2ms'], '--window: says what of the run --timeline FILE draws, which is missing'),
    (['--timeline', 't.json', '--window', '3..4'], '--timeline: window: found "3..4", needs a time such as "1ms..3ms", or "steps=100..120"'),
    (['--timeline', 't.json', '--window', 'stepz=4'], '--timeline: window: found "stepz=4"'),
    (['--timeline', 't.json', '--window', 'steps=4..'], None),
    (['--timeline', 't.json', '--window', 'steps='], 'found "steps="'),
    (['--timeline', 't.json', '--window', 'steps=-4'], 'found "steps=-4"'),
    (['--timeline', 't.json', '--window', '..'], 'found ".."'),
    (['--timeline', 't.json', '--window', '1ms'], 'found "1ms"'),
    (['--timeline', 't.json', '--window', '3ms..1ms'], '"3ms..1ms" ends before it begins'),
    (['--timeline', 't.json', '--window', 'steps=9999999'], 'nothing of the run lies in the window "steps=9999999"; it takes '),
    (['--timeline', 't.json', '--window', '100s..'], 'nothing of the run lies in the window "100s.."'),
    (['--timeline', 'no/such/folder/t.json'], 'cannot write "no/such/folder/t.json.tmp": No such file or directory'),
    (['--timeline', ''], 'file name'),
    (['--timeline', 't.json', '--set', 'clock=none'], 'a timeline needs a clock; set clock to "simulated"'),
    (['--timeline', 't.json', '--set', 'observers=[{"name": "timeline", "path": "u.json"}]'], '--timeline: observer timeline is there already, as observers.0'),
]


def wrong(check, folder):
    for args, said in WRONG:
        done = subprocess.run([TOOL, 'run', os.path.join(ROOT, 'configs', 'quickstart.json'), '--quiet'] + args, cwd=folder, capture_output=True, text=True)
        check.equal('%s: %s' % (args, done.stderr), (done.returncode, done.stderr.count('\n')), (2, 1) if said else (0, 0))
        check.equal('%s: %s' % (args, done.stderr), (said or '') in done.stderr, True)
    check.equal('nothing half written is left', [name for name in os.listdir(folder) if name.endswith('.tmp')], [])


def main():
    check, rng = tool.Check('timeline'), random.Random(int(os.environ.get('SEED', '8')))
    with tempfile.TemporaryDirectory() as folder:
        wrong(check, folder)
        by_hand(check, folder)
        late_by_hand(check, folder)
        same(check, folder)
        limit(check, folder)
        ready(check, folder, rng)
        scenes(check, folder, rng)
    check.close()


if __name__ == '__main__':
    main()
