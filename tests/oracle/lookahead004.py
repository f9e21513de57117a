"""Seed 004, version 1, in time: a training run over device slots, host memory and disk, in plain Python, written from the description of the rules
and from nothing of this project.

Host memory has the true copy of an expert. Per step, in ascending order, each expert used is brought to the device and computed; then, in the same
order, computed back: its gradient goes down, the host makes the optimizer step, the new weights come up, and the next expert has its turn. What the
device gives up (the least recent) is dropped; what host memory gives up is dropped when clean and handed to writers when changed, so that its place
is free at once. While a step's last expert is brought, the disk begins to read what the next step will use: nobody that the device or host memory has,
is getting or is writing. A demand for what is being read waits for the rest of it. An expert that is still with the writers comes back from there, and is
written no more if none has begun; one whose copy is gone while a write of it is under way waits for that write. An expert that is used for the
first time is created, which is a write of its file.

Each link does one copy at a time (the writers several), versions on their way down or back up before demands before reading ahead, else first
come first served. A place in host
memory is taken when a copy begins. In an instant first what ends is dealt with, then the copies of the links begin, in the order of LINKS.
"""
import collections
import heapq

LINKS = ['h2d', 'd2h', 'read', 'write']
WRITE, DEMAND, AHEAD = range(3)
LANDS, COMPUTED, GOES_ON = range(3)     # what comes first in an instant


class Job:
    def __init__(self, link, rank, expert, begins, lands):
        self.link, self.rank, self.expert, self.begins, self.lands = link, rank, expert, begins, lands
        self.running = self.again = False


