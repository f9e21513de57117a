"""Unified memory: nothing is copied, and the page cache is the rest of the same memory.

What the GPU may read and the page cache behind it hold an expert once between them, and the least recently used leaves either; so both
together miss what one cache of their common size misses. Costs are the pages of whole experts.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import tool

CONFIGS = os.path.join(ROOT, 'configs')
FAULT, WIRE, PAGE = 1000, 20000, 16384     # ns, ns, bytes: as the configs have them


def run(name, *sets):
    done = subprocess.run([tool.TOOL, 'run', os.path.join(CONFIGS, name + '.json'), '--json', '--set', 'bounds=false'] + sum((['--set', s] for s in sets), []),
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def main():
    check = tool.Check('unified')
    for resident, cached in ((324, 243), (200, 400), (500, 1)):
        for clock in ('none', 'simulated'):
            both = run('unified-memory', 'tiers.resident.capacity=%dslots' % resident, 'tiers.cached.capacity=%dslots' % cached, 'clock=' + clock)
            one = run('quickstart', 'tiers.cache.capacity=%dslots' % (resident + cached), 'clock=none')
            name = '%d and %d slots, clock %s: ' % (resident, cached, clock)
            check.equal(name + 'what the disk reads', both['tiers']['disk']['found'], one['cache']['misses'])
            check.equal(name + 'what was in memory', both['cache']['hits'] + both['tiers']['cached']['found'], one['cache']['hits'])
    warm = run('unified-warm')
    pages = -(-warm['capacity']['population_bytes'] // warm['capacity']['objects'] // PAGE)
    copies = warm['channels']['map']['transfers']
    check.equal('every miss maps', copies, warm['cache']['misses'])
    check.equal('whole pages, one by one', round(warm['channels']['map']['busy_s'] * 1e9), copies * (WIRE + pages * FAULT))
    roomy = run('unified-warm', 'tiers.resident.capacity=16GiB')
    check.equal('with room for all only the first use maps', roomy['channels']['map']['transfers'], roomy['capacity']['objects'])
    cold = run('unified-memory')
    check.equal('disk and page cache serve all misses', cold['channels']['map']['transfers'] + cold['channels']['ssd']['transfers'], cold['cache']['misses'])
    check.equal('and the one in memory is faster', warm['time']['total_s'] < cold['time']['total_s'], True)
    check.close()


if __name__ == '__main__':
    main()
