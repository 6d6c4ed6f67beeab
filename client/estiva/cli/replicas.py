"""`estiva replicas`: where the registries are that images are replicated to."""

from typing import Annotated

import typer

from estiva.cli.server import member, server_of, show

Region = Annotated[str, typer.Argument(help="The region that replication rules name.")]
Registry = Annotated[str, typer.Argument(help="The registry's id that replication rules name: 12 digits.")]


def replicas() -> typer.Typer:
    """The verbs of `estiva replicas`."""
    app = typer.Typer(help="Where the registries are that images are replicated to.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List them."""
        found = member(server_of(context).call("GET", "replication-endpoints"), "endpoints")
        show(context, found, ("region", "registry", "url", "credential"))

    @app.command()
    def put(
        context: typer.Context,
        region: Region,
        registry: Registry,
        url: Annotated[str, typer.Argument(help="The registry's scheme and host.")],
        credential: Annotated[str | None, typer.Option(help="The credential to sign in with.")] = None,
    ) -> None:
        """Say where one is, or where it is now."""
        body = {"url": url, "credential": credential}
        server_of(context).call("PUT", "replication-endpoints", region, registry, body=body)

    @app.command("rm")
    def remove(context: typer.Context, region: Region, registry: Registry) -> None:
        """Forget where one is."""
        server_of(context).call("DELETE", "replication-endpoints", region, registry)

    return app
