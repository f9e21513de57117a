"""Batch files of sweeps, run by stand-ins for sbatch and parallel (and by the real parallel where there is one): all parts run, then the
table is collected, and it is the one that a single run makes."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool
from sweeps import BASE, CAPACITY, TOOL, Folder, call, fine

SBATCH = '''#!%s
"""As much of sbatch as the batch file uses: runs the tasks of an array at once, one after another, or what --wrap says."""
import os, re, subprocess, sys
log = open(os.environ['SBATCH_LOG'], 'a')
print(sys.argv[1:], file=log, flush=True)
options = [a for a in sys.argv[1:] if a.startswith('--')]
if '--wrap' in sys.argv:
    command = sys.argv[sys.argv.index('--wrap') + 1]
    sys.exit(subprocess.run(['sh', '-c', command], env=dict(os.environ, SLURM_JOB_ID='78')).returncode)
path = sys.argv[-1]
text = open(path).read()
first, last = map(int, re.search(r'^#SBATCH --array=(\\d+)-(\\d+)%%\\d+$', text, re.M).groups())
cpus = re.search(r'^#SBATCH --cpus-per-task=(\\d+)$', text, re.M).group(1)
for task in range(first, last + 1):
    task = {'SLURM_JOB_ID': '77', 'SLURM_ARRAY_TASK_ID': str(task), 'SLURM_ARRAY_TASK_COUNT': str(last + 1 - first), 'SLURM_CPUS_PER_TASK': cpus, 'SLURM_PROCID': '0', 'SLURM_NTASKS': '1'}
    print(task['SLURM_ARRAY_TASK_ID'], subprocess.run(['sh', path], env=dict(os.environ, **task), stdout=log, stderr=log).returncode, file=log, flush=True)
if '--parsable' in options:
    print('77;cluster')
''' % sys.executable

PARALLEL = '''#!%s
"""As much of GNU parallel as the batch file uses."""
import os, subprocess, sys
open(os.environ['SBATCH_LOG'], 'a').write(repr(sys.argv[1:]) + '\\n')
sys.exit(sum(subprocess.run(['sh', '-c', sys.argv[-1].replace('{}', line.strip())]).returncode != 0 for line in sys.stdin))
''' % sys.executable


def shell(folder, name, stand_ins, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('SLURM')}
    env.update(EXPERTSIM=TOOL, SBATCH_LOG=folder.at('log'))
    if stand_ins:
        env['PATH'] = folder.at('bin') + os.pathsep + env['PATH']
    return subprocess.run(['sh', name], cwd=folder.path, env=env, capture_output=True, text=True, **more)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def scripts(check, folder):
    folder.write('my sweep.json', {'base': BASE, 'name': 'my sweep', 'axes': {'policy': ['lru', 'lfu', 'fifo'], CAPACITY: ['8slots', '25%', '50%']}})
    fine('run', folder.at('my sweep.json'), '-o', folder.at('alone'))
    fine('collect', folder.at('alone'))
    kinds = [('slurm', ['--slurm', '--shards', '4', '--throttle', '2', '-j', '2'], True), ('parallel', ['--parallel', '--shards', '3'], True)]
    if shutil.which('parallel'):
        kinds.append(('gnu', ['--parallel', '--shards', '3'], False))
    for name, flags, stand_ins in kinds:
        script = fine('script', 'my sweep.json', '-o', 'out of ' + name, *flags, cwd=folder.path)
        folder.write(name + '.sh', script)
        check.equal(name + ': the shell takes it', subprocess.run(['sh', '-n', folder.at(name + '.sh')]).returncode, 0)
        check.equal(name + ': it is short', script.count('\n') < 25, True)
        done = shell(folder, name + '.sh', stand_ins)
        check.equal(name + ' ran', (done.returncode, done.stderr), (0, ''))
        for end in ('h5', 'csv'):
            check.equal('%s: table.%s is that of a single run' % (name, end), read(folder.at('out of ' + name, 'table.' + end)) == read(folder.at('alone', 'table.' + end)), True)
    log = open(folder.at('log')).read()
    check.equal('the job that collects waits for the array', '--dependency=afterany:77\'' in log, True)
    check.equal('all tasks went well', [line for line in log.split('\n') if line[:1].isdigit()], ['%d 0' % i for i in range(4)])
    check.equal('throttled', '#SBATCH --array=0-3%2\n' in open(folder.at('slurm.sh')).read(), True)
    hosts = fine('script', 'my sweep.json', '-o', 'out', '--parallel', '--hosts', '4/alpha,beta', cwd=folder.path)
    check.equal('hosts', ' --sshlogin 4/alpha,beta ' in hosts and ' --workdir "$PWD"' in hosts, True)
    limits = fine('script', 'my sweep.json', '-o', 'out', '--slurm', '--time', '90s', '--memory', '4GiB', cwd=folder.path)
    check.equal('limits are passed on', limits.strip().endswith(' --time 90s --memory 4GiB'), True)
    check.equal('no more parts than points', '#SBATCH --array=0-8%8\n' in limits, True)


def failing(check, folder):
    """Points that fail are told by the job that collects, and by the exit code."""
    folder.write('bad.json', {'base': BASE, 'axes': {'contract.skip_tokens': [0, 100000]}})
    for kind in ('--slurm', '--parallel'):
        folder.write('bad.sh', fine('script', 'bad.json', '-o', 'bad' + kind, kind, cwd=folder.path))
        done = shell(folder, 'bad.sh', True)
        check.equal(kind + ' fails', (done.returncode != 0, '1 of 2 points done, 1 failed, 0 left' in done.stdout, os.path.exists(folder.at('bad' + kind, 'table.h5'))), (True, True, False))


WRONG = [
    (['-o', 'out'], 'a script for --slurm or for --parallel?'), (['-o', 'out', '--slurm', '--parallel'], 'a script for --slurm or for --parallel?'),
    (['--slurm'], '-o DIR says where the results go'), (['-o', 'out', '--slurm', '--hosts', 'a'], '--hosts: Slurm chooses the machines itself'),
    (['-o', 'out', '--slurm', '--shards', '0'], '--shards: "0" is not a number from 1 to 1000000'), (['-o', 'out', '--slurm', '--throttle', 'x'], '--throttle: "x" is not a number'),
    (['-o', "it's", '--slurm'], "it's: a script can name no file with a quote (') in its name"),
]


def wrong(check, folder):
    for args, said in WRONG:
        done = call('script', folder.at('my sweep.json'), *args)
        check.equal(' '.join(args), (done.returncode, done.stdout, said in done.stderr or done.stderr), (2, '', True))
    done = call('script', folder.at('none.json'), '-o', 'out', '--slurm')
    check.equal('no sweep, no script', (done.returncode, done.stdout), (2, ''))


def main():
    check = tool.Check('sweep_script')
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        for name, text in (('sbatch', SBATCH), ('parallel', PARALLEL)):
            os.chmod(folder.write('bin/' + name, text), 0o755)
        scripts(check, folder)
        failing(check, folder)
        wrong(check, folder)
    check.close()


if __name__ == '__main__':
    main()
