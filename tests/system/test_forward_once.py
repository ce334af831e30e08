"""Exactly once: kill everything, cut everything, then count the rows.

EVENTS opens and clicks on many databases, each with a user agent of its own,
while forwarder, store, web, monitor and mysqld are killed KILLS times and the
proxy in between cuts connections, mostly around COMMIT. At the end each event
whose answer came in time is in the tables once, and nothing else is.
"""

import collections
import os
import random
import signal
import threading
import time

import pytest

from conftest import wait_for
from faulty_proxy import FaultyProxy
from golden_compare import decode_payload

EVENTS = int(os.environ.get("EVENTS", "2000"))
KILLS = int(os.environ.get("KILLS", "8"))
DATABASES = 12 if EVENTS < 50000 else 50
MESSAGES = 20
CLIENTS = 8
MAX_WAIT_SECONDS = 10
# An answer that took longer may have left before its event was stored.
IN_TIME_SECONDS = MAX_WAIT_SECONDS - 1
VICTIMS = "forwarder forwarder store store web monitor mysqld cut end".split()
RATES = {
    "cut_before_commit": 0.05,
    "drop_commit_reply": 0.05,
    "delay": 0.01,
    "cut": 0.001,
    "half_packet": 0.001,
}


def server_token(number):
    return f"srv{number:03}"


def message_token(number):
    return f"Message{number:09}"


def link_token(number):
    return f"LinkTok{number:09}"


class Client(threading.Thread):
    """Asks for opens and clicks; remembers what was answered, and when."""

    def __init__(self, tracker, name, seed):
        super().__init__(daemon=True)
        self.tracker = tracker
        self.prefix = name
        self.random = random.Random(seed)
        self.asked = {}  # agent: (kind, server, message number)
        self.in_time = set()
        self.wrong = []
        self.go = threading.Semaphore(0)
        self.ended = threading.Event()
        self.connection = None

    def allow(self, count):
        for _ in range(count):
            self.go.release()

    def run(self):
        while True:
            self.go.acquire()
            if self.ended.is_set():
                break
            while not self.one() and not self.ended.is_set():
                pass
        if self.connection:
            self.connection.close()

    def one(self):
        """One event, with an agent that was never used; whether answered."""
        agent = f"{self.prefix}-{len(self.asked)}"
        kind = self.random.choice(("open", "click"))
        server = self.random.randrange(1, DATABASES + 1)
        number = self.random.randrange(1, MESSAGES + 1)
        token = server_token(server)
        if kind == "open":
            target = f"/img/{token}/{message_token(number)}"
        else:
            target = f"/{token}/{link_token(number)}"
        self.asked[agent] = (kind, server, number)
        started = time.monotonic()
        try:
            if self.connection is None:
                self.connection = self.tracker.connect()
            self.connection.send(
                f"GET {target} HTTP/1.1\r\nHost: a\r\n"
                f"User-Agent: {agent}\r\n\r\n".encode()
            )
            reply = self.connection.reply()
        except (OSError, AssertionError):
            reply = None
        if reply is None:
            if self.connection:
                self.connection.close()
            self.connection = None
            self.ended.wait(0.01)
            return False
        if reply.status != (200 if kind == "open" else 307):
            if reply.status != 503:
                self.wrong.append((agent, target, reply.status, reply.body))
            # Nothing is recorded of a link that cannot be looked up now.
            del self.asked[agent]
            self.asked[f"{agent}-not-recorded"] = None
            return False
        if time.monotonic() - started < IN_TIME_SECONDS:
            self.in_time.add(agent)
        return True

    def end(self):
        self.ended.set()
        self.go.release()


