"""Alerts and dashboard, by a real Prometheus that watches a real tracker."""

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from admin import Admin
from certificates import EC, make_pair
from conftest import free_port, wait_for
from fake_forwarder import Forwarder

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
RULES = PACKAGING / "prometheus" / "postal-tracker.rules.yml"
RULES_TEST = PACKAGING / "prometheus" / "postal-tracker.rules_test.yml"
DASHBOARD = PACKAGING / "grafana" / "postal-tracker.json"


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {r["alert"]: r for g in groups for r in g["rules"]}


def panels():
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [p for p in found if p["type"] != "row"]


def queries():
    """Each query of the dashboard as Grafana would ask it."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], (
                target["expr"].replace("$instance", ".*")
                .replace("$__rate_interval", "10s")
            )


class Prometheus:
    def __init__(self, directory, target):
        self.port = free_port()
        self.log = directory / "prometheus.log"
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{
                "job_name": "postal-tracker",
                "static_configs": [{"targets": [target]}],
            }],
        }))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}",
                 f"--storage.tsdb.path={directory}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )

    def api(self, path, **arguments):
        """The `data` of an answer, or None while it does not answer."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        if arguments:
            url += "?" + urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(url, timeout=20) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as e:
            if e.code == 503:  # it is starting
                return None
            raise AssertionError(f"{arguments}: {e.read()}") from None
        except (ConnectionError, urllib.error.URLError):
            assert self.process.poll() is None, self.log.read_text()
            return None
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, text):
        data = self.api("query", query=text)
        return data["result"] if data else []

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def watched(make_tracker, work):
    """A tracker with a forwarder and events, and Prometheus that knows it."""
    make_pair(work / "certificates" / "ec.example", EC, ["ec.example"])
    a = Admin(make_tracker({
        "postal": {"mode": "mysql"},
        "https": {
            "listen": f"127.0.0.1:{free_port()}",
            "certificates": str(work / "certificates"),
        },
    }))
    a.tracker.start()
    prometheus = Prometheus(work, f"127.0.0.1:{a.port}")
    try:
        with Forwarder(a.tracker) as f:
            f.servers({1: "ctqu6f"})
            f.domains([("click.example.com", 1)])
            f.links(1, [(1, "H0zoVR7I", "https://example.com/")], 1, 1)
            f.state()
            wait_for(
                lambda: a.tracker.get("/img/ctqu6f/m").status == 200
                and a.metrics()["spool_accepted_total"] > 0,
                "the server to be known",
            )
            wait_for(
                lambda: a.metrics().get('certificates{state="served"}') == 1,
                "the certificate to be served",
            )

            def scraped():
                assert a.tracker.get("/img/ctqu6f/m").status == 200
                found = prometheus.query(
                    "count_over_time(postal_tracker_ready[1m])")
                return found and int(found[0]["value"][1]) >= 3

            # What a rate is made of, with a change between.
            wait_for(scraped, "three scrapes", 60)
            yield a, prometheus
    finally:
        prometheus.stop()


@pytest.mark.starts_nothing
def test_rules_are_well_formed_and_tested():
    for args in (["check", "rules", RULES], ["test", "rules", RULES_TEST]):
        done = subprocess.run(
            ["promtool", *args], capture_output=True, text=True, check=False,
            timeout=120,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
    # Each alert is there as one that speaks and as one that is silent.
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    cases = [case for t in tests for case in t["alert_rule_test"]]
    for name in alerts():
        speaks = {"exp_alerts" in c for c in cases if c["alertname"] == name}
        assert speaks == {True, False}, name


@pytest.mark.starts_nothing
def test_rules_say_what_to_do():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert {"summary", "description"} <= set(rule["annotations"]), name


@pytest.mark.starts_nothing
def test_panels_do_not_overlap():
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        g = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(g["x"], g["x"] + g["w"])
            for y in range(g["y"], g["y"] + g["h"])
        }
        assert g["x"] + g["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def names_in(text):
    return {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in re.findall(r"postal_tracker_(\w+)", text)
    }


def test_every_metric_that_is_used_exists(watched):
    """And the dashboard shows all that there is, but for a few."""
    a, _ = watched
    exported = set(re.findall(
        r"^# TYPE postal_tracker_(\w+)", a.page(), re.M))
    asked = {name for _, text in queries() for name in names_in(text)}
    told = {n for r in alerts().values() for n in names_in(r["expr"])}
    assert asked | told <= exported
    assert exported - asked - told == {
        "store_up", "store_start_time_seconds", "forwarder_start_time_seconds",
        "forwarder_written_total", "events_late_total", "events_lost_total",
        "proxy_headers_bad_total", "proxy_headers_unexpected_total",
    }


def test_every_query_gives_data(watched):
    _, prometheus = watched
    for title, text in queries():
        assert prometheus.query(text), (title, text)
    law = next(t for title, t in queries() if title == "Unaccounted for")
    assert float(prometheus.query(law)[0]["value"][1]) == 0


def test_every_rule_is_evaluated(watched):
    """None of them speaks of a daemon that is well; some speak of one that
    is not."""
    a, prometheus = watched

    def evaluated():
        groups = (prometheus.api("rules") or {"groups": []})["groups"]
        rules = [r for g in groups for r in g["rules"]]
        return rules if rules and all(
            r["health"] != "unknown" for r in rules) else None

    rules = wait_for(evaluated, "all rules to be evaluated", 30)
    assert {r["name"] for r in rules} == set(alerts())
    for rule in rules:
        assert rule["health"] == "ok", rule
        assert not rule["alerts"] or rule["name"] == "PostalTrackerDown", rule

    def pending():
        return {
            r["name"] for r in evaluated() or []
            if r["state"] in ("pending", "firing")
        }

    wait_for(lambda: not pending(), "no alert", 30)
    a.tracker.stop()
    wait_for(lambda: "PostalTrackerDown" in pending(), "the alert", 30)
