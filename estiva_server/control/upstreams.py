"""/api/v1/upstream-credentials and /api/v1/pull-through-rules: other registries, and what is pulled from them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva_server.control.operating import Operating, body_of, page_of, required
from estiva_server.control.routing import route
from registry.mirroring.cache import PullThroughCache
from registry.mirroring.rules import ROOT, Rule
from registry.upstream.tokens import Credential
from storage.metadata.pull_through import RuleRecord

OWN = ""
"""The server's own account: what these paths are about."""


class UpstreamsAPI:
    """Operations on credentials for other registries, and on pull-through cache rules."""

    def __init__(self, operating: Operating, cache: PullThroughCache) -> None:
        self._operating = operating
        self._cache = cache

    def routes(self) -> list[Route]:
        """Every path of this API."""
        credentials, rules = "/api/v1/upstream-credentials", "/api/v1/pull-through-rules"
        return [
            route(credentials, GET=self.credentials),
            route(credentials + "/{name:path}", PUT=self.put_credential, DELETE=self.delete_credential),
            route(rules, GET=self.rules, POST=self.create_rule),
            route(rules + "/{prefix:path}", GET=self.check_rule, PUT=self.update_rule, DELETE=self.delete_rule),
        ]

    async def credentials(self, request: Request) -> Response:
        """A page of the credentials, without their secrets."""
        await self._operating.admit(request, "estiva:ListUpstreamCredentials", "credential/*")
        found = await self._cache.credentials.page(OWN, *page_of(request))
        shown = [
            {
                "name": one.name,
                "username": one.username,
                "token_server": one.token_server,
                "updated_at": one.updated_at,
            }
            for one in found
        ]
        return JSONResponse({"upstream-credentials": shown})

    async def put_credential(self, request: Request) -> Response:
        """Enter a credential, or replace it: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:PutUpstreamCredential", f"credential/{name}")
        body = await body_of(request, username=str, secret=str, token_server=(str, type(None)))
        credential = Credential(required(body, "username"), required(body, "secret"), body.get("token_server"))
        await self._cache.credentials.put(actor, OWN, name, credential)
        return Response(status_code=204)

    async def delete_credential(self, request: Request) -> Response:
        """Remove a credential that nothing uses: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:DeleteUpstreamCredential", f"credential/{name}")
        await self._cache.credentials.delete(actor, OWN, name)
        return Response(status_code=204)

    async def rules(self, request: Request) -> Response:
        """Every pull-through cache rule, by prefix."""
        await self._operating.admit(request, "ecr:DescribePullThroughCacheRules", "rule/*")
        return JSONResponse({"rules": [_shown(rule) for rule in await self._cache.rules.page(OWN, None, 1000)]})

    async def create_rule(self, request: Request) -> Response:
        """A new rule: 201."""
        actor = await self._operating.admit(request, "ecr:CreatePullThroughCacheRule", "rule/*")
        optional = (str, type(None))
        body = await body_of(request, prefix=str, upstream=str, upstream_prefix=optional, credential=optional)
        record = RuleRecord(
            required(body, "prefix"),
            required(body, "upstream"),
            body.get("upstream_prefix") or "",
            credential=body.get("credential"),
        )
        return JSONResponse(_shown(await self._cache.rules.create(actor, OWN, record)), status_code=201)

    async def check_rule(self, request: Request) -> Response:
        """The rule, and whether its upstream lets us in just now."""
        prefix = request.path_params["prefix"]
        await self._operating.admit(request, "ecr:ValidatePullThroughCacheRule", f"rule/{prefix}")
        rule = await self._cache.rules.find(OWN, prefix)
        failure = await self._cache.upstreams.failure(rule)
        return JSONResponse({**_shown(rule), "valid": failure is None, "failure": failure})

    async def update_rule(self, request: Request) -> Response:
        """Give the rule another credential, or none: 204."""
        prefix = request.path_params["prefix"]
        actor = await self._operating.admit(request, "ecr:UpdatePullThroughCacheRule", f"rule/{prefix}")
        body = await body_of(request, credential=(str, type(None)))
        await self._cache.rules.update(actor, OWN, RuleRecord(prefix, "", credential=body.get("credential")))
        return Response(status_code=204)

    async def delete_rule(self, request: Request) -> Response:
        """Remove the rule; what was cached stays: 204."""
        prefix = request.path_params["prefix"]
        actor = await self._operating.admit(request, "ecr:DeletePullThroughCacheRule", f"rule/{prefix}")
        await self._cache.rules.delete(actor, OWN, prefix)
        return Response(status_code=204)


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "prefix": rule.prefix or ROOT,
        "upstream": rule.record.upstream_url,
        "upstream_prefix": rule.record.upstream_prefix or None,
        "credential": rule.record.credential,
        "created_at": rule.record.created_at,
    }
