"""Which instance a task goes to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.definition import ContainerDefinition, HealthCheck, NetworkMode, PortMapping, TaskDefinition
from orchestrator.placing import AGENT, Chooser, Demand, NoRoom, Room, demand_of
from orchestrator.state import Instance, InstanceStatus, Placement, Resources
from tests.orchestrator.scenes import instance

SMALL = Demand(Resources(256, 256))


def placed(instances: list[Instance], number: int, placement: Placement, demand: Demand = SMALL) -> list[str]:
    """Where so many tasks go, one after another."""
    chooser = Chooser(Room.of(instances, []), demand, placement, seed="web")
    chosen = [chooser.next() for _ in range(number)]
    return [each.instance_id if isinstance(each, Instance) else str(dict(each.reasons)) for each in chosen]


def test_tasks_are_spread_over_instances_by_default() -> None:
    assert placed([instance("a"), instance("b"), instance("c")], 6, Placement()) == ["a", "b", "c"] * 2


def test_tasks_are_spread_over_the_values_of_an_attribute() -> None:
    instances = [instance(name, attributes={"rack": rack}) for name, rack in (("a", "1"), ("b", "1"), ("c", "2"))]
    assert placed(instances, 4, Placement((("spread", "attribute:rack"), ("spread", "instanceId")))) == [*"acbc"]


def test_binpack_fills_the_instance_that_has_least_left() -> None:
    instances = [instance("a", memory=1024), instance("b", memory=512)]
    assert placed(instances, 4, Placement((("binpack", "memory"),))) == [*"bbaa"]


def test_a_random_choice_is_the_same_for_the_same_seed() -> None:
    instances = [instance(name) for name in "abcdef"]
    first = placed(instances, 12, Placement((("random", ""),)))
    assert first == placed(list(reversed(instances)), 12, Placement((("random", ""),)))
    assert len(set(first)) > 1


def test_distinct_instance_puts_no_two_tasks_of_a_group_together() -> None:
    distinct = Placement(constraints=(("distinctInstance", ""),))
    assert placed([instance("a"), instance("b")], 3, distinct) == ["a", "b", "{'a': 'CONSTRAINT', 'b': 'CONSTRAINT'}"]


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("attribute:zone == east", "b"),
        ("attribute:zone != east", "a"),
        ("attribute:ecs.cpu-architecture == x86_64", "a"),
        ("instanceId == b", "b"),
        ("attribute:zone =~ e.*", "{'a': 'CONSTRAINT', 'b': 'CONSTRAINT'}"),
    ],
)
def test_member_of_compares_an_attribute(expression: str, chosen: str) -> None:
    instances = [instance("a"), instance("b", attributes={"zone": "east"})]
    assert placed(instances, 1, Placement(constraints=(("memberOf", expression),))) == [chosen]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (instance("a", cpu=255), "RESOURCE:CPU"),
        (instance("a", memory=255), "RESOURCE:MEMORY"),
        (instance("a", connected=False), "AGENT"),
        (instance("a", status=InstanceStatus.DRAINING), "STATUS"),
        (instance("a", architecture="arm64"), "ATTRIBUTE"),
        (instance("a", registered=Resources(1024, 1024, frozenset({(80, "tcp")}))), "RESOURCE:PORTS"),
    ],
)
def test_what_an_instance_lacks_has_ecs_name(changed: Instance, reason: str) -> None:
    demand = Demand(Resources(256, 256, frozenset({(80, "tcp")})), frozenset({"amd64"}))
    answer = Chooser(Room.of([changed], []), demand, Placement()).next()
    assert answer == NoRoom({"a": reason})


def test_the_same_port_of_another_protocol_is_free() -> None:
    taken = instance("a", registered=Resources(1024, 1024, frozenset({(53, "tcp")})))
    demand = Demand(Resources(1, 1, frozenset({(53, "udp")})))
    assert Chooser(Room.of([taken], []), demand, Placement()).next() == taken


def test_the_closest_instance_is_the_one_that_could_take_the_task_were_it_larger() -> None:
    answer = NoRoom({"a": AGENT, "b": "RESOURCE:MEMORY", "c": "CONSTRAINT"})
    assert answer.closest == ("b", "RESOURCE:MEMORY")
    assert NoRoom({}).closest is None


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), max_size=6), st.integers(0, 40))
def test_no_instance_gets_more_than_it_has(sizes: list[tuple[int, int]], number: int) -> None:
    instances = [instance(f"i{index}", cpu, memory) for index, (cpu, memory) in enumerate(sizes)]
    room = Room.of(instances, [])
    chooser = Chooser(room, SMALL, Placement((("spread", "instanceId"), ("binpack", "cpu"))))
    chosen = [chooser.next() for _ in range(number)]
    assert all(room.remaining(each.instance_id).cpu >= 0 for each in instances)
    assert all(room.remaining(each.instance_id).memory >= 0 for each in instances)
    fit = sum(min(cpu // 256, memory // 256) for cpu, memory in sizes)
    assert sum(isinstance(each, Instance) for each in chosen) == min(fit, number)


def test_a_definition_needs_what_its_containers_reserve_and_its_fixed_ports() -> None:
    ports = (PortMapping(80, 8080), PortMapping(81), PortMapping(82, 0), PortMapping(53, 53, "udp"))
    check = HealthCheck(("CMD", "true"))
    web = ContainerDefinition("web", "web:1", cpu=128, memory=512, memory_reservation=128, port_mappings=ports)
    side = ContainerDefinition("side", "side:1", cpu=64, memory=64, health_check=check)
    definition = TaskDefinition("web", 1, (web, side), architecture="arm64")
    expected = Resources(192, 192, frozenset({(8080, "tcp"), (53, "udp")}))
    assert demand_of(definition, ["amd64"]) == Demand(expected, frozenset({"arm64"}), checked=True)


def test_a_tasks_own_limits_come_before_its_containers() -> None:
    web = ContainerDefinition("web", "web:1", cpu=128, memory=512, port_mappings=(PortMapping(80),))
    definition = TaskDefinition("web", 1, (web,), network_mode=NetworkMode.HOST, cpu=1024, memory=2048)
    assert demand_of(definition, ["amd64"]).needs == Resources(1024, 2048, frozenset({(80, "tcp")}))
    assert demand_of(replace(definition, cpu=None, memory=None)).needs.memory == 512


def test_an_instance_whose_port_is_taken_or_whose_disk_is_full_is_passed_by() -> None:
    wants_port = Demand(Resources(64, 64, frozenset({(8080, "tcp")})))
    instances = [instance("a", taken_ports=frozenset({(8080, "tcp")})), instance("b", disk_full=True)]
    assert placed(instances, 1, Placement(), wants_port) == ["{'a': 'RESOURCE:PORTS', 'b': 'RESOURCE:DISK'}"]
    assert placed(instances, 1, Placement()) == ["a"]


def test_what_the_definition_asks_of_its_instance_counts_beside_what_the_service_asks() -> None:
    instances = [
        instance("a", attributes={"rack": "north", "disk": "ssd"}),
        instance("b", attributes={"rack": "north"}),
        instance("c", attributes={"disk": "ssd"}),
    ]
    demand = Demand(Resources(64, 64), constraints=(("memberOf", "attribute:rack == north"),))
    of_service = Placement(constraints=(("memberOf", "attribute:disk == ssd"),))
    assert placed(instances, 2, of_service, demand) == ["a", "a"]
