"""The summary that a newcomer reads, help, and exit codes of what goes well."""
import json
import os
import pty
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
LINES, WIDTH = 24, 140
FACTS = {
    'speed': r'[\d.]+ tokens/s; all of it took ', 'per token': r'mean .*, p50 .*, p95 .*, p99 .*; first token after ',
    'hit rate': r'[\d.]+ % of decode lookups \([\d,]+ of [\d,]+\); with prefill [\d.]+ %', 'time went to': r'waiting for pcie [\d.]+ %',
    'misses': r'[\d,]+, [\d,]+ of them the first use of an expert; [\d,]+ evictions', 'layers': r'all experts there in [\d.]+ %, some in [\d.]+ %, none in ',
    'pcie': r'[\d.]+ % busy, ', 'capacity': r'4 GiB, [\d.]+ % of all experts; .*; one token uses ',
    'at best': r'[\d.]+ % hits if the future were known; .* with everything resident; without a cache ',
    'to be won': r'[\d.]+ % of the time by a better policy or predictor: who knows the future takes [\d.]+ s, nobody less than [\d.]+ s',
    'policy': r'lru; contract event_atomic; clock simulated', 'machine': r'.+; .+', 'trace': r'.+: \d+ layers x \d+ experts, top-\d+, ', 'results': r'not kept; --out DIR keeps them',
}


def call(*args):
    return subprocess.run([TOOL] + list(args), capture_output=True, text=True, cwd=ROOT)


def lines_of(text):
    """label -> what is said there."""
    return {line[2:14].strip() or '': line[16:] for line in text.split('\n')[1:] if line}


