"""The hook of traces/capture against transformers models built from small configs: what it records is what the models do.

Skipped where PyTorch, transformers or h5py is absent (`sh setup.sh torch` makes an environment with them; EXPERTSIM_TORCH names its
Python). With transformers 4 the hook refuses, and that is all that is tried."""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(ROOT, 'traces', 'capture')]
if os.environ.get('EXPERTSIM_TORCH') and os.environ['EXPERTSIM_TORCH'] != sys.executable:
    os.execv(os.environ['EXPERTSIM_TORCH'], [os.environ['EXPERTSIM_TORCH'], *sys.argv])
import tool

try:
    import h5py
    import numpy as np
    import torch
    import transformers as T
except ImportError as missing:
    print('SKIP: the hook needs PyTorch, transformers and h5py:', missing)
    sys.exit(77)
from native import Writer
from transformers_hook import record

T.logging.set_verbosity_error()
COMMON = dict(vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=128, pad_token_id=0, bos_token_id=1,
              eos_token_id=2)
LATENT = dict(kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8, num_key_value_heads=4)
DEEP = dict(COMMON, **LATENT, intermediate_size=32, moe_intermediate_size=16, n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=4,
            first_k_dense_replace=1)
ENDS = dict(vocab_size=97, num_experts=8, decoder_start_token_id=0, pad_token_id=0, eos_token_id=2)
DECODERS = {
    'mixtral': lambda: T.MixtralForCausalLM(T.MixtralConfig(**COMMON, intermediate_size=16, num_key_value_heads=2, num_local_experts=8,
                                                            num_experts_per_tok=2)),
    'olmoe': lambda: T.OlmoeForCausalLM(T.OlmoeConfig(**COMMON, intermediate_size=16, num_key_value_heads=4, num_experts=16, num_experts_per_tok=4)),
    'qwen2_moe': lambda: T.Qwen2MoeForCausalLM(T.Qwen2MoeConfig(
        **COMMON, intermediate_size=32, moe_intermediate_size=16, shared_expert_intermediate_size=16, num_key_value_heads=2, num_experts=12,
        num_experts_per_tok=4, mlp_only_layers=[0])),
    'qwen3_moe': lambda: T.Qwen3MoeForCausalLM(T.Qwen3MoeConfig(
        **COMMON, intermediate_size=32, moe_intermediate_size=16, num_key_value_heads=2, head_dim=8, num_experts=12, num_experts_per_tok=4)),
    'deepseek_v2': lambda: T.DeepseekV2ForCausalLM(T.DeepseekV2Config(**DEEP, q_lora_rank=None, topk_method='greedy', n_group=1, topk_group=1)),
    'deepseek_v3': lambda: T.DeepseekV3ForCausalLM(T.DeepseekV3Config(**DEEP, q_lora_rank=16, n_group=4, topk_group=2)),
    'gpt_oss': lambda: T.GptOssForCausalLM(T.GptOssConfig(**COMMON, intermediate_size=16, num_key_value_heads=2, head_dim=8, num_local_experts=8,
                                                          num_experts_per_tok=4)),
}
LAYERS = {name: [1, 2] if name.startswith(('qwen2', 'deepseek')) else [0, 1, 2] for name in DECODERS}
SOFTMAX = ('mixtral', 'olmoe', 'qwen2_moe', 'qwen3_moe')        # their choice follows from the logits that they give out


class Trace:
    def __init__(self, path):
        with h5py.File(path) as f:
            self.attrs = dict(f.attrs)
            for name in ('request', 'position', 'phase', 'step'):
                setattr(self, name, f['tokens'][name][:])
            self.layer_number = f['layer_number'][:].tolist()
            ids = f['ids'][:].astype(int)
            self.ids = np.where(ids == (255 if self.attrs['experts'] <= 255 else 65535), -1, ids)
            self.weights = f['weights'][:]
            self.more = {name: f[name][:] for name in ('guess', 'guess_confidence', 'attention/position', 'attention/weight') if name in f}

    def rows(self, request):
        """(positions, phases, ids, weights) of a request."""
        own = self.request == request
        return self.position[own].tolist(), self.phase[own].tolist(), self.ids[own].tolist(), self.weights[own]


def made(name, seed=3):
    torch.manual_seed(seed)
    return DECODERS[name]().eval()


def generated(model, folder, ids, mask=None, tokens=12, **more):
    """The sequences, and the trace of it, which the tool finds whole."""
    path = os.path.join(folder, 'trace.h5')
    torch.manual_seed(5)
    with record(model, path, **more):
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids) if mask is None else mask, max_new_tokens=tokens, do_sample=True)
    tool.command([tool.TOOL, 'trace', 'check', path])
    return out, Trace(path)


