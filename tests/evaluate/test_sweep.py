"""A sweep equals the single commands for each draw, with one table."""

import csv
import io
import json
import re
import statistics

import pytest

from options import parse
from evaluate import session as session_module
from evaluate.calibration import CORRECTIONS, CalibrateConfig, evaluate_direct_calibrate
from evaluate.journal import Journal
from evaluate.methods import methods_of
from evaluate.reading import read_checked, read_results
from evaluate.result import Result
from evaluate.scoring import ScoreConfig, evaluate_direct
from evaluate.sweep import METHODS, SweepConfig, sweep
from preprocess import ag_news
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.errors import InputError


@pytest.fixture
def run_sweep(tmp_path, capsys, root, monkeypatch):
    """A function that runs a sweep over the first sample articles: (**flags) -> rows of its table."""
    monkeypatch.chdir(root)

    def run(**flags):
        known = {
            "ckpt_dir": "checkpoints/tiny",
            "output_dir": tmp_path / "sweep",
            "limit": 6,
            "format": "csv",
            "seed": "1,2",
        }
        sweep(parse(SweepConfig, [f"--{name}={value}" for name, value in (known | flags).items()]))
        printed = capsys.readouterr().out
        return list(csv.DictReader(io.StringIO(printed[printed.index("dataset,examples") :])))

    return run


def test_table_of_all_methods(run_sweep, tmp_path):
    rows = run_sweep(k="0,1")
    assert [(row["k"], row["method"], row["draws"]) for row in rows] == [
        (k, method, draws)
        for k, draws in (("0", "1"), ("1", "2"))
        for method in ("direct", "calibrated", "channel", "generate")
    ]
    for row in rows:
        seeds = (1, 2) if row["k"] == "1" else (1,)
        paths = [tmp_path / f"sweep/outputs_{row['method']}_ag_news_k{row['k']}_seed{seed}.json" for seed in seeds]
        shares = [Result(read_checked(path)).accuracy for path in paths]
        assert float(row["accuracy"]) == pytest.approx(statistics.mean(shares), rel=1e-5)
        assert float(row["worst draw"]) == pytest.approx(min(shares), rel=1e-5)
        spread = f"{statistics.stdev(shares):.6g}" if len(seeds) > 1 else "-"
        assert row["accuracy sd"] == spread
    assert not list((tmp_path / "sweep").glob("*_k0_seed2*"))  # nothing to draw: scored once
    seeds = {
        json.loads(path.read_text())["prompt"]["seed"] for path in (tmp_path / "sweep").glob("outputs_*.meta.json")
    }
    assert seeds == {1, 2}


def test_a_draw_equals_the_single_commands(run_sweep, tmp_path):
    run_sweep(methods="direct", seed="7")
    ag_news.preprocess(PromptOptions(str(tmp_path / "inputs.json"), seed=7, examples=ExampleOptions(limit=6)), "direct")
    assert (tmp_path / "sweep/inputs_direct_ag_news_k1_seed7.json").read_bytes() == (
        tmp_path / "inputs.json"
    ).read_bytes()
    flags = {
        "data_path": tmp_path / "inputs.json",
        "ckpt_dir": "checkpoints/tiny",
        "output_path": tmp_path / "outputs.json",
    }
    evaluate_direct(parse(ScoreConfig, [f"--{name}={value}" for name, value in flags.items()]))
    alone = (tmp_path / "outputs.json").read_bytes()
    assert (tmp_path / "sweep/outputs_direct_ag_news_k1_seed7.json").read_bytes() == alone


def test_more_seeds_later_cost_only_themselves(run_sweep, tmp_path, without_model):
    run_sweep(methods="direct", seed="1,2")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("outputs_*")}
    with without_model():
        run_sweep(methods="direct", seed="1,2")
    (row,) = run_sweep(methods="direct", seed="1,2,3")
    assert row["draws"] == "3"
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_one_model_for_all_draws(run_sweep, monkeypatch):
    loads, load = [], session_module.load_model
    monkeypatch.setattr(session_module, "load_model", lambda *arguments: loads.append(1) or load(*arguments))
    run_sweep(methods="direct,channel", seed="1,2,3")
    assert len(loads) == 1


