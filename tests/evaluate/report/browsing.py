"""What a reader does with the examples of a report in a browser."""

import re

from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait


def wait(browser):
    """Wait until the list is that of the filters."""
    WebDriverWait(browser, 20, 0.05).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#list[aria-busy=false]"))


def count(browser) -> tuple[int, int]:
    """N of M in the status; the list shows N examples, at most one page."""
    wait(browser)
    shown, total = re.fullmatch(r"(\d+) of (\d+) examples", browser.find_element(By.ID, "count").text).groups()
    assert len(browser.find_elements(By.CSS_SELECTOR, "#list > li")) == min(50, int(shown))
    return int(shown), int(total)


def choose(browser, field, text):
    Select(browser.find_element(By.ID, field)).select_by_visible_text(text)


def clear(browser):
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()


def unfold(browser, number):
    """Open an example of the list; its details are created when it opens."""
    item = browser.find_elements(By.CSS_SELECTOR, "#list > li")[number]
    item.find_element(By.TAG_NAME, "summary").click()
    WebDriverWait(browser, 10).until(lambda _: item.find_elements(By.TAG_NAME, "table"))
    browser.execute_script("for (const d of arguments[0].querySelectorAll('details')) d.open = true", item)
    return item
