package packet

import (
	"bytes"
	"fmt"
	"testing"
)

// A hostile length field makes no great allocation.
func TestHostileLengths(t *testing.T) {
	huge := raw("\xFF\xFF\xFF\x7F")
	for _, wire := range [][]byte{
		frame(0x10, "MQTT", 5, 2, u16(0), huge),
		frame(0x10, u16(65535)),
		frame(0x30, u16(65535), raw("a")),
		frame(0x30, "a", huge),
		frame(0x30, "a", section(PropCorrelationData, u16(65535))),
		frame(0x82, u16(1), huge),
		frame(0x82, u16(1), 0, u16(65535), raw("a")),
	} {
		checkHostile(t, Type(wire[0]>>4), wire[0]&0x0F, wire[2:], V5)
	}
	many := bytes.Repeat([]byte{byte(PropUser), 0, 0, 0, 0}, 100_000)
	checkHostile(t, PUBLISH, 0, frame(0x30, "a", section(raw(many)))[4:], V5)
	filters := bytes.Repeat([]byte{0, 1, 'a', 0}, 100_000)
	checkHostile(t, SUBSCRIBE, 2, append([]byte{0, 1, 0}, filters...), V5)
}

// Decoding what comes often, without properties, allocates nothing.
func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, v := range versions {
		for _, p := range []Packet{
			&Publish{Topic: []byte("plant/7/temperature"), Payload: make([]byte, 256)},
			&Publish{Topic: []byte("plant/7/temperature"), Payload: make([]byte, 256), QoS: 1, PacketID: 1},
			&Publish{Topic: []byte("plant/7/temperature"), QoS: 2, PacketID: 1},
			&Ack{Kind: PUBACK, PacketID: 1}, &Ack{Kind: PUBREC, PacketID: 1}, &Ack{Kind: PUBREL, PacketID: 1},
			&Ack{Kind: PUBCOMP, PacketID: 1}, &Pingreq{}, &Pingresp{}, &Disconnect{},
		} {
			wire := p.Append(nil, v)
			into := New(p.Type())
			got := testing.AllocsPerRun(100, func() {
				total, header, _, err := Frame(wire, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if err := into.Decode(wire[0]&0x0F, wire[header:total], v); err != nil {
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%v of version %d: got %v allocations, want 0", p.Type(), v, got)
			}
		}
	}
}

// Append allocates nothing when dst has room, whatever the packet.
func TestAppendDoesNotAllocate(t *testing.T) {
	samples, _ := tables()
	dst := make([]byte, 0, 64<<10)
	for _, s := range samples {
		got := testing.AllocsPerRun(10, func() { s.want.Append(dst, s.v) })
		if got != 0 {
			t.Errorf("%v %s of version %d: got %v allocations, want 0", s.want.Type(), s.name, s.v, got)
		}
	}
	long := &Publish{Topic: []byte("a"), Payload: make([]byte, 20_000),
		Props: (&Properties{ContentType: string(make([]byte, 200))}).Mark(PropContentType)}
	if got := testing.AllocsPerRun(10, func() { long.Append(dst, V5) }); got != 0 {
		t.Errorf("PUBLISH of 20 kB: got %v allocations, want 0", got)
	}
}

// benchPublishes are what a broker sees most.
func benchPublishes() map[string]*Publish {
	topic, payload := []byte("site/4711/plant/7/temperature"), make([]byte, 256)
	return map[string]*Publish{
		"QoS0": {Topic: topic, Payload: payload},
		"QoS1": {Topic: topic, Payload: payload, QoS: 1, PacketID: 7},
		"QoS1+props": {Topic: topic, Payload: payload, QoS: 1, PacketID: 7, Props: &Properties{
			Set:           1<<PropMessageExpiry | 1<<PropContentType | 1<<PropUser,
			MessageExpiry: 60, ContentType: "application/json", User: []UserProperty{{"trace", "0123456789abcdef"}}}},
	}
}

func BenchmarkPublishDecode(b *testing.B) {
	for name, p := range benchPublishes() {
		for _, v := range []Version{V311, V5} {
			b.Run(fmt.Sprintf("%s/v%d", name, v), func(b *testing.B) {
				wire := p.Append(nil, v)
				b.SetBytes(int64(len(wire)))
				b.ReportAllocs()
				var into Publish
				for b.Loop() {
					total, header, _, err := Frame(wire, 1<<20)
					if err == nil {
						err = into.Decode(wire[0]&0x0F, wire[header:total], v)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPublishAppend(b *testing.B) {
	for name, p := range benchPublishes() {
		for _, v := range []Version{V311, V5} {
			b.Run(fmt.Sprintf("%s/v%d", name, v), func(b *testing.B) {
				dst := p.Append(nil, v)
				b.SetBytes(int64(len(dst)))
				b.ReportAllocs()
				for b.Loop() {
					dst = p.Append(dst[:0], v)
				}
			})
		}
	}
}
