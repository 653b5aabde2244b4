"""A small Kubernetes in one process: for this project's tests and `make demo`, never for production.

The API side is `api.Api` and what it is made of; the machines side (kubelet, controllers, proxy) is `cluster.MiniCluster`.
"""
