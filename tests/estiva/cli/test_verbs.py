"""Every verb, on a real server: what it does there, and how it shows that."""

import json
import re
from pathlib import Path

import bcrypt
import pytest

from estiva.cli import server
from tests.estiva.cli.command import Estiva
from tests.hostile.conversation import ask
from tests.security.secured import Content, Secured, basic, for_everyone, statement

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
POLICY = statement("ecr:BatchGetImage", "*")
READ_ONLY = "AmazonEC2ContainerRegistryReadOnly"


def status(registry: Secured, name: str, secret: str) -> int:
    return ask(registry.port, "GET", "/v2/", ("Authorization", basic(name, secret))).status


def test_users_are_created_shown_shut_out_and_removed(estiva: Estiva, registry: Secured) -> None:
    assert "name: alice\n" in estiva.done("users", "create", "alice", "--password", "a first password").out
    assert status(registry, "alice", "a first password") == 200
    estiva.done("users", "password", "alice", "--new", "a second password")
    assert status(registry, "alice", "a first password") == 401
    assert status(registry, "alice", "a second password") == 200

    assert estiva.done("users", "disable", "alice").out == ""
    assert estiva.json("users", "show", "alice")["disabled"] is True
    assert status(registry, "alice", "a second password") == 401
    estiva.done("users", "enable", "alice")

    estiva.done("users", "attach", "alice", READ_ONLY)
    shown = estiva.done("users", "show", "alice").out
    assert re.fullmatch(
        rf"name: alice\nkind: user\ndisabled: no\ncreated_at: {TIME}\nexpires_at: -\nkeys: -\npolicies: {READ_ONLY}\n",
        shown,
    )
    estiva.done("users", "detach", "alice", READ_ONLY)
    assert estiva.json("users", "show", "alice")["policies"] == []

    table = estiva.done("users", "ls").table()
    assert table[0] == ["name", "disabled", "created_at", "expires_at"]
    assert [line[:2] for line in table[1:] if line[0] in ("admin", "alice")] == [["admin", "no"], ["alice", "no"]]
    assert {"admin", "alice"} <= {user["name"] for user in estiva.json("users", "ls")}
    estiva.done("users", "rm", "alice")
    assert estiva.failed("users", "show", "alice").startswith("no such identity")


def test_a_new_password_is_read_from_standard_input_where_that_is_asked(estiva: Estiva, registry: Secured) -> None:
    estiva.done("users", "create", "piped", "--password", "-", given=b"a password of a pipe\n")
    assert status(registry, "piped", "a password of a pipe") == 200
    estiva.done("users", "password", "piped", "--new", "-", given=b"another one\r\n")
    assert status(registry, "piped", "another one") == 200


def test_users_of_a_htpasswd_file_come_with_their_passwords(estiva: Estiva, registry: Secured, tmp_path: Path) -> None:
    file, long = tmp_path / "htpasswd", "x" * 80

    def entry(name: str, password: str) -> str:
        return f"{name}:{bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()}\n"

    file.write_text("# users\n\n" + entry("brought", "brought password") + entry("long", long) + entry("admin", "x"))
    done = estiva.done("users", "import-htpasswd", str(file), "--policy", READ_ONLY)
    assert done.table() == [
        ["name", "outcome"], ["brought", "created"], ["long", "created"], ["admin", "there", "already"]
    ]  # fmt: skip
    assert status(registry, "admin", "x") == 401
    assert status(registry, "brought", "another password") == 401
    for _ in range(2):
        assert status(registry, "brought", "brought password") == 200
        assert status(registry, "long", long) == 200
    assert estiva.json("users", "show", "brought")["policies"] == [READ_ONLY]
    again = estiva.done("--json", "users", "import-htpasswd", "-", given=file.read_bytes()).document
    assert {entry["outcome"] for entry in again} == {"there already"}
    assert status(registry, "brought", "brought password") == 200


