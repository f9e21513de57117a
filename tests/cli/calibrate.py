"""expertsim calibrate: a machine is measured, fitted, shown, and a config runs with it; what goes wrong has its message and exit code.

The fake is a machine by formula, so its numbers are known. Of the real one only the shape of what comes out is asserted: how fast it
is, is nobody's business here.
"""
import glob
import json
import math
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
FAKE = ['calibrate', '--backend', 'fake', '--quick', '--most', '4MiB']


def run(folder, *args):
    return subprocess.run([TOOL, *args], cwd=folder, capture_output=True, text=True)


# (arguments, exit code, what is said)
WRONG = [
    (['calibrate'], 2, 'calibrate: -o is missing: the profile to write; usage: '),
    (['calibrate', 'fitt', 'x.h5'], 2, 'calibrate: "fitt" is neither fit nor show; did you mean fit?; usage: '),
    (['calibrate', 'fit'], 2, 'calibrate: fit takes one file; usage: '),
    (['calibrate', '-o', 'x.h5'], 2, '-o: found "x.h5", needs a name that ends in .json; the samples go beside it with .h5'),
    (['calibrate', '-o', 'x.json', '--backend', 'hosst'], 2, 'there is no probe "hosst"; did you mean "host"?'),
    (['calibrate', '-o', 'x.json', '--budget', '60'], 2, '--budget: "60"'),
    (['calibrate', '-o', 'x.json', '--plugin', 'none.so'], 2, '--plugin: none.so: cannot open: No such file or directory'),
    (['calibrate', '-o', 'x.json', '--plugin', 'empty.json'], 3, '--plugin: empty.json: cannot load: '),
    (['calibrate', '-o', 'x.json', '--kind', 'pcie=pcie9'], 2, '--kind: no kind of link is called "pcie9"'),
    (['calibrate', '-o', 'x.json', '--kind', 'pcie'], 2, '--kind: found "pcie", needs LINK=KIND, such as pcie=pcie4_x16'),
    (['calibrate', '-o', 'x.json', '--set', 'folder'], 2, '--set: found "folder", needs KEY=VALUE, such as folder=/data'),
    (['calibrate', '-o', 'x.json', '--set', 'foldr=/'], 2, 'host: unknown option "foldr"; did you mean "folder"?'),
    (['calibrate', '-o', 'x.json', '--seed', '-1'], 2, '--seed: found "-1", needs a whole number up to 9223372036854775807'),
    (['calibrate', '-o', 'x.json', '--resamples', '1e9'], 2, '--resamples: found "1e9", needs a whole number up to 100000'),
    (['calibrate', '-o', 'x.json', '--model', 'none.json'], 2, 'none.json: cannot open: No such file or directory'),
    (FAKE + ['-o', 'x.json', '--set', 'fail=no_device'], 3, 'fake: no usable device: the fake was told to have none. Try --backend host.'),
    (FAKE + ['-o', 'x.json', '--set', 'fail=memory', '--set', 'fail_at=3'], 3, 'bytes of device memory at allocation 3, '),
    (FAKE + ['-o', 'x.json', '--set', 'fail=lost', '--set', 'fail_at=500'], 3, 'fake: the device was lost at call 500; nothing more can be measured'),
    (FAKE + ['-o', 'x.json', '--set', 'fail=bytes'], 5, 'bytes brought other bytes than were sent'),
    (FAKE + ['-o', 'x.json', '--kind', 'pcie=pcie3_x16', '--set', 'rate=25GB/s'], 2,
     'links.pcie: h2d: rate: 25GB/s is above 15750MB/s, the most pcie3_x16 can physically carry in one direction'),
    (FAKE + ['-o', 'x.json', '--kind', 'pci=pcie3_x16'], 2, '--kind: "pci" is no link that is measured; there are pcie, '),
    (FAKE + ['-o', 'none/x.json'], 2, 'none/x.json: cannot be written: No such file or directory'),
    (FAKE + ['-o', 'x.json', '--budget', '1e30s'], 2, '--budget: "1e30s" is too much'),
    (['calibrate', 'fit', 'none.h5'], 2, 'none.h5'),
    (['calibrate', 'fit', 'none.h5', '--quick'], 2, 'calibrate: fit measures nothing: an option that says what to measure has no place there'),
    (['calibrate', 'show', 'none.json', '--plots', 'x'], 2, 'calibrate: show measures nothing: an option that says what to measure, fit or write has no place there'),
    (['calibrate', 'show', 'none.json'], 2, 'none.json: cannot open: No such file or directory'),
    (['calibrate', 'show', 'empty.json'], 2, 'empty.json: machine: is missing; needs a profile, such as `expertsim calibrate -o FILE` writes'),
]


