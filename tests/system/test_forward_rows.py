"""What the forwarder writes: every schema, odd agents, odd URLs, NULLs."""

import os
import re
import threading
from decimal import Decimal

import pytest

from forward_help import (
    CLICK,
    OPEN,
    QUICK,
    URL,
    agents,
    ask,
    one_server,
    wait_links,
    wait_warning,
)
from forwarder import Stack
from golden_compare import decode_payload, hook_of_row
from mariadb import MariaDB
from postal import GENERATIONS, Postal


# --- the ordinary way -------------------------------------------------------


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lax"])
@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations(make_mariadb, make_stack, generation, strict):
    """The same rows in every schema, and under either sql_mode."""
    stack = make_stack(
        make_mariadb(strict=strict), generation=generation, settings=QUICK
    )
    one_server(stack.postal)
    stack.start()
    ask(stack, OPEN, "first", 200)
    ask(stack, OPEN, "u" * 256, 200)
    assert stack.click(CLICK).header("Location") == URL
    stack.wait_drained()
    loads, clicks = stack.postal.loads(1), stack.postal.clicks(1)
    assert agents(loads) == ["first", "u" * 255]
    assert agents(clicks) == [None]
    message = stack.postal.messages(1)[0]
    assert message["loaded"] == loads[0]["timestamp"]
    assert message["clicked"] == clicks[0]["timestamp"]
    hooks = [hook_of_row(r) for r in stack.postal.webhook_requests()]
    assert [h["event"] for h in hooks] == [
        "MessageLoaded",
        "MessageLoaded",
        "MessageLinkClicked",
    ]
    assert hooks[1]["payload"]["user_agent"] == "u" * 256
    assert {h["retry_after"] for h in hooks} == {"<past>"}


def test_two_hosts(make_mariadb, make_stack):
    """Main and message databases on servers of their own; a ledger on each."""
    main, message = make_mariadb(), make_mariadb()
    stack = make_stack(main, message, settings=QUICK)
    one_server(stack.postal)
    stack.start()
    ask(stack, OPEN, "two hosts", 200)
    assert stack.click(CLICK).status == 307
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["two hosts"]
    assert len(stack.postal.clicks(1)) == 1
    assert len(stack.postal.webhook_requests()) == 2
    for server in (main, message):
        assert server.execute("SELECT COUNT(*) FROM postal_tracker.ledger")[
            0
        ][0], "no ledger"
    # One of them away: what needs it waits, and comes once.
    message.stop()
    ask(stack, OPEN, "message host away", 200)
    message.start()
    stack.wait_drained()
    main.stop()
    ask(stack, OPEN, "main host away", 200)
    main.start()
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == [
        "two hosts",
        "message host away",
        "main host away",
    ]
    uuids = [r["uuid"] for r in stack.postal.webhook_requests()]
    assert len(uuids) == len(set(uuids)) == 4


def test_first_open_and_last_click(stack):
    """`loaded` keeps the first, `clicked` never goes back."""
    postal = stack.postal
    postal.add_message(
        1, id=2, token="SeenBefore", loaded="1.5", clicked="9999999999.5"
    )
    postal.add_link(1, "SeenLink", URL, 2, id=2)
    for _ in range(3):
        ask(stack, OPEN, "a", 200)
        ask(stack, "/img/ctqu6f/SeenBefore", "a", 200)
        assert stack.click(CLICK).status == 307
        assert stack.click("/ctqu6f/SeenLink").status == 307
    stack.wait_drained()
    first, second = postal.messages(1)
    loads = [r for r in postal.loads(1) if r["message_id"] == 1]
    clicks = [r for r in postal.clicks(1) if r["message_id"] == 1]
    assert first["loaded"] == min(r["timestamp"] for r in loads)
    assert first["clicked"] == max(r["timestamp"] for r in clicks)
    assert second["loaded"] == Decimal("1.5")
    assert second["clicked"] == Decimal("9999999999.5")
    assert len(postal.loads(1)) == len(postal.clicks(1)) == 6


def test_webhooks_right_after_a_start(two):
    """What waited for the forwarder gets its webhooks, from the first on."""
    two.postal.add_webhook(2, "https://hooks.example.com/2")
    two.forwarder.stop()
    for number in range(5):
        ask(two, OPEN, f"first-{number}", 200)
        ask(two, "/img/other1/AbCdEfGhIjKlMnOp", f"second-{number}", 200)
    two.forwarder.start()
    two.wait_drained()
    said = sorted(
        decode_payload(r["payload"])["user_agent"]
        for r in two.postal.webhook_requests()
    )
    expected = [f"first-{n}" for n in range(5)]
    expected += [f"second-{n}" for n in range(5)]
    assert said == expected


