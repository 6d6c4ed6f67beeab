"""Estiva's own benchmark: named scenarios, interleaved rounds, side by side with other registries.

``python -m benchmarks list`` names the scenarios, ``python -m benchmarks`` runs them.
"""
