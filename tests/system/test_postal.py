"""The schema, the account and the helpers that the other tests rely on.

No daemon here: what the forwarder will do is done by hand over the account
with the narrow grants, and read back as the golden replay reads it.
"""

import shutil
import tempfile
from pathlib import Path

import pymysql
import pytest

import golden_model
import test_forward_once
import oracle
from golden_cases import load_all
from golden_compare import compare, hook_of_row, outcome_of
from golden_rules import apply_rules
from mariadb import MariaDB
from postal import GENERATIONS, LEDGER, PASSWORD, USER, Postal
from test_golden import Replay
from test_golden_rules import yaml_text

pytestmark = pytest.mark.starts_nothing
UUID = "00000000-0000-4000-8000-{:012x}"


@pytest.fixture(scope="module")
def server():
    directory = Path(tempfile.mkdtemp(prefix="tracker-postal-"))
    directory.chmod(0o755)
    with MariaDB(directory / "m") as one:
        yield one
    shutil.rmtree(directory, ignore_errors=True)


def as_forwarder(server, statement, args=None, user=USER):
    connection = server.connect(user, PASSWORD)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, args)
            return cursor.fetchall()
    finally:
        connection.close()


def error_of(server, statement):
    with pytest.raises(pymysql.err.Error) as caught:
        as_forwarder(server, statement)
    return caught.value.args[0]


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations(server, generation):
    postal = Postal(server, generation=generation)
    postal.drop_message_database(7)
    postal.add_server("ctqu6f", 7)
    has_locks = bool(
        server.execute(
            "SELECT 1 FROM information_schema.columns WHERE table_schema = "
            "'postal' AND table_name = 'webhook_requests' "
            "AND column_name = 'locked_by'"
        )
    )
    assert has_locks == (generation == "3.x")
    collations = server.execute(
        "SELECT DISTINCT table_schema, collation_name FROM "
        "information_schema.columns WHERE collation_name IS NOT NULL "
        "AND table_schema IN ('postal', 'postal-server-7')"
    )
    assert sorted(collations) == [
        ("postal", "utf8mb4_general_ci"),
        ("postal-server-7", GENERATIONS[generation]["message_collation"]),
    ]
    number = postal.add_message(7, token="AbCdEf")
    postal.add_link(7, "LiNk", "https://example.com/", number)
    # Case and trailing spaces do not count, a hyphen does.
    for token, found in (("link ", 1), ("LINK", 1), ("li-nk", 0)):
        rows = server.execute(
            "SELECT id FROM `postal-server-7`.links WHERE token = %s",
            (token,),
        )
        assert len(rows) == found, token
    postal.close()


def test_indexes(server):
    postal = Postal(server)
    postal.drop_message_database(7)
    postal.add_server("ctqu6f", 7)
    prefixes = server.execute(
        "SELECT table_name, sub_part FROM information_schema.statistics "
        "WHERE column_name = 'token' AND table_schema IN "
        "('postal', 'postal-server-7')"
    )
    assert sorted(prefixes) == [("links", 8), ("messages", 6), ("servers", 6)]
    postal.close()


