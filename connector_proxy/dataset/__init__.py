"""Data file and metadata file in, a dataset out: whole, or not at all (docs/datasets.md)."""

from connector_proxy.dataset.columns import MAX_METADATA, Column, Kind, read_metadata
from connector_proxy.dataset.make import Made, make
from connector_proxy.dataset.outputs import Wanted
from connector_proxy.dataset.tables import Origin

__all__ = ["MAX_METADATA", "Column", "Kind", "Made", "Origin", "Wanted", "make", "read_metadata"]
