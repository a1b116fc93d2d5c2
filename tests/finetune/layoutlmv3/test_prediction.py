"""The words of a page get the model's labels, in order; errors are one line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

import transformers
from PIL import Image
from transformers import LayoutLMv3ForTokenClassification, LayoutLMv3Model, LayoutLMv3Processor

from finetune.layoutlmv3.model import load_layout
from finetune.layoutlmv3.prediction import PredictionConfig, predict_layoutlmv3
from preprocess.errors import InputError

LABELS = ("Total", "Date", "Other")
SIZE = (400, 500)
WORDS = [
    {"text": "12.50", "box": [10, 20, 90, 40]},
    {"text": "two words", "box": [100, 20, 180.5, 40]},
    {"text": " \t", "box": [1, 2, 3, 4]},
    {"text": "日本", "box": [300, 400, 400, 500]},
    {"text": " 12.50 ", "box": [10, 420, 90, 440]},
]
READ = [0, 1, 3, 4]  # of which something is left


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a random model that predicts different labels; tests do not change it."""
    folder = tmp_path_factory.mktemp("runs") / "x"
    torch.manual_seed(0)
    base = load_layout("random", LABELS, ["some text to train on, 12.50 € in all"] * 50, folder / "model")
    with torch.no_grad():
        base.model.classifier.weight.mul_(30)
    base.model.save_pretrained(folder / "model")
    return folder


