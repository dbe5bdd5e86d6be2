package mqtt

import "bytes"

// Loan holds one Message that subscribers may use only until their Deliver returns, so that a connection which
// publishes message after message from a buffer allocates none. Most messages leave at once and are kept by nobody.
//
//	Lend ─→ Router.Publish: takers read it, or ask for Kept ─→ End
//
// The zero Loan is ready. Not safe for concurrent use: the Router asks takers one after the other.
type Loan struct {
	m    Message
	kept *Message // the copy that Kept made for all takers; nil = no taker has asked
}

// Lend returns m as a lent message. The caller may use the bytes of m.Payload again after End; everything else that m
// points to must stay as it is, because kept messages share it.
func (l *Loan) Lend(m Message) *Message {
	m.loan = l
	l.m, l.kept = m, nil
	return &l.m
}

// End invalidates the lent message: whoever still holds the pointer finds an empty Message.
func (l *Loan) End() {
	if spoilsLoans {
		for i := range l.m.Payload {
			l.m.Payload[i] = 0xDB
		}
	}
	*l = Loan{}
}

// Kept returns the message for use after Deliver or Set, within which the taker calls it: m itself, or, if m is lent, a
// copy with a payload of its own. All takers of a lent message get the same copy.
func (m *Message) Kept() *Message {
	l := m.loan
	switch {
	case l == nil:
		return m
	case m != &l.m: // m is a copy of the struct that a taker made, and may have changed
		return m.owned()
	case l.kept == nil:
		l.kept = m.owned()
	}
	return l.kept
}

// owned copies a lent message and its payload.
func (m *Message) owned() *Message {
	mine := *m
	mine.Payload, mine.loan = bytes.Clone(m.Payload), nil
	return &mine
}
