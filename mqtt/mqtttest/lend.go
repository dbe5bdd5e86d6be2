// Package mqtttest has both ends of a publish for tests: Lend publishes as the broker's connections do, for tests of those
// who take messages; a Keeper takes them, for tests of those who hand them out.
package mqtttest

import (
	"bytes"

	"mangrove/mqtt"
)

// Lend publishes m from a buffer that is used again at once: who has not kept it (mqtt.Message.Kept) finds nothing of it. m gets the ID and
// the Origin that publishing gave.
func Lend(publish func(*mqtt.Message, *mqtt.Receipt), m *mqtt.Message, r *mqtt.Receipt) {
	var loan mqtt.Loan
	buf := bytes.Clone(m.Payload)
	lent := *m
	lent.Payload = buf
	l := loan.Lend(lent)
	publish(l, r)
	m.ID, m.Origin = l.ID, l.Origin
	loan.End()
	for i := range buf {
		buf[i] = '?'
	}
}
