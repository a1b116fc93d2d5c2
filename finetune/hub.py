"""Uploads models and data sets to the hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import HFValidationError, validate_repo_id

from preprocess.errors import InputError, first_line

END, EVERY_SAVE, CHECKPOINT, ALL_CHECKPOINTS = "end", "every_save", "checkpoint", "all_checkpoints"
STRATEGIES = (END, EVERY_SAVE, CHECKPOINT, ALL_CHECKPOINTS)  # of transformers' Trainer, with its names


def check_push(name: str, private: bool, strategy: str = END) -> None:
    """Check `--push_to_hub`, `--private` and `--hub_strategy` before the work.

    Args:
        name: The repository; empty: no upload.

    Raises:
        InputError: The name or the strategy is invalid, or `private` or a strategy is set without a name.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"--hub_strategy {strategy}: expected {', '.join(STRATEGIES)}")
    if name and not is_repository(name):
        expected = "expected USER/NAME, of letters, digits, -, _ and ., without -- and .."
        raise InputError(f"--push_to_hub {name}: {expected}")
    if private and not name:
        raise InputError("--private: expected only with --push_to_hub")
    if strategy != END and not name:
        raise InputError(f"--hub_strategy {strategy}: expected only with --push_to_hub")


def is_repository(name: str) -> bool:
    """Whether `name` is a valid USER/NAME."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name  # validation also accepts old repositories without a user


@contextmanager
def repository(name: str, repo_type: str, private: bool, folder: Path) -> Iterator[HfApi]:
    """A repository on the hub, created if needed, to be filled inside `with`.

    Args:
        repo_type: model or dataset.
        private: Whether it must be private; otherwise the owner's default on the hub applies.
        folder: The uploaded folder, for messages.

    Raises:
        InputError: The hub refuses or is unreachable, or the existing repository is public but must be private.
    """
    try:
        api = open_repository(name, repo_type, private)
        yield api
    except Exception as error:  # errors of the network and the hub have many types
        raise InputError(f"--push_to_hub {name}: not uploaded: {first_line(error)}; it is in {folder}") from None
    print(f"{folder}: uploaded to the hub as {name}")


def open_repository(name: str, repo_type: str, private: bool) -> HfApi:
    """A repository on the hub, created if needed.

    Raises:
        InputError: The existing repository is public but must be private. The hub's client raises errors of many types.
    """
    api = HfApi()
    api.create_repo(name, repo_type=repo_type, private=private or None, exist_ok=True)
    if private and not api.repo_info(name, repo_type=repo_type).private:  # create_repo does not change it
        raise InputError("--private: the repository exists and is public; use another one, or make it private")
    return api
