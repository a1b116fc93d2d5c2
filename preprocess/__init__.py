"""Data sets to prompt files. No torch here: preprocessing runs where no model does.

docs/architecture.md has the map.
"""

from preprocess.errors import InputError
from preprocess.prompts import Example, Prompt, read_prompts

__all__ = ["Example", "InputError", "Prompt", "read_prompts"]
