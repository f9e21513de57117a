"""docs/tutorial-predictor.md and its like: what they add is compiled against the tree and an installed prefix, loaded, run as the pages
say, and does what they claim."""
import json
import math
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import lesson
import tool

TOOL = os.path.abspath(tool.TOOL)
QUICKSTART = os.path.join(ROOT, 'configs', 'quickstart.json')
SCORES = ('asks', 'guesses', 'precision', 'recall', 'calibration_error')
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
    check.equal('predictor: previous_token, as the page rounds it', ['%.2f' % previous[key] for key in ('precision', 'recall', 'calibration_error')], ['0.27', '0.27', '0.73'])
    check.equal('predictor: its confidence is worth what it says', again['calibration_error'] * 20 < previous['calibration_error'], True)
    command, = page.commands()
    page.says(0, tool.command(command, cwd=folder))
    page.says(1, tool.command([word for word in command if word != '--json'], cwd=folder))

    # ids one by one: a step of a layer is four events, and the guesses for it are the same
    split = run(plugin, 'predictor=again', 'contract.unit=id', observers)
    check.equal('predictor: events', split['cache']['decode']['events'], 4 * decode['events'])
    check.equal('predictor: ids one by one', [split['predictor']['ahead_1'][key] for key in SCORES], [again[key] for key in SCORES])

    # matrices of experts; other contracts; less room; further ahead
    for more in (['contract.unit=slice'], ['contract=serialized'], ['tiers.cache.capacity=3%'], ['compute.lookahead=4'], ['clock=none']):
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
    check.equal('timing: 18.43639 s', outcomes[0]['time']['total_s'], 18.43639)
    wrong = command + ['--set', 'channels.pcie.timing={"name":"packets","payload":"0"}']
    check.equal('timing: a payload of nothing', lesson.fails(wrong, cwd=folder),
                (2, 'expertsim: --set channels.pcie.timing: channels.pcie.timing.payload: 0 is below 1B, the least it may be\n'))


def calibrated(folder, name, *more):
    """The command's outcome and the links of the profile it wrote."""
    args = [TOOL, 'calibrate', '--plugin', 'datasheet.so', '--backend', 'datasheet', '--quick', '--most', '4MiB', '-o', name, '--quiet', *more]
    tool.command(args, cwd=folder)
    with open(os.path.join(folder, name)) as f:
        return json.load(f)['machine']['links']


def numbers(flow):
    return round(flow['fit']['alpha_s'] * 1e6, 2), [round(rate / 1e9, 2) for rate in flow['fit']['beta_Bps']]


