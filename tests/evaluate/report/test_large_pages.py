"""Large pages in headless Chromium: their examples are in scripts in a folder beside the page."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from evaluate.report import parts
from evaluate.report.page import ReportConfig, write_report
from tests.evaluate.report.browsing import count, unfold, wait

NAME = "50 % of #1 é?.html"
VIEWS = (
    "set=news&method=direct&page=6",
    "set=news&method=generate&outcome=wrong&text=WORD7",
    "set=news&method=channel&other=direct&text=test-2",
    "set=news&method=calibrated&truth=Sports&says=World&nats=yes",
    "set=<i>other</i>&text=onerror",
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, write_results: Callable[..., list[Path]]) -> dict[str, Path]:
    """The same report as one file, and with some dozen examples in each part."""
    folder = tmp_path_factory.mktemp("large")
    write_results(folder / "results/first", count=300)
    write_results(folder / "results/second", ["direct"], 120, "<i>other</i>")
    made = {"whole": folder / "whole.html", "in parts": folder / NAME}
    write_report(ReportConfig((str(folder / "results"),), str(made["whole"])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CHARACTERS", 5_000)
        write_report(ReportConfig((str(folder / "results"),), str(made["in parts"]), max_page_mb=0))
    return made


@pytest.fixture
def copied(pages: dict[str, Path], tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A copy of the page in parts, and its folder."""
    (folder,) = pages["in parts"].parent.glob("*.examples-*")
    return Path(shutil.copy(pages["in parts"], tmp_path)), Path(shutil.copytree(folder, tmp_path / folder.name))


def shown(browser) -> tuple:
    """What a reader sees of the examples that the filters found, with the first of the list opened."""
    found, total = count(browser)
    texts = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#list > li")]
    return found, total, texts, unfold(browser, 0).text


@pytest.mark.parametrize("view", VIEWS)
def test_the_same_views_as_in_one_file(load, pages, view):
    views = {name: shown(load(path, f"#examples?{view}")) for name, path in pages.items()}
    assert views["whole"] == views["in parts"]
    assert views["whole"][0] > 0


def test_the_page_and_its_parts(load, pages, read_page):
    """The page holds no examples; its script may load scripts, and runs no others."""
    (folder,) = pages["in parts"].parent.glob("*.examples-*")
    names = {path.name for path in folder.iterdir()}
    assert {"sets.js", "answers-1-1.js", "texts-1-7.js", "details-1-4.js", "texts-0-1.js"} <= names
    read = read_page(pages["in parts"].read_text())
    assert read.parts == {}
    assert "'strict-dynamic'" in read.policy
    assert "strict-dynamic" not in read_page(pages["whole"].read_text()).policy
    browser = load(pages["in parts"], "#examples?set=news&method=direct&text=test-1")
    assert browser.get_log("browser") == []
    assert browser.title == "Classification: <i>other</i>, news"  # no text of the data sets has run
    assert browser.execute_script("return document.scripts.length") == 2


def test_only_what_is_shown_is_loaded(load, copied):
    """The first page of the list needs the first texts, an open example its details, and a search all texts."""
    page, folder = copied
    for path in [*folder.glob("texts-1-[3-9].js"), *folder.glob("details-*.js"), folder / "answers-0-0.js"]:
        path.unlink()
    browser = load(page, "#examples?set=news&method=direct")
    assert count(browser) == (300, 300)
    assert browser.get_log("browser") == []
    browser.find_element(By.CSS_SELECTOR, "#list summary").click()
    missing = f"{folder.name}/details-1-0.js is missing or damaged"
    WebDriverWait(browser, 10).until(lambda page: missing in page.find_element(By.ID, "list").text)
    browser.find_element(By.ID, "text").send_keys("word7")
    wait(browser)
    said = browser.find_element(By.ID, "count").text
    assert said.startswith(f"The examples are not shown: {folder.name}/texts-1-")
    assert browser.find_elements(By.CSS_SELECTOR, "#list > li") == []
    browser.find_element(By.ID, "text").clear()
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert count(browser) == (300, 300)


@pytest.mark.parametrize("damage", ["no folder", "a half file", "another file"])
def test_a_page_without_its_folder_says_so(load, copied, damage):
    """In one line; the tables of the page are there."""
    page, folder = copied
    script = folder / "sets.js"
    if damage == "no folder":
        shutil.rmtree(folder)
    elif damage == "a half file":
        script.write_bytes(script.read_bytes()[:99])
    else:
        script.write_text(script.read_text().replace("sets", "texts-0-0"))
    browser = load(page)
    missing = f"{folder.name}/sets.js is missing or damaged. Keep this page and its folder together."
    assert browser.find_element(By.ID, "count").text == f"The examples are not shown: {missing}"
    assert browser.find_elements(By.CSS_SELECTOR, "table.data tbody tr")
    assert not any(browser.find_element(By.ID, name).is_displayed() for name in ("filters", "pages"))
