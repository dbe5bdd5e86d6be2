package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"mangrove/internal/sim"
)

// simFiles makes a simulated disk the log's file system.
type simFiles struct{ *sim.Disk }

func (f simFiles) Open(name string, create bool) (File, error) {
	file, err := f.Disk.Open(name, create)
	if err != nil {
		return nil, err
	}
	return file, nil
}

const testSegment = 2 * segmentHeader // 4 KiB of records

// salts gives each segment its own salt, the same in each run.
func salts() func() uint64 {
	n := uint64(0)
	return func() uint64 { n++; return n * 0x9E3779B97F4A7C15 }
}

func open(t testing.TB, disk *sim.Disk) *Log {
	t.Helper()
	l, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment, Salt: salts()})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func payload(index uint64) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%d,", index)), 1+int(index%40))
}

func appendNext(t testing.TB, l *Log, n int) {
	t.Helper()
	var group [][]byte
	next := l.Last() + 1
	for i := range n {
		group = append(group, payload(next+uint64(i)))
	}
	if first, err := l.Append(group...); err != nil || first != next {
		t.Fatalf("append: got %d, %v; want %d", first, err, next)
	}
}

// wantRecords wants exactly the records from..to, by Read and by Replay.
func wantRecords(t testing.TB, l *Log, from, to uint64) {
	t.Helper()
	if l.Last() != to {
		t.Fatalf("got last record %d, want %d", l.Last(), to)
	}
	next := from
	err := l.Replay(from, func(index uint64, p []byte) error {
		if index != next || !bytes.Equal(p, payload(index)) {
			return fmt.Errorf("got record %d %q, want record %d %q", index, p, next, payload(next))
		}
		next++
		return nil
	})
	if err != nil || next != to+1 {
		t.Fatalf("replay ended before record %d (%v), want all to %d", next, err, to)
	}
	for i := from; i <= to; i++ {
		if p, err := l.Read(i); err != nil || !bytes.Equal(p, payload(i)) {
			t.Fatalf("read record %d: got %q, %v", i, p, err)
		}
	}
}

func TestAppendReopenReplay(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	for i := range 100 {
		appendNext(t, l, 1+i%5)
	}
	wantRecords(t, l, 1, 300)
	l.Close()
	l = open(t, disk)
	wantRecords(t, l, 1, 300)
	appendNext(t, l, 3)
	wantRecords(t, l, 1, 303)
}

func TestOneAppendIsOneWriteAndOneSync(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	l.spares.filler.Wait()
	before := disk.Calls()
	appendNext(t, l, 10)
	after := disk.Calls()
	if after.Writes-before.Writes != 1 || after.Syncs-before.Syncs != 1 {
		t.Errorf("got %d writes and %d syncs, want 1 and 1", after.Writes-before.Writes, after.Syncs-before.Syncs)
	}
}

func TestTrimReusesSegmentsAndOldRecordsStayAway(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	for range 2000 {
		appendNext(t, l, 1)
		if l.Last()%50 == 0 {
			if err := l.Trim(l.Last() - 10); err != nil {
				t.Fatal(err)
			}
		}
	}
	names, err := disk.List()
	if err != nil || len(names) > 8 {
		t.Errorf("got %d files (%v), want a handful: %v", len(names), err, names)
	}
	first := l.First()
	if _, err := l.Read(first - 1); !errors.Is(err, ErrTrimmed) {
		t.Errorf("read trimmed record: got %v, want ErrTrimmed", err)
	}
	l.Close()
	l = open(t, disk)
	wantRecords(t, l, first, 2000)
}

func TestTruncateAfter(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	for range 60 {
		appendNext(t, l, 3)
	}
	for _, keep := range []uint64{150, 149, 20, 1} {
		if err := l.TruncateAfter(keep); err != nil {
			t.Fatal(err)
		}
		wantRecords(t, l, 1, keep)
	}
	appendNext(t, l, 2)
	l.Close()
	wantRecords(t, open(t, disk), 1, 3)
}

