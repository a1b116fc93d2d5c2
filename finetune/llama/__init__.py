"""LLaMA with LoRA as a classifier of page blocks."""
