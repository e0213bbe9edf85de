"""CelebA's aligned faces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from genlab.config.sources import LabelledConfig
from genlab.errors import nearest

FACE_ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair",
    "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair",
    "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""Attributes of a face, in the order of the columns of list_attr_celeba.txt."""


class CelebAConfig(LabelledConfig):
    """CelebA: 202,599 aligned faces with 40 attributes, with its official split."""

    source: Literal["celeba"] = "celeba"
    size: PositiveInt = 64
    """Side of the square image in pixels."""
    crop: Annotated[int, Field(ge=1, le=178)] = 140
    """Side of the central square of the 178 x 218 pixels that is scaled to `size`."""
    attributes: Annotated[tuple[str, ...], Field(min_length=1, max_length=6)] = (
        "Male", "Smiling", "Young",
    )  # fmt: skip
    """Attributes that define the classes: k attributes give 2^k classes, one per combination. The
    first class has none of the attributes, the second one only the last."""
    raw: str | None = None
    """Folder that already holds the downloaded files, which is only read; null downloads them."""
    mirror: str | None = None
    """Address of a folder to download from instead of Google Drive."""

    @field_validator("attributes")
    @classmethod
    def _attributes_are_known(cls, attributes: tuple[str, ...]) -> tuple[str, ...]:
        for attribute in attributes:
            if attribute not in FACE_ATTRIBUTES:
                raise ValueError(
                    f"unknown attribute '{attribute}': {nearest(attribute, FACE_ATTRIBUTES)}"
                )
            if attributes.count(attribute) > 1:
                raise ValueError(f"'{attribute}' is listed twice; remove one of them")
        return attributes

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def class_count(self) -> int:
        return 1 << len(self.attributes)

    @property
    def train_count(self) -> int:
        return 162_770

    @property
    def held_out(self) -> int:
        return 19_962
