"""Settings that name folders, which lead nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .base import Setting, maps_names_to


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Folders of one storage: those that may be read, empty for all of it, and the one for outputs,
    empty for none."""

    read: tuple[str, ...]
    write: str


class FilePlaces(Setting[Mapping[str, FilePlace]]):
    """Folders by name of storage."""

    type_rule = "a dict of storage name to {'read': [folders], 'write': folder}"
    _KEYS = frozenset({"read", "write"})

    def has_type(self, value: object) -> bool:
        """Take folders as strings, under either key or both."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and self._is_place(place) for name, place in value.items()
        )

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict whose folders are relative, as 'uploads/photos', without '..'"

    def in_range(self, value: object) -> bool:
        """Refuse what could lead out of the storage."""
        places = self.convert(value).values()
        return all(_is_folder(name) for place in places for name in (*place.read, place.write))

    def convert(self, value: object) -> Mapping[str, FilePlace]:
        """Return places."""
        given = cast(Mapping[str, Mapping[str, Any]], value)
        return {
            name: FilePlace(tuple(place.get("read", ())), place.get("write", ""))
            for name, place in given.items()
        }

    def _is_place(self, value: object) -> bool:
        if not isinstance(value, Mapping) or not self._KEYS.issuperset(value):
            return False
        read, write = value.get("read", ()), value.get("write", "")
        are_folders = isinstance(read, list | tuple) and all(isinstance(each, str) for each in read)
        return are_folders and isinstance(write, str)


class Folders(Setting[Mapping[str, str]]):
    """Folders of this machine, by a name of their own."""

    type_rule = "a dict of name to folder"

    def has_type(self, value: object) -> bool:
        """Take strings for strings."""
        return maps_names_to(str, value)

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict of absolute folders, as '/srv/app/tmp', without '..' and not '/' itself"

    def in_range(self, value: object) -> bool:
        """Refuse what is no folder in particular."""
        return all(
            folder.startswith("/") and _is_folder(folder.strip("/")) and folder.strip("/") != ""
            for folder in cast(Mapping[str, str], value).values()
        )


def _is_folder(name: str) -> bool:
    parts = name.rstrip("/").split("/")
    return name == "" or not ("\\" in name or any(part in ("", ".", "..") for part in parts))


class FoldersByStorage(Setting[Mapping[str, Sequence[str]]]):
    """Folders of some storages; an empty one is all of its storage."""

    type_rule = "a dict of storage name to list of folders"

    def has_type(self, value: object) -> bool:
        """Take lists of strings by name."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str)
            and isinstance(folders, list | tuple)
            and all(isinstance(each, str) for each in folders)
            for name, folders in value.items()
        )

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict whose folders are relative, as 'invoices/sent', without '..'"

    def in_range(self, value: object) -> bool:
        """Refuse what could lead out of the storage."""
        given = cast(Mapping[str, Sequence[str]], value)
        return all(_is_folder(each) for folders in given.values() for each in folders)
