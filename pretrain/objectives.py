"""The objectives of pre-training and their hyperparameters; the defaults are those of the papers."""

from dataclasses import dataclass

from preprocess.errors import InputError

MLM, MIM, WPA, CPC = "mlm", "mim", "wpa", "cpc"
OBJECTIVES = (MLM, MIM, WPA, CPC)
SPAN_UNITS = ("token", "word")


@dataclass(frozen=True)
class ObjectiveOptions:
    """What is masked, and what the model predicts.

    Args:
        objectives: Comma-separated: mlm (masked tokens), mim (masked patches), wpa (whether the patches of a word are
            masked), cpc (the area of the page in which a cell with a hidden position lies).
        static_masks: Use the same masks of a page in every pass, instead of new ones.
        mlm_ratio: Share of the tokens that are masked.
        span_length: Mean length of the masked spans, which have a Poisson distribution.
        span_unit: Unit of the spans: token, or word (whole words).
        mask_share: Share of the masked tokens that are replaced by the mask token.
        random_share: Share of the masked tokens that are replaced by a random token; the rest is unchanged.
        mim_ratio: Share of the patches that are masked.
        block_patches: Minimum number of patches in a masked block.
        block_aspect: Minimum ratio of height to width of a masked block; the maximum is its inverse.
        wpa_threshold: A word is unaligned if more than this share of its segment's box is masked.
        cpc_ratio: Share of the cells (segments) whose position is hidden.
        cpc_areas: Number of equal areas of a page, a square number.
    """

    objectives: str = "mlm,mim,wpa"
    static_masks: bool = False
    mlm_ratio: float = 0.3
    span_length: float = 3.0
    span_unit: str = "token"
    mask_share: float = 0.8
    random_share: float = 0.1
    mim_ratio: float = 0.4
    block_patches: int = 16
    block_aspect: float = 0.3
    wpa_threshold: float = 0.98
    cpc_ratio: float = 0.15
    cpc_areas: int = 16

    def __post_init__(self) -> None:
        for name in self.chosen:
            if name not in OBJECTIVES:
                raise InputError(f"--objectives {self.objectives}: {name!r} is not one of {', '.join(OBJECTIVES)}")
        if WPA in self.chosen and MIM not in self.chosen:
            raise InputError(f"--objectives {self.objectives}: wpa requires mim, without which all words are aligned")
        for flag in ("mlm_ratio", "mim_ratio", "cpc_ratio", "wpa_threshold"):
            if not 0 < getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected a number between 0 and 1")
        if not 1 <= self.span_length <= 100:
            raise InputError(f"--span_length {self.span_length}: expected a number from 1 to 100")
        if self.span_unit not in SPAN_UNITS:
            raise InputError(f"--span_unit {self.span_unit}: expected {' or '.join(SPAN_UNITS)}")
        if min(self.mask_share, self.random_share) < 0 or self.mask_share + self.random_share > 1:
            shares = f"{self.mask_share} and --random_share {self.random_share}"
            raise InputError(f"--mask_share {shares}: expected two numbers of 0 or more, with a sum of at most 1")
        if self.block_patches < 1:
            raise InputError(f"--block_patches {self.block_patches}: expected 1 or more")
        if not 0 < self.block_aspect <= 1:
            raise InputError(f"--block_aspect {self.block_aspect}: expected a number above 0, at most 1")
        if self.cpc_areas < 4 or self.areas_per_side**2 != self.cpc_areas:
            raise InputError(f"--cpc_areas {self.cpc_areas}: expected a square number, 4 or more")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The objectives, each once, in the order of OBJECTIVES, so that the order in the flag has no effect."""
        names = [name.strip() for name in self.objectives.split(",")]
        return tuple(dict.fromkeys(sorted(names, key=lambda name: (*OBJECTIVES, name).index(name))))

    @property
    def areas_per_side(self) -> int:
        """Number of areas per row of a page, and of rows."""
        return round(self.cpc_areas**0.5)
