package session

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"mangrove/mqtt"
)

func TestRecordRoundTrip(t *testing.T) {
	for name, r := range map[string]record{
		"connected": {number: 7, connected: true, expiry: time.Hour},
		"detached":  {number: 1 << 60, expiry: -1, detached: 1700000000123, sent: 70000, maybeSent: 300},
		"will": {number: 1, expiry: time.Second, will: &will{delay: 5 * time.Second, expiry: time.Minute,
			msg: &mqtt.Message{Topic: "w", Payload: []byte("gone"), QoS: 2, Retain: true}}},
	} {
		b := r.append(nil)
		got, err := decodeRecord(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, r)
		}
		cutEverywhere(t, name, b, func(b []byte) error { _, err := decodeRecord(b); return err })
	}
}

func TestQueuedRoundTrip(t *testing.T) {
	for name, q := range map[string]queueRecord{
		"plain":    {qos: 1, body: 9, size: 200},
		"released": {qos: 2, released: true, size: 1 << 20},
		"full":     {qos: 2, retain: true, body: 1 << 63, size: 5, expires: 1700000000000, ids: []uint32{1, 268435455}},
		"group":    {qos: 1, body: 9, size: 200, ids: []uint32{7}, group: "$share/g/a/#"},
	} {
		b := q.append(binary.BigEndian.AppendUint64(nil, q.body))
		got, err := decodeQueueRecord(b)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, q)
		}
		cutEverywhere(t, name, b, func(b []byte) error { _, err := decodeQueueRecord(b); return err })
	}
}

func TestSubscriptionRoundTrip(t *testing.T) {
	for _, s := range []mqtt.Subscription{
		{Filter: "a/#"},
		{Filter: "$share/g/a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 268435455},
	} {
		b := appendSubscription(nil, s)
		got, err := decodeSubscription(s.Filter, b)
		if err != nil || got != s {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
		cutEverywhere(t, s.Filter, b, func(b []byte) error { _, err := decodeSubscription("", b); return err })
	}
}

func cutEverywhere(t *testing.T, name string, b []byte, decode func([]byte) error) {
	t.Helper()
	for n := range b {
		if decode(b[:n]) == nil {
			t.Errorf("%s: got no error for the first %d of %d bytes", name, n, len(b))
		}
	}
	if decode(append(b[:len(b):len(b)], 0)) == nil {
		t.Errorf("%s: got no error for a byte too many", name)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte{1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add((&queueRecord{qos: 1, size: 3, ids: []uint32{1, 2}, group: "$share/g/a"}).append(make([]byte, 8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil && r.will == nil {
			if again, err := decodeRecord(r.append(nil)); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("got %+v, %v, want %+v", again, err, r)
			}
		}
		if q, err := decodeQueueRecord(b); err == nil {
			if again, err := decodeQueueRecord(q.append(b[:8:8])); err != nil || len(again.ids) != len(q.ids) || again.group != q.group {
				t.Errorf("got %+v, %v, want %+v", again, err, q)
			}
		}
		_, _ = decodeSubscription("f", b)
	})
}
