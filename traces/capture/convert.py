#!/usr/bin/env python3
"""Makes traces that expertsim reads of files that only Python reads: torch.save (.pt), pickles, parquet and numpy.savez (.npz).

    convert.py dump_0.pt [dump_1.pt ...] -o trace.csv.gz        SGLang's recorder, per_token or per_pass; several ranks or files
    convert.py stat.pt -o counts.npy                            SGLang's recorder, stat: counts [steps, layers, experts]
    convert.py routed.pt -o routing.npy                         a tensor [tokens, layers, k] of ids, or a list of them (vLLM, verl, tunix)
    convert.py routed.npz -o routing.npy                        the array routed_experts of it, or the only one it has
    convert.py layer_*.parquet -o trace.csv.gz                  cachedMoE (prompt_id, pos, layer, topN_ids) or FLAME-MoE (indices, scores) files, one per layer

and then `expertsim trace import trace.csv.gz -o trace.h5`. Needs torch for .pt and pyarrow for parquet, nothing else. Only tensors and plain
containers are unpickled; --trust reads any pickle, which can run whatever code is in it.

What a file does not say is printed as "assumed: ..."; what cannot be right ends with one sentence and exit code 2."""
import argparse
import gzip
import json
import os
import re
import struct
import sys
import zipfile
import zlib

EXTEND, DECODE = 1, 2           # SGLang's ForwardMode


class Wrong(Exception):
    pass


def assume(text):
    print('assumed: ' + text, file=sys.stderr)


def plain(value):
    """Tensors and arrays as lists."""
    return value.tolist() if hasattr(value, 'tolist') else value


# ---- what is written ----

def csv_rows(rows, weights):
    """Neutral CSV of (step, request, token, phase, layer, ids, weights or None), in the order of steps, requests, tokens and layers."""
    width = max(len(row[5]) for row in rows)
    names = ['e%d' % i for i in range(width)] + (['w%d' % i for i in range(width)] if weights else [])
    yield 'step,request_id,token_index,phase,layer,' + ','.join(names) + '\n'
    for step, request, token, phase, layer, ids, gate in sorted(rows, key=lambda row: row[:3] + (row[4],)):
        empty = [''] * (width - len(ids))
        cells = [str(i) for i in ids] + empty + ([repr(float(w)) for w in gate] + empty if weights else [])
        yield '%d,%d,%d,%s,%d,%s\n' % (step, request, token, phase, layer, ','.join(cells))


def save_csv(path, rows):
    if not rows:
        raise Wrong('there are no rows')
    with (gzip.open(path, 'wt') if path.endswith('.gz') else open(path, 'w')) as f:
        f.writelines(csv_rows(rows, all(row[6] is not None for row in rows)))


def flat(value):
    if isinstance(value, list):
        for one in value:
            yield from flat(one)
    else:
        yield value


def shape_of(value):
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def save_npy(path, array, lens=None):
    """Integers as NumPy saves them; how long each request is goes beside it."""
    shape = shape_of(array)
    numbers = list(flat(array))
    product = 1
    for n in shape:
        product *= n
    if product != len(numbers) or not numbers:
        raise Wrong('the array is empty or ragged: its first entries have shape %s, which is %d numbers, but there are %d' % (shape, product, len(numbers)))
    wide = 2 if -2 ** 15 <= min(numbers) and max(numbers) < 2 ** 15 else 4 if max(numbers) < 2 ** 31 else 8
    head = "{'descr': '<i%d', 'fortran_order': False, 'shape': (%s), }" % (wide, ''.join('%d, ' % n for n in shape))
    head += ' ' * (-(len(head) + 11) % 64) + '\n'
    with open(path, 'wb') as f:
        f.write(b'\x93NUMPY\x01\0' + struct.pack('<H', len(head)) + head.encode() + struct.pack('<%d%s' % (len(numbers), {2: 'h', 4: 'i', 8: 'q'}[wide]), *numbers))
    if lens:
        with open(re.sub(r'\.npy$', '', path) + '.lens.json', 'w') as f:
            json.dump({'lens': lens}, f)