// Records that were truncated stay away when their file becomes a segment again, though their numbers and places are the
// same: the segment has another salt.
func TestTruncatedRecordsStayAwayInReusedSegments(t *testing.T) {
	disk := sim.NewDisk()
	reopen := func() *Log {
		t.Helper()
		l, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment, Salt: rand.New(rand.NewPCG(1, uint64(disk.Steps()))).Uint64, Spares: 6})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l := reopen()
	for range 8 { // as often as it takes for each spare to have its turn
		for l.Last() < 150 {
			appendNext(t, l, 1)
		}
		if err := l.TruncateAfter(10); err != nil {
			t.Fatal(err)
		}
	}
	for l.Last() < 150 {
		appendNext(t, l, 1)
		last := l.Last()
		l.Close()
		l = reopen()
		wantRecords(t, l, 1, last)
	}
}

func TestRecordLargerThanASegment(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	big := bytes.Repeat([]byte("x"), 5*testSegment)
	if _, err := l.Append(big); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, disk)
	if got, err := l.Read(1); err != nil || !bytes.Equal(got, big) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(big))
	}
}

// A record too large for the active segment, which is still empty.
func TestLargeRecordInsteadOfAnEmptySegment(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	big := bytes.Repeat([]byte("x"), 5*testSegment)
	if _, err := l.Append(big); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(1); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, disk)
	if got, err := l.Read(1); err != nil || !bytes.Equal(got, big) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(big))
	}
}

// workload appends and trims until the disk fails. It tells which records were acknowledged, and how many were
// written behind them.
type workload struct{ trimmed, acked, soft uint64 }

func (w *workload) run(l *Log, rng *rand.Rand, steps int) error {
	for range steps {
		switch rng.IntN(10) {
		case 0:
			through := w.trimmed + rng.Uint64N(w.acked-w.trimmed+1)
			w.trimmed = through // also when the cut leaves it half done
			if err := l.Trim(through); err != nil {
				return err
			}
		case 1:
			if err := l.Sync(); err != nil {
				return err
			}
			w.acked, w.soft = w.acked+w.soft, 0
		default:
			if err := w.append(l, rng); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *workload) append(l *Log, rng *rand.Rand) error {
	var group [][]byte
	for i := range 1 + rng.IntN(6) {
		group = append(group, payload(w.acked+w.soft+1+uint64(i)))
	}
	soft := rng.IntN(3) == 0
	write := l.Append
	if soft {
		write = l.AppendSoft
	}
	if _, err := write(group...); err != nil {
		return err
	}
	w.soft += uint64(len(group))
	if !soft {
		w.acked, w.soft = w.acked+w.soft, 0
	}
	return nil
}

// cutAtEveryStep runs the workload with a power cut at each of its steps in turn, and tells the first promise that was
// broken.
func cutAtEveryStep(t *testing.T, seed uint64, prepare func(*sim.Disk)) error {
	for cut := 1; ; cut++ {
		rng := rand.New(rand.NewPCG(seed, uint64(cut)))
		disk := sim.NewDisk()
		prepare(disk)
		disk.CutAt(cut)
		var w workload
		l, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment, Salt: salts(), Spares: 1})
		if err == nil {
			err = w.run(l, rng, 120)
			l.Close()
		}
		if err == nil {
			return nil // the workload ended before the cut
		}
		if !errors.Is(err, sim.ErrPowerCut) {
			return fmt.Errorf("cut at step %d: got %w, want the power cut", cut, err)
		}
		disk.Restart(rng)
		if err := w.check(disk); err != nil {
			return fmt.Errorf("cut at step %d: %w", cut, err)
		}
	}
}

