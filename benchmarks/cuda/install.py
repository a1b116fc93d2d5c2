"""Install into a folder the wheels of another folder whose packages this interpreter lacks, without internet.

    python install.py WHEELS SITE

A package that is there stays as it is, since other packages of the machine may need its version.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path


def missing(wheels: Path) -> list[Path]:
    """The wheels of packages that are not installed."""
    found = []
    for wheel in sorted(wheels.glob("*.whl")):
        try:
            importlib.metadata.version(wheel.name.split("-")[0])
        except importlib.metadata.PackageNotFoundError:
            found.append(wheel)
    return found


def main() -> None:
    wheels, site = map(Path, sys.argv[1:])
    needed = missing(wheels)
    print("to install:", ", ".join(wheel.name.split("-")[0] for wheel in needed) or "nothing")
    site.mkdir(exist_ok=True)
    if needed:
        flags = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
        command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(site), *map(str, needed)]
        subprocess.run(command, check=True)


main()
