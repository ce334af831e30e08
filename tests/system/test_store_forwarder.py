"""The store beside a forwarder: events out, Postal's tables in, look-ups.

The forwarder here is fake_forwarder.py, which does what each test says.
"""

import os
import random
import re
import select
import signal
import struct
import threading
import time

import pytest

from conftest import check_law, wait_for
from disk import fill, small_disk
from fake_forwarder import (
    ASIDE, DUPLICATE, FIRST, FORWARDER, FOUND, LAST, NONE, NUMBER, TOOL,
    UNAVAILABLE, UNMATCHED, VERSION, WRITTEN, Closed, Forwarder, Refused,
)

FORWARDER_UID = 60983
SERVERS = {3: "ctqu6f", 9: "other"}
LINK = (7, "H0zoVR7I", "https://example.com/a?b", 44)


def settings(**more):
    found = {
        "postal": {"mode": "mysql"},
        "http": {"workers": "2"},
        "forwarder": {"user": str(FORWARDER_UID)},
        "links": {"lookup_timeout": "1s"},
    }
    for section, keys in more.items():
        found.setdefault(section, {}).update(keys)
    return found


@pytest.fixture
def daemon(make_tracker):
    t = make_tracker(settings())
    t.may_die = True
    return t.start()


@pytest.fixture
def forwarder(daemon):
    """Connected to the store and to MySQL; two servers, one link."""
    with Forwarder(daemon) as f:
        prepare(daemon, f)
        yield f


def prepare(t, f):
    f.state()
    assert f.servers(SERVERS) == 2
    assert f.links(3, [LINK], 7, 7) == 1
    wait_for(lambda: t.get("/ctqu6f/H0zoVR7I").status == 307, "the link")


def in_background(call, n=1):
    """Runs call n times at once; returns a function that gives the results."""
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(call()))
        for _ in range(n)
    ]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(20)
        return results

    return join


def open_pictures(t, *tokens, server="ctqu6f"):
    for token in tokens:
        assert t.get(f"/img/{server}/{token}").status == 200


def drain(f):
    """Everything that is due is written."""
    for e in f.due():
        f.settle(WRITTEN, (e["seq"], 1))


# --- what the web knows -----------------------------------------------------


def test_503_before_the_servers_are_known(daemon):
    wait_for(lambda: daemon.get("/img/ctqu6f/m").status == 503, "503", 5)
    reply = daemon.get("/ctqu6f/H0zoVR7I")
    assert reply.status == 503 and reply.header("Retry-After")
    with Forwarder(daemon) as f:
        # A part of the table is no table.
        f.servers({3: "ctqu6f"}, FIRST)
        assert daemon.get("/img/ctqu6f/m").status == 503
        f.servers({9: "other"}, LAST)
        wait_for(lambda: daemon.get("/img/other/m").status == 200, "table")
        assert daemon.get("/img/nobody/m").status == 404
    assert daemon.status()["servers"] == 2


def test_thousands_of_servers(daemon, forwarder):
    """In parts, in no order; those that are named twice are refused."""
    ids = list(range(1, 5001))
    random.shuffle(ids)
    for at in range(0, 5000, 500):
        flags = (FIRST if at == 0 else 0) | (LAST if at == 4500 else 0)
        part = {i: f"server{i}" for i in ids[at:at + 500]}
        assert forwarder.servers(part, flags) == 500
    wait_for(lambda: daemon.get("/img/server5000/m").status == 200, "table")
    for i in random.sample(ids, 50):
        assert daemon.get(f"/img/server{i}/m{i}").status == 200
    assert daemon.status()["servers"] == 5000
    names = {e["token"]: e["server"] for e in daemon.events()}
    wrong = {
        m: n for m, n in names.items()
        if m[1:].isdigit() and n != "server" + m[1:]
    }
    assert not wrong, wrong
    assert forwarder.due()[-1]["token"].startswith("m")
    assert "died" not in daemon.log()


