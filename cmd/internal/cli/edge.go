package cli

import (
	"github.com/spf13/cobra"

	"mangrove/bridge"
	"mangrove/cmd/internal/config"
	"mangrove/edge"
	"mangrove/internal/node"
)

// NewEdge is the command `edge`, or the whole command line of mangrove-edge when use is its name.
func NewEdge(use, name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: "Run an edge: the broker beside the devices, linked to the cores",
		Long: `Run an edge: the MQTT broker that sits beside the devices.

Clients connect to it with any MQTT client. It keeps their sessions on disk, works without its
uplink, and carries messages up to a core and back; what a core must get waits on disk meanwhile.

` + ExitHelp,
		Example: `  ` + name + ` --core core-1.example:1883
  ` + name + ` --node gw-7 --data /var/lib/mangrove --listen 127.0.0.1:1883 --core 10.0.0.1:1883,10.0.0.2:1883
  ` + name + ` --listen 0.0.0.0:1883 --password-file /etc/mangrove/passwords --core core-1.example:1883
  ` + name + ` --discovery gossip --gossip 127.0.0.1:7947 --join 127.0.0.1:7946
  ` + name + ` -c /etc/mangrove/edge.toml --log-format json`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), config.Edge)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.Config()
		if err != nil {
			return WithCode(ExitUsage, err)
		}
		shared, err := Shared(cmd, c)
		if err != nil {
			return err
		}
		n, err := edge.New(edgeConfig(c, shared))
		if err != nil {
			return WithCode(ExitUsage, c.Place(err))
		}
		return Run(n, c, shared.Log)
	}
	return cmd
}

// CheckEdge tells what is wrong with an edge's configuration as a whole.
func CheckEdge(c *config.Config) error {
	shared, err := c.Settings()
	if err != nil {
		return err
	}
	return c.Place(edgeConfig(c, shared).Check())
}

func edgeConfig(c *config.Config, shared node.Config) edge.Config {
	return edge.Config{
		Node: shared, Cores: c.Link.Cores, Discovery: edge.Discovery(c.Link.Discovery), Early: c.Early(),
		Protocol: bridge.Protocol(c.Link.Protocol), Up: c.Link.Up,
	}
}
