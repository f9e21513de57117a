"""expertsim validate: a machine that is the model agrees with it to the nanosecond; a real one ranks as the model does; errors and exit codes.

How fast the machine under the test is, and how near the model comes to it, is printed and nobody's business here.
"""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool
import trace_events

TOOL = os.path.abspath(tool.TOOL)
FAKE = ['validate', 'c.json', '--backend', 'fake', '--option', 'alpha=10us', '--option', 'rate=1GB/s']


def config(source, cache, bytes, host=None):
    """Channels that are the fake's formula for experts of 80 KiB: alpha 10 us, 1 GB/s, five alphas and a fortieth of the rate from disk."""
    tree = {
        'bounds': False, 'policy': 'lru', 'model': {'expert_bytes': bytes},
        'trace': {'source': dict({'name': 'synthetic', 'layers': 2, 'top_k': 2, 'requests': 1}, **source)},
        'tiers': {'cache': {'capacity': cache, 'compute': 'gpu'}, 'home': {'home': True}},
        'channels': {'pcie': {'timing': {'name': 'affine', 'latency': '10us', 'rate': '1GB/s'}}, 'gpu': {'timing': {'name': 'compute', 'expert': '18192ns'}}},
        'links': [{'from': 'home', 'to': 'cache', 'channels': ['pcie']}],
    }
    if host:
        tree['tiers'] = {'cache': tree['tiers']['cache'], 'host': {'capacity': host}, 'home': {'home': True}}
        tree['channels']['nvme'] = {'timing': {'name': 'affine', 'latency': '50us', 'rate': '25MB/s'}}
        tree['links'] = [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}, {'from': 'home', 'to': 'host', 'channels': ['nvme']}]
    return tree


def run(folder, *args):
    return subprocess.run([TOOL, *args], cwd=folder, capture_output=True, text=True, env=dict(os.environ, TMPDIR=os.path.join(folder, 'tmp')))


# (arguments, exit code, what is said)
WRONG = [
    (['validate', '--backend', 'fake'], 2, 'validate: which file?; usage: '),
    (['validate', 'c.json'], 2, 'validate: --backend is missing: host, cuda or fake; usage: '),
    (['validate', 'c.json', '--backend', 'hosst'], 2, 'hosst: there is no probe "hosst"; did you mean "host"?'),
    (['validate', 'none.json', '--backend', 'fake'], 2, 'none.json: cannot open: No such file or directory'),
    (FAKE + ['--policies', 'lru,,fifo'], 2, '--policies: found "lru,,fifo", needs names with commas between, such as lru,random'),
    (FAKE + ['--policies', 'lrru'], 2, 'there is no policy "lrru"; did you mean "lru"?'),
    (FAKE + ['--policies', 'a,b,c,d,e,f,g,h,i'], 2, '--policies: more than 8 of them'),
    (FAKE + ['--repeat', '1'], 2, '--repeat: found "1", needs a number from 2 to 100'),
    (FAKE + ['--repeat', '2.5'], 2, '--repeat: found "2.5", needs a whole number'),
    (FAKE + ['--mode', 'parallel'], 2, '--mode: found "parallel", needs serial, overlapped or both'),
    (FAKE + ['--scale', '0'], 2, '--scale: found "0", needs a number from '),
    (FAKE + ['--scale', '1000'], 2, 'with --scale '),
    (FAKE + ['--option', 'folder'], 2, '--option: found "folder", needs KEY=VALUE, such as folder=/data'),
    (FAKE + ['--set', 'model.expert_bytes=null'], 2, 'model: a machine has to know how many bytes an expert has'),
    (FAKE + ['--set', 'channels.pcie.onto=0.5'], 2, 'channels.pcie: onto: a share of 0.5 needs onto_near, the bytes up to which it holds'),
    (FAKE + ['--out', ''], 2, '--out: the name of a folder is empty'),
    (FAKE + ['--option', 'fail=no_device'], 3, 'fake: no usable device: the fake was told to have none. Try --backend host.'),
    (FAKE + ['--option', 'fail=lost', '--option', 'fail_at=300'], 3, 'the device was lost at call 300; nothing more can be measured'),
    (FAKE + ['--option', 'fail=bytes', '--mode', 'serial'], 5, 'came there with other bytes than were sent, from byte 81912 of 81920 on'),
    (FAKE + ['--option', 'fail=bytes', '--option', 'fail_at=5000'], 5, ' with other bytes than were sent, from byte '),
    (FAKE + ['--option', 'rate=2GB/s', '--mode', 'serial', '--quiet'], 5, 'validate: the model is not as near to this machine as it should be: A, B, C, D, F of lru serial'),
]


