"""How much a simulated access costs: the table of README.md, measured.

    bench.py                    all of it
    bench.py --instructions     what valgrind counts: the same on every run of one build
    bench.py --ratios           wall time beside a reference loop, memory, calendar, start-up
    bench.py --check            no measuring: the reference loop and the simulator must count the same hits
    bench.py --table            all of it, and the table goes into README.md

Instructions per access are a slope: the same run over a trace and over a longer one, the difference divided by the accesses between
them, so that start-up cancels. Wall times are medians of ratios, in turns with the reference loop (reference.c), for a machine does
other things too. No time ever fails this script; a hit too many or too few does.

Environment, beside that of tests/support/tool.py: BENCH_PROGRAMS is the folder of bench_reference, bench_curves, bench_measure and
bench_calendar,
BENCH_FOLDER where the traces it makes are kept (absent: nowhere), BENCH_COMPILER what built the tool.
"""
import collections
import csv
import gzip
import io
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

README = os.path.join(ROOT, 'README.md')
PROGRAMS = os.environ.get('BENCH_PROGRAMS', os.path.join(os.path.dirname(tool.TOOL), 'tests'))
MIB = 1024.0                            # in KiB, as the kernel counts peak memory

Row = collections.namedtuple('Row', 'bar what measured limit held')


class Absent(Exception):
    """Something that a measurement needs is not on this machine."""


