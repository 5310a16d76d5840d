"""Headless Chromium for tests, driven over its own debugging pipe: real clicks, real videos, real downloads."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

import pytest

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
READY = """
var ready = (video) =>
  video.readyState > 2 || video.error || new Promise((done) => video.addEventListener("canplay", done));
"""


class Browser:
    """One page in one window. A context manager; tests without Chromium skip."""

    def __init__(self, folder, width=1200, height=900):
        self.folder, self.size, self.number, self.rest = folder, (width, height), 0, b""

    def __enter__(self):
        chromium = next(
            (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
        )
        if chromium is None:
            pytest.skip("there is no Chromium on this machine")
        (hear, self.speak), (self.listen, say) = os.pipe(), os.pipe()

        def place():  # Chromium reads commands from 3 and answers on 4
            a, b = os.dup(hear), os.dup(say)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [
                chromium,
                *FLAGS,
                f"--user-data-dir={self.folder / 'profile'}",
                "--window-size={},{}".format(*self.size),
                "about:blank",
            ],
            preexec_fn=place,
            pass_fds=(3, 4, hear, say),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(hear)
        os.close(say)
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.speak)
        os.close(self.listen)

    def _attach(self):
        self.session = None
        pages = [t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")

    def send(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.speak, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self._read(deadline)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
        raise TimeoutError(method)

    def _read(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.listen], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            self.rest += os.read(self.listen, 1 << 20)
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def open(self, path):
        """Show a file, and wait until its videos can play."""
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.run("document.readyState === 'complete' || new Promise(done => addEventListener('load', done))")
        self.run("Promise.all([...document.querySelectorAll('video[src]')].map(ready))", READY)

    def run(self, expression, before=""):
        """The value of a JavaScript expression, as if a person had caused it; promises are waited for."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.send("Runtime.evaluate", expression=f"{before}; (async () => ({expression}))()", **options)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def downloads(self):
        """Let the page download, into the folder that is answered."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder.resolve()))
        return folder

    def screenshot(self, path, dark=False, full=True):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=full, **self._clip(full))
        path.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, full):
        if not full:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
