// Package logtest holds the contract of oplog.Log as tests (Run), and a log in memory that makes use of all the
// freedom that the contract leaves (Medium), for what is built on a log.
package logtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"mangrove/internal/oplog"
)

// Subject is a log under test with what it is kept on.
type Subject interface {
	// Open opens the log; one that was open before was closed, or has crashed.
	Open() (oplog.Log, error)
	// Crash is what the log is made for: what is stable stays.
	Crash()
	// FailNext has the next thing fail that an Append or a Sync asks of the medium.
	FailNext(err error)
}

// Run tests the logs that make returns against the contract; make returns an empty one that keeps to itself.
func Run(t *testing.T, make func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"records come back in order", (*bench).order},
		{"what is appended can be read before it is stable", (*bench).readable},
		{"a crash leaves what is stable and a beginning of the rest", (*bench).crashes},
		{"a refused record leaves no trace", (*bench).refusal},
		{"after a failed Sync all is uncertain until the log is opened again", (*bench).uncertainty},
		{"trimming lets the oldest go", (*bench).trimming},
		{"readers and Trim run beside the writer", (*bench).beside},
		{"slices stay with their owners", (*bench).ownership},
		{"a closed log says so", (*bench).closing},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, subject: make(t), rng: rand.New(rand.NewPCG(1, 2))}
			b.open()
			c.test(b)
			if err := b.log.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// bench has one log, and what is to be in it.
type bench struct {
	*testing.T
	subject Subject
	rng     *rand.Rand
	log     oplog.Log
	records []record // appended, and not lost or trimmed
	stable  int      // so many of them are
	made    int      // records ever
}

func (b *bench) open() {
	b.Helper()
	var err error
	if b.log, err = b.subject.Open(); err != nil {
		b.Fatalf("open: %v", err)
	}
}

// text is a record that no other equals.
func (b *bench) text() []byte {
	b.made++
	return bytes.Repeat(fmt.Appendf(nil, "%d,", b.made), 1+b.rng.IntN(200))
}

// append appends one record.
func (b *bench) append() {
	b.Helper()
	text := b.text()
	index, err := b.log.Append(text, b.made%5 == 0)
	if err != nil {
		b.Fatalf("append: %v", err)
	}
	if _, last := b.log.Bounds(); last != index {
		b.Fatalf("got last record %d after record %d was appended", last, index)
	}
	if n := len(b.records); index == 0 || n > 0 && index <= b.records[n-1].index {
		b.Fatalf("got index %d, want them to rise", index)
	}
	b.records = append(b.records, record{index, text})
}

func (b *bench) sync() {
	b.Helper()
	if err := b.log.Sync(); err != nil {
		b.Fatalf("sync: %v", err)
	}
	b.stable = len(b.records)
}

// check wants exactly the records that are to be there, from wherever they are read.
func (b *bench) check() {
	b.Helper()
	from := 0
	if len(b.records) > 0 {
		from = b.rng.IntN(len(b.records))
	}
	for _, from := range []int{0, from} {
		start, n := uint64(0), from
		if from > 0 {
			start = b.records[from-1].index + 1
		}
		err := b.log.Replay(start, func(index uint64, text []byte) error {
			if n == len(b.records) || index != b.records[n].index || !bytes.Equal(text, b.records[n].bytes) {
				return fmt.Errorf("got record %d, %.20q", index, text)
			}
			n++
			return nil
		})
		if err != nil || n != len(b.records) {
			b.Fatalf("replay from %d: %v after %d records, want all %d", start, err, n, len(b.records))
		}
	}
	for _, r := range b.records {
		off := b.rng.IntN(len(r.bytes))
		part := make([]byte, b.rng.IntN(len(r.bytes)-off+1))
		if err := b.log.ReadPart(r.index, off, part); err != nil || !bytes.Equal(part, r.bytes[off:off+len(part)]) {
			b.Fatalf("read %d bytes at %d of record %d: got %.20q, %v", len(part), off, r.index, part, err)
		}
	}
}

// reopen opens the log after a crash, and takes those that were not stable and are lost out of records.
func (b *bench) reopen() {
	b.Helper()
	b.open()
	_, last := b.log.Bounds()
	n := len(b.records)
	for n > 0 && b.records[n-1].index > last {
		n--
	}
	if n < b.stable {
		b.Fatalf("%d records are there, %d were stable", n, b.stable)
	}
	b.records, b.stable = b.records[:n], n
	b.check()
}

func (b *bench) order() {
	for range 300 {
		b.append()
	}
	b.sync()
	b.check()
	if err := b.log.ReadPart(b.records[299].index+1, 0, nil); !errors.Is(err, oplog.ErrTrimmed) {
		b.Errorf("read after the last record: got %v, want ErrTrimmed", err)
	}
	if err := b.log.ReadPart(b.records[0].index, 0, make([]byte, 1<<20)); err == nil {
		b.Error("more was read of a record than there is")
	}
	given := errors.New("given")
	if err := b.log.Replay(0, func(uint64, []byte) error { return given }); !errors.Is(err, given) {
		b.Errorf("got %v, want the error of visit", err)
	}
	large, err := b.log.Append(make([]byte, 3<<20), false)
	if err != nil || b.log.ReadPart(large, 3<<20-5, make([]byte, 5)) != nil {
		b.Errorf("a large record: %v", err)
	}
	if size := b.log.Size(); size < 3<<20 {
		b.Errorf("got a size of %d bytes, want the records' at least", size)
	}
}

