"""The condition keys that policies may name, and which of them may stand in a policy variable.

A key that is not known is refused rather than treated as absent: `Deny` on a misspelt key would never deny. Names are
compared without regard to case, as in IAM, so everything here is in lower case.
"""

# What a request to this server can carry. Those of the principal follow from who asks.
PRINCIPAL_KEYS = frozenset(
    {"aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:userid", "aws:username"}
)
REQUEST_KEYS = PRINCIPAL_KEYS | {
    "aws:currenttime",
    "aws:epochtime",
    "aws:referer",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceip",
    "aws:tagkeys",
    "aws:useragent",
    # Estiva's own: the tag that is pushed, pulled or deleted.
    "ecr:imagetag",
    # The cluster that a request is about, as its ARN.
    "ecs:cluster",
}
# One key for each tag or claim: these end where its name begins.
PRINCIPAL_FAMILIES = ("aws:principaltag/", "oidc:")
KEY_FAMILIES = (*PRINCIPAL_FAMILIES, "aws:requesttag/", "aws:resourcetag/", "ecr:resourcetag/")
# Keys of AWS that are always absent here (networks, organizations and services that this server has none of). Policies
# brought along may name them; absence then decides as it does in AWS.
ABSENT_KEYS = frozenset(
    {
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:multifactorauthage",
        "aws:multifactorauthpresent",
        "aws:principalisawsservice",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principalservicename",
        "aws:principalservicenameslist",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:tokenissuetime",
        "aws:viaawsservice",
        "aws:vpcsourceip",
    }
)
# What `${...}` may stand for: facts about who asks, which the one who asks has not chosen.
VARIABLES = frozenset({"aws:principalaccount", "aws:userid", "aws:username"})


def is_condition_key(key: str) -> bool:
    """Whether a Condition may name this key, given in lower case."""
    return key in REQUEST_KEYS or key in ABSENT_KEYS or _in_family(key, KEY_FAMILIES)


def is_principal_key(key: str) -> bool:
    """Whether this key, given in lower case, is a fact about who asks rather than about the request."""
    return key in PRINCIPAL_KEYS or _in_family(key, PRINCIPAL_FAMILIES)


def is_variable(key: str) -> bool:
    """Whether `${key}` may stand in a policy; the key is given in lower case."""
    return key in VARIABLES or _in_family(key, PRINCIPAL_FAMILIES)


def _in_family(key: str, families: tuple[str, ...]) -> bool:
    return key.startswith(families) and key not in families
