"""/v2/: is this a registry, and may I come in?"""

from starlette.responses import JSONResponse, Response

from estiva.errors import Unauthorized
from registry import Registry
from registry.api.call import Call


async def get(registry: Registry, call: Call) -> Response:
    """Say yes (specification, "Determining Support") to whoever brings a token or a password, if only an anonymous one.

    Docker decides here whether it ever signs in, so a registry with any private repository has to ask here.
    """
    if call.caller.principal.is_anonymous and call.caller.token is None:
        raise Unauthorized
    return JSONResponse({})
