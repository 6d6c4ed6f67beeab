"""The quick start of somebody who has no docker command: a folder, packed, pushed and run, with `estiva` alone."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from tests.clients.people import ADMIN
from tests.fixtures.serving_tasks import TaskServer, get
from tests.serving import ESTIVA
from tests.tools import find_tool, run

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_from_a_folder_to_a_running_task(server: TaskServer, tmp_path: Path) -> None:
    site, image = tmp_path / "site", f"{server.host}/quick:1"
    for folder in ("bin", "etc"):
        (site / folder).mkdir(parents=True)
    shutil.copy(find_tool("busybox"), site / "bin" / "busybox")
    (site / "etc" / "more").write_text("from a folder")
    somebody = {"PATH": str(tmp_path / "nothing"), "DOCKER_CONFIG": str(tmp_path / "docker"), "ESTIVA_PASSWORD": ""}

    token = server.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    name, _, secret = base64.b64decode(token).partition(b":")
    login: list[str | Path] = [ESTIVA, "login", server.host, "--username", name.decode(), "--password-stdin"]
    assert "signed in" in run(login, environment=somebody, given=secret)
    command = ["--cmd", "/bin/busybox httpd -f -p 80 -h /etc", "--expose", "80"]
    packed = run([ESTIVA, "pack", site, "-t", image, *command, "--quiet"], environment=somebody)
    assert packed.startswith("sha256:")

    operator = somebody | {"ESTIVA_SERVER": f"http://{server.host}"}
    operator |= {"ESTIVA_USERNAME": ADMIN.name, "ESTIVA_PASSWORD": ADMIN.password}
    container = {"name": "web", "image": image, "memory": 32, "stopTimeout": 2, "portMappings": [{"containerPort": 80}]}
    document = json.dumps({"family": "quick", "containerDefinitions": [container]}).encode()
    run([ESTIVA, "taskdefs", "register", "-"], environment=operator, given=document)
    task = run([ESTIVA, "tasks", "run", "quick"], environment=operator).strip()
    running = server.until(lambda: [one for one in server.tasks() if one["lastStatus"] == "RUNNING"])
    port = running[0]["containers"][0]["networkBindings"][0]["hostPort"]
    assert server.until(lambda: get(port)) == "from a folder"
    assert task in run([ESTIVA, "ps"], environment=operator)
    said = run([ESTIVA, "exec", task, "--", "/bin/busybox", "cat", "/etc/more"], environment=operator)
    assert said == "from a folder"
    run([ESTIVA, "tasks", "stop", task], environment=operator)
    server.until(lambda: not server.tasks())
