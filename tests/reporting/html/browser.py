"""A browser without a window, driven by the W3C WebDriver protocol."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"),
)
PROGRAMS = ("chromium", "chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Right": "\ue014", "Left": "\ue012", "Space": " "}


def missing() -> str:
    """Why there is no browser here; empty where there is one."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"needs {' and '.join(absent)} (Debian: chromium, chromium-driver)" if absent else ""


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        return ask(method, f"{self._session}/{path}", content)

    def open(self, path: Path, address: str = "") -> None:
        self._ask("POST", "url", {"url": path.as_uri() + address})

    def leave(self) -> None:
        """Go to an empty page, and forget what was asked for and complained of until then."""
        self._ask("POST", "url", {"url": "about:blank"})
        self.requests()
        self.console()

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        found = self._ask("POST", "element", {"using": "css selector", "value": selector})
        self._ask("POST", f"element/{found[ELEMENT]}/click", {})

    def press(self, *keys: str) -> None:
        strokes = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        action = {"type": "key", "id": "keyboard", "actions": strokes}
        self._ask("POST", "actions", {"actions": [action]})

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def command(self, name: str, **parameters: Any) -> Any:
        """One of Chromium's own."""
        return self._ask("POST", "goog/cdp/execute", {"cmd": name, "params": parameters})

    def console(self) -> list[str]:
        """What the page complained of since the last time."""
        return [each["message"] for each in self._ask("POST", "se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last time."""
        entries = self._ask("POST", "se/log", {"type": "performance"})
        events = [json.loads(each["message"])["message"] for each in entries]
        asked = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in asked]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "screenshot")))

    def settle(self) -> None:
        """Wait until the page was drawn."""
        twice = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))"
        self.run(f"return new Promise((done) => {twice})")

    def until(self, script: str, seconds: float = 20.0) -> Any:
        """Wait until a script returns something true."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)) and time.monotonic() < end:
            time.sleep(0.02)
        assert found, script
        return found


def ask(method: str, url: str, content: Any = None) -> Any:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


@contextmanager
def browser(folder: Path):
    """A new browser with nothing of earlier ones; `folder` is for its own files."""
    with (folder / "driver.log").open("w", encoding="utf-8") as log:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=log, stderr=log)
    try:
        host = f"http://127.0.0.1:{_port(folder / 'driver.log')}"
        options = {"args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        made = ask("POST", f"{host}/session", {"capabilities": {"alwaysMatch": wanted}})
        session = f"{host}/session/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            ask("DELETE", session)
    finally:
        driver.terminate()
        driver.wait(10)


def _port(log: Path, seconds: float = 20.0) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = log.read_text(encoding="utf-8")
        if "started successfully on port " in text:
            return text.split("started successfully on port ")[1].split(".")[0].strip()
        time.sleep(0.05)
    raise AssertionError(f"chromedriver did not start: {log.read_text(encoding='utf-8')}")
