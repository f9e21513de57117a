"""docs/tutorial-predictor.md and its like: what they add is compiled against the tree and an installed prefix, loaded, run as the pages
say, and does what they claim."""
import json
import os
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import lesson
import tool

TOOL = os.path.abspath(tool.TOOL)
QUICKSTART = os.path.join(ROOT, 'configs', 'quickstart.json')


def run(plugin, *sets):
    args = [TOOL, 'run', QUICKSTART, '--json', '--set', 'plugins=' + json.dumps([plugin]), '--set', 'bounds=false']
    for s in sets:
        args += ['--set', s]
    return json.loads(tool.command(args))


def predictor(check, folder, prefix):
    """It is right more often than chance and than the last step, knows how often, and repeats itself to the bit."""
    page = lesson.Lesson(check, folder, 'tutorial-predictor.md', 'again')
    page.short(60)
    observers = 'observers=["summary","predictor","audit","digest"]'
    outcomes = [run(plugin, 'predictor=again', observers) for plugin in page.both(prefix)]
    plugin = os.path.join(folder, 'again.so')
    outcomes.append(run(plugin, 'predictor=again', observers))
    check.equal('predictor: name', outcomes[0]['provenance']['config']['predictor'], {'name': 'again'})
    check.equal('predictor: faults', outcomes[0]['audit']['faults'], 0)
    check.equal('predictor: the same each time', [one['digest'] for one in outcomes], [outcomes[0]['digest']] * len(outcomes))
    again, previous = outcomes[0]['predictor']['ahead_1'], run(plugin, 'predictor=previous_token', observers)['predictor']['ahead_1']
    decode = outcomes[0]['cache']['decode']
    check.equal('predictor: chance', decode['lookups'] / decode['events'] / 32, 0.125)
    check.equal('predictor: more precise than chance and than previous_token', 0.125 < previous['precision'] < again['precision'], True)
    check.equal('predictor: previous_token, as the page rounds it', ['%.2f' % previous[key] for key in ('precision', 'recall', 'calibration_error')], ['0.60', '0.61', '0.40'])
    check.equal('predictor: its confidence is worth what it says', again['calibration_error'] < 0.01, True)
    command, = page.commands()
    page.says(0, tool.command(command, cwd=folder))
    page.says(1, tool.command([word for word in command if word != '--json'], cwd=folder))

    # each token judged by itself, so that a layer has several events a step; less room; further ahead
    for more in (['contract=serialized'], ['tiers.cache.capacity=3%'], ['compute.lookahead=4'], ['clock=none']):
        check.equal('predictor: ' + ' '.join(more), run(plugin, 'predictor=again', 'observers=["summary","audit"]', *more)['audit']['faults'], 0)


def main():
    check = tool.Check('tutorials')
    with tempfile.TemporaryDirectory() as folder:
        prefix = lesson.prefix_of(os.path.join(folder, 'prefix'))
        check.equal('a prefix has headers', prefix is None or bool(prefix), True)
        for part in (predictor,):
            part(check, folder, prefix)
    check.close()


if __name__ == '__main__':
    main()
