package mqtt

import "bytes"

// Loan is room for a Message that is its takers' only as long as they are asked, so that one who publishes message after message
// from a buffer allocates none. Most messages leave at once and are kept by nobody.
//
//	Lend ─→ Router.Publish: takers read it, or ask for Kept ─→ End
//
// The zero Loan is ready. Not safe for concurrent use; takers are asked one after the other.
type Loan struct {
	m    Message
	kept *Message // what Kept gave; nil = nobody has asked
}

// Lend returns m as a lent message, whose Payload the caller may use again after End. Everything else that m points to is not used again.
func (l *Loan) Lend(m Message) *Message {
	m.loan = l
	l.m, l.kept = m, nil
	return &l.m
}

// End takes the message back. Who has it still, finds an empty one.
func (l *Loan) End() {
	if spoilsLoans {
		for i := range l.m.Payload {
			l.m.Payload[i] = 0xDB
		}
	}
	*l = Loan{}
}

// Kept returns m for longer than the call in which it was given: a copy if m is lent, the same one for all who ask. To be called
// within Deliver or Set.
func (m *Message) Kept() *Message {
	l := m.loan
	switch {
	case l == nil:
		return m
	case m != &l.m: // somebody's own copy of the struct
		return m.owned()
	case l.kept == nil:
		l.kept = m.owned()
	}
	return l.kept
}

func (m *Message) owned() *Message {
	mine := *m
	mine.Payload, mine.loan = bytes.Clone(m.Payload), nil
	return &mine
}
