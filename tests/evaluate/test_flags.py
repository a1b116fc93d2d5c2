"""Every flag of the scripts that score or show results, alone and in pairs, on minimal data."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from options import parse
from evaluate import columns, table
from evaluate.calibration import METHODS, UNITS, CalibrateConfig, evaluate_direct_calibrate
from evaluate.comparison import CompareConfig, print_comparison
from evaluate.formats import FORMATS
from evaluate.generation import GenerateConfig, evaluate_generate
from evaluate.report.page import ReportConfig, write_report
from evaluate.scoring import ScoreConfig, evaluate_channel, evaluate_direct
from evaluate.sweep import SweepConfig, sweep
from evaluate.table import TableConfig, print_table
from tests.flags import Walk

ON_HUB = {"revision": "of a model on the hub: tests/llama/formats/test_hub.py"}
NEW = {"output_path": "{new}.json", "ckpt_dir": "tiny"}
RUN = {
    "output_path": ["{new}/x.json"],
    "ckpt_dir": ["tiny", "./tiny/"],
    "tokenizer_path": ["tiny/tokenizer.model"],
    "max_seq_len": [100, 160],
    "max_batch_size": [1, 3, 10**9],
    "max_batch_tokens": [1, 64, 10**9],
    "model_parallel_size": [1],
    "threads": [1, 2],
    "overwrite": [True, False],
}
DTYPES = ["auto", "float32", "bfloat16", "float16", *(["int8"] if find_spec("bitsandbytes") else [])]
DIRECT = Walk(
    "evaluate_direct_llama",
    ScoreConfig,
    evaluate_direct,
    NEW | {"data_path": "inputs_direct.json"},
    RUN | {"data_path": ["inputs_direct.json"], "dtype": DTYPES, "score_eos": [True, False]},
    elsewhere=ON_HUB,
)
CHANNEL = replace(
    DIRECT,
    script="evaluate_channel_llama",
    function=evaluate_channel,
    base=NEW | {"data_path": "inputs_channel.json"},
    values=DIRECT.values | {"data_path": ["inputs_channel.json"]},
)
GENERATE = Walk(
    "evaluate_generate_llama",
    GenerateConfig,
    evaluate_generate,
    NEW | {"data_path": "inputs_direct.json"},
    RUN
    | {
        "dtype": DTYPES,
        "temperature": [0, 0.8, 1e9],
        "top_p": [0, 0.95, 1],
        "max_gen_len": [1, 3],
        "stop": ["", "\\n", "###", '["a", "\\n"]'],
        "seed": [0, 2**63 - 1],
    },
    elsewhere=ON_HUB,
)
CALIBRATE = Walk(
    "evaluate_direct_calibrate_llama",
    CalibrateConfig,
    evaluate_direct_calibrate,
    NEW | {"direct_input_path": "inputs_direct.json", "direct_output_path": "outputs_direct.json"},
    RUN
    | {
        "direct_output_path": ["outputs_direct.json", "outputs_channel.json"],
        "method": METHODS,
        "content_free": ["content_free.json"],
        "premise": ["Category:"],
        "seed": [0, 2**63 - 1],
        "batch_mean": ["probability", "log"],
        "batch_examples": [0, 1, 10**9],
        "prior": ["uniform", "train", "prior.json"],
        "normalize": [*UNITS],
    },
    {"content_free": {"method": "contextual"}, "premise": {"method": "pmi"}, "batch_mean=log": {"method": "batch"}}
    | {f"seed={seed}": {"method": "domain"} for seed in (0, 2**63 - 1)}
    | {f"prior={prior}": {"method": "prior"} for prior in ("train", "prior.json")}
    | {f"batch_examples={count}": {"method": "batch"} for count in (1, 10**9)}
    | {"direct_output_path=outputs_channel.json": {"method": "batch", "direct_input_path": "inputs_channel.json"}}
    | {"method=none": {"normalize": "tokens"}},
    [("direct_output_path=outputs_channel.json", f"normalize={unit}") for unit in ("tokens", "characters")],
    ON_HUB,
)
TABLE = Walk(
    "results_table",
    TableConfig,
    print_table,
    {"paths": "others"},
    {
        "paths": ["others", "outputs_direct.json"],
        "format": [*FORMATS],
        "columns": ["all", *columns.COLUMNS, "k,method", table.DEFAULT],
        "draws": [True, False],
        "group_by": [*table.GROUPS, "dataset,k"],
        "sort": [*columns.COLUMNS],
    },
)
FEW = replace(
    TABLE, values=TABLE.values | {"columns": ["all", "k,method", "k"], "sort": ["dataset", "interval", "orders"]}
)
COMPARE = Walk(
    "compare_results",
    CompareConfig,
    print_comparison,
    {"paths": "others"},
    {"paths": ["others", "."], "format": [*FORMATS], "baseline": ["direct", "channel"]},
)
REPORT = Walk(
    "report",
    ReportConfig,
    write_report,
    {"paths": "others", "output": "{new}.html"},
    {"paths": ["others", "outputs_direct.json"], "output": ["{new}/x.html"]}
    | {"figures": ["{new}/figures"], "max_page_mb": [0, 0.5, 1e9]},
)
SWEEP = Walk(
    "sweep",
    SweepConfig,
    sweep,
    {"ckpt_dir": "tiny", "output_dir": "{new}", "dataset_path": "news", "limit": "2", "seed": "1"}
    | {"methods": "direct", "max_seq_len": "160"},
    {flag: values for flag, values in RUN.items() if flag not in ("output_path", "max_seq_len")}
    | {
        "dataset": ["ag_news", "doclaynet", "films.yaml"],
        "methods": ["direct", "calibrated", "channel", "generate", "generate,direct", "calibrated,channel_calibrated"],
        "calibrations": ["contextual", "pmi,domain,tokens", "characters,prior,batch"],
        "k": ["0", "1", "1,0"],
        "seed": ["0", "7,8"],
        "orders": [0, 2],
        "dataset_path": ["news", "news/test.csv"],
        "sample": [True, False],
        "demonstrations": ["news", "news/train.csv"],
        "limit": [1, 2],
        "shuffle": [0, 5],
        "first_label": [1],
        "train_pages": [30],
        "max_demo_words": [1],
        "box_unit": ["pixels"],
        "output_dir": ["{new}/x"],
        "dtype": DTYPES,
        "score_eos": [True, False],
        "format": [*FORMATS],
        "max_seq_len": [150],
    },
    {"dataset=doclaynet": {"dataset_path": "samples/doclaynet", "k": "0"}}
    | {"dataset=films.yaml": {"dataset_path": "news"}, "dataset_path=news/test.csv": {"k": "0", "dataset": "ag_news"}}
    | {flag: {"dataset": "doclaynet"} for flag in ("train_pages", "max_demo_words", "box_unit")}
    | {"calibrations=pmi,domain,tokens": {"methods": "calibrated"}}
    | {"methods=calibrated,channel_calibrated": {"calibrations": "characters,prior,batch"}}
    | {"calibrations=characters,prior,batch": {"methods": "calibrated,channel_calibrated"}},
    [("dataset=doclaynet", "first_label"), ("dataset=doclaynet", "demonstrations")],
    ON_HUB | {"dataset_size": "reads the hub", "output_path": "is refused: a sweep names its files itself"},
)
SCORING = pytest.mark.parametrize("walk", [DIRECT, CHANNEL, GENERATE, CALIBRATE], ids=lambda walk: walk.script)
SHOWING = pytest.mark.parametrize("walk", [FEW, COMPARE, REPORT], ids=lambda walk: walk.script)


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Path, make_rows: Callable, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory."""
    for name, place in (("tiny", checkpoint), ("samples", root / "samples")):
        (tmp_path / name).symlink_to(place)
    monkeypatch.chdir(tmp_path)
    meta = {"dataset": "news", "k": 1, "seed": 1, "train_counts": {"World": 3, "Sports": 1}}
    for method in ("direct", "channel"):
        rows = make_rows(method, {"a": "rain stopped play", "b": "the market", "c": ""}, ["World", "Sports"])
        for seed in (1, 2):
            name = f"inputs_{method}{'' if seed == 1 else '_b'}"
            Path(f"{name}.json").write_text(json.dumps([row | {"group": row["id"][:1]} for row in rows]))
            Path(f"{name}.meta.json").write_text(json.dumps(meta | {"seed": seed}))
    Path("content_free.json").write_text('["N/A", ""]')
    Path("prior.json").write_text('{"World": 1, "Sports": 2.5}')
    (tmp_path / "news").mkdir()
    for split in ("train", "test"):
        rows = "".join(f"{place % 4 + 1},{split} text {place}\n" for place in range(8))
        Path(f"news/{split}.csv").write_text("label,text\n" + rows)
    Path("films.yaml").write_text(
        "dataset: films\npath: news\ntext: text\nlabel: label\nlabel_words: [A, B, C, D]\nfirst_label: 1\n"
        "template: |\n  Film: {text}\n  Verdict: {label_word}\n"
    )
    return tmp_path


