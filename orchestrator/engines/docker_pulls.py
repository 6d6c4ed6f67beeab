"""Images on a Docker Engine: pulled by digest where it is known, those at once as one; and removed for room."""

import asyncio
import base64
import contextlib
import json
import shutil
import time
from dataclasses import dataclass

from estiva.digest import Digest
from orchestrator.engines import Authorize, EngineDown, Image, PullAuth, Refused
from orchestrator.engines.docker_errors import PULL, pull_refusal
from orchestrator.engines.docker_http import JSON, ApiError, DockerHTTP
from orchestrator.engines.docker_views import seconds
from orchestrator.engines.pause import IMAGE, pause_archive

SILENCE = 180.0
"""Seconds that a pull may go without any progress; large layers are unpacked in silence."""
REMOVAL = 120.0


class Pulls:
    """Pulls of one engine; it remembers those under way, and when an image was asked for last."""

    def __init__(self, http: DockerHTTP) -> None:
        self._http = http
        self._under_way: dict[str, asyncio.Task[Digest | None]] = {}
        self.asked_at: dict[str, float] = {}
        """Reference → Unix seconds."""

    async def pull(self, image: Image, authorize: Authorize) -> Digest | None:
        """See `Driver.pull`. Who waits may go away: the pull goes on for those who come later."""
        reference = image.reference
        self.asked_at[reference] = time.time()
        flight = self._under_way.get(reference)
        if flight is None:
            flight = asyncio.ensure_future(self._pull(image, authorize))
            self._under_way[reference] = flight
            flight.add_done_callback(lambda done: self._landed(reference, done))
        return await asyncio.shield(flight)

    async def has_pause(self, architecture: str) -> None:
        """Have the pause image, which nobody has to pull."""
        try:
            await self._http.ask("GET", f"/images/{IMAGE}/json")
        except ApiError as error:
            if error.status != 404:
                raise
            async with self._http.stream("POST", "/images/load", body=pause_archive(architecture)) as answer:
                async for line in answer.lines():
                    if "error" in line:
                        raise EngineDown(f"the engine does not load the pause image: {line['error']}") from error

    async def close(self) -> None:
        """End what is under way."""
        flights = list(self._under_way.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def is_under_way(self, references: set[str]) -> bool:
        """Whether one of these is being pulled."""
        return not references.isdisjoint(self._under_way)

    def _landed(self, reference: str, flight: asyncio.Task[Digest | None]) -> None:
        self._under_way.pop(reference, None)
        if not flight.cancelled():
            flight.exception()  # whoever waited was told; nobody may have

    async def _pull(self, image: Image, authorize: Authorize) -> Digest | None:
        # By digest, what is here is right. A tag is asked for each time: the registry may be away, but not wrong.
        if image.digest is not None and await self._inspected(image) is not None:
            return image.digest
        auth = await authorize()
        query = {"fromImage": image.repository, "tag": str(image.digest or image.tag or "latest")}
        headers = {"X-Registry-Auth": _encoded(image, auth)} if auth is not None else {}
        try:
            async with self._http.stream("POST", "/images/create", query, headers=headers, silence=SILENCE) as answer:
                async for line in answer.lines():
                    if "error" in line:
                        raise pull_refusal(image, str(line["error"]))
        except ApiError as error:
            raise pull_refusal(image, error.message) from error
        return image.digest or await self._digest(image)

    async def _digest(self, image: Image) -> Digest | None:
        """What the tag was just found to be."""
        inspected = await self._inspected(image)
        if inspected is None:
            raise Refused(PULL, f"{image.reference} went away right after it was pulled")
        for known in inspected.get("RepoDigests") or ():
            repository, _, digest = known.partition("@")
            if repository == image.repository:
                return Digest.parse(digest)
        return None

    async def _inspected(self, image: Image) -> JSON | None:
        try:
            inspected: JSON = await self._http.ask("GET", f"/images/{image.reference}/json")
        except ApiError as error:
            if error.status == 404:
                return None
            raise EngineDown(f"the engine cannot tell of {image.reference}: {error.message}") from error
        return inspected


def _encoded(image: Image, auth: PullAuth) -> str:
    registry = image.repository.partition("/")[0]
    told = {"username": auth.username, "password": auth.password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


@dataclass(frozen=True, slots=True)
class _Candidate:
    image_id: str
    references: frozenset[str]
    """All its names with tags and digests."""
    size: int
    used_at: float


class Eviction:
    """Makes room on one engine."""

    def __init__(self, http: DockerHTTP, pulls: Pulls) -> None:
        self._http, self._pulls = http, pulls

    async def evict(self, registry: str, keep: frozenset[Digest], want: int) -> int:
        """See `Driver.evict`. Where the disk cannot be seen from here, `want` bytes of images are removed."""
        freed, folder = 0, await self._folder()
        for candidate in await self._candidates(registry, keep):
            free = freed if folder is None else await free_bytes(folder)
            if free is None or free >= want:
                break
            # Looked at right before: a pull may have come for it since.
            if not self._pulls.is_under_way(set(candidate.references)) and await self._remove(candidate):
                freed += candidate.size
        return freed

    async def _folder(self) -> str | None:
        return str((await self._http.ask("GET", "/info"))["DockerRootDir"]) if self._http.is_local else None

    async def _candidates(self, registry: str, keep: frozenset[Digest]) -> list[_Candidate]:
        containers = await self._http.ask("GET", "/containers/json", {"all": True})
        used = {one["ImageID"] for one in containers}
        found = []
        for image in await self._http.ask("GET", "/images/json"):
            references = frozenset((image.get("RepoTags") or []) + (image.get("RepoDigests") or []))
            ours = {one for one in references if one.startswith(f"{registry}/")}
            kept = any(one.endswith(f"@{digest}") for digest in keep for one in references)
            # An image that somebody also knows by a name of another registry is theirs as well.
            if ours and ours == references - _UNNAMED and not kept and image["Id"] not in used:
                used_at = max([self._pulls.asked_at.get(one, 0.0) for one in ours])
                found.append(
                    _Candidate(
                        image["Id"], frozenset(ours), int(image["Size"]), used_at or await self._tagged_at(image)
                    )
                )
        return sorted(found, key=lambda one: one.used_at)

    async def _tagged_at(self, image: JSON) -> float:
        inspected = await self._http.ask("GET", f"/images/{image['Id']}/json")
        told = seconds((inspected.get("Metadata") or {}).get("LastTagTime"))
        return told or float(image.get("Created") or 0)

    async def _remove(self, candidate: _Candidate) -> bool:
        for reference in sorted(candidate.references, key=lambda one: "@" in one):
            try:
                await self._http.ask("DELETE", f"/images/{reference}", within=REMOVAL)
            except ApiError as error:
                if error.status != 404:  # the last tag takes digests along; a container may have taken the image
                    return False
        return True


_UNNAMED = frozenset({"<none>:<none>", "<none>@<none>"})


async def free_bytes(folder: str) -> int | None:
    """Free bytes of the disk that has this folder; None where it is not on this machine."""
    with contextlib.suppress(FileNotFoundError):
        return (await asyncio.to_thread(shutil.disk_usage, folder)).free
    return None
