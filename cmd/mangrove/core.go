package main

import (
	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/config"
	"mangrove/core"
	"mangrove/internal/node"
)

func newCoreCommand() *cobra.Command {
	cmd := &cobra.Command{
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
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), config.Core)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.Config()
		if err != nil {
			return cli.WithCode(cli.ExitUsage, err)
		}
		shared, err := cli.Shared(cmd, c)
		if err != nil {
			return err
		}
		n, err := core.New(coreConfig(c, shared))
		if err != nil {
			return cli.WithCode(cli.ExitUsage, c.Place(err))
		}
		return cli.Run(n, c, shared.Log)
	}
	return cmd
}

// checkCore tells what is wrong with a core's configuration as a whole.
func checkCore(c *config.Config) error {
	shared, err := c.Settings()
	if err != nil {
		return err
	}
	return c.Place(coreConfig(c, shared).Check())
}

func coreConfig(c *config.Config, shared node.Config) core.Config {
	return core.Config{Node: shared, Advertise: c.Link.Advertise}
}
