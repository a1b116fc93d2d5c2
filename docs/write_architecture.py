"""Write the map of the code into docs/architecture.md, made from the first sentence of every module.

python docs/write_architecture.py [--check]
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = (
    "llama",
    "preprocess",
    "evaluate",
    "documents",
    "training",
    "pretrain",
    "finetune",
    "tiny_llama",
    "convert",
    "benchmarks",
)
BEGIN, END = "<!-- map: made by docs/write_architecture.py -->", "<!-- end of the map -->"


def first_sentence(path: Path) -> str:
    """Of the docstring of a module; empty where it has none."""
    paragraph = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    return re.split(r"(?<=(?<!et al)\.) (?=[A-Z])", " ".join(paragraph.split()))[0]  # "et al. 2020" ends nothing


def make_map() -> str:
    """A table for each package: module, first sentence."""
    parts = []
    for package in PACKAGES:
        files = sorted((ROOT / package).rglob("*.py"))
        if not files:
            continue
        about = ROOT / package / "__init__.py"
        rows = [f"| `{path.relative_to(ROOT / package)}` | {first_sentence(path)} |" for path in files if path != about]
        title = [f"### {package}/", ""] + ([first_sentence(about), ""] if about.exists() else [])
        parts += [*title, "| module | |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def page() -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{make_map()}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    expected = page()
    if "--check" in sys.argv and PAGE.read_text(encoding="utf-8") != expected:
        sys.exit("docs/architecture.md: its map is not that of the code; run python docs/write_architecture.py")
    PAGE.write_text(expected, encoding="utf-8")


if __name__ == "__main__":
    main()