class Chaos:
    """Kills one thing at a time and sees that it comes back."""

    def __init__(self, stack, proxies, seed):
        self.stack = stack
        self.proxies = proxies
        self.random = random.Random(seed)
        self.killed = collections.Counter()

    def strike(self, victim):
        self.killed[victim] += 1
        getattr(self, victim)()

    def forwarder(self):
        self.stack.forwarder.kill()
        self.stack.forwarder.start()

    def end(self):
        self.stack.forwarder.stop()
        self.stack.forwarder.start()

    def cut(self):
        for proxy in self.proxies:
            proxy.cut_all()

    def mysqld(self):
        server = self.random.choice(self.stack.postal.servers_of_both())
        server.kill()
        server.start()

    def monitor(self):
        self.stack.tracker.kill_all()
        self.stack.tracker.start()

    def role(self, name):
        tracker = self.stack.tracker
        pid = tracker.roles()[name]
        os.kill(pid, signal.SIGKILL)
        tracker.wait_role(name, other_than=pid)

    def store(self):
        self.role("store[0]")

    def web(self):
        names = [n for n in self.stack.tracker.roles() if n.startswith("web")]
        self.role(self.random.choice(names))


def happened(proxies):
    return dict(sum((p.counts for p in proxies), collections.Counter()))


def fill(postal):
    """How many endpoints each server has is its number modulo 3."""
    for server in range(1, DATABASES + 1):
        postal.add_server(server_token(server), server)
        for number in range(1, MESSAGES + 1):
            postal.add_message(
                server, id=number, token=message_token(number)
            )
            postal.add_link(
                server,
                link_token(number),
                f"https://example.com/{server}/{number}",
                number,
                id=number,
            )
        for endpoint in range(server % 3):
            postal.add_webhook(server, f"https://hooks.example/{endpoint}")


def check_rows(postal, asked, in_time):
    """Each event once, where it belongs; what has to be there is."""
    seen = collections.Counter()
    for server in range(1, DATABASES + 1):
        latest, opened = {}, collections.defaultdict(set)
        for kind, rows in (
            ("open", postal.loads(server)),
            ("click", postal.clicks(server)),
        ):
            for row in rows:
                agent, number = row["user_agent"], row["message_id"]
                seen[agent] += 1
                assert asked.get(agent) == (kind, server, number), row
                assert row.get("link_id", number) == number, row
                if kind == "click":
                    at = row["timestamp"]
                    latest[number] = max(latest.get(number, at), at)
                else:
                    opened[number].add(row["timestamp"])
        for message in postal.messages(server):
            number = message["id"]
            assert message["clicked"] == latest.get(number), message
            if opened[number]:
                assert message["loaded"] in opened[number], message
            else:
                assert message["loaded"] is None, message
    twice = {a: n for a, n in seen.items() if n > 1}
    missing = in_time - set(seen)
    assert not twice, f"{len(twice)} twice: {sorted(twice)[:10]}"
    assert not missing, f"{len(missing)} missing: {sorted(missing)[:10]}"
    return set(seen)


def check_webhooks(postal, asked, written):
    """One row for each event and endpoint, each with a uuid of its own."""
    endpoints = collections.Counter(
        row[0]
        for row in postal.main.execute(
            f"SELECT server_id FROM `{postal.database}`.webhooks"
        )
    )
    rows = postal.webhook_requests()
    uuids = collections.Counter(row["uuid"] for row in rows)
    assert len(uuids) == len(rows), uuids.most_common(3)
    seen = collections.Counter()
    for row in rows:
        payload = decode_payload(row["payload"])
        agent = payload["user_agent"]
        kind, server, number = asked[agent]
        assert row["server_id"] == server, row
        assert payload["message"]["id"] == number, row
        assert row["event"] == (
            "MessageLoaded" if kind == "open" else "MessageLinkClicked"
        )
        seen[agent, row["webhook_id"]] += 1
    assert max(seen.values(), default=1) == 1, seen.most_common(3)
    by_agent = collections.Counter(agent for agent, _ in seen)
    wrong = {
        agent: (by_agent[agent], *asked[agent])
        for agent in written
        if by_agent[agent] != endpoints[asked[agent][1]]
    }
    assert not wrong, f"{len(wrong)} without webhook: {sorted(wrong.items())}"
    assert set(by_agent) <= written