def test_many_at_once(two):
    """Both databases under load from several clients: every row, once."""
    errors = []

    def load(name):
        try:
            with two.tracker.connect() as connection:
                for number in range(200):
                    token = ("ctqu6f", "other1")[number % 2]
                    connection.send(
                        f"GET /img/{token}/AbCdEfGhIjKlMnOp HTTP/1.1\r\n"
                        f"Host: a\r\nUser-Agent: {name}-{number}\r\n\r\n"
                        "".encode()
                    )
                    assert connection.reply().status == 200
        except (OSError, AssertionError) as e:
            errors.append(e)

    threads = [
        threading.Thread(target=load, args=(f"t{i}",)) for i in range(6)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not errors, errors
    status = two.wait_drained()
    seen = agents(two.postal.loads(1)) + agents(two.postal.loads(2))
    assert sorted(seen) == sorted(
        f"t{i}-{n}" for i in range(6) for n in range(200)
    )
    assert status["written"] == 1200


# --- odd data ---------------------------------------------------------------


def raw_get(stack, target, agent):
    return stack.tracker.raw(
        b"GET " + target.encode() + b" HTTP/1.1\r\nHost: a\r\n"
        b"User-Agent: " + agent + b"\r\nConnection: close\r\n\r\n"
    )


def test_odd_user_agents(stack):
    """Repaired, cut at 255 characters; the webhook has the longer text."""
    given = [
        b"u" * 256,
        "é".encode() * 256,
        "\U0001f600".encode() * 256,
        b"bad \xff\xfe bytes",
        b"surrogate \xed\xa0\x80",
        b"cut \xe2\x82",
        b"u" * 254 + b"\xff\xff",
        b"2023-02-29",
        b"'; DROP TABLE loads; -- \\",
        "\u2028\u0085\ufeff\uffff".encode(),
        b'"}],"x": {{ !!ruby/hash: &a *b | > % @ `',
        b"a\tb",
    ]
    for agent in given:
        assert raw_get(stack, OPEN, agent).status == 200
        assert raw_get(stack, CLICK, agent).status == 307
    status = stack.wait_drained()
    assert status["set_aside"] == 0
    repaired = [agent.decode("utf-8", "replace") for agent in given]
    expected = [text[:255] for text in repaired]
    assert agents(stack.postal.loads(1)) == expected
    assert agents(stack.postal.clicks(1)) == expected
    hooks = [
        decode_payload(r["payload"])["user_agent"]
        for r in stack.postal.webhook_requests()
    ]
    assert sorted(hooks) == sorted(repaired * 2)


def test_tables_of_three_bytes(make_mariadb, make_stack):
    """Before utf8mb4 a smile could not be stored: the rest of the text is."""
    stack = make_stack(make_mariadb(), settings=QUICK, generation="1.x")
    one_server(stack.postal)
    stack.start()
    stack.click(CLICK)
    smile = "smile \U0001f600 é"
    assert raw_get(stack, OPEN, smile.encode()).status == 200
    assert raw_get(stack, CLICK, smile.encode()).status == 307
    assert raw_get(stack, OPEN, b"plain").status == 200
    status = stack.wait_drained()
    assert status["set_aside"] == 0
    assert agents(stack.postal.loads(1)) == ["smile \ufffd é", "plain"]
    assert agents(stack.postal.clicks(1))[-1] == "smile \ufffd é"


def test_odd_urls(stack):
    postal = stack.postal
    urls = {
        "CrLf": "https://example.com/\r\nSet-Cookie: a=b\r\n\r\nbody",
        "NulByte": "https://example.com/a\0b",
        "Quotes": "https://example.com/\"'\\ <x>",
        "Emoji": "https://example.com/\U0001f600",
        "LongUrl": "https://example.com/" + "p" * 60000,
    }
    for token, url in urls.items():
        postal.add_link(1, token, url, 1)
    for token in urls:
        reply = stack.click(f"/ctqu6f/{token}")
        assert reply.status == 307, token
        assert re.fullmatch(r"[!-~]+", reply.header("Location")), token
        assert reply.header("Set-Cookie") is None
    for token, url in (
        ("Script", "javascript:alert(1)"),
        ("Empty", ""),
        ("Null", None),
    ):
        postal.add_link(1, token, url, 1)
        assert stack.click(f"/ctqu6f/{token}").status == 404
    stack.wait_drained()
    assert len(postal.clicks(1)) == len(urls)
    said = [decode_payload(r["payload"]) for r in postal.webhook_requests()]
    assert {p["token"]: p["url"] for p in said} == urls


def test_payload_too_long(stack):
    """The webhook is left out and counted; the redirect and row are not."""
    postal = stack.postal
    postal.add_link(1, "TooLong", "https://example.com/" + "p" * 65500, 1)
    assert stack.click("/ctqu6f/TooLong").status == 307
    stack.wait_drained()
    assert len(postal.clicks(1)) == 1
    assert postal.webhook_requests() == []
    wait_warning(stack, "webhook|payload")


NULLABLE = (
    "scope rcpt_to mail_from subject message_id tag inspected spam "
    "timestamp loaded clicked"
).split()


@pytest.fixture(scope="module")
def messages_with_null(tmp_path_factory):
    """One run for all columns: (stack, message id by column)."""
    directory = tmp_path_factory.mktemp("null")
    for parent in (directory, *directory.parents):
        if str(parent) not in ("/", "/tmp"):
            os.chmod(parent, 0o755)
    server = MariaDB(directory / "m").start()
    stack = None
    try:
        postal = Postal(server)
        one_server(postal)
        full = {
            "tag": "t",
            "message_id": "m@example.com",
            "inspected": 1,
            "spam": 1,
            "loaded": None,
            "clicked": None,
        }
        numbers = {}
        for number, column in enumerate(NULLABLE, 10):
            numbers[column] = number
            row = {**full, column: None}
            postal.add_message(1, id=number, token=f"Null{number}", **row)
            postal.add_link(1, f"Link{number}x", URL, number)
        stack = Stack(directory / "s", postal, QUICK).start()
        for column, number in numbers.items():
            ask(stack, f"/img/ctqu6f/Null{number}", column, 200)
            assert stack.click(f"/ctqu6f/Link{number}x").status == 307
        stack.wait_drained()
        yield stack, numbers
    finally:
        if stack is not None:
            stack.finish()
        server.kill()


@pytest.mark.parametrize("column", NULLABLE)
def test_null_in_messages(messages_with_null, column):
    """NULL in each column of a message, one at a time."""
    stack, numbers = messages_with_null
    message = next(
        m for m in stack.postal.messages(1) if m["id"] == numbers[column]
    )
    assert message["loaded"] is not None and message["clicked"] is not None
    payloads = [
        decode_payload(r["payload"])
        for r in stack.postal.webhook_requests()
    ]
    mine = [p for p in payloads if p["message"]["id"] == numbers[column]]
    assert len(mine) == 2
    said = mine[0]["message"]
    names = {
        "scope": "direction",
        "rcpt_to": "to",
        "mail_from": "from",
        "subject": "subject",
        "message_id": "message_id",
        "tag": "tag",
    }
    if column in names:
        assert said[names[column]] is None
    if column == "timestamp":
        assert said["timestamp"] == 0.0
    if column in ("inspected", "spam"):
        status = "NotChecked" if column == "inspected" else "NotSpam"
        assert said["spam_status"] == status


def test_links_and_messages_apart(stack):
    """A link of no message, of a pruned one; an open of none; no rows."""
    postal = stack.postal
    postal.add_link(1, "NoMessage", "https://example.com/none", None)
    postal.add_link(1, "Pruned", "https://example.com/pruned", 99)
    ask(stack, "/img/ctqu6f/nope", "x", 200)
    assert stack.click("/ctqu6f/NoMessage").status == 307
    assert stack.click("/ctqu6f/Pruned").status == 307
    # A message that goes between the event and its row.
    postal.add_message(1, id=5, token="GoesAway")
    postal.add_link(1, "GoesLink", URL, 5)
    wait_links(stack, 4)
    stack.forwarder.stop()
    ask(stack, "/ctqu6f/GoesLink", "x", 307)
    ask(stack, "/img/ctqu6f/GoesAway", "x", 200)
    postal.message.execute("DELETE FROM `postal-server-1`.messages WHERE id=5")
    stack.forwarder.start()
    status = stack.wait_drained()
    assert status["unmatched"] >= 4, status
    assert status["set_aside"] == 0
    assert postal.loads(1) == postal.clicks(1) == []
    assert postal.webhook_requests() == []
    assert [m["id"] for m in postal.messages(1)] == [1]


def test_webhook_without_url(stack):
    """That endpoint alone gets nothing, and a line says so."""
    postal = stack.postal
    postal.add_webhook(1, None)
    postal.add_webhook(1, "")
    postal.add_webhook(1, "https://hooks.example.com/last")
    stack.forwarder.reload()
    ask(stack, OPEN, "x", 200)
    stack.wait_drained()
    assert len(postal.loads(1)) == 1
    urls = sorted(r["url"] for r in postal.webhook_requests())
    assert urls == [
        "https://hooks.example.com/1",
        "https://hooks.example.com/last",
    ]
    wait_warning(stack, "webhook", "URL|url")
