"""Start, reload, hand-over and end, as systemd and administrators see it."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import NOBODY, TRACKER, Connection, free_port, wait_for
from service_manager import listening, start_with


def hello(port, host="127.0.0.1"):
    try:
        with Connection((host, port)) as c:
            c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return c.reply().body == b"Hello."
    except (ConnectionError, AttributeError):
        return False


def reload(t, times):
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times=times)


# --- reload -----------------------------------------------------------------


def test_an_old_worker_that_dies_in_a_reload(make_tracker):
    """It comes not back: with the new settings there may be no place for it in
    what the new ones share."""
    t = make_tracker({"http": {"workers": "8"}}).start()
    t.may_die = True
    old = t.roles()
    t.settings["http"]["workers"] = "1"
    t.write_conf()
    # Both signals wait; the lower number comes first.
    t.process.send_signal(signal.SIGSTOP)
    os.kill(old["web[7]"], signal.SIGKILL)
    t.process.send_signal(signal.SIGHUP)
    t.process.send_signal(signal.SIGCONT)
    t.wait_ready(2)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists()
                             for n, pid in old.items() if n[:3] == "web"),
             "the old ones to end")
    assert set(t.roles()) == {"store[0]", "web[0]"}
    assert len(re.findall(r"ready role=web\[7\]", t.log())) == 1
    assert hello(t.port)


def test_a_port_is_named_again_during_a_reload(make_tracker):
    """The workers that had it have not ended yet."""
    other = free_port()
    t = make_tracker({"http": {"workers": "32"}})
    both = f"127.0.0.1:{t.port} 127.0.0.1:{other}"
    for times, listen in enumerate((both, f"127.0.0.1:{t.port}", both)):
        t.settings["http"]["listen"] = listen
        t.write_conf()
        if times == 0:
            t.start()
        else:
            t.process.send_signal(signal.SIGHUP)
            wait_for(lambda n=times: t.log().count("monitor: reload") == n,
                     "the reload to begin")
    # The workers of the first one were not all there when the second came.
    t.wait_ready(2)
    assert hello(t.port) and hello(other)
    assert "reload failed" not in t.log()


def test_too_many_reloads_at_once(make_tracker):
    """Refused as a whole, before anything has changed."""
    t = make_tracker({"http": {"workers": "64"}}).start()
    stopped = []
    try:
        for times in (2, 3, 4):
            stopped += [p for n, p in t.roles().items() if n[:3] == "web"]
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            reload(t, times)
        t.wait_log(r"reload failed: \d+ processes of earlier reloads are still "
                   r"finishing; try again in \d+ s; the configuration in use "
                   "stays")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert hello(t.port)
    # The last ones go on serving.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists()
                             for pid in stopped[:-64]), "the old ones to end")
    reload(t, 5)
    assert hello(t.port)


def test_reload_adds_and_removes_listeners(tracker):
    second, first = free_port(), tracker.port
    old = {n: p for n, p in tracker.roles().items() if n.startswith("web")}
    store = tracker.roles()["store[0]"]
    with tracker.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.reply().status == 200
        tracker.settings["http"]["listen"] = (
            f"127.0.0.1:{first} 127.0.0.1:{second}"
        )
        tracker.write_conf()
        reload(tracker, 2)
        assert hello(second) and hello(first)
    text = tracker.notify.read()
    assert "RELOADING=1" in text and "MONOTONIC_USEC=" in text
    for pid in old.values():
        wait_for(lambda p=pid: not os.path.exists(f"/proc/{p}"), "the old end")
    assert tracker.roles()["store[0]"] == store, "the store stays"
    assert "listen address" in tracker.log()
    tracker.settings["http"]["listen"] = f"127.0.0.1:{second}"
    tracker.write_conf()
    reload(tracker, 3)
    wait_for(lambda: not hello(first), "the first listener to go")
    assert hello(second)
    tracker.port = second


def test_reload_refuses_a_broken_file(tracker):
    pids = tracker.roles()
    good = tracker.conf.read_text()
    tracker.conf.write_text(good + "[http]\nlistn = x\n")
    reload(tracker, 2)
    tracker.wait_log(r"listn: there is no such key")
    tracker.wait_log(r"reload .*(kept|stays|as before|still)")
    assert tracker.roles() == pids
    assert hello(tracker.port)
    tracker.conf.write_text(good)


def test_reload_with_a_taken_port_keeps_serving(tracker):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        tracker.settings["http"]["listen"] += f" 127.0.0.1:{taken}"
        tracker.write_conf()
        reload(tracker, 2)
        # The monitor gave up looking into other processes; check did not.
        tracker.wait_log(rf"127\.0\.0\.1:{taken}: the port is taken: another "
                         r"process .*`postal-tracker check` as root")
        assert f"(pid {os.getpid()})" in tracker.cli(
            "check", check=False
        ).stdout
        assert hello(tracker.port)


def test_reload_says_what_needs_a_restart(tracker):
    tracker.settings["spool"]["directory"] += "-other"
    tracker.write_conf()
    reload(tracker, 2)
    tracker.wait_log(r"\[spool\] directory = \S+-other needs a restart")
    tracker.settings["spool"]["directory"] = (
        tracker.settings["spool"]["directory"].removesuffix("-other")
    )
    tracker.write_conf()


def test_no_request_is_lost_over_reloads(tracker):
    for i in range(2, 6):
        tracker.process.send_signal(signal.SIGHUP)
        for n in range(20):
            assert tracker.get(f"/img/ctqu6f/m{i}-{n}").status == 200
        tracker.wait_ready(times=i)
    assert len(tracker.events()) == 80


# --- systemd ----------------------------------------------------------------


def test_notify(make_tracker):
    t = make_tracker(env={**os.environ, "WATCHDOG_USEC": "400000"}).start()
    wait_for(lambda: t.notify.read().count("WATCHDOG=1") >= 2, "the watchdog")
    t.stop()
    text = t.notify.read()
    assert text.count("READY=1") == 1
    assert "STATUS=" in text and "STOPPING=1" in text


def test_socket_activation(make_tracker, monkeypatch):
    t = make_tracker()
    with listening(t.port) as s:
        start_with(t, [s], monkeypatch)
    assert f"listen address=127.0.0.1:{t.port} from=systemd" in t.log()
    assert hello(t.port)
    # What systemd holds is served after a reload too.
    reload(t, 2)
    assert hello(t.port)


def test_a_privileged_port_by_socket_activation_without_root(
        make_tracker, monkeypatch):
    """systemd binds port 80; the daemon needs no capability for it."""
    t = make_tracker()
    os.chmod(t.directory, 0o777)
    t.settings["http"]["listen"] = "127.0.0.1:89"
    t.write_conf()
    t.port = 89
    t.command = NOBODY
    with listening(89) as s:
        start_with(t, [s], monkeypatch)
    assert hello(89)


# --- side by side -----------------------------------------------------------


def test_two_daemons(make_tracker):
    a, b = make_tracker().start(), make_tracker().start()
    for t, name in ((a, "aaa"), (b, "bbb")):
        t.link(name)
        wait_for(lambda t=t, n=name: t.get(f"/img/{n}/m").status == 200,
                 "the server")
    assert a.get("/img/bbb/m").status == 404
    assert {e["server"] for e in a.events()} == {"aaa"}
    assert {e["server"] for e in b.events()} == {"bbb"}
    assert a.status()["node"] != b.status()["node"]


def test_a_spool_has_one_daemon(make_tracker):
    a, b = make_tracker().start(), make_tracker()
    b.settings["spool"]["directory"] = str(a.spool)
    b.write_conf()
    r = subprocess.run([TRACKER, "run", "-c", str(b.conf)], timeout=60,
                       capture_output=True, text=True, check=False)
    assert r.returncode != 0
    assert f"is in use by another postal-tracker (pid {a.process.pid})" \
        in r.stderr
    assert hello(a.port)


def test_a_start_waits_for_an_ending_daemon(tracker):
    """`systemctl restart` may overlap for a moment."""
    os.kill(tracker.roles()["store[0]"], signal.SIGSTOP)
    store = tracker.roles()["store[0]"]
    tracker.may_die = True
    old = tracker.process
    tracker.process.kill()
    old.wait()
    # The store is gone with its parent; its lock with it.
    wait_for(lambda: not os.path.exists(f"/proc/{store}/exe"), "the store")
    tracker.start()
    assert hello(tracker.port)


# --- without root -----------------------------------------------------------


def test_without_root(make_tracker):
    t = make_tracker(command=NOBODY)
    os.chmod(t.directory, 0o777)
    t.start()
    log = t.log()
    assert len(re.findall(r"sandbox incomplete", log)) == 1, log
    t.link("ctqu6f")
    wait_for(lambda: t.get("/img/ctqu6f/m").status == 200, "the server")
    for pid in t.roles().values():
        status = open(f"/proc/{pid}/status", encoding="utf-8").read()
        assert re.search(r"^Seccomp:\t2$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        # Not dumpable: its /proc entries belong to root.
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0


def test_required_sandbox_without_root_refuses(make_tracker):
    t = make_tracker({"sandbox": {"sandbox": "required"}}, command=NOBODY)
    os.chmod(t.directory, 0o777)
    r = subprocess.run(
        [*NOBODY, TRACKER, "run", "-c", str(t.conf)], timeout=60,
        capture_output=True, text=True, check=False,
    )
    assert r.returncode != 0
    assert "sandbox = required" in r.stderr and "root" in r.stderr


def test_as_root_the_sandbox_is_required(make_tracker):
    """A capability that is missing ends the start; nothing runs half open."""
    t = make_tracker()
    r = subprocess.run(
        ["setpriv", "--bounding-set", "-sys_chroot", TRACKER, "run", "-c",
         str(t.conf)],
        timeout=60, capture_output=True, text=True, check=False,
    )
    assert r.returncode != 0
    assert "root directory" in r.stderr, r.stderr


# --- end --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end(tracker, number):
    pids = list(tracker.roles().values())
    with tracker.connect() as idle:
        idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.reply().status == 200
        tracker.process.send_signal(number)
        assert tracker.process.wait(5) == 0
        assert idle.is_closed()
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")
    assert not os.path.exists(tracker.settings["spool"]["socket"])
    assert "STOPPING=1" in tracker.notify.read()


def test_a_request_under_way_is_finished(tracker):
    with tracker.connect() as c:
        c.send(b"GET /img/ctqu6f/m HTTP/1.1\r\n")
        tracker.process.send_signal(signal.SIGTERM)
        tracker.wait_log("stop signal=15")
        c.send(b"Host: a\r\n\r\n")
        reply = c.reply()
        assert reply.status == 200
        assert reply.header("Connection") == "close"
    assert tracker.process.wait(5) == 0
    assert [e["token"] for e in tracker.events()] == ["m"]


def test_a_visitor_who_says_nothing_does_not_delay_the_end(tracker):
    """Nor does one who never finishes: nobody has to be killed."""
    with tracker.connect() as silent, tracker.connect() as slow:
        slow.send(b"GET / HTT")
        # Both are accepted: a third one was answered after them.
        assert hello(tracker.port)
        tracker.process.send_signal(signal.SIGTERM)
        assert silent.is_closed()
        # The one who did begin has longer.
        slow.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.sock.recv(1)
        slow.sock.settimeout(20)
        assert slow.reply().status == 408
        assert tracker.process.wait(5) == 0
    assert "kill role" not in tracker.log()


def test_a_visitor_of_before_a_reload_does_not_delay_the_end(make_tracker):
    """The old worker gave him longer than SIGTERM gives anybody."""
    t = make_tracker({"http": {"workers": "1"},
                      "clients": {"header_timeout": "60s"}}).start()
    with t.connect() as slow:
        slow.send(b"GET / HTT")
        assert hello(t.port)  # accepted after him
        reload(t, 2)
        t.process.send_signal(signal.SIGTERM)
        slow.sock.settimeout(20)
        assert slow.reply().status == 408
        assert t.process.wait(20) == 0
    assert "kill role" not in t.log()


def test_who_waits_at_the_end_is_served_by_a_full_worker(make_tracker):
    """Idle connections make room for him; his would be reset else."""
    t = make_tracker({"http": {"workers": "1"},
                      "clients": {"max_connections": "4"}}).start()
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    web = t.roles()["web[0]"]
    held = [t.connect() for _ in range(4)]
    try:
        for c in held:
            c.send(request)
            assert c.reply().body == b"Hello."
        os.kill(web, signal.SIGSTOP)
        held += [t.connect() for _ in range(3)]
        for c in held[4:6]:
            c.send(request)
        t.process.send_signal(signal.SIGTERM)
        t.wait_log("stop signal=15")
        os.kill(web, signal.SIGCONT)
        for c in held[4:6]:
            reply = c.reply()
            assert reply.body == b"Hello."
            assert reply.header("Connection") == "close"
        # The last one says nothing, and delays nobody.
        assert t.process.wait(5) == 0
        assert all(c.is_closed() for c in held)
    finally:
        for c in held:
            c.close()


def test_a_stale_socket_is_no_obstacle(tracker):
    tracker.may_die = True
    tracker.kill_all()
    assert os.path.exists(tracker.settings["spool"]["socket"])
    tracker.start()
    assert tracker.status()["ready"]
