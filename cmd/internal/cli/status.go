package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mangrove/internal/dashboard"
)

// NewStatus is the command `status` of the binary with that name.
func NewStatus(name string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [DIR|URL]",
		Short: "Show how a running node is: health, clients, queues, links",
		Long: `Show a running node on one screen: its health in words, clients and messages, the largest queues, links with what
waits and what is wrong. With a URL (http://HOST:PORT, the node's key http) it is asked over the network.

` + strings.Replace(operateHelp, "  0  done\n  1  no node runs on DIR, or it refused: the message says what to do",
			"  0  the node is ready\n  1  it is not ready, or no node answers: the message says what to do", 1),
		Example: fmt.Sprintf("  %[1]s status\n  %[1]s status /var/lib/mangrove\n  %[1]s status http://10.0.0.7:9884 --json", name),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := statusOf(cmd, dirOf(args))
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				printStatus(cmd.OutOrStdout(), s)
			}
			if err == nil && !s.Ready {
				err = WithCode(ExitFailed, fmt.Errorf("not ready: %s", s.Reason))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: what /api/v1/status answers")
	return cmd
}

// statusOf asks the node at a URL or in a data folder.
func statusOf(cmd *cobra.Command, where string) (s dashboard.Status, err error) {
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		return statusAt(cmd.Context(), where)
	}
	err = operate(cmd, where, func(n operated) error { return n.Get(n.ctx, "status", nil, &s) })
	return s, err
}

func statusAt(ctx context.Context, url string) (s dashboard.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/api/v1/status", nil)
	if err != nil {
		return s, WithCode(ExitUsage, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("%w\nthe node's key http says where it answers", err)
	}
	defer resp.Body.Close() // read to its end, or given up
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s answers %s: is it a node's?", req.URL, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("%s is no node's status: %w", req.URL, err)
	}
	return s, nil
}

// printStatus prints one screen.
func printStatus(out io.Writer, s dashboard.Status) {
	fold(out, "", fmt.Sprintf("%s (%s) %s, up %s", printable(s.Node), s.Role, s.Version, spanOf(s.Uptime)))
	for _, h := range health(s) {
		fold(out, "  ", h)
	}
	line := func(title, text string) { fold(out, fmt.Sprintf("%-10s", title), text) }
	fmt.Fprintln(out)
	line("clients", fmt.Sprintf("%d connected, %d sessions, %d subscriptions", s.Clients, s.Sessions, s.Subscriptions))
	line("messages", fmt.Sprintf("%d in, %d out, %d retained", s.MessagesIn, s.MessagesOut, s.Retained))
	line("waiting", messagesOf(s.QueuedMessages, s.QueuedBytes)+" for clients")
	line("dropped", dropsOf(s.Drops))
	if s.Edges != nil && s.Edges.Known > 0 {
		line("edges", edgesOf(*s.Edges))
	}
	if s.Spread != nil && len(s.Spread.Cores) > 0 {
		line("spread", spreadOf(*s.Spread))
	}
	if len(s.Listen) > 0 {
		line("listens", strings.Join(s.Listen, " "))
	}
	if len(s.LargestQueues) > 0 {
		fmt.Fprintln(out, "\nlargest queues")
		printSessions(out, s.LargestQueues)
	}
	fmt.Fprintln(out, "\nlinks")
	printLinks(out, s.Links)
}

// edgesNamed is how many edges that are connected nowhere the screen names.
const edgesNamed = 5

// edgesOf is how many edges of the fleet are connected, and who is not.
func edgesOf(e dashboard.Edges) string {
	text := fmt.Sprintf("%d known, %d connected", e.Known, e.Connected)
	for i, name := range e.Away[:min(len(e.Away), edgesNamed)] {
		if i == 0 {
			text += "; away: "
		} else {
			text += ", "
		}
		text += printable(name)
	}
	if more := e.Known - e.Connected - edgesNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// spreadOf is how edges are spread over the cores.
func spreadOf(s dashboard.Spread) string {
	var words []string
	for _, c := range s.Cores {
		words = append(words, fmt.Sprintf("%s %d of %d", printable(c.Name), c.Edges, c.Share))
	}
	text := strings.Join(words, ", ")
	if s.Asked > 0 {
		text += fmt.Sprintf("; %d asked to move, %d moved, %d stayed", s.Asked, s.Moved, s.Stayed)
	}
	if s.Waits != "" {
		text += "; none is asked: " + s.Waits
	}
	return text
}

func dropsOf(drops map[string]uint64) string {
	var words []string
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		if drops[reason] > 0 {
			words = append(words, fmt.Sprintf("%d %s", drops[reason], reason))
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// health is how the node is, in words: one line for each thing that is wrong.
func health(s dashboard.Status) (lines []string) {
	if !s.Ready {
		lines = append(lines, "NOT READY: "+s.Reason)
	}
	for _, l := range s.Links {
		if l.Twin != "" {
			lines = append(lines, fmt.Sprintf("TWO NODES run under one name: what is said of %s below tells which", linkName(l)))
		}
		if l.Scope == "uplink" && l.State == "down" && l.Attempts == 0 && l.BacklogMessages > 0 {
			lines = append(lines, fmt.Sprintf("NO CORE is configured or known: %d messages wait for one", l.BacklogMessages))
		}
		if (l.Scope == "uplink" || l.Scope == "peer") && l.State != "up" && l.Attempts > 0 {
			lines = append(lines, fmt.Sprintf("NO LINK to %s for %s: %d messages wait", linkName(l), spanOf(time.Since(l.Since).Seconds()), l.BacklogMessages))
		}
	}
	if s.FullQueues > 0 {
		lines = append(lines, fmt.Sprintf("FULL: %d queues are at their bound, and drop or refuse (session list, link list)", s.FullQueues))
	}
	if len(lines) == 0 {
		lines = append(lines, "all is well")
	}
	return lines
}
