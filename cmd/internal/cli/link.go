package cli

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mangrove/internal/dashboard"
)

// NewLink is the command `link` of the binary with that name.
func NewLink(name string) *cobra.Command {
	cmd := Group(&cobra.Command{
		Use:   "link",
		Short: "See a running node's links to others, or drop what waits for one",
		Example: fmt.Sprintf(`  %[1]s link list /var/lib/mangrove
  %[1]s link purge /var/lib/mangrove uplink
  %[1]s link forget /var/lib/mangrove edge-7`, name),
	})
	cmd.AddCommand(newLinkList(name), newLinkPurge(name), newLinkForget(name))
	return cmd
}

func newLinkList(name string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [DIR]",
		Short: "List links: state, what waits, how old it is, what is wrong",
		Long: `List the links of a running node: its state and since when, how many messages wait for the other end, how old the
oldest is, what the line carries (as far as it was ever full), how many attempts to reach it failed, and the last error.

` + operateHelp,
		Example: fmt.Sprintf("  %[1]s link list\n  %[1]s link list /var/lib/mangrove --json", name),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, dirOf(args), func(n operated) error {
				var s dashboard.Status
				if err := n.Get(n.ctx, "status", nil, &s); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s.Links)
				}
				printLinks(cmd.OutOrStdout(), s.Links)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printLinks prints a table, and under it what is wrong.
func printLinks(out io.Writer, links []dashboard.Link) {
	if len(links) == 0 {
		fmt.Fprintln(out, "no links")
		return
	}
	rows := [][]string{{"NODE", "KIND", "STATE", "SINCE", "WAITING", "SIZE", "OLDEST", "LINE", "TRIES"}}
	for _, l := range links {
		rows = append(rows, []string{linkName(l), l.Scope, l.State, spanOf(time.Since(l.Since).Seconds()), strconv.Itoa(l.BacklogMessages),
			sizeOf(l.BacklogBytes), spanOf(l.Oldest), rateOf(l.LineRate), strconv.Itoa(l.Attempts)})
	}
	printTable(out, "lllrrrrrr", rows)
	for _, l := range links {
		for _, wrong := range linkFaults(l) {
			fold(out, linkName(l)+": ", wrong)
		}
	}
}

// rateOf is what a line carries, for people; "-" = not known.
func rateOf(bytes int) string {
	if bytes == 0 {
		return "-"
	}
	return sizeOf(int64(bytes)) + "/s"
}

// linkName is what a link is called: an uplink has no name of its own before it has found a core.
func linkName(l dashboard.Link) string {
	if l.Name == "" {
		return l.Scope
	}
	return printable(l.Name)
}

// linkFaults is what is wrong with a link, in words.
func linkFaults(l dashboard.Link) (faults []string) {
	if l.State != "up" && l.LastError != "" {
		faults = append(faults, "last error: "+l.LastError)
	}
	if strings.HasPrefix(l.Address, "via ") && l.State == "up" {
		faults = append(faults, "there is no direct line: it goes "+printable(l.Address))
	}
	if !l.FullSince.IsZero() {
		faults = append(faults, fmt.Sprintf("its queue is full since %s: %d dropped, %d refused", l.FullSince.Local().Format("2006-01-02 15:04:05"), l.Dropped, l.Refused))
	}
	if l.Twin != "" {
		faults = append(faults, "another node runs under this name: "+l.Twin)
	}
	return faults
}

func newLinkPurge(name string) *cobra.Command {
	return linkCommand(&cobra.Command{
		Use:   "purge [DIR] NODE",
		Short: "Drop what waits for a node",
		Long: `Drop the messages that wait for another node, counted as link-removed-by-operator. NODE is as link list has it; an
edge's own is "uplink". The link may be up: what is on its way, and what comes meanwhile, is not touched. What the node
wants stays known.

What is lost is told before, and asked for.

` + operateHelp,
		Example: fmt.Sprintf("  %[1]s link purge /var/lib/mangrove uplink\n  %[1]s link purge /var/lib/mangrove edge-7 --yes", name),
	}, "link/purge", "purged of")
}

func newLinkForget(name string) *cobra.Command {
	return linkCommand(&cobra.Command{
		Use:   "forget [DIR] NODE",
		Short: "Forget a node that will not come back, with what waits for it",
		Long: `Forget a node that is away: what it wanted, and the messages that wait for it, counted as link-removed-by-operator. When
it comes back all the same it is met anew, and gets what is published from then on. A node that is linked is not
forgotten, nor is an uplink, or a core that is a member of the pool.

What is lost is told before, and asked for.

` + operateHelp,
		Example: fmt.Sprintf("  %[1]s link forget /var/lib/mangrove edge-7", name),
	}, "link/forget", "forgotten, with")
}

// linkCommand makes cmd ask, and have it done.
func linkCommand(cmd *cobra.Command, what, done string) *cobra.Command {
	var yes bool
	cmd.Args = cobra.RangeArgs(1, 2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, link := dirAnd(args)
		return operate(cmd, dir, func(n operated) error { return n.loseLink(cmd, link, what, done, yes) })
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (n operated) loseLink(cmd *cobra.Command, link, what, done string, yes bool) error {
	var s dashboard.Status
	if err := n.Get(n.ctx, "status", nil, &s); err != nil {
		return err
	}
	for _, l := range s.Links { // one that is not there is the node's to refuse
		if l.Name == link || l.Scope == "uplink" && link == "uplink" {
			if err := confirm(cmd, yes, fmt.Sprintf("%s is %s; %s for it would be lost", linkName(l), l.State, messagesOf(l.BacklogMessages, l.BacklogBytes))); err != nil {
				return err
			}
		}
	}
	var lost dashboard.Lost
	if err := n.Do(n.ctx, what, url.Values{"name": {link}}, &lost); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s\n", printable(link), done, lostOf(lost))
	return err
}
