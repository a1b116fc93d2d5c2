"""The model is transformers', except for trainable biases; the pixels are those of its image processor."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

import transformers
from PIL import Image
from transformers import LayoutLMv3Config, LayoutLMv3ForTokenClassification, LayoutLMv3Model
from transformers.models.layoutlmv3.modeling_layoutlmv3 import LayoutLMv3Encoder

from documents.layoutlmv3 import RANDOM_SHAPE, load_image_processor, normalised, pixels
from finetune.layoutlmv3.model import LayoutBase, load_classifier, load_layout
from preprocess.errors import InputError

LABELS = ("O", "B-A", "I-A")
TEXTS = ["some text to train on, 12.50 € in all", "日本 and more words"] * 50
WORDS = ["some", "text", "日本", "unseen", "12.50", "two words"]
BIASES = ("rel_pos_bias", "rel_pos_x_bias", "rel_pos_y_bias")


def make(folder: Path, seed: int = 0, labels: tuple[str, ...] = LABELS) -> LayoutBase:
    torch.manual_seed(seed)
    return load_layout("random", labels, TEXTS, folder)


def read(folder: Path, labels: tuple[str, ...] = LABELS) -> LayoutBase:
    return load_layout(str(folder), labels, [], folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model, which tests do not change."""
    folder = tmp_path_factory.mktemp("layout") / "random"
    make(folder)
    return folder


@pytest.fixture(scope="module")
def base(made: Path) -> LayoutBase:
    return read(made)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copied"))


def batch(vocabulary: int, tokens: int = 60) -> dict[str, torch.Tensor]:
    """Two pages, the second padded; random boxes, many of them equal."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocabulary, (2, tokens), generator=generator)
    corner = torch.randint(0, 900, (2, tokens, 2), generator=generator)
    boxes = torch.cat([corner, corner + 100], dim=-1)
    boxes[0, 10:20] = boxes[0, 10]
    mask = torch.ones_like(ids)
    mask[1, tokens // 2 :], ids[1, tokens // 2 :], boxes[1, tokens // 2 :] = 0, 1, 0
    images = torch.randn(2, 3, 224, 224, generator=generator)
    return {"input_ids": ids, "bbox": boxes, "attention_mask": mask, "pixel_values": images}


def logits(model: LayoutLMv3ForTokenClassification, **inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(**inputs).logits


def gradients(model: LayoutLMv3ForTokenClassification, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor | None]:
    model.zero_grad()
    model(**inputs, labels=inputs["input_ids"] % len(LABELS)).loss.backward()
    return [getattr(model.layoutlmv3.encoder, name).weight.grad for name in BIASES]


def test_logits_and_keys_are_those_of_plain_transformers(base, made, tmp_path):
    plain = LayoutLMv3ForTokenClassification.from_pretrained(made)
    inputs = batch(base.model.config.vocab_size)
    torch.testing.assert_close(logits(base.model, **inputs), logits(plain, **inputs), atol=1e-6, rtol=0)
    assert list(base.model.state_dict()) == list(plain.state_dict())
    base.model.save_pretrained(tmp_path / "saved")
    again = LayoutLMv3ForTokenClassification.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits(again, **inputs), logits(plain, **inputs))
    assert again.config.architectures == ["LayoutLMv3ForTokenClassification"]


def test_only_ours_trains_the_biases(base, made):
    inputs = batch(base.model.config.vocab_size)
    assert all(gradient.abs().max() > 0 for gradient in gradients(base.model, inputs))
    plain = LayoutLMv3ForTokenClassification.from_pretrained(made)
    assert gradients(plain, inputs) == [None, None, None]


def test_the_biases_are_those_of_the_definition(base):
    """Values are bit-identical to transformers', gradients equal those of a lookup for each pair."""
    encoder = base.model.layoutlmv3.encoder
    generator = torch.Generator().manual_seed(2)
    boxes = torch.randint(0, 1024, (2, 90, 4), generator=generator)
    boxes[1, :30] = boxes[1, 0]
    positions = torch.cat([torch.arange(600), torch.arange(50)]).expand(2, -1)
    assert torch.equal(encoder._cal_1d_pos_emb(positions), LayoutLMv3Encoder._cal_1d_pos_emb(encoder, positions))
    assert torch.equal(encoder._cal_2d_pos_emb(boxes), LayoutLMv3Encoder._cal_2d_pos_emb(encoder, boxes))
    for name, places, bins, reach in (
        ("rel_pos_bias", positions, 32, 128),
        ("rel_pos_x_bias", boxes[:, :, 0], 64, 256),
        ("rel_pos_y_bias", boxes[:, :, 3], 64, 256),
    ):
        table = torch.nn.Linear(bins, 4, bias=False, dtype=torch.float64)
        ours = encoder.bias(table, places, reach)
        weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
        found = torch.autograd.grad((ours * weights).sum(), table.weight)[0]
        differences = places.unsqueeze(-2) - places.unsqueeze(-1)
        buckets = encoder.relative_position_bucket(differences, num_buckets=bins, max_distance=reach)
        slow = F.embedding(buckets, table.weight.t()).permute(0, 3, 1, 2)
        expected = torch.autograd.grad((slow * weights).sum(), table.weight)[0]
        torch.testing.assert_close(found, expected, msg=name)
        assert torch.equal(ours, slow)


