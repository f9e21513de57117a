#!/usr/bin/env python3
"""Trains a small Mixture-of-Experts language model from scratch on text that any Debian machine has.

    train.py --model olmoe --out FOLDER [--steps 2000] [--device cpu|cuda]

The models are transformers' own classes with small configs (MODELS below), so that their routers are those of the published models;
the text is what stands in /usr/share/man, /usr/share/doc, /usr/include and Python's library, a share of each kind. FOLDER gets the
model, its tokenizer and log.jsonl: loss on held-out files, and how evenly tokens are spread over experts (load: entropy of the
layer's choices over that of a uniform choice, and the most used expert over the mean). A run that was stopped goes on where its last
checkpoint stands. record.py then records generations of it.

Needs: pip install torch transformers h5py"""
import argparse
import gzip
import hashlib
import json
import math
import os
import pathlib
import random
import time

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GptOssConfig, GptOssForCausalLM, MixtralConfig, MixtralForCausalLM, OlmoeConfig, OlmoeForCausalLM

VOCABULARY = 2048
CONTEXT = 128
KINDS = {       # where a kind of text lies, and what its files are called
    'man': ('/usr/share/man/man1', '.gz'),
    'doc': ('/usr/share/doc', ('README', 'README.gz', 'README.md', 'README.Debian', 'NEWS.gz', 'changelog.gz', 'FAQ', '.txt', '.txt.gz')),
    'c': ('/usr/include', '.h'),
    'python': ('/usr/lib/python3.11', '.py'),
}
PER_KIND = 6_000_000        # bytes
HELD_OUT = 16               # one file of so many is never trained on

MODELS = {
    'gpt-oss': lambda: GptOssForCausalLM(GptOssConfig(       # layers, experts and top-k of gpt-oss-20b, everything else narrow
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=32, num_hidden_layers=24, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        num_local_experts=32, num_experts_per_tok=4, max_position_embeddings=512, sliding_window=64, router_aux_loss_coef=0.0,
        output_router_logits=True, tie_word_embeddings=True, pad_token_id=0, bos_token_id=0, eos_token_id=0)),
    'olmoe': lambda: OlmoeForCausalLM(OlmoeConfig(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=64, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=4,
        num_experts=32, num_experts_per_tok=4, max_position_embeddings=512, router_aux_loss_coef=0.01, output_router_logits=True,
        tie_word_embeddings=True, pad_token_id=0, bos_token_id=0, eos_token_id=0)),
    'mixtral': lambda: MixtralForCausalLM(MixtralConfig(
        vocab_size=VOCABULARY, hidden_size=96, intermediate_size=64, num_hidden_layers=12, num_attention_heads=4, num_key_value_heads=2,
        num_local_experts=64, num_experts_per_tok=2, max_position_embeddings=512, router_aux_loss_coef=0.01, output_router_logits=True,
        sliding_window=None, tie_word_embeddings=True, pad_token_id=0, bos_token_id=0, eos_token_id=0)),
}

# The balance loss of every layer for itself, added up, as Switch Transformers has it (Fedus et al. 2021, equation 4). That of transformers, with
# which the others were trained, is one mean over all layers, and lets each be as uneven as it likes.
BALANCE = {'gpt-oss': 0.01}


def read(path):
    data = gzip.open(path).read() if path.name.endswith('.gz') else path.read_bytes()
    return data[:100_000].decode('utf-8', 'replace')


def files_of(kind):
    """The files of a kind, in an order that does not depend on the file system; no content twice."""
    root, ends = KINDS[kind]
    paths = [p for p in pathlib.Path(root).rglob('*') if p.name.endswith(ends) and p.is_file() and not p.is_symlink()]
    seen = set()
    for path in sorted(paths, key=lambda p: hashlib.sha256(str(p).encode()).digest()):
        try:
            text = read(path)
        except OSError:
            continue
        digest = hashlib.sha256(text.encode()).digest()
        if len(text) >= 1000 and digest not in seen:
            seen.add(digest)
            yield path, text


def corpus():
    """{kind: (texts to train on, texts held out)}"""
    kinds = {}
    for kind in KINDS:
        train, held_out, size = [], [], 0
        for n, (path, text) in enumerate(files_of(kind)):
            (held_out if n % HELD_OUT == 0 else train).append(text)
            size += len(text)
            if size > PER_KIND:
                break
        kinds[kind] = train, held_out
    return kinds


def tokenizer_of(folder, kinds):
    if not (folder / 'vocab.json').exists():
        made = ByteLevelBPETokenizer()
        made.train_from_iterator((text for train, _ in kinds.values() for text in train), vocab_size=VOCABULARY, special_tokens=['<end>'],
                                 show_progress=False)
        made.save_model(str(folder))
    return ByteLevelBPETokenizer(str(folder / 'vocab.json'), str(folder / 'merges.txt'))


def stream_of(tokenizer, texts):
    """All texts as one row of tokens, <end> between them."""
    ids = []
    for encoded in tokenizer.encode_batch(texts):
        ids += [0] + encoded.ids
    return torch.tensor(ids)


