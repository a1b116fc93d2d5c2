"""Takes pictures of a report: light, dark, on a phone, and of its first summary, which contains no texts of examples.

python benchmarks/screenshots.py --report report.html --output_dir screenshots

Needs Chromium (apt-get install chromium chromium-driver). The README shows summary.png.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import base64
import io
import tempfile
from dataclasses import dataclass

from chromium import Browser, open_browser, set_screen
from PIL import Image
from selenium.webdriver.support.wait import WebDriverWait

from preprocess.errors import InputError
from preprocess.files import PathFlag, write_bytes

WIDE, NARROW = 1400, 400  # pixels
HIGHEST = 16_000  # pixels, limit of Chromium
COLOURS = 256  # in the picture of the summary, which makes it a third as large
READY = "return document.querySelector('#list > li') !== null"
SUMMARY = """
const section = document.querySelector("section.set"), figures = section.querySelector(".figures");
const box = section.getBoundingClientRect(), end = figures.getBoundingClientRect().bottom;
return [box.top + scrollY, end - box.top];
"""


@dataclass(frozen=True)
class ScreenshotsConfig:
    """Take pictures of a report.

    Args:
        report: A report of run_report.py.
        output_dir: Folder for light.png, dark.png, phone.png and summary.png.
    """

    report: PathFlag = "report.html"
    output_dir: PathFlag = "screenshots"

    def __post_init__(self) -> None:
        if not Path(self.report).is_file():
            raise InputError(f"--report {self.report}: no such file")


def take_pictures(config: ScreenshotsConfig) -> None:
    """Open the report and write the pictures."""
    address = Path(config.report).resolve().as_uri()
    with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as browser:
        for name, width, scheme in (("light", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", NARROW, "light")):
            set_screen(browser, width, scheme)
            browser.get(address)
            WebDriverWait(browser, 60).until(lambda page: page.execute_script(READY))
            height = min(HIGHEST, browser.execute_script("return document.documentElement.scrollHeight"))
            write(config, name, picture(browser, 0, width, height))
            if name == "light":
                top, height = browser.execute_script(SUMMARY)
                write(config, "summary", picture(browser, top, width, height, COLOURS))


def picture(browser: Browser, top: float, width: float, height: float, colours: int = 0) -> bytes:
    """A part of the page as PNG.

    Args:
        colours: Maximum number of colours; 0: no limit.
    """
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    content = base64.b64decode(shot["data"])
    if not colours:
        return content
    reduced = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(colours, dither=0).save(reduced, "PNG", optimize=True)
    return reduced.getvalue()


def write(config: ScreenshotsConfig, name: str, content: bytes) -> None:
    path = Path(config.output_dir) / f"{name}.png"
    write_bytes(path, content)
    print(f"{path}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    run(ScreenshotsConfig, take_pictures)
