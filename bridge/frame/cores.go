package frame

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/bytesread"
)

// Core is one core node as an edge sees it.
type Core struct {
	Name    string // "" for an address from the configuration of which nothing is known yet
	Addr    string // HOST:PORT of its listener for links
	Weight  int    // share of edges it wants under the weighted balance; < 1 counts as 1
	Suspect bool   // membership thinks it is away: tried last
}

// AppendCores writes a CORES frame, which tells an edge of all cores there are, at most MaxCores:
//
//	version  1
//	count    uvarint
//	each     name, address: uvarint length, bytes; weight uvarint; state byte, bit 0 = suspect
func AppendCores(dst []byte, cores []Core) []byte {
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(cores)))
	for _, c := range cores {
		dst = AppendPrefixed(dst, c.Name)
		dst = AppendPrefixed(dst, c.Addr)
		dst = binary.AppendUvarint(dst, uint64(max(c.Weight, 0)))
		state := byte(0)
		if c.Suspect {
			state = 1
		}
		dst = append(dst, state)
	}
	return dst
}

// DecodeCores reads a CORES frame. Each core has a name and an address.
func DecodeCores(b []byte) (cores []Core, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	for n := r.Count(MaxCores); n > 0 && r.Err() == nil; n-- {
		c := Core{Name: r.Text(MaxName), Addr: r.Text(MaxName), Weight: r.Count(1 << 20), Suspect: r.Uint8()&1 != 0}
		if r.Err() == nil && (c.Name == "" || c.Addr == "") {
			r.Fail(errors.New("core without name or address"))
		}
		cores = append(cores, c)
	}
	if err := done(&r, KindCores); err != nil {
		return nil, err
	}
	return cores, nil
}
