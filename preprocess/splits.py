"""Which files of a folder are a split. A split has one source; where its name does not tell which, nothing is read.

A source in the folder itself goes before those in folders below.

test.csv  data/test.jsonl.gz                   a file of its name
test/0000.parquet  default/test/0000.parquet   a folder of its name, with all files in it
data/test-00000-of-00003.parquet               a set of shards, complete
ag_news_test.csv                               where none of these is there: what ends in its name, if it is the one
"""

import re
from collections.abc import Sequence
from pathlib import Path

from preprocess.errors import InputError

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
COMPRESSED = (".csv", ".tsv", ".json", ".jsonl")  # these may end in .gz as well
SAVED_SPLITS, SAVED = "dataset_dict.json", "state.json"  # in a folder that `save_to_disk` of `datasets` wrote
ABOUT = (SAVED_SPLITS, SAVED, "dataset_info.json", "dataset_infos.json")  # JSON that holds no rows
SHARD = re.compile(r"(?:(.*)-)?([0-9]+)-of-([0-9]+)(?:-[0-9a-f]{8,})?")  # the hub once added a hash
SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")  # a table of such a name is no part of another
DEPTH = 3  # default/test/0000.parquet
SHOWN = 12  # names in a message


def kind_of(path: Path) -> str:
    """`.csv`, `.jsonl` ... of a table, compressed or not; empty where it is none."""
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    ending = next((ending for ending in TABLES if plain.endswith(ending)), "")
    return ending if name == plain or ending in COMPRESSED else ""


def stem_of(path: Path) -> str:
    """The name of a table without its ending, in lower case."""
    return path.name.lower().removesuffix(".gz").removesuffix(kind_of(path))


def split_files(folder: Path, split: str, flag: str = "--dataset_path") -> tuple[Path, ...]:
    """The files of a split, in their order; none where the folder has no such split.

    Raises:
        InputError: Several sources have its name; none has, and others may be meant; a shard is missing.
    """
    exact, near = find_sources(folder, split.lower())
    names = nearest(exact) or sorted(near)
    if len(names) == 1 and (exact or says_it_last(near[names[0]][0], split.lower())):
        files = tuple(sorted((exact or near)[names[0]]))
        check_complete(names[0], files, flag)
        return files
    if names:
        reason = "more than one is called so" if exact else "none is called so, but"
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise InputError(
            f"{folder}: which is the split {split}? {reason}: {shown}; name the one that is meant ({flag})"
        )
    return ()


Sources = dict[str, list[Path]]  # what a source is called in messages -> its files


def find_sources(folder: Path, split: str) -> tuple[Sources, Sources]:
    """Sources that are called as a split, and those that have its name as a part of theirs."""
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
    """The names of those that lie the least deep; a folder of files lies where the folder does."""
    depths = {name: name.count("/") - name.rpartition("/")[2].startswith("*") for name in sources}
    return sorted(name for name, depth in depths.items() if depth == min(depths.values()))


def has_word(name: str, word: str) -> bool:
    return re.search(rf"(^|[^a-z]){re.escape(word)}([^a-z]|$)", name) is not None


def says_it_last(path: Path, split: str) -> bool:
    """Whether a table ends in the name of the split: what stands before names the data set, what follows a variant."""
    shard = SHARD.fullmatch(stem_of(path))
    return re.search(rf"[^a-z]{re.escape(split)}$", shard[1] or "" if shard else stem_of(path)) is not None


def split_names(folder: Path) -> list[str]:
    """What the tables of a folder are called, or the splits that were saved there, for a message."""
    found = {path.parent.name for path in folder.glob(f"*/{SAVED}")}
    for path in find_tables(folder):
        shard = SHARD.fullmatch(stem_of(path))
        own = (shard[1] or "") if shard else stem_of(path)
        found.add(path.parent.name if path.parent != folder and (not own or own.isdecimal()) else own or path.name)
    return sorted(found)


def find_tables(folder: Path) -> list[Path]:
    """The tables in a folder and below it, those aside that are hidden."""
    found, level = [], [folder]
    for _ in range(DEPTH):
        inside = sorted(path for each in level for path in each.iterdir() if not path.name.startswith("."))
        found += [path for path in inside if kind_of(path) and path.name not in ABOUT and path.is_file()]
        level = [path for path in inside if path.is_dir()]
    return found


def check_complete(name: str, files: Sequence[Path], flag: str) -> None:
    """Raises InputError where a shard is missing: `of-00003` says how many there are, a gap in numbers shows one."""
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
        what = f"shard {missing[0]} is missing" if missing else "its shards do not belong together"
        raise InputError(f"{files[0].parent}: {what}: {name} has {len(numbers)} of {count} files ({flag})")
