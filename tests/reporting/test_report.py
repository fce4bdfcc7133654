"""The report in a browser: every item opens, tables can be used, nothing asks a network."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from support.pages import shown
from support.smoke import snakemake
from support.synthetic import synthetic_metadata, synthetic_results

from remibench.analysis.audit import SHOWN as AUDITED
from remibench.components.products import products
from remibench.reporting.beyond import table_gaps
from remibench.reporting.beyond.table_gaps import SHOWN
from remibench.reporting.html_page import page
from remibench.reporting.render import write_page
from remibench.reporting.run import overview

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs Chromium and its driver: apt-get install chromium chromium-driver",
)
TOLERATED = (  # what Snakemake's own scripts say at their start; none of its options prevents it
    "cdn.tailwindcss.com should not be used in production",  # it is embedded, and asks for nothing
    "The input spec uses Vega-Lite v3, but the current version of Vega-Lite is v5",  # Statistics
)
CATEGORIES = [
    *("Attacks", "Datasets", "Figures", "Models", "Run", "Scorecard", "Tables", "Unlearning")
]
MADE = [  # of the smoke grid
    each for each in products([0.1, 0.25]).values() if "across_seeds" not in each.inputs
]
FIGURES = sum(each.kind == "figure" for each in MADE) + 2  # training curves, heat map


class Browser(Chrome):
    """Headless Chromium that can reach no host."""

    def __init__(self, profile, downloads):
        options = ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            *("headless", "disable-gpu", "no-first-run", "window-size=1600,1000"),
            *("disable-background-networking", "disable-component-update", "disable-sync"),
            f"user-data-dir={profile}",
            "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
            *(["no-sandbox"] if os.geteuid() == 0 else []),
        ):
            options.add_argument(f"--{argument}")
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        super().__init__(options=options, service=Service(DRIVER))

    def open(self, path):
        """Open a file, and forget what was logged before."""
        self.get("about:blank")
        self.get_log("browser"), self.get_log("performance")
        self.get(path.as_uri())

    def all(self, selector):
        return self.find_elements(By.CSS_SELECTOR, selector)

    def until(self, condition):
        """Wait for a value that is not empty."""
        return WebDriverWait(self, 30, 0.05).until(lambda _: condition())

    def press(self, element):
        """Click where the menu's animation may still move or cover the element."""
        self.execute_script("arguments[0].click()", element)

    def complaints(self):
        """Messages of the console, but for those that are tolerated."""
        messages = [entry["message"] for entry in self.get_log("browser")]
        return [m for m in messages if not any(text in m for text in TOLERATED)]

    def requests(self):
        """Addresses that were asked for, but for those of files and of data in the page."""
        events = [json.loads(entry["message"])["message"] for entry in self.get_log("performance")]
        asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        # What the browser's own start page (chrome:) loads is no part of a report.
        urls = [a["request"]["url"] for a in asked if not a["documentURL"].startswith("chrome")]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    # A page of a table

    def rows(self):
        """The rows in sight, as text, once the table is drawn."""
        self.until(lambda: self.all("#table tbody tr"))
        cells = "[...document.querySelectorAll('#table tbody tr')].map"
        return self.execute_script(f"return {cells}(r => [...r.children].map(c => c.innerText))")

    def total(self):
        """The number of rows by the table's own count."""
        text = self.until(lambda: [e.text for e in self.all("div.dt-info") if e.text])[0]
        return int(text.split(" of ")[1].split()[0].replace(",", ""))

    def head(self, label):
        ready = "#table thead th:has(.dt-column-title)"  # not before the script has made them
        titles = self.until(lambda: self.all(ready))
        found = [t for t in titles if t.text.strip() == label]
        assert found, f"no column {label!r} in {[t.text for t in titles]}"
        return found[0]

    def column(self, label):
        place = [t.text.strip() for t in self.all("#table thead th")].index(label)
        return [row[place] for row in self.rows()]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    browser = Browser(folder / "profile", folder)
    browser.folder = folder
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def report(finished):
    """The report of the smoke grid; and what every table in it must hold, by its files."""
    snakemake(finished, "--report", "report.html")
    tree = finished / "results-smoke"
    return finished / "report.html", expected_rows(tree)


