"""The admin listener of a tracker, asked by tests."""

import re

from conftest import Connection, free_port

LAW = "written unmatched duplicates set_aside expired pending lost".split()


class Admin:
    """[admin] listen of a tracker that is not started yet."""

    def __init__(self, tracker):
        self.tracker = tracker
        self.port = free_port()
        tracker.settings["admin"] = {"listen": f"127.0.0.1:{self.port}"}
        tracker.write_conf()

    def connect(self):
        return Connection(("127.0.0.1", self.port))

    def raw(self, data, head=False):
        with self.connect() as c:
            c.send(data)
            reply = c.reply(head)
            assert reply is None or c.is_closed()
            return reply

    def get(self, target, method="GET"):
        return self.raw(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
            head=method == "HEAD",
        )

    def ready(self):
        return self.get("/ready").status == 200

    def metrics(self):
        """Values by name and labels, as they stand on the page."""
        return samples(self.page())

    def page(self):
        reply = self.get("/metrics")
        assert reply.status == 200, reply.body
        return reply.body.decode()


def samples(page):
    found = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"postal_tracker_(\w+(?:\{.*\})?) (\S+)", line)
        assert match, line
        assert match[1] not in found, f"{match[1]} twice"
        found[match[1]] = float(match[2])
    return found


def check_law(values):
    def term(name):
        gauge = name in ("pending", "set_aside")
        return values[f"spool_{name}" + ("" if gauge else "_total")]

    total = sum(term(name) for name in LAW)
    assert values["spool_accepted_total"] == total, values
