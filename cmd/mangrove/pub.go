package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/pubsub"
)

func newPubCommand() *cobra.Command {
	var p pubsub.Pub
	cmd := &cobra.Command{
		Use:   "pub -t TOPIC {-m MESSAGE | -f FILE | -l | -s | -n}",
		Short: "Publish messages, with mosquitto_pub's flags",
		Long: `Publish messages to any MQTT broker. The flags are mosquitto_pub's where it has them.

It ends when everything is acknowledged: exit code 0 at QoS 1 and 2 means that the broker has it.

` + pubsub.ExitHelp,
		Example: `  mangrove pub -t site/7/temp -m 21.5
  mangrove pub -p 1883 -t site/7/temp -m 21.5 -q 1 -r          # acknowledged and retained
  mangrove pub -t site/7/temp -r -n                            # forget the retained one
  tail -f log | mangrove pub -t logs/host -l -q 1              # a message for each line
  mangrove pub -t camera/1 -f picture.jpg -D publish content-type image/jpeg
  mangrove pub -L mqtt://user:secret@broker.example/site/7/temp -m 21.5
  mangrove pub -L ws://127.0.0.1:8080/mqtt -t a -m hello       # over WebSocket`,
	}
	p.Bind(cmd.Flags())
	return clientCommand(cmd, func(ctx context.Context) error { return p.Run(ctx, cmd.InOrStdin(), cmd.ErrOrStderr()) })
}

// clientCommand makes cmd read its arguments as mosquitto's clients do: -h is the host, and -D takes several.
func clientCommand(cmd *cobra.Command, run func(ctx context.Context) error) *cobra.Command {
	cmd.DisableFlagParsing = true
	cmd.Flags().SortFlags = false
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := parseClientFlags(cmd.Flags(), args); err != nil {
			return cli.WithCode(cli.ExitUsage, fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
		}
		if help, err := cmd.Flags().GetBool("help"); err == nil && help {
			return cmd.Help()
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return run(ctx)
	}
	return cmd
}

func parseClientFlags(fs *pflag.FlagSet, args []string) error {
	if err := fs.Parse(pubsub.JoinProperties(args)); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q belongs to no flag", fs.Arg(0))
	}
	return nil
}