def test_redirects_survive_the_forwarder_and_a_restart(daemon, forwarder):
    reply = daemon.get("/ctqu6f/H0zoVR7I")
    assert reply.header("Location") == "https://example.com/a?b"
    click = forwarder.due()[-1]
    assert click["kind"] == 2 and click["link_id"] == 7
    assert click["flags"] & 2 and click["message_id"] == 44
    assert daemon.events()[-1]["url"] == "https://example.com/a?b"
    forwarder.domains([("click.example.com", 3), ("b.example.com", 9)])
    forwarder.close()
    for stop in (daemon.stop, daemon.kill_all):
        stop()
        daemon.start()
        # At once: the table of an older run is used.
        assert daemon.get("/ctqu6f/H0zoVR7I").status == 307
        status = daemon.status()
        assert status["links"] == 1 and status["servers"] == 2
        assert status["domains"] == 2
        assert daemon.get("/img/nobody/m").status == 404
        with Forwarder(daemon) as f:
            assert f.replica() == [(3, 7, 7, 1)]
            assert f.replica(3) == []
    # It can be deleted at any time.
    daemon.stop()
    for name in os.listdir(daemon.spool):
        if name.startswith("replica.db"):
            os.unlink(daemon.spool / name)
    daemon.start()
    wait_for(lambda: daemon.get("/ctqu6f/H0zoVR7I").status == 503, "503")
    with Forwarder(daemon) as f:
        assert f.replica() == []
        prepare(daemon, f)


def test_a_damaged_replica_builds_itself_again(daemon, forwarder):
    forwarder.close()
    daemon.stop()
    (daemon.spool / "replica.db").write_bytes(b"this is no database" * 999)
    daemon.start()
    daemon.wait_log(r"damaged file=replica\.db .*builds itself again")
    with Forwarder(daemon) as f:
        prepare(daemon, f)


def test_the_replica_vanishes_while_workers_serve(daemon, forwarder):
    """They have the table of the store before; its events are taken, and no
    worker is an enemy for it."""
    workers = {n: p for n, p in daemon.roles().items() if n[:3] == "web"}
    for name in os.listdir(daemon.spool):
        if name.startswith("replica.db"):
            os.unlink(daemon.spool / name)
    pid = daemon.roles()["store[0]"]
    os.kill(pid, signal.SIGKILL)
    daemon.wait_role("store[0]", other_than=pid)
    open_pictures(daemon, "between")
    assert daemon.get("/ctqu6f/unknown").status == 503
    with Forwarder(daemon) as f:
        assert f.due()[-1]["token"] == "between"
        # This server went away meanwhile.
        f.servers({9: "other"})
        wait_for(lambda: daemon.get("/img/ctqu6f/m").status == 404, "404")
    assert {
        n: p for n, p in daemon.roles().items() if n[:3] == "web"
    } == workers


def test_links_of_a_server(daemon, forwarder):
    # The same again, and another text: one link.
    forwarder.links(3, [LINK, (7, "H0zoVR7I", "https://b.example/")], 7, 7)
    assert daemon.status()["links"] == 1
    # Ids are unique for one server only, tokens too.
    forwarder.links(9, [(7, "H0zoVR7I", "https://other.example/")], 7, 7)
    assert daemon.status()["links"] == 2
    reply = daemon.get("/other/H0zoVR7I")
    assert reply.header("Location") == "https://other.example/"
    daemon.get("/other/H0zoVR7I")
    assert {e["url"] for e in daemon.events() if e["server"] == "other"} == {
        "https://other.example/"
    }
    with pytest.raises(Refused, match="server 77 is not among the known"):
        forwarder.links(77, [LINK], 7, 7)
    assert sorted(forwarder.replica()) == [(3, 7, 7, 1), (9, 7, 7, 1)]


