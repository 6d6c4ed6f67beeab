"""Creating repositories nobody asked for by name: by a push, a pull through the cache, or replication.

A template says what such a repository is like: the one with the longest prefix of those that are applied for that.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from auth.policy import InvalidPolicyError, parse_repository_policy
from estiva.errors import NameInvalid, NameUnknown, RegistryError
from estiva.reference import RepositoryName
from registry.lifecycle.policy import LifecyclePolicyInvalid, parse_lifecycle_policy
from storage.metadata import audit, lifecycle, policies, repositories, templates
from storage.metadata.audit import SERVER, Actor
from storage.metadata.database import Database, Work
from storage.metadata.templates import TemplateRecord

ROOT = "ROOT"
"""The prefix that every name has."""
MOST_TEMPLATES = 500
LIFECYCLE_AFTER = 600.0
"""Seconds after which the lifecycle policy of a new repository is looked at for the first time."""


class TemplateInvalid(RegistryError):
    """No template can be like that; the text says why."""

    code, status, message = "TEMPLATE_INVALID", 400, "invalid repository creation template"


class TemplateExists(RegistryError):
    """There is a template for that prefix."""

    code, status, message = "TEMPLATE_EXISTS", 409, "there is a template for that prefix"


class TemplateUnknown(RegistryError):
    """There is no template for that prefix."""

    code, status, message = "TEMPLATE_UNKNOWN", 404, "no such template"


class AppliedFor(StrEnum):
    """Why a repository is created that nobody asked for by name."""

    REPLICATION = "REPLICATION"
    PULL_THROUGH_CACHE = "PULL_THROUGH_CACHE"
    CREATE_ON_PUSH = "CREATE_ON_PUSH"


class CreateOnPush(StrEnum):
    """Which pushes create the repository they go to."""

    ALWAYS = "always"
    TEMPLATES = "templates"
    """Those to names that a template applied for CREATE_ON_PUSH is about."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Template:
    """What the repositories under `prefix` are created like; `document` holds the members as ECR's API names them."""

    prefix: str
    document: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0

    def applies(self, name: RepositoryName, reason: AppliedFor) -> bool:
        """Whether it is about a repository of that name, created for that reason."""
        within = self.prefix == ROOT or name.text.startswith(f"{self.prefix}/")
        return within and reason.value in self.document.get("appliedFor", ())


Apply = Callable[[int, Template], Work[None]]
"""What makes a new repository, given by its id, what the template says."""


