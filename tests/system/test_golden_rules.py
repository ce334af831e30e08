"""The golden replay without a daemon: the cases, the rules, the comparison.

A model of a hundred lines stands in for tracker and forwarder. What holds
here: the files are read completely, the rules turn what Postal did into what
is meant here, and the comparison sees every difference.
"""

import copy
import json

import pytest

import oracle
from golden_cases import load_all
from golden_compare import (
    Outcome,
    comparable,
    compare,
    decode_payload,
    outcome_of,
    posted_json,
)
from golden_model import Model
from golden_rules import RULES, apply_rules

CASES = load_all()
pytestmark = pytest.mark.starts_nothing


def yaml_text(value):
    """One line of flow YAML, by the rules of postal-compat 4.5."""
    if isinstance(value, oracle.FloatText):
        return str(value)
    if isinstance(value, dict):
        inner = (f'"{k}": {yaml_text(v)}' for k, v in value.items())
        return "{" + ", ".join(inner) + "}"
    if not isinstance(value, str):
        return json.dumps(value)
    text = ""
    for c in value:
        if c in '"\\':
            text += "\\" + c
        elif (
            c < " "
            or "\x7f" <= c <= "\xa0"
            or c in "\u2028\u2029\ufeff\ufffe\uffff"
        ):
            text += f"\\u{ord(c):04x}"
        else:
            text += c
    return f'"{text}"'


def test_what_postal_wrote_is_understood():
    """Rows and changed messages of each golden case, from its steps alone."""
    for case in CASES:
        outcome = outcome_of(case)
        worked_out = {
            key: value
            for key, value in outcome.messages.items()
            # A click that lost its row has set `clicked` all the same.
            if any(s.row for s in case.steps)
        }
        lost = {
            (s.server["id"], s.message["id"])
            for s in case.steps
            if s.message is not None and s.row is None
        }
        for key, value in case.messages.items():
            if key not in lost:
                assert worked_out.get(key) == value, str(case)
        assert set(worked_out) <= set(case.messages), str(case)


def test_posted_json():
    """The encoder gives Postal's POST back, byte for byte."""
    seen = 0
    for case in CASES:
        for step in case.steps:
            for hook in step.hooks:
                if hook["posted"] is None:
                    continue
                head, _, tail = hook["posted"]["body"].partition('"payload":')
                assert head.startswith(f'{{"event":"{hook["event"]}",')
                body = tail[: tail.rindex(',"uuid":"UUID"}')]
                assert posted_json(hook["payload"]) == body, str(case)
                seen += 1
    assert seen > 200


@pytest.mark.parametrize("case", CASES, ids=str)
def test_model(case):
    expected = outcome_of(apply_rules(case))
    assert not compare(expected, Model(case).run())


def test_payloads_through_yaml():
    """What is expected of a payload survives the way through YAML."""
    seen = set()
    for case in CASES:
        for hook in outcome_of(apply_rules(case)).hooks:
            text = "--- " + yaml_text(hook["payload"])
            if text in seen:
                continue
            seen.add(text)
            assert posted_json(decode_payload(text)) == posted_json(
                hook["payload"]
            ), str(case)
    assert len(seen) > 100


def test_without_rules_most_cases_differ():
    differ = sum(
        bool(compare(outcome_of(case), Model(case).run())) for case in CASES
    )
    assert differ > 0.9 * len(CASES), differ


def test_every_rule_is_needed():
    """Left out, each rule makes at least one case fail."""
    needed = set()
    counts = {}
    for case in CASES:
        apply_rules(case, counts)
    for place, rule in enumerate(list(RULES)):
        touched = counts.get(rule.name, set())
        assert touched, f"rule {rule.name} touched no case"
        del RULES[place]
        try:
            if any(
                compare(outcome_of(apply_rules(c)), Model(c).run())
                for c in CASES
                if str(c) in touched
            ):
                needed.add(rule.name)
        finally:
            RULES.insert(place, rule)
    # These forbid or allow something that the model does not do.
    needed |= {"message database gone", "one instant for an open"}
    assert needed == {r.name for r in RULES}


