"""What only a real Docker Engine shows: ends, limits, volumes, shared networks, commands."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.definition import (
    Condition,
    Dependency,
    LinuxParameters,
    LogConfiguration,
    MountPoint,
    NetworkMode,
    PortMapping,
    Tmpfs,
    Ulimit,
    Volume,
    VolumesFrom,
)
from orchestrator.engines import ContainerStatus, EngineDown, Refused
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.docker_specs import container_name
from tests.fixtures.docker import DockerWorld
from tests.fixtures.engines import STAYS, WELL, container, pulled, ready, run_in, running, started, task, until, view_of
from tests.serving import free_port

pytestmark = pytest.mark.real


class TestEnds:
    async def test_stops_in_the_reverse_order_of_dependencies(self, docker: DockerWorld) -> None:
        volume = Volume("seen", host_path=str(docker.host.folder))
        chain = {"app": "db", "db": "base", "base": None}
        spec = task(
            *(
                container(
                    docker,
                    "stays",
                    name,
                    command=(
                        "sh",
                        "-c",
                        f"trap 'echo {name} >> /seen/order; exit 0' TERM; echo ready; sleep 1000 & wait",
                    ),
                    mount_points=(MountPoint("seen", "/seen"),),
                    depends_on=(Dependency(needed, Condition.START),) if needed else (),
                    stop_timeout=60,
                )
                for name, needed in chain.items()
            ),
            volumes=(volume,),
        )
        await running(docker, spec)
        await ready(docker, spec, *chain)

        view = await docker.driver.stop(spec.task_id)

        assert {one.exit_code for one in view.containers} == {0}
        order = docker.host.folder / "order"
        assert order.read_text().split() == ["app", "db", "base"]
        order.unlink()

    async def test_sees_at_once_that_a_container_died(self, docker: DockerWorld) -> None:
        """Lists of the engine still tell for a while that it runs: whoever believes them learns nothing more."""
        events = aiter(docker.driver.watch())
        first = asyncio.ensure_future(anext(events))
        for _ in range(40):  # until it listens
            spec = await started(docker)
            await asyncio.wait([first], timeout=1)
            if first.done():
                break
        assert await asyncio.wait_for(first, 60)
        docker.host.docker("kill", container_name(spec.task_id, "app"))

        async with asyncio.timeout(60):
            async for task_id in events:
                views = [one for one in await docker.driver.tasks() if one.task_id == task_id == spec.task_id]
                if views and view_of(views[0], "app").status is ContainerStatus.STOPPED:
                    break

        assert view_of(await docker.driver.task(spec.task_id), "app").exit_code == 137
        await events.aclose()  # type: ignore[attr-defined]

    async def test_does_not_make_again_what_somebody_removed(self, docker: DockerWorld) -> None:
        spec = task(container(docker, "stays", "app"), container(docker, "stays", "side"))
        await running(docker, spec)
        docker.host.docker("rm", "--force", container_name(spec.task_id, "side"))

        with pytest.raises(Refused, match=r"^ContainerVanishedError") as refused:
            await docker.driver.advance(spec)

        assert refused.value.container == "side"

    async def test_goes_on_where_it_was_cut_off(self, docker: DockerWorld) -> None:
        spec = await pulled(docker, task(container(docker, "stays", "app"), container(docker, "stays", "side")))
        for patience in (0.01, 0.05, 0.1, 0.2, 0.4, 0.8):
            try:
                async with asyncio.timeout(patience):
                    await docker.driver.advance(spec)
            except TimeoutError:
                continue

        await running(docker, spec)

        assert (
            len(docker.host.docker("ps", "--quiet", "--filter", f"label=dev.estiva.task={spec.task_id}").split()) == 2
        )

    async def test_many_start_at_once(self, docker: DockerWorld) -> None:
        specs = [task(container(docker, "stays", "app")) for _ in range(8)]

        views = await asyncio.gather(*(running(docker, spec) for spec in specs))

        assert {view_of(view, "app").status for view in views} == {ContainerStatus.RUNNING}
        assert docker.host.docker("network", "ls", "--quiet", "--filter", "name=^estiva$").count("\n") == 0

    async def test_starts_though_the_shared_network_went_away(self, docker: DockerWorld) -> None:
        first = await started(docker)
        await docker.driver.forget(first.task_id)
        docker.host.docker("network", "rm", "estiva")
        spec = await pulled(docker, task(container(docker, "stays", "app")))

        with pytest.raises(Refused, match=r"^CannotStartContainerError: .*network") as refused:
            await docker.driver.advance(spec)

        assert not refused.value.lasting
        assert view_of(await docker.driver.advance(spec), "app").status is ContainerStatus.RUNNING

    async def test_another_driver_finds_what_runs(self, docker: DockerWorld) -> None:
        spec = await started(docker, stop_timeout=60)
        await ready(docker, spec, "app")
        another = DockerEngine(docker.host.endpoint)

        assert await another.task(spec.task_id) == await docker.driver.task(spec.task_id)
        await another.stop(spec.task_id)
        await another.close()

        assert view_of(await docker.driver.task(spec.task_id), "app").exit_code == 143


class TestDefinitions:
    async def test_behaviour_17_limits_memory_and_processor(self, docker: DockerWorld) -> None:
        one = container(docker, "stays", "app", memory=64, memory_reservation=32, cpu=256)
        spec = task(one, cpu=512, memory=128)
        await running(docker, spec)

        told = docker.host_config(spec, "app")
        assert (told["Memory"], told["MemoryReservation"]) == (64 << 20, 32 << 20)
        assert (told["CpuShares"], told["NanoCpus"]) == (256, 500_000_000)

    async def test_does_what_the_definition_says(self, docker: DockerWorld) -> None:
        linux = LinuxParameters(
            capabilities_drop=("CHOWN",),
            init_process_enabled=False,
            shared_memory_size=32,
            tmpfs=(Tmpfs("/scratch", 8, ("noexec",)),),
        )
        spec = await started(
            docker,
            entry_point=("/bin/sh", "-c"),
            command=(STAYS,),
            environment={"COLOUR": "blue"},
            working_directory="/data",
            user="1000:1000",
            hostname="galley",
            extra_hosts={"sea": "192.0.2.7"},
            ulimits=(Ulimit("stack", 4 << 20, 8 << 20),),
            linux_parameters=linux,
            readonly_root_filesystem=True,
            system_controls={"net.ipv4.ip_default_ttl": "77"},
        )

        script = "pwd; id -u; hostname; echo $COLOUR; ulimit -s; cat /proc/sys/net/ipv4/ip_default_ttl"
        told, _, code = await run_in(docker, spec, "app", "sh", "-c", script)
        assert (told.split(), code) == (["/data", "1000", "galley", "blue", "4096", "77"], 0)
        hosts, _, _ = await run_in(docker, spec, "app", "cat", "/etc/hosts")
        assert "192.0.2.7\tsea" in hosts
        mounts, _, _ = await run_in(docker, spec, "app", "mount")
        scratch = next(line for line in mounts.splitlines() if " /scratch " in line)
        assert "noexec" in scratch
        assert "size=8192k" in scratch
        assert (await run_in(docker, spec, "app", "touch", "/etc/new"))[2] != 0

    async def test_keeps_secrets_out_of_labels_and_logs(self, docker: DockerWorld) -> None:
        spec = task(container(docker, "stays", "app"), secrets={"TOKEN": "s3cret-value"})
        await running(docker, spec)

        told = docker.inspect(container_name(spec.task_id, "app"))
        assert (await run_in(docker, spec, "app", "sh", "-c", "echo $TOKEN"))[0].strip() == "s3cret-value"
        assert "s3cret-value" not in str(told["Config"]["Labels"])
        assert "s3cret-value" not in repr(spec)

    async def test_bounds_logs_and_keeps_awslogs_here(self, docker: DockerWorld) -> None:
        logs = LogConfiguration("awslogs", {"awslogs-group": "g", "awslogs-region": "r"})
        spec = await started(docker, log_configuration=logs)

        told = docker.host_config(spec, "app")["LogConfig"]
        assert told == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}

    async def test_says_what_cannot_be_made(self, docker: DockerWorld) -> None:
        spec = await pulled(docker, task(container(docker, "stays", "app", memory=1)))

        with pytest.raises(Refused, match=r"^CannotCreateContainerError: .*[Mm]emory") as refused:
            await docker.driver.advance(spec)

        assert refused.value.lasting

    async def test_asks_for_health_long_before_the_first_interval_is_over(self, docker: DockerWorld) -> None:
        check = replace(WELL, interval=300)
        app = container(docker, "stays", "app", depends_on=(Dependency("db", Condition.HEALTHY),))

        await running(docker, task(container(docker, "stays", "db", health_check=check), app))

    async def test_runs_in_the_network_of_the_host(self, docker: DockerWorld) -> None:
        port = free_port()
        one = container(docker, "stays", "app", port_mappings=(PortMapping(port),))
        spec = task(one, network_mode=NetworkMode.HOST)

        view = await running(docker, spec)

        assert [(b.container_port, b.host_port) for b in view_of(view, "app").bindings] == [(port, port)]
        assert docker.host_config(spec, "app")["NetworkMode"] == "host"

    async def test_runs_without_a_network(self, docker: DockerWorld) -> None:
        spec = task(container(docker, "stays", "app"), network_mode=NetworkMode.NONE)
        view = await running(docker, spec)

        assert view_of(view, "app").address is None
        assert "eth0" not in (await run_in(docker, spec, "app", "ip", "address"))[0]


class TestNetworks:
    async def test_siblings_find_each_other_by_name(self, docker: DockerWorld) -> None:
        serves = ("sh", "-c", "while :; do echo ahoy | nc -l -p 80; done")
        spec = task(container(docker, "stays", "app"), container(docker, "stays", "db", command=serves, stop_timeout=1))
        await running(docker, spec)

        async def ask() -> str:
            return (await run_in(docker, spec, "app", "sh", "-c", "nc db 80 </dev/null"))[0]

        assert "ahoy" in await until(docker, ask, lambda said: "ahoy" in said)

    async def test_a_published_port_answers(self, docker: DockerWorld) -> None:
        port = free_port()
        serves = ("sh", "-c", "while :; do echo ahoy | nc -l -p 80; done")
        mapping = (PortMapping(80, port),)
        spec = await started(docker, command=serves, port_mappings=mapping, stop_timeout=1)

        assert view_of(await docker.driver.task(spec.task_id), "app").bindings[0].host_port == port
        assert await until(docker, lambda: answer(port), lambda said: said == b"ahoy\n")

    async def test_awsvpc_siblings_share_localhost_and_ports(self, docker: DockerWorld) -> None:
        serves = ("sh", "-c", "while :; do echo ahoy | nc -l -p 80; done")
        web = container(docker, "stays", "web", command=serves, port_mappings=(PortMapping(80, 80),), stop_timeout=1)
        spec = task(web, container(docker, "stays", "app"), network_mode=NetworkMode.AWSVPC)
        view = await running(docker, spec)

        async def ask() -> str:
            return (await run_in(docker, spec, "app", "sh", "-c", "nc 127.0.0.1 80 </dev/null"))[0]

        assert "ahoy" in await until(docker, ask, lambda said: "ahoy" in said)
        (binding,) = view_of(view, "web").bindings
        assert view_of(view, "app").bindings == ()
        assert view_of(view, "app").address == view_of(view, "web").address is not None
        # The host port of a definition is one of the task's address; the host's own is chosen.
        assert (binding.container_port, binding.host_port != 80) == (80, True)
        assert await until(docker, lambda: answer(binding.host_port), lambda said: said == b"ahoy\n")
        await docker.driver.stop(spec.task_id)

        async def listed() -> str:  # lists tell for a moment that it runs
            return docker.host.docker("ps", "--quiet")

        await until(docker, listed, lambda said: said == "")

    async def test_two_awsvpc_tasks_with_the_same_port_run_side_by_side(self, docker: DockerWorld) -> None:
        for _ in range(2):
            one = container(docker, "stays", "app", port_mappings=(PortMapping(80, 80),))
            view = await running(docker, task(one, network_mode=NetworkMode.AWSVPC))
            assert view_of(view, "app").status is ContainerStatus.RUNNING


async def answer(port: int) -> bytes:
    """What listens there says first; nothing where nobody does yet."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            said = await reader.read(100)
        writer.close()
        await writer.wait_closed()
    except (OSError, TimeoutError):
        return b""
    return said


