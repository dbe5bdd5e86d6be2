package packet

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// sample is a packet and its bytes.
type sample struct {
	name string
	v    Version
	wire []byte
	want Packet
	long bool // a longer form than Append writes
}

// refusal is bytes that break a rule.
type refusal struct {
	rule   string // citations in brackets, or a section; the error's own rule is among them
	why    string
	v      Version
	wire   []byte
	reason ReasonCode
}

// u16, u32 and raw are parts of a frame.
type (
	u16 uint16
	u32 uint32
	raw string
)

// frame builds a packet: an int is one byte, a string is text with its length, raw goes as it is.
func frame(first int, parts ...any) []byte {
	body := bytesOf(parts)
	return append(appendVarint([]byte{byte(first)}, len(body)), body...)
}

// section builds properties with their length.
func section(parts ...any) raw {
	body := bytesOf(parts)
	return raw(append(appendVarint(nil, len(body)), body...))
}

func bytesOf(parts []any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case Property:
			b = append(b, byte(p))
		case ReasonCode:
			b = append(b, byte(p))
		case u16:
			b = appendUint16(b, uint16(p))
		case u32:
			b = appendUint32(b, uint32(p))
		case string:
			b = appendText(b, p)
		case raw:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("frame cannot hold a %T", p))
		}
	}
	return b
}

// checkSamples reads each sample's bytes and writes its packet.
func checkSamples(t *testing.T, samples []sample) {
	t.Helper()
	for _, s := range samples {
		t.Run(fmt.Sprintf("v%d/%s", s.v, s.name), func(t *testing.T) {
			got, err := Read(s.wire, s.v)
			if err != nil {
				t.Fatalf("Read(% x): %v", s.wire, err)
			}
			if same(got, s.want); !reflect.DeepEqual(got, s.want) {
				t.Errorf("got %+v, want %+v", got, s.want)
			}
			if wire := s.want.Append(nil, s.v); !s.long && string(wire) != string(s.wire) {
				t.Errorf("got % x, want % x", wire, s.wire)
			}
		})
	}
}

// checkRefusals reads what must be refused, and holds the error against the rule.
func checkRefusals(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, c := range refusals {
		t.Run(fmt.Sprintf("v%d/%s", c.v, c.why), func(t *testing.T) {
			p, err := Read(c.wire, c.v)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %+v and error %v, want %v %s", p, err, c.reason, c.rule)
			}
			if e.Reason != c.reason {
				t.Errorf("got %v, want %v", e, c.reason)
			}
			if e.Rule != "" && !strings.Contains(c.rule, "["+e.Rule+"]") {
				t.Errorf("got rule %s, want one of %s", e.Rule, c.rule)
			}
		})
	}
}

// tables are all samples and refusals by packet type: the seeds of the fuzz targets.
func tables() (samples []sample, refusals []refusal) {
	samples = concat(connectSamples(), connackSamples(), publishSamples(), ackSamples(), subscribeSamples(),
		unsubscribeSamples(), pingSamples(), disconnectSamples(), authSamples())
	refusals = concat(connectRefusals(), connackRefusals(), publishRefusals(), ackRefusals(), subscribeRefusals(),
		unsubscribeRefusals(), pingRefusals(), disconnectRefusals(), authRefusals(), propertyRefusals(), textRefusals())
	return samples, refusals
}

func concat[T any](lists ...[]T) (all []T) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
