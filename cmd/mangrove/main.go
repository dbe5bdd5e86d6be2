// Command mangrove is the whole system in one file: nodes, a simulated fleet, and small clients.
package main

import (
	"os"

	"mangrove/cmd/internal/cli"
)

func main() {
	os.Exit(cli.Execute(newRoot(), os.Args[1:], os.Stderr))
}
