"""A tracker of a hundred lines, for testing the replay without the daemon.

It answers a case as this project means to, from the state alone; it never
looks at what Postal answered.
"""

import copy

import golden_rules as rules
import oracle
from golden_cases import Answer
from golden_compare import Outcome
from golden_rules import FIXED, KNOWN_METHODS, PICTURE, REDIRECT_BODY, TEXT


def text(status, body):
    return Answer(status, [], body, {"content-type": TEXT})


class Model:
    """One case after the other; time is a counter of microseconds."""

    def __init__(self, case):
        self.case = case
        self.state = case.state
        self.messages = copy.deepcopy(case.state.messages)
        self.outcome = Outcome()
        self.now = 1_800_000_000_000_000

    def time(self):
        self.now += 1000
        return f"{self.now // 1_000_000}.{self.now % 1_000_000:06d}"

    def run(self):
        for step in self.case.steps:
            answer = self.answer(step.request)
            if step.request.method == "HEAD":
                answer.body = b""
            self.outcome.answers.append(answer)
        return self.outcome

    def answer(self, request):
        if request.raw is not None:
            return text(400, FIXED[400])
        if any(oracle.has_control(v) for _, v in request.headers):
            return text(400, FIXED[400])
        if any(c in request.target for c in b'"<> '):
            return text(400, FIXED[400])
        path, _, query = request.target.partition(b"?")
        if len(path) > 8192 or len(query) > 10240:
            return text(414, FIXED[414])
        if request.method != request.method.upper():
            return text(400, FIXED[400])
        if request.method not in ("GET", "HEAD"):
            status = 405 if request.method in KNOWN_METHODS else 501
            return text(status, FIXED[status])
        kind, server, token = oracle.route(request.target)
        if kind == "robots":
            return text(200, b"User-agent: *\nDisallow: /\n")
        if kind == "hello":
            return text(200, b"Hello.")
        server = oracle.find(self.state.servers, server, exact=False)
        if server is None or (kind == "click" and not server["database"]):
            return text(404, b"Invalid Server Token")
        if kind == "open":
            self.open(request, server, token)
            return Answer(200, [], PICTURE, {"content-type": "image/png"})
        return self.click(request, server, token)

    def open(self, request, server, token):
        if not server["database"] or request.method == "HEAD":
            return
        message = oracle.find(self.messages.get(server["id"], []), token)
        if message is None:
            return
        row = self.row(request, message)
        message["loaded"] = message["loaded"] or row["timestamp"]
        self.outcome.loads.setdefault(server["id"], []).append(row)
        self.changed(server, message)
        self.hooks(request, server, message, None, oracle.OPEN)

    def click(self, request, server, token):
        links = self.state.links.get(server["id"], [])
        link = oracle.find(links, token)
        where = link and oracle.location(link["url"])
        if where is None:
            return text(404, b"Link not found")
        if request.method != "HEAD":
            for message in self.messages.get(server["id"], []):
                if message["id"] == link["message_id"]:
                    self.clicked(request, server, message, link)
        return Answer(307, [where], REDIRECT_BODY, {"content-type": TEXT})

    def clicked(self, request, server, message, link):
        row = {**self.row(request, message), "link_id": link["id"]}
        message["clicked"] = row["timestamp"]
        self.outcome.clicks.setdefault(server["id"], []).append(row)
        self.changed(server, message)
        self.hooks(request, server, message, link, oracle.CLICK)

    def row(self, request, message):
        agent = request.agent
        return {
            "message_id": message["id"],
            "ip_address": self.client(request),
            "user_agent": oracle.repair(agent.strip(), 255) or None
            if agent
            else None,
            "timestamp": self.time(),
        }

    def client(self, request):
        return oracle.client_address(
            request.peer, request.headers, self.case.trusted
        )

    def changed(self, server, message):
        before = next(
            m
            for m in self.state.messages[server["id"]]
            if m["id"] == message["id"]
        )
        names = ("loaded", "clicked")
        if any(message[n] != before[n] for n in names):
            self.outcome.messages[server["id"], message["id"]] = {
                n: message[n] for n in names
            }

    def hooks(self, request, server, message, link, event):
        agent = request.agent
        said = oracle.payload(
            event,
            message,
            link,
            self.client(request),
            None if agent is None else agent.strip(b" \t"),
        )
        if len(oracle.json_text(said).encode()) > oracle.PAYLOAD_MAX:
            return
        for webhook in self.state.webhooks:
            if (
                webhook["server_id"] == server["id"]
                and webhook["url"]
                and oracle.fires(webhook, self.state.webhook_events, event)
            ):
                self.outcome.hooks.append(
                    {
                        "server_id": server["id"],
                        "webhook_id": webhook["id"],
                        "url": webhook["url"],
                        "event": event,
                        "attempts": 0,
                        "retry_after": rules.PAST,
                        "error": None,
                        "locked_by": None,
                        "locked_at": None,
                        "payload": copy.deepcopy(said),
                    }
                )