def wrong(check, folder):
    for args, code, said in WRONG:
        done = run(folder, *args)
        check.equal(' '.join(args) + ': exit code', done.returncode, code)
        check.equal(' '.join(args) + ': is one line', done.stderr.count('\n'), 1)
        check.equal(' '.join(args) + ': "%s"' % done.stderr.strip(), said in done.stderr and done.stderr.startswith('expertsim: '), True)
        check.equal(' '.join(args) + ': prints nothing', done.stdout, '')
    check.equal('no log is left behind', os.listdir(os.path.join(folder, 'tmp')), [])


def exact(check, folder):
    """The fake is the model: every error of every part is 0, in both modes."""
    done = run(folder, *FAKE, '--policies', 'lru,fifo,random', '--repeat', '3', '--json', '--out', 'kept')
    check.equal('it agrees: ' + done.stderr, done.returncode, 0)
    result = json.loads(done.stdout or '{"modes": []}')
    check.equal('modes', [m['mode'] for m in result['modes']], ['serial', 'overlapped'])
    check.equal('held out', result.get('held_out'), {'trace': 'unknown', 'policy': 'unknown', 'size': 'unknown', 'cache': 'unknown'})
    check.equal('its time is not that of the machine under it', {'steal_s', 'elapsed_s'} & set(result['environment']), set())
    for mode in result['modes']:
        for one in mode['candidates']:
            name = mode['mode'] + ' ' + one['policy']
            parts = dict({'all': one}, **one['classes'], **one['operations'])
            check.equal(name + ': parts', set(parts) >= {'all_hit', 'dram_miss', 'disk_miss', 'disk_read', 'h2d', 'gemm'}, True)
            for key, part in parts.items():
                zero = {'median': 0, 'p95': 0}
                check.equal('%s %s' % (name, key), (part['bias'], part['error'], part['floor'], part['count'] > 0), (0, zero, zero, True))
            check.equal(name + ': steps are of one class each', sum(c['count'] for c in one['classes'].values()), one['count'])
            check.equal(name + ': acceptance', one['acceptance'], {k: 'pass' for k in 'ABCDF'})
        check.equal(mode['mode'] + ': between the runs', {k: (r['rows'], r['bias'], r['drift'], r['measured_by_model']) for k, r in mode['recalibration'].items()},
                    {k: (6, 0, 0, [1] * 4) for k in ('disk_read', 'h2d', 'gemm')})
        ranking = mode['ranking']
        check.equal(mode['mode'] + ': ranking', (ranking['acceptance'], ranking['tau'], ranking['pairs'], ranking['inversions']), ('pass', 1, 3, []))
    check.equal('kept', sorted(os.listdir(os.path.join(folder, 'kept'))), ['1-lru.jsonl', '2-fifo.jsonl', '3-random.jsonl', 'validate.json'])
    with open(os.path.join(folder, 'kept', 'validate.json')) as f:
        check.equal('as printed', f.read() == done.stdout, True)
    text = run(folder, *FAKE, '--policies', 'lru,fifo,random', '--mode', 'overlapped')
    check.equal('text for people: ' + text.stderr, (text.returncode, text.stdout.count('\n') <= 24, 'Kendall tau 1.00 of 3 pairs' in text.stdout), (0, True, True))
    check.equal('no line is too long', max(len(line) for line in text.stdout.splitlines()) <= 130, True)
    scaled = json.loads(run(folder, *FAKE, '--mode', 'serial', '--scale', '0.5', '--json', '--repeat', '2').stdout)
    h2d = scaled['modes'][0]['candidates'][0]['operations']['h2d']
    check.equal('half as large', round(1e9 * h2d['measured_s'] / h2d['count']), 10000 + 40960)


