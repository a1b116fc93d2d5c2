"""The report in headless Chromium: it loads without errors, its filters count correctly, and it is accessible."""

import json
import re
from itertools import pairwise
from urllib.parse import quote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from evaluate.predictions import sha256, write_predictions
from evaluate.report.page import ReportConfig, write_report
from tests.evaluate.report.browsing import choose, clear, count, unfold

WORDS = ["World", "Sports", "Business", "<b>Science</b> & technology"]


@pytest.fixture
def opened(load, made):
    """The report on the first data set, as wide as a desktop and light."""
    return load(made.path, "#examples?set=news&method=direct")


def test_page_loads_without_an_error(opened):
    assert opened.get_log("browser") == []
    assert opened.title == "Classification: <i>other</i>, news"
    assert count(opened) == (120, 120)


def test_texts_stay_texts(opened, attacks, demonstration):
    """Every attack is shown and opened with its prompt, and does not run."""
    title = opened.title
    for number, text in enumerate(attacks):
        item = unfold(opened, number)
        whole = item.find_element(By.CSS_SELECTOR, ".whole")
        assert whole.get_property("textContent") == text
        assert whole.get_property("childElementCount") == 0
        (prompt,) = item.find_elements(By.TAG_NAME, "pre")
        shown = prompt.get_property("textContent")
        assert shown == f"{demonstration}Article: {text}\nCategory:\n\n→ {{label_word}}"
        (marked,) = prompt.find_elements(By.CSS_SELECTOR, ".demonstration")
        assert marked.get_property("textContent") == demonstration
        assert prompt.find_element(By.TAG_NAME, "mark").get_property("textContent") == text
    assert opened.title == title
    assert opened.execute_script("return document.scripts.length") == 2
    assert opened.find_elements(By.CSS_SELECTOR, "main img, main i:not([class]), [onload], [onerror]") == []
    assert opened.get_log("browser") == []


def test_filters_count_correctly(opened, made, names):
    rows, ids = made.rows, range(120)
    for word in WORDS:
        choose(opened, "truth", word)
        assert count(opened)[0] == sum(row["ground_truth"] == word for row in rows["direct"])
    for method, name in names.items():
        choose(opened, "method", name)
        clear(opened)
        for choice, wanted in (("right", True), ("wrong", False)):
            choose(opened, "outcome", choice)
            assert count(opened)[0] == sum(row["correct"] is wanted for row in rows[method])
        clear(opened)
        for word in [*WORDS, "no answer"]:
            choose(opened, "says", word)
            wanted = None if word == "no answer" else word
            assert count(opened)[0] == sum(row["prediction"] == wanted for row in rows[method])
    clear(opened)
    choose(opened, "method", "direct")
    choose(opened, "other", "channel")
    differ = [n for n in ids if rows["direct"][n]["prediction"] != rows["channel"][n]["prediction"]]
    assert count(opened)[0] == len(differ)
    choose(opened, "outcome", "right")
    both = [n for n in differ if rows["direct"][n]["correct"]]
    opened.find_element(By.ID, "text").send_keys("WORD7")
    found = [n for n in both if "word7" in made.prompts[n]["text"]]
    assert 0 < len(found) < len(both)
    assert count(opened)[0] == len(found)
    shown = [i.text for i in opened.find_elements(By.CSS_SELECTOR, "#list .id")]
    assert shown == [f"test-{n}" for n in found]
    clear(opened)
    assert count(opened) == (120, 120)


def test_a_view_can_be_shared(opened, made, load):
    """The address with filters shows the same examples in another browser."""
    choose(opened, "method", "calibrated")
    choose(opened, "other", "generate")
    choose(opened, "says", WORDS[3])
    opened.find_element(By.ID, "text").send_keys("a")
    opened.find_element(By.ID, "nats").click()
    before = count(opened), [i.text for i in opened.find_elements(By.CSS_SELECTOR, "#list > li")]
    address = opened.current_url
    fragment = address[address.index("#") :]
    assert quote(WORDS[3], safe="").replace("%20", "+") in fragment
    again = load(made.path, fragment)
    assert (count(again), [i.text for i in again.find_elements(By.CSS_SELECTOR, "#list > li")]) == before
    assert again.find_element(By.ID, "nats").is_selected()
    assert load(made.path, "#examples?set=absent&method=absent&truth=x&page=-3").get_log("browser") == []


def test_a_cell_opens_its_examples(opened, made):
    """Ground truths are rows, predictions columns, no answer is last."""
    panel = "section[data-set='news'] .panel[data-method='3']"
    opened.execute_script("document.querySelector(\"section[data-set='news'] .chooser\").open = true")
    for row, column in ((1, 1), (2, 5)):
        cell = f"{panel} tbody tr:nth-child({row}) td:nth-of-type({column}) button"
        opened.execute_script("arguments[0].click()", opened.find_element(By.CSS_SELECTOR, cell))
        wanted = [*WORDS, None][column - 1]
        rows = [r for r in made.rows["generate"] if (r["ground_truth"], r["prediction"]) == (WORDS[row - 1], wanted)]
        assert count(opened)[0] == len(rows)
        assert f"truth={WORDS[row - 1]}" in opened.current_url