def wrong(check, folder):
    with open(os.path.join(folder, 'empty.json'), 'w') as f:
        f.write('{}\n')
    for args, code, said in WRONG:
        done = run(folder, *args)
        check.equal(' '.join(args) + ': exit code', done.returncode, code)
        check.equal(' '.join(args) + ': is one line', done.stderr.count('\n'), 1)
        check.equal(' '.join(args) + ': "%s"' % done.stderr.strip(), said in done.stderr and done.stderr.startswith('expertsim: '), True)
        check.equal(' '.join(args) + ': wrote no profile', os.path.exists(os.path.join(folder, 'x.json')), False)


def fitted(check, folder):
    """The fake's formula, its fit from the raw samples, and the table."""
    done = run(folder, *FAKE, '-o', 'fake.json', '--set', 'alpha=12us', '--set', 'rate=20GB/s', '--seed', '3')
    check.equal('it is measured: ' + done.stderr, (done.returncode, done.stderr), (0, ''))
    with open(os.path.join(folder, 'fake.json')) as f:
        machine = json.load(f)['machine']
    fit = machine['links']['pcie']['h2d']['fit']
    check.equal('alpha', round(fit['alpha_s'] * 1e6, 1), 12.0)
    check.equal('beta', round(fit['beta_Bps'][0] / 1e9, 2), 20.0)
    check.equal('half of the rate', round(fit['n_half_B'] / 240000, 2), 1.0)
    check.equal('schema', machine['schema'], 'calib/1')
    check.equal('stop', fit['stop'], 'precise')
    check.equal('environment', {'backend', 'device', 'fake', 'kernel', 'date', 'processors', 'steal_s', 'elapsed_s', 'load_before', 'priority'} <= set(machine['environment']), True)
    again = run(folder, 'calibrate', 'fit', 'fake.h5', '-o', 'again.json', '--seed', '3')
    check.equal('it is fitted again: ' + again.stderr, again.returncode, 0)
    with open(os.path.join(folder, 'fake.json'), 'rb') as one, open(os.path.join(folder, 'again.json'), 'rb') as two:
        check.equal('to the same bytes', one.read() == two.read(), True)
    check.equal('the command that made it', machine['environment']['command'], 'expertsim ' + ' '.join(FAKE) + ' -o fake.json --set alpha=12us --set rate=20GB/s --seed 3')
    check.equal('with intervals', 'ci95' in fit, True)
    bare = run(folder, 'calibrate', 'fit', 'fake.h5', '--resamples', '0', '--json', '--seed', '3')
    less = json.loads(bare.stdout)['machine']['links']['pcie']['h2d']['fit']
    check.equal('without resamples there are none, and all else is the same', dict(less, ci95=fit.get('ci95')), fit)
    shown = run(folder, 'calibrate', 'show', 'fake.json')
    check.equal('it is shown', 'pcie.h2d' in shown.stdout and '20 GB/s' in shown.stdout and shown.returncode == 0, True)
    check.equal('as when it was measured', done.stdout.startswith(shown.stdout), True)


def config(channel, **more):
    return dict({'include': 'fake.json', 'bounds': False, 'clock': 'simulated', 'trace': {'source': {'name': 'synthetic', 'layers': 4, 'experts': 16, 'top_k': 2, 'requests': 1, 'prompt_tokens': 4, 'decode_tokens': 40}},
                 'model': {'expert_bytes': '1MiB'}, 'policy': 'lru',
                 'tiers': {'cache': {'capacity': '16slots', 'compute': 'gpu'}, 'host': {'home': True}},
                 'channels': {'pcie': channel, 'gpu': {'profile': 'gpu', 'timing': {'dense': '100us'}}},
                 'links': [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}]}, **more)


