package main

import (
	"context"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/pubsub"
)

func newSubCommand() *cobra.Command {
	var s pubsub.Sub
	cmd := &cobra.Command{
		Use:   "sub -t FILTER [-t FILTER …]",
		Short: "Subscribe and print messages, with mosquitto_sub's flags",
		Long: `Subscribe at any MQTT broker and print what comes, each message at once. The flags are mosquitto_sub's
where it has them.

It ends after -C messages, after -W seconds, or with Ctrl-C. A connection that is lost is made again. With -c
the session stays at the broker, and what comes meanwhile waits there for the next time.

Formats of -F:
  %t topic     %p payload   %l its length   %x %X in hex   %b in base64
  %q QoS       %r retained  %d duplicate    %m packet id
  %j the message as JSON, the payload as text; %J with the payload as JSON
  %C content type   %R response topic   %D correlation data   %E expiry   %P user properties   %S subscription ids
  %I ISO time       %U Unix time        @Y-@m-@d @H:@M:@S.@N and the like, as in date
  %20t right and %-20t left aligned, %.8p at most 8 characters; %% @@ \n \t \\

` + pubsub.ExitHelp,
		Example: `  mangrove sub -t 'site/#' -v
  mangrove sub -t 'site/+/temp' -C 1 -W 5                      # one message, or exit code 27 after 5 s
  mangrove sub -t 'site/#' -q 1 -c -i dashboard                # a session that waits while this is away
  mangrove sub -t 'site/#' -F '@H:@M:@S %q %-20t %p'
  mangrove sub -t 'site/#' -F %j | jq .payload
  mangrove sub -L mqtts://user:secret@broker.example/site/# -v`,
	}
	s.Bind(cmd.Flags())
	return clientCommand(cmd, func(ctx context.Context) error { return s.Run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr()) })
}
