package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
)

// ErrPowerCut is what every call answers after the step at which the power was to go.
var ErrPowerCut = errors.New("simulated disk: the power is gone")

// Disk is one folder of a disk in memory that forgets what was not synced. Safe for concurrent use.
//
//	write ─▶ pending ─ Sync ─▶ stable        names: create, rename, remove ─▶ pending ─ SyncDir ─▶ stable
//	            └──── Cut: some of the pending writes, in any order, the last one torn ────▶ stable
//
// Each call that changes something is a step, counted from 1. FailAt and CutAt name steps.
type Disk struct {
	held    sync.RWMutex // locked while a test holds the disk
	mu      sync.Mutex
	names   map[string]*inode // as a running program sees them
	stable  map[string]*inode // as they would be after a power cut
	renamed []nameOp          // done since the last SyncDir
	steps   int
	cutAt   int // 0 = never
	failAt  int // 0 = never
	failure error
	space   int64 // bytes that files may still grow by; < 0 = no limit
	gone    bool
	noSync  bool
	calls   DiskCalls
}

// DiskCalls counts what a program asked of a Disk.
type DiskCalls struct {
	Writes, Syncs, DirSyncs int
	Bytes                   int64
}

type inode struct {
	data    []byte // as a running program sees it
	stable  []byte
	pending []diskWrite
}

type diskWrite struct {
	off  int64
	data []byte
}

// nameOp is a change of the folder that is not stable yet: name now leads to node, or to nothing.
type nameOp struct {
	name string
	node *inode
}

// NewDisk returns an empty disk without limits or faults.
func NewDisk() *Disk {
	return &Disk{names: map[string]*inode{}, stable: map[string]*inode{}, space: -1}
}

// CutAt makes the power go at the n-th step from now: that step and all calls after it answer ErrPowerCut, until Restart.
func (d *Disk) CutAt(n int) { d.locked(func() { d.cutAt = d.steps + n }) }

// FailAt makes the n-th step from now answer err, once, with nothing done.
func (d *Disk) FailAt(n int, err error) { d.locked(func() { d.failAt, d.failure = d.steps+n, err }) }

// SetSpace bounds how many bytes files may still grow by; further writes answer ENOSPC's stand-in err. n < 0 lifts the bound.
func (d *Disk) SetSpace(n int64) { d.locked(func() { d.space = n }) }

// IgnoreSync makes Sync and SyncDir lie, as a program without fsync or a bad device would: to prove that a check can fail.
func (d *Disk) IgnoreSync() { d.locked(func() { d.noSync = true }) }

// Hold has writes and syncs wait from now on until release is called, once or more often: what is committed meanwhile is not stable,
// and nobody is told of it. A test defers release as well as calling it, since a store that is closed while its disk is held
// waits for ever.
func (d *Disk) Hold() (release func()) {
	d.held.Lock()
	return sync.OnceFunc(d.held.Unlock)
}

// Steps is how many steps there were.
func (d *Disk) Steps() (n int) { d.locked(func() { n = d.steps }); return n }

// Calls is what was asked for so far.
func (d *Disk) Calls() (c DiskCalls) { d.locked(func() { c = d.calls }); return c }

// Image is a copy of the disk at rest: what programs see of it now is all stable in the copy, which has no limits or faults.
func (d *Disk) Image() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	image := NewDisk()
	for name, node := range d.names {
		n := &inode{data: append([]byte(nil), node.data...), stable: append([]byte(nil), node.data...)}
		image.names[name], image.stable[name] = n, n
	}
	return image
}

func (d *Disk) locked(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Restart is the power cut and the coming back of it: what was stable is there, and of what was pending a part that rng chooses.
// Files that are open belong to the time before: what is written to them is in no folder.
func (d *Disk) Restart(rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range d.renamed[:rng.IntN(len(d.renamed)+1)] { // a journalled folder keeps the order of its changes
		d.applyName(op)
	}
	after := make(map[string]*inode, len(d.stable))
	for name, node := range d.stable {
		content := node.afterCut(rng)
		after[name] = &inode{data: content, stable: append([]byte(nil), content...)}
	}
	d.names, d.stable, d.renamed = after, make(map[string]*inode, len(after)), nil
	for name, node := range after {
		d.stable[name] = node
	}
	d.cutAt, d.failAt, d.gone = 0, 0, false
}

func (d *Disk) applyName(op nameOp) {
	if op.node == nil {
		delete(d.stable, op.name)
		return
	}
	d.stable[op.name] = op.node
}

// afterCut is the file's content after a power cut: every pending write may have reached the medium or not, whatever came before or after it,
// and any of them may have been torn at any byte.
func (n *inode) afterCut(rng *rand.Rand) []byte {
	b := append([]byte(nil), n.stable...)
	for _, w := range n.pending {
		switch rng.IntN(4) {
		case 0: // lost
		case 1: // torn: a first part, a last part or both around a hole
			cut, again := rng.IntN(len(w.data)+1), rng.IntN(len(w.data)+1)
			b = writeAt(b, w.off, w.data[:min(cut, again)])
			if rng.IntN(2) == 0 {
				b = writeAt(b, w.off+int64(max(cut, again)), w.data[max(cut, again):])
			}
		default:
			b = writeAt(b, w.off, w.data)
		}
	}
	return b
}

func writeAt(b []byte, off int64, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	if need := int(off) + len(data); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], data)
	return b
}