def one_pass(model, ids):
    """Logits of the routers over whole sequences, as the model itself gives them out: [layers][tokens, experts]."""
    with torch.no_grad():
        return model(input_ids=ids, output_router_logits=True).router_logits


def families(check, folder):
    for name in DECODERS:
        model = made(name)
        model.generation_config.eos_token_id = None
        prompt = torch.arange(5, 14)[None]
        out, trace = generated(model, folder, prompt)
        position, phase, ids, weights = trace.rows(0)
        check.equal(name + ': positions', position, list(range(20)))               # the last token is never routed
        check.equal(name + ': phases', phase, [0] * 9 + [1] * 11)
        check.equal(name + ': steps', trace.step.tolist(), [0] * 9 + list(range(1, 12)))
        check.equal(name + ': layers', trace.layer_number, LAYERS[name])
        check.equal(name + ': descending weights', bool((np.diff(weights, axis=2) <= 0).all()), True)
        check.equal(name + ': provenance', json.loads(trace.attrs['provenance'])['model_type'], model.config.model_type)
        with record(model, os.path.join(folder, 'whole.h5')):
            with torch.no_grad():
                model(input_ids=out[:, :-1])
        whole = Trace(os.path.join(folder, 'whole.h5'))
        check.equal(name + ': token by token as in one pass', np.sort(trace.ids).tolist(), np.sort(whole.ids).tolist())
        check.equal(name + ': one pass is a prompt', whole.phase.tolist(), [0] * 20)
        if name in SOFTMAX:
            logits = one_pass(model, out[:, :-1])
            for layer, own in enumerate(logits):
                share, best = own.float().softmax(-1).topk(trace.ids.shape[2])
                if name == 'mixtral' or getattr(model.config, 'norm_topk_prob', False):
                    share = share / share.sum(-1, keepdim=True)
                check.equal('%s: choice of layer %d' % (name, layer), [row[layer] for row in ids], best.tolist())
                check.equal('%s: weights of layer %d' % (name, layer), bool(np.allclose(weights[:, layer], share, atol=1e-5)), True)
        experts = model.get_submodule('model.layers.%d.mlp.experts' % LAYERS[name][-1])
        with h5py.File(os.path.join(folder, 'trace.h5')) as f:
            size = sum(p.numel() * 4 for p in experts.parameters()) // int(f.attrs['experts'])
            check.equal(name + ': bytes of an expert', f['expert_bytes'][:].tolist(), [size] * len(LAYERS[name]))


def batches(check, folder):
    """Rows of a padded batch are routed as they are alone; what follows the end of a text is not theirs."""
    some = False
    for name in ('mixtral', 'deepseek_v3'):
        model = made(name)
        model.generation_config.eos_token_id = list(range(20, 30))
        ids = torch.arange(40, 58).reshape(2, 9)
        mask = torch.ones_like(ids)
        mask[1, :4], ids[1, :4] = 0, 0
        out, trace = generated(model, folder, ids, mask, tokens=30)
        for request in (0, 1):
            text = out[request][9 - int(mask[request].sum()):].tolist()
            prompt = int(mask[request].sum())
            ends = [n for n in range(prompt, len(text)) if text[n] in range(20, 30)]
            length = ends[0] if ends else len(text) - 1                    # an end is not routed, nor is what was sampled last
            alone = os.path.join(folder, 'alone.h5')
            with record(model, alone), torch.no_grad():
                model(input_ids=torch.tensor([text[:length]]))
            position, phase, got, _ = trace.rows(request)
            check.equal('%s: positions of request %d' % (name, request), position, list(range(length)))
            check.equal('%s: phases of request %d' % (name, request), phase, [0] * prompt + [1] * (length - prompt))
            check.equal('%s: routing of request %d' % (name, request), np.sort(got).tolist(), np.sort(Trace(alone).ids).tolist())
        some |= len(set(np.bincount(trace.request).tolist())) > 1
    check.equal('one ended before the other', some, True)
    model, path = made('olmoe'), os.path.join(folder, 'several.h5')
    with record(model, path):
        for n in range(3):
            model.generate(input_ids=torch.arange(5, 9 + n)[None], max_new_tokens=4, min_new_tokens=4)
    trace = Trace(path)
    check.equal('requests one after the other', np.bincount(trace.request).tolist(), [7, 8, 9])
    check.equal('their passes', trace.attrs['steps'], 12)