def test_old_links_are_swept(daemon, forwarder):
    table = [(i, f"old{i}", "https://a/") for i in range(8, 600)]
    forwarder.links(3, table, 7, 600)
    assert daemon.status()["links"] == 593
    forwarder.links(3, [], 590, 600)
    wait_for(lambda: daemon.status()["links"] == 10, "the sweep", 30)
    # Of a server that is gone, all.
    forwarder.servers({9: "other"})
    wait_for(lambda: daemon.get("/img/ctqu6f/m").status == 404, "404")
    assert forwarder.replica() == []
    daemon.stop()
    daemon.start()
    wait_for(lambda: daemon.status()["links"] == 0, "the sweep", 30)


def test_a_server_goes_and_comes_back(daemon, forwarder):
    """Events that are on their way are kept; the worker is no enemy."""
    workers = {n: p for n, p in daemon.roles().items() if n[:3] == "web"}
    for pid in workers.values():
        os.kill(pid, signal.SIGSTOP)
    asked = in_background(lambda: daemon.get("/img/ctqu6f/late").status, 4)
    forwarder.servers({9: "other"})
    store = daemon.roles()["store[0]"]
    # The workers' table is in their socket; what they read first is decided
    # by the store being stopped until they have sent.
    os.kill(store, signal.SIGSTOP)
    for pid in workers.values():
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.2)
    os.kill(store, signal.SIGCONT)
    asked()
    wait_for(lambda: daemon.get("/img/ctqu6f/m").status == 404, "404")
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 404
    assert {
        n: p for n, p in daemon.roles().items() if n[:3] == "web"
    } == workers
    assert daemon.status()["servers"] == 1
    forwarder.servers(SERVERS)
    wait_for(lambda: daemon.get("/img/ctqu6f/m").status == 200, "it is back")


# --- looking in MySQL -------------------------------------------------------


def test_search_found(daemon, forwarder):
    # One SEARCH for all who want it.
    asked = in_background(lambda: daemon.get("/ctqu6f/New1"), 6)
    ask, server_id, token = forwarder.search()
    assert (server_id, token) == (3, b"New1")
    assert not forwarder.has_search(0.3)
    forwarder.searched(ask, FOUND, 91, "New1", "https://new.example/", 5)
    for reply in asked():
        assert reply.status == 307
        assert reply.header("Location") == "https://new.example/"
    # It is kept.
    forwarder.close()
    assert daemon.get("/ctqu6f/New1").status == 307
    status = daemon.status()
    assert status["links"] == 2 and status["searches"] == 1
    daemon.stop()
    daemon.start()
    assert daemon.get("/ctqu6f/New1").status == 307
    assert [e["link_id"] for e in daemon.events()][-1] == 91


def test_its_server_goes_while_a_link_is_looked_for(daemon, forwarder):
    workers = daemon.roles()
    asked = in_background(lambda: daemon.get("/ctqu6f/New1"))
    ask, _, _ = forwarder.search()
    forwarder.servers({9: "other"})
    forwarder.searched(ask, FOUND, 91, "New1", "https://new.example/", 5)
    assert asked()[0].body == b"Invalid Server Token"
    assert daemon.get("/img/other/m").status == 200
    assert daemon.roles() == workers
    assert daemon.status()["lost"] == 0


def test_search_none_is_remembered(daemon, forwarder):
    asked = in_background(lambda: daemon.get("/ctqu6f/Nope"))
    ask, _, _ = forwarder.search()
    forwarder.searched(ask, NONE)
    assert asked()[0].body == b"Link not found"
    started = time.monotonic()
    assert daemon.get("/ctqu6f/Nope").status == 404
    if time.monotonic() - started < 4:
        assert not forwarder.has_search(0.2)
    assert daemon.status()["searches"] == 1
    # Also when nobody could be asked; and not for long.
    forwarder.state(connected=0)
    wait_for(lambda: daemon.get("/ctqu6f/Nope").status == 503, "forgetting")