def call(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError('%s: exit %d: %s' % (' '.join(command), done.returncode, done.stderr.strip()[-1000:]))
    return done


def program(name):
    return os.path.join(PROGRAMS, 'bench_' + name)


# --- traces: made once, named by what is in them ----------------------------------------------------------------------------------------

# DeepSeek-MoE-16B's shape. Without reuse half of the lookups miss at 25 %, as its recorded prompts do once the cache is full.
GENERATED = {'layers': 27, 'experts': 64, 'top_k': 6}
QUARTER = GENERATED['layers'] * GENERATED['experts'] // 4       # slots


def generate(path, tokens, **options):
    sets = ['--set=%s=%s' % item for item in dict(GENERATED, decode_tokens=tokens, **options).items()]
    call(tool.TOOL, 'trace', 'generate', '-o', path, *sets)


def decode_rows():
    path = tool.trace('gpt-oss-20b-decode')
    if not os.path.isfile(path):
        raise Absent('no real traces at ' + tool.TRACES)
    with gzip.open(path, 'rt', newline='') as file:
        return list(csv.reader(file))


def decode(path, times, tokens=None):
    """The recorded trace, `times` times in a row: the requests of each round have numbers of their own. Or its first tokens."""
    head, *rows = decode_rows()
    rows = rows if tokens is None else rows[:tokens * len({row[3] for row in rows})]
    requests = 1 + max(int(row[0]) for row in rows)
    text = io.StringIO()
    out = csv.writer(text, lineterminator='\n')
    out.writerow(head)
    for i in range(times):
        out.writerows([int(row[0]) + i * requests] + row[1:] for row in rows)
    with open(path + '.csv', 'w') as file:
        file.write(text.getvalue())
    call(tool.TOOL, 'trace', 'import', path + '.csv', '-o', path)
    os.remove(path + '.csv')


MAKE = {
    'decode': lambda path: decode(path, 1),
    'decode-twice': lambda path: decode(path, 2),
    'decode-500': lambda path: decode(path, 1, 500),
    'decode-1000': lambda path: decode(path, 1, 1000),
    'generated-2M': lambda path: generate(path, 12500),
    'generated-4M': lambda path: generate(path, 25000),
    'generated-3M': lambda path: generate(path, 20000),
    'generated-32M': lambda path: generate(path, 200000),
    'one-token': lambda path: generate(path, 1, layers=24, experts=32, top_k=4),
    'small': lambda path: generate(path, 400, layers=5, experts=16, top_k=3),
}


class Traces:
    """Paths of traces by name; each is made when it is first asked for, and anew when the tool has changed since. Two threads may ask
    for the same one; it has its name when it is complete, for another bench.py may read the same folder."""

    def __init__(self, folder):
        self.folder = folder
        self.making = threading.Lock()

    def path(self, name):
        path = os.path.join(self.folder, name + '.h5')
        with self.making:
            if not os.path.isfile(path) or os.path.getmtime(path) < os.path.getmtime(tool.TOOL):
                unnamed = os.path.join(os.path.dirname(path), '%d-%s' % (os.getpid(), os.path.basename(path)))
                MAKE[name](unnamed)
                os.replace(unnamed, path)
        return path

    def accesses(self, name):
        return json.loads(call(tool.TOOL, 'trace', 'info', self.path(name), '--json').stdout)['accesses']

    def write_config(self, name, config):
        path = os.path.join(self.folder, name + '.json')
        with open(path, 'w') as file:
            json.dump(config, file)
        return path


# --- what is simulated ------------------------------------------------------------------------------------------------------------------

def untimed(trace, capacity, policy='lru'):
    return tool.untimed(trace, capacity, policy, observers=['summary'])


def timed(trace, capacity, **more):
    """Experts of gpt-oss-20b behind a link of PCIe 4.0's kind; where each token's time went is counted."""
    config = dict(tool.untimed(trace, capacity), clock='simulated', observers=['summary', 'coverage', {'name': 'latency', 'samples': 100000}, 'traffic'])
    config['model'] = {'expert_bytes': 13219200}
    config['channels'] = {
        'link': {'timing': {'name': 'affine', 'latency': '10us', 'rate': '25GB/s'}, 'scheduler': 'demand_first'},
        'gpu': {'timing': {'name': 'compute', 'dense': '200us', 'expert': '20us'}},
    }
    config['links'] = [{'from': 'host', 'to': 'cache', 'channels': ['link']}]
    config['compute'] = {'overlap': 'resident_first'}
    return dict(config, **more)


def other_policies():
    """All but the two that have bars of their own."""
    lines = call(tool.TOOL, 'list', 'policy').stdout.splitlines()
    return [line.split()[0] for line in lines if line.split()[0] not in ('lru', 'belady')]


# --- instructions -----------------------------------------------------------------------------------------------------------------------

def counted(*command):
    """Instructions of a command, and what it printed."""
    done = call('valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', *command)
    return int(re.search(r'Collected : (\d+)', done.stderr).group(1)), done.stdout


# config: of a trace's path; a text: slots of the reference loop; a list: what bench_curves shall do with it
Slope = collections.namedtuple('Slope', 'bar what short long limit config')


def curves():
    """Reading the trace is in all of them."""
    decode, few = ('decode', 'decode-twice'), ('decode-500', 'decode-1000')
    lru = 'lru curves, hits and bytes at every size, gpt-oss-20b-decode, '
    return [
        Slope('', 'gpt-oss-20b-decode as events, for curves', *decode, None, ['read']),
        Slope('2', lru + 'per layer', *decode, 60, ['lru_layer']),
        Slope('2', lru + 'global', *decode, 200, ['lru']),
        Slope('2', lru + 'per layer, compiled without AVX2', *decode, None, ['lru_layer', 'compiled']),
        Slope('2', lru + 'global, compiled without AVX2', *decode, None, ['lru', 'compiled']),
        Slope('', 'belady curve, all 768 sizes, first 1000 tokens, global', *few, None, ['belady']),
        Slope('', 'belady curve with bypass, all 768 sizes, first 1000 tokens, global', *few, None, ['bypass']),
    ]


def slopes(policies):
    decode, generated = ('decode', 'decode-twice'), ('generated-2M', 'generated-4M')
    rows = [
        Slope('1', 'lru, gpt-oss-20b-decode, 192 slots', *decode, 80, lambda t: untimed(t, '192slots')),
        Slope('1', 'lru, gpt-oss-20b-decode, 384 slots', *decode, 60, lambda t: untimed(t, '384slots')),
        Slope('1', 'lru, generated 27 x 64 top-6, 25 %', *generated, 70, lambda t: untimed(t, '%dslots' % QUARTER)),
        Slope('', 'reference loop, gpt-oss-20b-decode, 192 slots', *decode, None, '192'),
        Slope('', 'reference loop, generated, 25 %', *generated, None, str(QUARTER)),
    ]
    rows += [Slope('1', '%s, gpt-oss-20b-decode, 192 slots' % p, *decode, 140, lambda t, p=p: untimed(t, '192slots', p)) for p in policies]
    return rows + [
        Slope('1', 'belady, gpt-oss-20b-decode, 192 slots', *decode, 160, lambda t: untimed(t, '192slots', 'belady')),
        Slope('3', 'timed, lru, gpt-oss-20b-decode, 192 slots', *decode, 360, lambda t: timed(t, '192slots')),
        # what the last token used is still there at 192 slots, so the first asks and copies nothing; the second copies one in four
        Slope('3', 'timed, lru, guesses of previous_token', *decode, 450, lambda t: timed(t, '192slots', predictor='previous_token')),
        Slope('3', 'timed, lru, guesses of noisy_oracle, 80 % right', *decode, None, lambda t: timed(t, '192slots', predictor={'name': 'noisy_oracle', 'accuracy': 0.8})),
    ] + curves()


def slope_side(traces, slope, name, tag):
    path = traces.path(name)
    if isinstance(slope.config, list):
        count, said = counted(program('curves'), path, *slope.config)
        return count, json.loads(said)
    if isinstance(slope.config, str):
        count, said = counted(program('reference'), path, slope.config)
        return count, json.loads(said)
    count, said = counted(tool.TOOL, 'run', traces.write_config(tag, slope.config(path)), '--json')
    return count, json.loads(said)['cache']


def slope_row(traces, slope, tag):
    try:
        short, few = slope_side(traces, slope, slope.short, tag + '-short')
        long, many = slope_side(traces, slope, slope.long, tag + '-long')
    except Absent as why:
        return Row(slope.bar, slope.what, 'not measured: %s' % why, limit_text(slope.limit), None)
    lookups, hits = many['lookups'] - few['lookups'], many['hits'] - few['hits']
    each = (long - short) / lookups
    text = '%.1f instructions per access' % each
    if not isinstance(slope.config, list):
        text += ' at %.1f %% misses' % (100.0 * (lookups - hits) / lookups)
    return Row(slope.bar, slope.what, text, limit_text(slope.limit), None if slope.limit is None else each <= slope.limit)


def limit_text(limit):
    return '<= %d' % limit if limit else ''


def start_config(traces):
    """The quickstart with everything it includes, over a trace of one token."""
    return ['run', os.path.join(ROOT, 'configs', 'quickstart.json'), '--set', 'trace.path=' + traces.path('one-token'), '--json']


def start_instructions(traces):
    whole, loading = counted(tool.TOOL, *start_config(traces))[0], counted(tool.TOOL, '--version')[0]
    return Row('6', START, '%.1f M instructions, %.1f M of them to load the program' % (whole / 1e6, loading / 1e6), '', None)


def instruction_rows(traces):
    jobs = slopes(other_policies())
    if not shutil.which('valgrind'):
        return [Row(s.bar, s.what, 'not measured: no valgrind', limit_text(s.limit), None) for s in jobs]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda job: slope_row(traces, job[1], 'slope-%d' % job[0]), enumerate(jobs)))
    return rows + [start_instructions(traces)]


