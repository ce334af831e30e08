"""The forwarder when something is wrong: nothing stops, nothing is lost.

Each test breaks one thing (MySQL away, a database dropped, a grant revoked,
a full disk, odd data), sees what a visitor gets meanwhile, and what has become
of the events when the thing works again; and that a line said so.
"""

import os
import re
import subprocess
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from conftest import is_alive, wait_for
from forwarder import Stack
from golden_compare import decode_payload, hook_of_row
from mariadb import MariaDB
from postal import GENERATIONS, PASSWORD, Postal

OPEN = "/img/ctqu6f/AbCdEfGhIjKlMnOp"
CLICK = "/ctqu6f/H0zoVR7I"
URL = "https://example.com/landing?a=1&b=2"
QUICK = {"forwarder": {"poll": "100ms"}}


def one_server(postal):
    """Server 1 with a message, a link and an endpoint."""
    postal.add_server("ctqu6f", 1)
    postal.add_message(1, id=1, token="AbCdEfGhIjKlMnOp")
    postal.add_link(1, "H0zoVR7I", URL, 1, id=1)
    postal.add_webhook(1, "https://hooks.example.com/1")


def second_server(postal):
    postal.add_server("other1", 2)
    postal.add_message(2, id=1, token="AbCdEfGhIjKlMnOp")
    postal.add_link(2, "H0zoVR7I", URL, 1, id=1)


@pytest.fixture
def stack(make_stack):
    """Running, with one server."""
    one = make_stack(settings=QUICK)
    one_server(one.postal)
    return one.start()


@pytest.fixture
def two(make_stack):
    """Running, with two servers that have the same tokens."""
    one = make_stack(settings=QUICK)
    one_server(one.postal)
    second_server(one.postal)
    return one.start()


def wait_links(stack, number):
    """The replica holds at least so many links."""
    return stack.wait_status(
        lambda s: s["links"] >= number, f"{number} links in the replica"
    )


def wait_warning(stack, *words, seconds=30):
    """A line of warning or error with all these words; the line."""

    def found():
        for line in stack.forwarder.lines():
            if re.match(r"<[0-4]>forwarder: ", line) and all(
                re.search(word, line) for word in words
            ):
                return line
        return None

    try:
        return wait_for(found, f"a line with {words}", seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{stack.forwarder.log()}") from None


def agents(rows):
    return [row["user_agent"] for row in rows]


def ask(stack, target, agent, status):
    reply = stack.tracker.get(target, [("User-Agent", agent)])
    assert reply.status == status, (target, reply.status, reply.body)
    return reply


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


# --- MySQL away -------------------------------------------------------------


def test_mysql_stopped(stack):
    """Replicated links redirect, others get the page that tries again."""
    postal, server = stack.postal, stack.postal.main_server
    wait_links(stack, 1)
    server.stop()
    for number in range(20):
        ask(stack, CLICK, f"away-{number}", 307)
        ask(stack, OPEN, f"away-{number}", 200)
    reply = stack.tracker.get("/ctqu6f/NotReplicated")
    assert reply.status == 503
    assert int(reply.header("Retry-After")) > 0
    assert b'http-equiv="refresh"' in reply.body
    assert stack.tracker.get("/nobody/x").status == 404
    assert stack.tracker.status()["pending"] == 40
    assert stack.forwarder.is_running()
    wait_warning(stack, str(server.port))
    server.start()
    stack.wait_drained()
    expected = [f"away-{number}" for number in range(20)]
    assert agents(postal.loads(1)) == expected
    assert agents(postal.clicks(1)) == expected
    assert len(postal.webhook_requests()) == 40
    # The link that nobody could look up is not there.
    assert stack.click("/ctqu6f/NotReplicated").status == 404


def test_mysql_hangs(stack):
    """It takes connections and answers nothing: the visitor does not hang."""
    wait_links(stack, 1)
    server = stack.postal.main_server
    server.pause()
    try:
        ask(stack, CLICK, "hangs", 307)
        ask(stack, OPEN, "hangs", 200)
        assert stack.tracker.get("/ctqu6f/Unknown").status == 503
    finally:
        server.resume()
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["hangs"]
    assert agents(stack.postal.clicks(1)) == ["hangs"]


def test_connections_killed(stack):
    """An administrator's KILL of every connection is a moment, no more."""
    server = stack.postal.main_server
    for round_ in range(5):
        for (number,) in server.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s",
            (stack.postal.user,),
        ):
            try:
                server.execute(f"KILL {number}")
            except Exception as e:  # it ended by itself
                assert "1094" in str(e), e
        ask(stack, OPEN, f"round-{round_}", 200)
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == [f"round-{i}" for i in range(5)]


