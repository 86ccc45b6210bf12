#!/usr/bin/env python3
"""The Grafana files are what Grafana accepts and what compose.yaml mounts.

Grafana itself is not run here; this checks what it would trip over: ids, grid,
data sources, variables, empty targets, paths between the files.
"""

import json
import pathlib
import re
import unittest

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
PANEL_TYPES = {"heatmap", "row", "stat", "table", "timeseries"}
UNITS = {"bytes", "none", "percentunit", "reqps", "s", "short"}
# Set by Grafana itself in queries.
BUILT_IN = {"__rate_interval", "__range", "__interval"}


def load_yaml(path):
    return yaml.safe_load((DEPLOY / path).read_text())


def dashboards():
    return sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


class GrafanaTest(unittest.TestCase):
    def setUp(self):
        source = load_yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
        self.sources = {entry["uid"]: entry["type"] for entry in source}
        self.boards = [json.loads(path.read_text()) for path in dashboards()]
        self.assertTrue(self.boards)

    def panels(self):
        for board in self.boards:
            for panel in board["panels"]:
                with self.subTest(board=board["title"], panel=panel.get("title")):
                    yield board, panel

    def test_boards_have_what_grafana_needs(self):
        self.assertEqual(len({board["uid"] for board in self.boards}), len(self.boards))
        for board in self.boards:
            self.assertRegex(board["uid"], r"^[a-zA-Z0-9_-]{1,40}$")
            self.assertTrue(board["title"])
            self.assertGreaterEqual(board["schemaVersion"], 36)
            self.assertNotIn("id", board, "an id belongs to one Grafana's database")

    def test_panel_ids_are_unique(self):
        for board in self.boards:
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(set(ids)), len(ids))
            titles = [panel["title"] for panel in board["panels"]]
            self.assertEqual(len(set(titles)), len(titles))

    def test_panels_fill_the_grid_without_overlap(self):
        for board in self.boards:
            taken = {}
            for panel in board["panels"]:
                grid = panel["gridPos"]
                self.assertLessEqual(grid["x"] + grid["w"], 24, panel["title"])
                for cell in [(x, y) for x in range(grid["x"], grid["x"] + grid["w"])
                             for y in range(grid["y"], grid["y"] + grid["h"])]:
                    self.assertNotIn(cell, taken, f"{panel['title']} over {taken.get(cell)}")
                    taken[cell] = panel["title"]

    def test_every_panel_asks_a_known_source_something(self):
        for _, panel in self.panels():
            self.assertIn(panel["type"], PANEL_TYPES)
            if panel["type"] == "row":
                continue
            self.assertTrue(panel["description"])
            self.assertEqual(self.sources.get(panel["datasource"]["uid"]), panel["datasource"]["type"])
            self.assertTrue(panel["targets"])
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(set(refs)), len(refs))
            for target in panel["targets"]:
                self.assertTrue(target["expr"].strip())
                self.assertIn(target["datasource"]["uid"], self.sources)
            unit = panel["fieldConfig"]["defaults"].get("unit", "none")
            self.assertIn(unit, UNITS)

    def test_queries_use_defined_variables_and_each_is_used(self):
        for board in self.boards:
            defined = {variable["name"] for variable in board["templating"]["list"]}
            used = set()
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    used |= set(re.findall(r"\$\{?(\w+)", target["expr"]))
            self.assertEqual(used - BUILT_IN, defined)
            for variable in board["templating"]["list"]:
                self.assertIn(variable["datasource"]["uid"], self.sources)

    def test_time_series_have_legends(self):
        for _, panel in self.panels():
            if panel["type"] == "timeseries":
                for target in panel["targets"]:
                    self.assertTrue(target["legendFormat"])

    def test_compose_mounts_where_the_files_point(self):
        compose = load_yaml("compose.yaml")
        mounts = {}
        for volume in compose["services"]["grafana"]["volumes"]:
            host, inside = volume.split(":")[:2]
            mounts[inside] = host
        provider = load_yaml("grafana/provisioning/dashboards/tern.yaml")["providers"][0]
        self.assertEqual(mounts[provider["options"]["path"]], "./grafana/dashboards")
        self.assertEqual(mounts["/etc/grafana/provisioning"], "./grafana/provisioning")
        home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        folder, _, name = home.rpartition("/")
        self.assertEqual(folder, provider["options"]["path"])
        self.assertTrue((DEPLOY / "grafana" / "dashboards" / name).is_file())

    def test_sources_point_at_compose_services(self):
        services = load_yaml("compose.yaml")["services"]
        source = load_yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
        self.assertEqual(source["url"], "http://prometheus:9090")
        self.assertIn("prometheus", services)
        scrape = load_yaml("prometheus/prometheus.yml")
        target = scrape["scrape_configs"][0]["static_configs"][0]["targets"][0]
        self.assertIn(target.split(":")[0], services)
        self.assertEqual(source["jsonData"]["timeInterval"], scrape["global"]["scrape_interval"])


if __name__ == "__main__":
    unittest.main()
