"""The status page in a real Chromium: what it shows of a busy ferryd, and what hostile names, strangers and absences do to it."""

import json
import os
import re
import signal
import time

import pytest

from browser import Browser
from exporter import Exporter, get
from hogging import Hog
from rig import MIB, free_port, holds, patience, wait_until
from stores import BUCKET

PATHS = ("/page/node", "/page/fleet", "/page/tasks", "/page/task?id=1")


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium, ferryd):
    """At the end, no script has failed, none was refused, and nothing was asked of others."""
    yield chromium
    problems = chromium.ask("problems")
    chromium.ask("leave")
    assert not problems, problems


@pytest.fixture
def start(ferryd, cos, spool):
    """Makes a ferryd whose exporter listens."""
    def make(**options):
        metrics = {"listen": f"127.0.0.1:{free_port()}", **options.pop("metrics", {})}
        daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, metrics=metrics, **options)
        exporter = Exporter(daemon)
        wait_until(lambda: exporter.status("/healthz")[0] == 200, 15, lambda: f"the exporter; log:\n{daemon.log_text()}")
        return exporter
    return make


def opened(browser, exporter, **options):
    """The page, once it shows the fleet."""
    answer = browser.open(f"http://{exporter.address}/", **options)
    browser.wait("document.querySelectorAll('#queue-rows tr').length > 0 && /tasks?/.test(document.getElementById('count').textContent)", what="the first answers")
    return answer


def document(exporter, path):
    status, text, kind = get(exporter.address, path)
    assert status == 200 and kind == "application/json", (status, text)
    return json.loads(text)


def page_tasks(exporter, since=0):
    """The list of tasks, once the database has given one."""
    return wait_until(lambda: (found := document(exporter, f"/page/tasks?since={since}"))["at"] and found, 20, "the list of tasks")


def test_every_section_is_there_and_lives(browser, start, db, cos, spool):
    """A transfer goes on under the reader's eyes, ends, and leaves its story; one fails and is grouped with its like."""
    cos.rate(4 * MIB)
    exporter = start(queues=["default", "slow"])
    task = db.put(spool.put("object", 60 * MIB), f"cos://{BUCKET}/object")
    lost = [db.put(f"spool://lost-{n}", f"cos://{BUCKET}/lost-{n}") for n in range(2)]
    db.sql("INSERT INTO ferry.queue (name, enabled, max_transfers, weight) VALUES ('slow', false, 3, 7)")
    waits = db.put("spool://object", f"cos://{BUCKET}/waits", queue="slow")
    opened(browser, exporter)
    browser.wait_text("#words", "1 node, 2 workers, 1 busy, all stores up", "Queue slow is paused: 1 task waits")
    browser.wait_text(f".card[data-task='{task}']", "busy", f"task {task}", "spool://object", "of 60.0 MiB", "parts of 12", "MiB/s", "left", "cap 64.0 MiB")
    percent = r"/(\d+) %/.exec(document.querySelector('.card .done').textContent)"
    browser.wait(f"{percent} && Number({percent}[1]) >= 10", what="a tenth")
    browser.wait(f"Number({percent}[1]) >= 40", what="more of it without a reload")
    browser.wait_text("#bytes-legend", "spool → cos", "MiB/s now")
    browser.wait_text("#queue-rows tr[data-key='slow']", "1", "3", "7", "the queue is paused")
    browser.wait_text("#store-rows tr[data-key='cos']", "✓ up")
    for one in lost:
        assert db.wait(one)["state"] == "failed"
    browser.wait_text("#failed-legend", "permanent: 2")
    browser.wait_text(".failure", "2", "permanent", "2 tasks failed", f"task {lost[0]}", f"task {lost[1]}")
    assert browser.count(".failure") == 1, browser.text("#failure-rows")
    browser.wait_text(f"#task-{waits}", "waits", "slow")
    cos.rate(0)
    db.done(task)
    browser.wait_text(f"#task-{task}", "✓ done", "60.0 MiB")
    browser.wait("Number(document.getElementById('done').textContent) >= 1", what="a task that is done")
    browser.eval(f"document.getElementById('task-{task}').click()")
    browser.wait_text("#story", f"Task {task}", "It was made", "It was first claimed", "It ended as done", "verified by", "CRC-64")
    browser.ask("press", "Escape")
    browser.wait("!document.getElementById('story').open")
    browser.eval(f"document.querySelector('.failure .link').click()")
    browser.wait_text("#story", "The last failure (permanent)", "It ended as failed")
    browser.ask("press", "Escape")