def drifting(check, folder):
    """A machine that gets slower by half each second is named: what it does alone takes longer from run to run, by as much as its clock says. One that is
    ten per cent slower than the profile all the time does not drift, and its bias alone is that of its runs."""
    done = run(folder, *FAKE, '--option', 'drift=0.5', '--repeat', '3', '--out', 'drifting')
    check.equal('it drifts: ' + done.stderr, (done.returncode in (0, 5), done.stdout.count('; the machine drifts\n')), (True, 2))
    with open(os.path.join(folder, 'drifting', 'validate.json')) as f:
        modes = json.load(f)['modes']
    for mode in modes:
        for op, r in mode['recalibration'].items():
            ratios = r['measured_by_model']
            name = 'drifting %s %s: %s' % (mode['mode'], op, ratios)
            check.equal(name, (len(ratios), ratios == sorted(ratios), ratios[0] > 1, abs(r['drift'] - (ratios[-1] / ratios[0] - 1)) < 1e-12), (4, True, True, True))
    done = run(folder, *FAKE, '--set', 'channels.pcie.timing.rate="0.9GB/s"', '--set', 'channels.pcie.timing.latency="11.11us"', '--repeat', '2', '--json')
    for mode in json.loads(done.stdout)['modes']:
        r, h2d = mode['recalibration'], mode['candidates'][0]['operations']['h2d']
        check.equal('slower, and steady: %s, %g' % (r['h2d'], h2d['bias']), (abs(r['h2d']['bias'] - 1 / 9) < 1e-3, abs(r['h2d']['bias'] - h2d['bias']) < 1e-3, r['h2d']['drift'],
                                                                             r['gemm']['bias'], r['gemm']['drift']), (True, True, 0, 0, 0))


def pinned(check, folder):
    """Experts that are pinned on the device at the start come from the disk through host memory; what is not kept does, too."""
    done = run(folder, *FAKE, '--policies', 'lru,static', '--json', '--out', 'pinned')
    check.equal('static with a disk: ' + done.stderr, done.returncode, 0)
    with open(os.path.join(folder, 'pinned', '2-static.jsonl')) as f:
        rows = [json.loads(line) for line in f][1:]
    start = [r['op'] for r in rows if r['step'] < 0]
    check.equal('12 pins are read and copied before the first step', [start.count(op) for op in ('disk_read', 'h2d', 'gemm')], [12, 12, 0])
    check.equal('and no other stays', len({(r['layer'], r['expert']) for r in rows if r['op'] == 'alloc' and r['place'] == 'device' and r['step'] < 0}), 12)
    for mode in json.loads(done.stdout or '{"modes": []}')['modes']:
        check.equal(mode['mode'] + ': it is timed as performed', [(c['bias'], c['error']['p95']) for c in mode['candidates']], [(0, 0), (0, 0)])


# What a machine may do beside what its copies and experts take alone.
MACHINES = [
    [],
    ['handover=25us'],
    ['copied=0.5', 'handed=0.8', 'near=32MiB'],
    ['onto=0.4', 'near=1MiB'],
    ['computing=0.6', 'copying=0.4', 'handover=25us', 'copied=0.5', 'handed=0.8', 'near=32MiB'],
]


