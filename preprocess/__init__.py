"""Data sets to prompt files. No torch here: preprocessing runs where no model does.

sources.py          where rows come from: hub, folder, file
splits.py           which files of a folder are a split
delimited.py        csv and tsv; records.py: json, jsonl, parquet; lines.py: encodings
definition.py       what a YAML file says of a data set, by nodes.py
labels.py           values of a label column -> label words
tables.py           rows with a text and a label -> examples
ag_news.py          the forms of AG News beyond its YAML file
doclaynet.py        pages -> blocks -> examples, with docbank.py and blocks.py
demonstrations.py   which examples a prompt shows
prompts.py          the templates, and the prompt file: written here, read by evaluation
build.py            examples -> prompt file, meta file, summary
files.py            JSON, read with clear errors, written whole
"""

from preprocess.errors import InputError
from preprocess.prompts import Example, Prompt, read_prompts

__all__ = ["Example", "InputError", "Prompt", "read_prompts"]
