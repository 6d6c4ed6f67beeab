from estiva import Client
from estiva.errors import ManifestUnknown, NameUnknown

with Client() as client:
    client.tag("registry.example.com/team/site:1", "stable", "latest")
    print(client.tags("registry.example.com/team/site"))
    print(client.repositories("registry.example.com"))
    client.delete("registry.example.com/team/site:stable")
    try:
        client.manifest("registry.example.com/team/site:stable")
    except (ManifestUnknown, NameUnknown) as refusal:
        print(refusal)
