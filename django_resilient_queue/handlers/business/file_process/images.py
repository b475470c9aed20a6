"""Images, by Pillow. Every output is encoded anew from pixels, so that nothing else comes along."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps, ImageSequence

from .desk import Desk, decoding
from .errors import FileRefused
from .formats import IMAGE_FORMATS, READERS
from .task import Limits, Operation, Output

_ANIMATED = ("GIF", "PNG", "WEBP")  # formats whose further frames are later moments
_ORIENTATION = 0x0112  # EXIF's tag
_WHITE = (255, 255, 255)
_LEAST_DURATION = 20  # ms; browsers slow down what claims to be faster


def inspect(path: Path, content_type: str, limits: Limits) -> dict[str, Any]:
    """Return width and height as seen, with the orientation applied, and the number of frames."""
    with decoding("the image"), _opened(path, content_type, limits) as image:
        width, height = _seen_size(image)
        return {"width": width, "height": height, "frames": _frames(image)}


def perform(path: Path, content_type: str, operation: Operation, desk: Desk) -> list[Output]:
    """Make one image of another."""
    with decoding("the image"), _opened(path, content_type, desk.limits) as image:
        file_format = operation.get("format") or _own_format(content_type)
        _check_frames(image, operation, file_format, desk.limits)
        if _is_moving(image, operation):
            return [_animation(image, operation, file_format, desk)]
        exif = b"" if operation.get("strip_metadata", True) else _upright_exif(image)
        return [save(image, operation, file_format, desk, exif=exif)]


def save(
    image: Image.Image, operation: Operation, file_format: str, desk: Desk, exif: bytes = b""
) -> Output:
    """Encode pixels as the operation wants them; also used for frames and pages."""
    ready = _prepared(image, operation, file_format, desk.limits)
    path = desk.new(file_format)
    options = _options(operation, file_format)
    if exif:
        options["exif"] = exif
    ready.save(path, file_format.upper(), **options)
    return desk.finished(path, operation, file_format, width=ready.width, height=ready.height)


@contextmanager
def _opened(path: Path, content_type: str, limits: Limits) -> Iterator[Image.Image]:
    Image.MAX_IMAGE_PIXELS = limits.pixels
    with warnings.catch_warnings():
        # Pillow only warns of what is up to twice as large.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=[READERS[content_type]]) as image:
                yield image
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise FileRefused(f"an image of more than {limits.pixels} pixels") from None


def _own_format(content_type: str) -> str:
    own = content_type.rpartition("/")[2]
    return own if own in IMAGE_FORMATS else "png"


def _seen_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


def _frames(image: Image.Image) -> int:
    # A camera's JPEG may carry previews as further "frames".
    return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)


def _is_moving(image: Image.Image, operation: Operation) -> bool:
    return _frames(image) > 1 and operation["operation"] != "thumbnail"


def _check_frames(
    image: Image.Image, operation: Operation, file_format: str, limits: Limits
) -> None:
    if not _is_moving(image, operation):
        return
    frames = _frames(image)
    if image.format not in _ANIMATED or file_format.upper() not in _ANIMATED:
        raise FileRefused(
            f"an image of {frames} frames: gif, png and webp can hold those of an animation,"
            " and a thumbnail takes the first"
        )
    if frames * image.width * image.height > limits.pixels:
        raise FileRefused(f"an animation of more than {limits.pixels} pixels over all frames")


def _animation(image: Image.Image, operation: Operation, file_format: str, desk: Desk) -> Output:
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        durations.append(max(int(frame.info.get("duration", 100)), _LEAST_DURATION))
        frames.append(_prepared(frame.copy(), operation, file_format, desk.limits))
    path = desk.new(file_format)
    first, *others = frames
    options = _options(operation, file_format)
    loop = int(image.info.get("loop", 0))
    first.save(
        path,
        file_format.upper(),
        save_all=True,
        append_images=others,
        duration=durations,
        loop=loop,
        **options,
    )
    details = {"width": first.width, "height": first.height, "frames": len(frames)}
    return desk.finished(path, operation, file_format, **details)


def _prepared(
    image: Image.Image, operation: Operation, file_format: str, limits: Limits
) -> Image.Image:
    """Return pixels alone: upright, in sRGB, of the size wanted."""
    upright = ImageOps.exif_transpose(image)
    plain = _plain(_in_srgb(upright), opaque=file_format == "jpeg")
    sized = _sized(plain, operation, limits)
    # Some writers take comments, profiles and more from here by themselves.
    sized.info = {}
    return sized


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    # A profile that is broken or of another kind of colours is as good as none.
    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, BytesIO(profile), srgb, outputMode=mode)
        return image if converted is None else converted
    return image


def _plain(image: Image.Image, *, opaque: bool) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    if not opaque:
        return clear
    flat = Image.new("RGB", clear.size, _WHITE)
    flat.paste(clear, mask=clear.getchannel("A"))
    return flat


def _sized(image: Image.Image, operation: Operation, limits: Limits) -> Image.Image:
    if not operation.get("width") and not operation.get("height"):
        return image
    width = operation.get("width") or image.width
    height = operation.get("height") or image.height
    if operation.get("fit", "contain") == "contain":
        # Never enlarged: pixels that are not there can't be had.
        image.thumbnail((width, height))
        return image
    if width * height > limits.pixels:
        raise FileRefused(f"the size wanted has more than {limits.pixels} pixels")
    if operation["fit"] == "cover":
        return ImageOps.fit(image, (width, height))
    return image.resize((width, height))


def _options(operation: Operation, file_format: str) -> dict[str, Any]:
    match file_format:
        case "jpeg":
            return {"quality": operation.get("quality", 85), "optimize": True, "progressive": True}
        case "webp":
            return {"quality": operation.get("quality", 80), "method": 4}
        case _:
            return {"optimize": True}


def _upright_exif(image: Image.Image) -> bytes:
    # A copy: the image's own is still to say how its pixels are turned.
    exif = Image.Exif()
    exif.load(image.getexif().tobytes())
    exif.pop(_ORIENTATION, None)
    return exif.tobytes() if exif else b""
