package broker

import (
	"net"

	"mangrove/internal/notice"
)

// complaints tell the operator which clients are refused or thrown out, and why, as package notice has it: by reason, client
// id and address, so that one that comes again and again is told at doubling intervals, and strangers cannot fill the log.
type complaints struct{ book notice.Book }

// usual reports whether every fleet has endings of that kind all the time. They are counted, and told at level debug.
func usual(why string) bool {
	switch why {
	case "client-disconnect", "connection-lost", "keep-alive-timeout", "connect-timeout", "session-taken-over",
		"server-shutting-down", "use-another-server", "server-moved", "administrative-action":
		return true
	}
	return false
}

// longestWord bounds what of a stranger's words is logged.
const longestWord = 256

func cut(s string) string { return s[:min(len(s), longestWord)] }

// complain tells of a connection that ended. A link has its own way to tell.
func (s *Server) complain(c *conn, end *ending) {
	if usual(end.why) || c.link != nil {
		return
	}
	what := "client refused"
	if c.greeted.Load() {
		what = "client thrown out"
	}
	s.tell(what, end.why, end.detail, c.nc.RemoteAddr(), "client", cut(c.client.ID), "user", cut(c.client.Username), "link", c.client.Link)
}

// tell logs a warning when it is time for one. who are attributes; the first one's value names who is guilty, beside addr.
func (s *Server) tell(what, why, detail string, addr net.Addr, who ...any) {
	text := ""
	if addr != nil {
		text = addr.String()
	}
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = text // a unix socket
	}
	name := why + " " + host
	if len(who) > 0 {
		name += " " + who[1].(string)
	}
	if times, tell := s.complaints.book.Note(s.now(), name, why); tell {
		s.log.Warn(what, append([]any{"reason", why, "detail", cut(detail), "addr", text, "times", times}, who...)...)
	}
}
