"""A headless Chromium, driven over a pipe with nothing but Python: pages of files, what they say on the console and ask of the network,
what scripts in them find, clicks, pictures. CHROMIUM names the program; absent: whichever is on the PATH.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
PATIENCE = 120                  # seconds without an answer: it hangs


def found():
    """The program; None: there is none."""
    return os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """with Browser() as b: b.open(path, width=400); b.value('document.title')"""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory()
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        # the browser reads what it is told from descriptor 3 and answers on 4
        shell = 'exec "$@" 3<&%d 4>&%d' % (theirs_in, theirs_out)
        flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', '--hide-scrollbars', '--no-first-run', '--disable-extensions',
                 '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage', '--user-data-dir=' + self.home.name]
        self.process = subprocess.Popen(['bash', '-c', shell, 'sh', found(), *flags, 'about:blank'], pass_fds=(theirs_in, theirs_out),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.buffer, self.events, self.session = 0, b'', [], None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(domain + '.enable')
        self.call('Page.setLifecycleEventsEnabled', enabled=True)
        return self

    def __exit__(self, *_):
        self.session = None
        try:
            self.call('Browser.close')
            self.process.wait(timeout=30)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        try:
            self.home.cleanup()
        except OSError:         # a child of it still writes there
            time.sleep(1)
            shutil.rmtree(self.home.name, ignore_errors=True)

    def message(self):
        """The next thing that it says."""
        while b'\0' not in self.buffer:
            if not select.select([self.into], [], [], PATIENCE)[0]:
                raise RuntimeError('the browser does not answer')
            got = os.read(self.into, 1 << 20)
            if not got:
                raise RuntimeError('the browser is gone')
            self.buffer += got
        one, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        asked = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            asked['sessionId'] = self.session
        text = json.dumps(asked).encode() + b'\0'
        while text:
            text = text[os.write(self.out, text):]
        while True:
            got = self.message()
            if got.get('id') != self.number:
                self.events.append(got)
            elif 'error' in got:
                raise RuntimeError('%s: %s' % (method, got['error']))
            else:
                return got['result']

    def open(self, path, width=1280, height=900, dark=False, script=True, media=''):
        """Loads a file anew; what earlier pages said is forgotten."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setEmulatedMedia', media=media, features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.call('Emulation.setScriptExecutionDisabled', value=not script)
        self.load('about:blank')
        self.events = []
        self.load('file://' + os.path.abspath(path))

    def load(self, url):
        """Goes there and waits until all of this very page is loaded."""
        loader = self.call('Page.navigate', url=url)['loaderId']

        def is_loaded(event):
            return event.get('method') == 'Page.lifecycleEvent' and event['params']['loaderId'] == loader and event['params']['name'] == 'load'

        while not any(map(is_loaded, self.events)):
            self.events.append(self.message())

    def value(self, script):
        """What an expression of JavaScript comes to."""
        got = self.call('Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in got:
            raise RuntimeError('%s: %s' % (script, got['exceptionDetails']))
        return got['result'].get('value')

    def said(self):
        """Lines of the console, exceptions and what the browser itself has to complain of."""
        self.value('1')         # what was said before it is here by now
        names = ('Runtime.consoleAPICalled', 'Runtime.exceptionThrown', 'Log.entryAdded')
        return [event['params'] for event in self.events if event.get('method') in names]

    def asked(self):
        """Addresses that the page asked for."""
        self.value('1')
        return [event['params']['request']['url'] for event in self.events if event.get('method') == 'Network.requestWillBeSent']

    def picture(self, path, whole=True):
        got = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(got['data']))

    def paper(self, path):
        got = self.call('Page.printToPDF', printBackground=True, paperWidth=8.27, paperHeight=11.69)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(got['data']))
