"""ECR operations on pull-through cache rules, and on templates of the repositories that come by the way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aws.call import Answer, Call
from aws.ecr_repositories import parse_mutability
from aws.ecr_tags import parse_tags
from aws.errors import AwsError
from estiva.errors import RegistryError
from registry.creating import Template, TemplateExists, TemplateInvalid, TemplateUnknown
from registry.lifecycle.policy import LifecyclePolicyInvalid, parse_lifecycle_policy
from registry.mirroring.credentials import CredentialUnknown
from registry.mirroring.rules import ROOT, Rule, RuleExists, RuleInvalid, RuleUnknown
from storage.metadata.pull_through import RuleRecord

_CODES: Mapping[type[RegistryError], str] = {
    RuleExists: "PullThroughCacheRuleAlreadyExistsException",
    RuleInvalid: "UnsupportedUpstreamRegistryException",
    RuleUnknown: "PullThroughCacheRuleNotFoundException",
    CredentialUnknown: "SecretNotFoundException",
    TemplateExists: "TemplateAlreadyExistsException",
    TemplateInvalid: "InvalidParameterException",
    TemplateUnknown: "TemplateNotFoundException",
}
UPSTREAMS: Mapping[str, str] = {
    "docker-hub": "registry-1.docker.io",
    "ecr-public": "public.ecr.aws",
    "github-container-registry": "ghcr.io",
    "gitlab-container-registry": "registry.gitlab.com",
    "k8s": "registry.k8s.io",
    "quay": "quay.io",
    "chainguard": "cgr.dev",
}
"""The hosts of the registries that ECR knows by name."""
TEMPLATE_MEMBERS = (
    "description",
    "encryptionConfiguration",
    "resourceTags",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "repositoryPolicy",
    "lifecyclePolicy",
    "appliedFor",
    "customRoleArn",
)


async def create_pull_through_cache_rule(call: Call) -> Answer:
    """Say that repositories under a prefix come from another registry."""
    given = call.input
    record = RuleRecord(
        given["ecrRepositoryPrefix"],
        given["upstreamRegistryUrl"],
        given.get("upstreamRepositoryPrefix", ""),
        given.get("upstreamRegistry"),
        credential_arn=given.get("credentialArn"),
        custom_role_arn=given.get("customRoleArn"),
    )
    with aws_words():
        made = await call.parts.registry.cache.rules.create(call.actor, call.account_key, record)
    return _rule(call, made, "createdAt", "upstreamRegistryUrl", "upstreamRegistry")


async def describe_pull_through_cache_rules(call: Call) -> Answer:
    """Describe the rules of these prefixes, or all of them, page by page."""
    rules, prefixes = call.parts.registry.cache.rules, call.input.get("ecrRepositoryPrefixes")
    members = ("createdAt", "updatedAt", "upstreamRegistryUrl", "upstreamRegistry")
    if prefixes:
        with aws_words():
            found = [await rules.find(call.account_key, prefix) for prefix in prefixes]
        return {"pullThroughCacheRules": [_rule(call, rule, *members) for rule in found]}
    asked = call.page()
    # Positions begin with a sign, as the empty prefix is one of them.
    last = asked.position[1:] if asked.position else None
    found = await rules.page(call.account_key, last, asked.size + 1)
    page = found[: asked.size]
    return {
        "pullThroughCacheRules": [_rule(call, rule, *members) for rule in page],
        "nextToken": call.next_token(f"={page[-1].prefix}" if len(found) > len(page) else None),
    }


async def update_pull_through_cache_rule(call: Call) -> Answer:
    """Give a rule another credential."""
    given = call.input
    record = RuleRecord(
        given["ecrRepositoryPrefix"],
        "",
        credential_arn=given.get("credentialArn"),
        custom_role_arn=given.get("customRoleArn"),
    )
    with aws_words():
        made = await call.parts.registry.cache.rules.update(call.actor, call.account_key, record)
    return _rule(call, made, "updatedAt")


async def delete_pull_through_cache_rule(call: Call) -> Answer:
    """Remove a rule; what was cached stays."""
    with aws_words():
        gone = await call.parts.registry.cache.rules.delete(
            call.actor, call.account_key, call.input["ecrRepositoryPrefix"]
        )
    return _rule(call, gone, "createdAt", "upstreamRegistryUrl")


async def validate_pull_through_cache_rule(call: Call) -> Answer:
    """Ask the upstream of a rule whether it lets us in."""
    cache = call.parts.registry.cache
    with aws_words():
        rule = await cache.rules.find(call.account_key, call.input["ecrRepositoryPrefix"])
    failure = await cache.upstreams.failure(rule)
    return {**_rule(call, rule, "upstreamRegistryUrl"), "isValid": failure is None, "failure": failure}


async def create_repository_creation_template(call: Call) -> Answer:
    """Say what repositories under a prefix are like that nobody creates by name."""
    return await _put(call, {}, new=True)


async def update_repository_creation_template(call: Call) -> Answer:
    """Change some of what a template says."""
    with aws_words():
        found = await call.parts.registry.creating.find(call.account_key, call.input["prefix"])
    return await _put(call, found.document, new=False)


async def describe_repository_creation_templates(call: Call) -> Answer:
    """Describe the templates of these prefixes, or all of them, page by page."""
    creating, prefixes = call.parts.registry.creating, call.input.get("prefixes")
    if prefixes:
        with aws_words():
            named = [await creating.find(call.account_key, prefix) for prefix in prefixes]
        return {"registryId": call.account, "repositoryCreationTemplates": list(map(_template, named))}
    asked = call.page()
    found = await creating.page(call.account_key, asked.position, asked.size + 1)
    page = found[: asked.size]
    return {
        "registryId": call.account,
        "repositoryCreationTemplates": list(map(_template, page)),
        "nextToken": call.next_token(page[-1].prefix if len(found) > len(page) else None),
    }


async def delete_repository_creation_template(call: Call) -> Answer:
    """Remove a template; what was created by it stays."""
    with aws_words():
        gone = await call.parts.registry.creating.delete(call.actor, call.account_key, call.input["prefix"])
    return {"registryId": call.account, "repositoryCreationTemplate": _template(gone)}


@contextmanager
def aws_words() -> Iterator[None]:
    """Turns the refusals of rules and templates into ECR's."""
    try:
        yield
    except RegistryError as error:
        code = _CODES.get(type(error))
        if code is None:
            raise
        raise AwsError(code, error.text) from None


