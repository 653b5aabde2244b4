"""Data: a URI becomes a local folder (`fetch`), a folder becomes samples (`layouts`), samples become pixels (`pictures`)."""
