"""Links come from Postal: on demand at once, by the replica soon after."""

import time

from conftest import wait_for
from forward_help import (
    CLICK,
    OPEN,
    URL,
    agents,
    ask,
    second_server,
    wait_links,
)
from golden_compare import decode_payload


def test_on_demand(stack, say):
    """A link is there at once: the click waits for the look-up."""
    postal = stack.postal
    times = []
    for number in range(10):
        token = f"Fresh{number:03}"
        postal.add_link(1, token, f"https://example.com/{token}", 1)
        started = time.monotonic()
        reply = stack.tracker.get(f"/ctqu6f/{token}")
        times.append(time.monotonic() - started)
        assert reply.status == 307, (token, reply.status)
        assert reply.header("Location") == f"https://example.com/{token}"
    times.sort()
    say(
        f"on demand: median {times[5] * 1000:.1f} ms, "
        f"longest {times[-1] * 1000:.1f} ms"
    )


def test_miss_is_forgotten(stack):
    """A token that was unknown a moment ago works when the link is made."""
    assert stack.click("/ctqu6f/Later").status == 404
    stack.postal.add_link(1, "Later", URL, 1)
    wait_for(lambda: stack.click("/ctqu6f/Later").status == 307, "the link")


def test_replica(stack):
    """New links come by themselves, and redirect with MySQL stopped."""
    before = wait_links(stack, 1)["links"]
    for number in range(50):
        stack.postal.add_link(
            1, f"Copied{number}", f"https://example.com/{number}", 1
        )
    started = time.monotonic()
    wait_links(stack, before + 50)
    assert time.monotonic() - started < 20
    stack.postal.main_server.stop()
    for number in range(50):
        reply = stack.tracker.get(f"/ctqu6f/Copied{number}")
        assert reply.status == 307
        assert reply.header("Location") == f"https://example.com/{number}"
    stack.postal.main_server.start()
    stack.wait_drained()


def test_gap_in_ids(stack):
    """A transaction that commits after a later one: its link is found."""
    postal = stack.postal
    before = wait_links(stack, 1)["links"]
    slow = postal.main_server.connect()
    slow.autocommit(False)
    with slow.cursor() as cursor:
        cursor.execute(
            "INSERT INTO `postal-server-1`.links (message_id, token, url, "
            "timestamp) VALUES (1, 'SlowLink', %s, UNIX_TIMESTAMP())",
            ("https://example.com/slow",),
        )
    postal.add_link(1, "QuickLink", "https://example.com/quick", 1)
    wait_links(stack, before + 1)
    slow.commit()
    slow.close()
    wait_links(stack, before + 2)
    postal.main_server.stop()
    for token in ("SlowLink", "QuickLink"):
        assert stack.tracker.get(f"/ctqu6f/{token}").status == 307, token
    postal.main_server.start()


def test_tokens_differ_in_case(stack):
    """The exact one wins; any other spelling means the lowest id."""
    postal = stack.postal
    postal.add_link(1, "CaseLink", "https://example.com/first", 1, id=11)
    postal.add_link(1, "caselink", "https://example.com/second", 1, id=12)
    wait_links(stack, 3)
    for token, where in (
        ("CaseLink", "first"),
        ("caselink", "second"),
        ("CASELINK", "first"),
    ):
        reply = stack.click(f"/ctqu6f/{token}")
        assert reply.header("Location") == f"https://example.com/{where}"
    stack.wait_drained()
    assert [r["link_id"] for r in postal.clicks(1)] == [11, 12, 11]
    payloads = [
        decode_payload(r["payload"]) for r in postal.webhook_requests()
    ]
    assert [p["token"] for p in payloads] == [
        "CaseLink",
        "caselink",
        "CaseLink",
    ]


def test_replica_builds_itself_again(stack):
    """Without its spool the tracker learns everything anew."""
    wait_links(stack, 1)
    stack.tracker.stop()
    for path in stack.tracker.spool.iterdir():
        if path.is_file():
            path.unlink()
    stack.tracker.start()
    stack.wait_servers()
    wait_links(stack, 1)
    ask(stack, CLICK, "new spool", 307)
    stack.wait_drained()
    assert agents(stack.postal.clicks(1)) == ["new spool"]


def test_all_links_are_older_than_retention(stack):
    """A mail server that slept for years: nothing to copy, and no trouble."""
    postal = stack.postal
    postal.add_server("sleeper", 7)
    postal.add_message(7, token="OldMessage")
    postal.add_link(7, "OldLink", URL, 1, timestamp="1212345678.100000")
    wait_for(lambda: stack.click("/sleeper/OldLink").status == 307, "the link")
    # Its turn comes with those of the others; then again.
    for number in range(3):
        before = wait_links(stack, 1)["links"]
        postal.add_link(1, f"Awake{number}", URL, 1)
        wait_links(stack, before + 1)
    before = wait_links(stack, 1)["links"]
    postal.add_link(7, "NewLink", URL, 1)
    wait_links(stack, before + 1)
    stack.wait_drained()
    assert stack.tracker.log().count("forwarder connected") == 1


def test_server_added_and_removed(stack):
    postal = stack.postal
    assert stack.tracker.get("/img/other1/x").status == 404
    second_server(postal)
    wait_for(
        lambda: stack.tracker.get("/other1/H0zoVR7I").status == 307,
        "the new server",
    )
    postal.main.execute("DELETE FROM postal.servers WHERE id = 2")
    wait_for(
        lambda: stack.tracker.get("/img/other1/x").status == 404,
        "the server to go",
    )
    ask(stack, OPEN, "goes on", 200)
    stack.wait_drained()
    assert agents(postal.loads(1)) == ["goes on"]