def test_a_loaded_model_has_no_dropout(made):
    """The new encoder has the mode of the one that it replaces."""
    assert not any(module.training for module in read(made).model.modules())


def test_512_tokens(base):
    """The library's default configuration takes only 510."""
    inputs = batch(base.model.config.vocab_size, tokens=512)
    assert logits(base.model, **inputs).shape == (2, 512, len(LABELS))
    plain = LayoutLMv3ForTokenClassification(LayoutLMv3Config(vocab_size=300, num_hidden_layers=1))
    with pytest.raises(IndexError):
        logits(plain, **inputs)


def test_the_image_counts(base):
    inputs = batch(base.model.config.vocab_size)
    blank = inputs | {"pixel_values": torch.zeros_like(inputs["pixel_values"])}
    assert (logits(base.model, **inputs) - logits(base.model, **blank)).abs().max() > 1e-3


def test_random_is_created_once(made, tmp_path):
    contents = {path.name: path.read_bytes() for path in made.iterdir()}
    other = tmp_path / "nested/other"
    assert make(other).name == "random"
    assert {path.name: path.read_bytes() for path in other.iterdir()} == contents
    first, second = make(made, seed=1).model.state_dict(), read(other).model.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in second)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == contents
    make(tmp_path / "another", seed=1)
    assert (tmp_path / "another/model.safetensors").read_bytes() != contents["model.safetensors"]


def test_an_interrupted_random_model_is_created_again(tmp_path, monkeypatch, made):
    """Even just before the last of its files: the others are not taken for a model."""
    names = []

    def replace(source: Path, target: Path) -> None:
        names.append(Path(target).name)
        if names[-1] == "config.json":
            raise KeyboardInterrupt
        Path(source).rename(target)

    with monkeypatch.context() as patch:
        patch.setattr("documents.layoutlmv3.os.replace", replace)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "random")
    assert {*names} == {path.name for path in made.iterdir()}
    again = make(tmp_path / "random")
    assert {path.name: path.read_bytes() for path in (tmp_path / "random").iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }
    assert again.name == "random"


def test_the_processor_survives_a_round_trip(base, tmp_path):
    base.model.save_pretrained(tmp_path / "saved")
    base.processor.save_pretrained(tmp_path / "saved")
    again = read(tmp_path / "saved")
    assert again.name == "saved"
    assert load_image_processor("random").to_dict() == again.processor.image_processor.to_dict()
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(300, 200, 3), dtype=np.uint8))
    boxes = [[10 * n, 20, 10 * n + 5, 30] for n in range(len(WORDS))]
    options = {"boxes": boxes, "return_tensors": "pt"}
    first, second = base.processor(image, WORDS, **options), again.processor(image, WORDS, **options)
    assert first.keys() == second.keys() == {"input_ids", "attention_mask", "bbox", "pixel_values"}
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(logits(base.model, **first), logits(again.model, **second))


