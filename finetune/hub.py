"""The way to the hub, for models and for data sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import HFValidationError, validate_repo_id

from preprocess.errors import InputError, first_line


def check_push(name: str, private: bool) -> None:
    """Refuse what the hub would refuse after the work.

    Args:
        name: As `--push_to_hub` names the repository; empty where nothing is to be pushed.

    Raises:
        InputError: No name that a repository of a user can have; one is to be private, and none is named.
    """
    if name and not is_repository(name):
        expected = "expected USER/NAME, of letters, digits, -, _ and ., without -- and .."
        raise InputError(f"--push_to_hub {name}: {expected}")
    if private and not name:
        raise InputError("--private: expected only with --push_to_hub")


def is_repository(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name  # without a user it passes: old repositories have none


@contextmanager
def repository(name: str, repo_type: str, private: bool, folder: Path) -> Iterator[HfApi]:
    """A repository on the hub, to be filled inside `with`; it is made where there is none.

    Args:
        repo_type: model or dataset.
        private: Nobody else is to see it. Where it is made without, who sees it is the hub's default for its owner.
        folder: What is pushed: it stays, whatever happens.

    Raises:
        InputError: The hub refuses, or cannot be reached; it shows to all what is to be private.
    """
    api = HfApi()
    try:
        api.create_repo(name, repo_type=repo_type, private=private or None, exist_ok=True)
        if private and not api.repo_info(name, repo_type=repo_type).private:  # of one that was there it is not changed
            raise InputError("--private: it is there already, and public; name another one, or make it private there")
        yield api
    except Exception as error:  # it raises whatever the network or the hub leads it to
        raise InputError(f"--push_to_hub {name}: not pushed: {first_line(error)}; it is in {folder}") from None
    print(f"{folder}: is on the hub as {name}")
