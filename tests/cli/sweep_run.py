"""Running sweeps: each point as a run would have it, in parts, again after any end, and whatever a point does to itself.

FAULTY and FAULTY_SOURCE are the plug-ins of tests/support/faulty.c.
"""
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool
from sweeps import BASE, CAPACITY, TOOL, Folder, call, fine

POLICIES = {'policy': ['lru', 'lfu', 'fifo'], CAPACITY: ['8slots', '25%', '50%']}
os.environ['ASAN_OPTIONS'] = ':'.join(filter(None, [os.environ.get('ASAN_OPTIONS'), 'allocator_may_return_null=1']))   # as everywhere else
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(('SLURM', 'OMPI', 'PMI'))}


def points(folder, name):
    """Ids of the results in a folder; nothing but results and reasons may be there."""
    names = os.listdir(folder.at(name, 'points')) if os.path.isdir(folder.at(name, 'points')) else []
    odd = [n for n in names if not re.fullmatch(r'[0-9a-f]{16}\.(h5|err)', n)]
    if odd:
        raise RuntimeError('in %s: %s' % (name, odd))
    return {n[:-3] for n in names if n.endswith('.h5')}


def result(path):
    """The report in a point's file, without what names the config's texts and settings."""
    got = json.loads(tool.command([TOOL, 'rerun', path, '--json']))
    del got['provenance']['input']
    return got


def kept(path):
    """The report as it stands in the file."""
    if not shutil.which('h5dump'):
        return result(path)
    raw = path + '.raw'
    subprocess.run(['h5dump', '-d', '/summary', '-b', '-o', raw, path], check=True, capture_output=True)
    with open(raw) as f:
        got = json.load(f)
    os.unlink(raw)
    del got['provenance']['input']
    return got


# ---- what comes out ----

def as_a_run(check, folder):
    """A point of a sweep is what `run` says, whether its trace was shared (more points than processes) or its own, of whatever format."""
    folder.traces()
    tool.command([TOOL, 'trace', 'export', folder.at('a.h5'), '-o', folder.at('c.csv')])
    traces = [BASE['trace'], {'path': folder.at('a.h5')}, {'path': folder.at('c.csv')}]
    path = folder.sweep({'trace': traces, 'policy': ['lru', 'lfu', 'belady'], 'predictor': ['none', 'previous_token'], 'bounds': [True]})
    rows = json.loads(fine('plan', path, '--json'))['points']
    for out, jobs in (('shared', '1'), ('own', '64')):
        fine('run', path, '-o', folder.at(out), '-j', jobs)
        check.equal('all are there', points(folder, out), {row[0] for row in rows})
    for row in rows:
        sets = ['trace=' + (row[2] if row[2].startswith('{') else json.dumps(row[2])), 'policy=' + row[3], 'predictor=' + row[4],
                    'observers=["summary","coverage","latency","traffic","memory"]']
        want = json.loads(tool.command([TOOL, 'run', folder.at('base.json'), '--json'] + [word for s in sets for word in ('--set', s)]))
        del want['provenance']['input']
        for out in ('shared', 'own'):
            check.equal('%s %s' % (out, row), kept(folder.at(out, 'points', row[0] + '.h5')) == want, True)
    check.equal('a point can be run again', result(folder.at('own', 'points', rows[0][0] + '.h5')) == kept(folder.at('own', 'points', rows[0][0] + '.h5')), True)
    check.equal('nothing is left to do', ' 0 points in ' in fine('run', path, '-o', folder.at('own')), True)
    check.equal('quiet', fine('run', path, '-o', folder.at('own'), '--quiet'), '')


