"""Every path of `/api/v1/` but those of tasks."""

from starlette.routing import Route

from auth.principals import Kind
from estiva_server.control.audit import AuditAPI
from estiva_server.control.collection import CollectionAPI, ScrubbingAPI
from estiva_server.control.groups import GroupsAPI
from estiva_server.control.issuers import IssuersAPI
from estiva_server.control.lifecycle import LifecycleAPI
from estiva_server.control.operating import Operating
from estiva_server.control.policies import PoliciesAPI
from estiva_server.control.principals import PrincipalsAPI
from estiva_server.control.quotas import QuotasAPI
from estiva_server.control.replication import ReplicationAPI
from estiva_server.control.repositories import RepositoriesAPI
from estiva_server.control.secrets import SecretsAPI
from estiva_server.control.upstreams import UpstreamsAPI
from estiva_server.control.webhooks import WebhooksAPI
from estiva_server.security import Security
from orchestrator.secrets import Secrets
from registry import Registry
from registry.events.webhooks import Webhooks
from storage.metadata.database import Database


def control_routes(security: Security, database: Database, registry: Registry, webhooks: Webhooks) -> list[Route]:
    """The routes, on these parts."""
    operating = Operating(security.admission, security.account)
    return [
        *PrincipalsAPI(Kind.USER, operating, security.identities, security.policies).routes(),
        *PrincipalsAPI(Kind.ROBOT, operating, security.identities, security.policies).routes(),
        *GroupsAPI(operating, security.identities, security.policies).routes(),
        *PoliciesAPI(operating, security.policies).routes(),
        *IssuersAPI(operating, security.issuers).routes(),
        *RepositoriesAPI(operating, registry.repositories, registry.deleting).routes(),
        *CollectionAPI(operating, database, registry.collecting).routes(),
        *ScrubbingAPI(operating, database, registry.scrubbing, registry.quotas).routes(),
        *QuotasAPI(operating, registry.quotas).routes(),
        *LifecycleAPI(operating, registry.lifecycle_policies, registry.lifecycle_runs).routes(),
        *WebhooksAPI(operating, webhooks).routes(),
        *ReplicationAPI(operating, registry.replicating).routes(),
        *UpstreamsAPI(operating, registry.cache).routes(),
        *SecretsAPI(operating, Secrets(database, security.seal)).routes(),
        *AuditAPI(operating, database, security.keys).routes(),
    ]