// stepLocked counts a step and tells whether it may happen.
func (d *Disk) stepLocked() error {
	if d.gone {
		return ErrPowerCut
	}
	d.steps++
	if d.cutAt != 0 && d.steps >= d.cutAt {
		d.gone = true
		return ErrPowerCut
	}
	if d.failAt == d.steps {
		return d.failure
	}
	return nil
}

// List names the files in the folder.
func (d *Disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return nil, ErrPowerCut
	}
	names := make([]string, 0, len(d.names))
	for name := range d.names {
		names = append(names, name)
	}
	return names, nil
}

// Open opens a file, or makes it when create is set.
func (d *Disk) Open(name string, create bool) (*DiskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, ok := d.names[name]
	switch {
	case d.gone:
		return nil, ErrPowerCut
	case !ok && !create:
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	case ok && create:
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	case create:
		if err := d.stepLocked(); err != nil {
			return nil, err
		}
		node = new(inode)
		d.nameLocked(name, node)
	}
	return &DiskFile{disk: d, node: node}, nil
}

func (d *Disk) nameLocked(name string, node *inode) {
	if node == nil {
		delete(d.names, name)
	} else {
		d.names[name] = node
	}
	d.renamed = append(d.renamed, nameOp{name, node})
}

// Rename gives a file another name, replacing what had it.
func (d *Disk) Rename(old, new string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, ok := d.names[old]
	if !ok {
		return fmt.Errorf("rename %s: %w", old, fs.ErrNotExist)
	}
	if err := d.stepLocked(); err != nil {
		return err
	}
	d.nameLocked(new, node)
	d.nameLocked(old, nil)
	return nil
}

// Remove takes a file's name away.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.names[name]; !ok {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if err := d.stepLocked(); err != nil {
		return err
	}
	d.nameLocked(name, nil)
	return nil
}

// SyncDir makes names stable.
func (d *Disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.stepLocked(); err != nil {
		return err
	}
	d.calls.DirSyncs++
	if d.noSync {
		return nil
	}
	for _, op := range d.renamed {
		d.applyName(op)
	}
	d.renamed = nil
	return nil
}

// Corrupt changes bytes of a file on the medium, as decay does. It answers an error when the file has no such bytes.
func (d *Disk) Corrupt(name string, off int64, with []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, ok := d.names[name]
	if !ok || off+int64(len(with)) > int64(len(node.data)) {
		return fmt.Errorf("corrupt %s at %d: no such bytes", name, off)
	}
	copy(node.data[off:], with)
	node.stable = writeAt(node.stable, off, with)
	return nil
}

// DiskFile is an open file of a Disk.
type DiskFile struct {
	disk *Disk
	node *inode
}

// ReadAt implements io.ReaderAt.
func (f *DiskFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.gone {
		return 0, ErrPowerCut
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// ErrNoSpace is the answer of a write that SetSpace leaves no room for.
var ErrNoSpace = errors.New("simulated disk: no space left on device")

// WriteAt implements io.WriterAt.
func (f *DiskFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.held.RLock()
	defer f.disk.held.RUnlock()
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	data := append([]byte(nil), b...)
	before := d.gone
	if err := d.stepLocked(); err != nil {
		if d.gone && !before { // the power goes in the midst of this write
			f.node.pending = append(f.node.pending, diskWrite{off, data})
		}
		return 0, err
	}
	if grow := off + int64(len(b)) - int64(len(f.node.data)); grow > 0 && d.space >= 0 {
		if grow > d.space {
			return 0, ErrNoSpace
		}
		d.space -= grow
	}
	d.calls.Writes++
	d.calls.Bytes += int64(len(b))
	f.node.data = writeAt(f.node.data, off, data)
	f.node.pending = append(f.node.pending, diskWrite{off, data})
	return len(b), nil
}

// Sync makes the file's bytes stable; its name needs SyncDir.
func (f *DiskFile) Sync() error {
	d := f.disk
	d.held.RLock()
	defer d.held.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.stepLocked(); err != nil {
		return err
	}
	d.calls.Syncs++
	if d.noSync {
		return nil
	}
	for _, w := range f.node.pending {
		f.node.stable = writeAt(f.node.stable, w.off, w.data)
	}
	f.node.pending = nil
	return nil
}

// Size is the file's length in bytes.
func (f *DiskFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.gone {
		return 0, ErrPowerCut
	}
	return int64(len(f.node.data)), nil
}

// Close ends the use of the file; nothing becomes stable by it.
func (f *DiskFile) Close() error { return nil }