def simulated(check, folder, name, channel, *sets):
    path = os.path.join(folder, name + '.json')
    with open(path, 'w') as f:
        json.dump(config(channel), f)
    done = run(folder, 'run', path, '--json', '--quiet', *sets)
    check.equal('%s runs: %s' % (name, done.stderr), done.returncode, 0)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def at(tree, path):
    for key in path.split('.'):
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return tree


def runs(check, folder):
    """A config takes its channels from the profile: the run is charged what was measured."""
    plain = simulated(check, folder, 'plain', {'profile': 'pcie.h2d'})
    timing = at(plain, 'provenance.config.channels.pcie.timing')
    check.equal('the timing', timing.get('name'), 'affine')
    check.equal('of the run', timing.get('rate', '').startswith(('20GB/s', '1999', '2000')), True)
    gpu = at(plain, 'provenance.config.channels.gpu.timing')
    check.equal('the compute unit', (gpu.get('name'), gpu.get('dense'), sorted({p['tokens'] for p in gpu.get('points') or []})), ('compute', '100us', [1, 2, 4, 8, 16, 32, 64]))
    noisy = simulated(check, folder, 'noisy', {'profile': 'pcie.h2d', 'timing': {'name': 'empirical'}})
    check.equal('with its noise', at(noisy, 'provenance.config.channels.pcie.timing.name'), 'empirical')
    drawn = {'name': 'empirical', 'dense': '100us'}
    varied = [simulated(check, folder, 'varied', {'profile': 'pcie.h2d'}, '--set', 'channels.gpu.timing=' + json.dumps(drawn), '--set', 'seed=%d' % seed) for seed in (1, 1, 2)]
    unit = at(varied[0], 'provenance.config.channels.gpu.timing')
    check.equal('an expert with its noise', (unit.get('name'), unit.get('dense'), len(unit.get('noise', {}).get('classes', [])) > 0, len(unit.get('points') or [])),
                ('empirical_compute', '100us', True, len(gpu['points'])))
    total = [at(one, 'time.total_s') for one in varied]
    check.equal('the same seed draws the same: %s' % total, total[0] == total[1], True)
    with open(os.path.join(folder, 'fake.json')) as f:
        machine = json.load(f)['machine']
    check.equal('the mean of experts', machine['compute']['gpu']['mean_over_median'] >= 1.0, True)
    again = run(folder, 'run', 'varied.json', '--json', '--quiet', '--set', 'seed=1', '--set', 'channels.gpu.timing=' + json.dumps(unit))
    check.equal('the echo is a config: ' + again.stderr, at(json.loads(again.stdout or '{}'), 'time.total_s'), total[0])
    less = run(folder, 'run', 'varied.json', '--set', 'channels.gpu.timing=empirical', '--set', 'machine.compute.gpu.noise=null')
    check.equal('a unit without noise has none to draw: ' + less.stderr, (less.returncode, 'channels.gpu.timing: the machine does not say what noise "gpu" has; '
                '`expertsim calibrate fit` of its samples does' in less.stderr), (2, True))
    other = simulated(check, folder, 'own', {'profile': 'pcie.h2d', 'timing': {'name': 'constant', 'time': '1ms'}})
    check.equal('a timing of the config goes before', at(other, 'provenance.config.channels.pcie.timing.name'), 'constant')


