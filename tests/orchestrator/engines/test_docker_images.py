"""Images on a real Docker Engine: pulled from a real registry, and removed for room."""

import asyncio

import pytest

from estiva.digest import Digest
from orchestrator.engines import ContainerSpec, ContainerStatus, Image, PullAuth, Refused
from tests.clients.wire import Wire
from tests.fixtures.docker import REPOSITORY, DockerWorld
from tests.fixtures.engines import container, given, running, started, task, view_of
from tests.serving import free_port

pytestmark = pytest.mark.real
ABSENT = Digest.of(b"nobody ever pushed this")


class TestPulls:
    async def test_gives_the_digest_of_a_tag(self, docker: DockerWorld) -> None:
        tagged = Image(docker.host.image().repository, tag="1")

        assert await docker.driver.pull(tagged, given(docker.auth)) == docker.host.digest

    @pytest.mark.parametrize("kind", ["tag", "digest"])
    async def test_says_that_there_is_no_such(self, docker: DockerWorld, kind: str) -> None:
        repository = docker.host.image().repository
        image = Image(repository, ABSENT) if kind == "digest" else Image(repository, tag="absent")

        with pytest.raises(Refused) as refused:
            await docker.driver.pull(image, given(docker.auth))

        registry = docker.host.registry.host
        assert str(refused.value) == f"CannotPullContainerError: {registry} has no such {kind}: {image.reference}"
        assert refused.value.lasting

    async def test_says_that_there_is_no_such_repository(self, docker: DockerWorld) -> None:
        image = Image(f"{docker.host.registry.host}/no/such", tag="1")

        with pytest.raises(Refused, match=r"^CannotPullContainerError: .* has no (repository|such tag)") as refused:
            await docker.driver.pull(image, given(docker.auth))

        assert refused.value.lasting

    @pytest.mark.parametrize("password", [None, "not that one"], ids=["nobody", "wrong password"])
    async def test_says_that_it_was_not_let_in(self, docker: DockerWorld, password: str | None) -> None:
        assert docker.auth is not None
        auth = PullAuth(docker.auth.username, password) if password else None
        docker.host.push("orchestrator/secret", more=b"secret")

        with pytest.raises(Refused, match=r"^CannotPullContainerAuthError: .* does not let this engine") as refused:
            await docker.driver.pull(Image(f"{docker.host.registry.host}/orchestrator/secret", tag="1"), given(auth))

        assert refused.value.lasting
        assert "not that one" not in str(refused.value)

    async def test_says_that_the_registry_cannot_be_reached_and_may_be_asked_again(self, docker: DockerWorld) -> None:
        nobody = f"127.0.0.1:{free_port()}"

        with pytest.raises(Refused, match=rf"^CannotPullContainerError: .* cannot reach {nobody}") as refused:
            await docker.driver.pull(Image(f"{nobody}/app", ABSENT), given(docker.auth))

        assert not refused.value.lasting

    async def test_behaviour_12_runs_what_is_there_while_the_registry_is_away(self, docker: DockerWorld) -> None:
        with Wire(docker.host.registry.port).open() as wire:
            image = Image(f"{wire.host}/{REPOSITORY}", docker.host.digest)
            await docker.driver.pull(image, given(docker.auth))
        one = container(docker, "stays", "app")

        view = await running(docker, task(ContainerSpec(one.definition, image)))

        assert view_of(view, "app").status is ContainerStatus.RUNNING
        assert view_of(view, "app").digest == docker.host.digest

    async def test_pulls_once_for_all_who_want_it_at_once(self, docker: DockerWorld) -> None:
        digest = docker.host.push("orchestrator/once", more=b"once")
        with Wire(docker.host.registry.port).open() as wire:
            image = Image(f"{wire.host}/orchestrator/once", digest)

            digests = await asyncio.gather(*(docker.driver.pull(image, given(docker.auth)) for _ in range(8)))

            assert set(digests) == {digest}
            assert len(wire.select("GET", f"/manifests/{digest}", 200)) == 1

    async def test_a_pull_goes_on_without_who_asked_first(self, docker: DockerWorld) -> None:
        image = Image(
            f"{docker.host.registry.host}/orchestrator/left", docker.host.push("orchestrator/left", more=b"2")
        )
        impatient = asyncio.ensure_future(docker.driver.pull(image, given(docker.auth)))
        await asyncio.sleep(0)
        patient = asyncio.ensure_future(docker.driver.pull(image, given(docker.auth)))
        await asyncio.sleep(0)

        impatient.cancel()

        assert await patient == image.digest


class TestRoom:
    async def test_evicts_least_recently_used_images_that_nobody_needs(self, docker: DockerWorld) -> None:
        registry = docker.host.registry.host
        names = [f"orchestrator/evicted-{number}" for number in range(3)]
        digests = [docker.host.push(name, more=name.encode()) for name in names]
        images = [Image(f"{registry}/{name}", digest) for name, digest in zip(names, digests, strict=True)]
        for image in images:
            await docker.driver.pull(image, given(docker.auth))
        spec = await started(docker)  # what it uses stays, asked for or not

        freed = await docker.driver.evict(registry, frozenset({digests[1]}), 1 << 62)

        assert freed > 0
        left = docker.host.docker("images", "--digests", "--format", "{{.Repository}}@{{.Digest}}").split()
        assert images[1].reference in left
        assert images[0].reference not in left
        assert images[2].reference not in left
        assert spec.containers[0].image.reference in left

    async def test_evicts_nothing_where_there_is_room(self, docker: DockerWorld) -> None:
        await docker.driver.pull(docker.host.image(), given(docker.auth))

        assert await docker.driver.evict(docker.host.registry.host, frozenset(), 1) == 0
