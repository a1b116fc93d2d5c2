"""Tokenizer backends, one file for each kind; other code uses `llama.tokenizer.Tokenizer`.

backend.py         the interface, and what the kinds share
kinds.py           detects the kind of a file, and opens it
sentencepiece.py   LLaMA 1 and 2, Mistral
tiktoken.py        Llama 3 in Meta's files
hugging_face.py    tokenizer.json
"""
