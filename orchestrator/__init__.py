"""A thin orchestrator with ECS semantics: it plans, and container engines run what was planned.

Pure: `definition` (what a task definition says), `state` (records and their legal moves), `placing`, `planning`.
With the world: `engines` (drivers of Docker and podman), `loop` (observe, plan, act), `pins` (who uses which image).
The AWS names of all of it are in `aws/ecs_*.py`; facts are in `storage/metadata`.
"""
