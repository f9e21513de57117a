"""A sweep on a real Slurm of one node, and by the real GNU parallel: the tables are those of a serial run, to the byte.

Opt-in, for it starts daemons as root: EXPERTSIM_CLUSTER=1 and Debian's slurm-wlm, munge and parallel. Everything (keys, sockets, state, logs) lies in
a temporary folder; slurmd sees a tmpfs of its own at /sys/fs/cgroup, in a mount namespace of its own.

    EXPERTSIM_CLUSTER=1 EXPERTSIM=build/expertsim python3 tests/cluster/slurm.py
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool

CONF = '''ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdLogFile={at}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=10 State=UP
'''
CGROUP = 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n'


def need():
    missing = [name for name in ('slurmctld', 'slurmd', 'munged', 'sbatch', 'squeue', 'parallel', 'unshare') if not shutil.which(name)]
    why = 'EXPERTSIM_CLUSTER is not 1' if os.environ.get('EXPERTSIM_CLUSTER') != '1' else 'this is not root' if os.getuid() != 0 else 'there is no ' + ', '.join(missing) if missing else None
    if why:
        print('SKIP: ' + why)
        sys.exit(77)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def until(what, done, seconds=60):
    """Waits; a daemon that does not come up is an error with its name."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise RuntimeError('%s: not within %d s' % (what, seconds))
        time.sleep(0.2)


class Cluster:
    """munged, slurmctld and slurmd on 127.0.0.1."""

    def __init__(self, at):
        self.at, self.daemons = at, []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('SLURM')}
        self.env.update(SLURM_CONF=os.path.join(at, 'slurm.conf'), EXPERTSIM=sweeps.TOOL)
        os.chmod(at, 0o755)
        for name in ('state', 'spool'):
            os.mkdir(os.path.join(at, name))
        with open(os.path.join(at, 'munge.key'), 'wb') as file:
            file.write(os.urandom(1024))
        os.chmod(os.path.join(at, 'munge.key'), 0o400)
        host = socket.gethostname().split('.')[0]
        for name, text in (('slurm.conf', CONF.format(host=host, at=at, ports=free_ports(2), cpus=os.cpu_count())), ('cgroup.conf', CGROUP)):
            with open(os.path.join(at, name), 'w') as file:
                file.write(text)

    def start(self, *command):
        log = open(os.path.join(self.at, command[0].split('/')[-1] + '.out'), 'w')
        self.daemons.append(subprocess.Popen(command, env=self.env, stdout=log, stderr=log, cwd=self.at))

    def __enter__(self):
        munge = {'socket': 'munge.socket', 'key-file': 'munge.key', 'pid-file': 'munge.pid', 'log-file': 'munge.log', 'seed-file': 'munge.seed'}
        self.start('munged', '--foreground', '--force', *['--%s=%s' % (k, os.path.join(self.at, v)) for k, v in munge.items()])
        until('munged', lambda: os.path.exists(os.path.join(self.at, 'munge.socket')))
        self.start('slurmctld', '-D')
        until('slurmctld', lambda: self.call('sinfo').returncode == 0)
        self.start('unshare', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /sys/fs/cgroup; exec slurmd -D')
        until('slurmd', lambda: ' idle ' in self.call('sinfo', '-h', '-o', ' %t ').stdout)
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def call(self, *command, **more):
        return subprocess.run(command, env=self.env, capture_output=True, text=True, **more)


def table(folder):
    return [open(os.path.join(folder, 'table' + end), 'rb').read() for end in ('.h5', '.csv')]


def check_slurm(check, here, cluster, want):
    script = sweeps.fine('script', 'sweep.json', '-o', 'slurm', '--slurm', '--shards', '5', '--throttle', '3', '-j', '1', cwd=here.path)
    here.write('slurm.sh', script)
    done = cluster.call('sh', 'slurm.sh', cwd=here.path)
    check.equal('sbatch takes it', (done.returncode, done.stderr), (0, ''))
    until('the jobs', lambda: cluster.call('squeue', '-h').stdout.strip() == '', 240)
    logs = sorted(name for name in os.listdir(here.at('slurm')) if name.endswith('.log'))
    check.equal('a log of each part, and of the collecting job', logs, ['collect.log'] + ['part-%d.log' % i for i in range(5)])
    check.equal('nobody complains', ''.join(open(here.at('slurm', name)).read() for name in logs if name != 'collect.log'), '')
    check.equal('Slurm: the table of a serial run', table(here.at('slurm')) == want, True)
    steps = cluster.call('srun', '--ntasks=3', '--overcommit', sweeps.TOOL, 'sweep', 'run', 'sweep.json', '-o', 'steps', '-j', '1', '-q', cwd=here.path)
    check.equal('srun numbers the parts itself', (steps.returncode, steps.stderr), (0, ''))
    sweeps.fine('collect', here.at('steps'), '-q')
    check.equal('steps: the table of a serial run', table(here.at('steps')) == want, True)
    again = cluster.call('srun', sweeps.TOOL, 'sweep', 'run', 'sweep.json', '-o', 'steps', '-j', '1', cwd=here.path)
    check.equal('all are there', '12 were there' in again.stdout, True)


def check_parallel(check, here, cluster, want):
    for name, flags in (('parallel', []), ('hosts', ['--hosts', '2/:'])):
        here.write(name + '.sh', sweeps.fine('script', 'sweep.json', '-o', name, '--parallel', '--shards', '4', '-j', '1', *flags, cwd=here.path))
        done = cluster.call('sh', name + '.sh', cwd=here.path)
        check.equal(name + ' ran', done.returncode, 0)
        with open(here.at(name, 'parallel.log')) as file:
            rows = [line.split('\t') for line in file.read().split('\n')[1:] if line]
        check.equal(name + ': four parts, all well', sorted(row[6] for row in rows), ['0'] * 4)
        check.equal(name + ': the table of a serial run', table(here.at(name)) == want, True)


def main():
    need()
    check = tool.Check('cluster')
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        here = sweeps.Folder(folder)
        os.chmod(folder, 0o755)
        here.sweep({'policy': ['lru', 'lfu', 'random'], sweeps.CAPACITY: ['8slots', '16slots', '25%', '50%']})
        sweeps.fine('run', here.at('sweep.json'), '-o', here.at('serial'), '-j', '1', '-q')
        sweeps.fine('collect', here.at('serial'), '-q')
        want = table(here.at('serial'))
        with Cluster(state) as cluster:
            check_slurm(check, here, cluster, want)
            check_parallel(check, here, cluster, want)
    check.close()


if __name__ == '__main__':
    main()
