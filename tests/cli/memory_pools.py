"""docs/memory-pools.md: its table is what the tool says.

    memory_pools.py --update       writes the table anew
"""
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

PAGE, CONFIG = os.path.join(ROOT, 'docs', 'memory-pools.md'), os.path.join(ROOT, 'configs', 'seeds', '003-metal-pool.json')
BEGIN, END = '<!-- begin: memory_pools.py -->\n', '<!-- end -->\n'
COMPACT = ['compaction=true', 'compaction_interval=100ms']

# what it is, settings of the allocator
ROWS = [
    ('no pool', ['mode=none']), ('4 heaps lent whole', ['mode=checkout']), ('16 heaps lent whole', ['mode=checkout', 'heaps=16']),
    ('1 x 1 GiB', ['heaps=1', 'heap_size=1GiB']), ('4 x 256 MiB, in turn', []), ('the tightest that fits', ['choose=best_fit']), ('the least used', ['choose=least_used']),
    ('in turn, then all others', ['try_all=true']), ('4, compacted every 100 ms', COMPACT), ('4, growing to 16', ['growth=true', 'max_heaps=16']),
    ('8 x 256 MiB', ['heaps=8']), ('8, compacted every 100 ms', ['heaps=8'] + COMPACT), ('16 x 256 MiB', ['heaps=16']), ('4 x 3072 MiB, by weights of 8 GiB', ['heap_size=0', 'weights=8GiB']),
]


def table():
    lines = ['| pool | requests | bytes | used | fragmentation | memory per token | tokens/s |', '|---|---|---|---|---|---|---|']
    for name, sets in ROWS:
        args = [tool.TOOL, 'run', CONFIG, '--json', '--set', 'trace.source.together=6', '--set', 'tiers.memory.allocation.move_rate=200GB/s']
        done = subprocess.run(args + sum((['--set', 'tiers.memory.allocator.' + s] for s in sets), []), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        result = json.loads(done.stdout)
        b = result['buffers']
        used, holes = (('%.1f %%' % (100 * b[key]['mean']) if b[key] else '-') for key in ('utilization', 'fragmentation'))
        lines.append('| %s | %.1f %% | %.1f %% | %s | %s | %.2f ms | %.0f |' % (name, 100 * b['hit_rate'], 100 * b['hit_rate_bytes'], used, holes,
                                                                                1000 * b['per_token_s']['all'], result['time']['tokens_per_s']))
    return '\n'.join(lines) + '\n'


def main():
    text = open(PAGE).read()
    before, rest = text.split(BEGIN)
    printed, after = rest.split(END)
    if '--update' in sys.argv:
        with open(PAGE, 'w') as f:
            f.write(before + BEGIN + '\n' + table() + '\n' + END + after)
        return
    check = tool.Check('memory_pools')
    check.equal('docs/memory-pools.md', printed.strip('\n'), table().strip('\n'))
    check.close()


if __name__ == '__main__':
    main()
