"""Annotated images -> a data set: Label Studio's exports, regions, and the words from OCR inside them."""
