"""What a tracking request means, worked out once more in Python.

An oracle beside the C code: which words of a target are tokens, who asked,
how a user agent is repaired, where a redirect points, what a webhook says.
The golden replay uses it to work out what a named difference changes, and to
replay every case without any daemon.
"""

import ipaddress
import json
import re
import unicodedata

WORD = rb"/([A-Za-z0-9-]+)"
TABLE_CHARS = 255
WEBHOOK_CHARS = 1024
PAYLOAD_MAX = 65535
UNSAFE = b'"<>\\^`{|}'
TARGET_PATH_MAX = 8192

OPEN = "MessageLoaded"
CLICK = "MessageLinkClicked"


# --- targets ---------------------------------------------------------------


def path_of(target):
    match = re.match(rb"(?i)https?://[^/?]*", target)
    if match:
        target = target[match.end() :]
    return target.split(b"?", 1)[0]


def route(target):
    """(kind, server token, other token); kind: open, click, robots, hello."""
    path = path_of(target)
    if path == b"/robots.txt":
        return "robots", None, None
    match = re.match(rb"(?i)/img" + WORD + WORD, path)
    if match:
        return "open", match[1].decode(), match[2].decode()
    match = re.match(WORD + WORD, path)
    if match:
        return "click", match[1].decode(), match[2].decode()
    return "hello", None, None


def fold(token):
    """As the collations compare: no case, no accents, no trailing space."""
    plain = unicodedata.normalize("NFKD", token)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return plain.casefold().rstrip(" ")


def find(rows, token, exact=True):
    """The row a token means: the exact one, else the lowest id."""
    found = sorted(
        (r for r in rows if fold(r["token"] or "") == fold(token)),
        key=lambda r: r["id"],
    )
    if exact:
        for row in found:
            if row["token"] == token:
                return row
    return found[0] if found else None


# --- who asked -------------------------------------------------------------


def address(text):
    """An address as it is written down here, or None; ::ffff: goes."""
    try:
        parsed = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed


def element(text):
    """One element of X-Forwarded-For: an address, or None for garbage."""
    match = re.fullmatch(r"\[([^\]]*)\](?::\d{1,5})?", text)
    if match:
        return address(match[1]) if ":" in match[1] else None
    match = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+):\d{1,5}", text)
    if match:
        return address(match[1])
    return None if "%" in text else address(text)


def is_trusted(who, trusted):
    return any(
        who in network
        for network in map(ipaddress.ip_network, trusted)
        if network.version == who.version
    )


def client_address(peer, headers, trusted):
    """The walk of X-Forwarded-For from the right; text."""
    who = address(peer)
    elements = []
    for name, value in headers:
        if name.lower() == "x-forwarded-for":
            text = value.decode("latin-1")
            elements += [e for e in re.split(r"[, \t]+", text) if e]
    while elements and is_trusted(who, trusted):
        found = element(elements.pop())
        if found is None:
            break
        who = found
    return str(who)


# --- text ------------------------------------------------------------------


def repair(raw, chars):
    """Bytes as text: U+FFFD for what is not UTF-8, cut between characters."""
    return raw.decode("utf-8", "replace")[:chars]


def has_control(raw):
    return re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", raw) is not None


def location(url):
    """Where a visitor is sent, or None when he is not."""
    raw = (url or "").encode()
    if not re.match(rb"(?i)https?://", raw):
        return None
    return "".join(
        f"%{c:02X}" if c <= 0x20 or c >= 0x7F or c in UNSAFE else chr(c)
        for c in raw
    )


# --- webhooks --------------------------------------------------------------


class FloatText(str):
    """A number of a JSON text, as it was written there."""


def json_text(value):
    """JSON as Rails encodes it; FloatText as it stands."""
    if isinstance(value, FloatText):
        return str(value)
    if isinstance(value, float):
        return ruby_float(value)
    if isinstance(value, dict):
        inner = (f"{json_text(k)}:{json_text(v)}" for k, v in value.items())
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        for c in "<>&\u2028\u2029":
            text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def ruby_float(number):
    """The shortest text that is the same number, as Ruby writes it."""
    text = repr(number)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


def float_text(decimal_text):
    """The text of a column's number; NULL is 0.0."""
    return FloatText(ruby_float(float(decimal_text or 0)))


def spam_status(message):
    if not message["inspected"]:
        return "NotChecked"
    return "Spam" if message["spam"] else "NotSpam"


def message_json(message):
    return {
        "id": message["id"],
        "token": message["token"],
        "direction": message["scope"],
        "message_id": message["message_id"],
        "to": message["rcpt_to"],
        "from": message["mail_from"],
        "subject": message["subject"],
        "timestamp": float_text(message["timestamp"]),
        "spam_status": spam_status(message),
        "tag": message["tag"],
    }


def payload(event, message, link, ip, agent):
    """agent: bytes of the header, or None."""
    said = {"message": message_json(message)}
    if event == CLICK:
        said["url"] = link["url"]
        said["token"] = link["token"]
    said["ip_address"] = ip
    said["user_agent"] = agent and repair(agent, WEBHOOK_CHARS)
    if agent == b"":
        said["user_agent"] = ""
    return said


def fires(webhook, events, event):
    if not webhook["enabled"]:
        return False
    if webhook["all_events"]:
        return True
    return any(
        e["webhook_id"] == webhook["id"] and fold(e["event"]) == fold(event)
        for e in events
    )
