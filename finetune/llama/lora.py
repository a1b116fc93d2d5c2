"""LoRA (Hu et al. 2021) on the projections of a token classifier."""

from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import PreTrainedModel

from preprocess.errors import InputError

RANKS = 2**16  # more than any projection has
EVERY_PROJECTION = "all-linear"


@dataclass(frozen=True)
class LoraOptions:
    """The adapter.

    Args:
        lora_r: Rank of the adapter.
        lora_alpha: The adapter is scaled by lora_alpha / lora_r.
        lora_dropout: Dropout of the adapter's input.
        lora_modules: Comma-separated names of the adapted projections, or all-linear.
    """

    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.1
    lora_modules: str = "q_proj,v_proj"

    def __post_init__(self) -> None:
        for flag, most in (("lora_r", RANKS), ("lora_alpha", 10**9)):
            if not 1 <= getattr(self, flag) <= most:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 to {most}")
        if not 0 <= self.lora_dropout < 1:
            raise InputError(f"--lora_dropout {self.lora_dropout}: expected 0 or more and less than 1")


def with_adapter(model: PreTrainedModel, options: LoraOptions) -> PeftModel:
    """The model with a new adapter. Only adapter and classifier are trained, in float32.

    Raises:
        InputError: `--lora_modules` contains an unknown name.
    """
    everything = options.lora_modules == EVERY_PROJECTION
    modules = options.lora_modules if everything else [name.strip() for name in options.lora_modules.split(",")]
    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    if not everything and not set(modules) <= linear - {"score"}:
        raise InputError(
            f"--lora_modules {options.lora_modules}: expected some of {', '.join(sorted(linear - {'score'}))}"
        )
    config = LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=modules,
        exclude_modules=["score"] if everything else None,
        modules_to_save=["score"],
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted
