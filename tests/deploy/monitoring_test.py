#!/usr/bin/env python3
"""A real Prometheus scrapes real servers under traffic.

    monitoring_test.py --bin=FOLDER --model=FILE.twn --picture=FILE.png

Every query of the dashboard must return at least one number, every alert must
fire when a server is driven into the state that it speaks of, and no scrape of
a running server may fail. The configuration and the rules are those of
deploy/prometheus with only times and targets replaced: minutes become seconds.
"""

import argparse
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from tern_server import TernServer, free_folder

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
WINDOW = "10s"


class Prometheus:
    def __init__(self, targets):
        folder = free_folder()
        config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        config = replaced(r'targets: \[.*\]', f"targets: {json.dumps(targets)}", config)
        config = replaced(r"(_interval:) \w+", r"\1 1s", config)
        (folder / "prometheus.yml").write_text(config)
        rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
        rules = replaced(r"(\bfor:) \w+", r"\1 1s", rules)
        rules = replaced(r"\[5m\]", f"[{WINDOW}]", rules)
        (folder / "alerts.yml").write_text(rules)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"],
                stdout=log, stderr=log)
        self.address = wait_for("Prometheus to listen", self._listening, 60)

    def _listening(self):
        match = re.search(r'msg="Listening on" address=(\S+)', self.log.read_text())
        return match and match[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def api(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]

    def numbers(self, query):
        """Values of the series that a query returns now, NaN left out."""
        values = [float(series["value"][1]) for series in self.api("query", query=query)["result"]]
        return [value for value in values if math.isfinite(value)]

    def firing(self):
        return {alert["labels"]["alertname"] for alert in self.api("alerts")["alerts"]
                if alert["state"] == "firing"}

    def alert_names(self):
        return {rule["name"] for group in self.api("rules")["groups"] for rule in group["rules"]}


def replaced(pattern, by, text):
    text, count = re.subn(pattern, by, text)
    assert count, f"nothing matches {pattern}"
    return text


def wait_for(what, condition, seconds):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.2)


def dashboard_queries():
    """(panel's title, query) with Grafana's variables replaced."""
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"].replace("$__rate_interval", WINDOW)
                yield panel["title"], re.sub(r"\$(model|instance)", ".*", query)


def start_traffic(server, picture):
    """More callers than the queue holds, and one that sends encoded pictures."""
    bench = subprocess.Popen(
        [server.bin / "tern", "bench", f"--server={server.grpc}", "--model=busy",
         "--concurrency=16", "--duration=600s"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def classify():
        server.client("classify", str(picture), "--model=busy")
        server.client("classify", str(picture), "--model=absent")
    return bench, classify


def check(busy, leaving, prometheus, picture):
    bench, classify = start_traffic(busy, picture)
    empty = {}

    def all_queries_answer():
        assert bench.poll() is None, "tern bench ended early"
        classify()
        empty.clear()
        empty.update({(title, query): True for title, query in dashboard_queries()
                      if not prometheus.numbers(query)})
        return not empty
    count = len(list(dashboard_queries()))
    try:
        wait_for("dashboard queries", all_queries_answer, 60)
    except AssertionError:
        for title, query in empty:
            print(f"FAILED: empty panel {title!r}: {query}", file=sys.stderr)
        raise
    print(f"ok: {count} dashboard queries, each with a number")

    failed = prometheus.api("query", query='up == 0')["result"]
    assert not failed, f"failed scrapes: {failed}"
    # While it drains, a server says so; then it is gone.
    expected = prometheus.alert_names()
    fired = set()

    def note(*names):
        classify()
        fired.update(prometheus.firing())
        return fired.issuperset(names)
    leaving.terminate()
    wait_for("TernNotReady", lambda: note("TernNotReady"), 30)
    leaving.process.kill()
    wait_for("TernDown", lambda: note("TernDown"), 30)
    try:
        wait_for("all alerts", lambda: note(*expected), 60)
    except AssertionError:
        print(f"FAILED: never fired: {sorted(expected - fired)}", file=sys.stderr)
        raise
    print(f"ok: {len(expected)} alerts, each fired: {', '.join(sorted(expected))}")

    up = prometheus.numbers(f'min_over_time(up{{instance="{busy.http}"}}[10m])')
    scrapes = prometheus.numbers(f'count_over_time(up{{instance="{busy.http}"}}[10m])')
    slowest = prometheus.numbers(
        f'max_over_time(scrape_duration_seconds{{instance="{busy.http}"}}[10m])')
    assert up == [1.0], "a scrape of a running server failed"
    print(f"ok: {scrapes[0]:.0f} scrapes, 0 failed, slowest {slowest[0] * 1e3:.1f} ms")
    bench.terminate()
    bench.wait(30)


def main():
    parser = argparse.ArgumentParser()
    for name in ("bin", "model", "picture"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    if not shutil.which("prometheus"):
        print("skipped: Prometheus is not installed (deploy/packages/install long)")
        return 77

    repository = free_folder()
    for name, content in (("busy", arguments.model.read_bytes()), ("broken", b"not a model")):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.twn").write_bytes(content)
    # Few places and a long wait for company: slow answers and full queues.
    with TernServer(arguments.bin, repository, "--queue_capacity=4",
                    "--max_queue_delay_us=400000") as busy, \
         TernServer(arguments.bin, free_folder(), "--drain_delay_ms=60000") as leaving:
        prometheus = Prometheus([busy.http, leaving.http])
        try:
            check(busy, leaving, prometheus, arguments.picture)
        finally:
            prometheus.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