def expected_rows(tree):
    """Rows of every page, counted in the CSV files: path below the results → rows."""
    read = {
        name: pd.read_csv(tree / f"{name}.csv")
        for name in ("evaluation", "attacks", "training", "hyperparameters", "datasets")
    }
    cells = {axis: read["evaluation"][axis].nunique() for axis in ("dataset", "forget_ratio")}
    cells = cells["dataset"] * read["evaluation"]["architecture"].nunique() * cells["forget_ratio"]
    runs = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    metrics = [*runs[:2], *runs[3:], "subset", "metric"]
    parameters = read["hyperparameters"].groupby("method")["parameter"].nunique().sum()
    scorecard = pd.read_csv(tree / "scorecard/scorecard.csv")
    gaps = pd.read_csv(tree / "tables/table_gaps.csv", keep_default_na=False)
    gaps = set(gaps[["metric", "subset"]].itertuples(index=False, name=None))
    audited = pd.read_csv(tree / "tables/table_audit.csv", keep_default_na=False)
    audited = set(audited[["metric", "subset"]].itertuples(index=False, name=None))
    return {
        "tables/table1_dataset_statistics.html": len(read["datasets"]),
        "tables/table2_hyperparameters.html": parameters,
        "tables/table3_classification_accuracy.html": cells * 3,  # subsets
        "tables/table4_whitebox_mia.html": cells * 4,  # D_f also by the calibrated attacker
        "tables/table5_latency.html": cells + 1,  # all cells
        "tables/table6_cross_method.html": cells * 2,  # directions
        "tables/table_gaps.html": cells * sum((q.metric, q.subset) in gaps for q in SHOWN),
        "tables/table_audit.html": cells * sum((q.metric, q.subset) in audited for q in AUDITED),
        "tables/table_verdicts.html": cells * (read["evaluation"]["method"].nunique() - 1),
        "scorecard/scorecard.html": len(scorecard),
        "scorecard/counts.html": scorecard["table"].nunique() + 1,  # their sum
        "statistics/comparisons.html": len(pd.read_csv(tree / "statistics/comparisons.csv")),
        "overview/datasets.html": 15,  # properties
        "overview/files.html": 3,  # images, labels, and the resized images
        "overview/trainings.html": len(read["training"]),
        "overview/attacks.html": len(read["attacks"]),
        "overview/runs.html": len(read["evaluation"][runs].drop_duplicates()),
        "overview/evaluation.html": len(read["evaluation"][metrics].drop_duplicates()),
        "overview/configuration.html": settings(tree / "config.yaml"),
        "overview/provenance.html": settings(tree / "provenance.json"),
        "overview/hyperparameters.html": len(read["hyperparameters"]),
    }


def settings(path):
    """Values in a nested file, lists and empty mappings counted once."""
    import yaml

    def count(value):
        return sum(map(count, value.values())) if isinstance(value, dict) and value else 1

    return count(yaml.safe_load(path.read_text()))


def content(browser):
    """What the report shows beside its menu: its tag and its address, which begins with a name."""
    element = "document.querySelector('iframe, div.p-3 > img')"
    return browser.execute_script(
        f"const e = {element}; return e && [e.tagName, e.src.slice(0, 99)]"
    )


def walk(browser, path):
    """Open every item of every category and its caption; yields the tag that shows the item."""
    browser.open(path)
    browser.until(lambda: browser.all("nav li a"))
    links = [link.text for link in browser.all("nav li a")]
    assert links[links.index("About") + 1 :] == CATEGORIES
    for category in CATEGORIES:
        browser.press(browser.find_element(By.LINK_TEXT, category))
        items = len(browser.until(lambda: browser.all("nav tbody tr")))
        for item in range(items):
            before = content(browser)
            buttons = browser.all("nav tbody tr")[item].find_elements(By.TAG_NAME, "a")
            browser.press(buttons[0])
            browser.until(lambda before=before: content(browser) not in (None, before))
            yield content(browser)[0]
            buttons = browser.all("nav tbody tr")[item].find_elements(By.TAG_NAME, "a")
            browser.press(buttons[1])
            caption = browser.until(lambda: browser.all("nav li p"))
            assert sum(len(text.text) for text in caption) > 100, "no caption"
            browser.press(browser.find_element(By.LINK_TEXT, category))
            browser.until(lambda: not browser.all("nav li p"))
        browser.press(browser.find_element(By.LINK_TEXT, "Results"))
        browser.until(lambda: browser.find_elements(By.LINK_TEXT, "About"))