def test_parts_of_a_transfer_are_seen_and_resumed(browser, start, db, cos, spool):
    """The map and the story know the finished parts; the death of the worker is told with them."""
    cos.rate(4 * MIB)
    exporter = start(workers=1, worker={"streams": 1})
    task = db.put(spool.put("object", 60 * MIB), f"cos://{BUCKET}/object")
    wait_until(lambda: db.parts(task) >= 3, 30, "three parts")
    opened(browser, exporter)
    parts = wait_until(lambda: next((w["parts"] for w in document(exporter, "/page/fleet")["workers"]["rows"] or [] if w["parts"]), None), 20, "the parts")
    assert parts[0][0] == 1 and parts[0][1] >= 3, parts
    strip = ("(() => { const c = document.querySelector('.card .map'); const d = c.getContext('2d').getImageData(0, c.height >> 1, c.width, 1).data;"
             "return [...Array(c.width).keys()].map((i) => d[4 * i]); })()")
    browser.wait(f"new Set({strip}).size >= 3", what="parts that are done, in flight and to do in three colours")
    row = browser.eval(strip)
    assert row[0] != row[-1], "the first part is done and the last one is not"
    os.kill(exporter.daemon.worker_of(task), signal.SIGKILL)
    browser.wait_text("#words", "1 time in 15 minutes workers of this node were killed by a signal: task", str(task))
    browser.wait_text(".card .deaths", "1 other death")
    browser.eval(f"document.querySelector('#task-{task}').click()")
    browser.wait_text("#story", "worker 1 of this node was killed by a signal", "An upload (open)", "finished")
    browser.ask("press", "Escape")
    cos.rate(0)
    db.done(task)


def teeth(exporter, number, low, high):
    """How often the memory of a worker rose from below low to above high."""
    count, below = 0, False
    for _, memory, _, _ in document(exporter, "/page/node?since=0")["ticks"]:
        value = dict(memory).get(number - 1, 0)
        below = below or value < low
        if below and value > high:
            count, below = count + 1, False
    return count


def test_an_out_of_memory_loop_is_seen_as_a_saw(browser, ferryd, db, cos, spool, tmp_base):
    hog = Hog(tmp_base, 1 << 40, marks=("/hog", "/crash"), leak_ms=80)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=hog.program, max_ooms=4,
                    metrics={"listen": f"127.0.0.1:{free_port()}"})
    exporter = Exporter(daemon)
    wait_until(lambda: exporter.status("/healthz")[0] == 200, 15, "the exporter")
    opened(browser, exporter)
    task = db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/hog")
    browser.wait_text(".card .deaths", "✕ 2 times out of memory", timeout=60)
    browser.wait_text("#words", "2 times in 15 minutes workers of this node ran out of memory: task", str(task), timeout=60)
    assert db.wait(task)["error_class"] == "out_of_memory"
    wait_until(lambda: teeth(exporter, 1, 40 * MIB, 60 * MIB) >= 4, 20, "a tooth for each death")
    red = ("(() => { const c = document.querySelector('.card .memory'); const h = c.height - 16; const d = c.getContext('2d').getImageData(0, h - 5, c.width, 10).data;"
           "let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 128 && d[i] > 140 && d[i + 1] < 90 && d[i + 2] < 90; return n; })()")
    browser.wait(f"{red} > 20", what="red marks on the axis of time")

    def deaths():
        return [(e["cause"], e["task"], e["cap"]) for e in document(exporter, "/page/node?since=0")["deaths"]]
    wait_until(lambda: deaths() == [("out_of_memory", str(task), 64 * MIB)] * 4, 20, lambda: f"four deaths: {deaths()}")
    browser.wait_text(".failure", "out_of_memory")


HOSTILE = ["<img src=x onerror=document.title='hit'>", "</script><script>document.title='hit'</script>", "{{7*7}}${document.title='hit'}",
           "\"'&lt;b&gt;", "gpj.\u202ecod", "\u0007bell\nline"]


