"""Tells a reverse proxy where requests for services go: Caddy, over its admin API, whenever that changes.

What is told is an object of the proxy's own configuration, named `estiva-CLUSTER-SERVICE` (`@id`), in accounts other
than the server's own `estiva-ACCOUNT-CLUSTER-SERVICE`, of which only the upstreams are replaced: routes, names and
certificates stay the operator's.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

import httpcore2

from orchestrator.facts import ClusterFacts, ReadDefinition
from orchestrator.targets import addresses, caddy, targets
from storage.metadata.clusters import ClusterKey

logger = logging.getLogger("estiva.orchestrator")

WITHIN = 10.0
"""Seconds that the proxy has to answer."""
AGAIN_AFTER = 30.0
"""Seconds after which it is told again although nothing changed: it may have begun anew."""

Upstreams = Sequence[Mapping[str, str]]


class CaddyUpstreams:
    """Tells one Caddy, whose admin API is at this URL. That it cannot be told is logged, and stops nothing."""

    def __init__(self, admin: str, read: ReadDefinition) -> None:
        self._admin = admin.rstrip("/")
        self._read = read
        # It ends the connections of its admin API whenever its configuration changes: none is worth keeping.
        self._pool = httpcore2.AsyncConnectionPool(max_connections=1, max_keepalive_connections=0)
        self._one_at_a_time = asyncio.Lock()
        self._told: dict[ClusterKey, dict[str, tuple[Upstreams, float]]] = {}
        self._trouble: dict[str, str] = {}

    async def publish(self, load: Callable[[], Awaitable[ClusterFacts | None]]) -> None:
        """Tell of the services of a cluster what has changed since they were told of last.

        What is there is loaded when its turn comes, so that nothing older is told after something newer.
        """
        async with self._one_at_a_time:
            facts = await load()
            if facts is None:
                return
            found = targets(facts, self._read, addresses(facts), time.time())
            before = self._told.setdefault(facts.record.key, {})
            for service in sorted(facts.services):
                name = _name(facts.record.key, service)
                upstreams = caddy(found, service)
                told, at = before.get(name, ([], 0.0))
                is_due = told != upstreams or (at and time.monotonic() - at > AGAIN_AFTER)
                if is_due:
                    if not await self._tell(name, upstreams):
                        return
                    before[name] = (upstreams, time.monotonic())

    def forget(self, key: ClusterKey) -> None:
        """What the proxy was told of a cluster: another process acts for it now, and tells something else."""
        self._told.pop(key, None)

    async def _tell(self, name: str, upstreams: Upstreams) -> bool:
        """Whether it took it or refused it, in one of some tries; what it refused, it is asked again later.

        It refuses for good what it has no such name for. Anything else may be a change that it could not carry out just
        then, which it answers with 400 as it does what is wrong: that is tried like a failure inside it.
        """
        status: int | None = None
        for wait in (0.1, 0.5, 1.0, None):
            status = await self._try(name, upstreams)
            if status in (200, 404):
                return True
            if wait is not None:
                await asyncio.sleep(wait)
        return status is not None and status < 500

    async def _try(self, name: str, upstreams: Upstreams) -> int | None:
        """The status of its answer; None where there was none."""
        url = f"{self._admin}/id/{quote(name, safe='')}/upstreams"
        try:
            async with asyncio.timeout(WITHIN):
                answer = await self._pool.request(
                    "PATCH", url, headers={"Content-Type": "application/json"}, content=json.dumps(upstreams).encode()
                )
            status: int | None = answer.status
            trouble = "" if answer.status == 200 else f"{answer.status} {answer.content.decode(errors='replace')[:200]}"
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, TimeoutError) as error:
            status = None
            trouble = f"it does not answer: {error or type(error).__name__}"
        if trouble and self._trouble.get(name) != trouble:
            logger.warning("Caddy was not told of the targets of %s: %s", name, trouble)
        self._trouble[name] = trouble
        return status


def _name(key: ClusterKey, service: str) -> str:
    return "-".join(part for part in ("estiva", key.account, key.cluster, service) if part)
