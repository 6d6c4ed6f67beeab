"""The right of one task to pull one repository for ten minutes: a sealed password for the username `task`.

It is in no table and on no host: whoever holds it can read one repository with it, for as long as it is good.
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass

from auth.principals import Kind, Principal
from auth.sealing import Seal, SealBrokenError
from estiva.reference import RepositoryName

USERNAME = "task"
TRUST = "task"
LIFE = 600.0
PURPOSE = "pull of a task"
LONGEST = 2048
RESOURCE = "resource"
ACTIONS = frozenset({"ecr:batchgetimage", "ecr:getdownloadurlforlayer", "ecr:batchchecklayeravailability"})
"""What pulling takes, in lower case."""


@dataclass(frozen=True, slots=True)
class PullTokens:
    """Issues such passwords and reads them."""

    seal: Seal

    def issue(self, task_id: str, name: RepositoryName) -> str:
        """A password with which the task may pull the repository from now on, for LIFE seconds."""
        document = json.dumps([task_id, name.key, time.time() + LIFE])
        return base64.urlsafe_b64encode(self.seal.seal(PURPOSE, document.encode())).decode()

    async def principal(self, password: str) -> Principal | None:
        """See `auth.credentials.PassTokens.principal`: the task whose password it is."""
        try:
            if len(password) > LONGEST:
                return None
            sealed = base64.b64decode(password.encode(), altchars=b"-_", validate=True)
            task_id, key, until = json.loads(self.seal.unseal(PURPOSE, sealed))
        except (SealBrokenError, binascii.Error, ValueError):
            return None
        if time.time() >= until:
            return None
        return Principal(Kind.JOB, f"task/{task_id}", trust=TRUST, claims={RESOURCE: key})


def may_pull(principal: Principal, action: str, resource: str, repository: str) -> bool:
    """Whether the task may do that: pull, from the repository that its password was for, whose ARN that is."""
    return resource == repository and action.lower() in ACTIONS and principal.trust == TRUST