def test_hostile_names_are_text(browser, start, db):
    exporter = start(queues=["none"])
    tasks = [db.put(f"spool://{name}", f"cos://{BUCKET}/{name}", queue=name[:63]) for name in HOSTILE]
    db.sql("UPDATE ferry.task SET state = 'failed', finished_at = now(), started_at = now(), error = source || %s, error_class = 'permanent' WHERE id = %s", (HOSTILE[0], tasks[0]))
    opened(browser, exporter)
    browser.wait(f"document.querySelectorAll('.row').length === {len(HOSTILE)}")
    browser.wait("document.querySelectorAll('.failure').length === 1")
    assert browser.count("main img, #list script, #failures script, main b") == 0
    assert HOSTILE[0] in browser.eval(f"document.querySelector('#task-{tasks[0]} .source').title")
    assert HOSTILE[1] in browser.eval(f"document.querySelector('#task-{tasks[1]} .source').title")
    assert "gpj.\\u202ecod" in browser.text(f"#task-{tasks[4]}") and "\\u0007bell\\u000aline" in browser.text(f"#task-{tasks[5]}")
    assert HOSTILE[2] in browser.text("#queue-rows") and HOSTILE[0] in browser.text(".failure") + browser.eval("document.querySelector('.failure').textContent")
    assert HOSTILE[1] in browser.eval("[...document.getElementById('filter-queue').options].map((o) => o.textContent).join()")
    browser.eval(f"document.getElementById('task-{tasks[0]}').click()")
    browser.wait_text("#story", "It ended as failed", HOSTILE[0])
    assert browser.count("#story img") == 0 and "hit" not in browser.eval("document.title")


def test_secrets_of_urls_are_not_shown(start, db):
    exporter = start()
    task = db.put("https://user:geheim@elsewhere.example/object?X-Amz-Signature=geheim", f"cos://{BUCKET}/object", run_at="2100-01-01")
    assert "elsewhere.example/object" in str(page_tasks(exporter)["rows"])
    story = wait_until(lambda: (found := document(exporter, f"/page/task?id={task}"))["task"]["at"] and found, 20, "the story")
    assert story["task"]["rows"]["id"] == str(task)
    assert "geheim" not in str(story) + str(page_tasks(exporter)) + str(document(exporter, "/page/fleet"))


def test_the_policy_lets_only_the_page_s_own_script_run(browser, start):
    exporter = start()
    status, headers = opened(browser, exporter)
    policy = headers["content-security-policy"]
    assert status == 200 and headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    for part in ("default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
        assert part in policy.split("; "), policy
    nonce = re.search(r"script-src 'nonce-([0-9a-f]{32})'(?:;|$)", policy)[1]
    assert nonce not in browser.open(f"http://{exporter.address}/")[1]["content-security-policy"]
    text = get(exporter.address, "/")[1]
    assert "@NONCE@" not in text and "@SCRIPT@" not in text and not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:,)\w""", text)
    browser.eval("(() => { const s = document.createElement('script'); try { s.textContent = 'document.title = \"hit\"'; } catch {} document.body.append(s); })()")
    refused = browser.eval("(() => { try { document.body.innerHTML += '<b></b>'; return 'taken'; } catch (error) { return error.name; } })()")
    assert refused == "TypeError" and browser.eval("document.title") != "hit"
    browser.ask("problems")  # Chromium has told of the refusals


def test_token_is_asked_for_and_kept_out_of_the_url(browser, start, tmp_base):
    path = f"{tmp_base}/metrics.token"
    with open(path, "w") as f:
        f.write("much-secret\n")
    os.chmod(path, 0o640)
    exporter = start(metrics={"token_file": path})
    for one in PATHS:
        assert get(exporter.address, one)[0] == 401, one
        assert get(exporter.address, one, Authorization="Bearer wrong")[0] == 401, one
        assert get(exporter.address, one, Authorization="Bearer much-secret", Host="by.a.name")[0] == 200, one
    assert "much-secret" not in get(exporter.address, "/")[1]
    browser.open(f"http://{exporter.address}/")
    browser.wait("!document.getElementById('token').hidden")
    assert browser.eval("document.querySelector('main').hidden")
    for word in ("wrong", "much-secret"):
        browser.wait("!document.getElementById('token').hidden")
        browser.eval("document.getElementById('token-text').focus()")
        browser.ask("type", word)
        browser.ask("press", "Enter")
    browser.wait("document.getElementById('token').hidden && !document.querySelector('main').hidden && document.querySelectorAll('#queue-rows tr').length > 0")
    assert "much-secret" not in browser.eval("location.href + document.documentElement.outerHTML")
    assert all("401" in problem for problem in browser.ask("problems"))


def test_without_a_token_a_strangers_name_reads_nothing(start):
    """A page of a stranger can make its own name lead to the exporter; an address cannot be such a name."""
    exporter = start()
    port = exporter.address.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "[evil]", "[::1].evil", "[::1", "127.0.0.1:80.evil"):
        for one in PATHS:
            assert get(exporter.address, one, Host=host)[0] == 403, (host, one)
    for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1", f"10.0.0.7:{port}", "[::1]", f"[fd00::7]:{port}"):
        assert get(exporter.address, "/page/node", Host=host)[0] == 200, host
    assert get(exporter.address, "/metrics", Host="node.internal")[0] == 200
    assert get(exporter.address, "/page/other")[0] == 404 and get(exporter.address, "/page/")[0] == 404


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_light_and_dark_are_readable_and_can_be_chosen(browser, start):
    exporter = start()
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--{}').trim()"
    grounds = {}
    for scheme in ("light", "dark"):
        opened(browser, exporter, scheme=scheme)
        grounds[scheme] = browser.eval("getComputedStyle(document.body).backgroundColor")
        for ground in ("ground", "card", "faint"):
            for name in ("text", "quiet", "accent", "good", "run", "warn", "bad"):
                pair = [browser.eval(colour.format(one)) for one in (name, ground)]
                assert contrast(*pair) >= 4.5, (scheme, name, ground, pair)
    assert grounds["light"] != grounds["dark"]
    browser.ask("click", "#theme")  # from the system's to light
    browser.wait(f"getComputedStyle(document.body).backgroundColor === '{grounds['light']}'")
    browser.ask("click", "#theme")
    browser.wait(f"getComputedStyle(document.body).backgroundColor === '{grounds['dark']}'")


@pytest.mark.parametrize("width", [360, 390, 760, 1100, 2560])
def test_no_width_scrolls_sideways(browser, start, db, cos, spool, width):
    """Long names without a blank, a busy worker, a failure, and every queue's words."""
    cos.rate(4 * MIB)
    exporter = start()
    key = "a-long-name-without-any-blank/" * 12
    spool.put("object", 40 * MIB)
    task = db.put("spool://object", f"cos://{BUCKET}/{key}")
    db.put("spool://" + "absent" * 40, f"cos://{BUCKET}/absent")
    db.put("spool://object", f"cos://{BUCKET}/{key}w", queue="q" * 63)
    opened(browser, exporter, width=width, height=844)
    browser.wait_text(f".card[data-task='{task}']", "busy")
    browser.wait("document.querySelectorAll('.failure').length === 1 && document.querySelectorAll('.row').length === 3")
    assert browser.eval("document.documentElement.scrollWidth") <= width
    for name in ("state", "progress", "source", "destination"):
        assert browser.eval(f"(() => {{ const r = document.querySelector('#task-{task} .{name}').getBoundingClientRect(); return r.width > 30 && r.height > 10; }})()"), name
    wide = browser.eval("[...document.querySelectorAll('main *, header *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.row, .uri')).map((e) => e.className || e.tagName)")
    assert wide == [], wide
    browser.eval(f"document.getElementById('task-{task}').click()")
    browser.wait_text("#story", "It was made")
    assert browser.eval("(() => { const s = document.getElementById('story'); return s.scrollWidth - s.clientWidth; })()") <= 1
    assert browser.eval("document.getElementById('story').getBoundingClientRect().right") <= width
    browser.ask("press", "Escape")
    cos.rate(0)
    db.done(task)


