"""What a registry does, without a word of HTTP: pulling, pushing, uploading, deleting, listing, collecting."""

from dataclasses import dataclass

from registry.collecting import Collecting
from registry.creating import Creating
from registry.deleting import Deleting
from registry.images import Images
from registry.lifecycle.policies import LifecyclePolicies
from registry.lifecycle.running import LifecycleRuns
from registry.listing import Listing
from registry.mirroring.cache import PullThroughCache
from registry.pulling import Pulling
from registry.pulls import Pulls
from registry.pushing import Pushing
from registry.quotas import Quotas
from registry.replicating.replicating import Replicating
from registry.repositories import Repositories
from registry.scanning.scanning import Scanning
from registry.scrubbing import Scrubbing
from registry.uploading import Uploading


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that an endpoint can ask a registry to do."""

    pulling: Pulling
    pushing: Pushing
    uploading: Uploading
    deleting: Deleting
    listing: Listing
    collecting: Collecting
    scrubbing: Scrubbing
    repositories: Repositories
    images: Images
    pulls: Pulls
    quotas: Quotas
    creating: Creating
    cache: PullThroughCache
    lifecycle_policies: LifecyclePolicies
    lifecycle_runs: LifecycleRuns
    replicating: Replicating
    scanning: Scanning
