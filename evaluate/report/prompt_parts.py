"""A prompt taken apart: the instruction, each of its demonstrations, and what is asked."""

from collections.abc import Mapping
from typing import Any

from llama.templates import LABEL_WORD, TEXT

INSTRUCTION, DEMONSTRATION, OWN = "instruction", "demonstration", "own"


def split_prompt(prompt: str, meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kinds and texts, in their order; together they are the prompt. Where the meta file does not tell the template,
    or another was used, all of it is its own.

    Args:
        meta: Of the prompt file: `template` is the prompt without demonstrations, `demonstrations` their ids.
    """
    template = (meta.get("template") or {}).get("prompt")
    if not isinstance(template, str):
        return [(OWN, prompt)]
    own = own_part(prompt, template)
    if own is None:
        return [(OWN, prompt)]
    instruction = template.removesuffix(own)
    shown = prompt.removeprefix(instruction).removesuffix(own)
    pieces = split_demonstrations(shown, own, len(meta.get("demonstrations") or ()))
    parts = [(INSTRUCTION, instruction), *((DEMONSTRATION, piece) for piece in pieces), (OWN, own)]
    return [(kind, text) for kind, text in parts if text]


def own_part(prompt: str, template: str) -> str | None:
    """The longest end of the template, in whole lines, after which the rest of it stands at the beginning of the
    prompt; None where there is none."""
    lines = template.splitlines(keepends=True)
    for begin in range(len(lines)):
        before, own = "".join(lines[:begin]), "".join(lines[begin:])
        if prompt.startswith(before) and prompt.endswith(own) and len(prompt) >= len(template):
            return own if TEXT in own or LABEL_WORD in own else None
    return None


def split_demonstrations(shown: str, own: str, count: int) -> list[str]:
    """Each begins as the example itself does; all in one piece where that gives another number than `count`."""
    field = max((TEXT, LABEL_WORD), key=own.rfind)
    head = own.rpartition(field)[0]
    if not head or not shown.startswith(head):
        return [shown]
    first, *others = shown.split("\n" + head)
    pieces = [first, *(head + other for other in others)]
    pieces = [piece + "\n" * (number < len(others)) for number, piece in enumerate(pieces)]
    return pieces if len(pieces) == count else [shown]
