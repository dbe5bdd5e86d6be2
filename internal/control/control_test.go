package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Serve(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBackup(t *testing.T) {
	want := bytes.Repeat([]byte("state"), 1<<20)
	dir := t.TempDir()
	serve(t, Config{Dir: dir, Backup: func(w io.Writer) error {
		_, err := w.Write(want)
		return err
	}})
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	c := connect(t, dir)
	for range 2 {
		var got bytes.Buffer
		if err := c.Backup(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("got %d bytes, %v, want %d", got.Len(), err, len(want))
		}
	}
}

// What went wrong is told, before the first byte and after it.
func TestBackupFails(t *testing.T) {
	for name, wrote := range map[string]int{"before the first byte": 0, "midway": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			serve(t, Config{Dir: dir, Backup: func(w io.Writer) error {
				_, err := w.Write(make([]byte, wrote))
				return errors.Join(err, errors.New("a page cannot be read"))
			}})
			err := connect(t, dir).Backup(t.Context(), io.Discard)
			if err == nil || !strings.Contains(err.Error(), "a page cannot be read") {
				t.Errorf("got error %v, want the node's", err)
			}
		})
	}
}

func TestOneBackupAtATime(t *testing.T) {
	dir, begun, end := t.TempDir(), make(chan struct{}), make(chan struct{})
	serve(t, Config{Dir: dir, Backup: func(io.Writer) error {
		close(begun)
		<-end
		return nil
	}})
	c, first := connect(t, dir), make(chan error)
	go func() { first <- c.Backup(context.WithoutCancel(t.Context()), io.Discard) }() // ends with end; waited for below
	<-begun
	if err := c.Backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second backup: got %v, want a refusal", err)
	}
	close(end)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// Close cuts a backup that is under way: the client is told, and what backs up has ended when Close returns.
func TestCloseCutsABackup(t *testing.T) {
	dir, begun := t.TempDir(), make(chan struct{})
	ended := false
	s := serve(t, Config{Dir: dir, Backup: func(w io.Writer) (err error) {
		close(begun)
		for err == nil {
			_, err = w.Write(make([]byte, 64<<10))
		}
		ended = true
		return err
	}})
	c, first := connect(t, dir), make(chan error)
	go func() { first <- c.Backup(context.WithoutCancel(t.Context()), io.Discard) }() // ends with Close; waited for below
	<-begun
	if err := s.Close(); err != nil || !ended {
		t.Errorf("close: got %v, backup ended: %v", err, ended)
	}
	if err := <-first; err == nil {
		t.Error("the client took half a backup for a whole one")
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	serve(t, Config{Dir: dir, Backup: func(io.Writer) error { return nil }, Compact: func() (int64, int64, error) { return 10, 5, nil }})
	if before, after, err := connect(t, dir).Compact(t.Context()); before != 10 || after != 5 || err != nil {
		t.Errorf("got %d, %d, %v, want 10, 5", before, after, err)
	}
	cannot := t.TempDir()
	serve(t, Config{Dir: cannot, Backup: func(io.Writer) error { return nil }})
	if _, _, err := connect(t, cannot).Compact(t.Context()); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// A path longer than a unix socket's may be is no obstacle.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Config{Dir: dir, Backup: func(w io.Writer) error { return nil }})
	if err := connect(t, dir).Backup(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: got %v, want no socket", err)
	}
}

// A killed node leaves its socket behind.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNobody) {
		t.Errorf("dial a stale socket: got %v, want ErrNobody", err)
	}
	serve(t, Config{Dir: dir, Backup: func(io.Writer) error { return nil }})
	connect(t, dir)
}

func TestNoSocket(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNobody) {
		t.Errorf("got %v, want ErrNobody", err)
	}
	if err := os.WriteFile(filepath.Join(dir, SocketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("got %v, want a refusal to remove what is no socket", err)
	}
}

// fakeOperator has one session and one link.
type fakeOperator struct{}

func (fakeOperator) Status() any { return map[string]string{"node": "n"} }
func (fakeOperator) Sessions(order, prefix string, limit int) (any, error) {
	return []any{order, prefix, limit}, nil
}
func (fakeOperator) Session(id string) (any, error) {
	if id != "a/b c&d" {
		return nil, &Refusal{http.StatusNotFound, "no such session"}
	}
	return id, nil
}
func (fakeOperator) RemoveSession(_ string, kick bool) (any, error) {
	if !kick {
		return nil, &Refusal{http.StatusConflict, "it is connected"}
	}
	return 1, nil
}
func (fakeOperator) PurgeLink(string) (any, error)  { return nil, errors.New("the disk is full") }
func (fakeOperator) ForgetLink(string) (any, error) { return 2, nil }

func TestOperator(t *testing.T) {
	dir := t.TempDir()
	serve(t, Config{Dir: dir, Backup: func(io.Writer) error { return nil }, Operator: fakeOperator{}})
	c, ctx := connect(t, dir), t.Context()
	var status map[string]string
	if err := c.Get(ctx, "status", nil, &status); err != nil || status["node"] != "n" {
		t.Errorf("status: got %v, %v", status, err)
	}
	var list []any
	if err := c.Get(ctx, "sessions", url.Values{"order": {"name"}, "prefix": {"p"}, "limit": {"3"}}, &list); err != nil || fmt.Sprint(list) != "[name p 3]" {
		t.Errorf("sessions: got %v, %v", list, err)
	}
	var id string
	if err := c.Get(ctx, "session", url.Values{"id": {"a/b c&d"}}, &id); err != nil || id != "a/b c&d" {
		t.Errorf("session: got %q, %v", id, err)
	}
	var n int
	if err := c.Do(ctx, "session/remove", url.Values{"id": {"x"}, "kick": {"true"}}, &n); err != nil || n != 1 {
		t.Errorf("remove: got %d, %v", n, err)
	}
	if err := c.Do(ctx, "link/forget", url.Values{"name": {"x"}}, &n); err != nil || n != 2 {
		t.Errorf("forget: got %d, %v", n, err)
	}
	for what, err := range map[string]error{
		"1 to":             c.Get(ctx, "sessions", url.Values{"limit": {"1000000"}}, &list),
		"no such session":  c.Get(ctx, "session", url.Values{"id": {"y"}}, &id),
		"it is connected":  c.Do(ctx, "session/remove", url.Values{"id": {"x"}}, &n),
		"the disk is full": c.Do(ctx, "link/purge", nil, &n),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
	old := t.TempDir()
	serve(t, Config{Dir: old, Backup: func(io.Writer) error { return nil }})
	if err := connect(t, old).Get(ctx, "status", nil, &status); err == nil || !strings.Contains(err.Error(), "no such commands") {
		t.Errorf("without an operator: got %v, want a refusal", err)
	}
}