def probe(check, folder, prefix):
    """What the data sheet says stands in the profile, also where options say otherwise, and a config runs with it."""
    page = lesson.Lesson(check, folder, 'tutorial-probe.md', 'datasheet')
    page.short(70)
    built = page.both(prefix)
    command, = page.commands()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    check.equal('probe: it is measured: ' + done.stderr, done.returncode, 0)
    page.says(0, done.stdout)
    page.says(1, done.stderr)
    with open(os.path.join(folder, 'mine.json')) as f:
        machine = json.load(f)['machine']
    check.equal('probe: device', (machine['environment']['backend'], machine['environment']['device']), ('datasheet', 'a data sheet'))
    check.equal('probe: 8 us, 26 and 22 GB/s', [numbers(machine['links']['pcie'][way]) for way in ('h2d', 'd2h')], [(8.0, [26.0]), (8.0, [22.0])])
    check.equal('probe: nothing else is measured of links', sorted(machine['links']['pcie']), ['d2h', 'h2d', 'kind', 'pageable'])
    other = calibrated(folder, 'other.json', '--set', 'latency=20us', '--set', 'up=5GB/s', '--set', 'down=3GB/s')
    check.equal('probe: other options', [numbers(other['pcie'][way]) for way in ('h2d', 'd2h')], [(20.0, [5.0]), (20.0, [3.0])])
    if len(built) > 1:
        os.replace(built[1], built[0])
        check.equal('probe: built against a prefix', [numbers(calibrated(folder, 'prefix.json')['pcie'][way]) for way in ('h2d', 'd2h')], [(8.0, [26.0]), (8.0, [22.0])])

    # copies that bring other bytes are found out
    page.build('broken', ['-I' + ROOT], page.code.replace('memcpy(to, from, (size_t)bytes);', 'memset(to, 1, (size_t)bytes), (void)from;'))
    broken = [word.replace('datasheet.so', 'broken.so').replace('mine.json', 'broken.json') for word in command]
    check.equal('probe: other bytes', lesson.fails(broken, cwd=folder)[0], 5)

    # the page's config: what a copy costs is the profile's
    config = json.loads(lesson.blocks(page.text, 'json')[0])
    config['include'][0] = QUICKSTART
    with open(os.path.join(folder, 'config.json'), 'w') as f:
        json.dump(config, f)

    # it is known wherever probes are
    plugin = ['--plugin', 'datasheet.so']
    check.equal('probe: is listed', 'datasheet        A machine by its data sheet.' in tool.command([TOOL, 'list', 'probe'] + plugin, cwd=folder).split('\n'), True)
    check.equal('probe: by its name', tool.command([TOOL, 'list', 'probe', '--names'] + plugin, cwd=folder).split()[-1], 'datasheet')
    check.equal('probe: is described', 'up: rate, default 26GB/s' in tool.command([TOOL, 'describe', 'probe.datasheet'] + plugin, cwd=folder), True)
    check.equal('probe: without the plug-in nobody knows it', lesson.fails([TOOL, 'describe', 'probe.datasheet'], cwd=folder)[0], 2)
    check.equal('probe: a name that is nearly right', lesson.fails([TOOL, 'describe', 'datashet'] + plugin, cwd=folder),
                (2, 'expertsim: nothing is called "datashet"; did you mean "datasheet"?\n'))
    check.equal('probe: no such file', lesson.fails([TOOL, 'list', '--plugin', 'none.so'], cwd=folder), (2, 'expertsim: --plugin: none.so: cannot open: No such file or directory\n'))
    asked = [TOOL, 'validate', 'config.json', '--backend', 'datasheet', '--mode', 'serial', '--scale', '0.01', '--repeat', '2',
             '--set', 'channels.pcie={"profile":"pcie.h2d"}', '--json']
    held = json.loads(tool.command(asked + plugin, cwd=folder))
    one = held['modes'][0]['candidates'][0]
    check.equal('probe: held against its profile', (held['environment']['device'], one['operations']['h2d']['count'] > 100, abs(one['bias']) < 0.001), ('a data sheet', True, True))
    check.equal('probe: validate knows no other', 'there is no probe "datasheet"' in lesson.fails(asked, cwd=folder)[1], True)
    result = json.loads(tool.command([TOOL, 'run', os.path.join(folder, 'config.json'), '--json', '--set', 'bounds=false', '--set', 'observers=["summary","traffic"]']))
    pcie = result['channels']['pcie']
    check.equal('probe: a run with it', round(pcie['busy_s'] / pcie['transfers'] * 1e7), round((8e-6 + EXPERT / 26e9) * 1e7))
    fitted = lesson.fails([TOOL, 'calibrate', 'fit', 'mine.h5', '-o', 'fitted.json', '--quiet'], cwd=folder)
    check.equal('probe: the samples fit again without the plug-in', (fitted[0], os.path.exists(os.path.join(folder, 'fitted.json'))), (0, True))


def main():
    check = tool.Check('tutorials')
    with tempfile.TemporaryDirectory() as folder:
        prefix = lesson.prefix_of(os.path.join(folder, 'prefix'))
        check.equal('a prefix has headers', prefix is None or bool(prefix), True)
        for part in (predictor, timing, probe):
            part(check, folder, prefix)
    check.close()


if __name__ == '__main__':
    main()
