"""Videos, by PyAV. ffmpeg gets a file that is open already, and so no way to open another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from . import images
from .desk import Desk, decoding
from .errors import FileRefused
from .formats import DEMUXERS
from .task import Limits, Operation, Output

_RATE = Fraction(30)
_FASTEST = Fraction(120)
_THREADS = 2
_QUALITY = 70
_WHAT = "the video"


def inspect(path: Path, content_type: str, limits: Limits) -> dict[str, Any]:
    """Return the size as seen, duration in seconds, frames a second and codecs."""
    with decoding(_WHAT), _opened(path, content_type, limits) as container:
        video = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        first = next(container.decode(video), None)
        lies = first is not None and first.rotation % 180 == 90
        width, height = video.width, video.height
        return {
            "width": height if lies else width,
            "height": width if lies else height,
            "duration": _duration(container),
            "frame_rate": float(round(video.average_rate, 3)) if video.average_rate else None,
            "video_codec": video.codec_context.name,
            "audio_codec": audio.codec_context.name if audio else None,
        }


def perform(path: Path, content_type: str, operation: Operation, desk: Desk) -> list[Output]:
    """Make an mp4 (H.264 and AAC) or a thumbnail."""
    with decoding(_WHAT), _opened(path, content_type, desk.limits) as container:
        if operation["operation"] == "thumbnail":
            return [_thumbnail(container, operation, desk)]
        duration = _duration(container)
        if duration is not None and duration > desk.limits.video_seconds:
            most = desk.limits.video_seconds
            raise FileRefused(f"a video of {duration:g} s: at most {most} s are transcoded")
        return [_Transcoding(container, operation, desk).run()]


@contextmanager
def _opened(path: Path, content_type: str, limits: Limits) -> Iterator[InputContainer]:
    # No protocol, and no other demuxer inside of this one.
    demuxer = DEMUXERS[content_type]
    options = {"protocol_whitelist": "", "format_whitelist": _full_name(demuxer)}
    with (
        path.open("rb") as file,
        av.open(file, mode="r", format=demuxer, options=options) as container,
    ):
        _check(container, limits)
        yield container


def _full_name(demuxer: str) -> str:
    return av.ContainerFormat(demuxer, "r").name


def _check(container: InputContainer, limits: Limits) -> None:
    if not container.streams.video:
        raise FileRefused("a video without pictures")
    video = container.streams.video[0]
    if video.width * video.height > limits.pixels:
        raise FileRefused(f"a video of more than {limits.pixels} pixels a picture")
    video.codec_context.thread_count = _THREADS


def _duration(container: InputContainer) -> float | None:
    return None if container.duration is None else round(container.duration / av.time_base, 3)


def _thumbnail(container: InputContainer, operation: Operation, desk: Desk) -> Output:
    at = operation["at"]
    duration = _duration(container)
    if duration is not None and at > duration:
        raise FileRefused(f"no picture at {at:g} s: the video has {duration:g} s")
    video = container.streams.video[0]
    if at:
        container.seek(int(at * av.time_base))  # to the key frame before
    last = None
    for frame in container.decode(video):
        last = frame
        if (time := _time(frame)) is None or time >= at:
            break
    if last is None:
        raise FileRefused("a video without pictures")
    picture = last.to_image().rotate(last.rotation, expand=True)
    return images.save(picture, operation, operation["format"], desk)


def _time(frame: Any) -> float | None:
    """Return when a frame is shown, in seconds; the file may not say."""
    found: float | None = frame.time
    return found


class _Transcoding:
    """Decodes one file and encodes another, packet by packet."""

    def __init__(self, source: InputContainer, operation: Operation, desk: Desk) -> None:
        self.source, self.operation, self.desk = source, operation, desk
        self.path = desk.new("mp4")
        self.turning: av.filter.Graph | None = None
        self.video: VideoStream | None = None
        self.audio: Any = None

    def run(self) -> Output:
        """Transcode all."""
        # faststart: what a player needs first comes first.
        with av.open(
            str(self.path), "w", format="mp4", options={"movflags": "faststart"}
        ) as target:
            self._transcode(target)
        if self.video is None:
            raise FileRefused("a video without pictures")
        size = {"width": self.video.width, "height": self.video.height}
        return self.desk.finished(self.path, self.operation, "mp4", **size)

    def _transcode(self, target: OutputContainer) -> None:
        streams = self.source.streams
        audio = streams.audio[0] if streams.audio else None
        if audio is not None:
            self._add_audio(target, audio)
        for packet in self.source.demux([streams.video[0], *([audio] if audio else [])]):
            for frame in packet.decode():
                self._check_time(frame)
                if isinstance(frame, VideoFrame):
                    self._encode_picture(target, frame)
                else:
                    self._encode_sound(target, frame)
        self._flush(target)

    def _check_time(self, frame: Any) -> None:
        """What a file says of its duration may be wrong, or missing."""
        time = _time(frame)
        if time is not None and time > self.desk.limits.video_seconds:
            most = self.desk.limits.video_seconds
            raise FileRefused(f"a video that goes on after {most} s, which is the most")

    def _encode_picture(self, target: OutputContainer, frame: VideoFrame) -> None:
        upright = self._upright(frame)
        if self.video is None:
            self.video = self._add_video(target, upright)
        stream = self.video
        scaled = upright.reformat(stream.width, stream.height, format="yuv420p")
        scaled.pict_type = av.video.frame.PictureType.NONE  # key frames are the encoder's choice
        target.mux(stream.encode(scaled))

    def _upright(self, frame: VideoFrame) -> VideoFrame:
        """A phone's video lies on its side, and says so."""
        if frame.rotation % 360 not in _TURNS:
            return frame
        if self.turning is None:
            self.turning = _turning(frame, _TURNS[frame.rotation % 360])
        self.turning.push(frame)
        return cast(VideoFrame, self.turning.pull())

    def _add_video(self, target: OutputContainer, frame: VideoFrame) -> VideoStream:
        rate = self.source.streams.video[0].average_rate
        stream = target.add_stream("libx264", rate=rate if rate and rate <= _FASTEST else _RATE)
        stream.width, stream.height = _size(frame, self.operation, self.desk.limits)
        stream.pix_fmt = "yuv420p"
        stream.thread_count = _THREADS
        crf = round(51 - 0.4 * self.operation.get("quality", _QUALITY))
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        return stream

    def _add_audio(self, target: OutputContainer, source: Any) -> None:
        self.audio = target.add_stream("aac", rate=48_000, layout="stereo")
        context = self.audio.codec_context
        self.resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.rate, frame_size=1024
        )
        source.codec_context.thread_count = 1

    def _encode_sound(self, target: OutputContainer, frame: Any) -> None:
        for resampled in self.resampler.resample(frame):
            target.mux(self.audio.encode(resampled))

    def _flush(self, target: OutputContainer) -> None:
        if self.audio is not None:
            self._encode_sound(target, None)
            target.mux(self.audio.encode(None))
        if self.video is not None:
            target.mux(self.video.encode(None))


_TURNS = {90: ("transpose", "cclock"), 270: ("transpose", "clock"), 180: ("hflip,vflip", "")}


def _turning(frame: VideoFrame, turn: tuple[str, str]) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(
            template=None,
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base,
        )
    ]
    names, argument = turn
    nodes += [
        graph.add(name, argument) if argument else graph.add(name) for name in names.split(",")
    ]
    nodes.append(graph.add("buffersink"))
    for one, next_one in pairwise(nodes):
        one.link_to(next_one)
    graph.configure()
    return graph


def _size(frame: VideoFrame, operation: Operation, limits: Limits) -> tuple[int, int]:
    """Return width and height: within those wanted, of the same shape, even as H.264 wants them."""
    width, height = frame.width, frame.height
    wanted = operation.get("width") or width, operation.get("height") or height
    if operation.get("fit", "contain") == "exact":
        width, height = wanted
    else:
        scale = min(wanted[0] / width, wanted[1] / height, 1.0)
        width, height = round(width * scale), round(height * scale)
    if width * height > limits.pixels:
        raise FileRefused(f"the size wanted has more than {limits.pixels} pixels")
    return max(width // 2 * 2, 2), max(height // 2 * 2, 2)