def test_narrow_grants(server):
    postal = Postal(server)
    postal.drop_message_database(7)
    postal.add_server("ctqu6f", 7)
    postal.add_message(7, token="AbCdEf", id=1)
    postal.add_link(7, "LiNk", "https://example.com/", 1, id=1)
    database = "`postal-server-7`"
    for allowed in (
        "SELECT id, token FROM postal.servers",
        "SELECT w.id FROM postal.webhooks w LEFT JOIN postal.webhook_events e"
        " ON e.webhook_id = w.id",
        "SELECT * FROM postal.track_domains",
        f"SELECT * FROM {database}.links WHERE id > 0",
        f"SELECT * FROM {database}.messages WHERE token = 'AbCdEf'",
        f"SELECT MAX(version) FROM {database}.migrations",
        f"UPDATE {database}.messages SET loaded = 1.5 WHERE id = 1 AND "
        "loaded IS NULL",
        f"UPDATE {database}.messages SET clicked = GREATEST("
        "COALESCE(clicked, 0), 2.5) WHERE id = 1",
        f"INSERT INTO {database}.loads (message_id, timestamp) VALUES (1, 1)",
        f"INSERT INTO {database}.clicks (message_id, link_id, timestamp) "
        "VALUES (1, 1, 1)",
        "INSERT INTO postal.webhook_requests (server_id, url) VALUES (7, 'x')",
        f"CREATE DATABASE IF NOT EXISTS {LEDGER}",
        f"CREATE TABLE IF NOT EXISTS {LEDGER}.t (a int)",
        f"INSERT INTO {LEDGER}.t VALUES (1)",
    ):
        as_forwarder(server, allowed)
    for refused, errors in (
        (f"SELECT * FROM {database}.`raw-2026-01-01`", (1142,)),
        (f"UPDATE {database}.messages SET subject = 'x'", (1143,)),
        (f"DELETE FROM {database}.messages", (1142,)),
        (f"INSERT INTO {database}.messages (id) VALUES (9)", (1142,)),
        (f"UPDATE {database}.links SET url = 'x'", (1142,)),
        ("SELECT * FROM postal.webhook_requests", (1142,)),
        ("DELETE FROM postal.servers", (1142,)),
        ("SELECT * FROM mysql.user", (1142,)),
        ("SELECT * FROM `postal-server-8`.links", (1142, 1146)),
    ):
        assert error_of(server, refused) in errors, refused
    postal.revoke_message(7, "clicks")
    assert error_of(
        server,
        f"INSERT INTO {database}.clicks (message_id) VALUES (1)",
    ) == 1142
    server.execute(f"DROP DATABASE {LEDGER}")
    assert postal.ledger() == []
    postal.close()


def test_two_hosts(tmp_path, server):
    tmp_path.chmod(0o755)
    with MariaDB("/tmp/" + tmp_path.name + "-second") as second:
        try:
            postal = Postal(server, second)
            postal.add_server("ctqu6f", 1)
            names = {r[0] for r in second.execute("SHOW DATABASES")}
            assert "postal-server-1" in names and "postal" not in names
            settings = postal.forwarder_config(tmp_path)
            assert settings["main_db"]["port"] == server.port
            assert settings["message_db"]["port"] == second.port
            as_forwarder(second, "SELECT * FROM `postal-server-1`.links")
            postal.close()
        finally:
            second.kill()
            shutil.rmtree(second.directory)


def drain_by_hand(postal, outcome):
    """Writes an outcome of the model as the forwarder would."""
    number = 0
    user = postal.user
    main, message = postal.main_server, postal.message_server
    for table in ("loads", "clicks"):
        for server_id, rows in getattr(outcome, table).items():
            for row in rows:
                names = ", ".join(row)
                marks = ", ".join(["%s"] * len(row))
                as_forwarder(
                    message,
                    f"INSERT INTO {postal.table(server_id, table)} ({names})"
                    f" VALUES ({marks})",
                    tuple(row.values()),
                    user,
                )
    for (server_id, message_id), columns in outcome.messages.items():
        as_forwarder(
            message,
            f"UPDATE {postal.table(server_id, 'messages')} "
            "SET loaded = %s, clicked = %s WHERE id = %s",
            (columns["loaded"], columns["clicked"], message_id),
            user,
        )
    for hook in outcome.hooks:
        number += 1
        as_forwarder(
            main,
            f"INSERT INTO `{postal.database}`.webhook_requests (server_id, "
            "webhook_id, url, event, attempts, uuid, payload, created_at, "
            "retry_after) VALUES (%s, %s, %s, %s, 0, %s, %s, "
            "UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) - INTERVAL 1 SECOND)",
            (
                hook["server_id"],
                hook["webhook_id"],
                hook["url"],
                hook["event"],
                UUID.format(number),
                "--- " + yaml_text(hook["payload"]),
            ),
            user,
        )


@pytest.fixture(scope="module")
def replay():
    """The golden replay's database side."""
    directory = Path(tempfile.mkdtemp(prefix="tracker-replay-"))
    directory.chmod(0o755)
    one = Replay(directory)
    yield one
    one.close()
    shutil.rmtree(directory, ignore_errors=True)