def test_every_item_of_the_report_opens(browser, report):
    path, expected = report
    browser.open(path)
    results = browser.execute_script("return Object.keys(results)")
    paths = {name.partition("/")[2] for name in results}
    assert {name for name in paths if name.endswith(".html")} == set(expected)
    assert sum(name.endswith(".svg") for name in paths) == FIGURES
    seen, pictures = {}, 0
    for tag in walk(browser, path):
        if tag == "IMG":
            image = browser.all("div.p-3 > img")[0]
            browser.until(lambda image=image: image.get_property("complete"))
            assert image.get_property("naturalWidth") > 200
            assert image.get_property("naturalHeight") > 100
            pictures += 1
        else:
            browser.switch_to.frame(browser.all("iframe")[0])
            heading = browser.until(lambda: browser.all("h1"))[0].text
            assert heading not in seen, "the same page twice"
            seen[heading] = browser.total()
            assert browser.rows()
            browser.switch_to.default_content()
    assert pictures == FIGURES
    assert sorted(seen.values()) == sorted(expected.values())
    assert seen["Every model"] == expected["overview/runs.html"]
    assert seen["Trainings from scratch"] == expected["overview/trainings.html"]
    assert browser.complaints() == []
    assert browser.requests() == []


def test_the_workflow_and_its_statistics_open_too(browser, report):
    browser.open(report[0])
    text = browser.until(lambda: [e.text for e in browser.all("div.prose") if e.text])[0]
    assert "Does a model that has unlearned still remember?" in text
    for link in ("Workflow", "Statistics"):
        browser.find_element(By.LINK_TEXT, link).click()
        browser.until(lambda: browser.all("canvas"))
    nodes = browser.execute_script("return rulegraph_spec.data[0].values.map(node => node.rule)")
    assert [sum(name in node for node in nodes) for name in ("table", "figure")] == [1, 1]
    assert {"prepare_dataset", "unlearn", "evaluate", "gather"} < set(nodes)
    assert browser.complaints() == []
    assert browser.requests() == []


def test_the_report_opens_from_an_archive(browser, report, finished, tmp_path):
    snakemake(finished, "--report", "report.zip")
    with zipfile.ZipFile(finished / "report.zip") as archive:
        archive.extractall(tmp_path)
    browser.open(tmp_path / "report/report.html")
    browser.until(lambda: browser.all("nav li a"))
    browser.find_element(By.LINK_TEXT, "Attacks").click()
    browser.until(lambda: browser.all("nav tbody tr a"))[0].click()
    browser.switch_to.frame(browser.until(lambda: browser.all("iframe"))[0])
    assert browser.total() == report[1]["overview/attacks.html"]
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.fixture
def trainings(browser, finished):
    browser.open(finished / "results-smoke/overview/trainings.html")
    browser.rows()
    return browser


def test_numbers_are_sorted_as_numbers_and_what_is_missing_comes_last(trainings):
    shuffled = trainings.column("accuracy test, %")
    missing = shuffled.count("–")  # shadows
    assert missing
    for sign in (1, -1):
        trainings.head("accuracy test, %").find_element(By.CLASS_NAME, "dt-column-title").click()
        cells = trainings.column("accuracy test, %")
        assert cells[-missing:] == ["–"] * missing
        numbers = [sign * float(cell) for cell in cells[:-missing]]
        assert numbers == sorted(numbers)
        assert sorted(cells) == sorted(shuffled)


def test_the_order_of_cells_is_by_number_then_by_word(browser, tmp_path):
    cells = [
        "10%",
        "–",
        "9%",
        "2.5 ± 0.1 [3]",
        "1,000",
        "b",
        "−3",
        "not run [7]",
        "a",
        "+4",
        "5e-2",
    ]
    path = tmp_path / "order.html"
    write_page(path, pd.DataFrame({"x": cells}), "Order", "")
    browser.open(path)
    ordered = ["−3", "5e-2", "2.5 ± 0.1 [3]", "+4", "9%", "10%", "1,000"]
    for numbers, words in ((ordered, ["a", "b"]), (ordered[::-1], ["b", "a"])):
        browser.head("x").find_element(By.CLASS_NAME, "dt-column-title").click()
        shown = browser.column("x")
        assert shown[:-2] == numbers + words
        assert set(shown[-2:]) == {"–", "not run [7]"}


