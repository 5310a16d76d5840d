__all__: list[str] = []  # what it offers is the command `visemix`
