"""How the forwarder reaches MySQL: each kind of address, TLS, and `check`."""

import re

import pytest

from forward_help import OPEN, QUICK, agents, ask, one_server, wait_warning
from mariadb import Authority


def works(stack):
    """An open gets into the table, also over a new connection."""
    ask(stack, OPEN, "first", 200)
    stack.wait_drained()
    stack.postal.main_server.restart()
    ask(stack, OPEN, "second", 200)
    stack.wait_drained()
    assert agents(stack.postal.loads(1)) == ["first", "second"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_host(make_stack, host):
    stack = make_stack(settings={**QUICK, "main_db": {"host": host}})
    one_server(stack.postal)
    stack.start()
    works(stack)


def test_unix_socket(make_mariadb, make_stack):
    server = make_mariadb()
    stack = make_stack(
        server,
        settings={**QUICK, "main_db": {"socket": server.socket}},
    )
    one_server(stack.postal)
    stack.start()
    works(stack)


def require_tls(postal):
    """The account may not log in without."""
    postal.main_server.execute(
        f"ALTER USER '{postal.user}'@'%' REQUIRE SSL"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_tls(make_mariadb, make_stack, host):
    """With the authority's certificate, also after the server came back."""
    server = make_mariadb(tls=True)
    stack = make_stack(
        server,
        settings={**QUICK, "main_db": {"host": host, "tls_ca": server.ca}},
    )
    one_server(stack.postal)
    require_tls(stack.postal)
    stack.start()
    works(stack)


def test_tls_of_another_authority(make_mariadb, make_stack, work):
    """A certificate of somebody else: no password is sent, a line says why."""
    server = make_mariadb(tls=True)
    other = Authority(work, "other")
    stack = make_stack(
        server,
        settings={**QUICK, "main_db": {"tls_ca": str(other.cert)}},
    )
    one_server(stack.postal)
    stack.tracker.start()
    stack.forwarder.start()
    wait_warning(stack, "TLS|SSL|certificate")
    assert stack.tracker.get(OPEN).status == 503
    assert stack.forwarder.is_running()


def test_tls_of_another_name(make_mariadb, make_stack):
    server = make_mariadb(tls="DNS:somebody.else.example")
    stack = make_stack(
        server, settings={**QUICK, "main_db": {"tls_ca": server.ca}}
    )
    one_server(stack.postal)
    stack.tracker.start()
    stack.forwarder.start()
    wait_warning(stack, "TLS|SSL|certificate")
    assert stack.tracker.get(OPEN).status == 503


def test_tls_is_not_given_up(make_mariadb, make_stack):
    """With tls_ca set, a server without TLS gets no password."""
    stack = make_stack(make_mariadb())
    authority = Authority(stack.directory)
    stack.tracker.settings["main_db"]["tls_ca"] = str(authority.cert)
    stack.tracker.write_conf()
    one_server(stack.postal)
    stack.tracker.start()
    stack.forwarder.start()
    wait_warning(stack, "TLS|SSL|certificate")
    assert stack.tracker.get(OPEN).status == 503


def test_option_files_are_off(make_mariadb, make_stack, work):
    """What stands in a my.cnf of somebody does not matter."""
    home = work / "home"
    home.mkdir()
    (home / ".my.cnf").write_text("[client]\nport = 1\npassword = wrong\n")
    home.chmod(0o755)
    stack = make_stack(
        make_mariadb(), settings=QUICK, env={"HOME": str(home)}
    )
    one_server(stack.postal)
    stack.start()
    works(stack)


# --- check ------------------------------------------------------------------


def checked(stack):
    """What `check` says, before anything runs: (exit code, text)."""
    result = stack.tracker.cli("check", check=False)
    return result.returncode, result.stdout


def bad_lines(text):
    return [x for x in text.splitlines() if re.match(r"FAIL|warn", x)]


def test_check_of_a_good_system(make_stack):
    stack = make_stack()
    one_server(stack.postal)
    code, text = checked(stack)
    assert code == 0, text
    assert not [x for x in text.splitlines() if x.startswith("FAIL")], text
    assert re.search(r"^ok .*main_db", text, re.M), text


def test_check_names_the_grant(make_stack):
    """The statement that would repair it, ready to be pasted."""
    stack = make_stack()
    one_server(stack.postal)
    stack.postal.revoke_message(1, "clicks")
    code, text = checked(stack)
    assert code != 0, text
    assert re.search(
        r"GRANT INSERT ON `postal-server-1`\.`?clicks`? TO", text
    ), text
    assert stack.postal.password not in text


def test_check_says_that_mysql_is_away(make_stack):
    stack = make_stack()
    stack.postal.main_server.stop()
    code, text = checked(stack)
    assert code != 0
    port = str(stack.postal.main_server.port)
    assert any(port in line for line in bad_lines(text)), text


def test_check_says_wrong_password(make_stack):
    stack = make_stack()
    path = stack.directory / "db-password"
    path.write_text("not this\n")
    code, text = checked(stack)
    assert code != 0
    assert any(
        re.search("1045|[Dd]enied", line) for line in bad_lines(text)
    ), text
    assert "not this" not in text


def test_check_warns_of_old_schema(make_stack):
    """Before migration 20 a URL is cut at 255 bytes by Postal itself."""
    stack = make_stack(generation="1.x")
    one_server(stack.postal)
    _, text = checked(stack)
    assert any(
        re.search(r"postal-server-1\b.*\b18\b|\b18\b.*postal-server-1", line)
        for line in bad_lines(text)
    ), text


def test_check_warns_of_webhook_without_url(make_stack):
    stack = make_stack()
    one_server(stack.postal)
    stack.postal.add_webhook(1, None)
    _, text = checked(stack)
    assert any("webhook" in line for line in bad_lines(text)), text


def test_status_tells_of_the_forwarder(stack):
    """Whether it is there, in JSON and in words."""
    tracker = stack.tracker
    status = tracker.status()["forwarder"]
    assert status["connected_to_store"], status
    assert status["pid"] == stack.forwarder.process.pid
    text = tracker.cli("status").stdout
    assert "forwarder: " in text and "NOT CONNECTED" not in text, text
    stack.forwarder.stop()
    stack.wait_status(
        lambda s: not s["forwarder"]["connected_to_store"],
        "status to say that there is no forwarder",
    )
    assert "NOT CONNECTED" in tracker.cli("status").stdout
