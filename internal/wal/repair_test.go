package wal

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"mangrove/internal/sim"
)

// What a killed process wrote softly is read back by the next one, which builds on it: from then on a power cut does
// not take it.
func TestOpenMakesStableWhatItFinds(t *testing.T) {
	for seed := range uint64(20) {
		disk := sim.NewDisk()
		l := open(t, disk)
		appendNext(t, l, 2)
		for next := l.Last() + 1; next <= 5; next++ {
			if _, err := l.AppendSoft(payload(next)); err != nil {
				t.Fatal(err)
			}
		}
		l.Close() // syncs nothing, as the end of the process does not
		wantRecords(t, open(t, disk), 1, 5)
		disk.CutAt(1)
		disk.Restart(rand.New(rand.NewPCG(seed, 1)))
		wantRecords(t, open(t, disk), 1, 5)
	}
}

// Behind a torn record the write's later records may be whole. They are wiped: otherwise one of them would follow the
// record that is written next, should that be as long as the torn one.
func TestTornTailIsWiped(t *testing.T) {
	disk := sim.NewDisk()
	l := open(t, disk)
	appendNext(t, l, 3)
	if _, err := l.Append([]byte("torn 4"), []byte("whole 5"), []byte("whole 6")); err != nil {
		t.Fatal(err)
	}
	torn := l.segments[0].offsets[3]
	l.Close()
	if err := disk.Corrupt(segmentName(1), torn+recordHeader, []byte("TORN")); err != nil {
		t.Fatal(err)
	}
	l = open(t, disk)
	wantRecords(t, l, 1, 3)
	if _, err := l.Append([]byte("next 4")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l = open(t, disk); l.Last() != 4 {
		t.Errorf("got records to %d, want to 4: what came back was never acknowledged", l.Last())
	}
}

// tearFiles is a disk whose next write reaches the file and answers an error all the same.
type tearFiles struct {
	simFiles
	tear *error // of the next write; nil = none
}

func (f tearFiles) Open(name string, create bool) (File, error) {
	file, err := f.simFiles.Open(name, create)
	if err != nil {
		return nil, err
	}
	return tearFile{file, f.tear}, nil
}

type tearFile struct {
	File
	tear *error
}

func (f tearFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	if torn := *f.tear; torn != nil && err == nil {
		*f.tear, n, err = nil, n-1, torn
	}
	return n, err
}

// A write that failed may have left whole records behind the last one. They are undone before the next write:
// otherwise one of them would follow a record that is as long as the first of those that failed.
func TestRecordsOfAFailedWriteNeverComeBack(t *testing.T) {
	var tear error
	files := tearFiles{simFiles{sim.NewDisk()}, &tear}
	reopen := func() *Log {
		l, err := Open(Config{Files: files, SegmentBytes: testSegment, Salt: salts()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l := reopen()
	appendNext(t, l, 3)
	l.spares.filler.Wait()
	tear = io.ErrShortWrite
	if _, err := l.Append([]byte("failed 4"), []byte("failed 5"), []byte("failed 6")); !errors.Is(err, io.ErrShortWrite) || errors.Is(err, ErrSync) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if _, err := l.Append([]byte("really 4")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l = reopen(); l.Last() != 4 {
		t.Errorf("got records to %d, want to 4: what came back had been refused", l.Last())
	}
}
