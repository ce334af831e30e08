"""The forwarder when something is wrong: nothing stops, nothing is lost.

Each test breaks one thing (MySQL away or stuck, a database dropped, a grant
revoked, rows locked, a full disk), sees what a visitor gets meanwhile, what
has become of the events when the thing works again, and that a line said so.
"""

import os
import re
import signal
import socket
import time

import pytest

from conftest import wait_for
from disk import fill, small_disk
from forward_help import (
    CLICK,
    OPEN,
    QUICK,
    agents,
    ask,
    one_server,
    second_server,
    wait_links,
    wait_warning,
)
from mariadb import MariaDB


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


# --- one database broken ----------------------------------------------------


def others_go_on(stack, agent):
    """Server 2 is not held up by what is wrong with server 1."""
    ask(stack, "/img/other1/AbCdEfGhIjKlMnOp", agent, 200)
    wait_for(
        lambda: agent in agents(stack.postal.loads(2)), "the other database"
    )


def reads_configuration(f):
    """Whether it has a file of tracker.conf.d open just now."""
    found = []
    for fd in os.scandir(f"/proc/{f.process.pid}/fd"):
        try:
            found.append(os.readlink(fd.path))
        except FileNotFoundError:
            pass
    return any("/long.conf" in path for path in found)


def test_a_reload_that_comes_too_early(stack):
    """SIGHUP while it only reads tracker.conf waits, and ends nothing."""
    t, f = stack.tracker, stack.forwarder
    f.stop()
    drop_ins = t.conf.with_name(t.conf.name + ".d")
    drop_ins.mkdir(exist_ok=True)
    # Many comments, so that there is time to come too early.
    (t.directory / "long.conf").write_text("# nothing\n" * 100_000)
    for i in range(300):
        (drop_ins / f"{i:03}.conf").symlink_to(t.directory / "long.conf")
    f.start()
    deadline = time.monotonic() + 20
    while not reads_configuration(f):
        assert f.process.poll() is None and time.monotonic() < deadline
    f.process.send_signal(signal.SIGHUP)
    f.wait_log("reload: servers, webhooks and links are read again")
    wait_for(lambda: f.log().count("connected socket=") == 2, "the store")
    assert f.is_running()


def test_a_reload_tries_at_once(stack):
    """After six refusals each pause is more than 1.6 s; SIGHUP ends it."""
    server = stack.postal.main_server
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)) as listener:
        listener.settimeout(20)

        def refuse():
            listener.accept()[0].close()

        for _ in range(6):
            refuse()
        begun = time.monotonic()
        for _ in range(3):
            stack.forwarder.reload()
            refuse()
        assert time.monotonic() - begun < 4
    server.start()
    stack.forwarder.reload()
    ask(stack, OPEN, "after", 200)
    stack.wait_drained()


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


# What fails on two hosts when the rows are written and webhooks are owed.
OWED = {
    "webhook_requests": (
        "main", "REVOKE INSERT ON postal.webhook_requests FROM 'tracker'@'%'"),
    "links": (
        "message",
        "REVOKE SELECT ON `postal-server-1`.links FROM 'tracker'@'%'"),
}


@pytest.mark.parametrize("table", OWED)
def test_webhooks_that_are_owed(make_mariadb, make_stack, table):
    """The rows are in one host, the webhooks cannot get into the other: no
    retry writes the rows once more, and the other servers go on."""
    stack = make_stack(make_mariadb(), make_mariadb(), settings=QUICK)
    postal = stack.postal
    one_server(postal)
    second_server(postal)
    stack.start()
    wait_links(stack, 2)
    host, statement = OWED[table]
    getattr(postal, host).execute(statement)
    ask(stack, CLICK, "owed", 307)
    stack.wait_status(lambda s: s["set_aside"] == 1, "the click set aside")
    others_go_on(stack, "has no endpoint")
    for _ in range(3):
        before = len(stack.forwarder.log())
        stack.forwarder.reload()
        # The ledger moves with each try.
        wait_for(lambda: "reload" in stack.forwarder.log()[before:], "a try")
        stack.wait_status(lambda s: s["pending"] == 0 and s["set_aside"] == 1,
                          "it to be set aside again")
    assert agents(postal.clicks(1)) == ["owed"]
    postal.grant_main()
    postal.grant_message(1)
    stack.forwarder.reload()
    stack.wait_status(lambda s: s["pending"] == 0 and s["set_aside"] == 0,
                      "the webhook")
    assert agents(postal.clicks(1)) == ["owed"]
    assert len(postal.webhook_requests()) == 1
    assert stack.tracker.status()["unmatched"] == 0


