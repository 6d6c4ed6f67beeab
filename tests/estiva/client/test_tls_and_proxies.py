"""A registry whose authority is one's own, and proxies on the way to it: for both clients, and the command."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from estiva import PackConfig
from estiva.failures import ConnectionFailed
from tests.auth.certificate import certificate_for
from tests.estiva.cli.command import KEY_ID, KEY_SECRET, Estiva
from tests.estiva.client.conftest import clients
from tests.estiva.client.proxies import proxying
from tests.serving import Registry, registry_running

NAME = "registry.test"
"""No name server knows it: only the proxy finds it."""


@dataclass(frozen=True)
class Secure:
    """A registry that speaks TLS, and the file of the authority behind its certificate."""

    registry: Registry
    authority: Path

    @property
    def by_name(self) -> str:
        """What it is called where a proxy is asked for it."""
        return f"{NAME}:{self.registry.port}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("secure")
    files = certificate_for(folder, NAME, also="127.0.0.1")
    with registry_running(folder, certificate=files) as registry:
        yield Secure(registry, files[0])
        assert "Traceback" not in registry.log.read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_running(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no credential, no authority of anybody's."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_bytes(b"a page" * 100_000)


def test_an_authority_of_ones_own_is_trusted_by_a_context(secure: Secure, kind: str) -> None:
    trusting = ssl.create_default_context(cafile=str(secure.authority))
    with clients(kind, context=trusting, plain_http=False) as client:
        pushed = client.pack("site", f"{secure.registry.host}/{kind.lower()}/site:1", PackConfig(command=["/serve"]))
        assert client.pull(f"{secure.registry.host}/{kind.lower()}/site:1", "layout").digest == pushed.digest


def test_an_authority_of_ones_own_is_trusted_by_the_environment(
    secure: Secure, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.authority))
    with clients(kind, plain_http=False) as client:
        assert isinstance(client.repositories(secure.registry.host), list)


def test_what_nobody_trusts_is_refused_in_a_sentence_that_says_what_to_do(secure: Secure, kind: str) -> None:
    with clients(kind, plain_http=False) as client, pytest.raises(ConnectionFailed) as refused:
        client.tags(f"{secure.registry.host}/site")
    assert "its certificate does not hold: self-signed certificate; if that is as it should be" in str(refused.value)
    assert "SSL_CERT_FILE" in str(refused.value)


def test_a_certificate_of_another_name_is_refused(secure: Secure, kind: str) -> None:
    trusting = ssl.create_default_context(cafile=str(secure.authority))
    with clients(kind, context=trusting, plain_http=False) as client, pytest.raises(ConnectionFailed) as refused:
        client.tags(f"localhost:{secure.registry.port}/site")
    assert "certificate is not valid for 'localhost'" in str(refused.value)
    assert "SSL_CERT_FILE" not in str(refused.value)


def test_plain_http_where_tls_is_expected_is_told(plain: Registry, kind: str) -> None:
    with clients(kind, plain_http=False) as client, pytest.raises(ConnectionFailed) as refused:
        client.tags(f"{plain.host}/site")
    assert "plain_http=True" in str(refused.value)


@pytest.mark.parametrize("login", ["", "me:a secret?"], ids=["open", "with a password"])
def test_tls_goes_through_a_proxy_by_a_tunnel(
    secure: Secure, kind: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=str(secure.authority))
    with proxying(login) as proxy:
        given = f"{login.replace(' ', '%20').replace('?', '%3F')}@" if login else ""
        monkeypatch.setenv("HTTPS_PROXY", f"http://{given}{proxy.host}")
        with clients(kind, context=trusting) as client:
            client.pack("site", f"{secure.by_name}/proxied/{kind.lower()}:1", PackConfig(command=["/serve"]))
            assert client.tags(f"{secure.by_name}/proxied/{kind.lower()}") == ["1"]
        assert set(proxy.asked) == {f"CONNECT {secure.by_name}"}


def test_plain_http_goes_through_a_proxy(plain: Registry, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{NAME}:{plain.port}"
    with proxying("me:secret") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy.host}")
        with clients(kind, plain_http=True) as client:
            pushed = client.pack("site", f"{name}/proxied/{kind.lower()}:1", PackConfig(command=["/serve"]))
            assert client.pull(f"{name}/proxied/{kind.lower()}:1", "layout").digest == pushed.digest
        assert any(asked.startswith(f"PUT http://{name}/v2/") for asked in proxy.asked)


def test_no_proxy_goes_without_it(plain: Registry, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxying() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with clients(kind) as client:
            assert isinstance(client.repositories(plain.host), list)
        assert proxy.asked == []


def test_a_proxy_that_wants_a_password_is_told(secure: Secure, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxying("me:secret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with clients(kind) as client, pytest.raises(ConnectionFailed, match="407"):
            client.tags(f"{secure.by_name}/site")


def test_the_command_trusts_and_goes_through_proxies(secure: Secure) -> None:
    estiva = Estiva({"ESTIVA_USERNAME": KEY_ID, "ESTIVA_PASSWORD": KEY_SECRET})
    refused = estiva.failed("ls", f"https://{secure.by_name}".partition("//")[2])
    assert refused.startswith(f"cannot reach {secure.by_name}: ")
    authority, server = str(secure.authority), f"https://{secure.registry.host}"
    told = estiva.failed("--server", server, "repos", "ls")
    assert "name its authority's file in --ca-file" in told
    assert estiva("--server", server, "--ca-file", authority, "repos", "ls").code == 0
    with proxying() as proxy:
        proxied = {"HTTPS_PROXY": f"http://{proxy.host}", "ESTIVA_CA_FILE": authority}
        through = Estiva({**estiva.environment, **proxied})
        through.done("pack", "site", "-t", f"{secure.by_name}/typed:1", "--cmd", "/serve", "-q")
        assert through.done("tags", f"{secure.by_name}/typed").out == "1\n"
        through.done("--server", f"https://{secure.by_name}", "repos", "ls")
        assert set(proxy.asked) == {f"CONNECT {secure.by_name}"}


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("none", "no certificate in PEM")])
def test_an_authority_that_is_none(tmp_path: Path, content: str | None, said: str) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    assert said in Estiva({})("--ca-file", str(tmp_path / "ca.pem"), "ls", "127.0.0.1:1").err