def test_calibrated_needs_direct(run_sweep, tmp_path):
    """Direct is computed, and the table shows the requested methods."""
    (row,) = run_sweep(methods="calibrated", seed="1")
    assert (row["method"], row["accuracy sd"]) == ("calibrated", "-")
    assert (tmp_path / "sweep/outputs_direct_ag_news_k1_seed1.json").exists()


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_calibration_equals_its_single_command(run_sweep, tmp_path, correction):
    (row,) = run_sweep(methods="calibrated", calibrations=correction, seed="1")
    inputs, source = (tmp_path / f"sweep/{part}_direct_ag_news_k1_seed1.json" for part in ("inputs", "outputs"))
    flags = CORRECTIONS[correction] | {"ckpt_dir": "checkpoints/tiny", "output_path": tmp_path / "alone.json"}
    flags |= {"direct_input_path": inputs, "direct_output_path": source}
    evaluate_direct_calibrate(parse(CalibrateConfig, [f"--{name}={value}" for name, value in flags.items()]))
    name = "calibrated" if correction == "contextual" else f"direct_{correction}"
    assert (tmp_path / f"sweep/outputs_{name}_ag_news_k1_seed1.json").read_bytes() == (
        tmp_path / "alone.json"
    ).read_bytes()
    assert row["method"] == ("calibrated" if correction == "contextual" else f"calibrated ({correction})")


def test_all_calibrations_in_one_table(run_sweep):
    """One row for each, with its draws; those of channel are batch and prior."""
    rows = run_sweep(methods=",".join(METHODS), calibrations=",".join(reversed(CORRECTIONS)))
    of_direct = {f"calibrated ({name})" for name in CORRECTIONS if name != "contextual"} | {"calibrated"}
    of_channel = {"channel calibrated (batch)", "channel calibrated (prior)"}
    assert sorted(row["method"] for row in rows) == sorted({"direct", "channel", "generate"} | of_direct | of_channel)
    assert {row["draws"] for row in rows} == {"2"}


def test_prompts_with_predictions_are_not_replaced(run_sweep, tmp_path):
    """Other options would leave predictions without their prompts. --overwrite replaces them, and removes those of
    methods that are not run."""
    run_sweep(methods="direct,calibrated", seed="1")
    files = {path: path.read_bytes() for path in (tmp_path / "sweep").iterdir()}
    prompts, outputs = (
        tmp_path / f"sweep/{name}_ag_news_k1_seed1.json" for name in ("inputs_direct", "outputs_direct")
    )
    message = f"{prompts}: has limit 6, now 5, and {outputs.name} answers its prompts; --overwrite replaces both"
    with pytest.raises(InputError, match=re.escape(message)):
        run_sweep(methods="direct", seed="1,2", limit=5)
    assert {path: path.read_bytes() for path in (tmp_path / "sweep").iterdir()} == files
    (row,) = run_sweep(methods="direct", seed="1", limit=5, overwrite=True)
    assert row["examples"] == "5"
    assert len(json.loads(prompts.read_text())) == 5
    assert [result.path for result in read_results([str(tmp_path / "sweep")])] == [outputs]
    outputs.unlink()  # prompts alone may be written again
    (row,) = run_sweep(methods="direct", seed="1", limit=4)
    assert row["examples"] == "4"