def parts(check, folder):
    """Parts of a sweep are apart, and together they are all of it; as numbered by hand, by Slurm and by MPI."""
    path = folder.sweep(POLICIES, replications={'count': 3})
    everything = {row[0] for row in json.loads(fine('plan', path, '--json'))['points']}
    for count in (1, 2, 4, 11):
        seen = []
        for i in range(count):
            out = 'part%d-%d' % (count, i)
            fine('run', path, '-o', folder.at(out), '--shard', '%d/%d' % (i, count))
            seen.append(points(folder, out))
        check.equal('%d parts together' % count, set().union(*seen), everything)
        check.equal('%d parts are apart' % count, sum(map(len, seen)), len(everything))
        check.equal('%d parts are alike in size' % count, max(map(len, seen)) - min(map(len, seen)) <= 1, True)
    together = [subprocess.Popen([TOOL, 'sweep', 'run', path, '-o', folder.at('together'), '--shard', '%d/8' % i, '-q'], stderr=subprocess.PIPE, text=True) for i in range(8)]
    check.equal('parts may begin at the same moment', [(run.communicate()[1], run.returncode) for run in together], 8 * [('', 0)])
    check.equal('in one folder', points(folder, 'together'), everything)
    want = {i: points(folder, 'part4-%d' % i) for i in range(4)}
    for n, (i, environment) in enumerate([
            (2, {'SLURM_ARRAY_TASK_ID': 2, 'SLURM_ARRAY_TASK_COUNT': 4, 'SLURM_ARRAY_TASK_MIN': 0, 'SLURM_ARRAY_TASK_MAX': 3}),
            (3, {'SLURM_ARRAY_TASK_ID': 7, 'SLURM_ARRAY_TASK_COUNT': 4, 'SLURM_ARRAY_TASK_MIN': 1, 'SLURM_ARRAY_TASK_MAX': 7, 'SLURM_ARRAY_TASK_STEP': 2}),
            (1, {'SLURM_ARRAY_TASK_ID': 1, 'SLURM_ARRAY_TASK_COUNT': 4}),
            (3, {'SLURM_PROCID': 3, 'SLURM_NTASKS': 4}),
            (1, {'SLURM_JOB_ID': 7, 'SLURM_STEP_ID': 0, 'SLURM_PROCID': 1, 'SLURM_STEP_NUM_TASKS': 4, 'SLURM_NTASKS': 9}),
            (3, {'SLURM_ARRAY_TASK_ID': 1, 'SLURM_ARRAY_TASK_COUNT': 2, 'SLURM_ARRAY_TASK_MIN': 0, 'SLURM_ARRAY_TASK_MAX': 1, 'SLURM_PROCID': 1, 'SLURM_NTASKS': 2}),
            (2, {'OMPI_COMM_WORLD_RANK': 2, 'OMPI_COMM_WORLD_SIZE': 4, 'SLURM_PROCID': 0, 'SLURM_NTASKS': 1}),
            (1, {'PMI_RANK': 1, 'PMI_SIZE': 4})]):
        said = fine('run', path, '-o', folder.at('env%d' % n), env={**ENVIRONMENT, **{k: str(v) for k, v in environment.items()}})
        check.equal('part by %s' % environment, (points(folder, 'env%d' % n), 'part %d/4 ' % i in said), (want[i], True))
    batch = {'SLURM_JOB_ID': '7', 'SLURM_PROCID': '0', 'SLURM_NTASKS': '4'}
    fine('run', path, '-o', folder.at('batch'), env={**ENVIRONMENT, **batch})
    check.equal('the script of a batch job is not one of its tasks', points(folder, 'batch'), everything)
    for shard in ('4/4', '1', '/', '1/0', 'x/2', '-1/2', '0/2x'):
        done = call('run', path, '-o', folder.at('none'), '--shard', shard)
        check.equal('--shard ' + shard, (done.returncode, '--shard: ' in done.stderr, os.path.exists(folder.at('none'))), (2, True, False))
    for environment, said in [({'SLURM_ARRAY_TASK_ID': '3'}, 'do not go from'), ({'SLURM_ARRAY_TASK_ID': '3', 'SLURM_ARRAY_TASK_COUNT': '2', 'SLURM_ARRAY_TASK_MIN': '3', 'SLURM_ARRAY_TASK_MAX': '7'}, 'do not go from'),
                              ({'OMPI_COMM_WORLD_RANK': 'x', 'OMPI_COMM_WORLD_SIZE': '2'}, 'which is no number'), ({'PMI_RANK': '2', 'PMI_SIZE': '2'}, 'but PMI_SIZE is 2')]:
        done = call('run', path, '-o', folder.at('none'), env={**ENVIRONMENT, **environment})
        check.equal(str(environment), (done.returncode, said in done.stderr or done.stderr), (2, True))


