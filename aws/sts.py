"""STS, as far as the aws CLI and Terraform want it: who am I? Its protocol is a form in and XML out."""

from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from auth.principals import Principal
from aws.errors import AwsError

SERVICE = "sts"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CALLER_IDENTITY = "GetCallerIdentity"


def action_of(body: bytes) -> str:
    """The operation that the form names. AwsError."""
    try:
        form = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise AwsError("MalformedQueryString", "the form is malformed") from None
    actions = [value for name, value in form if name == "Action"]
    if len(actions) != 1:
        raise AwsError("MissingAction", "the form names no Action")
    return actions[0]


def caller_identity(principal: Principal, account: str, request_id: str) -> bytes:
    """The answer to GetCallerIdentity; `account` is the server's own."""
    who = principal.in_policies(account)
    identifier = f"{principal.kind.value}-{principal.id}" if principal.id is not None else principal.name
    return (
        f'<GetCallerIdentityResponse xmlns="{NAMESPACE}"><GetCallerIdentityResult>'
        f"<Arn>{escape(who.arn)}</Arn><UserId>{escape(identifier)}</UserId><Account>{who.account}</Account>"
        f"</GetCallerIdentityResult><ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    ).encode()


def refusal(error: AwsError, request_id: str) -> bytes:
    """The error as STS writes it."""
    side = "Sender" if error.status < 500 else "Receiver"
    code = error.code.removesuffix("Exception")
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{side}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    ).encode()
