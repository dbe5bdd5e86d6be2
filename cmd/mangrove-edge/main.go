// Command mangrove-edge is the gateway daemon alone: `mangrove edge` without the core, the
// simulator and the clients, for small machines.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/config"
)

func main() {
	os.Exit(cli.Execute(newRoot(), os.Args[1:], os.Stderr))
}

func newRoot() *cobra.Command {
	root := cli.NewEdge("mangrove-edge", "mangrove-edge")
	root.AddCommand(cli.NewConfig("mangrove-edge", cli.Checks{config.Edge: cli.Edge().Check}), cli.NewStatus("mangrove-edge"), cli.NewSession("mangrove-edge"), cli.NewLink("mangrove-edge"),
		cli.NewData("mangrove-edge"), cli.NewVersion("mangrove-edge"))
	return root
}
