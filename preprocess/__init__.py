"""Data sets to prompt files, without torch.

docs/architecture.md maps the modules.
"""

from preprocess.errors import InputError
from preprocess.prompts import Example, Prompt, read_prompts

__all__ = ["Example", "InputError", "Prompt", "read_prompts"]
