"""What turns text into ids and back, one file a kind; `llama.tokenizer.Tokenizer` is what the rest of the code uses.

backend.py         what a kind offers, and which one a file is of
sentencepiece.py   LLaMA 1 and 2, Mistral
tiktoken.py        Llama 3 in Meta's files
hugging_face.py    tokenizer.json
"""
