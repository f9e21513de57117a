"""Both BigMoeOnEdge traces: all budgets and policies of expected.json, through configs/engines/bigmoeonedge.json."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool
import subprocess

POLICY = {'lru': ('lru', 'global'), 'lfu': ('lfu', 'global'), 'belady': ('belady', 'global'), 'layer': ('lru', 'layer'), 'layerlfu': ('lfu', 'layer')}
CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'configs', 'engines', 'bigmoeonedge.json')


def main():
    tool.need_traces()
    check = tool.Check('bigmoeonedge')
    for folder in ('bigmoeonedge-qwen3-30b-k6', 'bigmoeonedge-gpt-oss-120b-k2'):
        for row in json.load(open(tool.trace(folder, 'expected.json')))['rows']:
            policy, scope = POLICY[row['policy']]
            done = subprocess.run([tool.TOOL, 'run', CONFIG, '--set', 'trace.path=' + tool.trace(folder, 'route.csv.gz'),
                '--set', 'tiers.cache.capacity=%dMiB' % row['budget_mib'], '--set', 'policy.name=' + policy, '--set', 'contract.scope=' + scope,
                '--set', 'bounds=false', '--json'], capture_output=True, text=True)
            name = '%s %s %s MiB' % (folder, row['policy'], row['budget_mib'])
            if done.returncode != 0:
                check.equal(name, done.stderr.strip(), '')
                continue
            cache = json.loads(done.stdout)['cache']
            check.equal(name + ' lookups', cache['lookups'], row['lookups'])
            check.equal(name + ' hits', cache['hits'], row['hits'])
            check.equal(name + ' decode lookups', cache['decode']['lookups'], row['dec_lookups'])
            check.equal(name + ' decode hits', cache['decode']['hits'], row['dec_hits'])
            check.equal(name + ' bytes', cache['fetched_bytes'], row['read_bytes'])
    check.close()


if __name__ == '__main__':
    main()