func (b *bench) readable() {
	for range 50 {
		b.append()
		b.check()
	}
	b.sync()
	b.sync() // nothing to do
}

func (b *bench) crashes() {
	for range 60 {
		for range b.rng.IntN(8) {
			b.append()
			if b.rng.IntN(4) == 0 {
				b.sync()
			}
		}
		b.subject.Crash()
		b.log.Close() // an error is none of a log that has crashed
		b.reopen()
	}
}

func (b *bench) refusal() {
	for n := range 20 {
		b.append()
		b.sync()
		if err := b.log.Stock(); err != nil {
			b.Fatal(err)
		}
		before := b.records[len(b.records)-1].index
		b.subject.FailNext(syscall.ENOSPC)
		_, err := b.log.Append(b.text(), false)
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, oplog.ErrUncertain) {
			b.Fatalf("got %v, want a refusal for want of room", err)
		}
		if _, last := b.log.Bounds(); last != before {
			b.Fatalf("got last record %d after a refusal, want %d", last, before)
		}
		b.append()
		b.sync()
		b.check()
		if n%4 == 0 {
			b.subject.Crash()
			b.log.Close()
			b.reopen()
		}
	}
}

func (b *bench) uncertainty() {
	for range 20 {
		b.append()
		b.sync()
		if err := b.log.Stock(); err != nil {
			b.Fatal(err)
		}
		b.untilUnstable()
		for range 2 {
			if err := b.log.Sync(); !errors.Is(err, oplog.ErrUncertain) {
				b.Fatalf("sync: got %v, want ErrUncertain", err)
			}
			if _, err := b.log.Append(b.text(), false); !errors.Is(err, oplog.ErrUncertain) {
				b.Fatalf("append: got %v, want ErrUncertain", err)
			}
		}
		b.subject.Crash()
		b.log.Close()
		b.reopen()
	}
}

// untilUnstable appends until a Sync has something to do, and has it fail.
func (b *bench) untilUnstable() {
	for range 100 {
		b.append()
		b.subject.FailNext(syscall.EIO)
		if err := b.log.Sync(); err != nil {
			if !errors.Is(err, oplog.ErrUncertain) || !errors.Is(err, syscall.EIO) {
				b.Fatalf("a failed sync: got %v, want ErrUncertain with its cause", err)
			}
			return
		}
		b.subject.FailNext(nil)
	}
	b.Fatal("a hundred records became stable by themselves")
}

func (b *bench) trimming() {
	for range 30 {
		for range 20 {
			b.append()
		}
		b.sync()
		through := b.records[b.rng.IntN(len(b.records))].index
		if err := b.log.Trim(through); err != nil {
			b.Fatal(err)
		}
		first, last := b.log.Bounds()
		if first > through+1 || last != b.records[len(b.records)-1].index {
			b.Fatalf("got records %d to %d after those up to %d were trimmed", first, last, through)
		}
		if first > 1 {
			if err := b.log.ReadPart(first-1, 0, nil); !errors.Is(err, oplog.ErrTrimmed) {
				b.Fatalf("got %v of a record that is gone, want ErrTrimmed", err)
			}
		}
		for len(b.records) > 0 && b.records[0].index < first {
			b.records, b.stable = b.records[1:], b.stable-1
		}
		b.check()
		if b.rng.IntN(3) == 0 {
			b.subject.Crash()
			b.log.Close()
			b.reopen()
		}
	}
}

// beside is for the race detector, too.
func (b *bench) beside() {
	b.append()
	b.sync()
	var others sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				first, last := b.log.Bounds()
				if err := b.log.ReadPart(last, 0, make([]byte, 1)); err != nil && !errors.Is(err, oplog.ErrTrimmed) {
					b.Errorf("read record %d: %v", last, err)
				}
				if b.log.Size() == 0 || first > last {
					b.Errorf("got records %d to %d", first, last)
				}
				at := uint64(0)
				if err := b.log.Replay(last, func(index uint64, _ []byte) error { at = index; return nil }); err != nil || at < last {
					b.Errorf("replay from %d ended at %d: %v", last, at, err)
				}
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := b.log.Sync(); err != nil {
					b.Errorf("sync beside the writer: %v", err)
				}
			}
		}
	})
	for range 500 {
		b.append()
		if b.rng.IntN(10) == 0 {
			b.sync()
			if err := b.log.Trim(b.records[len(b.records)-2].index); err != nil {
				b.Errorf("trim: %v", err)
			}
		}
	}
	close(done)
	others.Wait()
}

func (b *bench) ownership() {
	text := []byte("before")
	index, err := b.log.Append(text, false)
	copy(text, "after!")
	if err != nil {
		b.Fatal(err)
	}
	b.sync()
	if err := b.log.ReadPart(index, 0, text); err != nil || string(text) != "before" {
		b.Errorf("got %q, %v: the log kept the caller's slice", text, err)
	}
}

func (b *bench) closing() {
	b.append()
	b.sync()
	for range 2 {
		if err := b.log.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	}
	if _, err := b.log.Append([]byte("x"), false); !errors.Is(err, oplog.ErrClosed) {
		b.Errorf("append: got %v, want ErrClosed", err)
	}
	if err := b.log.Sync(); !errors.Is(err, oplog.ErrClosed) {
		b.Errorf("sync: got %v, want ErrClosed", err)
	}
	if err := b.log.ReadPart(1, 0, nil); !errors.Is(err, oplog.ErrClosed) {
		b.Errorf("read: got %v, want ErrClosed", err)
	}
	b.reopen()
}