def fitted(check, folder):
    """A profile of the fake, made in an earlier process: what it says of experts of other sizes than any it measured is what they take."""
    for extra in MACHINES:
        said = ' '.join(extra)
        made = run(folder, 'calibrate', '--backend', 'fake', '--quick', *[a for e in ['alpha=10us', 'rate=1GB/s'] + extra for a in ('--set', e)], '-o', 'fake.json')
        check.equal('it is calibrated: %s %s' % (said, made.stderr), made.returncode, 0)
        with open(os.path.join(folder, 'fake.json')) as f:
            machine = json.load(f)['machine']
        told = (machine['links']['pcie']['h2d']['handover'], machine['compute']['gpu']['handover'], 'copied' in machine['compute']['gpu'], machine['links']['pcie']['h2d'].get('onto', 1))
        check.equal('what it was told: ' + said, told, ('25us' if 'handover=25us' in extra else '0',) * 2 + ('copied=0.5' in extra, 0.4 if 'onto=0.4' in extra else 1))
        policy = 'lfu' if 'onto=0.4' in extra else 'lru'        # the one fills the slot that was used last, the other never does
        for size in ('80KiB', '2MiB') if extra else ('80KiB', '2MiB', '14MiB'):
            with open(os.path.join(folder, 'c.json')) as f:
                tree = dict(json.load(f), include='fake.json', model={'expert_bytes': size},
                            channels={'pcie': {'profile': 'pcie.h2d'}, 'nvme': {'profile': 'disk.read'}, 'gpu': {'profile': 'gpu'}})
            with open(os.path.join(folder, 'fitted.json'), 'w') as f:
                json.dump(tree, f)
            # Near is known as far as it was measured: a machine that is near as far as that.
            fades = machine['compute']['gpu'].get('copied', {}).get('fades')
            near = fades[-1]['bytes'] if fades else machine['links']['pcie']['h2d'].get('onto_near')
            check.equal('all is saved up to there', [fade['saved'] for fade in fades or [] if fade['saved'] < 0.99], [])
            options = [a for e in extra for a in ('--option', 'near=' + near if e.startswith('near=') else e)]
            done = run(folder, 'validate', 'fitted.json', *FAKE[2:], *options, '--policies', policy, '--option', 'memory=8GiB', '--json', '--repeat', '2')
            check.equal('%s %s: the fit is the machine: %s' % (size, said, done.stderr), done.returncode, 0)
            for mode in json.loads(done.stdout or '{"modes": []}')['modes']:
                check.equal('no trace, policy or cache was seen, nor an expert of 80 KiB or 14 MiB', json.loads(done.stdout)['held_out'],
                            {'trace': 'yes', 'policy': 'yes', 'size': 'no' if size == '2MiB' else 'yes', 'cache': 'yes'})
                one = mode['candidates'][0]
                for key, part in dict({'all': one}, **one['classes'], **one['operations']).items():
                    check.equal('%s %s %s %s: bias %g, p95 %g' % (size, said, mode['mode'], key, part['bias'], part['error']['p95']),
                                abs(part['bias']) < 1e-3 and part['error']['p95'] < 1e-2, True)


def noisy(check, folder):
    """Totals have the noise that calibration found, in an earlier process and with another seed: a model of medians is too fast."""
    machine = ['alpha=10us', 'rate=10GB/s', 'noise=0.25']
    made = run(folder, 'calibrate', '--backend', 'fake', '--quick', '--budget', '60s', *[a for e in machine for a in ('--set', e)], '-o', 'noisy.json', '--quiet')
    check.equal('it is calibrated: ' + made.stderr, made.returncode, 0)
    tree = dict(config({'layers': 8, 'experts': 32, 'prompt_tokens': 1, 'decode_tokens': 60}, '96slots', '3MiB'), include='noisy.json',
                channels={'pcie': {'profile': 'pcie.h2d'}, 'gpu': {'profile': 'gpu'}})
    with open(os.path.join(folder, 'n.json'), 'w') as f:
        json.dump(tree, f)
    command = ['validate', 'n.json', '--backend', 'fake', *[a for e in machine + ['seed=9', 'memory=8GiB'] for a in ('--option', e)], '--repeat', '8', '--json']
    done = run(folder, *command)
    result = json.loads(done.stdout or '{"modes": []}')
    check.equal('noise is drawn: ' + done.stderr, (result.get('noise'), len(result['modes'])), (True, 2))
    for mode in result['modes']:
        one = mode['candidates'][0]
        h2d = one['operations']['h2d']
        medians, drawn = h2d['simulated_s'] / h2d['measured_s'] - 1, h2d['drawn_s'] / h2d['measured_s'] - 1
        check.equal('%s: medians %+.3f, with noise %+.3f' % (mode['mode'], medians, drawn), (medians < -0.02, abs(drawn) < 0.015, abs(drawn - h2d['bias']) < 1e-9), (True,) * 3)
        check.equal('%s: C, D: %+.3f, %.2f of %.2f' % (mode['mode'], one['bias'], one['ks'], one['ks_critical']),
                    (abs(one['bias']) < 0.03, one['acceptance']['C'], one['acceptance']['D']), (True, 'pass', 'pass'))
    check.equal('the same again', json.loads(run(folder, *command).stdout)['modes'] == result['modes'], True)
    speed = lambda *more: json.loads(run(folder, 'run', 'n.json', '--json', '--set', 'clock=simulated', *more).stdout)['time']['total_s']
    quiet, loud = speed(), [speed('--set', 'noise=true', '--set', 'replication=%d' % r) for r in (0, 0, 1)]
    check.equal('a run draws where it is told to: %s, %s' % (quiet, loud), (min(loud) > quiet, loud[0] == loud[1], loud[0] != loud[2]), (True,) * 3)