def test_search_times_out(daemon, forwarder):
    started = time.monotonic()
    reply = daemon.get("/ctqu6f/Slow")
    assert reply.status == 503 and reply.header("Retry-After")
    assert 0.9 < time.monotonic() - started < 3
    # The visitor comes again while the search still runs: no second one.
    asked = in_background(lambda: daemon.get("/ctqu6f/Slow"))
    ask, _, _ = forwarder.search()
    assert not forwarder.has_search(0.2)
    forwarder.searched(ask, FOUND, 92, "Slow", "https://slow.example/")
    assert asked()[0].status == 307
    # An answer after all left is of use for the next one.
    assert daemon.get("/ctqu6f/Slower").status == 503
    ask, _, _ = forwarder.search()
    forwarder.searched(ask, FOUND, 93, "Slower", "https://b.example/")
    wait_for(lambda: daemon.get("/ctqu6f/Slower").status == 307, "the link")
    assert daemon.status()["searches"] == 2


def test_nobody_to_ask(daemon, forwarder):
    forwarder.state(connected=0, error="MySQL is away")
    wait_for(
        lambda: not daemon.status()["forwarder"]["connected_to_mysql"], "state"
    )
    started = time.monotonic()
    assert daemon.get("/ctqu6f/Gone").status == 503
    assert time.monotonic() - started < 0.9
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 307
    forwarder.state(connected=1)
    wait_for(
        lambda: daemon.status()["forwarder"]["connected_to_mysql"], "state"
    )
    # Those who wait are told when the forwarder goes.
    asked = in_background(lambda: daemon.get("/ctqu6f/Gone"))
    forwarder.search()
    started = time.monotonic()
    forwarder.close()
    assert asked()[0].status == 503
    assert time.monotonic() - started < 0.9
    assert daemon.get("/ctqu6f/Gone").status == 503


def test_search_unavailable(daemon, forwarder):
    asked = in_background(lambda: daemon.get("/ctqu6f/Broken"))
    forwarder.searched(forwarder.search()[0], UNAVAILABLE)
    assert asked()[0].status == 503


def test_case(daemon, forwarder):
    """Exact spelling wins; MySQL is asked for it while the replica grows."""
    forwarder.links(3, [], 7, 7, complete=0)
    asked = in_background(lambda: daemon.get("/ctqu6f/h0ZOvr7i"))
    ask, _, token = forwarder.search()
    assert token == b"h0ZOvr7i"
    forwarder.searched(ask, FOUND, 95, "h0ZOvr7i", "https://exact.example/")
    assert asked()[0].header("Location") == "https://exact.example/"
    # Nobody knows better: the other spelling will do.
    forwarder.state(connected=0)
    wait_for(
        lambda: not daemon.status()["forwarder"]["connected_to_mysql"], "state"
    )
    reply = daemon.get("/ctqu6f/h0zovr7i")
    assert reply.header("Location") == "https://example.com/a?b"
    # A complete replica is believed.
    forwarder.state(connected=1)
    forwarder.links(3, [], 7, 7, complete=1)
    assert daemon.get("/ctqu6f/H0ZOVR7I").status == 307
    assert not forwarder.has_search(0.2)


def test_a_scanner_does_not_reach_mysql(daemon, forwarder):
    """Many unknown tokens: a bounded number of SEARCHes, 503 for the rest;
    another server is not touched by it."""
    statuses = []
    with daemon.connect() as c:
        def scan():
            for i in range(40):
                c.send(
                    f"GET /ctqu6f/scan{len(statuses)}x{i} HTTP/1.1\r\n"
                    "Host: a\r\n\r\n".encode()
                )
                while not select.select([c.sock], [], [], 0.001)[0]:
                    if forwarder.has_search(0.001):
                        forwarder.searched(forwarder.search()[0], NONE)
                statuses.append(c.reply().status)
            return statuses.count(503) > 20

        started = time.monotonic()
        wait_for(scan, "the limit", 60)
        seconds = time.monotonic() - started
    assert set(statuses) <= {404, 503}
    assert daemon.status()["searches_limited"] > 20
    assert 200 <= daemon.status()["searches"] <= 250 + seconds * 50
    asked = in_background(lambda: daemon.get("/other/unknown"))
    server_id = None
    while server_id != 9:
        # Before it, what the scanner left.
        ask, server_id, _ = forwarder.search()
        forwarder.searched(ask, NONE)
    assert asked()[0].status == 404