# ---- SGLang's recorder ----

class Requests:
    """Which request a token belongs to, from the positions alone: a request that begins is at 0, one that goes on is where it was left."""

    def __init__(self):
        self.waiting, self.count, self.strangers, self.doubtful = {}, 0, 0, 0

    def take(self, start, tokens):
        queue = self.waiting.get(start, [])
        self.doubtful += start > 0 and len(queue) > 1
        if start > 0 and queue:
            request = queue.pop(0)
        else:
            self.strangers += start > 0
            request = self.count
            self.count += 1
        self.waiting.setdefault(start + tokens, []).append(request)
        return request


def logical(physical, layer, table, where):
    out = []
    for i in physical:
        if i < 0:                       # padding, or a dense layer
            continue
        if table is None:
            raise Wrong('%s: topk_ids_of_layer holds physical expert ids, here %d, and there is no last_physical_to_logical_map to tell which experts they are' % (where, i))
        if layer >= len(table) or i >= len(table[layer]):
            raise Wrong('%s: physical expert %d is not in last_physical_to_logical_map' % (where, i))
        if table[layer][i] in out:
            raise Wrong('%s: physical expert %d is a replica of expert %d, which the token uses already; is last_physical_to_logical_map of this recording?'
                        % (where, i, table[layer][i]))
        out.append(table[layer][i])
    return out


def pass_tokens(record, where):
    """(start, tokens, phase) of each piece of a forward pass, in the order of its tokens."""
    positions, lengths, mode = plain(record.get('positions')), plain(record.get('extend_seq_lens')), record.get('forward_mode')
    if positions is None:
        raise Wrong('%s: has no positions; it was not recorded with per_token' % where)
    if not lengths:
        if mode not in (None, DECODE):
            assume('%s: forward mode %s without extend_seq_lens is read as decoding' % (where, mode))
        return [(p, 1, 'D') for p in positions]
    if sum(lengths) > len(positions):
        raise Wrong('%s: extend_seq_lens sum to %d, but there are %d positions' % (where, sum(lengths), len(positions)))
    pieces, at = [], 0
    for n in lengths:
        if n > 0:
            pieces.append((positions[at], n, 'P'))
        at += n
    return pieces + [(p, 1, 'D') for p in positions[at:]]       # a mixed pass has its decoding tokens behind


def sglang_rows(dumps, names=None):
    """Rows of one or several dumps (files, ranks), each {"records": [...], "last_physical_to_logical_map": [...]}; names are those of their files."""
    rows, first = [], 0
    for number, dump in enumerate(dumps):
        table, requests, step = plain(dump.get('last_physical_to_logical_map')), Requests(), -1
        name = names[number] if names else 'dump %d' % number
        for at, record in enumerate(dump['records']):
            where = '%s, record %d (forward pass %s)' % (name, at, record.get('forward_pass_id'))
            ids = plain(record.get('topk_ids_of_layer'))
            if ids is None:
                raise Wrong('%s: has no topk_ids_of_layer; counts (per_pass, stat) are no trace' % where)
            step += 1
            token = 0
            for start, tokens, phase in pass_tokens(record, where):
                request = first + requests.take(start, tokens)
                for i in range(tokens):
                    for layer, of_layer in enumerate(ids):
                        if token >= len(of_layer):
                            raise Wrong('%s, layer %d: has ids of %d tokens, but positions of more' % (where, layer, len(of_layer)))
                        used = logical(of_layer[token], layer, table, '%s, layer %d, token %d' % (where, layer, token))
                        if used:
                            rows.append((step, request, start + i, phase, layer, used, None))
                    token += 1
        if requests.strangers:
            assume('%s: %d requests began before the recording, or their beginning came from a prefix cache; they are here from where they are met' % (name, requests.strangers))
        if requests.doubtful:
            assume('%s: %d tokens could belong to several requests at the same position; they were given out in order' % (name, requests.doubtful))
        first += requests.count
    if len(dumps) > 1:
        assume('every file is a recording of its own (a rank with data parallelism): their requests are numbered on and their passes run side by side')
    assume('requests follow from positions; layers are numbered from 0 over all decoder layers; ids are logical experts')
    return rows


