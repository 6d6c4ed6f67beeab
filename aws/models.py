"""AWS's own descriptions of its services, as botocore ships them."""

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape


@dataclass(frozen=True, slots=True)
class Service:
    """A service as its model describes it."""

    name: str
    """As signatures name it: `ecr`."""
    target_prefix: str
    operations: Mapping[str, OperationModel]
    errors: Mapping[str, Shape]
    """The shapes of its exceptions, by code."""
    shapes: Mapping[str, Shape]


def load_service(name: str) -> Service:
    """The newest model of that service that botocore has."""
    model = ServiceModel(Loader().load_service_model(name, "service-2"), name)
    operations = {operation: model.operation_model(operation) for operation in model.operation_names}
    errors = {shape.name: shape for shape in model.error_shapes}
    shapes = {shape: model.shape_for(shape) for shape in model.shape_names}
    return Service(model.signing_name, model.metadata.get("targetPrefix", ""), operations, errors, shapes)