def test_read_only_server(stack):
    """A server that takes no writes for a while: all waits, none is lost."""
    server = stack.postal.main_server
    ask(stack, OPEN, "before", 200)
    stack.wait_drained()
    server.execute("SET GLOBAL read_only = 1")
    ask(stack, OPEN, "during", 200)
    wait_warning(stack, "1290|read.only")
    server.execute("SET GLOBAL read_only = 0")
    stack.wait_drained()
    stack.wait_status(lambda s: s["set_aside"] == 0, "nothing set aside")
    assert agents(stack.postal.loads(1)) == ["before", "during"]


def test_forwarder_away(stack):
    """Without the forwarder everything but new links goes on."""
    wait_links(stack, 1)
    stack.forwarder.stop()
    ask(stack, CLICK, "alone", 307)
    ask(stack, OPEN, "alone", 200)
    assert stack.tracker.get("/ctqu6f/Unknown").status == 503
    assert stack.tracker.status()["pending"] == 2
    stack.forwarder.start()
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["alone"]
    assert agents(stack.postal.clicks(1)) == ["alone"]


def test_started_before_mysql(make_mariadb, make_stack):
    """503 until the servers were read once, then everything."""
    server = make_mariadb()
    stack = make_stack(server, settings=QUICK)
    one_server(stack.postal)
    server.stop()
    stack.tracker.start()
    stack.forwarder.start()
    wait_warning(stack, str(server.port))
    assert stack.tracker.get(CLICK).status == 503
    assert stack.tracker.get(OPEN).status == 503
    server.start()
    stack.wait_servers()
    assert stack.click(CLICK).status == 307


# --- links ------------------------------------------------------------------


def test_on_demand(stack, capsys):
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
    with capsys.disabled():
        print(
            f"\non demand: median {times[5] * 1000:.1f} ms, "
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


# --- one database broken ----------------------------------------------------


def others_go_on(stack, agent):
    """Server 2 is not held up by what is wrong with server 1."""
    ask(stack, "/img/other1/AbCdEfGhIjKlMnOp", agent, 200)
    wait_for(
        lambda: agent in agents(stack.postal.loads(2)), "the other database"
    )


def test_dropped_database(two):
    """Its events are set aside, with the reason; the others go on."""
    postal = two.postal
    ask(two, OPEN, "before", 200)
    two.wait_drained()
    postal.drop_message_database(1)
    for number in range(5):
        ask(two, OPEN, f"dropped-{number}", 200)
    others_go_on(two, "not held up")
    status = two.wait_status(
        lambda s: s["set_aside"] == 5 and s["pending"] == 0, "set aside"
    )
    assert status["lost"] == 0
    wait_warning(two, "postal-server-1", "1049|1146")
    text = two.tracker.cli("status").stdout
    assert re.search(r"postal-server-1|1049|1146", text), text
    # It comes back: so do they, once.
    postal.create_message_database(1)
    postal.add_message(1, id=1, token="AbCdEfGhIjKlMnOp")
    two.forwarder.reload()
    two.wait_status(lambda s: s["set_aside"] == 0, "the events to be tried")
    two.wait_drained()
    assert sorted(agents(postal.loads(1))) == [
        f"dropped-{number}" for number in range(5)
    ]


def test_click_on_dropped_database(two):
    """As a server that is not there; replicated links go on redirecting."""
    wait_links(two, 2)
    two.postal.drop_message_database(1)
    reply = two.click("/ctqu6f/NotReplicated")
    assert (reply.status, reply.body) == (404, b"Invalid Server Token")
    others_go_on(two, "still")


@pytest.mark.parametrize(
    "table, target",
    [
        ("clicks", CLICK),
        ("loads", OPEN),
        ("messages", OPEN),
    ],
)
def test_revoked_grant(two, table, target):
    """A line names database and statement; a grant mends it."""
    postal = two.postal
    wait_links(two, 2)
    postal.revoke_message(1, table)
    ask(two, target, "refused", 307 if target == CLICK else 200)
    others_go_on(two, f"others while {table}")
    two.wait_status(
        lambda s: s["set_aside"] == 1 and s["pending"] == 0, "set aside"
    )
    line = wait_warning(two, "postal-server-1", "114[23]", table)
    assert re.search("INSERT|UPDATE|SELECT|GRANT", line), line
    postal.grant_message(1)
    two.forwarder.reload()
    two.wait_status(lambda s: s["set_aside"] == 0, "the event to be tried")
    two.wait_drained()
    rows = postal.clicks(1) if target == CLICK else postal.loads(1)
    assert agents(rows) == ["refused"]


def test_revoked_webhook_requests(two):
    """The row and its webhook belong together: both wait."""
    postal = two.postal
    postal.main.execute(
        f"REVOKE INSERT ON postal.webhook_requests FROM '{postal.user}'@'%'"
    )
    ask(two, OPEN, "no webhook", 200)
    others_go_on(two, "has no endpoint")
    wait_warning(two, "webhook_requests", "1142")
    postal.grant_main()
    two.forwarder.reload()
    two.wait_status(
        lambda s: s["set_aside"] == 0 and s["pending"] == 0, "both rows"
    )
    assert agents(postal.loads(1)) == ["no webhook"]
    assert len(postal.webhook_requests()) == 1


def test_locked_rows(two):
    """A long transaction of somebody else holds up its database alone."""
    postal = two.postal
    postal.main_server.execute("SET GLOBAL innodb_lock_wait_timeout = 2")
    two.forwarder.stop()
    two.forwarder.start()
    holder = postal.main_server.connect()
    holder.autocommit(False)
    with holder.cursor() as cursor:
        cursor.execute(
            "UPDATE `postal-server-1`.messages SET tag = 'held' WHERE id = 1"
        )
    ask(two, OPEN, "waits", 200)
    others_go_on(two, "does not wait")
    assert postal.loads(1) == []
    holder.rollback()
    holder.close()
    two.wait_drained()
    two.wait_status(lambda s: s["set_aside"] == 0, "nothing set aside")
    assert agents(postal.loads(1)) == ["waits"]


def test_missing_column(two):
    """A schema that is not the expected one: said, and set aside."""
    postal = two.postal
    postal.message.execute(
        "ALTER TABLE `postal-server-1`.loads DROP COLUMN user_agent"
    )
    ask(two, OPEN, "no column", 200)
    others_go_on(two, "has it")
    two.wait_status(
        lambda s: s["set_aside"] == 1 and s["pending"] == 0, "set aside"
    )
    wait_warning(two, "postal-server-1", "1054")


# --- a full disk ------------------------------------------------------------


@pytest.fixture
def small_mariadb(work):
    """A server whose data directory is a file system of 256 MB."""
    disk = work / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "none", disk],
        check=True,
    )
    server = None
    try:
        server = MariaDB(disk / "m", options=["--innodb-log-file-size=8M"])
        yield server.start(), disk / "filler"
    finally:
        if server is not None:
            server.kill()
        subprocess.run(["umount", "-l", disk], check=True)


