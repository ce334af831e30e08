"""Compares what came out with what is expected; says every difference.

An Outcome is what a case leaves behind: answers, rows, changed messages and
webhook requests. The expected one has symbols for clock values, the actual
one decimals.
"""

import datetime
import re
from dataclasses import dataclass, field
from decimal import Decimal

import yaml

import oracle
from golden_rules import PAST, PICTURE

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COMMON_HEADERS = {
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Outcome:
    answers: list = field(default_factory=list)
    loads: dict = field(default_factory=dict)  # server id: rows in order
    clicks: dict = field(default_factory=dict)
    messages: dict = field(default_factory=dict)  # (server id, id): columns
    hooks: list = field(default_factory=list)


def outcome_of(case):
    """What the steps of a case leave behind, messages worked out of them."""
    outcome = Outcome()
    for step in case.steps:
        outcome.answers.append(step.answer)
        outcome.hooks += step.hooks
        if step.row is None:
            continue
        row = dict(step.row)
        server = row.pop("server_id")
        kind = outcome.loads if step.kind == "open" else outcome.clicks
        kind.setdefault(server, []).append(row)
        if step.message is None:
            continue
        key = (server, step.message["id"])
        before = {
            "loaded": step.message["loaded"],
            "clicked": step.message["clicked"],
        }
        changed = dict(outcome.messages.get(key, before))
        if step.kind == "click":
            changed["clicked"] = row["timestamp"]
        elif changed["loaded"] is None:
            changed["loaded"] = step.loaded or row["timestamp"]
        if changed != before:
            outcome.messages[key] = changed
    return outcome


# --- answers ----------------------------------------------------------------


def is_small_picture(body):
    return (
        len(body) < 100
        and body.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1")
        and body.endswith(b"IEND\xaeB`\x82")
    )


def answer_of_reply(reply):
    """The reply of the tests' HTTP client as an Answer."""
    from golden_cases import Answer

    if reply is None:
        return Answer(None)
    body = PICTURE if is_small_picture(reply.body) else reply.body
    names = [n.lower() for n, _ in reply.headers]
    for name, value in COMMON_HEADERS.items():
        assert (name, value) in reply.headers, (name, reply.headers)
    if reply.status == 307 or body == PICTURE:
        assert ("Cache-Control", "no-store") in reply.headers, reply.headers
    return Answer(
        reply.status,
        [v for n, v in reply.headers if n.lower() == "location"],
        body,
        {
            "content-type": v
            for n, v in reply.headers
            if n.lower() == "content-type"
        }
        if names.count("content-type") == 1
        else {},
    )


def answer_text(answer):
    body = answer.body
    if isinstance(body, bytes) and len(body) > 100:
        body = body[:100] + b"..."
    where = [str(u)[:200] for u in answer.location]
    return f"{answer.status} {where} {answer.headers} {body!r}"


def is_answer(expected, actual):
    return any(
        (one.status, one.location, one.body, one.headers)
        == (actual.status, actual.location, actual.body, actual.headers)
        for one in [expected, *expected.others]
    )


# --- clock values -----------------------------------------------------------


class Clock:
    """Binds symbols to values: the same for the same, never going back."""

    def __init__(self):
        self.values = {}

    def matches(self, expected, actual):
        if expected is None or actual is None:
            return expected is actual
        actual = Decimal(actual)
        if not expected.startswith("T"):
            return Decimal(expected) == actual
        return self.values.setdefault(expected, actual) == actual


# --- webhook requests -------------------------------------------------------


def decode_payload(text):
    """As Psych reads it (libyaml), and as another YAML 1.1 parser does."""
    assert text.startswith("--- "), text[:20]
    by_libyaml = yaml.load(text, yaml.CSafeLoader)
    by_python = yaml.load(text, yaml.SafeLoader)
    assert by_libyaml == by_python, text
    return by_libyaml


def posted_json(payload):
    """What Postal would post as the member `payload`."""
    return oracle.json_text(payload)


def hook_of_row(row):
    """A row of webhook_requests as it came out of the database."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    created = row["created_at"]
    assert UUID.fullmatch(row["uuid"] or ""), row["uuid"]
    assert created is not None
    age = (now - created).total_seconds()
    assert -1 < age < 600, f"created_at is not UTC: {created}"
    retry = row["retry_after"]
    if retry is not None and 0 < (created - retry).total_seconds() <= 60:
        retry = PAST
    assert len(row["payload"].encode()) <= oracle.PAYLOAD_MAX
    return {
        "server_id": row["server_id"],
        "webhook_id": row["webhook_id"],
        "url": row["url"],
        "event": row["event"],
        "attempts": row["attempts"],
        "retry_after": retry,
        "error": row["error"],
        "locked_by": row.get("locked_by"),
        "locked_at": row.get("locked_at"),
        "payload": decode_payload(row["payload"]),
    }


def comparable(hook):
    """A webhook request as text; the posted JSON with the order of members."""
    columns = {
        k: v for k, v in hook.items() if k not in ("payload", "posted")
    }
    text = " ".join(f"{k}={v!r}" for k, v in sorted(columns.items()))
    return f"{text} payload={posted_json(hook['payload'])}"


# --- all of it --------------------------------------------------------------


def compare_rows(name, expected, actual, clock):
    found = []
    for server in sorted({*expected, *actual}):
        left, right = expected.get(server, []), actual.get(server, [])
        if len(left) != len(right):
            found.append(
                f"{name} of server {server}: {len(right)} rows, "
                f"expected {len(left)}: {right} {left}"
            )
            continue
        for one, other in zip(left, right):
            same = {**one, "timestamp": 0} == {**other, "timestamp": 0}
            if not same or not clock.matches(
                one["timestamp"], other["timestamp"]
            ):
                found.append(
                    f"{name} of server {server}: {other}, expected {one}"
                )
    return found


def compare_messages(expected, actual, clock):
    found = []
    for key in sorted({*expected, *actual}):
        left, right = expected.get(key), actual.get(key)
        if (
            left is None
            or right is None
            or not clock.matches(left["loaded"], right["loaded"])
            or not clock.matches(left["clicked"], right["clicked"])
        ):
            found.append(f"message {key}: {right}, expected {left}")
    return found


def compare(expected, actual):
    """Every difference, as text; an empty list when there is none."""
    found = []
    if len(expected.answers) != len(actual.answers):
        found.append("not as many answers")
    for number, (one, other) in enumerate(
        zip(expected.answers, actual.answers)
    ):
        if not is_answer(one, other):
            found.append(
                f"answer {number}: {answer_text(other)}, "
                f"expected {answer_text(one)}"
            )
    clock = Clock()
    found += compare_rows("loads", expected.loads, actual.loads, clock)
    found += compare_rows("clicks", expected.clicks, actual.clicks, clock)
    found += compare_messages(expected.messages, actual.messages, clock)
    left = sorted(map(comparable, expected.hooks))
    right = sorted(map(comparable, actual.hooks))
    for text in left:
        if left.count(text) != right.count(text):
            found.append(f"webhook missing: {text}")
    for text in right:
        if left.count(text) != right.count(text):
            found.append(f"webhook not expected: {text}")
    return found
