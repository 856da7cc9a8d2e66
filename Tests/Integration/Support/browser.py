"""A real browser: Chromium without a window, told what to do over its DevTools protocol."""

import asyncio
import atexit
import base64
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import websockets
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .gateway import end_with_parent

PROGRAM = shutil.which("chromium")
# A machine that is busy with other things starts it slowly.
PATIENCE = 90


class ScriptFailed(Exception):
    pass


class Browser:
    """One process, for all tests that want one. Every host is found at 127.0.0.1:`port`, whatever port it is asked for at, and the
    key of `certificate` is trusted."""

    def __init__(self, certificate, port):
        self.folder = tempfile.mkdtemp(prefix="gateway-browser-")
        with open(certificate, "rb") as file:
            key = x509.load_pem_x509_certificate(file.read()).public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [
                PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-extensions", "--disable-breakpad", f"--user-data-dir={self.folder}/profile", "--remote-debugging-port=0",
                f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}",
                f"--host-resolver-rules=MAP * 127.0.0.1:{port}, EXCLUDE 127.0.0.1", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True, preexec_fn=end_with_parent,
            env={**os.environ, "HOME": self.folder},
        )  # fmt: skip
        atexit.register(self.close)
        self.loop, self.socket = asyncio.new_event_loop(), None
        self.numbers = itertools.count(1)
        self.socket = self._run(self._connect(self._address()))

    async def _connect(self, address):
        return await websockets.connect(address, max_size=None, ping_interval=None, open_timeout=PATIENCE)

    def _run(self, work):
        async def bounded():
            return await asyncio.wait_for(work, PATIENCE)

        return self.loop.run_until_complete(bounded())

    def _address(self):
        """It writes where it can be talked to."""
        file, end = os.path.join(self.folder, "profile", "DevToolsActivePort"), time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with open(file) as lines:
                    port, path = lines.read().split()
                return f"ws://127.0.0.1:{port}{path}"
            except (OSError, ValueError):
                time.sleep(0.05)
        with open(self.log.name, errors="replace") as said:
            raise AssertionError(f"Chromium does not start ({self.process.poll()}):\n{said.read()[-3000:]}")

    def call(self, method, session=None, **parameters):
        """Sends a command and waits for its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}

        async def ask():
            await self.socket.send(json.dumps(message))
            while True:
                said = json.loads(await self.socket.recv())
                if said.get("id") == number:
                    return said

        said = self._run(ask())
        if "error" in said:
            raise ScriptFailed(f"{method}: {said['error']}")
        return said["result"]

    def context(self):
        """Cookies, caches and connections of its own: closed with `close_context`."""
        return self.call("Target.createBrowserContext")["browserContextId"]

    def close_context(self, context):
        self.call("Target.disposeBrowserContext", browserContextId=context)

    def page(self, context, url):
        """A tab that has loaded it."""
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        page.open(url)
        return page

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, ScriptFailed, asyncio.TimeoutError, websockets.WebSocketException, subprocess.TimeoutExpired, AttributeError):
            pass
        # It has processes of its own, which are in its group.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        try:
            self._run(self.socket.close())
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException, AttributeError):
            pass
        self.log.close()
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def open(self, url):
        went = self.browser.call("Page.navigate", self.session, url=url)
        if went.get("errorText"):
            raise ScriptFailed(f"{url}: {went['errorText']}")
        self.until(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")

    def run(self, script):
        """What the expression is worth; of a promise, what it brings."""
        done = self.browser.call(
            "Runtime.evaluate", self.session, expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in done:
            raise ScriptFailed(f"{script[:200]}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, condition, within=PATIENCE):
        """Waits until the expression is true."""
        end = time.monotonic() + within
        while True:
            try:
                if self.run(condition):
                    return
            except ScriptFailed:
                # The page that it was asked on went away meanwhile.
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise AssertionError(f"not within {within} s: {condition}")
            time.sleep(0.02)