class TestVolumes:
    async def test_a_volume_of_the_task_is_shared_in_it_and_goes_with_it(self, docker: DockerWorld) -> None:
        mount = (MountPoint("data", "/data"),)
        reads = container(docker, "stays", "reads", volumes_from=(VolumesFrom("writes", read_only=True),))
        spec = task(reads, container(docker, "stays", "writes", mount_points=mount), volumes=(Volume("data"),))
        await running(docker, spec)

        await run_in(docker, spec, "writes", "sh", "-c", "echo kept > /data/file")

        assert (await run_in(docker, spec, "reads", "cat", "/data/file"))[0] == "kept\n"
        assert (await run_in(docker, spec, "reads", "touch", "/data/other"))[2] != 0
        assert spec.task_id in docker.host.docker("volume", "ls", "--quiet")
        await docker.driver.forget(spec.task_id)
        assert spec.task_id not in docker.host.docker("volume", "ls", "--quiet")
        assert spec.task_id not in docker.host.docker("network", "ls", "--format", "{{.Name}}")

    async def test_a_shared_volume_outlives_its_tasks(self, docker: DockerWorld) -> None:
        volume = Volume("data", shared_name="shared-by-tests", autoprovision=True)
        for script, said in (("echo kept > /data/file", ""), ("cat /data/file", "kept\n")):
            one = container(docker, "stays", "app", mount_points=(MountPoint("data", "/data"),))
            spec = task(one, volumes=(volume,))
            await running(docker, spec)
            assert (await run_in(docker, spec, "app", "sh", "-c", script))[0] == said
            await docker.driver.forget(spec.task_id)
        docker.host.docker("volume", "rm", "shared-by-tests")

    async def test_a_shared_volume_that_nobody_made_is_missed(self, docker: DockerWorld) -> None:
        one = container(docker, "stays", "app", mount_points=(MountPoint("data", "/data"),))
        spec = await pulled(docker, task(one, volumes=(Volume("data", shared_name="nobody-made-it"),)))

        with pytest.raises(Refused, match=r"^CannotCreateVolumeError: .*nobody-made-it"):
            await docker.driver.advance(spec)

    async def test_a_path_of_the_host_is_seen_where_that_is_allowed(self, docker: DockerWorld, tmp_path: Path) -> None:
        (docker.host.folder / "told").write_text("by the host")
        mount = (MountPoint("host", "/host", read_only=True),)
        for path, allowed in ((docker.host.folder, True), (tmp_path, False)):
            one = container(docker, "stays", "app", mount_points=mount)
            spec = await pulled(docker, task(one, volumes=(Volume("host", host_path=str(path)),)))
            if allowed:
                await running(docker, spec)
                assert (await run_in(docker, spec, "app", "cat", "/host/told"))[0] == "by the host"
            else:
                with pytest.raises(Refused, match="does not allow the path"):
                    await docker.driver.advance(spec)


