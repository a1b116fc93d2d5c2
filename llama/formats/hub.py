"""Checkpoints on the hub, kept in huggingface_hub's cache. Only the files that are read are fetched."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats import adapter, hugging_face
from llama.formats.files import first_line

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")  # the first that is there
FIRST = ("config.json", adapter.CONFIG)
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    adapter.CONFIG,
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
SECONDS = 10  # for the hub's first answer


def is_hub_id(name: str) -> bool:
    """Whether `name` can be OWNER/NAME."""
    return bool(HUB_ID.fullmatch(name)) and "--" not in name and ".." not in name


def fetch(name: str, revision: str | None, looked: str) -> Path:
    """The folder in the cache that holds what is read of a repository; fetched where it is not there yet.

    Where the hub is not to be asked (HF_HUB_OFFLINE) or not reached, what is in the cache is taken.

    Args:
        name: OWNER/NAME.
        revision: Branch, tag or commit; None: main.
        looked: Where else it was looked for, for messages.

    Raises:
        CheckpointError: The hub has no such model or does not let us, or is not reached and nothing is in the cache.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise CheckpointError(
            f"`ckpt_dir` {name}: {looked}; to take it from the hub, the package huggingface-hub is needed:"
            " pip install huggingface-hub"
        ) from None

    def get(file: str) -> Path:
        if file in FIRST:  # by the name of the revision, so that the cache knows it when the hub is not reached
            huggingface_hub.hf_hub_download(name, file, revision=revision)
        return Path(huggingface_hub.hf_hub_download(name, file, revision=commit))

    at = f" at revision {revision}" if revision else ""
    try:
        found = huggingface_hub.HfApi().model_info(name, revision=revision, timeout=SECONDS)
        commit = found.sha  # all files of one commit, whatever is pushed meanwhile
        return fetch_files({file.rfilename for file in found.siblings or []}, get)
    except errors.GatedRepoError:
        reason = "its owner lets nobody in without asking: accept the terms on its page, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "it has no such model, or a private one: `hf auth login`"
    except errors.RevisionNotFoundError:
        reason = "it has no such revision (`revision`)"
    except CheckpointError as error:
        reason = str(error)
    except Exception as error:  # whatever the network leads it to
        folder = cached(name, revision)
        if folder is not None:
            return folder
        reason = f"is not reached, and nothing is in its cache ({first_line(error)})"
    raise CheckpointError(f"`ckpt_dir` {name}: {looked}; the hub{at}: {reason}")


def fetch_files(files: Collection[str], get: Callable[[str], Path]) -> Path:
    """Fetch of a repository what is read, and give its folder.

    Args:
        files: What it has.
        get: Fetches one of them.
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
    """Whether something of OWNER/NAME is in the cache, at whatever revision."""
    if not is_hub_id(name):
        return False
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    return Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}").is_dir()


def cached(name: str, revision: str | None) -> Path | None:
    """The folder in the cache, if it is there."""
    import huggingface_hub

    for file in FIRST:
        found = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None
