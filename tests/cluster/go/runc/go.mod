module modelyard.io/tests/cluster/runc

go 1.24.0
