"""The payload of webhooks, read by others than its writer.

Postal reads the column with Ruby's Psych and answers a text that it cannot
read by locking the row for ever. So hundreds of hostile events go through the
writer, and PyYAML and Psych have to read exactly the values that went in.
"""

import json
import random
import subprocess

import yaml
from conftest import PAYLOAD

MAX = 65535
AGENT_CHARS = 1024
LONG, NUMBER = "!1", "!2"

FIELDS = (
    "token scope message_id rcpt_to mail_from subject timestamp tag "
    "url link_token ip user_agent"
).split()

# What a YAML reader might take for something else than text, for the end of
# the string, or refuse.
HOSTILE = [
    b"", b" ", b"  a  ", b"\t", b"null", b"Null", b"~", b"true", b"yes",
    b"on", b"<<", b"=", b"-", b"---", b"...", b"--- a", b"? a", b": a",
    b"a: b", b"- a", b"a #b", b"# a", b"&a", b"*a", b"!a", b"!!binary aGk=",
    b"!ruby/object:Object {}", b":sym", b":\"sym\"", b"%YAML 1.1", b"@a",
    b"`a`", b"'", b"''", b"\"", b"\"\"", b"\\", b"\\\\\"", b"\\u0041",
    b"\\x41", b"\\/", b"/", b"\\\n", b"{}", b"[]", b"}", b"]", b"{a: b",
    b"\"}, \"x\": {\"y\": 1", b"|", b">", b">-\n a", b"0", b"123", b"0x1f",
    b"010", b"1_000", b"1.5", b"1.5e3", b"1e3", b".inf", b".nan", b"1:30",
    b"2024-01-01", b"2023-02-29", b"2024-01-01 00:00:00 Z", b"\x00", b"a\x00b",
    b"\n", b"a\nb", b"a\r\nb", b"a\n\nb", b" \n ", b"a\\\nb", b"\x7f",
    b"\x1b[31m", bytes(range(256)), bytes(range(0x20)), b"\xff\xfe ua",
    b"Fran\xe7ois", b"\xe2\x82", b"\xc0\xaf", b"\xc0\x80", b"\xe0\x80\xaf",
    b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98",
    b"\xef\xbb\xbf", b"\xef\xbb\xbfbom", "\x80\x85\x9f\xa0".encode(),
    "a\u2028b\u2029c".encode(), "\ufffe\uffff\ufdd0".encode(),
    "\U0001fffe\U0010ffff".encode(), "\U0001f600".encode(),
    "\U0001f9d1\u200d\U0001f680".encode(), "e\u0301\u202e\u200b".encode(),
    "".join(map(chr, range(0x80, 0x800))).encode(),
    "".join(map(chr, [*range(0x2000, 0x2070), *range(0xFE00, 0x10000)]))
    .encode(),
    b"x" * 1023, b"x" * 1024, b"x" * 1025, b"x" * 5000, b"\"" * 2000,
    b"\xff" * 2000, "\U0001f600".encode() * 1500, b": " * 1000,
]

# The column's text, and the number; None: no number.
TIMESTAMPS = [
    (b"1712345678.123456", 1712345678.123456),
    (b"1578564546.205999", 1578564546.205999),
    (b"1712345678.500000", 1712345678.5),
    (b"1700000000.000000", 1700000000.0),
    (b"1700000000", 1700000000.0),
    (b"999999999999.999999", 999999999999.999999),
    (b"0.000001", 0.000001),
    (b"0.000000", 0.0),
    (b"-1.500000", -1.5),
    (b"010.5", 10.5),
    (b"9" * 65, float("9" * 65)),
    (None, 0.0),
    (b"", None),
    (b"1.7e9", None),
    (b"12:30", None),
    (b"1.0, \"x\": 1", None),
]


def plain():
    return {
        "kind": "click", "id": 1, "inspected": 0, "spam": 0,
        "token": b"AbCdEfGhIjKlMnOp", "scope": b"outgoing",
        "message_id": b"m1@example.com", "rcpt_to": b"anna@example.net",
        "mail_from": b"news@example.com", "subject": b"Hello Anna",
        "timestamp": b"1712345678.123456", "tag": None,
        "url": b"https://example.com/landing?a=1&b=2",
        "link_token": b"H0zoVR7I", "ip": b"198.51.100.7",
        "user_agent": b"Test/1.0",
    }  # fmt: skip


