"""A hook without the marker, which pluggy would pass over in silence."""


def losses():
    return []
