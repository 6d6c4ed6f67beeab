from estiva import Client

with Client() as client:
    image = "registry.example.com/team/site:1"
    sbom = client.attach(image, ["sbom.json"], artifact_type="application/spdx+json")
    for referrer in client.referrers(image, artifact_type="application/spdx+json"):
        print(referrer.digest, referrer.artifact_type)
    client.pull_files(f"registry.example.com/team/site@{sbom.digest}", "attached")

    client.push_files("registry.example.com/team/data:1", ["sbom.json"], annotations={"made-by": "us"})
    print(client.pull_files("registry.example.com/team/data:1", "data"))