# ---- ends ----

def slow(folder):
    """Two hundred points of a few milliseconds."""
    return folder.sweep({'policy': ['lru', 'lfu'], 'seed': {'from': 1, 'to': 100, 'step': 1}}, name='slow.json')


def named(out):
    """Ids of the results that have their names."""
    names = os.listdir(os.path.join(out, 'points')) if os.path.isdir(os.path.join(out, 'points')) else []
    return {n[:-3] for n in names if re.fullmatch('[0-9a-f]{16}.h5', n)}


def ended(check, folder):
    """Killed or stopped at any moment it leaves whole points and nothing else, and goes on where it was."""
    path, draw = slow(folder), random.Random(7)
    everything = {row[0] for row in json.loads(fine('plan', path, '--json'))['points']}
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        out, between = folder.at('ended%d' % how), 0
        for early in (True, False, False, False, True):
            before = len(named(out))
            run = subprocess.Popen([TOOL, 'sweep', 'run', path, '-o', out, '-j', '3', '-q'], stderr=subprocess.PIPE, text=True)
            while not early and run.poll() is None and len(named(out)) == before:       # until it has got somewhere
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.05))
            run.send_signal(how)
            run.communicate()
            if run.returncode == 0:
                break
            check.equal('it ends by the signal', run.returncode, -how)
            # killed, it leaves what it was writing, under names that are none of a point's
            there = named(out) if how == signal.SIGKILL or not os.path.isdir(out) else points(folder, 'ended%d' % how)
            between += before < len(there) < len(everything)
        check.equal('some rounds ended in the middle (%s)' % how.name, between > 0, True)
        fine('run', path, '-o', out, '-j', '3', '-q')
        check.equal('all are there after %s, and nothing else' % how.name, points(folder, 'ended%d' % how), everything)
        fine('collect', out, '-o', folder.at('ended%d.h5' % how), '-q')
        for name in sorted(everything)[::99]:
            check.equal('whole', result(os.path.join(out, 'points', name + '.h5')) == kept(os.path.join(out, 'points', name + '.h5')), True)
    fine('run', path, '-o', folder.at('undisturbed'), '-q')
    fine('collect', folder.at('undisturbed'), '-o', folder.at('undisturbed.h5'), '-q')
    for end in ('.h5', '.csv'):
        check.equal('the tables are those of an undisturbed run', [open(folder.at('ended%d%s' % (how, end)), 'rb').read() == open(folder.at('undisturbed' + end), 'rb').read()
                                                                   for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)], [True] * 3)


def faulty(folder, faults, **more):
    base = {**BASE, 'tiers': {'cache': {'capacity': '100%', 'compute': 'gpu'}, 'host': {'home': True}}, 'plugins': [os.environ['FAULTY']], 'policy': {'name': 'faulty'}}
    return folder.write('faulty.json', {'base': base, 'axes': {'policy.fault': faults, 'seed': [1, 2]}, **more})


def reasons(folder, out, plan):
    """fault -> first line of the reasons of its points."""
    found = {}
    for row in plan['points']:
        path = folder.at(out, 'points', row[0] + '.err')
        found.setdefault(row[2], []).append(open(path).read().split('\n')[0] if os.path.exists(path) else None)
    return found


