"""The timed core to the nanosecond: every case of expected-timed.json and expected-prefetch.json."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool


# Audit listens to single copies, so every copy goes through queue and calendar; where nobody does, the plainest machine is done
# by arithmetic (sim/core/quick_timed.c). Both must be right.
WAYS = {'under audit': ['summary', 'latency', 'traffic', 'audit'], 'quick': ['summary', 'latency', 'traffic']}


def arguments(args):
    """The oracle's command line as a dict, with its defaults."""
    values = {'order': 'resident_first', 'rate': '25e9', 'latency-ns': '10000', 'dense-ns': '200000', 'expert-ns': '20000', 'token-ns': '0'}
    for key, value in zip(args[::2], args[1::2]):
        values[key[2:]] = value
    return values


def machine(trace_path, a, guess, observers):
    model = {'expert_bytes': a['expert-bytes'] + 'B'} if 'expert-bytes' in a else {'layer_bytes': os.path.join(tool.TRACES, a['layer-bytes'])}
    if 'layer_bytes' in model:
        model['layer_bytes'] = os.path.abspath(model['layer_bytes'])
    config = {
        'trace': {'path': trace_path}, 'model': model, 'clock': 'simulated', 'bounds': False, 'contract': {'overflow': 'trim'},
        'tiers': {'cache': {'capacity': a['capacity-bytes'] + 'B', 'compute': 'gpu'}, 'host': {'home': True}},
        'channels': {
            'link': {'timing': {'name': 'affine', 'latency': a['latency-ns'] + 'ns', 'rate': '%dB/s' % float(a['rate'])}, 'scheduler': 'demand_first'},
            'gpu': {'timing': {'name': 'compute', 'dense': a['dense-ns'] + 'ns', 'expert': a['expert-ns'] + 'ns', 'token': a['token-ns'] + 'ns'}},
        },
        'links': [{'from': 'host', 'to': 'cache', 'channels': ['link']}],
        'compute': {'overlap': a['order']}, 'policy': 'lru',
        'observers': observers,
    }
    if guess:
        config['predictor'] = 'previous_token'
    return config


def ns(seconds):
    return round(seconds * 1e9) if seconds is not None else None


def compare(check, name, result, want):
    t, cache = result['time'], result['cache']
    got = {
        'total_ns': ns(t['total_s']), 'dense_ns': ns(t['attribution']['dense']), 'expert_ns': ns(t['attribution']['expert_gpu']),
        'stall_ns': ns(t['stall_s']), 'lookups': cache['lookups'], 'hits': cache['hits'], 'decode_lookups': cache['decode']['lookups'],
        'decode_hits': cache['decode']['hits'], 'bytes': cache['fetched_bytes'] + cache['guess_bytes'], 'link_busy_ns': ns(result['channels']['link']['busy_s']),
    }
    for key in ('late', 'foreseen', 'cancelled', 'guess_copies'):
        if key in want:
            got[key] = cache[key]
    for key, value in got.items():
        check.equal('%s %s' % (name, key), value, want[key])
    latency = t['token_latency_s']
    for q, value in want['token_ns'].items():
        if value or q != 'max':
            check.equal('%s token %s' % (name, q), ns(latency[q]), value)


def main():
    tool.need_traces()
    check = tool.Check('timed')
    for file, guess in (('expected-timed.json', False), ('expected-prefetch.json', True)):
        for case in json.load(open(os.path.join(tool.TRACES, file))):
            a = arguments(case['args'])
            name = ' '.join([file, case['trace']] + case['args'])
            for way, observers in WAYS.items():
                compare(check, '%s, %s' % (name, way), tool.run(machine(tool.trace(case['trace']), a, guess, observers)), case['result'])
    check.close()


if __name__ == '__main__':
    main()
