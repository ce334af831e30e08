"""`postal-tracker selftest`: one open and one click, the whole way, and nothing
left of them."""

import json
import re
import signal
import socket
import subprocess
import threading

import pytest

from certificates import EC, make_pair
from conftest import TRACKER, free_port, wait_for
from mariadb import Authority

USERS = {"sandbox": {"store_user": "60982"}, "forwarder": {"user": "60983"}}


def selftest(tracker, *args, code=0):
    done = tracker.cli("selftest", *args, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def numbers(tracker):
    """What has to be as before, or not."""
    s = tracker.status()
    return {
        key: s[key]
        for key in "accepted pending written unmatched duplicates set_aside "
        "expired lost servers links".split()
    }


# --- stand-alone ------------------------------------------------------------


def test_stand_alone(tracker):
    before = numbers(tracker)
    out = selftest(tracker)
    assert re.search(r"^ok    open: answered 200 image/png, after [\d.]+ ms$",
                     out, re.M), out
    assert re.search(r"^ok    open: on stable storage as event \d+, of a "
                     r"visitor at 127\.0\.0\.1, after [\d.]+ ms$", out, re.M)
    assert re.search(r"^ok    click: answered 307 http://postal-tracker-", out,
                     re.M)
    assert "click: on stable storage as event" in out
    assert "FAIL" not in out and "Shown: requests reach" in out
    after = numbers(tracker)
    assert after["accepted"] == before["accepted"] + 2
    assert after["unmatched"] == before["unmatched"] + 2
    same = set(after) - {"accepted", "unmatched"}
    assert all(after[key] == before[key] for key in same), (before, after)
    assert tracker.events() == []
    # The made-up server is gone with its link.
    wait_for(
        lambda: tracker.get("/selftest/x").body == b"Invalid Server Token",
        "the server to be forgotten",
    )


def test_no_server_yet(make_tracker):
    t = make_tracker(USERS).start()
    assert "FAIL" not in selftest(t)
    assert numbers(t)["servers"] == 0


def test_a_server_of_its_own(tracker):
    """With --server it is that one; its links and events are left alone."""
    tracker.get("/img/ctqu6f/m1")
    out = selftest(tracker, "--server", "CTQU6F")
    assert "server ctqu6f" in out and "FAIL" not in out
    assert [e["token"] for e in tracker.events()] == ["m1"]
    assert tracker.get("/ctqu6f/H0zoVR7I").status == 307
    done = tracker.cli("selftest", "--server", "zzz", check=False)
    assert done.returncode == 69
    assert "there is no server of this token" in done.stderr


def test_json(tracker):
    rows = [json.loads(x) for x in selftest(tracker, "--json").splitlines()]
    assert [r["step"] for r in rows] == [
        "place", "open", "click", "open", "click"
    ]
    assert all(r["level"] == "ok" for r in rows)
    assert all(r["after_us"] >= 0 for r in rows[1:])


def test_no_daemon(make_tracker):
    done = make_tracker(USERS).cli("selftest", check=False)
    assert done.returncode == 69 and "no daemon listens" in done.stderr


def test_two_at_once(tracker):
    """The second is told; when the first is cut off, all of it goes."""
    slow = free_port()
    with socket.create_server(("127.0.0.1", slow)):
        first = subprocess.Popen(
            [TRACKER, "selftest", "-c", str(tracker.conf), "--url",
             f"http://127.0.0.1:{slow}"],
            stdout=subprocess.DEVNULL,
        )
        wait_for(
            lambda: tracker.get("/selftest/x").body == b"Link not found",
            "the first to have begun",
        )
        done = tracker.cli("selftest", check=False)
        assert done.returncode == 69
        assert "another selftest is under way" in done.stderr
        first.send_signal(signal.SIGKILL)
        first.wait(30)
    wait_for(lambda: tracker.cli("selftest", check=False).returncode == 0,
             "the next one")
    assert numbers(tracker)["pending"] == 0


def test_relaxed(make_tracker):
    t = make_tracker({**USERS, "spool": {"durability": "relaxed"}}).start()
    assert "FAIL" not in selftest(t)
    assert numbers(t)["unmatched"] == 2


def test_a_full_spool(make_tracker):
    """It is answered, as every visitor is, and said not to be stored."""
    t = make_tracker({**USERS, "spool": {"max_size": "1M"}}).start()
    t.link("ctqu6f", "H0zoVR7I")
    t.wait_server("ctqu6f")
    lost = 0
    # Large events, and then small ones into what is left.
    for size in (4000, 1):
        for i in range(4000):
            agent = [("User-Agent", size * "x")]
            assert t.get(f"/img/ctqu6f/m{i}", agent).status == 200
            before, lost = lost, t.status()["lost"]
            if before > 0 and lost > before:
                break
        else:
            raise AssertionError("the spool was never full")
    out = selftest(t, code=69)
    assert "ok    open: answered 200" in out
    assert "FAIL  open: did not arrive in this daemon's spool" in out


# --- through something else -------------------------------------------------


NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
events {{ }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} {ssl};
    {keys}
    location / {{
      proxy_pass http://127.0.0.1:{to};
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For 198.51.100.9;
    }}
  }}
}}
"""


@pytest.fixture
def make_nginx(work):
    made = []

    def make(to, ssl="", keys=""):
        port = free_port()
        conf = work / "nginx.conf"
        conf.write_text(NGINX.format(dir=work, port=port, to=to, ssl=ssl,
                                     keys=keys))
        process = subprocess.Popen(["nginx", "-c", str(conf)])
        made.append(process)

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, "nginx", 30)
        return port

    yield make
    for process in made:
        process.terminate()
        process.wait(30)


def test_through_a_proxy(make_tracker, make_nginx):
    t = make_tracker(
        {**USERS, "clients": {"trusted_proxies": "127.0.0.1"}}
    ).start()
    port = make_nginx(t.port)
    out = selftest(t, "--url", f"http://localhost:{port}")
    assert "FAIL" not in out
    # What the proxy says about the visitor is believed, and shown.
    assert out.count("of a visitor at 198.51.100.9") == 2, out


def test_through_a_proxy_with_tls(make_tracker, make_nginx, work, monkeypatch):
    t = make_tracker(USERS).start()
    ca = Authority(work, "ca")
    key, cert = ca.issue("DNS:localhost")
    port = make_nginx(
        t.port, "ssl", f"ssl_certificate {cert}; ssl_certificate_key {key};"
    )
    url = f"https://localhost:{port}"
    # A reader's browser would not go on either.
    out = selftest(t, "--url", url, code=69)
    assert "FAIL  open: no answer: curl: (60)" in out
    monkeypatch.setenv("CURL_CA_BUNDLE", str(ca.cert))
    assert "FAIL" not in selftest(t, "--url", url)


def test_somebody_else_answers(tracker, make_nginx):
    """The name leads to another daemon, which knows nothing of the test."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        def answer():
            for _ in range(2):
                c, _ = s.accept()
                with c:
                    c.recv(4096)
                    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
                              b"Content-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        out = selftest(tracker, "--url",
                       f"http://127.0.0.1:{s.getsockname()[1]}", code=69)
        thread.join(30)
    assert "ok    open: answered 200 image/png" in out
    assert "FAIL  click: answered 200 image/png , and that is not" in out
    assert out.count("did not arrive in this daemon's spool") == 2