def test_prompts_of_a_run_that_goes_on_are_not_replaced(run_sweep, tmp_path):
    run_sweep(methods="direct", seed="1")
    prompts, outputs = (
        tmp_path / f"sweep/{name}_ag_news_k1_seed1.json" for name in ("inputs_direct", "outputs_direct")
    )
    outputs.unlink()
    outputs.with_suffix(".partial").mkdir()
    (outputs.with_suffix(".partial") / "0.jsonl").write_text("")
    with pytest.raises(InputError, match=r"has limit 6, now 5, and outputs_direct_ag_news_k1_seed1\.json answers"):
        run_sweep(methods="direct", seed="1", limit=5)
    prompts.write_text(prompts.read_text().replace("a", "b", 1))
    with pytest.raises(InputError, match=r"inputs_direct_ag_news_k1_seed1\.json: was edited, and"):
        run_sweep(methods="direct", seed="1")
    prompts.with_suffix(".meta.json").unlink()
    with pytest.raises(InputError, match=r"inputs_direct_ag_news_k1_seed1\.json: has no meta file, and other prompts"):
        run_sweep(methods="direct", seed="1")


def test_predictions_that_another_run_writes_are_not_removed(run_sweep, tmp_path):
    run_sweep(methods="direct,calibrated", seed="1")
    outputs = tmp_path / "sweep/outputs_calibrated_ag_news_k1_seed1.json"
    writer = Journal(outputs)
    writer.lock()
    with pytest.raises(InputError, match=r"outputs_calibrated_ag_news_k1_seed1\.json: another run is writing it"):
        run_sweep(methods="direct", seed="1", limit=5, overwrite=True)
    assert outputs.exists()
    writer.close()
    run_sweep(methods="direct", seed="1", limit=5, overwrite=True)
    assert not outputs.exists()


def test_a_file_as_output_dir_is_refused(run_sweep, root):
    with pytest.raises(InputError, match="--output_dir"):
        run_sweep(methods="direct", output_dir=root / "README.md")


def test_all_prompts_are_written_before_any_is_scored(run_sweep, tmp_path):
    with pytest.raises(InputError, match="--k 5000"):
        run_sweep(methods="direct", k="1,5000")
    assert not list((tmp_path / "sweep").glob("outputs_*"))


def test_the_table_alone_is_the_output(run_script, tmp_path):
    done = run_script(
        "run_sweep.py", "--limit=4", "--seed=1", "--methods=direct", "--format=csv", f"--output_dir={tmp_path}"
    )
    assert done.stdout.startswith("dataset,examples,k,method,draws,accuracy")
    assert f"written to {tmp_path / 'inputs_direct_ag_news_k1_seed1.json'}\n" in done.stderr


def test_orders_of_one_draw(run_sweep, tmp_path):
    """Distinct orders of the same demonstrations, only for the first seed, and not for k = 0."""
    rows = run_sweep(methods="direct", k="0,1", orders=3)
    assert [(row["k"], row["draws"], row["orders"]) for row in rows] == [("0", "1", "-"), ("1", "2", "4")]
    paths = [tmp_path / f"sweep/inputs_direct_ag_news_k1_seed1{end}.meta.json" for end in ("", "_order1", "_order3")]
    shown = [json.loads(path.read_text())["demonstrations"] for path in paths]
    assert len({tuple(ids) for ids in shown}) == 3
    assert len({tuple(sorted(ids)) for ids in shown}) == 1
    assert len(list((tmp_path / "sweep").glob("outputs_*_order?.json"))) == 3
    (method,) = [m for m in methods_of(read_results([str(tmp_path / "sweep")])) if m.k == 1]
    assert (len(method.draws), len(method.orders), len(method.order_accuracies)) == (2, 3, 4)
    assert float(rows[1]["worst order"]) == pytest.approx(min(method.order_accuracies), rel=1e-5)
    assert float(rows[1]["sd of orders"]) == pytest.approx(statistics.stdev(method.order_accuracies), rel=1e-5)


def test_a_data_set_of_a_yaml_file(run_sweep, root):
    (row,) = run_sweep(dataset=root / "samples/datasets/ag_news.yaml", methods="direct", seed="1")
    assert row["dataset"] == "ag_news_sample"


