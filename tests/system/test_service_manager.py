"""What a service manager gives and asks: sockets, watchdog, credentials.

Sockets come as systemd passes them: `systemd-socket-activate` for one case,
descriptors from 3 up with LISTEN_FDS for the others, which need to see both
ends.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import TRACKER, wait_for
from service_manager import (
    DescriptorStore, NotifySocket, has_no_delay, listening, start_with)


class FullSocket(NotifySocket):
    """Nobody reads for a while."""

    def __init__(self, *args):
        super().__init__(*args)
        self.fill()


def is_reset(port):
    """Whether a connection is taken and reset, not left waiting."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            return s.recv(1) == b""
    except ConnectionResetError:
        return True


# --- sockets ------------------------------------------------------------------


def test_socket_activation(make_tracker, work):
    """As systemd does it: the first visitor starts the daemon."""
    tracker = make_tracker()
    log = work / "activate.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["systemd-socket-activate", "-l", f"127.0.0.1:{tracker.port}",
             TRACKER, "run", "-c", str(tracker.conf)],
            stdout=out,
            stderr=out,
        )
    try:
        wait_for(lambda: "Listening on" in log.read_text(), "the listener")
        assert tracker.get("/").body == b"Hello."
        # A worker may answer before the monitor says so.
        wait_for(lambda: "from=systemd" in log.read_text(), "the line")
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


def test_visitors_wait_through_a_restart(make_tracker, monkeypatch):
    s = listening()
    tracker = make_tracker()
    tracker.port = s.getsockname()[1]
    tracker.settings["http"]["listen"] = f"127.0.0.1:{tracker.port}"
    tracker.write_conf()
    start_with(tracker, [s], monkeypatch)
    tracker.stop()
    with tracker.connect() as waiting:
        waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        start_with(tracker, [s], monkeypatch)
        assert waiting.reply().status == 200
    s.close()


def test_a_slow_visitor_takes_no_port(make_tracker, monkeypatch):
    """The end takes seconds, as he may finish; the ports are kept."""
    tracker = make_tracker()
    store = DescriptorStore(tracker)
    tracker.start()
    kept = [f"listen-127.0.0.1_{tracker.port}"]
    wait_for(lambda: store.names() == kept, "the port to be kept")
    with tracker.connect() as slow:
        slow.send(b"GET / HTT")
        assert tracker.get("/").status == 200  # accepted after him
        tracker.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert tracker.process.wait(20) == 0
        # Several times the monitor had looked at what there is to be kept.
        assert time.monotonic() - began > 2
        assert "FDSTOREREMOVE" not in tracker.notify.read()
        assert store.names() == kept
    with tracker.connect() as waiting:
        waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        store.pass_on(monkeypatch)
        assert waiting.reply().status == 200
    store.close()


def test_replies_do_not_wait_for_an_acknowledgement(make_tracker, monkeypatch):
    """TCP_NODELAY, on what we opened and on what systemd did."""
    tracker = make_tracker()
    with listening() as theirs:
        other = theirs.getsockname()[1]
        tracker.settings["http"]["listen"] += f" 127.0.0.1:{other}"
        tracker.write_conf()
        start_with(tracker, [theirs], monkeypatch)
        assert has_no_delay(tracker, tracker.port)
        assert has_no_delay(tracker, other)


def test_one_address_beside_what_systemd_holds(make_tracker, monkeypatch):
    """It holds all of them; one is taken at the start, another by a reload."""
    tracker = make_tracker()
    with listening(host="0.0.0.0") as s:
        tracker.port = port = s.getsockname()[1]
        tracker.settings["http"]["listen"] = f"127.0.0.2:{port}"
        tracker.write_conf()
        start_with(tracker, [s], monkeypatch)
        tracker.settings["http"]["listen"] += f" 127.0.0.3:{port}"
        tracker.write_conf()
        tracker.process.send_signal(signal.SIGHUP)
        tracker.wait_ready(2)
        assert "reload failed" not in tracker.log()
        for host in ("127.0.0.2", "127.0.0.3"):
            with tracker.connect(host) as c:
                c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert c.reply().body == b"Hello."
        assert is_reset(port)


