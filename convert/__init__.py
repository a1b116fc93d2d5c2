"""Conversion of other programs' checkpoints to Hugging Face folders.

gguf.py         a file of llama.cpp -> a Hugging Face folder
metadata.py     the metadata of such a file -> transformers' configuration
tokenizer.py    the metadata of such a file -> tokenizer.json
smollm2.py      SmolLM2 from the package index
"""
