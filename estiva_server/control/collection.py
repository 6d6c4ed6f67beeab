"""/api/v1/gc, scrub and fsck: what waits to be collected, whether what is stored is sound, and doing either now."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from estiva.errors import RequestInvalid
from estiva_server.control.operating import Operating, body_of, required
from estiva_server.control.routing import route
from registry.collecting import Collecting
from registry.quotas import Quotas
from registry.scrubbing import Scrubbed, Scrubbing
from storage.metadata import audit
from storage.metadata.database import Database
from storage.metadata.soundness import END

RESOURCE = "gc/*"
RUN_FOR = 10.0
LONGEST_HOLD = 366 * 86400


class CollectionAPI:
    """Operations on garbage collection."""

    def __init__(self, operating: Operating, database: Database, collecting: Collecting) -> None:
        self._operating = operating
        self._database = database
        self._collecting = collecting

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [route("/api/v1/gc", GET=self.status, POST=self.run), route("/api/v1/gc/hold", PUT=self.hold)]

    async def status(self, request: Request) -> Response:
        """What waits, and what a run would take."""
        await self._operating.admit(request, "estiva:DescribeCollection", RESOURCE)
        return JSONResponse(asdict(await self._collecting.status()))

    async def run(self, request: Request) -> Response:
        """Collect for some seconds: what was done. Where `finished` is false, there is more for another request."""
        actor = await self._operating.admit(request, "estiva:CollectGarbage", RESOURCE)
        await self._database.write(lambda: audit.record(actor, "CollectGarbage", "gc"))
        return JSONResponse(asdict(await self._collecting.run(RUN_FOR)))

    async def hold(self, request: Request) -> Response:
        """Collect nothing for `seconds` from now; 0 ends a hold: 204."""
        actor = await self._operating.admit(request, "estiva:HoldCollection", RESOURCE)
        body = await body_of(request, seconds=(int, float))
        seconds = required(body, "seconds")
        if isinstance(seconds, bool) or not 0 <= seconds <= LONGEST_HOLD:
            raise RequestInvalid(f"seconds is not a number from 0 to {LONGEST_HOLD}")
        await self._collecting.hold(actor, float(seconds))
        return Response(status_code=204)


class ScrubbingAPI:
    """Operations on the soundness of what is stored."""

    def __init__(self, operating: Operating, database: Database, scrubbing: Scrubbing, quotas: Quotas) -> None:
        self._operating = operating
        self._database = database
        self._scrubbing = scrubbing
        self._quotas = quotas

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [route("/api/v1/scrub", GET=self.bad, POST=self.scrub), route("/api/v1/fsck", POST=self.compare)]

    async def bad(self, request: Request) -> Response:
        """The blobs that are known to be bad, at most 1000."""
        await self._operating.admit(request, "estiva:DescribeScrub", "scrub/*")
        return JSONResponse({"bad": [asdict(blob) for blob in await self._scrubbing.bad()]})

    async def scrub(self, request: Request) -> Response:
        """Read blobs for some seconds, as fast as can be: what was found. `begin=true` begins with the first.

        `later=true` reads none: the server's own job goes on with what was begun, at its pace.
        """
        actor = await self._operating.admit(request, "estiva:Scrub", "scrub/*")
        await self._database.write(lambda: audit.record(actor, "Scrub", "scrub"))
        if request.query_params.get("begin") == "true":
            await self._scrubbing.begin(0)
        if request.query_params.get("later") == "true":
            return JSONResponse(asdict(Scrubbed(finished=False)))
        return JSONResponse(asdict(await self._scrubbing.run(seconds=RUN_FOR)))

    async def compare(self, request: Request) -> Response:
        """Hold rows and storage keys after `after` against each other for some seconds: what was found.

        Then, in the last answer, what counts for quotas is counted anew.
        """
        actor = await self._operating.admit(request, "estiva:CheckStorage", "scrub/*")
        await self._database.write(lambda: audit.record(actor, "CheckStorage", "scrub"))
        done = await self._scrubbing.compare(request.query_params.get("after", ""), RUN_FOR)
        quotas = await self._quotas.recount() if done.after == END else 0
        return JSONResponse({**asdict(done), "quotas": quotas})
