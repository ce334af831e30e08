"""`postal-tracker check` and `sql` before a real MariaDB: what is broken gets
its line, with the remedy, and what is good gets none."""

import os
import re
import subprocess

import kernel
import pytest

from conftest import NOBODY, TRACKER, free_port, wait_for
from mariadb import Authority
from postal import MAIN_GRANTS, MESSAGE_GRANTS, PASSWORD

# Numbers, so that no check speaks of users that the packages would make.
USERS = {
    "sandbox": {"store_user": "60982"},
    "forwarder": {"user": "60983", "poll": "100ms"},
}


@pytest.fixture
def stack(make_stack):
    """Postal with two mail servers; nothing is started yet."""
    one = make_stack(settings=USERS)
    one.postal.add_server("ctqu6f", 1)
    one.postal.add_server("other1", 2)
    return one


def check(stack, prefix=()):
    """(exit code, lines as (verdict, text))."""
    done = subprocess.run(
        [*prefix, TRACKER, "check", "-c", str(stack.tracker.conf)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=kernel.IN_STEP,
    )
    assert done.stderr == "", done.stderr
    assert PASSWORD not in done.stdout
    lines = [tuple(x.split(None, 1)) for x in done.stdout.splitlines()]
    assert {verdict for verdict, _ in lines} <= {"ok", "warn", "FAIL"}, lines
    return done.returncode, lines


def troubles(lines):
    """What is not ok, but for what only follows from something else."""
    return [
        (verdict, text)
        for verdict, text in lines
        if verdict != "ok" and "not looked at" not in text
    ]


def expect(stack, verdict, *words):
    """Exactly one trouble, of this verdict, with all these words and a
    remedy."""
    code, lines = check(stack)
    found = troubles(lines)
    assert len(found) == 1 and found[0][0] == verdict, lines
    assert "; " in found[0][1], found
    for word in words:
        assert re.search(word, found[0][1]), (word, found)
    assert code == (69 if verdict == "FAIL" else 0)
    return found[0][1]


def rewrite(stack, section, **keys):
    stack.tracker.settings.setdefault(section, {}).update(keys)
    stack.tracker.write_conf()


# --- all is well ------------------------------------------------------------


def test_a_good_system(stack):
    code, lines = check(stack)
    assert code == 0 and troubles(lines) == [], lines
    text = "\n".join(t for _, t in lines)
    for word in (
        r"MySQL client library: lib\S+ \d",
        r"\[main_db\] server \d.*MariaDB.* account 'tracker'@'%'",
        r"\[main_db\] TLS: ",
        r"\[main_db\] session: strict",
        r"\[main_db\] clock: ",
        r"\[main_db\] Postal 3\.x",
        r"ledger: not there yet; the forwarder makes it",
        r"2 message databases: all",
    ):
        assert re.search(word, text), (word, text)
    # It has made no ledger.
    assert stack.postal.ledger() == []
    assert not stack.postal.main.execute("SHOW DATABASES LIKE 'postal_tr%'")
    stack.start()
    stack.wait_drained()

    def good():
        code, lines = check(stack)
        ledger = ("ok", "[main_db] ledger: `postal_tracker`.`ledger`")
        if code == 0 and troubles(lines) == [] and ledger in lines:
            return lines
        return None

    lines = wait_for(good, "a check without a warning")
    text = "\n".join(t for _, t in lines)
    pid = stack.forwarder.process.pid
    assert f"forwarder: pid {pid}, connected to MySQL" in text


@pytest.mark.parametrize("generation", ["2.x", "1.x"])
def test_older_generations(make_stack, generation):
    stack = make_stack(generation=generation, settings=USERS)
    stack.postal.add_server("ctqu6f", 1)
    code, lines = check(stack)
    assert code == 0
    assert any("Postal 1.x or 2.x" in text for _, text in lines)
    if generation == "2.x":
        assert troubles(lines) == []
    else:
        expect(stack, "warn", "postal-server-1", "version 18", "255")


def test_two_hosts(make_mariadb, make_stack):
    stack = make_stack(make_mariadb(), make_mariadb(), settings=USERS)
    stack.postal.add_server("ctqu6f", 1)
    code, lines = check(stack)
    assert code == 0 and troubles(lines) == [], lines
    text = "\n".join(t for _, t in lines)
    for section in ("main_db", "message_db"):
        assert f"[{section}] session: strict" in text
        assert f"[{section}] ledger: " in text
    stack.postal.message_server.stop()
    expect(stack, "FAIL", r"\[message_db\]", "is the server running")


def test_stand_alone_has_no_mysql(make_tracker):
    t = make_tracker(USERS)
    assert "MySQL" not in t.cli("check").stdout


# --- connecting -------------------------------------------------------------


def wrong_password(stack):
    stack.postal.main_server.execute(
        f"SET PASSWORD FOR '{stack.postal.user}'@'%' = PASSWORD('another')"
    )


def refused_port(stack):
    rewrite(stack, "main_db", port=free_port())


def unknown_host(stack):
    rewrite(stack, "main_db", host="no-such-host.invalid")


def missing_socket(stack):
    rewrite(stack, "main_db", socket="/nonexistent/mysql.sock")


def another_user(stack):
    rewrite(stack, "main_db", user="nobody-of-this-name")


def unknown_database(stack):
    rewrite(stack, "main_db", database="postal_x")


def unknown_database_with_rights(stack):
    unknown_database(stack)
    stack.postal.main.execute(
        f"GRANT SELECT ON `postal\\_x`.* TO '{stack.postal.user}'@'%'"
    )


def readable_by_all(stack):
    os.chmod(stack.directory / "db-password", 0o644)


def password_missing(stack):
    (stack.directory / "db-password").unlink()


def password_empty(stack):
    (stack.directory / "db-password").write_text("\n")


def ca_missing(stack):
    rewrite(stack, "main_db", tls_ca="/nonexistent/ca.pem")


def server_without_tls(stack):
    ca = Authority(stack.directory, "other")
    rewrite(stack, "main_db", tls_ca=str(ca.cert))


def read_only(stack):
    stack.postal.main_server.execute("SET GLOBAL read_only = 1")


@pytest.mark.parametrize(
    "break_it, words",
    [
        (wrong_password, ["1045", "user tracker", "password_file"]),
        (another_user, ["1045", "there is no such account"]),
        (refused_port, ["2002|2003", "is the server running"]),
        (missing_socket, ["2002", "nonexistent", "is the server running"]),
        (unknown_host, ["2005", "no-such-host.invalid", "looked up"]),
        (unknown_database, ["1044|1049", "postal_x", "correct the name"]),
        (unknown_database_with_rights, ["1049", "postal_x", "correct the"]),
        (readable_by_all, ["mode 0644", "chmod o-rwx"]),
        (password_missing, ["db-password", "No such file"]),
        (password_empty, ["first line is empty"]),
        (ca_missing, ["tls_ca /nonexistent/ca.pem", "No such file"]),
        (server_without_tls, ["has to offer TLS", "other.pem"]),
        (read_only, ["read_only", "takes no writes"]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_connecting(stack, break_it, words):
    break_it(stack)
    expect(stack, "FAIL", *words)


def test_tls(make_mariadb, make_stack):
    server = make_mariadb(tls=True)
    stack = make_stack(server, settings=USERS)
    rewrite(stack, "main_db", tls_ca=server.ca)
    code, lines = check(stack)
    assert code == 0 and troubles(lines) == [], lines
    assert any(
        re.search(r"\[main_db\] TLS: TLS_\S+, certificate checked", text)
        for _, text in lines
    ), lines
    other = Authority(stack.directory, "other")
    rewrite(stack, "main_db", tls_ca=str(other.cert))
    expect(stack, "FAIL", "2026", "other.pem", "names 127.0.0.1")
    rewrite(stack, "main_db", tls_ca=server.ca)
    os.chmod(server.ca, 0o600)
    expect(stack, "FAIL", "cannot read it", "chmod a")


def test_a_certificate_of_another_name(make_mariadb, make_stack):
    server = make_mariadb(tls="DNS:other.example")
    stack = make_stack(server, settings=USERS)
    rewrite(stack, "main_db", tls_ca=server.ca)
    expect(stack, "FAIL", "2026", "names 127.0.0.1")


def test_a_password_file_of_another_user(stack):
    os.chown(stack.directory / "db-password", 12345, 0)
    expect(stack, "warn", "belongs to uid 12345", "chown root")


def test_no_password_file(stack):
    stack.tracker.settings["main_db"].pop("password_file")
    stack.tracker.write_conf()
    _, lines = check(stack)
    verdicts = [v for v, _ in troubles(lines)]
    assert verdicts == ["warn", "FAIL"], lines
    assert "LoadCredential=main_db_password" in troubles(lines)[0][1]


def test_not_root(stack):
    _, lines = check(stack, prefix=NOBODY)
    said = "\n".join(text for _, text in troubles(lines))
    assert "not root: MySQL cannot be checked" in said
    assert "not for uid 65534; start this as root" in said


def test_clocks_apart(make_mariadb, make_stack):
    """A server whose clock is an hour behind."""
    server = make_mariadb()
    stack = make_stack(server, settings=USERS)
    # Every session of this server begins with a clock of its own.
    server.execute("SET GLOBAL init_connect = 'SET timestamp = 1700000000'")
    text = expect(stack, "warn", "clock", "behind", "NTP")
    assert int(re.search(r"is (\d+)\.\d s", text)[1]) > 1000000


def test_no_library(stack):
    """As on a machine without it: something else lies in its place."""
    known = subprocess.run(
        ["ldconfig", "-p"], capture_output=True, text=True, check=True
    ).stdout
    paths = re.findall(
        r"lib(?:mariadb\.so\.3|mysqlclient\.so\.2\d) .*=> (\S+)", known
    )
    assert paths, known
    script = "".join(f"mount --bind /dev/null {p} && " for p in paths)
    code, lines = check(
        stack, ["unshare", "-m", "sh", "-ec", script + 'exec "$@"', "sh"]
    )
    found = troubles(lines)
    assert code == 69 and len(found) == 1, lines
    assert found[0][0] == "FAIL"
    assert "there is no MySQL client library; install" in found[0][1]


# --- grants and schema ------------------------------------------------------


def repair(stack, text):
    """Runs the statement that the line names."""
    statements = text.split("run: ", 1)[1]
    stack.postal.message_server.script(statements.rstrip(";") + ";\n")


@pytest.mark.parametrize("table", sorted(set(MAIN_GRANTS)))
def test_a_grant_on_the_main_database(stack, table):
    if table == "track_certificates":
        # Where only Postal 1.x has it: see test_certificates_of_postal_1.
        stack.postal.main.execute(
            f"REVOKE SELECT ON postal.{table} FROM 'tracker'@'%'"
        )
        assert troubles(check(stack)[1]) == []
        return
    what = MAIN_GRANTS[table]
    stack.postal.main.execute(
        f"REVOKE {what} ON postal.{table} FROM 'tracker'@'%'"
    )
    verdict = "warn" if table.endswith("domains") else "FAIL"
    text = expect(
        stack,
        verdict,
        rf"run: GRANT {what} ON `postal`\.`{table}` TO 'tracker'@'%';$",
    )
    repair(stack, text)
    assert troubles(check(stack)[1]) == []


def test_certificates_of_postal_1(make_stack):
    """The grant is given where the table is, and missed where it may be."""
    stack = make_stack(generation="1.x-last", settings=USERS)
    stack.postal.add_server("ctqu6f", 1)
    server = stack.postal.main_server
    account = f"'{stack.postal.user}'@'%'"

    def words():
        code, lines = check(stack)
        assert code == 0 and troubles(lines) == [], lines
        return [t for _, t in lines if "track_certificates" in t]

    def held():
        rows = server.execute(f"SHOW GRANTS FOR {account}")
        return [g for (g,) in rows if "track_certificates" in g]

    assert words() == []
    stack.postal.add_certificate("click.example.com", certificate="x")
    assert words() == ["[main_db] track_certificates: 1 certificates of "
                       "Postal 1.x"]
    server.execute(
        f"REVOKE SELECT ON postal.track_certificates FROM {account}")
    assert "run the output of `postal-tracker sql`" in words()[0]
    server.script(stack.tracker.cli("sql").stdout)
    assert held() and len(words()) == 1
    # An older shape of it.
    server.execute("ALTER TABLE postal.track_certificates DROP intermediaries")
    text = expect(stack, "warn", "has not all columns", "intermediaries")
    assert "certificates and challenges of Postal 1.x are not used" in text
    server.execute("DROP TABLE postal.track_certificates")
    assert words() == []
    # The script does not fail where it is not.
    server.execute(
        f"REVOKE SELECT ON postal.track_certificates FROM {account}")
    server.script(stack.tracker.cli("sql").stdout)
    assert held() == []


@pytest.mark.parametrize(
    "table, what",
    [
        (table, what)
        for table, both in sorted(MESSAGE_GRANTS.items())
        for what in re.findall(r"[A-Z]+(?: \([^)]*\))?", both)
    ]
    + [("messages", "UPDATE (clicked)")],
)
def test_a_grant_on_a_message_database(stack, table, what):
    stack.postal.message.execute(
        f"REVOKE {what} ON {stack.postal.table(2, table)} "
        "FROM 'tracker'@'%'"
    )
    wanted = what.replace("(clicked)", "(loaded, clicked)")
    text = expect(
        stack,
        "warn" if table == "migrations" else "FAIL",
        "postal-server-2",
        re.escape(
            f"GRANT {wanted} ON `postal-server-2`.`{table}` "
            "TO 'tracker'@'%'"
        ),
    )
    assert "postal-server-1" not in text
    repair(stack, text)
    assert troubles(check(stack)[1]) == []


def test_no_grants_on_a_message_database(stack):
    for table in MESSAGE_GRANTS:
        stack.postal.revoke_message(1, table)
    text = expect(stack, "FAIL", "postal-server-1", "GRANT")
    assert "does not exist" in text
    repair(stack, text)
    assert troubles(check(stack)[1]) == []


def test_a_ledger_that_cannot_be_made(stack):
    stack.postal.main.execute(
        "REVOKE ALL ON postal_tracker.* FROM 'tracker'@'%'"
    )
    expect(stack, "FAIL", "ledger", "postal-tracker sql")
    stack.postal.main_server.script(stack.tracker.cli("sql").stdout)
    assert troubles(check(stack)[1]) == []


@pytest.mark.parametrize("what", ["SELECT", "INSERT", "UPDATE"])
def test_a_grant_on_the_ledger(stack, what):
    stack.postal.main.execute(
        "REVOKE ALL ON postal_tracker.* FROM 'tracker'@'%'"
    )
    stack.postal.main_server.script(stack.tracker.cli("sql").stdout)
    stack.postal.main.execute(
        f"REVOKE {what} ON postal_tracker.ledger FROM 'tracker'@'%'"
    )
    text = expect(stack, "FAIL", f"run: GRANT {what} ON `postal_tracker`")
    repair(stack, text)
    assert troubles(check(stack)[1]) == []


@pytest.mark.parametrize("granted", [True, False])
def test_a_dropped_message_database(stack, granted):
    """The server says so only to those who have a grant on it."""
    stack.postal.drop_message_database(2)
    if not granted:
        for table in MESSAGE_GRANTS:
            stack.postal.revoke_message(2, table)
    text = expect(stack, "FAIL", "postal-server-2", "does not exist")
    assert ("GRANT" in text) is not granted


def test_a_dropped_table(stack):
    stack.postal.message.execute("DROP TABLE `postal-server-2`.clicks")
    expect(stack, "FAIL", "postal-server-2", "no table clicks", "upgrade")


def test_a_dropped_column(stack):
    stack.postal.main.execute("ALTER TABLE postal.webhooks DROP all_events")
    code, lines = check(stack)
    assert code == 69
    assert any("all_events" in t and "upgrade" in t for _, t in lines), lines


def test_an_engine_without_transactions(stack):
    stack.postal.message.execute(
        "ALTER TABLE `postal-server-1`.loads ENGINE = MyISAM"
    )
    stack.postal.main.execute(
        "ALTER TABLE postal.webhook_requests ENGINE = MyISAM"
    )
    _, lines = check(stack)
    found = troubles(lines)
    assert [v for v, _ in found] == ["FAIL", "FAIL"], lines
    assert "webhook_requests" in found[0][1] and "MyISAM" in found[0][1]
    assert "ALTER TABLE `postal-server-1`.`loads`" in found[1][1]


def test_many_broken_databases(stack):
    """A line for the first twenty, and how many more there are."""
    for number in range(3, 28):
        stack.postal.add_server(f"many{number}", number, database=False)
    code, lines = check(stack)
    found = troubles(lines)
    assert code == 69 and len(found) == 21, lines
    assert re.search(r"5 more .* of 27 .* 25 cannot be written", found[-1][1])


def test_a_webhook_without_url(stack):
    number = stack.postal.add_webhook(1, "")
    stack.postal.add_webhook(2, None, enabled=False)
    expect(stack, "warn", rf"webhook {number} of server 1 has no URL")


# --- the forwarder ----------------------------------------------------------


def test_no_forwarder(stack):
    stack.tracker.start()
    expect(stack, "FAIL", "forwarder: not connected", "postal-tracker forward")


def test_a_forwarder_that_failed_before_this(stack):
    """Its last error does not send anybody to lines that are all ok."""
    stack.start()
    stack.postal.main.execute("ALTER USER 'tracker'@'%' IDENTIFIED BY 'new'")
    stack.postal.main_server.restart()
    path = stack.tracker.settings["main_db"]["password_file"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("new\n")
    stack.wait_status(lambda s: "denied" in (s["forwarder"]["error"] or ""),
                      "a refusal")
    expect(stack, "FAIL", "is not connected to MySQL, 0 events wait: .*denied",
           "tries again within 10 s")


def test_events_set_aside(stack):
    stack.postal.add_message(1, id=1, token="AbCdEfGhIjKlMnOp")
    stack.start()
    stack.postal.drop_message_database(1)
    reply = stack.tracker.get("/img/ctqu6f/AbCdEfGhIjKlMnOp")
    assert reply.status == 200
    stack.wait_status(lambda s: s["set_aside"] == 1, "an event set aside")
    _, lines = check(stack)
    assert any(
        v == "warn" and "1 events of server 1 are set aside" in t
        for v, t in lines
    ), lines


def test_a_daemon_of_another_mode(stack):
    rewrite(stack, "postal", mode="standalone")
    stack.tracker.start()
    rewrite(stack, "postal", mode="mysql")
    expect(stack, "FAIL", "stand-alone mode", "restart")


# --- sql --------------------------------------------------------------------


def test_sql_without_a_connection(stack):
    """What does not depend on it is printed; the rest is said."""
    stack.postal.main_server.stop()
    done = stack.tracker.cli("sql", check=False)
    assert done.returncode == 69
    assert "[main_db]" in done.stderr and "2002" in done.stderr
    assert "CREATE TABLE IF NOT EXISTS `postal_tracker`" in done.stdout
    assert "ON `postal`.`servers` TO 'tracker'@'%';" in done.stdout
    assert "could not be read" in done.stdout
    stack.postal.main_server.start()


def test_sql_from_nothing(make_mariadb, make_stack):
    """An account without any grant: run twice, then `check` is content."""
    main, message = make_mariadb(), make_mariadb()
    stack = make_stack(main, message, settings=USERS)
    stack.postal.add_server("ctqu6f", 1)
    for server in (main, message):
        server.add_user(stack.postal.user, PASSWORD, ())
    assert check(stack)[0] == 69
    first = stack.tracker.cli("sql", check=False)
    assert first.returncode == 69 and PASSWORD not in first.stdout
    heads = re.split(r"(?m)^(?=-- \[)", first.stdout)[1:]
    assert [h.split()[1] for h in heads] == ["[main_db]", "[message_db]"]
    assert f"port {main.port}" in heads[0]
    assert f"port {message.port}" in heads[1]
    main.script(heads[0])
    message.script(heads[1])
    second = stack.tracker.cli("sql").stdout
    heads = re.split(r"(?m)^(?=-- \[)", second)[1:]
    message.script(heads[1])
    assert troubles(check(stack)[1]) == []
    for server in (main, message):
        grants = server.execute(f"SHOW GRANTS FOR '{stack.postal.user}'@'%'")
        assert not any(
            re.search(r"\bON [^ ]*%|ALL PRIV|raw-", g) for (g,) in grants
        ), grants


def test_sql_names_the_account_as_the_server_does(stack):
    """The one that lets this machine in, among those of the name."""
    server = stack.postal.main_server
    account = f"'{stack.postal.user}'@'127.0.0.1'"
    password = PASSWORD.replace("'", "''")
    server.execute(f"CREATE USER {account} IDENTIFIED BY '{password}'")
    server.execute(f"GRANT SELECT ON postal.servers TO {account}")
    text = stack.tracker.cli("sql").stdout
    assert f"TO {account};" in text and "'@'%'" not in text
    server.script(text)
    assert troubles(check(stack)[1]) == []


def test_sql_leaves_out_what_is_gone(stack):
    """A GRANT on a missing table would end the script."""
    stack.postal.drop_message_database(1)
    text = stack.tracker.cli("sql").stdout
    assert "-- `postal-server-1` is not there" in text
    assert "GRANT SELECT ON `postal-server-1`" not in text
    stack.postal.main_server.script(text)


def test_the_pattern_is_only_a_comment(stack):
    rewrite(stack, "message_db", prefix="po_stal")
    text = stack.tracker.cli("sql").stdout
    line = next(x for x in text.splitlines() if "-server-%" in x)
    assert line == (
        "-- GRANT SELECT, INSERT, UPDATE ON `po\\_stal-server-%`.* "
        "TO 'tracker'@'%';"
    )
