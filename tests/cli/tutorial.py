"""docs/tutorial-policy.md: its file is extracted, compiled against the tree and against an installed prefix, loaded and run."""
import json
import os
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import lesson
import tool

CONFIG = os.path.join(ROOT, 'configs', 'quickstart.json')
LINES = 40


def run(plugin, policy, more=()):
    args = [tool.TOOL, 'run', CONFIG, '--json', '--set', 'plugins=' + json.dumps([plugin]), '--set', 'policy=' + policy, '--set', 'bounds=false']
    for s in more:
        args += ['--set', s]
    return json.loads(tool.command(args))


def main():
    check = tool.Check('tutorial')
    with tempfile.TemporaryDirectory() as folder:
        page = lesson.Lesson(check, folder, 'tutorial-policy.md', 'second_chance')
        page.short(LINES)
        code, option = lesson.blocks(page.text, 'c')
        prefix = lesson.prefix_of(os.path.join(folder, 'prefix'))
        check.equal('a prefix has headers', prefix is None or bool(prefix), True)
        outcomes = []
        for plugin in page.both(prefix):
            result = run(plugin, 'second_chance', ['observers=["summary","audit","digest"]'])
            check.equal(os.path.basename(plugin) + ' policy', result['provenance']['config']['policy'], {'name': 'second_chance'})
            check.equal(os.path.basename(plugin) + ' faults', result['audit']['faults'], 0)
            outcomes.append(result['digest'])
        check.equal('the same both ways', outcomes[0], outcomes[-1])
        plugin = os.path.join(folder, 'second_chance.so')
        second, lru, fifo = (run(plugin, name)['cache'] for name in ('second_chance', 'lru', 'fifo'))
        check.equal('looked up as others do', second['lookups'], lru['lookups'])
        check.equal('it is neither lru nor fifo', second['hits'] not in (lru['hits'], fifo['hits']), True)
        check.equal('better than fifo on the quickstart', second['hits'] > fifo['hits'], True)

        # other contracts and a quota per layer, audited
        for more in (['contract=after_batch'], ['contract=serialized'], ['contract={"preset":"keep_best","scope":"layer"}'], ['clock=none', 'contract.scope=layer'],
                     ['predictor=previous_token'], ['tiers.cache.capacity=3%']):
            check.equal(' '.join(more), run(plugin, 'second_chance', more + ['observers=["summary","audit"]'])['audit']['faults'], 0)

        # the config of the text, with a path relative to itself
        config = json.loads(lesson.blocks(page.text, 'json')[0])
        config['include'] = os.path.abspath(CONFIG)
        with open(os.path.join(folder, 'mine.json'), 'w') as f:
            json.dump(config, f)
        check.equal('config', json.loads(tool.command([tool.TOOL, 'run', os.path.join(folder, 'mine.json'), '--json', '--set', 'bounds=false'], cwd='/'))['cache'], second)

        # the option of the text
        extended = code.replace('    es_oid hand;\n', '    es_oid hand;\n    int64_t rounds;\n').replace('static es_code second_init', option + '\nstatic es_code second_init', 1)
        extended = extended.replace('.name = "second_chance", .brief', '.name = "second_chance", .options = second_options, .brief')
        plugin = page.build('rounds', ['-I' + ROOT], extended)
        check.equal('option', run(plugin, '{"name":"second_chance","rounds":2}')['provenance']['config']['policy'], {'name': 'second_chance', 'rounds': 2})
        above = [tool.TOOL, 'run', CONFIG, '--set', 'plugins=' + json.dumps([plugin]), '--set', 'policy={"name":"second_chance","rounds":9}']
        check.equal('option out of bounds', lesson.fails(above), (2, 'expertsim: --set policy: policy.rounds: 9 is above 8, the most it may be\n'))
    check.close()


if __name__ == '__main__':
    main()
