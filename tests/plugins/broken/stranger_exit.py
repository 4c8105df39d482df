"""Raises what is not even an `Exception`."""


class Strange(BaseException):
    def __str__(self):
        raise RuntimeError("not even this can be read")


raise Strange
