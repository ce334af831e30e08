"""The differences between Postal and this project that are meant.

RULES is the list: each has a name, the reason, and where the documents say
so. A rule looks at one step of a golden case and changes what is expected of
it; it answers whether it did. What it looks for is the very thing that it is
about, so that a case that differs for any other reason still fails. The order
matters: what is refused first is not looked at by later rules.
"""

import copy
import re
from dataclasses import dataclass

import oracle
from golden_cases import POSTAL_PIXEL, Answer, understand

PICTURE = b"<picture>"
REDIRECT_BODY = b"Redirecting.\n"
TEXT = "text/plain; charset=utf-8"
FIXED = {
    400: b"Bad Request",
    405: b"Method Not Allowed",
    414: b"URI Too Long",
    501: b"Not Implemented",
}
# RFC 9110, RFC 5789, and what else is in the registry of IANA.
KNOWN_METHODS = """
    POST PUT DELETE CONNECT OPTIONS TRACE PATCH ACL BASELINE-CONTROL BIND
    CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL
    MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PRI PROPFIND PROPPATCH QUERY
    REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE
    UPDATEREDIRECTREF VERSION-CONTROL
""".split()
# retry_after of a row of ours: just before it was made.
PAST = "<past>"

RULES = []


@dataclass
class Rule:
    name: str
    why: str
    where: str
    apply: object


def rule(name, why, where):
    def add(function):
        assert all(r.name != name for r in RULES), name
        RULES.append(Rule(name, why, where, function))
        return function

    return add


# --- pieces that rules share ------------------------------------------------


def text_answer(status, body):
    return Answer(status, [], body, {"content-type": TEXT})


def refuse(step, status):
    step.answer = text_answer(status, FIXED[status])
    forget(step)


def forget(step):
    step.row, step.loaded, step.hooks = None, None, []


def picture_answer():
    return Answer(200, [], PICTURE, {"content-type": "image/png"})


def redirect_answer(step):
    url = step.link["url"] or ""
    body = f"Redirected to: {url}".encode()
    return Answer(307, [url], body, {})


def target_query(step):
    target = step.request.target or b""
    return target.split(b"?", 1)[1] if b"?" in target else None


def event_of(step):
    return oracle.OPEN if step.kind == "open" else oracle.CLICK


def trimmed_agent(step):
    agent = step.request.agent
    return None if agent is None else agent.strip(b" \t")


def agent_text(step):
    """What the tables get of the user agent."""
    agent = trimmed_agent(step)
    return oracle.repair(agent or b"", oracle.TABLE_CHARS) or None


def client(case, step):
    return oracle.client_address(
        step.request.peer, step.request.headers, case.trusted
    )


def write_row(case, step, symbol):
    """The row that Postal should have written and did not."""
    step.row = {
        "server_id": step.server["id"],
        "message_id": step.message["id"],
        "ip_address": client(case, step),
        "user_agent": agent_text(step),
        "timestamp": symbol,
    }
    if step.kind == "click":
        step.row["link_id"] = step.link["id"]
    elif step.message["loaded"] is None:
        step.loaded = symbol


def hook(case, step, webhook):
    event = event_of(step)
    return {
        "server_id": step.server["id"],
        "webhook_id": webhook["id"],
        "url": webhook["url"],
        "event": event,
        "attempts": 0,
        "retry_after": None,
        "error": None,
        "locked_by": None,
        "locked_at": None,
        "payload": oracle.payload(
            event,
            step.message,
            step.link,
            client(case, step),
            trimmed_agent(step),
        ),
        "posted": None,
    }


def all_hooks(case, step):
    """One for each endpoint that has a URL and asks for this event."""
    return [
        hook(case, step, w)
        for w in case.state.webhooks
        if w["server_id"] == step.server["id"]
        and w["url"]
        and oracle.fires(w, case.state.webhook_events, event_of(step))
    ]


def restore(case, step, index):
    """Everything that a request loses by an exception in Postal."""
    write_row(case, step, f"T{900 + index}")
    step.hooks = all_hooks(case, step)
    if step.kind == "open":
        step.answer = Answer(
            200, [], f"sha256:{POSTAL_PIXEL}", {"content-type": "image/png"}
        )
    else:
        step.answer = redirect_answer(step)