def failing(check, folder):
    """A point that crashes, hangs, eats memory or refuses is named; all others are there."""
    path = faulty(folder, ['none', 'abort', 'hang', 'hungry', 'refuse', 'chatter'], limits={'time': '8s', 'memory': '200MB'})
    plan = json.loads(fine('plan', path, '--json'))
    done = call('run', path, '-o', folder.at('failing'), '-j', '2')
    first = re.search('failed: [0-9a-f]{16}, .*?: (.*)', done.stdout + done.stderr).group(1)
    check.equal('exit code', (done.returncode, done.stderr.strip().split('\n')[-1]), (5, "expertsim: 10 of 12 points failed (the first: %s); `expertsim sweep status %s` says why" % (first, folder.at('failing'))))
    check.equal('the rest is there', points(folder, 'failing'), {row[0] for row in plan['points'] if row[2] == 'none'})
    found = reasons(folder, 'failing', plan)
    check.equal('none', found['none'], [None, None])
    for fault, words in [('abort', 'was ended by signal 6 (Aborted), with no more memory than 191 MiB: about to abort'), ('hang', 'took longer than 8 s, its limit'),
                         ('hungry', 'no memory for the hungry policy'), ('refuse', 'this policy refuses'), ('chatter', 'said enough')]:
        check.equal(fault, [words in reason or reason for reason in found[fault]], [True, True])
        check.equal(fault + ' is told', len(re.findall(r'^failed: [0-9a-f]{16}, policy.fault=%s, seed=\d: .*%s' % (fault, re.escape(words)), done.stderr, re.M)), 2)
    chatter = [row[0] for row in plan['points'] if row[2] == 'chatter'][0]
    tail = open(folder.at('failing', 'points', chatter + '.err')).read()
    check.equal('of what it said the end is kept', ('chatter 9999\n' in tail, len(tail) < 4096), (True, True))
    again = call('run', path, '-o', folder.at('failing'), '-j', '2', '--time', '300ms', '-q')
    check.equal('they are tried again, with limits of the command line', (again.returncode, [reason[:20] for reason in reasons(folder, 'failing', plan)['hang']]), (5, 2 * ['took longer than 300']))
    check.equal('quiet says only how it ended', len(again.stderr.strip().split('\n')), 1)
    base = {**BASE, 'plugins': [os.environ['FAULTY_SOURCE']], 'trace': {'source': {'name': 'faulty'}}}
    path = folder.write('source.json', {'base': base, 'axes': {'seed': [1, 2, 3]}})
    done = call('run', path, '-o', folder.at('source'), '-j', '1')
    check.equal('a source of a plug-in ends its point and nothing else', (done.returncode, len(re.findall('^failed: .*Aborted', done.stderr, re.M))), (5, 3))
    # a reason goes when the point can be run: here by another limit
    slow = faulty(folder, ['hungry'])
    call('run', slow, '-o', folder.at('mended'), '--memory', '100MB', '-q')
    check.equal('too little memory', (len(points(folder, 'mended')), len(os.listdir(folder.at('mended', 'points')))), (0, 2))
    fine('run', slow, '-o', folder.at('mended'), '-q')
    check.equal('enough of it', (len(points(folder, 'mended')), len(os.listdir(folder.at('mended', 'points')))), (2, 2))


def together(check, folder):
    """Quick points share a process. One of them that is refused is named, and those behind it are there all the same, with the bytes they have alone."""
    axes = {'seed': {'from': 1, 'to': 30, 'step': 1}, CAPACITY: ['64KiB', '16MiB']}        # an expert weighs 1 MiB
    path = folder.sweep(axes, name='quick.json', base={**BASE, 'clock': 'none', 'policy': 'lfu'})
    done = call('run', path, '-o', folder.at('quick'), '-j', '2')
    names = os.listdir(folder.at('quick', 'points'))
    check.equal('refused among others', (done.returncode, sum(n.endswith('.h5') for n in names), sum(n.endswith('.err') for n in names), len(names)), (5, 30, 30, 60))
    check.equal('how it ended', done.stderr.strip().split('\n')[-1][:28], 'expertsim: 30 of 60 points f')
    check.equal('each for its own reason', len(re.findall('^failed: .*smaller than one expert', done.stderr, re.M)), 30)
    path = folder.sweep({**axes, CAPACITY: ['16MiB']}, name='quick.json', base={**BASE, 'clock': 'none', 'policy': 'lfu'})
    tables = []
    for name, more in (('some', []), ('alone', ['--time', '1000s'])):       # with a limit each has its own process
        fine('run', path, '-o', folder.at(name), '-j', '2', *more)
        fine('collect', folder.at(name), '-q')
        with open(folder.at(name, 'table.csv'), 'rb') as file:
            tables.append(file.read())
    check.equal('the same alone', tables[0] == tables[1], True)