# --- wall time and memory ---------------------------------------------------------------------------------------------------------------

Ratio = collections.namedtuple('Ratio', 'what trace slots times')

RATIOS = [
    Ratio('lru, generated 32 M accesses, 25 %', 'generated-32M', QUARTER, 5),
    Ratio('lru, gpt-oss-20b-decode, 192 slots', 'decode', 192, 9),
]
CALENDAR = 'calendar, hold model'
STREAM = 'timed, lru, generated 3.2 M and 32 M accesses, peak memory'
START = 'start-up: quickstart over one token'


def taken(*command):
    """Seconds, peak KiB, and what a command printed."""
    done = call(program('measure'), *command)
    seconds, peak = done.stderr.strip().split('\n')[-1].split()
    return float(seconds), int(peak), json.loads(done.stdout)


def same_hits(traces, name, slots):
    """Both count; raises when they differ. Returns the config and the reference's command."""
    config = traces.write_config('same-%s-%d' % (name, slots), untimed(traces.path(name), '%dslots' % slots))
    ours = [tool.TOOL, 'run', config, '--json']
    reference = [program('reference'), traces.path(name), str(slots)]
    got, want = json.loads(call(*ours).stdout)['cache'], json.loads(call(*reference).stdout)
    if (got['lookups'], got['hits']) != (want['lookups'], want['hits']):
        raise RuntimeError('%s, %d slots: expertsim has %d hits of %d, the reference loop %d of %d' % (name, slots, got['hits'], got['lookups'],
            want['hits'], want['lookups']))
    return ours, reference


