"""/api/v1/webhooks: who is told of events."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva.errors import RequestInvalid
from estiva_server.control.operating import Operating, body_of, page_of, required
from estiva_server.control.routing import route
from registry.events.webhooks import Webhooks
from storage.metadata.webhooks import WebhookRecord


class WebhooksAPI:
    """Operations on webhooks."""

    def __init__(self, operating: Operating, webhooks: Webhooks) -> None:
        self._operating = operating
        self._webhooks = webhooks

    def routes(self) -> list[Route]:
        """Every path of this API."""
        base = "/api/v1/webhooks"
        return [
            route(base, GET=self.page, POST=self.create),
            route(base + "/{name}", GET=self.get, PATCH=self.change, DELETE=self.delete),
            route(base + "/{name}/failures", GET=self.failures, POST=self.redeliver),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the list, by name."""
        await self._operating.admit(request, "estiva:ListWebhooks", "webhook/*")
        found = await self._webhooks.page(*page_of(request))
        return JSONResponse({"webhooks": [_shown(webhook) for webhook in found]})

    async def get(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["name"]
        await self._operating.admit(request, "estiva:GetWebhook", f"webhook/{name}")
        return JSONResponse(_shown(await self._webhooks.find(name)))

    async def create(self, request: Request) -> Response:
        """A new webhook: 201 with its secret, which is shown this once."""
        caller = await self._operating.caller(request)
        body = await body_of(request, name=str, url=str, format=str, actions=list, prefix=str)
        name, url = required(body, "name"), required(body, "url")
        actor = await self._operating.permit(caller, "estiva:CreateWebhook", f"webhook/{name}")
        created, secret = await self._webhooks.create(
            actor, name, url, body.get("format", "cloudevents"), body.get("actions"), body.get("prefix", "")
        )
        return JSONResponse(_shown(created) | {"secret": secret}, 201)

    async def change(self, request: Request) -> Response:
        """Another secret, or tell it no more or again: 200 with the secret, or 204."""
        name = request.path_params["name"]
        caller = await self._operating.caller(request)
        body = await body_of(request, enabled=bool, renew_secret=bool)
        actor = await self._operating.permit(caller, "estiva:UpdateWebhook", f"webhook/{name}")
        await self._webhooks.find(name)
        if "enabled" in body:
            await self._webhooks.set_enabled(actor, name, enabled=body["enabled"])
        if not body.get("renew_secret"):
            return Response(status_code=204)
        return JSONResponse({"name": name, "secret": await self._webhooks.renew_secret(actor, name)})

    async def delete(self, request: Request) -> Response:
        """Remove it, with what it has not been told yet: 204."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:DeleteWebhook", f"webhook/{name}")
        await self._webhooks.delete(actor, name)
        return Response(status_code=204)

    async def failures(self, request: Request) -> Response:
        """A page of the events that it could not be told: those after number `last`."""
        name = request.path_params["name"]
        await self._operating.admit(request, "estiva:GetWebhook", f"webhook/{name}")
        last, size = page_of(request)
        if last and not (last.isascii() and last.isdigit() and len(last) < 19):
            raise RequestInvalid("last is not a failure's number")
        rows = await self._webhooks.failures(name, int(last or 0), size)
        members = ("id", "event", "action", "repository", "digest", "tag", "occurred_at", "error")
        return JSONResponse({"failures": [dict(zip(members, row, strict=True)) for row in rows]})

    async def redeliver(self, request: Request) -> Response:
        """Try to tell it all of these again: 200 with how many."""
        name = request.path_params["name"]
        actor = await self._operating.admit(request, "estiva:RedeliverEvents", f"webhook/{name}")
        return JSONResponse({"events": await self._webhooks.redeliver(actor, name)})


def _shown(webhook: WebhookRecord) -> dict[str, Any]:
    return {
        "name": webhook.name,
        "url": webhook.url,
        "format": webhook.format,
        "actions": [action.value for action in webhook.actions],
        "prefix": webhook.prefix,
        "enabled": webhook.enabled,
        "created_at": webhook.created_at,
    }