def test_the_tokenizer(base):
    """RoBERTa's special tokens; every text is encoded without <unk> and decoded unchanged."""
    tokenizer = base.processor.tokenizer
    encoded = tokenizer(WORDS, boxes=[[1, 2, 3, 4]] * len(WORDS))
    assert (encoded.input_ids[0], encoded.input_ids[-1]) == (0, 2)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 4]
    assert 3 not in encoded.input_ids
    assert tokenizer.decode(encoded.input_ids[1:-1]) == " " + " ".join(WORDS)
    assert len(tokenizer(["text"], boxes=[[0] * 4]).input_ids) == 3
    assert base.model.config.vocab_size == len(tokenizer) <= 2000


@pytest.mark.parametrize("count", [3, 11])
def test_a_pretrained_base_gets_a_random_head_without_warnings(copied, count):
    """With ten labels or more, the head has two layers."""
    plain = LayoutLMv3Model.from_pretrained(copied)
    plain.save_pretrained(copied)
    remarks = logging.Handler()
    found = []
    remarks.emit = found.append
    logging.getLogger("transformers").addHandler(remarks)
    transformers.logging.set_verbosity_warning()
    labels = tuple(f"L{number}" for number in range(count))
    model = read(copied, labels).model
    logging.getLogger("transformers").removeHandler(remarks)
    assert found == []
    assert transformers.logging.get_verbosity() == transformers.logging.WARNING
    assert torch.equal(model.layoutlmv3.pos_embed, plain.pos_embed)
    assert logits(model, **batch(model.config.vocab_size)).shape[-1] == count
    assert model.config.id2label == dict(enumerate(labels))


def test_ocr_is_off_and_the_size_is_the_models(copied, base):
    """The hub's layoutlmv3-base has an older format of the processor's file, with OCR; its tokenizer has two files."""
    (copied / "processor_config.json").unlink()
    stored = {"apply_ocr": True, "feature_extractor_type": "LayoutLMv3FeatureExtractor", "resample": 2, "size": 192}
    (copied / "preprocessor_config.json").write_text(json.dumps(stored | {"image_mean": [0.4] * 3}))
    model = json.loads((copied / "tokenizer.json").read_text())["model"]
    (copied / "vocab.json").write_text(json.dumps(model["vocab"]))
    (copied / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]))
    (copied / "tokenizer.json").unlink()
    processor = read(copied).processor
    boxes = [[1, 2, 3, 4]] * len(WORDS)
    encoded = processor(Image.new("RGB", (30, 40), "white"), WORDS, boxes=boxes, return_tensors="pt")
    assert encoded.input_ids[0].tolist() == base.processor.tokenizer(WORDS, boxes=boxes).input_ids
    assert encoded.pixel_values.shape == (1, 3, 224, 224)
    torch.testing.assert_close(encoded.pixel_values.unique(), torch.tensor([1.2]))


@pytest.mark.parametrize("labels", [("O", "B-A"), ("O", "I-A", "B-A"), ("O", "B-A", "I-B")])
def test_other_labels_are_refused(made, labels):
    expected = rf"--model .*random: classifies O, B-A, I-A; the data set has {', '.join(labels)}$"
    with pytest.raises(InputError, match=expected):
        read(made, labels)
    with pytest.raises(InputError, match=expected):
        make(made, labels=labels)


def test_a_classifier_has_its_own_labels(tmp_path):
    """In the order of its outputs, where 10 is not between 1 and 2."""
    labels = tuple(f"L{number}" for number in range(12))
    base, again = make(tmp_path, labels=labels), load_classifier(str(tmp_path))
    assert tuple(again.model.config.id2label.values()) == labels
    inputs = batch(base.model.config.vocab_size)
    assert torch.equal(logits(again.model, **inputs), logits(base.model, **inputs))


