"""Who a request comes from, and whether it may go on."""

from auth.access import ANONYMOUS, Access, Action, Principal, permit
from registry.api.call import Call


def authenticate(call: Call) -> Principal:
    """The principal behind the request; for now everybody is nobody in particular."""
    return ANONYMOUS


def authorize(access: Access, call: Call, action: Action) -> None:
    """Return where the request's principal may do `action` on its repository; Denied otherwise."""
    call.principal = authenticate(call)
    permit(access, call.principal, action, call.name)
