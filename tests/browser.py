"""A browser without a window, driven by chromedriver over plain HTTP, for tests of pages."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib import request

MISSING = [name for name in ("chromedriver", "chromium") if shutil.which(name) is None]
"""What this machine lacks of a browser; tests that need one are skipped then."""

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
)


def call(method: str, address: str, body: dict[str, Any] | None = None) -> Any:
    """Send a command to chromedriver, and return its answer."""
    data = None if body is None else json.dumps(body).encode()
    asked = request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    with request.build_opener(request.ProxyHandler({})).open(asked, timeout=120) as answer:
        return json.load(answer)["value"]


@dataclass(frozen=True)
class Browser:
    """A session of the browser."""

    address: str

    def open(self, page: Path, width: int = 1000, height: int = 900) -> None:
        """Open a file in a window of this size, after forgetting what was said before."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.chrome("Emulation.setDeviceMetricsOverride", **size)
        self.console(), self.requests()
        call("POST", f"{self.address}/url", {"url": page.absolute().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script with `arguments` in the page, and return what it returns."""
        body = {"script": script, "args": list(arguments)}
        return call("POST", f"{self.address}/execute/sync", body)

    def wait(self, script: str) -> Any:
        """Run a script that calls `done(answer)` at its end, and return the answer."""
        whole = f"const done = arguments[0];\n{script}"
        return call("POST", f"{self.address}/execute/async", {"script": whole, "args": []})

    def chrome(self, command: str, **parameters: Any) -> Any:
        """Run a command of the browser's own protocol."""
        body = {"cmd": command, "params": parameters}
        return call("POST", f"{self.address}/goog/cdp/execute", body)

    def press(self, *keys: str) -> None:
        """Press keys, one after another: characters, or those of WebDriver such as \\ue014."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        call("POST", f"{self.address}/actions", {"actions": actions})

    def _log(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = call("POST", f"{self.address}/se/log", {"type": kind})
        return found

    def console(self) -> list[str]:
        """Return the lines of the console since the last time."""
        return [line["message"] for line in self._log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last time."""
        events = [json.loads(line["message"])["message"] for line in self._log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def looks(self, scheme: str, media: str = "") -> None:
        """Make the reader one who prefers `light` or `dark`, on the screen or in `print`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.chrome("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, file: Path) -> None:
        """Write a picture of the whole page."""
        wide, high = self.run(
            "return [innerWidth, Math.ceil(document.documentElement.getBoundingClientRect().height)]"
        )
        clip = {"x": 0, "y": 0, "width": wide, "height": min(high, 16000), "scale": 1}
        made = self.chrome("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(made["data"]))

    def print(self, file: Path) -> None:
        """Print the page into a PDF file."""
        file.write_bytes(
            base64.b64decode(
                self.chrome("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]
            )
        )


@contextmanager
def browser(*more: str, preferences: dict[str, Any] | None = None) -> Iterator[Browser]:
    """Start a browser with these switches besides the usual ones, and end it afterwards."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert driver.stdout is not None
        port = next(
            found[1]
            for line in driver.stdout
            if (found := re.search(r"successfully on port (\d+)", line))
        )
        root = f"http://127.0.0.1:{port}/session"
        chrome: dict[str, Any] = {"args": [*SWITCHES, *more]}
        if preferences:
            chrome["prefs"] = preferences
        wanted = {
            "goog:chromeOptions": chrome,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        made = call("POST", root, {"capabilities": {"alwaysMatch": wanted}})
        address = f"{root}/{made['sessionId']}"
        try:
            yield Browser(address)
        finally:
            call("DELETE", address)
    finally:
        driver.terminate()
        driver.communicate()


def violations(page: Browser, axe: str, options: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what axe-core, whose source is `axe`, finds in the open page."""
    page.run(axe)
    found: dict[str, list[dict[str, Any]]] = page.wait(
        f"axe.run(document, {json.dumps(options)}).then(done, (fault) => done(String(fault)))"
    )
    return found


def told(findings: Sequence[dict[str, Any]]) -> list[str]:
    """Return findings of axe-core as lines."""
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:120]}: {(node.get('any') or node.get('all') or node.get('none') or [{}])[0].get('message', '')}"
        for each in findings
        for node in each["nodes"]
    ]
