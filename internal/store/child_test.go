package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/sim"
)

// The test binary starts itself to have a process that can be killed, or whose system calls can fail.
const (
	roleEnv = "MANGROVE_STORE_TEST_ROLE"
	dirEnv  = "MANGROVE_STORE_TEST_DIR"
)

// childMain runs a role of this test binary as a child process, when it is one.
func childMain() bool {
	roles := map[string]func(dir string) error{
		"publish":  childPublish,
		"hold":     childHold,
		"faults":   childFaults,
		"fileSize": childFileSize,
	}
	run, ok := roles[os.Getenv(roleEnv)]
	if !ok {
		return false
	}
	if err := run(os.Getenv(dirEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	return true
}

// child starts this binary in a role.
func child(t *testing.T, role, dir string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, roleEnv+"="+role, dirEnv+"="+dir)...)
	cmd.Stderr = os.Stderr
	return cmd
}

const (
	childWriters = 4
	childKeys    = 3 // records of a batch
)

// childPublish commits batches until it is killed, and writes a line for each that is stable. A batch is childKeys
// records in two tables and one body, all of its number; the one of 50 before it goes.
func childPublish(dir string) error {
	s, err := Open(Config{Dir: dir, MaxGroupBatches: 16})
	if err != nil {
		return err
	}
	out := &lineWriter{w: bufio.NewWriter(os.Stdout)}
	var wg sync.WaitGroup
	for range childWriters {
		wg.Go(func() {
			for {
				n := s.NextID()
				b := s.NewBatch()
				key := binary.BigEndian.AppendUint64(nil, n)
				text := func(dst []byte) []byte { return append(dst, childBody(n)...) }
				b.PutRef(batch.Queues, key, n, nil, text)
				b.PutRef(batch.LinkQueues, key, n, nil, text)
				b.Put(batch.Sessions, key, key)
				b.Put(batch.Seen, []byte("highest"), key)
				b.Notify(out, n)
				s.CommitWait(b) // out ends the process on an error
			}
		})
	}
	wg.Wait()
	return nil
}

func childBody(n uint64) string { return fmt.Sprint(n, strings.Repeat(".", int(n%1500))) }

// lineWriter writes the numbers of batches that are stable.
type lineWriter struct{ w *bufio.Writer }

func (l *lineWriter) Committed(n uint64, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child: commit:", err)
		os.Exit(1)
	}
	fmt.Fprintln(l.w, n)
	if err := l.w.Flush(); err != nil {
		os.Exit(1)
	}
}

