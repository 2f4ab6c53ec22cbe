"""A real Chromium, driven by browser.mjs."""

import json
import subprocess

from rig import ROOT, wait_until


class Browser:
    def __init__(self):
        self.process = subprocess.Popen(["node", f"{ROOT}/tests/system/browser.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{words}: {answer['error']}"
        return answer["value"]

    def open(self, url, width=1280, height=900, scheme="light"):
        """Opens the page in a new profile; returns the status and the headers of the answer."""
        answer = self.ask("open", url, {"width": width, "height": height, "scheme": scheme})
        return answer["status"], answer["headers"]

    def eval(self, expression):
        return self.ask("evaluate", expression)

    def text(self, selector):
        """What a reader sees of the first element; "" if there is none."""
        return self.eval(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        return self.eval(f"document.querySelectorAll({json.dumps(selector)}).length")

    def wait(self, expression, timeout=20, what=None):
        """Waits until the expression is true; returns its value."""
        return wait_until(lambda: self.eval(expression), timeout, lambda: f"{what or expression}; the page shows:\n{self.text('body')}", 0.1)

    def wait_text(self, selector, *words, timeout=20):
        wait_until(lambda: all(word in self.text(selector) for word in words), timeout,
                   lambda: f"{words} in {selector}; it shows:\n{self.text(selector)}\nof\n{self.text('body')}", 0.1)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
