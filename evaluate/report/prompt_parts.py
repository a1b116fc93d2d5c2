"""Parts of a prompt: the instruction, each demonstration, and the example itself."""

from collections.abc import Mapping
from typing import Any

from llama.templates import LABEL_WORD, TEXT

INSTRUCTION, DEMONSTRATION, OWN = "instruction", "demonstration", "own"


def split_prompt(prompt: str, meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and text of each part, in order; the texts joined are the prompt. Without a template, or if the prompt does
    not match it, the prompt is one part.

    Args:
        meta: Meta file of the prompts: `template` is the prompt without demonstrations, `demonstrations` their ids.
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
    """The last lines of the template that end the prompt while the lines before them begin it; None if there are none.
    The lines before are the instruction."""
    lines = template.splitlines(keepends=True)
    for begin in range(len(lines)):
        before, own = "".join(lines[:begin]), "".join(lines[begin:])
        if prompt.startswith(before) and prompt.endswith(own) and len(prompt) >= len(template):
            return own if TEXT in own or LABEL_WORD in own else None
    return None


def split_demonstrations(shown: str, own: str, count: int) -> list[str]:
    """Demonstrations begin like the example itself. They stay in one piece if that does not give `count` of them."""
    field = max((TEXT, LABEL_WORD), key=own.rfind)
    head = own.rpartition(field)[0]
    if not head or not shown.startswith(head):
        return [shown]
    first, *others = shown.split("\n" + head)
    pieces = [first, *(head + other for other in others)]
    pieces = [piece + "\n" * (number < len(others)) for number, piece in enumerate(pieces)]
    return pieces if len(pieces) == count else [shown]
