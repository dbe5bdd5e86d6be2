package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/config"
	"mangrove/core"
	"mangrove/internal/node"
)

func newCoreCommand() *cobra.Command {
	return coreRole().Command(&cobra.Command{
		Use:   "core",
		Short: "Run a core: routes between edges and other cores",
		Long: `Run a core: the node that edges link to.

Cores find each other by gossip and form a full mesh. A message published at any core or edge reaches
the subscribers at every other, once. Clients may connect to a core too.

` + cli.ExitHelp,
		Example: `  mangrove core
  mangrove core --node core-1 --data /var/lib/mangrove --listen 127.0.0.1:1884 --gossip 127.0.0.1:7946
  mangrove core --node core-2 --data d2 --listen 127.0.0.1:1885 --gossip 127.0.0.1:7947 --join 127.0.0.1:7946 --http 127.0.0.1:9885
  mangrove core -c /etc/mangrove/core.toml --log-format json`,
	})
}

// coreRole is the role of a core.
func coreRole() cli.Role[core.Config] {
	return cli.Role[core.Config]{
		Name: config.Core,
		Config: func(c *config.Config, shared node.Config) core.Config {
			return core.Config{Node: shared, Advertise: c.Link.Advertise, Weight: c.Core.Weight, SpreadEvery: cmp.Or(c.Core.Spread, -1)}
		},
		New: func(cfg core.Config) (cli.Node, error) { return core.New(cfg) },
	}
}