def windows(stream, count, chance):
    starts = [chance.randrange(len(stream) - CONTEXT) for _ in range(count)]
    return torch.stack([stream[s:s + CONTEXT] for s in starts])


def load_of(logits, top_k):
    """How evenly a layer's choices fall: entropy as a share of the largest possible, and the most used expert over the mean."""
    used = torch.bincount(logits.topk(top_k, dim=-1).indices.flatten(), minlength=logits.shape[-1]).double()
    share = used / used.sum()
    entropy = -(share[share > 0] * share[share > 0].log()).sum() / math.log(len(share))
    return entropy.item(), (used.max() / used.mean()).item()


def unevenness(logits, top_k):
    """1 where a layer's choices and chances are even, up to experts / top_k where all go to the same."""
    experts = logits.shape[-1]
    used = torch.zeros_like(logits).scatter_(-1, logits.topk(top_k, dim=-1).indices, 1 / top_k).mean(0)
    return experts * (used * logits.softmax(-1).mean(0)).sum()


@torch.no_grad()
def report_of(model, held_out, device):
    """Loss on held-out text by kind, and the load of each layer over all of it."""
    model.eval()
    top_k, losses, logits = model.config.num_experts_per_tok, {}, []
    for kind, stream in held_out.items():
        batch = windows(stream, 32, random.Random(1)).to(device)
        out = model(input_ids=batch)
        losses[kind] = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten()).item()
        logits.append(out.router_logits)
    loads = [load_of(torch.cat(layer), top_k) for layer in zip(*logits)]
    model.train()
    return {'loss': {kind: round(loss, 4) for kind, loss in losses.items()}, 'load_entropy': [round(load[0], 4) for load in loads],
            'load_most': [round(load[1], 2) for load in loads]}


def rate(step, steps, most):
    """Warm up, hold, fall linearly over the last fifth: the run can be stopped and prolonged before that."""
    return most * min(1.0, (step + 1) / 100, (steps - step) / (0.2 * steps))


def save(folder, model, optimizer, step):
    torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict(), 'step': step, 'chance': torch.get_rng_state()}, folder / 'checkpoint.new')
    os.replace(folder / 'checkpoint.new', folder / 'checkpoint')


def train(args, folder, model, optimizer, streams, held_out):
    first = 0
    if (folder / 'checkpoint').exists():
        kept = torch.load(folder / 'checkpoint', map_location=args.device)
        model.load_state_dict(kept['model'])
        optimizer.load_state_dict(kept['optimizer'])
        first = kept['step']
    began = time.time()
    for step in range(first, args.steps):
        chance = random.Random(f'{args.seed} {step}')
        batch = torch.cat([windows(stream, args.batch // len(streams), chance) for stream in streams.values()]).to(args.device)
        for group in optimizer.param_groups:
            group['lr'] = rate(step, args.steps, args.rate)
        out = model(input_ids=batch, labels=batch)
        balance = sum(unevenness(logits.flatten(0, -2), model.config.num_experts_per_tok) for logits in out.router_logits)
        loss = out.loss + BALANCE.get(args.model, 0.0) * balance
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            said = {'step': step + 1, 'tokens': (step + 1) * batch.numel(), 'train_loss': round(loss.item(), 4), **report_of(model, held_out, args.device)}
            with open(folder / 'log.jsonl', 'a') as log:
                log.write(json.dumps(said) + '\n')
            print(f'{time.time() - began:.0f} s', json.dumps(said), flush=True)
            save(folder, model, optimizer, step + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', choices=MODELS, default='olmoe')
    parser.add_argument('--out', required=True)
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--batch', type=int, default=32, help='windows of 128 tokens')
    parser.add_argument('--rate', type=float, default=2e-3)
    parser.add_argument('--every', type=int, default=100, help='steps between reports and checkpoints')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    folder = pathlib.Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = corpus()
    tokenizer = tokenizer_of(folder, kinds)
    streams = {kind: stream_of(tokenizer, texts) for kind, (texts, _) in kinds.items()}
    held_out = {kind: stream_of(tokenizer, texts) for kind, (_, texts) in kinds.items()}
    print({kind: len(stream) for kind, stream in streams.items()}, flush=True)
    torch.manual_seed(args.seed)
    model = MODELS[args.model]()
    model.set_experts_implementation('grouped_mm')
    model.to(args.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), args.rate, betas=(0.9, 0.95), weight_decay=0.1)
    (folder / 'model.json').write_text(json.dumps({
        'model': args.model, 'parameters': sum(p.numel() for p in model.parameters()), 'vocabulary': VOCABULARY, 'context': CONTEXT, 'steps': args.steps,
        'batch': args.batch, 'rate': args.rate, 'seed': args.seed, 'tokens_by_kind': {kind: len(stream) for kind, stream in streams.items()}}))
    train(args, folder, model, optimizer, streams, held_out)


if __name__ == '__main__':
    main()