def test_a_proxy_that_asks_twice(tracker):
    """Whatever became of its one request, nothing is left."""
    over = threading.Event()

    def answer(s):
        while not over.is_set():
            try:
                c, _ = s.accept()
            except TimeoutError:
                continue
            with c:
                request = c.recv(4096)
                tracker.raw(request)
                with tracker.connect() as behind:
                    behind.send(request)
                    while data := behind.sock.recv(4096):
                        c.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as s:
        s.settimeout(0.1)
        thread = threading.Thread(target=answer, args=(s,))
        thread.start()
        before = numbers(tracker)
        try:
            out = selftest(tracker, "--url",
                           f"http://127.0.0.1:{s.getsockname()[1]}")
        finally:
            over.set()
            thread.join(30)
    assert "FAIL" not in out
    after = numbers(tracker)
    # A worker that did not know the server yet has recorded nothing.
    assert after["accepted"] - before["accepted"] in (3, 4)
    assert (after["unmatched"] - before["unmatched"]
            == after["accepted"] - before["accepted"])
    assert after["pending"] == before["pending"] == 0


@pytest.mark.parametrize("url, words", [
    ("ftp://a.example", "is not http://NAME"),
    ("http://a.example/path", "has something behind the name"),
    ("http://a.example:0", "no port"),
    ("http://", "is not http://NAME"),
])
def test_wrong_urls(tracker, url, words):
    done = tracker.cli("selftest", "--url", url, check=False)
    assert done.returncode == 69 and words in done.stderr


def test_behind_proxy_headers(make_tracker):
    """A listener that wants a PROXY header from this machine gets one."""
    t = make_tracker({**USERS, "clients": {
        "trusted_proxies": "127.0.0.1", "proxy_protocol": "yes"}}).start()
    assert "FAIL" not in selftest(t)
    # A worker tells its counters once a second.
    wait_for(lambda: t.status()["counters"]["requests_total"] >= 2,
             "the counters", 30)
    assert t.status()["counters"]["proxy_headers_bad_total"] == 0


def test_https_alone(make_tracker, work):
    """Without HTTP it is asked by TLS, for a name that has a certificate."""
    make_pair(work / "certificates" / "ec.example", EC, ["ec.example"])
    # No name of a host; for curl it would be many.
    (work / "certificates" / "a{b,c}.example").mkdir()
    t = make_tracker({
        **USERS,
        "http": {"listen": ""},
        "https": {"listen": f"127.0.0.1:{free_port()}",
                  "certificates": str(work / "certificates")},
    }).start()
    out = selftest(t)
    assert "place: https://ec.example/ at 127.0.0.1:" in out
    assert "FAIL" not in out


