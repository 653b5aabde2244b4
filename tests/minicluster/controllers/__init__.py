"""What kube-controller-manager and kube-scheduler do, as far as this project needs it."""