async def _put(call: Call, before: Mapping[str, Any], *, new: bool) -> Answer:
    given = {name: call.input[name] for name in TEMPLATE_MEMBERS if name in call.input}
    document = {**before, **given}
    check_template(document)
    with aws_words():
        template = Template(call.input["prefix"], document)
        made = await call.parts.registry.creating.put(call.actor, call.account_key, template, new=new)
    return {"registryId": call.account, "repositoryCreationTemplate": _template(made)}


def check_template(document: Mapping[str, Any]) -> None:
    """Return where repositories can be created so. AwsError."""

    parse_mutability(document)
    parse_tags(document.get("resourceTags", ()))
    if document.get("encryptionConfiguration", {}).get("encryptionType", "AES256") != "AES256":
        raise AwsError("InvalidParameterException", "This server has no key management service.")
    if document.get("lifecyclePolicy"):
        try:
            parse_lifecycle_policy(document["lifecyclePolicy"])
        except LifecyclePolicyInvalid as error:
            raise AwsError("InvalidParameterException", error.text) from None


def _rule(call: Call, rule: Rule, *members: str) -> dict[str, Any]:
    record = rule.record
    shown = {
        "ecrRepositoryPrefix": rule.prefix or ROOT,
        "registryId": call.account,
        "credentialArn": record.credential_arn,
        "customRoleArn": record.custom_role_arn,
        "upstreamRepositoryPrefix": record.upstream_prefix or None,
    }
    further = {
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "upstreamRegistryUrl": record.upstream_url,
        "upstreamRegistry": record.upstream_registry or _known(rule),
    }
    return {**shown, **{name: further[name] for name in members}}


def _known(rule: Rule) -> str | None:
    return next((name for name, host in UPSTREAMS.items() if host == rule.host), None)


def _template(template: Template) -> dict[str, Any]:
    return {
        "prefix": template.prefix,
        **template.document,
        "createdAt": template.created_at,
        "updatedAt": template.updated_at,
    }