def fill_disk(filler):
    with open(filler, "wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError:
            pass


def test_full_table(small_mariadb, make_stack):
    """Error 1114: visitors do not notice; with room again all is written."""
    server, filler = small_mariadb
    stack = make_stack(server, settings=QUICK)
    try:
        one_server(stack.postal)
        stack.start()
        fill_disk(filler)
        number = 400
        for i in range(number):
            ask(stack, OPEN, f"{i:03}-" + "u" * 240, 200)
        wait_warning(stack, "1114|[Ff]ull|1026|1030|No space")
        ask(stack, CLICK, "full", 307)
        assert stack.forwarder.is_running()
        status = stack.tracker.status()
        assert status["lost"] == 0
        assert status["pending"] + status["set_aside"] > 0, status
        filler.unlink()
        stack.forwarder.reload()
        stack.wait_status(
            lambda s: s["pending"] == 0 and s["set_aside"] == 0,
            "everything to be written",
            120,
        )
        seen = agents(stack.postal.loads(1))
        assert sorted(a[:3] for a in seen) == [f"{i:03}" for i in range(number)]
        assert len(stack.postal.webhook_requests()) == number + 1
    finally:
        # Before the disk goes.
        stack.forwarder.stop()


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


# --- secrets and boundaries -------------------------------------------------


def maps(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def test_libraries(stack):
    """Only the forwarder maps the client library and what it drags along."""
    for name, pid in stack.tracker.roles().items():
        found = re.findall(
            r"\S*lib(?:mysql|mariadb|ssl|crypto)\S*", maps(pid)
        )
        assert not found, (name, found)
    found = maps(stack.tracker.process.pid)
    assert not re.search("libmysql|libmariadb|libssl|libcrypto", found)
    assert re.search("libmysqlclient|libmariadb", maps(family(stack)[-1]))


def family(stack):
    """The forwarder's process, and what it started."""
    pids = [stack.forwarder.process.pid]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        pids += [int(p) for p in children.split()]
    return [p for p in pids if is_alive(p)]


def test_password_is_not_seen(stack):
    """Neither in environments, command lines, logs nor in `config`."""
    secret = PASSWORD.encode()
    pids = [*family(stack), *stack.tracker.roles().values()]
    for pid in pids:
        for name in ("environ", "cmdline"):
            assert secret not in Path(f"/proc/{pid}/{name}").read_bytes()
    ask(stack, OPEN, "x", 200)
    stack.wait_drained()
    texts = [
        stack.forwarder.log(),
        stack.tracker.log(),
        stack.tracker.cli("config").stdout,
        stack.tracker.cli("status").stdout,
        stack.tracker.cli("sql", check=False).stdout,
    ]
    assert not any(PASSWORD in text for text in texts)


def test_forwarder_is_not_root(stack):
    """The process with the password has no root, and no capability."""
    for pid in family(stack):
        status = Path(f"/proc/{pid}/status").read_text()
        uids = re.search(r"Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)", status)
        assert "0" not in uids.groups(), status
        assert re.search(r"CapEff:\t0+\n", status), status
        assert re.search(r"Seccomp:\t2\n", status), status
        assert re.search(r"NoNewPrivs:\t1\n", status), status


def test_password_file_of_others(make_stack):
    """One that others can read is refused, with the remedy."""
    stack = make_stack()
    one_server(stack.postal)
    path = stack.directory / "db-password"
    os.chmod(path, 0o644)
    stack.tracker.start()
    stack.forwarder.start()
    assert stack.forwarder.wait_exit() != 0
    log = stack.forwarder.log()
    assert str(path) in log and "chmod" in log, log
    assert PASSWORD not in log
    os.chmod(path, 0o600)
    stack.forwarder.start()
    stack.wait_servers()


def test_wrong_password(make_stack):
    """A line says it; it goes on trying, and works when it is right."""
    stack = make_stack(settings=QUICK)
    postal = stack.postal
    one_server(postal)
    postal.main_server.execute(
        f"SET PASSWORD FOR '{postal.user}'@'%' = PASSWORD('another')"
    )
    stack.tracker.start()
    stack.forwarder.start()
    line = wait_warning(stack, "1045|[Dd]enied", postal.user)
    assert PASSWORD not in line and "another" not in line
    assert stack.forwarder.is_running()
    escaped = PASSWORD.replace("'", "''")
    postal.main_server.execute(
        f"SET PASSWORD FOR '{postal.user}'@'%' = PASSWORD('{escaped}')"
    )
    stack.wait_servers()
    ask(stack, OPEN, "x", 200)
    stack.wait_drained()
    assert len(postal.loads(1)) == 1


def test_no_ledger(make_stack):
    """May it not make the ledger, it names the command that prints how."""
    stack = make_stack()
    postal = stack.postal
    one_server(postal)
    postal.main.execute(
        f"REVOKE ALL ON postal_tracker.* FROM '{postal.user}'@'%'"
    )
    stack.tracker.start()
    stack.forwarder.start()
    wait_warning(stack, "ledger", "postal-tracker sql")
    stack.wait_servers()
    ask(stack, OPEN, "waits for the ledger", 200)
    assert stack.tracker.get(CLICK).status == 307
    postal.grant_ledger()
    stack.wait_drained()
    assert agents(postal.loads(1)) == ["waits for the ledger"]


def test_sql_grants_suffice(make_stack):
    """What `postal-tracker sql` prints is all that the forwarder needs."""
    stack = make_stack()
    postal = stack.postal
    one_server(postal)
    server = postal.main_server
    text = stack.tracker.cli("sql").stdout
    password = PASSWORD.replace("'", "''")
    server.execute(
        f"CREATE OR REPLACE USER '{postal.user}'@'%' IDENTIFIED VIA "
        f"mysql_native_password USING PASSWORD('{password}')"
    )
    # The account is there, for any host.
    statements = "\n".join(
        line
        for line in text.splitlines()
        if not line.lstrip().upper().startswith("CREATE USER")
    )
    account = rf"'{postal.user}'@'[^']*'"
    server.script(re.sub(account, f"'{postal.user}'@'%'", statements))
    grants = "\n".join(
        r[0] for r in server.execute(f"SHOW GRANTS FOR '{postal.user}'@'%'")
    )
    assert "ALL PRIVILEGES" not in grants and "raw-" not in grants, grants
    assert not re.search(r"GRANT [^`]*SELECT[^`]* ON `postal-server-%`", grants)
    stack.start()
    ask(stack, OPEN, "least", 200)
    assert stack.click(CLICK).status == 307
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["least"]
    assert len(stack.postal.webhook_requests()) == 2


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