def test_a_worker_dies_while_it_waits(daemon, forwarder):
    visitor = daemon.connect()
    visitor.send(b"GET /ctqu6f/W HTTP/1.1\r\nHost: a\r\n\r\n")
    ask, _, _ = forwarder.search()
    for name, pid in daemon.roles().items():
        if name.startswith("web"):
            os.kill(pid, signal.SIGKILL)
            daemon.wait_role(name, other_than=pid)
    assert visitor.reply() is None
    forwarder.searched(ask, FOUND, 96, "W", "https://w.example/")
    wait_for(lambda: daemon.get("/ctqu6f/W").status == 307, "the link")


# --- events -----------------------------------------------------------------


def test_events_are_settled(daemon, forwarder):
    drain(forwarder)
    before = daemon.status()
    open_pictures(daemon, *"abcdef")
    events = forwarder.due()
    assert [e["token"] for e in events] == list("abcdef")
    assert {e["server_id"] for e in events} == {3}
    seqs = [e["seq"] for e in events]
    assert [e["token"] for e in forwarder.due(seqs[1], 2)] == ["c", "d"]
    assert forwarder.settle(WRITTEN, (seqs[0], 2)) == 1
    assert forwarder.settle(UNMATCHED, (seqs[2], 1)) == 1
    assert forwarder.settle(DUPLICATE, (seqs[3], 1)) == 1
    forwarder.settle(ASIDE, (seqs[4], 2), reason="no such database", retry=1)
    # A settlement may come twice; the events are gone.
    assert forwarder.settle(UNMATCHED, (1, seqs[-1])) == 1
    assert forwarder.due() == []
    status = daemon.status()
    check_law(status)
    assert status["written"] == before["written"] + 2
    assert status["unmatched"] == before["unmatched"] + 1
    assert status["duplicates"] == before["duplicates"] + 1
    assert status["set_aside"] == 2 and status["pending"] == 0
    assert forwarder.asides() == [3]
    assert status["set_aside_reasons"] == [
        {"server_id": 3, "n": 2, "retry": True, "reason": "no such database"}
    ]


def test_retry(daemon, forwarder):
    drain(forwarder)
    open_pictures(daemon, "a", "b", "c")
    first = forwarder.due()[0]["seq"]
    forwarder.settle(ASIDE, (first, 2), reason="1146", retry=1)
    forwarder.settle(ASIDE, (first + 2, 1), reason="too long", retry=0)
    assert forwarder.retry(9) == 0
    # One who waits for events gets those that come back.
    forwarder.ask_due(wait=1)
    assert forwarder.retry(3) == 2
    again = forwarder.get_due()
    assert [e["token"] for e in again] == ["a", "b"]
    assert again[0]["seq"] > first + 2
    assert forwarder.retry(3) == 0
    assert forwarder.asides() == []
    status = daemon.status()
    assert status["set_aside_reasons"] == [
        {"server_id": 3, "n": 1, "retry": False, "reason": "too long"}
    ]
    assert status["set_aside"] == 1 and status["pending"] == 2
    check_law(status)


def test_every_server_that_may_be_tried_again(daemon, forwarder):
    """However many reasons there are that nobody tries again."""
    drain(forwarder)
    open_pictures(daemon, *(f"m{i}" for i in range(1010)))
    open_pictures(daemon, "other", server="other")
    while page := forwarder.due(most=500):
        for e in page:
            again = int(e["server_id"] == 9)
            forwarder.settle(
                ASIDE, (e["seq"], 1), reason=e["token"], retry=again)
    assert forwarder.asides() == [9]
    assert forwarder.asides(8) == [9]
    assert forwarder.asides(9) == []
    assert len(daemon.status()["set_aside_reasons"]) == 64
    assert forwarder.retry(9) == 1
    assert forwarder.asides() == []


