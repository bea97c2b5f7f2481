"""Datasets in the layout of Pascal VOC, on a disk or in an object store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from styleid_ray.storage.store import Store
from tests.planning.conftest import picture_bytes

XML = """<annotation>
\t<!-- drawn by hand -->
\t<folder>VOC2012</folder>
\t<filename>{name}.jpg</filename>
\t<path>/home/someone/{name}.jpg</path>
\t<source><database>The VOC2008 Database</database></source>
\t<size>
\t\t<width>500</width>
\t\t<height>442</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>dog</name>
\t\t<filename>of the object</filename>
\t\t<pose>Frontal</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmax>471</xmax>
\t\t\t<xmin>53.50</xmin>
\t\t\t<ymin>87</ymin>
\t\t\t<ymax>4.2e2</ymax>
\t\t</bndbox>
\t\t<part>
\t\t\t<name>head</name>
\t\t\t<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
\t\t</part>
\t\t<mood colour='blue &gt; "green"'>calm &amp; happy</mood>
\t</object>
\t<object>
\t\t<name>person</name>
\t\t<difficult>1</difficult>
\t\t<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
\t</object>
</annotation>
"""


def put(url: str, files: Mapping[str, bytes | str]) -> str:
    """Writes files below a location; gives the location."""
    store = Store(str(url))
    for name, data in files.items():
        store.write(name, data if isinstance(data, bytes) else data.encode())
    return str(url)


def pictures(names: Iterable[str], year: str = "") -> dict[str, bytes | str]:
    """Pictures, each with its annotation file."""
    files: dict[str, bytes | str] = {}
    for name in names:
        files[f"{year}JPEGImages/{name}.jpg"] = picture_bytes()
        files[f"{year}Annotations/{name}.xml"] = XML.format(name=name)
    return files


def lists(year: str = "", **names: Iterable[str]) -> dict[str, bytes | str]:
    """Lists of names in `ImageSets/Main/`."""
    return {
        f"{year}ImageSets/Main/{name}.txt": "".join(f"{line}\n" for line in lines)
        for name, lines in names.items()
    }