def ratio_rows(traces, job):
    """In turns, so that whatever else the machine does slows both."""
    wall, memory = job.what + ', wall time', job.what + ', peak memory'
    try:
        ours, reference = same_hits(traces, job.trace, job.slots)
    except Absent as why:
        return [Row('1', what, 'not measured: %s' % why, '', None) for what in (wall, memory)]
    pairs = [(taken(*ours), taken(*reference)) for _ in range(job.times)]
    took, wanted = statistics.median(a[0] for a, _ in pairs), statistics.median(b[0] for _, b in pairs)
    ratio = statistics.median(a[0] / b[0] for a, b in pairs)
    peak, room = max(a[1] for a, _ in pairs), traces.accesses(job.trace) * 2 / 1024.0 + 16 * MIB
    return [
        Row('1', wall, '%.2f x the reference loop (%.3f s, %.3f s)' % (ratio, took, wanted), '<= 2.5 x', ratio <= 2.5),
        Row('1', memory, '%.1f MiB' % (peak / MIB), '<= %.1f MiB' % (room / MIB), peak <= room),
    ]


def calendar_row():
    rates = [line.split() for line in call(program('calendar')).stdout.splitlines()[1:]]
    least, most = min(float(r[1]) for r in rates), max(float(r[1]) for r in rates)
    text = '%.0f to %.0f M events/s with %s to %s pending' % (least, most, rates[0][0], rates[-1][0])
    return Row('3', CALENDAR, text, '>= 20 M events/s', least >= 20)


def stream_row(traces):
    """Ten times the tokens; the latencies of the longer one do not fit the samples and go into a histogram."""
    peaks = []
    for name in ('generated-3M', 'generated-32M'):
        config = traces.write_config('stream-' + name, timed(traces.path(name), '%dslots' % QUARTER))
        peaks.append(taken(tool.TOOL, 'run', config, '--json')[1])
    grown = peaks[1] / peaks[0] - 1
    return Row('5', STREAM, '%.1f and %.1f MiB: %+.1f %%' % (peaks[0] / MIB, peaks[1] / MIB, 100 * grown), '< +10 %', grown < 0.1)


def start_row(traces):
    """The quickest of many: what is not the tool's own only adds."""
    least = min(taken(tool.TOOL, *start_config(traces))[0] for _ in range(41)) * 1e3
    return Row('6', START + ', wall time', '%.1f ms, process start and end included' % least, '< 30 ms', least < 30)


def wall_rows(traces):
    rows = [row for job in RATIOS for row in ratio_rows(traces, job)]
    return rows + [calendar_row(), stream_row(traces), start_row(traces)]


# --- the table --------------------------------------------------------------------------------------------------------------------------

HEAD = ('Bar', 'What', 'Measured', 'Limit', 'Held')
HELD = {None: '', True: 'yes', False: '**no**'}