// check reopens and wants every acknowledged record, at most those written after them and one group more, and a log that works.
func (w *workload) check(disk *sim.Disk) error {
	l, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment})
	if err != nil {
		return err
	}
	defer l.Close()
	if l.Last() < w.acked || l.Last() > w.acked+w.soft+6 {
		return fmt.Errorf("got records to %d, want to %d, which were acknowledged, and at most %d more", l.Last(), w.acked, w.soft+6)
	}
	next := max(l.First(), w.trimmed+1)
	if l.First() > w.trimmed+1 {
		return fmt.Errorf("got first record %d, want %d or lower", l.First(), w.trimmed+1)
	}
	err = l.Replay(next, func(index uint64, p []byte) error {
		if index != next || !bytes.Equal(p, payload(index)) {
			return fmt.Errorf("got record %d %q, want %d", index, p, next)
		}
		next++
		return nil
	})
	if err != nil {
		return err
	}
	if next <= w.acked {
		return fmt.Errorf("replay ended before record %d, want to %d", next, w.acked)
	}
	_, err = l.Append([]byte("after"))
	return err
}

func TestPowerCutAtEveryStep(t *testing.T) {
	for seed := range uint64(4) {
		if err := cutAtEveryStep(t, seed, func(*sim.Disk) {}); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// The check above can fail: a disk (or a log) that does not sync loses what was acknowledged.
func TestPowerCutCheckCatchesMissingSync(t *testing.T) {
	for seed := range uint64(4) {
		if err := cutAtEveryStep(t, seed, (*sim.Disk).IgnoreSync); err == nil {
			t.Errorf("seed %d: got no error from a disk that ignores syncs", seed)
		}
	}
}

func TestDamageInTheMiddleIsReported(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	for range 10 {
		appendNext(t, l, 1)
	}
	off := l.segments[0].offsets[4]
	l.Close()
	if err := disk.Corrupt(segmentName(1), off+recordHeader, []byte{0xFF}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment})
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != segmentName(1) || damage.Offset != off || damage.Index != 5 {
		t.Errorf("got %v, want damage in %s at offset %d, record 5", err, segmentName(1), off)
	}
}

func TestDamageAtTheEndOfAnEarlierSegmentIsReported(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	for len(l.segments) < 2 {
		appendNext(t, l, 1)
	}
	appendNext(t, l, 1)
	s := l.segments[0]
	off := s.offsets[len(s.offsets)-1]
	l.Close()
	if err := disk.Corrupt(s.name, off, []byte{0xFF, 0xFF}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment})
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Offset != off {
		t.Errorf("got %v, want damage at offset %d", err, off)
	}
}

func TestTornTailIsCutAtEveryByte(t *testing.T) {
	for cut := range recordSize(len(payload(6))) {
		disk := sim.NewDisk()
		l := open(t, disk)
		appendNext(t, l, 5)
		appendNext(t, l, 1)
		off := l.segments[0].offsets[5]
		end := l.segments[0].end
		l.Close()
		if cut >= recordHeader+len(payload(6)) {
			break // only padding is missing: the record is whole
		}
		if err := disk.Corrupt(segmentName(1), off+int64(cut), make([]byte, end-off-int64(cut))); err != nil {
			t.Fatal(err)
		}
		l = open(t, disk)
		wantRecords(t, l, 1, 5)
		appendNext(t, l, 2)
		wantRecords(t, l, 1, 7)
	}
}

func TestFailedSyncIsNeverRetried(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	appendNext(t, l, 1)
	l.spares.filler.Wait()
	broken := errors.New("input/output error")
	disk.FailAt(2, broken) // the write, then the sync
	if _, err := l.Append([]byte("x")); !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	before := disk.Calls()
	if _, err := l.Append([]byte("y")); !errors.Is(err, broken) {
		t.Errorf("got %v after a failed sync, want %v", err, broken)
	}
	if disk.Calls() != before {
		t.Errorf("got calls to the disk after a failed sync, want none")
	}
}

// A write that fails leaves the log as it was; what it may have left on the medium is wiped before the next one.
func TestFailedWriteIsUndone(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	appendNext(t, l, 2)
	l.spares.filler.Wait()
	broken := errors.New("input/output error")
	disk.FailAt(1, broken)
	if _, err := l.Append([]byte("x")); !errors.Is(err, broken) || errors.Is(err, ErrSync) {
		t.Fatalf("got %v, want %v and not ErrSync", err, broken)
	}
	appendNext(t, l, 2)
	l.Close()
	wantRecords(t, open(t, disk), 1, 4)
}

