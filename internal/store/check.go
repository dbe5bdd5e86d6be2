package store

import (
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
	todo     []uint64
	buf      []byte
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
	return c, c.refer(native.Uint64(best[16:]))
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
		id := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		if err := c.page(id); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	return nil
}

// refer notes that page id is in use, by one other.
func (c *checker) refer(id uint64) error {
	if err := c.mark(id); err != nil {
		return err
	}
	c.todo = append(c.todo, id)
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
func (c *checker) page(id uint64) error {
	size := c.pageSize
	for {
		if int64(cap(c.buf)) < size {
			c.buf = make([]byte, size)
		}
		c.buf = c.buf[:size]
		if _, err := c.f.ReadAt(c.buf, int64(id)*c.pageSize); err != nil {
			return err
		}
		overflow := uint64(native.Uint32(c.buf[12:]))
		if native.Uint64(c.buf) != id || overflow >= c.pages-id {
			return errors.New("its head is not that of this page")
		}
		if size == int64(overflow+1)*c.pageSize {
			break
		}
		size = int64(overflow+1) * c.pageSize
	}
	for i := uint64(1); i < uint64(size/c.pageSize); i++ {
		if err := c.mark(id + i); err != nil {
			return err
		}
	}
	return c.elements(c.buf)
}

// elements checks a page in memory, which may be one inside a value.
func (c *checker) elements(p []byte) error {
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
	for i := range count {
		at := headerSize + i*elementSize
		var err error
		if flags == branchFlag {
			err = c.branch(p[at:])
		} else {
			err = c.leaf(p[at:])
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

var errBeyond = errors.New("reaches beyond its page")

// branch checks one element; e runs from its start to the end of the page.
func (c *checker) branch(e []byte) error {
	if uint64(native.Uint32(e))+uint64(native.Uint32(e[4:])) > uint64(len(e)) {
		return errBeyond
	}
	return c.refer(native.Uint64(e[8:]))
}

func (c *checker) leaf(e []byte) error {
	start := uint64(native.Uint32(e[4:])) + uint64(native.Uint32(e[8:]))
	end := start + uint64(native.Uint32(e[12:]))
	if end > uint64(len(e)) {
		return errBeyond
	}
	if native.Uint32(e)&bucketFlag == 0 {
		return nil
	}
	value := e[start:end]
	if len(value) < 16 {
		return errors.New("is a bucket cut short")
	}
	if root := native.Uint64(value); root != 0 {
		return c.refer(root)
	}
	return c.elements(value[16:])
}
