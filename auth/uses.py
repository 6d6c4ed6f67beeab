"""Who uses a policy: what has it attached, the rules of trusted issuers, the settings."""

from collections.abc import Collection
from dataclasses import dataclass

from auth.trust import Trust
from estiva.errors import RegistryError
from storage.metadata import issuers, policies
from storage.metadata.database import Work

HTPASSWD_SETTING = "setting/htpasswd_policies"


@dataclass(frozen=True, slots=True)
class PolicyUses:
    """Knows every place that names policies; `by_setting` are those that the settings name."""

    by_setting: Collection[str] = ()

    def of(self, name: str) -> Work[list[str]]:
        """Everybody who uses the policy, as the audit trail calls them: `user/alice`, `group/x`, `issuer/ci`."""
        found = yield from policies.holders(name)
        found += [f"issuer/{issuer}" for issuer, document in (yield from issuers.page()) if _names(document, name)]
        return found + ([HTPASSWD_SETTING] if name in self.by_setting else [])


def _names(document: str, policy: str) -> bool:
    try:
        trust = Trust.parse("", document)
    except RegistryError:
        return False  # what can't be read is not trusted, so nothing comes of what it names
    return any(policy in rule.policies for rule in trust.rules)