def test_what_can_not_be_imported_is_named_and_the_rest_comes(estiva: Estiva, registry: Secured) -> None:
    good = bcrypt.hashpw(b"a good password", bcrypt.gensalt(4)).decode()
    dear = good.replace("$04$", "$31$")
    lines = f"Upper:{good}\nplain:secret\nsha:{{SHA}}abc\ndear:{dear}\nfine:{good}\n"
    outcome = estiva("users", "import-htpasswd", "-", given=lines.encode())
    assert (outcome.code, outcome.err) == (1, "estiva: 4 of 5 users could not be imported\n")
    told = {line[0]: " ".join(line[1:]) for line in outcome.table()[1:]}
    assert told["Upper"].startswith("a name has 1 to 64")
    assert told["plain"] == told["sha"] == told["dear"] == "password_hash is no bcrypt hash of a cost from 4 to 14"
    assert told["fine"] == "created"
    assert status(registry, "fine", "a good password") == 200
    assert estiva.failed("users", "import-htpasswd", "-", "--policy", "none", given=lines.encode()).startswith(
        "no such"
    )
    assert estiva.failed("users", "import-htpasswd", "-", given=b"# users\nalice\n") == "-: line 2 is not NAME:HASH"


def test_robots_get_secrets_that_are_shown_once(estiva: Estiva, registry: Secured) -> None:
    arguments = ["--expires-in", "3600", "--repository", "team/*", "--action", "pull", "--action", "push"]
    created = estiva.json("robots", "create", "builder", *arguments)
    assert status(registry, "builder", created["secret"]) == 200
    shown = estiva.json("robots", "show", "builder")
    assert "secret" not in shown
    assert 3500 < shown["expires_at"] - shown["created_at"] < 3700
    assert len(shown["policies"]) == 1
    renewed = re.search("^secret: (.+)$", estiva.done("robots", "renew", "builder").out, re.MULTILINE)
    assert renewed is not None
    assert status(registry, "builder", created["secret"]) == 401
    assert status(registry, "builder", renewed[1]) == 200
    assert [line[0] for line in estiva.done("robots", "ls").table()] == ["name", "builder"]
    estiva.done("robots", "disable", "builder")
    assert status(registry, "builder", renewed[1]) == 401
    estiva.done("robots", "enable", "builder")
    estiva.done("robots", "attach", "builder", READ_ONLY)
    estiva.done("robots", "detach", "builder", READ_ONLY)
    estiva.done("robots", "rm", "builder")
    assert estiva.done("robots", "ls").table() == [["name", "disabled", "created_at", "expires_at"]]


def test_keys_are_made_listed_and_removed(estiva: Estiva, registry: Secured) -> None:
    estiva.done("robots", "create", "keyed")
    estiva.done("users", "create", "person", "--password", "a first password")
    for owner in (["keyed", "--robot"], ["person"]):
        key = estiva.json("keys", "create", *owner)
        assert status(registry, key["id"], key["secret"]) == 200
        listed = estiva.done("keys", "ls", *owner)
        assert [line[:2] for line in listed.table()] == [["id", "disabled"], [key["id"], "no"]]
        assert key["secret"] not in listed.out
        estiva.done("keys", "disable", owner[0], key["id"], *owner[1:])
        assert status(registry, key["id"], key["secret"]) == 401
        assert [listed["disabled"] for listed in estiva.json("keys", "ls", *owner)] == [True]
        estiva.done("keys", "enable", owner[0], key["id"], *owner[1:])
        assert status(registry, key["id"], key["secret"]) == 200
        estiva.done("keys", "rm", owner[0], key["id"], *owner[1:])
        assert estiva.json("keys", "ls", *owner) == []
        assert status(registry, key["id"], key["secret"]) == 401


def test_groups_have_members_and_policies(estiva: Estiva) -> None:
    estiva.done("users", "create", "member", "--password", "a first password")
    assert estiva.done("groups", "create", "team").out == "name: team\nmembers: -\npolicies: -\n"
    estiva.done("groups", "add", "team", "member")
    estiva.done("groups", "attach", "team", READ_ONLY)
    assert estiva.done("groups", "show", "team").out == f"name: team\nmembers: member\npolicies: {READ_ONLY}\n"
    estiva.done("groups", "take", "team", "member")
    estiva.done("groups", "detach", "team", READ_ONLY)
    assert estiva.json("groups", "show", "team") == {"name": "team", "members": [], "policies": []}
    assert estiva.done("groups", "ls").out == "team\n"
    estiva.done("groups", "rm", "team")
    assert estiva.json("groups", "ls") == []