def test_one_database_that_cuts_connections(two):
    """Each write into it costs the connection: the others do not wait."""
    postal = two.postal
    postal.main.execute(
        "CREATE TRIGGER `postal-server-1`.cut BEFORE INSERT ON"
        " `postal-server-1`.loads FOR EACH ROW KILL CONNECTION_ID()"
    )
    ask(two, OPEN, "cut", 200)
    two.wait_status(lambda s: s["set_aside"] == 1, "the open set aside")
    others_go_on(two, "not cut")
    assert agents(postal.loads(1)) == []
    postal.main.execute("DROP TRIGGER `postal-server-1`.cut")
    two.forwarder.reload()
    two.wait_status(lambda s: s["pending"] == 0 and s["set_aside"] == 0,
                    "the open")
    assert agents(postal.loads(1)) == ["cut"]


def test_links_that_cannot_be_read_are_told(stack):
    """`status` says that a database fails, and since when nothing was read."""
    wait_links(stack, 1)
    stack.postal.revoke_message(1, "links")
    stack.wait_status(
        lambda s: s["forwarder"]["broken"] == 1
        and s["forwarder"]["lag_ms"] > 0, "a lag")
    stack.postal.grant_message(1)
    stack.forwarder.reload()
    stack.wait_status(
        lambda s: s["forwarder"]["broken"] == 0
        and s["forwarder"]["lag_ms"] == 0, "no lag")


# --- a disk or a file of ours -----------------------------------------------


def test_full_disk_under_the_replica(make_stack, work):
    """Links that the store could not keep are read again when it can."""
    with small_disk(work / "disk", "24m") as disk:
        stack = make_stack(settings={
            **QUICK, "spool": {"directory": str(disk / "s")}})
        try:
            one_server(stack.postal)
            stack.start()
            wait_links(stack, 1)
            filler = fill(disk)
            for i in range(1500):
                stack.postal.add_link(
                    1, f"L{i:07}", f"https://example.com/{i}/" + "u" * 1500, 1)
            wait_warning(stack, "full")
            for i in range(1500, 1600):
                stack.postal.add_link(
                    1, f"L{i:07}", f"https://example.com/{i}", 1)
            filler.unlink()
            wait_links(stack, 1601)
        finally:
            stack.forwarder.stop()
            stack.tracker.stop()


def test_a_replica_that_cannot_be_written(stack):
    """Events wait for Postal's servers to be read, not for their being kept."""
    stack.forwarder.stop()
    ask(stack, OPEN, "waits", 200)
    stack.tracker.stop()
    (stack.tracker.spool / "replica.db").chmod(0o400)
    second_server(stack.postal)
    stack.tracker.start()
    stack.forwarder.start()
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["waits"]


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
    two.wait_status(
        lambda s: s["set_aside"] == 0 and s["pending"] == 0, "all written"
    )
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
    with small_disk(work / "disk", "256m") as disk:
        server = MariaDB(disk / "m", options=["--innodb-log-file-size=8M"])
        try:
            yield server.start(), disk
        finally:
            server.kill()


def test_full_table(small_mariadb, make_stack):
    """Error 1114: visitors do not notice; with room again all is written."""
    server, disk = small_mariadb
    stack = make_stack(server, settings=QUICK)
    try:
        one_server(stack.postal)
        stack.start()
        filler = fill(disk)
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
        expected = [f"{i:03}" for i in range(number)]
        assert sorted(agent[:3] for agent in seen) == expected
        assert len(stack.postal.webhook_requests()) == number + 1
    finally:
        # Before the disk goes.
        stack.forwarder.stop()
