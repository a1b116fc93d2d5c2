"""Messages of libraries in one line."""

import pytest

from preprocess.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("401 Unauthorized\nsign in"), "401 Unauthorized"),
        (ValueError("\n\n  a wheel is missing\r\n"), "a wheel is missing"),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
        (RuntimeError(), "RuntimeError"),
        (KeyError("\n"), r"'\n'"),
        (AssertionError(" \n "), "AssertionError"),
    ],
)
def test_the_first_informative_line(error, line):
    assert first_line(error) == line