def test_unnamed_socket(make_tracker, monkeypatch):
    """systemd holds a port that tracker.conf does not name: connections are
    reset until a reload names it, and again when it does not any more."""
    named, unnamed = listening(), listening()
    tracker = make_tracker()
    tracker.port = named.getsockname()[1]
    other = unnamed.getsockname()[1]
    tracker.settings["http"]["listen"] = f"127.0.0.1:{tracker.port}"
    tracker.write_conf()
    start_with(tracker, [named, unnamed], monkeypatch)
    assert tracker.get("/").status == 200
    assert is_reset(other)
    tracker.wait_log(rf"address=127\.0\.0\.1:{other} from=systemd: no listen")

    tracker.settings["http"]["listen"] += f" 127.0.0.1:{other}"
    tracker.write_conf()
    tracker.process.send_signal(signal.SIGHUP)
    tracker.wait_ready(2)
    with socket.create_connection(("127.0.0.1", other), timeout=20) as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.recv(9) == b"HTTP/1.1 "

    tracker.settings["http"]["listen"] = f"127.0.0.1:{tracker.port}"
    tracker.write_conf()
    tracker.process.send_signal(signal.SIGHUP)
    tracker.wait_ready(3)
    # Workers of before may take the last ones; they end by and by.
    wait_for(lambda: is_reset(other), "connections to be reset again")
    assert tracker.get("/").status == 200
    named.close()
    unnamed.close()


# --- a manager that does not keep up -------------------------------------------


def in_order(text):
    return re.findall(r"(READY|RELOADING|STOPPING)=1", text)


def test_ready_finds_no_room(make_tracker, monkeypatch):
    """Its queue is full all through the start: it hears of it afterwards."""
    tracker = make_tracker()
    monkeypatch.setattr("conftest.NotifySocket", FullSocket)
    tracker.start(wait=False)
    tracker.wait_log("monitor: serving")
    tracker.wait_ready()
    assert in_order(tracker.notify.text) == ["READY"]
    assert "READY=1\nSTATUS=serving\n" in tracker.notify.text


def test_a_reload_finds_no_room(tracker):
    """What it was and when stays true; both are said, in their order."""
    tracker.notify.read()
    tracker.notify.fill()
    before = time.monotonic_ns() // 1000
    tracker.process.send_signal(signal.SIGHUP)
    wait_for(lambda: tracker.log().count("monitor: serving") == 2, "the reload")
    after = time.monotonic_ns() // 1000
    tracker.wait_ready(2)
    said = tracker.notify.text
    assert in_order(said) == ["READY", "RELOADING", "READY"]
    assert before <= int(re.search(r"MONOTONIC_USEC=(\d+)", said)[1]) <= after


def test_the_end_finds_no_room(tracker):
    """A reload that nobody heard of is not told when it is over and gone."""
    tracker.notify.read()
    tracker.notify.fill()
    with tracker.connect() as slow:
        slow.send(b"GET / HTT")
        assert tracker.get("/").status == 200
        tracker.process.send_signal(signal.SIGHUP)
        wait_for(lambda: tracker.log().count("monitor: serving") == 2,
                 "the reload")
        tracker.process.send_signal(signal.SIGTERM)
        tracker.wait_log("stop signal=15")
        wait_for(lambda: "STOPPING=1" in tracker.notify.read(), "the word")
        assert in_order(tracker.notify.text) == ["READY", "STOPPING"]
        assert tracker.process.wait(20) == 0


def test_the_end_during_a_reload(make_tracker):
    """It does not say that it serves, when it is ending."""
    tracker = make_tracker({"http": {"workers": "8"}}).start()
    # Both signals wait; the lower number comes first.
    tracker.process.send_signal(signal.SIGSTOP)
    tracker.process.send_signal(signal.SIGHUP)
    tracker.process.send_signal(signal.SIGTERM)
    tracker.process.send_signal(signal.SIGCONT)
    assert tracker.process.wait(20) == 0
    assert in_order(tracker.notify.read()) == ["READY", "RELOADING", "STOPPING"]
    assert "serving" not in tracker.log().split("stop signal=15")[1]


