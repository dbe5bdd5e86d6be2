package cli

import (
	"github.com/spf13/cobra"

	"mangrove/bridge"
	"mangrove/cmd/internal/config"
	"mangrove/edge"
	"mangrove/internal/node"
)

// Edge is the role of an edge.
func Edge() Role[edge.Config] {
	return Role[edge.Config]{
		Name: config.Edge, Config: edgeConfig,
		New: func(cfg edge.Config) (Node, error) { return edge.New(cfg) },
	}
}

// NewEdge is the command `edge`, or the whole command line of mangrove-edge when use is its name.
func NewEdge(use, name string) *cobra.Command {
	return Edge().Command(&cobra.Command{
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
	})
}

func edgeConfig(c *config.Config, shared node.Config) edge.Config {
	return edge.Config{
		Node: shared, Cores: c.Link.Cores, Discovery: edge.Discovery(c.Link.Discovery), Early: c.Early(),
		Protocol: bridge.Protocol(c.Link.Protocol), Up: c.Link.Up,
	}
}