def known(check, folder):
    """What a profile says it was calibrated on is not held out."""
    with open(os.path.join(folder, 'c.json')) as f:
        tree = json.load(f)
    unknown = {'trace': 'unknown', 'policy': 'unknown', 'size': 'unknown', 'cache': 'unknown'}
    cases = [
        ({'trace': 'other.csv', 'policy': 'lru', 'size': 81920, 'cache': 12}, {'trace': 'yes', 'policy': 'no', 'size': 'no', 'cache': 'no'}),
        ({'trace': 'none', 'policy': 'none', 'size': [4096, 81920], 'cache': 'none'}, {'trace': 'yes', 'policy': 'yes', 'size': 'no', 'cache': 'yes'}),
        ({'trace': 'none', 'policy': 'fifo', 'size': [4096, 65536], 'cache': 16}, {'trace': 'yes', 'policy': 'yes', 'size': 'yes', 'cache': 'yes'}),
        ({'trace': 3, 'policy': None, 'size': 'x', 'cache': []}, unknown),
    ]
    for on, want in cases:
        tree['machine'] = {'name': 'm', 'links': {}, 'environment': {'calibrated_on': on}}
        with open(os.path.join(folder, 'known.json'), 'w') as f:
            json.dump(tree, f)
        done = run(folder, 'validate', 'known.json', *FAKE[2:], '--json', '--mode', 'serial', '--repeat', '2')
        check.equal('held out by the profile: ' + done.stderr, json.loads(done.stdout or '{}').get('held_out'), want)


def host(check, folder):
    """LRU, and experts that are pinned though the working set moves away from them. They take more than twice as long, so only a machine that stands
    still in most of five performances of LRU and in none of the others inverts them: a model that does so would in all of four attempts."""
    command = ['validate', 'h.json', '--backend', 'host', '--policies', 'lru,static', '--json', '--option', 'threads=1', '--option', 'folder=' + folder]
    for attempt in range(4):
        done = run(folder, *command)
        check.equal('the host performs it: ' + done.stderr[:300], done.returncode in (0, 5) and bool(done.stdout), True)
        result = json.loads(done.stdout or '{"modes": []}')
        if not any(mode['ranking']['inverted'] for mode in result['modes']):
            break
    check.equal('eight slots and the one beside them are named with the cache', result['environment']['slots_B'], 9 * 2 ** 21)
    check.equal('what its host took meanwhile', (result['environment']['steal_s'] >= 0, result['environment']['elapsed_s'] > 0), (True, True))
    for mode in result['modes']:
        lru, bad = mode['candidates']
        check.equal(mode['mode'] + ': LRU copies far less', lru['operations']['h2d']['count'] * 4 < bad['operations']['h2d']['count'], True)
        check.equal(mode['mode'] + ': the model says so', lru['simulated_s'] < bad['simulated_s'], True)
        check.equal(mode['mode'] + ': no inversion', (mode['ranking']['inverted'], mode['ranking']['acceptance'] != 'fail'), (0, True))
        for one in (lru, bad):
            print('validate: %s %s: bias %+.1f %%, error %.1f %%, floor %.1f %%, %s' % (mode['mode'], one['policy'], 100 * one['bias'], 100 * one['error']['median'],
                                                                                   100 * one['floor']['median'], one['acceptance']))
        print('validate: %s: %s' % (mode['mode'], mode['ranking']))