class TestCommands:
    async def test_tells_streams_and_exit_code_apart(self, docker: DockerWorld) -> None:
        spec = await started(docker)

        assert await run_in(docker, spec, "app", "sh", "-c", "echo out; echo err >&2; exit 3") == ("out\n", "err\n", 3)

    async def test_a_command_that_is_not_there(self, docker: DockerWorld) -> None:
        spec = await started(docker)

        _, _, code = await run_in(docker, spec, "app", "/no/such/program")
        assert code in (126, 127)

    async def test_takes_much_input(self, docker: DockerWorld) -> None:
        spec = await started(docker)
        async with docker.driver.exec(spec.task_id, "app", ("wc", "-c")) as command:
            for _ in range(16):
                await command.write(bytes(1 << 16))
            await command.write_eof()
            assert b"".join([data async for _, data in command.output()]).strip() == b"1048576"

    async def test_a_terminal_is_one_stream(self, docker: DockerWorld) -> None:
        spec = await started(docker)
        async with docker.driver.exec(spec.task_id, "app", ("sh", "-c", "test -t 1 && echo yes"), terminal=True) as one:
            assert b"".join([data async for _, data in one.output()]) == b"yes\r\n"


async def test_says_that_the_engine_is_not_there(tmp_path: Path) -> None:
    engine = DockerEngine(f"unix://{tmp_path}/socket")

    with pytest.raises(EngineDown):
        await engine.info()
    with pytest.raises(EngineDown):
        await anext(aiter(engine.watch()))
    await engine.close()
