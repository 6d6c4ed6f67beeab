"""/api/v1/lifecycle-policies/<name>, its previews and its runs."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import refuse
from estiva.reference import RepositoryName
from estiva_server.control.operating import Operating, read_text
from estiva_server.control.routing import route
from registry.lifecycle.judging import Expiring
from registry.lifecycle.policies import LifecyclePolicies
from registry.lifecycle.running import LifecycleRuns
from storage.metadata.audit import Actor


class LifecycleAPI:
    """Operations on lifecycle policies. A policy's document is the whole body, both ways."""

    def __init__(self, operating: Operating, policies: LifecyclePolicies, runs: LifecycleRuns) -> None:
        self._operating = operating
        self._policies = policies
        self._runs = runs

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [
            route("/api/v1/lifecycle-policies/{name:path}", GET=self.get, PUT=self.put, DELETE=self.delete),
            route("/api/v1/lifecycle-previews/{name:path}", POST=self.preview),
            route("/api/v1/lifecycle-runs/{name:path}", POST=self.run),
        ]

    async def get(self, request: Request) -> Response:
        """The repository's policy."""
        name, _ = await self._admit(request, "ecr:GetLifecyclePolicy")
        return JSONResponse(json.loads((await self._policies.find(name)).document))

    async def put(self, request: Request) -> Response:
        """Set the repository's policy: 204."""
        name, actor = await self._admit(request, "ecr:PutLifecyclePolicy")
        await self._policies.put(actor, name, await read_text(request))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Remove the repository's policy: 204."""
        name, actor = await self._admit(request, "ecr:DeleteLifecyclePolicy")
        await self._policies.delete(actor, name)
        return Response(status_code=204)

    async def preview(self, request: Request) -> Response:
        """What would expire now, by the policy in the body or, without one, by the repository's: 200."""
        name, _ = await self._admit(request, "ecr:StartLifecyclePolicyPreview")
        text = await read_text(request)
        judgement = (await self._policies.preview(name, text or None)).judgement
        return JSONResponse({"images": judgement.images, "expiring": [_shown(one) for one in judgement.expiring]})

    async def run(self, request: Request) -> Response:
        """Carry the repository's policy out now: 200 with what expired, and what did not and why."""
        name, actor = await self._admit(request, "ecr:PutLifecyclePolicy")
        run = await self._runs.run(name, actor)
        kept = [{"digest": str(one.digest), "tags": list(one.tags), "reason": one.reason} for one in run.kept]
        expired = [_shown(one) for one in run.expired]
        return JSONResponse({"images": run.images, "expired": expired, "kept": kept, "superseded": run.superseded})

    async def _admit(self, request: Request, action: str) -> tuple[RepositoryName, Actor]:
        caller = await self._operating.caller(request)
        name = RepositoryName.parse(request.path_params["name"])
        access = self._operating.admission.access
        refuse(caller, await access.decide(caller, action, access.repository_arn(name)))
        return name, caller.actor


def _shown(one: Expiring) -> dict[str, Any]:
    return {
        "digest": str(one.image.digest),
        "tags": list(one.image.tags),
        "pushed_at": one.image.pushed_at,
        "pulled_at": one.image.pulled_at,
        "manifests": len(one.image.members),
        "rule": one.rule.priority,
    }
