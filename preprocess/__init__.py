"""Data sets to prompt files. No torch here: preprocessing runs where no model does.

sources.py          where rows come from: hub, folder, file
ag_news.py          AG News -> examples
doclaynet.py        pages -> blocks -> examples, with docbank.py and blocks.py
demonstrations.py   which examples a prompt shows
prompts.py          the templates, and the prompt file: written here, read by evaluation
build.py            examples -> prompt file, meta file, summary
files.py            JSON, read with clear errors, written whole
"""

from preprocess.errors import InputError
from preprocess.prompts import Example, Prompt, read_prompts

__all__ = ["Example", "InputError", "Prompt", "read_prompts"]