def was_lost(step):
    """Postal came as far as the message, and wrote no row."""
    return (
        step.row is None
        and step.message is not None
        and not step.is_refused()
        and step.answer.status in (200, 500, None)
    )


def failed(step):
    """The visitor got an error, or nothing."""
    return step.answer.status in (500, None) and not step.is_refused()


def send_hooks(case, step):
    """All of them, and the redirect that an exception before them cost."""
    step.hooks = all_hooks(case, step)
    if failed(step):
        step.answer = redirect_answer(step)


# --- requests that are not answered as by Postal ----------------------------


@rule(
    "request line without three parts",
    "400 instead of a connection that is closed without a word",
    "postal-compat 10, silent drop on errors; design 4, HTTP",
)
def closed_without_answer(_case, step, _index):
    if step.request.raw is None or step.answer.status is not None:
        return False
    refuse(step, 400)
    return True


@rule(
    "control character in a header",
    "400 in every generation, as Puma answers it",
    "postal-compat 12.3",
)
def control_in_header(_case, step, _index):
    if step.is_refused() or not any(
        oracle.has_control(v) for _, v in step.request.headers
    ):
        return False
    refuse(step, 400)
    return True


@rule(
    "target too long",
    "414 where Puma says 400",
    "design 4, HTTP; postal-compat 1.3",
)
def target_too_long(_case, step, _index):
    target = step.request.target or b""
    if (
        not step.is_refused()
        or step.answer.status != 400
        or len(target) <= oracle.TARGET_PATH_MAX
    ):
        return False
    refuse(step, 414)
    return True


@rule(
    "method not served",
    "405 for known methods; they record nothing",
    "design 4, methods; postal-compat 10",
)
def method_not_served(_case, step, _index):
    if step.request.method not in KNOWN_METHODS or step.is_refused():
        return False
    refuse(step, 405)
    return True


@rule(
    "method unknown",
    "501 for words that no standard knows; they record nothing",
    "design 4, methods; postal-compat 12.4",
)
def method_unknown(_case, step, _index):
    method = step.request.method
    if (
        step.request.raw is not None
        or method in ("GET", "HEAD", *KNOWN_METHODS)
        or step.is_refused()
    ):
        return False
    # As Puma does for the lower-case ones.
    refuse(step, 501 if method.isupper() else 400)
    return True


@rule(
    "refusals have a text",
    "the body names the status instead of being empty",
    "design 4, HTTP",
)
def refusal_text(_case, step, _index):
    if not step.is_refused() or step.answer.status not in FIXED:
        return False
    if step.answer.body == FIXED[step.answer.status]:
        return False
    step.answer = text_answer(
        step.answer.status, FIXED[step.answer.status]
    )
    return True


@rule(
    "HEAD is not recorded",
    "scanners ask HEAD; no row, no webhook, no body",
    "design 4, methods; postal-compat 10",
)
def head_not_recorded(_case, step, _index):
    if step.request.method != "HEAD":
        return False
    forget(step)
    step.answer.body = b""
    return True


# --- routes -----------------------------------------------------------------


@rule(
    "robots.txt",
    "crawlers are sent away",
    "design 4, all",
)
def robots(_case, step, _index):
    if (
        step.kind != "robots"
        or step.answer.status != 200
        or step.answer.body != b"Hello."
    ):
        return False
    step.answer = text_answer(200, b"User-agent: *\nDisallow: /\n")
    return True


@rule(
    "ACME challenges of 1.x",
    "challenges come from a directory, not from track_certificates; without "
    "one it is any other path",
    "postal-compat 10, .well-known; design 5, acme_challenges",
)
def acme(case, step, _index):
    target = step.request.target or b""
    if (
        case.generation != "1.x"
        or not target.startswith(b"/.well-known/")
        or step.answer.body == b"Hello."
    ):
        return False
    step.answer = Answer(200, [], b"Hello.")
    return True


@rule(
    "tracking header not needed",
    "this server does nothing else; X-Postal-Track-Host is ignored",
    "postal-compat 6.3, 9.1 V8",
)
def track_header(case, step, index):
    if (
        case.generation == "1.x"
        or step.answer.status != 418
        or step.request.header("X-Postal-Track-Host") is not None
    ):
        return False
    restore(case, step, index)
    return True


