package main

import (
	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/config"
)

func newRoot() *cobra.Command {
	root := cli.Group(&cobra.Command{
		Use:   "mangrove",
		Short: "MQTT for fleets of devices: edge brokers, cores, and links that keep what they carry",
		Long: `Mangrove is MQTT for fleets of devices. Edges are brokers beside the devices; they keep sessions on
disk and carry messages up to cores, which find each other by gossip and route across the fleet.`,
		Example: `  mangrove demo                                # a whole fleet on this machine, with faults, and a report

  mangrove core                                # by hand: a core,
  mangrove edge --core 127.0.0.1:1884          # an edge linked to it,
  mangrove sub -p 1884 -t 'site/#' -v          # somebody at the core who listens,
  mangrove pub -p 1883 -t site/7/temp -m 21.5  # and somebody at the edge who speaks`,
	})
	root.AddCommand(
		newDemoCommand(),
		newCoreCommand(),
		cli.NewEdge("edge", "mangrove edge"),
		newPubCommand(),
		newSubCommand(),
		newSimCommand(),
		newBenchCommand(),
		newPasswdCommand(),
		cli.NewStatus("mangrove"),
		cli.NewSession("mangrove"),
		cli.NewLink("mangrove"),
		cli.NewData("mangrove"),
		cli.NewConfig("mangrove", cli.Checks{config.Edge: cli.Edge().Check, config.Core: coreRole().Check}),
		cli.NewVersion("mangrove"),
	)
	return root
}
