package dashboard

import (
	"bytes"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"time"
)

// head reloads the page by itself: it has no script.
const head = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>%s</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2b24}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:1.6rem}
table{border-collapse:collapse;width:100%%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #dde5e0}
</style></head><body>
`

// page draws a Status. It is written by hand because html/template, which nothing else in the gateway's
// binary uses, costs more there than this page is worth.
func page(s Status) []byte {
	b := new(bytes.Buffer)
	name := html.EscapeString(s.Node + " (" + s.Role + ")")
	fmt.Fprintf(b, head, name)
	fmt.Fprintf(b, "<h1>%s</h1>\n", name)
	table(b, nil, summary(s))
	fmt.Fprint(b, "<h2>Links</h2>\n")
	table(b, []string{"node", "kind", "state", "since", "address", "waiting", "bytes", "oldest", "tries", "last error"}, linkRows(s))
	if len(s.LargestQueues) > 0 {
		fmt.Fprint(b, "<h2>Largest queues of clients</h2>\n")
		table(b, []string{"client", "state", "waiting", "bytes", "oldest", "dropped"}, queueRows(s))
	}
	if len(s.Members) > 0 {
		fmt.Fprint(b, "<h2>Members</h2>\n")
		table(b, []string{"node", "role", "state", "gossip", "link", "http"}, memberRows(s))
	}
	fmt.Fprint(b, "<h2>Messages dropped</h2>\n")
	table(b, []string{"reason", "messages"}, dropRows(s))
	fmt.Fprint(b, `<p><a href="/api/v1/status">status as JSON</a> · <a href="/metrics">metrics</a></p></body></html>`+"\n")
	return b.Bytes()
}

func summary(s Status) [][]string {
	state := "ready"
	if !s.Ready {
		state = "not ready: " + s.Reason
	}
	rows := [][]string{
		{"state", state},
		{"version", s.Version},
		{"up for", (time.Duration(s.Uptime) * time.Second).String()},
		{"clients", fmt.Sprintf("%d connected, %d sessions, %d subscriptions", s.Clients, s.Sessions, s.Subscriptions)},
		{"messages", fmt.Sprintf("%d in, %d out, %d waiting for clients, %d retained", s.MessagesIn, s.MessagesOut, s.QueuedMessages, s.Retained)},
	}
	if s.Edges != nil && s.Edges.Known > 0 {
		rows = append(rows, []string{"edges", fmt.Sprintf("%d known, %d connected", s.Edges.Known, s.Edges.Connected)})
		if len(s.Edges.Away) > 0 {
			rows = append(rows, []string{"edges away", strings.Join(s.Edges.Away, " ")})
		}
	}
	if s.Spread != nil {
		rows = append(rows, spreadRows(*s.Spread)...)
	}
	for _, l := range s.Listen {
		rows = append(rows, []string{"listens on", l})
	}
	return rows
}

func spreadRows(s Spread) (rows [][]string) {
	for _, c := range s.Cores {
		rows = append(rows, []string{"edges at " + c.Name, fmt.Sprintf("%d, its share is %d", c.Edges, c.Share)})
	}
	if s.Asked > 0 {
		rows = append(rows, []string{"edges asked to move", fmt.Sprintf("%d, of which %d moved and %d stayed", s.Asked, s.Moved, s.Stayed)})
	}
	if s.Waits != "" && len(s.Cores) > 1 {
		rows = append(rows, []string{"none is asked now", s.Waits})
	}
	return rows
}

func linkRows(s Status) (rows [][]string) {
	for _, l := range s.Links {
		rows = append(rows, []string{l.Name, l.Scope, l.State, span(time.Since(l.Since).Seconds()), l.Address, fmt.Sprint(l.BacklogMessages),
			fmt.Sprint(l.BacklogBytes), span(l.Oldest), fmt.Sprint(l.Attempts), l.LastError})
	}
	return rows
}

func queueRows(s Status) (rows [][]string) {
	for _, q := range s.LargestQueues {
		state := "connected"
		if !q.Connected {
			state = "away for " + span(q.AwaySeconds)
		}
		rows = append(rows, []string{q.Client, state, fmt.Sprint(q.Queued), fmt.Sprint(q.QueuedBytes), span(q.Oldest), fmt.Sprint(q.Dropped)})
	}
	return rows
}

// span is a number of seconds for people; "" = 0.
func span(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func memberRows(s Status) (rows [][]string) {
	for _, m := range s.Members {
		rows = append(rows, []string{m.Name, m.Role, m.State, m.Gossip, m.Link, m.HTTP})
	}
	return rows
}

func dropRows(s Status) (rows [][]string) {
	for _, reason := range slices.Sorted(maps.Keys(s.Drops)) {
		rows = append(rows, []string{reason, fmt.Sprint(s.Drops[reason])})
	}
	return rows
}

func table(b *bytes.Buffer, titles []string, rows [][]string) {
	if len(rows) == 0 {
		fmt.Fprint(b, "<p>none</p>\n")
		return
	}
	fmt.Fprint(b, "<table>\n")
	row(b, "th", titles)
	for _, r := range rows {
		row(b, "td", r)
	}
	fmt.Fprint(b, "</table>\n")
}

func row(b *bytes.Buffer, cell string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprint(b, "<tr>")
	for _, t := range texts {
		fmt.Fprintf(b, "<%s>%s</%s>", cell, html.EscapeString(t), cell)
	}
	fmt.Fprint(b, "</tr>\n")
}