func TestReadPart(t *testing.T) {
	l := open(t, sim.NewDisk())
	for range 200 {
		appendNext(t, l, 3)
	}
	for i := uint64(1); i <= l.Last(); i++ {
		want := payload(i)[1:]
		got := make([]byte, len(want))
		if err := l.ReadPart(i, 1, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("record %d: got %q, %v, want %q", i, got, err, want)
		}
	}
	if err := l.ReadPart(1, 0, make([]byte, 10_000)); err == nil {
		t.Error("more than the record has: got no error")
	}
	if err := l.ReadPart(l.Last()+1, 0, nil); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a record that is not there: got %v, want ErrTrimmed", err)
	}
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	l.spares.filler.Wait()
	disk.SetSpace(0)
	var err error
	for err == nil {
		_, err = l.Append(payload(l.Last() + 1))
	}
	if !errors.Is(err, sim.ErrNoSpace) {
		t.Fatalf("got %v, want no space", err)
	}
	last := l.Last()
	disk.SetSpace(-1)
	appendNext(t, l, 1)
	wantRecords(t, l, 1, last+1)
}

func TestNewerFormatAndForeignFilesAreRefused(t *testing.T) {
	disk := sim.NewDisk()
	open(t, disk).Close()
	f, err := disk.Open("readme.log", true)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("hello"), 0)
	if _, err := Open(Config{Files: simFiles{disk}}); err == nil || !strings.Contains(err.Error(), "readme.log") {
		t.Errorf("got %v, want an error that names readme.log", err)
	}
}

func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		l, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			appendNext(t, l, 2)
		}
		wantRecords(t, l, 1, uint64(600*(round+1)))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	disk := sim.NewDisk()
	l := open(f, disk)
	appendNext(f, l, 3)
	file, err := disk.Open(segmentName(1), false)
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, segmentHeader+400)
	file.ReadAt(b, 0)
	f.Add(b)
	f.Add(b[:segmentHeader])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := sim.NewDisk()
		file, err := disk.Open(segmentName(1), true)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(b, 0)
		l, err := Open(Config{Files: simFiles{disk}, SegmentBytes: testSegment})
		if err != nil {
			return
		}
		defer l.Close()
		last := l.Last()
		if _, err := l.Append([]byte("next")); err != nil {
			t.Fatalf("append to a log that opened: %v", err)
		}
		if l.Last() != last+1 {
			t.Fatalf("got last %d, want %d", l.Last(), last+1)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			l, err := Open(Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			group := make([][]byte, n)
			for i := range group {
				group[i] = make([]byte, 256)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Append(group...); err != nil {
					b.Fatal(err)
				}
				if l.Last()%10000 < uint64(n) {
					l.Trim(l.Last())
				}
			}
		})
	}
}

// Trim, from a checkpoint, runs beside the writer. The race detector sees it if they share what they should not.
func TestTrimBesideTheWriter(t *testing.T) {
	l := open(t, sim.NewDisk())
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { // ends with stop; the test waits for done
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := l.Trim(l.Last()); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 500 {
		appendNext(t, l, 3)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantRecords(t, l, l.First(), 1500)
}

// A segment that was a spare file before is named as what it is now.
func TestErrorsNameTheSegment(t *testing.T) {
	l, err := Open(Config{Dir: t.TempDir(), SegmentBytes: testSegment, Spares: 1})
	if err != nil {
		t.Fatal(err)
	}
	for len(l.segments) < 3 {
		appendNext(t, l, 10)
	}
	name := l.active().name
	l.active().file.Close()
	_, err = l.Append(payload(1))
	if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "spare") {
		t.Errorf("got %v, want an error that names %s alone", err, name)
	}
	l.Close() // an error tells of the file that is closed already
}
