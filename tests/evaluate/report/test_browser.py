"""The report in headless Chromium: it loads without an error, its filters count right, and everyone can use it."""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from evaluate.predictions import sha256, write_predictions
from evaluate.report.page import ReportConfig, write_report

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
WORDS = ["World", "Sports", "Business", "<b>Science</b> & technology"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium that talks to nothing but the test."""
    for program in (CHROMIUM, DRIVER):
        if not shutil.which(program):
            pytest.skip(f"needs Chromium: no {program}; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    quiet = "disable-background-networking disable-component-update disable-sync no-first-run"
    for flag in f"headless no-sandbox disable-gpu disable-quic disable-dev-shm-usage {quiet}".split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, made):
    """The report, just loaded, as wide as a desktop and light."""
    return load(browser, made.path)


def load(browser, path, width=1200, scheme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen(width))
    scheme = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    browser.get_log("browser")
    browser.get(path.as_uri())
    Select(browser.find_element(By.ID, "set")).select_by_visible_text("news")
    return browser


def screen(width):
    return {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}


def count(browser) -> tuple[int, int]:
    """N of M, as the status says; the list shows as many, at most a page of them."""
    shown, total = re.fullmatch(r"(\d+) of (\d+) examples", browser.find_element(By.ID, "count").text).groups()
    assert len(browser.find_elements(By.CSS_SELECTOR, "#list > li")) == min(50, int(shown))
    return int(shown), int(total)


def unfold(browser, number):
    """Open an example of the list; its details are made when it opens."""
    item = browser.find_elements(By.CSS_SELECTOR, "#list > li")[number]
    item.find_element(By.TAG_NAME, "summary").click()
    WebDriverWait(browser, 10).until(lambda _: item.find_elements(By.TAG_NAME, "table"))
    return item


def choose(browser, legend, field, text):
    """A choice of a result's outcome or prediction."""
    browser.execute_script("document.getElementById('by-result').open = true")
    (box,) = [b for b in browser.find_elements(By.TAG_NAME, "fieldset") if b.text.startswith(legend)]
    Select(box.find_elements(By.TAG_NAME, "select")[field]).select_by_visible_text(text)


def test_page_loads_without_an_error(opened):
    assert opened.get_log("browser") == []
    assert opened.title == "Classification: <i>other</i>, news"
    assert count(opened) == (120, 120)


def test_texts_stay_texts(opened, attacks, demonstration):
    """Every attack is shown, opened with its prompt, and has not run."""
    title = opened.title
    for number, text in enumerate(attacks):
        item = unfold(opened, number)
        whole = item.find_element(By.CSS_SELECTOR, ".whole")
        assert whole.get_property("textContent") == text
        assert whole.get_property("childElementCount") == 0
        (prompt,) = item.find_elements(By.TAG_NAME, "pre")
        shown = prompt.get_property("textContent")
        assert shown == f"{demonstration}Article: {text}\nCategory:\n\n→ {{label_word}}"
    assert opened.title == title
    assert opened.execute_script("return document.scripts.length") == 2
    assert opened.find_elements(By.CSS_SELECTOR, "img, b, [onload], [onerror]") == []
    assert opened.get_log("browser") == []


def test_filters_count_what_the_files_hold(opened, made, names):
    rows, ids = made.rows, range(120)
    for word in WORDS:
        Select(opened.find_element(By.ID, "truth")).select_by_visible_text(word)
        assert count(opened)[0] == sum(row["ground_truth"] == word for row in rows["direct"])
    clear(opened)
    for method, name in names.items():
        for choice, wanted in (("right", True), ("wrong", False)):
            choose(opened, name, 0, choice)
            assert count(opened)[0] == sum(row["correct"] is wanted for row in rows[method])
        clear(opened)
        for word in [*WORDS, *(["no answer"] if method == "generate" else [])]:
            choose(opened, name, 1, word)
            wanted = None if word == "no answer" else word
            assert count(opened)[0] == sum(row["prediction"] == wanted for row in rows[method])
        clear(opened)
    opened.find_element(By.ID, "disagree").click()
    differ = [n for n in ids if len({rows[method][n]["prediction"] for method in names}) > 1]
    assert count(opened)[0] == len(differ)
    choose(opened, "direct", 0, "right")
    choose(opened, "channel", 0, "wrong")
    both = [n for n in differ if rows["direct"][n]["correct"] and not rows["channel"][n]["correct"]]
    opened.find_element(By.ID, "text").send_keys("WORD7")
    found = [n for n in both if "word7" in made.prompts[n]["text"]]
    assert 0 < len(found) < len(both)
    assert count(opened)[0] == len(found)
    shown = [i.text for i in opened.find_elements(By.CSS_SELECTOR, "#list .id")]
    assert shown == [f"test-{n}" for n in found]
    clear(opened)
    assert count(opened) == (120, 120)


def clear(browser):
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()


def test_pages_and_sets(opened):
    pages = [opened.find_element(By.ID, "page").text]
    for _ in range(2):
        opened.find_element(By.ID, "next").click()
        pages.append(opened.find_element(By.ID, "page").text)
    assert pages == [f"Page {n} of 3" for n in (1, 2, 3)]
    assert not opened.find_element(By.ID, "next").is_enabled()
    ids = [item.text for item in opened.find_elements(By.CSS_SELECTOR, "#list .id")]
    assert ids == [f"test-{n}" for n in range(100, 120)]
    select = Select(opened.find_element(By.ID, "set"))
    (other,) = [option.text for option in select.options if option.text != "news"]
    select.select_by_visible_text(other)
    assert opened.find_element(By.ID, "count").text == "70 of 70 examples"


def test_scores_and_predictions_of_an_example(opened, made, names):
    tables = unfold(opened, 7).find_elements(By.TAG_NAME, "table")
    cells = [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        for table in tables
        for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    said = {row[0]: row[1] for row in cells[:4]}
    assert said == {names[m]: made.rows[m][7]["prediction"] or "no answer" for m in names}
    for place, row in enumerate(cells[4:]):
        for cell, method in zip(row[1:], [method for method in names if method != "generate"], strict=True):
            answer = made.rows[method][7]
            assert cell.startswith(f"{answer.get('score', answer.get('log_probs'))[place]:.3f} (")
            assert ("←" in cell) == (answer["prediction"] == WORDS[place])


def test_prompt_of_channel(browser, tmp_path):
    """Its field is in the completion, and a field's name in a demonstration is text. Without the prompt file the page
    says that it has no text."""
    row = {"id": "a", "label_words": ["yes", "no"], "ground_truth": "yes"}
    prompt = "Category: no\nArticle: has {text} in it\nCategory: {label_word}\nArticle:"
    inputs = tmp_path / "inputs.json"
    inputs.write_text(json.dumps([row | {"prompt": prompt, "completion": "{text}", "text": "it rained"}]))
    meta = {"method": "channel", "num_examples": 1, "cut": ["a"], "prompt_path": str(inputs)}
    answer = row | {"prediction": "no", "correct": False, "log_probs": [-3.5, -2.25]}
    write_predictions(tmp_path / "outputs_x.json", [answer], meta | {"prompt_sha256": sha256(inputs)})
    for expected in (f"{prompt}\n\n→ it rained", None):
        write_report(ReportConfig((str(tmp_path),), str(tmp_path / "r.html")))
        browser.get((tmp_path / "r.html").as_uri())
        shown = unfold(browser, 0)
        assert "Too long, cut at its end for: channel." in shown.text
        assert "−2.250 (77.7 %) ←" in shown.text.replace("-", "−")
        prompts = [node.get_property("textContent") for node in shown.find_elements(By.TAG_NAME, "pre")]
        assert prompts == [expected] * bool(expected)
        assert ("not at hand" in shown.text) == (expected is None)
        inputs.unlink(missing_ok=True)


def test_keyboard_alone(opened):
    """Tab reaches every control in the order of the page; the list opens with Enter; focus can be seen."""
    opened.execute_script("document.getElementById('set').focus()")
    reached = []
    for _ in range(8):
        active = opened.switch_to.active_element
        assert opened.execute_script("return getComputedStyle(arguments[0]).outlineStyle", active) != "none"
        reached.append(active.get_attribute("id") or active.tag_name)
        active.send_keys(Keys.TAB)
    assert reached[:5] == ["set", "text", "truth", "disagree", "summary"]
    assert reached[5:7] == ["button", "summary"]
    opened.execute_script("document.querySelector('#list summary').focus()")
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert opened.execute_script("return document.querySelector('#list details').open")


def test_first_tab_skips_to_the_results(browser, made):
    browser.get(made.path.as_uri())
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "To the results"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.switch_to.active_element.tag_name == "main"


def test_screen_reader_finds_names(opened):
    """Every control has a label, every table a caption and headers with a scope, every figure a name."""
    controls = "input, select"
    assert opened.execute_script(f"return [...document.querySelectorAll('{controls}')].every((c) => c.labels.length)")
    assert opened.execute_script("return [...document.querySelectorAll('table')].every((t) => t.caption)")
    assert opened.execute_script("return [...document.querySelectorAll('th')].every((t) => t.scope)")
    assert opened.execute_script(
        "return [...document.querySelectorAll('svg')].every((s) => s.getAttribute('role') === 'img' && s.ariaLabel)"
    )
    assert opened.find_element(By.ID, "count").get_attribute("role") == "status"
    assert opened.execute_script("return document.documentElement.lang") == "en"
    levels = [int(h.tag_name[1]) for h in opened.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_phone_scrolls_down_only(browser, made):
    opened = load(browser, made.path, width=360)
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    WebDriverWait(opened, 10).until(lambda page: len(page.find_elements(By.CSS_SELECTOR, "#list .whole")) == 50)
    widths = opened.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths == [360, 360]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, made, scheme):
    """4.5 to 1 for text (WCAG 2.2, 1.4.3), 3 to 1 for marks (1.4.11)."""
    opened = load(browser, made.path, scheme=scheme)
    unfold(opened, 0)

    def shown(selector, name):
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        return luminance(rgb(opened.execute_script(script, selector, name)))

    paper = shown("body", "backgroundColor")
    assert (paper < 0.05) == (scheme == "dark")
    for place in ("body", ".note", "a", "figcaption", ".right", ".wrong", "summary", ".id"):
        assert contrast(paper, shown(place, "color")) >= 4.5, place
    for place in (".figure text", ".figure .quiet"):
        assert contrast(paper, shown(place, "fill")) >= 4.5, place
    for style in (0, 1, 2, 4):
        assert contrast(paper, shown(f"path.s{style}", "stroke")) >= 3, style
    cells = opened.execute_script(
        "return [...document.querySelectorAll('.heat + text')].map((count) => {"
        "  const heat = count.previousSibling, nodes = [heat.previousSibling, heat, count];"
        "  return [Number(heat.getAttribute('fill-opacity')), ...nodes.map((node) => getComputedStyle(node).fill)];"
        "})"
    )
    assert len(cells) > 20
    for share, frame, heat, text in cells:
        under = [share * over + (1 - share) * below for over, below in zip(rgb(heat), rgb(frame), strict=True)]
        assert contrast(luminance(under), luminance(rgb(text))) >= 4.5, share


def rgb(colour: str) -> list[float]:
    return [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]


def luminance(parts: list[float]) -> float:
    """Relative luminance of red, green and blue from 0 to 1 (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)
