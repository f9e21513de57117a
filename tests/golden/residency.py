"""Residency: the engine's own verdict on every routed expert, as both BigMoeOnEdge traces recorded it, lookup by lookup."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'configs', 'engines', 'bigmoeonedge.json')
QWEN, GPT_OSS = 'bigmoeonedge-qwen3-30b-k6', 'bigmoeonedge-gpt-oss-120b-k2'


def compared(folder, capacity, policy):
    done = subprocess.run([tool.TOOL, 'run', CONFIG, '--json', '--set', 'trace.path=' + tool.trace(folder, 'route.csv.gz'), '--set', 'tiers.cache.capacity=' + capacity,
                           '--set', 'policy=' + policy, '--set', 'bounds=false', '--set', 'observers=["summary","residency"]'], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def main():
    tool.need_traces()
    check = tool.Check('residency')
    for folder, capacity, lookups, hits in ((QWEN, '4000MiB', 36864, 29597), (GPT_OSS, '3000MiB', 4608, 2066)):
        result = compared(folder, capacity, 'lru')
        seen = result['residency']
        check.equal(folder + ' decode lookups', seen['decode'], {'lookups': lookups, 'hits': hits, 'recorded_hits': hits, 'different': 0})
        check.equal(folder + ' all lookups', (seen['lookups'], seen['hits']), (result['cache']['lookups'], result['cache']['hits']))
        check.equal(folder + ' prefill too', seen['lookups'] > lookups, True)
        check.equal(folder + ' differences', (seen['different'], seen['first_difference']), (0, None))
    # another policy or size is found out
    for folder, capacity, policy in ((QWEN, '4000MiB', 'fifo'), (GPT_OSS, '2980MiB', 'lru')):
        seen = compared(folder, capacity, policy)['residency']
        check.equal(folder + ' is found out', seen['different'] > 0 and 'recorded as a' in seen['first_difference'], True)
    check.close()


if __name__ == '__main__':
    main()
