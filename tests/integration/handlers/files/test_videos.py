"""Promises of file:process about videos."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

from django_resilient_queue.handlers.business.file_process.errors import FileRefused
from tests import samples
from tests.integration.handlers.files.conftest import Files, Process
from tests.integration.handlers.files.test_images import is_near, only_output, opened

MP4 = {"operation": "convert", "format": "mp4"}


def test_a_video_is_looked_into(files: Files, process: Process) -> None:
    path = files.upload("a", samples.video(seconds=2))
    (file,) = process(path, {"operation": "analyze"})["files"]
    assert (file["kind"], file["content_type"]) == ("video", "video/mp4")
    assert (file["width"], file["height"], file["frame_rate"]) == (64, 48, 10.0)
    assert file["duration"] == pytest.approx(2, abs=0.2)
    assert (file["video_codec"], file["audio_codec"]) == ("h264", "aac")


@pytest.mark.parametrize("container", ["matroska", "mov", "mp4"])
def test_a_video_becomes_an_mp4_that_plays(container: str, files: Files, process: Process) -> None:
    path = files.upload("a", samples.video(file_format=container))
    output = only_output(process(path, MP4))
    content = files.read(output["path"])
    with av.open(BytesIO(content), "r") as made:
        assert "mp4" in made.format.name
        video, audio = made.streams.video[0], made.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        colours = [frame.to_image().getpixel((30, 20)) for frame in made.decode(video=0)]
        assert made.duration == pytest.approx(2 * av.time_base, rel=0.1)
    assert len(colours) == 20
    assert is_near(colours[0], (255, 0, 0))
    assert is_near(colours[-1], (0, 0, 255))
    assert b"secret-title" not in content


def test_a_video_without_a_sound_is_one(files: Files, process: Process) -> None:
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        stream = target.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), "red"))
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    output = only_output(process(files.upload("a", buffer.getvalue()), MP4))
    with av.open(BytesIO(files.read(output["path"]))) as made:
        assert not made.streams.audio


def test_a_video_is_made_smaller(files: Files, process: Process) -> None:
    path = files.upload("a", samples.video())
    resize = {"operation": "resize", "width": 33}
    compress = {"operation": "compress", "quality": 1}
    (file,) = process(path, resize, compress)["files"]
    assert [(out["width"], out["height"]) for out in file["outputs"]] == [(32, 24), (64, 48)]


@pytest.mark.parametrize(("at", "colour"), [(0, (255, 0, 0)), (1.5, (0, 0, 255))])
def test_a_thumbnail_is_of_the_moment_asked_for(
    at: float, colour: tuple[int, int, int], files: Files, process: Process
) -> None:
    path = files.upload("a", samples.video())
    output = only_output(process(path, {"operation": "thumbnail", "at": at}))
    assert is_near(opened(files, output).getpixel((30, 20)), colour)


def test_there_is_no_picture_after_the_end(files: Files, process: Process) -> None:
    path = files.upload("a", samples.video())
    with pytest.raises(FileRefused, match=r"no picture at 9 s: the video has 2"):
        process(path, {"operation": "thumbnail", "at": 9})


def test_a_video_that_lies_on_its_side_is_put_upright(files: Files, process: Process) -> None:
    path = files.upload("a", samples.video(rotation=90))
    (file,) = process(path, MP4, {"operation": "thumbnail"})["files"]
    assert (file["width"], file["height"]) == (48, 64)
    assert [(out["width"], out["height"]) for out in file["outputs"]] == [(48, 64), (48, 64)]


def test_a_video_that_is_too_long_is_refused(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_VIDEO_SECONDS=1)
    path = files.upload("a", samples.video(seconds=2))
    with pytest.raises(FileRefused, match=r"a video of 2\S* s: at most 1 s are transcoded"):
        process(path, MP4)
    assert process(path, {"operation": "thumbnail"}, {"operation": "analyze"})["done"] == 1


def test_a_video_that_does_not_say_how_long_it_is_is_not_transcoded_for_ever(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    path = files.upload("a", samples.live_video(seconds=2))
    (file,) = process(path, MP4)["files"]
    assert file["duration"] is None
    allow(FILE_VIDEO_SECONDS=1)
    with pytest.raises(FileRefused, match="goes on after 1 s"):
        process(path, MP4)


def test_a_video_of_large_pictures_is_refused(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PIXELS=10_000)
    path = files.upload("a", samples.video())
    assert process(path, {"operation": "analyze"})["done"] == 1
    with pytest.raises(FileRefused, match="the size wanted"):
        process(path, {"operation": "resize", "width": 500, "height": 500, "fit": "exact"})


def test_half_a_video_is_refused(files: Files, process: Process) -> None:
    whole = samples.video()
    with pytest.raises(FileRefused, match="the video can't be decoded"):
        process(files.upload("a", whole[: len(whole) // 2]), MP4)
    assert files.written == []


def test_a_list_that_names_other_files_is_no_video(
    files: Files, process: Process, tmp_path: Path
) -> None:
    """ffmpeg would open what it names."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(samples.video())
    for lines in (f"ffconcat version 1.0\nfile '{secret}'\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"):
        with pytest.raises(FileRefused, match="can't convert content of type text/plain"):
            process(files.upload("a.mp4", lines.encode()), MP4)
