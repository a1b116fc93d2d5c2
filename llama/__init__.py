"""LLaMA and its relatives: models, their checkpoints, scoring, generation and classification.

    from llama import load

The names below are imported on first use, so that preprocessing can import `llama.templates` without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama.checkpoint import open_checkpoint
    from llama.errors import CheckpointError
    from llama.llama import LLaMA, load
    from llama.model import Transformer
    from llama.params import ModelArgs
    from llama.scoring import Request
    from llama.tokenizer import Tokenizer

__all__ = ["CheckpointError", "LLaMA", "ModelArgs", "Request", "Tokenizer", "Transformer", "load", "open_checkpoint"]

MODULES = {
    "CheckpointError": "errors",
    "LLaMA": "llama",
    "ModelArgs": "params",
    "Request": "scoring",
    "Tokenizer": "tokenizer",
    "Transformer": "model",
    "load": "llama",
    "open_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module 'llama' has no attribute {name!r}")
    return getattr(import_module(f"llama.{MODULES[name]}"), name)
