"""What the web answers: routes, methods, headers, HTTP itself."""

import os
import signal
import struct
import subprocess
import zlib

import pytest

from conftest import wait_for

OPEN = "/img/ctqu6f/AbCdEfGhIjKlMnOp"
CLICK = "/ctqu6f/H0zoVR7I"

# target, status, body (None: the picture), kind of the event recorded
ROUTES = [
    ("/", 200, b"Hello.", None),
    ("/x", 200, b"Hello.", None),
    ("/ctqu6f", 200, b"Hello.", None),
    ("/ctqu6f/", 200, b"Hello.", None),
    ("/favicon.ico", 200, b"Hello.", None),
    ("//img/ctqu6f/AbCdEfGhIjKlMnOp", 200, b"Hello.", None),
    ("/ctqu6f%2FH0zoVR7I", 200, b"Hello.", None),
    ("/%63tqu6f/H0zoVR7I", 200, b"Hello.", None),
    ("/.well-known/acme-challenge/x", 200, b"Hello.", None),
    ("/img/ctqu6f", 404, b"Invalid Server Token", None),
    ("/img/ctqu6f/", 404, b"Invalid Server Token", None),
    ("/img/img/img", 404, b"Invalid Server Token", None),
    ("/img/zzzzzz/nope", 404, b"Invalid Server Token", None),
    ("/zzzzzz/nope", 404, b"Invalid Server Token", None),
    (OPEN, 200, None, "open"),
    (OPEN + "?src=http://x/", 200, None, "open"),
    (OPEN + "?%", 200, None, "open"),
    ("/IMG/CTQU6F/abcdefghijklmnop", 200, None, "open"),
    (OPEN + ".png", 200, None, "open"),
    (OPEN + "%20", 200, None, "open"),
    (OPEN + "/extra?x=1", 200, None, "open"),
    # Stand-alone: any message token of a known server is an open.
    ("/img/ctqu6f/nope", 200, None, "open"),
    (CLICK, 307, b"", "click"),
    ("/ctqu6f/h0ZOvr7i", 307, b"", "click"),
    ("/CTQU6F/H0zoVR7I", 307, b"", "click"),
    ("/ctqu6f/H0zoVR7I/../x", 307, b"", "click"),
    ("/ctqu6f/H0zoVR7I?%", 307, b"", "click"),
    ("http://any.example/ctqu6f/H0zoVR7I", 307, b"", "click"),
    ("/ctqu6f/H0zoVR7", 404, b"Link not found", None),
    ("/ctqu6f/H0zoVR7Ix", 404, b"Link not found", None),
    ("/ctqu6f/" + "l" * 5000, 404, b"Link not found", None),
    ("/img/ctqu6f/" + "l" * 5000, 200, None, None),
]