def shared(check, folder):
    """How copies share a link, and what slows them, come from the profile too; the config goes before."""
    done = run(folder, *FAKE, '-o', 'fake.json', '--set', 'discipline=shared', '--set', 'opposite=0.5', '--set', 'computing=0.8')
    check.equal('two at once are measured: ' + done.stderr, done.returncode, 0)
    path = os.path.join(folder, 'shared.json')
    back = {'profile': 'pcie.d2h', 'discipline': 'fifo', 'slowed_by': {'gpu': 0.25}}
    for channels, want in (({}, {'discipline': 'shared', 'slowed_by': {'gpu': 0.8}}), ({'back': back}, {'discipline': 'shared', 'slowed_by': {'back': 0.5, 'gpu': 0.8}})):
        with open(path, 'w') as f:
            tree = config({'profile': 'pcie.h2d'})
            tree['channels'].update(channels)
            if channels:
                tree['links'].append({'from': 'cache', 'to': 'host', 'channels': ['back']})
            json.dump(tree, f)
        done = run(folder, 'run', path, '--json', '--quiet')
        check.equal('it runs: ' + done.stderr, done.returncode, 0)
        echo = at(json.loads(done.stdout or '{}'), 'provenance.config.channels')
        got = echo.get('pcie', {})
        check.equal('with what was found', {'discipline': got.get('discipline'), 'slowed_by': {k: round(v, 3) for k, v in (got.get('slowed_by') or {}).items()}}, want)
        if channels:
            check.equal('the config goes before', (echo['back']['discipline'], echo['back']['slowed_by']), ('fifo', {'gpu': 0.25}))
    again = run(folder, 'calibrate', 'fit', 'fake.h5', '-o', 'again.json')
    with open(os.path.join(folder, 'fake.json'), 'rb') as one, open(os.path.join(folder, 'again.json'), 'rb') as two:
        check.equal('the pairs are kept: ' + again.stderr, one.read() == two.read(), True)


def drawn(check, folder):
    """Figures of each row, of experts and of what was asked of two at once; without gnuplot their data and scripts, and a line how to draw them."""
    made = run(folder, *FAKE, '-o', 'drawn.json', '--set', 'noise=0.1', '--set', 'knee=64KiB', '--set', 'rate_beyond=10GB/s')
    check.equal('it is measured: ' + made.stderr, made.returncode, 0)
    want = {'contention-time', 'gpu.expert-time', 'gpu.copied-time', 'gpu.handed-time'}
    want |= {row + '-' + kind for kind in ('time', 'residuals', 'qq')
             for row in ('pcie.h2d', 'pcie.d2h', 'pcie.pageable', 'device.read', 'device.alloc', 'host.pin', 'disk.read', 'disk.buffered', 'disk.write', 'dram.copy')}
    bare = dict(os.environ, PATH=os.path.join(folder, 'empty'))
    done = subprocess.run([TOOL, 'calibrate', 'fit', 'drawn.h5', '--plots', 'pictures', '--quiet'], cwd=folder, capture_output=True, text=True, env=bare)
    told = 'pictures: gnuplot is not on the PATH, so these are data and scripts; where it is, `cd pictures && gnuplot *.gp` draws them\n'
    check.equal('without gnuplot', (done.returncode, done.stderr.endswith(told)), (0, True))
    check.equal('data and scripts', set(os.listdir(os.path.join(folder, 'pictures'))), {name + end for name in want for end in ('.dat', '.gp')})
    with open(os.path.join(folder, 'pictures', 'pcie.h2d-time.dat')) as f:
        blocks = f.read().split('\n\n\n')
    check.equal('the interval, the fit, the medians, the knee', [b.splitlines()[0] for b in blocks if b.strip()],
                ['# 95 % of resampled fits', '# fit', '# median, 95 %', '# knee'])
    knee = float(blocks[3].splitlines()[2])
    check.equal('the knee is where it was put: %g' % knee, 43690 < knee < 98304, True)
    before = {name: open(os.path.join(folder, 'pictures', name)).read() for name in os.listdir(os.path.join(folder, 'pictures'))}
    again = run(folder, 'calibrate', 'fit', 'drawn.h5', '--plots', 'pictures', '--quiet')
    check.equal('again: ' + again.stderr, again.returncode, 0)
    check.equal('to the same bytes', all(open(os.path.join(folder, 'pictures', name)).read() == text for name, text in before.items()), True)
    if shutil.which('gnuplot'):
        check.equal('nothing is said', 'gnuplot' in again.stderr, False)
        check.equal('all are drawn', {n for n in want if all(os.path.getsize(os.path.join(folder, 'pictures', n + end)) > 1000 for end in ('.svg', '.png'))}, want)
    wrong = run(folder, 'calibrate', 'fit', 'drawn.h5', '--plots', 'drawn.h5')
    check.equal('a folder that is a file: ' + wrong.stderr, (wrong.returncode, 'drawn.h5' in wrong.stderr, wrong.stdout), (2, True, ''))