def test_policies_are_put_from_a_file_or_standard_input(estiva: Estiva, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(POLICY)
    estiva.done("policies", "put", "pullers", str(file))
    assert estiva.done("policies", "show", "pullers").document == json.loads(POLICY)
    estiva.done("policies", "put", "pullers", "-", given=statement("ecr:*", "*").encode())
    assert estiva.done("policies", "show", "pullers").document["Statement"][0]["Action"] == "ecr:*"
    listed = estiva.done("policies", "ls").table()
    assert listed[0] == ["name", "ready_made"]
    assert ["pullers", "no"] in listed
    assert [READ_ONLY, "yes"] in listed
    assert {"name": "pullers", "ready_made": False} in estiva.json("policies", "ls")
    estiva.done("policies", "rm", "pullers")
    assert estiva.failed("policies", "show", "pullers").startswith("no such identity")


def test_a_repositorys_policy_is_put_by_its_name(estiva: Estiva, registry: Secured) -> None:
    registry.push(Content.of("some/where/app"))
    estiva.done("policies", "put", "--repository", "some/where/app", "-", given=for_everyone().encode())
    assert ask(registry.port, "GET", "/v2/some/where/app/manifests/v1").status == 200
    assert estiva.done("policies", "show", "--repository", "some/where/app").document == json.loads(for_everyone())
    estiva.done("policies", "rm", "--repository", "some/where/app")
    assert ask(registry.port, "GET", "/v2/some/where/app/manifests/v1").status == 401


def test_issuers_are_trusted_and_no_more(estiva: Estiva) -> None:
    rule = {"claims": {"repository": "team/*"}, "policies": [READ_ONLY]}
    document = {"issuer": "https://ci.example", "audience": "registry", "rules": [rule]}
    estiva.done("issuers", "put", "ci", "-", given=json.dumps(document).encode())
    assert estiva.done("issuers", "ls").document == {"ci": document}
    assert estiva.json("issuers", "ls") == {"ci": document}
    estiva.done("issuers", "rm", "ci")
    assert estiva.done("issuers", "ls").document == {}


def test_what_was_done_is_told_the_latest_first(estiva: Estiva) -> None:
    estiva.done("groups", "create", "audited")
    estiva.done("groups", "rm", "audited")
    listed = estiva.done("audit", "--target", "group/audited").table()
    assert listed[0] == ["id", "at", "actor", "address", "action", "target", "detail"]
    assert [line[2:] for line in listed[1:]] == [
        ["user/admin", "127.0.0.1", "DeleteGroup", "group/audited", "{}"],
        ["user/admin", "127.0.0.1", "CreateGroup", "group/audited", "{}"],
    ]
    assert re.fullmatch(rf"\d+ {TIME}", " ".join(listed[1][:2]))
    older = estiva.json("audit", "--target", "group/audited", "--before", listed[1][0])
    assert [record["action"] for record in older] == ["CreateGroup"]
    # A number is shown as the number that it is, the first one too.
    assert estiva.done("audit", "--before", "2").table()[1][0] == "1"


def test_names_are_names_whatever_they_look_like_in_a_path(estiva: Estiva) -> None:
    estiva.done("policies", "put", "kept", "-", given=POLICY.encode())
    for name in ("..", ".", ""):
        assert estiva.failed("users", "detach", name, "kept") == f"{name!r} is no name"
        assert estiva.failed("policies", "rm", "--repository", f"a/{name}/b") == f"{name!r} is no name"
    for name in ("../policies/kept", "a/b", "a?b", "a#b", "a%2fb", "\N{EURO SIGN}", "a\nb"):
        assert estiva.failed("users", "show", name)
        assert estiva.failed("users", "rm", name)
    assert estiva.done("policies", "show", "kept").document == json.loads(POLICY)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_a_list_is_followed_to_its_end(estiva: Estiva, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(server, "PAGE", 2)
    many = [f"many-{count}-{number}" for number in range(count)]
    for name in many:
        estiva.done("groups", "create", name)
        estiva.done("users", "create", name, "--password", "a password of many")
    listed = estiva.done("groups", "ls").out.splitlines()
    assert [name for name in listed if name.startswith(f"many-{count}-")] == many
    users = [user["name"] for user in estiva.json("users", "ls")]
    assert users == sorted(set(users))
    assert {"admin", *many} <= set(users)


def test_garbage_is_shown_collected_and_held(estiva: Estiva, registry: Secured) -> None:
    before = estiva.json("gc", "status")["candidates"]
    registry.push(Content.of("cli/garbage"))
    assert estiva.json("gc", "status")["candidates"] > before
    assert estiva.json("gc", "run", "--dry-run") == {"unneeded": 0, "unneeded_bytes": 0}  # a day has not passed
    assert estiva.json("gc", "run")["trashed"] == 0
    assert "held: no\n" in estiva.done("gc", "status").out

    estiva.done("gc", "hold", "7d")
    assert estiva.json("gc", "status")["held"] is True
    assert "a hold is in force" in estiva.failed("gc", "run")
    estiva.done("gc", "hold", "0")
    assert estiva.json("gc", "run")["removed"] == 0


def test_webhooks_are_created_shown_shut_and_removed(estiva: Estiva) -> None:
    made = estiva.json("webhooks", "create", "ci", "https://ci.example/", "--format", "eventbridge", "--action", "PUSH")
    assert made["secret"].startswith("whsec_")
    assert "secret" not in estiva.json("webhooks", "show", "ci")
    estiva.done("webhooks", "create", "all", "https://all.example/", "--prefix", "team/")
    assert [line[:4] for line in estiva.done("webhooks", "ls").table()[1:]] == [
        ["all", "https://all.example/", "cloudevents", "PUSH,"],
        ["ci", "https://ci.example/", "eventbridge", "PUSH"],
    ]
    estiva.done("webhooks", "disable", "ci")
    assert estiva.json("webhooks", "show", "ci")["enabled"] is False
    estiva.done("webhooks", "enable", "ci")
    assert estiva.json("webhooks", "renew", "ci")["secret"] != made["secret"]
    assert estiva.json("webhooks", "failures", "ci", "--after", "3") == []
    assert estiva.json("webhooks", "redeliver", "ci") == {"events": 0}
    for name in ("ci", "all"):
        estiva.done("webhooks", "rm", name)
    assert estiva.failed("webhooks", "show", "ci").startswith("no such webhook")


def test_other_registries_are_named_signed_in_to_and_forgotten(estiva: Estiva) -> None:
    estiva.done("credentials", "put", "team/hub", "--login", "robot", "--secret", "-", given=b"the secret\n")
    assert estiva.done("credentials", "ls").table()[1][:3] == ["team/hub", "robot", "-"]
    estiva.done("upstreams", "create", "verbs/hub", "127.0.0.1:1", "--credential", "team/hub")
    assert ["verbs/hub", "127.0.0.1:1", "-", "team/hub"] in estiva.done("upstreams", "ls").table()
    assert "no address that may be spoken to" in estiva.failed("upstreams", "check", "verbs/hub")
    assert estiva.failed("credentials", "rm", "team/hub").startswith("the credential is in use")
    estiva.done("upstreams", "update", "verbs/hub")
    estiva.done("credentials", "rm", "team/hub")
    estiva.done("upstreams", "rm", "verbs/hub")
    assert estiva.failed("upstreams", "rm", "verbs/hub").startswith("no such rule")


def test_secrets_of_tasks_are_entered_and_never_shown(estiva: Estiva) -> None:
    estiva.done("secrets", "put", "db/password", "--value", "-", given=b"hunter2")
    assert estiva.done("secrets", "ls").table()[1][0] == "db/password"
    assert "hunter2" not in json.dumps(estiva.json("secrets", "ls"))
    assert "a secret's name has" in estiva.failed("secrets", "put", "a b", "--value", "x")
    estiva.done("secrets", "rm", "db/password")
    estiva.failed("secrets", "rm", "db/password")


def test_lifecycle_policies_are_tried_set_carried_out_and_removed(
    estiva: Estiva, registry: Secured, tmp_path: Path
) -> None:
    registry.push(Content.of("short/lived"))
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    policy = {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    assert estiva.failed("lifecycle", "show", "short/lived") == "the repository has no lifecycle policy"
    assert estiva.json("lifecycle", "preview", "short/lived", "--policy", str(file)) == []
    estiva.done("lifecycle", "put", "short/lived", str(file))
    assert estiva.done("lifecycle", "show", "short/lived").document == policy
    assert estiva.done("lifecycle", "run", "short/lived").table() == [
        ["digest", "tags", "pushed_at", "pulled_at", "manifests", "rule"]
    ]
    assert estiva.json("lifecycle", "run", "short/lived")["images"] == 1
    estiva.done("lifecycle", "rm", "short/lived")
    assert "invalid" not in estiva.failed("lifecycle", "put", "short/lived", "-", given=b"{}")


def test_the_audit_trail_is_asked_by_who_what_whom_and_when(estiva: Estiva, registry: Secured) -> None:
    registry.push(Content.of("audited/app"))
    registry.done("DELETE", "/repositories/audited/app")
    about = ["audit", "--target", "repository/audited/app"]
    assert [record["action"] for record in estiva.json(*about)] == ["DeleteRepository", "CreateRepository"]
    [created] = estiva.json(
        *about, "--action", "CreateRepository", "--principal", "user/admin", "--since", "2024-01-01"
    )
    assert created["address"] == "127.0.0.1"
    assert estiva.json(*about, "--until", "2024-01-01T00:00:00+01:00") == []
    assert estiva.json(*about, "--since", str(created["at"] + 3600)) == []
    assert estiva.failed("audit", "--since", "yesterday").startswith("since is no time")


def test_replicas_are_somewhere_until_they_are_forgotten(estiva: Estiva) -> None:
    estiva.done("replicas", "put", "eu-west-1", "000000000007", "https://replica.example")
    assert ["eu-west-1", "000000000007", "https://replica.example", "-"] in estiva.done("replicas", "ls").table()
    refused = estiva.failed("replicas", "put", "eu-west-1", "000000000007", "https://a.example", "--credential", "none")
    assert refused == "there is no such credential; `estiva credentials ls` lists what there is"
    estiva.done("replicas", "rm", "eu-west-1", "000000000007")
    assert estiva.failed("replicas", "rm", "eu-west-1", "000000000007") == "no such endpoint"


def test_quotas_are_set_listed_shown_and_removed(estiva: Estiva) -> None:
    assert estiva.json("quotas", "put", "team/app", "10k")["limit_bytes"] == 10_000
    assert estiva.json("quotas", "put", "team/app", "2KiB")["limit_bytes"] == 2048
    everything = estiva.json("quotas", "put", "*", "1500")
    used = everything.pop("used_bytes")  # what the other tests have pushed to this registry
    assert everything == {"name": "*", "account": "000000000000", "repository": None, "limit_bytes": 1500}
    assert estiva.done("quotas", "ls").table()[1:] == [["*", "1500", str(used)], ["team/app", "2048", "0"]]
    for size in ("ten", "-1", "1.5G", "10X"):
        assert estiva("quotas", "put", "team/app", size).code == 2
    estiva.done("quotas", "rm", "team/app")
    assert estiva.failed("quotas", "show", "team/app").startswith("no such quota")
    assert estiva.failed("quotas", "put", "Team", "1").startswith("invalid repository name")
    assert estiva.done("quotas", "show", "*").code == 0
    estiva.done("quotas", "rm", "*")
