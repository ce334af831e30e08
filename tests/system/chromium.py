"""A headless Chromium that tests talk to (DevTools protocol, by pipes).

    with Chromium(directory, root) as browser:   # trusts root, all names are
        page = browser.open(url)                 # 127.0.0.1
        page["responses"], page["text"]
"""

import fcntl
import json
import os
import select
import subprocess
import time

SECONDS = 120

# It reads requests from descriptor 3 and writes to 4. Nothing but the page is
# asked for; the sandbox would need another user than root.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-extensions",
    "--host-resolver-rules=MAP * 127.0.0.1", "--remote-debugging-pipe",
)


def trust(home, root):
    """The store of certificates that Chromium reads."""
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    for args in (["-N", "--empty-password"],
                 ["-A", "-t", "C,,", "-n", "root", "-i", str(root)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *args],
                       check=True, capture_output=True, timeout=60)


class Chromium:
    def __init__(self, directory, root=None):
        self.home = directory / "chromium"
        self.home.mkdir()
        if root:
            trust(self.home, root)
        self.number = 0
        self.events = []
        self.buffer = b""
        self.log_path = self.home / "log"

    def __enter__(self):
        theirs_in, self.to = os.pipe()
        self.source, theirs_out = os.pipe()
        # Out of the way of 3 and 4.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                for fd in (theirs_in, theirs_out)]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["chromium", *OPTIONS,
                 f"--user-data-dir={self.home / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "HOME": str(self.home)},
                preexec_fn=place, close_fds=False, start_new_session=True,
            )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = None
        self.session = self.call(
            "Target.attachToTarget",
            {"targetId": page["targetId"], "flatten": True})["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.session = None
        try:
            self.call("Browser.close")
        finally:
            try:
                self.process.wait(SECONDS)
            finally:
                if self.process.poll() is None:
                    os.killpg(self.process.pid, 9)
                    self.process.wait()
                os.close(self.to)
                os.close(self.source)

    # --- messages -------------------------------------------------------

    session = None

    def _next(self, end):
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.source], [], [], left)[0]
            assert ready, f"Chromium says nothing:\n{self.said()}"
            data = os.read(self.source, 1 << 16)
            assert data, f"Chromium ended:\n{self.said()}"
            self.buffer += data
        raw, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(raw)

    def said(self):
        return self.log_path.read_text(errors="replace")

    def call(self, method, params=None):
        """The answer; events before it are kept in `events`."""
        self.number += 1
        request = {"id": self.number, "method": method,
                   "params": params or {}}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        end = time.monotonic() + SECONDS
        while True:
            got = self._next(end)
            if got.get("id") == self.number:
                assert "error" not in got, (method, got)
                return got["result"]
            self.events.append(got)

    # --- what a person does -----------------------------------------------

    def script(self, text):
        """What the script gives, once its promise is kept."""
        got = self.call("Runtime.evaluate", {
            "expression": text, "awaitPromise": True, "returnByValue": True})
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def open(self, url):
        """Goes there; returns Chromium's error or nothing."""
        error = self.call("Page.navigate", {"url": url}).get("errorText")
        if not error:
            self.script(
                "new Promise(r => document.readyState == 'complete' ? r() :"
                " addEventListener('load', () => r()))")
        return error

    def responses(self):
        """All that came over the network so far, redirects too, in order."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Network.requestWillBeSent":
                if "redirectResponse" in params:
                    found.append(params["redirectResponse"])
            elif event.get("method") == "Network.responseReceived":
                found.append(params["response"])
        return found
