"""The lower bound of sim/curve/bound.h once more, on the plainest machine, by another algorithm: what can be kept is found by packing the
intervals between uses, the one that ends first before all others (Carlisle and Lloyd 1995), each against the room left at every boundary
that it passes. No tier is walked and nothing is ever evicted."""


def intervals(events):
    """(end, start, object) of each reuse, in the order of their ends; an event is (layer, {expert: tokens})."""
    last, found = {}, []
    for i, (layer, served) in enumerate(events):
        for expert in served:
            if (layer, expert) in last:
                found.append((i, last[layer, expert], (layer, expert)))
            last[layer, expert] = i
    return found


def copied(events, unit, capacity):
    """For each event the units that it and those before it must have copied, and of these the first copies' objects."""
    room, kept = [capacity] * len(events), [0] * len(events)
    for end, start, (layer, _) in intervals(events):
        keep = min([unit[layer]] + room[start:end])
        for b in range(start, end):
            room[b] -= keep
        kept[end] += keep
    moved, seen, out = 0, {}, []
    for i, (layer, served) in enumerate(events):
        moved += unit[layer] * len(served) - kept[i]
        for expert in served:
            seen[layer, expert] = True
        out.append((moved, list(seen)))
    return out


def lower_bound(steps, layers, size, capacity, copy_ns, dense_ns, expert_ns, token_ns):
    """steps: for each {layer: {expert: tokens}}. size and copy_ns: of an expert by layer. Nanoseconds."""
    alike = len(set(size.values())) == 1
    unit = {layer: 1 for layer in layers} if alike else size
    capacity = capacity // size[layers[0]] if alike else capacity
    least = min(layers, key=lambda layer: copy_ns[layer] / unit[layer])
    events, dense, before = [], [], 0
    for step in steps:
        for layer in layers:
            before += dense_ns
            if step.get(layer):
                events.append((layer, step[layer]))
                dense.append(before)
                before = 0
    full, end, ahead = capacity * copy_ns[least] + 1, 0, None
    for (layer, served), gap, (moved, seen) in zip(events, dense, copied(events, unit, capacity)):
        compute = [expert_ns + token_ns * tokens for tokens in served.values()]
        link = sum(copy_ns[o[0]] for o in seen) + (moved - sum(unit[o[0]] for o in seen)) * copy_ns[least] // unit[least]
        ends = [end + gap + sum(compute), link + min(compute)]
        if alike and ahead is not None:
            ends.append(ahead + link + min(compute))
        end = max(ends)
        ahead = max(end - link - full, end - link - full if ahead is None else ahead)
    return end + before