def skipped(check, folder):
    """What was not measured is in the profile with the reason, and who asks for it is told."""
    folderless = os.path.join(folder, 'none')
    done = run(folder, 'calibrate', '--quick', '--most', '64KiB', '--budget', '1s', '-o', 'skipped.json', '--set', 'folder=' + folderless)
    check.equal('without a disk: ' + done.stderr[:300], done.returncode in (0, 5), True)
    if done.returncode == 5:
        return
    with open(os.path.join(folder, 'skipped.json')) as f:
        machine = json.load(f)['machine']
    why = machine['skipped'].get('disk.read', '')
    check.equal('the disk and why: ' + why, 'none' in why and machine['skipped'].get('disk.write') == why, True)
    check.equal('and is told: ' + done.stderr, all('disk.%s: not measured: %s\n' % (way, why) in done.stderr for way in ('read', 'write')), True)
    check.equal('it is not in the environment, too', 'skipped' in machine['environment'], False)
    with open(os.path.join(folder, 'asks.json'), 'w') as f:
        json.dump(dict(config({'profile': 'disk.read'}), include='skipped.json'), f)
    asked = run(folder, 'run', 'asks.json')
    check.equal('who asks for it is told: ' + asked.stderr, (asked.returncode, 'has no "disk.read": ' + why in asked.stderr), (2, True))


def large(check, folder):
    """The largest copy follows the largest expert; one that is larger still is not measured, and that is said."""
    done = run(folder, 'calibrate', '--backend', 'fake', '--quick', '--expert', '27MiB', '--expert', '2GiB', '-o', 'large.json', '--quiet')
    with open(os.path.join(folder, 'large.json')) as f:
        machine = json.load(f)['machine']
    check.equal('it is measured: ' + done.stderr, (done.returncode, machine['environment']['calibrated_on']['size'][-1]), (0, 27 << 20))
    check.equal('experts of it are', [p['time'] for p in machine['compute']['gpu']['points'] if p['bytes'] == '27MiB' and p['tokens'] == 1] != [], True)
    why = 'no copy is larger than 27 MiB; --most says otherwise, as far as the memory goes'
    check.equal('the other one is not', (machine['skipped'].get('an expert of 2 GiB'), 'an expert of 2 GiB: not measured: ' + why + '\n' in done.stderr), (why, True))
    check.equal('a formula is no machine', {f['provenance'] for flows in machine['links'].values() for f in flows.values() if isinstance(f, dict)}, {'synthetic'})
    check.equal('who made it', re.fullmatch('unknown|v?[0-9a-f.-]+(-dirty)?', machine['environment']['revision']) is not None, True)


