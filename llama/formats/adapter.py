"""Adapters of peft (LoRA, Hu et al. 2021), merged into their base model weight by weight.

W + B A alpha / r        with A (r, in) and B (out, r)
"""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.formats.files import TensorFiles, read_json
from llama.formats.hugging_face import in_metas_order
from llama.formats.names import hugging_face_key
from llama.formats.weights import Part, Weights, part, span
from llama.params import ModelArgs, weight_shapes

CONFIG = "adapter_config.json"
WEIGHT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
PREFIX = "base_model.model."
NOT_MERGED = (  # options that change the model, if set
    "use_dora",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_qalora",
    "target_parameters",
    "ensure_weight_tying",
    "megatron_config",
    "velora_config",
    "monteclora_config",
)
PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # other initializations change the base


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json of an adapter that can be merged.

    Raises:
        CheckpointError: The adapter is not a LoRA, belongs to a classifier, or changes more than weights.
    """
    path = folder / CONFIG
    config = read_json(path, "a peft adapter needs it")
    advice = "merge it with peft (merge_and_unload), save the model, and use that folder"
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            f"{path}: peft_type {config.get('peft_type')!r} is not supported, expected LORA; {advice}"
        )
    if config.get("task_type") not in ("CAUSAL_LM", None):
        raise CheckpointError(
            f"{path}: task_type {config['task_type']!r} is a classifier, expected a language model (CAUSAL_LM)"
        )
    for key in NOT_MERGED:
        if config.get(key):
            raise CheckpointError(f"{path}: {key} is set, which is not supported; {advice}")
    if config.get("bias", "none") != "none":
        raise CheckpointError(f"{path}: bias {config['bias']!r} is not supported; {advice}")
    if config.get("init_lora_weights") not in PLAIN_STARTS:
        raise CheckpointError(f"{path}: init_lora_weights {config['init_lora_weights']!r} changes the base; {advice}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        raise CheckpointError(f"{path}: lora_alpha is {alpha!r}, expected a number")
    if not isinstance(config.get("base_model_name_or_path"), str):
        raise CheckpointError(f"{path}: base_model_name_or_path does not name the base model")
    return config


def find_adapter_weights(folder: Path) -> Path:
    """The adapter's weight file; CheckpointError if there is none."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"{folder}: contains {CONFIG}, but neither {' nor '.join(WEIGHT_FILES)}")


class AdaptedWeights:
    """The weights of a base model with an adapter added.

    Args:
        base: Weights of the base.
        args: Shape of the base.
        folder: Folder of the adapter.
        config: From `read_adapter_config`.

    Raises:
        CheckpointError: The adapter does not fit the base.
    """

    def __init__(self, base: Weights, args: ModelArgs, folder: Path, config: dict[str, Any]):
        self.base = base
        self.shards, self.dtype = base.shards, base.dtype
        self.path = find_adapter_weights(folder)
        self.tensors = TensorFiles([self.path]).tensors[0]
        self.paths = (*base.paths, self.path)
        self.config = config
        self.head_dim = args.head_dim
        shapes = weight_shapes(args) | {"output.weight": ((args.vocab_size, args.dim), 0)}
        self.key_of = {hugging_face_key(key): key for key in shapes}
        self.whole: dict[str, Tensor] = {}  # by Meta's key: weights that replace those of the base
        self.factors: dict[str, dict[str, Tensor]] = {}  # by Meta's key: A and B
        for name, tensor in self.tensors.items():
            self.add_tensor(name, tensor)
        self.args = self.adapted(args)
        shapes |= weight_shapes(self.args)
        for key, factors in self.factors.items():
            self.check(key, factors, shapes[key][0])

    def add_tensor(self, name: str, tensor: Tensor) -> None:
        """Store one tensor of the file in `whole` or `factors`."""
        inner = re.sub(r"\.(modules_to_save(\.default)?|base_layer)(?=\.weight$)", "", name.removeprefix(PREFIX))
        match = re.fullmatch(r"(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?", inner)
        if match:
            key = self.key_of.get(f"{match[1]}.weight")
            if key is not None:
                factor = tensor.T if match[2] else tensor  # those of an embedding are stored transposed
                side = {"A": "B", "B": "A"}[match[3]] if match[2] else match[3]
                self.factors.setdefault(key, {})[side] = factor
                return
        elif inner in self.key_of:
            self.whole[self.key_of[inner]] = tensor
            return
        elif inner.endswith(".original_module.weight"):  # the weight before training
            return
        raise CheckpointError(f"{self.path}: {name} belongs to no weight of the base")

    def check(self, key: str, factors: dict[str, Tensor], shape: tuple[int, ...]) -> None:
        """Raises CheckpointError if the factors do not fit the base's weight, which has `shape`."""
        missing = {"A", "B"} - factors.keys()
        if missing:
            raise CheckpointError(f"{self.path}: {hugging_face_key(key)} has no lora_{min(missing)}")
        product = (factors["B"].shape[0], factors["A"].shape[1])
        if product != shape or factors["A"].shape[0] != factors["B"].shape[1]:
            raise CheckpointError(
                f"{self.path}: {hugging_face_key(key)} fits a weight of shape {product}, but the base's has {shape}"
            )

    def adapted(self, args: ModelArgs) -> ModelArgs:
        """The shape of the merged model, which may have added tokens and an untied output."""
        ends = {"tok_embeddings.weight", "output.weight"}
        changed = ends & (self.whole.keys() | self.factors.keys())
        rows = {weight.shape[0] for key, weight in self.whole.items() if key in ends} or {args.vocab_size}
        fits = rows == {args.vocab_size} or (len(rows) == 1 and ends <= self.whole.keys())
        if not fits:
            raise CheckpointError(
                f"{self.path}: embedding and output have {' and '.join(map(str, sorted(rows)))} rows, those of the base"
                f" have {args.vocab_size}"
            )
        args = replace(args, vocab_size=rows.pop(), tied_output=args.tied_output and not changed)
        shapes = weight_shapes(args)
        for key, weight in self.whole.items():
            if tuple(weight.shape) != shapes[key][0]:
                raise CheckpointError(
                    f"{self.path}: {hugging_face_key(key)} has shape {tuple(weight.shape)}, expected {shapes[key][0]}"
                )
        return args

    def scaling(self, key: str, rank: int) -> float:
        """alpha / r of the weight with Meta's `key`, from the configuration as in peft."""
        module = hugging_face_key(key).removesuffix(".weight")
        alpha = self.config["lora_alpha"]
        for pattern, other in (self.config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = other
                break
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """See `llama.formats.weights.Weights`."""
        if key in self.whole:
            base = in_metas_order(part([self.whole[key]], 0, cut, rank, ranks), key, self.head_dim)
        else:
            base = self.base.read(key, cut, rank, ranks)
        if key not in self.factors:
            return base
        a, b = self.factors[key]["A"].float(), self.factors[key]["B"].float()
        if cut is not None:
            first, end = span((b.shape[0], a.shape[1])[cut], rank, ranks)
            a, b = (a[:, first:end], b) if cut else (a, b[first:end])
        change = (b @ a) * self.scaling(key, a.shape[0])
        rows = in_metas_order(Part([change]), key, self.head_dim).pieces[0].reshape(change.shape)
        merged = torch.empty_like(change)
        base.copy_to(merged)
        return Part([merged.add_(rows)])
