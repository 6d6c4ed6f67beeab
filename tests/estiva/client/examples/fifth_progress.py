from estiva import Client, Credential, Descriptor, Progress
from estiva.progress import Outcome


class Printed(Progress):
    def ended(self, blob: Descriptor, outcome: Outcome) -> None:
        print(blob.digest, outcome)


credentials = {"registry.example.com": Credential("robot", "its secret")}
with Client(credentials=credentials.get, parallel=8, uploads="uploads") as client:
    client.push("layout", "registry.example.com/team/site:3", progress=Printed())
