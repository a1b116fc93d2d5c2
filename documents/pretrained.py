"""Opens the model of `--model` with transformers; errors are one line."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import transformers
from transformers import AutoConfig, PretrainedConfig

from preprocess.errors import InputError, first_line
from preprocess.files import read_json
from preprocess.sources import HUB_ID

RANDOM = "random"
LICENCE = "cc-by-nc-sa-4.0"  # of LayoutLMv3's published weights
LICENCE_NOTE = "The published weights of LayoutLMv3 are CC BY-NC-SA 4.0: not for commercial use."
SETTINGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")


def model_name(model: str) -> str:
    """The name of a model in results: the last part of its hub id or path, or the name of its run folder."""
    path = Path(model)
    in_run = path.is_dir() and (path.resolve().parent / "configuration.json").is_file()
    return path.resolve().parent.name if in_run else path.name


def read_config(model: str, kind: str, flag: str = "--model") -> PretrainedConfig:
    """The configuration of a hub id or of a folder in transformers' format.

    Args:
        kind: llama, layoutlmv3, ...
        flag: The flag that named it, for messages.

    Raises:
        InputError: The model is missing, damaged, of another kind, or needs its own code.
    """
    if not Path(model).is_dir() and not HUB_ID.fullmatch(model):
        raise InputError(f"{model}: neither a folder nor an id of the hub ({flag})")
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
        raise InputError(f"{model}: no config.json in it ({flag})")
    refuse_code(model, flag)
    with one_line(model, flag):
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    if config.model_type != kind:
        raise InputError(f"{flag} {model}: is a {config.model_type}, expected a {kind}")
    return config


def refuse_code(model: str, flag: str = "--model") -> None:
    """Refuse models with their own code, which is never run.

    Raises:
        InputError: A configuration file names Python files (auto_map).
    """
    if Path(model).is_dir():
        files = [path for path in (Path(model) / name for name in SETTINGS) if path.is_file()]
        settings = {path.name: read_json(path, flag) for path in files}
    else:
        with one_line(model, flag):
            settings = {"config.json": PretrainedConfig.get_config_dict(model)[0]}
    for name, content in settings.items():
        if isinstance(content, dict) and "auto_map" in content:
            raise InputError(
                f"{flag} {model}: {name} names Python code (auto_map), which is never run;"
                " expected a model that transformers supports"
            )


def labels_of(config: PretrainedConfig, architecture: str) -> list[str] | None:
    """The labels of a token classifier, in the order of its outputs; None for other models."""
    if architecture not in (config.architectures or []):
        return None
    return [config.id2label[number] for number in sorted(config.id2label)]


def is_classifier(model: str, config: PretrainedConfig, architecture: str, label_words: Sequence[str]) -> bool:
    """Whether a model is already a token classifier.

    Raises:
        InputError: It is one with other labels, or in another order.
    """
    labels = labels_of(config, architecture)
    if labels is not None and labels != list(label_words):
        raise InputError(f"--model {model}: classifies {', '.join(labels)}; the data set has {', '.join(label_words)}")
    return labels is not None


def check_weights(model: str, missing: Iterable[str], head: str, flag: str = "--model") -> None:
    """Check that only weights of the head are missing, which transformers initializes at random.

    Args:
        missing: Names of the missing weights.
        head: Prefix of the head's weights; empty if the head is required too.

    Raises:
        InputError: Other weights are missing.
    """
    lost = sorted(name for name in missing if not (head and name.startswith(head)))
    if lost:
        raise InputError(f"{flag} {model}: {len(lost)} weights are missing, such as {lost[0]}")


def label_options(label_words: Sequence[str]) -> dict[str, dict]:
    """The labels of a classifier, as entries of a configuration."""
    return {"id2label": dict(enumerate(label_words)), "label2id": {word: n for n, word in enumerate(label_words)}}


@contextmanager
def one_line(model: str, flag: str = "--model") -> Iterator[None]:
    """Silence transformers' notices, such as on a missing head, and report its errors in one line."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    except Exception as error:  # many types for damaged files
        raise InputError(f"{flag} {model}: transformers cannot load it: {first_line(error)}") from None
    finally:
        transformers.logging.set_verbosity(verbosity)
