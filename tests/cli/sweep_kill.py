"""A sweep that is killed at random moments, 50 times over: its workers, its parent, or both, with SIGKILL, which nobody can prepare for.

After each the same command goes on, and the collected table is to the byte that of a sweep that nobody disturbed. SWEEP_KILLS says how many rounds.
"""
import glob
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool

ROUNDS = int(os.environ.get('SWEEP_KILLS', '50'))
POINTS = 24
LONG = {'source': {'name': 'synthetic', 'layers': 6, 'experts': 32, 'top_k': 4, 'requests': 4, 'prompt_tokens': 8, 'decode_tokens': 120, 'seed': 3}}


def start(path, folder):
    return subprocess.Popen([sweeps.TOOL, 'sweep', 'run', path, '-o', folder, '-j', '2', '-q'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def children(pid):
    try:
        with open('/proc/%d/task/%d/children' % (pid, pid)) as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


def table(folder):
    sweeps.fine('collect', folder, '-q')
    return [open(os.path.join(folder, 'table' + end), 'rb').read() for end in ('.h5', '.csv')]


def strike(run, whom):
    """Kills; says whether there was anyone to kill."""
    victims = {'parent': [run.pid], 'worker': children(run.pid)[:1], 'all': [run.pid] + children(run.pid)}[whom] if run.poll() is None else []
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return bool(victims)


def reaches(run, folder, points, pause):
    """Waits until so many points are there, and a moment more: how far a run has come says when, not a clock that a busy machine makes worthless."""
    while run.poll() is None and points > 0 and (not os.path.isdir(folder) or len(os.listdir(folder)) < points):
        time.sleep(0.0005)
    time.sleep(pause)


def main():
    if not os.path.isdir('/proc/self/task'):
        print('SKIP: there is no /proc to find workers with')
        sys.exit(77)
    check = tool.Check('sweep_kill')
    draws, struck = random.Random(7), 0
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        path = here.sweep({'policy': ['lru', 'lfu', 'random'], sweeps.CAPACITY: {'from': '20slots', 'to': '160slots', 'step': '20slots'}})
        here.write('base.json', {**sweeps.BASE, 'trace': LONG})
        begin = time.monotonic()
        start(path, here.at('whole')).wait()
        each = (time.monotonic() - begin) / POINTS
        want = table(here.at('whole'))
        for number in range(ROUNDS):
            out, whom = here.at('round%d' % number), draws.choice(['parent', 'worker', 'all'])
            run = start(path, out)
            reaches(run, os.path.join(out, 'points'), draws.randrange(POINTS), draws.uniform(0, each))
            struck += strike(run, whom)
            run.wait()
            if draws.random() < 0.3:                # once more, while it goes on
                run = start(path, out)
                reaches(run, os.path.join(out, 'points'), draws.randrange(POINTS), draws.uniform(0, each))
                strike(run, whom)
                run.wait()
            whole = all(name.endswith(('.h5', '.err', '.tmp')) for name in os.listdir(os.path.join(out, 'points'))) if os.path.isdir(os.path.join(out, 'points')) else True
            check.equal('round %d (%s): names' % (number, whom), whole, True)
            check.equal('round %d (%s): goes on' % (number, whom), sweeps.call('run', path, '-o', out, '-j', '2', '-q').returncode, 0)
            check.equal('round %d (%s): the same table' % (number, whom), table(out) == want, True)
            check.equal('round %d (%s): nothing half done is left' % (number, whom), glob.glob(os.path.join(out, 'points', '*.tmp')) + glob.glob(os.path.join(out, '*.tmp')), [])
    check.equal('of %d rounds somebody was killed in %d' % (ROUNDS, struck), 2 * struck > ROUNDS, True)
    check.close()


if __name__ == '__main__':
    main()
