"""The memory of a machine's profile: it prices the allocations of a tier and the pages of a channel, is shown, and is refused by its key."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)

# What the Metal probe writes of memory, with numbers that are easy to follow through a run.
MEMORY = {'pool': '9us', 'device': '180us', 'device_most': '190us', 'shared': '150us', 'heap': '300us', 'page': '16KiB', 'touch': '400ns', 'resident': '250ns',
          'resident_heap': '0s', 'resident_set': '10ns', 'wire': '20us', 'fault': '100ns', 'provenance': 'measured', 'source': 'a test'}
LINKS = {'memory': {'kind': 'unified', 'h2d': {'rate': '100GB/s', 'provenance': 'measured', 'source': 'a test'}}}
POOL, WARM = os.path.join(ROOT, 'configs', 'seeds', '003-metal-pool.json'), os.path.join(ROOT, 'configs', 'unified-warm.json')


def run(folder, *args):
    return subprocess.run([TOOL, *args], cwd=folder, capture_output=True, text=True)


def at(tree, path):
    for key in path.split('.'):
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return tree


def machine(folder, memory, **more):
    with open(os.path.join(folder, 'mac.json'), 'w') as f:
        json.dump({'machine': dict({'name': 'mac', 'links': LINKS, 'memory': memory}, **more)}, f)


def remembered(check, folder, base, **more):
    """A config over `base` with the machine of mac.json: its result, or what was said."""
    with open(os.path.join(folder, 'remembered.json'), 'w') as f:
        json.dump(dict({'include': [base, 'mac.json']}, **more), f)
    done = run(folder, 'run', 'remembered.json', '--json', '--quiet')
    return json.loads(done.stdout) if done.returncode == 0 else (done.returncode, done.stderr)


def memories(check, folder):
    """The memory of a profile prices the allocations of a tier and the pages of a channel."""
    tier, channel = {'memory': {'allocation': None, 'profile': 'device'}}, {'map': {'timing': None, 'profile': 'device'}}
    machine(folder, {'device': dict(MEMORY, device_most='0s')})
    pool = remembered(check, folder, POOL, tiers=tier)
    check.equal('a tier with the prices of a profile runs: %s' % (pool if isinstance(pool, tuple) else ''), isinstance(pool, dict), True)
    if not isinstance(pool, dict):
        return
    each, buffers = {k: v * pool['buffers']['tokens'] for k, v in pool['buffers']['per_token_s'].items()}, pool['buffers']
    check.equal('pieces of the pool', round(each['pool'] * 1e9), buffers['placed'] * 9000)
    check.equal('heaps and their pages, and nothing for warming them up', round(pool['time']['setup_s'] * 1e9), 4 * (300000 + (256 << 20) // 16384 * 400))
    check.equal('pages of what the device gives', (round(each['device'] * 1e9) - buffers['fallback'] * 180000) % 400, 0)
    check.equal('a malloc that nobody measured', each['host'], 0)
    check.equal('heaps and buffers beside them', round(each['resident'] * 1e9) % 250 == 0 and each['resident'] * 1e9 >= buffers['steps'] * 4 * 250, True)
    own = remembered(check, folder, POOL, tiers={'memory': {'allocation': {'pool': '20us'}, 'profile': 'device'}})
    check.equal('one that the config changes', round(own['buffers']['per_token_s']['pool'] * own['buffers']['tokens'] * 1e9), own['buffers']['placed'] * 20000)
    named = remembered(check, folder, POOL, tiers={'memory': {'allocation': {'name': 'alloc', 'pool': '1us', 'pool_most': '1us'}, 'profile': 'device'}})
    check.equal('or replaces', at(named, 'provenance.config.tiers.memory.allocation.device'), '200us')
    check.equal('both are kept', at(pool, 'provenance.config.tiers.memory.profile'), 'device')
    warm = remembered(check, folder, WARM, channels=channel)
    pages = -(-warm['capacity']['population_bytes'] // warm['capacity']['objects'] // 16384)
    check.equal('a channel that only maps', round(warm['channels']['map']['busy_s'] * 1e9), warm['channels']['map']['transfers'] * (20000 + pages * 100))
    machine(folder, {'device': dict(MEMORY, huge='6MiB', huge_touch='150us')})
    huge = remembered(check, folder, POOL, tiers=tier)
    check.equal('what fills huge pages by these, the rest by pages', round(at(huge, 'time.setup_s') * 1e9), 4 * (300000 + 42 * 150000 + (4 << 20) // 16384 * 400))


def refusals(check, folder):
    """What a profile cannot mean, and what a config cannot take from it."""
    tier, channel = {'memory': {'allocation': None, 'profile': 'device'}}, {'map': {'timing': None, 'profile': 'device'}}
    origin = {'provenance': 'measured', 'source': 'a test'}
    cases = [
        (POOL, {'tiers': tier}, {'devise': MEMORY}, 'tiers.memory.profile: the machine mac has no memory "device"; did you mean "devise"?'),
        (POOL, {'tiers': tier}, {}, 'tiers.memory.profile: the machine mac does not say what its memory costs'),
        (POOL, {'tiers': {'memory': {'profile': 3}}}, {}, 'tiers.memory.profile: found a number, needs a text'),
        (POOL, {'tiers': tier}, {'device': dict(origin, wire='20us')}, 'tiers.memory.profile: memory "device" of the machine has neither pool nor device'),
        (WARM, {'channels': channel}, {'device': dict(origin, pool='9us')}, 'channels.map.profile: memory "device" of the machine has neither wire nor fault'),
        (POOL, {}, {'device': dict(MEMORY, pool='-9us')}, 'machine.memory: device: pool: -9us is below 0, the least it may be'),
        (POOL, {}, {'device': dict(MEMORY, touch=400)}, 'machine.memory: device: touch: found a number, needs a text with a unit'),
        (POOL, {}, {'device': dict(MEMORY, page='0')}, 'machine.memory: device: page: 0 is below 1B, the least it may be'),
        (POOL, {}, {'device': dict(MEMORY, poll='9us')}, 'machine.memory: device: unknown option "poll"; did you mean "pool"?'),
        (POOL, {}, {'device': dict(MEMORY, provenance='guessed')}, 'machine.memory: device: provenance: "guessed" is not one of unstated, measured'),
        (POOL, {}, {'device': {'pool': '9us', 'source': 'a test'}}, 'machine.memory: device: a memory needs both a source and a provenance'),
        (POOL, {}, {'device': {'pool': '9us', 'provenance': 'measured'}}, 'machine.memory: device: source: is missing'),
        (POOL, {}, 'device', 'machine.memory: needs an object of memories by name, found a text'),
    ]
    for base, more, memory, said in cases:
        machine(folder, memory)
        got = remembered(check, folder, base, **more)
        check.equal('%s: %s' % (said, got if isinstance(got, tuple) else 'it runs'), isinstance(got, tuple) and got[0] == 2 and said in got[1], True)
    done = run(folder, 'run', POOL, '--quiet', '--set', 'tiers.memory.profile=device')
    check.equal('no machine: ' + done.stderr, 'tiers.memory.profile: there is no machine to take "device" from' in done.stderr and done.returncode == 2, True)


def memory_shown(check, folder):
    machine(folder, {'device': MEMORY}, unverified='nobody has compared it')
    done = run(folder, 'calibrate', 'show', 'mac.json')
    for line in ('device         memory in pages of 16KiB', 'getting a piece of a heap 9 us, a buffer 180 us to 190 us, one that the host can write 150 us, a heap 300 us',
                 'at its first use each page 400 ns', 'wrapping what the host has a buffer 20 us, each page 100 ns',
                 'in every step, for each buffer by itself 250 ns, in a heap 0 ns, in a residency set 10 ns', 'unverified: nobody has compared it'):
        check.equal('show: "%s" in\n%s%s' % (line, done.stdout, done.stderr), line in done.stdout, True)


def main():
    check = tool.Check('memory_profiles')
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        memories(check, folder)
        refusals(check, folder)
        memory_shown(check, folder)
    check.close()


if __name__ == '__main__':
    main()
