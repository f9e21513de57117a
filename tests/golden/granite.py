"""granite-3.0-1b english_prose: misses of eight policies at five budgets, through configs/engines/onnx-genai.json,
whose quotas per layer are rounded."""
import gzip
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'configs', 'engines', 'onnx-genai.json')


def neutral_csv(prompt, path):
    """The published JSON of one prompt as the neutral CSV."""
    with open(path, 'w') as f:
        k = len(prompt['prefill'][0][0])
        f.write('request_id,token_index,phase,layer,' + ','.join('e%d' % i for i in range(k)) + '\n')
        position = 0
        for phase, tokens in (('P', prompt['prefill']), ('D', prompt['decode'])):
            for layers in tokens:
                for layer, ids in enumerate(layers):
                    f.write('0,%d,%s,%d,%s\n' % (position, phase, layer, ','.join(map(str, ids))))
                position += 1
    return len(prompt['decode'])


def half_even(x):
    return max(1, round(x))             # Python rounds halves to even


def main():
    tool.need_traces()
    check = tool.Check('granite')
    folder = 'granite-3.0-1b-prompts'
    want = json.load(open(tool.trace(folder, 'expected-english_prose.json')))
    with gzip.open(tool.trace(folder, 'moe_expert_trace.json.gz'), 'rt') as f:
        prompt = json.load(f)['prompts']['english_prose']
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'english_prose.csv')
        steps = neutral_csv(prompt, path)
        layers, experts = want['num_layers'], want['num_experts']
        for ratio, row in want['ratios'].items():
            budget = row['budget']
            check.equal(ratio + ' budget', budget, half_even(float(ratio) * layers * experts))
            policies = {
                'oracle': ('belady', 'global'), 'fifo': ('fifo', 'global'), 'lru': ('lru', 'global'), 'lfu': ('lfu', 'global'),
                'static_pin': ({'name': 'static', 'calibrate': 'in_sample'}, 'global'),
                'hybrid': ({'name': 'hybrid', 'calibrate': 'in_sample', 'min_uses': steps}, 'global'),
                'equal_oracle': ('belady', 'layer'), 'equal_lru': ('lru', 'layer'),
            }
            for name, (policy, scope) in policies.items():
                sets = ['trace.path=' + path, 'tiers.cache.capacity=%dslots' % budget, 'policy=' + json.dumps(policy), 'contract.scope=' + scope,
                        'model.experts=%d' % experts, 'bounds=false']
                done = subprocess.run([tool.TOOL, 'run', CONFIG, '--json'] + [word for s in sets for word in ('--set', s)], capture_output=True, text=True)
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
                cache = json.loads(done.stdout)['cache']
                check.equal('%s %s accesses' % (name, ratio), cache['lookups'], row['accesses'])
                check.equal('%s %s misses' % (name, ratio), cache['misses'], row['page_ins'][name])
    check.close()


if __name__ == '__main__':
    main()