def other(value):
    """Something else of the same kind."""
    if value is None:
        return "x"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, oracle.FloatText):
        return oracle.FloatText(value + "1")
    if value and value[0].isdigit() and "." in value:
        return value[:-1] + ("1" if value[-1] != "1" else "2")
    return value + "x"


def mutations(outcome):
    """The outcome with one thing changed, again and again."""

    def changed():
        return copy.deepcopy(outcome)

    for number, answer in enumerate(outcome.answers):
        for name in ("status", "body"):
            one = changed()
            value = other(getattr(answer, name))
            setattr(one.answers[number], name, value)
            yield f"answer {name}", one
        one = changed()
        one.answers[number].location.append("http://x/")
        yield "location", one
        one = changed()
        one.answers[number].headers["content-type"] = "x"
        yield "content-type", one
    for table in ("loads", "clicks"):
        for server, rows in getattr(outcome, table).items():
            for number, row in enumerate(rows):
                for column in row:
                    one = changed()
                    mutated = getattr(one, table)[server][number]
                    mutated[column] = other(row[column])
                    yield f"{table} {column}", one
                one = changed()
                del getattr(one, table)[server][number]
                yield f"{table} lost", one
                one = changed()
                getattr(one, table)[server].append(dict(row))
                yield f"{table} twice", one
    for key, columns in outcome.messages.items():
        for column, value in columns.items():
            if value is not None:
                one = changed()
                one.messages[key][column] = other(value)
                yield f"messages {column}", one
        one = changed()
        del one.messages[key]
        yield "messages not changed", one
    for number, hook in enumerate(outcome.hooks):
        for column in hook:
            if column in ("payload", "posted"):
                continue
            one = changed()
            one.hooks[number][column] = other(hook[column])
            yield f"webhook {column}", one
        for name in hook["payload"]:
            one = changed()
            payload = one.hooks[number]["payload"]
            if name == "message":
                for inner in payload["message"]:
                    two = changed()
                    message = two.hooks[number]["payload"]["message"]
                    message[inner] = other(message[inner])
                    yield f"payload message {inner}", two
            else:
                payload[name] = other(payload[name])
                yield f"payload {name}", one
        one = changed()
        payload = one.hooks[number]["payload"]
        payload["message"] = payload.pop("message")
        yield "payload order", one
        one = changed()
        del one.hooks[number]
        yield "webhook lost", one
        one = changed()
        one.hooks.append(copy.deepcopy(hook))
        yield "webhook twice", one


def test_the_comparison_sees_everything():
    kinds = set()
    for case in CASES[::5]:
        expected = outcome_of(apply_rules(case))
        for what, mutated in mutations(Model(case).run()):
            kinds.add(what)
            # The only row of its kind: its time is free, unless a message
            # says the same.
            if what.endswith(" timestamp"):
                continue
            assert compare(expected, mutated), f"{case}: {what}"
    assert {"webhook url", "payload user_agent", "loads ip_address"} <= kinds


def test_clock_values_are_compared():
    """loads.timestamp is not messages.loaded: it has to be seen."""
    case = next(c for c in CASES if c.name == "open-basic")
    expected = outcome_of(apply_rules(case))
    mutated = Model(case).run()
    row = next(iter(mutated.loads.values()))[0]
    row["timestamp"] = other(row["timestamp"])
    assert compare(expected, mutated)


def test_empty_outcome_is_not_the_expected_one():
    for case in CASES:
        expected = outcome_of(apply_rules(case))
        empty = Outcome(answers=copy.deepcopy(expected.answers))
        for answer in empty.answers:
            answer.others = []
        rows = expected.loads or expected.clicks or expected.hooks
        assert bool(compare(expected, empty)) == bool(rows), str(case)


def test_comparable_names_the_order_of_members():
    hook = {"url": "a", "payload": {"b": 1, "a": 2}}
    swapped = {"url": "a", "payload": {"a": 2, "b": 1}}
    assert comparable(hook) != comparable(swapped)