def candidates(check, folder):
    for name in ('olmoe', 'deepseek_v3'):
        model = made(name)
        model.generation_config.eos_token_id = None
        prompt = torch.arange(5, 14)[None]
        _, plain = generated(model, folder, prompt)
        _, full = generated(model, folder, prompt, candidates=16)
        used = plain.ids.shape[2]
        check.equal(name + ': those used come first', np.sort(full.ids[:, :, :used]).tolist(), np.sort(plain.ids).tolist())
        check.equal(name + ': every expert is there', np.sort(full.ids).tolist(), [[list(range(16))] * plain.ids.shape[1]] * len(plain.ids))
        check.equal(name + ': their weights are a distribution', bool(np.allclose(full.weights.sum(axis=2), 1, atol=1e-5)), True)
        rest = full.weights[:, :, used:]
        check.equal(name + ': the others by weight', bool((np.diff(rest, axis=2) <= 0).all()), True)


def guesses(check, folder):
    """A guess for a layer is what its gate says to what the gate before it was given."""
    for ahead in (1, 2):
        model, given = made('qwen3_moe'), {}
        model.generation_config.eos_token_id = None
        gates = [layer.mlp.gate for layer in model.model.layers]
        hooks = [gate.register_forward_pre_hook(lambda _, args, n=n: given.setdefault(n, []).append(args[0].detach())) for n, gate in enumerate(gates)]
        _, trace = generated(model, folder, torch.arange(5, 14)[None], guesses=ahead)
        for hook in hooks:
            hook.remove()
        guess, sure = trace.more['guess'].astype(int), trace.more['guess_confidence']
        check.equal('no guess for the first layers', (guess[:, :ahead] == 255).all(), True)
        for layer in range(ahead, 3):
            with torch.no_grad():
                logits = torch.cat(given[layer - ahead]) @ gates[layer].weight.T
            share, best = logits.softmax(-1).topk(guess.shape[2])
            check.equal('guess for layer %d, %d ahead' % (layer, ahead), guess[:, layer].tolist(), best.tolist())
            check.equal('its confidence', bool(np.allclose(sure[:, layer], share, atol=1e-5)), True)


def attention(check, folder):
    model = made('mixtral')
    model.set_attn_implementation('sdpa')
    model.generation_config.eos_token_id = None
    ids = torch.arange(40, 58).reshape(2, 9)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    out, trace = generated(model, folder, ids, mask, attention=3)
    check.equal('the attention is as it was before', model.config._attn_implementation, 'sdpa')
    model.set_attn_implementation('eager')
    for request, first in ((0, 0), (1, 4)):
        with torch.no_grad():
            layers = model(input_ids=out[request:request + 1, first:-1], output_attentions=True).attentions
        mean = torch.stack(layers).mean((0, 2))[0].numpy()
        own = trace.request == request
        where, weight = trace.more['attention/position'][own].astype(int), trace.more['attention/weight'][own]
        for t in range(len(mean)):
            best = np.argsort(-mean[t, :t + 1], kind='stable')[:3]
            check.equal('what token %d of request %d attends to' % (t, request), sorted(where[t, :len(best)].tolist()), sorted(best.tolist()))
            check.equal('how much', bool(np.allclose(np.sort(weight[t, :len(best)]), np.sort(mean[t][best]), atol=1e-5)), True)


