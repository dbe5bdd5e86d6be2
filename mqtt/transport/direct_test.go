//go:build unix

package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestWriteGoesOnWhenThereIsRoom fills the socket's buffers, so that one write takes many calls.
func TestWriteGoesOnWhenThereIsRoom(t *testing.T) {
	client, server := pair(t, listen(t, "127.0.0.1:0", Config{}), DialConfig{})
	const size = 32 << 20
	wrote := make(chan error, 1)
	go func() { // ends when all is written, or by the deadline; waited for below
		n, err := server.Write(make([]byte, size))
		if err == nil && n != size {
			err = io.ErrShortWrite
		}
		wrote <- err
	}()
	if n, err := io.CopyN(io.Discard, client, size); n != size || err != nil {
		t.Errorf("got %d bytes and %v, want %d and nil", n, err, size)
	}
	if err := <-wrote; err != nil {
		t.Errorf("write: %v", err)
	}
}

// TestWaitingEndsWithDeadlineAndClose holds that Go's poller still does the waiting.
func TestWaitingEndsWithDeadlineAndClose(t *testing.T) {
	_, server := pair(t, listen(t, "127.0.0.1:0", Config{}), DialConfig{})
	if err := server.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %d, %v, want a deadline", n, err)
	}
	if _, err := server.Write(make([]byte, 32<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: got %v, want a deadline", err)
	}
	if err := server.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { // ends with Close below
		_, err := server.Read(make([]byte, 1))
		read <- err
	}()
	closeOf(t, server)
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: got %v, want net.ErrClosed", err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: got %v, want net.ErrClosed", err)
	}
}

// BenchmarkPacedRoundTrip is one message there and back on one core, with a pause after each as at a fixed rate. What
// counts is cpu-µs/op, of the whole process: the runtime's monitor wakes up with calls that it is told of.
func BenchmarkPacedRoundTrip(b *testing.B) {
	for _, name := range []string{"net", "direct"} {
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			here, there := tcpPair(b)
			if name == "direct" {
				here, there = asConn(here), asConn(there)
			}
			echoed := make(chan error, 1)
			go func() { echoed <- echo(there) }() // ends with here's Close; waited for below
			pace := time.NewTicker(100 * time.Microsecond)
			defer pace.Stop()
			buf, before := make([]byte, 64), cpuTime(b)
			for b.Loop() {
				<-pace.C
				if _, err := here.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(here, buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			here.Close()
			if err := <-echoed; err != nil {
				b.Error(err)
			}
		})
	}
}

// cpuTime is what the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func asConn(c net.Conn) net.Conn { return newConn(c.(socketConn), new(atomic.Int64)) }

func echo(c net.Conn) error {
	buf := make([]byte, 64)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			if err == io.EOF {
				err = nil
			}
			return errors.Join(err, c.Close())
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
}

func tcpPair(b *testing.B) (here, there net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	here, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	there, err = l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return here, there
}