@pytest.mark.parametrize("durability", ["sync", "relaxed"])
def test_waiting_for_events(make_tracker, durability):
    t = make_tracker(settings(spool={"durability": durability})).start()
    with Forwarder(t) as f:
        prepare(t, f)
        wait_for(lambda: t.status()["accepted"] == 1, "the click")
        drain(f)
        f.ask_due(wait=1)
        # Something else may be asked meanwhile.
        assert f.asides() == []
        open_pictures(t, "first")
        assert [e["token"] for e in f.get_due()] == ["first"]
        drain(f)
        f.ask_due(wait=0)
        assert f.get_due() == []


def test_a_page_of_events_is_bounded(daemon, forwarder):
    drain(forwarder)
    agent = [("User-Agent", "u" * 1000)]
    for i in range(200):
        assert daemon.get(f"/img/ctqu6f/m{i}", agent).status == 200
    seen, after = [], 0
    while page := forwarder.due(after, 60000):
        assert len(page) < 140
        after = page[-1]["seq"]
        seen += [e["token"] for e in page]
    assert sorted(seen) == sorted(f"m{i}" for i in range(200))


def test_the_store_is_killed_between(daemon, forwarder):
    open_pictures(daemon, *"abcdefgh")
    node = forwarder.node
    f, written, unmatched = forwarder, 0, 0
    for round_ in range(6):
        open_pictures(daemon, f"r{round_}")
        events = f.due()
        done = events[: len(events) // 2 + 1]
        outcome = (WRITTEN, UNMATCHED)[round_ % 2]
        f.settle(outcome, *[(e["seq"], 1) for e in done])
        written += len(done) if outcome == WRITTEN else 0
        unmatched += len(done) if outcome == UNMATCHED else 0
        pid = daemon.roles()["store[0]"]
        os.kill(pid, signal.SIGKILL)
        daemon.wait_role("store[0]", other_than=pid)
        with pytest.raises((Closed, Refused)):
            f.due()
        f = Forwarder(daemon)
        assert f.node == node
        # What was settled stays so, the rest is due.
        rest = [e["seq"] for e in events[len(done):]]
        assert [e["seq"] for e in f.due()][: len(rest)] == rest
        assert f.start_seq >= events[-1]["seq"]
        status = daemon.status()
        check_law(status)
        assert status["written"] == written
        assert status["unmatched"] == unmatched
        assert daemon.get("/ctqu6f/H0zoVR7I").status == 307
    f.close()


def test_new_node(daemon, forwarder):
    node = forwarder.new_node()
    assert node != forwarder.node
    forwarder.close()
    daemon.kill_all()
    daemon.start()
    with Forwarder(daemon) as f:
        assert f.node == node


def test_settling_on_a_full_disk(make_tracker, work):
    """Nothing half done: refused with the reason, and well again later."""
    with small_disk(work / "disk", "8m") as disk:
        t = make_tracker(settings(spool={"directory": str(disk / "s")}))
        t.start()
        with Forwarder(t) as f:
            prepare(t, f)
            open_pictures(t, *"abcdef")
            events = f.due()
            filler = fill(disk)
            refused, aside = None, set()
            for e in events:
                for _ in range(50):
                    try:
                        f.settle(ASIDE, (e["seq"], 1), reason="x" * 255)
                        aside.add(e["seq"])
                    except Refused as why:
                        refused = str(why)
                    with pytest.raises(Refused):
                        for i in range(2000):
                            f.links(3, [(i + 100, f"l{i}", "h" * 9999)], 7, 7)
                    if refused:
                        break
            assert refused and re.search("disk is full", refused), refused
            status = t.status()
            check_law(status)
            assert status["set_aside"] == len(aside)
            assert status["pending"] >= len(events) - len(aside) > 0
            assert t.get("/ctqu6f/H0zoVR7I").status == 307
            # Also now a new server is served.
            with pytest.raises(Refused):
                f.servers({**SERVERS, 12: "fresh"})
            wait_for(lambda: t.get("/img/fresh/m").status == 200, "server")
            filler.unlink()
            f.servers({**SERVERS, 12: "fresh"})
            left = [(e["seq"], 1) for e in f.due()]
            f.settle(WRITTEN, *left)
            check_law(t.status())
            assert f.due() == []
        t.finish()


# --- who may speak ----------------------------------------------------------


def test_the_forwarders_user(daemon):
    with Forwarder(daemon, uid=FORWARDER_UID) as f:
        assert f.servers(SERVERS) == 2
        assert daemon.status()["forwarder"]["pid"] == os.getpid()
        assert daemon.status()["forwarder"]["connected_to_store"] is True
    # It may not ask as a person.
    with pytest.raises(Refused, match="may only drain and replicate"):
        Forwarder(daemon, uid=FORWARDER_UID, role=TOOL)
    with pytest.raises(Refused, match="you are uid 65534"):
        Forwarder(daemon, uid=65534)
    wait_for(
        lambda: daemon.status()["forwarder"]["pid"] is None, "it to be gone"
    )


def test_a_second_forwarder(daemon, forwarder):
    with pytest.raises(Refused, match=r"another forwarder is connected \(pid"):
        Forwarder(daemon)
    assert forwarder.servers(SERVERS) == 2
    # Over the corpse of the first at once.
    for _ in range(20):
        forwarder.close()
        forwarder = Forwarder(daemon)
    assert forwarder.servers(SERVERS) == 2
    # Its end may wait behind a lot that it said before.
    store = daemon.roles()["store[0]"]
    os.kill(store, signal.SIGSTOP)
    for _ in range(60):
        forwarder.state()
    forwarder.close()
    forwarder = Forwarder(daemon, hello=False)
    forwarder.send("HELLO", struct.pack("<IB", VERSION, FORWARDER))
    os.kill(store, signal.SIGCONT)
    forwarder.welcome()
    forwarder.close()


def test_standalone_has_no_forwarder(tracker):
    with pytest.raises(Refused, match=r"set \[postal\] mode = mysql"):
        Forwarder(tracker)
    assert tracker.status()["forwarder"]["connected_to_store"] is False


def record(name, body=b""):
    return struct.pack("<H", NUMBER[name]) + body


ATTACKS = {
    "type": (record("STATUS_GET"), "that it may not send"),
    "store's type": (record("DONE", b"\0" * 8), "that it may not send"),
    "unknown type": (b"\xff\xff", "that it may not send"),
    "size": (record("DUE_GET", b"\0" * 200), "of the wrong size"),
    "form": (
        record("SETTLE", b"\x09\0\0\1\0" + b"\1" * 12),
        "with a field out of range",
    ),
    "never happened": (
        record("SETTLE", b"\1\0\0\1\0" + struct.pack("<QI", 10**9, 1)),
        "with a field out of range",
    ),
    "too many": (
        record("SETTLE", b"\1\0\0\1\0" + struct.pack("<QI", 1, 2**32 - 1)),
        "with a field out of range",
    ),
    "low far above high": (
        record("KNOWN_LINKS", struct.pack("<IQQBH", 3, 10, 8, 0, 0)),
        "with a field out of range",
    ),
    "server twice": (
        record("KNOWN_SERVERS", b"\3\2\0" + b"\1\0\0\0\1a" * 2),
        "with a field out of range",
    ),
    "hello again": (
        record("HELLO", struct.pack("<IB", 2, FORWARDER)), "out of order",
    ),
    "no first part": (
        record("KNOWN_SERVERS", b"\2\0\0"), "out of order",
    ),
    "no first domain": (
        record("KNOWN_DOMAINS", b"\2\0\0"), "out of order",
    ),
    "never asked": (
        record("SEARCHED", struct.pack("<QBBQQBH", 99, 2, 0, 0, 0, 0, 0)),
        "out of order",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_forwarder(daemon, forwarder, attack):
    data, reason = ATTACKS[attack]
    forwarder.send_raw(data)
    with pytest.raises(Closed):
        forwarder.receive()
    daemon.wait_log(rf'close forwarder pid=\d+ reason="a message {reason}"')
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 307
    open_pictures(daemon, "m")
    with Forwarder(daemon) as f:
        assert f.due() != []
    assert "died" not in daemon.log()


def test_a_forwarder_that_names_others_each_time(daemon, forwarder):
    """Those that are gone stay known, but not without end."""
    most, step = 200_000, 10_000
    with pytest.raises(Closed):
        for first in range(1_000_000, 10_000_000, 1_000_000):
            for n in range(first, first + most, step):
                flags = (FIRST * (n == first)
                         | LAST * (n == first + most - step))
                forwarder.servers(
                    {i: str(i) for i in range(n, n + step)}, flags)
    # Those of the beginning, a table more, and not another one.
    assert first == 2_000_000
    daemon.wait_log('close forwarder .*reason="more than it may have')
    daemon.stop()
    daemon.start()
    assert daemon.status()["servers"] == most


def test_a_forwarder_that_does_not_read(daemon, forwarder):
    open_pictures(daemon, *(f"m{i}" for i in range(50)))
    with pytest.raises(Closed):
        for _ in range(5000):
            forwarder.ask_due()
    daemon.wait_log("close forwarder .*does not read its answers")
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 307


def test_hello_comes_first(daemon):
    f = Forwarder(daemon, hello=False)
    f.ask_due()
    with pytest.raises(Closed):
        f.receive()
    f = Forwarder(daemon, hello=False)
    f.send_raw(record("HELLO", struct.pack("<IB", 1, FORWARDER)))
    with pytest.raises(Refused, match="version 1 of the protocol"):
        f.expect("WELCOME")


# --- modes, status ----------------------------------------------------------


def test_modes_do_not_mix(daemon, forwarder):
    open_pictures(daemon, "a")
    forwarder.close()
    daemon.stop()
    daemon.settings["postal"]["mode"] = "standalone"
    daemon.write_conf()
    daemon.start()
    daemon.wait_log(r"file=spool\.db .*mode = mysql.*kept_as=spool\.db\.other")
    assert daemon.status()["accepted"] == 0
    assert daemon.status()["servers"] == 0
    daemon.link("ctqu6f", "Own")
    wait_for(lambda: daemon.get("/ctqu6f/Own").status == 307, "own link")
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 404
    daemon.stop()
    daemon.settings["postal"]["mode"] = "mysql"
    daemon.write_conf()
    daemon.start()
    daemon.wait_log(r"mode = standalone.*kept_as=spool\.db\.other")
    assert daemon.get("/ctqu6f/H0zoVR7I").status == 307
    refused = daemon.cli(
        "link", "add", "--server", "x", "https://a/", check=False
    )
    assert "links come from Postal" in refused.stderr


def test_status(daemon, forwarder):
    drain(forwarder)
    open_pictures(daemon, "a")
    seq = forwarder.due()[0]["seq"]
    forwarder.settle(ASIDE, (seq, 1), reason="1146 no \"table\"", retry=1)
    forwarder.state(error="2003 cannot connect", lag_ms=2500, broken=1)
    wait_for(lambda: daemon.status()["forwarder"]["error"], "the state")
    status = daemon.status()
    assert status["forwarder"] == {
        "connected_to_store": True, "pid": os.getpid(),
        "connected_to_mysql": True, "written": 11, "rate": 7,
        "webhooks": 12, "webhooks_skipped": 13, "searches": 14, "lag_ms": 2500,
        "databases": 2, "broken": 1, "error": "2003 cannot connect",
    }
    text = daemon.cli("status").stdout
    for words in (
        rf"^forwarder: pid {os.getpid()}, up \S+, connected to MySQL$",
        r"^  message databases: 2, broken: 1$",
        r"^  events a second: 7$",
        r"^  links: the oldest unread change is 2500ms old$",
        r'^  last error: "2003 cannot connect"$',
        r'^ +1  server 3, tried again: "1146 no \\"table\\""$',
    ):
        assert re.search(words, text, re.M), (words, text)
    forwarder.close()
    wait_for(
        lambda: "forwarder: NOT CONNECTED" in daemon.cli("status").stdout,
        "it to be gone",
    )
