"""The AWS front: `POST /` speaks ECR's JSON protocol, so that boto3 and the aws CLI see what docker pushes.

`front.py` takes a request in (target, signature, body), `operations.py` says on one screen which operation is done by
what and which right it asks for, `requests.py` and `answers.py` hold both sides to AWS's own service models, and
`errors.py` alone turns an error into AWS's words. What an operation does is in `registry` and `auth`, where every
other door finds it too.

To add an operation:

1. Write `async def name_of_operation(call: Call) -> Answer` in the file of its noun (`ecr_<noun>.py`). `call.input`
   has the request's members, checked against the model: required ones are there, times are seconds, blobs are bytes.
   Answer with a dictionary of the output's members; None leaves one out, times are seconds, a member that the model
   lacks is an error. `call.name()` is the repository, `call.account` the account whose registry is asked (its stored
   facts are keyed by `call.account_key`, which is empty for the server's own), `call.actor` who to name in the audit.
2. Refuse with `AwsError("ExactCode", "message")`, or let a `RegistryError` through.
3. Enter it in the table of `operations.py`, with the resource whose policies decide (see `resources.py`): the action
   is `ecr:<Operation>`. Nothing runs before that was allowed. Further rights: `await call.require(...)`.
4. Pages: `call.page()` says how many entries after which position, `call.next_token(position)` seals where to go on.
5. What it needs of the server goes into `parts.py`, and is filled in by `estiva_server/aws_front.py`.
6. Describe it in `docs/ecr.md`; a test holds that page to the table.
"""