class Creating:
    """Creates repositories, and keeps the templates."""

    def __init__(self, database: Database, on_push: CreateOnPush, apply: Sequence[Apply] = ()) -> None:
        self._database = database
        self._on_push = on_push
        self._apply = tuple(apply)

    def create(self, name: RepositoryName, reason: AppliedFor, actor: Actor = SERVER) -> Work[int]:
        """The id of the repository, which is created as its template says where there is none."""
        found = yield from repositories.find(name)
        if found is not None:
            return found
        repository = yield from repositories.ensure(name)
        yield from audit.record(actor, "CreateRepository", f"repository/{name}", applied_for=reason.value)
        template = yield from self._template(name, reason)
        if template is not None:
            policy = template.document.get("repositoryPolicy")
            if policy:
                yield from policies.put_for_repository(name, policy)
            expiring = template.document.get("lifecyclePolicy")
            if expiring:
                yield from lifecycle.put(name, expiring, LIFECYCLE_AFTER)
            for apply in self._apply:
                yield from apply(repository, template)
        return repository

    async def on_push(
        self, name: RepositoryName, reason: AppliedFor = AppliedFor.CREATE_ON_PUSH, actor: Actor = SERVER
    ) -> None:
        """Do what `by_push` does."""
        await self._database.write(lambda: self.by_push(name, reason, actor), durable=False)

    def by_push(self, name: RepositoryName, reason: AppliedFor, actor: Actor) -> Work[None]:
        """Create the repository that somebody who may create it pushes to, or replicates to.

        NameUnknown where pushes create none.
        """
        is_push = reason is AppliedFor.CREATE_ON_PUSH
        if is_push and (yield from repositories.find(name)) is None and not (yield from self._may_push(name)):
            raise NameUnknown("there is no such repository, and pushes don't create any", detail=name.text)
        yield from self.create(name, reason, actor)

    async def put(self, actor: Actor, account: str, template: Template, *, new: bool) -> Template:
        """Enter a template, or replace one. TemplateInvalid, TemplateExists, TemplateUnknown."""
        prefix = parse_prefix(template.prefix)
        _check(template.document)
        text = json.dumps(dict(template.document), sort_keys=True)

        def work() -> Work[TemplateRecord]:
            if new:
                if len((yield from templates.page(account, "", MOST_TEMPLATES))) >= MOST_TEMPLATES:
                    raise TemplateInvalid(f"there are {MOST_TEMPLATES} templates already")
                if not (yield from templates.create(account, prefix, text)):
                    raise TemplateExists(detail={"prefix": prefix})
            elif not (yield from templates.update(account, prefix, text)):
                raise TemplateUnknown(detail={"prefix": prefix})
            action = "CreateRepositoryCreationTemplate" if new else "UpdateRepositoryCreationTemplate"
            yield from audit.record(actor, action, f"template/{prefix}")
            return (yield from _stored(account, prefix))

        return _template(await self._database.write(work))

    async def find(self, account: str, prefix: str) -> Template:
        """The template of exactly that prefix. TemplateUnknown."""
        return _template(await self._database.read(_stored(account, parse_prefix(prefix))))

    async def page(self, account: str, last: str, limit: int) -> list[Template]:
        """At most `limit` templates after prefix `last`."""
        return [_template(record) for record in await self._database.read(templates.page(account, last, limit))]

    async def delete(self, actor: Actor, account: str, prefix: str) -> Template:
        """Remove a template; what was created by it stays. The template as it was. TemplateUnknown."""
        wanted = parse_prefix(prefix)

        def work() -> Work[TemplateRecord]:
            found = yield from _stored(account, wanted)
            yield from templates.delete(account, wanted)
            yield from audit.record(actor, "DeleteRepositoryCreationTemplate", f"template/{wanted}")
            return found

        return _template(await self._database.write(work))

    def _may_push(self, name: RepositoryName) -> Work[bool]:
        if self._on_push is not CreateOnPush.TEMPLATES:
            return self._on_push is CreateOnPush.ALWAYS
        return (yield from self._template(name, AppliedFor.CREATE_ON_PUSH)) is not None

    def _template(self, name: RepositoryName, reason: AppliedFor) -> Work[Template | None]:
        """The template with the longest prefix; ROOT, which is about every name, counts as the shortest."""
        found = map(_template, (yield from templates.page(name.account, "", MOST_TEMPLATES)))
        fitting = [template for template in found if template.applies(name, reason)]
        return max(fitting, key=lambda one: (one.prefix != ROOT, len(one.prefix)), default=None)


def parse_prefix(text: str) -> str:
    """A template's prefix as it is stored: a slash at the end counts for nothing. TemplateInvalid."""
    prefix = text.removesuffix("/")
    if prefix != ROOT:
        try:
            RepositoryName.parse(prefix)
        except NameInvalid:
            raise TemplateInvalid("a prefix is the first part of a repository's name, or ROOT") from None
    return prefix


def _check(document: Mapping[str, Any]) -> None:
    if not document.get("appliedFor"):
        raise TemplateInvalid("appliedFor names nothing that the template is for")
    policy = document.get("repositoryPolicy")
    if policy:
        try:
            parse_repository_policy(policy)
        except InvalidPolicyError as error:
            raise TemplateInvalid(f"repositoryPolicy: {error}") from None
    expiring = document.get("lifecyclePolicy")
    if expiring:
        try:
            parse_lifecycle_policy(expiring)
        except LifecyclePolicyInvalid as error:
            raise TemplateInvalid(f"lifecyclePolicy: {error.text}") from None


def _stored(account: str, prefix: str) -> Work[TemplateRecord]:
    found = yield from templates.find(account, prefix)
    if found is None:
        raise TemplateUnknown(detail={"prefix": prefix})
    return found


def _template(record: TemplateRecord) -> Template:
    return Template(record.prefix, json.loads(record.document), record.created_at, record.updated_at)