@pytest.fixture
def make(run: Path, tmp_path: Path) -> Callable[..., PredictionConfig]:
    """(words, **options) -> options of a prediction with image and words."""

    def make(words: Any = WORDS, **options: Any) -> PredictionConfig:
        noise = np.random.default_rng(0).integers(256, size=(*SIZE[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).quantize(16).save(tmp_path / "page.png")
        (tmp_path / "words.json").write_text(json.dumps(words))
        files = {"image": "page.png", "words": "words.json", "output_path": "out/predictions.json"}
        places = {flag: str(tmp_path / name) for flag, name in files.items()}
        return PredictionConfig(**{"model": str(run)} | places | options)

    return make


def predicted(config: PredictionConfig) -> list[dict[str, Any]]:
    predict_layoutlmv3(config)
    return json.loads(Path(config.output_path).read_text())


def by_hand(run: Path, image: str, words: list[dict[str, Any]], **options: Any) -> list[tuple[str, float]]:
    """Label and probability of each word at its first token, with transformers alone."""
    model = LayoutLMv3ForTokenClassification.from_pretrained(run / "model").eval()
    processor = LayoutLMv3Processor.from_pretrained(run / "model")
    width, height = SIZE
    boxes = [
        [round(1000 * x0 / width), round(1000 * y0 / height), round(1000 * x1 / width), round(1000 * y1 / height)]
        for x0, y0, x1, y1 in (word["box"] for word in words)
    ]
    texts = [word["text"].strip() for word in words]
    encoded = processor(Image.open(image).convert("RGB"), texts, boxes=boxes, return_tensors="pt", **options)
    with torch.inference_mode():
        probabilities = model(**encoded).logits[0].softmax(-1)
    owners = encoded.word_ids(0)
    best = [probabilities[owners.index(number)].max(-1) for number in sorted({*owners} - {None})]
    return [(LABELS[found.indices], found.values.item()) for found in best]


def same(rows: list[dict[str, Any]], expected: list[tuple[str, float]]) -> None:
    assert [row["label"] for row in rows] == [label for label, _ in expected]
    assert [row["score"] for row in rows] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_labels_and_scores_are_those_of_plain_transformers(make, run):
    """In the order of the words, with the given text and box; a blank word has neither label nor score."""
    config = make()
    rows = predicted(config)
    assert [(row["text"], row["box"]) for row in rows] == [(word["text"], word["box"]) for word in WORDS]
    assert rows[2] == WORDS[2] | {"label": None, "score": None}
    expected = by_hand(run, config.image, [WORDS[number] for number in READ])
    assert len({label for label, _ in expected}) > 1
    same([rows[number] for number in READ], expected)


def long_page(count: int) -> list[dict[str, Any]]:
    return [
        {"text": str(number % 7), "box": [number % 20 * 20, number // 20 * 5, number % 20 * 20 + 18, 480]}
        for number in range(count)
    ]


def test_more_words_than_positions(make, run):
    """Every word is labelled; the first ones as on a page that ends with the first chunk."""
    words = long_page(600)
    config = make(words)
    rows = predicted(config)
    assert [row["text"] for row in rows] == [word["text"] for word in words]
    assert all(row["label"] in LABELS and 0 < row["score"] <= 1 for row in rows)
    first = by_hand(run, config.image, words, truncation=True, max_length=512)
    same(rows[:200], first[:200])
    assert len(first) < 520
    short = predicted(replace(config, max_length=100, stride=20))
    assert len(short) == 600
    same(short[:40], by_hand(run, config.image, words, truncation=True, max_length=100)[:40])


def in_percent(words: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    boxes = [[100 * value / side for value, side in zip(word["box"], SIZE * 2, strict=True)] for word in words]
    regions = [{"box": box, "text": word["text"], "label": 1} for word, box in zip(words, boxes, strict=True)]
    return {"file_name": "page.png", "height": 9, "width": 9, "annotations": regions} | more


@pytest.mark.parametrize(
    "words",
    [
        in_percent(WORDS),
        in_percent(WORDS, file_name="another.png"),
        [in_percent(WORDS[:1], file_name="another.png"), in_percent(WORDS, file_name="folder/page.png")],
    ],
)
def test_annotated_pages(words, make):
    """Their boxes are in percent of the image, regardless of the stated size; written boxes are in pixels."""
    assert predicted(make(words)) == predicted(make())


def test_a_region_without_a_text_is_blank(make):
    page = in_percent(WORDS)
    page["annotations"][2] |= {"text": None}
    assert predicted(make(page))[2] == {"text": "", "label": None, "score": None, "box": [1, 2, 3, 4]}


def test_boxes_are_repaired(make, capsys):
    wild = [WORDS[0] | {"box": [90, 40, 10, 20]}, WORDS[1] | {"box": [-5, 20, 1e9, 40]}]
    tame = [WORDS[0], WORDS[1] | {"box": [0, 20, 400, 40]}]
    rows = predicted(make(wild))
    shown = capsys.readouterr().out.splitlines()
    assert shown[-3:-1] == ["inverted boxes: 1", "boxes outside the page: 1"]
    assert rows == predicted(make(tame))
    assert capsys.readouterr().out.splitlines() == shown[:-3] + shown[-1:]


def test_pixels_are_those_of_the_upright_page(make):
    """Viewers rotate photographs, and boxes refer to the rotated image."""
    config = make([{"text": "a", "box": [0, 0, *SIZE[::-1]]}])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.open(config.image).save(config.image, exif=exif)
    assert predicted(config)[0]["box"] == [0, 0, *SIZE[::-1]]


def test_the_image_counts(make):
    config = make()
    before = predicted(config)
    Image.new("RGB", SIZE, "white").save(config.image)
    assert [row["score"] for row in predicted(config)] != [row["score"] for row in before]


def test_a_page_without_text(make, capsys):
    """It is not an error; no word has a label."""
    assert [row["label"] for row in predicted(make(WORDS[2:3] * 2))] == [None, None]
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["all", "0"],
        ["without", "text,", "not", "labelled:", "2"],
    ]


def test_the_model_by_itself(make, run):
    """The model/ folder of a run may be moved."""
    assert predicted(make(model=str(run / "model"))) == predicted(make())


def test_the_screen(make, capsys):
    config = make()
    rows = predicted(config)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{config.image}: 5 words"
    for label in (*LABELS, "all"):
        scores = [row["score"] for row in rows if row["label"] in (LABELS if label == "all" else (label,))]
        shown = [line.split() for line in lines if line.split()[0] == label]
        assert shown == ([[label, str(len(scores)), "mean", "score", f"{np.mean(scores):.4f}"]] if scores else [])
    assert lines[-2:] == ["without text, not labelled: 1", f"written to {config.output_path}"]


def test_the_preview(make, tmp_path, capsys):
    """Boxes are drawn around labelled words; the rest of the page is unchanged."""
    config = make(preview=str(tmp_path / "preview.png"))
    rows = predicted(config)
    before = np.asarray(Image.open(config.image).convert("RGB"))
    shown = Image.open(config.preview)
    assert (shown.format, shown.size) == ("PNG", SIZE)
    after = np.asarray(shown)
    colours = {(rows[number]["label"], tuple(after[int(rows[number]["box"][1]), 50])) for number in (0, 4)}
    colours.add((rows[1]["label"], tuple(after[20, 150])))
    assert len({colour for _, colour in colours}) == len(colours) == len({label for label, _ in colours})
    changed = (before != after).any(-1)
    assert changed[20, 10:90].mean() > 0.9
    assert not changed[60:380].any()
    assert not changed[25:36, 15:85].any()
    assert capsys.readouterr().out.endswith(f"written to {config.output_path} and {config.preview}\n")


def refused(config: PredictionConfig) -> str:
    """The error line of a prediction, which does not change existing files."""
    output = Path(config.output_path)
    before = output.read_bytes() if output.is_file() else None
    with pytest.raises(InputError) as caught:
        predict_layoutlmv3(config)
    assert "\n" not in str(caught.value)
    assert (output.read_bytes() if output.is_file() else None) == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "words.json: no words in it (--words)"),
        (in_percent([]), "words.json: no words in it (--words)"),
        ("text", "words.json: 'text', expected a list of words or {file_name, annotations} (--words)"),
        ({"words": 1}, "words.json: {'words': 1}, expected a list of words or {file_name, annotations} (--words)"),
        (
            in_percent([], annotations=7),
            "words.json: 7, expected a list of words or {file_name, annotations} (--words)",
        ),
        ([WORDS[0], "text"], "words.json: row 1: 'text', expected an object with text and box (--words)"),
        ([WORDS[0], {"text": "a"}], "words.json: row 1: box None, expected [x0, y0, x1, y1]"),
        ([WORDS[0] | {"box": [1, 2, 3]}], "words.json: row 0: box [1, 2, 3], expected [x0, y0, x1, y1]"),
        ([WORDS[0] | {"box": [1, 2, 3, "4"]}], "words.json: row 0: box [1, 2, 3, '4'], expected [x0, y0, x1, y1]"),
        ([WORDS[0] | {"box": [1, 2, 3, np.inf]}], "words.json: row 0: box [1, 2, 3, inf], expected [x0, y0, x1, y1]"),
        ([{"box": [1, 2, 3, 4]}], "words.json: row 0: text None, expected a string"),
        (
            [in_percent(WORDS, file_name="a.png"), in_percent([{"text": 7, "box": [1, 2, 3, 4]}])],
            "words.json: row 1: region 0: text 7, expected a string",
        ),
        (
            [in_percent(WORDS, file_name="a.png")],
            "words.json: 0 pages with the file_name page.png, expected one (--words)",
        ),
        ([in_percent(WORDS)] * 2, "words.json: 2 pages with the file_name page.png, expected one (--words)"),
    ],
)
def test_words_of_unknown_format(words, message, make, tmp_path):
    assert refused(make(words, model="not/looked/at")) == f"{tmp_path}/{message}"


def test_files_that_cannot_be_read(make, tmp_path):
    config = make(model="not/looked/at")
    whole = Path(config.image).read_bytes()
    for content, message in ((whole[:5000], "the image cannot be read: {}: "), (b"no image", "the image cannot be ")):
        Path(config.image).write_bytes(content)
        assert refused(config).startswith("--image: " + message.format(config.image))
    Path(config.image).unlink()
    assert refused(config) == f"--image: no such image: {config.image}"
    config = make(model="not/looked/at")
    Path(config.words).write_text("[{")
    assert refused(config).startswith(f"{config.words}: not JSON: line 1 column 3")
    Path(config.words).unlink()
    assert refused(config) == f"{config.words}: no such file (--words)"


def test_places_that_cannot_be_written(make, tmp_path):
    """Found before anything is read."""
    for flag in ("output_path", "preview"):
        nowhere = {"model": "not/looked/at", "image": "not/looked/at", flag: f"{tmp_path}/words.json/out"}
        assert refused(make(**nowhere)) == f"{tmp_path}/words.json/out: cannot be written: Not a directory (--{flag})"
        assert f"{tmp_path}: is a folder, expected a file name (--{flag})" == refused(make(**{flag: str(tmp_path)}))
    config = make()
    assert refused(replace(config, output_path=config.words)) == f"--output_path {config.words}: is the file of --words"
    assert refused(replace(config, preview=config.image)) == f"--preview {config.image}: is the file of --image"
    config = replace(config, preview=config.output_path)
    assert refused(config) == f"--preview {config.preview}: is the file of --output_path"
    assert not Path(config.output_path).parent.exists()


@pytest.mark.parametrize("flag", ["model", "image", "words", "output_path"])
def test_needed_options(flag, make):
    with pytest.raises(InputError, match=f"^--{flag}: expected (a|the) "):
        predict_layoutlmv3(replace(make(), **{flag: ""}))


def test_invalid_chunk_lengths(make):
    message = "--stride 128: expected 0 or more, and less than --max_length 130 minus 2 special tokens"
    assert refused(make(max_length=130)) == message
    assert refused(make(max_length=900, stride=600)).startswith("--stride 600: ")  # more than the model takes


@pytest.fixture
def remembering(run: Path, tmp_path: Path) -> Callable[..., str]:
    """(the reading in its configuration) -> a model that was trained with it."""

    def model(kept: Any) -> str:
        folder = tmp_path / "trained"
        shutil.copytree(run / "model", folder, dirs_exist_ok=True)
        config = json.loads((folder / "config.json").read_text()) | {"page_reading": kept}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    return model


def test_words_are_read_as_in_training(make, run, remembering):
    """A model of segments gets segments, one of words gets words, in chunks of the same length; flags override this."""
    words = [{"text": str(n), "box": [n % 5 * 60, n // 5 * 20, n % 5 * 60 + 58, n // 5 * 20 + 15]} for n in range(60)]
    lines = [word | {"box": [0, word["box"][1], 298, word["box"][3]]} for word in words]
    segments = {"boxes": "segment", "max_length": 40, "stride": 8}
    as_segments = predicted(make(words, model=remembering(segments)))
    assert [row["box"] for row in as_segments] == [word["box"] for word in words]  # what is written is their own
    by_lines = predicted(make(lines, model=remembering(segments | {"boxes": "word"})))
    assert [(row["label"], row["score"]) for row in as_segments] == [(row["label"], row["score"]) for row in by_lines]
    as_words = predicted(make(words, model=remembering(segments | {"boxes": "word"})))
    assert [row["score"] for row in as_words] != [row["score"] for row in as_segments]
    plain = predicted(make(words, max_length=40, stride=8))
    assert plain == as_words
    told = make(words, model=remembering(segments), boxes="word", max_length=512, stride=128)
    assert predicted(told) == predicted(make(words))


@pytest.mark.parametrize("kept", [7, {"boxes": "segment"}, {"boxes": "line", "max_length": 9, "stride": 1}])
def test_a_model_with_an_invalid_reading(kept, make, remembering):
    message = refused(make(model=remembering(kept)))
    assert message.startswith("--model: page_reading in its config.json is ")


def test_words_in_another_unit(make, tmp_path):
    """Boxes of 0..1000 on a page of 400 x 500 pixels."""
    boxes = [[value * 1000 / side for value, side in zip(word["box"], SIZE * 2, strict=True)] for word in WORDS]
    words = [word | {"box": box} for word, box in zip(WORDS, boxes, strict=True)] * 3
    assert "they look like 0..1000; declare that with --box_unit 0..1000" in refused(make(words))
    rows = predicted(make(words, box_unit="0..1000"))
    assert [row["box"] for row in rows] == [word["box"] for word in WORDS] * 3
    with pytest.raises(InputError, match="--box_unit miles: expected"):
        make(box_unit="miles")
    with pytest.raises(InputError, match="--boxes line: expected segment or word"):
        make(boxes="line")


def without_head(run: Path, folder: Path) -> None:
    shutil.copytree(run / "model", folder)
    LayoutLMv3Model.from_pretrained(folder).save_pretrained(folder)


def without_weights(run: Path, folder: Path) -> None:
    shutil.copytree(run / "model", folder)
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run, folder: None, "{}: neither a folder nor an id of the hub (--model)"),
        (lambda run, folder: folder.mkdir(), "{}: no config.json in it (--model)"),
        (lambda run, folder: shutil.copytree(run / "model", folder / "base"), "{}: no config.json in it (--model)"),
        (
            lambda run, folder: transformers.BertConfig().save_pretrained(folder),
            "--model {}: is a bert, expected a layoutlmv3",
        ),
        (without_head, "--model {}: not trained to classify tokens; train it with run_finetune_layoutlmv3.py"),
        (without_weights, "--model {}: transformers cannot load it: "),
    ],
)
def test_no_model_to_predict_with(change, message, make, run, tmp_path):
    """A missing folder, an empty one, an unfinished run, another architecture, a model without a head."""
    change(run, tmp_path / "model")
    config = make(model=str(tmp_path / "model"))
    Path(config.output_path).parent.mkdir()
    Path(config.output_path).write_text("of before")
    assert refused(config).startswith(message.format(tmp_path / "model"))


def test_random_is_refused(make):
    assert refused(make(model="random")) == "--model random: expected a trained model"


def test_the_script(make, run_script):
    """No output on stderr, neither bars nor warnings."""
    config = make()
    flags = [
        part for flag in ("model", "image", "words", "output_path") for part in (f"--{flag}", getattr(config, flag))
    ]
    done = run_script("run_predict_layoutlmv3.py", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"written to {config.output_path}\n")
    written = Path(config.output_path).read_text()
    assert json.loads(written) == predicted(config)
