module modelyard.io/tests/cluster/pause

go 1.24.0
