"""Reads tests/golden: two formats, one shape.

A Case has a State (what is in Postal's tables before it), and a Step for each
request: the request itself, the answer, the row and the webhook requests that
Postal wrote because of it. Clock values are symbols ("T1"): equal symbols are
equal microseconds.
"""

import base64
import contextlib
import json
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import oracle

GOLDEN = Path(__file__).parent.parent / "golden"
POSTAL_PIXEL = (
    "4fc6e17b24f361c23a225596a289cc437f31813d481f7aba3c4dc7119620d667"
)
# Which proxies each generation believes without being told (reference 1.5).
TRUSTED = {
    "1.x": ["127.0.0.1"],
    "2.x": ["127.0.0.1"],
    "3.x": ["127.0.0.1", "::1", "fd00::/8"],
}
MESSAGE_COLUMNS = (
    "id token scope rcpt_to mail_from subject message_id timestamp tag "
    "inspected spam loaded clicked"
).split()


@dataclass
class State:
    """What the tables hold before a case."""

    servers: list  # id, token, database (bool), and other columns
    messages: dict  # server id: rows
    links: dict
    webhooks: list
    webhook_events: list

    def key(self):
        """What the tracker keeps copies of, so that a new one has to start."""
        return json.dumps([self.servers, self.links], sort_keys=True)


@dataclass
class Request:
    method: str
    target: bytes
    headers: list  # (name, bytes)
    peer: str
    version: str = "HTTP/1.1"
    raw: bytes = None
    body: bytes = None
    via: str = ""

    def header(self, name):
        for n, value in self.headers:
            if n.lower() == name.lower():
                return value
        return None

    @property
    def agent(self):
        return self.header("User-Agent")

    def wire(self):
        """The bytes to send."""
        if self.raw is not None:
            return self.raw
        head = self.method.encode() + b" " + self.target
        head += b" " + self.version.encode() + b"\r\n"
        names = {n.lower() for n, _ in self.headers}
        headers = list(self.headers)
        if "host" not in names:
            headers.insert(0, ("Host", b"track.example.com"))
        if "connection" not in names:
            headers.append(("Connection", b"close"))
        if self.body is not None and "content-length" not in names:
            length = str(len(self.body)).encode()
            headers.append(("Content-Length", length))
        for name, value in headers:
            head += name.encode() + b": " + value + b"\r\n"
        return head + b"\r\n" + (self.body or b"")


@dataclass
class Answer:
    """status None: the connection was closed without one."""

    status: int
    location: list = field(default_factory=list)
    body: bytes = b""  # or "sha256:…" of a body that is not at hand
    headers: dict = field(default_factory=dict)
    others: list = field(default_factory=list)  # would do as well


@dataclass
class Step:
    request: Request
    answer: Answer
    layer: str = "handler"
    error: str = ""
    kind: str = "hello"
    server: dict = None
    message: dict = None
    link: dict = None
    row: dict = None  # of loads or clicks
    loaded: str = None  # what an open put into messages.loaded
    hooks: list = field(default_factory=list)

    def is_refused(self):
        """Postal's web server sent it away before Postal saw it."""
        return self.layer == "puma" and not self.error


@dataclass
class Case:
    name: str
    source: str
    generation: str
    trusted: list
    state: State
    steps: list
    messages: dict  # (server id, id): {"loaded", "clicked"} that changed

    def __str__(self):
        return f"{self.source} {self.generation} {self.name}"


# --- pieces of both formats -------------------------------------------------


def to_bytes(value):
    if isinstance(value, dict):
        if "base64" in value:
            return base64.b64decode(value["base64"])
        return bytes.fromhex(value["__bytes_hex"])
    return None if value is None else value.encode()


def header_list(headers):
    pairs = headers.items() if isinstance(headers, dict) else headers
    found = []
    for name, value in pairs:
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                found.append((name, to_bytes(one)))
    return found


def symbol(text):
    """T1 and <time1> are the same; decimal text stays."""
    match = re.fullmatch(r"<time(\d+)>|T(\d+)", text or "")
    return f"T{match[1] or match[2]}" if match else text


def read_lines(name):
    with open(GOLDEN / name, encoding="ascii") as lines:
        return [
            json.loads(line, parse_float=oracle.FloatText) for line in lines
        ]


def by_server(rows):
    found = {}
    for row in rows:
        row = dict(row)
        found.setdefault(row.pop("server_id"), []).append(row)
    return found


def answer_headers(pairs):
    return {n.lower(): v for n, v in pairs if n.lower() == "content-type"}


def hook_row(row, payload, posted):
    return {
        "server_id": row["server_id"],
        "webhook_id": row["webhook_id"],
        "url": row["url"],
        "event": row["event"],
        "attempts": row["attempts"],
        "retry_after": row["retry_after"],
        "error": row["error"],
        "locked_by": row["locked_by"],
        "locked_at": row.get("locked_at"),
        "payload": payload,
        "posted": posted,
    }


# --- whose row it is --------------------------------------------------------

LOST = (
    "Data too long for column 'user_agent'",
    "Incorrect string value",
    "Data too long for column 'ip_address'",
    "IPAddr::InvalidAddressError",
    "doesn't exist",
)


