"""The pause image: a program that does nothing, which holds the network namespace that containers of a task share.

It is written out here, machine code and all, so that a task with shared network starts where nothing can be downloaded.
"""

import hashlib
import io
import json
import struct
import tarfile

IMAGE = "estiva.invalid/pause:1"
"""Its name on engines: a host that cannot exist, so that nobody ever pulls it."""

# pause(2) until the end of days: mov eax, 34; syscall; jmp back.
_X86_64 = bytes.fromhex("b822000000 0f05 ebf7")
# ppoll(2) of nothing, for there is no pause(2): x0..x3 = 0; x8 = 73; svc 0; b back.
_AARCH64 = struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA)
_MACHINES = {"amd64": (62, _X86_64), "arm64": (183, _AARCH64)}
_BASE, _HEADERS = 0x400000, 64 + 56


def pause_program(architecture: str) -> bytes:
    """A static ELF program for `amd64` or `arm64`; KeyError for others."""
    machine, code = _MACHINES[architecture]
    size = _HEADERS + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identity + header + segment + code


def pause_archive(architecture: str) -> bytes:
    """The image as `docker load` takes it: the same bytes each time."""
    layer = _tar({"pause": pause_program(architecture)})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    return _tar({**files, "manifest.json": json.dumps(manifest).encode()})


def _tar(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()