def encoders(check, folder):
    """Encoder layers first; a token has rows in its own half; who finds no place has none."""
    torch.manual_seed(3)
    model = T.SwitchTransformersForConditionalGeneration(T.SwitchTransformersConfig(
        **ENDS, d_model=32, d_kv=8, d_ff=32, num_heads=4, num_layers=4, num_decoder_layers=4, num_sparse_encoder_layers=2, num_sparse_decoder_layers=2,
        expert_capacity=2)).eval()
    model.generation_config.eos_token_id = None
    ids = torch.arange(5, 25)[None]
    _, trace = generated(model, folder, ids)
    check.equal('switch: layers', trace.layer_number, [1, 3, 5, 7])
    check.equal('switch: phases', trace.phase.tolist(), [0] * 20 + [1] * 12)
    check.equal('switch: no row of the other half', (trace.ids[:20, 2:] < 0).all() and (trace.ids[20:, :2] < 0).all(), True)
    routers = [layer.layer[-1].mlp.router for layer in model.encoder.block if hasattr(layer.layer[-1].mlp, 'router')]
    given = []
    hooks = [router.register_forward_hook(lambda _, args, out: given.append(out[2].detach()[0])) for router in routers]
    with torch.no_grad():
        model.encoder(input_ids=ids)
    for hook in hooks:
        hook.remove()
    dropped = 0
    for layer, logits in enumerate(given):
        filled, want = [0] * 8, []
        for token in logits.argmax(-1).tolist():
            filled[token] += 1
            want.append(token if filled[token] <= 2 else -1)
        dropped += want.count(-1)
        check.equal('switch: choice of encoder layer %d' % layer, trace.ids[:20, layer, 0].tolist(), want)
    check.equal('switch: some found no place', dropped > 0, True)
    torch.manual_seed(3)
    model = T.NllbMoeForConditionalGeneration(T.NllbMoeConfig(
        **ENDS, d_model=32, encoder_layers=4, decoder_layers=4, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=16,
        decoder_ffn_dim=16, expert_capacity=64, encoder_sparse_step=2, decoder_sparse_step=2, max_position_embeddings=128)).eval()
    model.generation_config.eos_token_id = None
    _, trace = generated(model, folder, ids)
    check.equal('nllb: top-2 of 8', (trace.attrs['experts'], trace.ids.shape[2]), (8, 2))
    check.equal('nllb: all placed', bool((trace.ids[:20, :2] >= 0).all() and (trace.ids[20:, 2:] >= 0).all()), True)


def refused(check, folder):
    def says(what, words, body):
        path = os.path.join(folder, 'refused.h5')
        try:
            body(path)
            check.equal(what, 'no error', words)
        except (RuntimeError, ValueError) as error:
            check.equal(what, words if words in str(error) else str(error), words)
        check.equal(what + ': no file is left', [n for n in os.listdir(folder) if n.startswith('refused')], [])

    def dense(path):
        model = T.LlamaForCausalLM(T.LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4))
        with record(model, path):
            pass

    def idle(path):
        with record(made('mixtral'), path):
            pass

    def assisted(path):
        model = made('mixtral')
        with record(model, path):
            model.generate(input_ids=torch.arange(5, 14)[None], max_new_tokens=20, do_sample=False, prompt_lookup_num_tokens=3)

    def rewound(path):
        model = made('mixtral')
        with record(model, path), torch.no_grad():
            cache = model(input_ids=torch.arange(5, 14)[None], use_cache=True).past_key_values
            cache.crop(-3)
            model(input_ids=torch.tensor([[7]]), past_key_values=cache, use_cache=True)

    def old(path):
        version, T.__version__ = T.__version__, '4.57.1'
        try:
            with record(made('mixtral'), path):
                pass
        finally:
            T.__version__ = version

    def many(path):
        with record(made('mixtral'), path, candidates=9):
            pass

    says('a dense model', 'no routing to record', dense)
    says('a model that is not called', 'nothing was recorded', idle)
    says('assisted generation', 'cannot stand in a trace', assisted)
    says('a cache that was cut', 'cannot stand in a trace', rewound)
    says('transformers 4', 'transformers 4.57.1: the hook needs transformers 5 or later', old)
    says('more candidates than experts', 'have 8 experts', many)


def wide(check, folder):
    """More than 255 experts, empty places, and steps that do not wait for each other."""
    path = os.path.join(folder, 'wide.h5')
    with Writer(path, layer_number=[2, 5], experts=300, top_k=2, weights=True) as trace:
        trace.together = 1          # every step goes to the file by itself
        trace.step([0, 0], [0, 1], [0, 0], [[[299, 0], [5, -1]], [[1, 2], [-1, -1]]], weights=np.zeros((2, 2, 2)))
        trace.step([0], [2], [1], [[[3, 4], [5, 6]]], weights=np.ones((1, 2, 2)))
    check.equal('the tool reads it', json.loads(tool.command([tool.TOOL, 'trace', 'info', path, '--json']))['missing_cells'], 1)
    tool.command([tool.TOOL, 'trace', 'check', path])


def main():
    check = tool.Check('capture')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if int(T.__version__.split('.')[0]) < 5:
            try:
                with record(DECODERS['mixtral'](), os.path.join(folder, 'old.h5')):
                    check.equal('transformers 4', 'recorded', 'refused')
            except RuntimeError as error:
                check.equal('transformers 4: ' + str(error), 'needs transformers 5 or later' in str(error), True)
            check.equal('no file is left', os.listdir(folder), [])
            check.close()
            return
        for part in (families, batches, candidates, guesses, attention, encoders, refused, wide):
            part(check, folder)
    check.close()


if __name__ == '__main__':
    main()
