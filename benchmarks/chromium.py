"""Headless Chromium without background services, for measurements, pictures and tests of the report."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver

Browser = webdriver.Chrome
PROGRAM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic disable-dev-shm-usage hide-scrollbars no-first-run"
    " disable-background-networking disable-component-update disable-sync"
)


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser whose profile is in the folder `profile`."""
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAM
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def set_screen(browser: Browser, width: int, scheme: str = "light", pixels: float = 1) -> None:
    """Set the width (below 600: a phone), the colour scheme, and the device pixels per CSS pixel."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": pixels, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    preferred = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)
