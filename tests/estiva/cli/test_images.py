"""The verbs for registries, typed as a person would."""

import json
import os
import tarfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.clients.images import Image
from tests.estiva.cli.command import KEY_ID, KEY_SECRET, Estiva
from tests.security.secured import Secured
from tests.serving import free_port

NUMBERS = count(1)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of nobody in particular."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list((tmp_path / "state").rglob("uploads/*"))


@pytest.fixture
def host(registry: Secured) -> str:
    return registry.registry.host


@pytest.fixture
def name(host: str) -> str:
    """A repository that nobody has used."""
    return f"{host}/typed/number{next(NUMBERS)}"


@pytest.fixture
def packed(estiva: Estiva, name: str) -> str:
    """An image that was packed, by its reference."""
    Path("root").mkdir()
    Path("root", "hello").write_text("hello")
    flags = ["--entrypoint", '["/hello", "a b"]', "--cmd", "you 'and me'", "--env", "A=1=2", "--workdir", "/w"]
    more = ["--user", "nobody", "--label", "k=v", "--expose", "80", "--platform", "linux/arm64"]
    out = estiva.done("pack", "root", "-t", f"{name}:1", *flags, *more).out
    assert out.startswith(f"{name}:1@sha256:")
    return f"{name}:1"


def test_an_image_is_packed_and_inspected(estiva: Estiva, packed: str) -> None:
    told = estiva.done("inspect", packed, "--json").document
    assert (told["entrypoint"], told["cmd"], told["env"]) == (["/hello", "a b"], ["you", "and me"], ["A=1=2"])
    assert (told["platform"], told["user"], told["workdir"]) == ("linux/arm64", "nobody", "/w")
    assert (told["labels"], told["ports"]) == (["k=v"], ["80/tcp"])
    assert told["history"][0]["createdBy"] == "estiva pack"
    assert estiva.json("inspect", packed) == told
    assert "entrypoint: /hello, a b\n" in estiva.done("inspect", packed).out
    assert json.loads(estiva.done("inspect", packed, "--raw").out)["schemaVersion"] == 2


def test_the_same_folder_is_the_same_image(estiva: Estiva, packed: str, name: str) -> None:
    first = estiva.done("pack", "root", "-t", f"{name}:a", "-q").out
    os.utime("root/hello", (1, 1))
    assert estiva.done("pack", "root", "-t", f"{name}:b", "--quiet").out == first
    assert first.startswith("sha256:")


def test_an_image_goes_round(estiva: Estiva, packed: str, name: str) -> None:
    digest = estiva.done("pull", packed, "layout", "-q").out
    assert estiva.done("push", "layout", f"{name}:2", "-q").out == digest
    assert estiva.done("pull", packed, "image.tar", "--platform", "linux/arm64", "-q").out == digest
    assert tarfile.is_tarfile("image.tar")
    pushed = estiva.done("push", "image.tar", f"{name}/other:3", "--mount-from", name, "--json").document
    assert (pushed["digest"], pushed["reference"]) == (digest.strip(), f"{name}/other:3")
    assert estiva.done("cp", packed, f"{name}/copy:4").out == f"{name}/copy:4@{digest}"
    assert estiva.done("tag", packed, "b", "a", "-q").out == digest
    assert estiva.done("tags", name).out.split() == ["1", "2", "a", "b"]
    assert estiva.done("tags", name, "--json").document == ["1", "2", "a", "b"]
    assert set(estiva.done("ls", name).out.split()) >= {
        f"{name.partition('/')[2]}{end}" for end in ("", "/other", "/copy")
    }
    estiva.done("rm", f"{name}:a", f"{name}:b")
    assert estiva.done("tags", name).out.split() == ["1", "2"]


def test_an_index_shows_its_platforms(estiva: Estiva, name: str, tmp_path: Path) -> None:
    layout = Image((("a", b"a"),)).layout(tmp_path / "source", architectures=("amd64", "arm64"))
    estiva.done("push", "source", f"{name}:1")
    shown = estiva("inspect", f"{name}:1")
    assert shown.code == 0
    assert layout.digest in shown.out
    assert "--platform" in shown.err
    assert len(estiva.json("inspect", f"{name}:1")["manifests"]) == 2
    assert (
        estiva.done("inspect", f"{name}:1", "--platform", "linux/arm64", "--json").document["platform"] == "linux/arm64"
    )
    assert "linux/s390x" in estiva.failed("inspect", f"{name}:1", "--platform", "linux/s390x")


def test_two_images_are_compared(estiva: Estiva, packed: str, name: str) -> None:
    estiva.done("pack", "root", "-t", f"{name}:2", "--env", "A=3", "--platform", "linux/arm64")
    assert estiva.done("diff", packed, packed).out == ""
    assert estiva.done("diff", packed, packed, "--json").document == []
    rows = {
        row["what"]: (row["left"], row["right"]) for row in estiva.done("diff", packed, f"{name}:2", "--json").document
    }
    assert rows["env A"] == ("1=2", "3")
    assert rows["user"] == ("nobody", None)
    assert not any(what.startswith("layer") for what in rows)
    assert ["env", "A", "1=2", "3"] in estiva.done("diff", packed, f"{name}:2").table()


def test_artifacts(estiva: Estiva, packed: str, name: str) -> None:
    Path("sbom.json").write_text("{}")
    estiva.done("artifact", "push", f"{name}:files", "sbom.json", "--type", "application/x", "-a", "k=v")
    assert estiva.done("inspect", f"{name}:files", "--json").document["artifactType"] == "application/x"
    assert estiva.done("artifact", "pull", f"{name}:files", "out").out == "out/sbom.json\n"
    assert Path("out", "sbom.json").read_text() == "{}"
    attached = estiva.done("attach", packed, "sbom.json", "--type", "application/sbom", "-q").out.strip()
    assert estiva.done("discover", packed).table()[1:] == [
        [attached, "application/sbom", str(_size(estiva, name, attached))]
    ]
    assert estiva.done("discover", packed, "--type", "application/none", "--json").document == []


def _size(estiva: Estiva, name: str, digest: str) -> int:
    return len(estiva.done("inspect", f"{name}@{digest}", "--raw").out)


def test_signing_in_and_out(estiva: Estiva, host: str, name: str) -> None:
    stranger = Estiva({"ESTIVA_SERVER": "", "ESTIVA_USERNAME": "", "ESTIVA_PASSWORD": ""})
    assert "estiva login" in stranger.failed("tags", name)
    wrong = stranger.failed("login", host, "-u", KEY_ID, "--password-stdin", given=b"wrong\n")
    assert f"does not let {KEY_ID} in" in wrong
    told = stranger.done("login", f"http://{host}/", "-u", KEY_ID, "--password-stdin", given=f"{KEY_SECRET}\n".encode())
    assert told.out == f"signed in to {host}; the credential is kept in {Path('docker/config.json').absolute()}\n"
    assert "typed/" in "".join(stranger.done("ls", host).out) or stranger.done("ls", host).out == ""
    assert stranger.done("logout", host).out == f"signed out of {host}\n"
    assert stranger.failed("logout", host) == f"there is no credential for {host}"
    assert stranger.failed("login", host).startswith("there is no terminal")
    usage = stranger("login", host, "--password-stdin")
    assert (usage.code, "--password-stdin needs --username" in usage.err) == (2, True)


def test_a_platform_that_is_none_is_wrong_usage(estiva: Estiva, name: str) -> None:
    for verb in (["pull", f"{name}:1", "out"], ["inspect", f"{name}:1"], ["pack", ".", "-t", f"{name}:1"]):
        usage = estiva(*verb, "--platform", "nonsense")
        assert (usage.code, "'nonsense' is no platform" in usage.err) == (2, True)


def test_login_says_no_more_than_it_is_asked_to(host: str) -> None:
    stranger = Estiva({"ESTIVA_SERVER": "", "ESTIVA_USERNAME": "", "ESTIVA_PASSWORD": ""})
    login = ("login", host, "-u", KEY_ID, "--password-stdin")
    assert stranger.done(*login, "--quiet", given=f"{KEY_SECRET}\n".encode()).out == ""
    told = stranger.done(*login, "--json", given=f"{KEY_SECRET}\n".encode()).document
    assert told == {"registry": host, "kept": str(Path("docker/config.json").absolute())}
    assert stranger.done("--json", "logout", host).document == {"registry": host}


def test_inspect_prints_a_dash_for_what_is_not_there_and_with_quiet_the_digest_alone(
    estiva: Estiva, name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    digest = estiva.done("--quiet", "pack", str(tmp_path), "-t", f"{name}:plain").out
    assert "workdir: -\nuser: -\n" in estiva.done("inspect", f"{name}:plain").out
    assert estiva.done("inspect", "-q", f"{name}:plain").out == digest
    assert estiva.json("inspect", "-q", f"{name}:plain")["workdir"] == ""


def test_the_servers_password_goes_to_no_other_host(estiva: Estiva, host: str) -> None:
    other = host.replace("127.0.0.1", "localhost")
    assert "estiva login" in estiva.failed("tags", f"{other}/typed/x")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["push", "nothing", "NAME:1"], "nothing does not exist"),
        (
            ["push", ".", "NAME:1"],
            ". is no OCI image layout: it has no index.json; `estiva pack` makes an image of a folder",
        ),
        (["pull", "NAME:1", "out"], "manifest unknown to registry"),
        (["inspect", "NAME:zz"], "reference: zz); `estiva tags HOST/REPOSITORY` lists what there is"),
        (["rm", "NAME:zz"], "reference: zz); `estiva tags HOST/REPOSITORY` lists what there is"),
        (["tags", "NAME"], "`estiva ls HOST` lists what there is"),
        (["pull", "HOST/none:1", "/nowhere/out.tar"], "cannot write to /nowhere: there is no such folder"),
        (["ls", "["], "'[' is no registry such as registry.example.com or 127.0.0.1:5000"),
        (["ls", ""], "'' is no registry such as"),
        (["ls", "HOST?x"], "?x' is no registry such as"),
        (["inspect", "[::1/a:1"], "'[::1' is no registry such as"),
        (["doctor", "["], "'[' is no registry such as"),
        (["doctor", "http://["], "'[' is no registry such as"),
        (["repos", "delete", "a/b"], "--yes says that it is"),
        (["users", "create", "x"], "pipe it in with --password -"),
        (["users", "password", "x"], "pipe it in with --new -"),
        (["secrets", "put", "x"], "pipe it in with --value -"),
        (["credentials", "put", "x", "--login", "x"], "pipe it in with --secret -"),
        (["tags", "HTTP://x"], "'HTTP://x' is no image reference such as host/name:tag"),
        (["rm", "NAME"], "names no tag or digest to delete"),
        (["pack", "nothing", "-t", "NAME:1"], "nothing is no folder"),
        (["artifact", "push", "NAME:1", "nothing"], "cannot read nothing: No such file or directory"),
        (["tag", "NAME:1", "b c"], "invalid tag"),
    ],
)
def test_failures_say_what_is_wrong_in_one_line(estiva: Estiva, name: str, arguments: list[str], line: str) -> None:
    host = name.partition("/")[0]
    said = estiva.failed(*(argument.replace("NAME", name).replace("HOST", host) for argument in arguments))
    assert line in said


def test_a_registry_that_is_not_there(estiva: Estiva) -> None:
    host = f"127.0.0.1:{free_port()}"
    assert (
        estiva.failed("tags", f"{host}/a")
        == f"cannot reach {host}: Connection refused; `estiva doctor HOST` finds out why"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["pack", ".", "-t", "127.0.0.1/x", "--env", "A"],
        ["pack", ".", "-t", "127.0.0.1/x", "--cmd", "'"],
        ["pack", ".", "-t", "127.0.0.1/x", "--cmd", "[1]"],
        ["pack", "."],
        ["pack", ".", "-t", "127.0.0.1/x", "--expose", "x"],
        ["pack", ".", "-t", "127.0.0.1/x", "--expose", "99999"],
        ["artifact", "push", "127.0.0.1/x", "f", "--type", "bad type"],
        ["artifact", "push", "127.0.0.1/x", "f", "--media-type", "x"],
        ["attach", "127.0.0.1/x", "f", "--type", "bad type"],
        ["push", "."],
        ["pull", "127.0.0.1/x", "y", "--parallel", "0"],
    ],
)
def test_wrong_usage(estiva: Estiva, arguments: list[str]) -> None:
    assert estiva(*arguments).code == 2
