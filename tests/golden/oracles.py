"""Every oracle-*.json beside a trace: LRU, LFU, persistent LFU and Belady, per layer and global, by access and by set."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

POLICY = {'lru': 'lru', 'lfu': {'name': 'lfu', 'counts': 'resident'}, 'plfu': {'name': 'lfu', 'counts': 'persistent'}, 'opt': 'belady'}


def contract(row):
    base = {'prefill': 'tokens', 'prefill_counts': 'together', 'scope': row['scope'], 'reset': 'request' if row['reset'] else 'never',
            'skip_tokens': row['skip']}
    if row['mode'] == 'access':
        return dict(base, preset='serialized')
    return dict(base, unit='token', overflow='trim')


def main():
    tool.need_traces()
    check = tool.Check('oracles')
    for path in sorted(glob.glob(os.path.join(tool.TRACES, '*', 'oracle-*.json'))):
        oracle = json.load(open(path))
        folder = os.path.basename(os.path.dirname(path))
        numbers = {}
        for row in oracle['runs']:
            # the oracle states the capacity of one cache; with scope layer ours is the capacity of all
            slots = row['capacity'] * (oracle['check']['layers'] if row['scope'] == 'layer' else 1)
            if row['capacity'] == 0:
                continue
            config = tool.untimed(tool.trace(folder), '%dslots' % slots, POLICY[row['policy']], contract(row), model={'experts': oracle['check']['experts']})
            cache = tool.run(config)['cache']
            name = '%s %s %s %s %s' % (folder, os.path.basename(path), row['scope'], row['policy'], row['frac'])
            check.equal(name + ' lookups', cache['lookups'], row['accesses'])
            check.equal(name + ' hits', cache['hits'], row['hits'])
            numbers[name] = cache['hits']
    check.close()


if __name__ == '__main__':
    main()
