package packet

import "iter"

// IDs holds a number from 1 to 255 under each packet identifier that is in use. The zero IDs is empty and owns no memory. Not safe
// for concurrent use.
//
//	pages  [number of the page │ numbers of 256 identifiers] …   those that are in use, in no order
//
// Clients give identifiers out in turn, so those in use are on one page or two: cheaper than a map, which hashes. There are 256
// pages at most.
type IDs struct {
	pages []*idPage
	spare *idPage // an empty one, for the next that is needed
	n     int
}

type idPage struct {
	first uint16 // of its identifiers
	n     uint16 // of them that are in use
	held  [idsPerPage]byte
}

const idsPerPage = 256

// Len is how many identifiers are in use.
func (s *IDs) Len() int { return s.n }

// Get is the number under id; 0 = id is not in use.
func (s *IDs) Get(id uint16) byte {
	if _, p := s.page(id); p != nil {
		return p.held[id%idsPerPage]
	}
	return 0
}

// Set puts v under id; 0 takes id out.
func (s *IDs) Set(id uint16, v byte) {
	i, p := s.page(id)
	if p == nil {
		if v == 0 {
			return
		}
		i, p = s.grow(id)
	}
	held := &p.held[id%idsPerPage]
	switch {
	case *held == 0 && v != 0:
		p.n++
		s.n++
	case *held != 0 && v == 0:
		p.n--
		s.n--
	}
	if *held = v; p.n == 0 {
		s.shrink(i)
	}
}

// All yields each identifier in use, with its number. The loop may change the numbers, but not which identifiers are in use.
func (s *IDs) All() iter.Seq2[uint16, byte] {
	return func(yield func(uint16, byte) bool) {
		for _, p := range s.pages {
			for i, v := range p.held {
				if v != 0 && !yield(p.first+uint16(i), v) {
					return
				}
			}
		}
	}
}

func (s *IDs) page(id uint16) (int, *idPage) {
	for i, p := range s.pages {
		if p.first == id-id%idsPerPage {
			return i, p
		}
	}
	return 0, nil
}

func (s *IDs) grow(id uint16) (int, *idPage) {
	p := s.spare
	if s.spare = nil; p == nil {
		p = new(idPage)
	}
	p.first = id - id%idsPerPage
	s.pages = append(s.pages, p)
	return len(s.pages) - 1, p
}

// shrink takes page i out, which is empty.
func (s *IDs) shrink(i int) {
	last := len(s.pages) - 1
	s.spare = s.pages[i]
	s.pages[i], s.pages[last] = s.pages[last], nil
	s.pages = s.pages[:last]
}
