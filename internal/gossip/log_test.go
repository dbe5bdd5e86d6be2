package gossip

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	for _, c := range []struct{ line, want string }{
		{"[ERR] memberlist: Conflicting address", `level=WARN msg="Conflicting address" from=memberlist`},
		{"[WARN] memberlist: Refuting", `level=INFO msg=Refuting from=memberlist`},
		{"[INFO] memberlist: Suspect b", `level=INFO msg="Suspect b" from=memberlist`},
		{"[DEBUG] memberlist: Stream connection", `level=DEBUG msg="Stream connection" from=memberlist`},
		{"no mark", `level=DEBUG msg="no mark" from=memberlist`},
		{"", `level=DEBUG msg="" from=memberlist`},
	} {
		out.Reset()
		l.Print(c.line)
		if got := out.String(); got != c.want+"\n" {
			t.Errorf("%q: got %s, want %s", c.line, got, c.want)
		}
	}
}
