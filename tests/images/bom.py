"""The bill of materials of an image (CycloneDX 1.6): its Python and its Debian packages."""

import email
from collections.abc import Iterator

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.images.image import Image

_DEBIAN_PACKAGES = "var/lib/dpkg/status"


def bill(image: Image) -> Bom:
    """Return what an image is made of."""
    bom = Bom()
    bom.metadata.component = Component(
        name=image.name, version=image.described["Id"], type=ComponentType.CONTAINER
    )
    found = {str(each.purl): each for each in _components(image)}
    for each in found.values():
        bom.components.add(each)
        bom.register_dependency(bom.metadata.component, [each])
    return bom


def text(bom: Bom) -> str:
    """Return a bill as JSON."""
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _components(image: Image) -> Iterator[Component]:
    debian: dict[str, Component] = {}
    for path, content in image.files():
        if path == _DEBIAN_PACKAGES:  # a later layer's is the one that holds
            debian = {each.name: each for each in _debian(content.read().decode())}
        elif path.endswith(".dist-info/METADATA"):
            told = email.message_from_bytes(content.read())
            yield _component("pypi", told["Name"], told["Version"])
    yield from debian.values()


def _debian(status: str) -> Iterator[Component]:
    for paragraph in status.strip().split("\n\n"):
        told = email.message_from_string(paragraph)
        if told["Status"] == "install ok installed":
            yield _component("deb", told["Package"], told["Version"], namespace="debian")


def _component(kind: str, name: str, version: str, namespace: str | None = None) -> Component:
    purl = PackageURL(kind, namespace, name.lower(), version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl)
    )
