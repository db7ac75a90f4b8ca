"""One picture of a data set: where its bytes are and what people said of it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that may lie inside a tar shard; nothing is read until `open()`."""

    name: str  #: unique inside the data set
    file: Path  #: the picture itself, or the shard that holds it
    offset: int = 0  #: byte where the picture starts in `file`
    size: int | None = None  #: its length in bytes; None = to the end of the file
    label: float | None = None  #: mean opinion on the data set's scale, higher is better; None = nobody was asked
    split: str = "train"  #: "train", "val" or "test"
    subset: str = ""  #: the part of the data set that correlations are reported inside
    scene: str = ""  #: opinions compare only inside one scene; "" = with all pictures of the data set
    reference: str = ""  #: the content that it was made from, so that splits can keep it together; "" = no other's
    distortion: str = ""  #: what was done to it, in the data set's own words
    std: float | None = None  #: standard deviation of the opinions, on the scale of `label`; None = not published
    box: tuple[float, float, float, float] | None = None  #: of the face: left, top, right, bottom in pixels

    def read(self) -> bytes:
        """The encoded picture."""
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read() if self.size is None else stream.read(self.size)

    def open(self) -> Image.Image:
        """The decoded picture, mode RGB; a video is not one, read its `file`."""
        with Image.open(io.BytesIO(self.read())) as picture:
            return picture.convert("RGB")
