import pytest

from auth.scopes import LONGEST_SCOPE, MOST_SCOPES, Scope, parse_scopes


def scope(name: str, *actions: str, kind: str = "repository") -> Scope:
    return Scope(kind, name, frozenset(actions))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("repository:a/b:pull", scope("a/b", "pull")),
        ("repository:a/b:pull,push", scope("a/b", "pull", "push")),
        ("repository:a/b:push,pull,delete", scope("a/b", "pull", "push", "delete")),  # crane
        ("repository:a/b:*", scope("a/b", "*")),  # skopeo delete
        ("repository:host.example:5000/a/b:pull", scope("host.example:5000/a/b", "pull")),
        ("repository(plugin):a/b:pull", scope("a/b", "pull")),
        ("registry:catalog:*", scope("catalog", "*", kind="registry")),  # crane
        ("repository:a:", scope("a")),
        ("repository:a:pull,,pull,", scope("a", "pull")),
        ("repository:a:PULL", scope("a", "PULL")),  # no action that anybody knows
        ("repository:../../etc:pull", scope("../../etc", "pull")),  # judged where names are
    ],
)
def test_scopes_as_clients_write_them(text: str, parsed: Scope) -> None:
    assert parse_scopes([text]) == [parsed]


@pytest.mark.parametrize(
    "text",
    ["", "*", ":", "::", ":::", "repository", "repository:", "repository:a", "repository::pull", ":a:pull", "a b c"],
)
def test_what_nobody_understands_asks_for_nothing(text: str) -> None:
    assert parse_scopes([text]) == []


def test_several_in_one_parameter_and_several_parameters_are_the_same() -> None:
    expected = [scope("a", "pull", "push"), scope("b", "pull")]
    assert parse_scopes(["repository:a:pull,push repository:b:pull"]) == expected
    assert parse_scopes(["repository:a:pull,push", "repository:b:pull"]) == expected
    # containerd names the same repository twice.
    assert parse_scopes(["repository:a:pull repository:a:pull,push", "repository:b:pull"]) == expected


def test_what_is_not_understood_spoils_nothing_else() -> None:
    assert parse_scopes(["* repository:a:pull repository:"]) == [scope("a", "pull")]


def test_neither_long_nor_many_scopes_are_looked_at() -> None:
    assert parse_scopes([f"repository:{'a' * LONGEST_SCOPE}:pull"]) == []
    assert len(parse_scopes(f"repository:r{number}:pull" for number in range(10_000))) == MOST_SCOPES


def test_a_scope_is_written_as_it_is_read() -> None:
    assert str(scope("host:1/a", "push", "pull")) == "repository:host:1/a:pull,push"
    assert Scope.parse(str(scope("a", "pull"))) == scope("a", "pull")
