"""A store or keeper that was taken over, and name servers that strangers run:
neither commands the terminal of root nor keeps root's commands busy."""

import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

from certificates import Directory
from conftest import TRACKER
from fake_forwarder import NUMBER, TYPES, Forwarder, rows, span16, span8


# --- a store that was taken over --------------------------------------------


class Hijacked:
    """Listens where a daemon's store does, and answers what a test says.

    answers: by name of the question, (name of the answer, body), or what gives
    that."""

    def __init__(self, tracker, answers):
        self.answers = answers
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(tracker.settings["spool"]["socket"])
        self.sock.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                one, _ = self.sock.accept()
            except OSError:
                return
            # It may go without having heard all.
            with one, contextlib.suppress(ConnectionError):
                while data := one.recv(131072):
                    name = TYPES[struct.unpack("<H", data[:2])[0] - 1]
                    if name in self.answers:
                        answer = self.answers[name]
                        answer, body = answer() if callable(answer) else answer
                        one.send(struct.pack("<H", NUMBER[answer]) + body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Closing alone would not end its accept(2).
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        os.unlink(self.sock.getsockname())
        self.sock.close()


# What a terminal obeys: ESC, the eight-bit CSI alone and in UTF-8, a bell.
ORDER = b"\x1b[2Jx\x9b2Jx\xc2\x9b2J\a"


def is_plain(text):
    return re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) is None


def test_events_of_a_hijacked_store(make_tracker):
    event = (struct.pack("<QQBBBQQ", 1, 1, 2, 1, 0, 1, 0) + bytes(16)
             + span8(ORDER) + span8(b"t" + ORDER) + span16(ORDER) + span16(""))
    t = make_tracker()
    with Hijacked(t, {"EVENTS_GET": ("EVENT_ROWS", rows([event]))}):
        with subprocess.Popen([TRACKER, "events", "-c", str(t.conf)],
                              stdout=subprocess.PIPE) as p:
            line = p.stdout.readline().decode()
            p.kill()
    assert " click ?[2Jx" in line and "/t?[2Jx" in line, line
    assert is_plain(line), line


def test_a_link_of_a_hijacked_store(make_tracker):
    t = make_tracker()
    added = struct.pack("<Q", 1) + span8(ORDER) + span8(b"t" + ORDER)
    with Hijacked(t, {"LINK_ADD": ("LINK_ADDED", added)}):
        line = t.link("ctqu6f")
    assert line.startswith("/?[2Jx") and "/t?[2Jx" in line, line
    assert is_plain(line), line


@pytest.mark.parametrize("token", [b"t HTTP/1.0\r\nHost: other\r\n\r\n",
                                   b"t/../../x", ORDER])
def test_a_request_of_a_hijacked_store(make_tracker, token):
    """What selftest asks for is a picture and a link, and nothing else."""
    t = make_tracker()
    row = struct.pack("<Q16sQQB", 0, b"", 0, 0, 0)
    state = (struct.pack("<BI", 1, 1) + span8("ctqu6f") + span8(token)
             + span16("") + rows([row, row]))
    with Hijacked(t, {"SELFTEST": ("SELFTEST_STATE", state)}):
        r = t.cli("selftest", check=False)
    assert (r.returncode, r.stdout) == (69, "")
    assert "the store sent tokens that are none" in r.stderr


# --- a store that takes its time ---------------------------------------------

# Each look at the clock finds it four seconds later, so that each answer took
# eight; and no name resolves.
QUICK_CLOCK = """
#define _GNU_SOURCE
#include <netdb.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	static int seconds;

	if (syscall(SYS_clock_gettime, clock, t) != 0)
		return -1;
	if (clock == CLOCK_MONOTONIC && getenv("STANDS") == NULL)
		t->tv_sec += seconds += 4;
	return 0;
}

int
getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **found)
{
	return EAI_NONAME;
}
"""


@pytest.fixture
def quick_clock(work):
    """What to set in the environment of a command."""
    library, source = work / "clock.so", work / "clock.c"
    source.write_text(QUICK_CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source],
                   check=True)
    # A sanitizer's runtime wants to be the first one, but need not be.
    return {"LD_PRELOAD": str(library),
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def run(clock, *args):
    return subprocess.run([TRACKER, *args], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, **clock})


TOO_LONG = ("the store takes too long; all its answers together had 60 s, see "
            "its log")