def test_ten_thousand_tasks_stay_fluid(browser, start, db):
    """Few rows are in the document, filters answer at once, and what does not change is not sent again."""
    exporter = start(queues=["none"])
    db.sql("INSERT INTO ferry.task (source, destination, queue) SELECT 'spool://video/' || n, 'cos://archive/' || n, 'q' || n % 7 FROM generate_series(1, 10000) n")
    opened(browser, exporter)
    browser.wait("document.getElementById('count').textContent.startsWith('10,000 of 10,000 tasks')", timeout=40)
    assert browser.count(".row") < 60
    last = db.one("SELECT max(id) FROM ferry.task")
    took = browser.eval("""(async () => {
        const list = document.getElementById('list');
        const frame = () => new Promise(requestAnimationFrame);
        let worst = 0;
        for (let i = 0; i < 50; i++) {
            list.scrollTop = list.scrollHeight * i / 49;
            list.dispatchEvent(new Event('scroll'));
            const before = performance.now();
            await frame();
            await frame();
            worst = Math.max(worst, performance.now() - before);
        }
        return worst;
    })()""")
    assert took < 1000 * patience(), f"a frame took {took} ms"
    browser.wait(f"document.getElementById('task-{last}') !== null", what="the last row at the end of the list")
    assert browser.count(".row") < 60
    took = browser.eval("""(() => {
        const filter = document.getElementById('filter');
        const before = performance.now();
        filter.value = 'video/77';
        filter.dispatchEvent(new Event('input'));
        return performance.now() - before;
    })()""")
    assert took < 1000 * patience(), f"the filter took {took} ms"
    assert browser.text("#count").startswith("111 of 10,000 tasks")
    version = page_tasks(exporter)["version"]
    changed = db.one("UPDATE ferry.task SET priority = 5 WHERE id = (SELECT max(id) - 1 FROM ferry.task) RETURNING id")
    gone = [row["id"] for row in db.sql("DELETE FROM ferry.task WHERE id IN (SELECT min(id) FROM ferry.task UNION SELECT max(id) FROM ferry.task) RETURNING id")]
    news = wait_until(lambda: (found := page_tasks(exporter, version))["gone"] and found, 20, "the news")
    assert not news["whole"] and sorted(map(int, news["gone"])) == sorted(gone) and [row[0] for row in news["rows"]] == [str(changed)]
    assert page_tasks(exporter, news["version"])["rows"] == []
    assert page_tasks(exporter, 1)["whole"] and page_tasks(exporter, 1 << 62)["whole"]
    browser.wait("document.getElementById('count').textContent.startsWith('111 of 9,998 tasks')")