def test_cases_through_the_tables(replay):
    """What is put into the tables is read out again, strict mode and all."""
    seen = 0
    # A share of them, all that have another state than the base.
    cases = load_all()
    chosen = [c for i, c in enumerate(cases) if i % 9 == 0 or c.state.webhooks]
    for case in chosen[::3]:
        postal = replay.postal(case.generation)
        replay.put_servers(postal, case.state)
        replay.put_rows(postal, case.state)
        expected = outcome_of(apply_rules(case))
        outcome = golden_model.Model(case).run()
        drain_by_hand(postal, outcome)
        read = golden_model.Outcome(answers=outcome.answers)
        replay.rows(postal, case.state, read)
        read.hooks = [hook_of_row(r) for r in postal.webhook_requests()]
        assert not compare(expected, read), str(case)
        seen += 1
    assert seen > 100


def test_collations_fold_like_the_oracle(replay):
    """oracle.find finds what MariaDB finds."""
    for case in load_all():
        postal = replay.postal(case.generation)
        if not any("\x7f" < c for r in case.state.servers for c in r["token"]):
            continue
        replay.put_servers(postal, case.state)
        for step in case.steps:
            token = oracle.route(step.request.target)[1]
            rows = postal.main.execute(
                f"SELECT id FROM `{postal.database}`.servers "
                "WHERE token = %s",
                (token,),
            )
            assert rows[0][0] == step.server["id"]


def put_event(postal, server, kind, number, agent, at):
    """One event as it should be written, with its webhook requests."""
    table = "loads" if kind == "open" else "clicks"
    row = {"message_id": number, "user_agent": agent, "timestamp": at}
    if kind == "click":
        row["link_id"] = number
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    postal.message.execute(
        f"INSERT INTO {postal.table(server, table)} ({names}) "
        f"VALUES ({marks})",
        tuple(row.values()),
    )
    column = "clicked = %s" if kind == "click" else (
        "loaded = COALESCE(loaded, %s)"
    )
    postal.message.execute(
        f"UPDATE {postal.table(server, 'messages')} SET {column} "
        "WHERE id = %s",
        (at, number),
    )
    event = oracle.OPEN if kind == "open" else oracle.CLICK
    postal.main.execute(
        f"INSERT INTO `{postal.database}`.webhook_requests "
        "(server_id, webhook_id, event, uuid, payload) "
        f"SELECT server_id, id, %s, UUID(), %s "
        f"FROM `{postal.database}`.webhooks WHERE server_id = %s",
        (
            event,
            "--- "
            + yaml_text({"message": {"id": number}, "user_agent": agent}),
            server,
        ),
    )


def test_exactly_once_is_counted(server):
    """What test_forward_once asserts at its end sees one row too many."""
    once = test_forward_once
    postal = Postal(server)
    for number in range(1, once.DATABASES + 1):
        postal.drop_message_database(number)
    once.fill(postal)
    asked = {}
    for i in range(60):
        kind = "click" if i % 3 else "open"
        where = (i % once.DATABASES + 1, i % once.MESSAGES + 1)
        asked[f"a{i}"] = (kind, *where)
        put_event(
            postal, where[0], kind, where[1], f"a{i}", f"{1700000000 + i}.5"
        )
    written = once.check_rows(postal, asked, set(asked))
    assert len(written) == 60
    once.check_webhooks(postal, asked, written)
    with pytest.raises(AssertionError, match="missing"):
        once.check_rows(postal, asked, {*asked, "another"})
    with pytest.raises(AssertionError):
        once.check_rows(postal, {**asked, "a1": ("open", 1, 1)}, set())
    table = postal.table(2, "clicks")
    postal.message.execute(
        f"INSERT INTO {table} (message_id, link_id, user_agent, timestamp) "
        f"SELECT message_id, link_id, user_agent, timestamp FROM {table} "
        "LIMIT 1"
    )
    with pytest.raises(AssertionError, match="twice"):
        once.check_rows(postal, asked, set(asked))
    requests = f"`{postal.database}`.webhook_requests"
    for change in (
        f"DELETE FROM {requests} ORDER BY id LIMIT 1",
        f"INSERT INTO {requests} (server_id, webhook_id, event, uuid, "
        "payload) SELECT server_id, webhook_id, event, UUID(), payload "
        f"FROM {requests} LIMIT 1",
        f"UPDATE {requests} SET uuid = 'same'",
    ):
        postal.main.execute(change)
        with pytest.raises(AssertionError):
            once.check_webhooks(postal, asked, written)
    postal.close()