# ---- parquet, as plain rows ----

def cached_rows(tables):
    """cachedMoE: prompt_id, pos, layer, topN_ids; of several lists of ids the shortest are those that are used."""
    rows, step_of = [], {}
    name = min((n for n in tables[0] if re.fullmatch(r'top\d+_ids', n)), key=lambda n: int(n[3:-4]))
    others = [n for n in tables[0] if re.fullmatch(r'top\d+_ids', n) and n != name]
    for table in tables:
        for request, position, layer, ids in zip(table['prompt_id'], table['pos'], table['layer'], table[name]):
            step_of.setdefault((request, position), 0)
            rows.append((request, position, layer, [int(i) for i in ids]))
    for step, key in enumerate(sorted(step_of)):
        step_of[key] = step
    number = {request: i for i, request in enumerate(sorted({key[0] for key in step_of}))}
    if others:
        assume('%s is what a token uses; %s were left out' % (name, ', '.join(others)))
    assume('the file does not say which tokens are the prompt: all are read as generated, one request after the other')
    return [(step_of[request, position], number[request], position, 'D', layer, ids, None) for request, position, layer, ids in rows]


def flame_rows(tables, layers, sequence):
    """FLAME-MoE: indices and scores, a row per token, a file per layer."""
    rows, longest = [], {len(table['indices']) for table in tables}
    if len(longest) > 1:
        raise Wrong('the files have %s rows; each must have all tokens of its layer' % ' and '.join(map(str, sorted(longest))))
    for layer, table in zip(layers, tables):
        for token, (ids, scores) in enumerate(zip(table['indices'], table['scores'])):
            if len(ids) != len(scores):
                raise Wrong('layer %d, row %d: has %d indices, but %d scores' % (layer, token, len(ids), len(scores)))
            request, position = (token // sequence, token % sequence) if sequence else (0, token)
            rows.append((request, request, position, 'P', layer, [int(i) for i in ids], [float(s) for s in scores]))
    assume('rows are tokens of %s; all are of prompts; layers are %s, by the names of the files' % (
        'sequences of %d' % sequence if sequence else 'one sequence (--sequence N cuts it)', ', '.join(map(str, layers))))
    return rows


def parquet_rows(paths, sequence):
    import pyarrow.parquet
    tables = [pyarrow.parquet.read_table(path).to_pydict() for path in paths]
    if all({'prompt_id', 'pos', 'layer'} <= set(t) and any(re.fullmatch(r'top\d+_ids', n) for n in t) for t in tables):
        return cached_rows(tables)
    if all({'indices', 'scores'} <= set(t) for t in tables):
        layers = [int((re.findall(r'\d+', os.path.basename(path)) or ['0'])[-1]) for path in paths]
        if len(set(layers)) < len(layers):
            raise Wrong('the last numbers in the names of the files are their layers, but %s are not all different' % layers)
        return flame_rows(tables, layers, sequence)
    raise Wrong('%s: has columns %s; known are prompt_id, pos, layer, topN_ids (cachedMoE) and indices, scores (FLAME-MoE)' % (paths[0], ', '.join(tables[0])))


# ---- npz ----

def npz_arrays(path):
    """The names of the arrays of an .npz file; none: it is another zip archive."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [name[:-4] for name in archive.namelist() if name.endswith('.npy')]


def convert_npz(paths, out):
    """An array lies in the archive as the .npy file that it becomes, so it is taken out as it is."""
    if len(paths) > 1:
        raise Wrong('%s: of several .npz files none can be joined; convert one at a time' % paths[1])
    names = npz_arrays(paths[0])
    if 'routed_experts' not in names and len(names) > 1:
        raise Wrong('%s: has the arrays %s; none is called routed_experts, so save the one with the ids alone: numpy.save("x.npy", numpy.load("%s")["%s"])'
                    % (paths[0], ', '.join(names), os.path.basename(paths[0]), names[0]))
    if not out.endswith('.npy'):
        raise Wrong('%s: holds arrays; -o X.npy is what they become' % paths[0])
    name = 'routed_experts' if 'routed_experts' in names else names[0]
    try:
        with zipfile.ZipFile(paths[0]) as archive:
            data = archive.read(name + '.npy')
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as fault:
        raise Wrong('%s: %s cannot be read: %s' % (paths[0], name, fault))
    if not data.startswith(b'\x93NUMPY'):
        raise Wrong('%s: %s is no array as numpy.savez writes one' % (paths[0], name))
    if len(names) > 1:
        assume('%s is read; %s were left out' % (name, ', '.join(n for n in names if n != name)))
    with open(out, 'wb') as f:
        f.write(data)


# ---- torch ----

def load(path, trust):
    try:
        import torch
        return torch.load(path, map_location='cpu', weights_only=not trust)
    except ImportError:
        raise Wrong('%s: torch is needed to read it' % path)
    except Exception as fault:          # what torch raises for a pickle with anything else in it has changed over the versions
        raise Wrong('%s: %s%s' % (path, str(fault).splitlines()[0], '' if trust else ' (--trust reads any pickle, and runs what is in it)'))


def arrays(value, path):
    """One array [tokens, layers, k], and the lengths of requests where it was a list."""
    value = value.get('routed_experts', value) if isinstance(value, dict) else value
    if isinstance(value, (list, tuple)) and value and hasattr(value[0], 'tolist'):
        parts = [plain(v) for v in value]
        return [row for part in parts for row in part], [len(part) for part in parts]
    if hasattr(value, 'tolist'):
        return plain(value), None
    raise Wrong('%s: holds %s; known are recordings of SGLang, a tensor of ids or a list of them' % (path, type(value).__name__))


def convert_torch(paths, out, trust):
    values = [load(path, trust) for path in paths]
    if all(isinstance(v, dict) and 'records' in v for v in values):
        return save_csv(out, sglang_rows(values, [os.path.basename(path) for path in paths]))
    if len(values) > 1:
        raise Wrong('of several files only recordings with "records" can be joined')
    if isinstance(values[0], dict) and 'logical_count' in values[0]:
        if not out.endswith('.npy'):
            raise Wrong('%s: counts how often experts were used, but not by which token or when: it is no trace. -o X.npy keeps the counts [steps, layers, experts]' % paths[0])
        return save_npy(out, plain(values[0]['logical_count']))
    if not out.endswith('.npy'):
        raise Wrong('%s: holds arrays; -o X.npy is what they become' % paths[0])
    return save_npy(out, *arrays(values[0], paths[0]))


def magic_of(path):
    """How a file begins; what is none, or needs no converter, is said."""
    if os.path.isdir(path):
        raise Wrong('%s: is a folder, not a file' % path)
    with open(path, 'rb') as f:
        magic = f.read(8)
    if not magic:
        raise Wrong('%s: is empty' % path)
    if magic.startswith(b'\x93NUMPY'):
        raise Wrong('%s: is an array already; `expertsim trace import` reads it' % path)
    return magic


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('files', nargs='+', metavar='FILE')
    parser.add_argument('-o', '--out', required=True)
    parser.add_argument('--sequence', type=int, default=0, help='tokens of a sequence, where files hold many without saying so')
    parser.add_argument('--trust', action='store_true', help='read any pickle, and run what is in it')
    given = parser.parse_args()
    try:
        magic = [magic_of(path) for path in given.files][0]
        if magic.startswith(b'PAR1'):
            save_csv(given.out, parquet_rows(given.files, given.sequence))
        elif npz_arrays(given.files[0]):
            convert_npz(given.files, given.out)
        else:
            convert_torch(given.files, given.out, given.trust)
    except Wrong as fault:
        print('convert.py: %s' % fault, file=sys.stderr)
        sys.exit(2)
    except OSError as fault:
        print('convert.py: %s: %s' % (fault.filename, fault.strerror) if fault.filename else 'convert.py: %s' % fault, file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
