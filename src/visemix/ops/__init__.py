"""Pure functions on tensors and files. Nothing here is promised: a name may change with any version."""

__all__: list[str] = []
