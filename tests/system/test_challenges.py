"""ACME challenges on port 80: what is answered, and what cannot be asked."""

import os
import signal
import threading
import time

import pytest

from conftest import wait_for

PATH = "/.well-known/acme-challenge/"
OPEN = "/img/ctqu6f/"
ACME_UID = 60990
TEXT = "token.0123456789012345678901234567890123456789012"


@pytest.fixture
def challenges(work):
    path = work / "challenges"
    path.mkdir()
    os.chmod(path, 0o755)
    os.chown(path, ACME_UID, ACME_UID)
    return path


def write(path, text, mode=0o644):
    path.write_bytes(text)
    os.chmod(path, mode)
    os.chown(path, ACME_UID, ACME_UID)


@pytest.fixture
def serving(make_tracker, challenges):
    return make_tracker({"https": {"acme_challenges": str(challenges)}})


def test_found(serving, challenges):
    serving.start()
    write(challenges / "aZ09-_", TEXT.encode() + b"\n")
    reply = serving.get(PATH + "aZ09-_?x=/../y", [("Host", "other.example")])
    # Two Host fields are an improper request.
    assert reply.status == 400
    for target in (PATH + "aZ09-_", f"http://any.example{PATH}aZ09-_"):
        reply = serving.get(target)
        assert (reply.status, reply.body) == (200, TEXT.encode())
        assert reply.header("Content-Type").startswith("text/plain")
        assert reply.header("Cache-Control") == "no-store"
    head = serving.get(PATH + "aZ09-_", method="HEAD")
    assert head.status == 200
    assert head.header("Content-Length") == str(len(TEXT))
    # Not cached: what the client writes next is what is answered.
    write(challenges / "aZ09-_", b"x" * 1024)
    assert serving.get(PATH + "aZ09-_").body == b"x" * 1024
    (challenges / "aZ09-_").unlink()
    assert serving.get(PATH + "aZ09-_").status == 404
    # Nothing of this is an event.
    assert serving.status()["accepted"] == 0


def test_keep_alive_and_pipelining(serving, challenges):
    serving.start()
    write(challenges / "one", b"first")
    request = f"GET {PATH}%s HTTP/1.1\r\nHost: a\r\n\r\n"
    with serving.connect() as c:
        c.send((request % "one" + request % "two" + request % "one").encode())
        bodies = [c.reply().body for _ in range(3)]
    assert bodies == [b"first", b"Verification not found", b"first"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "a/b", "none", "%6Fne", "a.b", "one/",
             "x" * 129]
)
def test_not_found(serving, challenges, name):
    serving.start()
    write(challenges / "one", b"first")
    write(challenges / "a.b", b"not a token")
    (challenges.parent / "secret").write_text("secret")
    reply = serving.get(PATH + name)
    assert (reply.status, reply.body) == (404, b"Verification not found")


def test_what_is_no_proper_file(serving, challenges):
    serving.start()
    os.symlink("/etc/hostname", challenges / "link")
    os.mkfifo(challenges / "fifo")
    (challenges / "directory").mkdir()
    write(challenges / "empty", b"\n")
    write(challenges / "large", b"x" * 1025)
    write(challenges / "private", b"text", 0o600)
    for name in ("link", "fifo", "directory", "empty", "large", "private"):
        assert serving.get(PATH + name).body == b"Verification not found", name
    serving.wait_log("challenge token=link error=")


def test_unset(tracker):
    for name in ("x", "", "../x"):
        reply = tracker.get(PATH + name)
        assert (reply.status, reply.body) == (200, b"Hello.")


def test_store_away(serving, challenges):
    """A visitor is told to try again, as for a link."""
    serving.settings["links"] = {"lookup_timeout": "100ms"}
    serving.write_conf()
    serving.start()
    store = serving.roles()["store[0]"]
    os.kill(store, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert serving.get(PATH + "x").status == 503
        assert time.monotonic() - begin < 10
    finally:
        os.kill(store, signal.SIGCONT)
    wait_for(lambda: serving.get(PATH + "x").status == 404, "the store")


def test_store_restarted(serving, challenges):
    serving.may_die = True
    serving.start()
    write(challenges / "one", b"first")
    pid = serving.wait_role("store[0]")
    os.kill(pid, signal.SIGKILL)
    serving.wait_role("store[0]", other_than=pid)
    assert serving.get(PATH + "one").body == b"first"


def test_directory_is_missing(serving, challenges):
    challenges.rmdir()
    serving.start(wait=False)
    assert serving.process.wait(20) != 0
    assert f"[https] acme_challenges {challenges}" in serving.log()
    assert "make it" in serving.log()


def reload(t, times, challenges):
    t.settings["https"] = {"acme_challenges": str(challenges or "")}
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times)


def test_directory_is_changed_by_a_reload(serving, challenges, work):
    """Another store, and nobody who asks notices; twice is no difference."""
    other = work / "other"
    other.mkdir()
    os.chmod(other, 0o755)
    write(challenges / "one", b"first")
    write(other / "two", b"second")
    serving.start()
    serving.link("ctqu6f", "H0zoVR7I")
    store = serving.roles()["store[0]"]
    answers = []
    reloads = [(challenges, store), (other, None), (None, None),
               (challenges, None)]
    for times, (directory, same) in enumerate(reloads, 2):
        with serving.connect() as c:
            c.send(f"GET {OPEN}{times} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            reload(serving, times, directory)
            answers.append(c.reply().status)
        assert same is None or serving.roles()["store[0]"] == same
        found = [serving.get(PATH + name).body for name in ("one", "two")]
        no, hello = b"Verification not found", b"Hello."
        assert found == {
            challenges: [b"first", no], other: [no, b"second"],
            None: [hello, hello],
        }[directory]
    assert answers == [200] * len(reloads)
    assert [e["token"] for e in serving.events()] == ["2", "3", "4", "5"]


def test_no_event_is_lost_over_such_reloads(serving, challenges):
    serving.settings["http"]["workers"] = "2"
    serving.write_conf()
    serving.start()
    serving.link("ctqu6f", "H0zoVR7I")
    answered, over = [], threading.Event()

    def visit(who):
        n = 0
        while not over.is_set():
            with serving.connect() as c:
                for _ in range(20):
                    token = f"{who}-{n}"
                    c.send(f"GET {OPEN}{token} HTTP/1.1\r\nHost: a\r\n\r\n"
                           .encode())
                    reply = c.reply()
                    # A worker that ends closes between two requests.
                    if reply is None:
                        break
                    n += 1
                    answered.append((reply.status, token))

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for times in range(2, 10):
            reload(serving, times, challenges if times % 2 else None)
    finally:
        over.set()
        for t in threads:
            t.join()
    assert {status for status, _ in answered} == {200}
    stored = {e["token"] for e in serving.events()}
    assert {token for _, token in answered} - stored == set()
    assert serving.status()["lost"] == 0


def test_reload_with_a_directory_that_is_missing(serving, challenges):
    serving.start()
    store = serving.roles()["store[0]"]
    reload(serving, 2, "/nonexistent/challenges")
    serving.wait_log(r"reload failed: \[https\] acme_challenges /nonexistent/c")
    write(challenges / "one", b"first")
    assert serving.get(PATH + "one").body == b"first"
    assert serving.roles()["store[0]"] == store