def test_draws(load, with_draws):
    """Right means right in all draws; examples on which draws disagree, one draw, or one order can be selected."""
    page = load(with_draws.path, "#examples?method=direct, k = 1")
    folder = with_draws.folder / "results"
    rows = [json.loads((folder / f"{seed}/outputs_direct.json").read_text()) for seed in (1, 2, 3)]
    choose(page, "outcome", "right in all draws")
    assert count(page)[0] == sum(all(row["correct"] for row in draws) for draws in zip(*rows, strict=True))
    choose(page, "outcome", "wrong in a draw")
    page.find_element(By.ID, "unstable").click()
    unstable = [len({row["prediction"] for row in draws}) > 1 for draws in zip(*rows, strict=True)]
    assert count(page)[0] == sum(unstable)  # two answers: one of them is wrong
    first = page.find_element(By.CSS_SELECTOR, "#list .said").text
    assert re.search(r"direct, k = 1 \([12]/3\)", first)
    choose(page, "draw", "seed 2")
    choose(page, "outcome", "right")
    page.find_element(By.ID, "unstable").click()
    assert count(page)[0] == sum(row["correct"] for row in rows[1])
    for order in (1, 2):
        choose(page, "draw", f"seed 1, order {order}")
        ordered = json.loads((folder / f"order{order}/outputs_direct.json").read_text())
        assert count(page)[0] == sum(row["correct"] for row in ordered)


def test_pages_and_sets(opened):
    pages = [opened.find_element(By.ID, "page").text]
    for _ in range(2):
        opened.find_element(By.ID, "next").click()
        pages.append(opened.find_element(By.ID, "page").text)
    assert pages == [f"Page {n} of 3" for n in (1, 2, 3)]
    assert opened.current_url.endswith("page=3")
    assert not opened.find_element(By.ID, "next").is_enabled()
    ids = [item.text for item in opened.find_elements(By.CSS_SELECTOR, "#list .id")]
    assert ids == [f"test-{n}" for n in range(100, 120)]
    choose(opened, "set", "<i>other</i>")
    assert count(opened) == (70, 70)


def test_scores_and_predictions_of_an_example(opened, made, names):
    """Predictions of all methods; scores of the selected one as probabilities, or in nats on request."""
    for in_nats in (False, True):
        item = unfold(opened, 7)
        answers, scores = item.find_elements(By.TAG_NAME, "table")
        said = [row.text for row in answers.find_elements(By.CSS_SELECTOR, "tbody tr")]
        for line, (method, name) in zip(said, names.items(), strict=True):
            row = made.rows[method][7]
            assert line == f"{name} {'✓' if row['correct'] else '✗'} {row['prediction'] or 'no answer'}"
        row = made.rows["direct"][7]
        norm = sum(2.718281828459045**score for score in row["log_probs"])
        for place, line in enumerate(scores.find_elements(By.CSS_SELECTOR, "tbody tr")):
            score = row["log_probs"][place]
            expected = f"{score:.3f}" if in_nats else f"{100 * 2.718281828459045**score / norm:.1f} %"
            assert expected in line.text
            assert ("←" in line.text) == (row["prediction"] == WORDS[place])
            assert ("ground truth" in line.text) == (row["ground_truth"] == WORDS[place])
        opened.find_element(By.ID, "nats").click()


def test_prompt_of_channel(load, tmp_path):
    """Its field is in the completion, and the name of a field in a demonstration is text. Without the prompt file, the
    page says that the text is missing."""
    row = {"id": "a", "label_words": ["yes", "no"], "ground_truth": "yes"}
    prompt = "Category: no\nArticle: has {text} in it\nCategory: {label_word}\nArticle:"
    inputs = tmp_path / "inputs.json"
    inputs.write_text(json.dumps([row | {"prompt": prompt, "completion": "{text}", "text": "it rained"}]))
    meta = {"method": "channel", "num_examples": 1, "cut": ["a"], "prompt_path": str(inputs)}
    answer = row | {"prediction": "no", "correct": False, "log_probs": [-3.5, -2.25]}
    write_predictions(tmp_path / "outputs_x.json", [answer], meta | {"prompt_sha256": sha256(inputs)})
    for expected in (f"{prompt}\n\n→ it rained", None):
        write_report(ReportConfig((str(tmp_path),), str(tmp_path / "r.html")))
        shown = unfold(load(tmp_path / "r.html"), 0)
        assert "Text truncated for: channel." in shown.text
        assert "77.7 % ←" in shown.text
        prompts = [node.get_property("textContent") for node in shown.find_elements(By.TAG_NAME, "pre")]
        assert prompts == [expected] * bool(expected)
        assert ("is not shown" in shown.text) == (expected is None)
        inputs.unlink(missing_ok=True)


