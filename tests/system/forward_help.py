"""What the tests of the forwarder share: two servers, and how to wait."""

import re

from conftest import wait_for

OPEN = "/img/ctqu6f/AbCdEfGhIjKlMnOp"
CLICK = "/ctqu6f/H0zoVR7I"
URL = "https://example.com/landing?a=1&b=2"
QUICK = {"forwarder": {"poll": "100ms"}}


def one_server(postal):
    """Server 1 with a message, a link and an endpoint."""
    postal.add_server("ctqu6f", 1)
    postal.add_message(1, id=1, token="AbCdEfGhIjKlMnOp")
    postal.add_link(1, "H0zoVR7I", URL, 1, id=1)
    postal.add_webhook(1, "https://hooks.example.com/1")


def second_server(postal):
    postal.add_server("other1", 2)
    postal.add_message(2, id=1, token="AbCdEfGhIjKlMnOp")
    postal.add_link(2, "H0zoVR7I", URL, 1, id=1)


def wait_links(stack, number):
    """The replica holds at least so many links."""
    return stack.wait_status(
        lambda s: s["links"] >= number, f"{number} links in the replica"
    )


def wait_warning(stack, *words, seconds=30):
    """A line of warning or error with all these words; the line."""

    def found():
        for line in stack.forwarder.lines():
            if re.match(r"<[0-4]>forwarder: ", line) and all(
                re.search(word, line) for word in words
            ):
                return line
        return None

    try:
        return wait_for(found, f"a line with {words}", seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{stack.forwarder.log()}") from None


def agents(rows):
    return [row["user_agent"] for row in rows]


def ask(stack, target, agent, status):
    reply = stack.tracker.get(target, [("User-Agent", agent)])
    assert reply.status == status, (target, reply.status, reply.body)
    return reply
