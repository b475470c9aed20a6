"""Promises of file:process about images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from django_resilient_queue.handlers.business.file_process.errors import FileRefused
from tests import samples
from tests.integration.handlers.files.conftest import Files, Process


def only_output(result: dict[str, Any]) -> dict[str, Any]:
    (file,) = result["files"]
    (output,) = file["outputs"]
    found: dict[str, Any] = output
    return found


def opened(files: Files, output: dict[str, Any]) -> Image.Image:
    image = Image.open(BytesIO(files.read(output["path"])))
    image.load()
    return image


def is_near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel[:3], colour, strict=True))


def test_what_an_image_is_stands_in_the_result(files: Files, process: Process) -> None:
    content = samples.jpeg()
    (file,) = process(files.upload("a.jpg", content), {"operation": "analyze"})["files"]
    assert file == {
        "path": "uploads/a.jpg",
        "status": "done",
        "content_type": "image/jpeg",
        "kind": "image",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": 64,
        "height": 48,
        "frames": 1,
        "outputs": [],
    }


@pytest.mark.parametrize("given", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_each_format_becomes_each_other(given: str, files: Files, process: Process) -> None:
    path = files.upload("a", samples.encoded(samples.picture(), given))
    wanted = ("jpeg", "png", "webp", "gif")
    (file,) = process(path, *({"operation": "convert", "format": name} for name in wanted))["files"]
    for name, output in zip(wanted, file["outputs"], strict=True):
        image, content = opened(files, output), files.read(output["path"])
        assert (image.format, image.size) == (name.upper(), (64, 48))
        assert is_near(image.convert("RGB").getpixel((5, 5)), (255, 0, 0))
        assert is_near(image.convert("RGB").getpixel((60, 5)), (0, 0, 255))
        assert output["content_type"] == f"image/{name}"
        assert output["bytes"] == len(content)
        assert output["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 32}, (32, 24)),
        ({"height": 12}, (16, 12)),
        ({"width": 32, "height": 32}, (32, 24)),
        ({"width": 640}, (64, 48)),
        ({"width": 20, "height": 20, "fit": "cover"}, (20, 20)),
        ({"width": 10, "height": 40, "fit": "exact"}, (10, 40)),
    ],
)
def test_a_size_is_kept_within_or_met(
    options: dict[str, Any], size: tuple[int, int], files: Files, process: Process
) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    output = only_output(process(path, {"operation": "resize", **options}))
    assert opened(files, output).size == size == (output["width"], output["height"])


def test_compressing_makes_smaller(files: Files, process: Process) -> None:
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    content = samples.encoded(noise, "JPEG", quality=95)
    path = files.upload("a.jpg", content)
    output = only_output(process(path, {"operation": "compress", "quality": 30}))
    assert output["bytes"] < len(content) / 2


def test_metadata_goes_and_the_picture_is_upright(files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.telling_jpeg())
    assert b"secret-artist" in files.read(path)
    for wanted in ("jpeg", "png", "webp", "gif"):
        output = only_output(process(path, {"operation": "convert", "format": wanted}))
        image = opened(files, output)
        assert image.size == (48, 64)
        assert is_near(image.convert("RGB").getpixel((24, 5)), (255, 0, 0))
        assert not image.getexif()
        assert b"secret" not in files.read(output["path"])


def test_metadata_is_kept_where_asked_for(files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.telling_jpeg())
    output = only_output(process(path, {"operation": "compress", "strip_metadata": False}))
    image = opened(files, output)
    assert image.size == (48, 64)
    assert image.getexif()[0x013B] == "secret-artist"
    assert 0x0112 not in image.getexif()


def test_a_transparent_picture_gets_a_white_ground_in_jpeg(files: Files, process: Process) -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    path = files.upload("a.png", samples.encoded(clear, "PNG"))
    output = only_output(process(path, {"operation": "convert", "format": "jpeg"}))
    assert is_near(opened(files, output).getpixel((5, 5)), (255, 255, 255))
    output = only_output(process(path, {"operation": "convert", "format": "webp"}))
    assert opened(files, output).mode == "RGBA"


@pytest.mark.parametrize("wanted", ["gif", "webp", "png"])
def test_an_animation_keeps_its_frames(wanted: str, files: Files, process: Process) -> None:
    path = files.upload("a.gif", samples.animation())
    operation = {"operation": "resize", "width": 32, "format": wanted}
    image = opened(files, only_output(process(path, operation)))
    assert (image.size, getattr(image, "n_frames", 1)) == ((32, 24), 3)


def test_an_animation_does_not_become_a_still_unnoticed(files: Files, process: Process) -> None:
    path = files.upload("a.gif", samples.animation())
    with pytest.raises(FileRefused, match="3 frames: gif, png and webp"):
        process(path, {"operation": "convert", "format": "jpeg"})
    assert opened(files, only_output(process(path, {"operation": "thumbnail"}))).format == "JPEG"


def test_pages_of_a_tiff_are_not_lost_unnoticed(files: Files, process: Process) -> None:
    path = files.upload("a.tiff", samples.pages_of_tiff())
    with pytest.raises(FileRefused, match="2 frames"):
        process(path, {"operation": "convert", "format": "png"})


def test_an_image_bomb_is_refused(files: Files, process: Process) -> None:
    path = files.upload("a.png", samples.image_bomb(3000, 3000))
    with pytest.raises(FileRefused, match="more than 50000000 pixels"):
        process(files.upload("b.png", samples.image_bomb()), {"operation": "thumbnail"})
    assert only_output(process(path, {"operation": "thumbnail"}))["width"] == 256


def test_the_limit_of_pixels_is_what_it_says(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PIXELS=10_000)
    assert process(files.upload("a.png", samples.jpeg(100, 100)), {"operation": "analyze"})
    with pytest.raises(FileRefused, match="more than 10000 pixels"):
        process(files.upload("b.png", samples.jpeg(100, 101)), {"operation": "analyze"})


def test_all_frames_of_an_animation_count(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PIXELS=10_000)
    path = files.upload("a.gif", samples.animation(frames=4))
    with pytest.raises(FileRefused, match="over all frames"):
        process(path, {"operation": "resize", "width": 10})


def test_a_size_wanted_is_limited_as_well(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PIXELS=10_000)
    path = files.upload("a.jpg", samples.jpeg())
    for fit in ("exact", "cover"):
        with pytest.raises(FileRefused, match="the size wanted"):
            process(path, {"operation": "resize", "width": 200, "height": 200, "fit": fit})


def test_a_script_behind_a_header_is_refused(files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.script_behind_a_header())
    with pytest.raises(FileRefused, match="can't be decoded"):
        process(path, {"operation": "thumbnail"})
    assert files.written == []


def test_a_script_in_a_picture_is_left_behind(files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.picture_with_a_script())
    for operation in ({"operation": "compress"}, {"operation": "convert", "format": "png"}):
        output = only_output(process(path, operation))
        assert b"<?php" not in files.read(output["path"])


def test_a_name_decides_nothing(files: Files, process: Process) -> None:
    path = files.upload("movie.mp4", samples.jpeg())
    assert process(path, {"operation": "analyze"})["files"][0]["content_type"] == "image/jpeg"
    with pytest.raises(FileRefused, match="can't thumbnail content of type text/x-php"):
        process(files.upload("a.jpg", samples.PHP), {"operation": "thumbnail"})


@pytest.mark.parametrize("wanted", ["mp4", "pdf", "txt", "html"])
def test_what_an_image_can_not_become_is_named(wanted: str, files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    with pytest.raises(FileRefused, match=f"image/jpeg to {wanted}; possible: jpeg, png, webp"):
        process(path, {"operation": "convert", "format": wanted})