def told(check, folder):
    """On a terminal it says how far it is and how long it takes at most, and wipes that line; elsewhere it says nothing."""
    master, slave = pty.openpty()
    child = subprocess.Popen([TOOL, *FAKE, '--budget', '7s', '-o', 'told.json'], cwd=folder, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    said = b''
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:         # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(master)
    lines = said.decode().split('\r\x1b[K')
    check.equal('it ends well', child.wait(), 0)
    shape = re.compile(r'calibrate: (filling memory|what runs beside what, round \d+ of \d+ that are made in any case|'
                       r'(warming up|measuring), round (\d of 3 that are made in any case|\d+, \d+ of \d+ cases are known well enough, at most [0-7] s left))$')
    check.equal('progress: %r' % said[:300], len(lines) > 2 and all(shape.match(line) for line in lines[1:-1]), True)
    check.equal('the line is wiped', lines[-1].strip(), '')


def alike(one, two):
    """The same but for the last digits, which another C library may round otherwise."""
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(alike(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return isinstance(two, list) and len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, float) or isinstance(two, float):
        return math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-15)
    return one == two


def shipped(check, folder):
    """The profiles that were measured are what their samples give."""
    measured = glob.glob(os.path.join(ROOT, 'models', 'profiles', '*.h5'))
    check.equal('there is one', len(measured) > 0, True)
    for samples in measured:
        name = os.path.basename(samples)
        check.equal(name + ' is small', os.path.getsize(samples) < 1000000, True)
        with open(samples[:-3] + '.json') as f:
            profile = json.load(f)
        done = run(folder, 'calibrate', 'fit', samples, '--json', '--name', profile['machine']['name'])
        again = json.loads(done.stdout or '{}')
        check.equal(name + ' is fitted: ' + done.stderr[-300:], done.returncode, 0)
        check.equal(name + ': what was measured', profile['machine'].keys(), again.get('machine', {}).keys())
        for key, value in profile['machine'].items():
            check.equal('%s: %s' % (name, key), alike(value, again['machine'].get(key)), True)


def paged(check, folder):
    """Of the shipped machine taking memory is in pages of 2 MiB and small ones, and a config is charged so."""
    path = os.path.join(folder, 'paged.json')
    with open(path, 'w') as f:
        json.dump(dict(config({'profile': 'host.pin'}), include=os.path.join(ROOT, 'models', 'profiles', 'host-epyc-vm.json')), f)
    done = run(folder, 'run', path, '--json', '--quiet', '--set', 'model.expert_bytes=3MiB')
    check.equal('it runs: ' + done.stderr, done.returncode, 0)
    result = json.loads(done.stdout or '{}')
    timing, pcie = at(result, 'provenance.config.channels.pcie.timing'), at(result, 'channels.pcie')
    check.equal('in pages', (timing.get('name'), timing.get('page'), len(timing.get('pieces', []))), ('piecewise', '2MiB', 2))
    each = pcie.get('busy_s', 0) / max(1, pcie.get('transfers', 1))
    check.equal('3 MiB take what was measured, 735.3 us: %g' % each, abs(each / 735.3e-6 - 1) < 0.02, True)
    shown = run(folder, 'calibrate', 'show', os.path.join(ROOT, 'models', 'profiles', 'host-epyc-vm.json')).stdout
    check.equal('and shown so', 'GB/s, whole pages of 2 MiB 9.' in shown, True)
    on = {'pcie': '256 MiB', 'gpu': '12 MiB'}                       # what was measured: copies up to here, experts up to there
    for size, beyond in (('12MiB', []), ('27MiB', ['gpu']), ('336MiB', ['pcie', 'gpu'])):
        done = run(folder, 'run', path, '--set', 'model.expert_bytes=' + size, '--set', 'channels.pcie={"profile": "pcie.h2d"}', '--set', 'channels.gpu={"profile": "gpu"}')
        note = '  note          extrapolated: ' + '; '.join('%s MiB on %s, whose profile was measured up to %s' % (size[:-3], name, on[name]) for name in beyond)
        check.equal('beyond what was measured, %s: %s' % (size, done.stderr), [line for line in done.stdout.split('\n') if 'extrapolated' in line], [note] if beyond else [])


def host(check, folder):
    """The machine under the test, for two seconds."""
    done = run(folder, 'calibrate', '--quick', '--most', '512KiB', '--budget', '2s', '-o', 'host.json', '--set', 'folder=' + folder)
    check.equal('the host is measured: ' + done.stderr[:300], done.returncode in (0, 5), True)
    if done.returncode == 5:
        check.equal('or is too noisy for any fit', 'no row could be fitted' in done.stderr, True)
        return
    with open(os.path.join(folder, 'host.json')) as f:
        machine = json.load(f)['machine']
    check.equal('what it is', machine['environment']['backend'], 'host')
    for link, flows in machine['links'].items():
        for name, flow in flows.items():
            if isinstance(flow, dict):
                check.equal('%s.%s has a source' % (link, name), flow['provenance'], 'measured')
                check.equal('%s.%s is below the line of refusal' % (link, name), flow['fit']['error']['holdout_median'] <= 0.15, True)
    check.equal('nothing else is left', sorted(os.listdir(folder)).count('host.h5'), 1)
    check.equal('no scratch file', [f for f in os.listdir(folder) if 'scratch' in f], [])


def main():
    check = tool.Check('calibrate')
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        wrong(check, folder)
        fitted(check, folder)
        runs(check, folder)
        shared(check, folder)
        drawn(check, folder)
        skipped(check, folder)
        large(check, folder)
        told(check, folder)
        shipped(check, folder)
        paged(check, folder)
        host(check, folder)
    check.close()


if __name__ == '__main__':
    main()