def is_picture(data):
    """A PNG of one pixel, every checksum right."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, names = 8, []
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(name + body)
        if name == b"IHDR":
            assert struct.unpack(">II", body[:8]) == (1, 1)
        names.append(name)
        at += 12 + length
    return names[0] == b"IHDR" and names[-1] == b"IEND"


def test_routes(tracker):
    expected = []
    for target, status, body, kind in ROUTES:
        reply = tracker.get(target)
        assert reply.status == status, target
        if body is None:
            assert is_picture(reply.body), target
            assert reply.header("Content-Type") == "image/png"
        elif status == 307:
            assert reply.header("Location") == "https://example.com/"
            assert b"example.com" not in reply.body
        else:
            assert reply.body == body, target
        if kind:
            expected.append(kind)
    assert [e["kind"] for e in tracker.events()] == expected


def test_headers(tracker):
    for target in ("/", OPEN, CLICK, "/zzzzzz/x", "/robots.txt"):
        reply = tracker.get(target)
        assert reply.header("X-Robots-Tag") == "noindex", target
        assert reply.header("X-Content-Type-Options") == "nosniff", target
        assert reply.header("Date").endswith(" GMT"), target
        assert reply.header("Connection") == "close", target
    assert tracker.get(OPEN).header("Cache-Control") == "no-store"
    assert tracker.get(CLICK).header("Cache-Control") == "no-store"
    robots = tracker.get("/robots.txt")
    assert robots.body == b"User-agent: *\nDisallow: /\n"
    assert robots.header("Content-Type").startswith("text/plain")


@pytest.mark.parametrize("target", ["/", OPEN, CLICK, "/zzzzzz/x"])
def test_head_is_get_without_body_and_not_recorded(tracker, target):
    get, head = tracker.get(target), tracker.get(target, method="HEAD")
    assert head.status == get.status
    assert head.header("Content-Length") == get.header("Content-Length")
    assert head.header("Location") == get.header("Location")
    assert [e["method"] for e in tracker.events()] in ([], ["GET"])


def test_head_is_recorded_when_asked_for(make_tracker):
    t = make_tracker({"tracking": {"count_head": "yes"}}).start()
    t.link("ctqu6f", "H0zoVR7I")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "the server")
    assert t.get(OPEN, method="HEAD").status == 200
    assert t.get(CLICK, method="HEAD").status == 307
    assert [(e["kind"], e["method"]) for e in t.events()] == [
        ("open", "HEAD"),
        ("click", "HEAD"),
    ]


def test_methods(tracker):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        reply = tracker.get(OPEN, method=method)
        assert reply.status == 405, method
        assert reply.header("Allow") == "GET, HEAD"
    assert tracker.get(OPEN, method="BREW").status == 501
    assert tracker.get(OPEN, method="get").status == 400
    assert tracker.events() == []


REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),  # bare LF
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    (b'GET /" HTTP/1.1\r\nHost: a\r\n\r\n', 400),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        400,
    ),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS on port 80
]


@pytest.mark.parametrize("data, status", REFUSED)
def test_improper_http_is_refused_and_closed(tracker, data, status):
    with tracker.connect() as c:
        c.send(data)
        reply = c.reply()
        assert reply.status == status
        assert reply.header("Connection") == "close"
        c.sock.shutdown(1)
        assert c.is_closed()


def test_keep_alive_and_pipelining(tracker):
    request = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
    with tracker.connect() as c:
        c.send(b"".join(request % t.encode() for t in (OPEN, CLICK, "/")))
        assert [c.reply().status for _ in range(3)] == [200, 307, 200]
        c.send(request % OPEN.encode())
        assert c.reply().status == 200
    with tracker.connect() as c:
        c.send(b"GET / HTTP/1.0\r\n\r\n")
        assert c.reply().header("Connection") == "close"
        assert c.is_closed()
    with tracker.connect() as c:
        c.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert c.reply().header("Connection") == "keep-alive"
        c.send(b"GET / HTTP/1.0\r\n\r\n")
        assert c.reply().body == b"Hello."


def test_many_pipelined_requests_are_answered_in_order(tracker):
    n = 200
    with tracker.connect() as c:
        for i in range(n):
            c.send(
                b"GET /img/ctqu6f/m%d HTTP/1.1\r\nHost: a\r\n\r\n" % i
            )
        for _ in range(n):
            assert c.reply().status == 200
    tokens = [e["token"] for e in tracker.events()]
    assert tokens == [f"m{i}" for i in range(n)]


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_late_answer_is_not_taken_for_the_next_click(
        make_tracker, pipelined):
    """The store stalls. One click is told to try again; its link comes when
    the next one on this connection waits for its own."""
    t = make_tracker({"http": {"workers": "1"},
                      "links": {"lookup_timeout": "1s"}}).start()
    for token in ("aaaa", "bbbb"):
        t.link("news", token, f"https://example.com/{token}")
    t.wait_server("news")
    store = t.roles()["store[0]"]
    request = b"GET /news/%s HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = request % b"aaaa", request % b"bbbb"
    with t.connect() as c:
        os.kill(store, signal.SIGSTOP)
        try:
            c.send(first + second if pipelined else first)
            assert c.reply().status == 503
            if not pipelined:
                c.send(second)
            # It was read, and asked for, before the later of these.
            for _ in range(2):
                assert t.get("/").body == b"Hello."
        finally:
            os.kill(store, signal.SIGCONT)
        location = c.reply().header("Location")
    assert location == "https://example.com/bbbb"
    for token in ("bbbb", "aaaa"):
        location = t.get(f"/news/{token}").header("Location")
        assert location == f"https://example.com/{token}"
    assert [(e["token"], e["url"][-4:]) for e in t.events()] == [
        ("bbbb", "bbbb"), ("bbbb", "bbbb"), ("aaaa", "aaaa")]


def test_a_request_in_single_bytes(tracker):
    data = f"GET {CLICK} HTTP/1.1\r\nHost: a\r\nUser-Agent: slow\r\n\r\n"
    with tracker.connect() as c:
        c.sock.setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in data.encode():
            c.send(bytes([byte]))
        assert c.reply().status == 307
    assert tracker.events()[0]["user_agent"] == "slow"


def test_curl_over_ipv6(make_tracker):
    t = make_tracker()
    t.settings["http"]["listen"] = f"127.0.0.1:{t.port} [::1]:{t.port}"
    t.write_conf()
    t.start()
    t.link("demo", "tok", "https://example.com/a?b=c")
    t.wait_server("demo")
    out = subprocess.run(
        ["curl", "-sS", "-i", "-g", f"http://[::1]:{t.port}/demo/tok"],
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout.decode()
    assert out.startswith("HTTP/1.1 307 ")
    assert "Location: https://example.com/a?b=c\r\n" in out
    assert t.events()[0]["ip"] == "::1"


VALUES = [
    (b"Mozilla/5.0", "Mozilla/5.0"),
    (b"", ""),
    (b"  padded  ", "padded"),
    (b"bad \xff\xfe ua", "bad \ufffd\ufffd ua"),
    (b"cut \xe2\x82", "cut \ufffd"),
    (b"surrogate \xed\xa0\x80", "surrogate \ufffd\ufffd\ufffd"),
    (("\u00e9" * 300).encode(), "\u00e9" * 300),
    (b'"quotes" \\ {}', '"quotes" \\ {}'),
    (b"u" * 3000, "u" * 1024),
]


def test_user_agents(tracker):
    for sent, _ in VALUES:
        data = b"GET %s HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\n\r\n"
        assert tracker.raw(data % (OPEN.encode(), sent)).status == 200
    assert tracker.get(OPEN).status == 200
    got = [e["user_agent"] for e in tracker.events()]
    assert got == [stored for _, stored in VALUES] + [None]


def test_rows(tracker):
    tracker.get(OPEN, [("User-Agent", "a")])
    tracker.get("/CTQU6F/h0zovr7i", [("User-Agent", "b")])
    first, second = tracker.events()
    assert first["seq"] == 1 and second["seq"] == 2
    assert second["at"] >= first["at"] > 1_700_000_000
    assert {k: first[k] for k in first if k not in ("seq", "at")} == {
        "kind": "open",
        "server": "ctqu6f",
        "token": "AbCdEfGhIjKlMnOp",
        "message_id": None,
        "link_id": None,
        "url": None,
        "ip": "127.0.0.1",
        "user_agent": "a",
        "method": "GET",
    }
    assert second["kind"] == "click" and second["link_id"] == 1
    assert second["token"] == "h0zovr7i" and second["server"] == "ctqu6f"
    assert second["url"] == "https://example.com/"


def test_location_is_encoded(tracker):
    url = 'https://example.com/a b"<>\\^`{|}é?x=%20'
    path = tracker.link("ctqu6f", "odd", url)
    assert tracker.get(path).header("Location") == (
        "https://example.com/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%C3%A9?x=%20"
    )


def test_tokens_that_differ_in_case(tracker):
    tracker.link("ctqu6f", "Abc", "https://example.com/upper")
    tracker.link("ctqu6f", "aBC", "https://example.com/lower")
    for token, where in (("Abc", "upper"), ("aBC", "lower"), ("ABC", "upper")):
        location = tracker.get(f"/ctqu6f/{token}").header("Location")
        assert location == f"https://example.com/{where}", token
