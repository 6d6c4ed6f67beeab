from estiva import Client, PackConfig

with Client() as client:
    client.pack("site", "registry.example.com/team/site:1", PackConfig(command=["/serve"], exposed_ports=["80"]))
    client.pull("registry.example.com/team/site:1", "layout")
    client.push("layout", "registry.example.com/team/site:2")
    client.pull_archive("registry.example.com/team/site:2", "image.tar", platform="linux/amd64")
    client.copy("registry.example.com/team/site:2", "registry.example.com/live/site:2")

    image = client.image("registry.example.com/live/site:2")
    print(image.digest, image.size, image.config.command)
    for step in image.history:
        print(step.created_by, step.layer.size if step.layer else 0)