class Machine:
    """All times are whole nanoseconds."""

    def __init__(self, slots, places, cost, lanes, on_disk, forward, backward, update, ahead):
        self.slots, self.places, self.cost, self.lanes = slots, places, cost, dict(dict.fromkeys(LINKS, 1), write=lanes)
        self.forward, self.backward, self.update, self.ahead = forward, backward, update, ahead
        self.disk = set(on_disk)
        self.gpu, self.cpu = collections.OrderedDict(), collections.OrderedDict()       # the least recent first; cpu: expert -> changed?
        self.entering = set()           # a place in host memory is taken, the copy is on its way
        self.reading, self.writing = {}, {}     # jobs into host memory, and out of it, by expert; waiting or running
        self.spool = {}                 # with the writers: expert -> changed since the last write of it began?
        self.waiting = collections.defaultdict(list)    # until the write of an expert has ended
        self.wanted = {}                # until it is in host memory: who goes on then
        self.unused = set()             # read ahead and not demanded since
        self.queue = {link: ([], [], []) for link in LINKS}
        self.busy = collections.Counter()
        self.count, self.ns = collections.Counter(), collections.Counter()
        self.events, self.number, self.now = [], 0, 0

    # --- time

    def at(self, time, phase, then):
        self.number += 1
        heapq.heappush(self.events, (time, phase, self.number, then))

    def run(self, program):
        """A program yields functions that take what to call when they are done."""
        def go():
            self.at(self.now, GOES_ON, on)

        def on():
            try:
                next(program)(go)
            except StopIteration:
                self.ended = self.now
        self.ended = None
        go()
        while self.ended is None:
            self.now, _, _, then = heapq.heappop(self.events)
            then()
            if not self.events or self.events[0][0] > self.now:
                self.start()

    def ask(self, link, rank, expert, begins, lands):
        job = Job(link, rank, expert, begins, lands)
        self.queue[link][rank].append(job)
        return job

    def start(self):
        for link in LINKS:
            while self.busy[link] < self.lanes[link]:
                job = next((q.pop(0) for q in self.queue[link] if q), None)
                if not job:
                    break
                job.running = True
                job.begins(job)
                self.busy[link] += 1
                self.count[link] += 1
                self.ns[link] += self.cost[link]
                self.at(self.now + self.cost[link], LANDS, lambda job=job: self.ends(job))

    def ends(self, job):
        self.busy[job.link] -= 1
        job.running = False
        job.lands(job)

    # --- host memory

    def make_room(self):
        while len(self.cpu) + len(self.entering) >= self.places:
            e, changed = self.cpu.popitem(last=False)
            self.unused.discard(e)
            if changed:
                self.spool[e] = True
                self.write(e)

    def write(self, e):
        """One that waits takes the newest version along, behind one that runs another is due."""
        job = self.writing.get(e)
        if job:
            job.again |= job.running
            return
        self.writing[e] = self.ask('write', WRITE, e, self.write_begins, self.write_ends)

    def write_begins(self, job):
        if job.expert in self.spool:
            self.spool[job.expert] = False
        elif job.expert in self.cpu:
            self.cpu[job.expert] = False

    def write_ends(self, job):
        e = job.expert
        del self.writing[e]
        if job.again:
            self.write(e)
        elif e in self.spool:
            assert not self.spool[e]
            del self.spool[e]
        for then in self.waiting.pop(e, []):
            then()

    def recall(self, e):
        """From the writers into host memory."""
        if e not in self.spool:
            return
        self.make_room()
        self.count['recalled'] += 1
        self.cpu[e] = self.spool.pop(e)
        if not self.writing[e].running:
            self.queue['write'][WRITE].remove(self.writing.pop(e))

    def read(self, e, rank):
        """From its file, or a new one."""
        self.recall(e)
        if e in self.writing and e not in self.cpu:
            self.waiting[e].append(lambda: self.read(e, self.reading[e].rank))
            self.reading[e] = Job(None, rank, e, None, None)
            return
        link = 'read' if e in self.disk else 'write'
        self.reading[e] = self.ask(link, rank, e, self.read_begins, self.read_ends)

    def read_begins(self, job):
        self.make_room()
        self.entering.add(job.expert)
        if job.expert not in self.disk:
            self.disk.add(job.expert)
            self.count['created'] += 1
        if job.rank == AHEAD:
            self.count['prefetched'] += 1
            self.unused.add(job.expert)

    def read_ends(self, job):
        e = job.expert
        self.entering.remove(e)
        del self.reading[e]
        self.cpu[e] = False
        self.cpu.move_to_end(e)
        for then in self.wanted.pop(e, []):
            then()

    # --- a step

    def bring(self, e):
        """To the device."""
        def begins(_):
            if len(self.gpu) == self.slots:
                self.gpu.popitem(last=False)

        def task(done):
            def up():
                self.ask('h2d', DEMAND, e, begins, lambda _: (self.gpu.__setitem__(e, True), done()))
            self.count['miss'] += 1
            self.want(e, up)
        return task

    def want(self, e, up):
        self.recall(e)
        if e in self.cpu:
            self.cpu.move_to_end(e)
            self.count['used'] += e in self.unused
            self.unused.discard(e)
            up()
            return
        self.wanted.setdefault(e, []).append(up)
        job = self.reading.get(e)
        if not job:
            self.unused.discard(e)
            self.read(e, DEMAND)
        elif job.rank == AHEAD:
            self.count['waited'] += 1
            self.unused.discard(e)
            job.rank = DEMAND
            if job.link and not job.running:
                self.queue[job.link][AHEAD].remove(job)
                self.queue[job.link][DEMAND].append(job)

    def look_ahead(self, experts, at_hand):
        for e in experts:
            if e == at_hand or e in self.gpu or e in self.cpu or e in self.reading or e in self.spool or e in self.entering:
                continue
            self.read(e, AHEAD)

    def compute(self, time):
        return lambda done: self.at(self.now + time, COMPUTED, done)

    def gradient(self, e):
        """Down, into the copy there or to a place of its own."""
        def task(done):
            over = e in self.cpu or e in self.spool

            def begins(_):
                if not over:
                    self.make_room()
                    self.entering.add(e)

            def lands(_):
                if not over:
                    self.entering.remove(e)
                self.recall(e)
                if e in self.cpu or not over:
                    self.cpu[e] = True
                    self.cpu.move_to_end(e)
                else:
                    self.write(e)           # its copy was given up meanwhile: the new version goes to the file
                done()
            self.ask('d2h', WRITE, e, begins, lands)
        return task

    def weights(self, e):
        return lambda done: self.ask('h2d', WRITE, e, lambda _: None, lambda _: done())

    def train(self, steps):
        for i, experts in enumerate(steps):
            coming = steps[i + 1] if i + 1 < len(steps) else []
            for e in experts:
                ready = e in self.gpu
                bring = None if ready else self.bring(e)
                last = self.ahead and e == experts[-1]
                if ready:
                    self.gpu.move_to_end(e)
                    if last:
                        self.look_ahead(coming, e)
                else:
                    yield lambda done, bring=bring, last=last, e=e: (bring(done), last and self.look_ahead(coming, e))
                yield self.compute(self.forward)
            for e in experts:
                self.gpu.move_to_end(e)
                yield self.compute(self.backward)
                yield self.gradient(e)
                if self.update:
                    yield self.compute(self.update)
                yield self.weights(e)


def train(steps, **machine):
    """The account of a training run: nanoseconds in all, operations and nanoseconds of each link, experts created, read ahead, used, waited for."""
    m = Machine(**machine)
    m.run(m.train(steps))
    return m