def test_examples_and_labels_as_in_preprocessing(run_sweep, tmp_path, root):
    """The order of the examples, a file with classes from 0, and the reading of blocks."""
    (tmp_path / "set").mkdir()
    for split in ("train", "test"):
        rows = "".join(f"{place % 3 + 1},{split} text {place}\n" for place in range(9))
        (tmp_path / f"set/{split}.csv").write_text("label,text\n" + rows)
    flags = {"methods": "direct", "seed": "1", "dataset_path": tmp_path / "set", "k": 0}
    run_sweep(**flags, shuffle=3, first_label=0)
    (prompts,) = (tmp_path / "sweep").glob("inputs_*_seed1.json")
    rows = json.loads(prompts.read_text())
    assert {row["ground_truth"] for row in rows} == {"Sports", "Business", "Science and technology"}
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    blocks = {"dataset": "doclaynet", "max_demo_words": 2, "train_pages": 40, "box_unit": "pixels"}
    run_sweep(methods="direct", seed="1", **blocks, output_dir=tmp_path / "blocks")
    meta = json.loads((tmp_path / "blocks/inputs_direct_doclaynet_k1_seed1.meta.json").read_text())
    assert (meta["max_demo_words"], meta["train_pages"]) == (2, 40)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"box_unit": "percent"}, "--box_unit: --dataset ag_news: only doclaynet has --box_unit"),
        ({"dataset": "doclaynet", "first_label": 0}, "--first_label: --dataset doclaynet has no classes as numbers"),
        ({"shuffle": -1}, "--shuffle -1: expected 0 or more"),
        (
            {"dataset": "doclaynet", "dataset_size": "small", "dataset_path": "x"},
            "--dataset_size small: cannot be combined with --dataset_path (it means pierreguillou/DocLayNet-small)",
        ),
        ({"dataset": "imdb"}, "--dataset imdb: expected ag_news, doclaynet or a YAML file"),
        ({"methods": "direct,all"}, f"--methods 'all': expected a comma-separated list of {', '.join(METHODS)}"),
        (
            {"calibrations": "batch,none"},
            f"--calibrations 'none': expected a comma-separated list of {', '.join(CORRECTIONS)}",
        ),
        (
            {"methods": "direct", "calibrations": "batch"},
            "--calibrations batch: only with calibrated or channel_calibrated in --methods",
        ),
        (
            {"methods": "channel_calibrated", "calibrations": "pmi"},
            "--calibrations pmi: channel_calibrated needs batch or prior among them",
        ),
        ({"k": "1,-2"}, "--k 1,-2: expected comma-separated whole numbers, 0 or more"),
        ({"seed": "1,,2"}, "--seed 1,,2: expected comma-separated whole numbers, 0 or more"),
        ({"orders": "-1"}, "--orders -1: expected 0 to 1000"),
        ({"orders": 2**63 - 1}, f"--orders {2**63 - 1}: expected 0 to 1000"),
        ({"seed": 2**63}, f"--seed {2**63}: expected comma-separated whole numbers, 0 or more"),
        ({"k": "9" * 5000}, f"--k {'9' * 5000}: expected comma-separated whole numbers, 0 or more"),
        ({"format": "html"}, "--format html: expected markdown, latex, csv"),
        ({"output_path": "x.json"}, "--output_path: not supported by a sweep; use --output_dir for its folder"),
    ],
)
def test_flags_that_are_wrong(flags, message):
    with pytest.raises(InputError) as refused:
        parse(SweepConfig, [f"--{name}={value}" for name, value in flags.items()])
    assert str(refused.value) == message


def test_under_torchrun_with_two_processes(run_script, tmp_path):
    """The same files as with one process."""
    flags = ["--limit=6", "--seed=1,2", f"--methods={','.join(METHODS)}", "--calibrations=contextual,domain,batch"]
    one = run_script("run_sweep.py", *flags, f"--output_dir={tmp_path / 'one'}")
    two = run_script("run_sweep.py", *flags, f"--output_dir={tmp_path / 'two'}", processes=2)
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    names = [path.name for path in (tmp_path / "one").glob("*.json") if not path.name.endswith(".meta.json")]
    assert len(names) == 2 * (2 + 7)  # prompts and methods of each seed
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
