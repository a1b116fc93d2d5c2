"""Encodes the prepared prompts of one method, in a process of its own, so that all methods are encoded at once.

    python encode.py FOLDER METHOD EXAMPLES WORK

It writes WORK/METHOD.json: a workload without shape and device, with the number of distinct tokens and positions.
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import gzip
import json

from limit import count_work
from workload import Setting, workload_of

from preprocess.prompts import read_prompts

KEPT = ("method", "requests", "words", "tokenizer_path", "eos_id", "max_gen_len", "max_seq_len")


def main() -> None:
    folder, method, examples, work = sys.argv[1:]
    kind = "channel" if method == "channel" else "direct"
    path = Path(work) / f"inputs_{method}.json"
    path.write_bytes(gzip.decompress((Path(folder) / f"data/inputs_{kind}.json.gz").read_bytes()))
    prompts = read_prompts(path, kind)
    prompts = prompts[: int(examples) or len(prompts)]
    workload = workload_of(Setting(method, data=str(Path(folder) / "data")), prompts, path, 0)
    done = count_work(workload["requests"])
    found = {key: workload[key] for key in KEPT} | {"tokens": done.tokens, "positions": done.positions}
    (Path(work) / f"{method}.json").write_text(json.dumps(found))


main()