def test_tables_are_sorted(opened):
    """Highest numbers first, then lowest first; unknown values are last in both cases."""
    table = opened.find_element(By.CSS_SELECTOR, "section[data-set='news'] table.sortable")
    headers = {header.text: header for header in table.find_elements(By.CSS_SELECTOR, "thead th")}

    def column(name):
        place = list(headers).index(name)
        rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
        return [row.find_elements(By.CSS_SELECTOR, "th, td")[place].text for row in rows]

    for name in ("accuracy", "ECE"):
        for sign, order in ((-1, "descending"), (1, "ascending")):
            headers[name].find_element(By.TAG_NAME, "button").click()
            shown = column(name)
            assert shown == sorted(shown, key=lambda text: (text == "-", 0 if text == "-" else sign * float(text)))
            assert headers[name].get_attribute("aria-sort") == order
    headers["method"].find_element(By.TAG_NAME, "button").click()
    assert column("method") == ["calibrated", "channel", "direct", "generate"]


def test_methods_are_selected(opened):
    def shown():
        panels = opened.find_elements(By.CSS_SELECTOR, "section[data-set='news'] .panel:not([hidden])")
        return {panel.get_attribute("data-method") for panel in panels}

    assert shown() == {"0", "1", "2", "3"}
    opened.execute_script("document.querySelector(\"section[data-set='news'] .chooser\").open = true")
    opened.find_element(By.CSS_SELECTOR, "section[data-set='news'] .chooser input[value='1']").click()
    assert shown() == {"0", "2", "3"}
    assert opened.find_element(By.CSS_SELECTOR, "section[data-set='news'] output").text == "3 of 4"


def test_keyboard_alone(opened):
    """Tab reaches every control in the order of the page; the list opens with Enter; focus can be seen."""
    opened.execute_script("document.getElementById('set').focus()")
    reached = []
    for _ in range(10):
        active = opened.switch_to.active_element
        assert opened.execute_script("return getComputedStyle(arguments[0]).outlineStyle", active) != "none"
        reached.append(active.get_attribute("id") or active.tag_name)
        active.send_keys(Keys.TAB)
    assert reached == ["set", "method", "outcome", "says", "truth", "other", "text", "nats", "button", "summary"]
    opened.execute_script("document.querySelector('#list summary').focus()")
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert opened.execute_script("return document.querySelector('#list details').open")


def test_first_tab_skips_to_the_results(load, made):
    browser = load(made.path)
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "To the results"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.switch_to.active_element.tag_name == "main"


def test_screen_reader_finds_names(opened):
    """Every control has a label, every table a caption and scoped headers, every figure a name and its numbers."""
    controls = "input, select"
    assert opened.execute_script(f"return [...document.querySelectorAll('{controls}')].every((c) => c.labels.length)")
    assert opened.execute_script("return [...document.querySelectorAll('table')].every((t) => t.caption)")
    assert opened.execute_script("return [...document.querySelectorAll('th')].every((t) => t.scope)")
    assert opened.execute_script(
        "return [...document.querySelectorAll('svg')].every((s) => s.getAttribute('role') === 'img' && s.ariaLabel"
        " && s.querySelector('desc').textContent)"
    )
    assert opened.find_element(By.ID, "count").get_attribute("role") == "status"
    assert opened.execute_script("return document.documentElement.lang") == "en"
    levels = [int(h.tag_name[1]) for h in opened.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_cut(load, made, width):
    """The page scrolls only vertically; no figure is wider than its place; first columns stay in place."""
    opened = load(made.path, width=width)
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    WebDriverWait(opened, 10).until(lambda page: len(page.find_elements(By.CSS_SELECTOR, "#list .whole")) == 50)
    widths = opened.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths == [width, width]
    assert opened.execute_script(
        "return [...document.querySelectorAll('svg, .figures figure')].every((one) =>"
        " one.getBoundingClientRect().right <= innerWidth && one.scrollWidth <= one.clientWidth + 1)"
    )
    assert opened.execute_script(
        "const box = document.querySelector('.set .scroll'), first = box.querySelector('tbody th');"
        "const before = first.getBoundingClientRect().left; box.scrollLeft = 200;"
        "return first.getBoundingClientRect().left - before"
    ) == pytest.approx(0, abs=1)


def test_dark_mode(load, made):
    """Page and figures follow the reader's preference; contrasts are tested with the colours."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    shown = {}
    for scheme in ("light", "dark"):
        page = load(made.path, scheme=scheme)
        shown[scheme] = [
            page.execute_script(script, *place)
            for place in (("body", "backgroundColor"), (".figure text", "fill"), (".matrix .q20, .matrix .q5", "color"))
        ]
    assert shown["light"][0] == "rgb(255, 255, 255)"
    assert all(light != dark for light, dark in zip(*shown.values(), strict=True))
