"""Starts the forwarder beside a tracker, and both beside a Postal.

    stack = make_stack()            # fixture: MariaDB, Postal, not yet started
    stack.postal.add_server("ctqu6f", 1)
    stack.start()                   # tracker and forwarder
    stack.tracker.get("/img/ctqu6f/…")
    stack.wait_drained()
"""

import os
import re
import signal
import subprocess
from pathlib import Path

import conftest
from conftest import TRACKER, WAIT_SECONDS, Logging, check_law, wait_for
from service_manager import NotifySocket


class Forwarder(Logging):
    """One `postal-tracker forward` with the configuration of a tracker."""

    def __init__(self, tracker, command=(), env=None):
        self.tracker = tracker
        self.directory = tracker.directory
        self.log_path = self.directory / "forwarder.log"
        self.command = list(command)
        self.env = dict(os.environ if env is None else env)
        self.process = None
        self.notify = None

    # --- life -----------------------------------------------------------

    def start(self):
        if self.notify:
            self.notify.close()
        self.notify = NotifySocket(self.directory / "forwarder-notify.sock")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command
                + [TRACKER, "forward", "-c", str(self.tracker.conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.env, "NOTIFY_SOCKET": self.notify.path},
            )
        return self

    def wait_exit(self):
        """Its exit code, when it is meant to end by itself."""
        return self.process.wait(WAIT_SECONDS)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_SECONDS)
        assert code == 0, f"exit {code}:\n{self.log()}"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_SECONDS)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def _reloads(self):
        """How often it said that it has read everything again."""
        said = self.notify.read().count("READY=1")
        return said, len(re.findall(r"\breload", self.log()))

    def reload(self):
        """Has it read servers, webhooks and links again, and waits for it.

        It says so by READY=1 to systemd, or by a line "reload…" in its log.
        """
        before = self._reloads()
        self.process.send_signal(signal.SIGHUP)

        def done():
            assert self.process.poll() is None, self.log()
            now = self._reloads()
            return now[0] > before[0] or now[1] > before[1]

        wait_for(done, "the forwarder to reload")

    # --- log ------------------------------------------------------------

    def lines(self):
        return self.log().splitlines()

    def finish(self):
        """What has to hold of every forwarder when a test ends."""
        try:
            self.stop()
        finally:
            self.kill()
            if self.notify:
                self.notify.close()
        log = self.log()
        assert "Sanitizer" not in log and "runtime error" not in log, log
        assert "SIGSYS" not in log and "refused call" not in log, log


class Stack:
    """Postal, a tracker and a forwarder; each can be stopped alone."""

    def __init__(self, directory, postal, settings=None, hosts=None, **kwargs):
        """hosts: as of Postal.forwarder_config."""
        self.postal = postal
        self.directory = Path(directory)
        self.directory.mkdir(exist_ok=True)
        os.chmod(self.directory, 0o755)
        merged = postal.forwarder_config(self.directory, hosts)
        for section, keys in (settings or {}).items():
            merged.setdefault(section, {}).update(keys)
        self.tracker = conftest.Tracker(self.directory, merged)
        self.forwarder = Forwarder(self.tracker, **kwargs)

    def start(self):
        self.tracker.start()
        self.forwarder.start()
        self.wait_servers()
        return self

    def wait_servers(self, status_of=None):
        """The forwarder has read Postal's servers and told the workers.

        status_of(method, target): how to ask, if not directly. HEAD is not
        recorded and looks nothing up.
        """
        if status_of is None:

            def status_of(method, target):
                return self.tracker.get(target, method=method).status

        def known():
            assert self.forwarder.is_running(), self.forwarder.log()
            return status_of("GET", "/no-such-server/x") == 404 and all(
                status_of("HEAD", f"/img/{token}/x") == 200
                for token in self.postal.plain_tokens()
            )

        wait_for(known, f"the servers\n{self.forwarder.log()}")
        # Another worker may have answered.
        wait_for(known, "the servers, again")

    def wait_drained(self, seconds=60):
        """Nothing is on its way any more; returns the status."""
        last = {}

        def drained():
            last.update(self.tracker.status())
            return last["pending"] == 0

        try:
            wait_for(drained, "the spool to drain", seconds)
        except AssertionError as e:
            raise AssertionError(
                f"{e}\n{last}\n{self.forwarder.log()}"
            ) from None
        check_law(last)
        return last

    def wait_status(self, condition, what, seconds=60):
        """Waits until condition(status); returns the status."""
        last = {}

        def holds():
            last.clear()
            last.update(self.tracker.status())
            return condition(last)

        try:
            wait_for(holds, what, seconds)
        except AssertionError as e:
            raise AssertionError(
                f"{e}\n{last}\n{self.forwarder.log()}"
            ) from None
        return last

    def click(self, target, **kwargs):
        """A click as a browser does it: the page of a 503 tries again."""

        def answered():
            reply = self.tracker.get(target, **kwargs)
            return reply if reply.status != 503 else None

        return wait_for(answered, f"an answer to {target}")

    def finish(self):
        errors = []
        for one in (self.forwarder, self.tracker):
            try:
                one.finish()
            except AssertionError as e:
                errors.append(str(e))
        assert not errors, "\n".join(errors)
