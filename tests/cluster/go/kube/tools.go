//go:build tools

// Names the programs that are built from this module but are not part of the binary, so that go.mod pins what they need.
package main

import (
	_ "k8s.io/kubernetes/cmd/kubeadm"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
