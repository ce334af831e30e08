"""What the forwarder may, what it shows of itself, and what it refuses."""

import os
import re
from pathlib import Path

from conftest import is_alive
from forward_help import (
    CLICK,
    OPEN,
    QUICK,
    agents,
    ask,
    one_server,
    wait_warning,
)
from postal import PASSWORD


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
    assert not re.search(r"GRANT [^`]*SELECT[^`]* ON `[^`]*%`", grants)
    stack.start()
    ask(stack, OPEN, "least", 200)
    assert stack.click(CLICK).status == 307
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["least"]
    assert len(stack.postal.webhook_requests()) == 2
