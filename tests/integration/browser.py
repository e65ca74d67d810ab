"""A headless Chromium that looks at the page of a result as a reader does, and keeps account of what it
asked for and what it complained about."""

import json
import os
import shutil

import pytest

PANELS = """
redraw(true);
return [...panels].map(([id, panel]) => [id, panel.root.hidden ? null : {
    x: panel.chart.x,
    lines: panel.chart.lines.map((line, i) =>
        [line.label, panel.chart.x.map((_, row) => panel.chart.graph.getValue(row, i + 1))]),
    colours: panel.chart.lines.map((line) => line.colour),
}]);"""
PAINT = """
redraw(true);
return [...panels].filter(([, panel]) => !panel.root.hidden).map(([id, panel]) => {
    const [drawn] = panel.chart.canvas.querySelectorAll("canvas");
    const copy = document.createElement("canvas");
    Object.assign(copy, { width: drawn.width, height: drawn.height });
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(drawn, 0, 0);
    return [id, context.getImageData(0, 0, copy.width, copy.height).data.filter((v, i) => i % 4 === 3 && v).length];
});"""


class Browser:
    def __init__(self, driver):
        self.driver = driver
        self.run = driver.execute_script
        driver.execute_cdp_cmd("Network.enable", {})

    def open(self, url):
        self.media()
        self.size(1280, 900)
        self.driver.get(f"file://{url}" if str(url).startswith("/") else url)

    def media(self, scheme="light"):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def panels(self):
        """By name: None if it is not shown, else x and the values of each line, as they are drawn."""
        return {name: panel and {**panel, "lines": dict(panel["lines"])} for name, panel in self.run(PANELS)}

    def paint(self):
        """How many pixels of each panel have something on them."""
        return dict(self.run(PAINT))

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector) \
            .replace("\u202f", " ").replace("\u00a0", " ")

    def cells(self, section="#contestants"):
        """The rows of the section's table."""
        rows = self.run("""return [...document.querySelectorAll(arguments[0] + " tbody tr")]
            .map((row) => [...row.children].map((cell) => cell.innerText))""", section)
        return [[cell.replace("\u202f", " ") for cell in row] for row in rows]

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)

    def complaints(self):
        """What the console says since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """What was asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]


def start():
    webdriver = pytest.importorskip("selenium.webdriver", reason="apt-get install python3-selenium")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("Chromium is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = __import__("selenium.webdriver.chrome.service", fromlist=["Service"]).Service(chromedriver)
    return webdriver.Chrome(service=service, options=options)
