"""Facts about LayoutLMv3: positions, patches, boxes, buckets, biases, softmax (docs/pretraining.md)."""

import math

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from torch.nn.functional import linear, unfold
from transformers import LayoutLMv3Config, LayoutLMv3Model
from transformers.models.layoutlmv3.modeling_layoutlmv3 import LayoutLMv3PatchEmbeddings, LayoutLMv3SelfAttention

from documents.layoutlmv3 import TrainableBiasEncoder, train_biases

SMALL = {"vocab_size": 60, "hidden_size": 48, "coordinate_size": 8, "shape_size": 8, "intermediate_size": 32}
SHAPE = SMALL | {"num_hidden_layers": 1, "num_attention_heads": 4, "max_position_embeddings": 514, "type_vocab_size": 1}


def bucket_of(distance: int, count: int, reach: int) -> int:
    """The bucket of a distance in tokens or in thousandths of a page; negative to the left and upwards."""
    half = count // 2
    exact = half // 2
    side = half if distance > 0 else 0
    if abs(distance) < exact:
        return side + abs(distance)
    grown = exact + int(math.log(abs(distance) / exact) / math.log(reach / exact) * (half - exact))
    return side + min(grown, half - 1)


@pytest.fixture(scope="module")
def model() -> LayoutLMv3Model:
    torch.manual_seed(0)
    made = LayoutLMv3Model(LayoutLMv3Config(**SHAPE)).eval()
    train_biases(made)
    return made


def test_709_positions(model):
    """512 tokens, a class token of the image, 196 patches."""
    batch = {"input_ids": torch.full((1, 512), 7), "bbox": torch.zeros(1, 512, 4, dtype=torch.long)}
    states = model(**batch, pixel_values=torch.zeros(1, 3, 224, 224)).last_hidden_state
    assert states.shape == (1, 709, 48)
    assert model.pos_embed.shape == (1, 1 + 14 * 14, 48)


def test_positions_of_text_begin_at_2(model):
    """After the position of padding, which is 1, so 512 tokens need 514 positions."""
    ids = torch.tensor([[0, 7, 8, 2, 1, 1]])
    found = model.embeddings.create_position_ids_from_input_ids(ids, model.embeddings.padding_idx)
    assert found.tolist() == [[2, 3, 4, 5, 1, 1]]
    longest = model.embeddings.create_position_ids_from_input_ids(torch.full((1, 512), 7), 1)
    assert longest.max() == 513
    assert model.embeddings.position_embeddings.num_embeddings == 514


def test_boxes_of_visual_tokens(model):
    """The class token has nearly the whole page; patches a fourteenth of 1000 each way, row by row, rounded down."""
    boxes = model.visual_bbox.tolist()
    assert boxes[0] == [1, 1, 999, 999]
    assert boxes[1] == [0, 0, 71, 71]
    assert boxes[2] == [71, 0, 142, 71]
    assert boxes[15] == [0, 71, 71, 142]
    assert boxes[196] == [928, 928, 1000, 1000]
    for number, box in enumerate(boxes[1:]):
        row, column = divmod(number, 14)
        assert box == [1000 * column // 14, 1000 * row // 14, 1000 * (column + 1) // 14, 1000 * (row + 1) // 14]


@pytest.mark.parametrize("count, reach", [(32, 128), (64, 256)])
def test_buckets(model, count, reach):
    """Half of the buckets for each direction; half of these are exact, the others widen up to the maximum distance."""
    distances = torch.arange(-2 * reach, 2 * reach + 1)
    found = model.encoder.relative_position_bucket(distances, num_buckets=count, max_distance=reach)
    assert found.tolist() == [bucket_of(int(distance), count, reach) for distance in distances]
    half = count // 2
    assert found[distances == 0] == 0
    for distance in range(1, half // 2):
        assert found[distances == -distance] == distance
        assert found[distances == distance] == half + distance
    assert found[distances >= reach].unique().tolist() == [count - 1]
    assert found[distances <= -reach].unique().tolist() == [half - 1]
    assert found.unique().numel() == count - 1  # half would be the distance 0 to the right


def test_boundaries_of_the_buckets():
    """The start of each of 32 buckets up to 128: 0 to 8 one by one, then wider."""
    starts = begins(32, 128)
    assert starts == [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    wide = begins(64, 256)
    assert wide[:16] == list(range(1, 17))
    assert len(wide) == 31


def begins(count: int, reach: int) -> list[int]:
    """The distances to the left at which a bucket begins."""
    return [n for n in range(1, 2 * reach) if bucket_of(-n, count, reach) != bucket_of(1 - n, count, reach)]


def test_biases_are_added_to_the_scores_divided_by_the_root_of_the_width_of_a_head(model):
    """Attention by hand: (QK + 1-D bias + 2-D bias) / sqrt(12)."""
    torch.manual_seed(1)
    attention: LayoutLMv3SelfAttention = model.encoder.layer[0].attention.self
    encoder: TrainableBiasEncoder = model.encoder
    states, boxes = torch.randn(1, 9, 48), torch.randint(0, 1000, (1, 9, 4))
    positions = torch.arange(9)[None]
    one, two = encoder._cal_1d_pos_emb(positions), encoder._cal_2d_pos_emb(boxes)
    found, probabilities = attention(states, None, rel_pos=one, rel_2d_pos=two)
    query, key, value = (layer(states).view(9, 4, 12) for layer in (attention.query, attention.key, attention.value))
    for head in range(4):
        scores = torch.zeros(9, 9)
        for i in range(9):
            for j in range(9):
                across = encoder.rel_pos_x_bias.weight[head, bucket_of(int(boxes[0, j, 0] - boxes[0, i, 0]), 64, 256)]
                down = encoder.rel_pos_y_bias.weight[head, bucket_of(int(boxes[0, j, 3] - boxes[0, i, 3]), 64, 256)]
                along = encoder.rel_pos_bias.weight[head, bucket_of(j - i, 32, 128)]
                scores[i, j] = (query[i, head] @ key[j, head] + along + across + down) / math.sqrt(12)
        expected = scores.softmax(-1)
        assert torch.allclose(probabilities[0, head], expected, atol=1e-5)
        assert torch.allclose(found[0].view(9, 4, 12)[:, head], expected @ value[:, head], atol=1e-5)


def test_softmax_of_cogview(model):
    """Equal to the plain softmax if that does not overflow; finite in float16 for the largest scores."""
    attention: LayoutLMv3SelfAttention = model.encoder.layer[0].attention.self
    scores = torch.randn(2, 4, 9, 9) * 20
    assert torch.allclose(attention.cogview_attention(scores), scores.softmax(-1), atol=1e-6)
    large = torch.tensor([[-60000.0, 60000.0, 59000.0]], dtype=torch.float16)
    assert not torch.isfinite(torch.exp(large)).all()
    found = attention.cogview_attention(large)
    assert torch.isfinite(found).all()
    assert found.tolist() == [[0.0, 1.0, 0.0]]


def test_the_projection_of_patches_is_a_convolution_and_a_linear_layer():
    torch.manual_seed(2)
    patches = LayoutLMv3PatchEmbeddings(LayoutLMv3Config(**SHAPE))
    pixels = torch.randn(2, 3, 224, 224)
    found = patches(pixels)
    cut = unfold(pixels, 16, stride=16).transpose(1, 2)  # (2, 196, 768), row by row
    expected = linear(cut, patches.proj.weight.flatten(1), patches.proj.bias)
    assert found.shape == (2, 196, 48)
    assert torch.allclose(found, expected, atol=1e-4)
