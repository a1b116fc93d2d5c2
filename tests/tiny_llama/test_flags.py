"""Every flag of the script that trains the tiny checkpoint, alone and in pairs, on minimal data; values it refuses."""

import shutil
from pathlib import Path

import pytest

import tiny_llama.train
from preprocess.errors import InputError
from tests.flags import Walk
from tiny_llama.train import PretrainConfig, pretrain

WALK = Walk(
    "pretrain_tiny_llama",
    PretrainConfig,
    pretrain,
    {"news_path": "news.csv", "docbank_path": "docbank", "output_dir": "{new}", "run_dir": "{new}/run", "limit": "12"}
    | {"dim": "8", "n_layers": "1", "n_heads": "2", "vocab_size": "380", "max_seq_len": "512", "epochs": "1"}
    | {"written_blocks": "1", "batches_per_step": "2", "warmup_steps": "2", "evaluate_every": "100"},
    {
        "news_path": ["news.csv", "./news.csv"],
        "docbank_path": ["docbank", "./docbank/"],
        "output_dir": ["{new}/x"],
        "run_dir": ["{new}", "{new}/x/run"],
        "dim": [8, 16],
        "n_layers": [1, 2],
        "n_heads": [1, 4],
        "vocab_size": [380, 400],
        "max_seq_len": [400, 2048],
        "epochs": [1, 2],
        "written_blocks": [0, 2],
        "batches_per_step": [1, 2],
        "learning_rate": [1e-9, 0.1],
        "warmup_steps": [0, 10**6],
        "seed": [0, 2**63 - 1],
        "evaluate_every": [1, 10**6],
        "limit": [4, 12],
    },
    elsewhere={"compile": "compiles the loss for a minute; checkpoints/tiny was made with it"},
)
REFUSED = {
    "dim=0": "--dim 0: expected a multiple of twice --n_heads 2",
    "dim=6": "--dim 6: expected a multiple of twice --n_heads 2",
    "n_heads=3": "--dim 8: expected a multiple of twice --n_heads 3",
    "n_heads=0": "--n_heads 0: expected 1 or more",
    "n_layers=0": "--n_layers 0: expected 1 or more",
    "epochs=0": "--epochs 0: expected 1 or more",
    "written_blocks=-1": "--written_blocks -1: expected 0 or more",
    "batches_per_step=0": "--batches_per_step 0: expected 1 or more",
    "warmup_steps=-1": "--warmup_steps -1: expected 0 or more",
    "seed=-1": "--seed -1: expected 0 or more",
    "evaluate_every=0": "--evaluate_every 0: expected 1 or more",
    "limit=-1": "--limit -1: expected 0 or more",
    "limit=1": "--limit 1: expected 2 or more rows",
    "learning_rate=nan": "--learning_rate nan: expected more than 0",
    "learning_rate=inf": "--learning_rate inf: expected more than 0",
    "output_dir=": "--output_dir: expected a folder",
    "output_dir=news.csv": "news.csv/file: cannot be written: Not a directory (--output_dir)",
    "run_dir=news.csv/x": "news.csv/x/file: cannot be written: Not a directory (--run_dir)",
    "news_path=docbank": "docbank: 0 rows, expected a file with two or more (--news_path)",
    "docbank_path=empty": "empty: contains no DocBank pages (--docbank_path)",
    "docbank_path=news.csv": "news.csv: contains no DocBank pages (--docbank_path)",
    "vocab_size=0": "--vocab_size 0: too small",
    "vocab_size=10": "--vocab_size 10: Vocabulary size is smaller than required_chars. 10 vs ",
    "vocab_size=100000": "--vocab_size 100000: Vocabulary size too high (100000). Please set it to a value <= ",
}
AFTER_THE_TOKENIZER = {  # which the run folder keeps
    "max_seq_len=0": "--max_seq_len 0: expected 1",
    "max_seq_len=64": "--max_seq_len 64: expected 1",
    "batches_per_step=1000": "--batches_per_step 1000: more than an epoch has; no step could be made",
}


@pytest.fixture
def folder(tmp_path: Path, root: Path, docbank: Path, one_process: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_llama.train, "finish", lambda: None)  # the process group is shared with other tests
    shutil.copyfile(root / "samples/ag_news/train.csv", "news.csv")
    Path("empty").mkdir()
    return tmp_path


def test_every_flag_is_parsed():
    WALK.check()


@pytest.mark.slow
def test_every_pair(folder: Path):
    WALK.run([*WALK.alone(), *WALK.covering()])


@pytest.mark.parametrize("item", REFUSED)
def test_a_refused_value_leaves_nothing(item: str, folder: Path):
    before = sorted(folder.rglob("*"))
    WALK.refuse(item, REFUSED[item])
    assert sorted(folder.rglob("*")) == before


def test_values_that_do_not_fit_the_texts(folder: Path):
    for item, message in AFTER_THE_TOKENIZER.items():
        WALK.refuse(item, message)
        assert [path.name for path in Path("new/run").iterdir()] == ["tokenizer.model"]
    with pytest.raises(InputError, match=r"tokenizer\.model: has 380 tokens, --vocab_size is 400; remove it or choose"):
        pretrain(WALK.parse(WALK.base | {"vocab_size": "400"}))