def random_text(rng):
    """Bytes with a taste for what has a meaning somewhere."""
    parts = []
    for _ in range(rng.choice([1, 2, 5, 20])):
        kind = rng.randrange(5)
        if kind == 0:
            parts.append(rng.choice(HOSTILE[:-10]))
        elif kind == 1:
            parts.append(rng.randbytes(rng.randrange(8)))
        elif kind == 2:
            signs = b"\"\\:,{}[]#&*!|>%@`'\n\r\t -"
            parts.append(bytes(rng.choices(signs, k=6)))
        elif kind == 3:
            code = rng.choice([0x100, 0x3000, 0x10000, 0x110000])
            code = rng.randrange(code)
            parts.append(chr(code).encode("utf-8", "surrogatepass"))
        else:
            parts.append(bytes(rng.choices(range(0x20, 0x7F), k=5)))
    return b"".join(parts)


def cases():
    all_null = dict.fromkeys(FIELDS)
    yield plain()
    yield {**plain(), "kind": "open"}
    yield {**plain(), **all_null}
    yield {**plain(), **all_null, "kind": "open"}
    for text in HOSTILE:
        everywhere = dict.fromkeys(FIELDS, text)
        yield {**plain(), **everywhere, "timestamp": b"0.5"}
        yield {**plain(), "kind": "open", "user_agent": text}
    for text, _ in TIMESTAMPS:
        yield {**plain(), "timestamp": text}
    for number in (0, 2**31 - 1, 2**63 - 1, -(2**63)):
        yield {**plain(), "id": number}
    for flags in range(4):
        yield {**plain(), "inspected": flags >> 1, "spam": flags & 1}
    # Around the limit: the agent gives way, then the webhook is skipped.
    rest = len(encode(plain(), b"")) - len(plain()["url"])
    for agent in (b"u" * 10, b"\x01\"\xf0\x9f\x98\x80\xff", None, b""):
        for left in (2000, 20, 10, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -100):
            url = b"u" * (MAX - rest - left)
            yield {**plain(), "url": url, "user_agent": agent}
    yield {**plain(), "url": b"\n" * 10900}
    yield {**plain(), "url": b"\n" * 10700, "user_agent": b"\n" * 2000}
    yield {**plain(), "subject": b"\xff" * 70000}
    rng = random.Random(20240405)
    for _ in range(400):
        case = {**plain(), "kind": rng.choice(["open", "click"])}
        case.update(id=rng.randrange(2**31), inspected=rng.randrange(2))
        case.update(spam=rng.randrange(2))
        for field in FIELDS:
            if field != "timestamp":
                case[field] = rng.choice([None, b"", *[random_text(rng)] * 6])
        micros = rng.randrange(10**12) * 10 ** rng.randrange(7) % 10**18
        case["timestamp"] = b"%d.%06d" % divmod(micros, 10**6)
        yield case


def repaired(text):
    return None if text is None else text.decode("utf-8", "replace")


def expected(case):
    """The value that a reader has to see; a user agent of any length."""
    text = {f: repaired(case[f]) for f in FIELDS if f != "timestamp"}
    stamp = dict(TIMESTAMPS).get(case["timestamp"])
    if case["timestamp"] not in dict(TIMESTAMPS):
        stamp = float(case["timestamp"])
    spam = "Spam" if case["spam"] else "NotSpam"
    value = {
        "message": {
            "id": case["id"], "token": text["token"],
            "direction": text["scope"], "message_id": text["message_id"],
            "to": text["rcpt_to"], "from": text["mail_from"],
            "subject": text["subject"], "timestamp": stamp,
            "spam_status": spam if case["inspected"] else "NotChecked",
            "tag": text["tag"],
        },
    }  # fmt: skip
    if case["kind"] == "click":
        value.update(url=text["url"], token=text["link_token"])
    value.update(ip_address=text["ip"], user_agent=text["user_agent"])
    return value


def escaped(char):
    code = ord(char)
    if char in "\"\\":
        return "\\" + char
    if code < 0x20 or 0x7F <= code <= 0xA0 or code in (
        0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF,
    ):  # fmt: skip
        return f"\\u{code:04x}"
    return char


