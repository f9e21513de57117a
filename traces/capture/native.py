"""Writes expertsim's native trace (../FORMAT.md) as a stream: step after step, in memory that does not grow.

    with Writer('trace.h5', model='name', layer_number=[0, 1], experts=64, top_k=8, weights=True) as trace:
        trace.step(request, position, phase, ids, weights=weights)

`ids` is [tokens, layers, top_k], -1 in empty places, which stand at the end of a row. Rows ascend by (request, position). What is
told here is checked by `expertsim trace check trace.h5`."""
import hashlib
import json
import os

import h5py
import numpy as np

NOBODY = 65535          # an empty place among ids, in the digest
NOWHERE = 2**32 - 1     # an empty place among positions
TOGETHER = 64 * 2**20   # bytes that go to the file at once
CHUNK = 2**20           # bytes of a chunk, less where the whole trace is shorter


class Writer:
    def __init__(self, path, *, model='', layer_number, experts, top_k, weights=False, guesses=0, confidence=False, attends=0,
                 expert_bytes=None, dense_bytes=None, provenance=None):
        self.path, self.layers, self.experts, self.top_k = path, len(layer_number), experts, top_k
        self.guesses, self.attends = guesses, attends
        self.narrow = experts <= 255
        self.keeps = {'weights': weights, 'guess': guesses > 0, 'guess_confidence': confidence, 'attention': attends > 0}
        self.model, self.provenance = model, provenance or {}
        self.steps = self.tokens = self.prompt = self.accesses = self.missing = 0
        self.requests = set()
        self.held, self.held_bytes, self.together = [], 0, TOGETHER
        self.sha = hashlib.sha256(b'expertsim-trace 1\n')
        self._say(np.array([self.layers, experts, top_k, guesses, *layer_number], '<u4'))
        for size in (expert_bytes, dense_bytes):
            self._say(np.array([size is not None], '<u4'))
            if size is not None:
                self._say(np.array(size, '<i8'))
        self.file = h5py.File(f'{path}.tmp', 'w')
        self._make(layer_number=np.array(layer_number, '<u4'), expert_bytes=expert_bytes and np.array(expert_bytes, '<i8'),
                   dense_bytes=dense_bytes and np.array(dense_bytes, '<i8'))

    def _say(self, array):
        self.sha.update(np.ascontiguousarray(array).tobytes())

    def _make(self, **arrays):
        for name, array in arrays.items():
            if array is not None:
                self.file.create_dataset(name, data=array, track_times=False)

    def _column(self, name, rows):
        """The first rows of a column; ids and tokens are read by every run and stay as they are, others are packed."""
        packed = name.startswith(('weights', 'guess', 'attention'))
        most = max(1, CHUNK // max(1, rows[0].nbytes))
        self.file.create_dataset(name, data=rows, maxshape=(None, *rows.shape[1:]), chunks=(min(most, len(rows)), *rows.shape[1:]), shuffle=packed,
                                 compression=4 if packed else None, track_times=False)

    def step(self, request, position, phase, ids, *, weights=None, guess=None, guess_confidence=None, attended=None, attention=None):
        """One forward pass. Shapes: [tokens]; ids and weights [tokens, layers, top_k]; guess [tokens, layers, guesses]; attended and
        attention [tokens, attends]. Phase 0 is the prompt, 1 what was generated; -1 is an empty place among ids and positions."""
        ids = np.asarray(ids)
        count = len(ids)
        if count == 0:
            return
        token = np.stack([np.asarray(x, '<u4') for x in (request, position, phase)], axis=1)
        wide = np.where(ids < 0, NOBODY, ids).astype('<u2')
        self._say(np.array([count], '<u4'))
        self._say(token)
        self._say(wide)
        kept = {'tokens/request': token[:, 0], 'tokens/position': token[:, 1], 'tokens/phase': token[:, 2].astype('u1'),
                'tokens/step': np.full(count, self.steps, '<u4'), 'ids': wide}
        if self.keeps['weights']:
            kept['weights'] = np.where(ids < 0, 0, weights).astype('<f4')
        if self.keeps['guess']:
            kept['guess'] = np.where(np.asarray(guess) < 0, NOBODY, guess).astype('<u2')
        if self.keeps['guess_confidence']:
            kept['guess_confidence'] = np.where(np.asarray(guess) < 0, 0, guess_confidence).astype('<f4')
        for name in ('weights', None, 'guess', 'guess_confidence'):     # None: residency, which nobody records here
            self._say(np.array([name in kept], '<u4'))
            if name in kept:
                self._say(kept[name])
        if self.keeps['attention']:
            kept['attention/position'] = np.where(np.asarray(attended) < 0, NOWHERE, attended).astype('<u4')
            kept['attention/weight'] = np.where(np.asarray(attended) < 0, 0, attention).astype('<f4')
            for name in ('attention/position', 'attention/weight'):
                self._say(np.array([1], '<u4'))
                self._say(kept[name])
        if self.narrow:
            for name in ('ids', 'guess'):
                if name in kept:
                    kept[name] = kept[name].astype('u1')        # 65535 becomes 255
        self._count(token, ids)
        self.held.append(kept)
        self.held_bytes += sum(rows.nbytes for rows in kept.values())
        if self.held_bytes >= self.together:
            self._flush()

    def _count(self, token, ids):
        self.steps += 1
        self.tokens += len(ids)
        self.prompt += int((token[:, 2] == 0).sum())
        self.requests.update(np.unique(token[:, 0]).tolist())
        self.accesses += int((ids >= 0).sum())
        self.missing += int((ids < 0).all(axis=2).sum())

    def _flush(self):
        for name in self.held[0] if self.held else ():
            rows = np.concatenate([kept[name] for kept in self.held])
            if name not in self.file:
                self._column(name, rows)
            else:
                dataset = self.file[name]
                dataset.resize(len(dataset) + len(rows), axis=0)
                dataset[-len(rows):] = rows
        self.held, self.held_bytes = [], 0

    def close(self):
        """The file gets its name when it is whole."""
        self._flush()
        if self.tokens == 0:
            self.abandon()
            raise ValueError(f'{self.path}: no token was recorded, so there is no trace')
        attributes = self.file.attrs
        for name, text in (('format', 'expertsim-trace'), ('model', self.model), ('sha256', self.sha.hexdigest()),
                           ('provenance', json.dumps(self.provenance))):
            attributes[name] = text
        for name, number in (('version', 1), ('layers', self.layers), ('experts', self.experts), ('top_k', self.top_k), ('tokens', self.tokens),
                             ('steps', self.steps), ('requests', len(self.requests)), ('prompt_tokens', self.prompt),
                             ('decode_tokens', self.tokens - self.prompt), ('accesses', self.accesses), ('missing_cells', self.missing),
                             ('synthetic', 0), ('uniform', 0)):
            attributes[name] = np.int64(number)
        self.file.close()
        os.replace(f'{self.path}.tmp', self.path)

    def abandon(self):
        self.file.close()
        os.remove(f'{self.path}.tmp')

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()
        else:
            self.abandon()
