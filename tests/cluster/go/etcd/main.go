// Command etcd is etcd's server; its own main lies in a module that cannot be installed by name, for its replaced dependencies.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
