"""Checkpoints on the hub: downloads the files that are read into huggingface_hub's cache."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats import adapter, hugging_face
from llama.formats.files import first_line

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")  # the first that exists is used
FIRST = ("config.json", adapter.CONFIG)
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    adapter.CONFIG,
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
SECONDS = 10  # timeout for the hub's first answer


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form OWNER/NAME."""
    return bool(HUB_ID.fullmatch(name)) and "--" not in name and ".." not in name


def fetch(name: str, revision: str | None, looked: str) -> Path:
    """The cache folder of a repository; missing files are downloaded.

    If the hub is offline (HF_HUB_OFFLINE) or unreachable, the cached files are used.

    Args:
        name: OWNER/NAME.
        revision: Branch, tag or commit; None: main.
        looked: Which folders were searched, for messages.

    Raises:
        CheckpointError: The hub has no such model or denies access, or it is unreachable and nothing is cached.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise CheckpointError(
            f"`ckpt_dir` {name}: {looked}; the hub needs the package huggingface-hub: pip install huggingface-hub"
        ) from None

    def get(file: str) -> Path:
        if file in FIRST:  # by the name of the revision, which the cache needs when the hub is unreachable
            huggingface_hub.hf_hub_download(name, file, revision=revision)
        return Path(huggingface_hub.hf_hub_download(name, file, revision=commit))

    at = f" at revision {revision}" if revision else ""
    try:
        info = huggingface_hub.HfApi().model_info(name, revision=revision, timeout=SECONDS)
        commit = info.sha  # all files of the same commit
        return fetch_files({file.rfilename for file in info.siblings or []}, get)
    except errors.GatedRepoError:
        reason = "the model is gated: accept the terms on its page, then run `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "no such model; if it is private, run `hf auth login`"
    except errors.RevisionNotFoundError:
        reason = "no such revision (`revision`)"
    except CheckpointError as error:
        reason = str(error)
    except Exception as error:  # network errors have many types
        folder = cached(name, revision)
        if folder is not None:
            return folder
        reason = f"unreachable, and nothing is cached ({first_line(error)})"
    raise CheckpointError(f"`ckpt_dir` {name}: {looked}; the hub{at}: {reason}")


def fetch_files(files: Collection[str], get: Callable[[str], Path]) -> Path:
    """Download the files of a repository that are read, and return their folder.

    Args:
        files: The names of all its files.
        get: Downloads one of them.

    Raises:
        CheckpointError: It contains neither a model nor an adapter.
    """
    wanted = [file for file in SMALL_FILES if file in files]
    wanted += [file for file in TOKENIZER_FILES if file in files][:1]
    weights = next((file for file in hugging_face.WEIGHT_FILES if {file, f"{file}.index.json"} & set(files)), None)
    if weights in files:
        wanted.append(weights)
    elif weights:
        index = get(f"{weights}.index.json")
        wanted += hugging_face.shard_names(index)
    else:
        wanted += [file for file in adapter.WEIGHT_FILES if file in files][:1]
    if not set(FIRST) & set(wanted):
        raise CheckpointError(f"it has neither config.json nor {adapter.CONFIG}")
    folders = {get(file).parent for file in wanted}
    return folders.pop()


def is_cached(name: str) -> bool:
    """Whether any revision of OWNER/NAME is in the cache."""
    if not is_hub_id(name):
        return False
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    return Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}").is_dir()


def cached(name: str, revision: str | None) -> Path | None:
    """The cache folder of a revision; None if it is not cached."""
    import huggingface_hub

    for file in FIRST:
        path = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
        if isinstance(path, str):
            return Path(path).parent
    return None
