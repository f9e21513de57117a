"""A format is known by what the file holds, however long its first text is, however it ends and however its columns stand; and what is not known is said so that
one knows what to do."""
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

CORPUS = os.path.join(ROOT, 'tests', 'fuzz', 'corpus')


def trace(*args):
    done = subprocess.run([tool.TOOL, 'trace'] + list(args), capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def known(path, *more):
    """The format, or what is said."""
    code, out, said = trace('info', path, '--json', *more)
    return json.loads(out)['format'] if code == 0 else said.strip()


def content(path, *more):
    code, out, said = trace('check', path, *more)
    return out.split('content ')[1].split()[0] if code == 0 else said.strip()


def long_texts(check, at):
    """The text of an answer or a prompt stands before its routing."""
    ids = struct.pack('<16i', *[(t + 3 * l + k) % 8 for t in range(4) for l in range(2) for k in range(2)])
    row = [[0, 1], [2, 3]]
    for size in (100, 10 * 1000, 300 * 1000, 1000 * 1000):
        text = 'a "word" ' * (size // 9)
        answers = {
            'routed_experts': {'text': text, 'output_ids': [1, 2], 'meta_info': {'id': 'x', 'prompt_tokens': 2, 'routed_experts': base64.b64encode(ids).decode()}},
            'moelens': {'prompt': text, 'layers': [{'layer': 0, 'is_dense': False, 'tokens': [{'token_index': 0, 'top_experts': [1, 2], 'top_weights': [0.5, 0.25]}]}]},
            'onnx_genai': {'prompts': {text: {'prompt_len': 1, 'prefill': [row], 'decode': [row]}}, 'num_layers': 2, 'num_experts': 4, 'top_k': 2},
            'stratamoe': {'prompt': text, 'version': 2, 'tokens': 1, 'layers': 2, 'expertsPerLayer': 4, 'topK': 2, 'selections': [row]},
            'imp': {'prompt': text, 'top_k': 2, 'trace': [[0, 1, 2], [1, 2, 3]]},
        }
        for name, answer in answers.items():
            if name == 'onnx_genai' and size > 65536:       # the prompt is a key, and no key is longer
                continue
            with open(at('long.json'), 'w') as f:
                json.dump(answer, f)
            check.equal('%s behind %d bytes of text' % (name, size), known(at('long.json'), '--layers', '2', '--top-k', '2') if name == 'routed_experts' else known(at('long.json')), name)


def main():
    check = tool.Check('known')
    with tempfile.TemporaryDirectory() as folder:
        def at(name):
            return os.path.join(folder, name)

        long_texts(check, at)
    check.close()


if __name__ == '__main__':
    main()
