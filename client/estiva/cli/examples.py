"""What `--help` shows below the options: the command as it is typed, and how it ends. A test parses each of them."""

EXIT_CODES = "Exit codes: 0 done; 1 failed, and a line on standard error says why; 2 wrong usage; 130 ended by Ctrl-C."
EXIT_CODES_OF_EXEC = "Exit codes: the command's own; 1 where it could not be run; 2 wrong usage."
EXAMPLES: dict[str, tuple[str, ...]] = {
    "login": ("login registry.example.com -u alice", "login registry.example.com -u ci --password-stdin < secret"),
    "logout": ("logout registry.example.com",),
    "push": ("push layout registry.example.com/team/app:1", "push saved.tar registry.example.com/team/app:1 --quiet"),
    "pull": (
        "pull registry.example.com/team/app:1 layout",
        "pull registry.example.com/team/app:1 app.tar --platform linux/arm64",
    ),
    "cp": ("cp registry.example.com/team/app:1 registry.example.com/live/app:1",),
    "pack": ("pack site -t 127.0.0.1:5000/team/site:1 --cmd '/serve --port 80' --expose 80 --env MODE=live",),
    "tag": ("tag registry.example.com/team/app:1 stable latest",),
    "ls": ("ls registry.example.com", "ls registry.example.com/team/ --json"),
    "tags": ("tags registry.example.com/team/app",),
    "rm": ("rm registry.example.com/team/app:old registry.example.com/team/app:older",),
    "inspect": ("inspect registry.example.com/team/app:1", "inspect registry.example.com/team/app:1 --raw"),
    "diff": ("diff registry.example.com/team/app:1 registry.example.com/team/app:2",),
    "attach": ("attach registry.example.com/team/app:1 sbom.json --type application/spdx+json",),
    "discover": ("discover registry.example.com/team/app:1 --type application/spdx+json",),
    "doctor": ("doctor registry.example.com", "doctor --here --data /var/lib/estiva"),
    "scrub": ("scrub", "scrub --bad"),
    "fsck": ("fsck",),
    "audit": ("audit --target repository/team/app --since 2026-01-31", "audit --action DeleteImage --json"),
    "ps": ("ps", "ps --cluster live --wide"),
    "logs": ("logs 0123456789abcdef0123456789abcdef --tail 20",),
    "exec": (
        "exec 0123456789abcdef0123456789abcdef -- cat /etc/hostname",
        "exec -it 0123456789abcdef0123456789abcdef -- sh",
    ),
    "repos": (
        "repos create team/app --immutable",
        "repos ls",
        "repos describe team/app",
        "repos delete team/app --yes",
    ),
    "users": ("users create alice", "users attach alice AdministratorAccess", "users ls", "users disable alice"),
    "robots": ("robots create ci --repository 'team/*' --action pull --action push", "robots renew ci"),
    "keys": ("keys create alice", "keys ls ci --robot"),
    "groups": ("groups create developers", "groups add developers alice"),
    "policies": ("policies ls", "policies put readers readers.json", "policies put --repository team/app public.json"),
    "issuers": ("issuers put ci issuer.json",),
    "gc": ("gc status", "gc run --dry-run", "gc hold 12h"),
    "lifecycle": ("lifecycle put team/app policy.json", "lifecycle preview team/app"),
    "quotas": ("quotas put team/app 10G", "quotas ls"),
    "webhooks": ("webhooks create chat https://chat.example.com/hook --action PUSH", "webhooks failures chat"),
    "credentials": ("credentials put docker-hub --login alice", "credentials ls"),
    "upstreams": ("upstreams create docker-hub registry-1.docker.io", "upstreams check docker-hub"),
    "replicas": ("replicas ls",),
    "secrets": ("secrets put database-password", "secrets ls"),
    "artifact": (
        "artifact push registry.example.com/team/data:1 data.csv",
        "artifact pull registry.example.com/team/data:1 out",
    ),
    "clusters": ("clusters create", "clusters ls"),
    "taskdefs": ("taskdefs register task.json", "taskdefs ls"),
    "tasks": ("tasks run web:1 --count 2", "tasks stop 0123456789abcdef0123456789abcdef"),
    "services": ("services create web web --count 3 --wait 300", "services update web --definition web:2 --wait 300"),
}


def epilog(*path: str) -> str:
    """What stands below the options of a noun, a verb or a noun's verb: examples, one to a line, and exit codes."""
    known = EXAMPLES.get(path[0], ())
    fitting = [text for text in known if text.split()[: len(path)] == list(path)]
    codes = EXIT_CODES_OF_EXEC if path == ("exec",) else EXIT_CODES
    lines = "\n".join(["\b", *(f"$ estiva {text}" for text in fitting)])
    return f"{lines}\n\n{codes}" if fitting else codes
