"""Labelled images to a data set: Label Studio's exports, regions, the words that OCR has found in them."""