@pytest.fixture
def results(folder: Path) -> None:
    """Two draws of one method, and another method."""
    runs = [
        (evaluate_direct, "inputs_direct.json", "outputs_direct.json"),
        (evaluate_channel, "inputs_channel.json", "outputs_channel.json"),
        (evaluate_direct, "inputs_direct.json", "others/outputs_a.json"),
        (evaluate_direct, "inputs_direct_b.json", "others/outputs_b.json"),
        (evaluate_channel, "inputs_channel.json", "others/outputs_c.json"),
    ]
    for function, inputs, outputs in runs:
        flags = {"data_path": inputs, "output_path": outputs, "ckpt_dir": "tiny"}
        function(parse(ScoreConfig, [f"--{flag}={value}" for flag, value in flags.items()]))


@SCORING
def test_every_pair(walk: Walk, folder: Path, results: None):
    walk.check()
    walk.run(walk.covering())


@pytest.mark.slow
@pytest.mark.parametrize("walk", [DIRECT, CHANNEL, GENERATE, CALIBRATE, TABLE], ids=lambda walk: walk.script)
def test_every_value_alone(walk: Walk, folder: Path, results: None):
    walk.run(walk.alone())


@SHOWING
def test_every_pair_of_scripts_that_show_results(walk: Walk, folder: Path, results: None):
    walk.check()
    walk.run(walk.covering())


@pytest.mark.slow
def test_every_flag_of_a_sweep(folder: Path):
    SWEEP.check()
    SWEEP.run([*SWEEP.alone(), *SWEEP.covering()])
