from visemix.ops.extras import NotInstalled, folder_of

__all__ = ["NotInstalled", "folder_of"]
