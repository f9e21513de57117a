"""Records the routing of a transformers model while it generates.

    from transformers_hook import record
    with record(model, 'trace.h5'):
        model.generate(**tokenizer('Once upon a time', return_tensors='pt'), max_new_tokens=200)

Every forward pass becomes a step, every row of a batch a request; prompts and generated tokens are told apart, padding is left out,
and what follows a row's end-of-text token too. What is recorded is what the experts were really called with, hence the routing of
every model whose blocks hand (hidden states, expert ids, weights) to a module called `experts`: Mixtral, Qwen2-MoE, Qwen3-MoE, OLMoE,
DeepSeek-V2 and -V3, gpt-oss, and the encoder-decoder models Switch Transformers and NLLB-MoE (layers of the encoder come first, a
token has rows for its own half only, and one that found no place at its expert has none). Needs transformers 5 and h5py.

Ids stand in descending order of weight. More than the routing:

    candidates=N    rows list the N best experts instead of those used, those used first; weights are then the softmax over all
                    experts (N = all: full probabilities). Such a trace is replayed with a router that knows top_k.
    guesses=D       for each layer, what its gate answers to the input of the gate D MoE layers before: the guess of an engine that
                    prefetches with a stale hidden state; confidences are the softmax over all experts
    attention=M     the M positions that a token attends to most, mean over heads and layers (needs eager attention, which is set)
    about={...}     goes into the trace's provenance: what was generated from, seeds, licences

A pass over positions that were passed before (assisted generation, beams that reuse a cache) cannot stand in a trace and is refused."""
import contextlib
import inspect
import re

import numpy as np
import torch
import transformers

from native import Writer


def enough():
    """Blocks of transformers 4 call their experts one by one, and what they choose is seen nowhere."""
    if int(transformers.__version__.split('.')[0]) < 5:
        raise RuntimeError(f"transformers {transformers.__version__}: the hook needs transformers 5 or later, whose blocks hand the ids that they chose to "
                           "a module of experts; pip install 'transformers>=5'")


class Block:
    """One MoE layer of the model."""

    def __init__(self, name, module, number):
        self.name, self.number = name, number
        self.experts, self.gate = module.experts, getattr(module, 'gate', None) or getattr(module, 'router', None)
        self.masks = isinstance(self.experts, torch.nn.ModuleDict)         # ids come as 0 and 1 for each expert
        self.count = self.experts.num_experts
        self.stack = re.split(r'\.?(?:layers|block)\.\d+', name)[0]        # the module that has the layers: "model", "encoder", ...

    def layer_of(self, model):
        """The whole layer that the block is part of."""
        return model.get_submodule(re.match(r'(?:.*?\.)?(?:layers|block)\.\d+', self.name)[0])


def size_of(module):
    return sum(p.numel() * p.element_size() for p in module.parameters())


def blocks_of(model):
    found = []
    for name, module in model.named_modules():
        numbers = re.findall(r'(?:layers|block)\.(\d+)', name)
        if numbers and isinstance(getattr(module, 'experts', None), torch.nn.Module) and (hasattr(module, 'gate') or hasattr(module, 'router')):
            found.append(Block(name, module, int(numbers[0])))
    if not found:
        raise ValueError(f'{type(model).__name__}: no layer with a gate (or router) and experts, so there is no routing to record')
    if len({block.count for block in found}) > 1:
        raise ValueError(f'{type(model).__name__}: layers have {sorted({block.count for block in found})} experts; a trace has one number of them')
    stacks = list(dict.fromkeys(block.stack for block in found))
    before = 0                              # a decoder's layers are numbered behind its encoder's
    for stack in stacks:
        inside = re.compile(re.escape(stack) + r'\.(?:layers|block)\.(\d+)')
        for block in found:
            block.number += before if block.stack == stack else 0
        before += 1 + max(int(inside.match(name)[1]) for name, _ in model.named_modules() if inside.match(name))
    return found, stacks


def selected(block, ids, weights):
    """What the experts were called with, as ids [tokens, k] in descending order of weight, -1 for a place without an expert."""
    if block.masks:                         # Switch: ids are 0 or 1 by expert, one weight; NLLB: a weight by expert, 0 for the others
        mask = ids.reshape(-1, ids.shape[-1]).float()
        by_expert = weights.reshape(-1, weights.shape[-1]).float()
        by_expert = mask * by_expert if by_expert.shape[-1] == 1 else by_expert
        weights, ids = by_expert.topk(block.width)
        ids = ids.masked_fill(weights <= 0, -1)
    elif weights.shape[-1] != ids.shape[-1]:                               # a weight by expert
        weights = weights.gather(-1, ids)
    weights, order = weights.float().sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, order)
    return ids.cpu().numpy(), weights.cpu().numpy()


