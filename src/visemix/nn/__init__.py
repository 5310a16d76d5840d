"""Blocks that parts are built of. Nothing here is promised: a name may change with any version."""

__all__: list[str] = []
