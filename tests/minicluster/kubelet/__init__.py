"""The kubelet: runs the pods of the one node as local processes."""