def quickstart(check):
    done = call('run', 'configs/quickstart.json')
    lines = done.stdout.strip().split('\n')
    check.equal('exit', done.returncode, 0)
    check.equal('nothing on stderr that is no terminal', done.stderr, '')
    check.equal('at most %d lines' % LINES, len(lines) <= LINES, True)
    check.equal('no line is wider than %d' % WIDTH, max(map(len, lines)) <= WIDTH, True)
    check.equal('the first line is the config', lines[0].startswith('quickstart: '), True)
    check.equal('its trace is small', os.path.getsize(os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')) <= 1 << 20, True)
    found = lines_of(done.stdout)
    for label, pattern in FACTS.items():
        check.equal(label, bool(re.search(pattern, found.get(label, ''))), True)


def progress(check):
    """A line on a terminal that is gone when the run is over."""
    try:
        master, slave = pty.openpty()
    except OSError as error:    # a container without /dev/pts
        print('summary: no terminal to be had (%s); the progress line is not looked at' % error)
        return
    done = subprocess.Popen([TOOL, 'run', 'configs/quickstart.json', '--json', '--set', 'bounds=false'], stdout=subprocess.DEVNULL, stderr=slave, cwd=ROOT)
    os.close(slave)
    said = b''
    try:
        while more := os.read(master, 4096):
            said += more
    except OSError:             # Linux says so when nobody holds the other end any more
        pass
    os.close(master)
    check.equal('exit on a terminal', done.wait(), 0)
    check.equal('progress', bool(re.search(rb'\r\x1b\[Kquickstart: step [\d,]+ of 1,028 \(\d+ %\), simulated ', said)), True)
    check.equal('is gone at the end', said.endswith(b'\r\x1b[K'), True)


def others(check):
    most = call('run', 'configs/quickstart.json', '--set', 'predictor=noisy_oracle', '--set', 'policy=belady', '--set', 'observers=["summary","coverage","latency","traffic","audit"]')
    check.equal('at most %d lines with all there is' % LINES, len(most.stdout.strip().split('\n')) <= LINES, True)
    check.equal('what became of guesses', bool(re.search(r'prefetched +[\d,]+ copies: [\d,]+ there in time, [\d,]+ late, [\d,]+ left unused; [\d,]+ guesses cancelled', most.stdout)), True)
    check.equal('non-causal', 'note          non-causal: some part reads the future; no engine can do this' in most.stdout, True)
    closed = call('run', 'configs/quickstart.json', '--set', 'router={"name":"max_rank","experts":2}')
    check.equal('closed-loop', bool(re.search(r'note +closed-loop: router max_rank replaced \d[\d.]* % of the experts; gate mass lost (unknown|\d)', closed.stdout)), True)
    untimed = lines_of(call('run', 'configs/quickstart.json', '--set', 'clock=none').stdout)
    check.equal('no clock, no speed', 'speed' in untimed, False)
    check.equal('but hits', 'hit rate' in untimed, True)
    check.equal('quiet', call('run', 'configs/quickstart.json', '--quiet').stdout, '')
    uniform = call('run', 'configs/quickstart.json', '--set', 'trace={"source":{"name":"synthetic","sampler":"uniform","layers":24,"experts":32,"top_k":4}}')
    check.equal('uniform traffic is labelled', 'synthetic, uniform: every expert is equally likely, so the hit rate is only capacity / population' in uniform.stdout, True)
    small = call('run', 'configs/quickstart.json', '--set', 'tiers.cache.capacity=3slots', '--set', 'bounds=false', '--set', 'clock=none')
    check.equal('events that do not fit are said', 'note          24,672 events needed more experts than fit; contract.overflow waves says what happens then' in small.stdout, True)
    with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
        json.dump({'trace': {'path': os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')}, 'tiers': {'host': {'home': True, 'compute': 'gpu'}}}, f)
        f.flush()
        home = lines_of(call('run', f.name).stdout)
    check.equal('a home tier has no limit', (home['capacity'].split(';')[0], home['hit rate'][:5]), ('no limit', '100 %'))
    named = call('run', 'configs/quickstart.json', '--set', 'tiers.cache.compute=graphics_processor', '--set', 'bounds=false',
                 '--set', 'channels.graphics_processor={"timing":{"name":"compute","expert":"10us"}}', '--set', 'channels.a_rather_long_name_for_a_link={"profile":"pcie.h2d"}',
                 '--set', 'links=[{"from":"host","to":"cache","channels":["a_rather_long_name_for_a_link"]}]')
    check.equal('a wide label', bool(re.search(r'^  a_rather_long_name_for_a_link [\d.]+ % busy', named.stdout, re.M)), True)
    auto = call('run', 'configs/quickstart.json', '--set', 'clock=auto', '--set', 'bounds=false')
    check.equal('clock auto', 'clock simulated' in auto.stdout, True)
    several = call('run', 'configs/quickstart.json', 'configs/quickstart.json', '--set', 'bounds=false')
    check.equal('several configs, one summary each', several.stdout.count('quickstart: '), 2)


def helps(check):
    front = call('help')
    check.equal('help', (front.returncode, 'expertsim run configs/quickstart.json' in front.stdout, 'Exit codes: 0 fine' in front.stdout), (0, True, True))
    check.equal('nothing is help too', call().stdout, front.stdout)
    check.equal('--help is help', call('--help').stdout, front.stdout)
    verbs = re.findall(r'^  (\w+) +[A-Z]', front.stdout, re.M)
    check.equal('commands', verbs, ['run', 'rerun', 'list', 'describe', 'trace', 'mrc', 'verdict', 'sweep', 'compare', 'search', 'reproduce', 'selftest', 'calibrate', 'validate', 'plot', 'schema', 'help'])
    for verb in verbs[:-1]:
        said = call('help', verb)
        check.equal('help ' + verb, (said.returncode, said.stdout.startswith('expertsim %s ' % verb)), (0, True))
        check.equal(verb + ' --help', call(verb, '--help').stdout, said.stdout)
    check.equal('version', bool(re.fullmatch(r'expertsim \d+\.\d+\.\d+\n', call('--version').stdout)), True)


def main():
    check = tool.Check('summary')
    quickstart(check)
    progress(check)
    others(check)
    helps(check)
    check.close()


if __name__ == '__main__':
    main()