def ranked(logits, ids, width):
    """The `width` first experts, those of `ids` [tokens, k] before all others, the others by logit; and their softmax over all."""
    logits = logits.float()
    place = logits.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    chosen = torch.as_tensor(ids, device=logits.device)
    for k in range(chosen.shape[-1]):
        place.scatter_(-1, chosen[:, k:k + 1].clamp(min=0), k - chosen.shape[-1])
    best = place.argsort(dim=-1)[:, :width]
    return best.cpu().numpy(), logits.softmax(-1).gather(-1, best).cpu().numpy()


class Row:
    """One sequence of a batch: a request."""

    def __init__(self, request, position):
        self.request, self.position = request, position
        self.at = []                # [column of the cache]: the position that stands there, -1 for padding
        self.generates = self.ended = False


class Recorder:
    def __init__(self, model, path, candidates, guesses, attention, about):
        self.model, self.path, self.about = model, path, about
        self.candidates, self.ahead, self.attends = candidates, guesses, attention
        self.blocks, self.stacks = blocks_of(model)
        self.experts = self.blocks[0].count
        for block in self.blocks:
            block.width = 2 if type(block.gate).__name__.startswith('NllbMoe') else 1       # of masks; others say it by their shape
        if candidates > self.experts or candidates < 0:
            raise ValueError(f'candidates={candidates}: the layers have {self.experts} experts')
        if (candidates or guesses) and self.blocks[0].masks:
            raise ValueError(f'{type(model).__name__}: candidates and guesses are not known of models whose gates answer with masks')
        ends = getattr(model, 'generation_config', None) and model.generation_config.eos_token_id
        self.ends = set(ends if isinstance(ends, (list, tuple)) else [ends]) - {None}
        self.encodes = bool(getattr(model.config, 'is_encoder_decoder', False))
        self.rows, self.columns, self.requests, self.writer, self.hooks = [], 0, 0, None, []
        self.call = None            # the pass that is going on

    # --- hooks ---

    def hook(self):
        for stack in self.stacks:
            module = self.model.get_submodule(stack)
            names = list(inspect.signature(module.forward).parameters)
            own = [block for block in self.blocks if block.stack == stack]
            self.hooks.append(module.register_forward_pre_hook(lambda _, args, named, names=names: self.begin({**dict(zip(names, args)), **named}), with_kwargs=True))
            self.hooks.append(module.register_forward_hook(lambda _, args, out, own=own: self.end(own)))
            for n, block in enumerate(own):
                later = own[n + self.ahead] if self.ahead and n + self.ahead < len(own) else None
                self.hooks.append(block.experts.register_forward_pre_hook(lambda _, args, named, block=block: self.routed(block, [*args, *named.values()]), with_kwargs=True))
                if self.candidates or self.ahead:
                    self.hooks.append(block.gate.register_forward_hook(lambda _, args, out, block=block, later=later: self.gated(block, later, args[0], out)))
                if self.attends:
                    self.hooks.append(block.layer_of(self.model).self_attn.register_forward_hook(lambda _, args, out: self.attended(out)))

    def unhook(self):
        for hook in self.hooks:
            hook.remove()

    def routed(self, block, args):
        self.call['routed'][block.name] = selected(block, args[1], args[2])

    def gated(self, block, later, hidden, out):
        self.call['logits'][block.name] = out[0]
        if later is not None:
            with torch.no_grad():
                logits, _, ids = later.gate.forward(hidden)
            self.call['guess'][later.name] = ranked(logits, ids.cpu().numpy(), ids.shape[-1])

    def attended(self, out):
        if not isinstance(out, tuple) or out[1] is None:
            raise RuntimeError('the attention layers do not give their weights; attention=M needs a model that has eager attention')
        self.call['attention'].append(out[1].float().mean(1))

    # --- a pass ---

    def begin(self, args):
        """Which tokens are these?"""
        given = next(args[name] for name in ('input_ids', 'inputs_embeds', 'decoder_input_ids') if args.get(name) is not None)
        batch, width = given.shape[:2]
        cache = args.get('past_key_values')
        past = int(cache.get_seq_length()) if cache is not None else 0
        decodes = self.encodes and ('encoder_hidden_states' in args and args['encoder_hidden_states'] is not None)
        if decodes and past == 0:
            if batch != len(self.rows):
                raise RuntimeError(f'{batch} rows are decoded of {len(self.rows)} that were encoded: beams cannot stand in a trace')
            self.columns = 0
        elif past == 0:
            self.rows = [Row(self.requests + n, 0) for n in range(batch)]
            self.requests += batch
            self.columns = 0
        elif not self.rows:
            self.rows = [Row(n, past) for n in range(batch)]
            for row in self.rows:
                row.at = list(range(past))
            self.requests, self.columns = batch, past
        elif past != self.columns or batch != len(self.rows):
            raise RuntimeError(f'a pass begins at position {past} with {batch} rows where {self.columns} with {len(self.rows)} are expected: '
                               'assisted generation, beams and caches shared between calls cannot stand in a trace')
        mask = args.get('attention_mask')
        mask = mask[:, -width:].bool().tolist() if isinstance(mask, torch.Tensor) and mask.dim() == 2 and mask.shape[1] >= width else [[True] * width] * batch
        tokens = []                         # (row, number in the flattened batch, position, phase)
        for n, row in enumerate(self.rows):
            generates = row.generates or (width == 1 and (past > 0 or decodes))
            for column in range(width):
                if generates and given.dim() == 2 and int(given[n, column]) in self.ends and past > 0:
                    row.ended = True
                real = mask[n][column] and not row.ended
                row.at.append(row.position if real else -1)
                if real:
                    tokens.append((row, n * width + column, row.position, int(generates)))
                    row.position += 1
            row.generates = generates
        self.columns += width
        self.call = {'tokens': tokens, 'width': width, 'routed': {}, 'logits': {}, 'guess': {}, 'attention': []}

    def end(self, own):
        call, self.call = self.call, None
        if not call['routed']:
            raise RuntimeError(f'{own[0].name}: its experts were never called; a kernel that replaces the whole block hides the routing')
        if not call['tokens']:
            return
        if self.writer is None:
            self.open(call)
        tokens, writer = call['tokens'], self.writer
        pick = [number for _, number, _, _ in tokens]
        ids = np.full((len(tokens), writer.layers, writer.top_k), -1, np.int64)
        weights = np.zeros(ids.shape, np.float32)
        guess = np.full((len(tokens), writer.layers, writer.guesses), -1, np.int64)
        sure = np.zeros(guess.shape, np.float32)
        for layer, block in enumerate(self.blocks):
            if block.name in call['routed']:
                used, weight = call['routed'][block.name]
                if self.candidates:
                    used, weight = ranked(call['logits'][block.name], used, self.candidates)
                ids[:, layer], weights[:, layer] = used[pick], weight[pick]
            if block.name in call['guess']:
                guessed, confidence = call['guess'][block.name]
                guess[:, layer], sure[:, layer] = guessed[pick], confidence[pick]
        more = {'guess': guess, 'guess_confidence': sure} if self.ahead else {}
        if self.attends:
            more['attended'], more['attention'] = self.positions(call)
        request, position, phase = zip(*[(row.request, position, phase) for row, _, position, phase in tokens])
        writer.step(request, position, phase, ids, weights=weights, **more)

    def positions(self, call):
        """The most attended positions of each token: columns of the cache, told by the positions that stand there."""
        mean = torch.stack(call['attention']).mean(0).flatten(0, 1).cpu().numpy()
        where = np.full((len(call['tokens']), self.attends), -1, np.int64)
        weight = np.zeros(where.shape, np.float32)
        for n, (row, number, position, _) in enumerate(call['tokens']):
            at = np.array(row.at)[:mean.shape[1]]
            share = np.where((at >= 0) & (at <= position), mean[number, :len(at)], 0)
            best = np.argsort(-share, kind='stable')[:self.attends]
            best = best[share[best] > 0]
            where[n, :len(best)], weight[n, :len(best)] = at[best], np.minimum(share[best], 1)
        return where, weight

    def open(self, call):
        used, _ = next(iter(call['routed'].values()))
        config = self.model.config
        sizes = [size_of(block.experts) // self.experts for block in self.blocks]
        said = {'from': 'transformers', 'transformers': transformers.__version__, 'torch': torch.__version__, 'model_type': config.model_type,
                'class': type(self.model).__name__, 'top_k': used.shape[-1], 'order': 'descending weight',
                'weights': 'softmax over all experts' if self.candidates else 'as the experts were scaled', **self.about}
        if self.ahead:
            said['guesses'] = f'the gate of each layer, asked with the input of the gate {self.ahead} MoE layers before'
        self.writer = Writer(
            self.path, model=config.name_or_path or config.model_type, layer_number=[block.number for block in self.blocks], experts=self.experts,
            top_k=self.candidates or used.shape[-1], weights=True, guesses=used.shape[-1] if self.ahead else 0, confidence=bool(self.ahead),
            attends=self.attends, expert_bytes=sizes, provenance=said,
            dense_bytes=[size_of(block.layer_of(self.model)) - size_of(block.experts) for block in self.blocks])


@contextlib.contextmanager
def record(model, path, *, candidates=0, guesses=0, attention=0, about=None):
    """Records every pass of `model` within the `with` into `path`, which is there when it ends without an error."""
    enough()
    recorder = Recorder(model, path, candidates, guesses, attention, about or {})
    before = model.config._attn_implementation
    if attention:
        model.set_attn_implementation('eager')
    recorder.hook()
    try:
        yield recorder
        if recorder.writer is None:
            raise ValueError(f'{path}: the model was not called, so nothing was recorded')
        recorder.writer.close()
    except BaseException:
        if recorder.writer is not None and recorder.writer.file:
            recorder.writer.abandon()
        raise
    finally:
        recorder.unhook()
        if attention:
            model.set_attn_implementation(before)
