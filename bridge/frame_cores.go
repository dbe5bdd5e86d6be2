package bridge

import (
	"encoding/binary"
	"errors"
)

// Core is one core node as an edge sees it.
type Core struct {
	Name    string // "" for an address from the configuration of which nothing is known yet
	Addr    string // HOST:PORT of its listener for links
	Weight  int    // share of edges it wants under the weighted balance; < 1 counts as 1
	Suspect bool   // membership thinks it is away: tried last
}

// A CORES frame tells an edge of all cores there are:
//
//	version  1
//	count    uvarint
//	each     name, address: uvarint length, bytes; weight uvarint; state byte, bit 0 = suspect
func appendCores(dst []byte, cores []Core) []byte {
	dst = append(dst, frameVersion)
	dst = binary.AppendUvarint(dst, uint64(len(cores)))
	for _, c := range cores {
		dst = appendString(dst, c.Name)
		dst = appendString(dst, c.Addr)
		dst = binary.AppendUvarint(dst, uint64(max(c.Weight, 0)))
		state := byte(0)
		if c.Suspect {
			state = 1
		}
		dst = append(dst, state)
	}
	return dst
}

func decodeCores(b []byte) (cores []Core, err error) {
	r := reader{b: b}
	r.version()
	for n := r.count(maxCores); n > 0 && r.err == nil; n-- {
		c := Core{Name: r.string(maxName), Addr: r.string(maxName), Weight: r.count(1 << 20), Suspect: r.byte()&1 != 0}
		if r.err == nil && (c.Name == "" || c.Addr == "") {
			r.fail(errors.New("core without name or address"))
		}
		cores = append(cores, c)
	}
	if err := r.done(kindCores); err != nil {
		return nil, err
	}
	return cores, nil
}
