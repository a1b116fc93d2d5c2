"""LLaMA and its relatives: the model, its checkpoints, scoring and generation.

model.py        token ids -> hidden states -> logits
formats/        what lies on the disk or on the hub -> shape, tokenizer, weights by Meta's names
checkpoint.py   a checkpoint of any format, checked and cut to the ranks
tokenizer.py    text <-> token ids, by one of tokenizers/
scoring.py      requests -> log-probabilities
generation.py   contexts -> new tokens
llama.py        all of them together: `load`, `LLaMA`
parallel.py     processes and devices
"""

from llama.checkpoint import open_checkpoint
from llama.errors import CheckpointError
from llama.llama import LLaMA, load
from llama.model import Transformer
from llama.params import ModelArgs
from llama.scoring import Request
from llama.tokenizer import Tokenizer

__all__ = ["CheckpointError", "LLaMA", "ModelArgs", "Request", "Tokenizer", "Transformer", "load", "open_checkpoint"]
