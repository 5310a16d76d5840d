from visemix.demo.make import demo

__all__ = ["demo"]
