"""Replays what Postal's own code answered and wrote, case by case.

Tracker and forwarder run against a real MariaDB with Postal's schema. Before
each case the tables hold what the case says; then its requests are sent, each
through a PROXY header that shows the peer that Postal saw; when the spool has
drained, answers, rows and webhook requests are compared with the golden ones,
changed by the list of rules in golden_rules.py and by nothing else.
"""

import ipaddress
import json
import os
import shutil
import struct
import tempfile
from pathlib import Path

import pytest

import oracle
from conftest import wait_for
from forwarder import Stack
from golden_cases import MESSAGE_COLUMNS, load_all
from golden_compare import (
    Outcome,
    answer_of_reply,
    compare,
    hook_of_row,
    outcome_of,
)
from golden_rules import RULES, apply_rules
from mariadb import MariaDB
from postal import Postal

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


def group_of(case):
    """What needs a tracker of its own: it caches servers and links."""
    return case.generation, tuple(case.trusted), case.state.key()


CASES = sorted(load_all(), key=group_of)


def proxy_header(peer):
    """PROXY version 2 of a connection of this peer."""
    who = ipaddress.ip_address(peer.split("%", 1)[0])
    if who.version == 4:
        family, ends = 0x11, who.packed + bytes([127, 0, 0, 1])
    else:
        family, ends = 0x21, who.packed + ipaddress.ip_address("::1").packed
    body = ends + struct.pack("!HH", 40000, 80)
    return PROXY_V2 + struct.pack("!BBH", 0x21, family, len(body)) + body


def canonical(value):
    return None if value is None else f"{value:.6f}"


