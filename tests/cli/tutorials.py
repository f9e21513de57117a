"""docs/tutorial-predictor.md and its like: what they add is compiled against the tree and an installed prefix, loaded, run as the pages
say, and does what they claim."""
import json
import math
import os
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import lesson
import tool

TOOL = os.path.abspath(tool.TOOL)
QUICKSTART = os.path.join(ROOT, 'configs', 'quickstart.json')
EXPERT = 13219200       # bytes of one in the quickstart


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


def timing(check, folder, prefix):
    """With nothing but copies in the way the run takes what the page's formula says, to the nanosecond."""
    page = lesson.Lesson(check, folder, 'tutorial-timing.md', 'packets')
    page.short(40)
    observers, idle = 'observers=["summary","traffic","audit","digest"]', 'channels.gpu.timing={"name":"constant"}'
    outcomes = [run(plugin, 'channels.pcie.timing=packets', idle, observers) for plugin in page.both(prefix)]
    plugin = os.path.join(folder, 'packets.so')
    check.equal('timing: the same both ways', outcomes[0]['digest'], outcomes[-1]['digest'])
    check.equal('timing: options', outcomes[0]['provenance']['config']['channels']['pcie']['timing'],
                {'name': 'packets', 'latency': '10us', 'payload': '256B', 'header': '24B', 'rate': '31.5GB/s'})

    def copy_ns(payload, header=24, latency=10000, rate=31.5):
        return latency + math.floor((EXPERT + -(-EXPERT // payload) * header) / rate + 0.5)

    check.equal('timing: the page\'s 469,000 ns', copy_ns(256), 469000)
    for options, ns in (({}, copy_ns(256)), ({'payload': '128B'}, copy_ns(128)), ({'header': '0'}, copy_ns(256, 0)),
                        ({'latency': '0', 'rate': '1GB/s', 'payload': '4KiB'}, copy_ns(4096, 24, 0, 1))):
        result = run(plugin, 'channels.pcie.timing=' + json.dumps(dict(options, name='packets')), idle, observers)
        copies = result['channels']['pcie']['transfers']
        check.equal('timing: %s: every miss is a copy of an expert' % options, (copies, result['cache']['fetched_bytes']), (result['cache']['misses'], copies * EXPERT))
        check.equal('timing: %s: all of the time' % options, round(result['time']['total_s'] * 1e9), copies * ns)
        check.equal('timing: %s: faults' % options, result['audit']['faults'], 0)

    # batches: a latency each, the packets of all their objects; a batch's work is rounded once
    result = run(plugin, 'channels.pcie.timing=packets', 'channels.pcie.scheduler={"name":"demand_first","batch":4}', idle, observers)
    pcie = result['channels']['pcie']
    exact = pcie['batches'] * 10000 + pcie['transfers'] * (EXPERT + -(-EXPERT // 256) * 24) / 31.5
    check.equal('timing: batches hold several', pcie['batches'] < pcie['transfers'], True)
    check.equal('timing: a latency a batch', abs(result['time']['total_s'] * 1e9 - exact) <= pcie['batches'] / 2, True)

    command, = page.commands()
    page.says(0, tool.command(command, cwd=folder))
    check.equal('timing: 10.47746 s', outcomes[0]['time']['total_s'], 10.47746)
    wrong = command + ['--set', 'channels.pcie.timing={"name":"packets","payload":"0"}']
    check.equal('timing: a payload of nothing', lesson.fails(wrong, cwd=folder),
                (2, 'expertsim: --set channels.pcie.timing: channels.pcie.timing.payload: 0 is below 1B, the least it may be\n'))


def main():
    check = tool.Check('tutorials')
    with tempfile.TemporaryDirectory() as folder:
        prefix = lesson.prefix_of(os.path.join(folder, 'prefix'))
        check.equal('a prefix has headers', prefix is None or bool(prefix), True)
        for part in (predictor, timing):
            part(check, folder, prefix)
    check.close()


if __name__ == '__main__':
    main()