// A process killed at any moment loses no batch it was told is stable, and leaves no part of any.
func TestKilledProcessLosesNothing(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	told := map[uint64]bool{}
	for round := range rounds {
		cmd := child(t, "publish", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(10+round*17)*time.Millisecond, func() { cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var n uint64
			if _, err := fmt.Sscan(lines.Text(), &n); err == nil {
				if told[n] {
					t.Fatalf("number %d was given twice", n)
				}
				told[n] = true
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		kill.Stop()
		checkKilled(t, dir, told)
	}
	if len(told) == 0 {
		t.Error("no batch became stable in any round")
	}
	t.Logf("%d batches in %d rounds", len(told), rounds)
}

func checkKilled(t *testing.T, dir string, told map[uint64]bool) {
	t.Helper()
	s, err := Open(Config{Dir: dir})
	must(t, err)
	defer s.Close()
	found := map[uint64]bool{}
	must(t, s.Scan(batch.Sessions, nil, nil, func(k, v []byte) bool {
		found[binary.BigEndian.Uint64(k)] = true
		return true
	}))
	for n := range told {
		if !found[n] {
			t.Fatalf("batch %d was told to be stable and is not there", n)
		}
	}
	for _, table := range []batch.Table{batch.Queues, batch.LinkQueues} {
		n := 0
		must(t, s.Scan(table, nil, nil, func(k, v []byte) bool {
			n++
			if id, _, ok := batch.RefID(v); !ok || !found[id] {
				t.Fatalf("table %d has a part of batch %d", table, id)
			}
			return true
		}))
		if n != len(found) {
			t.Fatalf("table %d has %d records, want %d", table, n, len(found))
		}
	}
	for n := range found {
		if got, err := s.Body(n); err != nil || string(got) != childBody(n) {
			t.Fatalf("body %d: got %d bytes, %v", n, len(got), err)
		}
	}
}

// childHold holds the folder until its input ends.
func childHold(dir string) error {
	s, err := Open(Config{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

func TestFolderOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "hold", dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = Open(Config{Dir: dir, LockTimeout: 50 * time.Millisecond})
	if err == nil || time.Since(start) < 50*time.Millisecond {
		t.Fatalf("got %v after %v, want ErrLocked after 50 ms", err, time.Since(start))
	}
	for _, want := range []string{dir, fmt.Sprint(cmd.Process.Pid), "in use"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to name %q", err, want)
		}
	}
	// Patience is rewarded.
	opened := make(chan error, 1)
	go func() { // ends with Open, which the test waits for
		s, err := Open(Config{Dir: dir, LockTimeout: 20 * time.Second})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	must(t, in.Close())
	must(t, cmd.Wait())
	must(t, <-opened)
}

// childFaults commits once, makes the system call of the environment fail in every thread, commits again and
// tells what happened.
func childFaults(dir string) error {
	var call, errno int
	if _, err := fmt.Sscan(os.Getenv("MANGROVE_STORE_TEST_FAULT"), &call, &errno); err != nil {
		return err
	}
	fatal := make(chan error, 2)
	s, err := Open(Config{Dir: dir, OnFatal: func(err error) { fatal <- err }})
	if err != nil {
		return err
	}
	put := func(k string) error {
		b := s.NewBatch()
		b.Put(batch.Sessions, []byte(k), make([]byte, 100_000))
		w := newTold()
		b.Notify(w, 0)
		s.Commit(b)
		return <-w.ch
	}
	if err := put("before"); err != nil {
		return err
	}
	if err := sim.FailCalls(call, errno); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	fmt.Println("first:", put("first"))
	fmt.Println("healthy:", s.Healthy())
	select {
	case err := <-fatal:
		fmt.Println("fatal:", err)
	case <-time.After(300 * time.Millisecond):
		fmt.Println("no fatal")
	}
	fmt.Println("second:", put("second"))
	fmt.Println("calls of OnFatal left:", len(fatal))
	fmt.Println("closed:", s.Close())
	return nil
}

// A failing sync stops the store for good, a failing write does not. The system calls fail for real.
func TestFailingSystemCalls(t *testing.T) {
	for _, c := range []struct {
		name string
		call int
		err  syscall.Errno
		want []string
	}{
		{"sync", syscall.SYS_FDATASYNC, syscall.EIO, []string{
			"first: store stopped: a sync failed", "healthy: store stopped", "fatal: store stopped",
			"second: store stopped", "calls of OnFatal left: 0", "closed: <nil>"}},
		{"sync after growing", syscall.SYS_FSYNC, syscall.EIO, []string{ // at the checkpoint of Close
			"first: <nil>", "no fatal", "second: <nil>", "closed: store stopped: a sync failed"}},
		{"no room to grow", syscall.SYS_FTRUNCATE, syscall.EFBIG, []string{
			"first: <nil>", "no fatal", "second: <nil>", "closed: <nil>"}},
		{"no room", syscall.SYS_PWRITE64, syscall.ENOSPC, []string{
			"first: disk is full: ", "healthy: disk is full", "no fatal", "second: disk is full", "closed: <nil>"}},
		{"write error", syscall.SYS_PWRITE64, syscall.EIO, []string{
			"first: disk does not take writes: ", "healthy: disk does not", "no fatal", "second: disk does not", "closed: <nil>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := child(t, "faults", dir, fmt.Sprintf("MANGROVE_STORE_TEST_FAULT=%d %d", c.call, c.err))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if strings.Contains(stderr.String(), "seccomp:") {
				t.Skipf("system calls cannot be made to fail here: %s", stderr.String())
			}
			if err != nil {
				t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("got\n%s\nwant %q in it", out, want)
				}
			}
			s := openTest(t, Config{Dir: dir})
			stable := []string{"before"}
			for _, k := range []string{"first", "second"} {
				if strings.Contains(string(out), k+": <nil>") {
					stable = append(stable, k)
				}
			}
			for _, k := range stable {
				if v, err := s.Get(batch.Sessions, []byte(k)); err != nil || len(v) != 100_000 {
					t.Errorf("%s: got %d bytes, %v of what was told to be stable", k, len(v), err)
				}
			}
		})
	}
}

// childFileSize meets the bound on the size of a file, which goes away after a while.
func childFileSize(dir string) error {
	s, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10}) // a file of the log fits below the bound
	if err != nil {
		return err
	}
	put := func(k string, size int) error {
		b := s.NewBatch()
		b.Put(batch.Sessions, []byte(k), make([]byte, size))
		w := newTold()
		b.Notify(w, 0)
		s.Commit(b)
		return <-w.ch
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	tight := was
	tight.Cur = 256 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		return err
	}
	fmt.Println("large:", put("large", 1<<20))
	fmt.Println("small:", put("small", 10))
	fmt.Println("healthy:", s.Healthy())
	fmt.Println("large:", put("large", 1<<20))
	fmt.Println("healthy:", s.Healthy())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); s.Healthy() != nil && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("probed:", s.Healthy())
	fmt.Println("large:", put("large", 1<<20))
	return s.Close()
}

// With no room left, what needs none still works, and the store recovers by itself.
func TestNoRoomAndRecovery(t *testing.T) {
	out, err := child(t, "fileSize", t.TempDir()).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, want := range []string{"large: disk is full", "small: <nil>", "healthy: <nil>", "large: disk is full", "healthy: disk is full",
		"probed: <nil>", "large: <nil>"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Fatalf("got\n%s\nwant line %d to start with %q", out, i+1, want)
		}
	}
}
