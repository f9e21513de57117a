"""docs/tutorial-policy.md: its file is extracted, compiled against the tree and against an installed prefix, loaded and run."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

CONFIG = os.path.join(ROOT, 'configs', 'quickstart.json')
LINES = 40


def blocks(text, language):
    return re.findall(r'^```%s\n(.*?)^```$' % language, text, re.M | re.S)


def run(plugin, policy, more=()):
    args = [tool.TOOL, 'run', CONFIG, '--json', '--set', 'plugins=' + json.dumps([plugin]), '--set', 'policy=' + policy, '--set', 'bounds=false']
    for s in more:
        args += ['--set', s]
    return json.loads(tool.command(args))


def main():
    check = tool.Check('tutorial')
    text = open(os.path.join(ROOT, 'docs', 'tutorial-policy.md')).read()
    code, option = blocks(text, 'c')
    lines = [line for line in code.split('\n') if line.strip()]
    check.equal('lines that are not blank, at most %d' % LINES, len(lines) <= LINES, True)
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, 'second_chance.c')
        open(source, 'w').write(code)
        compiler = os.environ.get('CC', 'cc').split() + ['-std=c17', '-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Wconversion', '-Werror']
        cjson = tool.command(['pkg-config', '--cflags', 'libcjson']).split()
        flags_of = tool.installed(os.path.join(folder, 'prefix'))
        prefix = flags_of and [flag for flag in flags_of('--cflags-only-I') if 'expertsim' in flag]
        check.equal('a prefix has headers', prefix is None or bool(prefix), True)
        outcomes = []
        for name, flags in (('tree', ['-I' + ROOT]), ('prefix', prefix)):
            if flags is None:
                print('tutorial: not tried against a prefix: the tool lies in no build folder of meson')
                continue
            plugin = os.path.join(folder, name + '.so')
            tool.command(compiler + flags + cjson + [source, '-o', plugin])
            result = run(plugin, 'second_chance', ['observers=["summary","audit","digest"]'])
            check.equal(name + ' policy', result['provenance']['config']['policy'], {'name': 'second_chance'})
            check.equal(name + ' faults', result['audit']['faults'], 0)
            outcomes.append(result['digest'])
        check.equal('the same both ways', outcomes[0], outcomes[-1])
        plugin = os.path.join(folder, 'tree.so')
        second, lru, fifo = (run(plugin, name)['cache'] for name in ('second_chance', 'lru', 'fifo'))
        check.equal('looked up as others do', second['lookups'], lru['lookups'])
        check.equal('it is neither lru nor fifo', second['hits'] not in (lru['hits'], fifo['hits']), True)
        check.equal('better than fifo on the quickstart', second['hits'] > fifo['hits'], True)

        # other contracts and a quota per layer, audited
        for more in (['contract=after_batch'], ['contract=serialized'], ['contract={"preset":"keep_best","scope":"layer"}'], ['clock=none', 'contract.scope=layer'],
                     ['predictor=previous_token'], ['tiers.cache.capacity=3%']):
            check.equal(' '.join(more), run(plugin, 'second_chance', more + ['observers=["summary","audit"]'])['audit']['faults'], 0)

        # the config of the text, with a path relative to itself
        shutil.copy(plugin, os.path.join(folder, 'second_chance.so'))
        config = json.loads(blocks(text, 'json')[0])
        config['include'] = os.path.abspath(CONFIG)
        with open(os.path.join(folder, 'mine.json'), 'w') as f:
            json.dump(config, f)
        check.equal('config', json.loads(tool.command([tool.TOOL, 'run', os.path.join(folder, 'mine.json'), '--json', '--set', 'bounds=false'], cwd='/'))['cache'], second)

        # the option of the text
        extended = code.replace('    es_oid hand;\n', '    es_oid hand;\n    int64_t rounds;\n').replace('static es_code second_init', option + '\nstatic es_code second_init', 1)
        extended = extended.replace('.name = "second_chance", .brief', '.name = "second_chance", .options = second_options, .brief')
        open(source, 'w').write(extended)
        tool.command(compiler + ['-I' + ROOT] + cjson + [source, '-o', plugin])
        check.equal('option', run(plugin, '{"name":"second_chance","rounds":2}')['provenance']['config']['policy'], {'name': 'second_chance', 'rounds': 2})
        done = subprocess.run([tool.TOOL, 'run', CONFIG, '--set', 'plugins=' + json.dumps([plugin]), '--set', 'policy={"name":"second_chance","rounds":9}'], capture_output=True, text=True)
        check.equal('option out of bounds', (done.returncode, done.stderr), (2, 'expertsim: --set policy: policy.rounds: 9 is above 8, the most it may be\n'))
    check.close()


if __name__ == '__main__':
    main()