def test_keys(browser, start, db):
    exporter = start(queues=["none"])
    tasks = [db.put(f"spool://film-{n}", f"cos://{BUCKET}/{n}") for n in range(30)]
    opened(browser, exporter)
    browser.wait("document.getElementById('count').textContent.startsWith('30 of 30')")
    browser.ask("press", "/")
    browser.ask("type", "film-1")
    assert browser.text("#count").startswith("11 of 30")
    browser.ask("press", "ArrowDown")
    browser.ask("press", "ArrowDown")
    assert browser.eval("document.querySelector('[aria-selected=true]').dataset.id") == str(tasks[10])
    browser.ask("press", "Enter")
    browser.wait_text("#story", f"Task {tasks[10]}", "It was never claimed.", "It waits for")
    browser.ask("press", "Escape")
    browser.wait("!document.getElementById('story').open")
    browser.ask("press", "/")
    browser.ask("press", "Escape")
    assert browser.text("#count").startswith("30 of 30")
    browser.ask("press", "/")
    browser.ask("type", "4711")
    browser.ask("press", "Enter")
    browser.wait_text("#story", "There is no task 4711")
    browser.ask("press", "Escape")


def test_a_hidden_tab_stops_asking(browser, start):
    exporter = start()
    opened(browser, exporter)
    requests = "performance.getEntriesByType('resource').length"
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s }); document.dispatchEvent(new Event('visibilitychange'))"
    browser.eval(hide % "true")

    def rests():
        before = browser.eval(requests)
        time.sleep(3)
        return browser.eval(requests) == before
    wait_until(rests, 30, "what was under way to end")
    before = browser.eval(requests)
    holds(lambda: browser.eval(requests) == before, 5, "a hidden tab asks nothing")
    browser.eval(hide % "false")
    browser.wait(f"{requests} > {before + 3}")


def test_what_is_away_is_said_and_recovers(browser, start, db, spool, pg):
    """The database, ferryd, its exporter: each is named, what is old is greyed, and the page goes on by itself."""
    exporter = start()
    opened(browser, exporter)
    assert browser.text("#notice") == ""
    pg.stop("immediate")
    try:
        browser.wait_text("#notice", "The database is away", timeout=30)
        browser.wait("document.getElementById('tasks').classList.contains('old') && !document.getElementById('workers').classList.contains('old')")
    finally:
        pg.start()
    browser.wait("document.getElementById('notice').hidden && !document.getElementById('tasks').classList.contains('old')", timeout=40)
    exporter.daemon.send(signal.SIGSTOP)
    try:
        browser.wait_text("#notice", "ferryd on this node has not been heard since", timeout=30)
        browser.wait("document.getElementById('workers').classList.contains('old')")
    finally:
        exporter.daemon.send(signal.SIGCONT)
    browser.wait("document.getElementById('notice').hidden", timeout=40)
    pid = exporter.pid()
    exporter.daemon.send(signal.SIGSTOP)  # so that no other one is started
    try:
        os.kill(pid, signal.SIGKILL)
        browser.wait_text("#notice", "ferry-exporter has not answered since", timeout=30)
        browser.wait("[...document.querySelectorAll('main > section')].every((s) => s.classList.contains('old'))")
    finally:
        exporter.daemon.send(signal.SIGCONT)
    exporter.daemon.wait_log("it was killed by signal 9")
    browser.wait("document.getElementById('notice').hidden", timeout=40)
    wait_until(lambda: document(exporter, "/page/node")["serial"] >= 2, 20, "figures of the new one")
    spool.put("object", 1000)
    task = db.put("spool://absent", f"cos://{BUCKET}/absent")
    browser.wait_text("#failed-legend", "permanent: 1", timeout=40)
    assert db.wait(task)["state"] == "failed"
    browser.ask("problems")  # requests that found nobody