class Replay:
    """One MariaDB; a tracker and a forwarder for each group of cases."""

    def __init__(self, directory):
        self.directory = directory
        self.mariadb = MariaDB(
            directory / "mariadb",
            options=["--innodb-flush-log-at-trx-commit=0"],
        ).start()
        self.installations = {}
        self.webhooks = {}  # by main database, what it holds
        self.group = None
        self.stack = None
        self.state = None
        self.number = 0

    def close(self):
        try:
            self.stop()
        finally:
            for one in self.installations.values():
                one.close()
            self.mariadb.kill()

    def stop(self):
        stack, self.stack, self.group = self.stack, None, None
        if stack is not None:
            stack.finish()

    # --- state ----------------------------------------------------------

    def postal(self, generation):
        """The generation's installation: databases and account of its own."""
        if generation not in self.installations:
            name = generation.replace(".", "_")
            # The golden 1.x ran with all migrations.
            schema = "1.x-last" if generation == "1.x" else generation
            self.installations[generation] = Postal(
                self.mariadb,
                generation=schema,
                database=f"postal_{name}",
                prefix=f"golden-{name}",
                user=f"tracker_{name}",
            )
        return self.installations[generation]

    def put_servers(self, postal, state):
        postal.empty_main("servers")
        for server in state.servers:
            row = {k: v for k, v in server.items() if k != "database"}
            number = row.pop("id")
            postal.add_server(
                row.pop("token"), number, database=False, **row
            )
            if not postal.has_message_database(number):
                postal.create_message_database(number)
            if not server["database"]:
                # It was there once: the grants still are.
                postal.drop_message_database(number)
                continue
            postal.empty_message(number, "links", "messages")
            for link in state.links.get(number, []):
                columns = {
                    "timestamp": "1712345678.000001",
                    **link,
                }
                postal.add_link(
                    number,
                    columns.pop("token"),
                    columns.pop("url"),
                    columns.pop("message_id"),
                    **columns,
                )

    def put_rows(self, postal, state):
        """What a case finds, beside servers and links."""
        postal.empty_main("webhook_requests")
        self.put_webhooks(postal, state)
        for server in state.servers:
            number = server["id"]
            if not server["database"]:
                continue
            postal.empty_message(number, "loads", "clicks", "messages")
            for message in state.messages.get(number, []):
                postal.add_message(
                    number, **{c: message[c] for c in MESSAGE_COLUMNS}
                )

    def put_webhooks(self, postal, state):
        """At once: the forwarder may read them at any moment."""
        wanted = json.dumps([state.webhooks, state.webhook_events])
        if self.webhooks.get(postal.database) == wanted:
            return
        self.webhooks[postal.database] = wanted
        with postal.transaction():
            postal.empty_main("webhooks", "webhook_events")
            for webhook in state.webhooks:
                columns = dict(webhook)
                all_events = columns.pop("all_events")
                number = postal.add_webhook(
                    columns.pop("server_id"),
                    columns.pop("url"),
                    enabled=columns.pop("enabled"),
                    **columns,
                )
                # NULL is another thing than no.
                postal.set_all_events(number, all_events)
            for event in state.webhook_events:
                postal.add_webhook_event(**event)

    def prepare(self, case):
        postal = self.postal(case.generation)
        if group_of(case) != self.group:
            self.stop()
            self.put_servers(postal, case.state)
            self.put_rows(postal, case.state)
            self.start(case, postal)
            return
        self.put_rows(postal, case.state)
        if case.state != self.state:
            self.stack.forwarder.reload()
            self.state = case.state

    def start(self, case, postal):
        self.number += 1
        proxies = dict.fromkeys(["127.0.0.1", *case.trusted])
        self.stack = Stack(
            self.directory / f"group{self.number}",
            postal,
            {
                "http": {"workers": 1},
                "clients": {
                    "proxy_protocol": "yes",
                    "trusted_proxies": " ".join(proxies),
                },
                "links": {"retention": "36500d"},
            },
        )
        self.stack.tracker.start()
        self.stack.forwarder.start()
        self.group, self.state = group_of(case), case.state
        self.stack.wait_servers(self.status_of)

    def status_of(self, method, target):
        data = (
            f"{method} {target} HTTP/1.1\r\nHost: a\r\n"
            "Connection: close\r\n\r\n"
        )
        head = method == "HEAD"
        return self.ask("127.0.0.1", data.encode(), head).status

    # --- the case -------------------------------------------------------

    def ask(self, peer, data, head=False):
        with self.stack.tracker.connect() as connection:
            connection.send(proxy_header(peer) + data)
            return connection.reply(head)

    def send(self, request):
        """Tries again as the page of a 503 does."""

        def answered():
            head = request.method == "HEAD"
            reply = self.ask(request.peer, request.wire(), head)
            waits = reply is not None and reply.status == 503
            return None if waits else [reply]

        return wait_for(answered, "an answer other than 503")[0]

    def rows(self, postal, state, outcome):
        for server in state.servers:
            if not server["database"]:
                continue
            number = server["id"]
            for name in ("loads", "clicks"):
                rows = getattr(postal, name)(number)
                for row in rows:
                    assert row.pop("country") is None
                    assert row.pop("city") is None
                    row.pop("id")
                    row["timestamp"] = canonical(row["timestamp"])
                if rows:
                    getattr(outcome, name)[number] = rows
            before = {m["id"]: m for m in state.messages.get(number, [])}
            for message in postal.messages(number):
                now = {
                    c: canonical(message[c]) for c in ("loaded", "clicked")
                }
                old = before.pop(message["id"])
                if now != {c: old[c] for c in now}:
                    outcome.messages[number, message["id"]] = now
            assert not before, f"messages are gone: {before}"

    def run(self, case):
        self.prepare(case)
        postal = self.postal(case.generation)
        outcome = Outcome()
        for step in case.steps:
            reply = self.send(step.request)
            outcome.answers.append(answer_of_reply(reply))
        self.stack.wait_drained()
        self.rows(postal, case.state, outcome)
        rows = postal.webhook_requests()
        assert len({r["uuid"] for r in rows}) == len(rows)
        outcome.hooks = [hook_of_row(r) for r in rows]
        return outcome


@pytest.fixture(scope="module")
def replay():
    directory = Path(tempfile.mkdtemp(prefix="tracker-golden-"))
    os.chmod(directory, 0o755)
    one = Replay(directory)
    yield one
    try:
        one.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, replay):
    expected = outcome_of(apply_rules(case))
    found = compare(expected, replay.run(case))
    assert not found, (
        f"{case}\n" + "\n".join(found) + "\n"
        f"request: {[s.request for s in case.steps]}"
        f"\n{replay.stack.forwarder.log()[-3000:]}"
    )


def test_the_rules(say):
    """Prints the differences; each has to be there."""
    counts = {}
    for case in CASES:
        apply_rules(case, counts)
    same = len(CASES) - len(set().union(*counts.values()))
    say(f"{len(CASES)} golden cases, {same} without a difference:")
    for rule in RULES:
        touched = len(counts.get(rule.name, ()))
        say(f"{touched:5} {rule.name}: {rule.why} ({rule.where})")
    unused = [r.name for r in RULES if r.name not in counts]
    assert not unused, f"rules that touch no case: {unused}"


def test_state_is_read_whole():
    """Every column that the files give is put into the tables."""
    for case in CASES:
        json.dumps(case.state.servers)
        for rows in case.state.links.values():
            for link in rows:
                assert set(link) <= {
                    "id", "token", "url", "message_id", "timestamp"
                }, link
        for rows in case.state.messages.values():
            for message in rows:
                assert set(MESSAGE_COLUMNS) <= set(message), message
        for step in case.steps:
            assert oracle.address(step.request.peer) is not None