def run_load(clients, chaos, stack, rng):
    """A share of the events, then a kill in the middle of what follows."""
    share = EVENTS // (KILLS + 1) // CLIENTS + 1
    for number in range(KILLS + 1):
        goal = [len(c.in_time) + share // 2 for c in clients]
        for client in clients:
            client.allow(share)
        wait_for(
            lambda goal=goal: all(
                len(c.in_time) >= g or c.wrong
                for c, g in zip(clients, goal)
            ),
            f"answers; killed so far: {dict(chaos.killed)}\n"
            f"{stack.tracker.log()[-2000:]}",
            120,
        )
        if number == KILLS:
            break
        if rng.random() < 0.5:
            # In the middle of the drain, not of the load.
            before = stack.tracker.status()["pending"]
            stack.wait_status(
                lambda s, before=before: s["pending"] < max(before, 1),
                "the drain to begin",
                120,
            )
        chaos.strike(rng.choice(VICTIMS))
        stack.wait_status(
            lambda s: s["pending"] <= share * CLIENTS // 2,
            "most of it to be written",
            120,
        )
    # Everything that was allowed, answered.
    for client in clients:
        wait_for(
            lambda c=client: c.go._value == 0 or c.wrong, "the last", 120
        )
        client.end()
    for client in clients:
        client.join(60)
        assert not client.is_alive()


@pytest.fixture
def proxied(make_mariadb, make_stack):
    """A stack whose forwarder reaches MariaDB through proxies."""
    made = []

    def behind_proxy(server, seed):
        proxy = FaultyProxy("127.0.0.1", server.port, seed).start()
        made.append(proxy)
        return ("127.0.0.1", proxy.port)

    def make(seed, two_hosts=False):
        """The stack and its proxies: one, or main and message."""
        main = make_mariadb()
        message = make_mariadb() if two_hosts else None
        hosts = {"main": behind_proxy(main, seed)}
        if two_hosts:
            hosts["message"] = behind_proxy(message, seed + 1)
        stack = make_stack(
            main,
            message,
            hosts=hosts,
            settings={
                "spool": {"max_wait": f"{MAX_WAIT_SECONDS}s"},
                "http": {"workers": 2},
                # Small transactions: there are more COMMITs to cut.
                "forwarder": {"batch": 25, "poll": "100ms"},
            },
        )
        return stack, made

    yield make
    for proxy in made:
        proxy.stop()


@pytest.mark.parametrize("two_hosts", [False, True], ids=["one", "two"])
def test_exactly_once(proxied, say, two_hosts):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    stack, proxies = proxied(seed, two_hosts)
    stack.tracker.may_die = True
    fill(stack.postal)
    stack.start()
    chaos = Chaos(stack, proxies, seed)
    clients = [
        Client(stack.tracker, f"c{i}", seed + i) for i in range(CLIENTS)
    ]
    started = time.monotonic()
    try:
        for proxy in proxies:
            proxy.rates.update(RATES)
        for client in clients:
            client.start()
        run_load(clients, chaos, stack, rng)
        # A round of commits that fail, whatever the dice said.
        for proxy in proxies:
            proxy.schedule("drop_commit_reply", "cut_before_commit")
            proxy.rates.clear()
        status = stack.wait_status(
            lambda s: s["pending"] == 0 and s["set_aside"] == 0,
            "all events to be written",
            120 + EVENTS / 200,
        )
        asked, in_time = {}, set()
        for client in clients:
            assert not client.wrong, client.wrong[:3]
            asked.update(client.asked)
            in_time |= client.in_time
        assert len(in_time) >= EVENTS * 0.9, len(in_time)
        assert status["lost"] == 0, status
        written = check_rows(stack.postal, asked, in_time)
        check_webhooks(stack.postal, asked, written)
        # Found in the ledger after a crash: written, and known to be.
        total = status["written"] + status["duplicates"]
        assert total == len(written), status
        assert status["unmatched"] == 0, status
    except BaseException as e:
        raise AssertionError(
            f"seed {seed}, killed {dict(chaos.killed)}, "
            f"proxy {happened(proxies)}: {e}\n"
            f"{stack.forwarder.log()[-4000:]}"
        ) from e
    finally:
        for client in clients:
            client.end()
    say(
        f"{len(in_time)} events answered in time, {len(written)} written "
        f"once; killed {dict(chaos.killed)}; proxy {happened(proxies)}; "
        f"{time.monotonic() - started:.1f} s"
    )


@pytest.mark.parametrize("fault", ["drop_commit_reply", "cut_before_commit"])
def test_each_commit_fails_once(proxied, fault):
    """Every commit of a small run fails once, then the next passes."""
    stack, (proxy,) = proxied(1)
    fill(stack.postal)
    stack.start()
    proxy.schedule(*[fault, None] * 200)
    agents = {}
    for number in range(1, 40):
        server = number % DATABASES + 1
        message = number % MESSAGES + 1
        agent = f"agent-{number}"
        agents[agent] = ("open", server, message)
        reply = stack.tracker.get(
            f"/img/{server_token(server)}/{message_token(message)}",
            [("User-Agent", agent)],
        )
        assert reply.status == 200
    stack.wait_drained()
    written = check_rows(stack.postal, agents, set(agents))
    check_webhooks(stack.postal, agents, written)
    assert proxy.counts[fault] > 0, proxy.counts
    # What was written, though nobody heard so, is found in the ledger.
    duplicates = stack.tracker.status()["duplicates"]
    assert (duplicates > 0) == (fault == "drop_commit_reply"), duplicates


def test_a_lost_connection_is_opened_at_once(proxied):
    """Not when something else is due: lost five times, that would take
    20 seconds. Of two hosts the other one goes on."""
    stack, (_, message) = proxied(1, two_hosts=True)
    fill(stack.postal)
    stack.start()
    message.schedule(*["cut_before_commit"] * 5)
    started = time.monotonic()
    stack.tracker.get(f"/img/{server_token(1)}/{message_token(1)}")
    stack.wait_drained()
    assert message.counts["cut_before_commit"] == 5, message.counts
    assert time.monotonic() - started < 10


def test_ledger(make_stack):
    """One row a node and server; its number never goes back."""
    stack = make_stack()
    fill(stack.postal)
    stack.start()
    node = stack.tracker.status()["node"]
    last = {}
    for round_ in range(3):
        for server in range(1, DATABASES + 1):
            stack.tracker.get(f"/img/{server_token(server)}/Message000000001")
        stack.wait_drained()
        rows = {
            row["server_id"]: row
            for row in stack.postal.ledger()
            if row["server_id"]
        }
        assert set(rows) == set(range(1, DATABASES + 1)), round_
        for server, row in rows.items():
            assert row["last_seq"] > last.get(server, 0), row
            last[server] = row["last_seq"]
            text = row["node"]
            if isinstance(text, bytes):
                text = text.hex()
            assert text.replace("-", "").lower() == node.replace("-", "")


@pytest.mark.parametrize("early", [0, 8])
def test_spool_from_a_backup(make_stack, early):
    """A ledger that is ahead of the spool: it takes a new node, and writes
    what the backup had on its way only once.

    early: events that come before the forwarder, beyond where the ledger is.
    """
    stack = make_stack()
    fill(stack.postal)
    stack.start()
    stack.tracker.get("/img/srv001/Message000000001")
    stack.wait_drained()
    stack.forwarder.stop()
    stack.tracker.get("/img/srv001/Message000000001")
    stack.tracker.stop()
    saved = {
        path.name: (path, path.read_bytes(), path.stat())
        for path in stack.tracker.spool.iterdir()
        if path.is_file()
    }
    stack.tracker.start()
    stack.forwarder.start()
    stack.wait_servers()
    for _ in range(5):
        stack.tracker.get("/img/srv001/Message000000001")
    stack.wait_drained()
    node = stack.tracker.status()["node"]
    stack.forwarder.stop()
    stack.tracker.stop()
    for path in stack.tracker.spool.iterdir():
        if path.is_file():
            path.unlink()
    for path, data, stat in saved.values():
        path.write_bytes(data)
        os.chmod(path, stat.st_mode)
        os.chown(path, stat.st_uid, stat.st_gid)
    stack.tracker.start()
    for _ in range(early):
        assert stack.tracker.get("/img/srv001/Message000000001").status == 200
    stack.forwarder.start()
    stack.wait_servers()
    for _ in range(3):
        stack.tracker.get("/img/srv001/Message000000001")
    stack.wait_drained()
    status = stack.tracker.status()
    assert status["node"] != node
    assert status["duplicates"] == 1
    assert len(stack.postal.loads(1)) == 1 + 1 + 5 + early + 3
