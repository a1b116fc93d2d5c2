"""What `--model` names, opened by transformers: with one line for whatever is wrong with it."""

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


def read_config(model: str, kind: str, flag: str = "--model") -> PretrainedConfig:
    """The configuration of a hub id or of a folder in transformers' form.

    Args:
        kind: llama, layoutlmv3, ...
        flag: That named it, for messages.

    Raises:
        InputError: Not there, damaged, another kind of model, or one that is made by code of its own.
    """
    if not Path(model).is_dir() and not HUB_ID.fullmatch(model):
        raise InputError(f"{model}: no such folder, and no id of the hub ({flag})")
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
        raise InputError(f"{model}: no config.json in it ({flag})")
    refuse_code(model, flag)
    with one_line(model, flag):
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    if config.model_type != kind:
        raise InputError(f"{flag} {model}: is a {config.model_type}, expected a {kind}")
    return config


def refuse_code(model: str, flag: str = "--model") -> None:
    """Nothing of a model is ever run. Without its code it would be another model, so it is refused.

    Raises:
        InputError: A file of its settings names Python files (auto_map).
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
                f"{flag} {model}: {name} names Python code of its own (auto_map); no code of a model is run:"
                " expected one that transformers knows by itself"
            )


def labels_of(config: PretrainedConfig, architecture: str) -> list[str] | None:
    """The labels of a model that classifies tokens already, in the order of its outputs; None of another one."""
    if architecture not in (config.architectures or []):
        return None
    return [config.id2label[number] for number in sorted(config.id2label)]


def is_classifier(model: str, config: PretrainedConfig, architecture: str, label_words: Sequence[str]) -> bool:
    """Whether a model classifies tokens already.

    Raises:
        InputError: It does, under other labels or in another order.
    """
    found = labels_of(config, architecture)
    if found is not None and found != list(label_words):
        raise InputError(f"--model {model}: classifies {', '.join(found)}; the data have {', '.join(label_words)}")
    return found is not None


def check_weights(model: str, missing: Iterable[str], head: str, flag: str = "--model") -> None:
    """transformers fills what a file lacks with random numbers: only the head may be new.

    Args:
        missing: Names of weights.
        head: What those of the head begin with; empty where the head must be there too.

    Raises:
        InputError: Others are missing.
    """
    lost = sorted(name for name in missing if not (head and name.startswith(head)))
    if lost:
        raise InputError(f"{flag} {model}: {len(lost)} weights are not there, such as {lost[0]}")


def label_options(label_words: Sequence[str]) -> dict[str, dict]:
    """The labels of a classifier, as a configuration holds them."""
    return {"id2label": dict(enumerate(label_words)), "label2id": {word: n for n, word in enumerate(label_words)}}


@contextmanager
def one_line(model: str, flag: str = "--model") -> Iterator[None]:
    """transformers without its remarks, such as on a head that is not there, and with errors of one line."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    except Exception as error:  # it raises whatever a damaged file leads it to
        raise InputError(f"{flag} {model}: transformers cannot load it: {first_line(error)}") from None
    finally:
        transformers.logging.set_verbosity(verbosity)