def encode(case, agent):
    """The payload by another writer, for its size; the agent as given."""

    def item(value):
        if isinstance(value, dict):
            inner = [f'"{k}": {item(v)}' for k, v in value.items()]
            return "{" + ", ".join(inner) + "}"
        if value is None:
            return "null"
        if isinstance(value, str):
            return '"' + "".join(map(escaped, value)) + '"'
        if isinstance(value, int):
            return str(value)
        text = (case["timestamp"] or b"0").decode()
        whole, _, fraction = text.partition(".")
        sign = "-" if whole.startswith("-") else ""
        whole = whole.lstrip("-").lstrip("0") or "0"
        return f"{sign}{whole}.{fraction.rstrip('0') or '0'}"

    value = expected({**case, "user_agent": agent})
    return ("--- " + item(value)).encode()


def cut_agent(case):
    """What has to be left of the agent; False: the payload cannot fit."""
    empty = None if case["user_agent"] is None else b""
    space = MAX - len(encode(case, empty))
    if space < 0:
        return False
    if empty is None:
        return None
    agent = ""
    for char in repaired(case["user_agent"])[:AGENT_CHARS]:
        space -= len(escaped(char).encode())
        if space < 0:
            break
        agent += char
    return agent


def write_all(all_cases):
    def word(value):
        return "-" if value is None else value.hex() or "="

    lines = [
        " ".join(
            [c["kind"], str(c["id"]), str(c["inspected"]), str(c["spam"])]
            + [word(c[f]) for f in FIELDS]
        )
        for c in all_cases
    ]
    out = subprocess.run(
        [PAYLOAD], input="\n".join(lines).encode() + b"\n",
        stdout=subprocess.PIPE, check=True, timeout=120,
    ).stdout  # fmt: skip
    results = out.split(b"\n")
    assert results.pop() == b""
    assert len(results) == len(lines), "a line break inside a payload"
    return results


# As Postal reads the column, then as it makes the body of the request. A
# reader that the writer confused is an answer too, not the end of the run.
RUBY = r"""
require "json"
require "yaml"
STDIN.binmode
STDIN.each_line(chomp: true) do |line|
  text = line.force_encoding(Encoding::UTF_8)
  begin
    raise "not UTF-8" unless text.valid_encoding?
    raise "no document start" unless text.start_with?("---")
    value = YAML.safe_load(text, permitted_classes: [Symbol], aliases: true)
    puts JSON.generate({"value" => value})
  rescue StandardError => e
    puts JSON.generate({"error" => e.message})
  end
end
"""


def read_by_ruby(payloads):
    out = subprocess.run(
        ["ruby", "-W0", "-e", RUBY], input=b"\n".join(payloads) + b"\n",
        stdout=subprocess.PIPE, check=True, timeout=120,
    ).stdout  # fmt: skip
    return [json.loads(line) for line in out.splitlines()]


def shape(value):
    """With order and types: 1 == 1.0 == True does not do."""
    if isinstance(value, dict):
        return [(k, shape(v)) for k, v in value.items()]
    return type(value).__name__, value


def test_other_readers_see_the_same_values():
    kept, wanted = [], []
    all_cases = list(cases())
    for case, result in zip(all_cases, write_all(all_cases), strict=True):
        value = expected(case)
        if value["message"]["timestamp"] is None:
            assert result.decode() == NUMBER, case
            continue
        agent = cut_agent(case)
        if agent is False:
            assert result.decode() == LONG, case
            continue
        value["user_agent"] = agent
        assert not result.startswith(b"!"), (result, case)
        kept.append(result)
        wanted.append(value)
    assert len(kept) > 500
    assert any(len(p) == MAX for p in kept)
    assert len(all_cases) - len(kept) > 10

    by_ruby = read_by_ruby(kept)
    for payload, value, ruby in zip(kept, wanted, by_ruby, strict=True):
        assert len(payload) <= MAX
        assert payload.startswith(b"--- {")
        text = payload.decode()
        assert shape(yaml.safe_load(text)) == shape(value), text
        assert "error" not in ruby, (ruby["error"], text)
        assert shape(ruby["value"]) == shape(value), text
        # What the flow form is, besides YAML: JSON.
        assert shape(json.loads(text[4:])) == shape(value), text
