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


def start_traffic(server, callers):
    return subprocess.Popen(
        [server.bin / "tern", "bench", f"--server={server.grpc}", "--model=lenet5",
         f"--concurrency={callers}", "--duration=600s"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process):
    process.terminate()
    process.wait(30)


def check_dashboard(prometheus, send):
    """Every query returns a number at one and the same time."""
    queries = list(dashboard_queries())
    empty = []

    def all_answer():
        send()
        empty[:] = [(title, query) for title, query in queries if not prometheus.numbers(query)]
        return not empty
    try:
        wait_for("dashboard queries", all_answer, 60)
    except AssertionError:
        for title, query in empty:
            print(f"FAILED: empty panel {title!r}: {query}", file=sys.stderr)
        raise
    assert queries
    print(f"ok: {len(queries)} dashboard queries, each with a number")


def check_alerts(prometheus, slow, slow_bench):
    fired = set()

    def wait_for_alerts(names):
        def all_fired():
            fired.update(prometheus.firing())
            return fired.issuperset(names)
        try:
            wait_for("alerts", all_fired, 60)
        except AssertionError:
            print(f"FAILED: never fired: {sorted(names - fired)}", file=sys.stderr)
            raise
    names = prometheus.alert_names()
    last = {"TernNotReady", "TernDown"}
    assert last < names
    wait_for_alerts(names - last)
    assert not last & fired, "an alert fired though every server runs"
    # While it drains, a server says so; then it is gone.
    stop(slow_bench)
    slow.terminate()
    wait_for_alerts({"TernNotReady"})
    slow.process.kill()
    wait_for_alerts(names)
    print(f"ok: {len(names)} alerts, each fired: {', '.join(sorted(names))}")


def check_scrapes(prometheus, server):
    def value(query):
        (number,) = prometheus.numbers(query.replace("@", f'{{instance="{server.http}"}}'))
        return number
    assert value("min_over_time(up@[10m])") == 1, "a scrape of a running server failed"
    print(f"ok: {value('count_over_time(up@[10m])'):.0f} scrapes, 0 failed, "
          f"slowest {value('max_over_time(scrape_duration_seconds@[10m])') * 1e3:.1f} ms")


def check(busy, slow, picture):
    prometheus = Prometheus([busy.http, slow.http])
    # More callers than the queue holds; and a few that wait for company.
    benches = [start_traffic(busy, 16), start_traffic(slow, 2)]

    def send():
        assert all(bench.poll() is None for bench in benches), "tern bench ended early"
        # What is decoded, and what fails.
        busy.client("classify", str(picture), "--model=lenet5")
        busy.client("classify", str(picture), "--model=absent")
    try:
        check_dashboard(prometheus, send)
        check_alerts(prometheus, slow, benches[1])
        check_scrapes(prometheus, busy)
    finally:
        for bench in benches:
            stop(bench)
        prometheus.stop()


def main():
    parser = argparse.ArgumentParser()
    for name in ("bin", "model", "picture"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    if not shutil.which("prometheus"):
        print("skipped: Prometheus is not installed (deploy/packages/install long)")
        return 77

    repository = free_folder()
    for name, content in (("lenet5", arguments.model.read_bytes()), ("broken", b"not a model")):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.twn").write_bytes(content)
    with TernServer(arguments.bin, repository, "--queue_capacity=4") as busy, \
         TernServer(arguments.bin, repository, "--max_queue_delay_us=400000",
                    "--drain_delay_ms=60000") as slow:
        check(busy, slow, arguments.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