@rule(
    "absolute form in 1.x",
    "a proxy's form of the target means the same path, as in 2.x and 3.x",
    "postal-compat 1.2",
)
def absolute_form(case, step, index):
    target = step.request.target or b""
    if case.generation != "1.x" or not re.match(rb"(?i)https?://", target):
        return False
    understand(step, case.state)
    if step.message is None:
        return False
    restore(case, step, index)
    return True


@rule(
    "message database gone",
    "a click is Invalid Server Token instead of an exception; an open still "
    "gets its picture, or Invalid Server Token too",
    "postal-compat 3.2, 12.1",
)
def database_gone(_case, step, _index):
    if step.server is None or step.server["database"]:
        return False
    gone = text_answer(404, b"Invalid Server Token")
    if step.kind == "open":
        step.answer.others.append(gone)
    else:
        step.answer = gone
    return True


# --- the query --------------------------------------------------------------


@rule(
    "query src ignored",
    "always the picture: nothing is fetched, nothing refused",
    "design 4, query string; postal-compat 10, src",
)
def query_src(_case, step, _index):
    query = target_query(step)
    if (
        step.kind != "open"
        or query is None
        or not re.search(rb"(?i)(s|%73)(r|%72)(c|%63)", query)
        or step.answer.body == f"sha256:{POSTAL_PIXEL}"
        or step.answer.body == b"Invalid Server Token"
    ):
        return False
    step.answer = picture_answer()
    return True


@rule(
    "query never parsed",
    "no query makes an open fail",
    "postal-compat 1.4, 12.11",
)
def query_never_parsed(_case, step, _index):
    if (
        step.kind != "open"
        or target_query(step) is None
        or not failed(step)
    ):
        return False
    step.answer = picture_answer()
    return True


# --- tokens -----------------------------------------------------------------


@rule(
    "exact token first",
    "tokens that differ in case only are different; else the lowest id",
    "design 4, tokens; postal-compat 2, 10",
)
def exact_token(case, step, _index):
    if step.kind not in ("open", "click") or step.server is None:
        return False
    number = step.server["id"]
    token = oracle.route(step.request.target)[2]
    messages = case.state.messages.get(number, [])
    if step.kind == "open":
        exact = oracle.find(messages, token)
        if exact is step.message or step.row is None:
            return False
        step.message = exact
        step.row["message_id"] = exact["id"]
        step.loaded = (
            step.row["timestamp"] if exact["loaded"] is None else None
        )
    else:
        exact = oracle.find(case.state.links.get(number, []), token)
        if exact is step.link or step.row is None:
            return False
        step.link = exact
        step.row["link_id"] = exact["id"]
        step.row["message_id"] = exact["message_id"]
        step.message = next(
            (m for m in messages if m["id"] == exact["message_id"]), None
        )
        step.answer = redirect_answer(step)
    step.hooks = all_hooks(case, step)
    return True


# --- what is redirected to --------------------------------------------------


@rule(
    "only http and https",
    "another scheme, or no URL, is Link not found and records nothing",
    "design 4, redirect",
)
def scheme_refused(_case, step, _index):
    if (
        step.kind != "click"
        or step.link is None
        or step.answer.status not in (307, 500, None)
        or oracle.location(step.link["url"]) is not None
    ):
        return False
    step.answer = text_answer(404, b"Link not found")
    forget(step)
    return True


# --- what an exception lost -------------------------------------------------


@rule(
    "user agent repaired",
    "cut at 255 characters, U+FFFD for bytes that are not UTF-8; the "
    "redirect and the row are not lost",
    "design 4, User-Agent; postal-compat 3.6, 10, 12.9",
)
def agent_repaired(case, step, index):
    agent = trimmed_agent(step)
    if not was_lost(step) or agent is None:
        return False
    if (agent_text(step) or "").encode() == agent:
        return False
    restore(case, step, index)
    return True