def understand(step, state, absolute=True):
    """Which rows of the state the request is about, by Postal's rules.

    absolute: whether a target in absolute form is understood (not by 1.x).
    """
    request = step.request
    if request.target is None:
        return
    if not absolute and not request.target.startswith(b"/"):
        return
    step.kind, server, token = oracle.route(request.target)
    if step.kind not in ("open", "click"):
        return
    step.server = oracle.find(state.servers, server, exact=False)
    if step.server is None or not step.server["database"]:
        return
    number = step.server["id"]
    messages = state.messages.get(number, [])
    if step.kind == "open":
        step.message = oracle.find(messages, token, exact=False)
        return
    step.link = oracle.find(state.links.get(number, []), token, exact=False)
    if step.link is not None:
        for message in messages:
            if message["id"] == step.link["message_id"]:
                step.message = message


def writes_row(step):
    """Whether Postal wrote a row of loads or clicks for this request."""
    if step.is_refused() or any(text in step.error for text in LOST):
        return False
    if step.answer.status in (404, 418):
        return False
    if step.kind == "open":
        return step.message is not None
    return (
        step.kind == "click"
        and step.link is not None
        and step.link["message_id"] is not None
    )


def take_row(step, rows):
    row = dict(rows.pop(0))
    for name in ("id", "country", "city"):
        row.pop(name, None)
    row.setdefault("server_id", step.server["id"])
    row["timestamp"] = symbol(row["timestamp"])
    step.row = row


def attribute(case, loads, clicks, hooks):
    """Gives each step its rows; nothing may be left over."""
    for step in case.steps:
        rows = loads if step.kind == "open" else clicks
        # runs.jsonl does not always name the exception of a lost click.
        lost = not rows and step.answer.status in (500, None)
        if writes_row(step) and not lost:
            take_row(step, rows)
        event = oracle.OPEN if step.kind == "open" else oracle.CLICK
        taken = set()
        while (
            step.row is not None
            and hooks
            and hooks[0]["event"] == event
            and hooks[0]["server_id"] == step.server["id"]
            and hooks[0]["webhook_id"] not in taken
        ):
            taken.add(hooks[0]["webhook_id"])
            step.hooks.append(hooks.pop(0))
    assert not (loads or clicks or hooks), (str(case), loads, clicks, hooks)
    attribute_loaded(case)


def attribute_loaded(case):
    """The first open of a message that had none gave it its `loaded`."""
    for (server_id, number), changed in case.messages.items():
        for step in case.steps:
            if (
                step.kind == "open"
                and step.row is not None
                and changed["loaded"] is not None
                and changed["loaded"].startswith("T")
                and (step.row["server_id"], step.row["message_id"])
                == (server_id, number)
            ):
                step.loaded = changed["loaded"]
                break


# --- cases.jsonl ------------------------------------------------------------


def state_of_setup(setup):
    return State(
        servers=setup["servers"],
        messages=by_server(setup["messages"]),
        links=by_server(setup["links"]),
        webhooks=setup["webhooks"],
        webhook_events=setup["webhook_events"],
    )


def step_of_setup(request, response):
    headers = response["headers"]
    found = headers.get("Location", [])
    found = found if isinstance(found, list) else [found]
    if "wire" in response:
        found = response["wire"].get("location", found)
    body = to_bytes(response.get("body_text"))
    if body is None:
        body = f"sha256:{response['body_sha256']}"
    return Step(
        request=Request(
            method=request["method"],
            target=to_bytes(request["target"]),
            headers=header_list(request["headers"]),
            peer=request["peer"],
            body=to_bytes(request.get("body")),
            via=request.get("via", ""),
        ),
        answer=Answer(
            response["status"], found, body, answer_headers(headers.items())
        ),
        layer=response["layer"],
        error=response.get("error") or "",
    )


def load_cases():
    with open(GOLDEN / "base.json", encoding="ascii") as text:
        base = json.load(text, parse_float=oracle.FloatText)
    for line in read_lines("cases.jsonl"):
        setup = base if line["setup"] == "base" else line["setup"]
        state = state_of_setup(setup)
        trusted = (line.get("config") or {}).get("trusted_proxies", [])
        steps = [
            step_of_setup(q, r)
            for q, r in zip(line["requests"], line["responses"], strict=True)
        ]
        rows = line["rows"]
        case = Case(
            name=line["name"],
            source="cases",
            generation="3.x",
            trusted=TRUSTED["3.x"] + trusted,
            state=state,
            steps=steps,
            messages={
                (m["server_id"], m["id"]): {
                    "loaded": symbol(m["loaded"]),
                    "clicked": symbol(m["clicked"]),
                }
                for m in rows["messages"]
            },
        )
        for step in steps:
            understand(step, state)
        hooks = [
            hook_row(h, h["payload_json"], h.get("posted"))
            for h in rows["webhook_requests"]
        ]
        attribute(case, list(rows["loads"]), list(rows["clicks"]), hooks)
        yield case


# --- runs.jsonl -------------------------------------------------------------