def table(rows):
    cells = [HEAD] + [(r.bar, r.what, r.measured, r.limit, HELD[r.held]) for r in rows]
    width = [max(len(row[i]) for row in cells) for i in range(len(HEAD))]
    lines = ['| ' + ' | '.join(cell.ljust(w) for cell, w in zip(row, width)) + ' |' for row in cells]
    return '\n'.join([lines[0], '|' + '|'.join('-' * (w + 2) for w in width) + '|'] + lines[1:])


def processor():
    try:
        with open('/proc/cpuinfo') as file:
            return re.search(r'model name\s*: (.*)', file.read()).group(1)
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def commit():
    try:
        return call('git', '-C', ROOT, 'describe', '--always', '--dirty').stdout.strip()
    except (OSError, RuntimeError):     # no git, or no clone
        return 'unknown'


def where():
    return 'Measured at commit %s on %s %s, %d cores of %s%s.' % (commit(), platform.system(), platform.machine(), os.cpu_count(), processor(),
        ', built with ' + os.environ['BENCH_COMPILER'] if 'BENCH_COMPILER' in os.environ else '')


SECTION = re.compile(r'(<!-- bench:[^>]*-->)\n(.*?)(<!-- /bench -->)', re.S)


def write_readme(text):
    with open(README) as file:
        old = file.read()
    with open(README, 'w') as file:
        file.write(SECTION.sub(lambda m: '%s\n%s\n%s' % (m.group(1), text, m.group(3)), old))


def names(policies):
    """What the rows measure, in their order."""
    return [s.what for s in slopes(policies)] + [START] + [job.what + kind for job in RATIOS for kind in (', wall time', ', peak memory')] + \
        [CALENDAR, STREAM, START + ', wall time']


def readme_faults(text):
    """What is wrong with the form of the table in a README; the numbers are not measured again. A policy that is newer than the table
    may be missing in it."""
    section = SECTION.search(text)
    lines = section.group(2).strip().split('\n') if section else []
    if len(lines) < 4 or not re.fullmatch(r'Measured at commit [0-9a-f]{7,}(-dirty)? on .+\.', lines[0]):
        return ['there is no table, or not the commit and the machine above it']
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]
    found = [row[1] for row in cells[2:] if len(row) == len(HEAD)]
    faults = ['the head is not %r' % (HEAD,)] if tuple(cells[0]) != HEAD else []
    faults += ['"%s": is missing' % what for what in names([]) if what not in found]
    faults += ['"%s": is not measured by bench.py' % what for what in found if what not in names(other_policies())]
    return faults + ['%r: is no measurement' % (row,) for row in cells[2:] if len(row) != len(HEAD) or not re.match(r'\d', row[2]) or row[4] not in HELD.values()]


def check(traces):
    check = tool.Check('bench')
    for slots in (3, 4, 11, 15, 40, 79, 80):
        try:
            same_hits(traces, 'small', slots)
            check.equal('%d slots' % slots, True, True)
        except RuntimeError as why:
            check.equal('%d slots' % slots, str(why), True)
    check.close()


def measure(argument, traces):
    rows = []
    if argument != '--ratios':
        rows += instruction_rows(traces)
    if argument != '--instructions':
        rows += wall_rows(traces)
    text = table(rows)
    print(where(), text, sep='\n\n')
    if argument == '--table':
        if any(row.measured.startswith('not measured') for row in rows):
            sys.exit('bench: README.md stays as it is, for it shall have all rows')
        write_readme(where() + '\n\n' + text)


def main():
    argument = sys.argv[1] if len(sys.argv) == 2 else ''
    if len(sys.argv) > 2 or argument not in ('', '--instructions', '--ratios', '--check', '--table'):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = os.environ.get('BENCH_FOLDER', temporary)
        os.makedirs(folder, exist_ok=True)
        traces = Traces(folder)
        if argument == '--check':
            check(traces)
        else:
            measure(argument, traces)


if __name__ == '__main__':
    main()