@rule(
    "user agent trimmed",
    "white space around a header value is no part of it, as with Puma",
    "postal-compat 12.3",
)
def agent_trimmed(_case, step, _index):
    agent = step.request.agent
    if agent is None or step.row is None or agent.strip(b" \t") == agent:
        return False
    if step.row["user_agent"] == agent_text(step):
        return False
    step.row["user_agent"] = agent_text(step)
    for one in step.hooks:
        one["payload"]["user_agent"] = agent_text(step) or ""
    return True


@rule(
    "forwarded garbage loses nothing",
    "an element that is no address ends the walk; Postal raised on it",
    "postal-compat 12.6, 1.5; design 4, client address",
)
def forwarded_lost(case, step, index):
    value = step.request.header("X-Forwarded-For")
    if not was_lost(step) or value is None:
        return False
    elements = [e for e in re.split(r"[, \t]+", value.decode("latin-1")) if e]
    if all(oracle.element(e) is not None for e in elements):
        return False
    restore(case, step, index)
    return True


@rule(
    "payload too long",
    "the webhook is left out, and not the redirect",
    "postal-compat 4.5 rule 7",
)
def payload_too_long(case, step, _index):
    if step.row is None or step.hooks or not failed(step):
        return False
    hooks = all_hooks(case, step)
    sizes = [len(oracle.json_text(h["payload"]).encode()) for h in hooks]
    if not sizes or min(sizes) <= oracle.PAYLOAD_MAX:
        return False
    step.answer = redirect_answer(step)
    return True


@rule(
    "webhook without URL",
    "that endpoint alone gets nothing; Postal answered 500, left out others",
    "postal-compat 12.7",
)
def webhook_without_url(case, step, _index):
    if step.row is None or all(
        w["url"]
        for w in case.state.webhooks
        if w["server_id"] == step.server["id"]
        and oracle.fires(w, case.state.webhook_events, event_of(step))
    ):
        return False
    send_hooks(case, step)
    return True


@rule(
    "impossible date in a payload",
    "strings are always quoted, so that none turns into a date",
    "postal-compat 12.2",
)
def impossible_date(case, step, _index):
    if step.row is None or "Psych::DisallowedClass" not in step.error:
        return False
    send_hooks(case, step)
    return True


# --- rows -------------------------------------------------------------------


@rule(
    "click on a pruned message",
    "redirect, no row, no webhook",
    "design 4; postal-compat 10",
)
def pruned(_case, step, _index):
    if step.kind != "click" or step.row is None or step.message is not None:
        return False
    forget(step)
    return True


@rule(
    "one instant for an open",
    "messages.loaded and loads.timestamp are the same reading of the clock",
    "postal-compat 10, loads.timestamp",
)
def one_instant(_case, step, _index):
    if step.loaded is None or step.loaded == step.row["timestamp"]:
        return False
    step.loaded = step.row["timestamp"]
    return True


def put_address(case, step, is_this):
    """Sets the address when it differs and is_this(golden, ours)."""
    if step.row is None:
        return False
    golden, ours = step.row["ip_address"], client(case, step)
    if golden == ours or not is_this(golden, ours):
        return False
    step.row["ip_address"] = ours
    for one in step.hooks:
        one["payload"]["ip_address"] = ours
    return True


def is_mapped(text):
    return text.lower().startswith("::ffff:")


@rule(
    "mapped address stripped",
    "::ffff: goes, as in 1.x from the socket; 127.0.0.1 behind it is trusted",
    "postal-compat 10, IPv4-mapped text",
)
def mapped(case, step, _index):
    return put_address(
        case, step, lambda golden, ours: is_mapped(golden or "")
    )


@rule(
    "only X-Forwarded-For is read",
    "neither Forwarded nor the same name with underscores",
    "postal-compat 10, Forwarded precedence; 12.6",
)
def other_header(case, step, _index):
    others = b" ".join(
        v
        for n, v in step.request.headers
        if n.lower().replace("_", "-") in ("forwarded", "x-forwarded-for")
        and n.lower() != "x-forwarded-for"
    )
    return put_address(
        case,
        step,
        lambda golden, ours: bool(golden) and golden.encode() in others,
    )


