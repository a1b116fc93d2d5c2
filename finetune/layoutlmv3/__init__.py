"""LayoutLMv3 as a classifier of words or blocks."""