def test_domains_of_a_slow_store(make_tracker, quick_clock):
    """One name a page, and no end of pages."""
    t = make_tracker()
    page = rows([struct.pack("<IBB", 1, 1, 1) + span8("a.example")])
    with Hijacked(t, {"DOMAINS_GET": ("DOMAINS", page)}):
        r = run(quick_clock, "domains", "-c", str(t.conf))
    assert (r.returncode, r.stdout) == (69, "")
    assert r.stderr == f"postal-tracker domains: {TOO_LONG}\n"


def test_events_of_a_hijacked_store_end(make_tracker, quick_clock):
    """The same again and again; or one after another, slowly."""

    def event(seq):
        return rows([struct.pack("<QQBBBQQ", seq, 1, 1, 1, 0, 0, 0)
                     + bytes(16) + span8("s") + span8("t") + span16("")
                     + span16("")])

    t = make_tracker()
    with Hijacked(t, {"EVENTS_GET": ("EVENT_ROWS", event(7))}):
        r = t.cli("events", check=False)
    assert r.returncode == 69 and len(r.stdout.splitlines()) == 1
    assert "the store sent events that it had sent before" in r.stderr
    count = iter(range(1, 1000000))
    with Hijacked(t, {"EVENTS_GET": lambda: ("EVENT_ROWS",
                                             event(next(count)))}):
        r = run(quick_clock, "events", "-c", str(t.conf))
    assert r.returncode == 69 and TOO_LONG in r.stderr, r.stderr
    assert len(r.stdout.splitlines()) < 10


def test_following_has_no_end(tracker, quick_clock):
    with subprocess.Popen(
        [TRACKER, "events", "-c", str(tracker.conf), "--json", "--follow"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **quick_clock},
    ) as p:
        try:
            for i in range(20):
                tracker.get(f"/img/ctqu6f/m{i}")
                assert json.loads(p.stdout.readline())["token"] == f"m{i}"
        finally:
            p.kill()


@pytest.fixture
def many_domains(make_tracker):
    """One that is no host name, and 200 that do not resolve."""
    t = make_tracker({"postal": {"mode": "mysql"},
                      "main_db": {"user": "nobody"}}).start()
    with Forwarder(t) as f:
        f.domains([("-", 1)] + [(f"d{i:03}.example.com", 1)
                                for i in range(200)])
    return t


def test_slow_name_servers(many_domains, quick_clock):
    """Ten minutes of that clock are enough for some 140 names."""
    t, conf = many_domains, str(many_domains.conf)
    certificates = t.directory / "certificates"
    certificates.mkdir()
    t.settings["https"] = {"certificates": str(certificates)}
    t.write_conf()
    r = run(quick_clock, "domains", "-c", conf)
    assert r.returncode == 0
    lines = r.stdout.splitlines()
    left = [x for x in lines if "; not looked up, the names before it" in x]
    assert len(lines) == 201 and left == lines[-len(left):]
    assert 50 < len(left) < 70 and all(x.startswith("dns ") for x in left)
    said = (f"postal-tracker domains: {len(left)} of 201 names were not looked "
            "up, since it took more than 10 minutes; see /etc/resolv.conf")
    assert r.stderr.startswith(said), r.stderr
    r = run(quick_clock, "domains", "--json", "-c", conf)
    last = json.loads(r.stdout.splitlines()[-1])
    assert (last["needs"], last["here"], last["addresses"]) == ("dns", False,
                                                                [])
    assert last["dns_error"].startswith("not looked up")
    # The authority is asked for none of them.
    r = run(quick_clock, "domains", "--needing", "-c", conf)
    assert (r.returncode, r.stdout) == (0, "") and said in r.stderr
    # None is left out where the clock goes as it does.
    r = run({**quick_clock, "STANDS": ""}, "domains", "-c", conf)
    assert r.stderr == "" and "not looked up" not in r.stdout


# --- a keeper that takes its time ---------------------------------------------


def test_pairs_that_take_long(make_tracker, work, quick_clock):
    """Eight seconds each, of which a minute has seven."""
    pairs = Directory(work / "certificates")
    pairs.put("n00")
    for i in range(1, 20):
        (pairs.path / f"n{i:02}").symlink_to("n00")
    t = make_tracker({"https": {"certificates": str(pairs.path)}})
    for clock, times in ((quick_clock, 1), ({**quick_clock, "STANDS": ""}, 0)):
        out = run(clock, "check", "-c", str(t.conf)).stdout
        found = re.findall(
            r"^warn  \[https\] certificates: keys were not compared from n\d\d "
            "on, the keeper takes too long; ", out, re.M)
        assert len(found) == times, out
        # What needs no keeper is said of all.
        assert out.count("certificate n") == 20, out
