"""What the tool says of itself: list, describe, schema, man page, completion; trace info and the other verbs of trace."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
SAMPLE = os.path.join('traces', 'samples', 'quickstart.h5')
INFO = ['layers', 'experts', 'top_k', 'requests', 'prompt_tokens', 'decode_tokens', 'accesses', 'decode_union_accesses']


def call(*args, **more):
    done = subprocess.run([TOOL] + list(args), capture_output=True, text=True, cwd=more.get('cwd', ROOT))
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (' '.join(args), done.stderr))
    return done.stdout


# ---- a small checker of JSON Schema: the words that the schema uses, and no others ----

TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'null': type(None)}
WORDS = {'$schema', 'title', 'description', 'default', '$defs', '$ref', 'type', 'properties', 'additionalProperties', 'required', 'items', 'anyOf', 'enum',
         'const', 'not', 'minimum', 'maximum', 'pattern'}


def is_type(value, name):
    if name in ('number', 'integer'):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and (name == 'number' or value == int(value))
    return isinstance(value, TYPES[name])


def faults(schema, value, root, where=''):
    """What is wrong with a value, as a list of texts."""
    if schema is True or schema is False:
        return [] if schema else [where + ' may not be']
    unknown = set(schema) - WORDS
    assert not unknown, unknown
    found = []
    if '$ref' in schema:
        target = root
        for name in schema['$ref'].split('/')[1:]:
            target = target[name]
        found += faults(target, value, root, where)
    types = schema.get('type', [])
    if types and not any(is_type(value, t) for t in ([types] if isinstance(types, str) else types)):
        return found + ['%s is no %s' % (where, types)]
    if 'enum' in schema and value not in schema['enum']:
        found.append('%s is none of %s' % (where, schema['enum']))
    if 'const' in schema and value != schema['const']:
        found.append('%s is not %s' % (where, schema['const']))
    if 'anyOf' in schema and all(faults(s, value, root, where) for s in schema['anyOf']):
        found.append('%s fits nothing' % where)
    if 'not' in schema and not faults(schema['not'], value, root, where):
        found.append('%s fits what it must not' % where)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get('minimum', value) or value > schema.get('maximum', value):
            found.append('%s is out of bounds' % where)
    if isinstance(value, str) and 'pattern' in schema and not re.search(schema['pattern'], value):
        found.append('%s does not match %s' % (where, schema['pattern']))
    if isinstance(value, list) and 'items' in schema:
        for i, item in enumerate(value):
            found += faults(schema['items'], item, root, '%s[%d]' % (where, i))
    if isinstance(value, dict):
        found += ['%s.%s is missing' % (where, name) for name in schema.get('required', []) if name not in value]
        for name, item in value.items():
            inner = schema.get('properties', {}).get(name, schema.get('additionalProperties', True))
            found += faults(inner, item, root, where + '.' + name)
    return found


RIGHT = [{'policy': 'lfu'}, {'policy': {'name': 'of_a_plugin', 'strength': 7}}, {'predictor': None}, {'tuner': 'of_a_plugin'}, {'tuner': ['pressure', {'name': 'schedule', 'knob': 'tiers.cache.share', 'points': []}]}, {'policy': {'include': 'mine.json'}}, {'contract': 'keep_best'}]
WRONG = [
    {'trase': {}}, {'policy': {'name': 'lru', 'counts': 'resident'}}, {'predictor': {'name': 'noisy_oracle', 'accuracy': 2}}, {'compute': {'lookahead': 65}}, {'tuner': 7}, {'tuner': [7]}, {'seed': -1}, {'clock': 'both'},
    {'tiers': {'cache': {'capacty': '3slots'}}}, {'contract': {'scope': 'layers'}}, {'bounds': 'yes'},
]


AXES = {'policy': ['lru', {'name': 'lfu'}]}
SWEEPS_RIGHT = [
    {'base': 'base.json', 'axes': AXES}, {'base': {'policy': 'lru', 'seed': 3}, 'axes': {'size': {'path': 'tiers.cache.capacity', 'from': '1GiB', 'to': '2GiB', 'count': 3, 'scale': 'log'}}},
    {'base': 'a', 'axes': AXES, 'design': {'kind': 'random', 'points': 3}, 'constraints': ['seed < 3'], 'replications': {'count': 2, 'vary': ['seed']}, 'metrics': {'a': 'cache.hits'},
     'limits': {'time': '3s', 'memory': '1GiB'}},
]
SWEEPS_WRONG = [
    {'base': 'a'}, {'axes': AXES}, {'base': 3, 'axes': AXES}, {'base': {'polcy': 'lru'}, 'axes': AXES}, {'base': 'a', 'axes': ['policy']}, {'base': 'a', 'axes': {'policy': {'vals': []}}},
    {'base': 'a', 'axes': {'policy': 'lru'}}, {'base': 'a', 'axes': AXES, 'design': {'kind': 'halton', 'points': 3}}, {'base': 'a', 'axes': AXES, 'metrics': {'a': 3}},
    {'base': 'a', 'axes': AXES, 'constraints': 'seed < 3'}, {'base': 'a', 'axes': AXES, 'replications': {'count': 0}}, {'base': 'a', 'axes': AXES, 'limits': {'time': 3}},
    {'base': 'a', 'axes': AXES, 'more': 1},
]


def schema(check):
    root = json.loads(call('schema'))
    check.equal('schema', root['$schema'], 'https://json-schema.org/draft/2020-12/schema')
    for path in sorted(glob.glob(os.path.join(ROOT, 'configs', '**', '*.json'), recursive=True)):
        config = json.load(open(path))
        if 'axes' not in config and 'experiments' not in config:        # a sweep, claims
            check.equal('schema accepts ' + os.path.relpath(path, ROOT), faults(root, config, root), [])
    resolved = json.loads(call('run', 'configs/quickstart.json', '--json', '--set', 'bounds=false'))['provenance']['config']
    check.equal('schema accepts a resolved config', faults(root, resolved, root), [])
    for config in RIGHT:
        check.equal('schema accepts %s' % config, faults(root, config, root), [])
    for config in WRONG:
        check.equal('schema refuses %s' % config, bool(faults(root, config, root)), True)
    sweep = json.loads(call('schema', 'sweep'))
    for path in sorted(glob.glob(os.path.join(ROOT, 'configs', '**', '*.json'), recursive=True)):
        config = json.load(open(path))
        if 'axes' in config:
            check.equal('schema of sweeps accepts ' + os.path.relpath(path, ROOT), faults(sweep, config, sweep), [])
    for config in SWEEPS_RIGHT:
        check.equal('schema of sweeps accepts %s' % config, faults(sweep, config, sweep), [])
    for config in SWEEPS_WRONG:
        check.equal('schema of sweeps refuses %s' % config, bool(faults(sweep, config, sweep)), True)
    try:
        import jsonschema
    except ImportError:
        return
    jsonschema.Draft202012Validator.check_schema(root)
    jsonschema.Draft202012Validator(root).validate(json.load(open(os.path.join(ROOT, 'configs', 'quickstart.json'))))


# ---- list, describe ----

def registered():
    """kind -> names, of sim/parts.def."""
    parts = {}
    for kind, name in re.findall(r'^ES_PART\((\w+), (\w+)\)', open(os.path.join(ROOT, 'sim', 'parts.def')).read(), re.M):
        parts.setdefault(kind, []).append(name)
    return parts


def parts(check):
    everything, names = call('list'), call('describe', '--names').split()
    for kind, want in registered().items():
        check.equal('list ' + kind, call('list', kind, '--names').split(), want)
        for name in want:
            check.equal('describe %s %s' % (kind, name), ('%s %s: ' % (kind, name)) in call('describe', kind + '.' + name), True)
            check.equal('%s is in the list with its sentence' % name, bool(re.search(r'^  %s +\S.*[.)]$' % name, everything, re.M)), True)
    for command in (['trace', 'generate', '--help'], ['trace', '-h'], ['trace', '--as', 'csv', '--help']):
        check.equal('help is asked for anywhere: ' + ' '.join(command), call(*command) == call('help', 'trace'), True)
    found = subprocess.run([TOOL, 'trace', 'info', '--', '--help'], capture_output=True, text=True)
    check.equal('after -- it is a name', (found.returncode, '--help: cannot open' in found.stderr), (2, True))
    check.equal('help of list knows every kind', sorted(re.findall(r'\w+', call('help', 'list').split('only these:')[1].split('\n')[0])), sorted(registered()))
    for key in ('contract', 'tiers.cache.capacity', 'channels.pcie.timing', 'contract.overflow', 'seed', 'links', 'compute.overlap'):
        check.equal('describe ' + key, bool(call('describe', key).strip()), True)
    for name in names:
        check.equal('describe knows ' + name, bool(call('describe', name).strip()), True)


COMPLETIONS = [
    (['expertsim', 'self'], ['selftest']), (['expertsim', 'run', '--o'], ['--out']), (['expertsim', 'list', 'pol'], ['policy']), (['expertsim', 'trace', 'gen'], ['generate']),
    (['expertsim', 'describe', 'contract.over'], ['contract.overflow']), (['expertsim', 'run', 'x.json', '--set', 'contract.over'], ['contract.overflow=']),
    (['expertsim', 'trace', 'info', 'x', '--as', 'route_'], ['route_trace']), (['expertsim', 'help', 'sch'], ['schema']), (['expertsim', 'selftest', '--j'], ['--json']),
]


def completion(check):
    if not shutil.which('bash'):
        return
    script = os.path.join(ROOT, 'sim', 'cli', 'completion.bash')
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(TOOL, os.path.join(folder, 'expertsim'))
        env = dict(os.environ, PATH=folder + os.pathsep + os.environ['PATH'])
        for words, want in COMPLETIONS:
            line = 'source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _expertsim; echo "${COMPREPLY[@]}"' % (script, ' '.join(words), len(words) - 1)
            done = subprocess.run(['bash', '-c', line], capture_output=True, text=True, env=env)
            check.equal('completes ' + ' '.join(words), done.stdout.split(), want)
        for command in ('run', 'rerun', 'list', 'trace', 'sweep', 'selftest', 'reproduce'):
            words = re.search(r'^    [a-z|]*\b%s\b[a-z|]*\)\s+words="([^"]*)"' % command, open(script).read(), re.M).group(1).split()
            flags = set(re.findall(r'--[a-z]+(?:-[a-z]+)*', call('help', command)))
            check.equal('completion of %s knows its flags' % command, sorted(flags - set(words)), [])
        commands = re.findall(r'commands="([^"]*)"', open(script).read())[0].split()
        check.equal('completion knows every command', sorted(commands), sorted(re.findall(r'^  (\w+) +[A-Z]', call('help'), re.M)))


# ---- the man page ----

def man(check):
    page = call('man')
    check.equal('the man page is ASCII', page.isascii(), True)
    check.equal('twice the same', call('man') == page, True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'expertsim.1')
        with open(path, 'w') as f:
            f.write(page)
        if shutil.which('groff'):
            done = subprocess.run(['groff', '-ww', '-man', '-Tascii', '-P-cbou', '-rLL=100n', path], capture_output=True, text=True)
            check.equal('groff has nothing to say', (done.returncode, done.stderr), (0, ''))
            text = ' '.join(done.stdout.split())
            for word in re.findall(r'^  (\w+) +[A-Z]', call('help'), re.M):
                check.equal('the page has command ' + word, word == 'help' or ' expertsim %s ' % word in text, True)
            for name in call('describe', '--names').split():
                check.equal('the page has ' + name, name.split('.')[-1] in text.split(), True)
            for command in ('run', 'trace', 'selftest', 'describe'):
                for flag in set(re.findall(r'--[a-z]+(?:-[a-z]+)*', call('help', command))):
                    check.equal('the page has %s of %s' % (flag, command), flag in text, True)
            check.equal('exit codes', 'EXIT STATUS 0 fine 1 a fault of ours 2 wrong input 3 ' in text, True)
        if shutil.which('man'):
            done = subprocess.run(['man', '--warnings', '-l', path], capture_output=True, text=True, env=dict(os.environ, MANPAGER='cat', MANWIDTH='80', LC_ALL='C.UTF-8'))
            check.equal('man has nothing to say', (done.returncode, done.stderr), (0, ''))


# ---- trace ----

def trace(check):
    info = json.loads(call('trace', 'info', SAMPLE, '--json'))
    for key in INFO:
        check.equal('trace info has ' + key, isinstance(info.get(key), int) and info[key] > 0, True)
    check.equal('trace check', 'all in order' in call('trace', 'check', SAMPLE), True)
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)
        call('trace', 'export', SAMPLE, '-o', path('a.csv.gz'))
        call('trace', 'import', path('a.csv.gz'), '-o', path('b.h5'))
        call('trace', 'export', path('b.h5'), '-o', path('c.csv'))
        check.equal('there and back', call('trace', 'export', SAMPLE, '-o', '-'), open(path('c.csv')).read())
        again = json.loads(call('trace', 'info', path('b.h5'), '--json'))
        check.equal('the same trace', [again[k] for k in INFO], [info[k] for k in INFO])
        made = ['--set', 'layers=3', '--set', 'experts=8', '--set', 'top_k=2', '--set', 'requests=2', '--set', 'decode_tokens=9']
        call('trace', 'generate', '-o', path('d.h5'), *made)
        call('trace', 'generate', '-o', path('e.h5'), *made)
        check.equal('generated twice, equal bytes', open(path('d.h5'), 'rb').read(), open(path('e.h5'), 'rb').read())
        one = json.loads(call('trace', 'info', path('d.h5'), '--json'))
        check.equal('as asked', [one[k] for k in ('layers', 'experts', 'top_k', 'requests', 'decode_tokens', 'synthetic')], [3, 8, 2, 2, 18, True])
        check.equal('it says from what', one['provenance']['options']['layers'], 3)
    if os.path.isdir(tool.TRACES):
        qwen = json.loads(call('trace', 'info', tool.trace('bigmoeonedge-qwen3-30b-k6', 'route.csv.gz'), '--json'))
        # the last layer is computed for the last prompt token only
        check.equal('qwen', [qwen[k] for k in INFO + ['missing_cells']], [48, 128, 6, 1, 28, 128, 6 * (48 * (28 + 128) - 27), 48 * 6 * 128, 27])


def main():
    check = tool.Check('manual')
    schema(check)
    parts(check)
    completion(check)
    man(check)
    trace(check)
    check.close()


if __name__ == '__main__':
    main()
