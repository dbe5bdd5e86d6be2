package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt maps its file into memory and trusts it: a page number beyond the end or a length beyond its page would
// end the process. So the pages are read and checked here first, with plain reads. The bytes of version 2, in the
// machine's byte order:
//
//	page    id 8, flags 2, count 2, overflow 4, then the elements
//	meta    magic 4, version 4, page size 4, flags 4, root 8, sequence 8, freelist 8, pages 8, transaction 8, FNV-64a 8
//	branch  element = position of the key 4, its length 4, page 8
//	leaf    element = flags 4, position of the key 4, its length 4, length of the value 4; value follows key
//
// Positions count from the start of their element. A leaf element with flag 1 is a bucket: its value is root 8,
// sequence 8, and when root is 0 a page follows inside the value.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	headerSize  = 16
	elementSize = 16
	metaSize    = 64
	branchFlag  = 0x01
	leafFlag    = 0x02
	bucketFlag  = 0x01
)

var native = binary.NativeEndian

// checkFile tells whether bbolt can open the file without harm. It reads every page in use once.
func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c, err := newChecker(f, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := c.walk(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// checker walks the pages of the last transaction.
type checker struct {
	f        io.ReaderAt
	pageSize int64
	pages    uint64   // pages from here on do not exist
	seen     []uint64 // bit set of pages
	todo     []subtree
	buf      []byte
}

// subtree is a page to look at, with the keys that may be in it and below.
type subtree struct {
	id       uint64
	from, to []byte // from <= key < to; nil = no bound
}

// newChecker reads the meta pages and takes the later valid one.
func newChecker(f io.ReaderAt, size int64) (*checker, error) {
	best, txid := []byte(nil), uint64(0)
	for _, at := range metaPlaces(f, size) {
		if m := readMeta(f, at); m != nil && (best == nil || native.Uint64(m[48:]) > txid) {
			best, txid = m, native.Uint64(m[48:])
		}
	}
	if best == nil {
		return nil, errors.New("neither of its two heads is valid")
	}
	c := &checker{f: f, pageSize: int64(native.Uint32(best[8:])), pages: native.Uint64(best[40:])}
	if c.pages < 3 || c.pages > uint64(size/c.pageSize) {
		return nil, fmt.Errorf("it has %d bytes, its head speaks of %d pages of %d", size, c.pages, c.pageSize)
	}
	c.seen = make([]uint64, (c.pages+63)/64)
	return c, c.refer(subtree{id: native.Uint64(best[16:])})
}

// metaPlaces are where the heads are: page 0, and page 1 of the page size that page 0 tells or else any.
func metaPlaces(f io.ReaderAt, size int64) []int64 {
	if m := readMeta(f, 0); m != nil {
		return []int64{0, int64(native.Uint32(m[8:]))}
	}
	var places []int64
	for at := int64(1024); at <= 64<<10 && at < size; at *= 2 {
		places = append(places, at)
	}
	return places
}

// readMeta returns a head, nil when it is not valid.
func readMeta(f io.ReaderAt, at int64) []byte {
	var b [headerSize + metaSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return nil
	}
	m := b[headerSize:]
	sum := fnv.New64a()
	sum.Write(m[:56])
	size := native.Uint32(m[8:])
	if native.Uint32(m) != boltMagic || native.Uint32(m[4:]) != boltVersion || native.Uint64(m[56:]) != sum.Sum64() ||
		size < 1024 || size > 64<<10 || size&(size-1) != 0 {
		return nil
	}
	return m
}

func (c *checker) walk() error {
	for len(c.todo) > 0 {
		t := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		if err := c.page(t); err != nil {
			return fmt.Errorf("page %d: %w", t.id, err)
		}
	}
	return nil
}

// refer notes that the page of t is in use, by one other.
func (c *checker) refer(t subtree) error {
	if err := c.mark(t.id); err != nil {
		return err
	}
	c.todo = append(c.todo, t)
	return nil
}

func (c *checker) mark(id uint64) error {
	if id < 2 || id >= c.pages {
		return fmt.Errorf("refers to page %d of %d", id, c.pages)
	}
	if c.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("refers to page %d, which is used already", id)
	}
	c.seen[id/64] |= 1 << (id % 64)
	return nil
}

// page reads and checks one page with its overflow.
func (c *checker) page(t subtree) error {
	if err := c.read(t.id, c.pageSize); err != nil {
		return err
	}
	overflow := uint64(native.Uint32(c.buf[12:]))
	if native.Uint64(c.buf) != t.id || overflow >= c.pages-t.id {
		return errors.New("its head is not that of this page")
	}
	for i := range overflow {
		if err := c.mark(t.id + 1 + i); err != nil {
			return err
		}
	}
	if overflow > 0 {
		if err := c.read(t.id, int64(overflow+1)*c.pageSize); err != nil {
			return err
		}
	}
	return c.elements(c.buf, t)
}

func (c *checker) read(id uint64, size int64) error {
	if int64(cap(c.buf)) < size {
		c.buf = make([]byte, size)
	}
	c.buf = c.buf[:size]
	_, err := c.f.ReadAt(c.buf, int64(id)*c.pageSize)
	return err
}

// elements checks a page in memory, which may be one inside a value.
func (c *checker) elements(p []byte, t subtree) error {
	if len(p) < headerSize {
		return errors.New("is cut short")
	}
	flags, count := native.Uint16(p[8:]), int(native.Uint16(p[10:]))
	if flags != branchFlag && flags != leafFlag {
		return fmt.Errorf("is of unknown kind %#x", flags)
	}
	if headerSize+count*elementSize > len(p) {
		return fmt.Errorf("has no room for %d elements", count)
	}
	if flags == branchFlag && count == 0 {
		return errors.New("is a branch with nothing below")
	}
	var before []byte
	for i := range count {
		e := p[headerSize+i*elementSize:]
		key, value, err := split(e, flags)
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		if bytes.Compare(key, t.from) < 0 || t.to != nil && bytes.Compare(key, t.to) >= 0 || i > 0 && bytes.Compare(before, key) >= 0 {
			return fmt.Errorf("element %d: its key is out of order", i)
		}
		before = key
		if flags == branchFlag {
			err = c.branch(p, i, count, key, t)
		} else if native.Uint32(e)&bucketFlag != 0 {
			err = c.bucket(value)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

var errBeyond = errors.New("reaches beyond its page")

// split returns key and value of an element; e runs from its start to the end of the page.
func split(e []byte, flags uint16) (key, value []byte, err error) {
	at, size, more := uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
	if flags == branchFlag {
		at, size, more = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), 0
	}
	if at+size+more > uint64(len(e)) {
		return nil, nil, errBeyond
	}
	return e[at : at+size], e[at+size : at+size+more], nil
}

// branch notes the page below element i, whose keys end where those of the next element start.
func (c *checker) branch(p []byte, i, count int, key []byte, t subtree) error {
	below := subtree{id: native.Uint64(p[headerSize+i*elementSize+8:]), from: bytes.Clone(key), to: t.to}
	if i+1 < count {
		next, _, err := split(p[headerSize+(i+1)*elementSize:], branchFlag)
		if err != nil {
			return err
		}
		below.to = bytes.Clone(next)
	}
	return c.refer(below)
}

// bucket notes the page of a bucket, or checks the one inside its value.
func (c *checker) bucket(value []byte) error {
	if len(value) < headerSize {
		return errors.New("is a bucket cut short")
	}
	if root := native.Uint64(value); root != 0 {
		return c.refer(subtree{id: root})
	}
	return c.elements(value[headerSize:], subtree{})
}
