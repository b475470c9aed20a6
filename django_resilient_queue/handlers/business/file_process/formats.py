"""Which content is processed, what can be made of it, and under which names."""

from __future__ import annotations

from collections.abc import Mapping

IMAGE, VIDEO, PDF, OFFICE, OTHER = "image", "video", "pdf", "office", "other"

_OPEN = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
DOCX = f"{_OPEN}.wordprocessingml.document"
ZIP = "application/zip"

# The extension is for LibreOffice, which has no content types.
OFFICE_EXTENSIONS: Mapping[str, str] = {
    DOCX: "docx",
    f"{_OPEN}.spreadsheetml.sheet": "xlsx",
    f"{_OPEN}.presentationml.presentation": "pptx",
    f"{_ODF}.text": "odt",
    f"{_ODF}.spreadsheet": "ods",
    f"{_ODF}.presentation": "odp",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "text/rtf": "rtf",
}
# By which of ffmpeg's demuxers: it is never left to guess, for some of them open other files.
DEMUXERS: Mapping[str, str] = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/x-m4v": "mov",
    "video/3gpp": "mov",
    "video/x-matroska": "matroska",
    "video/webm": "matroska",
    "video/x-msvideo": "avi",
}
# By which of Pillow's readers, for the same reason.
READERS: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
}
KINDS: Mapping[str, str] = {
    **dict.fromkeys(READERS, IMAGE),
    **dict.fromkeys(DEMUXERS, VIDEO),
    **dict.fromkeys(OFFICE_EXTENSIONS, OFFICE),
    "application/pdf": PDF,
}

IMAGE_FORMATS = ("jpeg", "png", "webp", "gif")
FORMATS = (*IMAGE_FORMATS, "mp4", "pdf", "txt", "html")
EXTENSIONS: Mapping[str, str] = {**{name: name for name in FORMATS}, "jpeg": "jpg"}
CONTENT_TYPES: Mapping[str, str] = {
    **{name: f"image/{name}" for name in IMAGE_FORMATS},
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "txt": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
}
CONVERSIONS: Mapping[str, tuple[str, ...]] = {
    IMAGE: IMAGE_FORMATS,
    VIDEO: ("mp4",),
    PDF: ("txt", "png", "jpeg", "webp"),
    OFFICE: ("pdf", "html", "txt", "png", "jpeg", "webp"),
}
LIBREOFFICE = ("soffice", "libreoffice")  # names of its program, on PATH
OPERATIONS = ("analyze", "compress", "resize", "convert", "thumbnail")
ABILITIES: Mapping[str, tuple[str, ...]] = {
    IMAGE: OPERATIONS,
    VIDEO: OPERATIONS,
    PDF: ("analyze", "convert", "thumbnail"),
    OFFICE: ("analyze", "convert", "thumbnail"),
    OTHER: ("analyze",),
}