def drawn(check, folder):
    """Two processes for each policy and mode. Of a machine that is the model they are the same; every row with a queue is there once."""
    path = os.path.join(folder, 'v.json')
    done = run(folder, *FAKE, '--policies', 'lru,fifo', '--timeline', 'v.json', '--out', 'drawn', '--repeat', '2')
    check.equal('timeline: ' + done.stderr, (done.returncode, 'timeline of 41 steps: v.json' in done.stdout or done.stdout[-200:]), (0, True))
    timeline = trace_events.read(path)
    check.equal('timeline: rules', timeline.faults, [])
    check.equal('timeline: processes', list(timeline.processes.values()), ['%s: %s, %s' % (side, policy, mode) for mode in ('serial', 'overlapped')
                                                                             for policy in ('lru', 'fifo') for side in ('measured', 'simulated')])
    of = lambda process: [s for s in timeline.slices if s.track // 1000 == process]
    for process in (1, 3, 5, 7):
        both = [[(s.name, s.begin, s.end, s.track % 1000) for s in of(p)] for p in (process, process + 1)]
        check.equal('timeline: process %d is as measured' % process, both[0] == both[1], True)
        with open(os.path.join(folder, 'drawn', ('1-lru', '2-fifo')[process // 2 % 2] + '.jsonl')) as f:
            rows = [json.loads(line) for line in f][1:]
        queued = [r for r in rows if 'queue' in r and r['step'] >= 0]
        slices = [s for s in of(process) if 'row' in s.args]
        check.equal('timeline: rows of process %d' % process, sorted((s.args['row'], s.name, s.args['bytes']) for s in slices),
                    sorted((r['id'], '%s %s/%s' % (r['op'], r['layer'], r['expert']), r['bytes']) for r in queued))
        check.equal('timeline: both times of a row', [s for s in slices if s.args['simulated_ns'] != s.end - s.begin], [])
        steps = [s for s in of(process) if 'step_ns' in s.args]
        check.equal('timeline: steps of process %d' % process, (len(steps), all(a.end == b.begin for a, b in zip(steps, steps[1:]))), (41, True))
        arrows = {(one.args['row'], two.args['row']) for _, one, two in timeline.flows if one.track // 1000 == process}
        check.equal('timeline: arrows are waits', arrows <= {(a, r['id']) for r in rows for a in r['after']} and len(arrows) > 50, True)
    run(folder, *FAKE, '--policies', 'lru,fifo', '--timeline', 'w.json', '--repeat', '2')
    with open(path) as f, open(os.path.join(folder, 'w.json')) as g:
        check.equal('timeline: same bytes of a machine that does the same', f.read() == g.read(), True)
    done = run(folder, 'validate', 'h.json', '--backend', 'host', '--mode', 'overlapped', '--repeat', '2', '--timeline', 'h.gz', '--quiet', '--set', 'trace.source.decode_tokens=10')
    timeline = trace_events.read(os.path.join(folder, 'h.gz'))
    check.equal('timeline of a real machine: rules', (done.returncode in (0, 5), timeline.faults, list(timeline.processes.values())),
                (True, [], ['measured: lru, overlapped', 'simulated: lru, overlapped']))
    done = run(folder, *FAKE, '--timeline', 'no/such/v.json')
    check.equal('timeline that cannot be written: ' + done.stderr, (done.returncode, 'cannot write "no/such/v.json.tmp": No such file' in done.stderr), (2, True))


def interrupted(check, folder):
    """Who stops it while the machine works leaves nothing behind. That it works is told on a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([TOOL, 'validate', 'h.json', '--backend', 'host', '--option', 'folder=' + folder, '--repeat', '100', '--set',
                              'trace.source.decode_tokens=4000'], cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=theirs, env=dict(os.environ, TMPDIR=os.path.join(folder, 'tmp')))
    os.close(theirs)
    told = ''
    while not re.search(r', [1-9]\d* of \d+ performances', told) and select.select([ours], [], [], 60)[0]:
        try:
            told += os.read(ours, 4096).decode()
        except OSError:             # it has ended
            break
    worked = child.poll() is None
    child.send_signal(signal.SIGINT)
    check.equal('it was at work, was stopped, and nothing is left: ' + told[-200:], (worked, child.wait() != 0, os.listdir(os.path.join(folder, 'tmp'))), (True, True, []))
    os.close(ours)


def main():
    check = tool.Check('validate')
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        os.mkdir(os.path.join(folder, 'tmp'))
        with open(os.path.join(folder, 'c.json'), 'w') as f:
            json.dump(config({'experts': 16, 'prompt_tokens': 4, 'decode_tokens': 40}, '12slots', '80KiB', '40slots'), f)
        with open(os.path.join(folder, 'h.json'), 'w') as f:
            json.dump(config({'experts': 64, 'decode_tokens': 80, 'sampler': 'episode', 'working_set': 4, 'topic_length': 20}, '8slots', '2MiB'), f)
        wrong(check, folder)
        exact(check, folder)
        drifting(check, folder)
        pinned(check, folder)
        fitted(check, folder)
        noisy(check, folder)
        known(check, folder)
        drawn(check, folder)
        interrupted(check, folder)
        host(check, folder)
    check.close()


if __name__ == '__main__':
    main()
