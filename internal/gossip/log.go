package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// logWriter turns memberlist's lines, "[WARN] memberlist: …", into slog records. What others can provoke
// from outside is at most a warning.
type logWriter struct{ log *slog.Logger }

func newLogger(l *slog.Logger) *log.Logger { return log.New(logWriter{l}, "", 0) }

func (w logWriter) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, bytes.TrimSpace(line)
	if mark, rest, ok := bytes.Cut(text, []byte("] ")); ok && bytes.HasPrefix(mark, []byte("[")) {
		text = rest
		switch string(mark[1:]) {
		case "ERR", "ERROR":
			level = slog.LevelWarn
		case "WARN", "INFO":
			level = slog.LevelInfo
		}
	}
	w.log.Log(context.Background(), level, string(bytes.TrimPrefix(text, []byte("memberlist: "))), "from", "memberlist")
	return len(line), nil
}
