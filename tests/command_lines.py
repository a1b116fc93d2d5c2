"""Small configurations for tests of the command line, and the project's scripts."""

from dataclasses import dataclass, field
from pathlib import Path

import options
from options import FlagError

ROOT = Path(options.__file__).resolve().parent
SCRIPTS = sorted(ROOT.glob("run_*.py"))


@dataclass(frozen=True)
class Inner:
    """What is shared.

    Args:
        k: A count.
        max_len: A count that need not be given.
    """

    k: int = 1
    max_len: int | None = None

    def __post_init__(self) -> None:
        if self.k < 0:
            raise FlagError(f"--k {self.k}: expected 0 or more")


@dataclass(frozen=True)
class Config:
    """Do the work.

    Args:
        data_path: A file.
        top_p: A share.
        sample: Whether or not,
            true: on a second line with a colon.
        inner: The shared ones.
    """

    data_path: str = ""
    top_p: float = 0.5
    sample: bool = True
    inner: Inner = field(default_factory=Inner)