# --- with Postal ------------------------------------------------------------


@pytest.fixture
def stack(make_stack):
    one = make_stack(settings=USERS)
    one.postal.add_server("ctqu6f", 1)
    one.postal.add_webhook(1, "http://127.0.0.1:9/")
    one.postal.add_message(1, id=1, token="AbCdEfGhIjKlMnOp")
    return one


def rows(postal):
    return [
        postal.message.execute(f"SELECT COUNT(*) FROM {postal.table(1, name)}")
        for name in ("loads", "clicks", "links", "messages")
    ] + [
        postal.main.execute("SELECT COUNT(*) FROM postal.webhook_requests"),
        postal.message.execute(
            f"SELECT id, loaded, clicked FROM {postal.table(1, 'messages')}"
        ),
    ]


def test_with_postal(stack):
    stack.start()
    before = rows(stack.postal)
    out = selftest(stack.tracker)
    for name in ("open", "click"):
        assert re.search(rf"^ok    {name}: taken to Postal's database by the "
                         r"forwarder, where no message has its token, after "
                         r"[\d.]+ ms$", out, re.M), out
    assert "FAIL" not in out and "warn" not in out
    assert "ok    rows: an open, a click and a webhook were written" in out
    assert rows(stack.postal) == before
    status = stack.wait_drained()
    assert (status["accepted"], status["unmatched"]) == (2, 2)
    assert status["links"] == 0
    # A real one is written as ever.
    stack.tracker.get("/img/ctqu6f/AbCdEfGhIjKlMnOp")
    stack.wait_status(lambda s: s["written"] == 1, "a real open")


def test_without_the_forwarder(stack):
    stack.start()
    stack.forwarder.stop()
    wait_for(lambda: not stack.tracker.status()["forwarder"]
             ["connected_to_store"], "the forwarder to be gone")
    out = selftest(stack.tracker, code=69)
    assert "FAIL  forwarder: not connected to the daemon; start" in out
    assert "ok    open: on stable storage" in out
    assert "FAIL  open: the forwarder did not take it" in out
    # Not even waiting events are left.
    assert stack.tracker.status()["pending"] == 0
    assert stack.tracker.status()["unmatched"] == 2


def test_without_a_grant(stack):
    stack.start()
    stack.postal.revoke_message(1, "messages")
    out = selftest(stack.tracker, code=69)
    assert re.search(r"FAIL  open: set aside: .*(denied|messages)", out), out
    # And it ends as soon as the database can be asked again.
    stack.postal.grant_message(1)
    stack.forwarder.reload()
    status = stack.wait_status(lambda s: s["unmatched"] == 2, "its end", 90)
    assert status["set_aside"] == status["pending"] == 0


def test_the_rehearsal(stack):
    """It is really written: what cannot be shows, and then nothing stays."""
    stack.start()
    before = rows(stack.postal)
    session, loads = stack.postal.message, stack.postal.table(1, "loads")
    last = session.execute(f"SELECT IFNULL(MAX(id), 0) FROM {loads}")[0][0]
    selftest(stack.tracker)
    session.execute(f"INSERT INTO {loads} (message_id) VALUES (1)")
    assert session.execute(f"SELECT MAX(id) FROM {loads}")[0][0] > last + 1
    session.execute(f"DELETE FROM {loads}")
    main = stack.postal.main
    main.execute(
        "CREATE TRIGGER postal.no BEFORE INSERT ON postal.webhook_requests"
        " FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not you'"
    )
    out = selftest(stack.tracker, code=69)
    assert re.search("FAIL  rows: .* cannot be written: .*not you", out), out
    main.execute("DROP TRIGGER postal.no")
    # Where nothing can be undone, nothing is written.
    session.execute(f"ALTER TABLE {loads} ENGINE = MyISAM")
    out = selftest(stack.tracker, code=69)
    assert "no table that can undo what is written" in out
    assert rows(stack.postal) == before


def test_two_database_servers(make_mariadb, make_stack):
    stack = make_stack(make_mariadb(), make_mariadb(), settings=USERS)
    stack.postal.add_server("ctqu6f", 1)
    stack.start()
    before = rows(stack.postal)
    out = selftest(stack.tracker)
    assert "FAIL" not in out and "ok    rows: " in out
    assert rows(stack.postal) == before


def test_a_password_that_only_the_forwarder_has(stack):
    stack.start()
    (stack.directory / "db-password").unlink()
    out = selftest(stack.tracker)
    assert "warn  rows: not rehearsed, this command cannot log in" in out
    assert "FAIL" not in out


def test_before_the_servers_are_known(make_stack):
    stack = make_stack(settings=USERS)
    stack.tracker.start()
    done = stack.tracker.cli("selftest", check=False)
    assert done.returncode == 69
    assert "has the forwarder read them?" in done.stderr
