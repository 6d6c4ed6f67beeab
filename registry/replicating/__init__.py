"""Replication: images that are pushed here come to other registries by themselves."""