RUNS_SERVER = 2
RUNS_DELETED = 3
REAL_SOCKET = re.compile(r"\(real socket: (\S+) to a dual-stack listener\)")


def state_of_run(fixture, webhooks):
    """Server 2 has everything; 3 is deleted, with one link of no message."""
    servers = [
        {
            "id": s["id"],
            "token": s["token"],
            "deleted_at": "2026-01-01 00:00:00" if s["deleted"] else None,
            "database": s["id"] in (RUNS_SERVER, RUNS_DELETED),
        }
        for s in fixture["servers"]
    ]
    chosen = fixture["webhooks"][webhooks]
    links = [dict(link) for link in fixture["links"]]
    return State(
        servers=servers,
        messages={RUNS_SERVER: [dict(m) for m in fixture["messages"]]},
        links={
            RUNS_SERVER: links,
            RUNS_DELETED: [
                {**link, "message_id": None}
                for link in links
                if link["token"] == "LinkTok000000001"
            ],
        },
        webhooks=[
            {
                "id": 100 + w["id"],
                "server_id": RUNS_SERVER,
                "url": w["url"],
                "all_events": w["all_events"],
                "enabled": w["enabled"],
            }
            for w in chosen
        ],
        webhook_events=[
            {"webhook_id": 100 + w["id"], "event": e}
            for w in chosen
            for e in w["ev"]
        ],
    )


def run_sql(state, statements):
    """The statements that cases run first, on the state of server 2.

    SQLite runs them, on tables that hold what the state does.
    """
    if not statements:
        return
    tables = {
        "servers": state.servers,
        "webhooks": state.webhooks,
        "webhook_events": state.webhook_events,
        "messages": state.messages[RUNS_SERVER],
        "links": state.links[RUNS_SERVER],
    }
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.row_factory = sqlite3.Row
        for name, rows in tables.items():
            columns = list(dict.fromkeys(c for r in rows for c in r))
            memory.execute(f"CREATE TABLE {name} ({','.join(columns or 'x')})")
            marks = ",".join("?" * len(columns))
            for row in rows:
                values = [row.get(c) for c in columns]
                memory.execute(f"INSERT INTO {name} VALUES ({marks})", values)
        for statement in statements:
            memory.execute(statement)
        for name, rows in tables.items():
            rows[:] = map(dict, memory.execute(f"SELECT * FROM {name}"))


def peer_of_run(text, generation):
    """As the socket was: a dual-stack listener shows IPv4 as mapped."""
    match = REAL_SOCKET.fullmatch(text)
    if not match:
        return text
    mapped = ":" not in match[1] and generation != "1.x"
    return f"::ffff:{match[1]}" if mapped else match[1]


def step_of_run(line, response):
    request = line["request"]
    pairs = response.get("headers", [])
    body = to_bytes(response.get("body"))
    if body is None:
        body = b""
        if "body_sha256" in response:
            body = f"sha256:{response['body_sha256']}"
    return Step(
        request=Request(
            method=request["method"],
            target=to_bytes(request["target"]),
            headers=header_list(request["headers"]),
            peer=peer_of_run(request["remote_addr"], line["generation"]),
            version=request.get("protocol", "HTTP/1.1"),
            raw=to_bytes(request.get("raw")),
            body=to_bytes(request.get("body")),
        ),
        answer=Answer(
            response["status"],
            [v for n, v in pairs if n.lower() == "location"],
            body,
            answer_headers(pairs),
        ),
        # Only the web server of 3.x answers 400 with an empty body.
        layer="puma"
        if response["status"] == 400 and not body
        else "handler",
        error=line.get("swallowed_error") or "",
    )


def changed_of_run(state, changed):
    """Only the columns that changed are named there."""
    found = {}
    for message in state.messages[RUNS_SERVER]:
        columns = changed.get(str(message["id"]))
        if columns is not None:
            found[RUNS_SERVER, message["id"]] = {
                name: symbol(columns.get(name, message[name]))
                for name in ("loaded", "clicked")
            }
    assert len(found) == len(changed), changed
    return found


def load_runs():
    fixtures = {}
    for line in read_lines("runs.jsonl"):
        generation = line["generation"]
        if line["name"] == "_fixture":
            fixtures[generation] = line
            continue
        state = state_of_run(fixtures[generation], line["webhooks"])
        request = line["request"]
        run_sql(state, request.get("sql_before", []))
        responses = line.get("responses")
        if responses is None:
            responses = [line["response"]] * request.get("steps", 1)
        steps = [step_of_run(line, r) for r in responses]
        rows = line["db"]
        trusted = request.get("trusted_proxies", [])
        case = Case(
            name=line["name"],
            source="runs",
            generation=generation,
            trusted=TRUSTED[generation] + trusted,
            state=state,
            steps=steps,
            messages=changed_of_run(state, rows["messages_changed"]),
        )
        for step in steps:
            understand(step, state, absolute=generation != "1.x")
        hooks = [
            hook_row(h, h["payload"], None) for h in rows["webhook_requests"]
        ]
        attribute(case, list(rows["loads"]), list(rows["clicks"]), hooks)
        yield case


def load_all():
    return [*load_cases(), *load_runs()]
