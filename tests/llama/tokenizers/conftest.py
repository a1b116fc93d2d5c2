"""Texts to encode: real ones, and difficult ones."""

import csv
from pathlib import Path

import pytest

NASTY = [
    "",
    " ",
    "\n",
    "null\x00 bell\x07 escape\x1b[31m delete\x7f\ufffe \x1c\x1d",
    "👩‍👩‍👧‍👦 🇫🇷🏴‍☠️ e\u0301 \U0010ffff \u200d\ufe0f",
    " " * 50_000,
    "a" + " " * 50_000 + "b",
    "\n" * 3_000 + "\t" * 3_000,
    "x" * 30_000,
    "שלום \u202eمرحبا\u202c עולם ١٢٣",
    "<|begin_of_text|><|eot_id|> <|end_of_text|> <|im_start|>user<|im_end|> <|endoftext|>",
    "<s></s> <unk> [INST] <0x0A> <pad> ▁ Ġ Ċ",
    "12345678901234567890 3.14159 1,000,000 ①②③ Ⅷ ½",
    "'s 'S 'LL don't DON'T l'eau ’s",
    "a\nnew line\n\n and\r\n\ttab\u2028\x0c\u3000全角\u00a0",
    " leading, two  spaces and   three, trailing ",
    "中文，日本語の文章。ไทย ខ្មែរ",
    "{text} {label_word} {} }{ {0!r} %s \\n",
]
SURROGATES = ["rain \ud83d stopped", "\udc00", "\ud83d\ude00 pair"]


@pytest.fixture(scope="session")
def texts(data: Path) -> list[str]:
    """2,000 real texts of AG News and of DocBank's pages, and the difficult ones."""
    with (data / "ag_news/test.csv").open(newline="") as file:
        news = [f"Article: {title} {description}\nCategory:" for _, title, description in list(csv.reader(file))[:1800]]
    pages = []
    for path in sorted((data / "docbank/txt").glob("*.txt"))[:100]:
        words = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        pages += [" ".join(words[:300]), "\n".join(words[300:500])]
    assert len(news + pages) == 2000
    return news + pages + NASTY
