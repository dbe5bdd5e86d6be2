package mqtt

import "testing"

// What a taker keeps of a lent message is its own, and one copy for all of them.
func TestLoan(t *testing.T) {
	var l Loan
	buf := []byte("payload")
	m := l.Lend(Message{Topic: "a", Payload: buf, QoS: 1})
	m.ID = 7 // as the Router does
	first, second := m.Kept(), m.Kept()
	changed := *m
	changed.QoS = 2
	third := changed.Kept()
	l.End()
	copy(buf, "another")
	if first != second {
		t.Error("got two copies of one message, want one")
	}
	for _, kept := range []*Message{first, third} {
		if kept.Topic != "a" || string(kept.Payload) != "payload" || kept.ID != 7 {
			t.Errorf("got %q %q %d kept, want a payload 7", kept.Topic, kept.Payload, kept.ID)
		}
		if kept.Kept() != kept {
			t.Error("got a copy of a message that is kept already")
		}
	}
	if third.QoS != 2 {
		t.Errorf("got QoS %d of a changed copy, want 2", third.QoS)
	}
	if m.Topic != "" || m.Payload != nil {
		t.Errorf("got %+v after the end of the loan, want nothing", m)
	}
	if next := l.Lend(Message{Topic: "b"}); next.Kept().Topic != "b" {
		t.Error("got an earlier message")
	}
}

func TestLoanAllocations(t *testing.T) {
	var l Loan
	payload := []byte("payload")
	if got := testing.AllocsPerRun(100, func() {
		l.Lend(Message{Topic: "a", Payload: payload})
		l.End()
	}); got != 0 {
		t.Errorf("got %v allocations of a message that nobody keeps, want none", got)
	}
	own := &Message{Topic: "a"}
	if own.Kept() != own {
		t.Error("got a copy of a message that is not lent")
	}
}
