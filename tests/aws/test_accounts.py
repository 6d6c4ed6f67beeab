"""Accounts: each has a registry of its own, and nobody gets into another's but by its policies."""

import json

from tests.aws.clients import OWN, Front, new_name, put, refused, upload
from tests.aws.test_passes import pass_of, status
from tests.hostile.conversation import ask
from tests.security.secured import basic

ONE, OTHER = "111111111111", "222222222222"


def test_the_same_name_is_another_repository_in_each_account(front: Front) -> None:
    name = new_name("shared")
    clients = [front.account(ONE), front.account(OTHER), front.client()]
    digests = set()
    for number, ecr in enumerate(clients):
        made = ecr.create_repository(repositoryName=name)["repository"]
        assert made["registryId"] == (ONE, OTHER, OWN)[number]
        digests.add(put(ecr, name, "v1", f"of account {number}"))
    assert len(digests) == 3
    for ecr in clients:
        assert len(ecr.describe_images(repositoryName=name)["imageDetails"]) == 1
    clients[0].delete_repository(repositoryName=name, force=True)
    assert refused(clients[0].describe_images, repositoryName=name)[0] == "RepositoryNotFoundException"
    assert clients[1].describe_images(repositoryName=name)["imageDetails"]


def test_no_list_shows_what_is_another_accounts(front: Front) -> None:
    one, other = front.account("333333333333"), front.account("333333333334")
    one.create_repository(repositoryName="mine")
    assert [found["repositoryName"] for found in one.describe_repositories()["repositories"]] == ["mine"]
    assert other.describe_repositories()["repositories"] == []
    own = front.client().get_paginator("describe_repositories").paginate()
    assert all(found["registryId"] == OWN for page in own for found in page["repositories"])
    user, password = pass_of(one)
    catalog = ask(front.served.port, "GET", "/v2/_catalog", ("Authorization", basic(user, password)))
    assert json.loads(catalog.body) == {"repositories": ["mine"]}


def test_another_accounts_registry_is_closed_until_its_repositorys_policy_opens_it(front: Front) -> None:
    name = new_name("lent")
    owner, guest = front.account(ONE), front.account(OTHER)
    owner.create_repository(repositoryName=name)
    put(owner, name, "v1")
    asked = {"registryId": ONE, "repositoryName": name}
    assert refused(guest.list_images, **asked)[0] == "AccessDeniedException"
    statement = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecr:ListImages"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    owner.set_repository_policy(repositoryName=name, policyText=text)
    assert [image["imageTag"] for image in guest.list_images(**asked)["imageIds"]] == ["v1"]
    assert refused(guest.describe_images, **asked)[0] == "AccessDeniedException"
    for ecr in (guest, front.client()):
        assert refused(ecr.delete_repository, force=True, **asked)[0] == "AccessDeniedException"
        assert refused(ecr.create_repository, registryId=ONE, repositoryName=new_name())[0] == "AccessDeniedException"


def test_docker_gets_to_the_registry_of_the_account_that_signed_in(front: Front) -> None:
    name = new_name("pulled")
    ecr = front.account(ONE)
    ecr.create_repository(repositoryName=name)
    put(ecr, name, "v1")
    path = f"/v2/{name}/manifests/v1"
    for authorization in (basic(*pass_of(ecr)), front.served.token_for(basic(*pass_of(ecr)), name, actions="pull")):
        assert status(front, "GET", path, authorization) == 200
    for authorization in (basic(*pass_of(front.account(OTHER))), basic(*pass_of(front.client()))):
        assert status(front, "GET", path, authorization) == 404


def test_a_blob_of_another_account_is_not_mounted(front: Front) -> None:
    name = new_name("mounted")
    one, other = front.account(ONE), front.account(OTHER)
    for ecr in (one, other):
        ecr.create_repository(repositoryName=name)
    blob = upload(one, name, b"what only account one has")
    for source in ("", f"&from={name}"):
        path = f"/v2/{name}/blobs/uploads/?mount={blob}{source}"
        assert status(front, "POST", path, basic(*pass_of(other))) == 202


def test_who_am_i_is_answered_by_account(front: Front) -> None:
    mine = front.client(service="sts").get_caller_identity()
    assert (mine["Account"], mine["Arn"]) == (OWN, f"arn:aws:iam::{OWN}:user/admin")
    theirs = front.client(ONE, "test", service="sts").get_caller_identity()
    assert (theirs["Account"], theirs["Arn"]) == (ONE, f"arn:aws:iam::{ONE}:user/root")


def test_the_secret_of_an_account_is_asked_for(front: Front) -> None:
    assert refused(front.client(ONE, "wrong").describe_repositories)[0] == "InvalidSignatureException"