@rule(
    "address written canonically",
    "IPv6 text is compressed; a zone is no part of an address",
    "postal-compat 3.6, 9.5",
)
def canonical(case, step, _index):
    return put_address(
        case,
        step,
        lambda golden, ours: ":" in (golden or "")
        and str(oracle.address(golden)) == ours,
    )


@rule(
    "forwarded garbage not stored",
    "an element that is no address ends the walk of X-Forwarded-For",
    "design 4, client address; postal-compat 12.6",
)
def forwarded_garbage(case, step, _index):
    if step.request.header("X-Forwarded-For") is None:
        return False
    return put_address(
        case, step, lambda golden, ours: oracle.element(golden or "") is None
    )


# --- webhooks ---------------------------------------------------------------


@rule(
    "payload order of 3.x",
    "one order of members for all generations",
    "postal-compat 10, member order",
)
def member_order(_case, step, _index):
    order = ["message", "url", "token", "ip_address", "user_agent"]
    changed = False
    for one in step.hooks:
        payload = one["payload"]
        sorted_names = [n for n in order if n in payload]
        if set(sorted_names) == set(payload) and list(payload) != sorted_names:
            one["payload"] = {n: payload[n] for n in sorted_names}
            changed = True
    return changed


@rule(
    "message timestamp as stored",
    "the column's decimal text; Postal's double may be one unit off",
    "postal-compat 4.4, 10, float text",
)
def float_text(_case, step, _index):
    changed = False
    for one in step.hooks:
        message = one["payload"].get("message")
        if not isinstance(message, dict):
            continue
        ours = oracle.float_text(step.message["timestamp"])
        golden = message["timestamp"]
        # A unit in the last place, and no more.
        near = abs(float(golden) - float(ours)) <= 1e-6
        if str(golden) != str(ours) and near:
            message["timestamp"] = ours
            changed = True
    return changed


@rule(
    "retry_after set",
    "workers of every generation pick the row up, and lost jobs harm nothing",
    "postal-compat 10, webhook_requests; 4.3",
)
def retry_after(_case, step, _index):
    changed = False
    for one in step.hooks:
        if one["retry_after"] is None:
            one["retry_after"] = PAST
            changed = True
    return changed


# --- how answers look -------------------------------------------------------


@rule(
    "Location encoded",
    "bytes that break a header are percent-encoded; clean URLs are untouched",
    "design 4, redirect; postal-compat 10, 12.5",
)
def location_encoded(_case, step, _index):
    if step.answer.status != 307 or step.kind != "click":
        return False
    ours = [oracle.location(step.link["url"])]
    if step.answer.location == ours:
        return False
    assert ours != [step.link["url"]], "a clean URL that differs"
    step.answer.location = ours
    return True


@rule(
    "redirect body constant",
    "the URL is not repeated in the body",
    "design 4, redirect",
)
def redirect_body(_case, step, _index):
    if step.answer.status != 307 or step.request.method == "HEAD":
        return False
    step.answer.body = REDIRECT_BODY
    return True


@rule(
    "small picture",
    "a minimal PNG; Postal's has 17,685 bytes",
    "design 4, picture; postal-compat 10",
)
def small_picture(_case, step, _index):
    if step.answer.body != f"sha256:{POSTAL_PIXEL}":
        return False
    step.answer.body = PICTURE
    return True


@rule(
    "Content-Type of texts",
    "texts say what they are",
    "postal-compat 10, 200 Hello.; 9.1 V10",
)
def content_type(_case, step, _index):
    if "content-type" in step.answer.headers:
        return False
    step.answer.headers["content-type"] = TEXT
    return True


def apply_rules(case, counts=None):
    """The case as this project is expected to answer it; a copy.

    counts: by rule name, the set of cases it touched; added to.
    """
    changed = copy.copy(case)
    changed.steps = []
    for index, golden in enumerate(case.steps):
        # The rows of the state stay the same objects.
        step = copy.copy(golden)
        step.answer = copy.deepcopy(golden.answer)
        step.row = copy.deepcopy(golden.row)
        step.hooks = copy.deepcopy(golden.hooks)
        for one in RULES:
            if one.apply(case, step, index) and counts is not None:
                counts.setdefault(one.name, set()).add(str(case))
        changed.steps.append(step)
    return changed
