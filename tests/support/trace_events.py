"""Reads Chrome trace-event JSON as Perfetto's importer does (google/perfetto, src/trace_processor/importers: json_trace_parser_impl.cc,
common/slice_tracker.cc, common/flow_tracker.cc) and says what it would drop or mend. Times are whole nanoseconds.

    timeline = trace_events.read(path)      timeline.faults     what is against the rules, as sentences
                                            timeline.slices     Slice, in the order in which they begin
                                            timeline.flows      (name, Slice, Slice)
                                            timeline.counters   {name: [(t, value)]}
"""
import gzip
import json

NEEDS = {'X': {'ts', 'dur', 'name'}, 'B': {'ts', 'name'}, 'E': {'ts'}, 'i': {'ts', 'name', 's'}, 'C': {'ts', 'name', 'args'}, 's': {'ts', 'id', 'name', 'cat'},
         'f': {'ts', 'id', 'name', 'cat', 'bp'}, 'M': {'name', 'args'}}


class Slice:
    def __init__(self, event, begin, end):
        self.track, self.name, self.cat = event['tid'], event['name'], event.get('cat')
        self.begin, self.end, self.args, self.inside = begin, end, event.get('args', {}), 0

    def key(self):
        return (self.track, self.begin, self.end, self.name, self.cat, tuple(sorted(self.args.items())))

    def __repr__(self):
        return '%s on %s [%s, %s)' % (self.name, self.track, self.begin, self.end)


class Timeline:
    def __init__(self):
        self.faults, self.slices, self.flows, self.counters, self.tracks, self.processes, self.other = [], [], [], {}, {}, {}, {}

    def fault(self, *words):
        if len(self.faults) < 20:
            self.faults.append(' '.join(str(w) for w in words))

    def on(self, *names):
        """Slices of the tracks of these names, in order of begin."""
        tracks = {track for track, name in self.tracks.items() if name in names}
        return [s for s in self.slices if s.track in tracks]

    def track(self, name):
        return next((track for track, of in self.tracks.items() if of == name), None)


def nanoseconds(timeline, value):
    """As the importer cuts off; a time that the nearest nanosecond is not is a fault."""
    cut = int(value * 1000.0)
    if cut != round(value * 1000.0):
        timeline.fault('the importer reads', value, 'us as', cut, 'ns')
    return cut


def check_order(timeline, events):
    """Within a track, and within a counter, the file is in order of time."""
    last = {}
    for e in events:
        if e['ph'] in 'XBEiC':
            where = (e['tid'], e['name'] if e['ph'] == 'C' else None)
            if e['ns'] < last.get(where, 0):
                timeline.fault(e['ph'], e.get('name'), 'at', e['ns'], 'stands behind', last[where], 'on', where)
            last[where] = e['ns']


class Stacks:
    """Slices that are open on each track, and what happens when others begin and end."""

    def __init__(self, timeline):
        self.timeline, self.open = timeline, {}

    def close(self, track, at, took=None):
        stack = self.open.setdefault(track, [])
        while stack and stack[-1].end is not None and (stack[-1].end < at or (stack[-1].end == at and not (stack[-1].end == stack[-1].begin and took == 0))):
            stack.pop()
        return stack

    def begin(self, event, took):
        at, stack = event['ns'], self.close(event['tid'], event['ns'], took)
        end = None if took is None else at + took
        one = Slice(event, at, end)
        for above in stack:
            if end is not None and above.end is not None and end > above.end:
                self.timeline.fault(one, 'overlaps', above, 'partly')
        if stack and stack[-1].end is not None and end is None:
            self.timeline.fault(one, 'of B begins inside', stack[-1])
        one.inside = len(stack)
        stack.append(one)
        self.timeline.slices.append(one)
        return one

    def end(self, event):
        stack = self.close(event['tid'], event['ns'])
        if not stack or stack[-1].end is not None or stack[-1].name != event.get('name', stack[-1].name):
            self.timeline.fault('E of', event.get('name'), 'at', event['ns'], 'ends nothing')
            return
        stack.pop().end = event['ns']

    def top(self, event):
        stack = self.close(event['tid'], event['ns'])
        return stack[-1] if stack else None


def meta(timeline, e):
    if e['name'] == 'thread_name':
        if e['tid'] in timeline.tracks or e['tid'] in timeline.processes:
            timeline.fault('track', e['tid'], 'has two names')
        timeline.tracks[e['tid']] = e['args']['name']
    if e['name'] == 'process_name':
        timeline.processes[e['pid']] = e['args']['name']


def read(path):
    timeline = Timeline()
    with open(path, 'rb') as f:
        data = f.read()
    timeline.bytes = len(data)
    if path.endswith('.gz'):
        data = gzip.decompress(data)
    tree = json.loads(data)
    if list(tree)[0] != 'displayTimeUnit' or tree['displayTimeUnit'] != 'ns':
        timeline.fault('displayTimeUnit has to come first')
    timeline.other = tree.get('otherData', {})
    events = tree['traceEvents']
    for e in events:
        missing = (NEEDS.get(e['ph'], {'nothing: unknown phase'}) | {'pid', 'tid'}) - set(e)
        if missing:
            timeline.fault(e, 'lacks', sorted(missing))
        e['ns'] = nanoseconds(timeline, e.get('ts', 0))
        if e['ns'] < 0 or e.get('dur', 0) < 0:
            timeline.fault(e, 'is of a time below 0')
    check_order(timeline, events)
    stacks, flows = Stacks(timeline), {}
    for e in sorted(events, key=lambda e: e['ns']):         # stable, as the importer's
        if e['ph'] == 'M':
            meta(timeline, e)
        elif e['ph'] == 'X':
            stacks.begin(e, nanoseconds(timeline, e['dur']))
        elif e['ph'] == 'i':
            stacks.begin(e, 0)
        elif e['ph'] == 'B':
            stacks.begin(e, None)
        elif e['ph'] == 'E':
            stacks.end(e)
        elif e['ph'] == 'C':
            for key, value in e['args'].items():
                timeline.counters.setdefault('%s %s' % (e['name'], key), []).append((e['ns'], value))
        else:
            flow(timeline, stacks, flows, e)
    for name in [key for key, ends in flows.items() if len(ends) != 2]:
        timeline.fault('arrow', name, 'has', len(flows[name]), 'ends')
    for one in timeline.slices:
        if one.end is None:
            timeline.fault(one, 'never ends')
        if one.track not in timeline.tracks:
            timeline.fault(one, 'is on a track without a name')
    return timeline


def flow(timeline, stacks, flows, e):
    ends, at = flows.setdefault((e['id'], e['cat'], e['name']), []), stacks.top(e)
    if at is None:
        timeline.fault('arrow', e['name'], e['ph'], 'at', e['ns'], 'is in no slice')
    if (e['ph'] == 's') != (not ends) or len(ends) > 1:
        timeline.fault('arrow', e['id'], 'begins or ends twice')
    ends.append(at)
    if len(ends) == 2 and at and ends[0]:
        if ends[0].begin > at.begin:
            timeline.fault('arrow', e['id'], 'goes back in time from', ends[0], 'to', at)
        timeline.flows.append((e['name'], ends[0], at))
