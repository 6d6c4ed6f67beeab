"""Policies are carried out: on real facts, beside everybody else, and never on what is in use."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from estiva.digest import Digest
from estiva.errors import ManifestUnknown, NameUnknown
from estiva.mediatypes import OCI_INDEX
from estiva.reference import RepositoryName, Tag
from registry import Registry
from registry.creating import Template, TemplateInvalid
from registry.lifecycle.policies import LifecyclePolicyUnknown, LifecyclePreviewUnknown
from registry.lifecycle.policy import LifecyclePolicyInvalid
from registry.lifecycle.running import LifecycleRuns
from storage.metadata import audit, lifecycle
from storage.metadata.audit import Actor
from storage.metadata.database import Database
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.documents import described, image, index
from tests.fixtures.events import Users, enter_webhook
from tests.fixtures.facts import NAME, OTHER, count, select
from tests.fixtures.registry import push_blob, push_manifest
from tests.registry.lifecycle.documents import days, policy, rule

ALICE = Actor("user/alice")
UNTAGGED = policy(rule(1, "untagged", **days(7)))
KEEP_ONE = policy(rule(5, countType="imageCountMoreThan", countNumber=1))
EVERY = 1000.0


def numbered(number: int) -> bytes:
    return image(annotations={"number": str(number)})


async def age(database: Database, digest: Digest, days: float) -> None:
    """Make the manifest and its tags that much older."""
    for table, column in (("manifests", "pushed_at"), ("tags", "tagged_at")):
        sql = f"UPDATE {table} SET {column} = {column} - :age WHERE digest = :digest RETURNING digest"
        await database.write(lambda sql=sql: select(sql, age=days * 86_400, digest=str(digest)))  # type: ignore[misc]


async def filled(registry: Registry, database: Database, count: int) -> list[Digest]:
    """Images, each tagged with its number, the later ones younger."""
    await push_blob(registry, b"{}")
    digests = []
    for number in range(count):
        digests.append(await push_manifest(registry, numbered(number), str(number)))
        await age(database, digests[-1], count - number)
    return digests


async def is_there(registry: Registry, digest: Digest) -> bool:
    try:
        await registry.pulling.manifest(NAME, digest)
    except ManifestUnknown:
        return False
    return True


def runs(database: Database, threads: ThreadPoolExecutor, users: Users | None = None) -> LifecycleRuns:
    return LifecycleRuns(database, threads, users or Users(), EVERY)


async def test_a_run_removes_what_a_preview_says(database: SQLiteDatabase, registry: Registry) -> None:
    digests = await filled(registry, database, 4)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)
    preview = await registry.lifecycle_policies.preview(NAME)
    expected = [(one.image.digest, one.image.tags, one.rule.priority) for one in preview.judgement.expiring]
    assert expected == [(digest, (str(number),), 5) for number, digest in enumerate(digests[:3])]
    assert [await is_there(registry, digest) for digest in digests] == [True] * 4
    run = await registry.lifecycle_runs.run(NAME, ALICE)
    assert [one.image.digest for one in run.expired] == digests[:3]
    assert (run.images, run.kept, run.superseded) == (4, [], False)
    assert [await is_there(registry, digest) for digest in digests] == [False, False, False, True]
    assert (await registry.lifecycle_policies.find(NAME)).evaluated_at is not None
    assert (await registry.lifecycle_runs.run(NAME)).expired == []


async def test_an_index_goes_with_its_children_its_signatures_and_what_refers_to_them(
    database: SQLiteDatabase, registry: Registry
) -> None:
    await push_blob(registry, b"{}")
    one, two, kept = numbered(1), numbered(2), numbered(3)
    for payload in (one, two, kept):
        await push_manifest(registry, payload)
    old = await push_manifest(registry, index(one, two), "old", media_type=OCI_INDEX)
    new = await push_manifest(registry, index(two, kept), "new", media_type=OCI_INDEX)
    sbom = await push_manifest(registry, image(subject=described(one, "application/vnd.oci.image.manifest.v1+json")))
    signature = await push_manifest(registry, numbered(4), f"sha256-{old.hex}.sig")
    await age(database, old, 10)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)
    [expired] = (await registry.lifecycle_runs.run(NAME)).expired
    assert expired.image.members == {old, Digest.of(one), Digest.of(two), sbom, signature}
    gone = (old, Digest.of(one), sbom, signature)
    assert [await is_there(registry, digest) for digest in gone] == [False] * 4
    assert [await is_there(registry, digest) for digest in (new, Digest.of(two), Digest.of(kept))] == [True] * 3


async def test_two_expired_images_that_share_a_child_both_go_with_it(
    database: SQLiteDatabase, registry: Registry
) -> None:
    await push_blob(registry, b"{}")
    shared, one, two = numbered(0), numbered(1), numbered(2)
    for payload in (shared, one, two):
        await push_manifest(registry, payload)
    for place, payload in enumerate((index(shared, one), index(shared, two))):
        await age(database, await push_manifest(registry, payload, media_type=OCI_INDEX), 20 - place)
    await registry.lifecycle_policies.put(ALICE, NAME, UNTAGGED)
    assert len((await registry.lifecycle_runs.run(NAME)).expired) == 2
    assert await count(database, "manifests") == 0


async def test_an_image_of_which_anything_is_used_stays(
    database: SQLiteDatabase, registry: Registry, threads: ThreadPoolExecutor
) -> None:
    await push_blob(registry, b"{}")
    child = await push_manifest(registry, numbered(1))
    listing = await push_manifest(registry, index(numbered(1)), media_type=OCI_INDEX)
    other = await push_manifest(registry, numbered(2))
    for digest in (child, listing, other):
        await age(database, digest, 30)
    await registry.lifecycle_policies.put(ALICE, NAME, UNTAGGED)
    users = Users({child: "task 4f6c"})
    run = await runs(database, threads, users).run(NAME)
    assert [one.image.digest for one in run.expired] == [other]
    assert [(kept.digest, kept.reason) for kept in run.kept] == [(listing, "used by task 4f6c")]
    users.used.clear()
    await runs(database, threads, users).run(NAME)
    assert await count(database, "manifests") == 0


@pytest.mark.parametrize("change", ["tag", "index", "referrer", "signature", "delete"])
async def test_an_image_that_changed_since_it_was_judged_stays(
    database: SQLiteDatabase, registry: Registry, threads: ThreadPoolExecutor, change: str
) -> None:
    await push_blob(registry, b"{}")
    payload = numbered(1)
    digest = await push_manifest(registry, payload)
    await age(database, digest, 30)
    await registry.lifecycle_policies.put(ALICE, NAME, UNTAGGED)

    class Late(LifecycleRuns):
        async def _remove(self, *arguments: object) -> None:
            if change == "tag":
                await push_manifest(registry, payload, "rescued")
            elif change == "index":
                await push_manifest(registry, index(payload), media_type=OCI_INDEX)
            elif change == "referrer":
                subject = described(payload, "application/vnd.oci.image.manifest.v1+json")
                await push_manifest(registry, image(subject=subject))
            elif change == "signature":
                await push_manifest(registry, numbered(2), f"sha256-{digest.hex}.sig")
            else:
                await registry.deleting.manifest(NAME, digest, permit=None)
            await super()._remove(*arguments)  # type: ignore[arg-type]

    run = await Late(database, threads, Users(), EVERY).run(NAME)
    assert run.expired == []
    assert [(kept.digest, kept.reason) for kept in run.kept] == [(digest, "changed")]
    assert await is_there(registry, digest) is (change != "delete")


async def test_a_run_ends_where_its_policy_is_replaced(
    database: SQLiteDatabase, registry: Registry, threads: ThreadPoolExecutor
) -> None:
    digests = await filled(registry, database, 3)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)

    class Late(LifecycleRuns):
        async def _remove(self, *arguments: object) -> None:
            await registry.lifecycle_policies.put(ALICE, NAME, UNTAGGED)
            await super()._remove(*arguments)  # type: ignore[arg-type]

    run = await Late(database, threads, Users(), EVERY).run(NAME)
    assert run.superseded
    assert [await is_there(registry, digest) for digest in digests] == [True] * 3
    assert (await registry.lifecycle_policies.find(NAME)).evaluated_at is None


async def test_nothing_expires_by_itself_for_a_day_after_a_jump_of_the_clock(
    database: SQLiteDatabase, registry: Registry, threads: ThreadPoolExecutor
) -> None:
    since = "UPDATE collection_state SET value = value - {} WHERE name = '{} the clock: lifecycle' RETURNING name"
    digests = await filled(registry, database, 2)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)
    assert await runs(database, threads).run_due() == {}
    await database.write(lambda: select("UPDATE lifecycle_policies SET due_at = 0 RETURNING repository_id"))
    await database.write(lambda: select(since.format(315_360_000, "look at")))
    assert await runs(database, threads).run_due() == {}
    assert await runs(database, threads).run_due() == {}
    assert (await runs(database, threads).run(NAME)).expired == []
    assert [await is_there(registry, digest) for digest in digests] == [True, True]
    await database.write(lambda: select(since.format(86_500, "jump of")))
    assert len((await runs(database, threads).run_due())[NAME].expired) == 1


async def test_the_policies_that_are_due_are_carried_out_by_one_process_each(
    database: SQLiteDatabase, registry: Registry, threads: ThreadPoolExecutor
) -> None:
    names = [RepositoryName(f"app/{number}") for number in range(6)]
    for name in names:
        await push_blob(registry, b"{}", name)
        await push_manifest(registry, numbered(1), name=name)
        await registry.lifecycle_policies.put(ALICE, name, KEEP_ONE)
    assert await runs(database, threads).run_due() == {}
    await database.write(lambda: select("UPDATE lifecycle_policies SET due_at = 0 RETURNING repository_id"))
    done = await asyncio.gather(*(runs(database, threads).run_due() for _ in range(4)))
    assert sorted(name.text for one in done for name in one) == [name.text for name in names]
    assert await runs(database, threads).run_due() == {}
    [(least, most)] = await database.read(
        select("SELECT min(due_at - :now), max(due_at - :now) FROM lifecycle_policies")
    )
    assert 0.85 * EVERY < float(str(least)) <= float(str(most)) < 1.15 * EVERY


async def test_what_a_process_took_and_did_not_end_is_taken_again_later(
    database: SQLiteDatabase, registry: Registry
) -> None:
    await push_blob(registry, b"{}")
    await database.write(lambda: lifecycle.put(NAME, KEEP_ONE, -1))
    assert await database.write(lambda: lifecycle.take(3600)) == NAME
    assert await database.write(lambda: lifecycle.take(60)) is None
    await database.write(lambda: select("UPDATE lifecycle_policies SET due_at = due_at - 3601 RETURNING repository_id"))
    assert await database.write(lambda: lifecycle.take(60)) == NAME


async def test_pushes_go_on_while_images_expire(database: SQLiteDatabase, registry: Registry) -> None:
    await filled(registry, database, 120)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)

    async def push_on() -> list[Digest]:
        return [await push_manifest(registry, numbered(number), str(number)) for number in range(1000, 1040)]

    run, pushed = await asyncio.gather(registry.lifecycle_runs.run(NAME), push_on())
    assert len(run.expired) + len(run.kept) >= 119
    assert [await is_there(registry, digest) for digest in pushed] == [True] * 40


async def test_what_expired_is_told_and_in_the_trail(database: SQLiteDatabase, registry: Registry) -> None:
    await enter_webhook(database)
    digests = await filled(registry, database, 2)
    await registry.lifecycle_policies.put(ALICE, NAME, KEEP_ONE)
    await registry.lifecycle_runs.run(NAME)
    [row] = await database.read(
        select("SELECT digest, tag, actor, detail FROM deliveries WHERE action = :action", action="EXPIRE")
    )
    assert row == (str(digests[0]), "0", "server", '{"lifecycleRulePriority": 5}')
    ran, expired, put = await database.read(audit.page(1 << 62, 3, f"repository/{NAME}"))
    assert (put.action, put.actor) == ("PutLifecyclePolicy", "user/alice")
    assert (expired.action, expired.actor) == ("ExpireImage", "server")
    assert expired.detail == {"digest": str(digests[0]), "tags": ["0"], "rule": 5, "manifests": 1}
    assert (ran.action, ran.detail) == ("RunLifecyclePolicy", {"images": 2, "expired": 1, "kept": 0})


async def test_policies_are_set_shown_and_removed(database: SQLiteDatabase, registry: Registry) -> None:
    policies = registry.lifecycle_policies
    with pytest.raises(NameUnknown):
        await policies.put(ALICE, NAME, KEEP_ONE)
    await push_blob(registry, b"{}")
    for attempt in (policies.find(NAME), policies.delete(ALICE, NAME), policies.preview(NAME)):
        with pytest.raises(LifecyclePolicyUnknown):
            await attempt
    with pytest.raises(LifecyclePolicyUnknown):
        await registry.lifecycle_runs.run(NAME)
    with pytest.raises(LifecyclePolicyInvalid):
        await policies.put(ALICE, NAME, "{}")
    await policies.put(ALICE, NAME, UNTAGGED)
    await policies.put(ALICE, NAME, KEEP_ONE)
    assert (await policies.find(NAME)).document == KEEP_ONE
    assert (await policies.delete(ALICE, NAME)).document == KEEP_ONE
    assert await count(database, "lifecycle_policies") == 0


async def test_a_preview_is_kept_until_the_next_and_goes_with_its_repository(
    database: SQLiteDatabase, registry: Registry
) -> None:
    policies = registry.lifecycle_policies
    digests = await filled(registry, database, 3)
    with pytest.raises(LifecyclePreviewUnknown):
        await policies.find_preview(NAME, "", 10)
    with pytest.raises(NameUnknown):
        await policies.find_preview(OTHER, "", 10)
    await policies.start_preview(NAME, KEEP_ONE)
    preview, images = await policies.find_preview(NAME, "", 10)
    assert (preview.document, preview.expiring) == (KEEP_ONE, 2)
    assert [(one.digest, one.priority) for one in images] == sorted((str(digest), 5) for digest in digests[:2])
    pages = [(await policies.find_preview(NAME, last, 1))[1] for last in ("", images[0].digest)]
    assert pages == [[images[0]], [images[1]]]
    await policies.start_preview(NAME, UNTAGGED)
    assert (await policies.find_preview(NAME, "", 10))[1] == []
    assert await count(database, "manifests") == 3
    await policies.put(ALICE, NAME, KEEP_ONE)
    await registry.deleting.repository(NAME, permit=None)
    for table in ("lifecycle_policies", "lifecycle_previews", "lifecycle_preview_images"):
        assert await count(database, table) == 0


async def test_pulls_keep_an_image_and_are_told_where_that_is_wanted(
    database: SQLiteDatabase, registry: Registry
) -> None:
    await enter_webhook(database)
    pulled, forgotten = await filled(registry, database, 2)
    for digest in (pulled, forgotten):
        await age(database, digest, 60)
    registry.pulls.note(NAME, pulled)
    assert await registry.pulls.write() == 1
    await registry.lifecycle_policies.put(ALICE, NAME, policy(rule(1, **days(30, "sinceImagePulled"))))
    assert [one.image.digest for one in (await registry.lifecycle_runs.run(NAME)).expired] == [forgotten]
    rows = await database.read(select("SELECT digest, actor FROM deliveries WHERE action = 'PULL'"))
    assert rows == [(str(pulled), "")]


async def test_a_tag_that_moved_to_an_old_image_keeps_it(database: SQLiteDatabase, registry: Registry) -> None:
    digests = await filled(registry, database, 2)
    for digest in digests:
        await age(database, digest, 60)
    await push_manifest(registry, numbered(0), "latest")
    await registry.lifecycle_policies.put(ALICE, NAME, policy(rule(1, **days(30))))
    assert [one.image.digest for one in (await registry.lifecycle_runs.run(NAME)).expired] == [digests[1]]
    assert (await registry.pulling.manifest(NAME, Tag("latest"))).digest == digests[0]


async def test_a_template_gives_new_repositories_its_policy(registry: Registry) -> None:
    def template(policy: str) -> Template:
        return Template("team", {"appliedFor": ["CREATE_ON_PUSH"], "lifecyclePolicy": policy})

    with pytest.raises(TemplateInvalid, match="lifecyclePolicy: object has missing"):
        await registry.creating.put(ALICE, "", template("{}"), new=True)
    await registry.creating.put(ALICE, "", template(KEEP_ONE), new=True)
    for name in ("team/app", "other/app"):
        await registry.creating.on_push(RepositoryName(name))
    assert (await registry.lifecycle_policies.find(RepositoryName("team/app"))).document == KEEP_ONE
    with pytest.raises(LifecyclePolicyUnknown):
        await registry.lifecycle_policies.find(RepositoryName("other/app"))