def full(check, folder):
    """A disk that takes no more leaves no half file; once there is room the same command goes on."""
    path = folder.sweep({'policy': ['lru', 'lfu']}, name='full.json')
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)       # so that a write fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    done = call('run', path, '-o', folder.at('full'), preexec_fn=small, restore_signals=False)
    check.equal('nothing can be written', (done.returncode, 'cannot' in done.stderr, points(folder, 'full')), (2, True, set()))
    fine('run', path, '-o', folder.at('full'))
    check.equal('now it can', len(points(folder, 'full')), 2)
    done = call('collect', folder.at('full'), preexec_fn=lambda: (small(), resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))), restore_signals=False)
    check.equal('nor collected', (done.returncode, sorted(os.listdir(folder.at('full')))), (2, ['plan.json', 'points']))


def terminal(check, folder):
    """A bar on a terminal, which is gone in the end; plain lines elsewhere."""
    path = faulty(folder, ['none', 'refuse', 'hang'], limits={'time': '4s'})
    try:
        ours, its = pty.openpty()
    except OSError as error:                                # a container without /dev/pts
        print('sweep_run: no terminal to be had (%s); the bar is not looked at' % error)
        return
    run = subprocess.Popen([TOOL, 'sweep', 'run', path, '-o', folder.at('bar'), '-j', '1'], stdout=subprocess.PIPE, stderr=its, text=True)
    os.close(its)
    said = b''
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:                                     # how a terminal says that nobody is there any more
            break
        if not more:
            break
        said += more
    run.communicate()
    os.close(ours)
    said = said.decode()
    check.equal('a bar', bool(re.search(r'\[#+\.+\] faulty: [1-5] of 6 points, [0-9.e+-]+ a second, \d+ s left', said)), True)
    check.equal('with what failed', bool(re.search(r'a second, \d+ s left, \d failed', said)), True)
    check.equal('failures stand on lines of their own', len(re.findall(r'(?:^|\r\033\[K|\n)failed: [0-9a-f]{16}, ', said)), 4)
    last = said.rstrip('\r\n').split('\n')[-1].split('\033[K')
    check.equal('nothing of it is left', last[-1].startswith('expertsim: 4 of 6 points failed'), True)
    plain = call('run', path, '-o', folder.at('lines'), '-j', '1')
    check.equal('elsewhere none', '\033' in plain.stderr or '[#' in plain.stderr, False)


def folders(check, folder):
    """A folder belongs to one sweep, which may grow."""
    path = folder.sweep({'policy': ['lru']}, name='grows.json')
    fine('run', path, '-o', folder.at('grown'))
    folder.sweep({'policy': ['lru', 'lfu']}, name='grows.json')
    check.equal('only what is new', (' 1 points in ' in fine('run', path, '-o', folder.at('grown')), len(points(folder, 'grown'))), (True, 2))
    other = folder.sweep({'policy': ['lru']}, name='other.json')
    done = call('run', other, '-o', folder.at('grown'))
    check.equal('another sweep', (done.returncode, done.stderr), (2, 'expertsim: %s: holds the sweep "grows", not "other"; give another folder with -o\n' % folder.at('grown')))
    for args, said in [(['run', path], '-o DIR says where the results go'), (['run', path, '-o', folder.at('x'), '-j', '0'], '--jobs: "0" is not a number of processes from 1 to 4096'),
                       (['run', path, '-o', folder.at('x'), '--time', '3'], '--time: "3" has no unit of a time'), (['run', path, '-o', folder.at('x'), '--memory', 'much'], '--memory: "much" is not a')]:
        done = call(*args)
        check.equal(' '.join(args), (done.returncode, said in done.stderr or done.stderr), (2, True))
    folder.write('plain', 'a file')
    done = call('run', path, '-o', folder.at('plain', 'out'))
    check.equal('where nothing can be written', (done.returncode, len(done.stderr.strip().split('\n'))), (2, 1))


def main():
    check = tool.Check('sweep_run')
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        as_a_run(check, folder)
        parts(check, folder)
        ended(check, folder)
        failing(check, folder)
        together(check, folder)
        full(check, folder)
        terminal(check, folder)
        folders(check, folder)
    check.close()


if __name__ == '__main__':
    main()
