"""An image as a registry holds it: manifest, config, layers and history (OCI image-spec config.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.errors import ManifestInvalid
from estiva.imagereference import ImageReference
from estiva.platform import Platform


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step of how the image was made; `layer` is what it added, None where it added nothing."""

    created: str
    created_by: str
    comment: str
    layer: Descriptor | None


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """How a container of the image is run; `document` is all of the config as JSON."""

    platform: Platform
    created: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    user: str
    labels: Mapping[str, str]
    exposed_ports: tuple[str, ...]
    diff_ids: tuple[str, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """One image, for one platform."""

    reference: ImageReference
    """Where it was asked for."""
    digest: Digest
    media_type: str
    manifest: bytes
    config: ImageConfig
    layers: tuple[Descriptor, ...]
    """The lowest first."""
    history: tuple[HistoryEntry, ...]
    annotations: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of all layers as they are stored, compressed where they are."""
        return sum(layer.size for layer in self.layers)


def parse_config(content: bytes) -> ImageConfig:
    """The config in these bytes; ManifestInvalid where they are none."""
    try:
        document = json.loads(content)
        run = document.get("config") or {}
        return ImageConfig(
            platform=Platform.from_json(document),
            created=str(document.get("created") or ""),
            entrypoint=_words(run.get("Entrypoint")),
            command=_words(run.get("Cmd")),
            environment=dict(_pair(entry) for entry in run.get("Env") or []),
            working_directory=str(run.get("WorkingDir") or ""),
            user=str(run.get("User") or ""),
            labels={str(name): str(value) for name, value in (run.get("Labels") or {}).items()},
            exposed_ports=tuple(sorted(run.get("ExposedPorts") or ())),
            diff_ids=_words((document.get("rootfs") or {}).get("diff_ids")),
            document=document,
        )
    except (ValueError, TypeError, AttributeError):
        raise ManifestInvalid("the image's config is no image config") from None


def history_of(config: ImageConfig, layers: tuple[Descriptor, ...]) -> tuple[HistoryEntry, ...]:
    """The steps in the config, each with its layer; where they do not add up, one entry per layer."""
    steps = [step for step in config.document.get("history") or [] if isinstance(step, dict)]
    if sum(not step.get("empty_layer") for step in steps) != len(layers):
        return tuple(HistoryEntry("", "", "", layer) for layer in layers)
    left = iter(layers)
    return tuple(
        HistoryEntry(
            created=str(step.get("created") or ""),
            created_by=str(step.get("created_by") or ""),
            comment=str(step.get("comment") or ""),
            layer=None if step.get("empty_layer") else next(left),
        )
        for step in steps
    )


def _words(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _pair(entry: Any) -> tuple[str, str]:
    name, _, value = str(entry).partition("=")
    return name, value
