package cli

import (
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"mangrove/internal/dashboard"
)

// NewSession is the command `session` of the binary with that name.
func NewSession(name string) *cobra.Command {
	cmd := Group(&cobra.Command{
		Use:   "session",
		Short: "See what clients are owed by a running node, or remove what one is",
		Example: fmt.Sprintf(`  %[1]s session list /var/lib/mangrove
  %[1]s session show /var/lib/mangrove sensor-7
  %[1]s session remove /var/lib/mangrove sensor-7`, name),
	})
	cmd.AddCommand(newSessionList(name), newSessionShow(name), newSessionRemove(name))
	return cmd
}

func newSessionList(name string) *cobra.Command {
	var order, prefix string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [DIR]",
		Short: "List sessions, those that are owed most first",
		Long: `List the sessions of a running node: who is connected or for how long away, how many messages wait, how old the
oldest is, and how many were dropped because the queue was at its bound. The first --limit of them; the last line says how
many there are.

` + operateHelp,
		Example: fmt.Sprintf(`  %[1]s session list
  %[1]s session list /var/lib/mangrove --by age
  %[1]s session list /var/lib/mangrove --by name --prefix sensor- --limit 1000 --json`, name),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, dirOf(args), func(n operated) error {
				var list dashboard.Sessions
				params := url.Values{"order": {order}, "prefix": {prefix}, "limit": {strconv.Itoa(limit)}}
				if err := n.Get(n.ctx, "sessions", params, &list); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				printSessions(cmd.OutOrStdout(), list.Sessions)
				if shown := len(list.Sessions); shown < list.Matching {
					fmt.Fprintf(cmd.OutOrStdout(), "the first %d of %d by %s; --limit shows more\n", shown, list.Matching, order)
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&order, "by", "backlog", "order: backlog, age (of the oldest message) or name")
	f.StringVar(&prefix, "prefix", "", "only client ids that begin with it")
	f.IntVar(&limit, "limit", 20, "how many to list, at most 10000")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printSessions prints a table.
func printSessions(out io.Writer, list []dashboard.Session) {
	if len(list) == 0 {
		fmt.Fprintln(out, "no sessions")
		return
	}
	rows := [][]string{{"CLIENT", "STATE", "SUBS", "WAITING", "SIZE", "OLDEST", "DROPPED"}}
	for _, s := range list {
		rows = append(rows, []string{printable(s.Client), stateOf(s), strconv.Itoa(s.Subscriptions), strconv.Itoa(s.Queued),
			sizeOf(s.QueuedBytes), spanOf(s.Oldest), strconv.FormatUint(s.Dropped, 10)})
	}
	printTable(out, "llrrrrr", rows)
}

func stateOf(s dashboard.Session) string {
	if s.Connected {
		return "connected"
	}
	return "away " + spanOf(s.AwaySeconds)
}

func newSessionShow(name string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show [DIR] CLIENT",
		Short:   "Show one session",
		Long:    "Show the session of one client of a running node.\n\n" + operateHelp,
		Example: fmt.Sprintf("  %[1]s session show /var/lib/mangrove sensor-7", name),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, client := dirAnd(args)
			return operate(cmd, dir, func(n operated) error {
				s, err := n.session(client)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				printSession(cmd.OutOrStdout(), s)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (n operated) session(client string) (s dashboard.Session, err error) {
	return s, n.Get(n.ctx, "session", url.Values{"id": {client}}, &s)
}

func printSession(out io.Writer, s dashboard.Session) {
	line := func(title, format string, args ...any) {
		fmt.Fprintf(out, "%-15s%s\n", title, fmt.Sprintf(format, args...))
	}
	line("client", "%s", printable(s.Client))
	line("state", "%s", stateOf(s))
	switch {
	case s.ExpirySeconds < 0:
		line("kept", "for ever")
	case s.ExpirySeconds == 0:
		line("kept", "while it is connected")
	default:
		line("kept", "%s after it has gone", spanOf(s.ExpirySeconds))
	}
	line("subscriptions", "%d", s.Subscriptions)
	line("waiting", "%s, %d of them on their way", messagesOf(s.Queued, s.QueuedBytes), s.InFlight)
	line("oldest", "%s", spanOf(s.Oldest))
	line("lost", "%d dropped, %d refused at the bound of the queue", s.Dropped, s.Refused)
	if !s.FullSince.IsZero() {
		line("full since", "%s", s.FullSince.Local().Format("2006-01-02 15:04:05"))
	}
}

func newSessionRemove(name string) *cobra.Command {
	var kick, yes bool
	cmd := &cobra.Command{
		Use:   "remove [DIR] CLIENT",
		Short: "End a session, with what it is owed",
		Long: `End the session of one client: its will is published, its subscriptions go, and the messages that wait for it are
dropped, counted as removed-by-operator (of shared subscriptions they go to other members). When the client connects
again it begins anew. A client that is connected is left alone, unless --kick disconnects it.

What is lost is told before, and asked for.

` + operateHelp,
		Example: fmt.Sprintf(`  %[1]s session remove /var/lib/mangrove sensor-7
  %[1]s session remove /var/lib/mangrove sensor-7 --kick --yes`, name),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, client := dirAnd(args)
			return operate(cmd, dir, func(n operated) error { return n.removeSession(cmd, client, kick, yes) })
		},
	}
	cmd.Flags().BoolVar(&kick, "kick", false, "disconnect the client first, if it is connected")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (n operated) removeSession(cmd *cobra.Command, client string, kick, yes bool) error {
	s, err := n.session(client)
	if err != nil {
		return err
	}
	if s.Connected && !kick {
		return fmt.Errorf("%s is connected: with --kick it is disconnected first", printable(client))
	}
	what := fmt.Sprintf("%s is %s; %s for it would be lost", printable(client), stateOf(s), messagesOf(s.Queued, s.QueuedBytes))
	if err := confirm(cmd, yes, what); err != nil {
		return err
	}
	var lost dashboard.Lost
	if err := n.Do(n.ctx, "session/remove", url.Values{"id": {client}, "kick": {strconv.FormatBool(kick)}}, &lost); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: session removed, with %s\n", printable(client), lostOf(lost))
	return err
}
