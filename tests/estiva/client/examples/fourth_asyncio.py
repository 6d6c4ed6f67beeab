import asyncio

from estiva import AsyncClient


async def main() -> None:
    async with AsyncClient() as client:
        first, second = await asyncio.gather(
            client.image("registry.example.com/team/site:1"),
            client.image("registry.example.com/live/site:2"),
        )
        print(first.digest == second.digest)


asyncio.run(main())