def test_a_model_without_a_classifier_is_refused(copied):
    LayoutLMv3Model.from_pretrained(copied).save_pretrained(copied)
    with pytest.raises(InputError, match=r"copied: not trained to classify tokens; train it with run_fine"):
        load_classifier(str(copied))
    with pytest.raises(InputError, match=r"^--model random: expected a trained model$"):
        load_classifier("random")


def test_another_architecture_is_refused(tmp_path):
    """Before any page is read, with the image processor."""
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    for load in (read, *(lambda folder, of=of: of(str(folder)) for of in (load_image_processor, load_classifier))):
        with pytest.raises(InputError, match=r"^--model .*bert: is a bert, expected a layoutlmv3$"):
            load(tmp_path / "bert")


@pytest.mark.parametrize("model", ["none/of/them", "/none", "./none"])
def test_a_missing_folder(model):
    """It is not searched on the hub, whose message would be less clear."""
    with pytest.raises(InputError, match=rf"^{model}: neither a folder nor an id of the hub \(--model\)$"):
        load_image_processor(model)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"^.*copied: no config\.json in it \(--model\)$"),
        (
            lambda folder: (folder / "config.json").write_text("{"),
            r"copied/config\.json: not JSON: line 1 .*\(--model\)$",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "transformers cannot load it: "),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"half"), "transformers cannot load it: "),
        (lambda folder: (folder / "processor_config.json").unlink(), "transformers cannot load it: "),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "transformers cannot load it: "),
        (lambda folder: (folder / "tokenizer.json").unlink(), "its tokenizer has 5 tokens, expected more than 256 and"),
    ],
)
def test_a_damaged_folder_is_refused(copied, damage, line):
    damage(copied)
    with pytest.raises(InputError, match=line) as caught:
        read(copied)
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", ["layoutlmv3.encoder.rel_pos_bias.weight", "classifier.weight"])
def test_lost_weights_are_refused(base, copied, lost):
    weights = {key: weight for key, weight in base.model.state_dict().items() if key != lost}
    base.model.save_pretrained(copied, state_dict=weights)
    with pytest.raises(InputError, match=rf"copied: 1 weights are missing, such as {lost}$"):
        read(copied)


def test_a_tokenizer_of_another_model_is_refused(copied, base):
    config = LayoutLMv3Config(vocab_size=280, **RANDOM_SHAPE, id2label=dict(enumerate(LABELS)))
    LayoutLMv3ForTokenClassification(config).save_pretrained(copied)
    count = len(base.processor.tokenizer)
    with pytest.raises(InputError, match=rf"its tokenizer has {count} tokens, .* at most 280, as the model has$"):
        read(copied)


def test_half_precision_is_loaded_as_float32(copied):
    LayoutLMv3ForTokenClassification.from_pretrained(copied, dtype=torch.float16).save_pretrained(copied)
    assert {weight.dtype for weight in read(copied).model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("mode", ["RGB", "P", "L", "1", "CMYK", "RGBA"])
def test_pixels_are_those_of_the_image_processor(base, mode):
    noise = np.random.default_rng(0).integers(256, size=(301, 203, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    found = pixels(base.processor.image_processor, image)
    assert (found.dtype, found.shape) == (np.uint8, (3, 224, 224))
    expected = base.processor.image_processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]
    batched = normalised(base.processor, np.stack([found, 255 - found]))
    assert batched.dtype == torch.float32
    torch.testing.assert_close(batched[:1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(batched[1:], -expected, atol=1e-6, rtol=0)  # mean and deviation are a half


def test_pixels_of_16_bits(base):
    gray = Image.fromarray(np.full((20, 20), 128 * 257, dtype=np.uint16))
    assert set(pixels(base.processor.image_processor, gray).flatten().tolist()) == {128}