def test_tables_are_searched(trainings):
    everything = trainings.total()
    trainings.find_element(By.CSS_SELECTOR, "div.dt-search input").send_keys("shadow")
    trainings.until(lambda: trainings.total() < everything)
    assert set(trainings.column("model")) == {"shadow"}


def test_columns_are_filtered(browser, finished):
    browser.open(finished / "results-smoke/overview/runs.html")
    browser.rows()
    browser.head("method").find_element(By.TAG_NAME, "button").click()
    choices = browser.until(lambda: browser.all("div.dtcc-list-buttons button"))
    next(choice for choice in choices if choice.text == "Fisher").click()
    browser.until(lambda: set(browser.column("method")) == {"Fisher"})
    assert browser.total() == 2  # ratios
    assert browser.complaints() == []


def test_tables_are_saved_as_csv(trainings, finished):
    rows = trainings.rows()
    trainings.find_element(By.CSS_SELECTOR, "button.buttons-csv").click()
    path = trainings.folder / "trainings.csv"
    trainings.until(path.exists)
    saved = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert saved.to_numpy().tolist() == rows
    page = finished / "results-smoke/overview/trainings.html"
    assert list(saved) == list(shown(page.read_text()))


@pytest.mark.parametrize("name", ["runs", "evaluation"])  # the largest
def test_the_papers_grid_opens_and_sorts(name, browser, tmp_path):
    results = synthetic_results()
    pages = overview.build(results, synthetic_metadata(results), {}, {})
    item = pages[name]
    write_page(tmp_path / "page.html", item.table, item.title, item.note)
    browser.open(tmp_path / "page.html")
    assert browser.total() == len(item.table) > 5000
    assert len(browser.rows()) == 50
    label = {"runs": "seconds", "evaluation": "mean"}[name]
    browser.head(label).find_element(By.CLASS_NAME, "dt-column-title").click()
    smallest = item.table[label].nsmallest(50)
    browser.until(lambda: float(browser.column(label)[0]) == pytest.approx(smallest.min(), 1e-3))
    assert [float(cell) for cell in browser.column(label)] == pytest.approx(smallest, rel=1e-3)
    assert browser.complaints() == []
    assert browser.requests() == []


def test_a_narrow_screen_has_room_for_numbers_beside_what_names_the_line(browser, tmp_path):
    results = synthetic_results(("fmnist",), ("cnn",), seeds=2, ratios=(0.1, 0.5))
    table = table_gaps.build(results)
    write_page(tmp_path / "a.html", table_gaps.layout(table), "Gaps", "A long note. " * 20)
    screen = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        browser.open(tmp_path / "a.html")
        browser.rows()
        browser.execute_script("window.scrollTo(400, 0)")
        assert browser.execute_script("return window.scrollX") == 400
        cells = "[...document.querySelectorAll('#table tbody .key')]"
        boxes = f"{cells}.map(cell => cell.getBoundingClientRect())"
        places = browser.execute_script(f"return {boxes}.map(box => [box.left, box.right])")
        assert len({left for left, _ in places}) == 2, "forget ratio, quantity"
        assert all(0 <= left < right < 0.6 * 390 for left, right in places)
        assert all(browser.all(name)[0].size["width"] < 390 for name in ("p", ".dt-search"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_checks_see_errors_and_requests_within_a_frame(browser, tmp_path):
    """So that their silence means something."""
    inner = "<script>console.error('wrong')</script><img src='http://example.invalid/a.png'>"
    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe src="data:text/html,{inner}"></iframe>')
    browser.open(outer)
    browser.until(lambda: browser.all("iframe"))
    requests = browser.until(browser.requests)
    assert requests == ["http://example.invalid/a.png"]
    assert any("wrong" in message for message in browser.complaints())


def test_a_page_without_rows_opens(browser, tmp_path):
    path = Path(tmp_path, "empty.html")
    path.write_text(page(pd.DataFrame(columns=["a", "b"]), "Nothing", "", "empty"))
    browser.open(path)
    assert browser.rows() == [["No data available in table"]]
    assert browser.complaints() == []