# --- watchdog -----------------------------------------------------------------


def watched(make_tracker, period_us, settings=None):
    env = {**os.environ, "WATCHDOG_USEC": str(period_us)}
    return make_tracker(settings, env=env).start()


@pytest.mark.parametrize("role", ["web[0]", "store[0]"])
def test_silent_role_is_replaced(make_tracker, role):
    """One that hangs is replaced alone, and the watchdog goes on meanwhile."""
    tracker = watched(make_tracker, 4_000_000, {"http": {"workers": "2"}})
    tracker.may_die = True
    pid = tracker.roles()[role]
    os.kill(pid, signal.SIGSTOP)
    tracker.wait_log(
        rf'kill role={re.escape(role)} pid={pid} reason="it does not answer"'
    )
    tracker.wait_role(role, other_than=pid)
    seen = tracker.notify.read().count("WATCHDOG=1")
    wait_for(
        lambda: tracker.notify.read().count("WATCHDOG=1") > seen,
        "the watchdog",
    )
    others = re.findall(r"kill role=(\S+)", tracker.log())
    assert others == [role], tracker.log()


def test_answering_roles_stay(make_tracker):
    tracker = watched(make_tracker, 400_000)
    before = tracker.roles()
    wait_for(
        lambda: tracker.notify.read().count("WATCHDOG=1") >= 10,
        "ten turns of the watchdog",
    )
    assert tracker.roles() == before


def test_no_watchdog_without_a_worker(make_tracker):
    """Not a word to the manager while visitors have nobody: the file of the
    binary cannot be started again, so that no worker comes back."""
    tracker = watched(make_tracker, 1_000_000, {"http": {"workers": "1"}})
    tracker.may_die = True
    wait_for(lambda: "WATCHDOG=1" in tracker.notify.read(), "the first one")
    # No new process for the monitor, whatever its user.
    subprocess.run(
        ["prlimit", f"--pid={tracker.process.pid}", "--nofile=3:"], check=True
    )
    os.kill(tracker.roles()["web[0]"], signal.SIGKILL)
    tracker.wait_log(r"died role=web\[0\]")
    failed = r"start role=web\[0\] error="
    tracker.wait_log(failed)
    seen = tracker.notify.read().count("WATCHDOG=1")
    n = len(re.findall(failed, tracker.log()))
    # Several turns later (tries are 100 ms to 5 s apart) still not one more.
    wait_for(lambda: len(re.findall(failed, tracker.log())) >= n + 4, "tries")
    assert tracker.notify.read().count("WATCHDOG=1") == seen
    subprocess.run(
        ["prlimit", f"--pid={tracker.process.pid}", "--nofile=1024:"],
        check=True,
    )
    wait_for(
        lambda: tracker.notify.read().count("WATCHDOG=1") > seen,
        "the watchdog with the next worker",
    )


# --- the forwarder as a service -------------------------------------------------


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]


def test_forwarder_started_as_its_user(make_stack, work):
    """User= of a unit: nothing is missing, and the password is a credential
    made of the file that only root can read."""
    stack = make_stack()
    uid = 60983  # config/user.c
    credentials = work / "credentials"
    credentials.mkdir()
    password = Path(stack.tracker.settings["main_db"]["password_file"])
    copy = credentials / "main_db_password"
    shutil.copyfile(password, copy)
    os.chmod(copy, 0o400)
    os.chown(copy, uid, uid)
    os.chmod(password, 0o600)
    stack.forwarder.command = as_user(uid)
    stack.forwarder.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    stack.tracker.start()
    stack.forwarder.start()
    stack.forwarder.wait_log(r"connected section=\S*main_db")
    assert "not started as root" not in stack.forwarder.log()


def test_forwarder_without_its_credential(make_stack):
    stack = make_stack()
    path = stack.tracker.settings["main_db"]["password_file"]
    os.chmod(path, 0o600)
    stack.forwarder.command = as_user(60983)
    stack.forwarder.start()
    assert stack.forwarder.wait_exit() == 77
    assert f"LoadCredential=main_db_password:{path}" in stack.forwarder.log()
