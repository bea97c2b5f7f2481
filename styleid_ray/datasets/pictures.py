"""The pictures among files: all files with an extension that Pillow reads."""

import os
from collections import Counter

from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.storage import listing
from styleid_ray.storage.locations import Options, absolute, extension, join, local_path, shown
from styleid_ray.storage.secrets import FullURLs, without_secrets


def list_pictures(url: str, what: str, storage_options: Options = None) -> Source:
    """The pictures of a location (`list_files`): files with an extension that Pillow reads, in
    upper or lower case. Raises SourceError for a location that is missing, unreadable or without
    pictures."""
    return pictures_of(list_files(url, what, storage_options), what, storage_options)


def pictures_of(files: Files, what: str, storage_options: Options = None) -> Source:
    """The pictures among listed files; raises SourceError when there are none."""
    pictures = files.pictures()
    skipped = files.kinds() - pictures.kinds() + Counter(files.nameless)
    if not pictures.names:
        if len(files.names) == 1 and files.url.rstrip("/").endswith(files.names[0]):
            raise SourceError(
                f"--{what}: {shown(files.url)} is not a picture; name a folder, file or pattern of "
                "pictures such as .jpg, .png, .webp or .tif"
            )
        kinds = ", ".join(shown(kind) for kind, _ in skipped.most_common(5))
        holds = f"{skipped.total()} files, but no pictures ({kinds})" if skipped else "no files"
        raise SourceError(
            f"--{what}: {shown(files.url)} holds {holds}; name a folder, file or pattern of "
            "pictures such as .jpg, .png, .webp or .tif"
        )
    if not files.is_web:
        return pictures.as_source(storage_options, skipped)
    # The key of a presigned URL is the URL without its signature, which FullURLs holds.
    urls, root = [join(files.root, key) for key in pictures.names], without_secrets(files.root)
    named = {without_secrets(url).removeprefix(root): url for url in urls}
    options, full_urls = dict(storage_options or {}), FullURLs.of(named.values())
    return Source(files.root, tuple(sorted(named)), options, full_urls, skipped=skipped)


def takes(url: str, location: str) -> bool:
    """Whether `list_pictures(url)` would list a new picture at a location."""
    url, location = _real(url), _real(location)
    if extension(url) in (".yaml", ".yml"):
        url = url.rpartition("/")[0]
    folder, pattern = listing.split_glob(url)
    inside = location.startswith(url.rstrip("/") + "/")
    return inside or (
        listing.has_glob(url)
        and location.startswith(folder)
        and any(listing.matching([(location.removeprefix(folder), "")], pattern))
    )


def _real(url: str) -> str:
    path = local_path(url)
    if path is None or "\0" in path:  # which names no file
        return url
    return os.path.realpath(absolute(path))
