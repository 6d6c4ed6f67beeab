"""/v2/: is this a registry, and may I come in?"""

from starlette.responses import JSONResponse, Response

from registry import Registry
from registry.api.call import Call


async def get(registry: Registry, call: Call) -> Response:
    """Say yes (specification, "Determining Support")."""
    return JSONResponse({})
