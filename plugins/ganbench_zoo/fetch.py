"""Downloading released weights ahead of time: ``python -m ganbench_zoo.fetch NAME``, NAME being an extractor's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ganbench import ExtractorUnavailable
from ganbench.errors import did_you_mean
from ganbench_zoo.extractors import clip, dinov2, inception_v3, vgg16
from ganbench_zoo.weights import Release, fetch, file_sha256, locate


def releases() -> dict[str, Release]:
    """Return what can be downloaded, by the extractor's name."""
    modules = (inception_v3, vgg16, clip, dinov2)
    return {component.name: component.release for module in modules for component in module.extractors()}


def main(arguments: Sequence[str]) -> None:
    """Fetch the weights of each extractor named into torch's hub cache and print where they lie."""
    known = releases()
    if not arguments:
        sys.exit(f"name an extractor; known: {', '.join(sorted(known))}")
    for name in arguments:
        if name not in known:
            sys.exit(f"no weights can be downloaded for {name!r}{did_you_mean(name, known)}")
        location = locate(known[name], None)
        try:
            fetch(known[name], location)
        except ExtractorUnavailable as error:
            sys.exit(str(error))
        print(f"{location.path} (SHA-256 {file_sha256(location.path)})")


if __name__ == "__main__":
    main(sys.argv[1:])
