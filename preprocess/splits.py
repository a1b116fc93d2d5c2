"""Finds the files of a split in a folder. A split has one source; ambiguous names are errors.

Sources in the folder itself take precedence over those in subfolders.

test.csv  data/test.jsonl.gz                   a file with its name
test/0000.parquet  default/test/0000.parquet   a folder with its name, with all files in it
data/test-00000-of-00003.parquet               a complete set of shards
ag_news_test.csv                               without any of these: a file whose name ends in it, if there is only one
"""

import re
from collections.abc import Sequence
from pathlib import Path

from preprocess.errors import InputError

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
COMPRESSED = (".csv", ".tsv", ".json", ".jsonl")  # these may also end in .gz
SAVED_SPLITS, SAVED = "dataset_dict.json", "state.json"  # written by `save_to_disk` of `datasets`
ABOUT = (SAVED_SPLITS, SAVED, "dataset_info.json", "dataset_infos.json")  # JSON files without rows
SHARD = re.compile(r"(?:(.*)-)?([0-9]+)-of-([0-9]+)(?:-[0-9a-f]{8,})?")  # the hub used to add a hash
SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")  # a table with such a name is its own split
DEPTH = 3  # levels that are searched, as in default/test/0000.parquet
SHOWN = 12  # maximum number of names in a message


def kind_of(path: Path) -> str:
    """The extension of a table (`.csv`, `.jsonl` ...), without .gz; empty if the file is not a table."""
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    ending = next((ending for ending in TABLES if plain.endswith(ending)), "")
    return ending if name == plain or ending in COMPRESSED else ""


def stem_of(path: Path) -> str:
    """The name of a table without its extension, in lower case."""
    return path.name.lower().removesuffix(".gz").removesuffix(kind_of(path))


def split_files(folder: Path, split: str, flag: str = "--dataset_path") -> tuple[Path, ...]:
    """The files of a split, in order; empty if the folder has no such split.

    Raises:
        InputError: Several sources match, only similar names exist, or a shard is missing.
    """
    exact, near = find_sources(folder, split.lower())
    names = nearest(exact) or sorted(near)
    if len(names) == 1 and (exact or ends_in_split(near[names[0]][0], split.lower())):
        files = tuple(sorted((exact or near)[names[0]]))
        check_complete(names[0], files, flag)
        return files
    if names:
        reason = "several files match" if exact else "only similar names exist"
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise InputError(f"{folder}: ambiguous split {split}: {reason}: {shown}; give the path of one ({flag})")
    return ()


Sources = dict[str, list[Path]]  # name of a source in messages -> its files


def find_sources(folder: Path, split: str) -> tuple[Sources, Sources]:
    """Sources with exactly the name of a split, and sources whose name contains it."""
    exact: Sources = {}
    near: Sources = {}
    for path in find_tables(folder):
        stem, where = stem_of(path), path.parent.relative_to(folder)
        ending = path.name[len(stem) :]
        inside = "" if path.parent == folder else path.parent.name.lower()
        shard = SHARD.fullmatch(stem)
        own = (shard[1] or "") if shard else stem
        name = str(where / f"{own}-*-of-{shard[3]}{ending}") if shard else str(where / path.name)
        if inside == split and own not in set(SPLITS) - {split}:
            exact.setdefault(f"{where}/*{ending}", []).append(path)
        elif own == split:
            exact.setdefault(name, []).append(path)
        elif has_word(own, split) or (has_word(inside, split) and own not in SPLITS):
            near.setdefault(name, []).append(path)
    return exact, near


def nearest(sources: Sources) -> list[str]:
    """The names of the sources at the smallest depth; a folder of files has the depth of the folder."""
    depths = {name: name.count("/") - name.rpartition("/")[2].startswith("*") for name in sources}
    return sorted(name for name, depth in depths.items() if depth == min(depths.values()))


def has_word(name: str, word: str) -> bool:
    """Whether a name contains a word, delimited by other characters than letters."""
    return re.search(rf"(^|[^a-z]){re.escape(word)}([^a-z]|$)", name) is not None


def ends_in_split(path: Path, split: str) -> bool:
    """Whether the name of a table ends in the split: a prefix names the data set, but a suffix names a variant."""
    shard = SHARD.fullmatch(stem_of(path))
    return re.search(rf"[^a-z]{re.escape(split)}$", shard[1] or "" if shard else stem_of(path)) is not None


def split_names(folder: Path) -> list[str]:
    """The names of the tables or saved splits in a folder, for messages."""
    names = {path.parent.name for path in folder.glob(f"*/{SAVED}")}
    for path in find_tables(folder):
        shard = SHARD.fullmatch(stem_of(path))
        own = (shard[1] or "") if shard else stem_of(path)
        names.add(path.parent.name if path.parent != folder and (not own or own.isdecimal()) else own or path.name)
    return sorted(names)


def find_tables(folder: Path) -> list[Path]:
    """The tables in a folder and its subfolders, except hidden ones."""
    tables, level = [], [folder]
    for _ in range(DEPTH):
        inside = sorted(path for each in level for path in each.iterdir() if not path.name.startswith("."))
        tables += [path for path in inside if kind_of(path) and path.name not in ABOUT and path.is_file()]
        level = [path for path in inside if path.is_dir()]
    return tables


def check_complete(name: str, files: Sequence[Path], flag: str) -> None:
    """Raises InputError if a shard is missing, by the total in `of-00003` or by a gap in the numbers."""
    stems = [stem_of(path) for path in files]
    shards = [SHARD.fullmatch(stem) for stem in stems]
    if all(shards):
        numbers, totals = [int(shard[2]) for shard in shards], {int(shard[3]) for shard in shards}
        first, count = int(max(totals) in numbers), max(totals)  # some count from 1
    elif all(stem.isdecimal() for stem in stems):
        numbers, totals = [int(stem) for stem in stems], set()
        first = min(*numbers, 1)
        count = max(numbers) - first + 1
    else:
        return
    missing = sorted(set(range(first, first + count)) - set(numbers))
    if missing or len(totals) > 1 or len(numbers) != count:
        what = f"shard {missing[0]} is missing" if missing else "the shards do not match"
        raise InputError(f"{files[0].parent}: {what}: {name} has {len(numbers)} of {count} files ({flag})")
