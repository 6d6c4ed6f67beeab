"""What operations have at hand."""

from concurrent.futures import Executor
from dataclasses import dataclass

from auth.access import Access
from auth.passes import Passes
from auth.policies import Policies
from auth.sealing import Seal
from auth.signers import Signing
from aws.ecs_parts import EcsParts
from aws.links import Links
from aws.paging import Pages
from registry import Registry
from registry.api.limits import Limits
from registry.api.origin import Origin


@dataclass(frozen=True, slots=True)
class Parts:
    """The server's own parts, as far as operations need them; one per process."""

    account: str
    """The server's own account; others exist beside it in developer mode."""
    region: str
    registry: Registry
    access: Access
    policies: Policies
    signing: Signing
    origin: Origin
    seal: Seal
    pages: Pages
    links: Links
    passes: Passes
    threads: Executor
    ecs: EcsParts
    limits: Limits | None = None
    """How often one address and one principal may come, where that is limited."""
