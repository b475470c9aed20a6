"""Real files of each kind, made on the spot: images, videos, documents, and hostile ones."""

from __future__ import annotations

import struct
import zipfile
import zlib
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
from PIL import Image

# Antivirus programs know it, and agree that it does no harm; in two parts, so that none of them
# takes this file for a virus.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PHP = b"<?php system($_GET['c']); ?>"
_ORIENTATION, _GPS, _ARTIST = 0x0112, 0x8825, 0x013B
_XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>secret-xmp</x:xmpmeta>"


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right: which way up it is can be seen."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    return image.convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return encoded(picture(width, height), "JPEG")


def telling_jpeg() -> bytes:
    """Lies on its side, and has an artist, a place and two remarks in it."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6  # to be turned clockwise
    exif[_ARTIST] = "secret-artist"
    exif[_GPS] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return encoded(picture(), "JPEG", exif=exif, comment=b"secret-comment", xmp=_XMP)


def script_behind_a_header() -> bytes:
    """What every detector of types calls a JPEG."""
    return jpeg()[:30] + PHP


def picture_with_a_script() -> bytes:
    """A whole JPEG that is a whole script."""
    return encoded(picture(), "JPEG", comment=PHP) + PHP


def animation(frames: int = 3, file_format: str = "GIF") -> bytes:
    pictures = [picture().rotate(90 * number) for number in range(frames)]
    options = {"save_all": True, "append_images": pictures[1:], "duration": 80, "loop": 0}
    return encoded(pictures[0], file_format, **options)


def pages_of_tiff() -> bytes:
    return encoded(picture(), "TIFF", save_all=True, append_images=[picture()])


def image_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of some bytes that says, rightly, that it has 900 million pixels."""
    rows = zlib.compressobj(9)
    line = bytes(1 + (width + 7) // 8)
    data = b"".join(rows.compress(line) for _ in range(height)) + rows.flush()
    header = struct.pack("!IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack("!I", len(content))
        + name
        + content
        + struct.pack("!I", zlib.crc32(name + content))
    )


class _Pipe:
    """What can only be written to: nothing can be filled in afterwards."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, part: bytes) -> int:
        self.content += part
        return len(part)


def live_video(seconds: float) -> bytes:
    """Without a duration, as what is recorded while it is sent."""
    pipe = _Pipe()
    _write_video(pipe, seconds, 0, "matroska")
    return pipe.content


def video(seconds: float = 2, *, rotation: int = 0, file_format: str = "mp4") -> bytes:
    """Red for the first second, blue after it, with a sound."""
    buffer = BytesIO()
    _write_video(buffer, seconds, rotation, file_format)
    return buffer.getvalue()


def _write_video(file: Any, seconds: float, rotation: int, file_format: str) -> None:
    with av.open(file, "w", format=file_format) as target:
        stream = target.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        sound = target.add_stream("aac", rate=44_100, layout="mono")
        target.metadata["title"] = "secret-title"
        for number in range(int(seconds * 10)):
            colour = "red" if number < 10 else "blue"
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), colour))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            target.mux(stream.encode(frame))
        for number in range(int(seconds * 44_100 / 1024)):
            target.mux(sound.encode(_silence(number)))
        target.mux(stream.encode(None))
        target.mux(sound.encode(None))


def _silence(number: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts, frame.time_base = 44_100, number * 1024, Fraction(1, 44_100)
    return frame


_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MIME = "application/vnd.openxmlformats"
_TYPES = (
    f'<?xml version="1.0" encoding="UTF-8"?><Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="{_MIME}-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml"'
    f' ContentType="{_MIME}-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = f'<Relationships xmlns="{_PACKAGE}/relationships">{{}}</Relationships>'
_RELATION = f'<Relationship Id="{{}}" Type="{_OFFICE}/{{}}" Target="{{}}"{{}}/>'
_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?><w:document'
    ' xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    ' xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><w:body>'
    "<w:p><w:r><w:t>Hello from a document</w:t></w:r></w:p>{}</w:body></w:document>"
)
_LINK = '<w:p><w:hyperlink r:id="rLink"><w:r><w:t>a link</w:t></w:r></w:hyperlink></w:p>'
_PICTURE = (
    "<w:p><w:r><w:drawing><wp:inline><wp:extent cx='990000' cy='990000'/>"
    "<wp:docPr id='1' name='p'/>"
    "<a:graphic><a:graphicData uri='http://schemas.openxmlformats.org/drawingml/2006/picture'>"
    "<pic:pic><pic:nvPicPr><pic:cNvPr id='0' name='p'/><pic:cNvPicPr/></pic:nvPicPr>"
    "<pic:blipFill><a:blip r:link='rPicture'/><a:stretch><a:fillRect/></a:stretch></pic:blipFill>"
    "<pic:spPr><a:xfrm><a:off x='0' y='0'/><a:ext cx='990000' cy='990000'/></a:xfrm>"
    "<a:prstGeom prst='rect'><a:avLst/></a:prstGeom></pic:spPr></pic:pic></a:graphicData>"
    "</a:graphic></wp:inline></w:drawing></w:r></w:p>"
)


def docx(*, link: str = "", picture_at: str = "", padding: int = 0) -> bytes:
    """A letter, as Word would open it; with a link, a picture elsewhere, or much air in it."""
    body = (_LINK if link else "") + (_PICTURE if picture_at else "")
    external = ' TargetMode="External"'
    relations = [
        _RELATION.format(name, kind, target, external)
        for name, kind, target in (("rLink", "hyperlink", link), ("rPicture", "image", picture_at))
        if target
    ]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        main = _RELATION.format("rId1", "officeDocument", "word/document.xml", "")
        archive.writestr("_rels/.rels", _RELATIONS.format(main))
        archive.writestr("word/_rels/document.xml.rels", _RELATIONS.format("".join(relations)))
        archive.writestr("word/document.xml", _BODY.format(body))
        if padding:
            archive.writestr("word/media/air.bin", bytes(padding))
    return buffer.getvalue()


def pdf(*texts: str) -> bytes:
    """A page for each text."""
    count = len(texts)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(texts):
        stream = f"BT /F1 24 Tf 20 50 Td ({text}) Tj ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 100] /Resources << /Font"
            f" << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    return _pdf_file(objects)


def _pdf_file(objects: list[str]) -> bytes:
    written, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return f"{written}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def noise(side: int = 200) -> Image.Image:
    """What no encoder makes small."""
    return Image.effect_noise((side, side), 80)
