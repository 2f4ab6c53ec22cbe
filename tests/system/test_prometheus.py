"""The alert rules and the dashboard: against Prometheus' own tools, and against a Prometheus that has scraped a busy ferryd."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request

from rig import MIB, ROOT, free_port, wait_until
from stores import BUCKET

RULES = f"{ROOT}/etc/prometheus/ferryd.rules.yml"
CASES = f"{ROOT}/tests/system/prometheus/rules.test.yml"
DASHBOARD = f"{ROOT}/etc/grafana/ferryd.json"


def run_cases(directory, change=lambda text: text):
    """The exit code of promtool for the rules after a change."""
    shutil.copy(CASES, f"{directory}/rules.test.yml")
    with open(RULES) as f, open(f"{directory}/ferryd.rules.yml", "w") as copy:
        copy.write(change(f.read()))
    return subprocess.run(["promtool", "test", "rules", "rules.test.yml"], cwd=directory, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode


def queries():
    """(where, expression) of every rule and every panel."""
    with open(RULES) as f:
        text = f.read()
    found = list(zip(re.findall(r"alert: (\w+)", text), re.findall(r"expr: (.*)", text)))
    with open(DASHBOARD) as f:
        panels = json.load(f)["panels"]
    return found, [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def test_every_alert_has_a_case_and_fires_by_its_rule_alone(tmp_base):
    subprocess.run(["promtool", "check", "rules", RULES], check=True, stdout=subprocess.DEVNULL)
    alerts = [name for name, _ in queries()[0]]
    with open(CASES) as f:
        cases = f.read()
    assert run_cases(tmp_base) == 0
    for alert in alerts:
        assert cases.count(f'alertname="{alert}"') >= 3, f"{alert}: one case in which it fires, one in which it does not"
        assert run_cases(tmp_base, lambda text, alert=alert: text.replace(f"alert: {alert}\n", "alert: Another\n")) != 0, alert


def test_queries_work_on_what_a_busy_ferryd_gives(ferryd, db, cos, spool, tmp_base):
    """Each query of the dashboard has an answer, but for those that need what has not happened; each rule can be evaluated."""
    listen, port = f"127.0.0.1:{free_port()}", free_port()
    with open(f"{tmp_base}/prometheus.yml", "w") as f:
        f.write(f"global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: ferryd\n    static_configs: [{{targets: ['{listen}']}}]\n")
    cos.rate(8 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, metrics={"listen": listen})
    prometheus = subprocess.Popen(["prometheus", f"--config.file={tmp_base}/prometheus.yml", f"--storage.tsdb.path={tmp_base}/tsdb",
                                   f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(expression):
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    def has_value(expression):
        try:
            return any(sample["value"][1] != "NaN" for sample in ask(expression))
        except OSError:
            return False
    try:
        wait_until(lambda: has_value("ferry_exporter_speaks == 1"), 30, "the first scrapes")
        small = spool.put("small", 1000)
        os.kill(daemon.workers()[0], signal.SIGKILL)
        tasks = [db.put(small, f"cos://{BUCKET}/{n}") for n in range(5)]
        large = db.put(spool.put("large", 60 * MIB), f"cos://{BUCKET}/large")
        failed = db.put("spool://none", f"cos://{BUCKET}/none")
        db.done(*tasks)
        assert db.wait(failed)["state"] == "failed"
        wait_until(lambda: has_value('ferry_worker_deaths_total{cause="signal"} == 1'), 20, "the death")
        wait_until(lambda: has_value('ferry_tasks_ended_total{state="done"} >= 5'), 20, "the tasks")
        tasks = [db.put(small, f"cos://{BUCKET}/again-{n}") for n in range(5)]
        db.done(*tasks)
        wait_until(lambda: has_value("sum(rate(ferry_task_wait_seconds_count[5m])) > 0"), 20, "rates")
        rules, panels = queries()
        for where, expression in panels:
            missing = any(name in expression for name in ("ferry_store_throttled_total", "ferry_store_certificate_expiry"))
            assert missing or has_value(expression), f"{where}: {expression}"
        for where, expression in rules:
            ask(expression)
        cos.rate(0)
        db.done(large)
    finally:
        prometheus.terminate()
        prometheus.wait(20)
