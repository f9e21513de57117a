"""traces/capture/served.py against a server that answers as vLLM and as SGLang do. Skipped without numpy and h5py."""
import base64
import http.server
import io
import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, '..', '..', 'traces', 'capture', 'served.py')
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
if os.environ.get('EXPERTSIM_TORCH') and os.environ['EXPERTSIM_TORCH'] != sys.executable:
    os.execv(os.environ['EXPERTSIM_TORCH'], [os.environ['EXPERTSIM_TORCH'], *sys.argv])
import tool

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print('SKIP: the script needs numpy and h5py:', missing)
    sys.exit(77)

LAYERS, EXPERTS, TOP_K = 4, 12, 3


def routing(prompt, tokens):
    """[tokens][layers][top_k]; layer 0 is dense and holds zeros."""
    chance = np.random.default_rng(len(prompt))
    ids = np.array([[chance.permutation(EXPERTS)[:TOP_K] for _ in range(LAYERS)] for _ in range(tokens)])
    ids[:, 0] = 0
    return ids


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        prompt = body.get('prompt', body.get('text'))
        words, most = len(prompt.split()), body.get('max_tokens') or body['sampling_params']['max_new_tokens']
        ids = routing(prompt, words + most - 1)
        if self.path == '/new/v1/completions':          # vLLM 0.22: one array, as numpy.save writes it
            file = io.BytesIO()
            np.save(file, (ids[words:] if 'cached' in prompt else ids).astype(np.int32))
            answer = {'model': 'small', 'choices': [{'text': '', 'routed_experts': base64.b64encode(file.getvalue()).decode()}], 'usage': {'prompt_tokens': words}}
        elif self.path == '/v1/completions':
            answer = {'model': 'small', 'prompt_routed_experts': ids[:words].tolist(), 'choices': [{'text': '', 'routed_experts': ids[words:].tolist()}]}
        else:
            answer = {'text': '', 'meta_info': {'prompt_tokens': words, 'completion_tokens': most,
                                                'routed_experts': base64.b64encode(ids.astype('<i4').tobytes()).decode()}}
        if 'silent' in prompt:
            answer = {'choices': [{'text': ''}], 'meta_info': {'prompt_tokens': words, 'completion_tokens': most}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args):
        pass


def asked(url, folder, prompts, *more):
    path, out = os.path.join(folder, 'prompts.txt'), os.path.join(folder, 'x.h5')
    with open(path, 'w') as file:
        file.write('\n'.join(prompts) + '\n')
    return subprocess.run([sys.executable, SCRIPT, url, '--prompts', path, '-o', out, '--tokens', '6', *more], capture_output=True, text=True), out


def main():
    check = tool.Check('served')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = 'http://127.0.0.1:%d/' % server.server_port
    prompts = ['one two three', '{"prompt": "alpha beta"}', 'x']
    texts = ['one two three', 'alpha beta', 'x']
    with tempfile.TemporaryDirectory() as folder:
        for flags, place in (((), url), ((), url + 'new'), (('--sglang', '--top-k', str(TOP_K)), url)):
            done, out = asked(place, folder, prompts, '--experts', str(EXPERTS), *flags)
            check.equal('exit', (done.returncode, done.stderr.count('left out: layers [0]')), (0, 1))
            tool.command([tool.TOOL, 'trace', 'check', out])
            with h5py.File(out) as f:
                check.equal('layers', f['layer_number'][:].tolist(), [1, 2, 3])
                check.equal('experts', int(f.attrs['experts']), EXPERTS)
                for n, text in enumerate(texts):
                    own, words = f['tokens/request'][:] == n, len(text.split())
                    check.equal('routing', f['ids'][:][own].tolist(), routing(text, words + 5)[:, 1:].tolist())
                    check.equal('phases', f['tokens/phase'][:][own].tolist(), [0] * words + [1] * 5)
            os.remove(out)
        for what, flags, prompt, words in (
                ('a server that was not asked to', (), 'silent', '--enable-return-routed-experts'),
                ('the same of SGLang', ('--sglang', '--top-k', '3'), 'silent', '--enable-return-routed-experts'),
                ('a wrong top-k', ('--sglang', '--top-k', '7'), 'one two', 'is --top-k right?'),
                ('no top-k', ('--sglang',), 'one two', 'needs --top-k')):
            done, out = asked(url, folder, [prompt], *flags)
            check.equal(what, (done.returncode != 0, words in done.stderr, os.path.exists(out)), (True, True, False))
        done, out = asked(url + 'new', folder, ['a prompt that is cached ' * 4])
        check.equal('rows of the text only: ' + done.stderr, (done.returncode != 0, 'routed_experts has 5 rows, which must have those of the prompt, 20 tokens' in done.stderr), (True, True))
        done, out = asked('http://127.0.0.1:1/', folder, ['x'])
        check.equal('no server', (done.returncode != 0, 'refused' in done.stderr), (True, True))
    check.close()


if __name__ == '__main__':
    main()
