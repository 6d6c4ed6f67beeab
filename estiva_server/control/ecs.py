"""`POST /api/v1/ecs/<Operation>`: ECS's operations for those who sign in with a password, and sign nothing."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aws.errors import AwsError
from aws.front import Front
from estiva.errors import Denied, NotFound, RegistryError, RequestInvalid, Unavailable
from estiva_server.control.operating import Operating, read_text
from estiva_server.control.routing import route

TARGET = "AmazonEC2ContainerServiceV20141113"


class EcsAPI:
    """The same input, output and policies as on `POST /`; refusals in the envelope of `/api/v1/`."""

    def __init__(self, operating: Operating, front: Front) -> None:
        self._operating = operating
        self._front = front

    def routes(self) -> list[Route]:
        """Every path of this API."""
        return [route("/api/v1/ecs/{operation}", POST=self.ask)]

    async def ask(self, request: Request) -> Response:
        """Carry an operation out: the body is its input, the answer its output."""
        caller = await self._operating.caller(request)
        body = (await read_text(request)).encode()
        try:
            answer = await self._front.ask(TARGET, request.path_params["operation"], body, caller, request.scope)
        except AwsError as error:
            raise _told(error) from None
        return Response(answer, media_type="application/json")


def _told(error: AwsError) -> RegistryError:
    """AWS's refusal as one of this API; `detail` is the exception's name."""
    if error.code == "AccessDeniedException":
        return Denied(error.message, detail=error.code)
    if error.code.endswith("NotFoundException") or error.code == "UnknownOperationException":
        return NotFound(error.message, detail=error.code)
    if error.status in (500, 503):
        return Unavailable(error.message, detail=error.code)
    return RequestInvalid(error.message, detail=error.code)
